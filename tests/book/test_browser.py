"""The book in a real Chromium, with every other host blocked."""

import re
import tomllib
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.unit.test_plotting import PAGES
from tools import pdf

expect.set_options(timeout=60_000)
ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
SCROLL_BAR = 15  # pixels, where it takes room
HEADINGS = (
    "[...document.querySelectorAll('main :is(h1, h2, h3, h4, h5, h6)')]"
    ".filter(heading => heading.checkVisibility())"
)


def chapter(book):
    return next(name for name in book.pages if name.endswith("batch-norm-scratch.html"))


def test_no_page_asks_another_host_or_complains(visits):
    complaints = [
        f"{name}: {complaint}"
        for name, seen in visits.items()
        for complaint in seen.complaints
    ]
    assert not complaints, "\n".join(complaints)


def test_pages_opened_from_the_disk_are_complete_too(book, visit):
    complaints = []
    for name in book.pages:
        if name != "404.html":  # only ever shown by a server
            seen = visit((book.html / name).as_uri())
            complaints += [f"{name}: {text}" for text in seen.complaints]
    assert not complaints, "\n".join(complaints)


def test_no_page_is_heavier_than_one_and_a_half_megabytes(visits, capsys):
    weights = {name: sum(seen.weights) / MEGABYTE for name, seen in visits.items()}
    with capsys.disabled():
        print("\n" + "\n".join(f"{mb:.2f} MB {name}" for name, mb in weights.items()))
    assert max(weights.values()) <= 1.5


def test_every_formula_is_typeset(visits):
    raw = {}
    for name, seen in visits.items():
        formulas = seen.page.locator(".math").count()
        typeset = seen.page.locator(".math:has(.katex):not(:has(.katex-error))").count()
        text = seen.page.evaluate("document.querySelector('article')?.innerText ?? ''")
        if formulas != typeset or "\\(" in text or "\\[" in text:
            raw[name] = f"{formulas - typeset} of {formulas} formulas are not typeset"
    assert not raw, raw


# Marks all but one visible piece of highlighted code of each kind, which decides its
# colors: to measure them all takes two thirds of the time.
MARK_ALIKE = """() => {
    const kinds = new Set()
    for (const piece of document.querySelectorAll(".highlight span")) {
        const block = piece.closest(".highlight").parentElement
        const kind = block.className + piece.className
        piece.toggleAttribute("data-alike", kinds.has(kind))
        if (piece.checkVisibility()) kinds.add(kind)
    }
}"""


# The two themes differ in their colors only.
@pytest.mark.parametrize(
    "theme, rules", [("dark", {"runOnly": ["color-contrast"]}), ("light", {})]
)
def test_axe_finds_nothing_serious(visits, theme, rules):
    found = []
    for name, seen in visits.items():
        seen.page.emulate_media(color_scheme=theme)
        seen.page.wait_for_function(
            f"document.documentElement.dataset.theme === '{theme}'"
        )
        options = {"resultTypes": ["violations"]} | rules
        seen.page.evaluate(MARK_ALIKE)
        without = {"exclude": [["[data-alike]"]]}
        found_here = Axe().run(seen.page, without, options).response["violations"]
        for violation in found_here:
            if violation["impact"] in ("serious", "critical"):
                nodes = "; ".join(node["html"][:150] for node in violation["nodes"][:3])
                found.append(f"{name}: {violation['id']}: {nodes}")
    assert not found, "\n".join(found)


def test_headings_are_in_order(visits):
    wrong = []
    for name, seen in visits.items():
        levels = seen.page.evaluate(f"{HEADINGS}.map(h => Number(h.tagName[1]))")
        steps = zip([0, *levels], levels, strict=False)
        if levels.count(1) != 1 or any(low > high + 1 for high, low in steps):
            wrong.append(f"{name}: {levels}")
    assert not wrong, "\n".join(wrong)


