/** Metrics of predicted quantities. Sums are taken in float64. */
import { ShapeError } from '../../errors.ts';
import { Fields } from '../../files/fields.ts';
import type { SavedState } from '../../files/savedState.ts';
import { allocate } from '../../memory.ts';
import { sameShape, show } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import { checkTensors } from './classes.ts';
import { meanMetric, type Named } from './metric.ts';

function checkAlike(name: string, prediction: Tensor, target: Tensor): void {
  checkTensors(name, prediction, target);
  if (sameShape(prediction.shape, target.shape)) return;
  throw new ShapeError(
    `[${name}] expected prediction and target of one shape, got ${show(prediction.shape)} and ${show(target.shape)}`,
  );
}

/** Σ |p − t| / n over all elements, in the units of the target. Shapes agree. */
export function meanAbsoluteError(): Named<'meanAbsoluteError'> {
  return meanMetric('meanAbsoluteError', (prediction, target) => {
    checkAlike('meanAbsoluteError', prediction, target);
    let sum = 0;
    for (let i = 0; i < target.size; i++) sum += Math.abs(prediction.data[i] - target.data[i]);
    return { sum, count: target.size };
  });
}

/** Σ (p − t)² / n over all elements. Shapes agree. */
export function meanSquaredError(): Named<'meanSquaredError'> {
  return squaredError('meanSquaredError', (mean) => mean);
}

/** √(Σ (p − t)² / n) over all elements, in the units of the target. Shapes agree. */
export function rootMeanSquaredError(): Named<'rootMeanSquaredError'> {
  return squaredError('rootMeanSquaredError', Math.sqrt);
}

function squaredError<Name extends string>(name: Name, finish: (mean: number) => number): Named<Name> {
  const measure = (prediction: Tensor, target: Tensor) => {
    checkAlike(name, prediction, target);
    let sum = 0;
    for (let i = 0; i < target.size; i++) sum += (prediction.data[i] - target.data[i]) ** 2;
    return { sum, count: target.size };
  };
  return meanMetric(name, measure, finish);
}

/** The sums behind R², for each output. */
interface Sums {
  count: number;
  mean: Float64Array;
  /** Σ (t − mean)² */
  spread: Float64Array;
  /** Σ (p − t)² */
  error: Float64Array;
}

/** @throws FormatError */
function sumsFrom(state: SavedState): Sums | null {
  if (state === null) return null;
  const fields = new Fields('the state of r2', state);
  const mean = fields.array<Float64Array>('mean', 'Float64Array');
  const array = (name: string) => fields.array<Float64Array>(name, 'Float64Array', mean.length);
  return { count: fields.count('count'), mean, spread: array('spread'), error: array('error') };
}

/** Adds sums of other examples, as Chan, Golub & LeVeque (1979) do: from the difference of the means. */
function addSums(sums: Sums, others: Sums): void {
  if (others.count === 0) return;
  const { mean, spread, error } = sums;
  const count = sums.count + others.count;
  const share = others.count / count;
  for (let i = 0; i < mean.length; i++) {
    const away = others.mean[i] - mean[i];
    mean[i] += away * share;
    spread[i] += others.spread[i] + away * away * sums.count * share;
    error[i] += others.error[i];
  }
  sums.count = count;
}

/**
 * R² = 1 − Σ(p − t)² / Σ(t − mean t)², the coefficient of determination; for several outputs [batch, ...outputs] the mean
 * of theirs. 1 is perfect, 0 what predicting the mean reaches. For an output whose targets are all equal: 1 when every
 * prediction is exact, otherwise 0.
 */
export function r2(): Named<'r2'> {
  return {
    name: 'r2',
    start() {
      let sums: Sums | null = null;
      /** The sums so far, of nothing at first. @throws ShapeError where there were other outputs before */
      const sumsOf = (width: number): Sums => {
        sums ??= { count: 0, mean: zeros(width), spread: zeros(width), error: zeros(width) };
        if (sums.mean.length === width) return sums;
        throw new ShapeError(`[r2] expected ${sums.mean.length} outputs as before, got ${width}`);
      };
      return {
        add(prediction, target) {
          checkAlike('r2', prediction, target);
          const width = target.size / target.shape[0];
          const sums = sumsOf(width);
          const { mean, spread, error } = sums;
          for (let i = 0; i < target.size; i++) {
            const output = i % width;
            if (output === 0) sums.count++;
            const value = target.data[i];
            // Welford (1962): a running mean, as Σt² − (Σt)²/n cancels where the mean is large.
            const away = value - mean[output];
            mean[output] += away / sums.count;
            spread[output] += away * (value - mean[output]);
            error[output] += (prediction.data[i] - value) ** 2;
          }
        },
        result() {
          if (sums === null) return Number.NaN;
          const { spread, error } = sums;
          let total = 0;
          for (let i = 0; i < spread.length; i++) {
            total += spread[i] === 0 ? (error[i] === 0 ? 1 : 0) : 1 - error[i] / spread[i];
          }
          return total / spread.length;
        },
        stateDict: () => sums && { ...sums },
        loadStateDict(state) {
          sums = sumsFrom(state);
        },
        merge(state) {
          const others = sumsFrom(state);
          if (others !== null) addSums(sumsOf(others.mean.length), others);
        },
      };
    },
  };
}

const zeros = (length: number) => allocate(length, 'float64');
