/** The plain recurrent layer. */
import type { FloatDtype } from '../memory.ts';
import type { RecurrentKind } from '../trace.ts';
import { choice, layerForm, type OptionsOf } from './options.ts';
import {
  Recurrent,
  type RecurrentCell,
  type RecurrentOptions,
  recurrentArguments,
  recurrentOptions,
} from './recurrent.ts';
import { rnnSteps, type Steps } from './steps.ts';

/** Options of `RNN`. */
export interface RNNOptions<D extends FloatDtype = FloatDtype> extends RecurrentOptions<D> {
  /** Default 'tanh'. */
  nonlinearity?: 'tanh' | 'relu';
}

const form = layerForm('RNN', recurrentArguments, {
  ...recurrentOptions,
  nonlinearity: choice('tanh', 'relu'),
} satisfies OptionsOf<RNNOptions>);

/**
 * A recurrent layer without gates (Elman, 1990), as PyTorch's: h ← tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of that.
 * What `forward` takes and gives is as in LSTM; its state is { h }.
 */
export class RNN<D extends FloatDtype = 'float32'> extends Recurrent<'h', D> {
  readonly nonlinearity: 'tanh' | 'relu';

  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(inputSize: number, hiddenSize: number, options: RNNOptions<D> = {}) {
    const own = form.read([inputSize, hiddenSize], options);
    super({ name: 'RNN', gates: 1, states: ['h'] }, own);
    this.nonlinearity = own.nonlinearity;
  }

  protected steps(cell: RecurrentCell<D>): Steps {
    return rnnSteps(cell, this.nonlinearity);
  }

  protected get kind(): RecurrentKind {
    return { type: 'RNN', nonlinearity: this.nonlinearity };
  }
}

form.register(RNN);
