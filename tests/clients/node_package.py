"""Installs the client that runs in node, once, beside the script that drives it.

Where node is missing, or the registry cannot be reached, the test is skipped and says so; any other failure
is one.
"""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_LOCKED = HERE / "package-lock.json"
_INSTALLED = HERE / "node_modules" / ".installed-package-lock.json"
"""A copy of what was installed; written last, so that half an installation is none."""
_OLDEST_NODE = 20
_SECONDS_TO_INSTALL = 60
_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|EPROTO"
    r"|E403|E407|E50\d|SELF_SIGNED_CERT\w*|UNABLE_TO_\w+)\b"
)
"""By name, or by a proxy in between."""


def node_with_client() -> str:
    """The path of a node that can import the client."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"needs node {_OLDEST_NODE} or later, and this one is {version}")
    # Of several workers that come here at once the first installs, the others wait for it.
    with _LOCKED.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not _INSTALLED.exists() or _INSTALLED.read_bytes() != _LOCKED.read_bytes():
            _install(npm)
    return node


def _install(npm: str) -> None:
    patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000")
    command = [npm, "ci", "--ignore-scripts", "--prefer-offline", *patience]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=_SECONDS_TO_INSTALL)
    except subprocess.TimeoutExpired:
        pytest.skip(f"needs the npm registry, which did not answer in {_SECONDS_TO_INSTALL} s")
    unreachable = _UNREACHABLE.search(done.stderr)
    if done.returncode != 0 and unreachable:
        pytest.skip(f"needs the npm registry, which cannot be reached: {unreachable[0]}")
    assert done.returncode == 0, done.stderr
    shutil.copyfile(_LOCKED, _INSTALLED)
