"""Compare a reader's work with a specification, and find which mistake explains it.

A `Check` is a specification: a reference in NumPy, with options; inputs; and mistakes,
each of which is the reference with other options. Work that is not right is compared
with each of these wrong references: the one that is wrong in the same way, for every
input, names the mistake. No rule looks for any one mistake.
"""

import contextlib
import dataclasses
import itertools
import random
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from utils.check import attempt
from utils.check.bounded import Calls, Stopped, bounded
from utils.check.verdict import (
    NOT_ATTEMPTED,
    RIGHT,
    WIDTH,
    WRONG,
    Example,
    Text,
    Verdict,
    number,
)

GENERATED = 5  # inputs that Hypothesis makes up of one shape, at most, in a search
SIZES = (
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    16,
    20,
    32,
    50,
    64,
    100,
    128,
    256,
)  # of a batch: one sample is a case apart
ROUGH = 0.02  # as good as float16 is after a few operations
ONE_SIZE = "works for one batch size only"
ERROR, NO_RESULT = "raises an error", "returns nothing"


class Failure(NamedTuple):
    """In place of a value: the work raised an error."""

    text: str


class Otherwise(NamedTuple):
    """In place of a value that a wrong reference predicts: any but this one."""

    value: object


class Roughly(NamedTuple):
    """In place of a value that a wrong reference predicts: this one to two digits."""

    value: object


class _Anything:
    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING = _Anything()  # a wrong reference does not say
FAILS = Failure("")  # it predicts an error
NOTHING = Failure("None came back")

Observation = Mapping[str, Any]  # what is looked at: arrays, words, a Failure


class Refused(Exception):
    """The work can't be called as the check calls it; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong reference.

    name: as in "Wrong: {name}." why: one sentence on why it matters. where: chapter
    and heading of the section that explains it. changes: options of the reference;
    several, where the mistake can be made in several ways.
    """

    name: str
    why: str
    where: tuple[str, str]
    changes: Sequence[Mapping[str, Any]]


class Invariant(NamedTuple):
    """What holds whatever the input; it tells what is wrong where no mistake fits.

    says: a sentence. holds: whether it does, of a case and of what was observed there.
    """

    says: str
    holds: Callable[[Any, Observation], bool]


@dataclasses.dataclass(frozen=True, eq=False)
class Check:
    """A specification of work that readers write. Call it with the work.

    name: of the function that checks, such as "batch_norm".
    reference: from a case, by the book and in float64, to what is looked at, by name;
        with keyword options, which mistakes set.
    observe: the same of the work, in the order in which a reader should look at it. It
        raises nothing, but has a Failure in place of a value.
    prepare: from the work to what `observe`, `cases`, and `examples` need of it. It
        raises Refused, or NotImplementedError from a body that says so.
    cases: to the inputs that all work is tried on, small ones that tell the mistakes
        apart. examples: to Hypothesis strategies of further ones, the smallest first.
    inputs: of a case, those to show beside what has this name.
    tolerance: of a case, and the name of a number, how far it may be off relative to
        the largest there, and what counts as large at least.
    mistakes: those that have a name; of two that explain the same, the first counts.
    tested: of what `prepare` returned, the end of a sentence that begins with "Right:".
    hints: three steps of help. answer: the solution's source text, or what returns it.
    invariants: what holds for any input. resized: a case with that many samples, where
        these can differ. by_design: changes of the reference that are no mistake here,
        as where a device computes otherwise.
    """

    name: str
    reference: Callable[..., Observation]
    observe: Callable[[Any, Any], Observation]
    prepare: Callable[[Any], Any]
    cases: Callable[[Any], Sequence[Any]]
    examples: Callable[[Any], Sequence[Any]]
    inputs: Callable[[Any, str], Mapping[str, Any]]
    tolerance: Callable[[Any, str], tuple[float, float]]
    mistakes: Sequence[Mistake]
    tested: Callable[[Any], str]
    hints: tuple[str, str, str]
    answer: str | Callable[[], str]
    invariants: Sequence[Invariant] = ()
    resized: Callable[[Any, int], Any] | None = None
    by_design: Callable[[Any], Sequence[Mapping[str, Any]]] = lambda work: ()
    _hints_given: list = dataclasses.field(default_factory=list, init=False)

    def __call__(self, work: Any) -> Verdict:
        """Say whether `work` is right; if it is not, name the mistake and show it."""
        if attempt.is_blank(work):
            return not_attempted(self)
        at = []  # the cases that the work was called for

        def run(calls: Calls) -> Verdict:
            return Diagnosis(self, work, calls, at).verdict()

        try:
            return bounded(run)
        except Stopped as stopped:
            return Verdict(
                self,
                WRONG,
                [f"Wrong: it {stopped}.", "A few milliseconds were expected."],
                [str(stopped)],
                after=[
                    f"{name} = {number(value)}"
                    for name, value in self.inputs(at[-1], "").items()
                ]
                if at
                else (),
            )

    def hint(self) -> Text:
        """The next of three steps of help; after the third, that one again."""
        number = min(len(self._hints_given), 2)
        self._hints_given.append(number)
        return Text(
            textwrap.fill(f"Hint {number + 1} of 3: {self.hints[number]}", WIDTH)
        )

    def solution(self) -> Text:
        """Source text that this check calls right."""
        return Text(self.answer if isinstance(self.answer, str) else self.answer())


