"""The layers that pairs of mistakes are made of, with one mistake and with none."""

import pytest
from utils import check

from tests.support import confusion, zoo_check_pairs


@pytest.mark.parametrize("switch", zoo_check_pairs.NAMES)
def test_the_mistake_that_is_switched_on_is_named(switch, record_property):
    expected = zoo_check_pairs.NAMES[switch]
    verdict = check.batch_norm(zoo_check_pairs.layer(switch))
    found = " + ".join(verdict.mistakes) or verdict.outcome
    confusion.note(record_property, expected, found)
    assert found == expected, str(verdict)


def test_without_a_mistake_the_layer_is_right():
    verdict = check.batch_norm(zoo_check_pairs.layer())
    assert verdict.outcome == "right", str(verdict)
