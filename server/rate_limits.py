"""How often somebody may do something: the numbers, and how a table of the configuration changes them.

The buckets that count by them are in `server/http/limits.py`. A table names what it changes and leaves the
rest as it is:

    [rate_limit.send]
    burst = 1000

    [rate_limit.users."@bot:example.org"]
    unlimited = true

    [rate_limit.users."@bridge:example.org".send]
    per_second = 200
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeGuard, cast

import msgspec

from projections.identifiers import is_user_id

OfUser: TypeAlias = Literal["send", "state", "join", "invite", "profile"]
"""What users do who are logged in: counted by user, and by address for all who come from there."""
Bucket: TypeAlias = (
    OfUser
    | Literal["send_of_address", "state_of_address", "join_of_address"]
    | Literal["invite_of_address", "profile_of_address"]
    | Literal["register", "login", "login_failures", "login_failures_of_user"]
)

PER_SECOND_MIN, PER_SECOND_MAX = 1e-6, 1e6
BURST_MAX = 1_000_000


class Limit(msgspec.Struct, frozen=True):
    per_second: float
    burst: int


class LimitsOfUser(msgspec.Struct, frozen=True):
    """What the operator has set for one user."""

    is_unlimited: bool = False
    """Wrong passwords are counted all the same: it is others who guess them."""
    limits: Mapping[str, Limit] = {}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Generous for people and their bots; in the way of those who guess, flood or loop.

    An address may be a household, a company, or a proxy with everybody behind it, so that what all users
    of one address may do is twenty times what one of them may. Whoever has limits of their own is not
    counted by address.
    """

    is_on: bool = True
    send: Limit = Limit(per_second=50, burst=500)
    """Messages and redactions of one user."""
    send_of_address: Limit = Limit(per_second=1_000, burst=10_000)
    state: Limit = Limit(per_second=20, burst=300)
    """Pieces of state that one user sets, by whichever call: rooms made, members put out or banned."""
    state_of_address: Limit = Limit(per_second=400, burst=6_000)
    join: Limit = Limit(per_second=2, burst=100)
    """Rooms that one user joins."""
    join_of_address: Limit = Limit(per_second=40, burst=2_000)
    invite: Limit = Limit(per_second=2, burst=100)
    """People whom one user invites, by whichever call: a new room takes as many as it invites, at once."""
    invite_of_address: Limit = Limit(per_second=40, burst=2_000)
    profile: Limit = Limit(per_second=0.2, burst=20)
    """Changes of one user's profile; each may make an event in every room that they are in."""
    profile_of_address: Limit = Limit(per_second=4, burst=400)
    register: Limit = Limit(per_second=0.5, burst=50)
    """New accounts from one address."""
    login: Limit = Limit(per_second=1, burst=50)
    """Logins from one address; each costs a slow hash."""
    login_failures: Limit = Limit(per_second=1 / 30, burst=10)
    """Wrong passwords for one user from one address: a thousand guesses take eight hours.

    By user alone, anybody could lock somebody out by being wrong on purpose.
    """
    login_failures_of_user: Limit = Limit(per_second=0.2, burst=200)
    """Wrong passwords for one user from all addresses together.

    Without it, whoever has a thousand addresses would guess a thousand times as fast. With it, whoever has
    twenty can keep a user from logging in, for as long as they go on; devices that are logged in are not
    touched by that.
    """
    users: Mapping[str, LimitsOfUser] = {}

    def of(self, name: Bucket, user_id: str = "") -> Limit | None:
        """The limit of a bucket for a user; `None` if there is none. Without `user_id`, for anybody."""
        own = self.users.get(user_id)
        if own is not None:
            if name in own.limits:
                return own.limits[name]
            if own.is_unlimited and is_of_user(name):
                return None
        common: Limit = getattr(self, name)
        return common

    def has_own(self, name: OfUser, user_id: str) -> bool:
        own = self.users.get(user_id)
        return own is not None and (own.is_unlimited or name in own.limits)


OF_USER: tuple[OfUser, ...] = ("send", "state", "join", "invite", "profile")
BUCKETS = tuple(name for name in Limits.__struct_fields__ if name not in ("is_on", "users"))
_SET_BY_USER = (*OF_USER, "login_failures", "login_failures_of_user")
"""Registrations and logins are counted before anybody knows whose they are."""


def is_of_user(name: str) -> TypeGuard[OfUser]:
    return name in OF_USER


class LimitsError(Exception):
    """A table of limits cannot be used; says everything that is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def limits_from(table: Mapping[str, Any]) -> Limits:
    """The limits with what a table of the configuration changes. Raises `LimitsError` with all its faults."""
    faults: list[str] = []
    users = table.get("users", {})
    buckets = {name: value for name, value in table.items() if name != "users"}
    changed = dict(_limits_in(buckets, BUCKETS, Limits(), "", faults))
    common = msgspec.structs.replace(Limits(), **changed)
    if not isinstance(users, dict):
        faults.append("users must be a table of user ids")
        users = {}
    own = {user_id: _limits_of_user(user_id, given, common, faults) for user_id, given in users.items()}
    if faults:
        raise LimitsError(faults)
    return msgspec.structs.replace(common, users=own)


def _limits_of_user(user_id: str, given: Any, common: Limits, faults: list[str]) -> LimitsOfUser:
    place = f'users."{user_id}"'
    if not is_user_id(user_id):
        faults.append(f"{place} is no user id; one looks like @bot:example.org")
    if not isinstance(given, dict):
        faults.append(f"{place} must be a table")
        return LimitsOfUser()
    is_unlimited = given.get("unlimited", False)
    if not isinstance(is_unlimited, bool):
        faults.append(f"{place}.unlimited must be true or false")
    buckets = {name: value for name, value in given.items() if name != "unlimited"}
    own = dict(_limits_in(buckets, _SET_BY_USER, common, place + ".", faults))
    return LimitsOfUser(is_unlimited is True, own)


def _limits_in(
    tables: Mapping[str, Any], known: Collection[str], common: Limits, place: str, faults: list[str]
) -> Iterator[tuple[str, Limit]]:
    for name, given in tables.items():
        if name not in known:
            faults.append(f"{place}{name}: there is no such limit{_did_you_mean(name, known)}")
        elif not isinstance(given, dict):
            faults.append(f"{place}{name} must be a table of per_second and burst")
        else:
            right = {key: given[key] for key in given if _is_right(key, given[key], place + name, faults)}
            yield name, msgspec.structs.replace(getattr(common, name), **right)


def _is_right(key: str, value: Any, place: str, faults: list[str]) -> bool:
    """Says what is wrong, if anything is. To Python a truth value is a number; to people it is none."""
    if key == "per_second":
        wanted = f"a number from {PER_SECOND_MIN:.6f} to {PER_SECOND_MAX:.0f}"
        is_right = type(value) in (int, float) and PER_SECOND_MIN <= value <= PER_SECOND_MAX
    elif key == "burst":
        wanted = f"a whole number from 1 to {BURST_MAX}"
        is_right = type(value) is int and 1 <= value <= BURST_MAX
    else:
        faults.append(f"{place}.{key}: there is no such key; there are per_second, burst")
        return False
    if not is_right:
        faults.append(f"{place}.{key} must be {wanted}")
    return is_right


def _did_you_mean(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def of_address(name: OfUser) -> Bucket:
    """The bucket of all users of one address, beside that of each."""
    return cast(Bucket, f"{name}_of_address")
