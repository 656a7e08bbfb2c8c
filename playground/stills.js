// Writes pictures of guided experiments, for paper and for browsers without JavaScript:
//
//     node playground/stills.js      # make refresh runs it
//
// stills/ID.svg and stills.json, {ID: {title, file, alt, caption}}. _ext/playground.py shows them.

import { mkdirSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { unpackPictures } from "./data.js";
import { EXPERIMENTS, settingsOf } from "./experiments.js";
import { PICTURES } from "./pictures.js";
import { Training } from "./training.js";
import { percent } from "./words.js";

// The experiment, run to its end from the default seed.
export function runToItsEnd(experiment) {
  const training = new Training(settingsOf(experiment), unpackPictures(PICTURES));
  while (training.step < experiment.steps && !training.finished) training.advance();
  training.record();
  return training;
}

const WIDTH = 480;
const HEIGHT = 240;
const [LEFT, RIGHT, TOP, BOTTOM] = [48, 464, 12, 196];
// Those of utils/plotting.py, which can be seen on white and on dark pages.
const GRAY = "#767676";
const LINES = [
  ["with, in training mode", (entry) => entry.with.training, 'stroke="#1164b2"'],
  [
    "with, in prediction mode",
    (entry) => entry.with.prediction,
    'stroke="#1164b2" stroke-dasharray="7 4"',
  ],
  [
    "without the layer",
    (entry) => entry.without.prediction,
    'stroke="#c9840b" stroke-dasharray="2 3"',
  ],
];

// Accuracy on the test set over the steps.
export function picture({ records, step }) {
  const x = (value) => (LEFT + (value / step) * (RIGHT - LEFT)).toFixed(1);
  const y = (share) => (BOTTOM - share * (BOTTOM - TOP)).toFixed(1);
  const text = (left, top, words, anchor = "middle") =>
    `<text x="${left}" y="${top}" text-anchor="${anchor}">${words}</text>`;
  const parts = [0, 0.5, 1].flatMap((share) => [
    `<path d="M${LEFT},${y(share)}H${RIGHT}" stroke="${GRAY}" stroke-width="0.5"/>`,
    text(LEFT - 6, Number(y(share)) + 4, percent(share), "end"),
  ]);
  LINES.forEach(([name, read, look], i) => {
    const points = records
      .filter((entry) => read(entry).accuracy >= 0)
      .map((entry) => `${x(entry.step)},${y(read(entry).accuracy)}`);
    parts.push(`<polyline points="${points.join(" ")}" fill="none" stroke-width="2" ${look}/>`);
    const left = 10 + i * 160;
    parts.push(`<path d="M${left},232h22" stroke-width="2" ${look}/>`);
    parts.push(text(left + 27, 236, name, "start"));
  });
  parts.push(text(LEFT, BOTTOM + 16, "0"), text(RIGHT, BOTTOM + 16, `${step} steps`, "end"));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" ` +
    `viewBox="0 0 ${WIDTH} ${HEIGHT}" fill="${GRAY}" ` +
    `font-family="sans-serif" font-size="11">\n${parts.join("\n")}\n</svg>\n`
  );
}

export function description(experiment, training) {
  const { sentence } = experiment.outcome(training);
  return {
    title: experiment.title,
    file: `stills/${experiment.id}.svg`,
    alt:
      `Three curves over ${training.step} steps: accuracy on the test set with the layer, ` +
      `in training and in prediction mode, and without it. ${sentence}`,
    caption: `One run of “${experiment.title}”. ${experiment.scene} ${sentence}`,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const folder = new URL("stills/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const said = {};
  for (const experiment of EXPERIMENTS) {
    const training = runToItsEnd(experiment);
    said[experiment.id] = description(experiment, training);
    writeFileSync(new URL(`${experiment.id}.svg`, folder), picture(training));
  }
  const text = `${JSON.stringify(said, null, 1)}\n`;
  writeFileSync(new URL("stills.json", import.meta.url), text);
}
