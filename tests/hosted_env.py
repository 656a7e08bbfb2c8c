"""The line of chapters/launch.md, in a stand-in for a hosted notebook.

`make test-hosted-env` runs this file; `make test` does not find it by its name, as it
downloads up to 6 GB. The stand-in is a fresh environment with what such hosts bring, at
versions of their own, and a kernel in it that has imported some of that already. The
tests build on each other, in their order: a person who meets each fault once.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import stub_cuda

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
FIRST = 8  # code cells of each chapter

# NumPy is not the lock's, tqdm is too old for us, and torch has CUDA 12 and cuDNN 9.
HOST = ["numpy>=2,<2.3", "pandas", "matplotlib", "ipykernel<7", "tqdm==4.65.0"]
HOST += ["torch<2.11"]
IMPORTED = "import numpy, pandas, matplotlib, torch\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The folder of the environment, with a kernel called host."""
    folder = tmp_path_factory.mktemp("host")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", *HOST]
    subprocess.run(pip, check=True)
    (folder / "before.json").write_text(json.dumps(packages(folder)))
    return folder


def packages(host):
    pip = [host / "bin/python", "-m", "pip", "list", "--format=json"]
    return {p["name"]: p["version"] for p in json.loads(subprocess.check_output(pip))}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The folder of a driver that knows of a T4, which computes nothing."""
    return stub_cuda.build(tmp_path_factory.mktemp("driver"))


def line():
    """The line that the page shows, for this folder in place of the repository."""
    page = (ROOT / "chapters/launch.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"^(!pip install .*)$", page, re.MULTILINE)
    assert "git+https://github.com/example/batch-norm-course" in found
    return re.sub(r"git\+https\S+", f"git+file://{ROOT}", found)


def run(host, folder, cells, **environment):
    """The text that each of these cells prints, in a notebook on the host."""
    spec = folder / "jupyter/kernels/host/kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    launch = [str(host / "bin/python"), "-m", "ipykernel_launcher", "-f"]
    path = f"{host / 'bin'}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "BN_PROFILE": "short", **environment}
    spec.write_text(
        json.dumps(
            {
                "argv": [*launch, "{connection_file}"],
                "display_name": "host",
                "language": "python",
                "env": settings,
            }
        )
    )
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(folder / "jupyter")
    try:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        place = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, kernel_name="host", resources=place).execute()
    finally:
        os.environ.pop("JUPYTER_PATH")
        if before is not None:
            os.environ["JUPYTER_PATH"] = before
    return ["".join(o.get("text", "") for o in cell.outputs) for cell in notebook.cells]


def first_cells(path):
    cells = nbformat.read(path, 4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"][:FIRST]


# pip reaches no index, not even one that this machine has on its disk.
OFFLINE = {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
OFFLINE |= {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_EXTRA_INDEX_URL": ""}


def test_no_internet_is_said(host, tmp_path):
    """With the package's own file there, so that it is what it needs that fails."""
    pip = [host / "bin/python", "-m", "pip", "install", "-q", "--no-deps", ROOT]
    subprocess.run(pip, check=True)
    _, said = run(host, tmp_path, [IMPORTED, line()], **OFFLINE)
    assert "Ready" not in said
    command = "!python -m batch_norm_course cpu"
    (said,) = run(host, tmp_path, [command], **OFFLINE)
    assert said.splitlines()[-1].endswith(
        "its last lines are above. If this host has no internet, switch it on in the "
        "notebook's settings; then run this again."
    )


def test_line_asks_for_a_restart_where_it_replaced_a_package(host, tmp_path):
    _, said = run(host, tmp_path, [IMPORTED + "import tqdm", line()])
    assert "Installing MXNet for the CPU" in said
    assert re.search(
        r"Restart the kernel before you go on: pip replaced tqdm 4\.65\.0 → [\d.]+, "
        "and this notebook may have imported what was there before",
        said,
    )


