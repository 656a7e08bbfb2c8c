"""Why a network with batch normalization trains well and predicts badly.

`utils.gap.moving` finds its moving statistics and changes them for a while,
`utils.gap.facts` measures, `utils.gap.rules` concludes; here is what readers call.
"""

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

import mxnet as mx
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from mxnet import gluon
from utils.gap import moving, rules
from utils.gap.facts import SAMPLES, Facts, Measurement, Samples, raise_not_finite, take
from utils.gap.layers import rms
from utils.gap.moving import Layer
from utils.gap.rules import Finding
from utils.metrics import Batch, Devices

STATISTICS = {
    "batch": "each batch's own",
    "moving": "moving, as stored",
    "re-estimated": "re-estimated",
    "frozen": "frozen at 0 and 1",
    "of test data": "of the test data",
}


class Row(NamedTuple):
    """Accuracy in [0, 1] and mean log-loss in nats."""

    train_accuracy: float
    train_loss: float
    test_accuracy: float
    test_loss: float


class Gap(NamedTuple):
    """What `explain_gap` found."""

    verdict: str
    evidence: str
    advice: str
    table: dict[str, Row]  # by statistics, named as in STATISTICS
    figure: Figure


def explain_gap(
    net: gluon.Block,
    train_iter: Iterable[Batch],
    test_iter: Iterable[Batch],
    ctx: Devices | None = None,
) -> Gap:
    """Say why `net` trains well and predicts badly: print a table and a verdict.

    net: a trained Gluon network with moving statistics, from data (batch, …) to scores
        or probabilities (batch, classes). It is left as it was.
    train_iter, test_iter: iterables of (data, label), with labels (batch,) of class
        indices; of each, the first samples are used, 2048 at most. `train_iter` has to
        have the batch size, and the order, that the network was trained with.
    ctx: the device to compute on, the first of a list; left out, where `net` is.

    Accuracy and log-loss are measured in prediction mode, with each batch's own
    statistics; with the stored ones; with ones re-estimated on the training data
    (Ioffe & Szegedy, 2015, Algorithm 2, arXiv:1502.03167; PreciseBN of Wu & Johnson,
    2021, arXiv:2105.07576); with mean 0 and variance 1; and with ones re-estimated on
    the test data. `utils.gap.rules` has the rules for the verdict.

    Returns a `Gap`; its figure is drawn and not shown. Raises ValueError where there
    are no moving statistics, or where the network or the data can't be measured.
    """
    ctx = _device(net, ctx)
    layers, sites = moving.find(net, ctx)
    _check(net, layers, ctx)
    numbers = np.random.get_state()  # by which a DataLoader shuffles
    try:
        train = take(train_iter, "train_iter")
        test = take(test_iter, "test_iter")
    finally:
        np.random.set_state(numbers)
    with moving.unchanged(net, layers) as was_hybridized:
        facts = Measurement(net, layers, sites, ctx).facts(train, test)
    finding = rules.find(facts)
    table = _table(facts)
    _print(facts, finding, table, train, test, was_hybridized)
    return Gap(*finding, table, _draw(facts, table))


def _device(net: gluon.Block, ctx: Devices | None) -> mx.Context:
    """The device to compute on, where all parameters have values."""
    if not isinstance(net, gluon.Block):
        raise ValueError(
            "explain_gap expects a Gluon network (gluon.Block), but got "
            f"{type(net).__name__}; put the function into the forward of an nn.Block."
        )
    if isinstance(ctx, (list, tuple)):
        ctx = ctx[0] if ctx else None
    for name, parameter in net.collect_params().items():
        try:
            devices = [array.context for array in parameter.list_data()]
        except RuntimeError:  # MXNet's errors are of this kind
            raise ValueError(
                f"A trained network was expected, but its parameter {name} has no "
                "values yet; call net.initialize() and train it, or load its "
                "parameters."
            ) from None
        ctx = ctx or devices[0]
        if ctx not in devices:
            raise ValueError(
                f"Parameters on {ctx} were expected, but {name} is on {devices[0]}; "
                "move the network with net.collect_params().reset_ctx(ctx), or pass "
                "its device as ctx."
            )
    return ctx or mx.current_context()


