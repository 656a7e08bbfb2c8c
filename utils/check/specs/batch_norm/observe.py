"""What a reader's layer does for a case."""

import numpy as np
from mxnet import autograd
from utils.check import arrays
from utils.check.specs.batch_norm.formula import (
    BY_BETA,
    BY_GAMMA,
    BY_X,
    GAMMA_LEFT,
    GRAPH,
    MEAN,
    MEAN_2,
    MEAN_P,
    OUTPUT,
    PREDICTION,
    SEEN,
    SEEN_OF_STATISTICS,
    START_VAR,
    VAR,
    VAR_2,
    VAR_P,
    X_LEFT,
    Case,
)
from utils.check.specs.batch_norm.layer import Block, Function
from utils.check.values import NOTHING, Failure, Observation


def observe(layer: Function | Block, case: Case) -> Observation:
    """What is seen of a layer, in the order of SEEN, or the error that it raises."""
    seen = dict.fromkeys(SEEN)
    if layer.has_statistics:
        seen |= dict.fromkeys(SEEN_OF_STATISTICS)
    if layer.start_var is not None:
        seen |= {START_VAR: layer.start_var}
    try:
        seen |= call(layer, case)
    except NotImplementedError:
        raise
    except Exception as error:  # a reader's code may raise anything
        failure = Failure(arrays.reason(error))
        return dict.fromkeys(seen, failure)
    if isinstance(seen[OUTPUT], Failure):
        return dict.fromkeys(seen, seen[OUTPUT])
    for part in (record, predict) if layer.has_statistics else (record,):
        names = {
            record: (BY_X, BY_GAMMA, BY_BETA, *SEEN_OF_STATISTICS[:5]),
            predict: SEEN_OF_STATISTICS[5:],
        }[part]
        try:
            seen |= {n: v for n, v in part(layer, case).items() if n in seen}
        except Exception as error:
            failure = Failure(arrays.reason(error))
            seen |= {n: failure for n in names if n in seen}
            if part is record and GRAPH in seen and "AGInfo" in failure.text:
                # An array of the graph was written to: X, or else the statistics.
                same = np.array_equal(seen[X_LEFT], case.X)
                seen[GRAPH] = "yes" if same else "no"
    return {name: value for name, value in seen.items() if value is not None}


def call(layer, case):
    """A training step that autograd does not record, where X can be overwritten."""
    with layer.state(case) as state, autograd.train_mode():
        X = arrays.array(case.X, layer.ctx)
        Y = layer(X, state, case)
        if Y is None or Y is ...:
            return {OUTPUT: NOTHING}
        return {
            OUTPUT: arrays.numbers(Y),
            X_LEFT: arrays.numbers(X),
            GAMMA_LEFT: case.gamma if state.gamma is None else flat(state.gamma),
            arrays.TYPE: arrays.kind(Y),
            arrays.DEVICE: arrays.place(Y, X),
        }


def record(layer, case):
    """Two training steps; gradients and output are those of the first."""
    with layer.state(case) as state:
        layer.track(state)
        X = arrays.array(case.X, layer.ctx)
        X.attach_grad()
        gamma, beta = state.gamma, state.beta
        with autograd.record():
            Y = layer(X, state, case)
        arrays.backward(Y, arrays.array(case.G, layer.ctx))
        seen = {OUTPUT: arrays.numbers(Y), BY_X: arrays.gradient(X)}
        seen |= {BY_GAMMA: by_vector(gamma), BY_BETA: by_vector(beta)}
        if not layer.has_statistics:
            return seen
        seen |= {MEAN: flat(state.mean), VAR: flat(state.var)}
        recorded = arrays.nodes(state.mean) + arrays.nodes(state.var)
        X = arrays.array(case.second, layer.ctx)
        with autograd.record():
            Y = layer(X, state, case)
        arrays.backward(Y, arrays.array(case.G, layer.ctx))
        seen |= {MEAN_2: flat(state.mean), VAR_2: flat(state.var)}
        return seen | {GRAPH: "yes" if recorded else "no"}


def predict(layer, case):
    with layer.state(case) as state:
        X = arrays.array(case.X, layer.ctx)
        Y = layer(X, state, case)
        seen = {PREDICTION: arrays.numbers(Y)}
        if (left := arrays.numbers(X)).tobytes() != case.X.astype("float64").tobytes():
            seen[X_LEFT] = left
        return seen | {MEAN_P: flat(state.mean), VAR_P: flat(state.var)}


def by_vector(vector):
    """The gradient of gamma or beta, (C,); a block may have none, or other shapes."""
    return None if vector is None else np.ravel(arrays.gradient(vector))


def flat(vector):
    values = arrays.numbers(vector)
    return values if isinstance(values, Failure) else values.ravel()
