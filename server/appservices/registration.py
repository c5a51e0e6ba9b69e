"""What an application service registers with: a YAML file that the operator names, read once at start.

It is configuration and no fact: which identifiers are whose may change with every start, so no fold may
depend on it. Where: application service API, "Registration".
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

IdentifierKind: TypeAlias = Literal["users", "aliases", "rooms"]


class Namespace(msgspec.Struct, frozen=True, dict=True):
    """Identifiers that a service is interested in; of an exclusive one nobody else may make any."""

    regex: str
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
    """The file is no registration; says what is wrong with it."""


def load_registration(path: Path) -> AppService:
    """Raises `RegistrationError`, without any text of the file that could be a secret."""
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=AppService)
    except OSError as error:
        raise RegistrationError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise RegistrationError(f"{path}: {error}") from None
    except msgspec.DecodeError:  # its text quotes the file, which holds tokens
        raise RegistrationError(f"{path}: is not YAML") from None
    for kind in ("users", "aliases", "rooms"):
        for namespace in getattr(found.namespaces, kind):
            _check_pattern(path, namespace)
    return found


def with_token(services: Iterable[AppService], token: str) -> AppService | None:
    """The service whose `as_token` this is. All are compared in full, so that time tells nothing."""
    found = None
    for service in services:
        if hmac.compare_digest(service.as_token.encode(), token.encode()):
            found = service
    return found


def owner_of(services: Sequence[AppService], kind: IdentifierKind, identifier: str) -> AppService | None:
    """The service that alone may make this identifier."""
    return next((service for service in services if service.owns(kind, identifier)), None)


def _check_pattern(path: Path, namespace: Namespace) -> None:
    try:
        re.compile(namespace.regex)
    except re.error as error:
        raise RegistrationError(f"{path}: {namespace.regex!r} is no regular expression: {error}") from None
