"""The rules by which a re-run cell's outputs are compared with the stored ones.

- Text has to be equal; runs of blanks count as one, for the columns of a printed array
  move when one of its numbers gets longer.
- Whole numbers have to be equal. Others may differ by what float32 leaves open in a
  small computation: 1e-6 of the stored one, and in brackets, as in a printed array,
  1e-6 of the largest one there (what is left where numbers cancel).
- Durations, rates, memory addresses, and what the project names in `uncompared` are
  not compared.
- A matplotlib figure is compared by what it plots (`figure_data.py`), with the
  tolerance of an array whose largest number is the end of the axis. Any other picture
  has to be the same, byte by byte.

README.md says what a cell's metadata can ask for beyond that.
"""

import dataclasses
import difflib
import hashlib
import itertools
import json
import math
import re
import statistics
from collections.abc import Iterator, Sequence

from nbformat import NotebookNode

from regression.tidy import FIGURE

RTOL, ARRAY_ATOL = 1e-6, 1e-6
LINE = 160  # characters of a line that are shown
SMALLEST = {"rtol": 0, "atol": 0, "factor": 1}  # tolerances that make sense

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_AMOUNT = r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
MASKS = [
    (re.compile(_AMOUNT + r" ?[A-Za-z]*(?:/s|/sec| per second)\b"), "<rate>"),
    # "min" alone is more often a minimum.
    (
        re.compile(
            rf"(?:{_AMOUNT} h )?(?:{_AMOUNT} min )?"
            rf"{_AMOUNT} ?(?:[nuµμm]?s|sec|seconds?|minutes?|hours?)\b(?!/)"
        ),
        "<duration>",
    ),
    (re.compile(r"\b0x[0-9a-fA-F]+"), "<address>"),
]


@dataclasses.dataclass
class Settings:
    """What the metadata of one cell asks for, and `spread`, which is measured.

    spread: of a cell that depends on training, by how much its numbers may differ,
    relative to their scale.
    """

    rtol: float = 0.0
    atol: float = 0.0
    factor: float = 1.0
    numbers: dict = dataclasses.field(default_factory=dict)
    trained: bool = False
    data: bool = False
    timing: bool = False
    why: str = ""
    spread: float = 0.0

    @classmethod
    def of(cls, cell: NotebookNode, on_gpu: bool = False) -> "Settings":
        """The settings of a notebook's cell; ValueError where they make no sense."""
        given = table(cell.metadata.get("regression", {}), "the metadata")
        gpu = table(given.pop("gpu", {}), "gpu")
        if on_gpu:
            given |= gpu
        numbers = table(given.get("numbers", {}), "numbers")
        unknown = set(given) - {field.name for field in dataclasses.fields(cls)}
        unknown |= set(given) & {"spread"}
        for name, tolerance in numbers.items():
            unknown |= set(table(tolerance, f"numbers of {name}")) - set(SMALLEST)
        if unknown:
            raise ValueError(
                f'the metadata "regression" knows no {", ".join(sorted(unknown))}; '
                "regression/README.md lists what it knows."
            )
        for tolerance in given, *numbers.values():
            for name in tolerance.keys() & SMALLEST.keys():
                value, smallest = tolerance[name], SMALLEST[name]
                if not is_number(value) or not smallest <= value < math.inf:
                    raise ValueError(
                        f"{name} has to be a number of at least {smallest}, but it is "
                        f"{value!r}."
                    )
        for name in ("trained", "data", "timing"):
            if not isinstance(given.get(name, False), bool):
                raise ValueError(
                    f"{name} has to be true or false, but it is {given[name]!r}."
                )
        settings = cls(**given)
        if settings.tolerant and not settings.why:
            raise ValueError(
                'a tolerance without a reason: add "why" to the metadata "regression".'
            )
        return settings

    @property
    def tolerant(self) -> bool:
        given = self.rtol or self.atol or self.factor > 1 or self.numbers
        return bool(given or self.spread)

    def allowed(
        self,
        stored: float,
        new: float,
        before: str,
        scale: float,
        whole: bool,
        unit: float,
    ) -> float:
        """By how much `new` may differ from `stored`, both numbers.

        before: the line's text up to the number. scale: the largest magnitude in
        the same brackets. whole: whether it is printed as a whole number. unit: that of
        its last digit.
        """
        words = re.sub(r"[\W\d]*$", "", before)  # letters are not only Latin ones
        named = [word for word in self.numbers if words.endswith(word)]
        own = self.numbers[max(named, key=len)] if named else {}
        rtol, atol = own.get("rtol", self.rtol), own.get("atol", self.atol)
        factor = own.get("factor", self.factor)
        ratio = factor - 1 if abs(new) > abs(stored) else 1 - 1 / factor
        own_way = max(atol + rtol * abs(stored), ratio * abs(stored))
        if whole:
            return own_way if named else 0.0
        if self.spread:
            own_way = max(own_way, self.spread * magnitude(stored, scale) + unit)
        return max(RTOL * abs(stored) + ARRAY_ATOL * scale, own_way)


