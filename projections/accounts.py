"""The users of this server and how they prove who they are."""

from collections.abc import Iterator

import msgspec

from projections.facts import AccountRegistered, Order
from projections.projection import Projection
from projections.views import Table, View, WritableView, key


class Account(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    password_hash: str
    registered_ts: int


_ACCOUNTS: Table[Account] = Table("accounts.accounts", Account)


def apply(view: WritableView, _: Order, fact: AccountRegistered) -> None:
    view.put(_ACCOUNTS, key(fact.user_id), Account(fact.user_id, fact.password_hash, fact.registered_ts))


PROJECTION = Projection(
    name="accounts", version=1, facts=(AccountRegistered,), tables=(_ACCOUNTS,), apply=apply
)


def account(view: View, user_id: str) -> Account | None:
    return view.get(_ACCOUNTS, key(user_id))


def accounts(view: View) -> Iterator[Account]:
    for _, known in view.scan(_ACCOUNTS):
        yield known
