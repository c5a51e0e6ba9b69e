"""Who asked to be erased."""

from projections import erasures
from projections.facts import AccountDeactivated
from tests.projections.folding import ALICE, BOB, Folding


def test_an_erasure_is_known_with_its_place(folding: Folding) -> None:
    folding.entry(AccountDeactivated(BOB, 1))
    order = folding.entry(AccountDeactivated(ALICE, 2, erase=True))
    with folding.view() as view:
        assert erasures.erased_at(view, ALICE) == order
        assert erasures.erased_at(view, BOB) is None
