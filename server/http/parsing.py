"""What a client says, checked once at the edge: the body as JSON, the parameters of the query.

JSON is taken strictly, because an event is hashed in its canonical form and everything that parsers
read in different ways would make two servers, or two clients, see different events: a key that is
there twice, NaN, half a surrogate pair. What is sent with the body, such as its `Content-Type`, is
not looked at.

Where: client-server API, "API Standards", "Standard error response"; appendices, "Canonical JSON".
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

import msgspec
from starlette.requests import ClientDisconnect, Request

from server.errors import ErrorCode, MatrixError
from server.http.answers import Refusal

BODY_BYTES_MAX = 256 * 1024
"""Four of the largest events: an emoji is 4 bytes in the stored event and 12 in a body that escapes it."""
NESTING_MAX = 100
"""Far from where recursion would fail, and near where the JSON parsers of other servers stop (128)."""

Body = TypeVar("Body", bound=msgspec.Struct)


async def parse(
    request: Request, body_type: type[Body], *, empty_is_object: bool = False, limit: int = BODY_BYTES_MAX
) -> Body:
    """Read the body into a struct.

    BAD_JSON names the field that has the wrong type, MISSING_PARAM the one that is not there. Fields that
    the struct does not have are ignored. `empty_is_object` is for calls that clients make without a body.
    """
    body = await read_body(request, limit=limit)
    if empty_is_object and not body:
        body = b"{}"
    parse_object(body)
    try:
        return msgspec.json.decode(body, type=body_type)
    except msgspec.ValidationError as error:
        is_missing = str(error).startswith("Object missing required field")
        kind = ErrorCode.MISSING_PARAM if is_missing else ErrorCode.BAD_JSON
        raise MatrixError(kind, str(error)) from error


async def read_body(request: Request, *, limit: int = BODY_BYTES_MAX) -> bytes:
    """The whole body. Refuses as soon as it is known to be over the limit, and reads no further."""
    for name, value in request.scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:18]) > limit:
            raise _too_large(limit)
    body, more_body = await _receive(request)
    if more_body:
        whole = bytearray(body)
        while more_body and len(whole) <= limit:
            piece, more_body = await _receive(request)
            whole += piece
        body = bytes(whole)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _receive(request: Request) -> tuple[bytes, bool]:
    """A piece of the body, and whether there is more to come."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> MatrixError:
    # Closing tells a client that is still sending that nobody reads the rest.
    message = f"The body is larger than {limit} bytes."
    return Refusal(ErrorCode.TOO_LARGE, message, headers={"Connection": "close"})


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that has to be a JSON object."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise MatrixError(ErrorCode.BAD_JSON, "The body must be a JSON object.")
    return value


def parse_json(body: bytes) -> Any:
    """Parse strictly. NOT_JSON: not the grammar, or not UTF-8. BAD_JSON: JSON that cannot be an event's.

    The latter is a key twice in one object, a number out of every range, and nesting without an end.
    """
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise MatrixError(ErrorCode.BAD_JSON, f"The body cannot be used: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MatrixError(ErrorCode.NOT_JSON, f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise _nested_too_deeply() from error
    # Whatever is opened is closed.
    may_be_deep = len(body) > 2 * NESTING_MAX and body.count(b"{") + body.count(b"[") > NESTING_MAX
    if may_be_deep and _is_nested_deeper(value, NESTING_MAX):
        raise _nested_too_deeply()
    # The value has every key once. If it is written as the very bytes that it was read from, so had they;
    # most clients write that way. 0.2 µs for a short message; looking at every pair takes 1.1 µs (and so
    # would writing the value in the other usual way, with blanks after ":" and ",": 1.5 µs).
    if msgspec.json.encode(value) != body:
        refuse_duplicate_keys(body)
    return value


def refuse_duplicate_keys(body: bytes) -> None:
    """Look at every pair of every object of a valid JSON text."""
    _pair_checker.decode(body.decode())


def _check_pairs(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise MatrixError(ErrorCode.BAD_JSON, "A key is in one object twice.")


# Numbers have been checked; as text they cost nothing, however many digits they have.
_pair_checker = json.JSONDecoder(object_pairs_hook=_check_pairs, parse_int=str, parse_float=str)


def _nested_too_deeply() -> MatrixError:
    return MatrixError(ErrorCode.BAD_JSON, f"The body is nested more than {NESTING_MAX} levels deep.")


def _is_nested_deeper(value: Any, limit: int) -> bool:
    level: list[Any] = [[value]]
    for _ in range(limit + 1):  # now the containers of the first level, then of the second …
        children = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for nodes in children for child in nodes if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def query_text(request: Request, name: str, default: str | None = None) -> str | None:
    """A parameter of the query. If it is there several times, the first one counts."""
    texts = query_texts(request, name)
    return texts[0] if texts else default


def query_texts(request: Request, name: str) -> list[str]:
    """Every value of a parameter, in order."""
    return _query(request).get(name, [])


def query_integer(request: Request, name: str, default: int, minimum: int, maximum: int) -> int:
    """An integer of the query; more than `maximum` is taken for a wish, and `maximum` is what it gets."""
    text = query_text(request, name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or int(text) < minimum:
        raise _invalid(name, f"an integer, at least {minimum}")
    return min(int(text), maximum)


def query_choice(request: Request, name: str, choices: Collection[str], default: str | None = None) -> str:
    """One of a few words. Without a default the parameter has to be there (MISSING_PARAM)."""
    text = query_text(request, name, default)
    if text is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, f"The query has no {name}.")
    if text not in choices:
        raise _invalid(name, "one of " + ", ".join(sorted(choices)))
    return text


def query_boolean(request: Request, name: str, default: bool) -> bool:
    return query_choice(request, name, ("true", "false"), "true" if default else "false") == "true"


_INTEGER = re.compile(r"-?[0-9]{1,18}")


def _invalid(name: str, wanted: str) -> MatrixError:
    return MatrixError(ErrorCode.INVALID_PARAM, f"{name} in the query must be {wanted}.")


_NO_QUERY: Mapping[str, list[str]] = {}


def _query(request: Request) -> Mapping[str, list[str]]:
    """Unlike Starlette's, refuses what is no UTF-8; parsed once for a request."""
    scope = request.scope
    if "parsed_query" not in scope:
        if not scope["query_string"]:
            return _NO_QUERY
        try:
            text = scope["query_string"].decode()
            scope["parsed_query"] = parse_qs(text, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError as error:
            message = "The query is not percent-encoded UTF-8."
            raise MatrixError(ErrorCode.INVALID_PARAM, message) from error
    return cast(Mapping[str, list[str]], scope["parsed_query"])
