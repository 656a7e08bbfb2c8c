"""The checks of plain functions: right ones pass, each mistake is named."""

import dataclasses
import json

import utils
import numpy as np
import pytest
from utils import check
from mxnet import nd


def logs(output):
    return nd.log_softmax(output)


def in_place(update):
    def moving_average(moving, value, momentum):
        moving[:] = update(moving, value, momentum)

    return moving_average


def new_name(moving, value, momentum):
    moving = momentum * moving + (1 - momentum) * value


def two_steps(moving, value, momentum):
    for _ in range(2):
        moving[:] = momentum * moving + (1 - momentum) * value


def right_slope(gamma, var, eps):
    return gamma / nd.sqrt(var + eps)


def right_weight(weight, slope):
    return weight * slope.reshape((-1,) + (1,) * (weight.ndim - 1))


def right_bias(b, m, s, beta):
    return (b - m) * s + beta


def folding(slope=right_slope, weight=right_weight, bias=right_bias):
    def fold(W, b, gamma, beta, moving_mean, moving_var, eps):
        s = slope(gamma, moving_var, eps)
        return weight(W, s), bias(b, moving_mean, s, beta)

    return fold


def in_groups(X, G):
    return X.reshape((0, -4, G, -1, -2))


def across(X, G):
    return X.reshape((0, -4, -1, G, -2)).swapaxes(1, 2)


def grouping(
    axes=(2, 3, 4),
    groups=in_groups,
    back=lambda V: V,
    std=lambda var, eps, m: nd.sqrt(var + eps),
    affine=lambda gamma, beta: (gamma, beta),
    shape=(1, -1, 1, 1),
    centered=True,
):
    def group_norm(X, gamma, beta, num_groups, eps):
        V = groups(X, num_groups)
        mean = V.mean(axis=axes, keepdims=True)
        var = ((V - mean) ** 2).mean(axis=axes, keepdims=True)
        V = (V - mean if centered else V) / std(var, eps, V.size / mean.size)
        gamma, beta = affine(gamma, beta)
        return back(V).reshape(X.shape) * gamma.reshape(shape) + beta.reshape(shape)

    return group_norm


def normalized(X, eps):
    V = X - X.mean(axis=(0, 2, 3), keepdims=True)
    return V / nd.sqrt((V**2).mean(axis=(0, 2, 3), keepdims=True) + eps)


def relu_layer(write):
    """A layer that makes its output of the normalized X, gamma and beta."""

    def layer(X, gamma, beta, eps):
        gamma, beta = gamma.reshape((1, -1, 1, 1)), beta.reshape((1, -1, 1, 1))
        return write(normalized(X, eps), gamma, beta)

    return layer


scratch = utils.definitions("batch-norm-scratch")
RIGHT = [
    (check.accuracy, utils.accuracy),
    (check.accuracy, lambda o, y: float((o.argmax(axis=1) == y).mean().asscalar())),
    (check.accuracy, lambda o, y: np.mean(o.asnumpy().argmax(1) == y.asnumpy())),
    (check.softmax_cross_entropy, scratch.softmax_cross_entropy),
    (
        check.softmax_cross_entropy,
        lambda o, y: -(logs(o) * nd.one_hot(y, o.shape[1])).sum(),
    ),
    (check.moving_average, scratch.update_moving),
    (check.moving_average, in_place(lambda m, v, rho: m + (1 - rho) * (v - m))),
    (check.fold, folding()),
    (check.fold, folding(bias=lambda b, m, s, beta: b * s + (beta - m * s))),
    (check.group_norm, grouping()),
    (check.batch_norm_relu, relu_layer(lambda X, g, b: nd.maximum(g * X + b, 0))),
    (check.batch_norm_relu, relu_layer(lambda X, g, b: nd.relu(X * g + b))),
]