def table(value: object, name: str) -> dict:
    """A copy of a table of the metadata; ValueError where it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} has to be a table {{…}}, but it is {value!r}.")
    return dict(value)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclasses.dataclass
class Difference:
    """One line that differs; None stands for a line that is not there.

    marks: the spans (start, end) of what differs in `stored` and in `new`.
    """

    where: str
    stored: str | None
    new: str | None
    marks: tuple = ((), ())
    note: str = ""

    def __str__(self) -> str:
        rows = [f"{self.where}: {self.note}".rstrip(": ")]
        sides = zip((self.stored, self.new), self.marks, strict=True)
        for name, (line, spans) in zip(("stored", "new   "), sides, strict=True):
            rows.append(f"  {name} | {'(nothing)' if line is None else line}")
            if spans:
                carets = [" "] * max(end for _, end in spans)
                for start, end in spans:
                    carets[start:end] = "^" * (end - start)
                rows.append(f"         | {''.join(carets)}")
        return "\n".join(rows)

    def shortened(self) -> "Difference":
        """The same with long lines cut to what is around their first mark."""
        sides = [
            around_marks(*side)
            for side in zip((self.stored, self.new), self.marks, strict=True)
        ]
        (stored, new), marks = zip(*sides, strict=True)
        return dataclasses.replace(self, stored=stored, new=new, marks=marks)


def around_marks(
    line: str | None, spans: Sequence[tuple[int, int]]
) -> tuple[str | None, list[tuple[int, int]]]:
    """A long line and its spans, cut to what is around the first one."""
    if line is None or len(line) <= LINE:
        return line, list(spans)
    start = max(0, (spans[0][0] if spans else 0) - LINE // 2)
    end = start + LINE
    left, right = "… " if start else "", " …" if end < len(line) else ""
    shift = len(left) - start
    kept = [(a + shift, min(b, end) + shift) for a, b in spans if a < end]
    return left + line[start:end] + right, kept


def outputs(
    stored: list[NotebookNode],
    new: list[NotebookNode],
    settings: Settings,
    uncompared: Sequence[str] = (),
) -> tuple[list[Difference], float]:
    """Compare two lists of outputs in notebook format.

    uncompared: regular expressions of text that is not, beside durations and the like.
    Returns (differences, share): a list of `Difference`, and the largest share
    of its allowance that any number used, where 1 is all of it.
    """
    stored, new = texts_of(stored), texts_of(new)
    differences, share = [], 0.0
    for where in [*stored, *(key for key in new if key not in stored)]:
        if where not in new or where not in stored:
            missing = where in stored
            line = " / ".join((stored if missing else new)[where].splitlines()[:3])
            found = Difference(
                where,
                stored=line if missing else None,
                new=None if missing else line,
                note="is missing from the new outputs"
                if missing
                else "is not among the stored outputs",
            )
            differences.append(found)
            continue
        old_lines = lines(stored[where], uncompared)
        new_lines = lines(new[where], uncompared)
        found, used = differing_lines(where, old_lines, new_lines, settings)
        differences += found
        share = max(share, used)
    return [difference.shortened() for difference in differences], share


def texts_of(outputs: list[NotebookNode]) -> dict[str, str]:
    """The outputs as a dict from where a text is ("stdout", …) to that text.

    Pictures are left out where their figure's data are beside them.
    """
    texts, rich = {}, 0
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            texts[output["name"]] = texts.get(output["name"], "") + output["text"]
        elif kind == "error":
            texts["error"] = f"{output['ename']}: {output['evalue']}"
        else:
            rich += 1
            figure = output.get("metadata", {}).get(FIGURE)
            if figure:
                texts[f"output {rich}, figure"] = "\n".join(figure)
            for mime, value in output["data"].items():
                if mime.startswith("image/") and figure:
                    value = "(compared by what it plots)"
                elif mime.startswith("image/"):
                    value = f"sha256 {hashlib.sha256(value.encode()).hexdigest()}"
                if not isinstance(value, str):
                    value = json.dumps(value, indent=1, sort_keys=True)
                texts[f"output {rich}, {mime}"] = value
    return {where: text for where, text in texts.items() if text.strip()}


def lines(text: str, uncompared: Sequence[str] = ()) -> list[str]:
    """The lines of `text`, masked, with the rows of a wrapped array in one line."""
    own = [(re.compile(pattern, re.M), "<not compared>") for pattern in uncompared]
    for pattern, name in [*own, *MASKS]:
        text = pattern.sub(name, text)
    rows, depth = [], 0
    for row in text.rstrip("\n").split("\n"):
        # NumPy breaks a long row by itself, and elsewhere once a number gets shorter.
        if depth > 0 and re.match(r"\s+[-+.\d]", row):
            rows[-1] += " " + row.strip()
        else:
            depth = depth if row.startswith((" ", "[", "]")) else 0
            rows.append(row.rstrip())
        depth += row.count("[") - row.count("]")
    return rows


def differing_lines(
    where: str, stored: list[str], new: list[str], settings: Settings
) -> tuple[list[Difference], float]:
    """Compare two lists of lines: (differences, share), as `outputs` does."""
    differences, share = [], 0.0
    arrays = list(array_scales(stored))
    for i, j in aligned(stored, new):
        old = None if i is None else stored[i]
        line = None if j is None else new[j]
        place = f"{where}, line {(j if i is None else i) + 1}"
        if old is None or line is None:
            note = "a line is missing" if line is None else "a line was added"
            differences.append(Difference(place, old, line, note=note))
        elif skeleton(old) != skeleton(line):
            differences.append(Difference(place, old, line, text_marks(old, line)))
        else:
            marks, notes, used = differing_numbers(old, line, *arrays[i], settings)
            share = max(share, used)
            if notes:
                more = f"; and {len(notes) - 3} more" if len(notes) > 3 else ""
                note = "; ".join(notes[:3]) + more
                differences.append(Difference(place, old, line, marks, note))
    return differences, share


def aligned(
    stored: list[str], new: list[str]
) -> Iterator[tuple[int | None, int | None]]:
    """Yield pairs of line numbers that belong together, None for a line's absence."""
    if len(stored) == len(new):
        yield from enumerate(range(len(new)))
        return
    # Whole numbers tell the lines of a log apart.
    keys = [[skeleton(line, whole=False) for line in side] for side in (stored, new)]
    matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        yield from itertools.zip_longest(range(a, b), range(c, d))


