"""Moving statistics of any network: find them, watch a layer's inputs, restore all.

What is called a layer here is one set of moving statistics. It belongs to a Gluon block
that owns Parameters, or plain arrays, named …running_mean and …running_var or
…moving_mean and …moving_var: nn.BatchNorm, SyncBatchNorm, and blocks written by hand.
All functions work in MXNet's classic mode and in NumPy mode.
"""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.util import is_np_array

ENDINGS = ("running_mean", "running_var"), ("moving_mean", "moving_var")


class Moments(NamedTuple):
    """Mean and variance, each (channels,), and of how many values per channel."""

    mean: np.ndarray
    var: np.ndarray
    size: int


@dataclasses.dataclass(eq=False)
class Layer:
    """One set of moving statistics, and what its block says about it."""

    name: str  # where it is in the network, and the block's class
    arrays: Callable[[], list[nd.NDArray]]  # mean and variance as they are now
    gamma: nd.NDArray | None  # None: not trained
    beta: nd.NDArray | None
    momentum: float | None  # weight of the old value; None: the block doesn't say
    eps: float = 1e-5
    use_global_stats: bool = False
    is_saved: bool = True  # save_parameters knows them
    before: tuple[gluon.Parameter, ...] = ()  # of the blocks that come before it

    def read(self) -> Moments:
        """The stored statistics, float64, and size 0."""
        mean, var = (a.asnumpy().ravel().astype("float64") for a in self.arrays())
        return Moments(mean, var, 0)

    def write(self, moments: Moments) -> None:
        """Store others, in place: block, Parameters, and graphs stay the same."""
        for array, values in zip(self.arrays(), moments[:2], strict=True):
            values = values.reshape(array.shape).astype(array.dtype)
            array.as_nd_ndarray()[:] = nd.array(values, array.context, array.dtype)


class Input(NamedTuple):
    layer: Layer
    X: nd.NDArray
    axis: int  # of the channels


class Site(NamedTuple):
    """A block to watch, and which layers' inputs follow from the block's arguments."""

    block: gluon.Block
    inputs: Callable[[tuple], list[Input]]


def find(net: gluon.Block, ctx: mx.Context) -> tuple[list[Layer], list[Site]]:
    """All layers of `net` with their statistics on `ctx`, and where to watch them.

    Two blocks that share their Parameters are two sites of one layer. Raises ValueError
    where one block owns several sets of statistics, so that its inputs tell nothing.
    """
    layers, sites, before = {}, [], ()
    for path, block in blocks(net):
        if isinstance(block, gluon.SymbolBlock):
            found, site = _of_symbols(block, ctx)
            layers.update(found)
            sites += [site] * bool(found)
            continue
        name = f"{path} ({type(block).__name__})".strip()
        found = [*_of_parameters(block, name, ctx), *_of_attributes(block, name)]
        if len(found) > 1:
            raise ValueError(
                f"A block was expected to own one set of moving statistics, but {name} "
                f"owns {len(found)}; give each normalization a block of its own."
            )
        for key, layer in found:
            layer = layers.setdefault(key, dataclasses.replace(layer, before=before))
            axis = getattr(block, "_kwargs", {}).get("axis", 1)
            sites.append(Site(block, _first_argument(layer, axis)))
        before += tuple(block.params.values())
    return list(layers.values()), sites


def _first_argument(layer, axis):
    return lambda args: [Input(layer, args[0], axis)]


def blocks(net: gluon.Block) -> Iterator[tuple[str, gluon.Block]]:
    """Each block once, with the names of its attributes or numbers that lead to it."""
    seen = set()

    def walk(block, path):
        if id(block) in seen:
            return
        seen.add(id(block))
        yield path, block
        for name, child in block._children.items():
            yield from walk(child, f"{path}.{name}" if path else name)

    return walk(net, "")


def _of_parameters(block, name, ctx):
    own = {p.name: p for p in block.params.values()}
    settings = getattr(block, "_kwargs", {})
    for parameter in own.values():
        for mean, var in ENDINGS:
            stem = parameter.name.removesuffix(mean)
            if stem != parameter.name and stem + var in own:
                pair = parameter, own[stem + var]
                scale = own.get(stem + "gamma"), own.get(stem + "beta")
                gamma, beta = (
                    p.data(ctx) if p and p.grad_req != "null" else None for p in scale
                )
                if settings.get("fix_gamma"):
                    gamma = None  # it is 1 whatever training does
                yield (
                    id(parameter),
                    Layer(
                        name,
                        lambda pair=pair: [p.data(ctx) for p in pair],
                        gamma,
                        beta,
                        settings.get("momentum", _number(block, "momentum")),
                        settings.get("eps", 1e-5),
                        bool(settings.get("use_global_stats")),
                    ),
                )


def _of_attributes(block, name):
    for names in ENDINGS:
        if all(isinstance(vars(block).get(n), nd.NDArray) for n in names):
            trained = []
            for attribute in "gamma", "beta":
                value = getattr(block, attribute, None)
                if isinstance(value, gluon.Parameter):
                    value = value.list_data()[0]
                trained.append(value if isinstance(value, nd.NDArray) else None)
            yield (
                (id(block), names),
                Layer(
                    name,
                    lambda names=names: [getattr(block, n) for n in names],
                    *trained,
                    _number(block, "momentum"),
                    is_saved=False,
                ),
            )


