"""The little language that says where a number in the text comes from.

    100 * (1 - gluon.train_mnist["epoch 8"]["test acc"])

A cell's id, with underscores for its hyphens, stands for the lines of its stored
output; another notebook's cell has that notebook's name before it. Lines and numbers
are counted from 1, and lines without text are not:

- `cell[2]`: the second line; `cell["epoch 2"]`: what comes after these words in the
  only line that begins with them; `cell[2:5]`: the lines from the second to the fifth;
- `line[4]`: the fourth number; `line["test acc"]`: what comes after these words;
  `line[1:8]`: the numbers from the first to the eighth;
- `cell[2:5][4]`, `cell[:]["test acc"]`: the same of each line.

Where a number is needed, a text stands for its first one; nan and inf count, but have
no value. There are + - * / ** (of
lists, number by number), the comparisons, `and`, `or`, `not`, "words" `in` a cell or
line, `abs`, `round`, and the FUNCTIONS. Decimals are computed with exactly.
"""

import ast
import math
import operator
import re
import statistics
from collections.abc import Callable, Iterator
from fractions import Fraction

from regression import literals

BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
ORDERS = set(COMPARISONS)
# Each takes numbers, and lists of numbers.
FUNCTIONS = {
    "min": min,
    "max": max,
    "sum": sum,
    "len": len,
    "mean": statistics.mean,
    "median": statistics.median,
}
EXPONENT = 1000  # the largest one: a slip should not take the machine's memory
SHOWN = 200  # characters of an output in an error
# As in "loss nan": passed over, it would make the next number the loss.
NUMBERS = re.compile(
    rf"{literals.NUMERAL.pattern}|(?<![\w.])[-+]?(?P<none>nan|inf)(?!\w)", re.I
)


class NoValue(ValueError):
    """Why an expression has no value, in a sentence."""


class Cell(list):
    """The lines of a cell's stored output."""


Numbers = Fraction | float | list[Fraction | float]
Find = Callable[[str, str], Cell]  # from the names of a notebook, or "", and a cell


def number(expression: str, find: Find) -> Fraction | float:
    """The number that an expression stands for; NoValue says why there is none."""
    found = one(evaluate(parsed(expression), find))
    if not math.isfinite(found):
        raise NoValue(f"that is {found}")
    return found


def truth(expression: str, find: Find) -> bool:
    """Whether an expression is true; NoValue says why that can't be told."""
    return truth_of(parsed(expression), find)


def parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise NoValue(f"{expression!r} is no expression: {error.msg}") from None


def operands(expression: str, find: Find) -> Iterator[str]:
    """What an expression compares, each side with its number: "a[1] = 0.5"."""
    for node in ast.walk(parsed(expression)):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        for side in sides:
            if not isinstance(side, ast.Constant):
                try:
                    yield f"{ast.unparse(side)} = {float(one(evaluate(side, find))):g}"
                except NoValue:  # the text in which words are looked up
                    continue


def notebooks(expression: str) -> set[str]:
    """The names of other notebooks that an expression mentions."""
    try:
        nodes = list(ast.walk(parsed(expression)))
    except NoValue:
        return set()
    named = (node.value for node in nodes if isinstance(node, ast.Attribute))
    return {name.id for name in named if isinstance(name, ast.Name)}