def skeleton(line: str, whole: bool = True) -> str:
    """What is left of a line without its numbers (the whole ones: if `whole`)."""

    def blank(number):
        if is_whole(number[0]):
            return "0" if whole else number[0]
        return "0.0"

    line = re.sub(r"\s+", " ", NUMBER.sub(blank, line))
    return re.sub(r"(?<=[\[(]) | (?=[\]),])", "", line).strip()


def is_whole(number: str) -> bool:
    return not re.search(r"[.eE]", number)


def array_scales(rows: list[str]) -> Iterator[tuple[int, float]]:
    """Yield for each line how many brackets are open at its start, and the scale.

    The scale is the largest magnitude in the array that the line is part of, among
    the numbers with a point.
    """
    depth, depths, arrays = 0, [], []
    for row in rows:
        if not row.startswith((" ", "[", "]")):
            depth = 0  # not a row of an array, whatever was opened before
        if depth <= 0:
            arrays.append([])
        depths.append((max(depth, 0), arrays[-1]))
        numbers = NUMBER.findall(row[row.find("[") :] if depth <= 0 else row)
        arrays[-1] += [abs(float(n)) for n in numbers if not is_whole(n)]
        depth += row.count("[") - row.count("]")
    for opened, array in depths:
        yield opened, max(array, default=0.0)


