/** Elementwise functions of two tensors, or of a tensor and a number, with broadcasting (NumPy's rule). */
import { contribute, track } from '../autograd.ts';
import { type BinaryOp, binaryCode, type Float, kernels } from '../kernels/index.ts';
import { allocate, type FloatDtype, release, take } from '../memory.ts';
import { broadcastLayout, broadcastShapes, type Shape, sameShape, sizeOf } from '../shape.ts';
import { checkFloat, checkSameFloat, checkTensor, empty, floats, Tensor } from '../tensor.ts';
import { sumTo } from './reduceInto.ts';
import { unary } from './unary.ts';

/** y = f(a, b), each broadcast to the common shape. da = the sum of dy·∂f/∂a over what was broadcast; db likewise. */
function binary(name: BinaryOp, a: Tensor, b: Tensor): Tensor {
  const dtype = checkSameFloat(name, a, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const layout = sameShape(a.shape, b.shape) ? null : broadcastLayout(shape, [a.shape, b.shape]);
  const y = empty(shape, dtype);
  const op = binaryCode[name];
  kernels.binary(floats(y), floats(a), floats(b), layout, op);
  return track(
    y,
    [a, b],
    (dy) => {
      for (const operand of [0, 1] as const) {
        const x = operand === 0 ? a : b;
        contribute(x, (dx) =>
          withoutBroadcast(dx, x.shape, shape, dtype, (out) =>
            kernels.binaryGradient(out, dy, floats(a), floats(b), layout, op, operand),
          ),
        );
      }
    },
    savedBy(name, a, b),
  );
}

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

/** A scalar of the other operand's dtype. */
function scalar(op: string, value: number, like: Tensor): Tensor {
  const dtype = checkFloat(op, like);
  const data = allocate(1, dtype);
  data[0] = value;
  return new Tensor(data, [], dtype);
}

/** a + sign·b without a pass for the products of gradients: both gradients are sums of dy. */
function sum(name: 'add' | 'sub', a: Tensor, b: Tensor): Tensor {
  const dtype = checkSameFloat(name, a, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const layout = sameShape(a.shape, b.shape) ? null : broadcastLayout(shape, [a.shape, b.shape]);
  const y = empty(shape, dtype);
  kernels.binary(floats(y), floats(a), floats(b), layout, binaryCode[name]);
  return track(y, [a, b], (dy) => {
    contribute(a, (da) => sumTo(da, dy, a.shape, shape, dtype, 1));
    contribute(b, (db) => sumTo(db, dy, b.shape, shape, dtype, name === 'add' ? 1 : -1));
  });
}

/** a + b */
export function add(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('add', a);
  return isNumber('add', b) ? unary('scale', a, 1, b, 'add') : sum('add', a, b);
}

/** a − b */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('sub', a);
  return isNumber('sub', b) ? unary('scale', a, 1, -b, 'sub') : sum('sub', a, b);
}

/** a · b, element by element */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('mul', a);
  return isNumber('mul', b) ? unary('scale', a, b, 0, 'mul') : binary('mul', a, b);
}

/** a / b, element by element */
export function div(a: Tensor, b: Tensor | number): Tensor {
  checkTensor('div', a);
  return isNumber('div', b) ? binary('div', a, scalar('div', b, a)) : binary('div', a, b);
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
    return binary(name, a, isNumber(name, b) ? scalar(name, b, a) : b);
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
 * @param condition of the same dtype as a and b, as comparisons give it.
 */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  checkTensor('where', condition, 'condition');
  const left = isNumber('where', a) ? scalar('where', a, condition) : a;
  const right = isNumber('where', b) ? scalar('where', b, condition) : b;
  const dtype = checkSameFloat('where', left, right);
  checkSameFloat('where', condition, left);
  const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', left.shape, right.shape));
  const layout = broadcastLayout(shape, [condition.shape, left.shape, right.shape]);
  const y = empty(shape, dtype);
  kernels.where(floats(y), floats(condition), floats(left), floats(right), layout);
  return track(
    y,
    [left, right],
    (dy) => {
      const zero = take(1, dtype);
      kernels.fill(zero, 0);
      for (const [side, first] of [
        [left, true],
        [right, false],
      ] as const) {
        const [a, b] = first ? [shape, []] : [[], shape];
        const masked = broadcastLayout(shape, [condition.shape, a, b]);
        contribute(side, (dx) =>
          withoutBroadcast(dx, side.shape, shape, dtype, (out) =>
            kernels.where(out, floats(condition), first ? dy : zero, first ? zero : dy, masked),
          ),
        );
      }
      release(zero);
    },
    [condition],
  );
}
