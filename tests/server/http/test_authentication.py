"""Where the access token may stand, and that there is only one."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.authentication import access_token_of
from server.http.routing import CLIENT, V2_2015, Route, RouteTable
from tests.server.http.scripted import request


async def endpoint(_: Request) -> Response:
    return Response()


ROUTES = RouteTable([Route("PUT", "/sync", endpoint, CLIENT + V2_2015)])
FROM_2015 = ["api/v1", "v2_alpha"]
FROM_TODAY = ["r0", "v3"]


def asked(prefix: str, query: bytes, *authorization: bytes) -> Request:
    matched, _ = ROUTES.find("PUT", f"/_matrix/client/{prefix}/sync".encode())
    headers = [(b"host", b"x"), *((b"authorization", value) for value in authorization)]
    return request(query=query, headers=headers, matched_route=matched)


def refused(asked: Request, *, query_allowed: bool = True) -> ErrorCode:
    with pytest.raises(MatrixError) as caught:
        access_token_of(asked, query_allowed=query_allowed)
    return caught.value.kind


@pytest.mark.parametrize("prefix", [*FROM_2015, *FROM_TODAY])
@pytest.mark.parametrize("header", [b"Bearer s3cret", b"bearer s3cret", b"BEARER  s3cret"])
def test_the_header_is_heard_everywhere(prefix: str, header: bytes) -> None:
    assert access_token_of(asked(prefix, b"", header), query_allowed=False) == "s3cret"


@pytest.mark.parametrize("prefix", FROM_2015)
@pytest.mark.requirement("A01")
def test_the_query_is_always_heard_under_the_prefixes_of_2015(prefix: str) -> None:
    assert access_token_of(asked(prefix, b"access_token=s3%2Bcret"), query_allowed=False) == "s3+cret"


@pytest.mark.parametrize("prefix", FROM_TODAY)
def test_the_query_is_heard_today_if_it_is_allowed(prefix: str) -> None:
    assert access_token_of(asked(prefix, b"access_token=s3cret"), query_allowed=True) == "s3cret"


@pytest.mark.parametrize("prefix", FROM_TODAY)
def test_the_query_is_not_heard_today_if_it_is_not_allowed(prefix: str) -> None:
    request = asked(prefix, b"access_token=s3cret")
    assert refused(request, query_allowed=False) is ErrorCode.MISSING_TOKEN


@pytest.mark.parametrize("query", [b"", b"access_token=", b"Access_Token=s3cret", b"token=s3cret"])
@pytest.mark.requirement("A03")
def test_a_request_without_a_token_is_refused(query: bytes) -> None:
    assert refused(asked("v3", query)) is ErrorCode.MISSING_TOKEN


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"Bearer a b", b"Basic dTpw", b"s3cret", b"Bearer \xff", b"Bearer\ts3cret"],
)
def test_a_malformed_header_is_refused(header: bytes) -> None:
    assert refused(asked("v3", b"", header)) is ErrorCode.MISSING_TOKEN


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (b"access_token=a", [b"Bearer a"]),
        (b"", [b"Bearer a", b"Bearer a"]),
        (b"access_token=a&access_token=a", []),
    ],
)
def test_two_tokens_are_refused(query: bytes, headers: list[bytes]) -> None:
    assert refused(asked("api/v1", query, *headers)) is ErrorCode.MISSING_TOKEN


def test_no_answer_repeats_the_token() -> None:
    with pytest.raises(MatrixError) as caught:
        access_token_of(asked("v3", b"", b"Bearer s3cret s3cret"), query_allowed=True)
    assert "s3cret" not in caught.value.message
