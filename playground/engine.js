// A network of dense layers, with or without batch normalization: forward, backward,
// moving statistics, and update, as MXNet computes them on a CPU.
//
// Matrices are Float64Arrays, one row per example; weights are (outputs, inputs), as in
// MXNet. tests/playground compares gradients with numerical ones, and 20 steps of
// training with MXNet's.

export const EPS = 1e-5;

// forward: a from y; backward: the gradient of y from a and its gradient. Each has loops of
// its own, since a call per number would take longer than what it computes.
const ACTIVATIONS = {
  relu: {
    forward(y, a, size) {
      // NaN stays NaN, so that a run that diverges is told.
      for (let i = 0; i < size; i++) a[i] = y[i] <= 0 ? 0 : y[i];
    },
    backward(a, da, dy, size) {
      for (let i = 0; i < size; i++) dy[i] = a[i] > 0 ? da[i] : 0;
    },
  },
  tanh: {
    forward(y, a, size) {
      for (let i = 0; i < size; i++) a[i] = Math.tanh(y[i]);
    },
    backward(a, da, dy, size) {
      for (let i = 0; i < size; i++) dy[i] = da[i] * (1 - a[i] * a[i]);
    },
  },
  sigmoid: {
    forward(y, a, size) {
      for (let i = 0; i < size; i++) a[i] = 1 / (1 + Math.exp(-y[i]));
    },
    backward(a, da, dy, size) {
      for (let i = 0; i < size; i++) dy[i] = da[i] * a[i] * (1 - a[i]);
    },
  },
};

// The standard deviation of initial weights, for a layer's numbers of inputs and outputs.
export const INITIAL_DEVIATION = {
  xavier: (inputs, outputs) => Math.sqrt(2 / (inputs + outputs)),
  he: (inputs) => Math.sqrt(2 / inputs),
  small: () => 0.01,
  large: (inputs, outputs) => 10 * Math.sqrt(2 / (inputs + outputs)),
};

const zeros = (size) => new Float64Array(size);

// parameters: dense layers W and b, and with `normalize` for each hidden one gamma, beta,
// moving_mean and moving_var. Biases and beta start at 0, gamma at 1.
export class Network {
  // inputs, width, depth (number of hidden layers), classes: sizes.
  // activation: a name in ACTIVATIONS. normal: a function that returns standard normal
  // numbers. initial: a name in INITIAL_DEVIATION. momentum: the weight of the OLD value.
  constructor({ inputs, width, depth, classes, activation, normalize, momentum, initial, normal }) {
    Object.assign(this, { inputs, classes, normalize, momentum });
    this.activation = ACTIVATIONS[activation];
    this.layers = Array.from({ length: depth + 1 }, (_, index) => {
      const ins = index ? width : inputs;
      const outs = index < depth ? width : classes;
      const deviation = INITIAL_DEVIATION[initial](ins, outs);
      const layer = {
        ins,
        outs,
        hidden: index < depth,
        W: zeros(ins * outs).map(() => deviation * normal()),
        b: zeros(outs),
        dW: zeros(ins * outs),
        db: zeros(outs),
      };
      if (layer.hidden && normalize) {
        layer.gamma = zeros(outs).fill(1);
        layer.beta = zeros(outs);
        layer.dgamma = zeros(outs);
        layer.dbeta = zeros(outs);
        layer.moving_mean = zeros(outs);
        layer.moving_var = zeros(outs).fill(1);
      }
      return layer;
    });
  }

  // Room for what a forward pass of up to `rows` examples leaves behind, layer by layer:
  // x, the layer's input (rows, ins); z = x W' + b; normalized, y: after the
  // normalization, without and with gamma and beta; a: after the activation; all of them
  // (rows, outs). mean, variance, scale = 1 / sqrt(variance + EPS): one per feature.
  makeTrace(rows) {
    return {
      rows: 0,
      probabilities: zeros(rows * this.classes),
      layers: this.layers.map(({ ins, outs, hidden, gamma }) => {
        const z = zeros(rows * outs);
        return {
          x: null,
          z,
          normalized: gamma && zeros(rows * outs),
          y: gamma ? zeros(rows * outs) : z,
          a: hidden && zeros(rows * outs),
          dy: zeros(rows * outs), // the gradient's way back
          dx: zeros(rows * ins),
          mean: gamma && zeros(outs),
          variance: gamma && zeros(outs),
          scale: gamma && zeros(outs),
        };
      }),
    };
  }

