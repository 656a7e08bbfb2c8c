"""Fixtures of all tests."""

import utils  # noqa: F401  (it makes `import mxnet` work, for all tests)
import pytest

from tests import support
from tests.support import confusion


@pytest.fixture(scope="session")
def real_data():
    """For tests that need MNIST and Fashion-MNIST themselves."""
    support.need_real_data()


def pytest_terminal_summary(terminalreporter):
    """Say what the checks of `utils.check` took the layers of their zoo for."""
    reports = (r for rs in terminalreporter.stats.values() for r in rs)
    if lines := confusion.table(reports):
        terminalreporter.section("confusion table of the checks")
        for line in lines:
            terminalreporter.line(line)
