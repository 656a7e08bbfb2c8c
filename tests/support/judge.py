"""Have a layer of the zoo checked, and note the verdict for the confusion table."""

from utils import check

from tests.support import confusion, zoo_check


def judge(name: str, record_property) -> None:
    """Fail unless the check says of this layer what it deserves."""
    names = zoo_check.ZOO[name].names
    with zoo_check.layer_of(name) as layer:
        verdict = check.batch_norm(layer)
    deserved = zoo_check.fits(verdict, names)
    expected = names[0] if names else "right"
    found = " + ".join(verdict.mistakes) or verdict.outcome
    confusion.note(record_property, expected, expected if deserved else found)
    assert deserved, f"expected: {names or 'right'}\n{verdict}"
