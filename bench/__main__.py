"""The canonical workload: all questions, at sizes that stay as they are.

Whatever is changed here makes all lines of `results.jsonl` before it incomparable, so new questions get
new figures. The options that there are change nothing about the workload but how long one looks at it,
and how much is in the log already: 10,000 events and 100,000, which takes six minutes, or with `--full`
1,000,000, which takes a quarter of an hour and some 10 GB of disk for as long as it lasts.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench import append, growth, idle, rebuild, report, send, sync
from bench.session import Data, Json, Part, Repetitions, Seed, run
from bench.workload import SEED

_MANY = 1_000_000


def parts(seed: int, repetitions: int, *, full: bool) -> list[Part[Any]]:
    before = _MANY if full else 10_000
    return [
        append.part(append.Plan(seed=seed, repetitions=repetitions)),
        send.part(send.Plan(seed=seed, repetitions=repetitions, events_before=before)),
        rebuild.part(
            rebuild.Plan(
                seed=seed, repetitions=repetitions, events=(100_000, _MANY) if full else rebuild.EVENTS
            )
        ),
        sync.part(sync.Plan(seed=seed, repetitions=repetitions, events_before=before)),
        growth.part(
            growth.Plan(
                seed=seed, repetitions=repetitions, events=(10_000, 100_000, _MANY) if full else growth.EVENTS
            )
        ),
        idle.part(idle.Plan(seed=seed, repetitions=repetitions, events_before=before)),
    ]


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    full: Annotated[bool, typer.Option("--full", help="With 1,000,000 events in the log.")] = False,
    results: Annotated[
        Path, typer.Option(dir_okay=False, help="Gets one line of JSON with everything that was measured.")
    ] = report.RESULTS,
) -> None:
    """Run the canonical workload: append, send, rebuild, sync, growth, idle."""
    run(parts(seed, repetitions, full=full), data=data, json=json, seed=seed, results=results)


if __name__ == "__main__":
    typer.run(main)
