/** What predictors say on channels of `node:diagnostics_channel`. */
import { speaker } from '../channels.ts';
import type { Predictor } from './predictor.ts';

/** A predictor, for those who look at it. */
type Observed = Pick<Predictor, 'stats'>;

/** A request to a predictor. */
export interface Prediction {
  /** How many examples it is for. */
  readonly rows: number;
}

/** What is said on each channel; `prediction` is the same object in both messages of one request. */
export interface PredictionMessages {
  'axpy:predict:begin': { readonly predictor: Observed; readonly prediction: Prediction };
  /** A batch was computed, with the numbers of a version. `size` counts its rows and those that it was filled up by. */
  'axpy:predict:batch': {
    readonly predictor: Observed;
    readonly requests: number;
    readonly rows: number;
    readonly size: number;
    readonly version: number;
    /** In milliseconds. */
    readonly duration: number;
  };
  /** An answer, with the version that it is of, or an error. `latency` is in milliseconds. */
  'axpy:predict:end': {
    readonly predictor: Observed;
    readonly prediction: Prediction;
    readonly latency: number;
  } & ({ readonly version: number } | { readonly error: unknown });
  /** Predictions from now on are made with other numbers. */
  'axpy:predict:update': { readonly predictor: Observed; readonly version: number };
}

const on = <Name extends keyof PredictionMessages>(name: Name) => speaker<PredictionMessages[Name]>(name);

export const said = {
  begin: on('axpy:predict:begin'),
  batch: on('axpy:predict:batch'),
  end: on('axpy:predict:end'),
  update: on('axpy:predict:update'),
};
