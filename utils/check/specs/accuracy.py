"""The check of an accuracy: `utils.check.accuracy`."""

import numpy as np
from utils.check.functions import check_function
from utils.check.specification import Mistake
from utils.notebooks import source

WHERE = "batch-norm-scratch", "Loss and accuracy"


def reference(output, label, *, axis=1, pick="largest", share="hits", of="rows"):
    named = (np.argmin if pick == "smallest" else np.argmax)(output, axis=axis)
    hits = np.equal(named, label)
    if pick == "score":  # that of the label, and not the largest
        hits = output[np.arange(len(label)), label.astype(int)]
    hits = {"hits": hits, "errors": 1 - hits, "percent": 100 * hits}[share]
    parts = {
        "rows": len(label),
        "entries": hits.size,
        "classes": output.shape[1],
        "1": 1,
    }
    return hits.sum() / parts[of]


def case(samples, classes=3):
    draw = np.random.RandomState(samples)
    output = draw.permutation(samples * classes).reshape(samples, classes)
    label = draw.randint(0, classes, samples)
    label[: (samples + 1) // 2] = output.argmax(axis=1)[: (samples + 1) // 2]
    return {"output": output.astype("float32"), "label": label.astype("float32")}


def square():
    """As many classes as samples, and other hits along the batch than along them."""
    output = np.asarray([[1, 2, 3], [2, 3, 1], [5, 4, 6]], "float32")
    return {"output": output, "label": np.asarray([2, 2, 2], "float32")}


def examples():
    from hypothesis import strategies as st

    @st.composite
    def build(draw, samples, classes):
        rows = [draw(st.permutations(range(classes))) for _ in range(samples)]
        label = [draw(st.integers(0, classes - 1)) for _ in range(samples)]
        return {
            "output": np.asarray(rows, "float32"),
            "label": np.asarray(label, "float32"),
        }

    return [build(*shape) for shape in ((1, 2), (2, 2), (2, 3), (3, 2), (4, 4))]


def mistake(name, why, *changes):
    return Mistake(name, why, WHERE, changes)


accuracy = check_function(
    name="accuracy",
    arguments=("output", "label"),
    reference=reference,
    cases=[case(4), square(), case(3), case(5, 4), case(1), case(7, 2)],
    examples=examples,
    mistakes=(
        mistake(
            "it counts the hits and does not divide by the batch size",
            "The number of hits depends on the size of the batch; a share does not.",
            {"of": "1"},
        ),
        mistake(
            "it divides by the number of classes",
            "The share is of the samples: divide by the length of the batch.",
            {"of": "classes"},
        ),
        mistake(
            "it is the share of errors",
            "Accuracy counts the samples that are right.",
            {"share": "errors"},
        ),
        mistake(
            "it is in percent",
            "An accuracy lies between 0 and 1.",
            {"share": "percent"},
        ),
        mistake(
            "the largest entry is looked for along the batch",
            "Axis 1 has the classes, of which each sample has a largest.",
            {"axis": 0},
            {"axis": 0, "of": "entries"},
        ),
        mistake(
            "it takes the smallest entry",
            "The class that the network names has the largest score.",
            {"pick": "smallest"},
        ),
        mistake(
            "it averages the scores of the right classes",
            "A hit counts 1 whatever its score: compare the largest entry's index.",
            {"pick": "score"},
        ),
    ),
    tested="shares of hits, for 1 to 7 samples and 2 to 4 classes.",
    hints=(
        "A network names the class with the largest score. Along which axis?",
        "argmax(axis=1) gives one index per sample, which == compares with the labels.",
        "Comparisons give 1 and 0, so their sum counts the hits; divide it by the "
        "number of rows, and make it a Python float.",
    ),
    answer=lambda: source("batch-norm-scratch", "share_of_hits"),
    where=WHERE,
    is_float=True,
    resized=case,
)
