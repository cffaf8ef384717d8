/** int32: every op that takes it, against plain loops over numbers, and what it refuses. */
import { describe, expect, test } from 'vitest';
import {
  compile,
  concat,
  Dense,
  losses,
  Parameter,
  SGD,
  seed,
  stack,
  type Tensor,
  tensor,
  where,
} from '../lib/index.ts';
import { generator } from './cases/values.ts';

const code = (name: string) => expect.objectContaining({ code: name });
const int32 = (values: readonly number[], shape: readonly number[] = [values.length]) =>
  tensor(values, { shape, dtype: 'int32' });

const next = generator(7);
/** Of all sizes, so that sums wrap around, or few, so that they tie; the ends among them. */
function draw(shape: readonly number[], few: boolean): Tensor<'int32'> {
  const size = shape.reduce((a, b) => a * b, 1);
  const ends = [-(2 ** 31), 2 ** 31 - 1, 0, -1];
  const values = Array.from({ length: size }, (_, i) => {
    if (few) return Math.floor(next() * 5) - 2;
    return i % 5 === 0 ? ends[(i / 5) % 4] : Math.floor(next() * 2 ** 32) | 0;
  });
  return int32(values, shape);
}

/** The element that a position of the broadcast shape reads. */
function at(x: Tensor, shape: readonly number[], flat: number): number {
  let [position, stride, rest] = [0, 1, flat];
  for (let axis = shape.length - 1, own = x.rank - 1; axis >= 0; axis--, own--) {
    const i = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
    if (own < 0) continue;
    if (x.shape[own] !== 1) position += i * stride;
    stride *= x.shape[own];
  }
  return x.data[position];
}

const shapes: readonly (readonly [a: readonly number[], b: readonly number[], y: readonly number[]])[] = [
  [[], [], []],
  [[1], [37], [37]],
  [[37], [37], [37]],
  [[1031], [], [1031]],
  [[3, 5], [5], [3, 5]],
  [
    [3, 1],
    [1, 5],
    [3, 5],
  ],
  [
    [2, 1, 4],
    [3, 1],
    [2, 3, 4],
  ],
  [
    [0, 3],
    [1, 3],
    [0, 3],
  ],
];

const flag = (holds: boolean) => (holds ? 1 : 0);
// ToInt32 of JavaScript wraps around as int32 does.
const pairs: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: (a, b) => Number(BigInt.asIntN(32, BigInt(a) * BigInt(b))),
  maximum: Math.max,
  minimum: Math.min,
  equal: (a, b) => flag(a === b),
  notEqual: (a, b) => flag(a !== b),
  greater: (a, b) => flag(a > b),
  greaterEqual: (a, b) => flag(a >= b),
  less: (a, b) => flag(a < b),
  lessEqual: (a, b) => flag(a <= b),
};
type Pair = (x: Tensor, b: Tensor | number) => Tensor;
const method = (name: string) => (x: Tensor, b: Tensor | number) =>
  (x as unknown as Record<string, Pair>)[name](b as never, undefined as never);

