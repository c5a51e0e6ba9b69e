"""What users say of themselves: display name, avatar, time zone, and fields of their clients' own.

A user who asked to be erased when they gave their account up has no profile any more. Where: client-server
API, "Profiles", "Account deactivation".
"""

from collections.abc import Mapping

import msgspec

from projections.facts import AccountDeactivated, Order, ProfileChanged
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class _Field(msgspec.Struct, frozen=True, array_like=True):
    name: str
    value: bytes
    """JSON."""


_FIELDS: Table[_Field] = Table("profiles.fields", _Field)


def apply(view: WritableView, _: Order, fact: ProfileChanged | AccountDeactivated) -> None:
    if isinstance(fact, AccountDeactivated):
        if fact.erase:
            for name in profile_of(view, fact.user_id):
                view.delete(_FIELDS, key(fact.user_id, name))
    elif fact.value is msgspec.UNSET:
        view.delete(_FIELDS, key(fact.user_id, fact.field))
    else:
        view.put(_FIELDS, key(fact.user_id, fact.field), _Field(fact.field, bytes(fact.value)))


PROJECTION = Projection(
    name="profiles",
    version=1,
    facts=(ProfileChanged, AccountDeactivated),
    tables=(_FIELDS,),
    apply=apply,
)


def profile_of(view: View, user_id: str) -> Mapping[str, msgspec.Raw]:
    """All fields of a user, by name; none for a user who has set none, or who is not known."""
    found = {known.name: msgspec.Raw(known.value) for _, known in view.scan(_FIELDS, key(user_id))}
    return dict(sorted(found.items()))


def field_of(view: View, user_id: str, name: str) -> msgspec.Raw | msgspec.UnsetType:
    """The JSON of one field; `UNSET` if the user has not set it."""
    known = view.get(_FIELDS, key(user_id, name))
    return msgspec.UNSET if known is None else msgspec.Raw(known.value)
