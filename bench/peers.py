"""The same senders before any Matrix server: a base URL and an access token.

    python -m bench.peers --url https://matrix.example.org --token …

Makes a room of its own, unlisted and for nobody else, and sends the messages of `bench.send` into it over
so many connections, each waiting for its answer before it sends again. All are one user, because making
accounts is not the same everywhere; nothing is known of the server's CPU time, batches and flush mode, and
nothing is said of them. What the network costs is in the figures: run it beside the server.

A server that limits rates refuses, and there is no figure: switch its limits off for that user. The token
may stand in the environment instead, as BENCH_TOKEN, where other users of the machine do not see it.
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console, RenderableType

from bench import report
from bench.author import authoring
from bench.connection import Connection, Refused, request_bytes
from bench.figures import LatencySpread, Spread
from bench.load import Sender, SendMessages, Sent, put_load_on_server
from bench.processes import Failed, ended_by_signals, places
from bench.send import CONNECTIONS
from bench.sending import bodies_of, per_second
from bench.session import INTERRUPTED, Json, Repetitions, Seconds, Seed
from bench.workload import SEED

_CLIENT = "/_matrix/client/v3"
_PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    host: str
    port: int
    encrypted: bool
    to_host: str


class AtConnections(msgspec.Struct, frozen=True):
    connections: int
    per_second: Spread
    latency: LatencySpread
    generator_cpu_share: Spread


class Peer(msgspec.Struct, frozen=True):
    url: str
    at_connections: list[AtConnections]


def place_of(url: str) -> Place:
    """Raises `ValueError` for what is no base URL of a server."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{url!r} is not the base URL of a server, such as http://127.0.0.1:8008")
    port = parts.port or _PORTS[parts.scheme]
    return Place(parts.hostname, port, parts.scheme == "https", parts.netloc.rpartition("@")[2])


def measure(
    url: str, token: str, *, connections: tuple[int, ...], repetitions: int, seconds: float, seed: int
) -> Peer:
    """Raises `Failed` if the server refuses anything."""
    place = place_of(url)
    try:
        room_id = asyncio.run(_create_room(place, token))
    except (Refused, OSError) as error:
        raise Failed(f"no room could be made: {error}") from None
    with authoring(seed) as author:
        bodies = bodies_of(author)
    sent: dict[int, list[Sent]] = {number: [] for number in connections}
    for repetition in range(repetitions):
        for number, runs in sent.items():
            wanted = SendMessages(
                host=place.host,
                port=place.port,
                server_pid=None,
                log_file=None,
                senders=[Sender(token, [room_id])] * number,
                bodies=bodies,
                run=f"{room_id[1:9]}.{repetition}.{number}",
                seconds=seconds,
                warm_up_seconds=seconds / 5,
                encrypted=place.encrypted,
                to_host=place.to_host,
            )
            runs.append(put_load_on_server(wanted, Sent, cores=places().measuring))
    return Peer(url, [_at_connections(number, runs) for number, runs in sent.items()])


async def _create_room(place: Place, token: str) -> str:
    connection = await Connection.open(place.host, place.port, encrypted=place.encrypted)
    body = b'{"preset":"private_chat","name":"Benchmark"}'
    request = request_bytes("POST", f"{_CLIENT}/createRoom", token, body, host=place.to_host)
    answer = await connection.must(request)
    connection.close()
    room_id: str = msgspec.json.decode(answer.body)["room_id"]
    return room_id


def _at_connections(connections: int, runs: list[Sent]) -> AtConnections:
    return AtConnections(
        connections=connections,
        per_second=Spread.of([per_second(sent) for sent in runs]),
        latency=LatencySpread.of([sent.latencies for sent in runs]),
        generator_cpu_share=Spread.of([sent.generator_cpu_share for sent in runs]),
    )


def told(measured: Peer) -> Iterator[RenderableType]:
    figures = report.table("connections", "per second", "p50 ms", "p99 ms", "generator")
    for at in measured.at_connections:
        cells = at.per_second, at.latency.p50_ms, at.latency.p99_ms
        share = report.percent_cell(at.generator_cpu_share)
        figures.add_row(f"{at.connections} send", *map(report.cell, cells), share)
    yield f"[bold]send[/bold]: PUT …/send to {measured.url}, one user, one room"
    yield figures
    yield "generator: the load generator's share of its core"
    yield "flush mode, deduplication and length of the log: those of that server, and not known here"


def main(
    url: Annotated[str, typer.Option(help="Base URL of a Matrix server.")],
    token: Annotated[str, typer.Option(envvar="BENCH_TOKEN", help="An access token of a user of it.")],
    connections: Annotated[
        list[int],
        typer.Option(min=1, max=1024, help="May be given several times; 1, 16, 64, 256 unless set."),
    ] = list(CONNECTIONS),  # noqa: B006 - typer copies it
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 1.5,
) -> None:
    """Measure sends to any Matrix server."""
    try:
        with ended_by_signals():
            measured = measure(
                url,
                token,
                connections=tuple(connections),
                repetitions=repetitions,
                seconds=seconds,
                seed=seed,
            )
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except (Failed, ValueError) as error:
        Console(stderr=True).print(f"failed: {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if json:
        typer.echo(msgspec.json.encode(measured).decode())
        return
    console = report.console_for_results()
    for piece in told(measured):
        console.print(piece, soft_wrap=isinstance(piece, str))


if __name__ == "__main__":
    typer.run(main)
