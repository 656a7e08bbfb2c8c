"""What a project's watch notes of trainings is compared, and turns a run red."""

import json
import re

import pytest

from regression import record, slices, spread
from tests.support.runs import WATCHER, metadata, printing, regression_run, write

NOTE = {
    "batches": ["00c0ffee"],
    "steps": 2,
    "losses": [2.0, 1.5],
    "late loss": 1.5,
    "test loss": 1.2,
    "test error": 0.3,
    "test pictures": 1000,
}
SPREAD = {
    "runs": 21,
    "alike": 21,
    "printed": 0.01,
    "trainings": [
        {
            "beginning": {"step 2, loss": 0.01},
            "outcome": {"late loss": [1.5 + n / 100 for n in range(21)]},
        }
    ],
}
# name: (notes of the new run, what it prints, whether spread was measured, and for
# this code, what its message has to say)
TRAININGS = {
    "same": ([NOTE], 1.5, None, []),
    "first_loss": (
        [NOTE | {"losses": [2.0001, 1.5]}],
        1.5,
        None,
        ["training 1, step 1, loss: 2 became 2.0001, off by 5e-05 of it"],
    ),
    "second_training": (
        [NOTE, NOTE],
        1.5,
        None,
        [f"1 trainings are stored for this cell, but there were 2. {record.AGAIN}"],
    ),
    "no_training": (
        [],
        1.5,
        None,
        [f"1 trainings are stored for this cell, but there were 0. {record.AGAIN}"],
    ),
    "number": ([NOTE], 1.51, None, ["loss 1.51", "1.50 became 1.51, off by 0.01"]),
    "within_its_spread": (
        [NOTE | {"losses": [2.0, 1.51], "late loss": 1.6}],
        1.51,
        "here",
        [],
    ),
    "beyond_its_spread": (
        [NOTE | {"losses": [2.0, 2.5], "late loss": 3.0}],
        2.5,
        "here",
        [
            "training 1, step 2, loss: 1.5 became 2.5, off by ",
            "training 1, late loss: 1.5 became 3, off by ",
            "1.50 became 2.50, off by 1",
        ],
    ),
    "stale_spread": (
        [NOTE],
        1.5,
        "elsewhere",
        ["was measured for other code. Run python -m regression.spread"],
    ),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A notebook of one training, in a project whose watch notes it."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "pyproject.toml").write_text('[tool.regression]\nwatch = "watcher"\n')
    (folder / "watcher.py").write_text(WATCHER)
    for name, (notes, loss, measured, _) in TRAININGS.items():
        train = f"import watcher\nwatcher.found += {notes!r}\nprint('loss {loss:.2f}')"
        cells = ("train", train, "loss 1.50\n"), ("last", "print('done')", "done\n")
        notebook = printing(*cells)
        metadata("train", trained=True)(notebook)
        notes = {"full": {"train": [NOTE]}, "short": {"train": []}}
        write(folder, name, notebook, trainings=notes)
        if measured:
            code = slices.digest(notebook, "train") if measured == "here" else measured
            content = {"train": {"code": code} | SPREAD}
            path = spread.path_of(folder / f"{name}.ipynb")
            path.write_text(json.dumps({"short": content, "full": content}))
    return regression_run(folder)


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_are_compared_by_what_the_watch_notes(watched, name):
    words = TRAININGS[name][-1]
    red = {cell for notebook, cell in watched.faults if notebook == name}
    assert red == ({"train"} if words else set())
    for word in words:
        assert word in watched.faults[name, "train"]


def test_a_share_of_the_spread_is_a_share_of_the_tolerance(watched):
    row = re.search(r"^within_its_spread.ipynb .* (\d+)%$", watched.output, re.M)
    assert row[0].split()[3:8] == ["1", "1", "0", "0", "0"] and 0 < int(row[1]) < 100
