/** Gated recurrent units. */
import type { FloatDtype } from '../memory.ts';
import { add, mul, sub } from '../ops/binary.ts';
import { linear } from '../ops/linear.ts';
import { pad } from '../ops/pad.ts';
import { slice } from '../ops/slice.ts';
import { sigmoid, tanh } from '../ops/unary.ts';
import { flag, layerForm, type OptionsOf } from './options.ts';
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

export interface GRUOptions<D extends FloatDtype = FloatDtype> extends RecurrentOptions<D> {
  /**
   * Whether the reset gate acts on W·h (true, default: as in PyTorch, cuDNN and Keras today), or on h (false: as in the paper,
   * and in Keras with `reset_after=False`), which takes two products a step.
   */
  resetAfter?: boolean;
}

const form = layerForm('GRU', recurrentArguments, {
  ...recurrentOptions,
  resetAfter: flag(true),
} satisfies OptionsOf<GRUOptions>);

/**
 * Gated recurrent units (Cho et al., 2014), as PyTorch's: with the rows of the gates r, z, n one after the other,
 * r = σ(W_ir x + b_ir + W_hr h + b_hr), z likewise, n = tanh(W_in x + b_in + r·(W_hn h + b_hn)), h ← (1 − z)·n + z·h.
 * What `forward` takes and gives is as in LSTM; its state is { h }.
 */
export class GRU<D extends FloatDtype = 'float32'> extends Recurrent<'h', D> {
  readonly resetAfter: boolean;

  /** @throws ArgumentError, DtypeError for what is out of its domain */
  constructor(inputSize: number, hiddenSize: number, options: GRUOptions<D> = {}) {
    const own = form.read([inputSize, hiddenSize], options);
    super({ name: 'GRU', gates: 3, states: ['h'] }, own);
    this.resetAfter = own.resetAfter;
  }

  protected steps({ weightHh, biasIh, biasHh }: RecurrentCell<D>): Steps {
    const { hiddenSize: size, resetAfter } = this;
    const [weightOfGates, weightOfNew] = [slice(weightHh, [[0, 2 * size]]), slice(weightHh, [[2 * size]])];
    const isApart = resetAfter && biasHh !== null;
    const biasOfNew = isApart ? slice(biasHh, [[2 * size]]) : null;
    const bias = isApart ? pad(slice(biasHh, [[0, 2 * size]]), [[0, size]]) : biasHh;
    return {
      bias: addBoth(biasIh, bias),
      step: (inputs, [h]) => {
        const gates = add(columns(inputs, size, 0, 2), linear(h, weightOfGates));
        const [r, z] = [0, 1].map((gate) => sigmoid(columns(gates, size, gate)));
        const ofState = resetAfter
          ? mul(r, linear(h, weightOfNew, biasOfNew))
          : linear(mul(r, h), weightOfNew);
        const n = tanh(add(columns(inputs, size, 2), ofState));
        return [add(n, mul(z, sub(h, n)))];
      },
    };
  }
}

form.register(GRU);
