/** The fully connected layer as one op: product, bias and activation in a single kernel call. */

import { contribute, track } from '../autograd.ts';
import { ShapeError } from '../errors.ts';
import { kernels } from '../kernels/index.ts';
import type { FloatDtype } from '../memory.ts';
import { show } from '../shape.ts';
import { checkSameFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import {
  type Activation,
  activationCode,
  biasDerivative,
  checkVector,
  epilogueDerivative,
  epilogueGradient,
} from './epilogue.ts';
import { matmul } from './matmul.ts';

/**
 * g(X·Wᵀ + b): the notes' z = W x + b for each row of X, equation (1), with the bias and the activation g applied while
 * the product is in cache.
 * @param x [batch, in]
 * @param weight [out, in]
 * @param bias [out], or null for none
 * @param activation one that `canFuse`, or null for none
 * @returns [batch, out]
 */
export function linear<D extends FloatDtype>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>> | null = null,
  activation: Activation | null = null,
): Tensor<D> {
  checkTensor('linear', x);
  checkTensor('linear', weight, 'weight');
  const dtype = checkSameFloat('linear', x, weight);
  if (x.rank !== 2 || weight.rank !== 2 || x.shape[1] !== weight.shape[1]) {
    throw new ShapeError(
      `[linear] expected x [batch, in] and weight [out, in], got ${show(x.shape)} and ${show(weight.shape)}`,
    );
  }
  const [m, k] = x.shape;
  const n = weight.shape[0];
  checkVector('linear', x, bias, 'bias', n);
  const y = empty([m, n], dtype);
  const code = activationCode(activation);
  const parameter = activation?.parameter ?? 0;
  const b = bias ? floats(bias) : null;
  kernels.gemm(floats(y), floats(x), floats(weight), b, 1, m, n, k, 0, 1, 0, 0, code, parameter, null);
  tracing?.note('linear', [x, weight, bias], y, { activation });
  return track(
    y,
    [x, weight, bias],
    (dz) => {
      // dW = dZᵀ·X, db = Σ dZ over the batch, dX = dZ·W: equation (8) of the notes, a batch at a time.
      epilogueGradient(dz, floats(y), bias, activation, m, n);
      contribute(
        weight,
        (dw) => kernels.gemm(dw, dz, floats(x), null, 1, n, k, m, 1, 0, 0, 0, -1, 0, null),
        (dw) => kernels.gemmAccumulate(dw, dz, floats(x), 1, n, k, m, 1, 0, 0, 0, 0, null),
      );
      contribute(x, (dx) => kernels.gemm(dx, dz, floats(weight), null, 1, m, k, n, 0, 0, 0, 0, -1, 0, null));
    },
    [weight.requiresGrad ? x : null, x.requiresGrad ? weight : null, activation && y],
    (dy) => {
      const dz = epilogueDerivative(dy, y, activation);
      return [() => matmul(dz, weight), () => matmul(dz, x, { transposeA: true }), biasDerivative(dz, bias)];
    },
  );
}
