"""What users say of themselves, as the log has it."""

import msgspec

from projections import profiles
from projections.facts import AccountDeactivated, ProfileChanged
from tests.projections.folding import ALICE, BOB, Folding


def changed(name: str, value: bytes = b"", user_id: str = ALICE) -> ProfileChanged:
    return ProfileChanged(user_id, name, 1, msgspec.Raw(value) if value else msgspec.UNSET)


def profile_in(folding: Folding, user_id: str = ALICE) -> dict[str, bytes]:
    with folding.view() as view:
        return {name: bytes(value) for name, value in profiles.profile_of(view, user_id).items()}


def test_a_field_is_what_it_was_set_to_last(folding: Folding) -> None:
    folding.entry(changed("displayname", b'"Al"'))
    folding.entry(changed("displayname", b'"Alice"'), changed("displayname", b'"Bob"', BOB))
    assert profile_in(folding) == {"displayname": b'"Alice"'}


def test_fields_are_listed_by_name(folding: Folding) -> None:
    names = ["m.tz", "avatar_url", "displayname", "com.example.a", "com.example.b"]
    folding.entry(*(changed(name, b"1") for name in names))
    assert list(profile_in(folding)) == sorted(names)


def test_a_field_taken_away_is_not_there(folding: Folding) -> None:
    folding.entry(changed("displayname", b'"Alice"'), changed("com.example.a", b"null"))
    folding.entry(changed("displayname"))
    assert profile_in(folding) == {"com.example.a": b"null"}
    with folding.view() as view:
        assert profiles.field_of(view, ALICE, "displayname") is msgspec.UNSET


def test_erasing_an_account_erases_its_profile(folding: Folding) -> None:
    folding.entry(changed("displayname", b'"Alice"'), changed("displayname", b'"Bob"', BOB))
    folding.entry(AccountDeactivated(ALICE, 2, erase=True))
    assert profile_in(folding) == {}
    assert profile_in(folding, BOB) == {"displayname": b'"Bob"'}


def test_deactivation_alone_leaves_the_profile(folding: Folding) -> None:
    folding.entry(changed("displayname", b'"Alice"'))
    folding.entry(AccountDeactivated(ALICE, 2))
    assert profile_in(folding) == {"displayname": b'"Alice"'}
