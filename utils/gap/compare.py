"""What the rules of `utils.explain_gap` compare, and by which limits."""

import math

import numpy as np
from utils.gap.facts import Facts, LayerFacts, Scores
from utils.gap.layers import by_chance, distance, pattern

# A difference counts if accuracy is lower by ACCURACY, or log-loss higher by LOSS, and
# if it is ERRORS standard errors. What is right half of the time is not made bad by two
# mistakes in a hundred: with the same samples, it takes one mistake more in ten, TENTH.
ACCURACY, LOSS, ERRORS, TENTH = 0.02, 0.1, 3, 0.1
SHARE, LEFT = 0.05, 0.1  # of the start in stored statistics; how well that fits them
NOISE = 4  # by how many times the noise statistics may be off, to be called noisy
BLEND = 0.2  # how far apart inputs of a shared layer are
COMPANY = 0.3  # how alike labels within a batch are: 0 by chance, 1 all the same
SMALL = 0.25  # how much the means of batches that are too small vary
# Of test data: a shift that may explain a gap, one that does if the gap is large, and
# how many times what is due to chance. By 0.4 differ contrasts of 1 and 1.5.
SHIFT, FAR, CHANCE = 0.15, 0.4, 3
# A large gap, in accuracy or log-loss. Any network knows its training data better:
# sound ones, trained on 4096 pictures of clothes, by up to 0.08 and 0.17.
KNOWN = 0.1, 0.3

# --- Predictions ---


def is_worse(one: Scores, other: Scores) -> bool:
    """Whether `one` predicts worse than `other` on the same samples.

    Accuracy decides, unless log-loss contradicts it, as it does near chance; where
    accuracy is the same, log-loss does.
    """
    misses = other.hits.astype(float) - one.hits
    losses = one.losses - other.losses
    mistakes = 1 - min(one.hits.mean(), other.hits.mean())
    if is_large(abs(misses.mean()), max(ACCURACY, TENTH * mistakes), error(misses)):
        return misses.mean() > 0 and losses.mean() > -ERRORS * error(losses)
    return is_large(losses.mean(), LOSS, error(losses))


def is_worse_on_others(
    one: Scores, other: Scores, limits: tuple[float, float] = (ACCURACY, LOSS)
) -> bool:
    """Whether `one` predicts worse on its samples than `other` does on its own."""
    pairs = (
        (other.hits.astype(float), one.hits.astype(float), limits[0]),
        (one.losses, other.losses, limits[1]),
    )
    return any(
        is_large(a.mean() - b.mean(), limit, math.hypot(error(a), error(b)))
        for a, b, limit in pairs
    )


def is_large(difference: float, limit: float, error: float) -> bool:
    return difference >= limit and difference >= ERRORS * error


def error(values: np.ndarray) -> float:
    """The standard error of the values' mean."""
    return float(values.std() / math.sqrt(len(values)))


def stored_is_worse(facts: Facts) -> tuple[str, dict[str, Scores]] | None:
    """Where stored statistics predict worse than re-estimated ones: (data, scores).

    On the training data; or on test data, if these have the same statistics. Nowhere if
    accuracy gains even more by each batch's own statistics, which is another matter.
    """
    batch, stored, exact = (
        facts.train[name].hits.mean() for name in ("batch", "moving", "re-estimated")
    )
    if exact_is_worse(facts) and batch - exact > exact - stored:
        return None
    places = [("training", facts.train)]
    if not differs(facts):
        places.append(("test", facts.test))
    for name, scores in places:
        if is_informed(scores["re-estimated"], facts):
            if is_worse(scores["moving"], scores["re-estimated"]):
                return name, scores
    return None


def exact_is_worse(facts: Facts) -> bool:
    """Whether re-estimated statistics predict worse than each batch's own."""
    exact, batch = facts.train["re-estimated"], facts.train["batch"]
    return is_informed(batch, facts) and is_worse(exact, batch)


def test_loses_more(facts: Facts) -> bool:
    """Whether test data lose more, with re-estimated ones, than stored ones cost."""
    train, test = facts.train["re-estimated"], facts.test["re-estimated"]
    name, scores = stored_is_worse(facts)
    gained = scores["re-estimated"].hits.mean() - scores["moving"].hits.mean()
    lost = train.hits.mean() - test.hits.mean()
    return lost > gained and is_worse_on_others(test, train, KNOWN)


