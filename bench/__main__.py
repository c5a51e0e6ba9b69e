"""The canonical workload: all four questions, at sizes that stay as they are.

Whatever is changed here makes all lines of `results.jsonl` before it incomparable, so new questions get
new figures. The options that there are change nothing about the workload but how long one looks at it.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench import append, rebuild, report, send, sync
from bench.session import Data, Json, Part, Repetitions, Seed, run
from bench.workload import SEED


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    results: Annotated[
        Path, typer.Option(dir_okay=False, help="Gets one line of JSON with everything that was measured.")
    ] = report.RESULTS,
) -> None:
    """Run the canonical workload: append, send, rebuild, sync."""
    parts: list[Part[Any]] = [
        append.part(append.Plan(seed=seed, repetitions=repetitions)),
        send.part(send.Plan(seed=seed, repetitions=repetitions)),
        rebuild.part(rebuild.Plan(seed=seed, repetitions=repetitions)),
        sync.part(sync.Plan(seed=seed, repetitions=repetitions)),
    ]
    run(parts, data=data, json=json, seed=seed, results=results)


if __name__ == "__main__":
    typer.run(main)
