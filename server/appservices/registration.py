"""What an application service registers with: a YAML file that the operator names, read once at start.

It is configuration and no fact: which identifiers are whose may change with every start, so no fold may
depend on it. Where: application service API, "Registration".
"""

import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec
import yaml  # type: ignore[import-untyped]

from projections.identifiers import is_new_localpart

IdentifierKind: TypeAlias = Literal["users", "aliases", "rooms"]

_NESTING_MAX = 100
"""PyYAML ends the process where its stack does, at some 30,000 levels."""
_TOKEN = re.compile(r"[!-~]+")
"""What a header can carry after the word Bearer."""


class Namespace(msgspec.Struct, frozen=True, dict=True):
    """Identifiers that a service is interested in; of an exclusive one nobody else may make any."""

    regex: str
    """Has to match from the beginning of an identifier, not up to its end."""
    exclusive: bool

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.regex)


class Namespaces(msgspec.Struct, frozen=True):
    users: tuple[Namespace, ...] = ()
    aliases: tuple[Namespace, ...] = ()
    rooms: tuple[Namespace, ...] = ()

    def of(self, kind: IdentifierKind) -> tuple[Namespace, ...]:
        found: tuple[Namespace, ...] = getattr(self, kind)
        return found


class AppService(msgspec.Struct, frozen=True):
    """One registration. Keys of the file that the server has no use for are ignored."""

    id: str
    url: str | None
    """Where it listens; `None` if it wants to be told of nothing."""
    as_token: str
    """Proves that a request comes from the service."""
    hs_token: str
    """Proves that a request comes from this server."""
    sender_localpart: str
    """The user that it acts as unless it names another."""
    namespaces: Namespaces
    rate_limited: bool = False
    """Are the users that it acts as held to the limits of others? The sender never is."""

    def __repr__(self) -> str:
        """Without the tokens, for whatever is shown or logged."""
        return f"AppService({self.id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]

    def sender(self, server_name: str) -> str:
        return f"@{self.sender_localpart}:{server_name}"

    def is_interested_in(self, kind: IdentifierKind, identifier: str) -> bool:
        return any(namespace.pattern.match(identifier) for namespace in self.namespaces.of(kind))

    def owns(self, kind: IdentifierKind, identifier: str) -> bool:
        """May nobody but the service make this identifier?"""
        return any(
            namespace.exclusive and namespace.pattern.match(identifier)
            for namespace in self.namespaces.of(kind)
        )


class RegistrationError(ValueError):
    """What is wrong with the files; nothing of it is a secret."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load_registrations(paths: Iterable[Path]) -> tuple[AppService, ...]:
    """All services of one server. Raises `RegistrationError` with the faults of all files at once."""
    services: list[AppService] = []
    faults: list[str] = []
    for path in paths:
        try:
            loaded = load_registration(path)
        except RegistrationError as error:
            faults += error.faults
        else:
            faults += (f"{path}: {fault}" for fault in _clashes(loaded, services))
            services.append(loaded)
    if faults:
        raise RegistrationError(faults)
    return tuple(services)


def load_registration(path: Path) -> AppService:
    """Raises `RegistrationError`, without any text of the file that could be a secret."""
    try:
        found = _decoded(path.read_bytes())
    except OSError as error:
        raise RegistrationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except msgspec.ValidationError as error:
        raise RegistrationError([f"{path}: {error}"]) from None
    except ValueError:  # its text may quote the file, which holds tokens
        raise RegistrationError([f"{path}: is not YAML"]) from None
    faults = [f"{path}: {fault}" for fault in _faults(found)]
    if faults:
        raise RegistrationError(faults)
    return found


def _decoded(text: bytes) -> AppService:
    """Raises `msgspec.ValidationError` for what has the wrong form, `ValueError` for what is no YAML."""
    try:
        if _is_nested_too_deeply(text):
            raise msgspec.ValidationError(f"it is nested more than {_NESTING_MAX} levels deep")
        return msgspec.yaml.decode(text, type=AppService)
    except (yaml.YAMLError, LookupError, AttributeError) as error:  # of `!!bool x` and its like
        raise ValueError from error


def _is_nested_too_deeply(text: bytes) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _NESTING_MAX:
            return True
    return False


def with_token(services: Iterable[AppService], token: str) -> AppService | None:
    """The service whose `as_token` this is. All are compared in full, so that time tells nothing."""
    found = None
    for service in services:
        if hmac.compare_digest(service.as_token.encode(), token.encode()):
            found = service
    return found


def _faults(service: AppService) -> Iterator[str]:
    """The ends of sentences about one file."""
    if not service.id:
        yield "`id` is empty"
    if service.url is not None and not service.url.startswith(("http://", "https://")):
        yield "`url` must be null, or begin with http:// or https://"
    for name in ("as_token", "hs_token"):
        if not _TOKEN.fullmatch(getattr(service, name)):
            yield f"`{name}` must be visible ASCII characters, at least one"
    if not is_new_localpart(service.sender_localpart):
        yield f"{service.sender_localpart!r} is no name of a user, without @ and server name"
    for kind in get_args(IdentifierKind):
        for namespace in service.namespaces.of(kind):
            try:
                re.compile(namespace.regex)
            except (re.error, RecursionError, OverflowError) as error:
                yield f"{namespace.regex!r} is no regular expression: {error}"


def _clashes(loaded: AppService, others: Sequence[AppService]) -> Iterator[str]:
    """What tells one service from another, by which each of them is known."""
    for name in ("id", "as_token", "sender_localpart"):
        if any(getattr(other, name) == getattr(loaded, name) for other in others):
            yield f"has the same `{name}` as another application service"
