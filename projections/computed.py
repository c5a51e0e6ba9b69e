"""A value of an object that is computed when it is first asked for, and then kept with the object.

`functools.cached_property` does the same and, up to Python 3.11, takes a lock each time it computes, which
costs 1 µs: as much as decoding an event. Nothing here is shared between threads while it is computed, and
if it were, it would be computed twice and come out the same.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class computed(Generic[Value]):  # noqa: N801 - reads as `property` does
    """As a decorator of a method of a class whose objects have a `__dict__`."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owned: None, owner: type) -> Self: ...
    @overload
    def __get__(self, owned: object, owner: type) -> Value: ...
    def __get__(self, owned: Any, owner: type) -> Self | Value:
        if owned is None:
            return self
        value = owned.__dict__[self._name] = self._compute(owned)
        return value
