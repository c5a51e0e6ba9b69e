"""The installed console script as a function, and a data directory with a small log in it."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from eventlog.engines import open_log
from eventlog.extraction import Extraction
from eventlog.log import Entry
from projections import follower
from projections.facts import Fact, encode_entry
from projections.follower import open_views
from server.cli.ndjson import line_of
from server.cli.signed_head import Head, sign
from server.config import log_path, log_url, views_path
from tests.server.cli.sample import ENTRIES

SCRIPT = Path(sys.executable).with_name("roomlog")
_TIMEOUT_SECONDS = 60


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of roomlog that the person at the keyboard has made."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("ROOMLOG_")}
    # As wide as anybody likes: help must not depend on the terminal that the tests run in.
    return inherited | {"COLUMNS": "110"} | settings


class Roomlog(Protocol):
    def __call__(
        self, *arguments: str | Path, stdin: str = "", settings: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def roomlog(tmp_path: Path) -> Roomlog:
    """Runs the command line to its end, in a directory of its own."""

    def run(
        *arguments: str | Path, stdin: str = "", settings: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *arguments],
            cwd=tmp_path,
            env=clean_environment(**settings or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )

    return run


def append(data: Path, entries: Sequence[Sequence[Fact]]) -> None:
    async def run() -> None:
        async with open_log(log_url(data)) as log:
            payloads = [encode_entry(facts) for facts in entries]
            await log.append(payloads, after=await log.head())

    asyncio.run(run())


def payloads_and_chains(data: Path) -> list[tuple[int, bytes, bytes, bytes]]:
    """Everything that a log has to say for itself, but for its identity."""

    async def run() -> list[tuple[int, bytes, bytes, bytes]]:
        async with open_log(log_url(data), read_only=True) as log:
            return [(e.position, e.payload, e.digest, e.chain) async for e in log.read()]

    return asyncio.run(run())


def _rebuild(data: Path) -> None:
    """What `roomlog rebuild` does, without a process of its own."""

    async def run() -> None:
        async with open_log(log_url(data)) as log:
            views = open_views(views_path(data), log)
            await follower.rebuild(log, views)
            views.close()

    asyncio.run(run())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The default data directory of `roomlog`'s working directory, with the sample log, without views."""
    directory = tmp_path / "data"
    append(directory, ENTRIES)
    return directory


@pytest.fixture
def rebuilt(data: Path) -> Path:
    """The data directory with views of the whole log."""
    _rebuild(data)
    return data


@pytest.fixture
def exported(data: Path, tmp_path: Path) -> Path:
    """What `roomlog export` writes of the sample log; test_export_import.py compares."""
    file = tmp_path / "backup.ndjson"
    file.write_bytes(b"".join(line_of(Entry(*entry)) for entry in payloads_and_chains(data)))
    return file


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """An Ed25519 key, as openssl makes them."""
    file = tmp_path / "head.key"
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@pytest.fixture
def public_key_file(key_file: Path) -> Path:
    """The half of it for others."""
    file = key_file.with_name("head.pub")
    key = load_pem_private_key(key_file.read_bytes(), password=None).public_key()
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


@pytest.fixture
def head_file(data: Path, key_file: Path) -> Path:
    """The head of the sample log, signed; test_head.py makes its own."""
    position, _, _, chain = payloads_and_chains(data)[-1]
    head = Head(Extraction(log_path(data)).identity, position, chain.hex())
    file = key_file.with_name("head.json")
    file.write_bytes(msgspec.json.encode(sign(head, key_file)))
    return file


@pytest.fixture
def backed_up(data: Path) -> Path:
    """What `roomlog backup` writes of the sample log; test_backup.py compares."""
    return shutil.copytree(log_path(data), log_path(data.with_name("copy")))