def evaluate(node: ast.expr, find: Find) -> object:
    """A number (exact where possible), a truth, a text, a list of these, or a Cell."""

    def value(of: ast.expr) -> Fraction | float:
        return one(evaluate(of, find))

    match node:
        case ast.Constant(str(words)):
            return words
        case ast.Constant(bool() as constant):
            return constant
        case ast.Constant(int() | float() as constant):
            return Fraction(repr(constant))
        case ast.Name(name):
            return find("", name)
        case ast.Attribute(ast.Name(notebook), name):
            return find(notebook, name)
        case ast.Subscript(of, ast.Slice(first, last, None)):
            ends = (None if end is None else value(end) for end in (first, last))
            return part(evaluate(of, find), *ends, ast.unparse(of))
        case ast.Subscript(of, index):
            return item(evaluate(of, find), evaluate(index, find), ast.unparse(of))
        case ast.UnaryOp(ast.USub(), of):
            return -value(of)
        case ast.UnaryOp(ast.Not(), of):
            return not truth_of(of, find)
        case ast.BoolOp(kind, values):
            every = all if isinstance(kind, ast.And) else any
            return every([truth_of(value, find) for value in values])
        case ast.BinOp(left, kind, right) if type(kind) in BINARY:
            sides = [numbers(evaluate(side, find)) for side in (left, right)]
            return combined(type(kind), *sides, ast.unparse(node))
        case ast.Compare(left, [ast.In() | ast.NotIn() as kind], [text]):
            contained = contains(evaluate(text, find), evaluate(left, find), node)
            return contained == isinstance(kind, ast.In)
        case ast.Compare(left, kinds, rights) if set(map(type, kinds)) <= ORDERS:
            sides = [value(side) for side in (left, *rights)]
            pairs = zip(kinds, sides[:-1], sides[1:], strict=True)
            return all(COMPARISONS[type(k)](a, b) for k, a, b in pairs)
        case ast.Call(ast.Name("abs"), [of], []):
            found = numbers(evaluate(of, find))
            return [*map(abs, found)] if isinstance(found, list) else abs(found)
        case ast.Call(ast.Name("round"), [of, ast.Constant(int(places))], []):
            return round(Fraction(value(of)), places)
        case ast.Call(ast.Name(name), [_, *_] as given, []) if name in FUNCTIONS:
            found = [evaluate(argument, find) for argument in given]
            if len(found) == 1 and isinstance(found[0], str):
                line = ast.unparse(given[0])
                raise NoValue(
                    f"{ast.unparse(node)} needs several numbers, but a line alone "
                    f"stands for its first; write {line}[1:] for all of them"
                )
            return Fraction(FUNCTIONS[name](several(found)))
    raise NoValue(
        f"{ast.unparse(node)} is not part of the language; there are cells, [ ], "
        f"+ - * / **, comparisons, and, or, not, in, abs, round, {', '.join(FUNCTIONS)}"
    )


def one(found: object) -> Fraction | float:
    """A number, or the first one of a text."""
    if isinstance(found, str):
        return item(found, Fraction(1), repr(found))
    if isinstance(found, (bool, list)):
        kind = "a cell, which has lines" if isinstance(found, Cell) else "no number"
        raise NoValue(f"a number is needed, but here is {kind}: {str(found)[:60]}")
    return found


def several(found: list) -> list[Fraction | float]:
    """The numbers in a list, and in lists in it."""
    numbers = []
    for entry in found:
        inner = isinstance(entry, list) and not isinstance(entry, Cell)
        numbers += several(entry) if inner else [one(entry)]
    if not numbers:
        raise NoValue("there are no numbers to choose from")
    return numbers


def truth_of(node: ast.expr, find: Find) -> bool:
    found = evaluate(node, find)
    if not isinstance(found, bool):
        raise NoValue(f"{ast.unparse(node)} is neither true nor false")
    return found


def numbers(found: object) -> Numbers:
    """A number, or those of a list."""
    inner = isinstance(found, list) and not isinstance(found, Cell)
    return several(found) if inner else one(found)


def combined(kind: type, left: Numbers, right: Numbers, shown: str) -> Numbers:
    """What two numbers give, or two lists, number by number, or a list and a number."""
    if not isinstance(left, list) and not isinstance(right, list):
        return computed(kind, left, right, shown)
    left = left if isinstance(left, list) else [left] * len(right)
    right = right if isinstance(right, list) else [right] * len(left)
    if len(left) != len(right):
        raise NoValue(f"{shown} needs lists as long as each other")
    return [computed(kind, *pair, shown) for pair in zip(left, right, strict=True)]


