"""How far application services have been told of the log."""

from projections import appservices
from projections.appservices import AppserviceTransaction
from projections.facts import AppserviceTransactionBegun, order_of
from tests.projections.folding import Folding

TIME = 1_700_000_000_000


def test_the_newest_transaction_of_a_service_stands(folding: Folding) -> None:
    for number in range(3):
        orders = (order_of(number + 5), order_of(number + 5, 1))
        folding.entry(AppserviceTransactionBegun("irc", number, orders, order_of(number + 6), TIME))
    with folding.view() as view:
        newest = appservices.newest_transaction(view, "irc")
    assert newest == AppserviceTransaction(2, (order_of(7), order_of(7, 1)), order_of(8))


def test_services_are_kept_apart(folding: Folding) -> None:
    folding.entry(AppserviceTransactionBegun("irc", 7, (), order_of(3), TIME))
    folding.entry(AppserviceTransactionBegun("sms", 0, (), order_of(4), TIME))
    with folding.view() as view:
        assert appservices.newest_transaction(view, "irc") == AppserviceTransaction(7, (), order_of(3))
        assert appservices.newest_transaction(view, "xmpp") is None
