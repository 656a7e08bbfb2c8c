"""What a notebook's record says about what was edited since it was written."""

import nbformat
import pytest

from regression import record

FIGURE = {"figure": ["axes 1: line 1 y [0.5, nan] within [0.0, 1.0]"]}


def code(name, source, *outputs):
    return nbformat.v4.new_code_cell(source, id=name, outputs=list(outputs))


def stdout(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


@pytest.fixture
def path(tmp_path):
    """A notebook with its record beside it, as refresh writes them."""
    picture = nbformat.v4.new_output(
        "display_data", {"image/png": "iVBORw0KGgo=\n"}, metadata=FIGURE
    )
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("Text.", id="text"),
            code("train", "train(net)", stdout("loss 0.5\nacc 0.8\n")),
            code("plot", "plt.plot()\nplt.show()", picture),
        ]
    )
    path = tmp_path / "chapter.ipynb"
    nbformat.write(notebook, path)
    short = {"train": [stdout("loss 2.1\nµ = 1e-5\n")]}
    notes = {"full": {"train": [{"losses": [2.3, float("nan")]}]}, "short": {}}
    text = record.text_of(notebook, short, notes)
    record.path_of(path).write_text(text, encoding="utf-8")
    return path


def faults(path, edit=lambda cells: None, edit_record=lambda kept: None):
    """What is said of each code cell after what is stored was edited."""
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    edit(cells)
    kept = record.read(path)
    edit_record(kept)
    return {name: list(record.faults(kept, cell)) for name, cell in cells.items()}


def test_what_refresh_wrote_has_no_faults(path):
    assert faults(path) == {"train": [], "plot": []}


def test_has_what_it_was_given(path):
    kept = record.read(path)
    assert set(kept["digests"]) == {"train", "plot", "short", "trainings"}
    (output,) = kept["short"]["train"]
    assert output.text == "loss 2.1\nµ = 1e-5\n"  # as an output, for the comparison
    assert kept["trainings"]["full"]["train"][0]["losses"][0] == 2.3


def edit_outputs(cells):
    output = cells["train"].outputs[0]
    output.text = output.text.replace("0.5", "0.6")


def edit_figure(cells):
    cells["plot"].outputs[0].metadata.figure[0] += " "


def edit_source(cells):
    cells["plot"].source += "\n0"


def edit_both(cells):
    edit_source(cells)
    edit_figure(cells)


@pytest.mark.parametrize(
    "edit, name, words",
    [
        (
            edit_outputs,
            "train",
            "Its stored outputs are not those that a refresh wrote: somebody edited "
            "them. Run python -m regression.refresh.",
        ),
        (
            edit_figure,
            "plot",
            "Its stored outputs are not those that a refresh wrote: somebody edited "
            "them. Run python -m regression.refresh.",
        ),
        (
            edit_source,
            "plot",
            "Its code is not the code that gave the stored outputs. " + record.AGAIN,
        ),
        (
            edit_both,
            "plot",
            "Its code is not the code that gave the stored outputs. " + record.AGAIN,
        ),
    ],
)
def test_an_edited_cell_is_told(path, edit, name, words):
    assert faults(path, edit) == {"train": [], "plot": []} | {name: [words]}


def edit_short(kept):
    kept["short"]["train"][0].text += "acc 0.9\n"


def edit_notes(kept):
    kept["trainings"]["full"]["train"][0]["losses"][0] = 2.4


@pytest.mark.parametrize(
    "part, edit", [("short", edit_short), ("trainings", edit_notes)]
)
def test_an_edited_record_is_told(path, part, edit):
    words = f'The part "{part}" of the record was edited. {record.AGAIN}'
    assert words in faults(path, edit_record=edit)["train"]


def test_a_cell_that_is_not_in_the_record_is_told(path):
    def add(cells):
        cells["new"] = code("new", "1 + 1")

    words = "It is not in the notebook's record. Run python -m regression.refresh."
    assert faults(path, add) == {"train": [], "plot": [], "new": [words]}
    record.path_of(path).unlink()
    assert faults(path) == {"train": [words], "plot": [words]}


def test_a_comment_and_the_layout_of_code_do_not_count(path):
    def edit(cells):
        cells["plot"].source = f"# A comment.\n\n{cells['plot'].source}  # another"

    assert faults(path, edit) == {"train": [], "plot": []}
