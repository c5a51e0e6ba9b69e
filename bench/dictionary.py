"""Trains what new logs are compressed with, and says what it is worth.

    python -m bench.dictionary                what the shipped dictionary makes of entries it never saw
    python -m bench.dictionary --train        puts a new one into its place, for logs made from then on

It is trained on many small generated logs, so that no identifier of any of them is worth a place in it, and
on nothing that anybody ever said: what stands in a dictionary can never be erased. A log keeps the one that
it was made with; so a new one costs nobody anything, and there is no need for one before entries look
different from those of today.
"""

from collections.abc import Callable, Iterator
from time import process_time
from typing import Annotated

import typer
import zstandard

from bench.workload import entries_of
from eventlog.compression import LEVEL, Compression
from projections.dictionary import FILE, entry_dictionary
from projections.facts import encode_entry

_DICTIONARY_BYTES = 8 * 1024
_SEEDS_TO_TRAIN = range(1_000, 1_100)
_SEEDS_TO_TRY = range(2_000, 2_010)
_EVENTS_OF_EACH = 120
_LEVELS_TO_TRY = (-7, LEVEL, 1, 3)
_REPETITIONS = 7


def _payloads(seeds: range) -> Iterator[bytes]:
    for seed in seeds:
        yield from map(encode_entry, entries_of(seed, _EVENTS_OF_EACH))


def train() -> bytes:
    """The same bytes for the same version of zstandard."""
    return zstandard.train_dictionary(_DICTIONARY_BYTES, list(_payloads(_SEEDS_TO_TRAIN)), level=1).as_bytes()


def main(
    train_anew: Annotated[bool, typer.Option("--train", help="Replace the shipped dictionary.")] = False,
) -> None:
    """Say what the dictionary for new logs is worth; with --train, make it first."""
    if train_anew:
        FILE.write_bytes(train())
    dictionary = entry_dictionary()
    payloads = list(_payloads(_SEEDS_TO_TRY))
    length = sum(map(len, payloads)) / len(payloads)
    typer.echo(f"{len(payloads):,} entries of {length:.0f} bytes, a dictionary of {len(dictionary):,} bytes")
    for level in _LEVELS_TO_TRY:
        typer.echo(_tried(Compression(dictionary, level), level, payloads))


def _tried(compression: Compression, level: int, payloads: list[bytes]) -> str:
    compressed = [compression.compress(payload) for payload in payloads]
    lengths = list(map(len, payloads))

    def compress() -> None:
        for payload in payloads:
            compression.compress(payload)

    def decompress() -> None:
        for data, length in zip(compressed, lengths, strict=True):
            compression.decompress(data, length)

    bytes_left = sum(map(len, compressed)) / len(compressed)
    mark = "  as logs are made" if level == LEVEL else ""
    to_compress, to_decompress = (_least_us(work) / len(payloads) for work in (compress, decompress))
    return f"level {level:2}  {bytes_left:3.0f} bytes  {to_compress:.1f} µs  {to_decompress:.1f} µs{mark}"


def _least_us(work: Callable[[], None]) -> float:
    """Of several times: what else the machine does takes time from some of them."""
    taken: list[float] = []
    for _ in range(_REPETITIONS):
        started = process_time()
        work()
        taken.append(process_time() - started)
    return min(taken) * 1e6


if __name__ == "__main__":
    typer.run(main)
