"""The users of this server and how they prove who they are."""

from collections.abc import Iterator

import msgspec

from projections.facts import AccountDeactivated, AccountRegistered, Order, PasswordChanged
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class Account(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    password_hash: str
    registered_ts: int
    deactivated_ts: int | None = None


_ACCOUNTS: Table[Account] = Table("accounts.accounts", Account)


def apply(
    view: WritableView, _: Order, fact: AccountRegistered | PasswordChanged | AccountDeactivated
) -> None:
    if isinstance(fact, AccountRegistered):
        known = Account(fact.user_id, fact.password_hash, fact.registered_ts)
        view.put(_ACCOUNTS, key(fact.user_id), known)
    elif isinstance(fact, PasswordChanged):
        _change(view, fact.user_id, password_hash=fact.password_hash)
    else:
        _change(view, fact.user_id, deactivated_ts=fact.deactivated_ts)


def _change(view: WritableView, user_id: str, **fields: object) -> None:
    known = account(view, user_id)
    if known is not None:
        view.put(_ACCOUNTS, key(user_id), msgspec.structs.replace(known, **fields))


PROJECTION = Projection(
    name="accounts",
    version=2,
    facts=(AccountRegistered, PasswordChanged, AccountDeactivated),
    tables=(_ACCOUNTS,),
    apply=apply,
)


def account(view: View, user_id: str) -> Account | None:
    return view.get(_ACCOUNTS, key(user_id))


def accounts(view: View) -> Iterator[Account]:
    for _, known in view.scan(_ACCOUNTS):
        yield known