  // Fills `trace` for the first `rows` rows of X, and returns its probabilities.
  // training: normalize by the batch's own statistics, else by the moving ones.
  forward(X, rows, trace, training) {
    trace.rows = rows;
    let x = X;
    this.layers.forEach((layer, index) => {
      const t = trace.layers[index];
      t.x = x;
      affine(x, rows, layer, t.z);
      if (layer.gamma) {
        if (training) batchStatistics(t, rows, layer.outs);
        else movingStatistics(t, layer);
        standardize(t, rows, layer);
      }
      if (layer.hidden) {
        this.activation.forward(t.y, t.a, rows * layer.outs);
        x = t.a;
      }
    });
    softmax(trace.layers.at(-1).z, rows, this.classes, trace.probabilities);
    return trace.probabilities;
  }

  // Gradients of the mean cross-entropy, after a forward pass in training mode. As in
  // MXNet on a CPU, this is also where the moving statistics are updated, with the
  // biased variance.
  backward(labels, trace) {
    const { rows, probabilities } = trace;
    const last = trace.layers.at(-1).dy;
    for (let i = 0; i < rows * this.classes; i++) last[i] = probabilities[i] / rows;
    for (let r = 0; r < rows; r++) last[r * this.classes + labels[r]] -= 1 / rows;
    for (let index = this.layers.length - 1; index >= 0; index--) {
      const layer = this.layers[index];
      const t = trace.layers[index];
      if (layer.hidden) {
        const da = trace.layers[index + 1].dx;
        this.activation.backward(t.a, da, t.dy, rows * layer.outs);
      }
      if (layer.gamma) {
        standardizeBackward(t, rows, layer);
        updateMoving(t, layer, this.momentum);
      }
      affineBackward(t, rows, layer, index > 0);
    }
  }

  // One step of gradient descent. As in Gluon, weight decay shrinks every parameter,
  // gamma, beta and biases included.
  update(rate, decay) {
    for (const layer of this.layers) {
      descend(layer.W, layer.dW, rate, decay);
      descend(layer.b, layer.db, rate, decay);
      if (!layer.gamma) continue;
      descend(layer.gamma, layer.dgamma, rate, decay);
      descend(layer.beta, layer.dbeta, rate, decay);
    }
  }
}

// The mean cross-entropy of a forward pass, and the share of right answers, both over its
// first `rows` examples.
export function judge({ layers }, labels, classes, rows) {
  const { z } = layers.at(-1);
  let loss = 0;
  let right = 0;
  for (let r = 0; r < rows; r++) {
    const start = r * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) if (z[start + c] > z[start + best]) best = c;
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(z[start + c] - z[start + best]);
    // Not the logarithm of a probability, which may have become 0.
    loss += Math.log(sum) - (z[start + labels[r]] - z[start + best]);
    right += best === labels[r];
  }
  return { loss: loss / rows, accuracy: right / rows };
}

function descend(values, gradient, rate, decay) {
  for (let i = 0; i < values.length; i++) {
    values[i] -= rate * (gradient[i] + decay * values[i]);
  }
}

// z = x W' + b. Four outputs at a time, so that each input is read once for all four.
function affine(x, rows, { W, b, ins, outs }, z) {
  for (let r = 0; r < rows; r++) {
    const x0 = r * ins;
    const z0 = r * outs;
    let o = 0;
    for (; o + 3 < outs; o += 4) {
      const w0 = o * ins;
      const w1 = w0 + ins;
      const w2 = w1 + ins;
      const w3 = w2 + ins;
      let s0 = b[o];
      let s1 = b[o + 1];
      let s2 = b[o + 2];
      let s3 = b[o + 3];
      for (let i = 0; i < ins; i++) {
        const value = x[x0 + i];
        s0 += value * W[w0 + i];
        s1 += value * W[w1 + i];
        s2 += value * W[w2 + i];
        s3 += value * W[w3 + i];
      }
      z[z0 + o] = s0;
      z[z0 + o + 1] = s1;
      z[z0 + o + 2] = s2;
      z[z0 + o + 3] = s3;
    }
    for (; o < outs; o++) {
      let sum = b[o];
      for (let i = 0; i < ins; i++) sum += x[x0 + i] * W[o * ins + i];
      z[z0 + o] = sum;
    }
  }
}

// From dy, which is the gradient of z here: dW, db and, for all but the first layer, dx.
// Four at a time, too: what is added to is read and written once for all four.
function affineBackward({ x, dy, dx }, rows, layer, wantsInput) {
  weightGradient(x, dy, rows, layer);
  if (wantsInput) inputGradient(dy, dx, rows, layer);
}

