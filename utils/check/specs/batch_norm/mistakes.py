"""The mistakes that have a name: each is `formula.reference` with other rules.

Where readers make the same mistake in several ways, it has several sets of rules.
"""

from utils.check.specification import Mistake

SCRATCH, LENET = "batch-norm-scratch", "batch-norm-lenet"
FORMULAS = SCRATCH, "The transformation"
CODE = SCRATCH, "From equations to code"
MOVING = SCRATCH, "Prediction needs statistics of its own"
GRADIENT = SCRATCH, "What the gradient loses"
TESTS = SCRATCH, "Is the layer right?"
GLUON_TRAPS = "batch-norm-gluon", "Seven traps"
BLOCK = LENET, "A block of our own"


def everywhere(root):
    """Another root in training and prediction, or in one of the two."""
    return (
        {"root": root},
        {"root": root, "predict_root": "inside"},
        {"predict_root": root},
    )


AXES = (
    Mistake(
        "statistics over all axes",
        "Features then share one mean and one variance, so one with large numbers "
        "hides the others.",
        FORMULAS,
        (
            {"dense": (0, 1), "conv": (0, 1, 2, 3)},
            {"dense": (0, 1)},
            {"conv": (0, 1, 2, 3)},
        ),
    ),
    Mistake(
        "statistics per sample, as if the features were on axis 0",
        "Each sample is then standardized by itself, which is layer normalization, and "
        "no feature has mean 0.",
        FORMULAS,
        (
            {"dense": (1,), "conv": (1, 2, 3)},
            {"dense": (1,)},
            {"conv": (1, 2, 3)},
        ),
    ),
    Mistake(
        "statistics per sample and channel in convolutions",
        "That is instance normalization: the batch axis is missing, so the samples "
        "have nothing in common.",
        FORMULAS,
        ({"conv": (2, 3)},),
    ),
    Mistake(
        "statistics per pixel in convolutions",
        "All pixels of a channel come from the same weights, so they are values of one "
        "feature, and share its statistics.",
        FORMULAS,
        ({"conv": (0,)}, {"conv": (0, 2)}, {"conv": (0, 3)}),
    ),
    Mistake(
        "the axis of the features is wrong in convolutions",
        "MXNet has the channels on axis 1, so the statistics run over axes 0, 2 and 3.",
        FORMULAS,
        tuple(
            {"conv": axes}
            for axes in (
                (0, 1, 2),
                (0, 1, 3),
                (0, 1),
                (1,),
                (1, 2),
                (1, 3),
                (2,),
                (3,),
            )
        ),
    ),
    Mistake(
        "only dense batches, (batch, features), are accepted",
        "Convolutions need the layer, too: for four axes, average over 0, 2 and 3.",
        FORMULAS,
        ({"only": 2},),
    ),
    Mistake(
        "only convolutional batches, with four axes, are accepted",
        "Dense layers need the layer, too: for two axes, average over axis 0.",
        FORMULAS,
        ({"only": 4},),
    ),
)

