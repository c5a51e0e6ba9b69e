"""What stands in a file: entries of the log, an export, a backup, a head, a registration, a configuration."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from eventlog.envelope import ERASED, HEADER, NO_PREVIOUS, VERSION, erase, seal, unseal
from eventlog.errors import Damaged, LogError
from eventlog.lmdb_file import DATA_FILE, LmdbTables
from eventlog.lmdb_log import LmdbLog
from eventlog.log import Entry, Erased
from eventlog.torn_copy import refuse_if_torn
from projections.facts import AliasSet, Fact, ProfileChanged, decode_entry, encode_entry
from server.appservices.registration import AppService, RegistrationError, load_registration
from server.cli.import_log import verified
from server.cli.ndjson import line_of
from server.cli.outcome import Refused
from server.cli.signed_head import Head, read_head
from server.config import Config, ConfigError, load
from tests.fuzzing.target import DEEP, Target, json_like, mangled
from tests.projections.folding import room_event
from tests.server.appservices.test_registration import AS_TOKEN, HS_TOKEN, IRC

PAYLOADS = (
    encode_entry([AliasSet("#a:localhost", "!a:localhost", "@alice:localhost")]),
    encode_entry([room_event("$1", content={"body": "é"}), room_event("$2", "m.room.topic", {}, "")]),
    encode_entry([ProfileChanged("@a:b", "displayname", 1, msgspec.Raw(b'"A"'))]),
)

WRITTEN = (*PAYLOADS, b"x" * 9_000)
"""Into a backup; the last one is kept on pages of its own."""
SEALED = [seal(1, payload, NO_PREVIOUS)[0] for payload in (*PAYLOADS, b"")]


def means_the_same_written_again(_: bytes, facts: Sequence[Fact]) -> bool:
    return not facts or decode_entry(encode_entry(facts)) == facts


def entry(data: bytes) -> Entry:
    return unseal(data, 1, NO_PREVIOUS)


def is_damage(error: Exception) -> bool:
    return isinstance(error, Damaged) and error.position == 1


def was_sealed(data: bytes, found: Entry) -> bool:
    """By nothing but these bytes."""
    return seal(1, found.erased or found.payload, NO_PREVIOUS) == (data, found.chain)


def imported(text: bytes) -> list[bytes | Erased]:
    return list(verified(text.splitlines(keepends=True)))


def exported(payloads: Sequence[bytes]) -> bytes:
    lines, previous = [], NO_PREVIOUS
    for position, payload in enumerate(payloads, 1):
        data, chain = seal(position, payload, previous)
        lines.append(line_of(unseal(data, position, previous)))
        previous = chain
    return b"".join(lines)


def is_what_would_be_exported(_: bytes, payloads: list[bytes]) -> bool:
    return imported(exported(payloads)) == payloads


@contextmanager
def file_with(text: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(text)
        yield path


def registration(text: bytes) -> AppService:
    with file_with(text) as path:
        return load_registration(path)


def bytes_of_a_backup() -> bytes:
    """A backup is the data file of a log."""

    async def fill(path: Path) -> None:
        log = await LmdbLog.open(path, free_bytes_min=0)
        for head, payload in enumerate(WRITTEN):
            await log.append([payload], after=head)
        await log.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(fill(Path(directory)))
        return (Path(directory) / DATA_FILE).read_bytes()


class Copied(NamedTuple):
    """How a copy of a backup's file differs from it; the file itself is too long to be shown for an input."""

    length: int
    overwritten: Sequence[tuple[int, bytes]]

    @property
    def data(self) -> bytes:
        changed = bytearray(BACKUP[: self.length])
        for at, piece in self.overwritten:
            changed[at : at + len(piece)] = piece
        return bytes(changed)


