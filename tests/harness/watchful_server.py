"""`roomlog`, but that its patrol walks without a pause, where it begins an hour after the start otherwise."""

import runpy
from functools import partial
from unittest.mock import patch

from server import app, patrol

if __name__ == "__main__":
    at_once = partial(patrol.patrolling, share=1.0, seconds_before_first=0, seconds_per_round=0)
    with patch.object(app, "patrolling", at_once):
        runpy.run_module("server.cli", run_name="__main__")
