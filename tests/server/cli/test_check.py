"""`roomlog check`: clean logs are clean, damage is found and its place is told."""

import asyncio
import os
from hashlib import sha256
from pathlib import Path

import pytest

from eventlog.engines import open_log
from eventlog.lmdb_meta import read_meta
from eventlog.log import Position
from projections.facts import PayloadErased, encode_entry
from server.cli.check import check
from server.config import log_path, log_url
from tests.server.cli.conftest import Roomlog, append
from tests.server.cli.sample import ENTRIES


def data_file(data: Path) -> Path:
    return log_path(data) / "data.mdb"


def test_a_whole_log_is_clean(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("check", "--data", data)
    assert (done.returncode, done.stdout, done.stderr) == (0, "clean: 7 entries\n", "")


def test_a_flipped_bit_is_found(roomlog: Roomlog, data: Path) -> None:
    stored = data_file(data).read_bytes()
    assert stored.count(b'"event_id":"$hello"') == 1
    data_file(data).write_bytes(stored.replace(b'"event_id":"$hello"', b'"event_id":"$hallo"'))
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "entry 5: wrong digest" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("damaged: 1 findings in 7 entries")


def test_a_file_cut_off_is_survived(roomlog: Roomlog, data: Path) -> None:
    append(data, ENTRIES[4:5] * 2_000)
    os.truncate(data_file(data), read_meta(data_file(data)).file_bytes // 2)
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "is cut off" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_log_is_survived(roomlog: Roomlog, data: Path) -> None:
    data_file(data).write_bytes(b"no log" * 10_000)
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_other_verbs_say_where_the_damage_is(roomlog: Roomlog, data: Path) -> None:
    data_file(data).write_bytes(data_file(data).read_bytes().replace(b'"$hello"', b'"$hallo"'))
    done = roomlog("export", "--data", data)
    assert done.returncode == 1
    assert done.stderr.startswith("export failed: entry 5: wrong digest")
    assert "roomlog check" in done.stderr


# What was erased: in the sample log that is entry 5, by order of entry 8.

PRUNED, FORGED = encode_entry(ENTRIES[1][1:]), encode_entry(ENTRIES[1])


def ordered(payload: bytes, *, position: Position = 5) -> PayloadErased:
    return PayloadErased(position, (0,), sha256(payload).hexdigest())


def replace(data: Path, payload: bytes, *, position: Position = 5, ordered_by: Position = 8) -> None:
    """Put there, with a seal, as the eraser does it; or whoever has the file and knows the format."""

    async def run() -> None:
        async with open_log(log_url(data)) as log:
            await log.erase({position: payload}, ordered_by=ordered_by)

    asyncio.run(run())


def test_an_erased_entry_that_was_ordered_is_clean(roomlog: Roomlog, data: Path) -> None:
    append(data, [[ordered(PRUNED)]])
    replace(data, PRUNED)
    assert roomlog("check").stdout == "clean: 8 entries\n"


def test_an_order_that_was_not_carried_out_yet_is_clean(roomlog: Roomlog, data: Path) -> None:
    append(data, [[ordered(PRUNED)]])
    assert roomlog("check").stdout == "clean: 8 entries\n"


def test_an_entry_erased_again_goes_by_the_last_order_that_was_carried_out(
    roomlog: Roomlog, data: Path
) -> None:
    append(data, [[ordered(FORGED)], [ordered(PRUNED)], [ordered(FORGED)]])
    replace(data, FORGED, ordered_by=8)
    replace(data, PRUNED, ordered_by=9)
    assert roomlog("check").stdout == "clean: 10 entries\n"


def test_a_forged_replacement_is_found(roomlog: Roomlog, data: Path) -> None:
    append(data, [[ordered(PRUNED)]])
    replace(data, FORGED)
    done = roomlog("check")
    assert done.returncode == 1
    found, advice = done.stdout.splitlines()
    assert found == "entry 5: what stands for its erased payload is not what entry 8 ordered"
    assert advice.startswith("damaged: 1 findings in 8 entries; restore a copy")


def test_an_entry_erased_by_order_of_one_that_orders_nothing_is_found(roomlog: Roomlog, data: Path) -> None:
    replace(data, FORGED, ordered_by=7)
    done = roomlog("check")
    assert done.returncode == 1
    assert "entry 5: erased by order of entry 7, which orders no such thing\n" in done.stdout


def test_an_order_that_was_forged_itself_is_found(roomlog: Roomlog, data: Path) -> None:
    """The later of two forged entries has nobody who ordered it."""
    append(data, [ENTRIES[4], ENTRIES[4]])
    replace(data, encode_entry([ordered(FORGED)]), position=8, ordered_by=9)
    replace(data, FORGED, ordered_by=8)
    done = roomlog("check")
    assert done.returncode == 1
    assert "entry 8: erased by order of entry 9, which orders no such thing\n" in done.stdout


def test_an_order_that_is_no_entry_is_survived(roomlog: Roomlog, data: Path) -> None:
    append(data, [ENTRIES[4], [ordered(b"[", position=8)]])
    replace(data, b"[", position=8, ordered_by=9)
    replace(data, FORGED, ordered_by=8)
    done = roomlog("check")
    assert done.stdout.startswith("entry 5: erased by order of entry 8, which orders no such thing\n")


@pytest.mark.anyio
async def test_erasing_meanwhile_is_no_obstacle(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_log(log_url(data)) as log:
        checking = asyncio.create_task(asyncio.to_thread(check, data, None, None))
        while not checking.done():
            head = await log.append([encode_entry(ENTRIES[4])] * 20, after=await log.head())
            replaced = dict.fromkeys(range(head - 19, head + 1), PRUNED)
            orders = [ordered(PRUNED, position=position) for position in replaced]
            head = await log.append([encode_entry(orders)], after=head)
            await log.erase(replaced, ordered_by=head)
        await checking
    assert capsys.readouterr().out.startswith("clean: ")
