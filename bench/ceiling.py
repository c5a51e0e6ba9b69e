"""The ceiling of a send: the same server around a route that reads the body and answers a constant.

Nothing that stores events can be faster than this on the same machine, under the same Python, Starlette,
uvicorn and connection class. Run as a process: prints its address, serves until it is killed.
"""

import socket
import sys

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.app import settle_memory, uvicorn_config
from server.http.doorkeeper import Doorkeeper, bounds_here

_ANSWER = b'{"event_id":"$' + b"c" * 43 + b'"}'
"""As long as that of a send."""


async def answer_constant(request: Request) -> Response:
    await request.body()
    return Response(_ANSWER, media_type="application/json")


async def serve() -> None:
    path = "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}"
    app = Starlette(routes=[Route(path, answer_constant, methods=["PUT"])])
    listening = socket.create_server(("127.0.0.1", 0))
    host, port = listening.getsockname()
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    settle_memory()
    await uvicorn.Server(uvicorn_config(app, Doorkeeper(bounds_here()))).serve([listening])


if __name__ == "__main__":
    uvloop.run(serve())
