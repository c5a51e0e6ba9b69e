"""`roomlog`, with a log of everything that any of its parts has to say."""

import logging
import runpy

if __name__ == "__main__":
    logging.basicConfig(level=1)
    runpy.run_module("server.cli", run_name="__main__")