def batch_is_worse(facts: Facts) -> bool:
    """Whether each batch's own statistics predict worse than the stored ones."""
    batch, stored = facts.train["batch"], facts.train["moving"]
    return is_informed(stored, facts) and is_worse(batch, stored)


def is_informed(scores: Scores, facts: Facts) -> bool:
    """Whether predictions are better than always the commonest class."""
    hits = scores.hits.astype(float)
    return is_large(hits.mean() - commonest(facts), ACCURACY, error(hits))


# --- Labels ---


def company(labels: list[np.ndarray]) -> float:
    """How alike labels within batches are: 0 as by chance, 1 one class per batch."""

    def pairs(y):
        """The share of pairs of samples that have the same label."""
        counts = np.bincount(y)
        return (counts * (counts - 1)).sum() / max(len(y) * (len(y) - 1), 1)

    chance = pairs(np.concatenate(labels))
    within = np.mean([pairs(y) for y in labels])
    return float((within - chance) / max(1 - chance, 1e-9))


def commonest(facts: Facts) -> float:
    """The share of the commonest class in the training data, and at least 1/classes."""
    labels = np.concatenate(facts.labels)
    return float(max(np.bincount(labels).max() / len(labels), 1 / facts.classes))


# --- Test data ---


def shifts(facts: Facts) -> list[tuple[float, float, LayerFacts]]:
    """How far test data are from training data: (distance, that by chance, where).

    At the input and at the first layer, the more striking first; what the others get
    depends on what was learned.
    """
    places = [
        (far(f.of_test, f.exact, f), by_chance(f, far), f)
        for f, far in ((facts.inputs, pattern), (facts.layers[0], distance))
    ]
    return sorted(places, key=lambda p: -p[0] / max(SHIFT, CHANCE * p[1]))


def differs(facts: Facts) -> bool:
    """Whether the test data's statistics are far from the training data's."""
    return any(d >= max(SHIFT, CHANCE * chance) for d, chance, _ in shifts(facts))


def shift_explains(facts: Facts) -> bool:
    """Whether half of what test data lose, or more, is due to their statistics.

    With these, either test data regain it, or training data lose as much. Another
    pattern is not in a layer's statistics, nor is all else that differs where they are
    far off; these are enough if the gap is large.
    """
    train, test = facts.train["moving"], facts.test["moving"]
    if is_worse_on_others(test, train, KNOWN):
        for d, chance, f in shifts(facts):
            least = SHIFT if f is facts.inputs else FAR
            if d >= max(least, CHANCE * chance):
                return True
    shifted = facts.train["of test data"], facts.test["of test data"]
    for what, sign in ("hits", 1), ("losses", -1):
        seen, unseen, harmed, helped = (
            sign * getattr(scores, what).mean() for scores in (train, test, *shifted)
        )
        if max(helped - unseen, seen - harmed) >= (seen - unseen) / 2 > 0:
            return True
    return False


def by_shares(facts: Facts) -> float | None:
    """Training accuracy with the test data's shares of classes, if half is lost by it.

    That is half of what test data lose; a class without training data is never right.
    """
    train, test = facts.train["moving"].hits, facts.test["moving"].hits
    labels = np.concatenate(facts.labels)
    counts = np.bincount(labels, minlength=facts.classes)
    right = np.bincount(labels, train, facts.classes) / np.maximum(counts, 1)
    weighted = float(right[facts.test_labels].mean())
    lost = train.mean() - test.mean()
    return weighted if train.mean() - weighted >= max(ACCURACY, lost / 2) else None


def renamed(facts: Facts) -> float | None:
    """Test accuracy if classes had other names, where that gains half of what is lost.

    The names, one for each class, are found with half of the samples, and tried with
    the others.
    """
    from scipy.optimize import linear_sum_assignment  # here, since that takes a while

    test, labels = facts.test["moving"], facts.test_labels
    counts = np.zeros((facts.classes, facts.classes))
    np.add.at(counts, (test.guesses[::2], labels[::2]), 1)
    names = linear_sum_assignment(counts, maximize=True)[1]
    hits = (names[test.guesses] == labels)[1::2]
    gains = hits.astype(float) - test.hits[1::2]
    lost = facts.train["moving"].hits.mean() - test.hits.mean()
    if len(hits) and is_large(gains.mean(), max(ACCURACY, lost / 2), error(gains)):
        return float(hits.mean())
    return None
