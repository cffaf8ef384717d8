/** Smaller learning rates when a score no longer improves. */
import { checkOptions, describe } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { Fields } from '../../files/fields.ts';
import { checkNumber } from '../../optimizers/hyper.ts';
import { valueAt } from '../history.ts';
import type { Callback } from './callback.ts';
import { checkMonitor, directionOf } from './earlyStopping.ts';

/** Options of `reduceOnPlateau`. */
export interface ReduceOnPlateauOptions {
  /** The number to watch, by its place in the record: 'validation.loss' (default), 'validation.accuracy', 'loss'. */
  monitor?: string;
  /** Whether less or more is better. Known for losses and the metrics of axpy; to be given for your own. */
  mode?: 'min' | 'max';
  /** What learning rates are multiplied by; default 0.1. */
  factor?: number;
  /** How many epochs in a row may be without improvement; after one more, rates are reduced. Default 10. */
  patience?: number;
  /** What an improvement must exceed; default 1e-4. */
  threshold?: number;
  /** Whether that is a share of the best number so far, or in its units; default 'rel'. */
  thresholdMode?: 'rel' | 'abs';
  /** How many epochs after a reduction do not count as ones without improvement; default 0. */
  cooldown?: number;
  /** No rate becomes less than this; default 0. */
  minLearningRate?: number;
  /** A rate that would become smaller by no more than this stays; default 1e-8. */
  epsilon?: number;
}

/**
 * Multiplies the learning rates of all groups by a factor after epochs without improvement, as PyTorch's
 * `ReduceLROnPlateau`. NaN is no improvement. Checkpoints hold what it knows.
 * @throws ArgumentError for options out of their domains; and `fit` throws it, before training, when the number to watch
 *   will not be in the records, and for an optimizer whose learning rate follows a schedule.
 */
export function reduceOnPlateau(options: ReduceOnPlateauOptions = {}): Callback {
  const op = 'reduceOnPlateau';
  checkOptions(op, options, [
    'monitor',
    'mode',
    'factor',
    'patience',
    'threshold',
    'thresholdMode',
    'cooldown',
    'minLearningRate',
    'epsilon',
  ]);
  const { monitor = 'validation.loss', mode, factor = 0.1, patience = 10, threshold = 1e-4 } = options;
  const { thresholdMode = 'rel', cooldown = 0, minLearningRate = 0, epsilon = 1e-8 } = options;
  if (typeof monitor !== 'string') {
    throw new ArgumentError(`[${op}] expected monitor to be a string, got ${describe(monitor)}`);
  }
  checkNumber(op, 'factor', factor, { low: 0, under: 1 });
  checkNumber(op, 'patience', patience, { low: 0, integer: true });
  checkNumber(op, 'threshold', threshold, { low: 0 });
  if (thresholdMode !== 'rel' && thresholdMode !== 'abs') {
    throw new ArgumentError(
      `[${op}] expected thresholdMode to be rel or abs, got ${describe(thresholdMode)}`,
    );
  }
  checkNumber(op, 'cooldown', cooldown, { low: 0, integer: true });
  checkNumber(op, 'minLearningRate', minLearningRate, { low: 0 });
  checkNumber(op, 'epsilon', epsilon, { low: 0 });
  const sign = directionOf(op, monitor, mode);

  /** Of the number that less is better of, as of its opposite. */
  let best = Infinity;
  let bad = 0;
  let cooling = 0;
  const isBetter = (cost: number) =>
    thresholdMode === 'abs' || !Number.isFinite(best)
      ? cost < best - threshold
      : // A share of the number itself, whichever way is better: of a negative one as PyTorch has it.
        cost < best * (1 - sign * threshold);
  return {
    onTrainBegin({ monitors, optimizer }) {
      checkMonitor(op, monitor, monitors);
      if (optimizer.isScheduled) {
        throw new ArgumentError(
          `[${op}] expected learning rates that can be set, got some that follow a schedule`,
        );
      }
      [best, bad, cooling] = [Infinity, 0, 0];
    },
    onEpochEnd({ optimizer }, record) {
      const cost = sign * (valueAt(record, monitor) ?? Number.NaN);
      if (isBetter(cost)) [best, bad] = [cost, 0];
      else bad++;
      if (cooling > 0) [cooling, bad] = [cooling - 1, 0];
      if (bad <= patience) return;
      for (const group of optimizer.groups) {
        const next = Math.max(group.learningRate * factor, minLearningRate);
        if (group.learningRate - next > epsilon) group.learningRate = next;
      }
      [cooling, bad] = [cooldown, 0];
    },
    stateDict: () => ({ monitor, sign, best, bad, cooling }),
    loadStateDict(state) {
      const fields = new Fields(`the state of ${op}`, state);
      const [known, direction] = [fields.text('monitor'), fields.number('sign')];
      if (known !== monitor || direction !== sign) {
        throw new ArgumentError(
          `[${op}] expected monitor and mode ${known}, ${direction > 0 ? 'min' : 'max'}, as in the checkpoint, got ${monitor}, ` +
            (sign > 0 ? 'min' : 'max'),
        );
      }
      [best, bad, cooling] = [fields.number('best'), fields.count('bad'), fields.count('cooling')];
    },
  };
}
