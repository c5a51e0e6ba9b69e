"""Transaction ids: what counts as a repeat, and what the repeat is answered.

What becomes of them in a crowd, a crash or a rebuild stands in `tests/simulation/test_idempotency.py`.
"""

from collections.abc import Callable

import pytest

from tests.harness.client import PREFIXES, Client, Json, error_of, path_of, texts
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement


def put(
    client: Client, room_id: str, txn_id: str, text: str = "hello", event_type: str = "m.room.message"
) -> str:
    event_id: str = client.must(
        "PUT",
        path_of("rooms", room_id, "send", event_type, txn_id),
        {"msgtype": "m.text", "body": text},
    )["event_id"]
    return event_id


@every_prefix
@requirement("T01", "E09")
def test_a_repeat_answers_the_first_id(alice: Client, room: str) -> None:
    first = put(alice, room, "1", "said once")
    assert put(alice, room, "1", "said once") == first
    assert put(alice, room, "1", "said otherwise") == first
    newest = alice.messages(room, limit=2)["chunk"]
    assert [event["event_id"] for event in newest if event["type"] == "m.room.message"] == [first]
    assert texts(newest) == ["said once"]


@requirement("T01")
def test_all_prefixes_share_one_scope(alice: Client, room: str) -> None:
    assert len({put(alice.under(prefix), room, "1") for prefix in PREFIXES}) == 1


@pytest.mark.parametrize("txn_id", ["0", "m1600000000000.3", "a b", "a/b", "%41", "тx", "x" * 300, "\0"])
@requirement("T03")
def test_a_transaction_id_is_any_text(alice: Client, room: str, txn_id: str) -> None:
    first = put(alice, room, txn_id)
    assert put(alice, room, txn_id) == first
    assert put(alice, room, txn_id + ".") != first


@requirement("T03")
def test_transaction_ids_have_no_order(alice: Client, room: str) -> None:
    made = [put(alice, room, txn_id) for txn_id in ("9", "1", "5", "1", "9")]
    assert len(set(made)) == 3
    assert (made[1], made[0]) == (made[3], made[4])


@every_prefix
@requirement("T02")
def test_the_same_id_in_another_room_is_another_event(alice: Client, room: str) -> None:
    assert put(alice, room, "1") != put(alice, alice.create_room(), "1")


@every_prefix
@requirement("T02")
def test_the_same_id_with_another_type_is_another_event(alice: Client, room: str) -> None:
    made = [
        put(alice, room, "1", event_type=event_type) for event_type in ("m.room.message", "com.example.own")
    ]
    assert [alice.event(room, event_id)["type"] for event_id in made] == ["m.room.message", "com.example.own"]


@requirement("T02")
def test_an_escaped_slash_makes_another_path(alice: Client, room: str) -> None:
    """Type `a` with id `b/c` and type `a/b` with id `c` look alike once they are decoded."""
    assert put(alice, room, "b/c", event_type="a") != put(alice, room, "c", event_type="a/b")


@every_prefix
@requirement("T02")
def test_the_same_id_of_another_user_is_another_event(alice: Client, bob: Client, shared_room: str) -> None:
    assert put(alice, shared_room, "1") != put(bob, shared_room, "1")


@requirement("T02")
def test_the_same_id_of_another_device_is_another_event(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    room = phone.create_room()
    assert put(phone, room, "1") != put(laptop, room, "1")


@requirement("T02")
def test_a_device_keeps_its_scope_when_it_logs_in_again(new_user: NewUser, anybody: Client) -> None:
    before = new_user()
    room = before.create_room()
    first = put(before, room, "1")
    after = anybody.log_in(before.user_id, device_id=before.device_id)
    assert after.token != before.token
    assert put(after, room, "1") == first


@every_prefix
@requirement("T01")
def test_a_refused_request_can_be_tried_again(alice: Client, bob: Client, room: str) -> None:
    path = path_of("rooms", room, "send", "m.room.message", "1")
    message = {"msgtype": "m.text", "body": "now"}
    assert error_of(bob.call("PUT", path, message)) == (403, "M_FORBIDDEN")
    assert error_of(bob.call("PUT", path, raw=b"{")) == (400, "M_NOT_JSON")
    alice.invite(room, bob.user_id)
    bob.join(room)
    event_id = bob.must("PUT", path, message)["event_id"]
    assert bob.event(room, event_id)["content"] == message


@requirement("T01")
def test_a_repeat_is_answered_after_leaving(alice: Client, bob: Client, shared_room: str) -> None:
    """The answer may have been lost on the way; what was done was done."""
    first = put(bob, shared_room, "1")
    bob.leave(shared_room)
    assert put(bob, shared_room, "1") == first


@every_prefix
@requirement("T01")
@pytest.mark.parametrize("how", ["redact", "send"])
def test_redactions_are_transactions_too(alice: Client, room: str, how: str) -> None:
    said = [alice.say(room, text) for text in ("one", "two")]

    def redact(target: str, txn_id: str) -> str:
        path, body = {
            "redact": (path_of("rooms", room, "redact", target, txn_id), {}),
            "send": (path_of("rooms", room, "send", "m.room.redaction", txn_id), {"redacts": target}),
        }[how]
        event_id: str = alice.must("PUT", path, body)["event_id"]
        return event_id

    first = redact(said[0], "1")
    assert redact(said[0], "1") == first
    assert redact(said[1], "2") != first
    assert len(alice.messages(room, limit=100, filter='{"types": ["m.room.redaction"]}')["chunk"]) == 2


@requirement("T02")
def test_a_redaction_of_another_event_is_another_transaction(alice: Client, room: str) -> None:
    targets = [alice.say(room, text) for text in ("one", "two")]
    made = {
        alice.must("PUT", path_of("rooms", room, "redact", target, "1"), {})["event_id"] for target in targets
    }
    assert len(made) == 2


@requirement("S23", "E05")
def test_state_knows_no_transactions(alice: Client, room: str) -> None:
    path = path_of("rooms", room, "state", "m.another.example.event", "11")
    made = [alice.must("PUT", path, {"n": n})["event_id"] for n in (1, 2)]
    assert len(set(made)) == 2
    assert alice.must("GET", path) == {"n": 2}


READERS: tuple[Callable[[Client, str, str], Json], ...] = (
    lambda reader, room_id, event_id: reader.event(room_id, event_id),
    lambda reader, room_id, _: reader.messages(room_id, limit=1)["chunk"][0],
    lambda reader, room_id, _: reader.sync()["rooms"]["join"][room_id]["timeline"]["events"][-1],
)


@every_prefix
@requirement("T05")
def test_only_the_sending_device_sees_the_id(new_user: NewUser, anybody: Client, bob: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    room = phone.create_room(preset="public_chat")
    bob.join(room)
    event_id = put(phone, room, "mine")
    for read in READERS:
        shown = [read(reader, room, event_id) for reader in (phone, laptop, bob)]
        assert [event["event_id"] for event in shown] == [event_id] * 3
        assert [event["unsigned"].get("transaction_id") for event in shown] == ["mine", None, None]
