"""The verdict on what came over the wire: the contract's, less what `deviations.toml` has a reason for."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.contract.contract import Fault, contract

_DEVIATIONS = Path(__file__).with_name("deviations.toml")
_JUDGED = ("/_matrix/", "/.well-known/matrix/")
_AFTER_THE_PATH = re.compile(r"[?#].*", re.DOTALL)
_WITHOUT_A_BODY = frozenset({"HEAD", "OPTIONS"})


class Deviation(NamedTuple):
    """An answer of ours that the contract finds fault with, and why it stays."""

    operation: str
    status: int
    pointer: str
    """`*` stands for one step, such as a number within a list."""
    keyword: str
    reason: str
    request: str
    """Method and path that show it, under the prefix; `{room_id}` is a room that the one who asks is in."""

    def excuses(self, fault: Fault) -> bool:
        ours, theirs = self.pointer.split("/"), fault.pointer.split("/")
        return (
            (self.operation, self.status, self.keyword) == (fault.operation, fault.status, fault.keyword)
            and len(ours) == len(theirs)
            and all(mine in {"*", other} for mine, other in zip(ours, theirs, strict=True))
        )


@cache
def deviations() -> tuple[Deviation, ...]:
    return tuple(Deviation(**row) for row in tomllib.loads(_DEVIATIONS.read_text())["deviation"])


def all_faults(method: str, path: str, status: int, body: bytes) -> Iterator[Fault]:
    """Of an answer to a request for this path, as it was on the wire; excused or not."""
    if method in _WITHOUT_A_BODY or not path.startswith(_JUDGED):
        return
    path = _AFTER_THE_PATH.sub("", path)
    operation = contract().operation(method, path) or f"{method} {path}"
    is_free = contract().is_free(operation, status)
    try:
        decoded = None if is_free else msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        yield Fault(operation, status, "", "json", f"the answer is no JSON ({error})")
        return
    if not is_free:
        yield from contract().faults(operation, status, decoded)


def faults(method: str, path: str, status: int, body: bytes) -> list[Fault]:
    """What of it is not excused by a deviation."""
    return [
        fault
        for fault in all_faults(method, path, status, body)
        if not any(deviation.excuses(fault) for deviation in deviations())
    ]
