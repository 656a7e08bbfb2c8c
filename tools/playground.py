"""What Python gives to the playground (`playground/`): pictures, and MXNet's numbers.

    python -m tools.playground     # writes all of it; `make refresh` runs it

- playground/pictures.js: 2,000 pictures of Fashion-MNIST in 14×14 pixels of 16 grays.
- tests/playground/mxnet.json: for a few settings the first 20 steps of training in
  MXNet, with which the tests compare the playground's own.

Where Node is installed, the playground itself then draws its experiments for paper.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import utils  # noqa: F401  (it makes `import mxnet` work)
import numpy as np
from utils import data
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "playground/pictures.js"
FIXTURE = ROOT / "tests/playground/mxnet.json"
NO_NODE = (
    "Node was expected on PATH, and was not found. Install Node 18 or newer, on Debian "
    "and Ubuntu by `apt-get install nodejs`."
)

EACH = 200  # pictures of each of the ten classes

HEAD = """\
// 2,000 pictures of Fashion-MNIST's training set, packed as unpackPictures in data.js
// wants them; tools/playground.py writes this file. Copyright (c) 2017 Zalando SE; the
// MIT license, in LICENSE-fashion-mnist, applies to them.

export const PICTURES =
  "{packed}";
"""


def pictures_script() -> str:
    """The text of pictures.js, from the real Fashion-MNIST.

    Picture i is of class i % 10, the first ones of each class in the training set. A
    pixel is the mean of 2×2 ones, rounded to one of 16 grays; two make a byte, the left
    one in its upper half. Raises ValueError for a stand-in in place of the data, and
    what `utils.data.find` raises where there are none.
    """
    found = data.find("fashion-mnist")
    if "BN_STANDIN" in found.where:
        raise ValueError(
            "Expected the real Fashion-MNIST, found a stand-in: unset BN_STANDIN."
        )
    images, labels = found.train
    rows = np.stack([np.flatnonzero(labels == k)[:EACH] for k in range(10)], axis=1)
    chosen = images[rows.ravel()].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    grays = np.rint(chosen * 15 / 255).astype(np.uint8).reshape(-1, 2)
    packed = (grays[:, 0] << 4 | grays[:, 1]).tobytes()
    return HEAD.format(packed=base64.b64encode(packed).decode())


# All of them train stably, so that single precision stays close to double.
SETTINGS = {
    "tanh": dict(activation="tanh", normalize=True, rate=0.1, momentum=0.9),
    "sigmoid, weight decay": dict(
        activation="sigmoid", normalize=True, rate=0.05, momentum=0.99, decay=0.01
    ),
    "tanh, batch of 4": dict(
        activation="tanh", normalize=True, rate=0.01, momentum=0.5, batch=4
    ),
    "sigmoid, three classes": dict(
        activation="sigmoid", normalize=True, rate=0.1, classes=3, width=7, depth=3
    ),
    "tanh, without the layer": dict(activation="tanh", normalize=False, rate=0.1),
    "sigmoid, without, weight decay": dict(
        activation="sigmoid", normalize=False, rate=0.1, decay=0.1
    ),
}
DEFAULTS = dict(
    inputs=2, width=6, depth=2, classes=2, batch=16, decay=0.0, momentum=0.9
)
STEPS = 20


def build(setting: dict) -> nn.Sequential:
    """The playground's network in Gluon, from a normal initialization."""
    width = setting["width"]
    net = nn.Sequential()
    for layer in range(setting["depth"]):
        net.add(nn.Dense(width, in_units=width if layer else setting["inputs"]))
        if setting["normalize"]:
            net.add(nn.BatchNorm(momentum=setting["momentum"], in_channels=width))
        net.add(nn.Activation(setting["activation"]))
    net.add(nn.Dense(setting["classes"], in_units=width))
    net.initialize(init.Normal(0.5))
    return net


def numbers(array: nd.NDArray) -> list[float]:
    """A flat list, rounded to seven significant digits."""
    return [float(f"{x:.7g}") for x in array.asnumpy().ravel().tolist()]


def parameters(
    net: gluon.Block,
    read: Callable[[gluon.Parameter], nd.NDArray],
    trained: bool,
) -> list[list[float]]:
    """One list for each parameter with a gradient (`trained`), or for each without."""
    return [
        numbers(read(p))
        for p in net.collect_params().values()
        if (p.grad_req != "null") == trained
    ]


def trained_in_mxnet(setting: dict) -> dict:
    """The first steps of training in MXNet, from random numbers that are in the result.

    parameters: W, b, gamma, beta, layer by layer. steps: for each its batch X, y, its
    loss, gradients in the order of parameters, and statistics after it: moving_mean,
    moving_var, layer by layer.
    """
    random = np.random.RandomState(7)
    net = build(setting)
    for p in net.collect_params().values():
        if p.grad_req != "null":
            start = 1.0 if p.name.endswith("gamma") else 0.0
            drawn = start + random.normal(0, 0.5, p.shape)
            p.set_data(nd.array(np.round(drawn, 4)))
    begun = parameters(net, lambda p: p.data(), True)  # of 4 decimals: exact
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    sgd = {"learning_rate": setting["rate"], "wd": setting["decay"]}
    trainer = gluon.Trainer(net.collect_params(), "sgd", sgd)
    steps = []
    for _ in range(STEPS):
        X = np.round(random.normal(0, 1, (setting["batch"], setting["inputs"])), 4)
        y = random.randint(0, setting["classes"], setting["batch"])
        with autograd.record():
            loss = loss_of(net(nd.array(X)), nd.array(y)).mean()
        loss.backward()
        gradients = parameters(net, lambda p: p.grad(), True)
        trainer.step(1)  # the loss is a mean already
        steps.append(
            {
                "X": X.ravel().tolist(),
                "y": y.tolist(),
                "loss": numbers(loss)[0],
                "gradients": gradients,
                "statistics": parameters(net, lambda p: p.data(), False),
            }
        )
    return {"setting": setting, "parameters": begun, "steps": steps}


def fixture() -> dict:
    """What FIXTURE holds: `trained_in_mxnet` for each of SETTINGS."""
    return {
        name: trained_in_mxnet(DEFAULTS | setting) for name, setting in SETTINGS.items()
    }


def lines(found: dict) -> str:
    """As JSON with one line per step, so that a diff shows which have changed."""
    text = json.dumps(found)
    return text.replace('{"X"', '\n{"X"').replace('"steps"', '\n"steps"') + "\n"


if __name__ == "__main__":
    FIXTURE.write_text(lines(fixture()), encoding="utf-8")
    PICTURES.write_text(pictures_script(), encoding="utf-8")
    if node := shutil.which("node"):
        subprocess.run([node, ROOT / "playground/stills.js"], check=True)
    else:
        print(NO_NODE, "The pictures of experiments stay as they are.", file=sys.stderr)
