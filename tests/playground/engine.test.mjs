// The gradients are those of the loss, and the layer does what its formulas say.

import assert from "node:assert/strict";
import test from "node:test";

import { EPS, judge, Network } from "../../playground/engine.js";
import { normalStream } from "../../playground/random.js";

const ROWS = 6;

function make(options) {
  const normal = normalStream(3, "test");
  const net = new Network({
    inputs: 3,
    width: 5,
    depth: 2,
    classes: 3,
    activation: "tanh",
    normalize: true,
    momentum: 0.9,
    initial: "xavier",
    normal,
    ...options,
  });
  const X = Float64Array.from({ length: ROWS * 3 }, normal);
  return { net, X, labels: [0, 1, 2, 2, 1, 0], trace: net.makeTrace(ROWS) };
}

function loss({ net, X, labels, trace }) {
  net.forward(X, ROWS, trace, true);
  return judge(trace, labels, 3, ROWS).loss;
}

for (const activation of ["tanh", "sigmoid", "relu"]) {
  for (const normalize of [true, false]) {
    for (const depth of [2, 8]) {
      test(`gradients of ${depth} layers, ${activation}, layer: ${normalize}`, () => {
        const made = make({ activation, normalize, depth });
        loss(made);
        made.net.backward(made.labels, made.trace);
        const step = 1e-6;
        for (const layer of made.net.layers) {
          for (const name of ["W", "b", "gamma", "beta"]) {
            const values = layer[name] ?? [];
            const gradient = layer[`d${name}`]?.slice();
            for (let i = 0; i < values.length; i += 3) {
              const value = values[i];
              values[i] = value + step;
              const above = loss(made);
              values[i] = value - step;
              const below = loss(made);
              values[i] = value;
              const numerical = (above - below) / (2 * step);
              const off = Math.abs(gradient[i] - numerical);
              assert.ok(off < 1e-7 + 1e-5 * Math.abs(numerical), `${name}[${i}]: ${off}`);
            }
          }
        }
      });
    }
  }
}

test("in training mode each feature has mean beta and deviation gamma", () => {
  const { net, X, trace } = make({});
  net.layers[0].gamma.fill(2);
  net.layers[0].beta.fill(-1);
  net.forward(X, ROWS, trace, true);
  const { y, variance } = trace.layers[0];
  const column = Array.from({ length: ROWS }, (_, r) => y[r * 5]);
  const mean = column.reduce((a, b) => a + b) / ROWS;
  const square = column.reduce((a, b) => a + (b - mean) ** 2, 0) / ROWS;
  assert.ok(Math.abs(mean + 1) < 1e-12);
  assert.ok(Math.abs(square - (4 * variance[0]) / (variance[0] + EPS)) < 1e-12);
});

test("a backward pass moves the statistics, a forward pass does not", () => {
  const { net, X, labels, trace } = make({});
  net.forward(X, ROWS, trace, true);
  assert.deepEqual([...net.layers[0].moving_mean], [0, 0, 0, 0, 0]);
  net.backward(labels, trace);
  const { mean, variance } = trace.layers[0];
  assert.ok(Math.abs(net.layers[0].moving_mean[1] - 0.1 * mean[1]) < 1e-15);
  assert.ok(Math.abs(net.layers[0].moving_var[1] - 0.9 - 0.1 * variance[1]) < 1e-15);
});

test("in prediction mode an example's answer does not depend on its neighbors", () => {
  const { net, X, labels, trace } = make({});
  net.forward(X, ROWS, trace, true);
  net.backward(labels, trace);
  const all = net.forward(X, ROWS, trace, false).slice(0, 3);
  const alone = net.forward(X, 1, trace, false).slice(0, 3);
  assert.deepEqual(alone, all);
  assert.notDeepEqual(net.forward(X, ROWS, trace, true).slice(0, 3), all);
});

test("weight decay shrinks every parameter, gamma and beta included", () => {
  const { net } = make({});
  net.layers[0].beta.fill(1);
  net.layers[0].b.fill(1);
  const [weight] = net.layers[0].W;
  net.update(0.5, 0.1); // all gradients are 0
  assert.ok(Math.abs(net.layers[0].W[0] - 0.95 * weight) < 1e-15);
  for (const name of ["b", "gamma", "beta"]) assert.equal(net.layers[0][name][0], 0.95);
});

test("a confident mistake has a large loss and not an infinite one", () => {
  const trace = { layers: [{ z: [0, 1000] }] };
  assert.deepEqual(judge(trace, [0], 2, 1), { loss: 1000, accuracy: 0 });
});
