"""What the entries of new logs are compressed with: the forms that facts are written in.

A log takes a copy of it when it is made and needs this file no more. `python -m bench.dictionary` says
what it is worth, and how it was made; the words in it are those of generated logs.
"""

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("entries.dictionary")


@cache
def entry_dictionary() -> bytes:
    """A dictionary of zstd."""
    return FILE.read_bytes()
