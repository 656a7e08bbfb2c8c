"""Run notebooks from top to bottom and store what they print and plot.

    python -m tests.regression.refresh [NOTEBOOK …]

Each notebook runs twice, each time in a fresh kernel: in full, for the outputs that
readers see, and in the short profile, for NAME.short.json. Nothing is written unless
every cell of both succeeded and the short run agrees with the full one where the
regression run will expect it to.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from nbval.plugin import coalesce_streams
from tqdm import tqdm

from tests.regression import compare, kernels

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
TITLES = {"python": "Python", "numpy": "NumPy", "mxnet": "MXNet"}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.regression.refresh")
    parser.add_argument("notebooks", nargs="*", type=Path)
    notebooks = parser.parse_args().notebooks or sorted(
        Path("chapters").glob("*.ipynb")
    )
    stop_on_doubt()
    failed = [notebook for notebook in notebooks if not refresh(notebook)]
    if failed:
        sys.exit(f"Not refreshed: {', '.join(map(str, failed))}.")


def stop_on_doubt():
    """Exit where the outputs would not be those of the committed code and real data."""
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--", "utils"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if dirty:
        sys.exit(
            "Stored outputs have to come from committed code, but utils has changes:\n"
            f"{dirty}Commit or undo them, then run make refresh again."
        )
    for switch in (compare.SHORT_PROFILE, compare.STAND_IN):
        if switch in os.environ:
            sys.exit(
                "Stored outputs have to come from full training on the real data, but "
                f"{switch} is set. Unset it, then run make refresh again."
            )


def refresh(path):
    """Refresh one notebook. Returns whether it worked; says why where it did not."""
    stored = nbformat.read(path, as_version=4)
    try:
        full, seconds, where = run(path, {})
        short, _, _ = run(path, {compare.SHORT_PROFILE: "1"})
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        print(f"{path}: nothing is written, for a cell failed.\n{error}")
        return False
    doubts = profile_differences(full, short)
    full.metadata.provenance = {
        **where,
        "processor": where["processor"] or processor(),
        "seed": seeds(full),
        "date": datetime.date.today().isoformat(),
        "seconds": round(seconds),
        "profile": "full",
    }
    # A run on the other kind of device leaves its time here for the map of chapters.
    kind = "gpu" if where["device"].startswith("gpu") else "cpu"
    times = stored.metadata.get("times", {})
    full.metadata.times = {**times, kind: round(seconds)}
    write_provenance(full)
    print_changes(path, stored, full)
    if doubts:
        print(f"{path}: nothing is written, for the short profile disagrees.")
        print("\n".join(doubts))
        return False
    nbformat.write(full, path)
    reference = compare.short_reference(path)
    cells = [
        nbformat.v4.new_code_cell(id=cell.id, outputs=without_pictures(cell.outputs))
        for cell in short.cells
        if cell.cell_type == "code" and depends_on_profile(cell)
    ]
    if cells:
        nbformat.write(nbformat.v4.new_notebook(cells=cells), reference)
    else:
        reference.unlink(missing_ok=True)
    print(f"{path}: refreshed, {seconds:.0f} s.")
    return True


def run(path, environment):
    """Run a notebook in a fresh kernel.

    Returns (notebook, seconds, where): the notebook with its new outputs, in the form
    in which they are stored, and the device and the packages that it ran with.
    """
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
    start = time.perf_counter()
    with client.setup_kernel(
        env={**os.environ, **environment}, stderr=subprocess.DEVNULL, cleanup_kc=True
    ):
        aside(client, compare.figure_data_code())
        aside(client, kernels.WAIT_FOR_STDERR)
        count = 0
        bar = tqdm(notebook.cells, desc=str(path), unit="cell", leave=False)
        for index, cell in enumerate(bar):
            if cell.cell_type == "code":
                count += 1
                client.execute_cell(cell, index, execution_count=count)
        seconds = time.perf_counter() - start
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
    return notebook, seconds, where


def aside(client, code):
    """What `code` prints in the notebook's kernel, in a namespace of its own."""
    cell = nbformat.v4.new_code_cell(f"exec({code!r}, {{}})")
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    client.nb.cells.pop()
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


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


def depends_on_profile(cell):
    settings = compare.Settings.of(cell)
    return settings.log or settings.short


def profile_differences(full, short):
    """Where the short run would be red: lines of text, none where it agrees."""
    found = []
    for cell, other in zip(full.cells, short.cells, strict=True):
        if cell.cell_type != "code":
            continue
        settings, prefix_lines = compare.Settings.of(cell), None
        if settings.short:
            continue
        if settings.log:
            prefix_lines = compare.log_length(other.outputs)
            if not prefix_lines:
                found.append(f"cell {cell.id}: a log, but it has no line on stdout")
        differences, _ = compare.compare(
            cell.outputs, other.outputs, settings, prefix_lines
        )
        found += [f"cell {cell.id}\n{difference}" for difference in differences]
    if found:
        found.append(
            'A cell that depends on how long the training ran needs "short": true (a '
            'log: "log": true) in its metadata "regression".'
        )
    return found


def print_changes(path, stored, new):
    """Print what readers will see change, before it is written."""
    before = {cell.id: cell.outputs for cell in stored.cells if "outputs" in cell}
    count = 0
    for cell in new.cells:
        if cell.cell_type == "code":
            differences, _ = compare.compare(
                before.get(cell.id, []), cell.outputs, compare.Settings.of(cell)
            )
            count += len(differences)
            for difference in differences:
                print(f"cell {cell.id}, {difference}")
    print(f"{path}: {count or 'no'} lines differ by more than their tolerance.")


def processor():
    """The processor's name and the number of cores that this process may use."""
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        name = "unknown processor"
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def seeds(notebook):
    """The numbers that the notebook's code passes to a function named seed."""
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    for name, number in re.findall(r"^([A-Z_]+) = (\d+)$", code, re.MULTILINE):
        code = re.sub(rf"\b{name}\b", number, code)
    return sorted({int(number) for number in re.findall(r"\bseed\((\d+)\)", code)})


def write_provenance(notebook):
    """Make the notebook's last cell the line that tells where its outputs are from."""
    facts = notebook.metadata.provenance
    packages = ", ".join(
        f"{TITLES.get(name, name)} {version}"
        for name, version in facts["packages"].items()
    )
    seed = " and ".join(map(str, facts["seed"])) or "none"
    text = (
        f"*Outputs: one run on {facts['date']}, {duration(facts['seconds'])} on "
        f"`{facts['device']}` ({facts['processor']}), with {packages}; seed: {seed}.*"
    )
    tagged = [c for c in notebook.cells if "provenance" in c.metadata.get("tags", [])]
    if not tagged:
        cell = nbformat.v4.new_markdown_cell(id="provenance")
        cell.metadata.tags = ["provenance"]
        notebook.cells.append(cell)
        tagged = [cell]
    tagged[-1].source = text


def duration(seconds):
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    main()
