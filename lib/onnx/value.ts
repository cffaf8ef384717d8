/** What flows between the operators of an imported model. */

import { full } from '../create.ts';
import { ArgumentError, DataError, ShapeError } from '../errors.ts';
import type { Dtype } from '../memory.ts';
import { reshape } from '../ops/reshape.ts';
import { transpose } from '../ops/transpose.ts';
import { type Shape, show, sizeOf } from '../shape.ts';
import { type Tensor, tensor } from '../tensor.ts';
import { isFloat, type Known } from './known.ts';

/** Axes in another order, without a copy where no element moves. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  if (axes.every((axis, i) => axis === i)) return x;
  const moving = axes.filter((axis) => x.shape[axis] !== 1);
  const stays = moving.every((axis, i) => i === 0 || moving[i - 1] < axis);
  return stays
    ? reshape(
        x,
        axes.map((axis) => x.shape[axis]),
      )
    : transpose(x, axes);
}

const countTo = (end: number, start = 0): number[] =>
  Array.from({ length: end - start }, (_, i) => start + i);

const lastOf = (x: Tensor): Tensor => permute(x, [0, ...countTo(x.rank, 2), 1]);
const firstOf = (x: Tensor): Tensor => permute(x, [0, x.rank - 1, ...countTo(x.rank - 1, 1)]);
const turnedOf = (x: Tensor): Tensor => permute(x, [...countTo(x.rank - 2), x.rank - 1, x.rank - 2]);

/** The ways in which the elements of one tensor may lie. */
interface Forms {
  /** As ONNX has them: channels behind the batch. */
  first?: Tensor;
  /** With what ONNX has in axis 1 in the last one, where axpy has channels. Of rank 3 at least. */
  last?: Tensor;
  /** With the last two axes exchanged, as weights of products are here. */
  turned?: Tensor;
}

/** A tensor in the form in which it was made, brought into another where an operator asks for that, and then kept in both. */
export class Held {
  readonly #forms: Forms;

  private constructor(forms: Forms) {
    this.#forms = forms;
  }

  static first(x: Tensor): Held {
    return new Held({ first: x });
  }

  /** Of rows and what has no channels behind other axes, both are the same. */
  static last(x: Tensor): Held {
    return new Held(x.rank < 3 ? { first: x } : { last: x });
  }

  static turned(x: Tensor): Held {
    return new Held({ turned: x });
  }

  /** A tensor that was computed in the form of another one. */
  static of(x: Tensor, isLast: boolean): Held {
    return isLast ? Held.last(x) : Held.first(x);
  }

  /** Whether it has channels last, and no other form. */
  get isLast(): boolean {
    return this.#forms.last !== undefined && this.#forms.first === undefined;
  }

  get isTurned(): boolean {
    return this.#forms.turned !== undefined;
  }

  get first(): Tensor {
    const forms = this.#forms;
    forms.first ??= forms.last !== undefined ? firstOf(forms.last) : turnedOf(forms.turned!);
    return forms.first;
  }

  get last(): Tensor {
    const forms = this.#forms;
    if (forms.last !== undefined) return forms.last;
    if (this.first.rank < 3) return this.first;
    forms.last = lastOf(this.first);
    return forms.last;
  }

  get turned(): Tensor {
    const forms = this.#forms;
    forms.turned ??= turnedOf(this.first);
    return forms.turned;
  }

  /** In whichever form it is. */
  get own(): Tensor {
    const { first, last } = this.#forms;
    return first ?? last ?? this.first;
  }

  get rank(): number {
    return (this.#forms.turned ?? this.own).rank;
  }

  get dtype(): Dtype {
    return (this.#forms.turned ?? this.own).dtype;
  }

  /** As ONNX has it. */
  get shape(): Shape {
    const { first, last, turned } = this.#forms;
    if (first !== undefined) return first.shape;
    const { shape, rank } = (last ?? turned)!;
    if (last !== undefined) return [shape[0], shape[rank - 1], ...shape.slice(1, -1)];
    return [...shape.slice(0, -2), shape[rank - 1], shape[rank - 2]];
  }

  /** Where an axis of ONNX is in `own`. */
  axis(axis: number): number {
    if (!this.isLast || axis === 0) return axis;
    return axis === 1 ? this.rank - 1 : axis - 1;
  }
}

export type Value = Held | Known;

export const isHeld = (value: Value | undefined): value is Held => value instanceof Held;
export const isKnown = (value: Value | undefined): value is Known => value !== undefined && !isHeld(value);

/** Thrown where something constant would become a tensor while constants are folded, as it may be large. */
export const notFolded = new ArgumentError('expected a value that is small enough to be folded');
let isFolding = false;

/** Runs `fn`, which computes constants alone, at most so large as they may be. @throws notFolded */
export function folding<Result>(fn: () => Result): Result {
  isFolding = true;
  try {
    return fn();
  } finally {
    isFolding = false;
  }
}

/** To be called before something is made whose size a file says. */
export function notWhileFolding(): void {
  if (isFolding) throw notFolded;
}

/** A tensor of one value. */
export function filled(shape: Shape, value: number, dtype: Dtype): Tensor {
  notWhileFolding();
  return full(shape, value, { dtype });
}

const dtypeOf = ({ dtype }: Known): Dtype => (isFloat(dtype) ? dtype : 'int32');

/** A value as a tensor; what is known in a dtype. @throws DataError for integers that int32 does not hold */
export function toTensor(x: Known, dtype: Dtype = dtypeOf(x)): Tensor {
  notWhileFolding();
  const large = isFloat(x.dtype) ? undefined : x.values.find((value) => (value | 0) !== value);
  if (large !== undefined && dtype === 'int32') {
    throw new DataError(`expected integers that int32 holds, got ${large}`);
  }
  return tensor(Float64Array.from(x.values), { shape: x.shape, dtype });
}

/** As a tensor that is held; what is known in its own dtype, or in another one. */
export const toHeld = (x: Value, dtype?: Dtype): Held => (isHeld(x) ? x : Held.first(toTensor(x, dtype)));

/** Operands of an elementwise function, in one layout and aligned at the end, as ONNX's axes are. */
export function align(values: readonly Value[], dtype: Dtype): { xs: Tensor[]; isLast: boolean } {
  const rank = Math.max(...values.map((x) => x.shape.length));
  const isLast = values.some((x) => isHeld(x) && x.isLast && x.rank === rank);
  const held = values.map((x) => toHeld(x, dtype));
  if (!isLast) return { xs: held.map((x) => x.first), isLast };
  const xs = held.map((x) => {
    if (x.rank === rank) return x.last;
    const { first } = x;
    const widened = [...new Array<number>(rank - first.rank).fill(1), ...first.shape];
    return first.size === 1 ? first : Held.first(reshape(first, widened)).last;
  });
  return { xs, isLast };
}

/** A size that the others leave. @throws ShapeError where there is none */
export function resolveSizes(given: readonly number[], size: number, own: Shape): number[] {
  const open = given.indexOf(-1);
  if (open < 0) return [...given];
  const rest = sizeOf(given.filter((_, i) => i !== open));
  const left = rest === 0 ? 0 : size / rest;
  if (given.lastIndexOf(-1) !== open || !Number.isInteger(left)) {
    throw new ShapeError(`expected a shape of ${size} elements for ${show(own)}, got ${show(given)}`);
  }
  return given.map((each, i) => (i === open ? left : each));
}
