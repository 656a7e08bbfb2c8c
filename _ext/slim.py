"""Leave out of the pages what Jupyter Book and its theme bring and nothing here uses.

- Font Awesome: the style sheet names 2,000 icons and loads fonts that draw them all;
  the pages show some 20. After the build the rules and glyphs of the others go, which
  makes 0.3 MB less on every page.
- What a figure says of itself: comments, groups that do nothing, digits beyond a
  hundredth of a point, on curves beyond a tenth, and each style as often as it is used.
- Thebe, which would run cells on a server: its scripts name a foreign host, and are
  set up twice, which is an error in the browser's console.
- Cards and tabs (Sphinx Design), of which no page has any: 60 KB on every page.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from fontTools.subset import Options, Subsetter, load_font, save_font

ICON = re.compile(r"(?:\.fa-[\w-]+:before,?)+\{content:\"\\[^\"]+\"\}")
NAME = re.compile(r"\bfa-[\w-]+")
SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", SVG[1:-1])
XLINK = "{http://www.w3.org/1999/xlink}href"  # browsers take a plain href as well
USED = re.compile(r"^(?:url\()?#([\w-]+)")
DECIMAL = re.compile(r"-?\d+\.\d+")
CURVE = 30  # numbers in a path: fewer make a letter or a marker
GLYPH = re.compile(r"\\([ef][0-9a-f]{3})\b|([\ue000-\uf8ff])")


def slim_icons(app, error):
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    texts = [
        path.read_text(encoding="utf-8")
        for path in (*out.rglob("*.html"), *out.rglob("_static/**/*theme.js"))
    ]
    used = set(NAME.findall("".join(texts)))
    sheet = out / "_static" / "styles" / "pydata-sphinx-theme.css"
    css = ICON.sub(
        lambda rule: rule[0] if used & set(NAME.findall(rule[0])) else "",
        sheet.read_text(encoding="utf-8"),
    )
    glyphs = {int(code, 16) if code else ord(char) for code, char in GLYPH.findall(css)}
    for path in out.glob("_static/vendor/fontawesome/webfonts/*.woff2"):
        # WOFF 2 needs a compressor that isn't installed everywhere, WOFF does not.
        options = Options(flavor="woff", drop_tables=["FFTM"])
        font = load_font(path.with_suffix(".ttf"), options)
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=glyphs)
        subsetter.subset(font)
        save_font(font, path.with_suffix(".woff"), options)
        css = css.replace(
            f'{path.name}) format("woff2")', f'{path.stem}.woff) format("woff")'
        )
        path.unlink()
    sheet.write_text(css, encoding="utf-8")
    (out / "_static" / "scripts" / "fontawesome.js").unlink()


def slim_figures(app, error):
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).glob("_images/*.svg"):
        text = path.read_text(encoding="utf-8")
        if '<g id="figure_1">' in text:  # matplotlib drew it
            path.write_text(slim_figure(text), encoding="utf-8")


def slim_figure(svg):
    """The same picture, of a figure that matplotlib has written as SVG."""
    root, classes, ids = ElementTree.fromstring(svg), {}, {}
    for parent in root.iter():
        parent[:] = [inner for child in parent for inner in unwrapped(child)]
    for element in root.iter():
        element.tail = None
        element.text = (element.text or "").strip()
        if style := element.attrib.pop("style", None):
            element.set("class", classes.setdefault(style, f"s{len(classes)}"))
        for name, value in element.items():
            if name == XLINK:
                name = "href"
                del element.attrib[XLINK]
            if name == "d":
                value = re.sub(r"\s*([A-Za-z])\s*", r"\1", value).strip()
            if name in {"d", "x", "y", "transform"} and not value.startswith("scale"):
                value = rounded(value)
            for used in USED.findall(value):
                value = value.replace(used, ids.setdefault(used, f"i{len(ids)}"))
            element.set(name, value)
    for element in root.iter():
        if name := ids.get(element.attrib.pop("id", None)):
            element.set("id", name)
    rules = (f".{name}{{{style}}}" for style, name in classes.items())
    root.find(f".//{SVG}style").text += "".join(rules)
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def rounded(value):
    """Its decimal numbers with the digits that one can see."""
    places = 1 if len(DECIMAL.findall(value)) > CURVE else 2

    def shorter(number):
        return f"{float(number[0]):.{places}f}".rstrip("0").rstrip(".")

    return DECIMAL.sub(shorter, value)


def unwrapped(element):
    """The element, or what is in it: of a group that does nothing, or of metadata."""
    if element.tag == f"{SVG}metadata":
        return []
    if element.tag == f"{SVG}g" and not element.attrib.keys() - {"id"}:
        return [inner for child in element for inner in unwrapped(child)]
    return [element]


def drop_unused(app, pagename, templatename, context, doctree):
    unused = ["thebe"]
    if "sd-" not in context.get("body", ""):
        unused += ["sphinx-design", "design-tabs"]
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file
            for file in context[kind]
            if not any(name in named(file) for name in unused)
        ]


def named(file):
    return f"{file.filename} {file.attributes.get('body')}".lower()


def setup(app):
    app.connect("html-page-context", drop_unused, priority=900)
    app.connect("build-finished", slim_icons)
    app.connect("build-finished", slim_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
