"""The directive `playground`: two networks that train in the page (`playground/`).

    :::{playground} momentum
    :small:
    What the reader may try here, in a sentence.
    :::

The argument is the id of a guided experiment (playground/experiments.js); `:small:`
shows this one alone. In Jupyter the sentence stands alone; on paper, and without a
script, a picture of such a run follows it (playground/stills.js).

The page's script is made of the modules in `playground/`, joined into one, because a
browser loads modules from a server only, and the book is also read from the disk.
"""

import html
import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).resolve().parents[1] / "playground"
PAGE = "chapters/play"
DEFAULT = "small"  # the experiment whose picture stands for the whole playground

HERE = "In the book's pages, and with JavaScript, both networks train here."

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=const|function|class)", re.MULTILINE)


def join(folder: Path, first: str) -> str:
    """The module `first` and all that it imports, as one script with no global names.

    The modules may not use a name twice, and import like `import { a } from "./b.js";`.
    Raises ExtensionError for another kind of import or export.
    """
    parts = {}

    def add(name):
        if name in parts:
            return
        parts[name] = None  # begun
        text = (folder / name).read_text(encoding="utf-8")
        for other in IMPORT.findall(text):
            add(other)
        text = EXPORT.sub("", IMPORT.sub("", text))
        if stray := re.search(r"^(?:import|export)\b.*", text, re.MULTILINE):
            raise ExtensionError(
                'Expected imports like `import { a } from "./b.js";` and exports of a '
                f"const, function or class, found in {folder / name}: {stray[0]}"
            )
        del parts[name]  # so that it comes after what it imports
        parts[name] = text

    add(first)
    return '(() => {\n"use strict";\n' + "\n".join(parts.values()) + "})();\n"


class Playground(SphinxDirective):
    optional_arguments = 1
    option_spec = {"small": directives.flag}
    has_content = True

    def run(self):
        path = FOLDER / "stills.json"
        self.env.note_dependency(str(path))
        stills = json.loads(path.read_text(encoding="utf-8"))
        experiment = self.arguments[0] if self.arguments else None
        if experiment and experiment not in stills:
            raise self.error(
                f"Expected one of {', '.join(stills)}, found {experiment!r}."
            )
        still = stills[experiment or DEFAULT]
        image = nodes.image(
            uri=f"/playground/{still['file']}", alt=still["alt"], align="center"
        )
        said = nodes.paragraph("", f"{still['caption']} {HERE}")
        attributes = {
            "class": "playground",
            "data-home": self.env.app.builder.get_relative_uri(self.env.docname, PAGE),
        }
        if experiment:
            attributes["data-experiment"] = experiment
        small = "small" in self.options
        if small:
            attributes |= {"data-small": "", "data-title": still["title"]}
        begin = " ".join(f'{k}="{html.escape(v)}"' for k, v in attributes.items())
        return [
            *self.parse_content_to_nodes(),
            nodes.raw("", f"<div {begin}>", format="html"),
            nodes.container(
                "", image, said, classes=["playground-still"], whole=not small
            ),
            nodes.raw("", "</div>", format="html"),
        ]


def write_scripts(app):
    """Puts what the pages load where Sphinx takes static files from."""
    folder = Path(app.doctreedir) / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    app.config.html_static_path.append(str(folder))
    style = (FOLDER / "playground.css").read_text(encoding="utf-8")
    pictures = (FOLDER / "pictures.js").read_text(encoding="utf-8")
    found = "export const PICTURES =", "globalThis.playgroundPictures ="
    files = {
        "playground.css": style,
        "playground.js": join(FOLDER, "main.js"),
        "playground-pictures.js": pictures.replace(*found),
        "LICENSE-fashion-mnist": (FOLDER / "LICENSE-fashion-mnist").read_text(),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def add_scripts(app, pagename, templatename, context, doctree):
    """Small ones are loaded on demand, by _static/book.js."""
    if doctree and any(node.get("whole") for node in doctree.findall(nodes.container)):
        app.add_css_file("playground.css")
        app.add_js_file("playground.js", defer="defer")


def setup(app):
    app.add_directive("playground", Playground)
    app.connect("builder-inited", write_scripts)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