def differing_numbers(
    stored: str, new: str, opened: int, scale: float, settings: Settings
) -> tuple[tuple[list, list], list[str], float]:
    """Compare the numbers of two lines of one skeleton: (marks, notes, share)."""
    marks, notes, share = ([], []), [], 0.0
    for old, now in zip(*map(NUMBER.finditer, (stored, new)), strict=True):
        whole, before = is_whole(old[0]), stored[: old.start()]
        expected, found = map(int if whole else float, (old[0], now[0]))
        inside = opened + before.count("[") - before.count("]") > 0
        largest = scale if inside else 0.0
        unit = last_digit(old[0])
        allowed = settings.allowed(expected, found, before, largest, whole, unit)
        off = abs(found - expected)
        # 0.51 - 0.5 is a little more than 0.01.
        if off <= allowed * (1 + 1e-9):
            share = max(share, min(1.0, off / allowed) if off else 0.0)
            continue
        marks[0].append(old.span())
        marks[1].append(now.span())
        limit = f"{allowed:.2g} is allowed" if allowed else "it has to be equal"
        notes.append(f"{old[0]} became {now[0]}, off by {off:.3g}, {limit}")
    return marks, notes, share


def text_marks(stored: str, new: str) -> list[list[tuple[int, int]]]:
    """Spans from the first to the last character in which two lines differ."""
    start = 0
    while start < min(len(stored), len(new)) and stored[start] == new[start]:
        start += 1
    end = 0
    while (
        end < min(len(stored), len(new)) - start and stored[-1 - end] == new[-1 - end]
    ):
        end += 1
    return [
        [(start, len(line) - end)] if len(line) - end > start else []
        for line in (stored, new)
    ]


def magnitude(value: float, scale: float) -> float:
    """What the deviation of a number is relative to.

    Itself, the largest in its brackets, or, for a share, what is missing to 1: an
    accuracy of 0.2 varies as the 0.8 do that are missing.
    """
    missing = 1 - abs(value) if abs(value) <= 1 else 0.0
    return max(abs(value), scale, missing)


def last_digit(number: str) -> float:
    """The unit of the last digit of a number as printed: 0.01 for 1.25."""
    digits, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def deviations(runs: list[list[NotebookNode]]) -> tuple[list[float], int]:
    """Standard deviations of the numbers in several runs' outputs of one cell.

    runs: lists of outputs. Returns (deviations, differing): one entry for each number
    with a point, relative to its `magnitude`, and how many runs had other words or
    lines than the first, whose numbers can't be told.
    """
    rows = [list(scaled_numbers(outputs)) for outputs in runs]
    words = [[name for name, _, _ in row] for row in rows]
    like = [row for row, w in zip(rows, words, strict=True) if w == words[0]]
    found = []
    for column in zip(*like, strict=True) if len(like) > 1 else ():
        values, scales = zip(
            *((value, scale) for _, value, scale in column), strict=True
        )
        found.append(statistics.stdev(values) / statistics.mean(scales))
    return found, len(rows) - len(like)


def scaled_numbers(
    outputs: list[NotebookNode],
) -> Iterator[tuple[str, float, float]]:
    """Yield (the words around it, value, magnitude) of each number with a point."""
    for where, text in texts_of(outputs).items():
        rows = lines(text)
        for row, (opened, scale) in zip(rows, array_scales(rows), strict=True):
            for number in NUMBER.finditer(row):
                if not is_whole(number[0]):
                    before, value = row[: number.start()], float(number[0])
                    inside = opened + before.count("[") - before.count("]") > 0
                    scaled = magnitude(value, scale if inside else 0.0)
                    yield f"{where} {skeleton(row)}", value, scaled
