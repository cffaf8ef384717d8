/** What ops do otherwise with int32. Nothing of it has a gradient. */
import { describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type BinaryOp, binaryCode, kernels } from '../kernels/index.ts';
import { allocate } from '../memory.ts';
import { elements, empty, isTensor, Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';

export const isInteger = (x: Tensor): x is Tensor<'int32'> => isTensor(x) && x.dtype === 'int32';

/** A scalar of the dtype of another operand. @throws ArgumentError for a fraction beside int32 */
export function scalarLike(op: string, value: number, { dtype }: Tensor): Tensor {
  const data = allocate(1, dtype);
  data[0] = value;
  if (dtype === 'int32' && data[0] !== value) {
    throw new ArgumentError(
      `[${op}] expected an integer beside int32, got ${describe(value)}: use cast('float32')`,
    );
  }
  return new Tensor(data, [], dtype);
}

function elementwise(op: BinaryOp, a: Tensor<'int32'>, b: Tensor): Tensor<'int32'> {
  const y = empty(a.shape, 'int32');
  kernels.binary(elements(y), elements(a), elements(b), null, binaryCode[op]);
  tracing?.note('binary', [a, b], y, { op });
  return y;
}

/** f(a, b) for each element of a. */
export function withNumber(op: BinaryOp, a: Tensor<'int32'>, b: number): Tensor<'int32'> {
  return elementwise(op, a, scalarLike(op, b, a));
}

/** |x|; −2³¹ stays, as it has no counterpart. */
export function absoluteIntegers(x: Tensor<'int32'>): Tensor<'int32'> {
  return elementwise('maximum', x, withNumber('mul', x, -1));
}

export function signsOfIntegers(x: Tensor<'int32'>): Tensor<'int32'> {
  return elementwise('sub', withNumber('greater', x, 0), withNumber('less', x, 0));
}
