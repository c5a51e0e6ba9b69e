"""Which events an application service is told of, decided as of each event."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import timeline
from projections.facts import AliasSet, Order, RoomEvent
from server.appservices import interest
from server.appservices.interest import Interest
from server.appservices.registration import AppService, Namespace, Namespaces
from tests.harness.local_homeserver import fast_directory
from tests.projections.folding import ALICE, BOB, OTHER_ROOM, ROOM, Folding, created, room_event

SERVER_NAME = "localhost"
BOT, GHOST, OTHER_GHOST = "@_irc:localhost", "@_irc_bob:localhost", "@_irc_carol:localhost"
STRANGER = "@_irc_bob:elsewhere.example"


def registered(**namespaces: str) -> AppService:
    """With one regular expression for each kind that is named."""
    kinds = {kind: (Namespace(regex, exclusive=False),) for kind, regex in namespaces.items()}
    return AppService("irc", "http://irc", "as", "hs", "_irc", Namespaces(**kinds))


IRC = registered(users="@_irc_.*")


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[Folding]:
    folding = Folding(tmp_path)
    yield folding
    folding.views.abandon()


def message(event_id: str, sender: str = ALICE, *, room_id: str = ROOM) -> RoomEvent:
    return room_event(event_id, content={"body": "hello"}, sender=sender, room_id=room_id)


def member(event_id: str, user_id: str, membership: str, *, room_id: str = ROOM) -> RoomEvent:
    content = {"membership": membership}
    return room_event(event_id, "m.room.member", content, user_id, room_id=room_id)


def told(folding: Folding, service: AppService = IRC, *, after: Order = 0) -> list[str]:
    """The events of which a service is told that begins past an order."""
    interest = Interest(service, SERVER_NAME)
    with folding.view() as view:
        return [
            found.event_id
            for found in timeline.events_between(view, after, folding.head)
            if interest.concerns(view, found)
        ]


def test_rooms_of_others_are_no_concern(folding: Folding) -> None:
    folding.entry(created(), member("$a", ALICE, "join"), message("$b"))
    assert told(folding) == []


def test_what_its_users_send_concerns_it(folding: Folding) -> None:
    folding.entry(message("$a", GHOST), message("$b"), message("$c", BOT), message("$d", STRANGER))
    assert told(folding) == ["$a", "$c"]


def test_what_is_done_to_its_users_concerns_it(folding: Folding) -> None:
    folding.entry(member("$invite", GHOST, "invite"), member("$ban", BOT, "ban"), member("$b", BOB, "ban"))
    assert told(folding) == ["$invite", "$ban"]


def test_an_invitation_does_not_open_the_room(folding: Folding) -> None:
    folding.entry(member("$invite", GHOST, "invite"), message("$secret"))
    assert told(folding) == ["$invite"]


@pytest.mark.parametrize("user_id", [BOT, GHOST])
def test_rooms_that_its_users_are_in_concern_it(folding: Folding, user_id: str) -> None:
    folding.entry(message("$before"), member("$join", user_id, "join"), message("$during"))
    folding.entry(member("$leave", user_id, "leave"), message("$after"))
    assert told(folding) == ["$join", "$during", "$leave"]


def test_a_room_concerns_it_until_the_last_one_left(folding: Folding) -> None:
    folding.entry(member("$1", GHOST, "join"), message("$2"), member("$3", OTHER_GHOST, "join"))
    folding.entry(
        member("$4", GHOST, "leave"), message("$5"), member("$6", OTHER_GHOST, "ban"), message("$7")
    )
    assert told(folding) == ["$1", "$2", "$3", "$4", "$5", "$6"]


def test_users_of_other_servers_are_not_its_own(folding: Folding) -> None:
    folding.entry(member("$join", STRANGER, "join"), message("$message"))
    assert told(folding) == []


def test_named_rooms_concern_it(folding: Folding) -> None:
    folding.entry(message("$a"), message("$b", room_id=OTHER_ROOM))
    assert told(folding, registered(rooms=re.escape(OTHER_ROOM))) == ["$b"]


def test_rooms_with_its_aliases_concern_it(folding: Folding) -> None:
    folding.entry(AliasSet("#tea:localhost", ROOM, ALICE), AliasSet("#_irc_tea:localhost", OTHER_ROOM, BOT))
    folding.entry(message("$a"), message("$b", room_id=OTHER_ROOM))
    assert told(folding, registered(aliases="#_irc_.*")) == ["$b"]


def test_a_late_service_is_told_as_a_punctual_one(folding: Folding) -> None:
    """Who is in a room now says nothing about an event of last week."""
    folding.entry(member("$join", GHOST, "join"))
    begun = folding.entry(message("$during"))
    folding.entry(member("$leave", GHOST, "leave"))
    folding.entry(message("$after"))
    assert told(folding, after=begun - 1) == ["$during", "$leave"]


_steps = st.tuples(
    st.sampled_from([ROOM, OTHER_ROOM]),
    st.sampled_from([ALICE, BOT, GHOST, OTHER_GHOST, STRANGER]),
    st.sampled_from(["join", "leave", "invite", "message", "message"]),
)


@given(steps=st.lists(_steps, max_size=25), remembered=st.sampled_from([1, 10_000]), data=st.data())
def test_what_is_told_follows_from_the_log_alone(
    steps: list[tuple[str, str, str]], remembered: int, data: st.DataObject
) -> None:
    """Whenever a service begins, and however few rooms can be remembered for it."""
    own = {BOT, GHOST, OTHER_GHOST}
    joined: dict[str, set[str]] = {ROOM: set(), OTHER_ROOM: set()}
    expected: list[str] = []
    with fast_directory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(interest, "ROOMS_REMEMBERED_MAX", remembered)
        folding = Folding(directory)
        for number, (room_id, user_id, what) in enumerate(steps):
            event_id = f"${number}"
            if what == "message":
                folding.entry(message(event_id, user_id, room_id=room_id))
                is_told = user_id in own or bool(joined[room_id] & own)
            else:
                folding.entry(member(event_id, user_id, what, room_id=room_id))
                is_told = user_id in own or bool(joined[room_id] & own)
                joined[room_id].discard(user_id)
                joined[room_id] |= {user_id} if what == "join" else set()
            if is_told:
                expected.append(event_id)
        begins = data.draw(st.integers(0, len(steps)))
        late = told(folding, after=(begins << 16) | 0xFFFF)
        assert told(folding) == expected
        assert late == [event_id for event_id in expected if int(event_id[1:]) >= begins]
        folding.views.abandon()


def test_members_are_looked_through_once(folding: Folding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every event: that would make a busy room of thousands cost thousands for each message."""
    folding.entry(*(member(f"$m{n}", f"@user{n}:localhost", "join") for n in range(50)))
    begun = folding.entry(message("$first"), *(message(f"${n}") for n in range(20)))
    asked: list[str] = []
    is_interested_in = AppService.is_interested_in

    def noting(service: AppService, kind: Any, identifier: str) -> bool:
        asked.append(identifier)
        return is_interested_in(service, kind, identifier)

    monkeypatch.setattr(AppService, "is_interested_in", noting)
    told(folding, after=begun - 1)
    assert sum(identifier.startswith("@user") for identifier in asked) == 50