NORMALIZATION = (
    Mistake(
        "the variance in the normalization is unbiased, divided by m − 1",
        "The outputs of a small batch come out too small, and a batch of one is "
        "divided by zero.",
        FORMULAS,
        ({"ddof": 1}, {"ddof": 1, "moving_ddof": 1}),
    ),
    Mistake(
        "the variance is taken about 0 and not about the mean",
        "A feature far from zero then has a large variance although it hardly varies, "
        "and almost vanishes.",
        FORMULAS,
        ({"centered": False},),
    ),
    Mistake(
        "the mean is not subtracted from X",
        "The output keeps the offset that the layer is there to remove.",
        FORMULAS,
        ({"shifted": False},),
    ),
    Mistake(
        "digits are lost at a large mean: the mean is not subtracted before squaring",
        "E[x²] − E[x]² is a small difference of large numbers, of which float32 has "
        "only seven digits; it can even be negative.",
        TESTS,
        ({"precise": False},),
    ),
    Mistake(
        "eps stands outside the root",
        "A feature that hardly varies gets another scale, and a constant one a "
        "gradient that is not a number.",
        FORMULAS,
        everywhere("outside"),
    ),
    Mistake(
        "eps is squared",
        "1e-5 becomes 1e-10, which is lost beside most variances and guards against "
        "nothing.",
        FORMULAS,
        everywhere("squared"),
    ),
    Mistake(
        "eps is missing",
        "A feature that is constant in a batch is divided by zero, and NaN spreads "
        "from there to all weights.",
        FORMULAS,
        everywhere("missing"),
    ),
    Mistake(
        "eps has another size than it should have",
        "A layer that ignores its argument, or has a default of its own, differs from "
        "others for features that hardly vary.",
        FORMULAS,
        tuple(
            {"eps": eps}
            for eps in (1e-5, 1e-3, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 0.1, 1.0)
        )
        + tuple({"eps_times": factor} for factor in (2, 0.5, 10, 0.1, 100, 0.01)),
    ),
    Mistake(
        "the division is by the variance and not by its root",
        "The output then depends on the unit of the input, which it should not.",
        FORMULAS,
        (*everywhere("no root"), *everywhere("no root, no eps")),
    ),
    Mistake(
        "a constant feature gives NaN",
        "A channel that is off has equal values in the whole batch; it should give "
        "beta.",
        FORMULAS,
        ({"constant": float("nan")},),
    ),
)

AFFINE = (
    Mistake(
        "X comes back as it is",
        "Nothing is normalized.",
        FORMULAS,
        ({"identity": True}, {"identity": True, "steps": 0}),
    ),
    Mistake(
        "gamma and beta are swapped",
        "At the start gamma is 1 and beta 0, so the output is 1 whatever the input.",
        FORMULAS,
        ({"affine": "beta, gamma"},),
    ),
    Mistake(
        "gamma is fixed at 1, and overwritten",
        "The network can't scale the feature; nd.BatchNorm does that unless it gets "
        "fix_gamma=False, and nn.BatchNorm with scale=False.",
        GLUON_TRAPS,
        ({"affine": "1 written, beta"},),
    ),
    Mistake(
        "gamma is ignored, or fixed at 1",
        "The network can't scale the feature, and all features count alike.",
        FORMULAS,
        ({"affine": "1, beta"},),
    ),
    Mistake(
        "beta is ignored",
        "A ReLU behind the layer then cuts off half of each feature, whatever the "
        "network would need.",
        FORMULAS,
        ({"affine": "gamma, 0"},),
    ),
    Mistake(
        "gamma and beta are both ignored",
        "The network can neither scale nor shift what the layer has standardized.",
        FORMULAS,
        ({"affine": "1, 0"},),
    ),
    Mistake(
        "gamma is used as 1 + gamma",
        "Parameters that start at 1, or come from another network, then scale by 2.",
        FORMULAS,
        ({"affine": "1 + gamma, beta"},),
    ),
    Mistake(
        "beta is subtracted",
        "Parameters from another network then shift the wrong way.",
        FORMULAS,
        ({"affine": "gamma, -beta"},),
    ),
    Mistake(
        "gamma and beta are broadcast along the wrong axis",
        "Each feature has one of each; where sizes happen to fit, no error tells.",
        CODE,
        (
            {"conv_along": 3},
            {"conv_along": 2},
            {"conv_along": 0},
            {"dense_along": 0},
            {"dense_along": 0, "conv_along": 0},
        ),
    ),
)

