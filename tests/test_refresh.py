"""`make refresh` writes whole runs of committed code only, and small differences."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]

GOOD = [
    "import os, sys, time\nSEED = 7\nimport random; random.seed(SEED)",
    "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    time.sleep(0.01)\n'done'",
    "from matplotlib import pyplot as plt\nplt.plot([1, 2, random.random()]);",
    "from IPython.display import display\n"
    "widget = 'application/vnd.jupyter.widget-view+json'\n"
    "display({widget: {'model_id': os.urandom(4).hex()}, 'text/plain': 'w'}, raw=True)",
]


@pytest.fixture
def repository(tmp_path):
    """A folder under git with a committed `utils` that has what refresh needs."""
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/__init__.py").write_text("def try_gpu():\n    return 'cpu(0)'\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    return tmp_path


def commit(folder):
    name = ["-c", "user.name=n", "-c", "user.email=e"]
    for command in (["add", "utils"], [*name, "commit", "-q", "-m", "Change"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def write(folder, cells, metadata=None):
    cells = [
        nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(cells)
    ]
    if metadata:
        cells[-1].metadata.regression = metadata
    path = folder / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def refresh(folder, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("BN_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.regression.refresh", "chapter.ipynb"],
        cwd=folder,
        env={**env, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_stores_what_readers_see_and_nothing_that_changes(repository):
    path = write(repository, GOOD)
    code, output = refresh(repository)
    assert code == 0, output
    first = json.loads(path.read_text())
    code, output = refresh(repository)
    assert code == 0 and "no lines differ" in output
    second = json.loads(path.read_text())
    for notebook in first, second:
        provenance = notebook["metadata"]["provenance"]
        seconds = provenance.pop("seconds")
        assert notebook["metadata"].pop("times") == {"cpu": seconds} and seconds < 60
        line = notebook["cells"].pop()
        assert (
            provenance["date"] in line["source"][0] and "seed: 7" in line["source"][0]
        )
    assert first == second
    assert provenance["seed"] == [7] and provenance["device"] == "cpu(0)"
    counts = [cell["execution_count"] for cell in first["cells"]]
    assert counts == [1, 2, 3, 4]
    _, progress, figure, widget = (cell["outputs"] for cell in first["cells"])
    assert [output["output_type"] for output in progress] == ["execute_result"]
    png = base64.b64decode(figure[0]["data"]["image/png"])
    assert b"Software" not in png and len(png) > 1000
    assert widget[0]["data"] == {"text/plain": ["w"]}


def test_a_run_on_a_gpu_names_it_and_keeps_the_time_of_the_cpu(repository):
    path = write(repository, ["1 + 1"])
    assert refresh(repository)[0] == 0
    driver = "from types import SimpleNamespace as new\n"
    driver += "gpu = new(index=0, name='Tesla T4')\n"
    driver += "def ask_driver():\n    return new(gpus=[gpu])\n"
    (repository / "utils/cuda.py").write_text(driver)
    code = "def try_gpu():\n    return 'gpu(0)'\n"
    (repository / "utils/__init__.py").write_text(code)
    commit(repository)
    code, log = refresh(repository)
    assert code == 0, log
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata.times) == {"cpu", "gpu"}
    assert "on `gpu(0)` (Tesla T4)" in notebook.cells[-1].source


def test_prints_what_changes_before_it_writes(repository):
    path = write(repository, ["print('accuracy 0.75')"])
    refresh(repository)
    changed = path.read_text().replace(
        "print('accuracy 0.75')", "print('accuracy 0.85')"
    )
    path.write_text(changed)
    code, output = refresh(repository)
    assert code == 0
    assert output.index("0.75 became 0.85, off by 0.1") < output.index("refreshed")


@pytest.mark.parametrize(
    "cells, metadata, words",
    [
        (["1 + 1", "1 / 0"], None, ["a cell failed", "ZeroDivisionError"]),
        (["1 + 1", "import os; os._exit(1)"], None, ["a cell failed", "died"]),
        (
            ["import os", "print(os.environ.get('BN_EPOCHS', 10), 'epochs')"],
            None,
            ["short profile disagrees", "cell c1", "10 became 1", '"short": true'],
        ),
        (
            [
                "import os",
                "for i in range(3 - 2 * ('BN_EPOCHS' in os.environ)):\n    0",
            ],
            {"log": True},
            ["short profile disagrees", "cell c1", "has no line on stdout"],
        ),
    ],
)
def test_writes_nothing_where_something_is_wrong(repository, cells, metadata, words):
    path = write(repository, cells, metadata)
    before = path.read_bytes()
    code, output = refresh(repository)
    assert code == 1
    for word in words:
        assert word in output
    assert path.read_bytes() == before
    assert sorted(p.name for p in repository.glob("chapter*")) == ["chapter.ipynb"]


def test_refuses_uncommitted_code_and_anything_but_full_training(repository):
    path = write(repository, GOOD[:1])
    before = path.read_bytes()
    for switch in "BN_EPOCHS", "BN_STANDIN":
        code, output = refresh(repository, **{switch: "1"})
        assert code == 1 and f"but {switch} is set. Unset it" in output
    (repository / "utils/new.py").write_text("x = 1\n")
    code, output = refresh(repository)
    assert code == 1
    assert "utils has changes" in output and "utils/new.py" in output
    assert path.read_bytes() == before
