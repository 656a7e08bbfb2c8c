"""Which notebooks have to run again: a record of what the last green runs had read."""

import hashlib
import os

from regression import compare, record

# What every notebook's outputs depend on, besides the notebook itself.
DEPENDENCIES = [
    "utils/**/*.py",
    "requirements/*.txt",
    "regression/*.py",
    "pyproject.toml",
]
GREEN = "regression/green"  # in pytest's cache: what the last green runs had read


def run_key(path, root):
    """What identifies a run of a notebook: its path and the two switches."""
    switches = (compare.SHORT_PROFILE, compare.STAND_IN)
    return " ".join(
        [str(path.relative_to(root)), *(os.getenv(s, "-") for s in switches)]
    )


def digest(path, root):
    """A hash of all that can change what a run of the notebook gives."""
    files = [path, record.path_of(path)]
    files += sorted(path.parent.glob("*.spread.json"))
    for pattern in DEPENDENCIES:
        files += sorted(root.glob(pattern))
    sha = hashlib.sha256()
    for file in files:
        content = file.read_bytes() if file.exists() else b""
        sha.update(f"{file} {len(content)} ".encode() + content)
    return sha.hexdigest()
