"""What changes the digest of the code that leads to a cell, and what does not."""

import nbformat
import pytest

from regression import slices

CELLS = {
    "imports": """
%matplotlib inline
import numpy as np
from matplotlib import pyplot as plt
from mxnet import gluon, init
""",
    # Names what the training names, too: modules, built-in functions, an argument.
    "plot": """
fig, ax = plt.subplots()
ax.plot([v**2 for v in (1, 2, 3)])
plt.ylim(0, 9)
print("squares:", np.arange(3) ** 2)
""",
    "constant": "LEARNING_RATE = 0.1",
    "helper": '''
def scaled(v):
    """v, scaled."""
    return v / 2  # as in the paper
''',
    "unused": """
def other(v):
    return v * 3
""",
    "layer": '''
class Layer:
    """A layer."""

    def forward(self, v):
        """Its outputs."""
        return scaled(v)
''',
    "net": """
net = Layer()
net.initialize(init.Xavier())
net.weights[0] = 1.5
net.bias = 0.5
""",
    "train": """
for epoch in range(3):
    train(net, LEARNING_RATE, np.float32)
    print(epoch)
    plt.show()
""",
    "after": "shown = net",
}


def digest(cell="train", cells=CELLS):
    made = [nbformat.v4.new_code_cell(s.strip(), id=n) for n, s in cells.items()]
    made.insert(1, nbformat.v4.new_markdown_cell("Text is no code."))
    return slices.digest(nbformat.v4.new_notebook(cells=made), cell)


def edited(cell, old, new):
    assert CELLS[cell].count(old) == 1
    return CELLS | {cell: CELLS[cell].replace(old, new)}


@pytest.mark.parametrize(
    "cell, old, new",
    [
        ("imports", "%matplotlib inline", "%matplotlib widget"),
        ("imports", "%matplotlib inline", "!pip list"),
        ("helper", "  # as in the paper", ""),
        ("helper", "v, scaled.", "Half of v."),
        ("helper", '    """v, scaled."""\n', ""),
        ("helper", "v / 2", "(v\n        / 2)"),
        ("layer", "A layer.", "A layer that scales."),
        ("layer", "Its outputs.", "The outputs of it."),
        ("unused", "v * 3", "v * 4"),
        ("plot", "(1, 2, 3)", "(1, 2, 3, 4)"),
        ("plot", "plt.subplots()", "plt.subplots(figsize=(3, 4))"),
        ("plot", "plt.ylim(0, 9)", "plt.xlim(0, 3)"),
        ("plot", '"squares:", np.arange(3)', '"more:", np.arange(4)'),
        ("after", "shown = net", "net.weights[0] = 9"),
    ],
)
def test_kept(cell, old, new):
    assert digest(cells=edited(cell, old, new)) == digest()


@pytest.mark.parametrize(
    "cell, old, new",
    [
        ("imports", "from mxnet import gluon, init", "from d2l import gluon, init"),
        ("constant", "0.1", "0.2"),
        ("helper", "v / 2", "v / 3"),
        ("layer", "scaled(v)", "scaled(-v)"),
        ("net", "net = Layer()", "net = Layer(1)"),
        ("net", "init.Xavier()", "init.Normal()"),
        ("net", "net.initialize(init.Xavier())\n", ""),
        ("net", "[0] = 1.5", "[0] = 2.5"),
        ("net", "bias = 0.5", "bias = 1.5"),
        ("train", "range(3)", "range(4)"),
    ],
)
def test_changed(cell, old, new):
    assert digest(cells=edited(cell, old, new)) != digest()


def test_changed_by_the_order_of_what_leads_to_it():
    twice = edited("net", "[0] = 1.5", "[0] = 1.5\nnet.weights[0] = 2.5")
    other = edited("net", "[0] = 1.5", "[0] = 2.5\nnet.weights[0] = 1.5")
    assert digest(cells=twice) != digest(cells=other)


def test_each_cell_has_its_own():
    plots = CELLS | {"plot": "fig = plt.figure()"}
    assert digest("plot", plots) != digest("plot") != digest("train")


def test_a_tree_is_the_same_text_on_each_python():
    """As Python 3.11 writes it, where the stored digests come from."""
    (function,) = slices.statements("def f(a, *, b=None):\n    return f'{a!r:>5}'")
    arguments = (
        "arguments(posonlyargs=[], args=[arg(arg='a')], kwonlyargs=[arg(arg='b')], "
        "kw_defaults=[Constant(value=None)], defaults=[])"
    )
    value = (
        "JoinedStr(values=[FormattedValue(value=Name(id='a', ctx=Load()), "
        "conversion=114, format_spec=JoinedStr(values=[Constant(value='>5')]))])"
    )
    assert slices.dump(function) == (
        f"FunctionDef(name='f', args={arguments}, body=[Return(value={value})], "
        "decorator_list=[])"
    )