def _number(block, name):
    value = getattr(block, name, None)
    return float(value) if isinstance(value, (int, float)) else None


def _of_symbols(block, ctx):
    """Layers of a SymbolBlock: for want of blocks, its graph tells their inputs.

    A copy of the graph ends where normalizations begin. In training mode, but without
    dropout, it normalizes by the statistics of the batch.
    """
    data, out = block._cached_graph
    graph = json.loads(out.tojson())
    nodes, found, inputs = graph["nodes"], {}, []
    for node in nodes:
        attrs = node.setdefault("attrs", {})
        if "dropout" in node["op"].lower():
            attrs["p"] = "0"
        if "batchnorm" in node["op"].lower().replace("_", ""):
            gamma, beta, *pair = (
                block.params[nodes[i[0]]["name"]] for i in node["inputs"][1:5]
            )
            found[id(pair[0])] = layer = Layer(
                f"{node['name']} (of a SymbolBlock)",
                lambda pair=pair: [p.data(ctx) for p in pair],
                None if attrs.get("fix_gamma") == "True" else gamma.data(ctx),
                beta.data(ctx),
                float(attrs.get("momentum", 0.9)),
                float(attrs.get("eps", 1e-3)),
                attrs.get("use_global_stats") == "True",
            )
            attrs["use_global_stats"] = "False"
            inputs.append((node["inputs"][0], layer, int(attrs.get("axis", 1))))
    if not found:
        return found, None
    graph["heads"] = [place for place, _, _ in inputs]
    symbol = mx.sym.load_json(json.dumps(graph))
    symbol = symbol.as_np_ndarray() if is_np_array() else symbol
    probe = gluon.SymbolBlock(symbol, data, params=block.params)

    def reach(args):
        with autograd.train_mode():
            outs = probe(*args)
        outs = outs if isinstance(outs, list) else [outs]
        return [
            Input(layer, X, axis)
            for X, (_, layer, axis) in zip(outs, inputs, strict=True)
        ]

    return found, Site(block, reach)


@contextlib.contextmanager
def unchanged(net: gluon.Block, layers: list[Layer]) -> Iterator[bool]:
    """Whatever happens inside to statistics and hybridization is undone at the end.

    Inside, each block runs on its own, in prediction mode and unrecorded, so that hooks
    are called. Yields whether a compiled graph had to be left aside for that.
    """
    stored = [(layer, layer.read()) for layer in layers]
    all_blocks = [block for _, block in blocks(net)]
    attributes = [
        (block, name, vars(block)[name])
        for block in all_blocks
        for name in itertools.chain(*ENDINGS)
        if name in vars(block)
    ]
    active = [
        block
        for block in all_blocks
        if getattr(block, "_active", False) and not isinstance(block, gluon.SymbolBlock)
    ]
    for block in active:
        block._active = False  # hybridize(False) would drop its compiled graph
    try:
        with autograd.pause(train_mode=False):
            yield bool(active)
    finally:
        for block in active:
            block._active = True
        for block, name, value in attributes:
            if vars(block)[name] is not value:  # a block may have put another there
                setattr(block, name, value)
        with autograd.pause():
            for layer, moments in stored:
                layer.write(moments)


@contextlib.contextmanager
def batch_statistics(sites: list[Site]) -> Iterator[list[tuple[Layer, Moments]]]:
    """Inside, each layer normalizes by the statistics of its own input, in any mode.

    Yields a list to which each call of a layer adds it and its input's biased moments.
    """
    calls = []

    def hook(site, args):
        for layer, X, axis in site.inputs(args):
            channels = layer.arrays()[0].size
            if X.ndim < 2 or X.shape[axis] != channels:
                raise ValueError(
                    f"{channels} channels on axis {axis} were expected in the input of "
                    f"layer {layer.name}, as in its statistics, but its shape is "
                    f"{X.shape}; let a block of its own normalize, with channels on "
                    "axis 1."
                )
            moments = moments_of(X, axis)
            layer.write(moments)
            calls.append((layer, moments))

    handles = []
    try:
        for site in sites:
            handles.append(
                site.block.register_forward_pre_hook(
                    lambda _, args, site=site: hook(site, args)
                )
            )
        yield calls
    finally:
        for handle in handles:
            handle.detach()


def moments_of(X: nd.NDArray, axis: int) -> Moments:
    """Mean and biased variance over all axes but `axis`, in float32."""
    # In NumPy, since MXNet's mean is many times slower on a CPU.
    V = np.moveaxis(X.asnumpy().astype("float32", copy=False), axis, 0)
    axes = tuple(range(1, V.ndim))
    with np.errstate(all="ignore"):  # who needs finite ones checks them
        mean = V.mean(axis=axes, keepdims=True)
        var = np.square(V - mean).mean(axis=axes)
    return Moments(mean.ravel(), var, V[0].size)


def average(moments: list[Moments]) -> Moments:
    """The mean of means and the mean of unbiased variances of batches.

    This is what Algorithm 2 of Ioffe & Szegedy (2015), arXiv:1502.03167, predicts with.
    PreciseBN of Wu & Johnson (2021), arXiv:2105.07576, takes biased variances and adds
    the variance of the batches' means.
    """
    mean = np.mean([m.mean for m in moments], axis=0)
    unbiased = [m.var * m.size / max(m.size - 1, 1) for m in moments]
    return Moments(mean, np.mean(unbiased, axis=0), sum(m.size for m in moments))
