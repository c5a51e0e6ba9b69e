"""The configuration: read once, at the edge, into one immutable struct.

A setting may stand on the command line, in the environment, in a TOML file; the first of them that
names it decides. All faults are collected before anything is refused, so that whoever sets up a server
corrects them in one go; a fault in a value that another source overrides is a fault all the same.
Below the command line nothing looks at the environment.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from projections.identifiers import is_server_name
from projections.room_versions import DEFAULT, SUPPORTED
from server.appservices.registration import AppService, RegistrationError, load_registrations
from server.rate_limits import Limits, LimitsError, limits_from

Switch: TypeAlias = Literal["on", "off"]
Registration: TypeAlias = Literal["open", "closed"]

DEFAULT_DATA = Path("data")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How one server runs. Paths are relative to the working directory."""

    host: str = "127.0.0.1"
    port: int = 8008
    """0 lets the system pick a free port."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    """Where the operator reads numbers about this process; nowhere unless set. 0 as with `port`."""
    data: Path = DEFAULT_DATA
    server_name: str = "localhost"
    """What stands behind the colon in identifiers. A log keeps the name that it was begun with."""
    registration: Registration = "open"
    """May anybody make an account? Unless set: open on a loopback address, closed elsewhere."""
    rate_limits: Switch = "on"
    rate_limit: Limits = Limits()
    """How often who may do what; in a file only, as tables. See `server/rate_limits.py`."""
    default_room_version: str = DEFAULT
    """Of rooms whose creators ask for none."""
    redaction_retention: int = 7 * 24 * 60 * 60 * 1000
    """How many milliseconds a redacted content stays in the log. As text: a number and s, m, h or d."""
    query_tokens: Switch = "on"
    """Is `?access_token=` heard under the modern prefixes too, as it always is under the first one?"""
    appservices: tuple[AppService, ...] = ()
    """As text: the paths of their registration files; in the environment with the system's separator."""


class ConfigError(Exception):
    """The configuration cannot be used; says everything that is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def log_path(data: Path) -> Path:
    """The directory of the log in a data directory."""
    return data / "log"


def log_url(data: Path) -> str:
    """The log in a data directory, as `eventlog.engines.open_log` takes it."""
    return f"lmdb:{log_path(data)}"


def views_path(data: Path) -> Path:
    """The views in a data directory; disposable, the log beside them is not."""
    return data / "views"


def load(
    command_line: Mapping[str, str | Sequence[str] | None],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> Config:
    """The configuration that the sources amount to. Raises `ConfigError` with all their faults.

    `command_line` has the names of `Config`'s fields, `None` for an option that was not given. Without
    `file`, the environment's ROOMLOG_CONFIG may name one.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    if file is None and environment.get("ROOMLOG_CONFIG"):
        file = Path(environment["ROOMLOG_CONFIG"])
    sources = (  # from the weakest to the strongest
        *(_in_file(file, faults) if file else ()),
        *_in_environment(environment, faults),
        *((name, text, _option(name)) for name, text in command_line.items() if text is not None),
    )
    for name, text, where in sources:
        try:
            values[name] = _PARSERS[name](text)
        except (RegistrationError, LimitsError) as error:
            faults += (f"{where}: {fault}" for fault in error.faults)
        except ValueError as error:
            faults.append(f"{where}: {text!r} {error}")
    if faults:
        raise ConfigError(faults)
    config = Config(**values)
    if "registration" not in values and not _is_loopback(config.host):
        return msgspec.structs.replace(config, registration="closed")
    return config


_Source: TypeAlias = Iterator[tuple[str, str | Sequence[str] | Mapping[str, Any], str]]
"""A setting's name, its text, texts or table, and where it stands."""


def _in_file(path: Path, faults: list[str]) -> _Source:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return
    except (ValueError, RecursionError) as error:
        faults.append(f"{path}: is not TOML: {error}")
        return
    for name, value in table.items():
        where = f"`{name}` in {path}"
        if name not in _PARSERS:
            faults.append(f"{where}: there is no such setting{_did_you_mean(name, _PARSERS)}")
        elif name in _TABLES:
            if isinstance(value, dict):
                yield name, value, where
            else:
                faults.append(f"{where}: must be a table")
        elif name in _LISTS:
            if isinstance(value, list) and all(isinstance(text, str) for text in value):
                yield name, value, where
            else:
                faults.append(f"{where}: must be a list of texts in quotes")
        elif isinstance(value, bool) or not isinstance(value, str | int):
            faults.append(f"{where}: must be text in quotes, or a number")
        else:
            yield name, str(value), where


def _in_environment(environment: Mapping[str, str], faults: list[str]) -> _Source:
    names = {f"ROOMLOG_{name.upper()}": name for name in _PARSERS if name not in _TABLES}
    for variable, text in environment.items():
        if variable in names:
            name = names[variable]
            texts = [one for one in text.split(os.pathsep) if one] if name in _LISTS else text
            yield name, texts, f"{variable} in the environment"
        elif variable.startswith("ROOMLOG_") and variable != "ROOMLOG_CONFIG":
            known = (*names, "ROOMLOG_CONFIG")
            faults.append(f"{variable} in the environment: no such setting{_did_you_mean(variable, known)}")


def _option(name: str) -> str:
    option = name.removesuffix("s") if name in _LISTS else name  # which is given once for each text
    return f"--{option.replace('_', '-')} on the command line"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("is no host name or address")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 1 << 16):
        raise ValueError("is no port; a port is a number from 0 to 65535")
    return int(text)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("is no path")
    return Path(text)


_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _duration(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}[smhd]", text):
        raise ValueError("is no length of time; one looks like 90s, 30m, 12h or 7d")
    return int(text[:-1]) * _UNITS[text[-1]]


def _server_name(text: str) -> str:
    if not is_server_name(text):
        raise ValueError("is no server name; one looks like example.org or example.org:8448")
    return text


def _appservices(paths: Sequence[str]) -> tuple[AppService, ...]:
    return load_registrations(Path(path) for path in paths)


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return parse


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "host": _host,
    "port": _port,
    "metrics_host": _host,
    "metrics_port": _port,
    "data": _path,
    "server_name": _server_name,
    "registration": _one_of("open", "closed"),
    "rate_limits": _one_of("on", "off"),
    "default_room_version": _one_of(*SUPPORTED),
    "redaction_retention": _duration,
    "query_tokens": _one_of("on", "off"),
    "appservices": _appservices,
    "rate_limit": limits_from,
}
"""What makes a value of a setting's text; raises `ValueError` with the end of a sentence about it."""
_LISTS = ("appservices",)
"""Settings of several texts."""
_TABLES = ("rate_limit",)
"""Settings that only a file can spell out."""
