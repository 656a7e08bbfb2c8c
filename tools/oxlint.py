"""Run oxlint, which lints the scripts of the pages, with the rules of .oxlintrc.json.

    python -m tools.oxlint         # `make lint` runs it

Its package has one binary and no module that `python -m` could run.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = "playground", "tests/playground", "_static", "_ext/static"


def lint(*paths: str | Path) -> int:
    """Lint these files or folders; returns oxlint's exit status, 127 without oxlint."""
    binary = Path(sysconfig.get_path("scripts")) / "oxlint"
    if not binary.exists():
        print(
            f"oxlint was expected in {binary.parent}, and is not there. `make env` "
            "installs it, from requirements/cpu.txt.",
            file=sys.stderr,
        )
        return 127
    return subprocess.run([binary, *paths], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(lint(*SCRIPTS))
