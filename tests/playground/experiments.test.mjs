// What an experiment says is what its run has shown, whatever that was; addresses and
// pictures are of these experiments.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { read, write } from "../../playground/address.js";
import { EXPERIMENTS, settingsOf } from "../../playground/experiments.js";
import { description, picture, runToItsEnd } from "../../playground/stills.js";
import { DEFAULTS } from "../../playground/training.js";
import { failures, progress, short } from "../../playground/words.js";

const find = (wanted) => EXPERIMENTS.find(({ id }) => id === wanted);
const folder = new URL("../../playground/", import.meta.url);

// A training that has come to these accuracies in prediction mode; null: it diverged.
function fake(layered, plain, more = {}) {
  const accuracy = (value) => ({ accuracy: value ?? NaN, loss: 1 });
  const sides = [
    { name: "with", failedAt: layered === null ? 7 : null },
    { name: "without", failedAt: plain === null ? 9 : null },
  ];
  return {
    step: 100,
    settings: { ...DEFAULTS, momentum: 0.99 },
    data: { classes: 2 },
    sides,
    layered: sides[0],
    plain: sides[1],
    latest: {
      with: { training: accuracy(more.own ?? layered), prediction: accuracy(layered) },
      without: { training: accuracy(plain), prediction: accuracy(plain) },
    },
    ...more,
  };
}

test("there are eight experiments, each with a name of its own", () => {
  assert.equal(new Set(EXPERIMENTS.map(({ id }) => id)).size, 8);
});

for (const experiment of EXPERIMENTS) {
  test(`${experiment.id}: its picture and its words are of a run of now`, () => {
    const training = runToItsEnd(experiment);
    assert.equal(training.step, experiment.steps);
    const { answer } = experiment.outcome(training);
    assert.ok(answer in experiment.options);
    const said = JSON.parse(readFileSync(new URL("stills.json", folder)))[experiment.id];
    assert.deepEqual(said, description(experiment, training));
    assert.equal(readFileSync(new URL(said.file, folder), "utf8"), picture(training));
  });
}

test("who has learned is told from the numbers", () => {
  const { outcome, options } = find("rate");
  for (const [layered, plain, option, words] of [
    [0.9, 0.9, "Both networks learn.", "both networks have learned"],
    [0.9, 0.5, "Only the one with the layer learns.", "90% right, the one without gets 50%"],
    [0.52, 0.8, "Only the one without the layer learns.", "52% right, the one without gets 80%"],
    [0.5, 0.59, "Neither learns.", "neither network has learned"],
    [0.9, null, "Only the one with the layer learns.", "the one without diverged at step 9"],
    [null, 0.9, "Only the one without the layer learns.", "with the layer diverged at step 7"],
    [null, null, "Neither learns.", "diverged at step 7, the one without diverged at step 9"],
  ]) {
    const { answer, sentence } = outcome(fake(layered, plain));
    assert.equal(options[answer], option);
    assert.ok(sentence.includes(words), sentence);
  }
});

test("what momentum has done is told from the numbers", () => {
  const { outcome, options } = find("momentum");
  for (const [own, prediction, option] of [
    [0.8, 0.79, "About as good"],
    [0.8, 0.3, "Clearly worse"],
    [0.3, 0.8, "Clearly better"],
  ]) {
    const { answer, sentence } = outcome(fake(prediction, 0.5, { own }));
    assert.ok(options[answer].startsWith(option));
    assert.ok(sentence.includes("37% of each moving statistic")); // 0.99 ** 100
  }
  const { answer, sentence } = outcome(fake(null, 0.5));
  assert.equal(answer, null);
  assert.ok(sentence.includes("diverged: at step 7"), sentence);
});

test("whether weights got shorter is told from the numbers", () => {
  const { outcome, options } = find("length");
  const run = (...seconds) => {
    const records = seconds.map((second) => ({ with: { lengths: [1, second, 9 - second] } }));
    return outcome(fake(0.9, 0.9, { records, latest: records.at(-1) }));
  };
  const never = run(2, 3, 4);
  assert.equal(options[never.answer], "It never falls.");
  assert.ok(never.sentence.includes("At none of 4 checks"), never.sentence);
  assert.ok(never.sentence.includes("from 2 to 4"), never.sentence);
  assert.equal(options[run(4, 3, 2).answer], "It never grows.");
  const both = run(2, 3, 2.5);
  assert.ok(options[both.answer].startsWith("It grows in some"));
  assert.ok(both.sentence.includes("At 1 of 4 checks"), both.sentence);
});

test("which network is ahead after a fair start is told from the numbers", () => {
  const { outcome, options } = find("fair");
  for (const [layered, plain, option, words] of [
    [0.75, 0.76, "Neither, clearly.", "no clear difference in this run"],
    [0.7, 0.8, "The one without the layer.", "the layer does harm"],
    [0.8, 0.7, "The one with the layer.", "the layer helps"],
  ]) {
    const { answer, sentence } = outcome(fake(layered, plain));
    assert.equal(options[answer], option);
    assert.ok(sentence.includes(words), sentence);
  }
});

test("an address holds what differs from the defaults, and is read back", () => {
  assert.equal(write(DEFAULTS, null), "");
  const settings = { ...DEFAULTS, data: "moons", depth: 8, decay: 0.01, seed: 7 };
  const address = write(settings, null);
  assert.equal(address, "data=moons&depth=8&decay=0.01&seed=7");
  assert.deepEqual(read(`#${address}`), { settings, experiment: null, complaint: "" });
});

test("an address can name an experiment, and its seed", () => {
  const experiment = find("batch");
  const settings = { ...settingsOf(experiment), seed: 3 };
  assert.equal(write(settings, experiment), "experiment=batch&seed=3");
  assert.deepEqual(read("#experiment=batch&seed=3"), { settings, experiment, complaint: "" });
});

test("what an address asks for in vain is told, and the default is taken", () => {
  const { settings, complaint } = read("#depth=99&rate=0.1&seed=-1&experiment=none");
  assert.deepEqual(settings, DEFAULTS);
  assert.ok(complaint.includes('There is no experiment "none", only rate, batch'));
  assert.ok(
    complaint.includes('Hidden layers can be 2, 3, 4, 5, 6, 7, 8, but not "99"; it is 4 now.'),
  );
  assert.ok(complaint.includes("The seed is a whole number from 0 to 999999"));
});

test("numbers are short, and what is not a number is a dash", () => {
  const shown = [0, 1, 0.12345, 1234.5, 123456, 0.000012, NaN, Infinity, undefined].map(short);
  assert.deepEqual(shown, ["0", "1", "0.123", "1230", "1.2e5", "1.2e-5", "–", "–", "–"]);
});

test("a diverged network is told of in a sentence", () => {
  const training = fake(0.9, null);
  assert.equal(failures(training).length, 1);
  assert.ok(progress(training).includes("without the layer diverged: at step 9"));
  assert.ok(!progress(training).includes("NaN"));
});
