"""What is worth a notification: GET /pushrules/ and its parts. Nothing can be set yet.

Where: client-server API, "Push Rules: API"; there is one scope, `global`.
"""

from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.identity import authenticate
from server.http.routing import CLIENT, TODAY, Rendering, Route, rendering
from server.users.push_rules import PushRule, rules_for


async def get_rulesets(request: Request) -> Response:
    """GET /pushrules/; in 2015 devices could have rules of their own, and here none has."""
    rulesets = {"global": rules_for(authenticate(request).user_id)}
    return answer({"device": {}, **rulesets} if rendering(request) is Rendering.V1 else rulesets)


async def get_rules(request: Request) -> Response:
    """GET /pushrules/global/."""
    return answer(rules_for(authenticate(request).user_id))


async def get_rule(request: Request) -> Response:
    """GET /pushrules/global/{kind}/{rule_id}."""
    return answer(_rule(request))


async def get_enabled(request: Request) -> Response:
    """GET /pushrules/global/{kind}/{rule_id}/enabled."""
    return answer({"enabled": _rule(request)["enabled"]})


async def get_actions(request: Request) -> Response:
    """GET /pushrules/global/{kind}/{rule_id}/actions."""
    return answer({"actions": _rule(request)["actions"]})


def _rule(request: Request) -> PushRule:
    rules = rules_for(authenticate(request).user_id)
    for rule in rules.get(request.path_params["kind"], ()):
        if rule["rule_id"] == request.path_params["rule_id"]:
            return rule
    raise MatrixError(ErrorCode.NOT_FOUND, "There is no such push rule.")


_RULE = "/pushrules/global/{kind}/{rule_id}"

routes = (
    Route("GET", "/pushrules/", get_rulesets, CLIENT),
    Route("GET", "/pushrules/global/", get_rules, TODAY),
    Route("GET", _RULE, get_rule, TODAY),
    Route("GET", _RULE + "/enabled", get_enabled, TODAY),
    Route("GET", _RULE + "/actions", get_actions, TODAY),
)
