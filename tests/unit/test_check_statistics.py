"""Layers with moving statistics, each with a mistake, which the check has to name."""

import pytest

from tests.support import (
    zoo_check,
    zoo_check_blocks,  # noqa: F401  (fills the zoo)
    zoo_check_statistics,  # noqa: F401
)
from tests.support.judge import judge


@pytest.mark.parametrize("name", zoo_check.names_in("statistics", "blocks"))
def test_the_mistake_is_named(name, record_property):
    judge(name, record_property)
