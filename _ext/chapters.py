"""What every chapter's page gets at build time, so that no author has to write it:

- after its first cell, how to run it on one's own machine;
- a label on each code cell, `<chapter>#<cell id>`, for links from the results;
- a link to the glossary at the first use of each of its terms.

The notebooks themselves stay plain, and are downloaded as they are.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.util.nodes import make_refnode

RUN_LOCALLY = """\
:::{{admonition}} Run this chapter yourself
:class: tip run-locally
On Linux with Git, Make and Python 3.11 to 3.13 (`make` downloads 0.3 GB):
```console
$ git clone {url}
$ cd {repository} && make lab
```
Or download {{download}}`the notebook <{name}.ipynb>`, or run it with nothing installed
[on Binder]({binder}/v2/gh/{owner}/{repository}/{branch}?urlpath=lab/tree/{doc}.ipynb).
In [Google Colab]({colab}/github/{owner}/{repository}/blob/{branch}/{doc}.ipynb) or
another hosted notebook, run [one line](launch.md) before the first cell.
:::
"""

NOT_SHOWN = {"remove-cell", "remove_cell"}  # tags of cells that have no place in a page

# Text in here is no prose, or is a link already.
NO_PROSE = (
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.reference,
    nodes.title,
    nodes.raw,
    nodes.strong,
    nodes.caption,
)


def is_notebook(app, docname):
    return str(app.env.doc2path(docname)).endswith(".ipynb")


def add_run_locally(app, docname, source):
    if not is_notebook(app, docname):
        return
    notebook = json.loads(source[0])
    theme = app.config.html_theme_options
    url = theme["repository_url"]
    owner, repository = url.split("/")[-2:]
    text = RUN_LOCALLY.format(
        url=url,
        owner=owner,
        repository=repository,
        branch=theme["repository_branch"],
        binder=theme["launch_buttons"]["binderhub_url"],
        colab=theme["launch_buttons"]["colab_url"],
        doc=docname,
        name=Path(docname).name,
    )
    cell = {"cell_type": "markdown", "id": "run-locally", "metadata": {}}
    notebook["cells"].insert(1, cell | {"source": text})
    source[0] = json.dumps(notebook)


def add_cell_labels(app, doctree):
    docname = app.env.docname
    if not is_notebook(app, docname):
        return
    path = Path(app.env.doc2path(docname))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [
        cell
        for cell in cells
        if cell["cell_type"] == "code"
        and not NOT_SHOWN & set(cell["metadata"].get("tags", ()))
    ]
    found = [
        node
        for node in doctree.findall(nodes.container)
        if node.get("nb_element") == "cell_code"
    ]
    labels = app.env.get_domain("std").anonlabels
    for node, cell in zip(found, code, strict=True):
        anchor = f"cell-{cell['id']}"
        node["ids"].append(anchor)
        labels[f"{path.stem}#{cell['id']}".lower()] = docname, anchor


def link_first_uses(app, doctree, docname):
    """Link the first use of each glossary term that the author has not linked."""
    if not docname.startswith("chapters/"):
        return
    std = app.env.get_domain("std")
    terms = {
        name.lower(): (doc, anchor)
        for (kind, name), (doc, anchor) in std.objects.items()
        if kind == "term" and doc != docname
    }
    if not terms:
        return
    linked = {
        node["refuri"].rpartition("#")[2]
        for node in doctree.findall(nodes.reference)
        if "refuri" in node
    }
    # The longest first: "moving variance" is not "variance".
    names = "|".join(map(re.escape, sorted(terms, key=len, reverse=True)))
    use = re.compile(rf"\b({names})s?\b", re.IGNORECASE)
    for text in list(doctree.findall(nodes.Text)):
        if not in_prose(text):
            continue
        parts, end = [], 0
        for match in use.finditer(text):
            doc, anchor = terms[match[1].lower()]
            if anchor in linked:
                continue
            linked.add(anchor)
            link = make_refnode(
                app.builder, docname, doc, anchor, nodes.inline("", match[0])
            )
            link["classes"].append("glossary-term")
            parts += [nodes.Text(text[end : match.start()]), link]
            end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def in_prose(text):
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, NO_PROSE) or "cell_output" in node.get("classes", ()):
            return False
        in_paragraph |= isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def setup(app):
    app.connect("source-read", add_run_locally)
    app.connect("doctree-read", add_cell_labels)
    app.connect("doctree-resolved", link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
