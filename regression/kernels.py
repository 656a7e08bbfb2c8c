"""How every kernel is set up, for refresh and for the comparison alike.

Kernels listen on sockets in a folder of this process, not on TCP ports: a port that is
free when Jupyter chooses it may be taken by the time the kernel starts. With two test
processes side by side a kernel died at its start, and this is the likely reason.
"""

import itertools
import os
import tempfile
from pathlib import Path

from regression.project import Project

LONGEST = 90  # bytes of a socket's path before Jupyter's ending: the limit is 103

_folder = tempfile.TemporaryDirectory(prefix="kernels-")
_numbers = itertools.count()


def own_sockets() -> dict[str, str]:
    """Arguments for Jupyter's kernel managers; none where the path is too long."""
    ip = f"{_folder.name}/{next(_numbers)}"
    if len(os.fsencode(ip)) > LONGEST:
        return {}  # TCP
    return {"transport": "ipc", "ip": ip}


def environment() -> dict[str, str]:
    """Variables for a kernel: a folder of its own for IPython.

    There no profile of the user's changes what cells show, and no history is shared
    with other kernels, which a locked or read-only file would make them complain of.
    """
    return {"IPYTHONDIR": f"{_folder.name}/ipython"}


# What C code writes to stderr reaches a cell's outputs by way of a pipe and a thread,
# and may come after the cell's end. So each cell ends by a mark, a control character,
# that goes the same way, and waits until it has arrived.
WAIT_FOR_STDERR = r"""
import os, sys, threading
from IPython import get_ipython

def wait(result):
    stream, arrived = own, threading.Event()
    plain = stream.write  # which IPython replaces and restores with each cell

    def write(text):
        if "\x1e" not in text:
            return plain(text)
        arrived.set()
        return plain(text.replace("\x1e", ""))

    stream.write = write
    os.write(2, b"\x1e")
    # It never does where the cell sent descriptor 2 elsewhere.
    arrived.wait(5)
    stream.write = plain
    stream.flush()

own = sys.stderr  # a cell may put something else in its place
if getattr(own, "watch_fd_thread", None) is not None:
    get_ipython().events.register("post_run_cell", wait)
"""


def setup(project: Project) -> str:
    """Code to run in a kernel before its first cell; it adds no name there."""
    figures = Path(__file__).with_name("figure_data.py").read_text(encoding="utf-8")
    codes = [
        f"import os\nos.environ.update({project.environment!r} | os.environ)",
        figures,
        WAIT_FOR_STDERR,
    ]
    if project.watch:
        codes.append(f"import {project.watch}\n{project.watch}.start()")
    return "\n".join(f"exec({code!r}, {{}})" for code in codes)


def take(project: Project) -> str:
    """An expression for what the project's watch noted since the last call, as JSON.

    {"trainings": [dict, …], "results": {name: number}, "device": {"name": "cpu(0)",
    "hardware": text}}; `trainings.py` says what the dicts have.
    """
    if not project.watch:
        return "'{}'"
    return f"__import__({project.watch!r}, fromlist=['take']).take()"
