"""Execute a notebook from top to bottom, in a kernel set up as in `kernels.py`."""

import json
import os
import subprocess
import time
import typing
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from nbval.plugin import coalesce_streams
from tqdm import tqdm

from regression import compare, kernels

# Run in the notebook's kernel after its last cell.
WHERE = """
import importlib.metadata, json, platform, utils
names = {dist.metadata["Name"] for dist in importlib.metadata.distributions()}
device, gpus = str(utils.try_gpu()), {}
if device.startswith("gpu"):
    from utils.cuda import ask_driver
    gpus = {f"gpu({gpu.index})": gpu.name for gpu in ask_driver().gpus}
print(json.dumps({
    "device": device,
    "processor": gpus.get(device),
    "packages": {"python": platform.python_version()} | {
        name: importlib.metadata.version(name)
        for name in ("mxnet", "mxnet-cu112", "numpy", "matplotlib") if name in names
    },
}))
"""


class Run(typing.NamedTuple):
    """A notebook that has run.

    notebook: with its new outputs, in the form in which they are stored.
    seconds: how long its cells took.
    where: the device and the packages that it ran with.
    notes: from a cell's id, what the project's watch noted of it, where it did.
    """

    notebook: nbformat.NotebookNode
    seconds: float
    where: dict
    notes: dict


def run(path, environment):
    """Run a notebook in a fresh kernel with these additional environment variables."""
    notebook = nbformat.read(path, as_version=4)
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
    root, notes = Path.cwd(), {}
    take = kernels.notes(root)
    with client.setup_kernel(
        env={**os.environ, **environment}, stderr=subprocess.DEVNULL, cleanup_kc=True
    ):
        aside(client, kernels.setup(root))
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
                if take:
                    noted = json.loads(aside(client, f"print({take})").splitlines()[-1])
                    if any(noted.values()):
                        notes[cell.id] = noted
        where = json.loads(aside(client, WHERE).splitlines()[-1])
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = list(map(tidy, coalesce_streams(cell.outputs)))
            cell.outputs = [output for output in cell.outputs if output]
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
    return Run(notebook, seconds, where, notes)


def aside(client, code):
    """What `code` prints in the notebook's kernel, in a namespace of its own."""
    cell = nbformat.v4.new_code_cell(f"exec({code!r}, {{}})")
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return "".join(out.text for out in cell.outputs if out.get("name") == "stdout")


def tidy(output):
    """The output as it is stored: without progress bars, widgets and their like."""
    if output.output_type == "stream" and output.name == "stderr":
        output.text = compare.without_progress(output.text)
        return output if output.text else None
    if "data" in output:
        output.data.pop(compare.WIDGET, None)
        output.metadata.pop("needs_background", None)
    return output


def without_pictures(outputs):
    """The outputs with no bytes in those pictures that are compared by their data."""
    for output in outputs:
        if compare.FIGURE in output.get("metadata", {}):
            for mime in output.data:
                if mime.startswith("image/"):
                    output.data[mime] = ""
    return outputs
