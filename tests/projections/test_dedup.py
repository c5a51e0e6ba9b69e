"""The transaction index: an event is found again by the request that made it, and by no other."""

import pytest

from projections import dedup
from projections.facts import Transaction
from tests.projections.folding import ALICE, BOB, Folding, created, room_event

REQUEST = Transaction("PHONE", "PUT /rooms/!room:localhost/send/m.room.message", "1")


@pytest.fixture
def sent(folding: Folding) -> Folding:
    folding.entry(created(), room_event("$1", transaction=REQUEST))
    return folding


def made(folding: Folding, user_id: str, transaction: Transaction) -> str | None:
    with folding.view() as view:
        return dedup.event_made_by(view, user_id, transaction)


def test_request_finds_its_event(sent: Folding) -> None:
    assert made(sent, ALICE, REQUEST) == "$1"


@pytest.mark.parametrize(
    ("user_id", "transaction"),
    [
        (BOB, REQUEST),
        (ALICE, Transaction("LAPTOP", REQUEST.request, "1")),
        (ALICE, Transaction("PHONE", "PUT /rooms/!room:localhost/send/org.example.own", "1")),
        (ALICE, Transaction("PHONE", "PUT /rooms/!other:localhost/send/m.room.message", "1")),
        (ALICE, Transaction("PHONE", REQUEST.request, "2")),
        (ALICE, Transaction("PHONE", REQUEST.request + "1", "")),
        (ALICE, Transaction("PHONE", "", REQUEST.request + "1")),
    ],
    ids=["user", "device", "event type", "room", "id", "id in the request", "request in the id"],
)
def test_other_requests_do_not_find_it(sent: Folding, user_id: str, transaction: Transaction) -> None:
    assert made(sent, user_id, transaction) is None


def test_event_without_a_transaction_is_not_indexed(folding: Folding) -> None:
    folding.entry(created())
    with folding.view() as view:
        assert [*view.scan(dedup.PROJECTION.tables[0])] == []


def test_redaction_does_not_make_the_request_new(sent: Folding) -> None:
    sent.entry(room_event("$2", "m.room.redaction", {"redacts": "$1"}))
    assert made(sent, ALICE, REQUEST) == "$1"
