"""HTTP plumbing: what lies between a socket and a handler, the same for every section of the API.

A handler reads like a sentence: who asks, what they say, what is decided, what is answered. All of it but
the decision is here, once. Knows Matrix's rules about HTTP (prefixes, error bodies, CORS, tokens) and
none about rooms. May import what is below it in `server/`, and never `server/api/`.

Open `application.py` first, which puts the layers together, then `routing.py`:

    protocol.py     bytes on the connection; answers what is no HTTP, and floods
    doorkeeper.py   how many connections there may be, and how long each may dawdle
    routing.py      finds the handler by table
    refusals.py     whatever is raised becomes the one shape that errors have
    cors.py         headers for browsers on every answer
    context.py      the parts of the server, for handlers
    identity.py     who asks, and whether too often; from authentication.py and limits.py
    interactive.py  proof of more than a token
    waiting.py      answers that take their time
    parsing.py      bodies and query parameters in
    answers.py      values out
"""
