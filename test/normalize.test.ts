/** Normalisation about the mean in all its digits, against closed forms over small integers in float64. */
import { describe, expect, test } from 'vitest';
import {
  BatchNorm,
  batchNorm,
  compile,
  type FloatDtype,
  layerNorm,
  type Tensor,
  tensor,
} from '../lib/index.ts';
import { generator } from './cases/generator.ts';

/** Numbers `far` + `unit`·k for small k, of which `unit` is the last digit that the dtype holds there. */
const grids = { float32: { far: 10000, unit: 2 ** -10 }, float64: { far: 2 ** 40, unit: 2 ** -12 } };
const tolerance = { float32: 2e-6, float64: 1e-12 };
/** Small beside the variance of the numbers, unit². */
const epsilon = 1e-12;

/** Integers, columns of them or rows. */
function integers(seed: number, length: number): number[] {
  const next = generator(seed);
  return Array.from({ length }, () => Math.floor(7 * next()) - 3);
}

/**
 * x̂, and the gradients of Σ dy·g(x̂·scale + shift) with slopes g′, of groups of numbers, given by their places. Ioffe & Szegedy,
 * 2015: dx = (dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) / √(variance + ε).
 */
function closedForm(k: number[], unit: number, groups: number[][], dHat: (i: number, hat: number) => number) {
  const [hat, dx] = [new Array<number>(k.length), new Array<number>(k.length)];
  const mean = (places: number[], of: (i: number) => number) =>
    places.reduce((sum, i) => sum + of(i), 0) / places.length;
  for (const places of groups) {
    const center = mean(places, (i) => k[i]);
    const inverse = 1 / Math.sqrt(unit ** 2 * mean(places, (i) => (k[i] - center) ** 2) + epsilon);
    for (const i of places) hat[i] = unit * (k[i] - center) * inverse;
    const [total, product] = [
      mean(places, (i) => dHat(i, hat[i])),
      mean(places, (i) => dHat(i, hat[i]) * hat[i]),
    ];
    for (const i of places) dx[i] = inverse * (dHat(i, hat[i]) - total - hat[i] * product);
  }
  return { hat, dx };
}

function expectNear(got: Tensor, wanted: readonly number[], dtype: FloatDtype, what: string): void {
  const largest = Math.max(...wanted.map(Math.abs));
  const off = Math.max(...[...got.data].map((value, i) => Math.abs(value - wanted[i])));
  expect(off / largest, what).toBeLessThan(tolerance[dtype]);
}

/** Eager, and compiled. */
const ways = {
  eager: <Args extends unknown[]>(fn: (...args: Args) => Tensor, ...args: Args) => fn(...args),
  compiled: <Args extends unknown[]>(fn: (...args: Args) => Tensor, ...args: Args) =>
    compile(fn).sync(...args),
};

