"""Endpoints that come down to one decision: who asks, what they ask, and then it is the writer's turn.

Such an endpoint is a plain function. It makes of a request and its body a proposal, a decision and what is
to be decided, and the answer is whatever the decision answers. As nothing in it waits for anything but the
writer, it needs no task of its own:

* Most requests arrive whole, in one piece. The connection hands them to `Application.begin`, and when the
  batch is on disk, the answer is written to the connection by who settles the batch. No task has
  to be made for it, put to sleep and woken up again.
* The others, whose body is still to come, go the ordinary way: `Proposing` is an endpoint like any other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from projections.sessions import Session
from server.http.answers import Answer, answer
from server.http.context import context
from server.http.parsing import read_body
from server.http.refusals import refusal
from server.writer import Decision


class Proposal(NamedTuple):
    decision: Decision[Any, Any]
    arguments: Any


Admit: TypeAlias = Callable[[Request], Session]
"""Who asks, and whether they may ask now. Comes before anything of the body is looked at."""
Propose: TypeAlias = Callable[[Request, Session, bytes], Proposal]
Render: TypeAlias = Callable[[Any], Any]
"""The answer's JSON, of what the decision answered."""


class Proposing:
    """An endpoint. Its functions raise what other endpoints raise."""

    def __init__(self, admit: Admit, propose: Propose, render: Render) -> None:
        self._admit = admit
        self._propose = propose
        self._render = render
        self.__doc__ = propose.__doc__

    async def __call__(self, request: Request) -> Response:
        session = self._admit(request)
        proposal = self._propose(request, session, await read_body(request))
        return self._answer(await context(request).writer.decide(*proposal))

    def begin(self, request: Request, body: bytes, respond: Callable[[Response], None]) -> None:
        """Answer a request that is here as a whole. `respond` is called once, now or later."""

        def settle(outcome: Any) -> None:
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
                response: Response = self._answer(outcome)
            except Exception as error:
                response = refusal(request, error)
            respond(response)

        try:
            decision, arguments = self._propose(request, self._admit(request), body)
            context(request).writer.hand_in(decision, arguments, settle)
        except Exception as error:
            respond(refusal(request, error))

    def _answer(self, outcome: Any) -> Answer:
        return answer(self._render(outcome))
