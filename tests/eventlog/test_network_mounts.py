"""A log on a network file system is refused before anything is written; what leads to a disk is not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eventlog import network_mounts
from eventlog.engines import open_log
from eventlog.errors import Unsuitable
from eventlog.network_mounts import file_system_of, is_network
from server.cli import app

SERVER = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
36 27 0:31 / /srv rw,relatime shared:7 - xfs /dev/vdb rw,attr2,inode64
41 36 0:48 / /srv/homes rw,relatime shared:21 master:3 - nfs4 filer:/homes rw,vers=4.2,proto=tcp,addr=10.0.0.2
44 36 0:50 / /srv/my\040own\134files rw,relatime - cifs //filer/own rw,vers=3.1.1,username=alice
45 36 0:51 / /srv/homes-of-old rw,relatime - btrfs /dev/vdc rw,subvolid=5,subvol=/
46 27 0:52 / /auto rw,relatime - autofs /etc/auto.home rw,fd=6,pgrp=1,timeout=300,direct
47 46 0:53 / /auto rw,relatime - nfs filer:/auto rw,vers=3,addr=10.0.0.2
48 27 0:54 / /home/alice/far rw,nosuid,nodev - fuse.sshfs alice@far:/ rw,user_id=1000,group_id=1000
49 41 254:0 /var/logs /srv/homes/local rw,relatime - ext4 /dev/vda rw
"""

CONTAINER = """
600 500 0:60 / / rw,relatime - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
620 600 254:1 /var/lib/docker/volumes/data/_data /data rw,relatime master:1 - ext4 /dev/vda1 rw
621 600 0:44 /shared /shared rw,relatime - virtiofs shared rw
"""

GVISOR = """
1 0 0:1 / / rw - 9p none rw,trans=fd,rfd=4,wfd=4,aname=/,cache=remote_revalidating
2 1 0:13 / /proc rw,noexec - proc none rw
"""

WSL = """
72 62 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,errors=remount-ro,data=ordered
124 72 0:63 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\;uid=1000,access=client
"""


@pytest.mark.parametrize(
    ("mounts", "path", "file_system"),
    [
        (SERVER, "/", "ext4"),
        (SERVER, "/var/lib/roomlog/log", "ext4"),
        (SERVER, "/srv/data", "xfs"),
        (SERVER, "/srv/homes", "nfs4"),
        (SERVER, "/srv/homes/alice/data/log", "nfs4"),
        (SERVER, "/srv/homes-of-old/data", "btrfs"),
        (SERVER, "/srv/homes/local/data", "ext4"),
        (SERVER, "/srv/my own\\files/data", "cifs"),
        (SERVER, "/srv/my", "xfs"),
        (SERVER, "/auto/data", "nfs"),
        (SERVER, "/home/alice/far/data", "fuse.sshfs"),
        (CONTAINER, "/root/data", "overlay"),
        (CONTAINER, "/data/log", "ext4"),
        (CONTAINER, "/shared/log", "virtiofs"),
        (GVISOR, "/data/log", "9p"),
        (WSL, "/home/alice/data", "ext4"),
        (WSL, "/mnt/c/data", "9p"),
        ("", "/data", ""),
    ],
)
def test_the_nearest_mount_above_a_path_counts(mounts: str, path: str, file_system: str) -> None:
    assert file_system_of(Path(path), mounts) == file_system


@pytest.mark.parametrize(
    "file_system", ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gfs2", "fuse.sshfs"]
)
def test_what_a_network_is_below_is_refused(file_system: str) -> None:
    assert is_network(file_system)


@pytest.mark.parametrize(
    "file_system",
    [
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "overlay",
        "tmpfs",
        "9p",
        "virtiofs",
        "fuse",
        "fuse.bindfs",
        "fuseblk",
        "",
    ],
)
def test_what_leads_to_a_disk_of_this_machine_is_not(file_system: str) -> None:
    assert not is_network(file_system)


@pytest.fixture
def mounted_by_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of which the table of mounts says so: a real one takes a second machine."""
    place = tmp_path / "far away"
    place.mkdir()
    mounts = tmp_path / "mountinfo"
    escaped = str(place).replace(" ", r"\040")
    mounts.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n41 27 0:48 / {escaped} rw - nfs4 filer:/ rw\n")
    monkeypatch.setattr(network_mounts, "MOUNTS", mounts)
    return place


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


@pytest.mark.anyio
async def test_no_log_is_written_there(mounted_by_network: Path) -> None:
    with pytest.raises(Unsuitable, match=r"far away/log is on a network file system \(nfs4\)"):
        async with open_log(f"lmdb:{mounted_by_network}/log"):
            pass
    assert is_empty(mounted_by_network)


@pytest.mark.anyio
async def test_a_way_there_by_a_symbolic_link_is_found(mounted_by_network: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(mounted_by_network)
    with pytest.raises(Unsuitable):
        async with open_log(f"lmdb:{tmp_path}/data/log"):
            pass


@pytest.mark.anyio
async def test_a_log_beside_it_is_written(mounted_by_network: Path, tmp_path: Path) -> None:
    async with open_log(f"lmdb:{tmp_path}/log") as log:
        assert await log.append([b"here"], after=0) == 1


@pytest.mark.anyio
async def test_a_log_that_is_there_can_be_read(
    mounted_by_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"lmdb:{mounted_by_network}/log"
    with monkeypatch.context() as before:
        before.setattr(network_mounts, "MOUNTS", Path("/proc/self/mountinfo"))
        async with open_log(url) as log:
            await log.append([b"there"], after=0)
    async with open_log(url, read_only=True) as log:
        assert [entry.payload async for entry in log.read()] == [b"there"]


@pytest.mark.anyio
async def test_without_a_table_of_mounts_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_mounts, "MOUNTS", tmp_path / "none")
    async with open_log(f"lmdb:{tmp_path}/log") as log:
        assert await log.head() == 0


def test_the_command_line_says_what_to_do(mounted_by_network: Path) -> None:
    data = str(mounted_by_network / "data")
    done = CliRunner().invoke(app, ["import", "/dev/null", "--data", data])
    assert done.exit_code == 2
    assert done.stderr == (
        f"import failed: {data}/log is on a network file system (nfs4), "
        "whose locks and maps a log cannot trust.\n"
        "Name a directory on a disk of this machine, with --data for a server's log.\n"
    )