describe.each(['float32', 'float64'] as const)('numbers far from 0, %s', (dtype) => {
  const { far, unit } = grids[dtype];
  const make = (values: readonly number[], shape: readonly number[]) => tensor([...values], { shape, dtype });
  const place = (k: readonly number[], shape: readonly number[]) =>
    make(
      k.map((value) => far + unit * value),
      shape,
    ).setRequiresGrad();

  const activations = {
    none: { g: (z: number) => z, slope: () => 1, activation: null },
    relu: {
      g: (z: number) => Math.max(z, 0),
      slope: (z: number) => (z > 0 ? 1 : 0),
      activation: { op: 'relu', parameter: 0 },
    },
    sigmoid: {
      g: (z: number) => 1 / (1 + Math.exp(-z)),
      slope: (z: number) => Math.exp(-z) / (1 + Math.exp(-z)) ** 2,
      activation: { op: 'sigmoid', parameter: 0 },
    },
  } as const;

  for (const shape of [
    [5, 3],
    [67, 19],
    [2, 3, 4, 5],
    [301, 2],
  ]) {
    for (const [name, { g, slope, activation }] of Object.entries(activations)) {
      test(`batchNorm of ${shape.join('×')}, ${name}`, () => {
        const channels = shape[shape.length - 1];
        const k = integers(
          shape[0],
          shape.reduce((a, b) => a * b),
        );
        const scales = Array.from({ length: channels }, (_, c) => 0.5 + c / channels);
        const shifts = Array.from({ length: channels }, (_, c) => 0.3 - c / channels);
        const dy = integers(7, k.length);
        const groups = scales.map((_, c) => [...k.keys()].filter((i) => i % channels === c));
        const z = (i: number, hat: number) => hat * scales[i % channels] + shifts[i % channels];
        const dz = (i: number, hat: number) => dy[i] * slope(z(i, hat));
        const { hat, dx } = closedForm(k, unit, groups, (i, own) => dz(i, own) * scales[i % channels]);
        const [x, scale, shift] = [place(k, shape), make(scales, [channels]), make(shifts, [channels])];
        for (const parameter of [scale, shift]) parameter.setRequiresGrad();
        const y = batchNorm(x, scale, shift, null, { epsilon, activation });
        expectNear(
          y,
          hat.map((own, i) => g(z(i, own))),
          dtype,
          'y',
        );
        y.backward(make(dy, shape));
        expectNear(x.grad!, dx, dtype, 'dx');
        const sum = (places: number[], of: (i: number) => number) => places.reduce((s, i) => s + of(i), 0);
        expectNear(
          scale.grad!,
          groups.map((p) => sum(p, (i) => dz(i, hat[i]) * hat[i])),
          dtype,
          'dScale',
        );
        expectNear(
          shift.grad!,
          groups.map((p) => sum(p, (i) => dz(i, hat[i]))),
          dtype,
          'dShift',
        );
      });
    }
  }

  test.each([
    [9, 5],
    [33, 67],
  ])('layerNorm of %i×%i', (rows, size) => {
    const k = integers(rows, rows * size);
    const dy = integers(8, k.length);
    const scales = Array.from({ length: size }, (_, j) => 0.5 + j / size);
    const groups = Array.from({ length: rows }, (_, r) => scales.map((_scale, j) => r * size + j));
    const { hat, dx } = closedForm(k, unit, groups, (i) => dy[i] * scales[i % size]);
    const [x, scale] = [place(k, [rows, size]), make(scales, [size]).setRequiresGrad()];
    const y = layerNorm(x, size, scale, null, { epsilon });
    expectNear(
      y,
      hat.map((own, i) => own * scales[i % size]),
      dtype,
      'y',
    );
    y.backward(make(dy, [rows, size]));
    expectNear(x.grad!, dx, dtype, 'dx');
    const products = scales.map((_, j) => groups.reduce((s, row) => s + dy[row[j]] * hat[row[j]], 0));
    expectNear(scale.grad!, products, dtype, 'dScale');
  });

  test.each([
    [undefined, 0],
    [0, 1],
    [1, 0],
  ])('variance over %s, correction %i', (axis, correction) => {
    const shape = [41, 6];
    const k = integers(11, 41 * 6);
    const groups: number[][] =
      axis === undefined ? [[...k.keys()]] : Array.from({ length: shape[1 - axis] }, () => []);
    if (axis !== undefined) for (const i of k.keys()) groups[axis === 0 ? i % 6 : Math.floor(i / 6)].push(i);
    const dx = new Array<number>(k.length);
    const wanted = groups.map((places) => {
      const mean = places.reduce((s, i) => s + k[i], 0) / places.length;
      for (const i of places) dx[i] = (2 * unit * (k[i] - mean)) / (places.length - correction);
      return (unit ** 2 * places.reduce((s, i) => s + (k[i] - mean) ** 2, 0)) / (places.length - correction);
    });
    const x = place(k, shape);
    const y = x.variance(axis, { correction });
    expectNear(y, wanted, dtype, 'variance');
    y.sum().backward();
    expectNear(x.grad!, dx, dtype, 'dx');
  });

  test.each(Object.entries(ways))('running statistics, %s', (_, run) => {
    const k = integers(13, 50 * 4);
    const layer = new BatchNorm(4, { dtype, momentum: 1 });
    run((x: Tensor) => layer.forward(x), place(k, [50, 4]).detach());
    const columns = Array.from({ length: 4 }, (_, c) => k.filter((_k, i) => i % 4 === c));
    const means = columns.map((column) => column.reduce((a, b) => a + b) / 50);
    const variances = columns.map(
      (column, c) => column.reduce((s, value) => s + (value - means[c]) ** 2, 0) / 49,
    );
    expectNear(
      layer.runningVariance,
      variances.map((v) => v * unit ** 2),
      dtype,
      'variance',
    );
    // As near as the dtype comes.
    const rounded = make(
      means.map((mean) => far + unit * mean),
      [4],
    );
    expect([...layer.runningMean.data]).toEqual([...rounded.data]);
  });
});
