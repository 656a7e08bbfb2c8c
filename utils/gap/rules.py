"""How `utils.explain_gap` concludes: one rule after the other, the first that fits.

Each rule looks at what was measured, and returns a Finding or None. Rules 1 to 3 are
about the moving statistics, rule 4 about the test data. `utils.gap.compare` has what
they compare, and by which limits, `utils.gap.layers` what they ask about a layer.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from utils.gap import compare
from utils.gap.facts import Facts, LayerFacts, Scores
from utils.gap.layers import (
    blend,
    is_start,
    is_trained,
    off_and_noise,
    start_share,
    variation,
)


class Finding(NamedTuple):
    """The verdict, the sentences with the numbers that lead to it, and what to do."""

    verdict: str
    evidence: str
    advice: str


def find(facts: Facts) -> Finding:
    """What the first rule that fits says."""
    return next(filter(None, (rule(facts) for rule in RULES)))


# --- 1. The stored statistics are not those of the training data ---


def never_updated(facts: Facts) -> Finding | None:
    """Some layers predict with the statistics that they began with."""
    layers = [f for f in facts.layers if is_start(f.stored)]
    if not layers or not compare.stored_is_worse(facts):
        return None
    evidence = (
        f"The moving statistics of {names(layers)} are still exactly {start(layers)}. "
        f"{gain(facts)} "
    )
    if flagged := [f for f in layers if f.layer.use_global_stats]:
        return Finding(
            "never updated: use_global_stats",
            f"{evidence}{has(flagged)} use_global_stats=True, with which training uses "
            "the moving statistics, too, and never updates them.",
            "Train without use_global_stats, or load the statistics with the weights.",
        )
    if constant := [f for f in layers if f.layer.momentum == 1]:
        return Finding(
            "never updated: momentum 1",
            f"{evidence}{has(constant)} momentum 1, the weight of the old value: an "
            "update changes nothing.",
            "Train with momentum=0.9; what PyTorch calls 0.1 is 0.9 in MXNet.",
        )
    trained = [is_trained(f) for f in layers]
    plain = [f for f in layers if not f.layer.is_saved]
    if any(trained) or plain:
        if any(trained):
            evidence += (
                "Gamma or beta were trained, so the statistics were lost after that. "
            )
        if plain:
            evidence += (
                f"{has(plain)} them in plain attributes, which save_parameters omits."
            )
        return Finding(
            "not saved",
            evidence.strip(),
            "Save and load all parameters, with save_parameters and load_parameters, "
            "and without allow_missing or ignore_missing. In a block of your own, make "
            "the statistics Parameters with grad_req='null'.",
        )
    if None in trained:
        return Finding(
            "never updated or not saved",
            f"{evidence}Without trained gamma or beta, there are two possible causes: "
            "no backward pass reached the layer, or its statistics were lost when the "
            "network was saved or loaded.",
            "Look at the statistics right after training. If they are 0 and 1 even "
            "then, let the backward pass reach the layer; else save and load all "
            "parameters.",
        )
    if any(f.layer.gamma is not None or f.layer.beta is not None for f in layers):
        evidence += "Gamma and beta are still exactly 1 and 0, too. "
    else:
        evidence += "Neither gamma and beta nor parameters before have a gradient. "
    return Finding(
        "never updated: no backward pass reached the layer",
        f"{evidence}On a CPU, MXNet updates moving statistics in the backward pass.",
        "Call these layers in predict_mode() while you train the others, or let the "
        "backward pass reach them: inside record(), without detach() and "
        "grad_req='null'.",
    )


def lags(facts: Facts) -> bool:
    """Whether stored statistics are worse, and no other cause costs more accuracy."""
    if not compare.stored_is_worse(facts):
        return False
    return not (compare.test_loses_more(facts) and test_is_worse(facts))


def too_few_updates(facts: Facts) -> Finding | None:
    """The stored statistics are a mixture of the start and the exact ones."""
    if not lags(facts):
        return None
    share, left, variance = start_share(facts.layers)
    if share < compare.SHARE or left > compare.LEFT:
        return None
    momenta = {f.layer.momentum for f in facts.layers} - {None}
    updates = " or ".join(
        f"{math.log(share) / math.log(momentum):.0f} updates with momentum {momentum:g}"
        for momentum in sorted(momenta)
        if 0 < momentum < 1
    )
    return Finding(
        "stale: too few updates for this momentum",
        f"{gain(facts)} The stored statistics are {share:.0%} of the start (0 and "
        f"{variance}) and {1 - share:.0%} of the re-estimated ones, to within "
        f"{left:.2g} deviations" + (f", as after {updates}." if updates else "."),
        "Train for more steps, or with a smaller momentum, such as 0.9. If there were "
        "many more updates than that, the network has moved on since: end training "
        "with a smaller learning rate.",
    )


def noisy_or_outdated(facts: Facts) -> Finding | None:
    """The stored statistics are off, by as much as noise explains or by more."""
    if not lags(facts):
        return None
    off, noise, f = max(
        ((*off_and_noise(f), f) for f in facts.layers),
        key=lambda found: found[0],
    )
    momentum = "an assumed 0.9" if f.layer.momentum is None else f"{f.layer.momentum:g}"
    evidence = (
        f"{gain(facts)} The stored statistics of layer {f.layer.name} are off by "
        f"{off:.2g} deviations; batches of {len(facts.labels[0])} and a momentum of "
        f"{momentum} give noise of {noise:.2g}"
    )
    if off <= compare.NOISE * noise:
        if (alike := compare.company(facts.labels)) >= compare.COMPANY:
            return not_mixed(f"{evidence}, which explains it.", alike)
        return Finding(
            "too noisy: small batches or too small a momentum",
            f"{evidence}, which explains it.",
            "Train with larger batches or a larger momentum, or average the statistics "
            "over many training batches at the end.",
        )
    return Finding(
        "stale: the network has moved on since",
        f"{evidence}, which is not enough to explain it.",
        "Use a smaller momentum, end training with a smaller learning rate, or train "
        "on for some hundred steps, so that the average catches up.",
    )


# --- 2. Exact statistics do not help ---


def company_matters(facts: Facts) -> Finding | None:
    """Predictions are right in the company of the training batch only."""
    if not compare.exact_is_worse(facts):
        return None
    batch, exact = (accuracy(facts.train[n]) for n in ("batch", "re-estimated"))
    evidence = (
        "On the training data, each batch's own statistics give an accuracy of "
        f"{batch}, exact ones {exact}. "
    )
    apart, f = max(((blend(f), f) for f in facts.layers), key=lambda found: found[0])
    if apart >= compare.BLEND:
        return Finding(
            "shared layer",
            f"{evidence}Layer {f.layer.name} is used {len(f.batches[0])} times per "
            f"pass, on inputs whose means are {apart:.2g} deviations apart; its moving "
            "statistics blend them.",
            "Give each use a normalization layer of its own.",
        )
    alike = compare.company(facts.labels)
    if alike >= compare.COMPANY:
        return not_mixed(evidence.strip(), alike)
    vary, f = max(
        ((variation(f), f) for f in facts.layers),
        key=lambda found: found[0],
    )
    size = len(facts.labels[0])
    if vary >= compare.SMALL:
        return Finding(
            "too noisy: small batches",
            f"{evidence}Between batches of {size}, the means of layer {f.layer.name} "
            f"vary by {vary:.2g} deviations: the network relies on what is special to "
            "a batch.",
            "Train with larger batches, or with GroupNorm, which needs no batch.",
        )
    return Finding(
        "unexplained: only a batch's own statistics work",
        f"{evidence}No layer is shared, labels are mixed ({alike:.0%} alike), and the "
        f"means of batches of {size} vary by only {vary:.2g} deviations.",
        "Check that train_iter gives batches as the network was trained with them.",
    )


def not_mixed(evidence: str, alike: float) -> Finding:
    return Finding(
        "batches are not mixed",
        f"{evidence} Labels within a training batch are {alike:.0%} alike, where 0% is "
        "chance and 100% one class per batch: the company tells the class.",
        "Shuffle the training data, and train again.",
    )


# --- 3. Trained with the statistics of the start ---


def prediction_mode(facts: Facts) -> Finding | None:
    """The start's statistics work, and a batch's don't: training used the former."""
    moving, batch = facts.train["moving"], facts.train["batch"]
    if not all(is_start(f.stored) for f in facts.layers):
        return None
    if not compare.batch_is_worse(facts):
        return None
    evidence = (
        f"All moving statistics are still exactly {start(facts.layers)}. With them, "
        f"accuracy on the training data is {accuracy(moving)}, with each batch's own "
        f"{accuracy(batch)}: the network was trained with the former, that is, without "
        "normalization."
    )
    if flagged := [f for f in facts.layers if f.layer.use_global_stats]:
        return Finding(
            "never updated: use_global_stats",
            f"{evidence} {has(flagged)} use_global_stats=True.",
            "Train without use_global_stats.",
        )
    return Finding(
        "never updated: trained in prediction mode",
        evidence,
        "Train inside autograd.record(), without train_mode=False or predict_mode().",
    )


