/** Metrics of predicted quantities. Sums are taken in float64. */
import { ShapeError } from '../../errors.ts';
import { sameShape, show } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import { type Metric, meanMetric } from './metric.ts';

function checkAlike(name: string, prediction: Tensor, target: Tensor): void {
  if (sameShape(prediction.shape, target.shape)) return;
  throw new ShapeError(
    `[${name}] expected prediction and target of one shape, got ${show(prediction.shape)} and ${show(target.shape)}`,
  );
}

/** Σ |p − t| / n over all elements, in the units of the target. Shapes agree. */
export function meanAbsoluteError(): Metric {
  return meanMetric('meanAbsoluteError', (prediction, target) => {
    checkAlike('meanAbsoluteError', prediction, target);
    let sum = 0;
    for (let i = 0; i < target.size; i++) sum += Math.abs(prediction.data[i] - target.data[i]);
    return { sum, count: target.size };
  });
}

/** √(Σ (p − t)² / n) over all elements, in the units of the target. Shapes agree. */
export function rootMeanSquaredError(): Metric {
  return meanMetric(
    'rootMeanSquaredError',
    (prediction, target) => {
      checkAlike('rootMeanSquaredError', prediction, target);
      let sum = 0;
      for (let i = 0; i < target.size; i++) sum += (prediction.data[i] - target.data[i]) ** 2;
      return { sum, count: target.size };
    },
    Math.sqrt,
  );
}

/** One output of the sums behind R². */
interface Output {
  count: number;
  mean: number;
  /** Σ (t − mean)² */
  spread: number;
  /** Σ (p − t)² */
  error: number;
}

/**
 * R² = 1 − Σ(p − t)² / Σ(t − mean t)², the coefficient of determination; for several outputs [batch, ...outputs] the mean
 * of theirs. 1 is perfect, 0 what predicting the mean reaches. For an output whose targets are all equal: 1 when every
 * prediction is exact, otherwise 0.
 */
export function r2(): Metric {
  return {
    name: 'r2',
    start() {
      let outputs: Output[] = [];
      return {
        add(prediction, target) {
          checkAlike('r2', prediction, target);
          const width = target.size / target.shape[0];
          if (outputs.length === 0) {
            outputs = Array.from({ length: width }, () => ({ count: 0, mean: 0, spread: 0, error: 0 }));
          }
          if (outputs.length !== width) {
            throw new ShapeError(`[r2] expected ${outputs.length} outputs as before, got ${width}`);
          }
          for (let i = 0; i < target.size; i++) {
            const output = outputs[i % width];
            const value = target.data[i];
            // Welford (1962): a running mean, as Σt² − (Σt)²/n cancels where the mean is large.
            output.count++;
            const away = value - output.mean;
            output.mean += away / output.count;
            output.spread += away * (value - output.mean);
            output.error += (prediction.data[i] - value) ** 2;
          }
        },
        result() {
          const scores = outputs.map(({ spread, error }) => {
            if (spread === 0) return error === 0 ? 1 : 0;
            return 1 - error / spread;
          });
          return scores.reduce((sum, score) => sum + score, 0) / scores.length;
        },
      };
    },
  };
}
