"""The numerals that a reader of Markdown sees, and the sentences that they are in.

What a reader does not see as text is no prose: code, formulas, addresses, labels,
options of directives, HTML, the numbers of a list, and what a program writes between
two equal comments. Neither is a digit that belongs to a name, as in float32, AVX-512,
3D, or 2-D, or to a version of three parts, as in 1.9.1. A unit may follow a number at
once, as in 12ms or 1.5x, and so may the ending of 9th.

A parser such as markdown-it tells no places within a line, and without these nothing
could be rewritten there; so the text is blanked, and keeps its length.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

NUMERAL = re.compile(
    # Atomic (?>…): where the next lines refuse it, fewer of its digits are none either.
    r"(?<![\w.])(?<![^\W\d]-)[-+−]?"
    r"(?>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"(?!_|\.\d)(?!-?[dD]\b)"
    r"(?![^\W\d_]+[\d_])"  # letters and digits in turn are a name, letters alone a unit
)
ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")  # the ending of a numeral
# What is hidden, except for its group "shown".
HIDDEN = [
    re.compile(r"<!-- *([\w-]+) *-->.*?<!-- *\1 *-->", re.S),
    re.compile(r"<!--.*?-->", re.S),
    re.compile(r"\{[\w:-]+\}`(?P<shown>[^`<]*)<[^`>]*>`"),
    re.compile(r"(?:\{[\w:-]+\})?(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)", re.S),
    re.compile(r"\$\$.+?\$\$(?:\s*\([\w-]+\))?", re.S),
    re.compile(r"(?<![\\$])\$(?![\s$])[^$]*?(?<!\\)\$"),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"<?https?://[^\s>)]+>?"),
    re.compile(r'<[a-zA-Z/](?:[^>]*?\balt="(?P<shown>[^"]*)")?[^>]*>'),
    re.compile(r"^\([\w-]+\)=$", re.M),
    re.compile(r"(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)"),  # emphasis, as in _0.99_
    re.compile(r"(?<![\w.])(?P<shown>[1-9]\d*)x(?=\d)"),  # of 5x5
    re.compile(r"(?:\A|\n[ \t]*\n)[ \t]*\*\*\d+[.)](?=[ \t])"),  # **1. A title**
]
ITEM = re.compile(r"(?P<indent>[ \t]*)(?P<mark>[-*+]|\d+[.)])[ \t]+")
FENCE = re.compile(r"\s*(`{3,}|~{3,}|:{3,})(?:\{([\w:-]+)\})?(.*)")
CODE = {None, "math", "code", "code-block", "code-cell", "raw"}
# Directives whose first line has words for readers; that of the others has a label.
TITLED = {"table", "list-table", "figure", "admonition"}
OPTION = re.compile(r"\s*:(?!alt:|caption:)[\w-]+:")
SENTENCE_END = re.compile(
    r"(?<=[.!?])[)*\"”]*\s+(?=`|\W*[A-Z0-9])"  # before the next one
    r"|\n\s*\n|\n(?=\s*(?:[-*|#>:`<] ?|\d+[.)]\s))"  # paragraphs, rows, items
)


def numerals(markdown: str) -> Iterator[re.Match]:
    """The matches of what a reader sees as a number, at their places in the text."""
    return NUMERAL.finditer(readable(markdown))


def readable(markdown: str) -> str:
    """The text with blanks, just as many, for what a reader does not see as text."""
    text = without_fences(markdown)
    for pattern in HIDDEN:
        text = pattern.sub(blanked, text)
    return without_list_numbers(text)


def without_list_numbers(text: str) -> str:
    """The text with blanks for the numbers of lists.

    A line of a paragraph may begin with "64. Then": as in CommonMark, a list begins
    there with a bullet or a 1 alone. Any number continues a list.
    """
    lines, start, column = [], True, 0  # column: where the text of the last item begins
    for line in text.splitlines(keepends=True):
        item = ITEM.match(line)
        column = 0 if start else column
        begins = start or (item and item["mark"] in ("-", "*", "+", "1.", "1)"))
        if item and (begins or len(item["indent"]) < column):
            line, column = blanks(item[0]) + line[item.end() :], item.end()
        start = not line.strip() or line.startswith("#")
        lines.append(line)
    return "".join(lines)


def blanked(match: re.Match) -> str:
    shown = match.groupdict().get("shown")
    if shown is None:
        return blanks(match[0])
    start, end = (place - match.start() for place in match.span("shown"))
    return blanks(match[0][:start]) + shown + blanks(match[0][end:])


def blanks(text: str) -> str:
    return re.sub(r"\S", " ", text)


def without_fences(markdown: str) -> str:
    """The text with blanks for fenced code, and for the marks around directives."""
    lines, open_ones, options = [], [], False  # open_ones: (mark, directive)
    for line in markdown.splitlines(keepends=True):
        fence = FENCE.fullmatch(line.rstrip("\n"))
        coded = bool(open_ones) and open_ones[-1][1] in CODE
        if fence and open_ones and closes(fence, open_ones[-1][0]):
            open_ones.pop()
            line, options = blanks(line), False
        elif coded:
            line = blanks(line)
        elif fence:
            mark, directive, _ = fence.groups()
            open_ones.append((mark, directive))
            start = fence.start(3) if directive in TITLED else len(line)
            line, options = blanks(line[:start]) + line[start:], True
        elif options and OPTION.match(line):
            line = blanks(line)
        else:
            options = False
        lines.append(line)
    return "".join(lines)


def closes(fence: re.Match, mark: str) -> bool:
    other, directive, rest = fence.groups()
    return other.startswith(mark) and directive is None and not rest.strip()


def sentence(text: str, start: int, end: int) -> str:
    """The sentence around text[start:end], in one line."""
    breaks = list(SENTENCE_END.finditer(text))
    first = max((b.end() for b in breaks if b.end() <= start), default=0)
    last = min((b.start() for b in breaks if b.start() >= end), default=len(text))
    return " ".join(text[first:last].split())


def number(literal: str) -> Fraction:
    """The number that a numeral stands for, exactly."""
    return Fraction(literal.replace(",", "").replace("−", "-"))


def decimals(literal: str) -> int:
    return len(literal.lower().partition("e")[0].partition(".")[2])


def agrees(value: Fraction | float, literal: str) -> bool:
    """Whether a value, rounded to the digits that a numeral has, is that numeral.

    Of two neighbors that are as close both are right: what is stored was rounded, too.
    """
    off = abs(Fraction(value) - number(literal))
    if literal.lstrip("-+−") in ("0", "1"):
        # A reader takes them for none and for all, or for exactly one, and half of a
        # share would round to either: they have to be right with one more digit.
        return off < Fraction(1, 20)
    exponent = int(literal.lower().partition("e")[2] or 0)
    unit = Fraction(10) ** (exponent - decimals(literal))
    return off <= unit / 2


def shown(value: Fraction | float, literal: str) -> str | None:
    """A value with as many digits as a numeral has, and written like it.

    A tie goes to the even digit. A value that would be 0 or 1, but does not agree with
    it, gets one digit more. None: it is not zero, but would become so where the numeral
    was not; then nearly every value would agree, and an author has to look.
    """
    new = rounded(value, literal)
    if not agrees(value, new):
        new = rounded(value, literal + ".0")
    nonzero = re.compile(r"[1-9]")
    return (
        None if value and nonzero.search(literal) and not nonzero.search(new) else new
    )


def rounded(value: Fraction | float, literal: str) -> str:
    places = decimals(literal)
    if "e" in literal.lower():
        digits, _, exponent = f"{abs(float(value)):.{places}e}".partition("e")
        digits, zero = f"{digits}e{int(exponent)}", not value
    else:
        scaled = abs(round(Fraction(value) * 10**places))
        whole, part = divmod(scaled, 10**places)
        # Where the old number had no place for a comma, a new one gets it.
        grouped = "," in literal or abs(number(literal)) < 1000
        digits = f"{whole:,}" if grouped else str(whole)
        digits, zero = digits + (f".{part:0{places}}" if places else ""), not scaled
    if value < 0 and not zero:
        return f"{'-' if literal.startswith('-') else '−'}{digits}"
    return f"+{digits}" if literal.startswith("+") else digits
