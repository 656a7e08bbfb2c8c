"""Layers with two mistakes, of which the check has to name one."""

import pytest
from utils import check

from tests.support import confusion, zoo_check_pairs


@pytest.mark.parametrize("pair", zoo_check_pairs.drawn(40), ids=", ".join)
def test_one_of_two_mistakes_is_named(pair, record_property):
    names = {zoo_check_pairs.NAMES[switch] for switch in pair}
    verdict = check.batch_norm(zoo_check_pairs.layer(*pair))
    found, expected = " + ".join(verdict.mistakes) or verdict.outcome, "one of a pair"
    named = names & set(verdict.mistakes)
    confusion.note(
        record_property, expected, expected if named else f"{found}, for {pair}"
    )
    assert named, f"expected one of {names}\n{verdict}"
