"""Call a batch normalization that a reader has written, in whichever way it is written.

A function gets arrays and may return the statistics; a Gluon block owns them.
"""

import contextlib
import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from utils.check import arrays
from utils.check.diagnose import Refused

CHANNELS = 2  # where the layer leaves it open
EPS = 1e-5  # where the layer takes none, as everywhere in this course
MOMENTUM = 0.9
NAMES = {
    "gamma": ("gamma", "scale", "weight"),
    "beta": ("beta", "shift", "offset", "bias"),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_var": ("moving_var", "running_var", "moving_variance", "running_variance"),
    "momentum": ("momentum",),
    "eps": ("eps", "epsilon"),
    "training": ("training", "is_training", "train", "train_mode"),
}
STATELESS = "(X, gamma, beta, eps)"
STATEFUL = "(X, gamma, beta, moving_mean, moving_var, momentum, eps)"


@dataclasses.dataclass
class State:
    """Arrays of one call, on its device."""

    gamma: nd.NDArray
    beta: nd.NDArray
    mean: nd.NDArray
    var: nd.NDArray


class Function:
    """A function of arrays; `roles` says which of its arguments are what."""

    channels, dimensions = CHANNELS, (2, 4)
    notes: tuple[str, ...] = ()

    def __init__(self, function: Callable, ctx: mx.Context) -> None:
        self.function, self.ctx = function, ctx
        self.roles = _roles(function)
        self.has_statistics = "moving_mean" in self.roles
        self.eps = None if "eps" in self.roles else EPS
        self.momentum = None if "momentum" in self.roles else MOMENTUM
        self.start_var = None

    @contextlib.contextmanager
    def state(self, case) -> Iterator[State]:
        yield State(
            *(
                arrays.array(values, self.ctx)
                for values in (
                    case.gamma,
                    case.beta,
                    case.moving_mean,
                    case.moving_var,
                )
            )
        )

    def track(self, state: State) -> None:
        """Have gradients computed."""
        state.gamma.attach_grad()
        state.beta.attach_grad()

    def __call__(self, X: nd.NDArray, state: State, case) -> Any:
        """The output; `state` has the statistics afterward."""
        values = {
            "gamma": state.gamma,
            "beta": state.beta,
            "moving_mean": state.mean,
            "moving_var": state.var,
            "momentum": case.momentum,
            "eps": case.eps,
            "training": autograd.is_training(),
        }
        given = {name: values[role] for role, name in self.roles.items()}
        result = self.function(X, **given)
        if isinstance(result, (tuple, list)):
            if len(result) >= 3 and self.has_statistics:
                state.mean, state.var = result[-2:]
            return result[0]
        return result


