/** What layers over time share: cells, levels, directions, states and sequences of different lengths. */
import { checkOptions, describe, isRecord } from '../arguments.ts';
import { arange, zeros } from '../create.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { type Initializer, initializeBoth } from '../initializers.ts';
import type { FloatDtype } from '../memory.ts';
import { greater, where } from '../ops/binary.ts';
import { concat, stack } from '../ops/concat.ts';
import { dropout as drop } from '../ops/dropout.ts';
import { gather } from '../ops/gather.ts';
import { reshape } from '../ops/reshape.ts';
import { slice } from '../ops/slice.ts';
import { Parameter } from '../parameter.ts';
import { checkSize, show } from '../shape.ts';
import { checkTensor, isTensor, type Tensor } from '../tensor.ts';
import { type RecurrentKind, tracing, untraced } from '../trace.ts';
import { most } from '../tree.ts';
import { checkInputDtype, inputError, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { choice, count, dtype, flag, initializer, number, type OptionsOf, option } from './options.ts';
import { overTime, type Steps } from './steps.ts';

/** Options of layers over time. */
export interface RecurrentOptions<D extends FloatDtype = FloatDtype> {
  /** How many levels there are, each of which takes the sequence that the one before gives; default 1. */
  layers?: number;
  /** Whether there are also cells that go from the end to the beginning, whose states stand beside those of the others; default false. */
  bidirectional?: boolean;
  /** The share of what a level hands to the next that is dropped in training; default 0. */
  dropout?: number;
  /** What `forward` gives: 'sequence', the state after each step (default), or 'last', the one after the last. */
  returns?: 'sequence' | 'last';
  /** Default true. */
  bias?: boolean;
  /** Of the weights of inputs; default uniform on ±1/√hiddenSize, as in PyTorch. */
  init?: Initializer;
  /** Of the weights of states; the same default. */
  recurrentInit?: Initializer;
  /** Of the biases; the same default. */
  biasInit?: Initializer;
  /** Default float32. */
  dtype?: D;
}

const bounded = initializer(({ hiddenSize }) => {
  const bound = 1 / Math.sqrt(hiddenSize as number);
  return { name: 'uniform', low: -bound, high: bound };
});

/** What constructors of recurrent layers take. */
export const recurrentArguments = { inputSize: count, hiddenSize: count };
export const recurrentOptions = {
  layers: option(count.read, () => 1),
  bidirectional: flag(false),
  dropout: number(0, (layer, given) => {
    if (typeof given === 'number' && given >= 0 && given < 1) return;
    throw new ArgumentError(
      `${layer} expected dropout to be at least 0 and less than 1, got ${describe(given)}`,
    );
  }),
  returns: choice('sequence', 'last'),
  bias: flag(true),
  init: bounded,
  recurrentInit: bounded,
  biasInit: bounded,
  dtype,
} satisfies OptionsOf<RecurrentOptions>;

/** What is learned for one direction of one level, all gates one after the other in the rows: as PyTorch has it. */
export interface RecurrentCell<D extends FloatDtype = 'float32'> {
  /** Of inputs, [gates · hidden, in]. */
  readonly weightIh: Parameter<D>;
  /** Of states, [gates · hidden, hidden]. */
  readonly weightHh: Parameter<D>;
  /** [gates · hidden], or null without biases. */
  readonly biasIh: Parameter<D> | null;
  /** [gates · hidden], or null without biases. */
  readonly biasHh: Parameter<D> | null;
}

/** States by name, each [layers · directions, batch, hidden], level by level: forwards, backwards. */
export type RecurrentState<Names extends string, D extends FloatDtype = 'float32'> = {
  readonly [Name in Names]: Tensor<D>;
};

/** What a form reads for one of the layers. */
type Own = {
  readonly [Name in 'inputSize' | 'hiddenSize' | 'layers' | 'dropout']: number;
} & { readonly bidirectional: boolean; readonly bias: boolean; readonly returns: 'sequence' | 'last' } & {
  readonly [Name in 'init' | 'recurrentInit' | 'biasInit']: Initializer;
} & { readonly dtype: FloatDtype };

/** How many gates a cell has, and what its states are called, of which the first is its output. */
interface Kind<Names extends string> {
  readonly name: string;
  readonly gates: number;
  readonly states: readonly Names[];
}

/** Lengths as they were given, and as [batch, 1] of the layer's dtype. */
interface Lengths {
  readonly given: Tensor;
  readonly ends: Tensor;
}

/** 0 where sequences have ended, so that nothing comes of what stands there, not even by a gradient. */
function withoutPadding(x: Tensor, ends: Tensor): Tensor {
  const [batch, time] = x.shape;
  const steps = reshape(arange(0, time, 1, { dtype: ends.dtype as FloatDtype }), [time, 1]);
  return where(greater(reshape(ends, [batch, 1, 1]), steps), x, 0);
}

/**
 * A layer over time. Input [batch, time, inputSize]; output [batch, time, hiddenSize], or [batch, hiddenSize] where it `returns`
 * the 'last', with both directions side by side if it is bidirectional: the last state of the second direction is the one at the
 * beginning.
 */
export abstract class Recurrent<Names extends string, D extends FloatDtype = 'float32'> extends Layer {
  /** Lengths of sequences are indices, also where they follow a state. */
  override readonly inputDtype = { 1: 'int32', 2: 'int32' } as const;
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** How many levels there are. */
  readonly layers: number;
  readonly bidirectional: boolean;
  readonly dropout: number;
  readonly returns: 'sequence' | 'last';
  /** Level by level: forwards, backwards. */
  readonly cells: readonly RecurrentCell<D>[];
  private readonly dtype: D;
  private readonly states: readonly Names[];

  protected constructor(kind: Kind<Names>, own: Own) {
    super();
    configure(this, own);
    const { inputSize, hiddenSize, layers, bidirectional } = own;
    if (own.dropout > 0 && layers === 1) {
      throw new ArgumentError(
        `${kind.name} expected dropout to be 0 for one level, as it is between levels, got ${own.dropout}`,
      );
    }
    if (layers > most) {
      throw new ArgumentError(`${kind.name} expected layers to be ${most} at most, got ${layers}`);
    }
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.layers = layers;
    this.bidirectional = bidirectional;
    this.dropout = own.dropout;
    this.returns = own.returns;
    this.dtype = own.dtype as D;
    this.states = kind.states;
    const directions = bidirectional ? 2 : 1;
    const rows = kind.gates * hiddenSize;
    this.cells = Array.from({ length: layers * directions }, (_, i) => {
      const size = i < directions ? inputSize : directions * hiddenSize;
      checkSize(kind.name, [rows, Math.max(size, hiddenSize)]);
      const bias = () => (own.bias ? new Parameter([rows], this.dtype) : null);
      const weightIh = new Parameter([rows, size], this.dtype);
      const weightHh = new Parameter([rows, hiddenSize], this.dtype);
      const cell = { weightIh, weightHh, biasIh: bias(), biasHh: bias() };
      initializeBoth(weightIh, own.init, cell.biasIh, own.biasInit, undefined, kind.name);
      initializeBoth(weightHh, own.recurrentInit, cell.biasHh, own.biasInit, undefined, kind.name);
      return cell;
    });
  }

  /** What a step of a cell does. */
  protected abstract steps(cell: RecurrentCell<D>): Steps;

  /** What other formats call it. */
  protected abstract get kind(): RecurrentKind;

  /**
   * @param x [batch, time, inputSize]
   * @param state from which to begin, of which what is left out is 0: `{}` for all. It gets gradients; `detach` what one batch
   *   hands to the next.
   * @param lengths int32 [batch], how many steps of each sequence count: after its end its state stays as it is and its output is
   *   0, and the second direction begins there. As PyTorch's packed sequences.
   * @returns without a state, the output; with one, `{ output, state }`
   * @throws ShapeError, DtypeError for what does not fit; IndexError for a length that is not from 0 to time, in compiled functions
   *   at each run
   */
  forward(
    x: Tensor,
    state: Partial<RecurrentState<Names, D>>,
    lengths?: Tensor | null,
  ): { output: Tensor<D>; state: RecurrentState<Names, D> };
  forward(x: Tensor, lengths?: Tensor | null): Tensor<D>;
  forward(
    x: Tensor,
    given?: Partial<RecurrentState<Names, D>> | Tensor | null,
    others?: Tensor | null,
  ): Tensor<D> | { output: Tensor<D>; state: RecurrentState<Names, D> } {
    checkTensor(this.label, x);
    const state = isTensor(given) ? null : (given ?? null);
    const lengths = isTensor(given) ? given : (others ?? null);
    this.checkInput(x.shape);
    checkInputDtype(this, x, this.dtype);
    const initial = this.initialStates(x.shape[0], state);
    const counted = lengths === null ? null : { given: lengths, ends: this.endsOf(x, lengths) };
    const directions = this.bidirectional ? 2 : 1;
    const finals: (readonly Tensor[])[] = [];
    let output = counted === null ? x : withoutPadding(x, counted.ends);
    for (let level = 0; level < this.layers; level++) {
      const isLast = level === this.layers - 1;
      const collects = !isLast || this.returns === 'sequence';
      const parts = Array.from({ length: directions }, (_, direction) => {
        const i = level * directions + direction;
        const isBackwards = direction === 1;
        const own = this.along(output, this.cells[i], initial(i), counted, isBackwards, collects);
        finals.push(own.states);
        return own.output;
      });
      output = directions === 1 ? parts[0] : concat(parts, -1);
      if (!isLast && this.training && this.dropout > 0) output = drop(output, this.dropout);
    }
    if (state === null) return output;
    const last = this.states.map((name, i) => [name, stack(finals.map((states) => states[i]))]);
    return { output, state: Object.fromEntries(last) as RecurrentState<Names, D> };
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    const size = this.hiddenSize * (this.bidirectional ? 2 : 1);
    if (example) this.checkInput(['batch', ...example]);
    if (this.returns === 'last') return [size];
    return example && [example[0], size];
  }

  /** A cell over all steps: its output after each, unless only the last is wanted, and its states after the last. */
  private along(
    x: Tensor,
    cell: RecurrentCell<D>,
    initial: readonly (Tensor | null)[],
    lengths: Lengths | null,
    backwards: boolean,
    collects: boolean,
  ): { output: Tensor; states: readonly Tensor[] } {
    const begin = initial.map(
      (state) => state ?? zeros([x.shape[0], this.hiddenSize], { dtype: this.dtype }),
    );
    const run = () => overTime(x, cell.weightIh, this.steps(cell), begin, lengths?.ends ?? null, backwards);
    if (tracing === null) {
      const { outputs, states } = run();
      return { output: collects ? stack(outputs, 1) : states[0], states };
    }
    // A graph has an operator for all of it.
    const { weightIh, weightHh, biasIh, biasHh } = cell;
    const inputs = [x, weightIh, weightHh, biasIh, biasHh, lengths?.given ?? null, ...initial];
    const [output, ...states] = untraced(() => {
      const { outputs, states } = run();
      return [stack(outputs, 1), ...states];
    });
    [output, ...states].forEach((own, i) => {
      tracing?.note('recurrent', inputs, own, { ...this.kind, backwards, output: i });
    });
    return { output: collects ? output : states[0], states };
  }

  /** The states of a cell before the first step, by its number; null for zeros. */
  private initialStates(
    batch: number,
    given: Partial<RecurrentState<Names, D>> | null,
  ): (cell: number) => readonly (Tensor | null)[] {
    const { label, states, hiddenSize, dtype } = this;
    if (given === null) return () => states.map(() => null);
    if (!isRecord(given)) {
      throw new ArgumentError(
        `${label} expected a state { ${states.join(', ')} } or lengths, got ${describe(given)}`,
      );
    }
    checkOptions(label, given, states);
    const shape = [this.cells.length, batch, hiddenSize];
    const whole = states.map((name) => {
      const x: Tensor | undefined = given[name];
      if (x === undefined) return null;
      checkTensor(label, x, name);
      if (show(x.shape) !== show(shape)) {
        throw new ShapeError(`${label} expected ${name} ${show(shape)}, received ${show(x.shape)}`);
      }
      if (x.dtype !== dtype) throw new DtypeError(`${label} expected ${dtype} ${name}, received ${x.dtype}`);
      return x;
    });
    return (cell) => whole.map((x) => x && reshape(slice(x, [[cell, cell + 1]]), [batch, hiddenSize]));
  }

  /** Lengths as [batch, 1] of the layer's dtype, looked up in a table, so that one out of range is an error at each run. */
  private endsOf(x: Tensor, lengths: Tensor): Tensor {
    const [batch, time] = x.shape;
    checkTensor(this.label, lengths, 'lengths');
    if (lengths.dtype !== 'int32') {
      throw new DtypeError(`${this.label} expected int32 lengths, received ${lengths.dtype}`);
    }
    if (lengths.rank !== 1 || lengths.shape[0] !== batch) {
      throw new ShapeError(`${this.label} expected lengths [${batch}], received ${show(lengths.shape)}`);
    }
    const table = arange(0, time + 1, 1, { dtype: this.dtype });
    return gather(reshape(table, [time + 1, 1]), lengths);
  }

  private checkInput(received: readonly (number | string)[]): void {
    if (received.length === 3 && received[2] === this.inputSize && received[1] !== 0) return;
    throw inputError(this, `[batch, time ≥ 1, ${this.inputSize}]`, received);
  }
}
