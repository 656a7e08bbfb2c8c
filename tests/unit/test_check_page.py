"""The page on checks: its code runs, and prints what the page shows."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "chapters" / "checks.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_prints_what_the_page_shows():
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))[
        1:
    ]  # the first has no layer
    names, said = {}, ""
    exec("from utils import check", names)
    for kind, text in blocks:
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(text, names)
            said = printed.getvalue()
        else:
            assert said == text
            said = ""
    assert not said
