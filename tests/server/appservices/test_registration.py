"""The file that an application service registers with: what is read of it, and what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.pretty import pretty_repr

from server.appservices.registration import (
    AppService,
    RegistrationError,
    load_registration,
    load_registrations,
    with_token,
)

AS_TOKEN, HS_TOKEN = "as-secret", "hs-secret"
IRC: Mapping[str, Any] = {
    "id": "irc",
    "url": "http://127.0.0.1:9999/prefix",
    "as_token": AS_TOKEN,
    "hs_token": HS_TOKEN,
    "sender_localpart": "_irc",
    "namespaces": {
        "users": [{"regex": "@_irc_.*:", "exclusive": True}, {"regex": "@guest", "exclusive": False}],
        "aliases": [{"regex": r"#irc\.", "exclusive": True, "group_id": "+unused:localhost"}],
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "irc.yaml"


def written(file: Path, **changed: Any) -> Path:
    """The file, with some of its values changed; those that are UNSET are left out."""
    values = {name: value for name, value in {**IRC, **changed}.items() if value is not msgspec.UNSET}
    file.write_bytes(msgspec.yaml.encode(values))
    return file


def irc(file: Path, **changed: Any) -> AppService:
    return load_registration(written(file, **changed))


def faults_of(*files: Path) -> list[str]:
    with pytest.raises(RegistrationError) as caught:
        load_registrations(files)
    assert not any(token in str(caught.value) for token in (AS_TOKEN, HS_TOKEN))
    return list(caught.value.faults)


def test_its_sender_is_a_user_of_this_server(file: Path) -> None:
    assert irc(file).sender("example.org") == "@_irc:example.org"


def test_what_the_server_has_no_use_for_is_ignored(file: Path) -> None:
    assert irc(file, protocols=["irc"], receive_ephemeral=True) == irc(file)


@pytest.mark.parametrize("url", [None, "https://irc.example.org"])
def test_it_may_want_to_be_told_of_nothing(file: Path, url: str | None) -> None:
    assert irc(file, url=url).url == url


def test_limits_hold_for_it_only_if_it_says_so(file: Path) -> None:
    assert not irc(file).rate_limited
    assert irc(file, rate_limited=True).rate_limited


@pytest.mark.parametrize(
    ("user_id", "is_interested", "owns"),
    [
        ("@_irc_ann:localhost", True, True),
        ("@guest7:localhost", True, False),
        ("@not_irc_ann:localhost", False, False),
        ("@_irc_ann", False, False),
        ("#_irc_ann:localhost", False, False),
    ],
)
def test_an_expression_matches_from_the_beginning(
    file: Path, user_id: str, is_interested: bool, owns: bool
) -> None:
    service = irc(file)
    assert (service.is_interested_in("users", user_id), service.owns("users", user_id)) == (
        is_interested,
        owns,
    )


def test_each_kind_has_namespaces_of_its_own(file: Path) -> None:
    service = irc(file)
    assert service.owns("aliases", "#irc.tea:localhost")
    assert not service.is_interested_in("users", "#irc.tea:localhost")
    assert not service.is_interested_in("rooms", "#irc.tea:localhost")


def test_a_service_is_known_by_its_token(file: Path) -> None:
    services = (irc(file, id="xmpp", as_token="other"), irc(file))
    assert with_token(services, AS_TOKEN) is services[1]
    assert with_token(services, HS_TOKEN) is None
    assert with_token(services, "ø") is None
    assert with_token((), AS_TOKEN) is None


def test_no_token_is_shown(file: Path) -> None:
    service = irc(file)
    shown = f"{service!r} {service} {(service,)} {pretty_repr(service, max_width=1)}"
    assert "irc" in shown
    assert AS_TOKEN not in shown
    assert HS_TOKEN not in shown


@pytest.mark.parametrize("name", ["id", "url", "as_token", "hs_token", "sender_localpart", "namespaces"])
def test_what_is_required_must_be_there(file: Path, name: str) -> None:
    assert faults_of(written(file, **{name: msgspec.UNSET})) == [
        f"{file}: Object missing required field `{name}`"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": 7},
        {"url": ""},
        {"url": "irc.example.org"},
        {"as_token": ""},
        {"as_token": 12345},
        {"as_token": f"{AS_TOKEN} with a blank"},
        {"hs_token": f"{HS_TOKEN}ø"},
        {"sender_localpart": "@_irc:localhost"},
        {"sender_localpart": ""},
        {"rate_limited": "no"},
        {"namespaces": []},
        {"namespaces": {"users": {"regex": ".*", "exclusive": True}}},
        {"namespaces": {"users": [{"regex": "["}]}},
        {"namespaces": {"users": [{"regex": "[", "exclusive": True}]}},
        {"namespaces": {"rooms": [{"regex": "*", "exclusive": False}]}},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(file: Path, changed: dict[str, Any]) -> None:
    [fault] = faults_of(written(file, **changed))
    assert fault.startswith(f"{file}: ")


@pytest.mark.parametrize(
    "text",
    [
        f"as_token: {AS_TOKEN}\nhs_token: [",
        f"as_token: {AS_TOKEN}\nhs_token: *{HS_TOKEN}",
        f"as_token: {AS_TOKEN}\nid: 2001-99-99",
        f"as_token: {AS_TOKEN}\nid: \udcff",
        f"as_token: {AS_TOKEN}\nid: !!bool {HS_TOKEN}",
        f"as_token: {AS_TOKEN}\nid: !!timestamp {HS_TOKEN}",
    ],
    ids=["unfinished", "alias", "date", "bytes", "truth value", "time"],
)
def test_what_is_no_yaml_is_not_quoted(file: Path, text: str) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert faults_of(file) == [f"{file}: is not YAML"]


def test_nesting_without_end_ends_no_process(file: Path) -> None:
    """PyYAML went on until the end of the stack, where the process died of it."""
    file.write_bytes(b"[" * 100_000)
    assert faults_of(file) == [f"{file}: it is nested more than 100 levels deep"]


def test_the_faults_of_all_files_are_told_at_once(file: Path, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.yaml", tmp_path / "empty.yaml"
    empty.touch()
    assert faults_of(missing, written(file, id="", sender_localpart="A"), empty) == [
        f"{missing}: cannot be read: No such file or directory",
        f"{file}: `id` is empty",
        f"{file}: 'A' is no name of a user, without @ and server name",
        f"{empty}: Expected `object`, got `null`",
    ]


def test_services_must_be_told_apart(file: Path, tmp_path: Path) -> None:
    again = written(tmp_path / "again.yaml")
    assert faults_of(written(file), again) == [
        f"{again}: has the same `{name}` as another application service"
        for name in ("id", "as_token", "sender_localpart")
    ]


def test_services_may_share_everything_else(file: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.yaml", id="xmpp", as_token="other", sender_localpart="_xmpp")
    assert [service.id for service in load_registrations([written(file), other])] == ["irc", "xmpp"]
