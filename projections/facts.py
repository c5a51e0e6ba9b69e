"""The vocabulary of the log: every kind of fact that an entry can state.

A fact is for ever. Kinds are only added, fields are only added and have a default, and nothing is
renamed: `tests/golden/` keeps a small log of every released form, and each of them must decode.
When something can be derived from a fact, a projection derives it; it does not become a fact.

An entry's payload is a JSON array of facts, in the order in which they hold. JSON, because a room
event is canonical JSON already and is spliced in as it was hashed, and because a log that people can
read with their eyes (`roomlog show`) is a log that they can trust. Whatever a fold must not produce itself
(time, identifiers, random values) stands in the fact. Secrets never do: passwords are argon2id hashes,
tokens are SHA-256 digests.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from eventlog.log import Position
from projections.computed import computed
from projections.events import Event, decode_event

Order: TypeAlias = int
"""Where a fact stands among all facts: the position of its entry and its index in it, as one integer."""

FACTS_IN_ENTRY_MAX = 1 << 16


def order_of(position: Position, index: int = 0) -> Order:
    return position << 16 | index


def position_of(order: Order) -> Position:
    return order >> 16


def index_of(order: Order) -> int:
    """Which of its entry's facts it is."""
    return order & (FACTS_IN_ENTRY_MAX - 1)


def end_of(position: Position) -> Order:
    """The greatest order within an entry: whatever is past it came with a later entry."""
    return position << 16 | (FACTS_IN_ENTRY_MAX - 1)


class _Fact(msgspec.Struct, frozen=True, tag_field="fact", omit_defaults=True):
    """All facts are tagged with a name that never changes."""


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """The request that caused a fact, where the client named it by a transaction id.

    The scope of `id` is the user acted as, the device and the request: two requests are the same one
    only if all of them are equal.
    """

    device_id: str
    """For an application service that names none: NUL, which is in no device's id, and the service's id."""
    request: str
    """HTTP method and decoded path without the version prefix, so that all prefixes share one scope."""
    id: str


class ServerNamed(_Fact, frozen=True, tag="server_named"):
    """The first fact of a log: the name that stands in all its identifiers."""

    server_name: str
    created_ts: int


class Remains(msgspec.Struct, frozen=True, omit_defaults=True):
    """What folds need of an event whose content was erased, and pruning does not keep."""

    redacts: str | None = None
    room_version: str | None = None


class RoomEvent(_Fact, frozen=True, tag="room_event", dict=True):
    """An event was accepted into a room."""

    event_id: str
    stored: msgspec.Raw = msgspec.field(name="event")
    """Canonical JSON, as hashed."""
    transaction: Transaction | None = None
    remains: Remains | None = None
    """Only once the content was erased; `event` is pruned then."""

    @computed
    def event(self) -> Event:
        return decode_event(self.stored)

    @computed
    def room_id(self) -> str:
        return self.event.room_id or "!" + self.event_id[1:]

    @property
    def redacts(self) -> str | None:
        """The event that this one took back when it came, whatever has become of its own content."""
        return self.event.redacts if self.remains is None else self.remains.redacts

    @property
    def room_version(self) -> str:
        """Of the room that this event begins."""
        known = self.event.content.get("room_version") if self.remains is None else self.remains.room_version
        return "1" if known is None else known


class AccountRegistered(_Fact, frozen=True, tag="account_registered"):
    user_id: str
    password_hash: str
    """argon2id in its encoded form; empty if nobody can log in with a password."""
    registered_ts: int


class PasswordChanged(_Fact, frozen=True, tag="password_changed"):
    user_id: str
    password_hash: str
    """As in `AccountRegistered`."""
    changed_ts: int


class AccountDeactivated(_Fact, frozen=True, tag="account_deactivated"):
    """Nobody can log in to the account any more; its name stays taken."""

    user_id: str
    deactivated_ts: int
    erase: bool = False
    """Did the user ask that newcomers be shown as little as possible of what they sent?"""


class SessionOpened(_Fact, frozen=True, tag="session_opened"):
    """A token was issued for a device. Tokens that the device had before are void from here on."""

    user_id: str
    device_id: str
    token_digest: str
    """SHA-256 of the access token, hexadecimal."""
    opened_ts: int
    display_name: str | None = None
    """`None` keeps the name that the device had."""
    refresh_token_digest: str | None = None
    """SHA-256 of the refresh token; `None` if the client did not ask for one."""
    expires_ts: int | None = None
    """From when on the access token is void; `None`: only once the session is closed."""


class SessionRefreshed(_Fact, frozen=True, tag="session_refreshed"):
    """A refresh token was exchanged for new tokens. The former ones hold beside them for now."""

    user_id: str
    device_id: str
    token_digest: str
    refresh_token_digest: str
    expires_ts: int
    refreshed_ts: int


