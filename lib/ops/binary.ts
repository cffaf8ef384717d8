/** Elementwise functions of two tensors, or of a tensor and a number, with broadcasting (NumPy's rule). */
import { contribute, contributeSame, track } from '../autograd.ts';
import { DtypeError } from '../errors.ts';
import { type BinaryOp, binaryCode, type Flag, type Float, kernels } from '../kernels/index.ts';
import { type Dtype, type FloatDtype, release, take } from '../memory.ts';
import { broadcastLayout, broadcastShapes, type Shape, sameShape, sizeOf } from '../shape.ts';
import {
  checkSame,
  checkSameFloat,
  checkTensor,
  elements,
  empty,
  floats,
  isTensor,
  type Tensor,
} from '../tensor.ts';
import { tracing } from '../trace.ts';
import { cast } from './cast.ts';
import { linearMap, sumToShape, trackInOps } from './derivative.ts';
import { isInteger, scalarLike, withNumber } from './integer.ts';
import { sumTo } from './reduceInto.ts';
import { log, square, unary } from './unary.ts';

/** y = f(a, b), each broadcast to the common shape. da = the sum of dy·∂f/∂a over what was broadcast; db likewise. */
function binary(name: BinaryOp, a: Tensor, b: Tensor): Tensor {
  const dtype = name === 'div' || name === 'pow' ? checkSameFloat(name, a, b) : checkSame(name, a, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const layout = sameShape(a.shape, b.shape) ? null : broadcastLayout(shape, [a.shape, b.shape]);
  const y = empty(shape, dtype);
  const op = binaryCode[name];
  kernels.binary(elements(y), elements(a), elements(b), layout, op);
  tracing?.note('binary', [a, b], y, { op: name });
  return track(
    y,
    [a, b],
    (dy) => {
      for (const operand of [0, 1] as const) {
        const x = operand === 0 ? a : b;
        contribute(x, (dx) =>
          withoutBroadcast(dx, x.shape, shape, dtype as FloatDtype, (out) =>
            kernels.binaryGradient(out, dy, floats(a), floats(b), layout, op, operand),
          ),
        );
      }
    },
    savedBy(name, a, b),
    (dy) =>
      ([0, 1] as const).map((operand) => {
        const x = operand === 0 ? a : b;
        return () => {
          const wide = binaryDerivative(name, operand, dy, a, b, y);
          return wide && sumToShape(wide, x.shape);
        };
      }),
  );
}

/** dy·∂f/∂a, or that of b for operand 1, of the broadcast shape, in ops; null where it is 0. */
function binaryDerivative(
  name: BinaryOp,
  operand: Flag,
  dy: Tensor,
  a: Tensor,
  b: Tensor,
  y: Tensor,
): Tensor | null {
  if (name === 'mul') return mul(dy, operand === 0 ? b : a);
  if (name === 'div') return operand === 0 ? div(dy, b) : mul(div(mul(dy, y), b), -1);
  const isChoice = name === 'maximum' || name === 'minimum';
  if (!isChoice && name !== 'pow') return null;
  const layout = sameShape(a.shape, b.shape) ? null : broadcastLayout(dy.shape, [a.shape, b.shape]);
  const [left, right] = [floats(a), floats(b)];
  const times = (out: Float, x: Float) =>
    kernels.binaryGradient(out, x, left, right, layout, binaryCode[name], operand);
  // Which one was taken does not change.
  if (isChoice) return linearMap(dy, dy.shape, times, times);
  const z = empty(dy.shape, dy.dtype);
  times(floats(z), floats(dy));
  return trackInOps(z, [dy, a, b], [dy, a, b], (g) => [
    () => binaryDerivative('pow', operand, g, a, b, y),
    () => sumToShape(mul(mul(g, dy), operand === 0 ? twiceByBase(a, b) : mixed(a, b)), a.shape),
    () => sumToShape(mul(mul(g, dy), operand === 0 ? mixed(a, b) : mul(pow(a, b), square(log(a)))), b.shape),
  ]);
}

/** b(b − 1)aᵇ⁻² */
const twiceByBase = (a: Tensor, b: Tensor) => mul(mul(b, sub(b, 1)), pow(a, sub(b, 2)));
/** aᵇ⁻¹(1 + b log a) */
const mixed = (a: Tensor, b: Tensor) => mul(pow(a, sub(b, 1)), add(mul(b, log(a)), 1));

/** What backward reads: of a product the other factor, of a quotient a for the gradient of b alone. */
function savedBy(name: BinaryOp, a: Tensor, b: Tensor): (Tensor | null)[] {
  if (name !== 'mul' && name !== 'div') return [a, b];
  return [b.requiresGrad ? a : null, name === 'div' || a.requiresGrad ? b : null];
}

/** Lets `write` fill a gradient of the broadcast shape, and sums it to the operand's own shape where they differ. */
export function withoutBroadcast(
  out: Float,
  own: Shape,
  broadcast: Shape,
  dtype: FloatDtype,
  write: (out: Float) => void,
): void {
  if (out.length === sizeOf(broadcast)) {
    write(out);
    return;
  }
  const wide = take(sizeOf(broadcast), dtype);
  write(wide);
  sumTo(out, wide, own, broadcast, dtype, 1);
  release(wide);
}

function isNumber(op: string, b: Tensor | number): b is number {
  if (typeof b === 'number') return true;
  checkTensor(op, b, 'the operand');
  return false;
}

/** a + sign·b without a pass for the products of gradients: both gradients are sums of dy. */
function sum(name: 'add' | 'sub', a: Tensor, b: Tensor): Tensor {
  const dtype = checkSame(name, a, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const layout = sameShape(a.shape, b.shape) ? null : broadcastLayout(shape, [a.shape, b.shape]);
  const y = empty(shape, dtype);
  kernels.binary(elements(y), elements(a), elements(b), layout, binaryCode[name]);
  tracing?.note('binary', [a, b], y, { op: name });
  const backward = (dy: Float) => {
    if (a.size === y.size) contributeSame(a, dy);
    else contribute(a, (da) => sumTo(da, dy, a.shape, shape, dtype as FloatDtype, 1));
    if (name === 'add' && b.size === y.size) contributeSame(b, dy);
    else contribute(b, (db) => sumTo(db, dy, b.shape, shape, dtype as FloatDtype, name === 'add' ? 1 : -1));
  };
  return track(y, [a, b], backward, [], (dy) => [
    () => sumToShape(dy, a.shape),
    () => sumToShape(name === 'add' ? dy : mul(dy, -1), b.shape),
  ]);
}

/** a + b; of int32, as of differences and products, it wraps around, as in PyTorch. */
export function add(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('add', a);
  if (typeof b === 'number' && isInteger(a)) return withNumber('add', a, b);
  return isNumber('add', b) ? unary('scale', a, 1, b, 'add') : sum('add', a, b);
}

/** a − b */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('sub', a);
  if (typeof b === 'number' && isInteger(a)) return withNumber('sub', a, b);
  return isNumber('sub', b) ? unary('scale', a, 1, -b, 'sub') : sum('sub', a, b);
}

/** a · b, element by element */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('mul', a);
  if (typeof b === 'number' && isInteger(a)) return withNumber('mul', a, b);
  return isNumber('mul', b) ? unary('scale', a, b, 0, 'mul') : binary('mul', a, b);
}