def test_no_page_scrolls_sideways_on_a_phone(visits):
    wide = {}
    for name, seen in visits.items():
        seen.page.set_viewport_size({"width": 360, "height": 740})
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        seen.page.set_viewport_size({"width": 1280, "height": 900})
        if width > 360:
            wide[name] = width
    assert not wide, wide


@pytest.mark.parametrize("width", [1280, 1366])
def test_no_line_of_code_scrolls_on_a_laptop(book, site, visit, width):
    """With the longest line that the formatter allows, and beside a scroll bar."""
    limit = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    line = "x" * limit["line-length"]
    cells = 0
    for name in book.pages:
        if not re.search("batch-norm-[a-z]+[.]html$", name):
            continue
        page = visit(site + name, width=width - SCROLL_BAR).page
        page.evaluate(
            """line => {
                for (const folded of document.querySelectorAll(".toggle-hidden"))
                    folded.classList.remove("toggle-hidden")
                for (const pre of document.querySelectorAll(".cell_input pre"))
                    pre.append("\\n" + line)
            }""",
            line,
        )
        cells += page.locator(".cell_input pre").count()
        wide = page.evaluate(
            """() => [...document.querySelectorAll(".cell_input pre")]
                .filter(pre => pre.scrollWidth > pre.clientWidth)
                .map(pre => pre.textContent)"""
        )
        page.close()
        assert not wide, f"{name}:\n" + "\n".join(wide)
    assert cells > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_stand_on_the_page_itself_as_large_as_they_are_drawn(visits, theme):
    wrong, drawings = [], 0
    for name, seen in visits.items():
        seen.page.emulate_media(color_scheme=theme)
        seen.page.wait_for_function(
            f"document.documentElement.dataset.theme === '{theme}'"
        )
        color = "getComputedStyle(document.body).backgroundColor"
        page = to_hex(seen.page.evaluate(color))
        if page != PAGES[theme]:
            wrong.append(f"{name}: the page is {page}; test_plotting.py has another")
        for src, ground, shown, drawn in seen.page.evaluate(FIGURES):
            if ground != "rgba(0, 0, 0, 0)":
                wrong.append(f"{name}: {src} stands on {ground}")
            drawings += src.endswith(".svg")
            if src.endswith(".svg") and abs(shown - drawn) > 1:
                wrong.append(f"{name}: {src}, {drawn} pixels wide, has {shown}")
    assert not wrong, "\n".join(wrong)
    assert drawings > 0


FIGURES = """() => [...document.querySelectorAll("figure img")].map(image => [
    image.src, getComputedStyle(image).backgroundColor,
    image.getBoundingClientRect().width, image.naturalWidth])"""


def to_hex(color):
    """`rgb(18, 18, 18)` as `#121212`."""
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", color)[:3])


def test_the_front_page_opens_with_its_picture_on_any_screen(site, visit):
    for width, height in (1280, 800), (390, 844):
        page = visit(site + "index.html", width=width).page
        box = page.locator("svg.front[role=img]").bounding_box()
        assert box["width"] > 0.4 * width and box["y"] + box["height"] < height
        page.close()


def test_the_theme_toggles_and_is_remembered(site, visit):
    page = visit(site + "index.html").page
    theme = "document.documentElement.dataset.theme"
    mode = "document.documentElement.dataset.mode"
    seen = set()
    for _ in range(3):
        before = page.evaluate(mode)
        page.locator(".theme-switch-button:visible").first.click()
        page.wait_for_function(f"{mode} !== '{before}'")
        seen.add(page.evaluate(theme))
    assert seen == {"light", "dark"}
    last = page.evaluate(theme)
    page.reload()
    assert page.evaluate(theme) == last


