"""A log like that of a real server, out of a seed: the same entries for the same seed on every machine.

A log of one message repeated would be flattered by every cache that there is. Here people register, make
rooms, join, talk, react, change state, leave and take back what they said, in the proportions and with
the skew of a chat server: the first rooms have many members and most of the traffic, the others little.
"""

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, TypeAlias

from bench.author import Author, Facts, Room, authoring, localpart_of
from eventlog.log import Log
from projections.facts import RoomEvent, encode_entry
from projections.sessions import Session

SEED = 1
EVENTS_MIN = 20
"""So that there is a room, and somebody in it."""

_EVENTS_PER_USER = 100
_EVENTS_PER_ROOM = 250
_EVENTS_OF_A_NEW_ROOM = 8
_SHARE_OF_PUBLIC_ROOMS = 0.6
_ENTRIES_PER_APPEND = 1_000

_TEXT = """
the a and to of in is that it for on with as was at by from we you they are be this have not but what all
were when there can more if no out so up about who get which go me just know take people into year your
good some could them see other than then now look only come over think also back after use two how our
work first well way even new want because any these give day most us server room event state message sync
client token release test build review merge deploy please thanks
grüße tschüß naïve café señor Ελλάδα привет 世界 👍 🎉 😀
"""
_WORDS = tuple(_TEXT.split())
_WORD_COUNTS = (1, 3, 6, 10, 15, 25, 60, 150)
_UP_TO_WORD_COUNT = (10, 30, 55, 75, 88, 96, 99, 100)
"""Out of 100 messages, how many have so many words or fewer."""

Step: TypeAlias = Callable[[Author, Room, list[Session]], Facts]
"""Something that happens in a room; the users are those of the whole server."""


def entries_of(seed: int, events: int) -> Iterator[Facts]:
    """The entries of a new log with so many room events (and accounts besides), from the first one on."""
    with authoring(seed) as author:
        yield author.name_server()
        yield from life_of_a_server(author, events)


def life_of_a_server(author: Author, events: int) -> Iterator[Facts]:
    """So many events, at least `EVENTS_MIN`, by users and in rooms that come one after the other."""
    weights = list(accumulate(1 / rank for rank in range(1, 2 + events // _EVENTS_PER_ROOM)))
    users: list[Session] = []
    rooms: list[Room] = []
    done = 0
    while done < events:
        if len(users) < 4 + done // _EVENTS_PER_USER:
            user, facts = author.register(f"user{len(users)}")
            users.append(user)
        elif len(rooms) <= done // _EVENTS_PER_ROOM and events - done >= _EVENTS_OF_A_NEW_ROOM:
            room, facts = _new_room(author, author.random.choice(users))
            rooms.append(room)
        else:
            chance = author.random.random() * weights[len(rooms) - 1]
            [step] = author.random.choices(_STEPS, cum_weights=_UP_TO_STEP)
            facts = step(author, rooms[bisect(weights, chance, 0, len(rooms) - 1)], users)
        done += sum(isinstance(fact, RoomEvent) for fact in facts)
        yield facts


def message(author: Author) -> dict[str, Any]:
    """The content of a text message: 40 characters are usual, 700 are seen."""
    [words] = author.random.choices(_WORD_COUNTS, cum_weights=_UP_TO_WORD_COUNT)
    body = _text(author, words)
    content: dict[str, Any] = {"msgtype": "m.text", "body": body}
    if author.random.random() < 0.15:
        content |= {"format": "org.matrix.custom.html", "formatted_body": f"<p>{body}</p>"}
    return content


async def write_log(
    log: Log, entries: Iterable[Facts], progress: Callable[[int], None] = lambda position: None
) -> None:
    """Append the entries, durably, many at a time."""
    payloads = map(encode_entry, entries)
    head = await log.head()
    while batch := list(islice(payloads, _ENTRIES_PER_APPEND)):
        head = await log.append(batch, after=head)
        progress(head)


def _text(author: Author, words: int) -> str:
    return " ".join(author.random.choices(_WORDS, k=words))


def _new_room(author: Author, creator: Session) -> tuple[Room, Facts]:
    is_public = author.random.random() < _SHARE_OF_PUBLIC_ROOMS
    return author.create_room(creator, is_public=is_public, name=_text(author, 3), topic=_text(author, 8))


def _say(author: Author, room: Room, users: list[Session]) -> Facts:
    content = message(author)
    if room.recent and author.random.random() < 0.1:
        answered, _ = author.random.choice(room.recent)
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": answered}}
    return author.send(room, author.random.choice(room.members), "m.room.message", content)


def _react(author: Author, room: Room, users: list[Session]) -> Facts:
    if not room.recent:
        return _say(author, room, users)
    liked, _ = author.random.choice(room.recent)
    relation = {"rel_type": "m.annotation", "event_id": liked, "key": "👍"}
    return author.send(room, author.random.choice(room.members), "m.reaction", {"m.relates_to": relation})


def _join_or_invite(author: Author, room: Room, users: list[Session]) -> Facts:
    """Into a public room one walks; into a private one somebody is invited, and joins the next time."""
    if room.invited:
        return author.join(room, room.invited.pop())
    user = author.random.choice(users)
    if user.user_id in room.known_user_ids:
        return _say(author, room, users)
    if room.is_public:
        return author.join(room, user)
    room.invited.append(user)
    room.known_user_ids.add(user.user_id)
    creator = room.members[0]
    return author.add(room, creator, "m.room.member", {"membership": "invite"}, state_key=user.user_id)


def _leave(author: Author, room: Room, users: list[Session]) -> Facts:
    """Anybody but the creator, who may do what the others may not."""
    if len(room.members) == 1:
        return _say(author, room, users)
    user = room.members.pop(author.random.randrange(1, len(room.members)))
    return author.add(room, user, "m.room.member", {"membership": "leave"}, state_key=user.user_id)


def _rename(author: Author, room: Room, users: list[Session]) -> Facts:
    user = author.random.choice(room.members)
    name = f"{localpart_of(user.user_id)} {_text(author, 1)}"
    content = {"membership": "join", "displayname": name}
    return author.add(room, user, "m.room.member", content, state_key=user.user_id)


def _set_topic(author: Author, room: Room, users: list[Session]) -> Facts:
    topic = {"topic": _text(author, 8)}
    return author.add(room, room.members[0], "m.room.topic", topic, state_key="")


def _set_own_state(author: Author, room: Room, users: list[Session]) -> Facts:
    """A type of an application's own, under one of a few keys."""
    content = {"value": author.random.randrange(1_000), "note": _text(author, 4)}
    key = f"sensor-{author.random.randrange(10)}"
    return author.add(room, room.members[0], "org.example.reading", content, state_key=key)


def _redact(author: Author, room: Room, users: list[Session]) -> Facts:
    if not room.recent:
        return _say(author, room, users)
    place = author.random.randrange(len(room.recent))
    taken_back, sender = room.recent[place]
    del room.recent[place]
    if sender not in room.members:
        sender = room.members[0]
    return author.send(room, sender, "m.room.redaction", {"redacts": taken_back, "reason": "a mistake"})


_SHARES: dict[Step, int] = {
    _say: 810,
    _react: 60,
    _join_or_invite: 60,
    _set_own_state: 20,
    _redact: 20,
    _leave: 10,
    _rename: 10,
    _set_topic: 10,
}
"""Of 1,000 events that follow a room's first ones."""

_STEPS = tuple(_SHARES)
_UP_TO_STEP = tuple(accumulate(_SHARES.values()))
