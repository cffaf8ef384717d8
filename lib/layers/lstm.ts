/** Long short-term memory. */
import type { FloatDtype } from '../memory.ts';
import { add, mul } from '../ops/binary.ts';
import { linear } from '../ops/linear.ts';
import { sigmoid, tanh } from '../ops/unary.ts';
import { layerForm } from './options.ts';
import {
  addBoth,
  columns,
  Recurrent,
  type RecurrentCell,
  type RecurrentOptions,
  recurrentArguments,
  recurrentOptions,
  type Steps,
} from './recurrent.ts';

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

  protected steps({ weightHh, biasIh, biasHh }: RecurrentCell<D>): Steps {
    return {
      bias: addBoth(biasIh, biasHh),
      step: (inputs, [h, c]) => {
        const z = add(inputs, linear(h, weightHh));
        const [i, f, g, o] = [0, 1, 2, 3].map((gate) => columns(z, this.hiddenSize, gate));
        const next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)));
        return [mul(sigmoid(o), tanh(next)), next];
      },
    };
  }
}

form.register(LSTM);
