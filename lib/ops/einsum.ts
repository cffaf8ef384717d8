/** Products of tensors by the names of their axes. */
import { describe } from '../arguments.ts';
import { ArgumentError, inNameOf, ShapeError } from '../errors.ts';
import type { Dtype } from '../memory.ts';
import { checkSize, show } from '../shape.ts';
import { checkSame, checkTensor, type Tensor } from '../tensor.ts';
import { mul } from './binary.ts';
import { matmul } from './matmul.ts';
import { sum } from './reduce.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { transpose } from './transpose.ts';

/** A letter, or the number of an axis that an ellipsis stands for, counted from its end. */
type Label = string;

/** A tensor whose axes have names, each once. */
interface Named {
  readonly x: Tensor;
  readonly labels: readonly Label[];
}

/** How long an equation may be: 64 operands with all axes that there can be. */
const longest = 2 ** 11;

/**
 * Σ of products over axes by Einstein's convention, as in NumPy and PyTorch: `einsum('bij,bjk->bik', a, b)` is a batched matmul. A
 * letter names an axis; `...` stands for all axes that have no letter, which broadcast; an axis that the result does not name is
 * summed over; a letter that one tensor has twice takes its diagonal. Without `->` the result has the letters that occur once, in
 * alphabetical order, behind the axes of `...`. Axes of size 1 broadcast. Tensors are taken from left to right, each pair by one
 * matmul.
 * @throws ArgumentError for an equation that is none, ShapeError for tensors that do not fit it, DtypeError for two dtypes, or
 *   for int32 where there is a product to sum over
 */
export function einsum<D extends Dtype>(equation: string, ...tensors: readonly Tensor<D>[]): Tensor<D> {
  if (typeof equation !== 'string' || equation.length > longest)
    throw wrong('letters, commas and ->', equation);
  if (tensors.length === 0) throw new ArgumentError('[einsum] expected at least one tensor, got none');
  for (const x of tensors) {
    checkTensor('einsum', x);
    checkSame('einsum', tensors[0], x);
  }
  const [left, right, ...more] = equation.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  if (more.length > 0 || terms.length !== tensors.length) {
    throw wrong(`${tensors.length} terms, one for each tensor, and at most one ->`, equation);
  }
  const operands = terms.map((term, i) => named(term, tensors[i], equation));
  const output = right === undefined ? implied(operands, terms) : outputOf(right, operands, equation);
  checkSizes(operands, output);
  return inNameOf('einsum', 'matmul', () => {
    const product = operands.map(diagonal).reduce((all, operand, i) => {
      const later = operands.slice(i + 1).flatMap(({ labels }) => labels);
      return joined(all, operand, new Set([...output, ...later]));
    });
    return ordered(summed(product, new Set(output)), output).x as Tensor<D>;
  });
}

const wrong = (expected: string, equation: unknown) =>
  new ArgumentError(`[einsum] expected an equation of ${expected}, got ${describe(equation)}`);

/** Letters and one ellipsis at most; null for anything else. */
function parts(term: string): { before: string[]; after: string[]; hasRest: boolean } | null {
  const match = /^([a-zA-Z]*)(\.\.\.)?([a-zA-Z]*)$/.exec(term);
  return match && { before: [...match[1]], after: [...match[3]], hasRest: match[2] !== undefined };
}

const restOf = (count: number): Label[] => Array.from({ length: count }, (_, i) => String(count - 1 - i));

/** A label for each axis, which may occur twice. */
function named(term: string, x: Tensor, equation: string): Named {
  const found = parts(term);
  if (found === null) throw wrong('letters, commas and ->', equation);
  const { before, after, hasRest } = found;
  const rest = x.rank - before.length - after.length;
  if (rest < 0 || (rest > 0 && !hasRest)) {
    throw new ShapeError(
      `[einsum] expected a tensor with the axes ${term === '' ? 'of a scalar' : term}, got shape ${show(x.shape)}`,
    );
  }
  return { x, labels: [...before, ...restOf(rest), ...after] };
}

/** How many axes the longest ellipsis stands for. */
function restIn(operands: readonly Named[]): number {
  const isRest = (label: Label) => label >= '0' && label <= '9';
  return Math.max(...operands.map(({ labels }) => labels.filter((label) => isRest(label[0])).length));
}

function implied(operands: readonly Named[], terms: readonly string[]): Label[] {
  const letters = [...terms.join('').replaceAll(/[.]/g, '')];
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter));
  return [...restOf(restIn(operands)), ...once.sort()];
}

function outputOf(term: string, operands: readonly Named[], equation: string): Label[] {
  const found = parts(term);
  if (found === null) throw wrong('letters, commas and ->', equation);
  const letters = [...found.before, ...found.after];
  const known = new Set(operands.flatMap(({ labels }) => labels));
  if (new Set(letters).size !== letters.length || !letters.every((letter) => known.has(letter))) {
    throw wrong('a result with letters of its terms, each once', equation);
  }
  return [...found.before, ...(found.hasRest ? restOf(restIn(operands)) : []), ...found.after];
}

