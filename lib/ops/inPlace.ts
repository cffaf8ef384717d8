/**
 * Updates in place, of parameters, their gradients and other state: averages of weights, target networks, clipped gradients,
 * optimizers of one's own. They are not differentiated; a backward pass whose history needs the elements as they were says so.
 */
import { refuseAgain } from '../again.ts';
import { AutogradError, DtypeError, inNameOf, ShapeError } from '../errors.ts';
import { type BinaryOp, binaryCode, type Data, kernels, unaryCode } from '../kernels/index.ts';
import { settleRuns } from '../kernels/queue.ts';
import { changing, recording } from '../kernels/recorder.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { broadcastLayout, broadcastShapes, sameShape, show } from '../shape.ts';
import {
  checkElements,
  checkFloat,
  checkSame,
  checkTensor,
  elements,
  floats,
  isTensor,
  type Tensor,
  tensor,
  type Values,
} from '../tensor.ts';
import { tracing } from '../trace.ts';
import { isInteger, scalarLike } from './integer.ts';

/** @throws AutogradError for what has a history, DataError for what has lost its elements. */
function checkTarget(op: string, x: Tensor): void {
  checkTensor(op, x);
  refuseAgain(op);
  checkElements(op, x);
  if (x.node === null) {
    // Runs that were asked for before may read and write it.
    if (recording === null && x.storage.isShared) settleRuns();
    return;
  }
  throw new AutogradError(
    `[${op}] expected a tensor without a history, got a computed one: detach() it, or compute a new one`,
  );
}

/** The elements of an operand and how they meet those of x: null where their shapes agree. */
function operand(
  op: string,
  x: Tensor,
  b: Tensor,
  name: string,
): { values: Data; layout: Int32Array | null } {
  checkTensor(op, b, name);
  checkSame(op, x, b);
  checkElements(op, b);
  if (sameShape(x.shape, b.shape)) return { values: elements(b), layout: null };
  if (!sameShape(broadcastShapes(op, x.shape, b.shape), x.shape)) {
    throw new ShapeError(
      `[${op}] expected a shape that broadcasts to ${show(x.shape)}, got ${show(b.shape)}`,
    );
  }
  return { values: elements(b), layout: broadcastLayout(x.shape, [x.shape, b.shape]) };
}

/** x ← f(x, b) */
function update(op: string, name: BinaryOp, x: Tensor, b: Tensor): Tensor {
  checkTarget(op, x);
  if (name === 'div') checkFloat(op, x);
  const { values, layout } = operand(op, x, b, 'the operand');
  changing(op, x.storage);
  kernels.binary(elements(x), elements(x), values, layout, binaryCode[name]);
  tracing?.note('binary', [x, b], x, { op: name });
  return x;
}

/** A number beside int32 as a tensor. */
function operandOf(op: string, x: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? scalarLike(op, b, x) : b;
}

/** x ← p·x + q */
function scale(op: string, x: Tensor, p: number, q: number): Tensor {
  checkTarget(op, x);
  checkFloat(op, x);
  changing(op, x.storage);
  kernels.unary(floats(x), floats(x), unaryCode.scale, p, q);
  tracing?.note('unary', [x], x, { op: 'scale', p, q });
  return x;
}

/**
 * x ← values, of x's shape, or flat in a typed array.
 * @throws DataError, DtypeError or ShapeError when values do not fit, AutogradError for a computed x: x is then unchanged.
 */
export function assign(x: Tensor, values: Values | Tensor): Tensor {
  const op = 'assign';
  checkTensor(op, x);
  const source = isTensor(values) ? values : inNameOf(op, 'tensor', () => tensor(values, { dtype: x.dtype }));
  if (source.dtype !== x.dtype)
    throw new DtypeError(`[${op}] expected dtype ${x.dtype}, got ${source.dtype}`);
  const isFlat = ArrayBuffer.isView(values);
  if (source.size !== x.size || (!isFlat && !sameShape(source.shape, x.shape))) {
    throw new ShapeError(`[${op}] expected shape ${show(x.shape)}, got ${show(source.shape)}`);
  }
  checkElements(op, source);
  checkTarget(op, x);
  changing(op, x.storage);
  kernels.cast(elements(x), elements(source));
  tracing?.note('cast', [source], x, null);
  return x;
}

/** x ← x + b, where b broadcasts to x's shape. @throws as `assign` */
export function add_(x: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' && !isInteger(x)
    ? scale('add_', x, 1, b)
    : update('add_', 'add', x, operandOf('add_', x, b));
}

/** x ← x − b */
export function sub_(x: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' && !isInteger(x)
    ? scale('sub_', x, 1, -b)
    : update('sub_', 'sub', x, operandOf('sub_', x, b));
}

/** x ← x · b, element by element */
export function mul_(x: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' && !isInteger(x)
    ? scale('mul_', x, b, 0)
    : update('mul_', 'mul', x, operandOf('mul_', x, b));
}

/** x ← x / b, element by element */
export function div_(x: Tensor, b: Tensor | number): Tensor {
  if (typeof b !== 'number') return update('div_', 'div', x, b);
  checkTarget('div_', x);
  return update('div_', 'div', x, tensor(b, { dtype: checkFloat('div_', x) }));
}

/**
 * x ← x + weight · (end − x), on the way from x to end: with a small weight, a running average.
 * @param end of x's shape, or one that broadcasts to it
 * @param weight a number, or a tensor that broadcasts to x's shape
 */
export function lerp_(x: Tensor, end: Tensor, weight: Tensor | number): Tensor {
  const op = 'lerp_';
  checkTarget(op, x);
  checkFloat(op, x);
  const to = operand(op, x, end, 'end');
  const by = typeof weight === 'number' ? null : operand(op, x, weight, 'weight');
  changing(op, x.storage);
  const way = take(x.size, x.dtype as FloatDtype);
  // Both layouts have x first: the difference is that of the operands in the other order.
  kernels.binary(way, floats(x), to.values, to.layout, binaryCode.sub);
  if (by === null) kernels.unary(way, way, unaryCode.scale, weight as number, 0);
  else kernels.binary(way, way, by.values, by.layout, binaryCode.mul);
  kernels.binary(floats(x), floats(x), way, null, binaryCode.sub);
  release(way);
  if (typeof weight === 'number') tracing?.note('lerp', [x, end], x, { weight });
  else tracing?.note('lerp', [x, end, weight], x, { weight: null });
  return x;
}
