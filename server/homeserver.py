"""What every decision and reader is handed: plain values, no behaviour."""

from collections.abc import Callable
from dataclasses import dataclass

from eventlog.log import Log
from projections.views import Views


@dataclass(frozen=True)
class Homeserver:
    """One log, its views, and the outside world as arguments."""

    server_name: str
    log: Log
    views: Views
    now: Callable[[], int]
    """Milliseconds since the epoch. Times that matter enter the log in a fact."""
    random_text: Callable[[int], str]
    """So many letters and digits that nobody can guess."""