def _check(net: gluon.Block, layers: list[Layer], ctx: mx.Context) -> None:
    if not layers:
        kinds = {type(block).__name__ for _, block in moving.blocks(net)}
        same = sorted(kinds & {"GroupNorm", "InstanceNorm", "LayerNorm"})
        raise ValueError(
            "explain_gap expects a network with moving statistics, but found "
            + (
                f"only {' and '.join(same)}, which computes the same in training and "
                "prediction; look for the gap elsewhere, as in dropout or overfitting."
                if same
                else "none; pass a network with nn.BatchNorm, or name the statistics "
                "of your own block moving_mean and moving_var."
            )
        )
    for name, parameter in net.collect_params().items():
        if not np.isfinite(parameter.data(ctx).asnumpy()).all():
            raise_not_finite(f"parameter {name} has NaN or infinity")
    for layer in layers:
        if (lowest := layer.read().var.min()) <= -layer.eps:  # less is rounding
            raise ValueError(
                f"Variances of at least 0 were expected, but layer {layer.name} has "
                f"stored {lowest:g}; correct its update, or load other parameters."
            )
        if not np.isfinite(layer.read()[:2]).all():
            raise_not_finite(
                f"the statistics of layer {layer.name} have NaN or infinity"
            )


def _table(facts: Facts) -> dict[str, Row]:
    return {
        name: Row(
            *(
                float(values.mean())
                for scores in (facts.train[name], facts.test[name])
                for values in (scores.hits, scores.losses)
            )
        )
        for name in STATISTICS
    }


def say(text: str) -> None:
    print(textwrap.fill(text, 88))


def _print(
    facts: Facts,
    finding: Finding,
    table: dict[str, Row],
    train: Samples,
    test: Samples,
    was_hybridized: bool,
) -> None:
    say(
        f"Measured in prediction mode on {len(train.y)} training and {len(test.y)} "
        f"test samples (of each data set the first, up to {SAMPLES}), in "
        f"training batches of {train.batch_size}."
    )
    if was_hybridized:
        say(
            "The network is hybridized; it ran without its compiled graphs here, and "
            "has them back."
        )
    for f in facts.layers:
        if (uses := len(f.batches[0])) > 1:
            say(
                f"Layer {f.layer.name} is used {uses} times per pass, with one set of "
                "moving statistics."
            )
    head = "train acc", "train loss", "test acc", "test loss"
    print(f"\n{'statistics':18}" + "".join(f"{title:>12}" for title in head))
    for name, row in table.items():
        digits = 3, 2, 3, 2
        cells = [f"{value:.{n}f}" for value, n in zip(row, digits, strict=True)]
        print(f"{STATISTICS[name]:18}" + "".join(f"{cell:>12}" for cell in cells))
    print()
    say(f"Verdict: {finding.verdict}.")
    say(f"Evidence: {finding.evidence}")
    say(f"What to do: {finding.advice}")


def _draw(facts: Facts, table: dict[str, Row]) -> Figure:
    """Accuracy by statistics, and by how much each layer's stored ones are off."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
    places = np.arange(len(table))[::-1]
    for label, marker, column in ("train", "o", 0), ("test", "D", 2):
        values = [row[column] for row in table.values()]
        left.plot(values, places, marker, label=label, markerfacecolor="none")
    left.set_yticks(places, [STATISTICS[name] for name in table])
    left.set(xlabel="accuracy", xlim=(-0.05, 1.05))
    left.legend()
    numbers = range(1, len(facts.layers) + 1)
    means, deviations = [], []
    for f in facts.layers:
        stored = np.sqrt(np.maximum(f.stored.var, 0) + f.layer.eps)
        scale = f.deviation()
        means.append(rms((f.stored.mean - f.exact.mean) / scale))
        deviations.append(rms((stored - scale) / scale))
    for label, marker, values in ("mean", "o", means), ("deviation", "D", deviations):
        # A logarithmic axis has no zero.
        shown = np.maximum(values, 1e-3)
        right.plot(numbers, shown, marker, label=label, markerfacecolor="none")
    right.set(xlabel="layer", ylabel="stored − re-estimated, deviations", yscale="log")
    low, high = right.get_ylim()
    right.set(xlim=(0.5, len(numbers) + 0.5), ylim=(min(low, 7e-4), max(high, 1.5)))
    right.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    right.legend()
    return fig
