"""Facts as text: what is told of them, what is masked, and what strangers cannot do to a terminal."""

import json

from hypothesis import given
from hypothesis import strategies as st

from projections.facts import AliasSet, SessionOpened, decode_entry, encode_entry
from server.cli.plain_text import describe_fact
from tests.server.cli.sample import ALICE, ENTRIES, PASSWORD_HASH, ROOM, TOKEN_DIGEST, room_event


def test_an_event_is_told_by_its_essentials() -> None:
    assert describe_fact(room_event("$name", "m.room.name", {"name": "Before"}, "")) == (
        f'room_event room_id={ROOM} sender={ALICE} type=m.room.name state_key="" event_id=$name'
    )


def test_a_message_has_no_state_key() -> None:
    assert "state_key" not in describe_fact(room_event("$hello", "m.room.message", {}))


def test_other_facts_are_told_field_by_field() -> None:
    assert describe_fact(AliasSet("#room:localhost", ROOM, ALICE)) == (
        f"alias_set alias=#room:localhost room_id={ROOM} user_id={ALICE}"
    )


def test_secrets_are_masked() -> None:
    account, session = (describe_fact(fact) for fact in ENTRIES[1])
    assert "password_hash=***" in account
    assert "token_digest=***" in session
    assert PASSWORD_HASH not in account
    assert TOKEN_DIGEST not in session


def test_a_line_break_is_quoted() -> None:
    told = describe_fact(ENTRIES[1][1])
    assert told.endswith(" display_name=" + json.dumps('Alice\'s "phone"\n99 forged'))


@given(st.text())
def test_no_name_can_speak_to_the_terminal(name: str) -> None:
    assert describe_fact(SessionOpened(ALICE, "PHONE", TOKEN_DIGEST, 1, name)).isprintable()


@given(st.text())
def test_no_name_is_lost(name: str) -> None:
    """What was quoted can be read back, what was not stands as it is."""
    told = describe_fact(SessionOpened(ALICE, "PHONE", TOKEN_DIGEST, 1, name)).split("display_name=")[1]
    assert name == (json.loads(told) if told.startswith('"') else told)


def test_a_stored_fact_is_told_like_a_fresh_one() -> None:
    for facts in ENTRIES:
        stored = decode_entry(encode_entry(facts))
        assert [describe_fact(fact) for fact in stored] == [describe_fact(fact) for fact in facts]
