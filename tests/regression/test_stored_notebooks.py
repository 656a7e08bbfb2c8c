"""What is stored of each chapter: in the table of contents, from one full run."""

from pathlib import Path

import nbformat
import pytest
import yaml

from regression import compare, record, slices, spread

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("chapters/*.ipynb"))


def toc_faults(root):
    """What is wrong between `_toc.yml` and the files of the book, in sentences."""

    def files(entry):
        if isinstance(entry, list):
            return [name for part in entry for name in files(part)]
        if not isinstance(entry, dict):
            return []
        names = [entry[key] for key in ("root", "file") if key in entry]
        return names + [name for part in entry.values() for name in files(part)]

    named = files(yaml.safe_load((root / "_toc.yml").read_text()))
    pages = {name.removesuffix(".ipynb").removesuffix(".md") for name in named}
    for page in sorted(pages):
        if not any((root / f"{page}{suffix}").exists() for suffix in (".ipynb", ".md")):
            yield f"_toc.yml names {page}, but there is no {page}.ipynb or {page}.md."
    for path in sorted(root.glob("chapters/*.ipynb")):
        page = path.relative_to(root).with_suffix("").as_posix()
        if page not in pages:
            yield f"{page}.ipynb is not in _toc.yml, so no reader will find it."


def test_table_of_contents_and_files_agree():
    assert list(toc_faults(ROOT)) == []


def test_faults_in_the_table_of_contents_are_told(tmp_path):
    (tmp_path / "chapters").mkdir()
    for name in "index.md", "chapters/one.ipynb", "chapters/two.ipynb":
        (tmp_path / name).touch()
    toc = "root: index\nparts:\n  - chapters:\n      - file: chapters/one\n"
    (tmp_path / "_toc.yml").write_text(toc + "      - file: chapters/two\n")
    assert list(toc_faults(tmp_path)) == []
    (tmp_path / "_toc.yml").write_text(toc + "      - file: chapters/three\n")
    assert list(toc_faults(tmp_path)) == [
        "_toc.yml names chapters/three, but there is no chapters/three.ipynb or "
        "chapters/three.md.",
        "chapters/two.ipynb is not in _toc.yml, so no reader will find it.",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_file_is_as_nbformat_writes_it(path):
    """A line of source a line of the file: else a diff shows whole cells."""
    notebook = nbformat.read(path, as_version=4)
    assert path.read_text() == nbformat.writes(notebook) + "\n"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_blank_is_left_to_fill_in(path):
    cells = nbformat.read(path, as_version=4).cells
    blanks = [c.id for c in cells if c.cell_type == "markdown" and "{{" in c.source]
    assert blanks == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_from_one_full_run(path):
    notebook = nbformat.read(path, as_version=4)
    provenance = notebook.metadata.get("provenance", {})
    assert provenance.get("profile") == "full", "Run python -m regression.refresh."
    assert notebook.cells[-1].metadata.get("tags") == ["provenance"]
    assert provenance["date"] in notebook.cells[-1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_record_is_of_these_cells_and_outputs(path):
    kept, cells = record.read(path), nbformat.read(path, as_version=4).cells
    codes = [cell for cell in cells if cell.cell_type == "code"]
    assert kept, "Run python -m regression.refresh."
    assert [fault for cell in codes for fault in record.faults(kept, cell)] == []
    names = {cell.id for cell in codes}
    assert set(kept["digests"]) == names | {"short", "trainings"}
    trained = {cell.id for cell in codes if compare.Settings.of(cell).trained}
    assert set(kept["short"]) == trained
    for notes in kept["trainings"].values():
        assert set(notes) <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_spread_was_measured_for_this_code(path):
    notebook = nbformat.read(path, as_version=4)
    for profile in "short", "full":
        measured = spread.read(path, profile)
        trainings = record.read(path).get("trainings", {}).get(profile, {})
        stale = [
            name
            for name, notes in trainings.items()
            if notes
            and name in measured.beginnings
            # As the regression run asks, which is red where there is no answer.
            and measured.trainings(name, slices.digest(notebook, name), len(notes))
            is None
        ]
        assert stale == [], "Run python -m regression.spread."


def test_nothing_is_stored_of_a_notebook_that_is_gone():
    stored = {path.name for path in ROOT.glob("chapters/*.json")}
    kinds = "record", "spread"
    assert stored - {"prose.json"} <= {
        f"{path.stem}.{kind}.json" for path in NOTEBOOKS for kind in kinds
    }
