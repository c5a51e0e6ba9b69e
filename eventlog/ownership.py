"""One process owns a log: held by a lock that the kernel takes back when the process is gone.

`flock` and not a file that merely exists, because a killed owner cannot clean up after itself.
The owner's pid stands in the file only so that whoever is refused can be told whom to look for.
"""

import fcntl
import os
from pathlib import Path

from eventlog.errors import Locked


class Ownership:
    """Exclusive from construction to `release`, among processes and within this one."""

    def __init__(self, file: Path) -> None:
        """Raises `Locked`, naming the owner's pid, if there is one."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty for the moment between an owner's lock and its writing of the pid.
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Locked(f"{file.parent} is in use: process {owner} owns it") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
