"""The numerals that a reader of Markdown sees, and the sentences that they are in.

What a reader does not see as text is no prose: code, formulas, addresses, labels,
options of directives, HTML, the numbers of a list, and what a program writes between
two equal comments. Neither is a digit that belongs to a name, as in float32 or AVX-512,
or to a version of three parts, as in 1.9.1.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

NUMERAL = re.compile(
    r"(?<![\w.])(?<![^\W\d]-)[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"(?:[eE][-+]?\d+)?(?!\w|\.\d)"
)
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
    re.compile(r"^[ \t]*(?:\*\*)?\d+[.)](?=[ \t])", re.M),
]
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
    return text


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
    exponent = int(literal.lower().partition("e")[2] or 0)
    unit = Fraction(10) ** (exponent - decimals(literal))
    return abs(Fraction(value) - number(literal)) <= unit / 2


def shown(value: Fraction | float, literal: str) -> str:
    """A value with as many digits as a numeral has, and written like it.

    A tie goes to the even digit.
    """
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
