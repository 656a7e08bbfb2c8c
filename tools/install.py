"""Install a lock with pip into the Python that runs this, and show that it moves.

    python -m tools.install requirements/cpu.txt

pip's own output is five lines a package, or nothing for two minutes. Here it is one
line that counts. Only Python's own library is needed. pip's messages are shown where
it fails.
"""

import collections
import queue
import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
import typing
from pathlib import Path

from tools.progress import Count

# The lock holds every package, and MXNet's own limits are older than the rest of it.
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
PIP += ["--require-hashes", "--no-deps", "--progress-bar=off", "-r"]
PARTS = 2  # pips at a time, each of which unpacks and compiles with one core


def install(lock: str, out: typing.TextIO = sys.stderr) -> int:
    """Install the packages of the file `lock`; returns pip's exit status.

    out: where the counts go, and pip's last lines where it fails.
    """
    site = Path(sysconfig.get_path("purelib"))
    before, count, lines = _packages(site), Count(out), queue.SimpleQueue()
    last = {}  # of each pip, what it said last
    with tempfile.TemporaryDirectory() as folder:
        try:
            for part in parts(Path(lock), Path(folder)):
                last[_start(part, lines)] = collections.deque(maxlen=30)
            failed = _follow(lines, last, count, lambda: _packages(site) - before)
        finally:
            for pip in last:
                pip.kill()
                pip.wait()
            count.end()
    if not failed:
        return 0
    out.writelines(last[failed])
    out.write(
        f"pip could not install {lock}; its last lines are above. Give the same "
        "command again, once the package index can be reached or what pip names is "
        "mended: it begins anew.\n"
    )
    return failed.returncode


def parts(lock: Path, folder: Path) -> list[Path]:
    """Write the lock's packages, dealt out in turn, to PARTS files; none is empty.

    A family stays together, as its packages may bring the same file, which two pips
    would write at once: NVIDIA's all have an nvidia/__init__.py.
    """
    # A package begins where a line does; its hashes are indented.
    head, *packages = re.split(r"^(?=\w)", lock.read_text("utf-8"), flags=re.MULTILINE)
    families = collections.defaultdict(str)
    for package in packages:
        families[re.match("[a-z0-9]+", package)[0]] += package
    paths = []
    for number in range(min(PARTS, len(families))):
        paths.append(folder / f"{lock.stem}-{number + 1}-of-{PARTS}.txt")
        paths[-1].write_text(head + "".join([*families.values()][number::PARTS]))
    return paths


def _start(part, lines):
    pip = subprocess.Popen(
        [*PIP, part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    threading.Thread(target=_read, args=(pip, lines), daemon=True).start()
    return pip


def _read(pip, lines):
    for line in pip.stdout:
        lines.put((pip, line))
    lines.put((pip, None))


def _follow(lines, last, count, installed):
    """Count what the pips in `last` say, and keep their last lines, until all end.

    Returns the first one that fails, at once, or None.
    """
    found, totals, running = 0, {}, set(last)
    while running:
        try:
            pip, line = lines.get(timeout=1)
        except queue.Empty:
            # While they install, they say nothing; what lies there already tells.
            if totals.keys() == set(last):
                what = f"of {sum(totals.values())} packages installed"
                count.say(installed(), what)
            continue
        if line is None:
            if pip.wait():
                return pip
            running.remove(pip)
            continue
        last[pip].append(line)
        if line.startswith("Collecting "):
            found += 1
            count.say(found, "packages found")
        elif line.startswith("Installing collected packages: "):
            totals[pip] = line.count(",") + 1


def _packages(site):
    return sum(1 for _ in site.glob("*.dist-info"))


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
