"""What makes two requests the same one: the transaction of a request that carries an id for it.

Where: client-server API, "Transaction identifiers".
"""

from urllib.parse import quote

from starlette.requests import Request

from projections.facts import Transaction
from projections.sessions import Session
from server.http.routing import matched_route


def transaction_of(request: Request, session: Session) -> Transaction | None:
    """`None` for a request without an id, which may be a second one however much it looks like the first.

    The scope is the path, decoded, without prefix and id; a slash within a segment stays apart.
    """
    parameters, matched = request.path_params, matched_route(request.scope)
    if matched is None or "txn_id" not in parameters:
        return None
    names = {name: "{" + name + "}" for name in parameters}
    path = matched.path.removesuffix("/" + names["txn_id"])
    values = {names[name]: quote(text, safe="") for name, text in parameters.items()}
    filled = "/".join(values.get(segment, segment) for segment in path.split("/"))
    return Transaction(session.device_id, f"{request.method} {filled}", parameters["txn_id"])