def test_search_leads_to_the_right_section(site, visit):
    page = visit(site + "search.html?q=moving+variance").page
    results = page.locator("#search-results li a")
    # A pattern, as a text would match "From Scratch to Gluon", too.
    results.filter(has_text=re.compile("from scratch")).first.click()
    page.wait_for_url("**/chapters/*")
    page.wait_for_function("scrollY > 500")  # else the page was left at its top
    heading = f"{HEADINGS}.findLast(h => h.getBoundingClientRect().top < 200)"
    section = page.evaluate(f"{heading}.closest('section').innerText")
    assert "moving" in section and "variance" in section


def test_search_leads_to_a_page_s_first_section_and_not_to_its_top(site, visit):
    page = visit(site + "search.html?q=measure+first").page
    results = page.locator("#search-results li a")
    results.filter(has_text=re.compile("speed", re.I)).first.click()
    page.wait_for_url("**/chapters/batch-norm-speed.html*")
    top = "document.querySelector('#measure-first').getBoundingClientRect().top"
    page.wait_for_function(f"scrollY > 0 && {top} < 200")


def test_search_is_open_to_the_keyboard(site, visit):
    page = visit(site + "index.html").page
    page.keyboard.press("Control+k")
    page.wait_for_function("document.activeElement.name === 'q'")
    page.keyboard.type("moving variance")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    page.locator("#search-results li a").first.wait_for()


def test_a_solution_unfolds_by_keyboard(book, site, visit):
    page = visit(site + chapter(book)).page
    solution = page.locator(".solution.dropdown").first
    body = solution.locator("section, .cell, p:not(.admonition-title)").last
    assert not body.is_visible()
    solution.locator("button").first.focus()
    page.keyboard.press("Enter")
    body.wait_for(state="visible")


def test_a_question_is_answered_by_keyboard(book, site, visit):
    page = visit(site + chapter(book)).page
    answer = page.locator("details.quiz").first
    right = int(answer.get_attribute("data-answer"))
    quiz = page.locator("fieldset.quiz").first
    status = quiz.locator("[role=status]")
    assert not answer.evaluate("details => details.open")

    quiz.locator("button").focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Choose")

    quiz.locator("input").first.focus()
    page.keyboard.press("ArrowUp")  # the last one
    options = quiz.locator("input").count()
    if right == options:
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Not this one")

    quiz.locator("input:checked").focus()
    while page.evaluate("Number(document.activeElement.value)") != right:
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Right")
    assert answer.evaluate("details => details.open")


def test_code_folds_and_copies(book, site, visit):
    page = visit(site + chapter(book)).page
    cell = page.locator(".cell_input").first
    assert cell.locator("button.copybtn").count() == 1
    button = cell.locator(".fold-code")
    button.focus()
    page.keyboard.press("Enter")
    expect(cell.locator("pre")).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(cell.locator("pre")).to_be_visible()


def test_long_outputs_scroll(book, site, visit):
    page = visit(site + chapter(book)).page
    tallest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.cell_output pre')]"
        ".map(pre => pre.clientHeight))"
    )
    assert 0 < tallest < 500


def test_a_wrong_address_shows_the_404_page(site, visit):
    seen = visit(site + "chapters/no-such-page.html")
    assert "not found" in seen.page.inner_text("article h1").lower()
    assert [c for c in seen.complaints if "404 (" not in c] == []
    seen.page.locator("nav a.reference", has_text="Glossary").first.click()
    seen.page.wait_for_url("**/chapters/glossary.html")


def test_the_pdf_has_every_formula_and_figure(book, browser, tmp_path):
    page = pdf.build_one_page(tmp_path)
    opened = browser.new_page()
    opened.goto(page.as_uri())
    formulas = opened.locator(".math").count()
    assert formulas == opened.locator(".math:has(.katex)").count() > 0
    figures = opened.locator("img[src*=_images]").count()
    opened.emulate_media(media="print")
    stills = opened.locator(".playground-still img")
    assert stills.count() == 3 and all(still.is_visible() for still in stills.all())
    opened.close()
    drawn = [path for path in (book.html / "_images").iterdir() if path.is_file()]
    assert figures >= len(drawn) > 0
