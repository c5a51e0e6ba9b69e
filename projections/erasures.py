"""Who asked to be erased, and what of the erasures that were ordered has yet to be carried out.

Newcomers see as little as possible, from the moment on, of what those users sent who asked for it when they
gave their account up; and soon nobody does, when it has been taken out of the log. That takes an order in
the log first, which is pending from there until it is on record that it was carried out.

Where: POST /account/deactivate, `erase`.
"""

from collections.abc import Iterator

import msgspec

from eventlog.log import Position
from projections.facts import AccountDeactivated, ErasureCompleted, Order, PayloadErased
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """An order that may not have been carried out yet; as in `PayloadErased`."""

    order: Order
    position: Position
    indexes: tuple[int, ...]
    digest: str


_ERASED: Table[Order] = Table("erasures.erased", int)
_PENDING: Table[Pending] = Table("erasures.pending", Pending)
_UNERASED_USERS: Table[str] = Table("erasures.unerased_users", str)


def apply(
    view: WritableView, order: Order, fact: AccountDeactivated | PayloadErased | ErasureCompleted
) -> None:
    if isinstance(fact, PayloadErased):
        view.put(_PENDING, key(order), Pending(order, fact.position, fact.indexes, fact.digest))
    elif isinstance(fact, ErasureCompleted):
        for done in list(pending(view)):
            if done.order <= fact.upto:
                view.delete(_PENDING, key(done.order))
        for user_id in fact.user_ids:
            view.delete(_UNERASED_USERS, key(user_id))
    elif fact.erase:
        view.put(_ERASED, key(fact.user_id), order)
        view.put(_UNERASED_USERS, key(fact.user_id), fact.user_id)


PROJECTION = Projection(
    name="erasures",
    version=2,
    facts=(AccountDeactivated, PayloadErased, ErasureCompleted),
    tables=(_ERASED, _PENDING, _UNERASED_USERS),
    apply=apply,
)


def erased_at(view: View, user_id: str) -> Order | None:
    """`None` for everybody who did not ask for it."""
    return view.get(_ERASED, key(user_id))


def pending(view: View) -> Iterator[Pending]:
    """In the order in which they were ordered."""
    for _, ordered in view.scan(_PENDING):
        yield ordered


def count_pending(view: View) -> int:
    return view.count(_PENDING)


def count_unerased_users(view: View) -> int:
    return view.count(_UNERASED_USERS)


def newest_order(view: View) -> Order:
    """Of those that are pending; 0 if none is."""
    found = view.last(_PENDING, b"")
    return 0 if found is None else found[1].order


def unerased_users(view: View) -> list[str]:
    """Who asked to be erased, and of whom there may still be something in the log."""
    return [user_id for _, user_id in view.scan(_UNERASED_USERS)]
