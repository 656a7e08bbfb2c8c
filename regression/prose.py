"""Numbers in the text, each bound to the stored output that it comes from.

    python -m regression.prose [NOTEBOOK or page …]

names each number in prose, captions, and alt texts that has no record, with the stored
numbers that it may come from, and each sentence that the stored outputs don't bear out;
then the exit status is 1. README.md says what a record looks like.
"""

import argparse
import collections
import contextlib
import dataclasses
import difflib
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from regression import expressions, literals, project
from regression.expressions import NoValue
from regression.tidy import FIGURE

GLUED = "application/papermill.record/text/plain"
KINDS = {"computed": dict, "published": dict, "constants": list, "holds": dict}
CANDIDATES, SHOWN = 5, 60  # suggested for a number; characters shown of its line


@dataclasses.dataclass
class Passage:
    """A cell, or a page: its text, in one place or more, and the record of its numbers.

    texts: (a table, the key of a text in it). home: (a table, the record's key in it).
    """

    path: Path
    cell: str  # its id, "" for a page
    texts: list[tuple[dict, str]]
    home: tuple[dict, str]

    @property
    def record(self) -> dict:
        table, key = self.home
        return table.get(key, {})

    def told(self, start: int, end: int, place: int) -> str:
        """Where a number or word is, and the sentence that has it."""
        table, key = self.texts[place]
        sentence = literals.sentence(table[key], start, end)
        return f'{self}: "{sentence}"'

    def __str__(self) -> str:
        return f"{self.path}, {self.cell}" if self.cell else str(self.path)


@dataclasses.dataclass
class Numeral:
    """One numeral of a passage, in its text number `place`, and what is said of it."""

    place: int
    start: int
    end: int
    literal: str
    kind: str = ""  # "" where it has no record
    source: str = ""
    key: str = ""  # of its record


class Book:
    """The notebooks and the pages of a project.

    new: notebooks to take for those in their files. faults: files that can't be read.
    """

    def __init__(
        self, own: project.Project, new: dict[Path, NotebookNode] | None = None
    ) -> None:
        self.notebooks, self.pages, self.records, self.faults = {}, {}, {}, []
        given = {path.resolve(): (path, new[path]) for path in new or {}}
        for path in own.paths():
            with self.noting(path):
                _, notebook = given.pop(path.resolve(), (path, None))
                self.notebooks[path] = notebook or nbformat.read(path, as_version=4)
        self.notebooks |= dict(given.values())  # those of other folders
        self.records_path = Path(own.prose)
        if own.prose:
            with self.noting(self.records_path):
                self.records = json.loads(self.records_path.read_text("utf-8"))
        for name in self.records:
            with self.noting(Path(name)):
                self.pages[Path(name)] = {"text": Path(name).read_text("utf-8")}

    @contextlib.contextmanager
    def noting(self, path: Path) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as error:
            self.faults.append(f"{path} can't be read: {error}")

    def content(self, path: Path) -> str:
        """What a file has to hold."""
        if path in self.pages:
            return self.pages[path]["text"]
        if path in self.notebooks:
            return nbformat.writes(self.notebooks[path]) + "\n"
        return json.dumps(self.records, indent=1, ensure_ascii=False) + "\n"

    def passages(self) -> Iterator[Passage]:
        for path, notebook in self.notebooks.items():
            for cell in notebook.cells:
                if "provenance" not in cell.metadata.get("tags", ()):
                    home = (cell.metadata, "prose")
                    yield Passage(path, cell.get("id", "?"), texts(cell), home)
        for path, page in self.pages.items():
            yield Passage(path, "", [(page, "text")], (self.records, str(path)))

    def known(self, path: Path) -> Path:
        """The path by which the book knows a notebook."""
        resolved = path.resolve()
        return next((p for p in self.notebooks if p.resolve() == resolved), path)

    def notebook(self, name: str) -> Path:
        """The notebook that a name stands for: its own, or only the end of it."""
        names = {path: path.stem.replace("-", "_") for path in self.notebooks}
        found = [path for path, own in names.items() if own == name]
        found = found or [p for p, own in names.items() if own.endswith(f"_{name}")]
        if len(found) != 1:
            raise NoValue(
                f"{len(found) or 'no'} notebooks are called {name}, among "
                f"{', '.join(names.values())}"
            )
        return found[0]

    def cell(self, path: Path, name: str) -> expressions.Cell:
        """The lines that a cell has stored, by its id with underscores for hyphens."""
        if path not in self.notebooks:
            raise NoValue(f"{path} has no cells; name the notebook before {name}")
        cells = self.notebooks[path].cells
        cells = {cell.get("id", "").replace("-", "_"): cell for cell in cells}
        if name not in cells:
            near = difflib.get_close_matches(name, cells, 5, 0.4) or ["none"]
            raise NoValue(f"{path} has no cell {name}; similar: {', '.join(near)}")
        return stored_lines(cells[name])

    def finder(self, path: Path) -> expressions.Find:
        """What names in expressions stand for that are written in this file."""

        def find(notebook: str, name: str) -> expressions.Cell:
            return self.cell(self.notebook(notebook) if notebook else path, name)

        return find

    def quotes(self, passage: Passage, path: Path) -> bool:
        """Whether a passage has numbers from this notebook, or is in it."""
        if passage.path == path or malformed(passage.record):
            return passage.path == path
        tables = [passage.record.get(kind, {}) for kind in ("computed", "holds")]
        sources = [source for table in tables for source in table.values()]
        named = {name for source in sources for name in expressions.notebooks(source)}
        for name in named:
            with contextlib.suppress(NoValue):
                if self.notebook(name) == path:
                    return True
        return False


