"""What the watch notes of a training, against the same computed by hand."""

import json
import subprocess
import sys

import numpy as np
import pytest

# Before each program: its first block is number 0, and its random numbers are the same.
START = """
import numpy as np
import utils, utils.watch
import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.name import NameManager
from utils.data import Batches

NameManager._current.value = NameManager()
mx.random.seed(1)
np.random.seed(1)
rng = np.random.RandomState(0)
images = rng.randint(0, 256, (64, 28, 28)).astype("uint8")
train_iter = Batches(images, np.arange(64) % 10, 32, shuffle=True)
train_iter.test = Batches(images[:20], np.arange(20) % 10, 20, shuffle=False)
cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
"""
GLUON = """
net = gluon.nn.Sequential()
net.add(gluon.nn.Flatten(), gluon.nn.Dense(10), gluon.nn.BatchNorm())
mx.random.seed(1)
net.initialize(mx.init.Normal(0.1))
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
for X, y in train_iter:
    with autograd.record():
        loss = cross_entropy(net(X), y)
    loss.backward()
    trainer.step(32)
"""
BY_HAND = """
W, moving = nd.random.normal(0, 0.1, (10, 784)), nd.zeros(10)
W.attach_grad()

def scores(X):
    moving[:] = 3.0
    return nd.dot(nd.flatten(X), W.T)

def net(X):
    return scores(X)

for X, y in train_iter:
    with autograd.record():
        loss = cross_entropy(net(X), y).sum()
    loss.backward()
    utils.SGD([W], 0.0001)
"""


TWO_LAYERS = GLUON.replace("Dense(10)", "Dense(20), gluon.nn.Dense(10)")
PROGRAMS = {
    "gluon": GLUON,
    "two layers": TWO_LAYERS,
    "blocks before": "for _ in range(9): gluon.nn.Dense(1)\n" + TWO_LAYERS,
    "by hand": BY_HAND,
    "vector": BY_HAND.replace("y).sum()", "y)"),
    "twice": GLUON + GLUON,
    "taken": GLUON + "\nutils.watch.take()",
    "verdict": "utils.verdict('which', one=0.5, other=0.25)",
}


@pytest.fixture(scope="module")
def noted():
    """By program, what the watch noted of it."""
    code = "import json, sys, utils.watch\nutils.watch.start()\n"
    code += "for name, program in json.load(sys.stdin).items():\n"
    code += "    exec(program, {})\n"
    code += "    print('noted', json.dumps([name, utils.watch.take()]))"
    # In a process of its own: the watch replaces functions of MXNet.
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({name: START + p for name, p in PROGRAMS.items()}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("noted")]
    pairs = [json.loads(line.removeprefix("noted")) for line in lines]
    return {name: json.loads(notes) for name, notes in pairs}


def test_notes_on_a_gluon_network(noted):
    (training,) = noted["gluon"]["trainings"]
    assert training["steps"] == 2 and len(training["batches"]) == 2
    assert training["test pictures"] == 20
    # Weight, bias, gamma, beta, and two moving statistics, which start at 0 and 1.
    assert len(training["parameters"]) == len(training["gradients"]) == 4
    assert training["updates"] == pytest.approx([0.5 / 32] * 4, rel=1e-3)
    (_, _), (variance, _) = training["statistics"]
    assert 0.9 * np.sqrt(10) < variance < np.sqrt(10) * 1.5
    assert training["losses"][0] == pytest.approx(np.log(10), rel=0.5)
    assert training["late loss"] == training["losses"][1]


def test_blocks_made_before_do_not_change_the_order_of_parameters(noted):
    (training,) = noted["two layers"]["trainings"]
    # They are dense9 and dense10, and the trainer sorts by name.
    (other,) = noted["blocks before"]["trainings"]
    assert other["parameters"] == training["parameters"]
    assert other["gradients"] == training["gradients"]


def test_notes_on_a_network_that_is_a_function(noted):
    (training,) = noted["by hand"]["trainings"]
    assert training["updates"] == pytest.approx([0.0001], rel=1e-3)
    # The one array that it reaches and does not learn.
    ((length, _),) = training["statistics"]
    assert length == pytest.approx(3 * np.sqrt(10))
    assert training["prediction loss"] < training["losses"][0]
    assert 0 <= training["test error"] <= 1


def test_the_loss_of_a_sum_and_of_a_vector_is_that_of_an_example(noted):
    (summed,), (vector,) = noted["by hand"]["trainings"], noted["vector"]["trainings"]
    assert summed["losses"] == pytest.approx(vector["losses"], rel=1e-6)


def test_two_trainings_are_told_apart_and_taken_once(noted):
    trainings = noted["twice"]["trainings"]
    assert [training["steps"] for training in trainings] == [2, 2]
    assert trainings[0]["parameters"] == trainings[1]["parameters"]
    assert noted["taken"]["trainings"] == []


def test_results_are_noted(noted):
    assert noted["verdict"]["results"] == {"which: one": 0.5, "which: other": 0.25}
