"""What is looked at, and what a wrong reference can predict in place of a value."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

ROUGH = 0.02  # as good as float16 is after a few operations
Observation = Mapping[str, Any]  # by name: arrays, words, or a Failure


class Failure(NamedTuple):
    """In place of a value: the work raised an error."""

    text: str


class Otherwise(NamedTuple):
    """In place of a value that a wrong reference predicts: any but this one."""

    value: object


class Roughly(NamedTuple):
    """In place of a value that a wrong reference predicts: this one to two digits."""

    value: object


class Perhaps(NamedTuple):
    """In place of a value that a wrong reference predicts: this one, or an error."""

    value: object


class _Anything:
    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING = _Anything()  # a wrong reference does not say
FAILS = Failure("")  # it predicts an error
NOTHING = Failure("None came back")


class Unknown(dict):
    """What a wrong reference predicts that says nothing of what is not in it."""

    def __missing__(self, _name: str) -> object:
        return ANYTHING


class Later(dict):
    """What a reference predicts: some of it is computed when it is first asked for.

    Of thousands of wrong references, nearly all are off in the first thing looked at.
    """

    def __init__(self, now: Mapping[str, Any]) -> None:
        super().__init__(now)
        self._later = {}

    def put_off(self, names: Sequence[str], compute: Callable[[], Sequence]) -> None:
        """Have these names get the values that `compute` returns, in this order."""
        self._later |= dict.fromkeys(names, (names, compute))

    def __missing__(self, name: str) -> Any:
        names, compute = self._later[name]
        try:
            with np.errstate(all="ignore"):
                values = compute()
        except ValueError:  # the arrays do not fit
            values = [ANYTHING] * len(names)
        for key, value in zip(names, values, strict=True):
            self.setdefault(key, value)
        return self[name]

    def computed(self) -> "Later":
        """Itself, with nothing put off any more."""
        for name in self._later:
            self[name]
        return self


class Failing(dict):
    """What a wrong reference predicts that expects nothing but an error."""

    def __missing__(self, _name: str) -> object:
        return FAILS


def agrees(found: Any, predicted: Any, tolerance: float, least: float) -> bool:
    """Whether what was found is what was predicted, with what can stand for a value.

    Numbers may be off by `tolerance` of the largest one there, or of `least`.
    """
    if predicted is ANYTHING:
        return True
    if isinstance(predicted, Perhaps):
        return isinstance(found, Failure) or agrees(
            found, predicted.value, tolerance, least
        )
    if isinstance(predicted, Otherwise):
        return not isinstance(found, Failure) and not agrees(
            found, predicted.value, tolerance, least
        )
    if isinstance(found, Otherwise):
        return agrees(predicted, found, tolerance, least)
    if isinstance(predicted, Roughly):
        return agrees(found, predicted.value, max(tolerance, ROUGH), least)
    if isinstance(found, Failure) or isinstance(predicted, Failure):
        return isinstance(found, Failure) and isinstance(predicted, Failure)
    if isinstance(found, str) or isinstance(predicted, str):
        return found == predicted
    if np.size(found) == np.size(predicted) == 1:
        # Classic MXNet has arrays of shape (1,) for numbers.
        found, predicted = np.ravel(found), np.ravel(predicted)
    if np.shape(found) != np.shape(predicted):
        return False
    finite = np.isfinite(predicted)
    if not np.array_equal(finite, np.isfinite(found)):
        return False
    a, b = found[finite], predicted[finite]
    scale = np.abs(b).max(initial=least)
    return bool((np.abs(a - b) <= tolerance * scale).all())


def if_finite(values: Any) -> Any:
    """ANYTHING in place of a gradient that is not finite.

    There it depends on how the formula is written.
    """
    return values if values is ANYTHING or np.isfinite(values).all() else ANYTHING


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
