"""The whole book as one PDF, printed by Chromium from the one-page HTML build.

    python -m tools.pdf            # writes _build/pdf/book.pdf

Formulas, figures and code are what the web pages show; answers and solutions are
unfolded.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BUILD = "from jupyter_book.cli.main import main; main()"
FOOTER = """
<div style="width: 100%; font: 8pt sans-serif; text-align: center; color: #555">
  <span class="pageNumber"></span>
</div>"""
# .ci/run looks for the same.
NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
NO_CHROMIUM = (
    f"Chromium was expected on PATH ({', '.join(NAMES[:-1])} or {NAMES[-1]}), and "
    "none was found. Install it, on Debian and Ubuntu by `apt-get install chromium`, "
    "and run this again."
)


def find_chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """A headless browser that also starts in a container, where one is root."""
    return playwright.chromium.launch(
        executable_path=find_chromium(), args=["--no-sandbox"]
    )


def build_one_page(folder: str | Path) -> Path:
    """Build the book as one page below `folder`; return the page's path."""
    command = ["build", ROOT, "--path-output", folder, "--builder", "singlehtml"]
    subprocess.run(
        [sys.executable, "-c", BUILD, *map(str, command), "--all"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return Path(folder) / "_build" / "singlehtml" / "index.html"


def print_page(html: str | Path, pdf: str | Path) -> None:
    """Print the page `html` to the file `pdf`: A4, outline, page numbers."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(color_scheme="light")
        page.goto(Path(html).as_uri())
        page.evaluate("document.fonts.ready")
        page.pdf(
            path=pdf,
            format="A4",
            margin={side: "18mm" for side in ("top", "right", "bottom", "left")},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            print_background=True,
            outline=True,
            tagged=True,
        )
        browser.close()


if __name__ == "__main__":
    if not find_chromium():
        sys.exit(NO_CHROMIUM)
    target = ROOT / "_build" / "pdf" / "book.pdf"
    target.parent.mkdir(parents=True, exist_ok=True)
    print_page(build_one_page(ROOT), target)
    print(target)