def computed(
    kind: type, left: Fraction | float, right: Fraction | float, shown: str
) -> Fraction | float:
    if kind is ast.Pow and abs(right) > EXPONENT:
        raise NoValue(f"{shown} has an exponent beyond {EXPONENT}")
    try:
        found = BINARY[kind](left, right)
    except (ArithmeticError, ValueError) as error:
        raise NoValue(f"{shown} can't be computed: {error}") from None
    if isinstance(found, complex):
        raise NoValue(f"{shown} is no real number")
    return found


def contains(text: object, words: object, node: ast.expr) -> bool:
    lines = text if isinstance(text, Cell) else [text]
    if not isinstance(words, str) or not all(isinstance(line, str) for line in lines):
        raise NoValue(
            f'{ast.unparse(node)}: on the left of "in" belong words, on the '
            "right a cell or a line"
        )
    if not any(line.strip() for line in lines):
        raise NoValue(f"{ast.unparse(node)} asks for words where nothing is stored")
    return any(" ".join(words.split()) in " ".join(line.split()) for line in lines)


def part(
    found: object, first: Fraction | None, last: Fraction | None, shown: str
) -> list:
    """The lines of a cell, or the numbers of a text, from `first` to `last`."""
    entries = found if isinstance(found, Cell) else numbers_of(found, shown)
    start, end = int(first or 1), len(entries) if last is None else int(last)
    if not 1 <= start <= end <= len(entries):
        raise NoValue(f"{shown} has {len(entries)} entries, not {start} to {end}")
    return [finite(entry, shown) for entry in entries[start - 1 : end]]


def item(found: object, index: object, shown: str) -> object:
    """A line of a cell, a number of a text, what follows words; of a list, of each."""
    if isinstance(found, list) and not isinstance(found, Cell):
        return [item(entry, index, shown) for entry in found]
    if isinstance(index, str):
        return after(found, index, shown)
    entries = found if isinstance(found, Cell) else numbers_of(found, shown)
    kind = "line" if isinstance(found, Cell) else "number"
    if not isinstance(index, Fraction) or index.denominator != 1:
        raise NoValue(f"{shown}[…] takes a whole number or words")
    if not 1 <= index <= len(entries):
        raise NoValue(
            f"{shown} has no {kind} {index}, but {len(entries)}"
            + (f": {found.strip()[:SHOWN]!r}" if isinstance(found, str) else "")
        )
    return finite(entries[int(index) - 1], shown)


def numbers_of(found: object, shown: str) -> list[Fraction | float]:
    """The numbers of a text in order, with nan and inf as such."""
    if not isinstance(found, str):
        raise NoValue(f"{shown} has no entries")
    return [
        float(match[0]) if match["none"] else literals.number(match[0])
        for match in NUMBERS.finditer(found)
    ]


def finite(entry: object, shown: str) -> object:
    """A line, or a number; NoValue where it is nan or inf."""
    if isinstance(entry, float):
        raise NoValue(f"the number at that place of {shown} is {entry}")
    return entry


def after(found: object, words: str, shown: str) -> str:
    """What follows the words: in a text, or in the line of a cell that they begin."""
    pattern = r"\s+".join(map(re.escape, words.split())) + r"(?!\w)"
    if isinstance(found, Cell):
        hits = [m for line in found if (m := re.match(rf"\s*{pattern}", line))]
        told = f"begins {len(hits)} lines of {shown}, not one; it has"
    elif isinstance(found, str):
        hits = list(re.finditer(rf"(?<!\w){pattern}", found))
        told = f"is in {shown} {len(hits)} times, not once:"
    else:
        raise NoValue(f"{shown} has no words")
    if len(hits) != 1:
        text = "; ".join(found) if isinstance(found, Cell) else found
        raise NoValue(f"{words!r} {told} {text.strip()[:SHOWN]!r}")
    return hits[0].string[hits[0].end() :]
