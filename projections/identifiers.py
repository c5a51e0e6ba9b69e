"""Matrix identifiers: what is allowed in one, and how to take one apart.

Where: specification, appendices, "Identifier Grammar". Every identifier with a sigil is split at
its *first* colon; the rest is the server name, which may have colons of its own.
"""

import re

IDENTIFIER_BYTES_MAX = 255
"""Users, rooms, events, aliases, event types and state keys: bytes of UTF-8, not characters."""

_NEW_LOCALPART = re.compile(r"[a-z0-9._=\-/+]+")
_SERVER_NAME = re.compile(r"(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


def split(identifier: str) -> tuple[str, str]:
    """Localpart and server name of `@localpart:server`, `#…` or `!…`; the server name may be empty."""
    localpart, _, server_name = identifier[1:].partition(":")
    return localpart, server_name


def is_server_name(text: str) -> bool:
    return len(text) <= 230 and _SERVER_NAME.fullmatch(text) is not None


def is_new_localpart(text: str) -> bool:
    """May a user be registered under this name? Stricter than what older users may have."""
    return _NEW_LOCALPART.fullmatch(text) is not None


def is_user_id(text: str) -> bool:
    """Accepts every user id that was ever valid, not only those that may be registered today."""
    return _has_form(text, "@")


def is_room_alias(text: str) -> bool:
    return _has_form(text, "#")


def fits(text: str) -> bool:
    """Is it short enough to be an identifier, an event type or a state key?"""
    if len(text) * 4 <= IDENTIFIER_BYTES_MAX:  # no character has more bytes
        return True
    return len(text) <= IDENTIFIER_BYTES_MAX and len(text.encode()) <= IDENTIFIER_BYTES_MAX


def _has_form(text: str, sigil: str) -> bool:
    if not text.startswith(sigil) or "\0" in text or not fits(text):
        return False
    localpart, server_name = split(text)
    return bool(localpart) and is_server_name(server_name)