# --- 4. Test data are predicted worse than training data ---


def test_is_worse(facts: Facts) -> Finding | None:
    """The test data have other statistics, or the network knows its training data."""
    train, test = facts.train["moving"], facts.test["moving"]
    if not compare.is_worse_on_others(test, train):
        return None
    evidence = (
        f"Accuracy is {accuracy(train)} on the training data and {accuracy(test)} on "
        "the test data. "
    )
    if compare.stored_is_worse(facts):
        evidence += f"Stored statistics cost less than that. {gain(facts)} "
    if named := compare.renamed(facts):
        return Finding(
            "train and test data differ",
            f"{evidence}If the predicted classes had other names, the latter would be "
            f"{named:.3f}: the network tells the classes apart.",
            "Number the classes of the test data as in training; look at the sign of "
            "the data, too.",
        )
    if (weighted := compare.by_shares(facts)) is not None:
        return Finding(
            "train and test data differ",
            f"{evidence}With the test data's shares of classes, the former would be "
            f"{weighted:.3f}, too: classes that are rare in training count for more.",
            "Train on all classes alike, or test on data with the shares of training.",
        )
    shift, chance, f = compare.shifts(facts)[0]
    what = f"statistics at layer {f.layer.name}"
    if f is facts.inputs:
        what = "mean inputs, but for brightness and contrast,"
    evidence += (
        f"Their {what} differ by {shift:.2g} deviations, where chance explains "
        f"{chance:.2g}. With statistics re-estimated on the test data, "
        f"accuracy is {accuracy(facts.train['of test data'])} on the training data and "
        f"{accuracy(facts.test['of test data'])} on the test data."
    )
    if compare.differs(facts) and compare.shift_explains(facts):
        return Finding(
            "train and test data differ",
            evidence,
            "Prepare test data as training data: scale, contrast, normalization, "
            "noise, orientation.",
        )
    if not compare.is_worse_on_others(test, train, compare.KNOWN):
        return None
    if not compare.is_informed(test, facts):
        evidence += " Test data are predicted as by chance; look at their labels, too."
    return Finding(
        "overfitting",
        evidence,
        "Use more training data, augmentation, or a smaller network.",
    )


