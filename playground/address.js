// The settings in the page's address, behind its #: only what differs from the defaults,
// or the name of a guided experiment, as in #experiment=rate&seed=3.

import { EXPERIMENTS, settingsOf } from "./experiments.js";
import { CHOICES, DEFAULTS, LARGEST_SEED } from "./training.js";
import { LABELS } from "./words.js";

// Returns {settings, experiment, complaint}: an experiment or null, and a sentence on what
// the address asks for and can't have, or "".
export function read(hash) {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const complaints = [];
  const experiment = EXPERIMENTS.find(({ id }) => id === asked.get("experiment")) ?? null;
  if (asked.has("experiment") && !experiment) {
    const known = EXPERIMENTS.map(({ id }) => id).join(", ");
    complaints.push(`There is no experiment "${asked.get("experiment")}", only ${known}.`);
  }
  const settings = experiment ? settingsOf(experiment) : { ...DEFAULTS };
  for (const [name, [, choices]] of Object.entries(CHOICES)) {
    if (!asked.has(name) || experiment) continue;
    const choice = choices.find((one) => String(one) === asked.get(name));
    if (choice !== undefined) settings[name] = choice;
    else {
      complaints.push(
        `${LABELS[name][0]} can be ${choices.join(", ")}, but not "${asked.get(name)}"; ` +
          `it is ${settings[name]} now.`,
      );
    }
  }
  if (asked.has("seed")) {
    const seed = toSeed(asked.get("seed"));
    if (seed !== null) settings.seed = seed;
    else complaints.push(`The seed is a whole number from 0 to ${LARGEST_SEED}; it is 1 now.`);
  }
  return { settings, experiment, complaint: complaints.join(" ") };
}

// A whole number from 0 to LARGEST_SEED, or null.
export function toSeed(text) {
  return /^\d{1,6}$/.test(text) ? Number(text) : null;
}

export function write(settings, experiment) {
  const start = experiment ? settingsOf(experiment) : DEFAULTS;
  const parts = Object.keys(DEFAULTS)
    .filter((name) => settings[name] !== start[name])
    .map((name) => `${name}=${settings[name]}`);
  if (experiment) parts.unshift(`experiment=${experiment.id}`);
  return parts.join("&");
}
