/** Products of matrices. */

import { einsum } from '../../ops/einsum.ts';
import { linear } from '../../ops/linear.ts';
import { matmul } from '../../ops/matmul.ts';
import { reshape } from '../../ops/reshape.ts';
import { sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { Operator } from '../node.ts';
import { Held, isHeld, toHeld, type Value } from '../value.ts';
import { applyActivation, type FusedActivation } from './epilogue.ts';

/** g(x·Wᵀ + b) for the last axis of x, as Dense. */
function dense(x: Tensor, weight: Tensor, bias: Tensor | null, activation: FusedActivation): Tensor {
  if (x.rank === 2) return linear(x, weight, bias, activation);
  const lead = x.shape.slice(0, -1);
  const rows = reshape(x, [sizeOf(lead), x.shape[x.rank - 1]]);
  return reshape(linear(rows, weight, bias, activation), [...lead, weight.shape[0]]);
}

/** Whether a matrix lies as weights do here. */
const isWeight = (x: Value): x is Held => isHeld(x) && x.isTurned && x.rank === 2;

function product(a: Value, b: Value): Tensor {
  const dtype = isHeld(a) ? a.dtype : isHeld(b) ? b.dtype : undefined;
  const [left, right] = [toHeld(a, dtype), toHeld(b, dtype)];
  if (isWeight(right) && left.rank >= 2) return dense(left.first, right.turned, null, null);
  if (right.isTurned) return matmul(left.first, right.turned, { transposeB: true });
  return matmul(left.first, right.first);
}

const matMul: Operator = (node) => {
  node.checkInputs(2);
  return ([a, b]) => Held.first(applyActivation(node, product(a!, b!)));
};

/** MatMul and the Add of a bias after it. */
const denseOperator: Operator = (node) => {
  node.checkInputs(3);
  return ([x, weight, bias]) => {
    const held = toHeld(x!);
    const own = toHeld(weight!).turned;
    return Held.first(dense(held.first, own, toHeld(bias!, held.dtype).first, node.activation));
  };
};

const gemm: Operator = (node) => {
  node.checkInputs(2, 3);
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
  const [transA, transB] = [node.flag('transA', false), node.flag('transB', false)];
  return ([a, b, c]) => {
    const left = toHeld(a!);
    const right = toHeld(b!, left.dtype);
    const rows = transA ? left.turned : left.first;
    const isVector = (x: Value | undefined) =>
      x === undefined || (isHeld(x) && x.rank === 1 && x.shape[0] === right.shape[transB ? 0 : 1]);
    if (alpha === 1 && (beta === 1 || c === undefined) && isVector(c)) {
      const weight = transB ? right.first : right.turned;
      return Held.first(dense(rows, weight, c === undefined ? null : toHeld(c).first, node.activation));
    }
    const y = matmul(rows, right.first, { transposeB: transB });
    const scaled = alpha === 1 ? y : y.mul(alpha);
    if (c === undefined) return Held.first(applyActivation(node, scaled));
    const share = toHeld(c, left.dtype).first;
    return Held.first(applyActivation(node, scaled.add(beta === 1 ? share : share.mul(beta))));
  };
};

const einsumOperator: Operator = (node) => {
  node.checkInputs(1, Infinity);
  const equation = node.text('equation');
  return (inputs) => {
    const [first, ...others] = inputs.map((x) => toHeld(x!));
    return Held.first(einsum(equation, first.first, ...others.map((x) => x.first)));
  };
};

export const products: Readonly<Record<string, Operator>> = {
  MatMul: matMul,
  Gemm: gemm,
  Einsum: einsumOperator,
  'axpy:Dense': denseOperator,
};
