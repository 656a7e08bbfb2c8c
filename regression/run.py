"""Execute a notebook from top to bottom, in a kernel set up as in `kernels.py`."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from tqdm import tqdm

from regression import kernels, tidy
from regression.project import Project

# Run in the notebook's kernel after its last cell.
VERSIONS = """
import importlib.metadata, json, platform
names = {{dist.metadata["Name"] for dist in importlib.metadata.distributions()}}
print(json.dumps({{"python": platform.python_version()}} | {{
    name: importlib.metadata.version(name) for name in {names!r} if name in names
}}))
"""


class Run(NamedTuple):
    """A notebook that has run.

    notebook: with its new outputs, in the form in which they are stored.
    seconds: how long its cells took.
    packages: name: version of Python and of the packages that the project names.
    device: {"name", "hardware"}, as the project's watch says, {} without one.
    notes: from a cell's id, {"trainings", "results"}, where there are any.
    """

    notebook: nbformat.NotebookNode
    seconds: float
    packages: dict[str, str]
    device: dict[str, str]
    notes: dict[str, dict]


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cells(
    notebook: nbformat.NotebookNode,
    path: Path,
    environment: dict[str, str],
    own: Project,
) -> Run:
    """Run a notebook's cells in a fresh kernel, in the folder of `path`.

    environment: additional variables. The notebook itself gets the new outputs.
    """
    manager = AsyncKernelManager(
        kernel_name=CURRENT_ENV_KERNEL_NAME,
        kernel_spec_manager=NbvalKernelspecManager(),
        **kernels.own_sockets(),
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=None,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    take = f"print({kernels.take(own)})"
    notes, device = {}, {}
    with client.setup_kernel(
        env={**os.environ, **kernels.environment(), **environment},
        stderr=subprocess.DEVNULL,
        cleanup_kc=True,
    ):
        aside(client, kernels.setup(own))
        count, seconds = 0, 0.0
        # On a terminal only: a log has no use for it.
        bar = tqdm(
            notebook.cells, desc=str(path), unit="cell", leave=False, disable=None
        )
        for index, cell in enumerate(bar):
            if cell.cell_type == "code":
                count += 1
                start = time.perf_counter()
                client.execute_cell(cell, index, execution_count=count)
                seconds += time.perf_counter() - start
                noted = json.loads(aside(client, take).splitlines()[-1])
                device = noted.pop("device", {})
                if any(noted.values()):
                    notes[cell.id] = noted
        versions = aside(client, VERSIONS.format(names=list(own.packages)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = tidy.outputs(cell.outputs, own.benign)
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        # Without a version, which would differ from one refresh to the next.
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        **{
            key: value
            for key, value in notebook.metadata.items()
            if key not in ("kernelspec", "language_info", "widgets")
        },
    }
    packages = json.loads(versions.splitlines()[-1])
    return Run(notebook, seconds, packages, device, notes)


def aside(client: NotebookClient, code: str) -> str:
    """What `code` prints in the notebook's kernel, in a namespace of its own."""
    cell = nbformat.v4.new_code_cell(f"exec({code!r}, {{}})")
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return "".join(out.text for out in cell.outputs if out.get("name") == "stdout")
