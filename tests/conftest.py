"""Which tests share a process where they run side by side (`--dist loadgroup`)."""

import pytest


def pytest_itemcollected(item):
    """A file's tests share what it sets up, and all in book/ share one build."""
    folder = item.path.parent.name
    group = folder if folder == "book" else item.path.name
    item.add_marker(pytest.mark.xdist_group(group))
