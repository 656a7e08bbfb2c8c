"""The book, built once, strictly and from nothing; a server and a browser for it."""

import fcntl
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.support import missing
from tools import pdf

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Build:
    html: Path
    returncode: int
    log: str

    @property
    def pages(self):
        """Every page's path, relative to `html`."""
        found = (path.relative_to(self.html) for path in self.html.rglob("*.html"))
        return sorted(p.as_posix() for p in found if not p.parts[0].startswith("_"))


@pytest.fixture(scope="session")
def book(tmp_path_factory, worker_id):
    """Built by whichever process needs it first; the others wait for it."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # a folder in that of all
        folder = folder.parent
    folder /= "a book"  # with a space, which must not matter
    folder.mkdir(exist_ok=True)
    done = folder / "build.json"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            done.write_text(json.dumps(build(folder)))
    return Build(folder / "_build/html", **json.loads(done.read_text()))


def build(folder):
    command = ["build", str(ROOT), "--path-output", str(folder), "--all"]
    strict = ["-n", "-W", "--keep-going"]
    ran = subprocess.run(
        [sys.executable, "-c", pdf.BUILD, *command, *strict],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return {"returncode": ran.returncode, "log": ran.stdout + ran.stderr}


class Pages(SimpleHTTPRequestHandler):
    """Serves the book below the path at which it is published, with its 404 page."""

    prefix = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))[
        "sphinx"
    ]["config"]["notfound_urls_prefix"]

    def translate_path(self, path):
        return super().translate_path(path.replace(self.prefix, "/", 1))

    def send_error(self, code, message=None, explain=None):
        page = Path(self.directory, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site(book):
    """The address of the book on a plain static server."""
    handler = partial(Pages, directory=str(book.html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{Pages.prefix}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    if not pdf.find_chromium():
        missing(pdf.NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = pdf.launch(playwright)
        yield browser
        browser.close()


# Playwright's "networkidle" is no event to wait for: on a busy machine it can come
# before `load`, is taken back then, and never comes again.
ALL_HERE = """
    document.fonts.status === "loaded" && [...document.images].every(i => i.complete)
"""


@dataclass
class Visit:
    """A page as the browser sees it, and what it complained of or asked others for."""

    page: object
    complaints: list
    weights: list


@pytest.fixture(scope="session")
def visit(browser):
    """`visit(url, width=…, theme=…)` opens a page with all other hosts blocked."""
    contexts = []

    def visit(url, width=1280, theme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        context.set_default_timeout(60_000)  # ms, on a machine that is busy
        contexts.append(context)
        home = url.split("/", 3)[:3]
        complaints, weights = [], []

        def guard(route):
            if route.request.url.split("/", 3)[:3] == home:
                route.continue_()
            else:
                complaints.append(f"asked another host: {route.request.url}")
                route.abort()

        def weigh(response):
            if response.ok:
                weights.append(len(response.body()))
            elif not url.endswith("no-such-page.html"):
                complaints.append(f"{response.status}: {response.url}")

        context.route("**/*", guard)
        page = context.new_page()
        page.on("response", weigh)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning")
                and complaints.append(f"console: {said.text}")
            ),
        )
        page.goto(url)
        page.wait_for_function(ALL_HERE)
        return Visit(page, complaints, weights)

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def visits(book, site, visit):
    """Every page, opened once, scrolled to its end so that all pictures load."""
    visits = {}
    for name in book.pages:
        visits[name] = visit(site + name)
        visits[name].page.evaluate("scrollTo(0, document.body.scrollHeight)")
        visits[name].page.wait_for_function(ALL_HERE)
    return visits
