"""Help that can be trusted: every example in it is run."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.server.cli.conftest import SCRIPT, Roomlog, clean_environment
from tests.server.cli.sample import ROOM

VERBS = (
    "serve",
    "user add",
    "erase",
    "rebuild",
    "check",
    "head",
    "backup",
    "restore",
    "salvage",
    "show",
    "state",
    "export",
    "import",
    "torture",
    "version",
)
ENDLESS = re.compile(r"roomlog serve|--follow|torture --minutes")
"""Examples that run for minutes or until stopped; test_serve, test_show and test_torture run those verbs."""


def examples_in(text: str) -> list[str]:
    """Commands only: two blanks or more after one begin an explanation."""
    lines = text.split("Example:", 1)[1].split("\n\n", 1)[0].splitlines()
    return [re.split(r" {2,}", line.strip())[0] for line in lines if "roomlog" in line]


def test_roomlog_alone_prints_help(roomlog: Roomlog) -> None:
    done = roomlog()
    assert done.returncode == 0
    assert "roomlog serve" in done.stdout
    assert all(verb.split()[0] in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", ["", *VERBS])
@pytest.mark.usefixtures("exported", "head_file", "public_key_file", "backed_up")
def test_every_example_works(roomlog: Roomlog, rebuilt: Path, verb: str) -> None:
    examples = examples_in(roomlog(*verb.split(), "--help").stdout)
    assert any(f"roomlog {verb}" in example for example in examples)
    for example in (example for example in examples if not ENDLESS.search(example)):
        command = example.replace("!ROOM_ID", ROOM).replace("--at 17", "--at 7").replace("COMMAND", "show")
        environment = clean_environment(PATH=f"{SCRIPT.parent}:{clean_environment()['PATH']}")
        # The password that the interactive example asks for comes from nobody here.
        if command != "roomlog user add alice":
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=rebuilt.parent,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"


def test_a_wrong_option_is_wrong_use(roomlog: Roomlog) -> None:
    done = roomlog("show", "--aftr", "1")
    assert done.returncode == 2
    assert "--after" in done.stderr


def test_version_is_printed(roomlog: Roomlog) -> None:
    assert re.fullmatch(r"roomlog \d+\.\d+\.\d+\n", roomlog("version").stdout)


@pytest.mark.parametrize(
    "command",
    [
        "show",
        "export",
        "rebuild",
        "rebuild --verify",
        "check",
        "head",
        "backup copy",
        f"state {ROOM}",
    ],
)
def test_a_missing_log_is_not_made(roomlog: Roomlog, tmp_path: Path, command: str) -> None:
    done = roomlog(*command.split())
    assert done.returncode == 2
    verb = command.split()[0]
    assert done.stderr.startswith(f"{verb} failed: there is no log in data.\n")
    assert "roomlog serve --data data" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_environment_names_the_data_directory(roomlog: Roomlog, data: Path) -> None:
    elsewhere = data.rename(data.with_name("elsewhere"))
    assert roomlog("show", settings={"ROOMLOG_DATA": str(elsewhere)}).returncode == 0
