/** Gated recurrent units. */
import type { FloatDtype } from '../memory.ts';
import type { RecurrentKind } from '../trace.ts';
import { flag, layerForm, type OptionsOf } from './options.ts';
import {
  Recurrent,
  type RecurrentCell,
  type RecurrentOptions,
  recurrentArguments,
  recurrentOptions,
} from './recurrent.ts';
import { gruSteps, type Steps } from './steps.ts';

/** Options of `GRU`. */
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

  protected steps(cell: RecurrentCell<D>): Steps {
    return gruSteps(cell, this.resetAfter);
  }

  protected get kind(): RecurrentKind {
    return { type: 'GRU', resetAfter: this.resetAfter };
  }
}

form.register(GRU);
