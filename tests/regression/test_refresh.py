"""`make refresh` writes whole runs of committed code only, and small differences."""

import base64
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from regression import record
from regression import refresh as refresh_module
from tests.support.processes import ENDLESS, interrupt

ROOT = Path(__file__).parents[2]

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
found = []
def start():
    pass
def take():
    where = {"name": "gpu(0)", "hardware": "Tesla T4"}
    noted = {"trainings": found[:], "results": {}, "device": where}
    found.clear()
    return json.dumps(noted)
"""
SETTINGS = """
[tool.regression]
code = ["lib"]
packages = { numpy = "NumPy" }
stand-in = "BN_STANDIN"
seed = "BN_SEED"
rounding = "BN_ROUNDING"
short = { BN_PROFILE = "short" }
"""


@pytest.fixture
def repository(tmp_path):
    """A folder under git with committed code and a project's settings."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/part.py").write_text("one = 1\n")
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    return tmp_path


def watch(folder):
    (folder / "pyproject.toml").write_text(f'{SETTINGS}watch = "watcher"\n')
    (folder / "watcher.py").write_text(WATCHER)


def commit(folder):
    name = ["-c", "user.name=n", "-c", "user.email=e"]
    for command in (["add", "lib"], [*name, "commit", "-q", "-m", "Change"]):
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
    """What COMMAND does in that folder: (exit status, output).

    In this process, as to start another one takes longer than most of what it does.
    """
    output, status = io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        patch.chdir(folder)
        patch.setattr(sys, "argv", COMMAND[2:])
        wanted = environment_of(folder) | environment
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        try:
            refresh_module.main()
        except SystemExit as end:
            # As Python does: a text goes to stderr, and the status is 1.
            status = end.code if isinstance(end.code, int | None) else 1
            print(end)
    return status or 0, output.getvalue()


COMMAND = [sys.executable, "-m", "regression.refresh", "chapter.ipynb"]


def environment_of(folder):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("BN_", "PYTEST_"))}
    return own | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


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
    assert provenance["seed"] == [7] and set(provenance["packages"]) == {
        "python",
        "numpy",
    }
    counts = [cell["execution_count"] for cell in first["cells"]]
    assert counts == [1, 2, 3, 4]
    _, progress, figure, widget = (cell["outputs"] for cell in first["cells"])
    assert [output["output_type"] for output in progress] == ["execute_result"]
    png = base64.b64decode(figure[0]["data"]["image/png"])
    assert b"Software" not in png and len(png) > 1000
    assert widget[0]["data"] == {"text/plain": ["w"]}


def test_stores_a_figure_as_svg_without_version_and_date(repository):
    as_svg = (
        "from matplotlib import pyplot as plt\n"
        "from matplotlib_inline.config import InlineBackend\n"
        "InlineBackend.instance().figure_formats = {'svg'}"
    )
    path = write(repository, [as_svg, "plt.plot([1, 2]);"])
    code, output = refresh(repository)
    assert code == 0, output
    (figure,) = nbformat.read(path, as_version=4).cells[1].outputs
    assert figure.metadata.figure
    svg = figure.data["image/svg+xml"]
    assert "<dc:date" not in svg and "Matplotlib" not in svg


def test_a_run_on_a_gpu_names_it_and_keeps_the_time_of_the_cpu(repository):
    path = write(repository, ["1 + 1"])
    assert refresh(repository)[0] == 0
    watch(repository)
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
    watch(repository)
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


def test_writes_new_numbers_into_the_text_and_tells_what_an_author_has_to_do(
    repository,
):
    path = write(repository, ["print('accuracy 0.85')"])
    notebook = nbformat.read(path, as_version=4)
    records = {
        "computed": {"0.75": "c0[1][1]"},
        "holds": {"more than half": "c0[1][1] > 0.5"},
    }
    text = nbformat.v4.new_markdown_cell(
        "It is 0.75, more than half.", id="text", metadata={"prose": records}
    )
    notebook.cells.append(text)
    nbformat.write(notebook, path)
    code, output = refresh(repository)
    assert code == 0, output
    assert "before | It is 0.75, more than half." in output
    assert "after  | It is 0.85, more than half." in output
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[1].source == "It is 0.85, more than half."
    assert notebook.cells[1].metadata.prose["computed"] == {"0.85": "c0[1][1]"}
    notebook.cells[0].source = "print('accuracy 0.45')"
    nbformat.write(notebook, path)
    code, output = refresh(repository)
    assert code == 1 and "refreshed" in output
    assert output.rstrip().endswith(
        'chapter.ipynb, text: "It is 0.45, more than half.": "more than half" does not '
        "hold: c0[1][1] > 0.5; c0[1][1] = 0.45."
    )
    assert "accuracy 0.45" in path.read_text()