describe('functions of two', () => {
  test.each(Object.keys(pairs))('%s', (name) => {
    const f = pairs[name];
    const op = method(name);
    for (const few of [false, true]) {
      for (const [shapeA, shapeB, shape] of shapes) {
        const [a, b] = [draw(shapeA, few), draw(shapeB, few)];
        const y = op(a, b);
        const size = shape.reduce((p, q) => p * q, 1);
        const expected = Array.from({ length: size }, (_, i) => f(at(a, shape, i), at(b, shape, i)));
        expect([y.dtype, y.shape, y.requiresGrad]).toEqual(['int32', shape, false]);
        expect([...y.data]).toEqual(expected.map((value) => value + 0));
        const compiled = compile((p: Tensor, q: Tensor) => op(p, q));
        expect(compiled.sync(a, b).data).toEqual(y.data);
        expect(compiled.sync(a, b).data).toEqual(y.data);
      }
      const x = draw([2, 9], few);
      for (const number of [0, 2, -3, 2 ** 31 - 1]) {
        expect([...op(x, number).data]).toEqual(Array.from(x.data, (value) => f(value, number) + 0));
      }
    }
    expect(() => op(int32([1]), 1.5)).toThrow(code('AXPY_ARGUMENT'));
    expect(() => op(int32([1]), 1.5)).toThrow(new RegExp(`\\[${name}\\] expected an integer .* got 1.5`));
    expect(() => op(int32([1]), 2 ** 31)).toThrow(code('AXPY_ARGUMENT'));
    expect(() => op(int32([1]), tensor([1]))).toThrow(code('AXPY_DTYPE'));
    expect(() => op(tensor([1]), int32([1]))).toThrow(/expected one dtype, got float32 and int32: use cast/);
  });

  test('neg, abs and sign; the least number has no counterpart', () => {
    const x = int32([3, 0, -5, 2 ** 31 - 1, -(2 ** 31)]);
    expect([...x.neg().data]).toEqual([-3, 0, 5, -(2 ** 31) + 1, -(2 ** 31)]);
    expect([...x.abs().data]).toEqual([3, 0, 5, 2 ** 31 - 1, -(2 ** 31)]);
    expect([...x.sign().data]).toEqual([1, 0, -1, 1, -1]);
  });

  test('in place', () => {
    const x = int32([1, 2, 2 ** 31 - 1]);
    expect(
      x
        .add_(1)
        .mul_(int32([2]))
        .sub_(int32([0, 1, 2])).data,
    ).toEqual(Int32Array.of(4, 5, -2));
    expect(() => x.add_(0.5)).toThrow(code('AXPY_ARGUMENT'));
    expect(() => x.div_(int32([2]))).toThrow(/cast/);
    expect(x.data).toEqual(Int32Array.of(4, 5, -2));
  });

  test.each<[string, (x: Tensor) => unknown]>([
    ['div', (x) => x.div(x)],
    ['div', (x) => x.div(2)],
    ['pow', (x) => x.pow(x)],
    ['mean', (x) => x.mean()],
    ['variance', (x) => x.variance()],
    ['exp', (x) => x.exp()],
    ['lerp_', (x) => x.lerp_(x, 0.5)],
  ])('%s says that there is cast', (name, call) => {
    expect(() => call(int32([1]))).toThrow(code('AXPY_DTYPE'));
    expect(() => call(int32([1]))).toThrow(
      new RegExp(`\\[${name}\\] expected float32 or float64, got int32: use cast`),
    );
  });
});

