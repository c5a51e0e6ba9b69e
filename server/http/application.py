"""Puts the layers together: what the server is given to serve.

Cors → Starlette (500 of a bug, other errors) → RouteTable → endpoint
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.types import ASGIApp, Lifespan

from server.http.cors import Cors
from server.http.exception_handlers import EXCEPTION_HANDLERS
from server.http.routing import Route, RouteTable

StarletteLifespan: TypeAlias = Lifespan[Starlette]


def build(
    routes: Iterable[Route], state: Mapping[str, object], lifespan: StarletteLifespan | None = None
) -> ASGIApp:
    """An application for these routes; handlers find what is in `state` as `request.app.state`.

    Raises `ValueError` if two routes cannot be told apart.
    """
    app = Starlette(routes=[RouteTable(routes)], exception_handlers=EXCEPTION_HANDLERS, lifespan=lifespan)
    for name, value in state.items():
        setattr(app.state, name, value)
    return Cors(app)
