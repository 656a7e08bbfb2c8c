"""Fixtures of all tests."""

import utils  # noqa: F401  (it makes `import mxnet` work, for all tests)
import pytest

from tests import support


@pytest.fixture(scope="session")
def real_data():
    """For tests that need MNIST and Fashion-MNIST themselves."""
    support.need_real_data()
