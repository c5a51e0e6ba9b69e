"""No bytes from outside get more out of a parser than it documents.

In every run the same inputs, few for each parser; with `--long` many more, and others each time.
"""

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.fuzzing import files, requests
from tests.fuzzing.target import Target, json_like

# Python warns of expressions that it may read in another way one day; the operator may write them.
pytestmark = pytest.mark.filterwarnings("ignore:Possible:FutureWarning")

TARGETS = requests.TARGETS | files.TARGETS

brief = settings(derandomize=True, database=None, max_examples=100, phases=[Phase.generate])
long = settings(max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@every_target
@brief
@given(data=st.data())
def test_what_is_refused_is_refused_as_documented(target: Target, data: st.DataObject) -> None:
    target.try_one(data.draw(target.inputs))


@pytest.mark.long
@every_target
@long
@given(data=st.data())
def test_much_is_refused_as_documented(target: Target, data: st.DataObject) -> None:
    target.try_one(data.draw(target.inputs))


@every_target
def test_something_is_taken(target: Target) -> None:
    """A check of the inputs: if all were refused, nothing would be known of what is taken."""
    find(target.inputs, target.try_one, settings=brief)


def test_a_faulty_parser_would_be_found() -> None:
    """The control: what is tried in every run is enough to find a plain mistake."""
    inputs = json_like({"body": "é"})
    knows_only_utf8 = Target(
        inputs, lambda text: text.decode(), lambda error: False, lambda text, found: True
    )

    @brief
    @given(data=st.data())
    def fuzz(data: st.DataObject) -> None:
        knows_only_utf8.try_one(data.draw(knows_only_utf8.inputs))

    with pytest.raises(UnicodeDecodeError):
        fuzz()