WRONG = {
    check.accuracy: {
        "it counts the hits and does not divide by the batch size": lambda o, y: float(
            (o.argmax(axis=1) == y).sum().asscalar()
        ),
        "it divides by the number of classes": lambda o, y: float(
            (o.argmax(axis=1) == y).sum().asscalar() / o.shape[1]
        ),
        "it is the share of errors": lambda o, y: 1 - utils.accuracy(o, y),
        "it is in percent": lambda o, y: 100 * utils.accuracy(o, y),
        "the largest entry is looked for along the batch": lambda o, y: float(
            (o.argmax(axis=0) == y).mean().asscalar()
        ),
        "it takes the smallest entry": lambda o, y: utils.accuracy(-o, y),
        "it averages the scores of the right classes": lambda o, y: float(
            nd.pick(o, y).mean().asscalar()
        ),
        "the result has another type": lambda o, y: (o.argmax(axis=1) == y).mean(),
    },
    check.softmax_cross_entropy: {
        "it is the mean over the batch and not the sum": lambda o, y: (
            -nd.pick(logs(o), y).mean()
        ),
        "it is the mean over batch and classes": lambda o, y: (
            -(logs(o) * nd.one_hot(y, o.shape[1])).mean()
        ),
        "it is one loss per sample and not their sum": lambda o, y: (
            -nd.pick(logs(o), y)
        ),
        "the minus sign is missing": lambda o, y: nd.pick(logs(o), y).sum(),
        "the softmax is taken along the batch": lambda o, y: (
            -nd.pick(nd.log_softmax(o, axis=0), y).sum()
        ),
        "the softmax is followed by its logarithm, in two steps": lambda o, y: (
            -nd.pick(nd.log(nd.softmax(o)), y).sum()
        ),
        "the exponential of large scores overflows": lambda o, y: (
            nd.log(nd.exp(o).sum(axis=1)) - nd.pick(o, y)
        ).sum(),
        "the largest score of the whole batch is subtracted, not of each row": (
            lambda o, y: (
                nd.log(nd.exp(o - o.max()).sum(axis=1)) - nd.pick(o - o.max(), y)
            ).sum()
        ),
        "a small number is added before the logarithm": lambda o, y: (
            -nd.log(nd.pick(nd.softmax(o), y) + 1e-8).sum()
        ),
        "the softmax is taken twice": lambda o, y: (
            -nd.pick(logs(nd.softmax(o)), y).sum()
        ),
        "the softmax is missing": lambda o, y: -nd.pick(nd.log(o), y).sum(),
        "the logarithm is missing": lambda o, y: -nd.pick(nd.softmax(o), y).sum(),
        "the logarithm has another base": lambda o, y: (
            -nd.pick(logs(o), y).sum() / np.log(2)
        ),
        "no gradient reaches output": lambda o, y: -nd.pick(logs(o.detach()), y).sum(),
    },
    check.moving_average: {
        "momentum is flipped: it weighs the new value": in_place(
            lambda m, v, rho: (1 - rho) * m + rho * v
        ),
        "nothing is written into moving": new_name,
        "moving becomes the new value": in_place(lambda m, v, rho: v),
        "the old value is not weighted": in_place(lambda m, v, rho: m + (1 - rho) * v),
        "the new value is not weighted": in_place(lambda m, v, rho: rho * m + v),
        "both values are weighted by momentum": in_place(
            lambda m, v, rho: rho * (m + v)
        ),
        "it is updated twice": two_steps,
        "the two values are averaged, whatever momentum is": in_place(
            lambda m, v, rho: (m + v) / 2
        ),
        "the new value is subtracted": in_place(
            lambda m, v, rho: rho * m - (1 - rho) * v
        ),
    },
    check.fold: {
        "the mean is not subtracted": folding(bias=lambda b, m, s, beta: b * s + beta),
        "the mean is added and not subtracted": folding(
            bias=lambda b, m, s, beta: (b + m) * s + beta
        ),
        "the layer's own bias is forgotten": folding(
            bias=lambda b, m, s, beta: beta - m * s
        ),
        "the layer's own bias is not scaled": folding(
            bias=lambda b, m, s, beta: b - m * s + beta
        ),
        "the weights are not scaled": folding(weight=lambda W, s: W.copy()),
        "the slope lies along the inputs and not along the outputs": folding(
            weight=lambda W, s: W * s.reshape((1, -1) + (1,) * (W.ndim - 2))
        ),
        "eps is missing": folding(lambda gamma, var, eps: gamma / nd.sqrt(var)),
        "eps stands outside the root": folding(
            lambda gamma, var, eps: gamma / (nd.sqrt(var) + eps)
        ),
        "the division is by the variance and not by its root": folding(
            lambda gamma, var, eps: gamma / (var + eps)
        ),
        "beta is missing": folding(bias=lambda b, m, s, beta: (b - m) * s),
        "beta is scaled": folding(bias=lambda b, m, s, beta: (b - m + beta) * s),
        "gamma is missing": folding(lambda gamma, var, eps: 1 / nd.sqrt(var + eps)),
    },
    check.group_norm: {
        "the groups are taken across: every so-many-th channel": grouping(
            groups=across, back=lambda V: V.swapaxes(1, 2)
        ),
        "num_groups is used as the number of channels in a group": grouping(
            groups=lambda X, G: in_groups(X, X.shape[1] // G)
        ),
        "the statistics run over the batch, too": grouping((0, 2, 3, 4)),
        "each channel has statistics of its own": grouping((3, 4)),
        "all channels share their statistics": grouping((1, 2, 3, 4)),
        "the statistics run over batch and pixels, as in batch normalization": grouping(
            (0, 3, 4)
        ),
        "each pixel has statistics of its own": grouping((2,)),
        "the variance is unbiased, divided by m − 1": grouping(
            std=lambda var, eps, m: nd.sqrt(var * m / (m - 1) + eps)
        ),
        "the mean is not subtracted": grouping(centered=False),
        "eps stands outside the root": grouping(
            std=lambda var, eps, m: nd.sqrt(var) + eps
        ),
        "eps is missing": grouping(std=lambda var, eps, m: nd.sqrt(var)),
        "the division is by the variance and not by its root": grouping(
            std=lambda var, eps, m: var + eps
        ),
        "gamma and beta are swapped": grouping(affine=lambda g, b: (b, g)),
        "gamma is ignored": grouping(affine=lambda g, b: (nd.ones_like(g), b)),
        "beta is ignored": grouping(affine=lambda g, b: (g, nd.zeros_like(b))),
        "gamma and beta are both ignored": grouping(
            affine=lambda g, b: (nd.ones_like(g), nd.zeros_like(b))
        ),
        "gamma and beta are broadcast along the wrong axis": grouping(
            shape=(1, 1, 1, -1)
        ),
    },
    check.batch_norm_relu: {
        "there is no ReLU": relu_layer(lambda X, g, b: g * X + b),
        "beta is added after the ReLU": relu_layer(lambda X, g, b: nd.relu(g * X) + b),
        "gamma and beta are applied after the ReLU": relu_layer(
            lambda X, g, b: g * nd.relu(X) + b
        ),
        "positive numbers are cut off and negative ones kept": relu_layer(
            lambda X, g, b: nd.minimum(g * X + b, 0)
        ),
        "negative numbers change their sign": relu_layer(
            lambda X, g, b: nd.abs(g * X + b)
        ),
        "a NaN comes out as 0": relu_layer(
            lambda X, g, b: nd.where(g * X + b > 0, g * X + b, nd.zeros_like(X))
        ),
    },
}
FOR_ANY = (
    "it changes its argument",
    "no gradient reaches",
    "the result has another type",
)


@pytest.mark.parametrize(("tool", "work"), RIGHT, ids=lambda v: getattr(v, "name", ""))
def test_right_functions_pass(tool, work):
    verdict = tool(work)
    assert verdict.is_right and not verdict.mistakes, verdict


@pytest.mark.parametrize(
    ("tool", "mistake"),
    [(tool, mistake) for tool, zoo in WRONG.items() for mistake in zoo],
    ids=lambda value: getattr(value, "name", value),
)
def test_each_mistake_is_named(tool, mistake):
    verdict = tool(WRONG[tool][mistake])
    assert verdict.mistakes == (mistake,), verdict


@pytest.mark.parametrize("tool", WRONG, ids=lambda tool: tool.name)
def test_each_mistake_with_a_name_is_in_the_zoo(tool):
    names = {mistake.name for mistake in tool.mistakes}
    assert {name for name in names if not name.startswith(FOR_ANY)} <= set(WRONG[tool])


def changes_its_output(output, label):
    right = utils.accuracy(output, label)
    output += 1
    return right


def forgets_to_return(output, label):
    output.argmax(axis=1)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (5, "was expected, but this is of type int; pass the function itself"),
        (lambda output: 1.0, "this one takes (output); give it these arguments"),
        (forgets_to_return, "it returns nothing; end it with return"),
        (lambda output, label: output.nonsense, "has no attribute 'nonsense'"),
        (changes_its_output, "it changes its argument output"),
    ],
)
def test_other_faults_are_told(work, says):
    verdict = check.accuracy(work)
    assert verdict.outcome == "wrong"
    assert says in " ".join(str(verdict).split())


