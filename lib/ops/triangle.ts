/** Triangles of matrices. */
import { describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { show } from '../shape.ts';
import { checkTensor, Tensor } from '../tensor.ts';
import { greaterEqual, lessEqual, where } from './binary.ts';

/** 1 where column − row compares with `diagonal`, for matrices of so many rows and columns. */
function triangle(name: string, x: Tensor, diagonal: number, compare: typeof lessEqual): Tensor {
  checkTensor(name, x);
  if (x.rank < 2) throw new ShapeError(`[${name}] expected at least two axes, got shape ${show(x.shape)}`);
  if (!Number.isInteger(diagonal)) {
    throw new ArgumentError(`[${name}] expected diagonal to be an integer, got ${describe(diagonal)}`);
  }
  const [rows, columns] = x.shape.slice(-2);
  // One beyond the matrix is as good as any.
  const shift = Math.max(-rows - 1, Math.min(diagonal, columns + 1));
  const firsts = new Tensor(
    Int32Array.from({ length: rows }, (_, i) => i + shift),
    [rows, 1],
    'int32',
  );
  const places = new Tensor(
    Int32Array.from({ length: columns }, (_, i) => i),
    [columns],
    'int32',
  );
  return where(compare(places, firsts), x, 0);
}

/**
 * The lower triangle of each matrix, of the last two axes: elements up to this diagonal, counted from the main one upwards, and 0
 * above.
 */
export const tril = (x: Tensor, diagonal = 0): Tensor => triangle('tril', x, diagonal, lessEqual);

/** The upper triangle likewise: elements from this diagonal on, and 0 below. */
export const triu = (x: Tensor, diagonal = 0): Tensor => triangle('triu', x, diagonal, greaterEqual);
