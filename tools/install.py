"""Install a lock with pip into the Python that runs this, and show that it moves.

    python -m tools.install requirements/cpu.txt

pip's own output is five lines a package, or nothing for two minutes. Here it is one
line that counts. Only Python's own library is needed. pip's messages are shown where
it fails.
"""

import collections
import queue
import subprocess
import sys
import sysconfig
import threading
import typing
from pathlib import Path

from tools.progress import Count

# The lock holds every package, and MXNet's own limits are older than the rest of it.
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
PIP += ["--require-hashes", "--no-deps", "--progress-bar=off", "-r"]


def install(lock: str, out: typing.TextIO = sys.stderr) -> int:
    """Install the packages of the file `lock`; returns pip's exit status.

    out: where the counts go, and pip's last lines where it fails.
    """
    site = Path(sysconfig.get_path("purelib"))
    before, last, count = _packages(site), collections.deque(maxlen=30), Count(out)
    pip = subprocess.Popen(
        [*PIP, lock], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pip.stdout, lines), daemon=True).start()
    found = total = 0
    try:
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                # While it installs, pip says nothing; what lies there already tells.
                if total:
                    done = _packages(site) - before
                    count.say(done, f"of {total} packages installed")
                continue
            if line is None:
                break
            last.append(line)
            if line.startswith("Collecting "):
                found += 1
                count.say(found, "packages found")
            elif line.startswith("Installing collected packages: "):
                total = line.count(",") + 1
        status = pip.wait()
    finally:
        pip.kill()
        pip.wait()
        count.end()
    if status:
        out.writelines(last)
        out.write(
            f"pip could not install {lock}; its last lines are above. Give the same "
            "command again, once the package index can be reached or what pip names is "
            "mended: it begins anew.\n"
        )
    return status


def _read(stream, lines):
    for line in stream:
        lines.put(line)
    lines.put(None)


def _packages(site):
    return sum(1 for _ in site.glob("*.dist-info"))


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
