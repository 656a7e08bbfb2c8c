"""How every kernel is set up, for refresh and for the comparison alike.

Kernels listen on sockets in a folder of this process, not on TCP ports: a port that is
free when Jupyter chooses it may be taken by the time the kernel starts. With two test
processes side by side a kernel died at its start, and this is the likely reason.
"""

import itertools
import tempfile
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings tomli
    import tomli as tomllib

_folder = tempfile.TemporaryDirectory(prefix="kernels-")
_numbers = itertools.count()


def own_sockets():
    """Arguments for Jupyter's kernel managers."""
    return {"transport": "ipc", "ip": f"{_folder.name}/{next(_numbers)}"}


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


def setup(root):
    """Code to run in a kernel before its first cell; it adds no name to the notebook.

    root: the project's folder, whose pyproject.toml may name, in [tool.regression],
    environment variables to set where they are not (`environment`), and a module that
    notes the notebook's trainings (`watch`, with `start()` and `take()`).
    """
    figures = Path(__file__).with_name("figure_data.py").read_text(encoding="utf-8")
    settings = project(root)
    given = settings.get("environment", {})
    codes = [
        f"import os\nos.environ.update({given!r} | os.environ)",
        figures,
        WAIT_FOR_STDERR,
    ]
    watch = settings.get("watch")
    if watch:
        codes.append(f"import {watch}\n{watch}.start()")
    return "\n".join(f"exec({code!r}, {{}})" for code in codes)


def notes(root):
    """An expression for what the project's watch noted since the last call, as JSON.

    {"trainings": [dict, …], "results": {name: number}}; `trainings.py` says what the
    dicts have. None where the project names no watch.
    """
    watch = project(root).get("watch")
    return watch and f"__import__({watch!r}, fromlist=['take']).take()"


def project(root):
    """The table [tool.regression] of the project's pyproject.toml, {} without one."""
    path = Path(root) / "pyproject.toml"
    if not path.exists():
        return {}
    tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    return tools.get("regression", {})
