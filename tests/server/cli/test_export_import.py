"""`roomlog export` and `roomlog import`: the same log again, or none."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from eventlog.engines import open_log
from eventlog.envelope import NO_PREVIOUS, seal
from eventlog.log import Entry
from projections.facts import PayloadErased, encode_entry
from server.cli.import_log import verified
from server.cli.ndjson import line_of
from server.cli.outcome import Refused
from server.config import log_url
from tests.server.cli.conftest import Roomlog, append, payloads_and_chains
from tests.server.cli.sample import ENTRIES


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def test_an_imported_log_is_the_same(roomlog: Roomlog, data: Path, exported: Path, restored: Path) -> None:
    done = roomlog("import", exported, "--data", restored)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imported 7 entries into {restored}\n"
    assert payloads_and_chains(restored) == payloads_and_chains(data)


def test_an_imported_log_goes_on(roomlog: Roomlog, data: Path, exported: Path, restored: Path) -> None:
    roomlog("import", exported, "--data", restored)
    append(restored, ENTRIES[4:5])
    append(data, ENTRIES[4:5])
    assert payloads_and_chains(restored) == payloads_and_chains(data)


def test_a_log_of_several_batches_is_the_same(
    roomlog: Roomlog, data: Path, tmp_path: Path, restored: Path
) -> None:
    append(data, ENTRIES[4:5] * 6_000)
    roomlog("export", tmp_path / "large.ndjson", "--data", data)
    assert roomlog("import", tmp_path / "large.ndjson", "--data", restored).returncode == 0
    assert payloads_and_chains(restored) == payloads_and_chains(data)


def test_a_line_has_all_of_an_entry(roomlog: Roomlog, data: Path, tmp_path: Path) -> None:
    assert roomlog("export", "log.ndjson", "--data", data).stdout == "exported 7 entries to log.ndjson\n"
    lines = (tmp_path / "log.ndjson").read_bytes().split(b"\n")
    assert lines.pop() == b""
    for line, (position, payload, digest, chain) in zip(lines, payloads_and_chains(data), strict=True):
        head = f'{{"position":{position},"digest":"{digest.hex()}","chain":"{chain.hex()}","facts":'
        assert line == head.encode() + payload + b"}"


def test_nobody_else_can_read_the_export(roomlog: Roomlog, data: Path, tmp_path: Path) -> None:
    roomlog("export", "log.ndjson", "--data", data)
    assert (tmp_path / "log.ndjson").stat().st_mode & 0o077 == 0


def test_stdout_gets_the_same_bytes(roomlog: Roomlog, data: Path, exported: Path) -> None:
    assert roomlog("export", "--data", data).stdout == exported.read_bytes().decode()


def test_a_pipe_can_be_imported(roomlog: Roomlog, exported: Path, restored: Path) -> None:
    text = exported.read_bytes().decode()
    assert roomlog("import", "/dev/stdin", "--data", restored, stdin=text).returncode == 0


def test_an_empty_export_makes_an_empty_log(roomlog: Roomlog, restored: Path) -> None:
    assert roomlog("import", "/dev/null", "--data", restored).returncode == 0
    assert payloads_and_chains(restored) == []


def test_a_log_with_entries_is_left_alone(roomlog: Roomlog, data: Path, exported: Path) -> None:
    before = payloads_and_chains(data)
    done = roomlog("import", exported, "--data", data)
    assert done.returncode == 2
    assert done.stderr.startswith(f"import failed: the log in {data} is not empty.\n")
    assert payloads_and_chains(data) == before


def changed_text(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4].replace(b"hello", b"hullo"), *lines[5:]]


def left_out(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], *lines[5:]]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[5], lines[4], lines[6]]


def cut_off(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4][:40]]


def blank(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], b"\n", *lines[4:]]


def wrong_chain(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4].replace(b'"chain":"', b'"chain":"0'), *lines[5:]]


def replaced(lines: list[bytes]) -> list[bytes]:
    """As after an erasure, but no entry has ordered it."""
    erased = lines[4].replace(b"hello", b"hullo").replace(b"}\n", b',"erased":{"length":1,"ordered_by":6}}\n')
    return [*lines[:4], erased, *lines[5:]]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (changed_text, "its digest is not that of its facts"),
        (left_out, "it has position 6; positions begin at 1 and have no gaps"),
        (swapped, "it has position 6; positions begin at 1 and have no gaps"),
        (cut_off, ""),
        (blank, ""),
        (wrong_chain, "its chain does not continue the line before it"),
        (replaced, "its chain does not continue the line before it"),
    ],
)
def test_a_bad_line_is_named(
    exported: Path, damage: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    with pytest.raises(Refused, match=f"^line 5 cannot be taken: {reason}"):
        list(verified(damage(exported.read_bytes().splitlines(keepends=True))))


@pytest.fixture
def erased(roomlog: Roomlog, data: Path) -> Path:
    """An export of the sample log, the payload of whose fifth entry was erased by order of an eighth one."""
    replacement = encode_entry(ENTRIES[1][1:])
    append(data, [[PayloadErased(5, (0,), sha256(replacement).hexdigest())]])

    async def erase() -> None:
        async with open_log(log_url(data)) as log:
            await log.erase({5: replacement}, ordered_by=8)

    asyncio.run(erase())
    roomlog("export", "erased.ndjson", "--data", data)
    return data.parent / "erased.ndjson"


def test_an_erased_log_is_imported_the_same(
    roomlog: Roomlog, data: Path, erased: Path, restored: Path
) -> None:
    assert roomlog("import", erased, "--data", restored).returncode == 0
    assert payloads_and_chains(restored) == payloads_and_chains(data)
    assert roomlog("check", "--data", restored).stdout == "clean: 8 entries\n"
    assert roomlog("show", "--data", restored).stdout.splitlines()[4].endswith("; erased_by=8")


def test_a_forged_replacement_is_refused(erased: Path) -> None:
    lines = erased.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"PHONE", b"PHONY")
    with pytest.raises(
        Refused,
        match=r"^line 5 cannot be taken: .*what stands for its erased payload is not what entry 8 ordered",
    ):
        list(verified(lines))


def test_a_replacement_that_nobody_ordered_is_refused(erased: Path) -> None:
    lines = erased.read_bytes().splitlines(keepends=True)
    with pytest.raises(
        Refused, match=r"^line 5 cannot be taken: .*by order of entry 8, which cannot be found"
    ):
        list(verified(lines[:7]))


def test_facts_of_another_kind_are_refused() -> None:
    """The line is sound, but what it says would stop the server that tries to fold it."""
    with pytest.raises(Refused, match=r"^line 1 cannot be taken: .*unheard_of"):
        list(verified([first_line(b'[{"fact":"unheard_of"}]')]))


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("event", [b"1", b"{}", b'{"type":1}', DEEP], ids=["number", "empty", "type", "deep"])
def test_events_that_are_none_are_refused(event: bytes) -> None:
    """A fact keeps its event as bytes, into which nobody looked before a fold had to."""
    payload = b'[{"fact":"room_event","event_id":"$1","event":' + event + b"}]"
    with pytest.raises(Refused, match=r"^line 1 cannot be taken: "):
        list(verified([first_line(payload)]))


def test_a_bad_line_leaves_an_empty_log(roomlog: Roomlog, exported: Path, restored: Path) -> None:
    exported.write_bytes(b"".join(changed_text(exported.read_bytes().splitlines(keepends=True))))
    done = roomlog("import", exported, "--data", restored)
    assert done.returncode == 1
    assert done.stderr.startswith("import failed: line 5 cannot be taken: ")
    assert payloads_and_chains(restored) == []
    assert [path.name for path in restored.iterdir()] == ["log"]


def first_line(payload: bytes) -> bytes:
    """What `export` would write of a log that begins with this payload."""
    return line_of(Entry(1, payload, sha256(payload).digest(), seal(1, payload, NO_PREVIOUS)[1]))


def test_a_killed_import_can_be_repeated(roomlog: Roomlog, exported: Path, restored: Path) -> None:
    (restored / "import" / "log").mkdir(parents=True)
    (restored / "import" / "log" / "data.mdb").write_bytes(b"half of it")
    assert roomlog("import", exported, "--data", restored).returncode == 0


def test_a_file_that_is_not_there_is_refused(roomlog: Roomlog, restored: Path) -> None:
    done = roomlog("import", "nowhere.ndjson", "--data", restored)
    assert done.returncode == 2
    assert done.stderr.startswith("import failed: ")
    assert "nowhere.ndjson" in done.stderr
