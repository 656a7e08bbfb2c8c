"""The machine that something is measured on, and what is installed there."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = "mxnet", "mxnet-cu112", "numpy", "torch"


def describe():
    """A dict: processor, versions of Python and of the packages there, and load."""
    return {
        "processor": processor(),
        "python": platform.python_version(),
        **versions(PACKAGES),
        "load": round(os.getloadavg()[0], 2),
    }


def processor():
    """The processor's name and the number of cores that this process may use."""
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):  # no Linux, or one that names no model
        name = platform.processor() or "unknown processor"
    return f"{name}, {cores()} cores"


def cores():
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def versions(packages):
    """{package: version} of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found
