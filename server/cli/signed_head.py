"""The head of a log as a line that can be kept elsewhere, and a signature that says whose line it is.

A log whose last entries were cut off cleanly is a whole log: nothing in it tells. Somebody who kept the
chain of a later position can tell, and so can anybody to whom that line was given, if it is signed. The
key is an ordinary Ed25519 key in a PEM file, and what is signed is a line of plain text, so that others
need nothing of this program:

    roomlog head IDENTITY POSITION CHAIN
"""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from eventlog.log import Position
from server.cli.outcome import FINDING, Refused

_MAKE_A_KEY = "Make a key: openssl genpkey -algorithm ed25519 -out {file}"
_PUBLIC_KEY = "Its public half: openssl pkey -in KEYFILE -pubout -out {file}"


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    identity: str
    position: Annotated[Position, msgspec.Meta(ge=0)]
    chain: str
    """Hexadecimal; 64 zeros for an empty log."""
    signature: str | None = None
    """Ed25519, base64."""

    def text(self) -> bytes:
        """What is signed."""
        return f"roomlog head {self.identity} {self.position} {self.chain}\n".encode()


def sign(head: Head, key_file: Path) -> Head:
    key = _private_key(key_file)
    return msgspec.structs.replace(head, signature=b64encode(key.sign(head.text())).decode())


def read_head(file: Path) -> Head:
    """What `roomlog head` printed. Raises `Refused` for anything else."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Head)
    except (ValueError, RecursionError) as error:  # text that is no UTF-8 is a ValueError of another kind
        raise Refused(
            f"{file} is no head: {error}", "Name a file that holds what roomlog head printed."
        ) from None


def verify(head: Head, key_file: Path) -> None:
    """Raises `Refused` unless the owner of this public key signed the head."""
    key = _public_key(key_file)
    try:
        key.verify(b64decode(head.signature or "", validate=True), head.text())
    except (InvalidSignature, ValueError):
        raise Refused(
            f"the head is not signed by the key in {key_file}",
            "Nothing was compared. Take the head, and the key, from where you know that they are genuine.",
            FINDING,
        ) from None


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"{file} holds no private key: {error}", _MAKE_A_KEY.format(file=file)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"the key in {file} is not an Ed25519 key", _MAKE_A_KEY.format(file=file))
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (FileNotFoundError, ValueError, UnsupportedAlgorithm) as error:
        raise Refused(f"{file} holds no public key: {error}", _PUBLIC_KEY.format(file=file)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(f"the key in {file} is not an Ed25519 key", _PUBLIC_KEY.format(file=file))
    return key