def log_in(copied: Copied) -> list[Entry]:
    """As it is opened by who does not know where the file comes from."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / DATA_FILE).write_bytes(copied.data)
        refuse_if_torn(Path(directory))
        with closing(LmdbTables(Path(directory), read_only=True)) as tables:
            return [unseal(stored, position, None) for position, stored in tables.stored(0, 1 << 32)]


def has_its_entries(_: Copied, entries: list[Entry]) -> bool:
    return [entry.payload for entry in entries] == list(WRITTEN)[: len(entries)]


def head(text: bytes) -> Head:
    with file_with(text) as path:
        return read_head(path)


def is_the_same_line_again(_: bytes, found: Head) -> bool:
    return head(msgspec.json.encode(found)) == found


def is_refused(error: Exception) -> bool:
    return isinstance(error, Refused)


def keeps_tokens_secret(error: Exception) -> bool:
    said = str(error)
    return isinstance(error, RegistrationError) and AS_TOKEN not in said and HS_TOKEN not in said


def can_be_asked(_: bytes, service: AppService) -> bool:
    return service.is_interested_in("users", "@_irc_a:localhost") in (True, False)


def configuration(text: bytes) -> Config:
    with file_with(text) as path:
        return load({}, {}, path)


def can_be_served_with(_: bytes, config: Config) -> bool:
    return 0 <= config.port < 1 << 16 and "\0" not in f"{config.host}{config.data}{config.server_name}"


_HEADERS = st.builds(
    HEADER.pack,
    st.sampled_from([VERSION, 0, 2, 255]),
    st.sampled_from([0, ERASED, 2, 255]),
    st.sampled_from([0, 1]),
    st.sampled_from([0, 1, 5, 2**32 - 1]),
    st.sampled_from([1, 0, 2, 2**64 - 1]),
    st.binary(min_size=32, max_size=32),
    st.sampled_from([NO_PREVIOUS, b"x" * 32]),
)
_YAML = (
    *(
        b"!!bool x",
        b"!!int ''",
        b"!!float ''",
        b"!!timestamp x",
        b"!!binary x",
        b"&a [*a]",
        b"id: 2001-99-99",
    ),
    *(b"[" * DEEP, b"- " * DEEP, b"? [a]\n: b", b"\xff", b"id: '\0'", b"--- a\n--- b", b"%YAML 99.9\n---\na"),
)
BACKUP = bytes_of_a_backup()
_TOML = (
    b'port = 8008\nhost = "::1"\n[rate_limit.send]\nper_second = 1.5\nburst = 10\n',
    b'server_name = "example.org"\ndata = "data"\n[rate_limit.users."@a:b"]\nunlimited = true\n',
    *(b"a = " + b"[" * DEEP, b'host = "\\u0000"', b'data = "\\u0000"', b'appservices = ["\\u0000"]'),
    *(b"[rate_limit.send]\nper_second = nan\nburst = inf", b"port = 2000-01-01", b"port = 1e9"),
)

TARGETS = {
    "payload of an entry": Target(
        mangled(st.sampled_from(PAYLOADS)) | json_like([{"fact": "alias_removed", "alias": "#a:b", "x": 1}]),
        decode_entry,
        lambda error: isinstance(error, msgspec.DecodeError),
        means_the_same_written_again,
    ),
    "entry of the log": Target(
        mangled(st.sampled_from([*SEALED, *(erase(one, b"[]", 2) for one in SEALED)]))
        | st.builds(lambda header, rest: header + rest, _HEADERS, st.binary(max_size=5))
        | st.binary(max_size=200),
        entry,
        is_damage,
        was_sealed,
    ),
    "lines of an export": Target(
        mangled(st.sampled_from([exported(PAYLOADS), exported(PAYLOADS[:1])])) | json_like(),
        imported,
        lambda error: isinstance(error, Refused) and str(error).startswith("line "),
        is_what_would_be_exported,
    ),
    "file of a backup": Target(
        st.builds(
            Copied,
            st.just(len(BACKUP)) | st.integers(0, len(BACKUP)),
            st.lists(st.tuples(st.integers(0, len(BACKUP)), st.binary(min_size=1, max_size=8)), max_size=4),
        ),
        log_in,
        lambda error: isinstance(error, LogError),
        has_its_entries,
    ),
    "head of a log": Target(
        json_like({"identity": "0" * 32, "position": 7, "chain": "0" * 64, "signature": "AA=="}),
        head,
        is_refused,
        is_the_same_line_again,
    ),
    "registration of a service": Target(
        mangled(st.just(msgspec.yaml.encode(dict(IRC)))) | st.sampled_from(_YAML) | json_like(dict(IRC)),
        registration,
        keeps_tokens_secret,
        can_be_asked,
    ),
    "configuration": Target(
        mangled(st.sampled_from(_TOML)) | st.binary(max_size=20),
        configuration,
        lambda error: isinstance(error, ConfigError) and len(error.faults) > 0,
        can_be_served_with,
    ),
}
