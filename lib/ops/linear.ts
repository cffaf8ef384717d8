/** The fully connected layer as one op: product, bias and activation in a single kernel call. */
import { contribute, track, wantsGradient } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { gradientFromOutput, kernels, reduceCode, type UnaryOp, unaryCode } from '../kernels/index.ts';
import { release, take } from '../memory.ts';
import { show } from '../shape.ts';
import { checkSameFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { unaryGradient } from './unary.ts';

/** An elementwise activation with its first parameter. */
export interface Activation {
  op: UnaryOp;
  parameter: number;
}

const fusable: ReadonlySet<UnaryOp> = new Set<UnaryOp>(gradientFromOutput);

/** True when the gradient needs only the activation's output, so that the sum z = XWᵀ + b need not be kept. */
export function canFuse(activation: Activation): boolean {
  return fusable.has(activation.op);
}

/**
 * g(X·Wᵀ + b): the notes' z = W x + b for each row of X, equation (1), with the bias and the activation g applied while
 * the product is in cache.
 * @param x [batch, in]
 * @param weight [out, in]
 * @param bias [out], or null for none
 * @param activation one that `canFuse`, or null for none
 * @returns [batch, out]
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  activation: Activation | null = null,
): Tensor {
  checkTensor('linear', x);
  checkTensor('linear', weight, 'weight');
  const dtype = checkSameFloat('linear', x, weight);
  if (bias) checkSameFloat('linear', x, bias);
  if (x.rank !== 2 || weight.rank !== 2 || x.shape[1] !== weight.shape[1]) {
    throw new ShapeError(
      `[linear] expected x [batch, in] and weight [out, in], got ${show(x.shape)} and ${show(weight.shape)}`,
    );
  }
  const [m, k] = x.shape;
  const n = weight.shape[0];
  if (bias && (bias.rank !== 1 || bias.size !== n)) {
    throw new ShapeError(`[linear] expected bias [${n}], got ${show(bias.shape)}`);
  }
  const y = empty([m, n], dtype);
  const code = activation ? unaryCode[activation.op] : -1;
  const parameter = activation?.parameter ?? 0;
  const b = bias ? floats(bias) : null;
  kernels.gemm(floats(y), floats(x), floats(weight), b, 1, m, n, k, 0, 1, 0, 0, code, parameter);
  if (!wantsGradient([x, weight, bias])) return y;
  return track(y, [x, weight, bias], (dy) => {
    let dz = dy;
    if (activation) {
      dz = take(m * n, dtype);
      unaryGradient(activation.op, dz, dy, null, floats(y), parameter, 0);
    }
    // dW = dZᵀ·X, db = Σ dZ over the batch, dX = dZ·W: equation (8) of the notes, a batch at a time.
    contribute(
      weight,
      (dw) => kernels.gemm(dw, dz, floats(x), null, 1, n, k, m, 1, 0, 0, 0, -1, 0),
      (dw) => kernels.gemmAccumulate(dw, dz, floats(x), 1, n, k, m, 1, 0, 0, 0, 0),
    );
    if (bias) contribute(bias, (db) => kernels.reduce(db, dz, 1, m, n, 1, reduceCode.sum, 1));
    contribute(x, (dx) => kernels.gemm(dx, dz, floats(weight), null, 1, m, k, n, 0, 0, 0, 0, -1, 0));
    if (dz !== dy) release(dz);
  });
}
