/**
 * What ops compute, told op by op while somebody listens: how a model becomes a graph of another format. Each op says in one
 * line what it did. Views (`reshape`, `detach`) say nothing, as they share the Storage of what they show. An update in place
 * names what it updates as its output.
 */
import type { BinaryOp, UnaryOp } from './kernels/codes.ts';
import type { Activation } from './ops/epilogue.ts';
import type { Window } from './ops/window.ts';
import type { Tensor } from './tensor.ts';

/** For each new row or column the first of the two that it is made of, and the share of the second. */
export interface Positions {
  readonly first: Int32Array;
  readonly shares: Float64Array;
}

/** Which of them a recurrent layer is. */
export type RecurrentKind =
  | { readonly type: 'LSTM' }
  | { readonly type: 'GRU'; readonly resetAfter: boolean }
  | { readonly type: 'RNN'; readonly nonlinearity: 'tanh' | 'relu' };

/** The ops by name, with what they were told beside their inputs. */
export interface Traced {
  /** The places of the first numbers in order. */
  readonly argsort: { readonly axis: number; readonly count: number; readonly descending: boolean };
  readonly argmax: { readonly axis: number | null; readonly least: boolean };
  readonly averagePool2d: { readonly window: Window; readonly countPadding: boolean };
  /** Of x, scale, shift, mean and variance; the latter null for those of the batch, towards which running ones may move. */
  readonly batchNorm: {
    readonly epsilon: number;
    readonly activation: Activation | null;
    readonly moves: boolean;
  };
  readonly binary: { readonly op: BinaryOp };
  readonly broadcastTo: null;
  readonly cast: null;
  readonly concat: { readonly axis: number };
  readonly conv1d: Traced['conv2d'];
  readonly conv2d: {
    readonly window: Window;
    readonly groups: number;
    readonly activation: Activation | null;
  };
  readonly convTranspose2d: Traced['conv2d'] & { readonly outputPadding: readonly [number, number] };
  readonly cumprod: null;
  readonly cumsum: { readonly axis: number };
  readonly dropout: null;
  readonly full: { readonly value: number };
  readonly gather: null;
  readonly gridSample: {
    readonly mode: 'bilinear' | 'nearest';
    readonly paddingMode: 'zeros' | 'border' | 'reflection';
    readonly alignCorners: boolean;
  };
  readonly interpolate: {
    readonly mode: 'nearest' | 'bilinear';
    readonly alignCorners: boolean;
    readonly rows: Positions;
    readonly columns: Positions;
  };
  /** Over so many last axes. */
  readonly layerNorm: { readonly axes: number; readonly epsilon: number };
  /** x + weight · (end − x); of x, end and the weight, where that is a tensor. */
  readonly lerp: { readonly weight: number | null };
  readonly linear: { readonly activation: Activation | null };
  readonly matmul: { readonly transposeA: boolean; readonly transposeB: boolean };
  readonly maxPool2d: { readonly window: Window };
  readonly oneHot: { readonly classes: number };
  readonly pad: { readonly ends: readonly (readonly [number, number])[]; readonly value: number };
  /**
   * One cell over all steps: of x, weightIh, weightHh, biasIh, biasHh, lengths and the states before the first step; the latter
   * four null where there are none. Told once for each output: 0 is that of all steps, 1 and 2 are the states after the last.
   */
  readonly recurrent: RecurrentKind & { readonly backwards: boolean; readonly output: number };
  /** `scale` times that. */
  readonly reduce: {
    readonly op:
      | 'sum'
      | 'mean'
      | 'sumOfSquares'
      | 'meanOfSquares'
      | 'max'
      | 'min'
      | 'product'
      | 'norm'
      | 'logSumExp';
    readonly axes: readonly number[];
    readonly keepDims: boolean;
    readonly scale: number;
  };
  readonly scatterAdd: { readonly axis: number };
  readonly slice: {
    readonly ranges: readonly { readonly start: number; readonly count: number; readonly step: number }[];
  };
  readonly softmax: { readonly axis: number; readonly log: boolean };
  readonly takeAlongAxis: { readonly axis: number };
  readonly transpose: { readonly order: readonly number[] };
  readonly unary: { readonly op: UnaryOp; readonly p: number; readonly q: number };
  readonly where: null;
}

export interface Listener {
  note<Op extends keyof Traced>(
    op: Op,
    inputs: readonly (Tensor | null)[],
    output: Tensor,
    attributes: Traced[Op],
  ): void;
}

/** Who listens, or null. */
export let tracing: Listener | null = null;

/** Runs a synchronous function, of whose ops `listener` hears. */
export function traced<Result>(listener: Listener, fn: () => Result): Result {
  const outer = tracing;
  tracing = listener;
  try {
    return fn();
  } finally {
    tracing = outer;
  }
}

/** Runs a synchronous function, of whose ops nobody hears. */
export function untraced<Result>(fn: () => Result): Result {
  const outer = tracing;
  tracing = null;
  try {
    return fn();
  } finally {
    tracing = outer;
  }
}