def not_attempted(check: Check) -> Verdict:
    return Verdict(
        check,
        NOT_ATTEMPTED,
        [
            "Not attempted yet: put your code in place of the dots.",
            f"check.{check.name}.hint() gives a step of help.",
        ],
    )


class Diagnosis:
    """One run of a check on some work, whose cases go to `at`."""

    def __init__(self, check: Check, work: Any, calls: Calls, at: list) -> None:
        self.check, self.work, self.calls, self.at = check, work, calls, at
        self.known = {}  # what references predict, by case and changes
        self.by_design = {}  # changes of the reference that are right here

    def verdict(self) -> Verdict:
        check = self.check
        try:
            self.prepared = self.calls(lambda: check.prepare(self.work))
        except Refused as refused:
            return Verdict(check, WRONG, [f"Wrong: {refused}"], ["can't be called"])
        except NotImplementedError:
            return not_attempted(check)
        self.cases = list(check.cases(self.prepared))
        self.found = [self.observe(case) for case in self.cases]
        if attempt.has_dots(self.work) and all(map(_failed, self.found)):
            return not_attempted(check)
        if not self.is_right():
            return self.named()
        if self.search(self.differs) is not None:
            return self.unnamed()
        return Verdict(check, RIGHT, [f"Right: {check.tested(self.prepared)}"])

    def observe(self, case: Any) -> Observation:
        self.at.append(case)
        return self.calls(lambda: self.check.observe(self.prepared, case))

    def is_right(self) -> bool:
        """Whether all is as in the book, or as it is here by design."""
        for changes in ({}, *self.check.by_design(self.prepared)):
            self.by_design = changes
            if self.explained({}) == len(self.found[0]):
                return True
        self.by_design = {}
        return False

    # --- Which mistake explains it ---

    def named(self) -> Verdict:
        """Name the mistake that explains all that was seen, or else the two.

        Where there are none, one that explains more than the book does, or else two.
        """
        singles = [
            (dict(changes), (mistake,))
            for mistake in self.check.mistakes
            for changes in mistake.changes
        ]
        pairs = (
            (a | b, first + second)
            for (a, first), (b, second) in itertools.combinations(singles, 2)
            if not a.keys() & b.keys() and first != second
        )
        names = list(self.found[0])
        right = self.explained({})
        most, best = self.best(singles, right)
        if most < len(names):
            together = self.best(pairs, right)
            if together[0] == len(names) or not best:
                most, best = together
        return self.wrong(*best, most) if best else self.unnamed()

    def best(self, explanations: Iterable, most: int) -> tuple[int, tuple | None]:
        """The first that explains all, or else the most, and how much that is."""
        best = None
        for explanation in explanations:
            explained = self.explained(explanation[0], most + 1)
            if explained > most and self.says(explanation[0], explained):
                most, best = explained, explanation
            if most == len(self.found[0]):
                break
        return most, best

    def explained(self, changes: Mapping, at_least: int = 0) -> int:
        """Up to which of the things looked at the reference does as the work, always.

        Zero where it is less than `at_least`.
        """
        count = len(self.found[0])
        for case, found in zip(self.cases, self.found, strict=True):
            predicted = self.predict(case, changes)
            same = (self.agrees(case, n, v, predicted[n]) for n, v in found.items())
            count = min(count, sum(itertools.takewhile(bool, same)))
            if count < at_least:
                return 0
        return count

    def says(self, changes: Mapping, explained: int) -> str | None:
        """The first of what is explained that the changes predict to be otherwise."""
        for name in list(self.found[0])[:explained]:
            if any(self.unlike(case, changes, name) for case in self.cases):
                return name
        return None

    def unlike(self, case: Any, changes: Mapping, name: str) -> bool:
        right, wrong = (self.predict(case, given)[name] for given in ({}, changes))
        return wrong is not ANYTHING and not self.agrees(case, name, right, wrong)

    def predict(self, case: Any, changes: Mapping) -> Observation:
        changes = {**self.by_design, **changes}
        key = id(case), *sorted(changes.items(), key=str)
        if key not in self.known:
            # With the case, so that its id stays its own.
            self.known[key] = case, predict(self.check, case, changes)
        return self.known[key][1]

    def agrees(self, case: Any, name: str, found: Any, predicted: Any) -> bool:
        return agrees(found, predicted, *self.check.tolerance(case, name))

    def differs(self, case: Any, found: Observation | None = None) -> str | None:
        """The first name under which the work did otherwise than the book."""
        found, right = found or self.observe(case), self.predict(case, {})
        wrong = (n for n in found if not self.agrees(case, n, found[n], right[n]))
        return next(wrong, None)

    # --- The verdict ---

    def wrong(self, changes, mistakes, explained) -> Verdict:
        names = [mistake.name for mistake in mistakes]
        sections = dict.fromkeys(mistake.where for mistake in mistakes)
        return Verdict(
            self.check,
            WRONG,
            [
                sentence
                for start, mistake in zip(("Wrong", "Also"), mistakes, strict=False)
                for sentence in (f"{start}: {mistake.name}.", mistake.why)
            ],
            names,
            self.example(changes, self.says(changes, explained)),
            [
                f'Explained in "{heading}" of {chapter}.'
                for chapter, heading in sections
            ],
        )

    def unnamed(self) -> Verdict:
        """What can be said of work that no known mistake explains."""
        case = self.unexplained()
        found = self.observe(case)
        name = self.differs(case, found)
        if size := self.only_size():
            names = [ONE_SIZE]
            say = [
                f"Wrong: it {ONE_SIZE}, {size}.",
                "The last batch of an epoch is smaller; a prediction may be for one.",
            ]
        elif found[name] is NOTHING:
            names, say = [NO_RESULT], [f"Wrong: it {NO_RESULT}; end it with return."]
        elif isinstance(found[name], Failure):
            names, say = [ERROR], [f"Wrong: it {ERROR} for the input below."]
        else:
            names, say = [], ["Wrong, in a way that this check has no name for."]
            say += [i.says for i in self.check.invariants if not i.holds(case, found)]
        return Verdict(self.check, WRONG, say, names, self.shown(case, name, found))

    def unexplained(self) -> Any:
        """A small input for which the first is wrong of what is wrong at all."""
        names = list(self.found[0])
        seen = zip(self.cases, self.found, strict=True)
        wrong = {self.differs(case, found) for case, found in seen} - {None}
        if wrong:
            first = min(wrong, key=names.index)
            if case := self.search(lambda case: self.differs(case) == first):
                return case
        case = self.search(self.differs)
        return case or next(filter(self.differs, self.cases))

    def only_size(self) -> int | None:
        """The one number of samples for which the work is right."""
        if self.check.resized is None:
            return None
        sizes = (self.check.resized(self.prepared, size) for size in SIZES)
        right = [
            n for n, case in zip(SIZES, sizes, strict=True) if not self.differs(case)
        ]
        return right[0] if len(right) == 1 else None

    # --- A small input that shows it ---

    def example(self, changes: Mapping, name: str) -> Example:
        """Of what the mistake changes, by `name`: a small input, expected and found."""

        def shows(case):  # with the wrong reference in place of the work, which is slow
            wrong = self.predict(case, changes)[name]
            return is_array(wrong) and self.unlike(case, changes, name)

        def really(case):
            right = self.predict(case, {})[name]
            return not self.agrees(case, name, self.observe(case)[name], right)

        known = [case for case in self.cases if really(case)]
        said = any(is_array(self.predict(case, changes)[name]) for case in known)
        case = self.search(shows if said else really)
        if case is None or not really(case):
            case = min(known, key=lambda case: np.size(self.predict(case, {})[name]))
        return self.shown(case, name, self.observe(case))

    def shown(self, case: Any, name: str, found: Observation) -> Example:
        inputs = self.check.inputs(case, name)
        return Example(name, inputs, self.predict(case, {})[name], found[name])

    def search(self, condition: Callable[[Any], Any]) -> Any:
        """The smallest made-up input for which `condition` holds, or None.

        It is the same each time: Hypothesis gets its random numbers from here.
        """
        import hypothesis  # here, since that takes a while

        settings = hypothesis.settings(
            max_examples=GENERATED,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        for strategy in self.check.examples(self.prepared):
            with contextlib.suppress(hypothesis.errors.NoSuchExample):
                return hypothesis.find(
                    strategy,
                    lambda case: bool(condition(case)),
                    settings=settings,
                    random=random.Random(0),
                )
        return None


def predict(check: Check, case: Any, changes: Mapping[str, Any]) -> Observation:
    """What the reference with these changes does; it may not fit, as arrays may not."""
    try:
        with np.errstate(all="ignore"):
            return check.reference(case, **changes)
    except ValueError:
        return _Failing()


class Unknown(dict):
    """What a wrong reference predicts that says nothing of what is not in it."""

    def __missing__(self, _name: str) -> object:
        return ANYTHING


class _Failing(dict):
    def __missing__(self, _name):
        return FAILS


def agrees(found: Any, predicted: Any, tolerance: float, least: float) -> bool:
    """Whether what was found is what was predicted, with what can stand for a value.

    Numbers may be off by `tolerance` of the largest one there, or of `least`.
    """
    if predicted is ANYTHING:
        return True
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


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _failed(found):
    return all(isinstance(value, Failure) for value in found.values())
