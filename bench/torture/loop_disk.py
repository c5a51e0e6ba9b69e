"""A disk of its own to be tortured: an ext4 file system in an image file, mounted through a loop device.

What the image file holds is what the disk holds. What the file system has written to it only in
memory, because nobody asked for a flush, is not in it: copying the image is pulling the plug, as far
as the kernel's caches are concerned. For that,

* the device is set up with direct I/O, so that what reaches the disk reaches the image file and does
  not wait in a cache between the two; the copy is made from the image file, never from the device,
  whose cache knows more than the disk;
* nothing may reach the disk but by a flush: ext4 is told to commit its journal every ten minutes and
  not every five seconds, and the kernel writes back dirty pages only when they are 30 s old;
* whoever writes has to be held still during the copy, because pulling the plug is one moment and
  copying is not: a copy of a file system that changes meanwhile is like nothing that a power cut
  leaves behind.

Not modelled: a disk that lies about flushes, or loses or reorders writes inside an unfinished one.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.torture.part import Impossible

IMAGE_BYTES = 64 * 1024**2


def make_image(image: Path, size: int = IMAGE_BYTES) -> None:
    """Without blocks that only root may use: full is full. Raises `Impossible`."""
    with image.open("wb") as opened:
        opened.truncate(size)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))


@contextlib.contextmanager
def mounted(image: Path, where: Path) -> Iterator[None]:
    """Mount the image on the directory `where`; unmounted and detached whatever happens.

    Raises `Impossible`, naming the command that this machine refused.
    """
    where.mkdir(exist_ok=True)
    with contextlib.ExitStack() as cleanup:
        device = _run("losetup", "--direct-io=on", "--find", "--show", str(image)).strip()
        cleanup.callback(_run, "losetup", "--detach", device)
        _run("mount", "-t", "ext4", "-o", "commit=600", device, str(where))
        cleanup.callback(_unmount, where)
        yield


def copy_image(image: Path, copy: Path) -> None:
    """What a power cut at this moment would leave on the disk."""
    with image.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    shutil.copyfile(image, copy)


def _unmount(where: Path) -> None:
    # Lazily, so that a file still open, where something failed, does not keep the mount.
    _run("umount", "--lazy", str(where))


def _run(*command: str) -> str:
    """Root, a few tools and loop devices are needed; whatever is missing shows here."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise Impossible(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Impossible(f"{' '.join(command)}: {error.stderr.strip()}") from error
