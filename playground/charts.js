// Small charts as SVG: lines over steps or layers, histograms; and the decision surface
// on a canvas. Colors and strokes come from the style sheet, by the names of the series.

import { element, svg } from "./dom.js";
import { short } from "./words.js";

const WIDTH = 320;
const HEIGHT = 190;
const LEFT = 48;
const RIGHT = 312;
const TOP = 8;
const BOTTOM = 156;

// A frame with two axes. draw(...) sets the ends of the axes and redraws what is in it;
// `log` makes the vertical axis logarithmic.
class Chart {
  constructor(title, { xLabel, log = false, series }) {
    this.log = log;
    this.yTicks = [0, 1, 2].map(() => svg("text", { x: LEFT - 6, "text-anchor": "end" }));
    this.grid = [0, 1, 2].map(() => svg("line", { x1: LEFT, x2: RIGHT, class: "grid" }));
    this.xTicks = [0, 1, 2].map((i) =>
      svg("text", { y: BOTTOM + 14, "text-anchor": ["start", "middle", "end"][i] }),
    );
    this.paths = Object.fromEntries(series.map((name) => [name, svg("path", { class: name })]));
    const label = { x: (LEFT + RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" };
    this.picture = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
      ...this.grid,
      ...this.yTicks,
      ...this.xTicks,
      ...Object.values(this.paths),
      svg("text", label, xLabel),
    );
    this.title = title;
    this.heading = element("figcaption", {}, title);
    this.root = element("figure", {}, this.heading, this.picture);
    this.tell("");
  }

  // What a screen reader says of the picture, besides its title.
  tell(words) {
    this.picture.setAttribute("aria-label", `${this.title}. ${words}`);
  }

  rename(title) {
    this.title = title;
    this.heading.textContent = title;
  }

  setAxes(x0, x1, y0, y1) {
    Object.assign(this, { x0, x1, y0, y1 });
    const [low, high] = [y0, y1].map((y) => (this.log ? Math.log10(y) : y));
    this.y = (value) => {
      const scaled = this.log ? Math.log10(value) : value;
      const share = Math.max(-0.02, Math.min(1.02, (scaled - low) / (high - low)));
      return BOTTOM - share * (BOTTOM - TOP);
    };
    this.x = (value) => LEFT + ((value - x0) / (x1 - x0)) * (RIGHT - LEFT);
    const middle = (low + high) / 2;
    [low, middle, high].forEach((tick, i) => {
      const value = this.log ? 10 ** tick : tick;
      const y = this.y(value).toFixed(1);
      this.yTicks[i].setAttribute("y", Number(y) + 4);
      this.yTicks[i].textContent = short(value);
      this.grid[i].setAttribute("y1", y);
      this.grid[i].setAttribute("y2", y);
    });
    const between = (x0 + x1) / 2;
    this.setTicks([x0, Number.isInteger(x0 + x1) ? Math.round(between) : between, x1]);
  }

  setTicks(values) {
    values.forEach((value, i) => {
      this.xTicks[i].setAttribute("x", this.x(value).toFixed(1));
      this.xTicks[i].textContent = short(value);
    });
  }

  // A line through points [x, y]; it has a gap where y is not a number.
  line(name, points) {
    let path = "";
    let pen = "M";
    for (const [x, y] of points) {
      if (Number.isNaN(y) || (this.log && y <= 0)) pen = "M";
      else {
        path += `${pen}${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`;
        pen = "L";
      }
    }
    this.paths[name].setAttribute("d", path);
  }
}

// Lines over steps: each of `series` is a name and a function from a record to a number.
export class StepsChart extends Chart {
  constructor(title, { log, fixed, series }) {
    super(title, { xLabel: "steps", log, series: Object.keys(series) });
    this.series = series;
    this.fixed = fixed; // the ends of the vertical axis, where they don't depend on the run
  }

