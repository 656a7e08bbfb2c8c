"""Build the book with Jupyter Book, and show that it moves.

    python -m tools.book           # writes _build/html
    python -m tools.book --builder custom --custom-builder linkcheck

What Sphinx warns of is shown as it comes, each warning is an error, and the banner is
left out. The exit status is Jupyter Book's.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.progress import Count

ROOT = Path(__file__).resolve().parents[1]
BUILD = "from jupyter_book.cli.main import main; main()"
OPTIONS = ["build", ".", "--all", "-W", "-n", "--keep-going"]

PAGE = re.compile(r"(reading sources|writing output)\.\.\. \[ *(\d+)%\]")
DONE = {
    "reading sources": "% of the pages read",
    "writing output": "% of the pages written",
}
COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # Jupyter Book uses it everywhere


def build(*options: str) -> int:
    """Build the book; returns Jupyter Book's exit status.

    options: more of Jupyter Book's own, such as another builder.
    """
    book = subprocess.Popen(
        [sys.executable, "-c", BUILD, *OPTIONS, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, count = [], Count(sys.stderr)
    try:
        for colored in book.stdout:  # with universal newlines a \r ends one, too
            line = COLOR.sub("", colored)
            if match := PAGE.search(line):
                count.say(int(match[2]), DONE[match[1]])
            elif re.search(r"WARNING|ERROR|CRITICAL|Traceback", line):
                count.end()
                print(line, end="", file=sys.stderr)
            said.append(line)
        status = book.wait()
    finally:
        book.kill()
        book.wait()
        count.end()
    if status:
        sys.stderr.writelines(said[-60:])
    return status


if __name__ == "__main__":
    sys.exit(build(*sys.argv[1:]))
