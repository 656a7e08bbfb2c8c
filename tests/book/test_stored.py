"""Tables and pictures read from notebooks: small notebooks, no build."""

import base64
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "_ext"))

import stored

PROVENANCE = {
    "device": "cpu(0)",
    "processor": "Xeon",
    "packages": {"mxnet": "1.9.1", "numpy": "1.23.5"},
    "seed": 42,
    "date": "2026-11-21",
    "seconds": 312.4,
    "profile": "full",
}
RESULTS = """
- chapter: lesson
  network: A network
  dataset: MNIST
  log: train
  batch: 64
  learning rate: 0.001
  epochs: 10
  figures:
    - {name: loss, published: "0.1", measured: accuracy}
    - {name: "test accuracy, last epoch", published: "0.9937", measured: accuracy,
       headline: true}
"""

LOG = "epoch 1, loss 0.5, 3.9 s\nepoch 2, loss 0.4, 3.4 s\nepoch 3, loss 0.3, 3.5 s\n"


def glued(name, value):
    return {
        "output_type": "display_data",
        "data": {stored.GLUE: repr(value)},
        "metadata": {"scrapbook": {"name": name, "mime_prefix": "any"}},
    }


@pytest.fixture
def root(tmp_path):
    """A book with one chapter, that glues an accuracy and draws a figure."""
    picture = {"image/png": base64.b64encode(b"a picture").decode()}
    figure = {"name": "fig-curve", "caption": "A curve."}
    cells = [
        {
            "cell_type": "markdown",
            "id": "title",
            "metadata": {},
            "source": "# A lesson",
        },
        {
            "cell_type": "code",
            "id": "train",
            "metadata": {"mystnb": {"figure": figure, "image": {"alt": "It rises."}}},
            "source": "",
            "outputs": [
                glued("accuracy", 0.99124),
                {"output_type": "stream", "name": "stdout", "text": LOG},
                {"output_type": "display_data", "data": picture, "metadata": {}},
            ],
        },
    ]
    (tmp_path / "chapters").mkdir()
    metadata = {"provenance": PROVENANCE, "times": {"cpu": 312}}
    notebook = {"cells": cells, "metadata": metadata}
    (tmp_path / "chapters" / "lesson.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "chapters" / "results.yml").write_text(RESULTS)
    return tmp_path


def test_the_map_shows_time_by_device_and_date(root):
    row = stored.chapters_table(root, ["lesson: Learn: it."])[-1]
    assert row == (
        "| [A lesson](/chapters/lesson.ipynb) | Learn: it. "
        "| 5\u00a0min | – | 2026\u201111\u201121 |"
    )


def test_a_chapter_never_run_in_full_says_so(root):
    path = root / "chapters" / "lesson.ipynb"
    notebook = json.loads(path.read_text())
    notebook["metadata"] = {}
    path.write_text(json.dumps(notebook))
    assert stored.chapters_table(root, ["lesson: x"])[-1].endswith("| – | – | never |")
    assert "| never | – | – | – | – |" in stored.status_table(root)[-1]


def test_the_status_names_device_and_versions(root):
    assert stored.status_table(root)[-1].endswith(
        "| 2026\u201111\u201121 | 5\u00a0min | cpu(0), Xeon | 42 "
        "| mxnet 1.9.1, numpy 1.23.5 |"
    )


def test_results_are_rounded_as_the_published_ones_and_linked_to_the_cell(root):
    first, second = stored.results_table(root)[-2:]
    assert first.startswith(
        "| A network, MNIST | batch 64, learning rate 0.001, 10 epochs | loss | 0.1 |"
    )
    assert second == (
        "|  |  | test accuracy, last epoch | 0.9937 "
        "| {ref}`0.9912 <lesson#train>` | – | cpu(0) |"
    )


@pytest.mark.parametrize("seeds, mark", [(0.99, " ▲"), (0.993, "")])
def test_results_have_the_spread_and_mark_what_lies_outside(root, seeds, mark):
    values = [seeds + step for step in (-2e-4, -1e-4, 0, 1e-4, 2e-4)]
    spread = root / "chapters/lesson.spread.json"
    spread.write_text(json.dumps({"seeds": {"accuracy": values}}))
    row = stored.results_table(root)[-1]
    assert f"| 0.9937{mark} |" in row and "| 0.00016 (5) |" in row
    (expected,) = stored.expected_table(root)[2:]
    assert expected.endswith(f"| {seeds:.3f} ± 0.0002 | 5 |")


def test_an_epoch_takes_the_median_of_its_log(root):
    assert stored.epochs_table(root)[-1] == (
        "| [A network, MNIST](/chapters/lesson.ipynb) "
        "| 64 | 3.5\u00a0s | cpu(0), Xeon |"
    )
    with pytest.raises(ValueError, match='the cell "x" .* found none. Correct the'):
        stored.Stored(root, "lesson").epoch("x")


def test_readme_gets_the_table_between_its_marks(root):
    readme = f"before\n{stored.MARK}\nold\n{stored.MARK}\nafter\n"
    new = stored.with_results(readme, root)
    assert new.startswith(f"before\n{stored.MARK}\n| Run") and new.endswith("\nafter\n")
    assert "[0.9912](chapters/lesson.ipynb)" in new and "old" not in new
    assert "| loss |" not in new  # no headline
    assert stored.with_results(new, root) == new


def test_readme_without_marks_is_an_error(root):
    with pytest.raises(ValueError, match="twice, found it 0 times. Write it before"):
        stored.with_results("no marks", root)


def test_a_value_that_no_cell_glued_is_named_with_those_there_are(root):
    with pytest.raises(ValueError, match='a value "loss", found accuracy. Glue it'):
        stored.Stored(root, "lesson").value("loss")


def test_a_figure_is_found_by_name(root):
    lesson = stored.Stored(root, "lesson")
    assert lesson.figure("fig-curve") == (b"a picture", "It rises.", "A curve.")
    with pytest.raises(ValueError, match='"fig-x" in .* found fig-curve. Correct'):
        lesson.figure("fig-x")


def test_a_chapter_that_does_not_exist_is_an_error(root):
    with pytest.raises(ValueError, match="chapters/other.ipynb, found no such file"):
        stored.Stored(root, "other")
