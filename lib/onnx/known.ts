/**
 * Numbers that are known while a model is read or run: constants, shapes and what is computed of them. ONNX writes the sizes
 * of a Reshape as operators of their own; here they are JavaScript's numbers, and cost a compiled step nothing.
 */
import { ShapeError } from '../errors.ts';
import { broadcastShapes, type Shape, show, sizeOf, stridesOf } from '../shape.ts';

/** What ONNX says an element is. All integers are one here: what int64 is there has to fit where it becomes a tensor. */
export type Element = 'int' | 'bool' | 'float32' | 'float64';

export const elementNames: readonly Element[] = ['int', 'bool', 'float32', 'float64'];

export interface Known {
  readonly dtype: Element;
  readonly shape: Shape;
  readonly values: readonly number[];
}

/** How many there may be: what is larger is a tensor. */
export const mostKnown = 4096;

export const isFloat = (dtype: Element): dtype is 'float32' | 'float64' =>
  dtype === 'float32' || dtype === 'float64';

/** A value as an element holds it. */
export function rounded(dtype: Element, value: number): number {
  if (dtype === 'float32') return Math.fround(value);
  if (dtype === 'float64') return value;
  // Not −0, of which there is none among integers.
  return dtype === 'bool' ? Number(value !== 0) : Math.trunc(value) + 0;
}

export const known = (dtype: Element, shape: Shape, values: readonly number[]): Known => ({
  dtype,
  shape,
  values,
});

/** A list of integers, as shapes are. */
export const knownInts = (values: readonly number[]): Known => known('int', [values.length], values);

/** The elements of a view: `strides` and `offset` say where each is. */
function view({ dtype, values }: Known, shape: Shape, offset: number, strides: readonly number[]): Known {
  const made: number[] = [];
  const visit = (axis: number, at: number): void => {
    if (axis === shape.length) made.push(values[at]);
    else for (let i = 0; i < shape[axis]; i++) visit(axis + 1, at + i * strides[axis]);
  };
  visit(0, offset);
  return known(dtype, shape, made);
}

export function broadcastKnown(x: Known, shape: Shape): Known {
  const own = stridesOf(x.shape);
  const lead = shape.length - x.shape.length;
  const strides = shape.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : own[i - lead]));
  return view(x, shape, 0, strides);
}

/** Whether what is computed of operands, broadcast, is so small as well. */
export const staysKnown = (op: string, operands: readonly Known[]): boolean =>
  sizeOf(operands.reduce<Shape>((all, x) => broadcastShapes(op, all, x.shape), [])) <= mostKnown;

/** f of each element of the operands, broadcast. */
export function mapKnown(
  op: string,
  dtype: Element,
  f: (...values: number[]) => number,
  operands: readonly Known[],
): Known {
  const shape = operands.reduce<Shape>((all, x) => broadcastShapes(op, all, x.shape), []);
  const spread = operands.map((x) => broadcastKnown(x, shape).values);
  const values = Array.from({ length: sizeOf(shape) }, (_, i) =>
    rounded(dtype, f(...spread.map((own) => own[i]))),
  );
  return known(dtype, shape, values);
}

export const reshapeKnown = ({ dtype, values }: Known, shape: Shape): Known => known(dtype, shape, values);

export function permuteKnown(x: Known, axes: readonly number[]): Known {
  const own = stridesOf(x.shape);
  return view(
    x,
    axes.map((axis) => x.shape[axis]),
    0,
    axes.map((axis) => own[axis]),
  );
}

/** From `start` on, `count` elements along an axis, `step` apart. */
export function sliceKnown(x: Known, axis: number, start: number, count: number, step: number): Known {
  const strides = stridesOf(x.shape);
  const shape = x.shape.map((size, i) => (i === axis ? count : size));
  const offset = count === 0 ? 0 : start * strides[axis];
  return view(
    x,
    shape,
    offset,
    strides.map((stride, i) => (i === axis ? stride * step : stride)),
  );
}

export function concatKnown(parts: readonly Known[], axis: number): Known {
  const [first] = parts;
  const shape = first.shape.map((size, i) =>
    i === axis ? parts.reduce((sum, x) => sum + x.shape[axis], 0) : size,
  );
  for (const x of parts) {
    if (x.shape.length === shape.length && x.shape.every((size, i) => i === axis || size === shape[i]))
      continue;
    throw new ShapeError(
      `[concat] expected shapes that differ only in axis ${axis}, got ${show(first.shape)} and ${show(x.shape)}`,
    );
  }
  const outer = sizeOf(shape.slice(0, axis));
  const values: number[] = [];
  for (let i = 0; i < outer; i++) {
    for (const x of parts) {
      const run = sizeOf(x.shape.slice(axis));
      for (let j = 0; j < run; j++) values.push(x.values[i * run + j]);
    }
  }
  return known(first.dtype, shape, values);
}

/** f over lists of the elements along some axes, which stay with size 1. */
export function reduceKnown(
  x: Known,
  axes: readonly number[],
  dtype: Element,
  f: (values: number[]) => number,
): Known {
  const kept = Array.from(x.shape.keys()).filter((axis) => !axes.includes(axis));
  const together = permuteKnown(x, [...kept, ...axes]);
  const shape = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const run = sizeOf(axes.map((axis) => x.shape[axis]));
  const values = Array.from({ length: sizeOf(shape) }, (_, i) =>
    rounded(dtype, f(together.values.slice(i * run, (i + 1) * run))),
  );
  return known(dtype, shape, values);
}