# --- 5. Nothing was learned, or nothing of all that ---


def one_value(facts: Facts) -> Finding | None:
    """A layer got one value per channel, and normalized away whatever it was."""
    stored = facts.train["moving"]
    layers = [f for f in facts.layers if f.batches[0][0].size == 1]
    if not layers or compare.is_informed(stored, facts):
        return None
    return Finding(
        "too noisy: small batches",
        f"Accuracy on the training data is {accuracy(stored)}, where always the "
        f"commonest class would give {compare.commonest(facts):.3f}. In a batch of 1, "
        f"{names(layers)} get one value per channel: minus its mean, 0 is left of any.",
        "Train with larger batches, or with LayerNorm, which needs no batch.",
    )


def no_gap(facts: Facts) -> Finding:
    train, test = facts.train["moving"], facts.test["moving"]
    evidence = (
        f"With the stored statistics, accuracy is {accuracy(train)} on the training "
        f"data and {accuracy(test)} on the test data; other statistics are no better. "
        f"Always the commonest class would give {compare.commonest(facts):.3f}."
    )
    if compare.is_worse_on_others(test, train):
        evidence += (
            " Any network knows its training data better; a difference below "
            "{} in accuracy and {} in log-loss counts as none.".format(*compare.KNOWN)
        )
    if (alike := compare.company(facts.labels)) >= compare.COMPANY:
        evidence += (
            f" Labels within a training batch are {alike:.0%} alike, where 0% is "
            "chance; if the network was trained so, shuffle, and train again."
        )
    if layers := [f for f in facts.layers if is_start(f.stored)]:
        evidence += (
            f" The moving statistics of {names(layers)} are still exactly "
            f"{start(layers)}, which does no harm here."
        )
    return Finding(
        "no gap",
        evidence,
        "If accuracy is too low, look at the training: the statistics are not the "
        "cause.",
    )


RULES = (
    never_updated,
    too_few_updates,
    noisy_or_outdated,
    company_matters,
    prediction_mode,
    test_is_worse,
    one_value,
    no_gap,
)

# --- Words ---


def accuracy(scores: Scores) -> str:
    return f"{scores.hits.mean():.3f}"


def gain(facts: Facts) -> str:
    """What re-estimated statistics gain over the stored ones."""
    name, scores = compare.stored_is_worse(facts)
    stored, exact = scores["moving"], scores["re-estimated"]
    return (
        f"Accuracy on the {name} data is {accuracy(stored)}, and {accuracy(exact)} "
        f"with re-estimated statistics (log-loss {stored.losses.mean():.2f} and "
        f"{exact.losses.mean():.2f})."
    )


def names(layers: Iterable[LayerFacts]) -> str:
    found = [f.layer.name for f in layers]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ("layer " if len(found) == 1 else "layers ") + ", ".join(found[:3]) + more


def start(layers: list[LayerFacts]) -> str:
    """The mean and the variance that these layers still have from the beginning."""
    begins = sorted({int(f.stored.var[0]) for f in layers})
    return f"0 and {' or '.join(map(str, begins))}"


def has(layers: list[LayerFacts]) -> str:
    """The beginning of a sentence about what these layers have."""
    words = names(layers)
    return words[0].upper() + words[1:] + (" has" if len(layers) == 1 else " have")
