/** Long short-term memory. */
import type { FloatDtype } from '../memory.ts';
import type { RecurrentKind } from '../trace.ts';
import { layerForm } from './options.ts';
import {
  Recurrent,
  type RecurrentCell,
  type RecurrentOptions,
  recurrentArguments,
  recurrentOptions,
} from './recurrent.ts';
import { lstmSteps, type Steps } from './steps.ts';

/** Options of `LSTM`. */
export interface LSTMOptions<D extends FloatDtype = FloatDtype> extends RecurrentOptions<D> {}

const form = layerForm('LSTM', recurrentArguments, recurrentOptions);

/**
 * A long short-term memory (Hochreiter & Schmidhuber, 1997; with a forget gate: Gers, Schmidhuber & Cummins, 2000), as PyTorch's:
 * of z = W_ih x + b_ih + W_hh h + b_hh, with the rows of the gates i, f, g, o one after the other,
 * c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c).
 *
 *     const model = new Sequential([new Embedding(words, 64), new LSTM(64, 128, { returns: 'last' }), new Dense(128, 2)]);
 *     const { output, state } = lstm.forward(x, {});           // state: { h, c }, to go on from
 *     const next = lstm.forward(more, state);
 *     lstm.forward(padded, lengths);
 */
export class LSTM<D extends FloatDtype = 'float32'> extends Recurrent<'h' | 'c', D> {
  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions<D> = {}) {
    super({ name: 'LSTM', gates: 4, states: ['h', 'c'] }, form.read([inputSize, hiddenSize], options));
  }

  protected steps(cell: RecurrentCell<D>): Steps {
    return lstmSteps(cell);
  }

  protected get kind(): RecurrentKind {
    return { type: 'LSTM' };
  }
}

form.register(LSTM);