@pytest.mark.parametrize("name", check.__all__)
def test_hints_are_three_steps_and_no_solution(name):
    tool = dataclasses.replace(getattr(check, name))  # none given yet
    hints = [tool.hint() for _ in range(4)]
    assert len(set(hints)) == 3 and hints[3] == hints[2]
    for number, hint in enumerate(hints[:3], 1):
        assert hint.startswith(f"Hint {number} of 3: ") and "def " not in hint


@pytest.mark.parametrize(
    ("name", "chapter", "function"),
    [
        ("accuracy", "scratch", "share_of_hits"),
        ("batch_norm", "scratch", "own_batch_norm"),
        ("fold", "speed", "fold_arrays"),
        ("group_norm", "predict", "group_norm"),
        ("moving_average", "predict", "moving_average"),
        ("softmax_cross_entropy", "scratch", "cross_entropy"),
    ],
)
def test_the_solution_is_the_chapters_and_right(name, chapter, function):
    tool = getattr(check, name)
    solution = tool.solution()
    assert solution.startswith(f"def {function}(") and "..." not in solution
    defined = vars(utils.definitions(f"batch-norm-{chapter}"))
    exec(solution, defined)
    assert tool(defined[function]).is_right


def test_the_solution_in_c_is_the_chapters():
    # Whether it is right, the chapter's own run says, which has a compiler.
    solution = check.batch_norm_relu.solution()
    assert solution.startswith("static void line(") and "std::max(a *" in solution


@pytest.mark.parametrize("name", check.__all__)
def test_sections_that_explain_exist(name):
    for mistake in getattr(check, name).mistakes:
        chapter, heading = mistake.where
        text = (utils.notebooks.CHAPTERS / f"{chapter}.ipynb").read_text(
            encoding="utf-8"
        )
        cells = json.loads(text)["cells"]
        lines = {line.strip() for cell in cells for line in cell["source"]}
        assert f"## {heading}" in lines, mistake.name


def test_a_verdict_is_a_box_in_a_notebook():
    box = check.accuracy(lambda o, y: 100 * utils.accuracy(o, y))._repr_html_()
    assert "<strong>✗ Wrong: it is in percent.</strong>" in box and "<pre" in box
    assert "Not attempted yet" in check.accuracy(...)._repr_html_()
