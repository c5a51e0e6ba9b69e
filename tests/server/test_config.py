"""Where a setting comes from, which source decides, and how wrong ones are refused."""

from pathlib import Path

import pytest

from server.config import Config, ConfigError, load


def faults_of(
    command_line: dict[str, str | None], environment: dict[str, str], file: Path | None = None
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
        "there are host, port, data, server_name, registration, rate_limits, "
        "default_room_version, query_tokens"
    )


def test_an_overridden_wrong_value_is_refused() -> None:
    assert len(faults_of({"port": "8008"}, {"ROOMLOG_PORT": "http"})) == 1


@pytest.mark.parametrize("port", ["", "-1", "80.5", "٣", "65536", "999999", " 80"])
def test_what_is_no_port_is_refused(port: str) -> None:
    assert len(faults_of({"port": port}, {})) == 1


@pytest.mark.parametrize("name", ["", "exa mple.org", "example.org:port", "@user:example.org"])
def test_what_is_no_server_name_is_refused(name: str) -> None:
    assert len(faults_of({"server_name": name}, {})) == 1


@pytest.mark.parametrize("host", ["", "127.0.0.1 "])
def test_what_is_no_host_is_refused(host: str) -> None:
    assert len(faults_of({"host": host}, {})) == 1


def test_a_file_that_is_not_there_is_a_fault() -> None:
    assert faults_of({}, {}, Path("/nowhere.toml")) == [
        "/nowhere.toml: cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize("text", [b"port =", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_a_fault(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    [fault] = faults_of({}, {}, file)
    assert fault.startswith(f"{file}: is not TOML: ")