/** @throws ShapeError where an axis has two sizes other than 1 */
function checkSizes(operands: readonly Named[], output: readonly Label[]): void {
  const sizes = new Map<Label, number>();
  for (const { x, labels } of operands) {
    labels.forEach((label, axis) => {
      const [own, before = 1] = [x.shape[axis], sizes.get(label)];
      if (own !== before && own !== 1 && before !== 1) {
        throw new ShapeError(`[einsum] expected one size for ${label}, or 1, got ${before} and ${own}`);
      }
      sizes.set(label, own === 1 ? before : own);
    });
  }
  checkSize(
    'einsum',
    output.map((label) => sizes.get(label)!),
  );
}

/** A diagonal for each label that there is twice. */
function diagonal({ x, labels }: Named): Named {
  const at = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (at < 0) return { x, labels };
  const label = labels[at];
  const first = labels.indexOf(label);
  const others = Array.from(labels.keys()).filter((axis) => axis !== first && axis !== at);
  const square = transpose(x, [first, at, ...others]);
  const [a, b, ...rest] = square.shape;
  if (a !== b) throw new ShapeError(`[einsum] expected one size for both ${label}, got ${a} and ${b}`);
  const rows = slice(reshape(square, [a * b, ...rest]), [[0, undefined, a + 1]]);
  return diagonal({ x: rows, labels: [label, ...others.map((axis) => labels[axis])] });
}

/** Summed over all axes that are not to be kept. */
function summed({ x, labels }: Named, kept: ReadonlySet<Label>): Named {
  const axes = labels.flatMap((label, axis) => (kept.has(label) ? [] : [axis]));
  if (axes.length === 0) return { x, labels };
  return { x: sum(x, axes), labels: labels.filter((label) => kept.has(label)) };
}

/** With its axes in this order. */
function ordered({ x, labels }: Named, order: readonly Label[]): Named {
  const axes = order.map((label) => labels.indexOf(label));
  return { x: axes.every((axis, i) => axis === i) ? x : transpose(x, axes), labels: order };
}

/** Without axes of size 1 that the other has longer. */
function narrow({ x, labels }: Named, other: Named): Named {
  const isLong = (label: Label, axis: number) => {
    const at = other.labels.indexOf(label);
    return !(x.shape[axis] === 1 && at >= 0 && other.x.shape[at] !== 1);
  };
  const kept = labels.filter(isLong);
  if (kept.length === labels.length) return { x, labels };
  return {
    x: reshape(
      x,
      x.shape.filter((_, axis) => isLong(labels[axis], axis)),
    ),
    labels: kept,
  };
}

/** The product of both, summed over what is not to be kept. */
function joined(first: Named, second: Named, kept: ReadonlySet<Label>): Named {
  const [wideA, wideB] = [narrow(first, second), narrow(second, first)];
  const a = summed(wideA, new Set([...kept, ...wideB.labels]));
  const b = summed(wideB, new Set([...kept, ...wideA.labels]));
  const both = a.labels.filter((label) => b.labels.includes(label));
  const batch = both.filter((label) => kept.has(label));
  const inner = both.filter((label) => !kept.has(label));
  const left = a.labels.filter((label) => !both.includes(label));
  const right = b.labels.filter((label) => !both.includes(label));
  const labels = [...batch, ...left, ...right];
  const sizesOf = ({ x, labels: own }: Named, names: readonly Label[]) =>
    names.map((label) => x.shape[own.indexOf(label)]);
  const shape = [...sizesOf(a, batch), ...sizesOf(a, left), ...sizesOf(b, right)];
  if (inner.length === 0) {
    const ones = new Array<number>(right.length).fill(1);
    const rows = ordered(a, [...batch, ...left]).x;
    const columns = ordered(b, [...batch, ...right]).x;
    return {
      x: mul(
        reshape(rows, [...rows.shape, ...ones]),
        reshape(columns, [...sizesOf(b, batch), ...left.map(() => 1), ...sizesOf(b, right)]),
      ),
      labels,
    };
  }
  const count = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1);
  const [n, m, k, p] = [
    count(sizesOf(a, batch)),
    count(sizesOf(a, left)),
    count(sizesOf(a, inner)),
    count(sizesOf(b, right)),
  ];
  const isTransposed = ({ labels: own }: Named, order: readonly Label[]) =>
    own.every((label, i) => label === order[i]);
  // As they are, where that is a matrix or its transpose.
  const [columnsA, columnsB] = [
    [...batch, ...inner, ...left],
    [...batch, ...right, ...inner],
  ];
  const [transposeA, transposeB] = [isTransposed(a, columnsA), isTransposed(b, columnsB)];
  const rowsA = transposeA
    ? reshape(a.x, [n, k, m])
    : reshape(ordered(a, [...batch, ...left, ...inner]).x, [n, m, k]);
  const rowsB = transposeB
    ? reshape(b.x, [n, p, k])
    : reshape(ordered(b, [...batch, ...inner, ...right]).x, [n, k, p]);
  return { x: reshape(matmul(rowsA, rowsB, { transposeA, transposeB }), shape), labels };
}
