"""Who asked, when giving their account up, that newcomers see as little as possible of what they sent.

Where: POST /account/deactivate, `erase`.
"""

from projections.facts import AccountDeactivated, Order
from projections.projection import Projection
from projections.tables import Table, key
from projections.views import View, WritableView

_ERASED: Table[Order] = Table("erasures.erased", int)


def apply(view: WritableView, order: Order, fact: AccountDeactivated) -> None:
    if fact.erase:
        view.put(_ERASED, key(fact.user_id), order)


PROJECTION = Projection(
    name="erasures", version=1, facts=(AccountDeactivated,), tables=(_ERASED,), apply=apply
)


def erased_at(view: View, user_id: str) -> Order | None:
    """`None` for everybody who did not ask for it."""
    return view.get(_ERASED, key(user_id))
