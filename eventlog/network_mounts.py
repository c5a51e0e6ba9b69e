"""Refuses to write a log on a network file system, where LMDB cannot keep what this log promises.

LMDB's own documentation forbids it, "even between processes on the same host": the lock that makes one
process the owner may hold on one machine only, the map may show pages of another time, and who reads on
one machine knows nothing of who writes on another. SQLite's says the same of its locks. None of that shows
until it is too late, so it is the kernel's table of mounts that decides, before anything is written.

9p and virtiofs are not refused. They are how a sandbox or a virtual machine (gVisor, Kata) is given a
folder of the machine that it runs on, often as its root: one kernel uses it, and no network is between.
Where such a mount has no shared maps, LMDB fails when it opens the file, and says so. Folders of Windows
under WSL are of that kind. A file system of the cluster kind (gfs2, ocfs2) is refused although it has a block
device below it, as another machine may have the same file open: locks in mapped memory do not reach it.

Who only reads is let in: a log that came there all the same has to be got out.
"""

import re
from pathlib import Path

from eventlog.errors import Unsuitable

MOUNTS = Path("/proc/self/mountinfo")
"""See proc(5): id, parent, device, root, mount point, options, any number of fields, "-", type, …"""

_ONE_SERVER = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs", "davfs2"}
_MANY_SERVERS = {"ceph", "lustre", "glusterfs", "beegfs", "orangefs", "pvfs2", "gpfs"}
_MANY_MACHINES_AT_ONE_DISK = {"gfs2", "ocfs2"}
NETWORK_TYPES = frozenset(_ONE_SERVER | _MANY_SERVERS | _MANY_MACHINES_AT_ONE_DISK)

_FILES = {"sshfs", "nfs", "smbnetfs", "curlftpfs", "davfs", "davfs2", "rclone"}
_CLUSTERS = {"glusterfs", "ceph", "ceph-fuse", "mfs", "juicefs", "seaweedfs"}
_OBJECTS = {"s3fs", "s3ql", "goofys", "mountpoint-s3", "gcsfuse", "blobfuse", "blobfuse2"}
NETWORK_SUBTYPES = frozenset(_FILES | _CLUSTERS | _OBJECTS)
"""Of programs that answer for a file system, as the kernel names them: fuse.sshfs. Another one may lead to a
disk (fuse.bindfs, fuseblk)."""

_MOUNT_POINT = 4
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_network_mount(path: Path) -> None:
    """Raises `Unsuitable` if the directory `path`, which need not be there yet, is on such a file system.

    Where the kernel tells nothing of its mounts, nothing is refused.
    """
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return
    file_system = file_system_of(path.resolve(), mounts)
    if is_network(file_system):
        raise Unsuitable(
            f"{path} is on a network file system ({file_system}), whose locks and maps a log cannot trust"
        )


def file_system_of(path: Path, mounts: str) -> str:
    """The type of what is mounted at a resolved path, or nearest above it; empty if nothing is known."""
    nearest, found = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, mounted = before.split(" "), after.split(" ")
        if len(fields) <= _MOUNT_POINT:
            continue
        place = Path(_unescaped(fields[_MOUNT_POINT]))
        # At the same place the later one lies on top.
        if path.is_relative_to(place) and len(place.parts) >= nearest:
            nearest, found = len(place.parts), mounted[0]
    return found


def is_network(file_system: str) -> bool:
    kind, _, subtype = file_system.partition(".")
    return kind in NETWORK_TYPES or (kind == "fuse" and subtype in NETWORK_SUBTYPES)


def _unescaped(field: str) -> str:
    """The kernel writes space, tab, line break and backslash in a path as octal numbers."""
    return _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 8)), field)
