"""What stands in a file: entries of the log, lines of an export, a registration, a configuration."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from eventlog.envelope import ERASED, HEADER, NO_PREVIOUS, VERSION, erase, seal, unseal
from eventlog.errors import Damaged
from eventlog.log import Entry, Erased
from projections.facts import AliasSet, Fact, ProfileChanged, decode_entry, encode_entry
from server.appservices.registration import AppService, RegistrationError, load_registration
from server.cli.import_log import verified
from server.cli.ndjson import line_of
from server.cli.outcome import Refused
from server.config import Config, ConfigError, load
from tests.fuzzing.target import DEEP, Target, json_like, mangled
from tests.projections.folding import room_event
from tests.server.appservices.test_registration import AS_TOKEN, HS_TOKEN, IRC

PAYLOADS = (
    encode_entry([AliasSet("#a:localhost", "!a:localhost", "@alice:localhost")]),
    encode_entry([room_event("$1", content={"body": "é"}), room_event("$2", "m.room.topic", {}, "")]),
    encode_entry([ProfileChanged("@a:b", "displayname", 1, msgspec.Raw(b'"A"'))]),
)

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
