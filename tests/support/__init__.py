"""What the tests share about things that may be missing."""

import os

import pytest


def missing(words):
    """Skip the test for want of what `words` tell; with CI=true that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{words} With CI=true this fails, and is not skipped.", False)
    pytest.skip(words)


def need_real_data():
    """Go on only where MNIST and Fashion-MNIST themselves are to be had."""
    from utils import data  # here, as tests of the book need no MXNet

    if "BN_STANDIN" in os.environ:
        missing("BN_STANDIN is set, but this test needs the real data: unset it.")
    for dataset in data.SHA256:
        try:
            data.find(dataset)
        except FileNotFoundError as error:
            missing(str(error))
