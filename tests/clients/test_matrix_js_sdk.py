"""The ordinary life of people in a room, each with an unmodified matrix-js-sdk.

`ordinary_life.mjs` drives it in node and says what was seen in every step; it is judged here. In the middle
of it the server is stopped and started again, and later killed.
"""

import json
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.clients.node_package import HERE, node_with_client
from tests.harness.server_process import ServerProcess

_SECONDS_OF_LIFE = 120
ALICE, BOB, CAROL = "@alice:localhost", "@bob:localhost", "@carol:localhost"
LEAVES = [f"leaf {number}" for number in range(25)]

SEEN = {
    "register": {"stages": ["m.login.dummy"], "flows": ["m.login.password"]},
    "log in": {"users": [ALICE, BOB, CAROL], "isSyncing": [True, True, True]},
    "meet": {
        "invite": {"name": "Tea", "by": ALICE},
        "name": "Tea",
        "alias": "#tea:localhost",
        "aliasLeadsTo": True,
        "encrypted": False,
    },
    "talk": {
        # On its way; answered, now under its true id; come back by /sync, as the same event.
        "statuses": [["sending", None], ["sent", True], [None, False]],
        "transactionCameBack": True,
        "texts": [["Is it hot?", "It is."]] * 2,
    },
    "edit": {"name": "Green tea", "topic": "Cups", "refusal": [403, "M_FORBIDDEN"]},
    "redact": {"content": {}, "by": ALICE, "reason": "spilt"},
    "scroll back": {
        "begun": LEAVES[-4:],
        "texts": ["It is.", *LEAVES],
        "first": "m.room.create",
        "isEachOnce": True,
    },
    "look around": {
        "isFound": True,
        "begun": 6,
        "first": "m.room.create",
        "last": "leaf 24",
        "isEachOnce": True,
    },
    "members": {"count": 3, "before": [BOB, CAROL], "after": [ALICE, BOB, CAROL]},
    "throw out": {
        "memberships": [
            ["join", None],
            ["leave", "too loud"],
            ["join", None],
            ["ban", "louder still"],
            ["leave", None],
            ["join", None],
        ],
        "refusal": [403, "M_FORBIDDEN"],
    },
    "forget": {"isKnown": False},
    "public rooms": {"isThis": True, "name": "Green tea", "topic": "Cups", "members": 2, "others": 0},
    "restart": {"unsent": "ConnectionError", "statuses": ["not_sent"], "counts": [1, 1, 1]},
    "upgrade": {
        "isReplacedByIt": True,
        "isSuccessor": True,
        "history": 2,
        "versions": ["12", "11"],
        "name": "Green tea",
        "refusal": "M_FORBIDDEN",
    },
    "log out": {
        "stages": ["m.login.password"],
        "heard": [True, False],
        "isOtherLoggedIn": True,
        "refusal": [401, "M_UNKNOWN_TOKEN"],
    },
}

MEANT_REFUSALS = {
    ("POST", 401, None): 3,  # what a registration takes
    ("DELETE", 401, None): 1,  # what the removal of a device takes
    ("PUT", 403, "M_FORBIDDEN"): 2,  # a name set without power, a word in a room that has moved
    ("POST", 403, "M_FORBIDDEN"): 1,  # a join of who is banned
    ("GET", 401, "M_UNKNOWN_TOKEN"): 2,  # a sync and a question with tokens that were revoked
}


def test_matrix_js_sdk_lives_here_through_a_restart_and_a_kill(server: ServerProcess, tmp_path: Path) -> None:
    life = lived(node_with_client(), server, tmp_path / "said by node")
    requests, kill = life.pop("requests")["requests"], life.pop("kill")
    assert life == SEEN
    assert_nothing_is_missing_or_doubled(kill)
    assert refused(requests) == MEANT_REFUSALS


def refused(requests: list[dict[str, Any]]) -> Counter[tuple[str, int, str | None]]:
    """How often which method was answered with which error; nothing is asked for that is not there."""
    return Counter(
        (one["method"], one["status"], one.get("errcode")) for one in requests if one["status"] >= 400
    )


def assert_nothing_is_missing_or_doubled(kill: dict[str, Any]) -> None:
    """Some of it was acknowledged before the kill, the rest was sent again; each of three clients has all."""
    assert kill["acknowledged"] >= 10
    assert kill["failed"] > 0
    assert kill["counts"] == [[1] * (kill["acknowledged"] + kill["failed"])] * 3


def lived(node: str, server: ServerProcess, errors: Path) -> dict[str, dict[str, Any]]:
    """What was seen, by step. What the client asks for on the way, is done to the server."""
    wishes = {"stop": server.stop, "start": server.start, "kill": server.restart}
    command = [node, str(HERE / "ordinary_life.mjs"), server.address]
    life: dict[str, dict[str, Any]] = {}
    with (
        errors.open("w") as heard,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=heard, text=True
        ) as living,
    ):
        assert living.stdin is not None
        assert living.stdout is not None
        patience = threading.Timer(_SECONDS_OF_LIFE, living.kill)
        patience.start()
        try:
            for line in living.stdout:
                seen = json.loads(line)
                if "please" in seen:
                    wishes[seen["please"]]()
                    living.stdin.write("done\n")
                    living.stdin.flush()
                else:
                    life[seen.pop("step")] = seen
        finally:
            patience.cancel()
            living.kill()
    assert living.returncode == 0, f"after {list(life)}: {errors.read_text()[-4000:]}"
    return life
