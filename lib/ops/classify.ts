/** Which elements are ordinary numbers. */
import { checkTensor, type Tensor } from '../tensor.ts';
import { equal, less, notEqual } from './binary.ts';
import { isInteger } from './integer.ts';
import { unary } from './unary.ts';

/** 1 where x is NaN, else 0; of x's dtype, without gradient. */
function areNaN(x: Tensor): Tensor {
  checkTensor('isNaN', x);
  const own = x.detach();
  return notEqual(own, own);
}

/** 1 where x is neither NaN nor ±Infinity, else 0; of x's dtype, without gradient. */
function areFinite(x: Tensor): Tensor {
  checkTensor('isFinite', x);
  const own = x.detach();
  return isInteger(own) ? equal(own, own) : less(unary('abs', own), Infinity);
}

export { areFinite as isFinite, areNaN as isNaN };
