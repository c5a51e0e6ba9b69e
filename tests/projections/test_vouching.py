"""What stands in the place of an erased payload is what the entry that it names ordered, or it is told."""

from hashlib import sha256

from projections.facts import Fact, PayloadErased, RoomListed
from projections.vouching import Vouching

PRUNED, FORGED = b"pruned", b"forged"


def digest(payload: bytes) -> bytes:
    return sha256(payload).digest()


def order(position: int, payload: bytes = PRUNED) -> PayloadErased:
    return PayloadErased(position, (0,), digest(payload).hex())


def told(vouching: Vouching, position: int, *facts: Fact) -> list[str]:
    return [found.what for found in vouching.met(position, facts)]


def test_what_was_ordered_is_in_order() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(PRUNED))
    vouching.replaced(6, 9, digest(FORGED))
    assert told(vouching, 9, order(5), order(6, FORGED)) == []
    assert [*vouching.unmet()] == []


def test_something_else_than_was_ordered_is_told() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(FORGED))
    assert told(vouching, 9, order(5)) == [
        "entry 5: what stands for its erased payload is not what entry 9 ordered"
    ]


def test_an_entry_that_orders_something_else_is_told() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(PRUNED))
    assert told(vouching, 9, order(6), RoomListed("!room", is_public=True)) == [
        "entry 5: erased by order of entry 9, which orders no such thing"
    ]


def test_an_order_of_another_entry_does_not_count() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(PRUNED))
    assert told(vouching, 8, order(5)) == []
    assert told(vouching, 9) == ["entry 5: erased by order of entry 9, which orders no such thing"]


def test_an_order_that_is_not_met_is_told() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(PRUNED))
    assert [found.what for found in vouching.unmet()] == [
        "entry 5: erased by order of entry 9, which cannot be found"
    ]


def test_an_order_that_was_not_carried_out_concerns_nobody() -> None:
    vouching = Vouching()
    vouching.replaced(5, 9, digest(PRUNED))
    assert told(vouching, 9, order(5)) == []
    assert told(vouching, 12, order(5, FORGED), order(6)) == []
    assert [*vouching.unmet()] == []