def test_line_is_ready_the_second_time(host, tmp_path):
    _, said = run(host, tmp_path, [IMPORTED, line()])
    assert said.splitlines()[-1] == "Ready: go on with the chapter's first cell."
    assert "Computing on cpu(0)" in said


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_unchanged(host, tmp_path, path):
    run(host, tmp_path, [IMPORTED, *first_cells(path)])


def test_another_utils_is_named(host, tmp_path):
    (tmp_path / "utils.py").write_text("mine = 1\n")
    (said,) = run(host, tmp_path, ["!python -m batch_norm_course"])
    assert said.splitlines()[-1] == (
        "Another `utils` hides the course's: a notebook here imports "
        f"{tmp_path / 'utils.py'}. Rename that one, or run the chapter in another "
        "folder."
    )


def test_the_other_build_is_not_written_over(host, tmp_path, driver):
    (said,) = run(
        host,
        tmp_path,
        ["!python -m batch_norm_course"],
        LD_LIBRARY_PATH=str(driver),
        STUB_CAPABILITY="7.5",
    )
    assert "gpu(0) (Stub GPU) can run mxnet-cu112." in said
    assert "mxnet, the other build of MXNet, is installed here" in said
    (command,) = re.findall("`(.* -m pip uninstall --yes mxnet)`", said)
    subprocess.run(command.split(), check=True)


def test_line_with_a_gpu(host, tmp_path, driver):
    gpu = {"LD_LIBRARY_PATH": str(driver), "STUB_CAPABILITY": "7.5"}
    _, said = run(host, tmp_path, [IMPORTED, line()], **gpu)
    assert "Installing MXNet for the GPU" in said
    # The stand-in for the driver computes nothing, so the probe turns to the CPU.
    assert "Computing on cpu(0): gpu(0) (Stub GPU) failed a small test" in said
    assert said.splitlines()[-1] == "Ready: go on with the chapter's first cell."
    # With a GPU that exists and computes nothing, MXNet fails on the CPU, too.
    del gpu["STUB_CAPABILITY"]
    check = "import mxnet; print(mxnet.runtime.Features().is_enabled('CUDA'))"
    for path in CHAPTERS:
        cells = [IMPORTED, *first_cells(path), check]
        assert run(host, tmp_path, cells, **gpu)[-1] == "True\n"


def test_what_the_host_had_is_left_as_it_is(host):
    """But for tqdm; and each file of PyTorch's CUDA is the one that pip installed."""
    before, after = json.loads((host / "before.json").read_text()), packages(host)
    replaced = {name for name in before if after.get(name) != before[name]}
    assert replaced == {"tqdm"}
    code = (
        "import base64, hashlib, importlib.metadata as m\n"
        "files = [f for d in m.distributions() if d.name.endswith('-cu12')\n"
        "         for f in d.files if f.hash]\n"
        "for f in files:\n"
        "    found = hashlib.new(f.hash.mode, f.locate().read_bytes()).digest()\n"
        "    found = base64.urlsafe_b64encode(found).decode().rstrip('=')\n"
        "    assert found == f.hash.value, str(f)\n"
        "print(len(files))"
    )
    compared = subprocess.check_output([host / "bin/python", "-c", code])
    if int(compared) == 0:
        pytest.skip("The torch that pip found has no packages of CUDA 12 to compare.")


def test_another_package_with_a_utils_is_named(host, tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/other.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "other-utils"\nversion = "1"\n'
        '[build-system]\nrequires = ["hatchling"]\n'
        'build-backend = "hatchling.build"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["utils"]\n'
    )
    pip = [host / "bin/python", "-m", "pip", "install", "-q", tmp_path]
    subprocess.run(pip, check=True)
    (said,) = run(host, tmp_path.parent, ["!python -m batch_norm_course"])
    assert (
        "other-utils is installed here and has a `utils` of its own, in the folder of "
        "the course's: their files are mixed now. Run `"
    ) in said
    assert "-m pip uninstall --yes other-utils batch-norm-course`, and then the" in said
