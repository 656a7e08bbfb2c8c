// The playground computes what MXNet computes: tools/playground.py has written MXNet's
// numbers for these settings, from the same initial numbers and on the same batches.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { judge, Network } from "../../playground/engine.js";

const LIMIT = 1e-4;
const fixture = JSON.parse(readFileSync(new URL("mxnet.json", import.meta.url)));

const PARAMETERS = ["W", "b", "gamma", "beta"];
const GRADIENTS = ["dW", "db", "dgamma", "dbeta"];
const STATISTICS = ["moving_mean", "moving_var"];

function fields(net, names) {
  return net.layers.flatMap((layer) => names.map((name) => layer[name])).filter(Boolean);
}

// The largest difference, as a share of `size`.
function deviation(ours, theirs, size) {
  assert.equal(ours.length, theirs.length);
  return Math.max(...theirs.map((value, i) => Math.abs(ours[i] - value))) / size;
}

// Trains as MXNet did; returns the largest deviation of losses, gradients and statistics,
// of gradients as a share of the step's largest one, of statistics of its vector's.
function compare({ setting, parameters, steps }) {
  const net = new Network({ ...setting, initial: "small", normal: () => 0 });
  fields(net, PARAMETERS).forEach((values, i) => values.set(parameters[i]));
  const trace = net.makeTrace(setting.batch);
  const largest = { loss: 0, gradients: 0, statistics: 0 };
  const note = (name, found) => (largest[name] = Math.max(largest[name], found));
  for (const step of steps) {
    net.forward(Float64Array.from(step.X), setting.batch, trace, true);
    const { loss } = judge(trace, step.y, setting.classes, setting.batch);
    note("loss", Math.abs(loss - step.loss) / step.loss);
    net.backward(step.y, trace);
    const size = Math.max(...step.gradients.flat().map(Math.abs));
    fields(net, GRADIENTS).forEach((values, i) =>
      note("gradients", deviation(values, step.gradients[i], size)),
    );
    net.update(setting.rate, setting.decay);
    fields(net, STATISTICS).forEach((values, i) => {
      const theirs = step.statistics[i];
      note("statistics", deviation(values, theirs, Math.max(...theirs.map(Math.abs))));
    });
  }
  return largest;
}

for (const [name, run] of Object.entries(fixture)) {
  test(`${name}: 20 steps are MXNet's`, (t) => {
    assert.equal(run.steps.length, 20);
    const largest = compare(run);
    t.diagnostic(JSON.stringify(largest));
    for (const [what, found] of Object.entries(largest)) {
      assert.ok(found < LIMIT, `${what} are off by ${found}, more than ${LIMIT}`);
    }
  });
}

test("a wrong momentum, decay or rate is told from MXNet's", () => {
  const run = fixture["sigmoid, weight decay"];
  for (const wrong of [{ momentum: 0.9 }, { decay: 0 }, { rate: 0.051 }]) {
    const largest = compare({ ...run, setting: { ...run.setting, ...wrong } });
    assert.ok(Math.max(...Object.values(largest)) > LIMIT, JSON.stringify(wrong));
  }
});
