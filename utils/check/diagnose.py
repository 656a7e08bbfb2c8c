"""Compare a reader's work with a specification, and find which mistake explains it.

Work that is not right is compared with each wrong reference: the one that is wrong in
the same way, for every input, names the mistake. No rule looks for any one mistake.
"""

import contextlib
import dataclasses
import itertools
import os
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from utils.check import attempt
from utils.check.bounded import Calls
from utils.check.values import (
    ANYTHING,
    NOTHING,
    Failure,
    Observation,
    Perhaps,
    Unknown,
    agrees,
    is_array,
)
from utils.check.verdict import RIGHT, WRONG, Example, Verdict, not_attempted

GENERATED = 3  # inputs that Hypothesis makes up of one shape, at most, in a search
# Of batches; one sample is a case apart.
SIZES = 2, 3, 4, 5, 6, 8, 10, 16, 20, 32, 50, 64, 100, 128, 256
ONE_SIZE = "works for one batch size only"
ERROR, NO_RESULT = "raises an error", "returns nothing"
SHAPE = "returns another shape"


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


Seen = Sequence[tuple[Any, Observation]]  # cases, and what the work did for them


class Diagnosis:
    """One run of a check on some work, whose cases go to `at`."""

    def __init__(self, check, work: Any, calls: Calls, at: list) -> None:
        self.check, self.work, self.calls, self.at = check, work, calls, at
        self.known = {}  # what references predict, by case and changes
        self.by_design = {}  # changes of the reference that are right here

    def verdict(self) -> Verdict:
        check = self.check
        try:
            self.prepared = self.calls(lambda: check.prepare(self.work))
            self.cases = list(check.cases(self.prepared))
            self.found = [self.observe(case) for case in self.cases]
            self.seen = list(zip(self.cases, self.found, strict=True))
        except Refused as refused:
            return Verdict(check, WRONG, [f"Wrong: {refused}"], ["can't be called"])
        except NotImplementedError:
            return not_attempted(check)
        if all(map(_failed, self.found)):
            has_dots = attempt.has_dots(self.work)
            return not_attempted(check) if has_dots else self.unnamed()
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
            if self.explained({}, self.seen) == len(self.found[0]):
                return True
        self.by_design = {}
        return False

    # --- Which mistake explains it ---

    def named(self) -> Verdict:
        """Name the mistakes that explain the work, for one kind of input at least."""
        explained, best = self.explanation()
        if best:
            return self.wrong(*best, self.seen, explained)
        kinds = {self.check.kind(case): [] for case in self.cases}
        for case, found in self.seen:
            kinds[self.check.kind(case)].append((case, found))
        if len(kinds) > 1 and not self.only_size():
            for seen in kinds.values():
                right = self.explained({}, seen)
                if right == len(self.found[0]):
                    continue
                explained, best = self.best(self.singles(), right, seen)
                if best:
                    return self.wrong(*best, seen, explained)
        return self.unnamed()

    def singles(self) -> list[tuple[dict, tuple[Mistake, ...]]]:
        """What the changes of the reference are, and whose they are."""
        return [
            (dict(changes), (mistake,))
            for mistake in self.check.mistakes
            for changes in mistake.changes
        ]

    def pairs(self, off: str) -> Iterator[tuple[dict, tuple[Mistake, ...]]]:
        """The same of two mistakes, one of which at least changes what is `off`.

        One of them in its first form: all forms of both would make thousands of pairs.
        """
        candidates = [
            (*single, any(self.unlike(case, single[0], off) for case in self.cases))
            for single in self.singles()
        ]
        first = [dict(mistake.changes[0]) for mistake in self.check.mistakes]
        for one, other in itertools.combinations(candidates, 2):
            (a, whose, changes_a), (b, others, changes_b) = one, other
            usual = a in first or b in first
            may_explain = usual and (changes_a or changes_b)
            if may_explain and not a.keys() & b.keys() and whose != others:
                yield a | b, whose + others

    def explanation(self) -> tuple[int, tuple | None]:
        """The mistake, or else the two, that explain all that was seen.

        Where there are none, one that explains more than the book does, or else two.
        """
        names = list(self.found[0])
        right = self.explained({}, self.seen)  # not all, or it would have no mistake
        most, best = self.best(self.singles(), right, self.seen)
        if most < len(names):
            together = self.best(self.pairs(names[right]), right, self.seen)
            if together[0] == len(names) or not best:
                return together
        return most, best

    def best(
        self, explanations: Iterable, most: int, seen: Seen
    ) -> tuple[int, tuple | None]:
        """The first that explains all, or else the most, and how much that is.

        most: what the book explains; what comes next is off, and few explain it.
        """
        names, best = list(seen[0][1]), None
        off = names[most]

        def explains(changes, case, found):
            return self.agrees(case, off, found[off], self.predict(case, changes)[off])

        order = sorted(seen, key=lambda one: explains({}, *one))  # the telling ones
        for explanation in explanations:
            changes = explanation[0]
            if not all(explains(changes, *one) for one in order):
                continue
            explained = self.explained(changes, seen, most + 1)
            if explained > most and self.says(changes, seen, explained):
                most, best = explained, explanation
            if most == len(names):
                break
        return most, best

    def explained(self, changes: Mapping, seen: Seen, at_least: int = 0) -> int:
        """Up to which of the things looked at the reference does as the work, always.

        Zero where it is less than `at_least`.
        """
        count = len(seen[0][1])
        for case, found in seen:
            predicted = self.predict(case, changes)
            same = (self.agrees(case, n, v, predicted[n]) for n, v in found.items())
            count = min(count, sum(itertools.takewhile(bool, same)))
            if count < at_least:
                return 0
        return count

    def says(self, changes: Mapping, seen: Seen, explained: int) -> str | None:
        """The first of what is explained that the changes predict to be otherwise."""
        for name in list(seen[0][1])[:explained]:
            for case, found in seen:
                # That an error may come says nothing where one came.
                perhaps = isinstance(self.predict(case, changes)[name], Perhaps)
                if perhaps and isinstance(found[name], Failure):
                    continue
                if self.unlike(case, changes, name):
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

    def wrong(self, changes, mistakes, seen, explained) -> Verdict:
        names = [mistake.name for mistake in mistakes]
        sections = dict.fromkeys(
            f'"{heading}" of {chapter}'
            for chapter, heading in (m.where for m in mistakes)
        )
        return Verdict(
            self.check,
            WRONG,
            [
                sentence
                for start, mistake in zip(("Wrong", "Also"), mistakes, strict=False)
                for sentence in (f"{start}: {mistake.name}.", mistake.why)
            ],
            names,
            self.example(changes, self.says(changes, seen, explained)),
            [f"Explained in {' and in '.join(sections)}."],
        )

    def unnamed(self) -> Verdict:
        """What can be said of work that no known mistake explains."""
        case = self.unexplained()
        found = self.observe(case)
        name = self.differs(case, found)
        right = self.predict(case, {})[name]
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
        elif is_array(found[name]) and np.shape(found[name]) != np.shape(right):
            names, say = [SHAPE], [f"Wrong: it {SHAPE} than expected."]
        else:
            names = []
            say = ["Wrong, in a way that has no name here: compare the numbers below."]
            say += [i.says for i in self.check.invariants if not i.holds(case, found)]
        return Verdict(self.check, WRONG, say, names, self.shown(case, name, found))

    def unexplained(self) -> Any:
        """A small input for which the first is wrong of what is wrong at all."""
        names = list(self.found[0])
        wrong = {self.differs(case, found) for case, found in self.seen} - {None}
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

        known = [
            case
            for case, found in self.seen
            if not self.agrees(case, name, found[name], self.predict(case, {})[name])
        ]
        said = any(is_array(self.predict(case, changes)[name]) for case in known)
        case = self.search(shows, shrink=True) if said else self.search(really)
        if case is None or not really(case):
            case = min(known, key=lambda case: np.size(self.predict(case, {})[name]))
        return self.shown(case, name, self.observe(case))

    def shown(self, case: Any, name: str, found: Observation) -> Example:
        inputs = self.check.inputs(case, name)
        return Example(name, inputs, self.predict(case, {})[name], found[name])

    def search(self, condition: Callable[[Any], Any], shrink: bool = False) -> Any:
        """A small made-up input for which `condition` holds, or None.

        It is the same each time: Hypothesis gets its random numbers from here. To
        shrink it takes hundreds of calls, too many where the work is called.
        """
        import hypothesis  # here, since that takes a while

        phases = [hypothesis.Phase.generate]
        settings = hypothesis.settings(
            max_examples=GENERATED,
            database=None,
            deadline=None,
            phases=phases + [hypothesis.Phase.shrink] * shrink,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        for strategy in self.check.examples(self.prepared):
            with contextlib.suppress(hypothesis.errors.NoSuchExample), no_files_here():
                return hypothesis.find(
                    strategy,
                    lambda case: bool(condition(case)),
                    settings=settings,
                    random=random.Random(0),
                )
        return None


@contextlib.contextmanager
def no_files_here() -> Iterator[None]:
    """Have Hypothesis keep its cache elsewhere than in the current folder."""
    name = "HYPOTHESIS_STORAGE_DIRECTORY"
    if name in os.environ:
        yield
        return
    os.environ[name] = os.path.join(tempfile.gettempdir(), "batch-norm-course-cache")
    try:
        yield
    finally:
        del os.environ[name]


def predict(check, case: Any, changes: Mapping[str, Any]) -> Observation:
    """What the reference with these changes does; nothing where arrays do not fit."""
    try:
        with np.errstate(all="ignore"):
            return check.reference(case, **changes)
    except ValueError:
        return Unknown()


def _failed(found):
    return all(isinstance(value, Failure) for value in found.values())
