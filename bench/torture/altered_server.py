"""The server of the product with one thing about it changed, which no setting of the product changes.

    python -m bench.torture.altered_server [--deadlines SECONDS] [--clock FILE] [--port …] [--data …]

`--deadlines` makes all deadlines of connections as long, so that nobody has to wait for those of production;
0 switches them off. `--clock` has a file that says by how many milliseconds the server's clock is wrong, and
is read at every look at it.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import uvloop

from server import app
from server.config import load
from server.http.doorkeeper import Bounds, bounds_here

MODULE = "bench.torture.altered_server"
_NEVER = 1e9


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--deadlines", type=float)
    parser.add_argument("--clock", type=Path)
    for name in ("port", "data", "rate-limits"):
        parser.add_argument(f"--{name}")
    options = vars(parser.parse_args())
    deadlines, clock = options.pop("deadlines"), options.pop("clock")
    with ExitStack() as altered:
        if deadlines is not None:
            bounds = _with_deadlines(deadlines or _NEVER)
            altered.enter_context(patch.object(app, "bounds_here", lambda: bounds))
        if clock is not None:
            altered.enter_context(patch.object(app, "_now_ms", _wrong_by(clock, app._now_ms)))
        return uvloop.run(app.serve(load(options, {}), lambda position, head: None, _announce))


def _with_deadlines(seconds: float) -> Bounds:
    return replace(
        bounds_here(),
        head_seconds=seconds,
        next_request_seconds=seconds,
        patience_seconds=seconds,
        walk_seconds=min(seconds / 5, 1),
    )


def _wrong_by(clock: Path, now_ms: Callable[[], int]) -> Callable[[], int]:
    return lambda: now_ms() + int(clock.read_text())


def _announce(address: str) -> None:
    sys.stdout.write(f"an altered server answers at {address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
