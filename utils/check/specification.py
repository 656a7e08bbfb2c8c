"""What a check is: a specification, which a reader's work is compared with."""

import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.check import attempt
from utils.check.bounded import Calls, Stopped, bounded
from utils.check.diagnose import Diagnosis, Invariant, Mistake
from utils.check.values import Observation
from utils.check.verdict import WIDTH, WRONG, Text, Verdict, not_attempted, number


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
    invariants: what holds for any input.
    resized: a case with that many samples, where these can differ.
    kind: of a case; where no mistake explains the work for all cases, one is looked
        for that does for all of a kind.
    by_design: changes of the reference that are no mistake here, as where a device
        computes in another way.
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
    kind: Callable[[Any], Any] = lambda case: None
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
