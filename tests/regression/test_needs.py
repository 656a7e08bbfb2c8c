"""A notebook that this machine can't run is left out by name, or fails on CI."""

import pytest

from tests.support.runs import PROFILES, printing, regression_run, write

LACKS = f"""{PROFILES}
[tool.regression.needs]
"a.ipynb" = ["-c", "raise SystemExit('No tool for a. Install it.')"]
"b.ipynb" = ["-c", "print('The tool for b is here.')"]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pyproject.toml").write_text(LACKS)
    for name in "ab":
        write(
            tmp_path, name, printing(("one", "print(1)", "1\n"), ("two", "two = 2", ""))
        )
    return tmp_path


def test_what_is_missing_is_told_and_counted(folder):
    run = regression_run(folder, CI="")
    assert run.code == 0 and "2 passed, 2 skipped" in run.output
    for cell in "1 (one)", "2 (two)":
        left_out = f"left out: a.ipynb, cell {cell}: No tool for a. Install it."
        assert left_out in run.output


def test_on_ci_it_fails(folder):
    run = regression_run(folder, CI="true")
    assert {cell for cell in run.faults} == {("a", "one"), ("a", "two")}
    words = "No tool for a. Install it.\nWith CI=true this fails, and is not left out."
    assert words in run.faults["a", "one"]
