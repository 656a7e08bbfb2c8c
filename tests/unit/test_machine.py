"""What is told of the machine."""

import platform
import re

import numpy as np

from tools import machine


def test_the_machine_is_described():
    found = machine.describe()
    assert re.search(r", \d+ cores?$", found["processor"])
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["load"] >= 0


def test_only_packages_that_are_there_have_a_version():
    assert machine.versions(["numpy", "no-such-package"]) == {"numpy": np.__version__}
