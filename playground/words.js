// What the playground says: names of settings and choices, numbers, and sentences about
// a run. All of it is computed from the run.

import { LAST_STEP } from "./training.js";

// For each setting its label and, where a choice is not its own name, the choices' names.
export const LABELS = {
  data: ["Data"],
  depth: ["Hidden layers"],
  width: ["Width"],
  activation: ["Activation", { relu: "ReLU" }],
  initial: [
    "Initial weights",
    {
      xavier: "Xavier",
      he: "He",
      small: "N(0, 0.01²)",
      large: "10 × Xavier",
    },
  ],
  rate: ["Learning rate"],
  batch: ["Batch size"],
  momentum: ["Momentum of the moving statistics"],
  decay: ["Weight decay"],
  seed: ["Seed"],
};

export function nameOf(setting, choice) {
  return LABELS[setting][1]?.[choice] ?? String(choice);
}

export const percent = (share) => `${Math.round(100 * share)}%`;

// Three digits, and none of the many that a very large or small number would have.
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e4 || size < 1e-3) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

const SIDES = { with: "with the layer", without: "without the layer" };

// One sentence for each network whose numbers are no longer finite.
export function failures({ sides }) {
  return sides
    .filter(({ failedAt }) => failedAt !== null)
    .map(
      ({ name, failedAt }) =>
        `The network ${SIDES[name]} diverged: at step ${failedAt} its numbers grew past ` +
        `what a computer can hold, and it stopped there.`,
    );
}

// How far a run has come, for the line below the buttons and for screen readers.
export function progress(training) {
  const { latest, step } = training;
  const said = [`Step ${step}.`];
  if (training.layered.failedAt === null) {
    const { training: own, prediction } = latest.with;
    said.push(
      `With the layer: ${percent(own.accuracy)} of the test set right in training mode, ` +
        `${percent(prediction.accuracy)} in prediction mode.`,
    );
  }
  if (training.plain.failedAt === null) {
    said.push(`Without: ${percent(latest.without.prediction.accuracy)}.`);
  }
  said.push(...failures(training));
  if (step >= LAST_STEP) said.push(`A run ends after ${LAST_STEP} steps.`);
  return said.join(" ");
}