def _roles(function):
    """{role: name of the argument} for all arguments but the first."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    others = [p for p in parameters[1:] if p.kind not in open_ended]
    roles = {}
    for role, names in NAMES.items():
        for parameter in others:
            if parameter.name.lower() in names and role not in roles:
                roles[role] = parameter.name
    if not roles and len(others) in (2, 3):  # names of one's own, in the usual order
        roles = dict(
            zip(("gamma", "beta", "eps"), (p.name for p in others), strict=False)
        )
    missing = [
        p.name
        for p in others
        if p.name not in roles.values() and p.default is inspect.Parameter.empty
    ]
    if missing or not {"gamma", "beta"} <= roles.keys():
        found = ", ".join(p.name for p in parameters) or "no names"
        raise Refused(
            f"a function with the arguments {STATELESS} or {STATEFUL} was expected, "
            f"but its arguments are ({found}); name them so."
        )
    if ("moving_mean" in roles) != ("moving_var" in roles):
        raise Refused(
            "moving_mean and moving_var were expected together, but the function takes "
            "only one of them; add the other."
        )
    return roles


class Block:
    """A Gluon block, which is left as it was, or what makes one."""

    has_statistics = True

    def __init__(self, block: gluon.Block, ctx: mx.Context | None) -> None:
        self.block, self.is_new = block, not _is_ready(block)
        if self.is_new:
            # It would keep the number of channels of the first input.
            self.block = block = copy.deepcopy(block)
            block.initialize(ctx=ctx or mx.current_context())
        self.ctx = ctx or _device(block)
        with self._kept() if _is_ready(block) else contextlib.nullcontext():
            self._find()

    def _find(self):
        block = self.block
        error = None
        if self._own("moving_mean") is None:  # made by the first forward pass
            error = _first_pass(block, self.ctx)
        missing = [n for n in ("moving_mean", "moving_var") if self._own(n) is None]
        if missing and error:
            self.channels, self.dimensions, self.start_var = CHANNELS, (2, 4), None
            self.eps, self.momentum, self.notes = EPS, MOMENTUM, ()
            return
        if missing:
            raise Refused(
                "a block with moving_mean and moving_var (or running_mean and "
                "running_var) as parameters or attributes was expected, but "
                f"{type(block).__name__} has no {' and no '.join(missing)}; name them "
                "so."
            )
        shape = self._own("moving_mean").shape
        self.channels = int(np.prod(shape))
        self.dimensions = (len(shape),) if len(shape) in (2, 4) else (2, 4)
        settings = getattr(block, "_kwargs", {})
        self.eps = _setting(block, settings, NAMES["eps"], EPS)
        self.momentum = _setting(block, settings, NAMES["momentum"], MOMENTUM)
        # A trained block may have begun with anything but zeros, which it still has.
        start = self._own("moving_var").asnumpy().ravel().astype("float64")
        self.start_var = start if self.is_new or not start.any() else None
        self.notes = ()
        if isinstance(self._holder("moving_mean"), nd.NDArray):
            self.notes = (
                "Note: its moving statistics are plain attributes, which "
                "save_parameters leaves out; make them Parameters with "
                "grad_req='null'.",
            )

    def _holder(self, role):
        """The Parameter, or the plain array, that has this role."""
        for name in NAMES[role]:
            for parameter in self.block.collect_params().values():
                if parameter.name.endswith(name):
                    return parameter
            value = getattr(self.block, name, None)
            if isinstance(value, (nd.NDArray, gluon.Parameter)):
                return value
        return None

    def _own(self, role):
        holder = self._holder(role)
        if isinstance(holder, gluon.Parameter):
            try:
                return holder.data(self.ctx)
            except gluon.parameter.DeferredInitializationError:
                return None
        return holder

    @contextlib.contextmanager
    def _kept(self):
        """Values, gradients and attributes are afterward what they were before."""
        parameters = [
            (p, p.data(c), p.data(c).asnumpy())
            for p in self.block.collect_params().values()
            for c in p.list_ctx()
        ]
        gradients = [
            (g, g.asnumpy())
            for p, *_ in parameters
            if p.grad_req != "null"
            for g in p.list_grad()
        ]
        plain = {
            name: (value, value.asnumpy())
            for name, value in vars(self.block).items()
            if isinstance(value, nd.NDArray)
        }
        try:
            yield
        finally:
            for name, (value, values) in plain.items():
                _write(value, values)
                setattr(self.block, name, value)
            for _, value, values in parameters:
                _write(value, values)
            for value, values in gradients:
                _write(value, values)

    @contextlib.contextmanager
    def state(self, case) -> Iterator["BlockState"]:
        with self._kept():
            for role in "gamma", "beta", "moving_mean", "moving_var":
                value = self._own(role)
                if value is not None:
                    _write(value, getattr(case, role))
            yield BlockState(self)

    def track(self, state: "BlockState") -> None:
        for role in "gamma", "beta":
            holder = self._holder(role)
            if isinstance(holder, nd.NDArray):
                holder.attach_grad()

    def __call__(self, X: nd.NDArray, state: "BlockState", case) -> Any:
        return self.block(X)


class BlockState:
    """The arrays that a block has now, each time that they are asked for."""

    def __init__(self, layer: Block) -> None:
        self.layer = layer

    gamma = property(lambda self: self.layer._own("gamma"))
    beta = property(lambda self: self.layer._own("beta"))
    mean = property(lambda self: self.layer._own("moving_mean"))
    var = property(lambda self: self.layer._own("moving_var"))


def _write(value, values):
    values = nd.array(np.reshape(values, value.shape), value.context, value.dtype)
    value.as_nd_ndarray()[:] = values


def _is_ready(block):
    parameters = block.collect_params().values()
    return all(p._data is not None for p in parameters)


def _device(block):
    devices = [c for p in block.collect_params().values() for c in p.list_ctx()]
    return devices[0] if devices else mx.current_context()


def _first_pass(block, ctx):
    for shape in (3, CHANNELS), (3, CHANNELS, 2, 2):
        try:
            block(arrays.array(np.ones(shape), ctx)).wait_to_read()
            return None
        except NotImplementedError:
            raise
        except Exception as raised:  # whatever it is, the cases will show it
            error = raised
    return error


def _setting(block, settings, names, default):
    for name in names:
        for value in (
            settings.get(name),
            getattr(block, name, None),
            getattr(block, f"_{name}", None),
        ):
            if isinstance(value, (int, float)):
                return float(value)
    return default


def layer_of(work: Any, ctx: mx.Context | None = None) -> Function | Block:
    """What calls the work. Raises Refused where it is nothing that can be called so."""
    if isinstance(work, type) and issubclass(work, gluon.Block):
        work = _made(work)
    if isinstance(work, gluon.Block):
        return Block(work, ctx)
    if callable(work):
        return Function(work, ctx or mx.current_context())
    raise Refused(
        "a function or a Gluon block was expected, but this is of type "
        f"{type(work).__name__}; pass the function itself, without calling it."
    )


def _made(cls):
    """An instance; arguments that it needs are the number of channels and of axes."""
    needed = [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    known = {"num_dims": 4, "dims": 4, "ndim": 4}
    try:
        return cls(**{name: known.get(name, CHANNELS) for name in needed})
    except Exception as error:
        raise Refused(
            f"{cls.__name__} could not be made ({arrays.reason(error)}); make one "
            "yourself, and pass that."
        ) from None