/** a / b, element by element; of floats alone. */
export function div(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('div', a);
  return isNumber('div', b) ? binary('div', a, scalarLike('div', b, a)) : binary('div', a, b);
}

/**
 * aᵇ, element by element, as C's pow: NaN for a negative a and a fractional b; 1 for b = 0 and for a = 1, whatever the other
 * is. The gradient of a is 0 where b is 0, that of b is 0 where a is 0 and b ≥ 0.
 */
export function pow(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('pow', a);
  return isNumber('pow', b) ? unary('powScalar', a, b, 0, 'pow') : binary('pow', a, b);
}

type Operator = (a: Tensor, b: Tensor | number) => Tensor;

function operator(name: BinaryOp): Operator {
  return (a, b) => {
    checkTensor(name, a);
    return binary(name, a, isNumber(name, b) ? scalarLike(name, b, a) : b);
  };
}

/** The larger of a and b; at a tie each gets half the gradient. NaN when either is. */
export const maximum: Operator = operator('maximum');
/** The smaller of a and b; at a tie each gets half the gradient. NaN when either is. */
export const minimum: Operator = operator('minimum');
/** 1 where a = b, else 0; of the operands' dtype, without gradient, as all comparisons. */
export const equal: Operator = operator('equal');
/** 1 where a ≠ b, else 0. */
export const notEqual: Operator = operator('notEqual');
/** 1 where a > b, else 0. */
export const greater: Operator = operator('greater');
/** 1 where a ≥ b, else 0. */
export const greaterEqual: Operator = operator('greaterEqual');
/** 1 where a < b, else 0. */
export const less: Operator = operator('less');
/** 1 where a ≤ b, else 0. */
export const lessEqual: Operator = operator('lessEqual');

/**
 * a where the condition is not 0, else b, all broadcast. The gradient goes to the side that was taken.
 * @param condition as comparisons give it: of the dtype of a and b, or of int32, or of floats where they are int32. Two
 *   numbers have the condition's dtype.
 */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  checkTensor('where', condition, 'condition');
  const like = isTensor(a) ? a : isTensor(b) ? b : condition;
  const left = isNumber('where', a) ? scalarLike('where', a, like) : a;
  const right = isNumber('where', b) ? scalarLike('where', b, like) : b;
  const dtype = checkSame('where', left, right);
  return choose(maskFor(condition, left), left, right, dtype);
}

/** A condition in the dtype of the operands, which may be fractions where those are integers. */
function maskFor(condition: Tensor, operand: Tensor): Tensor {
  if (condition.dtype === operand.dtype) return condition;
  if (isInteger(condition)) return cast(condition, operand.dtype);
  if (isInteger(operand)) return cast(notEqual(condition, 0), 'int32');
  throw new DtypeError(
    `[where] expected one dtype, or a condition of int32, got ${condition.dtype} and ${operand.dtype}: use cast`,
  );
}

function choose(condition: Tensor, left: Tensor, right: Tensor, dtype: Dtype): Tensor {
  const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', left.shape, right.shape));
  const layout = broadcastLayout(shape, [condition.shape, left.shape, right.shape]);
  const y = empty(shape, dtype);
  kernels.where(elements(y), elements(condition), elements(left), elements(right), layout);
  tracing?.note('where', [condition, left, right], y, null);
  return track(
    y,
    [left, right],
    (dy) => {
      const zero = take(1, dtype as FloatDtype);
      kernels.fill(zero, 0);
      for (const [side, first] of [
        [left, true],
        [right, false],
      ] as const) {
        const [a, b] = first ? [shape, []] : [[], shape];
        const masked = broadcastLayout(shape, [condition.shape, a, b]);
        contribute(side, (dx) =>
          withoutBroadcast(dx, side.shape, shape, dtype as FloatDtype, (out) =>
            kernels.where(out, floats(condition), first ? dy : zero, first ? zero : dy, masked),
          ),
        );
      }
      release(zero);
    },
    [condition],
    (dy) => [
      () => sumToShape(where(condition, dy, 0), left.shape),
      () => sumToShape(where(condition, 0, dy), right.shape),
    ],
  );
}