@pytest.mark.parametrize(
    "cells, metadata, words",
    [
        (["1 + 1", "1 / 0"], None, ["A cell failed", "ZeroDivisionError"]),
        (["1 + 1", "import os; os._exit(1)"], None, ["A cell failed", "died"]),
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
        # An error that IPython shows, and the run goes on.
        (
            ["try:\n    1 / 0\nexcept Exception:\n    get_ipython().showtraceback()"],
            None,
            ["Cell c0 shows an error: ZeroDivisionError: division by zero"],
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
    for switch in "BN_PROFILE", "BN_STANDIN", "BN_SEED", "BN_ROUNDING":
        code, output = refresh(repository, **{switch: "1"})
        assert code == 1 and f"but {switch} is set. Unset it" in output
    (repository / "lib/new.py").write_text("x = 1\n")
    code, output = refresh(repository)
    assert code == 1
    assert "lib has changes" in output and "lib/new.py" in output
    assert path.read_bytes() == before


# What a cell does to the notebook while refresh runs it.
SAVE = """
import json
from pathlib import Path
path = Path("chapter.ipynb")
notebook = json.loads(path.read_text())
notebook["cells"][0]["source"] = "'written meanwhile'"
path.write_text(json.dumps(notebook))
"""


def test_what_is_saved_while_it_runs_is_kept(repository):
    path = write(repository, ["'before'", SAVE])
    code, output = refresh(repository)
    assert code == 1 and "written meanwhile" in path.read_text()
    assert "Somebody saved it while it ran, and what was saved would be lost" in output
    assert sorted(p.name for p in repository.glob("chapter*")) == ["chapter.ipynb"]


def test_ctrl_c_leaves_everything_as_it_was(repository):
    path = write(repository, ["'before'", ENDLESS])
    before = path.read_bytes()
    code, output = interrupt(COMMAND, repository, environment_of(repository))
    assert code == 1 and "Traceback" not in output
    assert output.splitlines()[-1] == "chapter.ipynb: interrupted, nothing is written."
    assert path.read_bytes() == before
    assert sorted(p.name for p in repository.glob("chapter*")) == ["chapter.ipynb"]


def test_a_full_disk_leaves_everything_as_it_was(repository):
    path = write(repository, ["print('x' * 400_000)"])
    before = path.read_bytes()
    done = subprocess.run(
        COMMAND,
        cwd=repository,
        env=environment_of(repository),
        # No file may get larger than this, which looks like a disk without room.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000,) * 2),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "nothing is written.\n[Errno 27] File too large" in done.stdout
    assert path.read_bytes() == before
    assert sorted(p.name for p in repository.glob("chapter*")) == ["chapter.ipynb"]


def test_a_folder_without_git_is_told(tmp_path):
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    write(tmp_path, ["1 + 1"])
    code, output = refresh(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert code == 1 and "Traceback" not in output
    assert (
        "Whether lib is committed can't be told, for git failed: fatal: not" in output
    )


@pytest.mark.parametrize("fault", ["no notebook", "no id"])
def test_a_notebook_that_can_not_be_refreshed_is_told(repository, fault):
    path = write(repository, ["1 + 1"])
    content = json.loads(path.read_text())
    del content["cells"][0]["id"]
    content["nbformat_minor"] = 4
    before = json.dumps(content) if fault == "no id" else "{not json"
    path.write_text(before)
    code, output = refresh(repository)
    assert code == 1 and "Traceback" not in output
    said = {"no notebook": "It can't be read: ", "no id": "Cell 1 has no id, by which"}
    assert f"nothing is written.\n{said[fault]}" in output
    assert path.read_text() == before


def test_a_link_stays_one(repository):
    path = write(repository, ["1 + 1"])
    real = path.rename(repository / "lib/real.ipynb")
    commit(repository)
    path.symlink_to(real)
    code, output = refresh(repository)
    assert code == 0, output
    assert path.is_symlink() and "provenance" in real.read_text()


@pytest.mark.parametrize(
    "code, found",
    [
        ("SEED = 42\nrandom.seed(SEED)", {42}),
        ("SEED = 42\n%time f(1)\nseed(SEED + 1)", {43}),
        ("seed(seed=3); SEED: int = -4; seed(SEED)", {3, -4}),
        ("seed(time())", {None}),
        ("S = 1\nS += 1\nseed(S)", {None}),
        ("for i in range(3): seed(i)", {None}),
        ("S = 1\ndef f(S):\n    seed(S)", {None}),
        ("S = S + 1\nseed(S)", {None}),
        ("1 +", set()),
    ],
)
def test_seeds_are_what_the_code_passes_to_seed(code, found):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    assert refresh_module.seeds(notebook) == found


def test_what_is_left_to_the_author_is_told_once_for_all_notebooks(
    tmp_path, monkeypatch
):
    """Not after each: a verdict may hold again once the next one is stored."""
    monkeypatch.chdir(tmp_path)
    for name in "first", "last":
        cell = nbformat.v4.new_code_cell(id="a")
        cell.outputs.append(nbformat.v4.new_output("stream", text="5"))
        text = nbformat.v4.new_markdown_cell("Fewer.", id="text")
        text.metadata["prose"] = {"holds": {"Fewer": "first.a[1] < last.a[1]"}}
        notebook = nbformat.v4.new_notebook(cells=[cell, text][: 1 + (name == "last")])
        nbformat.write(notebook, f"{name}.ipynb")
    monkeypatch.setattr(refresh_module, "refresh", lambda path, own: 0.0)
    monkeypatch.setattr("sys.argv", ["refresh"])
    with pytest.raises(SystemExit) as stopped:
        refresh_module.main()
    assert str(stopped.value).count("does not hold") == 1