class RefreshConfirmed(_Fact, frozen=True, tag="refresh_confirmed"):
    """The tokens of the last refresh were used for the first time; the refresh token before them is void."""

    user_id: str
    device_id: str


class SessionClosed(_Fact, frozen=True, tag="session_closed"):
    """The device and its tokens are gone."""

    user_id: str
    device_id: str


class DeviceRenamed(_Fact, frozen=True, tag="device_renamed"):
    user_id: str
    device_id: str
    display_name: str


class AliasSet(_Fact, frozen=True, tag="alias_set"):
    alias: str
    room_id: str
    user_id: str
    """Who made the alias, and may therefore remove it."""


class AliasRemoved(_Fact, frozen=True, tag="alias_removed"):
    alias: str


class RoomListed(_Fact, frozen=True, tag="room_listed"):
    """The room's entry in the public list was made or taken away."""

    room_id: str
    is_public: bool


class FilterStored(_Fact, frozen=True, tag="filter_stored"):
    """A user put a filter on the server, to name it by its id from then on."""

    user_id: str
    filter_id: str
    definition: msgspec.Raw = msgspec.field(name="filter")
    """JSON, with sorted keys."""


class RequestAnswered(_Fact, frozen=True, tag="request_answered"):
    """A request with a transaction id was carried out, by the facts beside this one if it changed anything.

    For requests that are no single event: those have the transaction in the `RoomEvent`.
    """

    user_id: str
    transaction: Transaction
    answer: Any
    """JSON: what the decision answered."""


class RoomForgotten(_Fact, frozen=True, tag="room_forgotten"):
    """A user who is out of a room wants to hear nothing more of it, not even its past."""

    user_id: str
    room_id: str


class ProfileChanged(_Fact, frozen=True, tag="profile_changed"):
    """A user set a field of their profile, or took it away.

    The member events that show it stand beside this fact, and in the entries after it if they are many.
    """

    user_id: str
    field: str
    changed_ts: int
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """JSON, with sorted keys; absent if the field was taken away, which is something else than `null`."""


class AppserviceTransactionBegun(_Fact, frozen=True, tag="appservice_transaction_begun"):
    """From here on an application service is sent this transaction until it acknowledges it.

    It acknowledged all transactions before this one. A transaction without events is not sent: it says only
    how far the log was looked through, as the first one of a service does.
    """

    appservice_id: str
    number: int
    """0, 1, 2 … for each service; the transaction's id."""
    orders: tuple[Order, ...]
    """The events in it, at most 100."""
    upto: Order
    """No event up to here is for the service, but for those in this transaction and in those before it."""
    begun_ts: int


class PayloadErased(_Fact, frozen=True, tag="payload_erased"):
    """What some facts of an earlier entry say of people is taken out of the log.

    From here on nobody is shown it, and the earlier entry is overwritten once this one is durable.
    """

    position: Position
    """Of the entry that is overwritten."""
    indexes: tuple[int, ...]
    """Which of its facts lose their content."""
    digest: str
    """SHA-256 of what stands there instead, hexadecimal: so that the chain vouches for it."""


class ErasureCompleted(_Fact, frozen=True, tag="erasure_completed"):
    """Nothing is left, in log and views, of what was ordered to be erased so far."""

    upto: Order
    """The last `PayloadErased` that was carried out."""
    user_ids: tuple[str, ...] = ()
    """Users who gave their account up and of whom there was nothing more to erase."""


Fact: TypeAlias = (
    ServerNamed
    | RoomEvent
    | AccountRegistered
    | PasswordChanged
    | AccountDeactivated
    | SessionOpened
    | SessionRefreshed
    | RefreshConfirmed
    | SessionClosed
    | DeviceRenamed
    | AliasSet
    | AliasRemoved
    | RoomListed
    | FilterStored
    | RequestAnswered
    | RoomForgotten
    | ProfileChanged
    | AppserviceTransactionBegun
    | PayloadErased
    | ErasureCompleted
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Fact, ...])


def encode_entry(facts: Sequence[Fact]) -> bytes:
    """The payload of one entry."""
    if not 0 < len(facts) <= FACTS_IN_ENTRY_MAX:
        raise ValueError(f"an entry holds 1 to {FACTS_IN_ENTRY_MAX} facts, not {len(facts)}")
    return _encoder.encode(facts)


def decode_entry(payload: bytes) -> tuple[Fact, ...]:
    """The facts of one entry. Raises `msgspec.DecodeError` for bytes that are no entry of ours."""
    try:
        return _decoder.decode(payload)
    except (UnicodeDecodeError, RecursionError) as error:  # text that is no UTF-8, nesting without end
        raise msgspec.DecodeError(str(error)) from error
