"""What the chapter on claims defines: its rule, and the matrix of the backward pass."""

import utils
import numpy as np
import pytest

why = utils.definitions("batch-norm-why")


@pytest.mark.parametrize(
    ("mean", "low", "high", "said"),
    [
        (0.3, 0, np.inf, "seen"),
        (0.1, 0, np.inf, "undecided"),
        (-0.1, 0, np.inf, "undecided"),
        (-0.3, 0, np.inf, "not seen at this scale"),
        (0.0, -0.3, 0.3, "seen"),
        (0.2, -0.3, 0.3, "undecided"),
        (0.0, -0.1, 0.1, "undecided"),
        (0.6, -0.3, 0.3, "not seen at this scale"),
    ],
)
def test_a_verdict_is_by_two_deviations(mean, low, high, said):
    assert why.said_of(mean, 0.1, low, high) == said


def test_what_is_undecided_is_disputed_where_sources_are():
    assert why.said_of(0.1, 0.1, 0, np.inf, disputed=True) == "disputed"
    assert why.said_of(0.3, 0.1, 0, np.inf, disputed=True) == "seen"


def test_what_does_not_vary_is_seen_at_the_border():
    assert why.said_of(7, 0, 7, 7) == "seen"
    assert why.said_of(6, 0, 7, 7) == "not seen at this scale"


def test_the_projection_is_the_gradient_of_the_normalized_batch():
    x, step = np.array([0.3, -1.2, 2.0, 0.4]), 1e-6

    def normalized(x):
        return (x - x.mean()) / x.std()

    rows = [
        (normalized(x + step * unit) - normalized(x - step * unit)) / (2 * step)
        for unit in np.eye(4)
    ]
    assert np.allclose(np.array(rows), why.projection(x) / x.std(), atol=1e-8)
