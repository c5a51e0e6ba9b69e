"""Strict JSON, bodies with a limit, and parameters of the query."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from server.errors import ErrorCode, MatrixError
from server.http.answers import Refusal
from server.http.parsing import (
    BODY_BYTES_MAX,
    NESTING_MAX,
    parse,
    parse_json,
    parse_object,
    query_boolean,
    query_choice,
    query_integer,
    query_text,
    query_texts,
    read_body,
    refuse_duplicate_keys,
)
from tests.server.http.scripted import DISCONNECT, Messages, request

pytestmark = pytest.mark.anyio

Tree: TypeAlias = "tuple[str, Any]"
"""JSON in which an object is a list of pairs, so that a key can be there twice: ("object", [(key, tree)])."""

WRITERS: dict[str, Callable[[Any], str]] = {
    "compact": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    "compact ascii": lambda value: json.dumps(value, separators=(",", ":")),
    "usual of Python": json.dumps,
    "indented": lambda value: json.dumps(value, indent=2),
}


def refused(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(MatrixError) as caught:
        call()
    return caught.value.kind


_texts = st.text(st.characters(exclude_categories=["Cs"]))
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts
)
_values = st.recursive(_leaves, lambda inner: st.lists(inner) | st.dictionaries(_texts, inner), max_leaves=20)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@given(value=_values)
@example(value=['\u2028 \x00\x1f\x7f " \\ / é 😀', -0.0, 1e21, 1e-7, 2**64])
def test_a_value_is_read_however_it_was_written(writer: Callable[[Any], str], value: Any) -> None:
    assert parse_json(writer(value).encode()) == value


_trees = st.recursive(
    _leaves.map(lambda leaf: ("leaf", leaf)),
    lambda inner: (
        st.lists(inner).map(lambda items: ("array", items))
        # Few keys, so that the same one comes twice often enough.
        | st.lists(st.tuples(st.sampled_from(["a", "b", "é", ""]), inner)).map(
            lambda pairs: ("object", pairs)
        )
    ),
    max_leaves=12,
)


@given(tree=_trees, writer=st.sampled_from([*WRITERS.values()]))
def test_a_key_twice_is_found_wherever_it_is(tree: Tree, writer: Callable[[Any], str]) -> None:
    body = _written(tree, writer).encode()
    if _has_key_twice(tree):
        assert refused(lambda: parse_json(body)) is ErrorCode.BAD_JSON
    else:
        assert parse_json(body) == json.loads(body)


@given(tree=_trees)
def test_the_quick_look_at_keys_agrees_with_the_slow_one(tree: Tree) -> None:
    body = _written(tree, WRITERS["compact"]).encode()
    if msgspec.json.encode(msgspec.json.decode(body)) == body:
        refuse_duplicate_keys(body)


def _written(tree: Tree, writer: Callable[[Any], str]) -> str:
    kind, value = tree
    colon, comma = (":", ",") if writer([1, 2]) == "[1,2]" else (": ", ", ")
    if kind == "array":
        return "[" + comma.join(_written(item, writer) for item in value) + "]"
    if kind == "object":
        return "{" + comma.join(writer(key) + colon + _written(inner, writer) for key, inner in value) + "}"
    return writer(value)


def _has_key_twice(tree: Tree) -> bool:
    kind, value = tree
    if kind == "leaf":
        return False
    inner = value if kind == "array" else [item for _, item in value]
    keys = [] if kind == "array" else [key for key, _ in value]
    return len(set(keys)) < len(keys) or any(_has_key_twice(item) for item in inner)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}', b'[{"b":{"a":1,"c":2,"a":3}}]', b'{ "a": 1, "a": 1 }'],
)
def test_a_key_twice_is_bad_json(body: bytes) -> None:
    assert refused(lambda: parse_json(body)) is ErrorCode.BAD_JSON


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"{}x", b"{'a':1}", b"[1,]", b"01", b"NaN", b"Infinity", b"-Infinity", b'"\x01"',
        b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'{"\\ud800":1}',
        b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"access_token=secret",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refused(lambda: parse_json(body)) is ErrorCode.NOT_JSON


@pytest.mark.parametrize("body", [b"1e400", b"1" * 5000, b"[" + b"1" * 5000 + b"]"])
def test_a_number_beyond_all_ranges_is_bad_json(body: bytes) -> None:
    assert refused(lambda: parse_json(body)) is ErrorCode.BAD_JSON


def test_nesting_is_allowed_up_to_its_limit() -> None:
    body = b"[" * NESTING_MAX + b"]" * (NESTING_MAX - 1) + b",[]]"
    assert parse_json(body) == json.loads(body)


@pytest.mark.parametrize("levels", [NESTING_MAX + 1, 500, 100_000])
def test_nesting_beyond_its_limit_is_bad_json(levels: int) -> None:
    assert refused(lambda: parse_json(b"[" * levels + b"]" * levels)) is ErrorCode.BAD_JSON


@pytest.mark.parametrize(
    "body",
    [b"[" + b",".join([b"{}"] * 1000) + b"]", b'"' + b"[{" * 1000 + b'"', b'["' + b"[{" * 1000 + b'"]'],
)
def test_brackets_side_by_side_are_not_nesting(body: bytes) -> None:
    assert parse_json(body) == json.loads(body)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true"])
@pytest.mark.requirement("S05")
def test_what_is_no_object_is_bad_json(body: bytes) -> None:
    assert refused(lambda: parse_object(body)) is ErrorCode.BAD_JSON


async def test_a_body_is_put_together_from_its_pieces() -> None:
    assert await read_body(request(b'{"a"', b":", b"1}")) == b'{"a":1}'


async def test_a_body_may_be_as_long_as_the_limit() -> None:
    assert len(await read_body(request(b"a" * BODY_BYTES_MAX))) == BODY_BYTES_MAX


async def _refusal(asked: Request, **limit: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await read_body(asked, **limit)
    return caught.value


def unread(asked: Request) -> int:
    assert isinstance(asked.receive, Messages)
    return asked.receive.unread


async def test_a_body_over_the_limit_is_read_no_further() -> None:
    asked = request(b"aaaa", b"bbbb", b"cccc", b"dddd", b"")
    await _refusal(asked, limit=10)
    assert unread(asked) == 2


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    asked = request(b"a" * 11, headers=[(b"content-length", b"11")])
    await _refusal(asked, limit=10)
    assert unread(asked) == 1


@pytest.mark.parametrize("declared", [b"1", b"-1", b"ten", b"\xb2", b"0" * 5000])
async def test_a_false_declaration_does_not_lift_the_limit(declared: bytes) -> None:
    refusal = await _refusal(request(b"a" * 11, headers=[(b"content-length", declared)]), limit=10)
    assert refusal.kind is ErrorCode.TOO_LARGE


async def test_a_refused_body_ends_the_connection() -> None:
    assert (await _refusal(request(b"aa"), limit=1)).headers == {"Connection": "close"}


async def test_a_client_that_leaves_in_the_middle_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(request(b"a", DISCONNECT))


class Third(msgspec.Struct):
    address: str


class Invitation(msgspec.Struct):
    user_id: str
    level: int = 0
    thirds: list[Third] = []


async def test_a_body_becomes_a_struct() -> None:
    body = b'{"user_id": "@u:x", "thirds": [{"address": "a"}], "unknown": 1}'
    assert await parse(request(body), Invitation) == Invitation("@u:x", 0, [Third("a")])


async def _parse_error(body: bytes) -> MatrixError:
    with pytest.raises(MatrixError) as caught:
        await parse(request(body), Invitation)
    return caught.value


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"user_id": 1}', "`$.user_id`"),
        (b'{"user_id": "@u:x", "level": true}', "`$.level`"),
        (b'{"user_id": "@u:x", "level": 1.0}', "`$.level`"),
        (b'{"user_id": "@u:x", "thirds": [{"address": "a"}, {"address": null}]}', "`$.thirds[1].address`"),
    ],
)
async def test_a_wrong_type_is_bad_json_and_named(body: bytes, where: str) -> None:
    error = await _parse_error(body)
    assert (error.kind, where in error.message) == (ErrorCode.BAD_JSON, True)


@pytest.mark.parametrize(
    ("body", "name"), [(b"{}", "`user_id`"), (b'{"user_id": "@u:x", "thirds": [{}]}', "`address`")]
)
async def test_a_missing_field_is_named(body: bytes, name: str) -> None:
    error = await _parse_error(body)
    assert (error.kind, name in error.message) == (ErrorCode.MISSING_PARAM, True)


async def test_a_struct_is_parsed_as_strictly_as_the_rest() -> None:
    assert (await _parse_error(b'{"user_id":"@a:x","user_id":"@b:x"}')).kind is ErrorCode.BAD_JSON


class Leaving(msgspec.Struct):
    reason: str = ""


async def test_no_body_is_no_json() -> None:
    with pytest.raises(MatrixError) as caught:
        await parse(request(b""), Leaving)
    assert caught.value.kind is ErrorCode.NOT_JSON


async def test_no_body_can_be_an_empty_object() -> None:
    assert await parse(request(b""), Leaving, empty_is_object=True) == Leaving()


def test_a_query_parameter_is_decoded() -> None:
    assert query_text(request(query=b"from=s1%262%C3%A9+x"), "from") == "s1&2é x"


def test_the_first_of_repeated_parameters_counts() -> None:
    assert query_text(request(query=b"dir=b&dir=f"), "dir") == "b"


def test_all_of_repeated_parameters_can_be_had() -> None:
    assert query_texts(request(query=b"via=a&x=1&via=b"), "via") == ["a", "b"]


def test_an_absent_parameter_has_the_default() -> None:
    assert query_text(request(query=b"x=1"), "from", "START") == "START"


def test_a_query_that_is_no_text_is_invalid() -> None:
    assert refused(lambda: query_text(request(query=b"from=%FF"), "to")) is ErrorCode.INVALID_PARAM


def limit_of(query: bytes) -> int:
    return query_integer(request(query=query), "limit", 10, minimum=1, maximum=100)


@pytest.mark.parametrize(("query", "expected"), [(b"", 10), (b"limit=1", 1), (b"limit=100", 100)])
def test_an_integer_is_read(query: bytes, expected: int) -> None:
    assert limit_of(query) == expected


@pytest.mark.parametrize("wish", [b"101", b"999999999999999999"])
def test_a_wish_beyond_the_maximum_gets_the_maximum(wish: bytes) -> None:
    assert limit_of(b"limit=" + wish) == 100


@pytest.mark.parametrize(
    "wrong",
    [b"", b"0", b"-5", b"ten", b"1.5", b"1e2", b"0x10", b"1_0", b"+", b"%D9%A3", b"%201", b"9" * 5000],
)
def test_what_is_no_fitting_integer_is_invalid(wrong: bytes) -> None:
    assert refused(lambda: limit_of(b"limit=" + wrong)) is ErrorCode.INVALID_PARAM


def direction_of(query: bytes, default: str | None = None) -> str:
    return query_choice(request(query=query), "dir", ("b", "f"), default)


def test_a_choice_is_read() -> None:
    assert direction_of(b"dir=f", "b") == "f"


def test_another_word_is_invalid_and_the_choices_are_named() -> None:
    with pytest.raises(MatrixError, match=r"dir in the query must be one of b, f\.") as caught:
        direction_of(b"dir=up")
    assert caught.value.kind is ErrorCode.INVALID_PARAM


def test_a_choice_that_must_be_made_is_missed() -> None:
    assert refused(lambda: direction_of(b"")) is ErrorCode.MISSING_PARAM


@pytest.mark.parametrize(("query", "expected"), [(b"", True), (b"full=true", True), (b"full=false", False)])
def test_a_boolean_is_read(query: bytes, expected: bool) -> None:
    assert query_boolean(request(query=query), "full", default=True) is expected


@pytest.mark.parametrize("wrong", [b"", b"1", b"True", b"yes"])
def test_what_is_no_boolean_is_invalid(wrong: bytes) -> None:
    asked = request(query=b"full=" + wrong)
    assert refused(lambda: query_boolean(asked, "full", default=False)) is ErrorCode.INVALID_PARAM
