// Two networks side by side: the same numbers for the same settings, the same start for
// both, and a sentence's worth of truth for runs that fail.

import assert from "node:assert/strict";
import test from "node:test";

import { Batches, KINDS, makePoints, PLANE, unpackPictures } from "../../playground/data.js";
import { PICTURES } from "../../playground/pictures.js";
import { CHOICES, DEFAULTS, norm, Training } from "../../playground/training.js";

function trained(settings, steps) {
  const training = new Training({ ...DEFAULTS, ...settings }, unpackPictures(PICTURES));
  for (let i = 0; i < steps; i++) training.advance();
  return training;
}

test("the same settings give the same numbers", () => {
  const runs = [1, 2].map(() => trained({}, 50).records);
  assert.deepEqual(runs[0], runs[1]);
});

test("another seed gives others", () => {
  assert.notDeepEqual(trained({}, 5).records, trained({ seed: 2 }, 5).records);
});

test("both networks start from the same weights and see the same batches", () => {
  const { layered, plain } = trained({}, 0);
  layered.net.layers.forEach(({ W }, i) => assert.deepEqual(W, plain.net.layers[i].W));
  const { sides } = trained({}, 3);
  assert.deepEqual(sides[0].trace.layers[0].x, sides[1].trace.layers[0].x);
});

test("another depth leaves data and order as they are", () => {
  const [two, eight] = [2, 8].map((depth) => trained({ depth }, 7).batches.X);
  assert.deepEqual(two, eight);
});

test("every choice trains", () => {
  for (const [name, [, values]] of Object.entries(CHOICES)) {
    for (const value of values) {
      const { step, latest } = trained({ [name]: value }, 3);
      assert.equal(step, 3);
      assert.ok(latest.with.prediction.loss > 0, `${name}: ${value}`);
    }
  }
});

test("both modes are measured on the same examples", () => {
  // With a batch as large as the test set and statistics that are the batch's own, both
  // modes would agree; without the layer they do, whatever the batch.
  const { latest } = trained({ batch: 256 }, 3);
  assert.deepEqual(latest.without.training, latest.without.prediction);
  for (const { accuracy } of [latest.with.training, latest.with.prediction]) {
    assert.ok(Math.abs(accuracy * 400 - Math.round(accuracy * 400)) < 1e-9);
  }
});

test("a network that diverges stops, is noted, and the other goes on", () => {
  const training = trained({ decay: 0.1, rate: 10, depth: 8, initial: "large" }, 2000);
  const failed = training.sides.filter((side) => side.failedAt !== null);
  assert.ok(failed.length > 0);
  for (const side of failed) {
    const before = training.records.filter((entry) => entry.step < side.failedAt);
    assert.ok(before.every((entry) => Number.isFinite(entry[side.name].prediction.loss)));
    assert.ok(Number.isNaN(training.latest[side.name].prediction.loss));
  }
  if (failed.length < 2) assert.equal(training.step, 2000);
});

test("a run has a few hundred records, however long it is", () => {
  const { records, step } = trained({ depth: 2, width: 8, batch: 2 }, 30_000);
  assert.equal(step, 20_000);
  assert.ok(records.length < 350, records.length);
});

test("the sets have their sizes, and as many of each class", () => {
  const sets = [...PLANE.map((name) => makePoints(name, 1)), unpackPictures(PICTURES)];
  for (const { inputs, classes, ...parts } of sets) {
    for (const { X, labels, count } of [parts.train, parts.test]) {
      assert.equal(X.length, inputs * count);
      const counts = Array.from({ length: classes }, (_, k) => labels.filter((l) => l === k));
      for (const of of counts) assert.equal(of.length, count / classes);
    }
  }
});

test("pictures are pictures: trousers are two legs, and not bags", () => {
  const { train } = unpackPictures(PICTURES);
  assert.equal(train.count, 1600);
  const mean = (kind, row, column) => {
    let sum = 0;
    for (let i = KINDS.indexOf(kind); i < 1600; i += 10)
      sum += train.X[i * 196 + row * 14 + column];
    return sum / 160;
  };
  assert.ok(mean("trousers", 12, 7) < mean("trousers", 12, 5)); // between the legs
  assert.ok(mean("bag", 10, 1) > mean("trousers", 10, 1) + 0.3);
});

test("batches use each example once per pass", () => {
  const { train } = makePoints("moons", 1);
  const batches = new Batches(train, 4, 1);
  const seen = new Set();
  for (let i = 0; i < 250; i++) {
    batches.draw();
    for (let row = 0; row < 4; row++) seen.add(batches.X[2 * row]);
  }
  assert.equal(seen.size, 1000);
});

test("what is left over of a pass makes no smaller batch", () => {
  const batches = new Batches(makePoints("moons", 1).train, 256, 1);
  for (let i = 0; i < 4; i++) batches.draw();
  assert.equal(batches.next, 256); // of the second pass
});

test("norm", () => assert.equal(norm([3, 4]), 5));