def texts(cell: NotebookNode) -> list[tuple[dict, str]]:
    """Where a cell has text for readers: its source, or a figure's caption and alt."""
    if cell.cell_type == "markdown":
        return [(cell, "source")]
    rendering = cell.metadata.get("mystnb", {})
    caption = rendering.get("figure", {}), "caption"
    alt = rendering.get("image", {}), "alt"
    return [(table, key) for table, key in (caption, alt) if key in table]


def stored_lines(cell: NotebookNode) -> expressions.Cell:
    """The lines with text of what a cell prints, shows, glues, and plots."""
    found = []
    for output in cell.get("outputs", ()):
        data, metadata = output.get("data", {}), output.get("metadata", {})
        if output.get("name") == "stdout":
            found += output.text.splitlines()
        elif GLUED in data:
            found.append(f"{metadata['scrapbook']['name']} {data[GLUED]}")
        else:
            found += metadata.get(FIGURE, data.get("text/plain", "").splitlines())
    return expressions.Cell(line for line in found if line.strip())


def malformed(record: object) -> str:
    """Why a record can't be read, "" where it can."""
    known = ", ".join(KINDS)
    if not isinstance(record, dict) or not record.keys() <= KINDS.keys():
        return f"the record has to be a table of {known}, but it is {record!r}"
    for kind, of in KINDS.items():
        entries = record.get(kind, of())
        values = entries.values() if isinstance(entries, dict) else entries
        if not isinstance(entries, of) or not all(isinstance(v, str) for v in values):
            return f'"{kind}" has to be a {of.__name__} of texts, but it is {entries!r}'
    keys = [key for kind in KINDS if kind != "holds" for key in record.get(kind, ())]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    return f"the record has {', '.join(twice)} twice" if twice else ""


def numerals(passage: Passage) -> tuple[list[Numeral], list[str]]:
    """The numerals of a passage with what its record says, and the keys of no numeral.

    "0.5 (2)" is the second 0.5 alone, "0.5" every one that has no key of its own; of
    these only a constant may have several (`shared`).
    """
    said = {}
    for kind in "computed", "published", "constants":
        entries = passage.record.get(kind, {})
        for key in entries:
            said[key] = kind, entries[key] if isinstance(entries, dict) else ""
    found, used, count = [], set(), collections.Counter()
    for place, (table, key) in enumerate(passage.texts):
        for match in literals.numerals(table[key]):
            literal = match[0]
            count[literal] += 1
            own = f"{literal} ({count[literal]})"
            entry = own if own in said else literal
            used.add(entry)
            kind, source = said.get(entry, ("", ""))
            found.append(Numeral(place, *match.span(), literal, kind, source, entry))
    return found, [key for key in said if key not in used]


def shared(found: list[Numeral]) -> dict[str, int]:
    """The keys that bind several numerals to one source, and how many each binds.

    That two numbers are equal today says nothing of where the second one is from.
    """
    keys = [n.key for n in found if n.kind in ("computed", "published")]
    return {key: many for key, many in collections.Counter(keys).items() if many > 1}