/** Every index of a shape with what is left of it without some axes. */
function grouped(x: Tensor, axes: readonly number[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  const kept = x.shape.filter((_, axis) => !axes.includes(axis));
  for (let i = 0; i < kept.reduce((a, b) => a * b, 1); i++) groups.set(i, []);
  for (let flat = 0; flat < x.size; flat++) {
    let [rest, out, stride] = [flat, 0, 1];
    for (let axis = x.rank - 1; axis >= 0; axis--) {
      if (!axes.includes(axis)) {
        out += (rest % x.shape[axis]) * stride;
        stride *= x.shape[axis];
      }
      rest = Math.floor(rest / x.shape[axis]);
    }
    groups.get(out)!.push(x.data[flat]);
  }
  return groups;
}

describe('reductions', () => {
  const patterns: readonly (readonly [shape: readonly number[], axes: readonly number[]])[] = [
    [[], []],
    [[37], [0]],
    [[3, 5], [0]],
    [[3, 5], [1]],
    [[3, 5], []],
    [[2, 3, 4], [1]],
    [
      [2, 3, 4],
      [0, 2],
    ],
    [[1100, 3], [0]],
    [[70000], [0]],
    // More groups than the kernel takes at once.
    [
      [2, 3, 2, 3, 2],
      [0, 2, 4],
    ],
    [
      [2, 2, 2, 3, 2, 2, 2],
      [1, 3, 5],
    ],
    [
      [2, 2, 2, 2, 2, 2, 2, 2],
      [0, 2, 4, 6],
    ],
  ];

  test.each(patterns)('%j over %j', (shape, axes) => {
    const [few, all] = [draw(shape, true), draw(shape, false)];
    const lists = (x: Tensor) => [...grouped(x, axes).values()];
    expect([...few.sum(axes).data]).toEqual(lists(few).map((list) => list.reduce((a, b) => a + b, 0)));
    for (const x of [few, all]) {
      const most = lists(x).map((list) => list.reduce((a, b) => Math.max(a, b)));
      const least = lists(x).map((list) => list.reduce((a, b) => Math.min(a, b)));
      expect([...x.max(axes, { keepDims: true }).data]).toEqual(most);
      expect([...x.min(axes).data]).toEqual(least);
      if (axes.length !== 1) continue;
      expect([...x.argmax(axes[0]).data]).toEqual(lists(x).map((list, i) => list.indexOf(most[i])));
      expect([...x.argmin(axes[0]).data]).toEqual(lists(x).map((list, i) => list.indexOf(least[i])));
      expect(compile((a: Tensor) => a.argmin(axes[0])).sync(x).data).toEqual(x.argmin(axes[0]).data);
    }
    const compiled = compile((x: Tensor) => [x.sum(axes), x.max(axes)]);
    for (let i = 0; i < 2; i++) {
      const [total, largest] = compiled.sync(few);
      expect([total.data, largest.data]).toEqual([few.sum(axes).data, few.max(axes).data]);
    }
  });

  test('argmin of floats: the first of the smallest, NaN before all', () => {
    const x = tensor([
      [3, -1, -1, 2],
      [1, Number.NaN, -Infinity, Number.NaN],
      [-0, 0, 5, 5],
    ]);
    expect(x.argmin(1).toArray()).toEqual([1, 1, 0]);
    expect(tensor([4, 2, 9]).argmin().item()).toBe(1);
    expect(x.argmin(0).toArray()).toEqual([2, 1, 1, 1]);
    expect(() => tensor([], { shape: [0, 2] }).argmin(0)).toThrow(code('AXPY_SHAPE'));
    expect(() => x.argmin(2)).toThrow(/\[argmin\] expected an axis/);
  });

  test('a sum is exact or an error', () => {
    const most = 2 ** 31 - 1;
    expect(int32([most, 1, -1]).sum().item()).toBe(most);
    expect(int32([most, most, most, -most, -most]).sum().item()).toBe(most);
    const x = int32([most, 1, 1, 1], [2, 2]);
    expect(() => x.sum(1)).toThrow(code('AXPY_DATA'));
    expect(() => x.sum(1)).toThrow(
      /^\[sum\] expected out\[0\] to fit int32, got 2147483648: use cast\('float64'\)$/,
    );
    expect(x.cast('float64').sum(1).toArray()).toEqual([2 ** 31, 2]);
    const compiled = compile((a: Tensor) => a.sum());
    expect(() => compiled.sync(x)).toThrow(code('AXPY_DATA'));
    expect(compiled.sync(int32([1, 2, 3, 4], [2, 2])).item()).toBe(10);
    // Parts of which do not fit.
    const alternating = draw([2, 2, 2, 2, 2], true)
      .mul(0)
      .add(most)
      .mul(int32([1, -1], [2, 1, 1, 1, 1]));
    expect(alternating.sum([0, 2, 4]).data).toEqual(new Int32Array(4));
    expect(() => int32([], [0]).max()).toThrow(code('AXPY_SHAPE'));
    expect(int32([], [0]).sum().item()).toBe(0);
  });

  test('sums beyond what float64 adds exactly', () => {
    // In order the partial sums go beyond 2⁵³, where float64 holds even numbers alone.
    const half = 2 ** 21 + 1;
    const x = new Int32Array(4 * half).fill(2 ** 31 - 1).fill(-(2 ** 31) + 1, 2 * half);
    x[0] -= 5;
    expect(tensor(x).sum().item()).toBe(-5);
  });
});

describe('where', () => {
  const labels = int32([3, 1, 3, 0]);
  const scores = tensor([0.5, 1.5, 2.5, 3.5], { requiresGrad: true });

  test('takes conditions of int32 for operands of any dtype', () => {
    const mask = labels.equal(3);
    expect(where(mask, scores, 0).toArray()).toEqual([0.5, 0, 2.5, 0]);
    expect(where(mask, 0, scores.cast('float64')).toArray()).toEqual([0, 1.5, 0, 3.5]);
    expect(where(mask, labels, -1).data).toEqual(Int32Array.of(3, -1, 3, -1));
    expect(where(mask, 7, 8).data).toEqual(Int32Array.of(7, 8, 7, 8));
    expect(where(int32([1], [1, 1]), labels, int32([9], [1])).shape).toEqual([1, 4]);
    where(mask, scores, 0).sum().backward();
    expect(scores.grad!.toArray()).toEqual([1, 0, 1, 0]);
  });

  test('takes conditions of floats for int32, a fraction among them', () => {
    expect(where(tensor([0.25, 0, -0.5, 1]), labels, -1).data).toEqual(Int32Array.of(3, -1, 3, 0));
    expect(where(scores.greater(1), labels, 0).data).toEqual(Int32Array.of(0, 1, 3, 0));
  });

  test('refuses two dtypes of operands, fractions, and other floats', () => {
    expect(() => where(labels, scores, labels)).toThrow(
      /\[where\] expected one dtype, got float32 and int32/,
    );
    expect(() => where(labels, labels, 0.5)).toThrow(code('AXPY_ARGUMENT'));
    expect(() => where(scores.cast('float64'), scores, 0)).toThrow(
      /condition of int32, got float64 and float32/,
    );
  });
});

test('ops that move elements', () => {
  const x = int32([1, 2, 3, 4, 5, 6], [2, 3]);
  for (const [y, expected] of [
    [
      x.reshape([3, 2]),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ],
    [x.flatten(0), [1, 2, 3, 4, 5, 6]],
    [
      x.transpose(),
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ],
    [
      x.slice([null, [0, 3, 2]]),
      [
        [1, 3],
        [4, 6],
      ],
    ],
    [
      concat([x, x], 1),
      [
        [1, 2, 3, 1, 2, 3],
        [4, 5, 6, 4, 5, 6],
      ],
    ],
    [
      stack([x, x]),
      [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
      ],
    ],
    [
      x.gather(int32([1, 1])),
      [
        [4, 5, 6],
        [4, 5, 6],
      ],
    ],
    [
      x.pad(
        [
          [0, 0],
          [1, 0],
        ],
        -1,
      ),
      [
        [-1, 1, 2, 3],
        [-1, 4, 5, 6],
      ],
    ],
    [
      int32([7], [1, 1]).broadcastTo([2, 2]),
      [
        [7, 7],
        [7, 7],
      ],
    ],
    [
      x.clone(),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
  ] as const) {
    expect(y.dtype).toBe('int32');
    expect(y.toArray()).toEqual(expected);
  }
});

describe('in a compiled step', () => {
  const x = tensor([
    [1, 0],
    [0, 1],
    [1, 1],
    [-1, 0.5],
  ]);
  const labels = int32([0, 1, 3, 1]);

  /** A step of one's own: rows of class 3 count for nothing, and the accuracy over the others is part of the result. */
  function trainer() {
    seed(3);
    const model = new Dense(2, 2);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.5 });
    return (input: Tensor, target: Tensor) => {
      const ignored = target.equal(3);
      const logits = model.forward(input);
      const each = losses.softmaxCrossEntropy(logits, where(ignored, 0, target), { reduction: 'none' });
      const loss = where(ignored, 0, each).sum().div(ignored.equal(0).sum().cast('float32'));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      const accuracy = logits.argmax(1).equal(target).cast('float32').mean();
      return { loss, accuracy };
    };
  }

  test('labels make masks, and predictions an accuracy, as in an eager one', () => {
    const eager = trainer();
    const compiled = compile(trainer());
    let last = Infinity;
    for (let i = 0; i < 20; i++) {
      // Other labels must not find those of the recording.
      const own = i % 2 === 0 ? labels : int32([0, 1, 3, 3]);
      const [a, b] = [eager(x, own), compiled.sync(x, own)];
      expect(b.loss.item()).toBe(a.loss.item());
      expect(b.accuracy.item()).toBe(a.accuracy.item());
      last = b.loss.item();
    }
    expect(last).toBeLessThan(0.5);
    expect(compiled.sync(x, labels).accuracy.item()).toBe(0.75);
  });

  test('a counter made there may be updated in place', () => {
    const weight = new Parameter([2]);
    weight.assign([1, -1]);
    const count = compile((input: Tensor) => {
      const total = input.mul(weight).greater(0).cast('int32');
      return total.add_(1).sum();
    });
    expect(count.sync(x).item()).toBe(8 + 2);
    expect(x.argmax(1).dtype).toBe('int32');
  });
});
