"""What a check says of a reader's work, as text and as a box in a notebook."""

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

WIDTH = 80
RIGHT, WRONG, NOT_ATTEMPTED = "right", "wrong", "not attempted"
# A sign and a color each: neither is needed to tell them apart.
_SIGNS = {RIGHT: "✓", WRONG: "✗", NOT_ATTEMPTED: "…"}
_COLORS = {RIGHT: "#2e8b57", WRONG: "#d1495b", NOT_ATTEMPTED: "#8a8a8a"}
_BOX = "border-left: 5px solid {}; padding: 0.2em 0.9em; margin: 0.3em 0"


class Text(str):
    """Text that a notebook shows as it is, line by line."""

    def __repr__(self) -> str:
        return str(self)


class Example(NamedTuple):
    """A small input that shows a mistake: what was expected there, and what found."""

    what: str  # such as "gradient of X"
    inputs: Mapping[str, object]  # arrays and numbers by name
    expected: object
    found: object


class Verdict:
    """One of right, wrong, not attempted; printed, it says why.

    outcome: RIGHT, WRONG or NOT_ATTEMPTED.
    mistakes: the names of what is wrong, none or one or two.
    example: the smallest input that shows it, where there is one.
    `hint()` and `solution()` are those of the check, which see.
    """

    def __init__(
        self,
        check,
        outcome: str,
        sentences: Sequence[str],
        mistakes: Sequence[str] = (),
        example: Example | None = None,
        after: Sequence[str] = (),
    ) -> None:
        self.outcome, self.mistakes, self.example = outcome, tuple(mistakes), example
        self.hint, self.solution = check.hint, check.solution
        self._before, self._after = list(sentences), list(after)

    @property
    def is_right(self) -> bool:
        return self.outcome == RIGHT

    def __repr__(self) -> str:
        parts = [f"{_SIGNS[self.outcome]} {self._before[0]}", *self._before[1:]]
        parts = [textwrap.fill(part, WIDTH) for part in parts]
        if self.example:
            parts.append("\n".join("  " + line for line in lines_of(self.example)))
        parts += [textwrap.fill(part, WIDTH) for part in self._after]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        head, *rest = map(html.escape, self._before)
        parts = [f"<p><strong>{_SIGNS[self.outcome]} {head}</strong></p>"]
        parts += [f"<p>{part}</p>" for part in rest]
        if self.example:
            lines = html.escape("\n".join(lines_of(self.example)))
            parts.append(f'<pre tabindex="0">{lines}</pre>')
        parts += [f"<p>{html.escape(part)}</p>" for part in self._after]
        return (
            f'<div style="{_BOX.format(_COLORS[self.outcome])}">{"".join(parts)}</div>'
        )


def not_attempted(check) -> Verdict:
    return Verdict(
        check,
        NOT_ATTEMPTED,
        [
            "Not attempted yet: put your code in place of the dots.",
            f"check.{check.name}.hint() gives a step of help.",
        ],
    )


def lines_of(example: Example) -> list[str]:
    """The inputs, then expected and found, side by side where both are arrays."""
    expected, found = example.expected, example.found
    if not isinstance(found, (str, tuple)) and np.size(found) == 1:
        found = (
            np.reshape(found, np.shape(expected)) if np.size(expected) == 1 else found
        )
    alike = np.shape(expected) == np.shape(found) != ()
    beside = {
        name: value
        for name, value in example.inputs.items()
        if alike and np.shape(value) == np.shape(expected)
    }
    lines = [
        f"{name} = {number(value)}"
        for name, value in example.inputs.items()
        if name not in beside
    ]
    if not alike:
        lines.append(f"{example.what}, expected: {number(expected)}")
        lines.append(f"{example.what}, found:    {number(found)}")
        return lines
    columns = {"at": [_place(i) for i in np.ndindex(np.shape(expected))]}
    for name, values in {**beside, "expected": expected, "found": found}.items():
        columns[name] = [number(value) for value in np.ravel(values)]
    differ = ~np.isclose(found, expected, rtol=1e-3, atol=1e-4, equal_nan=True)
    widths = [max(map(len, [name, *column])) for name, column in columns.items()]
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    lines.append(f"{example.what}:")
    for row, mark in zip(rows, [False, *differ.ravel()], strict=True):
        cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells) + ("  ≠" if mark else ""))
    return lines


def _place(index):
    return "[" + ", ".join(map(str, index)) + "]"


def number(value):
    """A number in few digits; an array as nested lists of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):  # a Failure
        return str(value[0])
    if np.ndim(value):
        return "[" + ", ".join(number(part) for part in value) + "]"
    return f"{float(value):.5g}"
