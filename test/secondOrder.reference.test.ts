/**
 * Uses of gradients of gradients against PyTorch's (test/reference/second_order.py), eagerly and compiled: trainings with a
 * penalty on gradients and of a differential equation, and a Hessian times a vector.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  compile,
  conv2d,
  type FloatDtype,
  gradients,
  layerNorm,
  losses,
  Parameter,
  SGD,
  type Tensor,
  tensor,
} from '../lib/index.ts';
import { uniform } from './cases/case.ts';
import { elements } from './cases/values.ts';
import { deviation, type Numbers, read } from './reference/read.ts';

const steps = 20;
const wanted = read<Record<string, Numbers>>('secondOrder');

const rows = (name: string, shape: number[], low: number, high: number, dtype: FloatDtype): Tensor =>
  tensor(elements(uniform(shape, low, high), name), { shape, dtype });

type Shapes = Readonly<Record<string, number[]>>;

/** Parameters by the recipe of their names. */
function parametersOf<S extends Shapes>(
  name: string,
  shapes: S,
  dtype: FloatDtype,
): { [Key in keyof S]: Parameter } {
  const made = Object.entries(shapes).map(([key, shape]) => {
    const parameter = new Parameter(shape, dtype);
    parameter.assign(rows(`${name}/${key}`, shape, -0.5, 0.5, dtype));
    return [key, parameter];
  });
  return Object.fromEntries(made);
}

type Way = <Args extends Tensor[]>(fn: (...args: Args) => Tensor[]) => (...args: Args) => Tensor[];

const uses: Record<string, (dtype: FloatDtype, way: Way) => Tensor[]> = {
  penalty(dtype, way) {
    const shapes = { kernel: [4, 3, 3, 2], bias: [4], scale: [6, 6, 4], shift: [6, 6, 4], weight: [1, 144] };
    const p = parametersOf('penalty', shapes, dtype);
    const critic = (x: Tensor): Tensor =>
      layerNorm(conv2d(x, p.kernel, p.bias, { padding: 'same' }), [6, 6, 4], p.scale, p.shift)
        .silu()
        .reshape([-1, 144])
        .matmul(p.weight, { transposeB: true });
    const optimizer = new SGD(Object.values(p), { learningRate: 0.02 });
    const step = way((real: Tensor, fake: Tensor, mix: Tensor) => {
      const between = real
        .mul(mix)
        .add(fake.mul(mix.neg().add(1)))
        .setRequiresGrad();
      const slope = gradients(critic(between).sum(), between, { createGraph: true });
      const size = slope.square().sum([1, 2, 3]).add(1e-12).sqrt();
      const loss = critic(fake).mean().sub(critic(real).mean()).add(size.sub(1).square().mean().mul(10));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return [loss];
    });
    const seen = Array.from({ length: steps }, (_, i) => {
      const [real, fake] = ['real', 'fake'].map((kind) =>
        rows(`penalty/${kind}/${i}`, [3, 6, 6, 2], -1, 1, dtype),
      );
      return step(real, fake, rows(`penalty/mix/${i}`, [3, 1, 1, 1], 0, 1, dtype))[0].clone();
    });
    return [...seen, ...Object.values(p)];
  },
  hessian(dtype, way) {
    const p = parametersOf('hessian', { w1: [5, 4], b1: [5], w2: [3, 5], b2: [3] }, dtype);
    const own = Object.values(p);
    const labels = tensor([0, 1, 2, 0, 1, 2, 0, 1], { dtype: 'int32' });
    const by = way((x: Tensor, ...vectors: Tensor[]) => {
      const hidden = x.matmul(p.w1, { transposeB: true }).add(p.b1).tanh();
      const logits = hidden.matmul(p.w2, { transposeB: true }).add(p.b2);
      const first = gradients(losses.softmaxCrossEntropy(logits, labels), own, { createGraph: true });
      return [...first, ...gradients(first, own, { gradOutputs: vectors })];
    });
    const vectors = Object.entries(p).map(([key, { shape }]) =>
      rows(`hessian/vector/${key}`, [...shape], -1, 1, dtype),
    );
    return by(rows('hessian/x', [8, 4], -1, 1, dtype), ...vectors);
  },
  equation(dtype, way) {
    const p = parametersOf('equation', { w1: [8, 1], b1: [8], w2: [1, 8], b2: [1] }, dtype);
    const u = (x: Tensor): Tensor =>
      x.matmul(p.w1, { transposeB: true }).add(p.b1).tanh().matmul(p.w2, { transposeB: true }).add(p.b2);
    const optimizer = new Adam(Object.values(p), { learningRate: 0.01 });
    const ends = tensor([[0], [1]], { dtype });
    const step = way((given: Tensor) => {
      const x = given.detach().setRequiresGrad();
      const slope = gradients(u(x).sum(), x, { createGraph: true });
      const curvature = gradients(slope.sum(), x, { createGraph: true });
      const source = x
        .mul(Math.PI)
        .sin()
        .mul(Math.PI ** 2);
      const loss = curvature.add(source).square().mean().add(u(ends).square().mean());
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return [loss];
    });
    const seen = Array.from(
      { length: steps },
      (_, i) => step(rows(`equation/x/${i}`, [12, 1], 0, 1, dtype))[0],
    );
    return [...seen, ...Object.values(p)];
  },
};

describe.each([
  ['float64', 1e-10],
  ['float32', 2e-4],
] as const)('%s', (dtype, tolerance) => {
  test.each(Object.keys(uses))('%s', (name) => {
    const flat = (seen: Tensor[]) => seen.flatMap((x) => Array.from(x.data));
    const eager = flat(uses[name](dtype, (fn) => fn));
    const array = dtype === 'float64' ? Float64Array.from(eager) : Float32Array.from(eager);
    expect(deviation(array, wanted[name], tolerance)).toBeNull();
    expect(flat(uses[name](dtype, (fn) => compile(fn).sync as typeof fn))).toEqual(eager);
  });
});

test('the trainings move', () => {
  // Those that stand still would be followed by an optimizer that does nothing.
  for (const [name, last] of [
    ['penalty', 'weight'],
    ['equation', 'w1'],
  ] as const) {
    const shape = { weight: [1, 144], w1: [8, 1] }[last];
    const start = rows(`${name}/${last}`, shape, -0.5, 0.5, 'float64').data;
    const from = last === 'weight' ? wanted[name].length - start.length : steps;
    const moved = Array.from(start, (value, i) => Math.abs(Number(wanted[name][from + i]) - value));
    expect(Math.max(...moved)).toBeGreaterThan(0.05);
  }
});
