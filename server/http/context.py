"""What a handler finds beside its request: the parts that the application was wired from."""

from dataclasses import dataclass, field

from starlette.requests import Request

from server.appservices.queries import Queries
from server.config import Config
from server.homeserver import Homeserver
from server.http.limits import RateLimits
from server.sync.audience import Audience
from server.users.interactive_sessions import InteractiveSessions
from server.writer import Writer


@dataclass(frozen=True)
class Context:
    """One for the whole application, in `app.state.context`."""

    config: Config
    homeserver: Homeserver
    writer: Writer
    audience: Audience
    rate_limits: RateLimits
    interactive_sessions: InteractiveSessions = field(default_factory=InteractiveSessions)
    queries: Queries = field(default_factory=Queries)
    """To application services."""


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found
