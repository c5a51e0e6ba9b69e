"""The requests by which the first specification explains itself, as it writes them: E01 to E14.

They are sent under `/_matrix/client/api/v1` with the token in the query, as in 2015. What was possible then
under that prefix is possible today under all of them.
"""

from typing import Any

import httpx
import pytest

from tests.harness.client import Client, error_of, texts
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement
pytestmark = every_prefix


class Browser:
    """Sends what stands in the examples, with nothing around it."""

    def __init__(self, client: Client, room_id: str) -> None:
        self._client = client
        self._room = f"{client.prefix}/rooms/{room_id}"

    def call(self, method: str, path: str, body: object) -> httpx.Response:
        url = f"{self._room}{path}?access_token={self._client.token}"
        return self._client.http.request(method, url, json=body)

    def made(self, method: str, path: str, body: object) -> Any:
        """The event that the request made."""
        answer = self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        url = f"{self._room}/event/{answer.json()['event_id']}?access_token={self._client.token}"
        return self._client.http.get(url).json()


@pytest.fixture
def browser(alice: Client, room: str) -> Browser:
    return Browser(alice, room)


def events_in(alice: Client, room_id: str) -> list[str]:
    return [event["event_id"] for event in alice.messages(room_id, limit=100)["chunk"]]


@requirement("E01", "S22")
def test_state_without_a_key(browser: Browser) -> None:
    content = {"key": "without a state key"}
    event = browser.made("PUT", "/state/m.example.event", content)
    assert (event["type"], event["state_key"], event["content"]) == ("m.example.event", "", content)


@requirement("E02", "S20")
def test_state_with_a_key(browser: Browser) -> None:
    content = {"key": "with 'foo' as the state key"}
    event = browser.made("PUT", "/state/m.another.example.event/foo", content)
    assert (event["type"], event["state_key"]) == ("m.another.example.event", "foo")
    assert event["content"] == content


@requirement("E03", "S24")
def test_state_cannot_be_posted(browser: Browser, alice: Client, room: str) -> None:
    before = events_in(alice, room)
    answer = browser.call("POST", "/state/m.example.event/", {"key": "cannot use POST here"})
    assert error_of(answer) == (405, "M_UNRECOGNIZED")
    assert events_in(alice, room) == before


@requirement("E04", "S23")
def test_state_has_no_transaction_ids(browser: Browser, alice: Client, room: str) -> None:
    before = events_in(alice, room)
    content = {"key": "txnIds are not supported"}
    answer = browser.call("PUT", "/state/m.another.example.event/foo/11", content)
    assert error_of(answer) == (404, "M_UNRECOGNIZED")
    assert events_in(alice, room) == before


@requirement("E05", "S23")
def test_a_number_is_a_state_key(browser: Browser, alice: Client, room: str) -> None:
    made = [
        browser.made("PUT", "/state/m.another.example.event/11", {"key": key})
        for key in ("with '11' as the state key", "replaced")
    ]
    assert [event["state_key"] for event in made] == ["11", "11"]
    assert made[0]["event_id"] != made[1]["event_id"]
    current = alice.call("GET", f"/rooms/{room}/state/m.another.example.event/11")
    assert current.json() == {"key": "replaced"}


@requirement("E06", "S09", "S26")
def test_a_user_id_is_a_state_key(browser: Browser, alice: Client) -> None:
    path = "/state/m.favorite.animal.event/" + alice.user_id.replace("@", "%40").replace(":", "%3A")
    event = browser.made("PUT", path, {"animal": "cat", "reason": "fluffy"})
    assert (event["state_key"], event["content"]["animal"]) == (alice.user_id, "cat")


@requirement("E07", "S22")
def test_a_background_colour(browser: Browser) -> None:
    event = browser.made("PUT", "/state/m.room.bgd.color", {"color": "red", "hex": "#ff0000"})
    assert (event["state_key"], event["content"]) == ("", {"color": "red", "hex": "#ff0000"})


@requirement("E08", "S03", "S06")
def test_a_message_without_a_transaction_id(browser: Browser) -> None:
    event = browser.made("POST", "/send/m.custom.example.message", {"text": "Hello world!"})
    assert (event["type"], event["content"]) == ("m.custom.example.message", {"text": "Hello world!"})


@requirement("E09", "T01")
def test_a_message_with_a_transaction_id(browser: Browser) -> None:
    path, content = "/send/m.custom.example.message/11", {"text": "Goodbye world!"}
    first, repeat = (browser.made("PUT", path, content) for _ in range(2))
    assert first["event_id"] == repeat["event_id"]


@requirement("E10", "S02")
def test_a_message_in_an_unescaped_room(browser: Browser, alice: Client, room: str) -> None:
    browser.made("PUT", "/send/m.room.message/35", {"msgtype": "m.text", "body": "hello"})
    assert texts(alice.messages(room, limit=1)["chunk"]) == ["hello"]


@requirement("E11", "S20", "S21")
def test_a_name_for_the_room(browser: Browser, alice: Client, room: str) -> None:
    browser.made("PUT", "/state/m.room.name", {"name": "New name for the room"})
    name = alice.must("GET", f"/rooms/{room}/state/m.room.name")
    assert name == {"name": "New name for the room"}


@requirement("E12", "A01")
@pytest.mark.parametrize(("method", "path"), [("POST", "/send/m.example"), ("PUT", "/send/m.example/11")])
def test_the_two_forms_of_a_call_that_can_be_repeated(browser: Browser, method: str, path: str) -> None:
    assert browser.made(method, path, {"any": "thing"})["content"] == {"any": "thing"}


@requirement("E13")
def test_a_post_has_no_transaction_id(browser: Browser, alice: Client, room: str) -> None:
    before = events_in(alice, room)
    assert error_of(browser.call("POST", "/send/m.example/11", {})) == (405, "M_UNRECOGNIZED")
    assert events_in(alice, room) == before


@requirement("E14")
def test_a_put_has_a_transaction_id(browser: Browser, alice: Client, room: str) -> None:
    before = events_in(alice, room)
    assert error_of(browser.call("PUT", "/send/m.example", {})) == (405, "M_UNRECOGNIZED")
    assert events_in(alice, room) == before