def unrecorded(passage: Passage) -> list[Numeral]:
    """The numerals that a record has to be written for, each once."""
    first = {}
    for n in numerals(passage)[0]:
        if not n.kind:
            first.setdefault(n.literal, n)
    return list(first.values())


def faults(book: Book, passage: Passage, missing: bool = True) -> Iterator[str]:
    """What is wrong with the numbers and verdicts of a passage, in sentences.

    missing: whether numbers without a record, and records without a number, count.
    """
    problem = malformed(passage.record)
    if problem:
        yield f"{passage}: {problem}."
        return
    find = book.finder(passage.path)
    found, unused = numerals(passage)
    for key, many in shared(found).items():
        yield (
            f"{passage}: the record has {key!r} for one number, but the text has it "
            f'{many} times; give each its own, "{key} (2)" to the second.'
        )
    for n in found:
        told = passage.told(n.start, n.end, n.place)
        if n.kind == "computed":
            try:
                value = expressions.number(n.source, find)
            except NoValue as error:
                yield f"{told}: {n.literal} is {n.source}, but {error}."
            else:
                if not literals.agrees(value, n.literal):
                    now = literals.shown(value, n.literal)
                    now = now or f"{float(value):g}, for which it has too few digits"
                    yield f"{told}: {n.literal} is now {now} ({n.source})."
    if missing:
        for n in unrecorded(passage):
            told = passage.told(n.start, n.end, n.place)
            yield f"{told}: {n.literal} has no record."
        for key in unused:
            yield f"{passage}: the record has {key!r}, but the text has not."
    for words, claim in passage.record.get("holds", {}).items():
        place, span = find_words(passage, words)
        if place is None or re.search(r"\d", words):
            yield (
                f"{passage}: the record says when {words!r} holds, but that is not "
                "words of the text, without digits."
            )
            continue
        told = passage.told(*span, place)
        try:
            if not expressions.truth(claim, find):
                sides = ", ".join(expressions.operands(claim, find))
                yield f'{told}: "{words}" does not hold: {claim}; {sides}.'
        except NoValue as error:
            yield f'{told}: "{words}" holds if {claim}, but {error}.'


def find_words(passage: Passage, words: str) -> tuple[int | None, tuple[int, int]]:
    """(number of the text, span) of the words, (None, …) where no text has them."""
    pattern = r"\s+".join(map(re.escape, words.split()))
    for place, (table, key) in enumerate(passage.texts):
        match = re.search(rf"(?<!\w){pattern}(?!\w)", table[key])
        if match and words.strip():
            return place, match.span()
    return None, (0, 0)


def renew(book: Book, passage: Passage) -> list[tuple[str, str]]:
    """Write the stored numbers into a passage: its sentences that change, old, new.

    What an author has to write stays as it is, for `faults` to tell.
    """
    if malformed(passage.record):
        return []
    find = book.finder(passage.path)
    found, unused = numerals(passage)
    old = [table[key] for table, key in passage.texts]
    fresh = [dataclasses.replace(n) for n in found]
    for n in fresh:
        # With another number, the ending of 2nd would be another, too.
        if n.kind == "computed" and not literals.ORDINAL.match(old[n.place], n.end):
            with contextlib.suppress(NoValue):
                value = expressions.number(n.source, find)
                if not literals.agrees(value, n.literal):
                    n.literal = literals.shown(value, n.literal) or n.literal
    # Whose a shared key is only an author knows, and the new record would forget.
    if fresh == found or shared(found):
        return []
    for place, (table, key) in enumerate(passage.texts):
        text, done = "", 0  # done: up to where the old text is in the new one
        for n in (n for n in fresh if n.place == place):
            text += old[place][done : n.start]
            done, n.start = n.end, len(text)
            text += n.literal
            n.end = len(text)
        table[key] = text + old[place][done:]
    table, key = passage.home
    table[key] = record_of(fresh, passage.record, unused)
    changes = {}
    for before, after in zip(found, fresh, strict=True):
        if before.literal != after.literal:
            table, key = passage.texts[after.place]
            was = literals.sentence(old[before.place], before.start, before.end)
            changes[was] = literals.sentence(table[key], after.start, after.end)
    return list(changes.items())


