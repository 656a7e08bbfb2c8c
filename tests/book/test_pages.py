"""The built pages, read as files: nothing here needs a browser."""

import json
import re
import tomllib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))


class Page(HTMLParser):
    """What a page links to, what can be linked to in it, and its pictures."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.images, self.meta = [], set(), [], {}
        self.canonical, self.title, self.open = None, "", None
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open = tag
        self.ids.add(attributes.get("id"))
        if tag == "img":
            self.images.append(attributes)
        if tag == "meta":
            name = attributes.get("property") or attributes.get("name")
            self.meta[name] = attributes.get("content")
        if tag == "link" and attributes.get("rel") == "canonical":
            self.canonical = attributes["href"]
        else:
            self.links += [attributes[k] for k in ("href", "src") if attributes.get(k)]

    def handle_data(self, data):
        if self.open == "title":
            self.title += data


@cache
def read(path):
    return Page(path)


def test_the_build_is_strict_and_clean(book):
    assert book.returncode == 0, book.log
    assert "WARNING" not in book.log and "ERROR" not in book.log, book.log


def test_every_internal_link_and_anchor_resolves(book):
    broken = []
    for name in book.pages:
        if name == "404.html":  # its links are absolute; the browser follows them
            continue
        page = book.html / name
        for link in read(page).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                (page.parent / unquote(parts.path)).resolve() if parts.path else page
            )
            if not target.is_file():
                broken.append(f"{name}: {link}: no such file")
            elif parts.fragment and target.suffix == ".html":
                if unquote(parts.fragment) not in read(target).ids:
                    broken.append(f"{name}: {link}: no such anchor")
    assert not broken, "\n".join(broken)


def test_every_page_can_be_found_and_shared(book):
    sitemap = (book.html / "sitemap.xml").read_text(encoding="utf-8")
    missing = []
    for name in book.pages:
        page = read(book.html / name)
        if not page.title.strip():
            missing.append(f"{name}: title")
        if name in ("404.html", "genindex.html", "search.html"):
            continue
        picture = urlsplit(page.meta.get("og:image", "")).path
        if not (book.html / "_images" / picture.partition("_images/")[2]).is_file():
            missing.append(f"{name}: the picture of og:image")
        for key in ("description", "og:title", "og:description", "og:url"):
            if not page.meta.get(key):
                missing.append(f"{name}: {key}")
        if not (page.canonical and page.canonical.endswith(name)):
            missing.append(f"{name}: canonical link")
        if f"/{name}<" not in sitemap:
            missing.append(f"{name}: sitemap.xml")
    assert not missing, "\n".join(missing)


def test_every_figure_has_an_alt_text_that_says_what_it_shows(book):
    poor = [
        f"{name}: {image.get('src')}: {image.get('alt')!r}"
        for name in book.pages
        for image in read(book.html / name).images
        if "_images/" in image.get("src", "") and len(image.get("alt") or "") < 40
    ]
    assert not poor, "alt texts shorter than 40 characters:\n" + "\n".join(poor)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_downloaded_as_it_is(book, path):
    copies = list(book.html.rglob(path.name))
    assert len(copies) >= 2, "expected the theme's download and the one in the text"
    assert all(copy.read_bytes() == path.read_bytes() for copy in copies)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_says_how_to_run_it_and_links_each_term_once(book, path):
    text = (book.html / "chapters" / f"{path.stem}.html").read_text(encoding="utf-8")
    assert "make lab" in re.sub("<[^>]+>", "", text)
    assert "mybinder.org" in text and "Colab" in text
    terms = re.findall(r'class="glossary-term[^>]*href="([^"]+)"', text)
    assert terms and len(terms) == len(set(terms))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_ends_with_its_provenance(path):
    last = json.loads(path.read_text(encoding="utf-8"))["cells"][-1]
    assert "provenance" in last["metadata"].get("tags", ()), (
        f"Expected the last cell of {path.name} to be the provenance line, found "
        f'"{last["id"]}". `make refresh` writes it.'
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_quick_questions_are_well_formed(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    questions = [text for text in texts if "Quick question" in text]
    assert questions, f"{path.name} has no quick question; see CONTRIBUTING.md"
    for text in questions:
        options = re.findall(r"^(\d+)\. ", text, re.MULTILINE)
        answer = re.search(r'^<details class="quiz" data-answer="(\d+)">$', text, re.M)
        assert answer and answer[1] in options, (
            f'Expected a numbered list, then <details class="quiz" data-answer="N"> '
            f"with the number of the right option, found:\n{text}"
        )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_section_ends_in_a_quick_question_or_has_one(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] != "code")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    without = [section.splitlines()[0] for section in sections if "quiz" not in section]
    assert without == ["Summary", "Exercises"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_line_of_code_is_longer_than_the_formatter_allows(path):
    """The linter lets some pass, such as those that end in an address."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    limit = settings["tool"]["ruff"]["line-length"]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    long = [
        f"{cell['id']}: {line}"
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
        if len(line) > limit
    ]
    assert not long, f"more than {limit} characters:\n" + "\n".join(long)


def test_every_table_has_a_number_and_a_caption(book):
    tables = [
        (name, table)
        for name in book.pages
        if name not in ("genindex.html", "search.html")
        for table in re.findall(r"<table.*?</table>", read(book.html / name).text, re.S)
    ]
    assert len(tables) > 10
    poor = [
        f"{name}: {re.sub('<[^>]+>', ' ', table)[:80]}"
        for name, table in tables
        if not re.search(r'<caption>.*?"caption-number">Table \d+', table, re.DOTALL)
    ]
    assert not poor, "\n".join(poor)


FOREIGN = re.compile(
    r"""(?:@import\s*|url\(\s*)["']?((?:https?:)?//[^"')\s;]+)""", re.IGNORECASE
)


def foreign(css):
    """What a style sheet would load from another host."""
    return FOREIGN.findall(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))


@pytest.mark.parametrize(
    "css, found",
    [
        ('@import url("https://a.org/x.css");', "https://a.org/x.css"),
        ("@IMPORT URL( 'HTTP://a.org/x.css' ) print;", "HTTP://a.org/x.css"),
        ("@import '//a.org/x.css';", "//a.org/x.css"),
        ('@import"https://a.org/x.css";', "https://a.org/x.css"),
        ("p {background: url(//a.org/x.png)}", "//a.org/x.png"),
        ("p {background: url(x.png), url(https://a.org/x.png)}", "https://a.org/x.png"),
    ],
)
def test_what_a_style_sheet_loads_from_another_host_is_found(css, found):
    assert foreign(css) == [found]


@pytest.mark.parametrize(
    "css",
    [
        '@import "x.css"; @import url(../fonts/x.css);',
        "@font-face {src: url('../x.woff2') format('woff2')}",
        """p {background: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/'")}""",
        "/* See https://a.org/x and url(https://a.org/x.png). */ p {color: red}",
    ],
)
def test_what_it_loads_from_the_book_is_not(css):
    assert foreign(css) == []


def test_external_files_are_bundled(book):
    sheets = list(book.html.rglob("*.css"))
    assert sheets
    found = [
        f"{sheet.relative_to(book.html)}: {url}"
        for sheet in sheets
        for url in foreign(sheet.read_text(encoding="utf-8"))
    ]
    assert not found, "Style sheets ask other hosts:\n" + "\n".join(found)
