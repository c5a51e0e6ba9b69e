"""Trains what new logs are compressed with, and says what it is worth.

    python -m bench.dictionary                what the shipped dictionary makes of entries it never saw
    python -m bench.dictionary --train        puts a new one into its place, for logs made from then on

It is trained on many small generated logs, so that no identifier of any of them is worth a place in it, and
on nothing that anybody ever said: what stands in a dictionary can never be erased. A log keeps the one that
it was made with; so a new one costs nobody anything, and there is no need for one before entries look
different from those of today.
"""

from collections.abc import Iterator
from typing import Annotated

import typer
import zstandard

from bench.workload import entries_of
from eventlog.compression import Compression
from projections.dictionary import FILE, entry_dictionary
from projections.facts import encode_entry

_DICTIONARY_BYTES = 8 * 1024
_SEEDS_TO_TRAIN = range(1_000, 1_100)
_SEEDS_TO_TRY = range(2_000, 2_010)
_EVENTS_OF_EACH = 120


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
    compression = Compression(dictionary)
    payloads = list(_payloads(_SEEDS_TO_TRY))
    before, after = sum(map(len, payloads)), sum(len(compression.compress(payload)) for payload in payloads)
    count = len(payloads)
    typer.echo(
        f"{count:,} entries of {before / count:.0f} bytes become {after / count:.0f} bytes each, "
        f"{after / before:.2f} of it, by a dictionary of {len(dictionary):,} bytes"
    )


if __name__ == "__main__":
    typer.run(main)
