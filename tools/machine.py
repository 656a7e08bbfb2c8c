"""The machine that something is measured on, and what is installed there."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from utils import device

PACKAGES = "mxnet", "mxnet-cu112", "numpy", "torch"


def describe() -> dict:
    """A dict: processor, versions of Python and of the packages there, and load."""
    return {
        "processor": device.hardware("cpu(0)"),
        "python": platform.python_version(),
        **versions(PACKAGES),
        "load": round(os.getloadavg()[0], 2),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """{package: version} of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found
