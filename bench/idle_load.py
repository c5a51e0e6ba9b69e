"""Who holds long polls and hears nothing: opens them all, says so in a line, and keeps them until stdin ends.

A process of its own, so that thousands of open connections are not in the way of who measures. Whoever is
answered before the end was not idle, and nothing that was measured meanwhile means anything.
"""

import asyncio
import sys

import msgspec
import uvloop

from bench.connection import Answer, Connection, Refused, accepted, request_bytes
from bench.sync_load import CLIENT

_WAIT_MS = 120_000
_AT_ONCE = 100
_SOURCES = 100
"""Addresses of 127/8 to come from, so that no two of many runs meet in a port that is still closing."""


class HoldPolls(msgspec.Struct, frozen=True):
    host: str
    port: int
    tokens: list[str]
    """One for each poll, none of whose users has any news."""


class Held(msgspec.Struct, frozen=True):
    polls: int


async def hold(plan: HoldPolls) -> None:
    """Raises `Refused` if one of them is answered."""
    first = await Connection.open(plan.host, plan.port)
    answer = await first.must(request_bytes("GET", f"{CLIENT}/sync?timeout=0", plan.tokens[0]))
    since = msgspec.json.decode(answer.body)["next_batch"]  # names a place in the log, for everybody
    path = f"{CLIENT}/sync?since={since}&timeout={_WAIT_MS}"
    polls: list[asyncio.Future[Answer]] = []
    connections: list[Connection] = []
    for start in range(0, len(plan.tokens), _AT_ONCE):
        tokens = plan.tokens[start : start + _AT_ONCE]
        opened = await asyncio.gather(
            *(
                Connection.open(plan.host, plan.port, source=f"127.0.0.{2 + (start + number) % _SOURCES}")
                for number in range(len(tokens))
            )
        )
        connections += opened
        polls += (
            connection.request(request_bytes("GET", path, token))
            for connection, token in zip(opened, tokens, strict=True)
        )
        # With the answer to this, the server has taken up those before it.
        await first.must(request_bytes("GET", "/_matrix/client/versions", ""))
    sys.stdout.buffer.write(msgspec.json.encode(Held(len(polls))) + b"\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    for poll in polls:
        if poll.done():
            raise Refused(f"somebody was answered who had no news: {accepted(poll.result()).body!r}")
    for connection in connections:
        connection.close()
    first.close()


if __name__ == "__main__":
    try:
        uvloop.run(hold(msgspec.json.decode(sys.stdin.buffer.readline(), type=HoldPolls)))
    except (Refused, OSError) as refusal:
        sys.exit(f"the idle clients gave up: {refusal}")