GRADIENTS = (
    Mistake(
        "no gradient through the mean",
        "The mean was detached from the graph; the gradient then keeps a part that "
        "shifts all inputs alike, which can't change the loss.",
        GRADIENT,
        ({"no_gradient": "mean"},),
    ),
    Mistake(
        "no gradient through the variance",
        "The variance was detached from the graph, or comes from mx.np's var or std, "
        "which pass no gradient on in MXNet 1.9.1; the gradient then keeps a part that "
        "only stretches the inputs, which can't change the loss.",
        GRADIENT,
        ({"no_gradient": "variance"},),
    ),
    Mistake(
        "no gradient through mean and variance",
        "The statistics were detached from the graph, as if they were constants; "
        "weights before the layer then grow without need.",
        GRADIENT,
        ({"no_gradient": "mean variance"},),
    ),
    Mistake(
        "gamma is missing in the gradient of X",
        "The output is gamma times the normalized input, so the gradient has it, too.",
        GRADIENT,
        ({"no_gradient": "factor gamma"},),
    ),
    Mistake(
        "the gradients of gamma and beta are averaged and not summed",
        "Each value of the feature adds to them; a mean is smaller by the batch size.",
        GRADIENT,
        ({"averaged": True},),
    ),
    Mistake(
        "no gradient reaches X",
        "Nothing before this layer can learn; a detour through NumPy, or detach(), "
        "cuts the graph.",
        GRADIENT,
        ({"no_gradient": "X"}, {"no_gradient": "X gamma"}),
    ),
    Mistake(
        "no gradient at all",
        "Nothing can learn; a detour through NumPy, detach(), or pause() cuts the "
        "graph.",
        GRADIENT,
        ({"no_gradient": "X gamma beta"},),
    ),
    Mistake(
        "no gradient reaches gamma or beta",
        "They stay what they were at the start.",
        GRADIENT,
        (
            {"no_gradient": "gamma beta"},
            {"no_gradient": "gamma"},
            {"no_gradient": "beta"},
        ),
    ),
)

STATISTICS = (
    Mistake(
        "the moving variance is unbiased, divided by m − 1",
        "Prediction then scales differently from training. PyTorch does this, and "
        "cuDNN on a GPU; MXNet's layer on a CPU, and this course, keep the biased one.",
        MOVING,
        ({"moving_ddof": 1},),
    ),
    Mistake(
        "the moving mean is scaled by m / (m − 1), as an unbiased variance is",
        "A mean needs no such correction; prediction subtracts too much.",
        MOVING,
        ({"mean_ddof": 1}, {"mean_ddof": 1, "moving_ddof": 1}),
    ),
    Mistake(
        "momentum is flipped: it weighs the new value",
        "That is PyTorch's convention; in MXNet and here momentum weighs the old "
        "value, so with 0.9 the statistics would be almost those of the last batch.",
        MOVING,
        ({"flipped": "mean variance"},),
    ),
    Mistake(
        "momentum is flipped for one of the two statistics",
        "Moving mean and moving variance then come from different batches.",
        MOVING,
        ({"flipped": "mean"}, {"flipped": "variance"}),
    ),
    Mistake(
        "momentum is ignored: another one is used",
        "The statistics forget faster or more slowly than the caller asked for.",
        MOVING,
        tuple({"momentum": rho} for rho in (0.9, 0.99, 0.1, 0.5, 0.999, 0.95)),
    ),
    Mistake(
        "the old moving statistics are dropped, and the new ones scaled down",
        "What is left is neither an average nor the last batch's.",
        MOVING,
        ({"old": "none, new weighted"},),
    ),
    Mistake(
        "eps is part of the moving variance",
        "Prediction adds it a second time, and the statistics fit no other network.",
        MOVING,
        ({"stored": "variance with eps"},),
    ),
    Mistake(
        "the old moving statistics are not weighted by momentum",
        "They grow from step to step instead of following the batches.",
        MOVING,
        ({"old": "one"},),
    ),
    Mistake(
        "the moving statistics are those of the last batch",
        "Prediction depends on which batch came last; an average would not.",
        MOVING,
        ({"old": "none"},),
    ),
    Mistake(
        "the moving statistics are not updated, or replaced and not written in place",
        "Prediction goes on with mean 0 and variance 1; an assignment such as "
        "moving_mean = … only gives the name to a new array.",
        MOVING,
        ({"steps": 0},),
    ),
    Mistake(
        "the moving mean is not updated",
        "Prediction subtracts the mean that the layer began with.",
        MOVING,
        ({"kept": "mean"},),
    ),
    Mistake(
        "the moving variance is not updated",
        "Prediction divides by the deviation that the layer began with.",
        MOVING,
        ({"kept": "variance"},),
    ),
    Mistake(
        "the moving statistics are updated twice per step",
        "They forget twice as fast as momentum says.",
        MOVING,
        ({"steps": 2},),
    ),
    Mistake(
        "the deviation is stored as moving variance",
        "Prediction takes the root of it again, or does not fit statistics from other "
        "networks.",
        MOVING,
        tuple(
            {"stored": stored, **root}
            for stored in ("deviation", "deviation with eps", "1 / deviation")
            for root in (
                {},
                {"predict_root": "no root"},
                {"predict_root": "no root, no eps"},
            )
        ),
    ),
    Mistake(
        "the moving variance starts at 0",
        "A layer that predicts before it is trained then divides by the root of eps, "
        "and the zeros fade only slowly.",
        BLOCK,
        ({"start_var": 0.0},),
    ),
    Mistake(
        "the update of the moving statistics is recorded by autograd",
        "Each step then hangs on to the graphs of all before, so memory grows, or "
        "MXNet raises an error; write the update under autograd.pause().",
        MOVING,
        ({"graph": True},),
    ),
)

