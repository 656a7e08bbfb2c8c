"""Tables and pictures read from notebooks: small notebooks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import front, results

ROOT = Path(__file__).parents[2]
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
        "data": {results.GLUE: repr(value)},
        "metadata": {"scrapbook": {"name": name, "mime_prefix": "any"}},
    }


@pytest.fixture
def root(tmp_path):
    """A book with one chapter, that glues an accuracy and prints a log."""
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
            "metadata": {},
            "source": "",
            "outputs": [
                glued("accuracy", 0.99124),
                {"output_type": "stream", "name": "stdout", "text": LOG},
            ],
        },
    ]
    (tmp_path / "chapters").mkdir()
    metadata = {"provenance": PROVENANCE, "times": {"cpu": 312}}
    notebook = {"cells": cells, "metadata": metadata}
    (tmp_path / "chapters" / "lesson.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "chapters" / "results.yml").write_text(RESULTS)
    return tmp_path


def cells(line):
    """What stands in a row of a Markdown table."""
    start, *found, end = re.split(r"(?<!\\)\|", line)
    assert start == end == ""
    return [cell.strip() for cell in found]


def test_a_table_keeps_numbers_as_they_are_and_its_columns_apart():
    head, rule, *rows = results.table(["a", "b"], [["0.10", "x | y"], [1e9, ""]])
    assert cells(head) == ["a", "b"]
    assert all(re.fullmatch(":-+", cell) for cell in cells(rule))
    assert [cells(row) for row in rows] == [["0.10", r"x \| y"], ["1000000000.0", ""]]


def test_the_map_shows_time_by_device_and_date(root):
    row = results.chapters_table(root, ["lesson: Learn: it."])[-1]
    link = "[A lesson](/chapters/lesson.ipynb)"
    times = ["5\u00a0min", "–", "2026\u201111\u201121"]
    assert cells(row) == [link, "Learn: it.", *times]


def test_a_chapter_never_run_in_full_says_so(root):
    path = root / "chapters" / "lesson.ipynb"
    notebook = json.loads(path.read_text())
    notebook["metadata"] = {}
    path.write_text(json.dumps(notebook))
    row = results.chapters_table(root, ["lesson: x"])[-1]
    assert cells(row)[-3:] == ["–", "–", "never"]
    assert cells(results.status_table(root)[-1])[1:] == ["never", *"––––"]


def test_the_status_names_device_and_versions(root):
    run = ["2026\u201111\u201121", "5\u00a0min", "cpu(0), Xeon", "42"]
    versions = "mxnet 1.9.1, numpy 1.23.5"
    assert cells(results.status_table(root)[-1])[1:] == [*run, versions]


def test_results_are_rounded_as_the_published_ones_and_linked_to_the_cell(root):
    first, second = map(cells, results.results_table(root)[-2:])
    setting = "batch 64, learning rate 0.001, 10 epochs"
    assert first[:4] == ["A network, MNIST", setting, "loss", "0.1"]
    here = "{ref}`0.9912 <lesson#train>`"
    figure = "test accuracy, last epoch"
    assert second == ["", "", figure, "0.9937", here, "–", "cpu(0)"]


@pytest.mark.parametrize("seeds, mark", [(0.99, " ▲"), (0.993, "")])
def test_results_have_the_spread_and_mark_what_lies_outside(root, seeds, mark):
    values = [seeds + step for step in (-2e-4, -1e-4, 0, 1e-4, 2e-4)]
    spread = root / "chapters/lesson.spread.json"
    spread.write_text(json.dumps({"seeds": {"accuracy": values}}))
    row = cells(results.results_table(root)[-1])
    assert row[3] == f"0.9937{mark}" and row[5] == "0.00016 (5)"
    (expected,) = results.expected_table(root)[2:]
    assert cells(expected)[-2:] == [f"{seeds:.4f} ± 0.0002", "5"]


CLAIMS = """
chapter: lesson
claims:
  - name: faster
    says: It is faster.
    source: a paper, Section 2
    published: 14 times
