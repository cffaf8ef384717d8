/** How a model's outputs become what is asked for: numbers in their unit, or probabilities. */
import { ELU, type Layer, Normalize, Softmax, tensor } from '../index.ts';
import type { Targets } from './linear.ts';
import type { Target } from './target.ts';

/** Between a target and what a network is trained to return. */
export interface Scale {
  /** How many outputs there are. */
  readonly outputs: number;
  /** What rows are trained on. */
  targetsOf(rows: Int32Array): Targets;
  /** Layers that lead back. */
  layers(): Layer[];
  /** What was done to the target, in words; undefined for nothing. */
  readonly said?: string;
}

export function classScale(labels: Int32Array, count: number): Scale {
  return {
    outputs: count,
    targetsOf: (rows) => ({ classes: Int32Array.from(rows, (row) => labels[row]), count }),
    layers: () => [new Softmax()],
  };
}

/** Numbers brought to mean 0 and deviation 1 by those of the rows that are learned from. */
export function plainScale(values: Float64Array, train: Int32Array): Scale {
  const own = Float64Array.from(train, (row) => values[row]);
  const normalize = new Normalize(1, { invert: true }).adapt(own);
  const [mean, deviation] = [normalize.mean.item(), Math.sqrt(normalize.variance.item()) || 1];
  return {
    outputs: 1,
    targetsOf: (rows) => ({ numbers: Float64Array.from(rows, (row) => (values[row] - mean) / deviation) }),
    layers: () => [new Normalize(1, { invert: true }).adapt(own)],
  };
}

/**
 * The same of logarithms, for numbers above 0. The way back is exp up to twice the largest number that was seen, and a straight line
 * beyond it, so that no prediction runs away: exp(z) = c · (elu(z − ln c) + 1).
 */
export function logScale(values: Float64Array, train: Int32Array): Scale {
  let largest = 0;
  for (const row of train) largest = Math.max(largest, values[row]);
  const edge = 2 * largest;
  const own = Float64Array.from(train, (row) => Math.log(values[row] / edge));
  const { targetsOf } = plainScale(
    values.map((value) => Math.log(value / edge)),
    train,
  );
  return {
    outputs: 1,
    targetsOf,
    layers: () => {
      const line = new Normalize(1, { invert: true });
      line.mean.assign(tensor([edge], { dtype: 'float64' }));
      line.variance.assign(tensor([edge ** 2], { dtype: 'float64' }));
      return [new Normalize(1, { invert: true, dtype: 'float64' }).adapt(own), new ELU(), line];
    },
    said: 'its logarithm is what is learned, by which the linear model errs less in validation',
  };
}

/** The ways in which a target may be scaled. */
export function scalesFor(target: Target, train: Int32Array): Scale[] {
  if (target.task === 'classification') return [classScale(target.labels, target.classes.length)];
  const { values } = target;
  const plain = plainScale(values, train);
  return values.every((value) => value > 0) ? [plain, logScale(values, train)] : [plain];
}
