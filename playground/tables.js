// The numbers behind the charts, as tables.

import { element } from "./dom.js";
import { percent, short } from "./words.js";

// What both networks have come to.
export function numbersTable(training) {
  const { latest, sides, step, settings } = training;
  const both = (write) => sides.map((side) => write(side, latest[side.name]));
  const rows = [
    ["accuracy, training mode", ...both((_, now) => share(now.training.accuracy))],
    ["accuracy, prediction mode", ...both((_, now) => share(now.prediction.accuracy))],
    ["loss, training mode", ...both((_, now) => short(now.training.loss))],
    ["loss, prediction mode", ...both((_, now) => short(now.prediction.loss))],
    ["loss of the last training batch", ...both((side) => short(side.loss))],
  ];
  for (let k = 0; k <= settings.depth; k++) {
    const name = k < settings.depth ? `layer ${k + 1}` : "last layer";
    rows.push(
      [`${name}: length of the weights`, ...both((_, now) => short(now.lengths[k]))],
      [`${name}: length of the gradient`, ...both((_, now) => short(now.gradients[k]))],
    );
    if (k === settings.depth) continue;
    const statistics = training.layered.recent.at(-1)?.[k];
    rows.push(
      [`${name}: into the activation`, ...both((side) => spread(side.trace, k, settings.batch))],
      [`${name}, first feature: mean of the batch`, short(statistics?.mean), "–"],
      [`${name}, first feature: moving mean`, short(statistics?.movingMean), "–"],
      [`${name}, first feature: variance of the batch`, short(statistics?.variance), "–"],
      [`${name}, first feature: moving variance`, short(statistics?.movingVariance), "–"],
    );
  }
  return table(`At step ${step}`, ["", "with the layer", "without"], rows);
}

// Loss and accuracy on the test set, over the steps.
export function historyTable({ records }) {
  const rows = records.map(({ step, with: layered, without }) => [
    String(step),
    share(layered.training.accuracy),
    share(layered.prediction.accuracy),
    share(without.prediction.accuracy),
    short(layered.training.loss),
    short(layered.prediction.loss),
    short(without.prediction.loss),
  ]);
  const heads = ["step"];
  for (const what of ["accuracy", "loss"]) {
    heads.push(`${what}: with, training mode`, `${what}: with, prediction mode`);
    heads.push(`${what}: without`);
  }
  return table("Over the steps, on the test set", heads, rows);
}

const share = (value) => (value >= 0 ? percent(value) : "–");

// Mean and deviation of what goes into the activation of hidden layer k.
function spread({ rows, layers }, k, batch) {
  if (!rows) return "–";
  const { y } = layers[k];
  const count = (y.length / batch) * rows;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < count; i++) sum += y[i];
  for (let i = 0; i < count; i++) squares += (y[i] - sum / count) ** 2;
  return `${short(sum / count)} ± ${short(Math.sqrt(squares / count))}`;
}

function table(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(([name, ...cells]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      ...cells.map((cell) => element("td", {}, cell)),
    ),
  );
  const made = element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, head),
    element("tbody", {}, ...body),
  );
  // It scrolls, and what scrolls must be reachable by keyboard.
  const frame = { class: "frame", tabindex: "0", role: "region", "aria-label": caption };
  return element("div", frame, made);
}