function weightGradient(x, dy, rows, { dW, db, ins, outs }) {
  dW.fill(0);
  db.fill(0);
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const x0 = r * ins;
    const x1 = x0 + ins;
    const x2 = x1 + ins;
    const x3 = x2 + ins;
    for (let o = 0; o < outs; o++) {
      const d0 = dy[r * outs + o];
      const d1 = dy[(r + 1) * outs + o];
      const d2 = dy[(r + 2) * outs + o];
      const d3 = dy[(r + 3) * outs + o];
      db[o] += d0 + d1 + d2 + d3;
      const w0 = o * ins;
      for (let i = 0; i < ins; i++) {
        dW[w0 + i] += d0 * x[x0 + i] + d1 * x[x1 + i] + d2 * x[x2 + i] + d3 * x[x3 + i];
      }
    }
  }
  for (; r < rows; r++) {
    for (let o = 0; o < outs; o++) {
      const d = dy[r * outs + o];
      db[o] += d;
      for (let i = 0; i < ins; i++) dW[o * ins + i] += d * x[r * ins + i];
    }
  }
}

function inputGradient(dy, dx, rows, { W, ins, outs }) {
  dx.fill(0, 0, rows * ins);
  for (let r = 0; r < rows; r++) {
    const x0 = r * ins;
    let o = 0;
    for (; o + 3 < outs; o += 4) {
      const d0 = dy[r * outs + o];
      const d1 = dy[r * outs + o + 1];
      const d2 = dy[r * outs + o + 2];
      const d3 = dy[r * outs + o + 3];
      const w0 = o * ins;
      const w1 = w0 + ins;
      const w2 = w1 + ins;
      const w3 = w2 + ins;
      for (let i = 0; i < ins; i++) {
        dx[x0 + i] += d0 * W[w0 + i] + d1 * W[w1 + i] + d2 * W[w2 + i] + d3 * W[w3 + i];
      }
    }
    for (; o < outs; o++) {
      const d = dy[r * outs + o];
      for (let i = 0; i < ins; i++) dx[x0 + i] += d * W[o * ins + i];
    }
  }
}

function batchStatistics({ z, mean, variance, scale }, rows, outs) {
  mean.fill(0);
  variance.fill(0);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) mean[o] += z[r * outs + o];
  }
  for (let o = 0; o < outs; o++) mean[o] /= rows;
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) variance[o] += (z[r * outs + o] - mean[o]) ** 2;
  }
  for (let o = 0; o < outs; o++) {
    variance[o] /= rows;
    scale[o] = 1 / Math.sqrt(variance[o] + EPS);
  }
}

function movingStatistics({ mean, variance, scale }, layer) {
  mean.set(layer.moving_mean);
  variance.set(layer.moving_var);
  for (let o = 0; o < layer.outs; o++) scale[o] = 1 / Math.sqrt(variance[o] + EPS);
}

function updateMoving({ mean, variance }, { moving_mean, moving_var, outs }, momentum) {
  for (let o = 0; o < outs; o++) {
    moving_mean[o] = momentum * moving_mean[o] + (1 - momentum) * mean[o];
    moving_var[o] = momentum * moving_var[o] + (1 - momentum) * variance[o];
  }
}

function standardize({ z, normalized, y, mean, scale }, rows, { gamma, beta, outs }) {
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) {
      const i = r * outs + o;
      normalized[i] = (z[i] - mean[o]) * scale[o];
      y[i] = gamma[o] * normalized[i] + beta[o];
    }
  }
}

// Turns dy, the gradient of y, into that of z: it loses its mean and its part along the
// normalized values.
function standardizeBackward({ dy, normalized, scale }, rows, { gamma, dgamma, dbeta, outs }) {
  dgamma.fill(0);
  dbeta.fill(0);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) {
      const i = r * outs + o;
      dbeta[o] += dy[i];
      dgamma[o] += dy[i] * normalized[i];
    }
  }
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) {
      const i = r * outs + o;
      const left = dy[i] - dbeta[o] / rows - (normalized[i] * dgamma[o]) / rows;
      dy[i] = gamma[o] * scale[o] * left;
    }
  }
}

// Less the row's largest number, which changes nothing but keeps exp finite.
function softmax(z, rows, classes, probabilities) {
  for (let r = 0; r < rows; r++) {
    const start = r * classes;
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, z[start + c]);
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      sum += probabilities[start + c] = Math.exp(z[start + c] - largest);
    }
    for (let c = 0; c < classes; c++) probabilities[start + c] /= sum;
  }
}
