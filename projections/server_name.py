"""The name that this log's identifiers carry; the first fact says it, and it never changes."""

from projections.facts import Order, ServerNamed
from projections.projection import Projection
from projections.tables import Table
from projections.view import View, WritableView

_NAMES: Table[str] = Table("server_name.names", str)
_AT = b"server_name"


def apply(view: WritableView, _: Order, fact: ServerNamed) -> None:
    view.put(_NAMES, _AT, fact.server_name)


PROJECTION = Projection(name="server_name", version=1, facts=(ServerNamed,), tables=(_NAMES,), apply=apply)


def server_name(view: View) -> str | None:
    """`None` as long as the log is empty."""
    return view.get(_NAMES, _AT)