"""


def test_a_claim_stands_beside_what_was_glued_of_it(root):
    (root / "chapters" / "claims.yml").write_text(CLAIMS)
    path = root / "chapters" / "lesson.ipynb"
    notebook = json.loads(path.read_text())
    told = glued("claim-faster", "4.4 ± 0.2 (5): seen")
    notebook["cells"][1]["outputs"].append(told)
    path.write_text(json.dumps(notebook))
    here = "{ref}`4.4 ± 0.2 (5) <lesson#train>`"
    row = ["It is faster.", "a paper, Section 2", "14 times", here, "seen"]
    assert cells(results.claims_table(root)[-1]) == row


def test_a_claim_that_the_chapter_does_not_judge_is_named(root):
    (root / "chapters" / "claims.yml").write_text(CLAIMS)
    with pytest.raises(ValueError, match='a value "claim-faster", found accuracy'):
        results.claims_table(root)


def test_an_epoch_takes_the_median_of_its_log(root):
    link = "[A network, MNIST](/chapters/lesson.ipynb)"
    row = cells(results.epochs_table(root)[-1])
    assert row == [link, "64", "3.5\u00a0s", "cpu(0), Xeon"]
    with pytest.raises(ValueError, match='the cell "x" .* found none. Correct the'):
        results.Stored(root, "lesson").epoch("x")


def test_readme_gets_the_table_between_its_marks(root):
    readme = f"before\n{results.MARK}\nold\n{results.MARK}\nafter\n"
    new = results.with_results(readme, root)
    assert new.startswith(f"before\n{results.MARK}\n| Run") and new.endswith(
        "\nafter\n"
    )
    assert "[0.9912](chapters/lesson.ipynb)" in new and "old" not in new
    assert "loss" not in new  # no headline
    assert results.with_results(new, root) == new


def test_the_command_writes_it(root):
    readme = root / "README.md"
    readme.write_text(f"{results.MARK}\nold\n{results.MARK}\n")
    command = [sys.executable, "-m", "tools.results", readme]
    subprocess.run(command, cwd=ROOT, check=True)
    assert "[0.9912](chapters/lesson.ipynb)" in readme.read_text(encoding="utf-8")


def test_readme_has_what_the_notebooks_store():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == results.with_results(readme, ROOT), (
        "README.md and the notebooks disagree. Run `python -m tools.results README.md`."
    )


def test_readme_without_marks_is_an_error(root):
    with pytest.raises(ValueError, match="twice, found it 0 times. Write it before"):
        results.with_results("no marks", root)


def test_a_value_that_no_cell_glued_is_named_with_those_there_are(root):
    with pytest.raises(ValueError, match='a value "loss", found accuracy. Glue it'):
        results.Stored(root, "lesson").value("loss")


def picture(folder, layer, plain):
    """The front page's, of two logs with these accuracies."""
    (folder / "chapters").mkdir()
    cells = [
        {"cell_type": "code", "id": cell, "source": "", "outputs": [log(values)]}
        for cell, values in zip(front.LOGS, (layer, plain), strict=True)
    ]
    path = folder / "chapters" / f"{front.CHAPTER}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}}))
    return front.picture(folder)


@pytest.mark.parametrize("plain", [(0.1,), (0.1, 0.5, 0.6)])
def test_a_picture_needs_two_logs_of_as_many_epochs(tmp_path, plain):
    layer = plain[:2]
    found = f"found {len(layer)} and {len(plain)}; refresh the chapter"
    with pytest.raises(ValueError, match=f"fashion-with and fashion-wi.*, {found}"):
        picture(tmp_path, layer, plain)


def test_the_front_picture_says_what_the_logs_store(tmp_path):
    svg, caption = picture(tmp_path, (0.8398, 0.86, 0.8847), (0.1, 0.6685, 0.8375))
    drawn = ElementTree.fromstring(svg)
    shown = [text.text for text in drawn.iter("text")]
    assert [text for text in shown if "%" in text] == ["84%", "10%", "88%", "84%"]
    assert "84% right" in caption and "10% without" in caption
    assert all(part in drawn.get("aria-label") for part in ("84%", "10%", "88%"))
    layer, plain = (
        [float(point.split(",")[1]) for point in line.get("points").split()]
        for line in drawn.iter("polyline")
    )
    assert len(layer) == 3
    # Down is up, and both have one scale.
    scale = (layer[2] - layer[0]) / (0.8847 - 0.8398)
    assert scale < 0
    assert plain[0] - layer[0] == pytest.approx(scale * (0.1 - 0.8398), rel=0.01)


def log(accuracies):
    lines = [
        f"epoch 1, train acc 0.5, test acc {value}, 9.9 s\n" for value in accuracies
    ]
    return {"output_type": "stream", "name": "stdout", "text": lines}


def test_a_log_that_no_cell_stores_is_named(root):
    with pytest.raises(
        ValueError, match='Expected the cell "other" of chapters/lesson'
    ):
        results.Stored(root, "lesson").epoch("other")


def test_a_chapter_that_does_not_exist_is_an_error(root):
    with pytest.raises(ValueError, match="chapters/other.ipynb, found no such file"):
        results.Stored(root, "other")
