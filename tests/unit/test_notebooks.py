"""Taking definitions out of a notebook, whatever its cells hold."""

import json

import utils
import pytest


@pytest.fixture
def definitions_of(tmp_path):
    """A function that writes a chapter of these code cells and takes from it."""

    def take(*cells):
        notebook = {
            "cells": [{"cell_type": "markdown", "source": ["No %%python"]}]
            + [
                {"cell_type": "code", "id": f"id-{i}", "source": source}
                for i, source in enumerate(cells)
            ]
        }
        (tmp_path / "chapter.ipynb").write_text(json.dumps(notebook))
        return utils.definitions("chapter", tmp_path)

    return take


def test_only_definitions_and_imports_run(definitions_of):
    found = definitions_of(
        ["import math\n", "def area(r):\n", "    return math.pi * r * r\n"],
        "class Circle:\n    corners = 0\nraise RuntimeError('a training')",
        "def area(r):\n    return 3 * r * r",
    )
    assert found.area(2) == 12 and found.Circle.corners == 0


def test_literals_and_sums_of_them_are_taken_and_no_other_value(definitions_of):
    found = definitions_of(
        "ONE = 'one, '\nTWO = ONE + 'two'\nSEED = 42\nAXES = {'layer': (1, -1), **{}}",
        "ALL = TWO + ONE\nAXES = {'layer': (1, -1)}",
        "LOUD = ONE.upper()\nX = [LOUD]\nX[0] = 1",
    )
    assert found.ALL == "one, twoone, "
    assert found.SEED == 42 and found.AXES == {"layer": (1, -1)}
    assert not {"LOUD", "X"} & vars(found).keys()


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline",
        "!exit 1",
        "files = !exit 1",
        "seconds = %time 1",
        "?print",
        "print??",
        "if True:\n    %time 1",
    ],
)
def test_definitions_beside_a_line_of_magic_are_found(definitions_of, line):
    found = definitions_of(f"{line}\ndef two():\n    return 2\n{line}\n")
    assert found.two() == 2


@pytest.mark.parametrize("magic", ["%%time", "%%bash\nls -l | wc", "%%writefile f.py"])
def test_a_cell_of_magic_adds_nothing(definitions_of, magic):
    found = definitions_of("one = 1", f"{magic}\ndef two():\n    return 2")
    assert not hasattr(found, "two")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Let us begin.", "line 1: invalid syntax"),
        ("x = 1\ndef two(:\n    return 2", "line 2: invalid syntax"),
        ("x = '\0'", "source code string cannot contain null bytes"),
    ],
)
def test_a_cell_that_is_not_python_is_named(definitions_of, source, reason):
    with pytest.raises(ValueError) as caught:
        definitions_of("def one():\n    return 1", source)
    assert str(caught.value) == (
        "definitions expects Python in each code cell, but cell id-1 of chapter.ipynb "
        f"is none ({reason}); correct that cell, or make it a Markdown cell."
    )


def test_a_cell_without_an_id_is_counted(definitions_of, tmp_path):
    cells = [{"cell_type": "code", "source": source} for source in ("x = 1", "x x")]
    (tmp_path / "old.ipynb").write_text(json.dumps({"cells": cells}))
    with pytest.raises(ValueError, match="but cell 2 of old.ipynb is none"):
        utils.definitions("old", tmp_path)


def test_an_unknown_chapter_is_named(definitions_of, tmp_path):
    definitions_of("x = 1")
    with pytest.raises(FileNotFoundError) as caught:
        utils.definitions("nothing", tmp_path)
    assert str(caught.value) == (
        "definitions expects the name of a chapter, but there is no nothing.ipynb in "
        f"{tmp_path.name}/; the chapters are: chapter."
    )