MODES = (
    Mistake(
        "training and prediction are swapped",
        "Prediction then normalizes by the batch and updates the statistics, and "
        "training does neither; autograd.is_training() is true in training.",
        MOVING,
        (
            {
                "train": "moving",
                "steps": 0,
                "predict": "batch",
                "updates_in_prediction": True,
            },
        ),
    ),
    Mistake(
        "the mode is ignored: prediction does as training does",
        "A prediction depends on the other samples of its batch, and changes the "
        "moving statistics.",
        MOVING,
        ({"predict": "batch", "updates_in_prediction": True},),
    ),
    Mistake(
        "the mode is ignored: training does as prediction does",
        "The layer then never looks at a batch, and normalizes nothing.",
        MOVING,
        ({"train": "moving", "steps": 0},),
    ),
    Mistake(
        "prediction normalizes by the batch's own statistics",
        "A prediction depends on the other samples of its batch, and a single one "
        "becomes beta.",
        MOVING,
        ({"predict": "batch"},),
    ),
    Mistake(
        "training normalizes by the moving statistics",
        "No gradient flows through them, so training can run away from them.",
        MOVING,
        ({"train": "moving"}, {"train": "updated"}),
    ),
    Mistake(
        "prediction updates the moving statistics",
        "The answer for one sample depends on those asked for before.",
        MOVING,
        (
            {"updates_in_prediction": True},
            {"updates_in_prediction": True, "predict": "updated"},
        ),
    ),
    Mistake(
        "prediction ignores gamma and beta",
        "They belong to the network in both modes.",
        MOVING,
        (
            {"predict_affine": "1, 0"},
            {"predict_affine": "1, beta"},
            {"predict_affine": "gamma, 0"},
        ),
    ),
)

BESIDES = (
    Mistake(
        "it changes its input",
        "The layer before still needs its output, for its own gradient; make a new "
        "array.",
        CODE,
        ({"changes_X": True},),
    ),
    Mistake(
        "the output has another type than X",
        "The next operator expects what X is, a float32 array of MXNet.",
        CODE,
        ({"dtype": "another"},),
    ),
    Mistake(
        "the output is on another device than X",
        "The next operator expects both of its inputs on one device; make arrays with "
        "ctx=X.context.",
        CODE,
        ({"device": "another"},),
    ),
)

MISTAKES = AXES + NORMALIZATION + AFFINE + GRADIENTS + STATISTICS + MODES + BESIDES
