"""Events of a room: send, set state, redact; read one, read the state, read page by page.

The way of one message begins here. Where: client-server API, "Sending events to a room", "Getting events
for a room", "Redactions".
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from projections import memberships, state
from projections.facts import end_of
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import timestamp_of
from server.http.context import context
from server.http.identity import admitted, authenticate, check_rate
from server.http.parsing import parse_object, query_choice, query_integer, query_text
from server.http.proposals import Proposal, Proposing
from server.http.routing import CLIENT, Rendering, Route, rendering
from server.http.transactions import transaction_of
from server.rooms.client_format import ClientFormat
from server.rooms.membership import MEMBERSHIPS
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from server.rooms.timestamps import dated
from server.rooms.visibility import readable_as_of, readable_until, visible_event
from server.sync.filters import parse_event_filter
from server.sync.pagination import LIMIT_DEFAULT, LIMIT_MAX, PageRequest, page
from server.sync.tokens import parse_token, token_after


def send(request: Request, session: Session, body: bytes) -> Proposal:
    """PUT /rooms/{room_id}/send/{event_type}/{txn_id}, and POST without the transaction id."""
    path = request.path_params
    content = parse_object(body)
    if rendering(request) is Rendering.V1 and path["event_type"] == "m.room.message":
        _check_message(content)
    transaction = transaction_of(request, session)
    arguments = SendMessage(session, path["room_id"], path["event_type"], content, transaction)
    return Proposal(dated(send_message, timestamp_of(request)), arguments)


def put_state(request: Request, session: Session, body: bytes) -> Proposal:
    """PUT /rooms/{room_id}/state/{event_type}[/[{state_key}]]."""
    path = request.path_params
    content = parse_object(body)
    if path["event_type"] == "m.room.member" and content.get("membership") == "invite":
        check_rate(request, "invite", session.user_id)
    arguments = SetState(session, path["room_id"], path["event_type"], path.get("state_key", ""), content)
    return Proposal(dated(set_state, timestamp_of(request)), arguments)


def redact_event(request: Request, session: Session, body: bytes) -> Proposal:
    """PUT /rooms/{room_id}/redact/{event_id}/{txn_id}, and POST without the transaction id."""
    path = request.path_params
    content = parse_object(body or b"{}")
    transaction = transaction_of(request, session)
    return Proposal(redact, Redact(session, path["room_id"], path["event_id"], content, transaction))


def _event_id(event_id: str) -> dict[str, str]:
    return {"event_id": event_id}


async def get_state_event(request: Request) -> Response:
    """GET /rooms/{room_id}/state/{event_type}[/[{state_key}]]: the content, or all with `format=event`."""
    session = authenticate(request)
    path, form = request.path_params, query_choice(request, "format", ("content", "event"), "content")
    homeserver = context(request).homeserver
    with homeserver.views.read() as view:
        until = readable_until(view, path["room_id"], session.user_id)
        found = state.state_event(
            view, path["room_id"], path["event_type"], path.get("state_key", ""), at=until
        )
        if found is None:
            raise MatrixError(ErrorCode.NOT_FOUND, "There is no state under this type and key.")
        if form == "content":
            return answer(found.event.raw_content)
        shown = ClientFormat(view, session, homeserver.now(), legacy=rendering(request) is Rendering.V1)
        return answer(shown.event(found))


async def get_state(request: Request) -> Response:
    """GET /rooms/{room_id}/state: an array of all state events."""
    session = authenticate(request)
    room_id, homeserver = request.path_params["room_id"], context(request).homeserver
    with homeserver.views.read() as view:
        until = readable_until(view, room_id, session.user_id)
        shown = ClientFormat(view, session, homeserver.now(), legacy=rendering(request) is Rendering.V1)
        return answer(shown.events(state.state_of(view, room_id, at=until)))


async def get_members(request: Request) -> Response:
    """GET /rooms/{room_id}/members: the member events of everybody, now or as of a token."""
    session, parts = authenticate(request), context(request)
    room_id, at = request.path_params["room_id"], query_text(request, "at")
    wanted, unwanted = _membership(request, "membership"), _membership(request, "not_membership")
    with parts.homeserver.views.read() as view:
        if at is None:
            until = readable_until(view, room_id, session.user_id)
        else:
            place = parse_token(at, head=parts.audience.head, parameter="at")
            until = readable_as_of(view, room_id, session.user_id, place)
        shown = ClientFormat(view, session, parts.homeserver.now(), legacy=rendering(request) is Rendering.V1)
        found = [
            member
            for member in state.state_of_type(view, room_id, "m.room.member", at=until)
            if _is_wanted(member.event.content.get("membership"), wanted, unwanted)
        ]
        return answer({"chunk": shown.events(found)})


async def get_joined_members(request: Request) -> Response:
    """GET /rooms/{room_id}/joined_members: for those who are in the room."""
    session = authenticate(request)
    room_id = request.path_params["room_id"]
    with context(request).homeserver.views.read() as view:
        if not memberships.is_joined(view, room_id, session.user_id):
            raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")
        joined = {
            str(member.event.state_key): _profile_in(member.event.content)
            for member in state.state_of_type(view, room_id, "m.room.member")
            if member.event.content.get("membership") == "join"
        }
        return answer({"joined": joined})


async def get_event(request: Request) -> Response:
    """GET /rooms/{room_id}/event/{event_id} and GET /events/{event_id}."""
    session = authenticate(request)
    path, homeserver = request.path_params, context(request).homeserver
    with homeserver.views.read() as view:
        found = visible_event(view, path["event_id"], session.user_id, room_id=path.get("room_id"))
        shown = ClientFormat(view, session, homeserver.now(), legacy=rendering(request) is Rendering.V1)
        return answer(shown.event(found))


async def get_messages(request: Request) -> Response:
    """GET /rooms/{room_id}/messages: history, page by page, newest or oldest first."""
    session = authenticate(request)
    parts = context(request)
    head = parts.audience.head
    backwards = query_choice(request, "dir", ("b", "f")) == "b"
    begin, stop = query_text(request, "from"), query_text(request, "to")
    start = (
        (end_of(head) if backwards else 0)
        if begin is None
        else parse_token(begin, head=head, parameter="from")
    )
    wanted = parse_event_filter(query_text(request, "filter"))
    limit = query_integer(request, "limit", wanted.limit_or(LIMIT_DEFAULT), minimum=1, maximum=LIMIT_MAX)
    asked = PageRequest(
        room_id=request.path_params["room_id"],
        start=start,
        stop=None if stop is None else parse_token(stop, head=head, parameter="to"),
        backwards=backwards,
        limit=max(1, min(limit, wanted.limit_or(LIMIT_MAX))),
        wanted=wanted,
    )
    with parts.homeserver.views.read() as view:
        until = readable_until(view, asked.room_id, session.user_id)
        if begin is None and backwards:
            asked = asked._replace(start=min(start, until))
        now, is_legacy = parts.homeserver.now(), rendering(request) is Rendering.V1
        found = page(view, ClientFormat(view, session, now, legacy=is_legacy), asked, end_of(head))
    return answer({"start": begin or token_after(asked.start)} | found)


def _membership(request: Request, name: str) -> str | None:
    if query_text(request, name) is None:
        return None
    return query_choice(request, name, MEMBERSHIPS)


def _is_wanted(membership: object, wanted: str | None, unwanted: str | None) -> bool:
    """Given both, they are alternatives: what is wanted, and besides whatever is not unwanted."""
    if unwanted is None:
        return wanted in (None, membership)
    return membership == wanted or membership != unwanted


def _check_message(content: dict[str, Any]) -> None:
    """Of 2015, "Instant Messaging": a server should refuse a message that no client can show."""
    if not isinstance(content.get("msgtype"), str) or not isinstance(content.get("body"), str):
        raise MatrixError(ErrorCode.BAD_JSON, "A message needs `msgtype` and `body`, both strings.")


_PROFILE = (("displayname", "display_name", ""), ("avatar_url", "avatar_url", "mxc://"))
"""What it is called in an event and in an answer, and what it begins with."""


def _profile_in(content: dict[str, Any]) -> dict[str, Any]:
    """What a member says of itself, as far as it is what it should be: nobody made sure of that."""
    return {
        shown: content[stored]
        for stored, shown, beginning in _PROFILE
        if isinstance(content.get(stored), str) and content[stored].startswith(beginning)
    }


_SEND = Proposing(admitted("send"), send, _event_id)
_PUT_STATE = Proposing(admitted("state"), put_state, _event_id)
_REDACT = Proposing(admitted("send"), redact_event, _event_id)

_ROOM = "/rooms/{room_id}"
_STATE = _ROOM + "/state/{event_type}"

routes = (
    Route("PUT", _ROOM + "/send/{event_type}/{txn_id}", _SEND, CLIENT),
    Route("POST", _ROOM + "/send/{event_type}", _SEND, CLIENT),
    Route("PUT", _STATE, _PUT_STATE, CLIENT),
    Route("PUT", _STATE + "/", _PUT_STATE, CLIENT),
    Route("PUT", _STATE + "/{state_key}", _PUT_STATE, CLIENT),
    Route("GET", _STATE, get_state_event, CLIENT),
    Route("GET", _STATE + "/", get_state_event, CLIENT),
    Route("GET", _STATE + "/{state_key}", get_state_event, CLIENT),
    Route("GET", _ROOM + "/state", get_state, CLIENT),
    Route("GET", _ROOM + "/members", get_members, CLIENT),
    Route("GET", _ROOM + "/joined_members", get_joined_members, CLIENT),
    Route("GET", _ROOM + "/event/{event_id}", get_event, CLIENT),
    Route("GET", "/events/{event_id}", get_event, CLIENT),
    Route("GET", _ROOM + "/messages", get_messages, CLIENT),
    Route("PUT", _ROOM + "/redact/{event_id}/{txn_id}", _REDACT, CLIENT),
    Route("POST", _ROOM + "/redact/{event_id}", _REDACT, CLIENT),
)
