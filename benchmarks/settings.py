"""What is measured: shapes, networks, pictures; and relative to what."""

import dataclasses
import importlib.util

import numpy as np

# Whether requirements/bench.txt is installed.
TORCH = importlib.util.find_spec("torch") is not None

SHAPES = [(256, 6, 24, 24), (64, 20, 24, 24), (64, 50, 8, 8), (256, 120)]
BATCHES = [(n, 20, 12, 12) for n in (16, 64, 256, 1024, 4096)]
CHANNELS = [(64, c, 12, 12) for c in (4, 16, 64, 256, 512)]
GROWTH = BATCHES + CHANNELS

# Of a table: the columns that say where a figure is measured and of which contender,
# the contender whose figures are the unit, and the figure's column.
LAYERS = "shape", "formulation", "nn.BatchNorm", "forward + backward ms"
RELATIVE = {
    "layers": LAYERS,
    "growth": LAYERS,
    "networks": ("network", "contender", "Gluon", "images/s"),
}


@dataclasses.dataclass
class Network:
    """Convolutions (channels, kernel) and dense layers, each with normalization."""

    convolutions: tuple
    dense: tuple
    activation: str
    pooling: str
    batch_size: int


NETWORKS = {
    "scratch CNN": Network(((20, 3), (50, 5)), (128,), "relu", "avg", 64),
    "Gluon CNN": Network(((20, 5), (50, 5)), (512,), "relu", "max", 64),
    "BN-LeNet": Network(((6, 5), (16, 5)), (120, 84), "sigmoid", "max", 256),
}


def pictures(count):
    """Random pictures and labels, as `utils.data.find` gives real ones."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (count, 28, 28)).astype("uint8")
    return images, random.randint(0, 10, count).astype("uint8")
