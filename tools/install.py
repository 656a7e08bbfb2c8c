"""Install a lock with pip into the Python that runs this, and show that it moves.

    python tools/install.py requirements/cpu.txt

pip's own output is five lines a package, or nothing for two minutes. Here it is one
line that counts: on a terminal it is written over, elsewhere it appears now and then.
Only Python's own library is needed. pip's messages are shown where pip fails.
"""

import collections
import selectors
import subprocess
import sys
import sysconfig
import typing
from pathlib import Path

# The lock holds every package, and MXNet's own limits are older than the rest of it.
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
PIP += ["--require-hashes", "--no-deps", "--progress-bar=off", "-r"]

STEP = 50  # packages from one line to the next where there is no terminal


def install(lock: str, out: typing.TextIO = sys.stderr) -> int:
    """Install the packages of the file `lock`; returns pip's exit status.

    out: where the counts go, and pip's last lines where it fails.
    """
    site = Path(sysconfig.get_path("purelib"))
    before = _installed(site)
    pip = subprocess.Popen(
        [*PIP, lock], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    last = collections.deque(maxlen=30)
    shown = _Count(out)
    collected = total = 0
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pip.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(timeout=1):
                    line = pip.stdout.readline()
                    if not line:
                        break
                    last.append(line)
                    if line.startswith("Collecting "):
                        collected += 1
                        shown.say("found", collected)
                    elif line.startswith("Installing collected packages: "):
                        total = line.count(",") + 1
                elif total:
                    shown.say(f"of {total} installed", _installed(site) - before)
        status = pip.wait()
    finally:
        pip.kill()
        pip.wait()
        shown.end()
    if status:
        out.writelines(last)
        out.write(
            f"pip could not install {lock}; its last lines are above. Nothing is kept "
            "of it: give the same command again, once the package index can be reached "
            "or what pip names is mended.\n"
        )
    return status


def _installed(site):
    return sum(1 for _ in site.glob("*.dist-info"))


class _Count:
    """A count that is written over on a terminal, and said now and then elsewhere."""

    def __init__(self, out):
        self.out, self.terminal = out, out.isatty()
        self.said = None

    def say(self, what, number):
        if self.terminal:
            self.out.write(f"\r\033[K{number} packages {what}")
        elif number and (what, number // STEP) != self.said:
            self.said = what, number // STEP
            self.out.write(f"{number} packages {what}\n")
        self.out.flush()

    def end(self):
        if self.terminal:
            self.out.write("\r\033[K")


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
