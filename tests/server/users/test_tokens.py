"""Tokens cannot be guessed, and what is kept of them is no use to anybody."""

import math
import re

from server import app
from server.users.tokens import digest_of, new_token, new_tokens

BITS_MIN = 128


def test_a_token_has_more_than_enough_bits() -> None:
    token = new_token(app._random_text)
    assert re.fullmatch("[a-zA-Z0-9]+", token)
    assert len(token) * math.log2(len(app._LETTERS_AND_DIGITS)) >= 2 * BITS_MIN


def test_no_two_are_alike() -> None:
    tokens = {new_token(app._random_text) for _ in range(1_000)}
    assert len(tokens) == 1_000


def test_every_character_varies() -> None:
    """A generator that is seeded, or that leaves a place as it is, would show here."""
    columns = zip(*(new_token(app._random_text) for _ in range(200)), strict=True)
    assert min(len(set(column)) for column in columns) > 30


def test_a_refresh_token_is_another_one() -> None:
    made = new_tokens(app._random_text, is_refreshable=True)
    assert made.refresh_token not in (None, made.access_token)


def test_what_is_kept_is_a_sha256() -> None:
    assert digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
