// Two networks that learn side by side, one with batch normalization and one without,
// from the same random numbers and on the same batches.

import { Batches, makePoints, PLANE } from "./data.js";
import { judge, Network } from "./engine.js";
import { normalStream, shuffle, uniformStream } from "./random.js";

export const LAST_STEP = 20_000; // here a run ends
export const RECENT = 200; // steps whose statistics are kept

// What can be set, with all choices; the first of the pair is the default.
export const CHOICES = {
  data: ["circles", ["circles", "moons", "spirals", "pictures"]],
  depth: [4, [2, 3, 4, 5, 6, 7, 8]],
  width: [32, [8, 16, 32, 64]],
  activation: ["relu", ["relu", "tanh", "sigmoid"]],
  initial: ["xavier", ["xavier", "he", "small", "large"]],
  rate: [0.1, [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]],
  batch: [32, [2, 4, 8, 16, 32, 64, 128, 256]],
  momentum: [0.9, [0, 0.5, 0.9, 0.99, 0.999]],
  decay: [0, [0, 0.0001, 0.001, 0.01, 0.1]],
};
export const LARGEST_SEED = 999_999;

export const DEFAULTS = {
  ...Object.fromEntries(Object.entries(CHOICES).map(([name, [first]]) => [name, first])),
  seed: 1,
};

export class Training {
  // settings: as DEFAULTS. pictures: what unpackPictures returns, where data is "pictures".
  constructor(settings, pictures) {
    this.settings = settings;
    const { data, batch, seed } = settings;
    this.data = PLANE.includes(data) ? makePoints(data, seed) : pictures;
    this.batches = new Batches(this.data.train, batch, seed);
    this.test = shuffled(this.data.test, this.data.inputs, seed);
    this.step = 0;
    this.records = [];
    this.sides = [true, false].map((normalize) => this.makeSide(normalize));
    [this.layered, this.plain] = this.sides;
    this.record();
  }

  // A network with what it leaves behind. `failedAt` is the step whose loss or weights
  // were no longer finite; from there on the network stays as it is.
  makeSide(normalize) {
    const { inputs, classes, test } = this.data;
    const { seed, batch } = this.settings;
    const normal = normalStream(seed, "weights"); // for both, the same from the start
    const net = new Network({ ...this.settings, inputs, classes, normalize, normal });
    return {
      name: normalize ? "with" : "without",
      net,
      trace: net.makeTrace(batch),
      testTrace: net.makeTrace(Math.max(batch, test.count)),
      loss: NaN, // of the last training batch
      failedAt: null,
      recent: [],
    };
  }

  get finished() {
    return this.step >= LAST_STEP || this.sides.every((side) => side.failedAt !== null);
  }

  // Trains both networks on one batch.
  advance() {
    if (this.finished) return;
    this.step += 1;
    this.batches.draw();
    const learning = this.sides.filter((side) => side.failedAt === null);
    for (const side of learning) this.train(side);
    const failed = learning.some((side) => side.failedAt !== null);
    if (failed || this.step % interval(this.step) === 0 || this.finished) this.record();
  }

  train(side) {
    const { net, trace } = side;
    const { batch, rate, decay } = this.settings;
    const { X, labels } = this.batches;
    net.forward(X, batch, trace, true);
    side.loss = judge(trace, labels, net.classes, batch).loss;
    net.backward(labels, trace);
    net.update(rate, decay);
    if (!Number.isFinite(side.loss) || !net.layers.every(isFinite)) {
      side.failedAt = this.step;
    }
    if (net.normalize) keepRecent(side);
  }

  // Notes loss and accuracy on the test set in both modes, weights and gradients. For the
  // network without the layer, both modes are the same.
  record() {
    if (this.latest?.step === this.step) return;
    this.latest = { step: this.step };
    for (const side of this.sides) {
      const prediction = this.judgeTest(side, false);
      const training = side.net.normalize ? this.judgeTest(side, true) : prediction;
      const modes = { training, prediction };
      const finite = Object.values(modes).every(({ loss }) => Number.isFinite(loss));
      // Weights that are still finite may give an output that is not.
      if (!finite) side.failedAt ??= this.step;
      this.latest[side.name] = {
        ...(finite ? modes : NOTHING),
        lengths: side.net.layers.map(({ W }) => norm(W)),
        gradients: side.net.layers.map(({ dW }) => norm(dW)),
      };
    }
    this.records.push(this.latest);
  }

  // Loss and accuracy on the test set. In training mode, batches of the chosen size are
  // normalized by their own statistics; in prediction mode, all by the moving ones.
  judgeTest(side, training) {
    const { net, testTrace } = side;
    const { X, labels, count } = this.test;
    if (side.failedAt !== null) return NOTHING.prediction;
    const size = training ? this.settings.batch : count;
    let [loss, accuracy] = [0, 0];
    for (let start = 0; start < count; start += size) {
      net.forward(X.subarray(start * net.inputs), size, testTrace, training);
      const rows = Math.min(size, count - start);
      const found = judge(testTrace, labels.subarray(start), net.classes, rows);
      loss += (rows * found.loss) / count;
      accuracy += (rows * found.accuracy) / count;
    }
    return { loss, accuracy };
  }
}

const NOTHING = Object.fromEntries(
  ["training", "prediction"].map((mode) => [mode, { loss: NaN, accuracy: NaN }]),
);

// Steps from one record to the next: a run of any length has a few hundred of them.
function interval(step) {
  if (step <= 20) return 1;
  if (step <= 200) return 10;
  if (step <= 1000) return 25;
  return 100;
}

// In an order of its own, for a batch of it should not depend on how the set was made.
// After the last example the first ones follow again: they fill up the last batch, and are
// not counted twice.
function shuffled({ X, labels, count }, inputs, seed) {
  const order = shuffle(
    Array.from({ length: count }, (_, i) => i),
    uniformStream(seed, "test"),
  );
  const rows = 2 * count;
  const mixed = { X: new Float64Array(rows * inputs), labels: new Uint8Array(rows), count };
  for (let row = 0; row < rows; row++) {
    const from = order[row % count];
    mixed.labels[row] = labels[from];
    mixed.X.set(X.subarray(from * inputs, (from + 1) * inputs), row * inputs);
  }
  return mixed;
}

function isFinite({ W, b, gamma, beta }) {
  return [W, b, gamma, beta].every((values) => !values || Number.isFinite(norm(values)));
}

// Of each layer's first feature, the batch's and the moving statistics.
function keepRecent({ net, trace, recent }) {
  recent.push(
    net.layers
      .filter(({ hidden }) => hidden)
      .map(({ moving_mean, moving_var }, index) => ({
        mean: trace.layers[index].mean[0],
        variance: trace.layers[index].variance[0],
        movingMean: moving_mean[0],
        movingVariance: moving_var[0],
      })),
  );
  if (recent.length > RECENT) recent.shift();
}

export function norm(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return Math.sqrt(sum);
}
