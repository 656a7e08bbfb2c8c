// Steps per second of the playground's training, both networks and the test set's
// measurements included, without drawing:
//
//     node benchmarks/playground.mjs

import { unpackPictures } from "../playground/data.js";
import { PICTURES } from "../playground/pictures.js";
import { DEFAULTS, Training } from "../playground/training.js";

const pictures = unpackPictures(PICTURES);
for (const settings of [
  {},
  { activation: "tanh" },
  { batch: 256 },
  { width: 64, depth: 8 },
  { data: "pictures" },
]) {
  const training = new Training({ ...DEFAULTS, ...settings }, pictures);
  for (let i = 0; i < 200; i++) training.advance(); // until it is compiled
  const start = performance.now();
  const first = training.step;
  while (performance.now() < start + 2000) training.advance();
  const rate = (1000 * (training.step - first)) / (performance.now() - start);
  const { depth, width, batch } = training.settings;
  const what = `${depth} layers of ${width}, batches of ${batch}, ${JSON.stringify(settings)}`;
  console.log(`${rate.toFixed(0).padStart(5)} steps per second: ${what}`);
}
