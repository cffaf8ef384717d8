/** Products of matrices. */

import { linear } from '../../ops/linear.ts';
import { matmul } from '../../ops/matmul.ts';
import { reshape } from '../../ops/reshape.ts';
import { sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { Operator } from '../node.ts';
import { Held, isHeld, permute, toHeld, type Value } from '../value.ts';
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

// ── Einsum ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Of one operand, or of two, each letter once in an operand: what a product of matrices does. */
const einsum: Operator = (node) => {
  node.checkInputs(1, Infinity);
  const equation = node.text('equation').replaceAll(' ', '');
  const [left, given] = equation.split('->');
  const terms = left.split(',');
  const isPlain = [...terms, given ?? ''].every(
    (term) => /^[A-Za-z]*$/.test(term) && new Set(term).size === term.length,
  );
  if (!isPlain || terms.length > 2 || terms.length !== node.inputs.length) {
    throw node.refusal(
      'an equation of one or two operands, with no letter twice in one',
      `'${equation.slice(0, 60)}'`,
    );
  }
  const once = [...new Set(left.replace(',', ''))].filter((letter) => left.split(letter).length === 2);
  const out = given ?? once.sort().join('');
  if (new Set(out).size !== out.length || ![...out].every((letter) => left.includes(letter))) {
    throw node.error('a result of letters that operands have, each once', `'${out}'`);
  }
  return (inputs) => {
    const tensors = inputs.map((x) => toHeld(x!).first);
    tensors.forEach((x, i) => {
      if (x.rank !== terms[i].length)
        throw node.error(`operand ${i} of ${terms[i].length} axes`, `${x.rank}`);
    });
    return Held.first(
      tensors.length === 1 ? sumTo(tensors[0], terms[0], out) : contract(tensors, terms, out),
    );
  };
};

/** x summed over the letters that are not in `out`, in the order of those that are. */
function sumTo(x: Tensor, term: string, out: string): Tensor {
  const gone = [...term].flatMap((letter, axis) => (out.includes(letter) ? [] : [axis]));
  const kept = [...term].filter((letter) => out.includes(letter));
  const summed = gone.length === 0 ? x : x.sum(gone);
  return permute(
    summed,
    [...out].map((letter) => kept.indexOf(letter)),
  );
}

function contract([a, b]: readonly Tensor[], [termA, termB]: readonly string[], out: string): Tensor {
  const sizes = new Map<string, number>();
  for (const [term, { shape }] of [
    [termA, a],
    [termB, b],
  ] as const) {
    for (const [i, letter] of [...term].entries()) sizes.set(letter, shape[i]);
  }
  const letters = (term: string, test: (letter: string) => boolean) => [...term].filter(test).join('');
  const both = letters(termA, (x) => termB.includes(x) && out.includes(x));
  const inner = letters(termA, (x) => termB.includes(x) && !out.includes(x));
  const left = letters(termA, (x) => !termB.includes(x) && out.includes(x));
  const right = letters(termB, (x) => !termA.includes(x) && out.includes(x));
  const shapeOf = (...groups: string[]) =>
    groups.map((group) => sizeOf([...group].map((x) => sizes.get(x)!)));
  const x = reshape(sumTo(a, termA, both + left + inner), shapeOf(both, left, inner));
  const y = reshape(sumTo(b, termB, both + inner + right), shapeOf(both, inner, right));
  const term = both + left + right;
  const all = reshape(
    matmul(x, y),
    [...term].map((letter) => sizes.get(letter)!),
  );
  return sumTo(all, term, out);
}

export const products: Readonly<Record<string, Operator>> = {
  MatMul: matMul,
  Gemm: gemm,
  Einsum: einsum,
  'axpy:Dense': denseOperator,
};
