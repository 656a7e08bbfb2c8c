"""What the book's extension makes of a notebook's cells."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

sys.path.insert(0, str(Path(__file__).parents[2] / "_ext"))

import chapters


@pytest.mark.parametrize("tag", ["remove-cell", "remove_cell"])
def test_a_cell_that_no_page_shows_has_no_label(tmp_path, tag):
    def cell(name, *tags):
        metadata = {"tags": list(tags)}
        return {"cell_type": "code", "id": name, "metadata": metadata, "source": ""}

    path = tmp_path / "one.ipynb"
    shown, removed, last = cell("a"), cell("b", tag), cell("c", "remove-input")
    path.write_text(json.dumps({"cells": [shown, removed, last]}))
    labels = {}
    domain = SimpleNamespace(anonlabels=labels)
    env = SimpleNamespace(
        docname="one", doc2path=lambda _: path, get_domain=lambda _: domain
    )
    page = nodes.section()
    page += [nodes.container(nb_element="cell_code") for _ in range(2)]
    chapters.add_cell_labels(SimpleNamespace(env=env), page)
    assert labels == {"one#a": ("one", "cell-a"), "one#c": ("one", "cell-c")}
    assert [node["ids"] for node in page] == [["cell-a"], ["cell-c"]]
