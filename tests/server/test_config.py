"""Where a setting comes from, which source decides, and how wrong ones are refused."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from server.config import Config, ConfigError, load
from server.rate_limits import Limit, Limits


def faults_of(
    command_line: Mapping[str, str | Sequence[str] | None],
    environment: dict[str, str],
    file: Path | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(command_line, environment, file)
    return caught.value.faults


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "roomlog.toml"


def test_no_source_gives_the_defaults() -> None:
    assert load({}, {}) == Config(
        host="127.0.0.1",
        port=8008,
        metrics_host="127.0.0.1",
        metrics_port=None,
        data=Path("data"),
        server_name="localhost",
        registration="open",
        rate_limits="on",
        query_tokens="on",
    )


def test_every_setting_is_read_from_the_environment() -> None:
    environment = {
        "ROOMLOG_HOST": "::1",
        "ROOMLOG_PORT": "0",
        "ROOMLOG_METRICS_HOST": "::",
        "ROOMLOG_METRICS_PORT": "9464",
        "ROOMLOG_DATA": "/srv/roomlog",
        "ROOMLOG_SERVER_NAME": "example.org:8448",
        "ROOMLOG_REGISTRATION": "closed",
        "ROOMLOG_RATE_LIMITS": "off",
        "ROOMLOG_QUERY_TOKENS": "off",
        "HOME": "/root",
    }
    assert load({}, environment) == Config(
        host="::1",
        port=0,
        metrics_host="::",
        metrics_port=9464,
        data=Path("/srv/roomlog"),
        server_name="example.org:8448",
        registration="closed",
        rate_limits="off",
        query_tokens="off",
    )


def test_the_file_overrides_the_default(file: Path) -> None:
    file.write_text('port = 9000\nserver_name = "example.org"\n')
    assert load({}, {}, file) == Config(port=9000, server_name="example.org")


def test_the_environment_overrides_the_file(file: Path) -> None:
    file.write_text("port = 9000")
    assert load({}, {"ROOMLOG_PORT": "9001"}, file).port == 9001


def test_the_command_line_overrides_the_environment() -> None:
    assert load({"port": "9002"}, {"ROOMLOG_PORT": "9001"}).port == 9002


def test_an_option_not_given_decides_nothing() -> None:
    assert load({"port": None}, {"ROOMLOG_PORT": "9001"}).port == 9001


def test_the_environment_can_name_the_file(file: Path) -> None:
    file.write_text("port = 9000")
    assert load({}, {"ROOMLOG_CONFIG": str(file)}).port == 9000


def test_the_command_line_names_the_file_first(file: Path) -> None:
    file.write_text("port = 9000")
    assert load({}, {"ROOMLOG_CONFIG": "/nowhere.toml"}, file).port == 9000


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_registration_is_open_on_loopback(host: str) -> None:
    assert load({"host": host}, {}).registration == "open"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chat.example.org"])
def test_registration_is_closed_elsewhere(host: str) -> None:
    assert load({"host": host}, {}).registration == "closed"


def test_registration_can_be_opened_anywhere() -> None:
    assert load({"host": "0.0.0.0", "registration": "open"}, {}).registration == "open"


def test_all_faults_are_reported_at_once(file: Path) -> None:
    file.write_text('rate_limits = "sometimes"\nprot = 1\nquery_tokens = true\n')
    faults = faults_of({"port": "65536"}, {"ROOMLOG_REGISTRATION": "ajar", "ROOMLOG_PROT": "1"}, file)
    assert sorted(faults) == sorted(
        [
            "--port on the command line: '65536' is no port; a port is a number from 0 to 65535",
            "ROOMLOG_REGISTRATION in the environment: 'ajar' must be open or closed",
            "ROOMLOG_PROT in the environment: no such setting; did you mean ROOMLOG_PORT?",
            f"`rate_limits` in {file}: 'sometimes' must be on or off",
            f"`prot` in {file}: there is no such setting; did you mean port?",
            f"`query_tokens` in {file}: must be text in quotes, or a number",
        ]
    )


def test_an_unknown_key_like_no_other_lists_them_all(file: Path) -> None:
    file.write_text("quux = 1")
    [fault] = faults_of({}, {}, file)
    assert fault.endswith(
        "there are host, port, metrics_host, metrics_port, data, server_name, registration, rate_limits, "
        "default_room_version, redaction_retention, query_tokens, appservices, rate_limit"
    )


def test_an_overridden_wrong_value_is_refused() -> None:
    assert len(faults_of({"port": "8008"}, {"ROOMLOG_PORT": "http"})) == 1


@pytest.mark.parametrize("port", ["", "-1", "80.5", "٣", "65536", "999999", " 80"])
def test_what_is_no_port_is_refused(port: str) -> None:
    assert len(faults_of({"port": port}, {})) == 1


@pytest.mark.parametrize("name", ["", "exa mple.org", "example.org:port", "@user:example.org"])
def test_what_is_no_server_name_is_refused(name: str) -> None:
    assert len(faults_of({"server_name": name}, {})) == 1


@pytest.mark.parametrize("host", ["", "127.0.0.1 ", "::1\0", "a b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    assert len(faults_of({"host": host}, {})) == 1


def test_a_file_that_is_not_there_is_a_fault() -> None:
    assert faults_of({}, {}, Path("/nowhere.toml")) == [
        "/nowhere.toml: cannot be read: No such file or directory"
    ]


def test_what_no_path_can_be_is_refused() -> None:
    assert faults_of({"data": "data\0"}, {}) == ["--data on the command line: 'data\\x00' is no path"]


@pytest.mark.parametrize(
    "text", [b"port =", b"\xff\xfe", b"port = " + b"[" * 100_000], ids=["value", "bytes", "deep"]
)
def test_a_file_that_is_no_toml_is_a_fault(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    [fault] = faults_of({}, {}, file)
    assert fault.startswith(f"{file}: is not TOML: ")


def test_limits_stand_in_tables_of_the_file(file: Path) -> None:
    file.write_text('[rate_limit.send]\nburst = 7\n[rate_limit.users."@bot:localhost"]\nunlimited = true\n')
    limits = load({}, {}, file).rate_limit
    assert limits.send == Limit(Limits().send.per_second, 7)
    assert limits.of("send", "@bot:localhost") is None
    assert limits.of("send", "@other:localhost") == limits.send


def test_faults_of_limits_are_reported_with_all_others(file: Path) -> None:
    file.write_text("port = true\n[rate_limit.send]\nburst = 0\n[rate_limit.sned]\n")
    assert faults_of({}, {}, file) == [
        f"`port` in {file}: must be text in quotes, or a number",
        f"`rate_limit` in {file}: send.burst must be a whole number from 1 to 1000000",
        f"`rate_limit` in {file}: sned: there is no such limit; did you mean send?",
    ]


def test_limits_that_are_no_table_are_refused(file: Path) -> None:
    file.write_text('rate_limit = "generous"')
    assert faults_of({}, {}, file) == [f"`rate_limit` in {file}: must be a table"]


def test_limits_have_no_form_in_the_environment() -> None:
    [fault] = faults_of({}, {"ROOMLOG_RATE_LIMIT": "{}"})
    assert fault.endswith("no such setting; did you mean ROOMLOG_RATE_LIMITS?")


def registration(directory: Path, name: str) -> str:
    """The file of an application service."""
    path = directory / f"{name}.yaml"
    tokens = f"as_token: as-secret-{name}\nhs_token: hs-secret-{name}\n"
    path.write_text(f"id: {name}\nurl: null\n{tokens}sender_localpart: {name}\nnamespaces: {{}}\n")
    return str(path)


def ids(config: Config) -> list[str]:
    return [service.id for service in config.appservices]


def test_application_services_are_read_from_any_source(file: Path, tmp_path: Path) -> None:
    irc, xmpp = registration(tmp_path, "irc"), registration(tmp_path, "xmpp")
    file.write_text(f"appservices = [{irc!r}, {xmpp!r}]")
    assert ids(load({"appservices": [irc, xmpp]}, {})) == ["irc", "xmpp"]
    assert ids(load({}, {"ROOMLOG_APPSERVICES": os.pathsep.join([irc, xmpp])})) == ["irc", "xmpp"]
    assert ids(load({}, {}, file)) == ["irc", "xmpp"]
    assert ids(load({"appservices": [xmpp]}, {"ROOMLOG_APPSERVICES": irc}, file)) == ["xmpp"]
    assert ids(load({}, {"ROOMLOG_APPSERVICES": ""}, file)) == []


def test_no_token_of_a_service_is_shown(tmp_path: Path) -> None:
    config = load({"appservices": [registration(tmp_path, "irc")]}, {})
    assert "secret" not in f"{config!r} {config}"


def test_faults_of_services_are_reported_with_all_others(file: Path, tmp_path: Path) -> None:
    irc = registration(tmp_path, "irc")
    file.write_text('appservices = "irc.yaml"')
    faults = faults_of({"port": "http", "appservices": [irc, irc]}, {"ROOMLOG_APPSERVICES": "/nowhere"}, file)
    assert faults == [
        f"`appservices` in {file}: must be a list of texts in quotes",
        "ROOMLOG_APPSERVICES in the environment: /nowhere: cannot be read: No such file or directory",
        "--port on the command line: 'http' is no port; a port is a number from 0 to 65535",
        *(
            f"--appservice on the command line: {irc}: has the same `{name}` as another application service"
            for name in ("id", "as_token", "sender_localpart")
        ),
    ]


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("0s", 0), ("90m", 5_400_000), ("12h", 43_200_000), ("7d", 604_800_000)]
)
def test_a_retention_is_a_length_of_time(text: str, milliseconds: int) -> None:
    assert load({"redaction_retention": text}, {}).redaction_retention == milliseconds
    assert load({}, {"ROOMLOG_REDACTION_RETENTION": text}).redaction_retention == milliseconds


def test_what_was_redacted_is_kept_for_seven_days_unless_set() -> None:
    assert load({}, {}).redaction_retention == 7 * 24 * 60 * 60 * 1000


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1w", "1.5h", "9999999d", "7 d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    [fault] = faults_of({"redaction_retention": text}, {})
    assert "is no length of time; one looks like 90s, 30m, 12h or 7d" in fault
