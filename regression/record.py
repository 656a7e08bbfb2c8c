"""What is stored beside a notebook, in NAME.record.json, when it is refreshed.

- digests: of each code cell, of its code and of its outputs;
- short: the outputs of the cells that depend on training, in the short profile;
- trainings: by profile, what was noted of each cell's trainings.

The digests cover the other two parts as well, so nothing here can be edited unnoticed.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from regression import slices

AGAIN = "Run python -m regression.refresh."


def path_of(notebook: Path) -> Path:
    return notebook.with_suffix(".record.json")


def read(notebook: Path) -> dict:
    """The record of a notebook's path, {} without one; ValueError if damaged."""
    path = path_of(notebook)
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for name, outputs in record["short"].items():
            record["short"][name] = [nbformat.from_dict(output) for output in outputs]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}). {AGAIN}") from None
    return record


def text_of(
    notebook: NotebookNode, short: dict[str, list], trainings: dict[str, dict]
) -> str:
    """The content of the record for a notebook that has just run.

    short: the outputs of the short profile by cell. trainings: the notes on trainings
    by profile and cell.
    """
    digests = {
        cell.id: [code_digest(cell.source), digest(cell.outputs)]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    digests["short"], digests["trainings"] = digest(short), digest(trainings)
    record = {"digests": digests, "short": short, "trainings": trainings}
    return json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(source: str) -> str:
    """The digest of what a cell does: comments and layout give no other outputs."""
    try:
        return digest(list(map(slices.dump, slices.statements(source))))
    except SyntaxError:
        return digest(source)


def faults(record: dict, cell: NotebookNode) -> Iterator[str]:
    """Yield what a cell's digests say against what is stored, in sentences."""
    if cell.id not in record.get("digests", {}):
        yield f"It is not in the notebook's record. {AGAIN}"
        return
    source, outputs = record["digests"][cell.id]
    if code_digest(cell.source) != source:
        yield f"Its code is not the code that gave the stored outputs. {AGAIN}"
    elif digest(cell.outputs) != outputs:
        yield (
            "Its stored outputs are not those that a refresh wrote: somebody edited "
            f"them. {AGAIN}"
        )
    for part in "short", "trainings":
        if digest(record[part]) != record["digests"][part]:
            yield f'The part "{part}" of the record was edited. {AGAIN}'
