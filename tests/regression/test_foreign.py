"""Another project: other folders, no profiles, no watch, nothing of this course."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from regression.project import read
from tests.support.processes import ENDLESS, interrupt

ROOT = Path(__file__).parents[2]
SETTINGS = """
[tool.regression]
notebooks = "lessons"
packages = { nbformat = "nbformat" }
benign = ["Loading .*"]
uncompared = ["^Host: .*"]
"""
CELLS = [
    "import os, sys\nprint('Host:', os.getpid())",
    "print('Loading', os.getpid(), file=sys.stderr)\nprint('half of it is', 0.5)",
    "from matplotlib import patches, pyplot as plt\n"
    "_, ax = plt.subplots()\n"
    "for patch in patches.Circle((0, 0), 1), patches.Ellipse((1, 1), 2, 1):\n"
    "    ax.add_patch(patch)",
    "plt.bar(['a', 'b'], [1, 2])\nplt.text('b', 1, 'here');",
]


def python(folder, *arguments, **environment):
    """Run Python in a project's folder, with the package and nothing else of ours."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("BN_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=own | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A stranger's project, refreshed: it has a copy of the package, as README says."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "regression").symlink_to(ROOT / "regression")
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "lessons").mkdir()
    cells = [nbformat.v4.new_code_cell(c, id=f"c{n}") for n, c in enumerate(CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, folder / "lessons/first.ipynb")
    done = python(folder, "-m", "regression.refresh")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_stores_outputs_and_versions(project):
    notebook = nbformat.read(project / "lessons/first.ipynb", as_version=4)
    assert [out.name for out in notebook.cells[1].outputs] == ["stdout"]
    facts = notebook.metadata.provenance
    assert set(facts["packages"]) == {"python", "nbformat"}
    assert "device" not in facts and " on `" not in notebook.cells[-1].source
    kept = json.loads((project / "lessons/first.record.json").read_text())
    assert kept["short"] == {} and kept["trainings"] == {"full": {}}


def test_figures_with_circles_and_ellipses_are_kept_as_numbers(project):
    notebook = nbformat.read(project / "lessons/first.ipynb", as_version=4)
    (picture,) = [out for out in notebook.cells[2].outputs if "data" in out]
    rows = "\n".join(picture.metadata.figure)
    assert "shape 1 '' x" in rows and "shape 2 '' y" in rows
    (picture,) = [out for out in notebook.cells[3].outputs if "data" in out]
    assert "axes 1: text 'here' at [1.0, 1.0]" in picture.metadata.figure


def test_is_green_and_red(project):
    done = python(project, "-m", "regression", "-q", "lessons")
    assert done.returncode == 0, done.stdout
    path = project / "lessons/first.ipynb"
    before = path.read_text()
    path.write_text(before.replace("half of it is 0.5", "half of it is 0.6"))
    done = python(project, "-m", "regression", "-q", "lessons")
    path.write_text(before)
    assert done.returncode == 1
    assert "0.6 became 0.5, off by 0.1" in done.stdout


def test_what_the_user_has_set_for_ipython_changes_nothing(project, tmp_path):
    startup = tmp_path / "profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "own.py").write_text("print = None")
    path = project / "lessons/first.ipynb"
    before = json.loads(path.read_text())["cells"]
    for program in ["regression.refresh"], ["regression", "-q", "lessons"]:
        done = python(project, "-m", *program, IPYTHONDIR=str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(path.read_text())["cells"][1]["outputs"] == before[1]["outputs"]


def test_runs_where_the_folder_for_temporary_files_has_a_long_name(project, tmp_path):
    folder = tmp_path / ("x" * (98 - len(str(tmp_path)) - 1))
    folder.mkdir()
    assert len(str(folder)) == 98
    done = python(project, "-m", "regression", "-q", "lessons", TMPDIR=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr


# What [tool.regression] says, and what is told of it.
FAULTY = {
    "notebook = 'a'": "knows no notebook, only benign, code",
    "code = 'lib'": "code has to be of the kind list[str], but it is 'lib'. Correct",
    "packages = ['numpy']": "packages has to be of the kind dict[str, str], but it is",
    "short = { FAST = 1 }": "short has to be of the kind dict[str, str], but it is",
    "benign = ['(']": "'(' has to be a regular expression, but is none: missing ), unt",
    "x = ": "can't be read: Invalid value",
}


@pytest.mark.parametrize("settings", FAULTY)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, settings):
    (tmp_path / "pyproject.toml").write_text(f"[tool.regression]\n{settings}\n")
    with pytest.raises(ValueError) as caught:
        read(tmp_path)
    assert FAULTY[settings] in str(caught.value)


def test_a_faulty_setting_ends_each_program_with_a_sentence(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.regression]\nnotebook = 'a'\n")
    (tmp_path / "regression").symlink_to(ROOT / "regression")
    for program in ["regression.refresh"], ["regression", "--rootdir=.", "."]:
        done = python(tmp_path, "-m", *program)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "Traceback" not in said
        assert "pyproject.toml knows no notebook, only benign, code" in said


def test_nothing_in_the_package_names_this_course():
    words = "utils", "chapters", "BN_", "Computing on", "mxnet", "NDArray", "`make "
    for path in (ROOT / "regression").glob("*.[pm][yd]"):
        text = path.read_text().lower()
        found = [
            word
            for word in (*words, "make refresh", "make spread")
            if word.lower() in text
        ]
        assert not found, f"{path.name} names {found}"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_first_cell_ends_all_in_order(tmp_path, by):
    (tmp_path / "regression").symlink_to(ROOT / "regression")
    cell = nbformat.v4.new_code_cell(ENDLESS, id="first")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    command = [sys.executable, "-m", "regression", "-q", "--rootdir=.", "."]
    code, output = interrupt(command, tmp_path, os.environ, by)
    assert code == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in output and "Traceback" not in output


def test_what_needs_a_short_profile_or_a_training_says_so(project):
    done = python(project, "-m", "regression.portable")
    assert done.returncode == 1 and "name short and processors in" in done.stderr
    done = python(project, "-m", "regression.spread")
    assert done.returncode == 1 and "there is nothing to measure" in done.stderr
