import type { Float, Kernels } from '../../../binding.d.ts';
import { type LossOp, lossOps } from '../codes.ts';
import { Sum, sigmoid } from './math.ts';

/** Losses and derivatives of `count` elements from `first` on, written to the beginning of `values`. */
type Loop = (
  values: Float64Array,
  prediction: Float,
  target: Float,
  first: number,
  count: number,
  parameter: number,
) => void;

interface Rule {
  loss: Loop;
  /** ∂l/∂prediction */
  byPrediction: Loop;
  /** ∂l/∂target; none where it is −∂l/∂prediction. */
  byTarget?: Loop;
}

/** The floor that keeps a logarithm of a probability of 0, and so the loss, finite. */
const lowestLog = -100;
/** Likewise for the derivative, whose denominator p(1 − p) would be 0. */
const lowestVariance = 1e-12;

const rules: Record<LossOp, Rule> = {
  squaredError: {
    loss(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = (p[i] - t[i]) * (p[i] - t[i]);
    },
    byPrediction(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = 2 * (p[i] - t[i]);
    },
  },
  absoluteError: {
    loss(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = Math.abs(p[i] - t[i]);
    },
    byPrediction(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = Math.sign(p[i] - t[i]);
    },
  },
  huber: {
    loss(values, p, t, first, count, delta) {
      for (let n = 0, i = first; n < count; n++, i++) {
        const distance = Math.abs(p[i] - t[i]);
        values[n] = distance <= delta ? 0.5 * distance * distance : delta * (distance - 0.5 * delta);
      }
    },
    byPrediction(values, p, t, first, count, delta) {
      for (let n = 0, i = first; n < count; n++, i++) {
        const difference = p[i] - t[i];
        values[n] = Math.abs(difference) <= delta ? difference : delta * Math.sign(difference);
      }
    },
  },
  binaryCrossEntropy: {
    loss(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) {
        const logP = Math.max(Math.log(p[i]), lowestLog);
        const logQ = Math.max(Math.log1p(-p[i]), lowestLog);
        // Logarithms by a power of two smaller for the time being, so that no product with one overflows.
        values[n] = -128 * (t[i] * (logP / 128) + (1 - t[i]) * (logQ / 128));
      }
    },
    byPrediction(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) {
        values[n] = (p[i] - t[i]) / Math.max(p[i] * (1 - p[i]), lowestVariance);
      }
    },
    byTarget(values, p, _, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) {
        values[n] = Math.max(Math.log1p(-p[i]), lowestLog) - Math.max(Math.log(p[i]), lowestLog);
      }
    },
  },
  binaryCrossEntropyWithLogits: {
    loss(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) {
        // max(p, 0) − p·t as one product, which is as large as the loss.
        values[n] = p[i] * (Number(p[i] > 0) - t[i]) + Math.log1p(Math.exp(-Math.abs(p[i])));
      }
    },
    byPrediction(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = sigmoid(p[i]) - t[i];
    },
    byTarget(values, p, _, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = -p[i];
    },
  },
  crossEntropy: {
    loss(values, p, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) {
        values[n] = t[i] === 0 && Math.abs(p[i]) === Infinity ? 0 : -t[i] * p[i];
      }
    },
    byPrediction(values, _, t, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = -t[i];
    },
    byTarget(values, p, _, first, count) {
      for (let n = 0, i = first; n < count; n++, i++) values[n] = -p[i];
    },
  },
};

const rule = lossOps.map((name) => rules[name]);

/** Float64 values on their way to `out`: one chunk at a time, so that an op needs one loop and not one for each use. */
const chunk = new Float64Array(512);

/** out = scale · l without checks. */
export function applyLoss(
  out: Float,
  prediction: Float,
  target: Float,
  op: number,
  parameter: number,
  scale: number,
): void {
  const n = prediction.length;
  for (let first = 0; first < n; first += chunk.length) {
    const count = Math.min(chunk.length, n - first);
    rule[op].loss(chunk, prediction, target, first, count, parameter);
    for (let i = 0; i < count; i++) out[first + i] = scale * chunk[i];
  }
}

/** out = scale · gradient · ∂l/∂prediction or ∂l/∂target without checks; a step of 0 or 1. */
export function applyLossGradient(
  out: Float,
  gradient: Float,
  step: 0 | 1,
  prediction: Float,
  target: Float,
  op: number,
  parameter: number,
  scale: number,
  operand: 0 | 1,
): void {
  const n = prediction.length;
  const { byPrediction, byTarget } = rule[op];
  const run = operand === 1 && byTarget !== undefined ? byTarget : byPrediction;
  const factor = operand === 1 && byTarget === undefined ? -scale : scale;
  // A scale that makes smaller comes last: the gradient of a mean is small as it is.
  const [before, after] = step === 1 && Math.abs(factor) <= 1 ? [1, factor] : [factor, 1];
  for (let first = 0; first < n; first += chunk.length) {
    const count = Math.min(chunk.length, n - first);
    run(chunk, prediction, target, first, count, parameter);
    for (let i = 0; i < count; i++) {
      out[first + i] = before * gradient[(first + i) * step] * chunk[i] * after;
    }
  }
}

export const loss: Kernels['loss'] = (out, prediction, target, op, parameter, scale) => {
  const n = prediction.length;
  if (out.length === n) {
    applyLoss(out, prediction, target, op, parameter, scale);
    return;
  }
  const total = new Sum();
  for (let first = 0; first < n; first += chunk.length) {
    const count = Math.min(chunk.length, n - first);
    rule[op].loss(chunk, prediction, target, first, count, parameter);
    for (let i = 0; i < count; i++) total.add(chunk[i]);
  }
  out[0] = scale * total.value;
};

export const lossGradient: Kernels['lossGradient'] = (
  out,
  gradient,
  prediction,
  target,
  op,
  parameter,
  scale,
  operand,
) => {
  const step = gradient.length === prediction.length ? 1 : 0;
  applyLossGradient(out, gradient, step, prediction, target, op, parameter, scale, operand);
};