  draw(records) {
    const rows = Object.entries(this.series).map(([name, read]) => [
      name,
      records.map((entry) => [entry.step, read(entry)]),
    ]);
    const [low, high] =
      this.fixed ??
      ends(
        rows.flatMap(([, points]) => points),
        this.log,
      );
    this.setAxes(0, Math.max(10, records.at(-1).step), low, high);
    for (const [name, points] of rows) this.line(name, points);
  }
}

// Lines over other things, which the caller has counted: x from `from` on.
export class LinesChart extends Chart {
  // values: {series: array of numbers}
  draw(from, values) {
    const rows = Object.entries(values).map(([name, list]) => [
      name,
      list.map((value, i) => [from + i, value]),
    ]);
    const points = rows.flatMap(([, list]) => list);
    const last = Math.max(from + 1, ...points.map(([x]) => x));
    this.setAxes(from, last, ...ends(points, this.log));
    for (const [name, list] of rows) this.line(name, list);
  }
}

// Shares of values in bins, from one end of all of them to the other.
export class Histogram extends Chart {
  draw(values) {
    let low = Infinity;
    let high = -Infinity;
    for (const list of Object.values(values)) {
      for (const value of list) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) [low, high] = [0, 0]; // no values
    if (low === high) [low, high] = [low - 1, high + 1];
    const bins = 40;
    const shares = Object.entries(values).map(([name, list]) => {
      const counts = new Float64Array(bins);
      const scale = bins / (high - low);
      for (const value of list) counts[Math.min(bins - 1, Math.floor((value - low) * scale))]++;
      return [name, counts.map((count) => count / Math.max(1, list.length))];
    });
    const top = Math.max(...shares.flatMap(([, counts]) => [...counts]), 0.01);
    this.setAxes(low, high, 0, top);
    for (const [name, counts] of shares) {
      let path = `M${LEFT},${BOTTOM}`;
      counts.forEach((share, i) => {
        const right = LEFT + ((i + 1) * (RIGHT - LEFT)) / bins;
        path += `V${this.y(share).toFixed(1)}H${right.toFixed(1)}`;
      });
      this.paths[name].setAttribute("d", `${path}V${BOTTOM}`);
    }
  }
}

const FAR = 1e4; // what diverges leaves the chart, and does not flatten all else

// Round ends for an axis that shows all of these points.
function ends(points, log) {
  const values = points.map(([, y]) => y).filter((y) => Math.abs(y) < FAR && (!log || y > 0));
  if (!values.length) return log ? [0.1, 10] : [0, 1];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) {
    low = 10 ** Math.floor(Math.log10(low));
    high = 10 ** Math.ceil(Math.log10(high));
    return low < high ? [low, high] : [low / 10, high * 10];
  }
  if (low > 0) low = 0;
  if (low === high) return [low - 1, high + 1];
  const unit = 10 ** Math.floor(Math.log10(high - low)) / 2;
  return [Math.floor(low / unit) * unit, Math.ceil(high / unit) * unit];
}

const GRID = 48; // points of the surface along each side
const REACH = 1.3; // from -REACH to REACH

// How sure a network is of each class over the plane, with points of the test set on it:
// rings for one class, crosses for the other.
export class Surface {
  constructor(title) {
    this.canvas = element("canvas", { width: 240, height: 240, role: "img" });
    this.root = element("figure", {}, element("figcaption", {}, title), this.canvas);
    this.title = title;
    this.image = new ImageData(GRID, GRID);
    this.small = element("canvas", { width: GRID, height: GRID });
    this.X = new Float64Array(2 * GRID);
    this.row = 0;
    this.tell("");
  }

  tell(words) {
    this.canvas.setAttribute("aria-label", `${this.title}. ${words}`);
  }

  // Computes rows until `until`, or all of them; then shows them. Rows that were computed
  // before a step or two are as good.
  draw(net, test, until = Infinity) {
    this.trace ??= net.makeTrace(GRID);
    for (let count = 0; count < GRID; count++) {
      this.computeRow(net);
      if (performance.now() > until) break;
    }
    this.small.getContext("2d").putImageData(this.image, 0, 0);
    const context = this.canvas.getContext("2d");
    const side = this.canvas.width;
    context.drawImage(this.small, 0, 0, side, side);
    const place = (value) => ((value + REACH) / (2 * REACH)) * side;
    for (const label of [0, 1]) {
      context.beginPath();
      context.strokeStyle = label ? "#4d2a00" : "#061f3a";
      for (let i = 0; i < 120; i++) {
        if (test.labels[i] !== label) continue;
        const [x, y] = [place(test.X[2 * i]), side - place(test.X[2 * i + 1])];
        if (label) {
          context.moveTo(x - 3, y - 3);
          context.lineTo(x + 3, y + 3);
          context.moveTo(x - 3, y + 3);
          context.lineTo(x + 3, y - 3);
        } else {
          context.moveTo(x + 3, y);
          context.arc(x, y, 3, 0, 2 * Math.PI);
        }
      }
      context.stroke();
    }
  }

  computeRow(net) {
    const { X, image, row } = this;
    for (let column = 0; column < GRID; column++) {
      X[2 * column] = ((column + 0.5) / GRID) * 2 * REACH - REACH;
      X[2 * column + 1] = REACH - ((row + 0.5) / GRID) * 2 * REACH;
    }
    const probabilities = net.forward(X, GRID, this.trace, false);
    for (let column = 0; column < GRID; column++) {
      image.data.set(mix(probabilities[2 * column + 1]), 4 * (row * GRID + column));
    }
    this.row = (row + 1) % GRID;
  }
}

// From a darker blue for class 0 over white to a lighter orange for class 1.
function mix(share) {
  if (!(share >= 0)) return [128, 128, 128, 255];
  const color = share < 0.5 ? [96, 150, 212] : [250, 208, 120];
  const strength = Math.abs(share - 0.5) * 2;
  return [...color.map((part) => 250 - strength * (250 - part)), 255];
}
