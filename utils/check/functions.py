"""Checks of plain functions: a specification is a reference, inputs, and mistakes."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from utils.check import arrays
from utils.check.diagnose import Refused
from utils.check.specification import Check, Mistake
from utils.check.values import (
    NOTHING,
    Failure,
    Later,
    Observation,
    Otherwise,
    Unknown,
    if_finite,
)

Case = Mapping[str, Any]  # arguments by name: arrays and numbers
RTOL, LEAST = 1e-4, 0.1  # float32, a few operations on numbers of about 1


class Function(NamedTuple):
    """A reader's function, and what its arguments and results are for."""

    call: Callable
    results: tuple[str, ...]
    gradients: tuple[str, ...]
    in_place: str
    is_float: bool


def check_function(
    name: str,
    arguments: Sequence[str],
    reference: Callable[..., Any],
    cases: Sequence[Case],
    examples: Callable[[], Sequence[Any]],
    mistakes: Sequence[Mistake],
    tested: str,
    hints: tuple[str, str, str],
    answer: str | Callable[[], str],
    where: tuple[str, str],
    results: Sequence[str] = ("result",),
    gradients: Sequence[str] = (),
    in_place: str = "",
    is_float: bool = False,
    resized: Callable[[int], Case] | None = None,
) -> Check:
    """A check of functions of arrays and numbers.

    arguments: their names, in order. cases: small inputs, dicts with these names.
    examples: makes Hypothesis strategies of more, the smallest first. reference: gets
    the arguments by name, arrays in float64, and options that `mistakes` set; returns
    the result, or a tuple of what `results` names. gradients: arguments whose gradient
    is looked at, that of the sum of the first result; the reference's is taken by
    differences. in_place: an argument that is overwritten with the result. is_float:
    the result is a Python float. where: chapter and heading of the section that
    explains it. The rest is as in `Check`.

    Three mistakes are looked for in any function: that it changes an argument, that the
    result has another type, and that a gradient is missing.
    """
    names = tuple(results)
    takes = f"a function of ({', '.join(arguments)}) was expected, but this"

    def predicted(case: Case, changes="", other_type=False, no_gradient="", **options):
        def compute(given):
            found = reference(**given, **options)
            found = found if isinstance(found, tuple) else (found,)
            return [np.asarray(value, "float64") for value in found]

        given = {
            key: np.asarray(value, "float64") if np.ndim(value) else value
            for key, value in case.items()
        }

        def slope(key):
            found = differences(lambda v: compute(given | {key: v})[0], given[key])
            return [if_finite(found * (key != no_gradient))]

        seen = Later(dict(zip(names, compute(given), strict=True)))
        for key in gradients:
            seen.put_off([f"gradient of {key}"], functools.partial(slope, key))
        seen |= {f"{key} after the call": given[key] for key in kept(case, in_place)}
        seen[arrays.TYPE] = "float" if is_float else "float32"
        if other_type:
            seen[arrays.TYPE] = Otherwise(seen[arrays.TYPE])
        if changes:
            key = f"{changes} after the call"
            return Unknown({names[0]: seen[names[0]], key: Otherwise(seen[key])})
        return seen

    def prepare(work: Any) -> Function:
        if not callable(work):
            raise Refused(
                f"{takes} is of type {type(work).__name__}; pass the function itself, "
                "without calling it."
            )
        try:
            inspect.signature(work).bind(*arguments)
        except TypeError:
            raise Refused(
                f"{takes} one takes {inspect.signature(work)}; give it these "
                "arguments, in this order."
            ) from None
        except ValueError:  # of a builtin nothing is known
            pass
        return Function(work, names, tuple(gradients), in_place, is_float)

    changed = (
        Mistake(
            f"it changes its argument {key}",
            "Whoever calls it may still need the old values; make a new array.",
            where,
            ({"changes": key},),
        )
        for key in kept(cases[0], in_place)
    )
    of_type = Mistake(
        "the result has another type",
        "A Python float was expected, which prints and adds up like any number."
        if is_float
        else "What follows expects a float32 array of MXNet, as the inputs are.",
        where,
        ({"other_type": True},),
    )
    without = (
        Mistake(
            f"no gradient reaches {key}",
            "Nothing before can learn; a detour through NumPy, or detach(), cuts the "
            "graph.",
            where,
            ({"no_gradient": key},),
        )
        for key in gradients
    )
    return Check(
        name=name,
        reference=predicted,
        observe=observe,
        prepare=prepare,
        cases=lambda work: cases,
        examples=lambda work: examples(),
        inputs=lambda case, name: case,
        tolerance=lambda case, name: (RTOL, LEAST),
        mistakes=(*mistakes, *changed, of_type, *without),
        tested=lambda work: tested,
        hints=hints,
        answer=answer,
        resized=resized and (lambda work, samples: resized(samples)),
    )


def kept(case: Case, in_place: str) -> list[str]:
    """The arrays that a call has to leave as they are."""
    return [key for key, value in case.items() if np.ndim(value) and key != in_place]


def observe(work: Function, case: Case) -> Observation:
    """What a function does: results, gradients, its arguments afterward, a type."""
    left = kept(case, work.in_place)
    names = [
        *work.results,
        *(f"gradient of {key}" for key in work.gradients),
        *(f"{key} after the call" for key in left),
        arrays.TYPE,
    ]
    try:
        given = arguments_of(case)
        value = work.call(*given.values())
        if work.in_place:
            value = given[work.in_place]
        seen = dict.fromkeys(names, NOTHING)
        values = value if isinstance(value, (tuple, list)) else (value,)
        for name, result in zip(work.results, values, strict=False):
            seen[name] = result_of(result)
        seen |= {f"{key} after the call": arrays.numbers(given[key]) for key in left}
        seen[arrays.TYPE] = (kind if work.is_float else arrays.kind)(values[0])
        return seen | gradients(work, case)
    except NotImplementedError:
        raise
    except Exception as error:  # a reader's code may raise anything
        return dict.fromkeys(names, Failure(arrays.reason(error)))


def arguments_of(case):
    ctx = mx.current_context()
    return {k: arrays.array(v, ctx) if np.ndim(v) else v for k, v in case.items()}


def result_of(value):
    return NOTHING if value is None or value is ... else arrays.numbers(value)


def kind(value):
    """The type of a result that should be a Python float; NumPy's will do."""
    return "float" if isinstance(value, (float, np.floating)) else type(value).__name__


def gradients(work, case):
    if not work.gradients:
        return {}
    given = arguments_of(case)
    for key in work.gradients:
        given[key].attach_grad()
    with autograd.record():
        value = work.call(*given.values())
        value = value[0] if isinstance(value, (tuple, list)) else value
        total = value.sum() if isinstance(value, nd.NDArray) else None
    if total is not None:
        arrays.backward(total, nd.ones_like(total))
    return {f"gradient of {key}": arrays.gradient(given[key]) for key in work.gradients}


def differences(function, values, step=1e-5):
    """The gradient of the sum of a function, by central differences."""
    slope = np.zeros(values.shape)
    for place in np.ndindex(values.shape):
        ends = []
        for sign in 1, -1:
            moved = values.copy()
            moved[place] += sign * step
            ends.append(function(moved).sum())
        slope[place] = (ends[0] - ends[1]) / (2 * step)
    return slope