def record_of(found: list[Numeral], old: dict, unused: list[str]) -> dict:
    """The record of these numerals, with the rest of the old one."""
    entries = {kind: {} for kind in KINDS}
    first, count = {}, collections.Counter()
    for n in found:
        count[n.literal] += 1
        kind = first.setdefault(n.literal, n.kind)
        if n.kind and count[n.literal] == 1:
            entries[n.kind][n.literal] = n.source
        elif n.kind and not kind == n.kind == "constants":  # these alone share a key
            entries[n.kind][f"{n.literal} ({count[n.literal]})"] = n.source
    for kind, given in old.items():
        for key in given:
            if kind == "holds" or key in unused:
                entries[kind][key] = given[key] if isinstance(given, dict) else ""
    return {
        kind: list(entries[kind]) if of is list else entries[kind]
        for kind, of in KINDS.items()
        if entries[kind]
    }


def refreshed(
    own: project.Project, path: Path, notebook: NotebookNode
) -> tuple[dict[Path, str], list[str]]:
    """Write a notebook's new outputs into its text, and where else it is quoted.

    notebook: with its new outputs; its text is changed in place. Returned are the other
    files that change, with their contents; and what changes, in sentences.
    """
    book = Book(own, {path: notebook})
    path = book.known(path)
    others, changes = set(), []
    for passage in list(book.passages()):
        if book.quotes(passage, path):
            for before, after in renew(book, passage):
                changes.append(f"{passage}\n  before | {before}\n  after  | {after}")
                others |= {passage.path}
                others |= set() if passage.cell else {book.records_path}
    files = {p.resolve(): book.content(p) for p in sorted(others - {path})}
    return files, changes


def left(own: project.Project, paths: list[Path]) -> list[str]:
    """What a refresh of these notebooks leaves for an author to correct."""
    new = {path: nbformat.read(path, as_version=4) for path in paths}
    book = Book(own, new)
    known = {book.known(path) for path in paths}
    return book.faults + [
        fault
        for passage in book.passages()
        if any(book.quotes(passage, path) for path in known)
        for fault in faults(book, passage, missing=False)
    ]


def candidates(book: Book, passage: Passage, literal: str) -> Iterator[str]:
    """Stored numbers that round to a numeral, those of the nearest cells above first.

    Each is an expression and the line that it is in.
    """
    for path in [passage.path] if passage.cell else book.notebooks:
        cells = book.notebooks[path].cells
        prefix = "" if passage.cell else f"{path.stem}."
        ids = [cell.get("id") for cell in cells]
        here = ids.index(passage.cell) if passage.cell in ids else 0
        for cell in cells[here::-1] + cells[here + 1 :]:
            name = f"{prefix}{cell.get('id')}".replace("-", "_")
            for i, line in enumerate(stored_lines(cell), 1):
                for j, match in enumerate(literals.NUMERAL.finditer(line), 1):
                    value = literals.number(match[0])
                    shown = f"{name}[{i}][{j}]  {line.strip()[:SHOWN]}"
                    if literals.agrees(value, literal):
                        yield shown
                    elif 0 < value < 1 and literals.agrees(100 * value, literal):
                        yield f"100 * {shown}"


def stop_on_unknown(files: list[Path], own: project.Project, book: Book) -> None:
    """Exit where a file is asked for in which nothing would be looked at."""
    known = {path.resolve() for path in [*own.paths(), *map(Path, book.records)]}
    unknown = [str(path) for path in files if path.resolve() not in known]
    if unknown:
        pages = own.prose and f" or pages with an entry in {own.prose}"
        sys.exit(
            f"Expected notebooks below {own.notebooks}{pages}, found "
            f"{', '.join(unknown)}; correct the name or add the entry."
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m regression.prose")
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files
    wanted = {path.resolve() for path in files}
    own = project.here()
    book = Book(own)
    told = list(book.faults)
    print(*told, sep="\n", end="\n" if told else "")
    stop_on_unknown(files, own, book)
    for passage in book.passages():
        if wanted and passage.path.resolve() not in wanted:
            continue
        for fault in faults(book, passage):
            told.append(fault)
            print(fault)
        for n in [] if malformed(passage.record) else unrecorded(passage):
            found = candidates(book, passage, n.literal)
            for candidate in itertools.islice(found, CANDIDATES):
                print(f"  {n.literal} may be {candidate}")
    if told:
        sys.exit(f"{len(told)} to correct; regression/README.md says how.")


if __name__ == "__main__":
    main()
