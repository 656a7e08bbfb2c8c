"""Formulas by KaTeX, from the copy in static/katex: no CDN, no Node, 0.3 MB a page.

Sphinx's MathJax extension leaves each formula in the page as TeX and loads the
script that `mathjax_path` names, on pages with formulas only. _config.yml names
KaTeX there; what is missing then is its style sheet and the call that typesets.
"""

from pathlib import Path


def add_katex(app, pagename, templatename, context, doctree):
    if app.env.get_domain("math").has_equations(pagename):
        app.add_css_file("katex/katex.min.css")
        app.add_js_file("typeset.js", defer="defer")


def setup(app):
    # Jupyter Book loads all scripts in _static on all pages, hence another folder.
    app.connect(
        "config-inited",
        lambda app, config: config.html_static_path.append(
            str(Path(__file__).with_name("static"))
        ),
    )
    app.connect("html-page-context", add_katex)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
