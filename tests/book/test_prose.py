"""Each number and verdict in the book's text agrees with the outputs that it shows."""

import re
from pathlib import Path

import pytest
import yaml

from regression import project, prose

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.relative_to(ROOT) for path in ROOT.glob("chapters/*.ipynb"))
PAGES = [
    *map(Path, ("README.md", "index.md")),
    *sorted(path.relative_to(ROOT) for path in ROOT.glob("chapters/*.md")),
]


@pytest.fixture(scope="module")
def book():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return prose.Book(project.read(ROOT))


@pytest.mark.parametrize("path", CHAPTERS + PAGES, ids=str)
def test_the_stored_outputs_bear_out_the_text(book, path):
    assert book.faults == []
    passages = [passage for passage in book.passages() if passage.path == path]
    assert passages, f"Give {path} an entry in chapters/prose.json."
    faults = [fault for passage in passages for fault in prose.faults(book, passage)]
    if faults:
        told = "\n".join(faults)
        pytest.fail(f'{told}\nSee "Numbers in the text" in CONTRIBUTING.md.', False)


def test_each_published_number_has_a_source(book):
    known = set(
        re.findall(r"^@\w+\{(.+),$", (ROOT / "references.bib").read_text(), re.M)
    )
    runs = yaml.safe_load((ROOT / "chapters/results.yml").read_text(encoding="utf-8"))
    listed = {figure["published"] for run in runs for figure in run["figures"]}
    assert known and listed
    unknown = [
        f"{passage}: {literal}, {source}"
        for passage in book.passages()
        for literal, source in passage.record.get("published", {}).items()
        if source not in known
        and not (source == "chapters/results.yml" and literal in listed)
    ]
    assert unknown == [], (
        "Expected a key of references.bib, or chapters/results.yml, which then has to "
        "list the number."
    )
