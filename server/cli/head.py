"""`roomlog head`: where the log stands, in one line to be kept somewhere else."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from eventlog.envelope import NO_PREVIOUS
from eventlog.log import Log, Position
from server.cli.data_directory import DATA, Data, existing_log
from server.cli.outcome import failures_of
from server.cli.signed_head import Head, sign


def head(
    data: Data = DATA,
    key_file: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEYFILE", help="A private Ed25519 key, PEM, to sign the line with."),
    ] = None,
) -> None:
    """Print identity, position and chain of the log as one line of JSON.

    A server may be running. Kept elsewhere, the line finds out later whether the end of the log was cut
    off: roomlog check --head FILE. Signed, it proves to others that it is yours; openssl makes the key,
    and the half of it for others:

    \b
      openssl genpkey -algorithm ed25519 -out head.key
      openssl pkey -in head.key -pubout -out head.pub

    \b
    Example:
      roomlog head
      roomlog head --sign head.key > head.json
      roomlog check --head head.json --key head.pub
    """
    with failures_of("head"):
        found = asyncio.run(_head(data))
        if key_file is not None:
            found = sign(found, key_file)
        typer.echo(msgspec.json.encode(found))


async def _head(data: Path) -> Head:
    async with existing_log(data, read_only=True) as log:
        position = await log.head()
        return Head(log.identity, position, (await chain_at(log, position)).hex())


async def chain_at(log: Log, position: Position) -> bytes:
    """The chain of the entry there, which is verified; `position` is not past the head."""
    if position == 0:
        return NO_PREVIOUS
    return (await anext(log.read(after=position - 1))).chain
