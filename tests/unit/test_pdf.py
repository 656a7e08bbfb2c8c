"""Printing the book, before a browser is started."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_a_browser_the_command_says_what_to_install(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "tools.pdf"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == (
        "Chromium was expected on PATH (chromium, chromium-browser, google-chrome or "
        "google-chrome-stable), and none was found. Install it, on Debian and Ubuntu "
        "by `apt-get install chromium`, and run this again.\n"
    )
