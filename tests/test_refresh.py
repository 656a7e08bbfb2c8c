"""`make refresh` writes whole runs of committed code only, and small differences."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from regression import record

ROOT = Path(__file__).parents[1]

GOOD = [
    "import os, sys\nSEED = 7\nimport random; random.seed(SEED)",
    "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    pass\n'done'",
    "from matplotlib import pyplot as plt\nplt.plot([1, 2, random.random()]);",
    "from IPython.display import display\n"
    "widget = 'application/vnd.jupyter.widget-view+json'\n"
    "display({widget: {'model_id': os.urandom(4).hex()}, 'text/plain': 'w'}, raw=True)",
]


EPOCHS = "{'short': 1}.get(os.environ.get('BN_PROFILE'), 10)"
# In a test, anything passes for notes on a training.
WATCHER = """
import json
found = None
def start():
    global found
    found = []
def take():
    noted = {"trainings": found[:], "results": {}}
    found.clear()
    return json.dumps(noted)
"""


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
        [sys.executable, "-m", "regression.refresh", "chapter.ipynb"],
        cwd=folder,
        env={**env, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


def test_stores_what_readers_see_and_nothing_that_changes(repository):
    path = write(repository, GOOD)
    code, output = refresh(repository)
    assert code == 0, output
    first = json.loads(path.read_text())
    kept = record.path_of(path).read_bytes()
    code, output = refresh(repository)
    assert code == 0 and "no lines differ" in output
    second = json.loads(path.read_text())
    for notebook in first, second:
        provenance = notebook["metadata"]["provenance"]
        seconds = provenance.pop("seconds")
        assert notebook["metadata"].pop("times") == {"cpu": seconds}
        line = notebook["cells"].pop()
        assert (
            provenance["date"] in line["source"][0] and "seed: 7" in line["source"][0]
        )
    assert first == second and kept == record.path_of(path).read_bytes()
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


def test_records_the_short_run_of_what_depends_on_training(repository):
    path = write(repository, ["import os", f"print({EPOCHS})"], {"trained": True})
    code, output = refresh(repository)
    assert code == 0, output
    notebook, kept = nbformat.read(path, as_version=4), record.read(path)
    assert notebook.cells[1].outputs[0].text == "10\n"
    assert list(kept["short"]) == ["c1"] and kept["short"]["c1"][0].text == "1\n"
    assert kept["trainings"] == {"full": {}, "short": {}}
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert set(kept["digests"]) == {"c0", "c1", "short", "trainings"}
    assert [fault for cell in codes for fault in record.faults(kept, cell)] == []


def test_records_no_bytes_of_pictures_that_are_compared_by_their_data(repository):
    plot = f"import os\nfrom matplotlib import pyplot as plt\nplt.plot([1, {EPOCHS}]);"
    path = write(repository, [plot], {"trained": True})
    code, output = refresh(repository)
    assert code == 0, output
    (picture,) = record.read(path)["short"]["c0"]
    assert any("[1.0, 1.0]" in row for row in picture.metadata.figure)
    assert picture.data["image/png"] == ""
    (picture,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert len(picture.data["image/png"]) > 1000


def test_records_the_notes_of_both_profiles(repository):
    (repository / "pyproject.toml").write_text('[tool.regression]\nwatch = "watcher"\n')
    (repository / "watcher.py").write_text(WATCHER)
    cells = ["import watcher", f"import os\nwatcher.found.append({EPOCHS})", "1 + 1"]
    path = write(repository, cells)
    code, output = refresh(repository)
    assert code == 0, output
    assert record.read(path)["trainings"] == {
        "full": {"c1": [10]},
        "short": {"c1": [1]},
    }


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
            ["import os", f"print({EPOCHS}, 'epochs')"],
            None,
            ["short profile disagrees", "cell c1", "10 became 1", '"trained": true'],
        ),
        (
            ["import os", f"print({EPOCHS}, 'epochs')"],
            {"numbers": {"loss": {"atol": 20}}, "why": "not of the epochs"},
            ["short profile disagrees", "cell c1", "10 became 1"],
        ),
        (["1 + 1"], {"trianed": True}, ["knows no trianed"]),
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
    for switch in "BN_PROFILE", "BN_STANDIN":
        code, output = refresh(repository, **{switch: "1"})
        assert code == 1 and f"but {switch} is set. Unset it" in output
    (repository / "utils/new.py").write_text("x = 1\n")
    code, output = refresh(repository)
    assert code == 1
    assert "utils has changes" in output and "utils/new.py" in output
    assert path.read_bytes() == before
