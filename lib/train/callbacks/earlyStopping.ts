/** Stopping when a score no longer improves. */

import { checkBoolean, checkOptions, checkPositive, describe } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { Fields } from '../../files/fields.ts';
import type { Layer } from '../../layers/layer.ts';
import { readState } from '../../state.ts';
import type { Tensor } from '../../tensor.ts';
import { valueAt } from '../history.ts';
import { higherIsBetter } from '../metrics.ts';
import type { WeightAverage } from '../weightAverage.ts';
import type { Callback } from './callback.ts';

/** Options of `earlyStopping`. */
export interface EarlyStoppingOptions {
  /** The number to watch, by its place in the record: 'validation.loss' (default), 'validation.accuracy', 'loss'. */
  monitor?: string;
  /** After how many epochs in a row without improvement to stop; default 5. */
  patience?: number;
  /** What an improvement must exceed, in the units of the number; default 0. */
  minDelta?: number;
  /** Whether less or more is better. Known for losses and the metrics of axpy; to be given for your own. */
  mode?: 'min' | 'max';
  /** Whether the model has the parameters of the best epoch in the end; default true. */
  restoreBest?: boolean;
}

/**
 * Stops training after `patience` epochs without improvement, and writes the best epoch to `history.bestEpoch`. NaN is no
 * improvement.
 *
 * With `restoreBest` the model has the parameters of the best epoch whichever way training ends, once an epoch is
 * complete: stopped here or by another callback, at its last epoch, by an abort or by an error. The optimizer's state
 * stays that of the last step; an average of weights is that of the best epoch as well. Checkpoints hold what it knows, with the best parameters. May serve several trainings, one after the other.
 * @throws ArgumentError for options out of their domains; and `fit` throws it, before training, when the number to watch
 *   will not be in the records.
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): Callback {
  const op = 'earlyStopping';
  checkOptions(op, options, ['monitor', 'patience', 'minDelta', 'mode', 'restoreBest']);
  const { monitor = 'validation.loss', patience = 5, minDelta = 0, restoreBest = true } = options;
  if (typeof monitor !== 'string') {
    throw new ArgumentError(`[${op}] expected monitor to be a string, got ${describe(monitor)}`);
  }
  checkPositive(op, 'patience', patience);
  if (!(Number.isFinite(minDelta) && minDelta >= 0)) {
    throw new ArgumentError(
      `[${op}] expected minDelta to be a finite number of at least 0, got ${describe(minDelta)}`,
    );
  }
  checkBoolean(op, 'restoreBest', restoreBest);
  const sign = directionOf(op, monitor, options.mode);

  let best = Infinity;
  let waited = 0;
  let trained: Layer | null = null;
  let averaged: WeightAverage | undefined;
  let weights: Readonly<Record<string, Tensor>> | null = null;
  let average: Readonly<Record<string, Tensor>> | null = null;
  return {
    onTrainBegin({ model, averageWeights, monitors }) {
      checkMonitor(op, monitor, monitors);
      best = Infinity;
      waited = 0;
      trained = model;
      averaged = averageWeights;
    },
    onEpochEnd({ model, averageWeights, history, stop }, record) {
      const value = valueAt(record, monitor) ?? Number.NaN;
      const cost = sign * value;
      // The first finite number improves on Infinity, whatever minDelta.
      if (cost < best - minDelta) {
        best = cost;
        waited = 0;
        history.bestEpoch = record.epoch;
        if (restoreBest) [weights, average] = [model.stateDict(), averageWeights?.stateDict() ?? null];
        return;
      }
      waited++;
      if (waited >= patience) stop(`${monitor} did not improve for ${patience} epochs`);
    },
    stateDict: () => ({ monitor, sign, best, waited, weights, average }),
    loadStateDict(state) {
      const fields = new Fields(`the state of ${op}`, state);
      const [known, direction] = [fields.text('monitor'), fields.number('sign')];
      if (known !== monitor || direction !== sign) {
        const show = (name: string, way: number) => `${name}, ${way > 0 ? 'min' : 'max'}`;
        throw new ArgumentError(
          `[${op}] expected monitor and mode ${show(known, direction)}, as in the checkpoint, got ${show(monitor, sign)}`,
        );
      }
      const own = fields.has('weights') ? fields.tensors('weights') : null;
      if (own !== null && trained !== null) readState(op, trained.namedTensors(), own);
      const mean = fields.has('average') ? fields.tensors('average') : null;
      if (mean !== null && averaged !== undefined) readState(op, Object.entries(averaged.stateDict()), mean);
      [best, waited] = [fields.number('best'), fields.count('waited')];
      [weights, average] = restoreBest ? [own, mean] : [null, null];
    },
    onTrainEnd({ model, averageWeights }) {
      if (weights !== null) model.loadStateDict(weights);
      if (average !== null) averageWeights?.loadStateDict(average);
      [weights, average, trained, averaged] = [null, null, null, undefined];
    },
  };
}

/** @throws ArgumentError for a number that will not be in the records */
export function checkMonitor(op: string, monitor: string, monitors: readonly string[]): void {
  if (monitors.includes(monitor)) return;
  throw new ArgumentError(
    `[${op}] expected monitor to be one of ${monitors.join(', ')}, got ${monitor}` +
      (monitor.startsWith('validation.') ? ' (which wants validation data and the metric)' : ''),
  );
}

/** 1 where less is better, −1 where more is. @throws ArgumentError where nobody knows */
export function directionOf(op: string, monitor: string, mode: unknown): 1 | -1 {
  if (mode !== undefined && mode !== 'min' && mode !== 'max') {
    throw new ArgumentError(`[${op}] expected mode to be min or max, got ${describe(mode)}`);
  }
  if (mode !== undefined) return mode === 'max' ? -1 : 1;
  const higher = higherIsBetter(monitor.replace(/^validation\./, ''));
  if (higher === undefined) {
    throw new ArgumentError(`[${op}] expected mode, min or max, as ${monitor} is no loss or metric of axpy`);
  }
  return higher ? -1 : 1;
}
