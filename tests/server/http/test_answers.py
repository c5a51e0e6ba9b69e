"""What an answer looks like: values as JSON, errors in their one shape."""

import msgspec
import pytest

from server.errors import ErrorCode, MatrixError
from server.http.answers import Refusal, answer, error_answer


def test_a_value_is_answered_as_json() -> None:
    response = answer({"event_id": "$é"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.body == '{"event_id":"$é"}'.encode()


def test_stored_json_is_answered_as_it_is() -> None:
    assert answer({"content": msgspec.Raw(b'{ "b":1, "a":2 }')}).body == b'{"content":{ "b":1, "a":2 }}'


def test_an_answer_can_have_another_status() -> None:
    assert answer({}, 401).status_code == 401


@pytest.mark.parametrize("kind", ErrorCode)
def test_the_kind_of_an_error_gives_its_status(kind: ErrorCode) -> None:
    response = error_answer(MatrixError(kind, "A sentence."))
    assert response.status_code == kind.status
    assert msgspec.json.decode(response.body) == {"errcode": kind.code, "error": "A sentence."}


def test_an_error_can_have_more_fields() -> None:
    response = error_answer(MatrixError(ErrorCode.UNKNOWN_TOKEN, "Gone.", soft_logout=True))
    assert msgspec.json.decode(response.body)["soft_logout"] is True


@pytest.mark.parametrize(("wait_ms", "seconds"), [(1, "1"), (1000, "1"), (1001, "2"), (0, "0")])
@pytest.mark.requirement("R04")
def test_the_time_to_wait_is_rounded_up(wait_ms: int, seconds: str) -> None:
    response = error_answer(MatrixError(ErrorCode.LIMIT_EXCEEDED, "Slower.", retry_after_ms=wait_ms))
    assert response.headers["retry-after"] == seconds
    assert msgspec.json.decode(response.body)["retry_after_ms"] == wait_ms


def test_a_refusal_brings_its_headers() -> None:
    response = error_answer(Refusal(ErrorCode.NO_SUCH_METHOD, "No.", headers={"Allow": "GET"}))
    assert response.headers["allow"] == "GET"
