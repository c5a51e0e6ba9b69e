"""One process owns a log: held by a lock that the kernel takes back when the process is gone.

`flock` and not a file that merely exists, because a killed owner cannot clean up after itself.
The owner's pid stands in the file so that whoever is refused can be told whom to look for, and the
inode of the data file, until the log is closed: an owner's note beside a file of another inode says
that the file was copied while it was in use.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from eventlog.errors import Locked


class Ownership:
    """Exclusive from construction to `release`, among processes and within this one."""

    def __init__(self, file: Path) -> None:
        """Raises `Locked`, naming the owner's pid, if there is one."""
        is_new = not file.exists()
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty for the moment between an owner's lock and its writing of the pid.
            owner = (*_words(descriptor), "unknown")[0]
            os.close(descriptor)
            raise Locked(f"{file.parent} is in use: process {owner} owns it") from None
        self._descriptor: int | None = descriptor
        _, *noted = _words(descriptor) or [""]
        self._noted = noted or (["none"] if is_new else [])
        self._write(" ".join([str(os.getpid()), *self._noted]))

    def may_be_of_another(self, data: Path) -> bool:
        """Was the data file put here by somebody else than an owner, or is it not the one that was in use?"""
        return self._noted not in ([], [str(data.stat().st_ino)])

    def note(self, data: Path) -> None:
        """This is the data file that is in use from now on."""
        self._write(f"{os.getpid()} {data.stat().st_ino}")

    def release(self, *, in_good_order: bool = True) -> None:
        """The file stays: removing it would let two processes lock two files of one name.

        Unless all is in good order, the next owner is as suspicious of the data file as this one was.
        """
        if self._descriptor is not None:
            if in_good_order:
                # On a disk that fails, the note stays, and is true: the file is that of this owner.
                with contextlib.suppress(OSError):
                    self._write("")
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, text: str) -> None:
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)


def _words(descriptor: int) -> list[str]:
    return os.pread(descriptor, 64, 0).decode("ascii", "replace").split()
