"""The folds of who there is, and of the name that all identifiers carry."""

from projections import accounts
from projections.accounts import Account
from projections.facts import AccountDeactivated, AccountRegistered, PasswordChanged, ServerNamed
from projections.server_name import server_name
from tests.projections.folding import ALICE, BOB, Folding


def test_account_is_what_its_registration_says(folding: Folding) -> None:
    folding.entry(AccountRegistered(ALICE, "$argon2id$", 7))
    with folding.view() as view:
        known = accounts.account(view, ALICE)
        assert known is not None
        assert (known.user_id, known.password_hash, known.registered_ts) == (ALICE, "$argon2id$", 7)
        assert accounts.account(view, BOB) is None


def test_accounts_are_all_that_there_are(folding: Folding) -> None:
    folding.entry(AccountRegistered(ALICE, "", 1))
    folding.entry(AccountRegistered(BOB, "", 2))
    with folding.view() as view:
        assert {known.user_id for known in accounts.accounts(view)} == {ALICE, BOB}


def test_account_keeps_all_but_what_changed(folding: Folding) -> None:
    folding.entry(AccountRegistered(ALICE, "old hash", 7))
    folding.entry(PasswordChanged(ALICE, "new hash", 8))
    folding.entry(AccountDeactivated(ALICE, 9))
    with folding.view() as view:
        assert accounts.account(view, ALICE) == Account(ALICE, "new hash", 7, deactivated_ts=9)


def test_nothing_is_made_of_an_account_that_is_not(folding: Folding) -> None:
    folding.entry(PasswordChanged(ALICE, "new hash", 8), AccountDeactivated(ALICE, 9))
    with folding.view() as view:
        assert accounts.account(view, ALICE) is None


def test_server_has_a_name_once_the_log_has_begun(folding: Folding) -> None:
    with folding.view() as view:
        assert server_name(view) is None
    folding.entry(ServerNamed("example.org", 1))
    with folding.view() as view:
        assert server_name(view) == "example.org"
