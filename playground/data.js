// The data sets: two-dimensional ones, made here, and pictures, unpacked from
// pictures.js. Each is {inputs, classes, train, test}, and train and test are
// {X, labels, count}: X has `count` rows of `inputs` numbers, labels a class for each.

import { normalStream, shuffle, uniformStream } from "./random.js";

const TRAIN = 1000; // of the two-dimensional sets
const TEST = 400;

// Points of class 0 or 1, for a share from 0 to 1 of the way along their curve.
const CURVES = {
  spirals(label, share) {
    const angle = 3.2 * Math.PI * share + Math.PI * label;
    const radius = 0.1 + 0.9 * share;
    return [radius * Math.cos(angle), radius * Math.sin(angle), 0.03];
  },
  circles(label, share) {
    const angle = 2 * Math.PI * share;
    const radius = label ? 0.4 : 0.85;
    return [radius * Math.cos(angle), radius * Math.sin(angle), 0.1];
  },
  moons(label, share) {
    const side = label ? -1 : 1; // the second is the first, turned by half a turn
    const angle = Math.PI * share;
    const [x, y] = [0.55 * Math.cos(angle) - 0.275, 0.55 * Math.sin(angle) - 0.14];
    return [side * x, side * y, 0.08];
  },
};

export const PLANE = Object.keys(CURVES);

// One of the sets in PLANE. Coordinates are in about [-1, 1].
export function makePoints(name, seed) {
  const uniform = uniformStream(seed, "points");
  const normal = normalStream(seed, "noise");
  const draw = (count) => {
    const X = new Float64Array(2 * count);
    const labels = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      labels[i] = i % 2;
      const [x, y, noise] = CURVES[name](labels[i], uniform());
      X[2 * i] = x + noise * normal();
      X[2 * i + 1] = y + noise * normal();
    }
    return { X, labels, count };
  };
  return { inputs: 2, classes: 2, train: draw(TRAIN), test: draw(TEST) };
}

export const SIDE = 14; // pixels of a picture
export const KINDS = [
  "T-shirt",
  "trousers",
  "pullover",
  "dress",
  "coat",
  "sandal",
  "shirt",
  "sneaker",
  "bag",
  "ankle boot",
];

// packed: base64 of two pixels per byte, the upper four bits first, 0 to 15 for 0 to 1.
// Picture i is of class i % 10; the last fifth is the test set.
export function unpackPictures(packed) {
  const bytes = atob(packed);
  const pixels = SIDE * SIDE;
  const count = (2 * bytes.length) / pixels;
  const X = new Float64Array(count * pixels);
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes.charCodeAt(i);
    X[2 * i] = (byte >> 4) / 15;
    X[2 * i + 1] = (byte & 15) / 15;
  }
  const labels = Uint8Array.from({ length: count }, (_, i) => i % KINDS.length);
  const first = (count * 4) / 5;
  return {
    inputs: pixels,
    classes: KINDS.length,
    train: { X: X.subarray(0, first * pixels), labels: labels.subarray(0, first), count: first },
    test: { X: X.subarray(first * pixels), labels: labels.subarray(first), count: count - first },
  };
}

// The training set's batches for ever, in a new order for each pass. What is left of a
// pass that is less than a batch is not used, so that no batch is smaller than the others.
export class Batches {
  constructor({ X, labels, count }, size, seed) {
    this.source = { X, labels, inputs: X.length / count };
    this.uniform = uniformStream(seed, "order");
    this.order = Array.from({ length: count }, (_, i) => i);
    this.next = count;
    this.X = new Float64Array(size * this.source.inputs);
    this.labels = new Uint8Array(size);
  }

  // Puts the next batch into X and labels.
  draw() {
    const size = this.labels.length;
    if (this.next + size > this.order.length) {
      shuffle(this.order, this.uniform);
      this.next = 0;
    }
    const { X, labels, inputs } = this.source;
    for (let row = 0; row < size; row++) {
      const from = this.order[this.next++];
      this.labels[row] = labels[from];
      this.X.set(X.subarray(from * inputs, (from + 1) * inputs), row * inputs);
    }
  }
}
