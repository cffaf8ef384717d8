/** The ops that write to a tensor in place. */
import { describe, expect, test } from 'vitest';
import {
  ArgumentError,
  AutogradError,
  AxpyError,
  Dense,
  DtypeError,
  Parameter,
  ShapeError,
  SharedTensor,
  Tensor,
  tensor,
  zeros,
} from '../lib/index.ts';
import { to } from './train/twins.ts';

/** A number as a tensor like x. */
const tensorOf = (y: Tensor | number, x: Tensor) =>
  typeof y === 'number' ? tensor(y, { dtype: x.dtype }) : y;

const ops: Record<
  string,
  { run: (x: Tensor, y: Tensor | number) => Tensor; value: (x: number, y: number) => number }
> = {
  add_: { run: (x, y) => x.add_(y), value: (x, y) => x + y },
  sub_: { run: (x, y) => x.sub_(y), value: (x, y) => x - y },
  mul_: { run: (x, y) => x.mul_(y), value: (x, y) => x * y },
  div_: { run: (x, y) => x.div_(y), value: (x, y) => x / y },
  'lerp_ by a quarter': { run: (x, y) => x.lerp_(tensorOf(y, x), 0.25), value: (x, y) => x + 0.25 * (y - x) },
  'lerp_ by nothing': { run: (x, y) => x.lerp_(tensorOf(y, x), 0), value: (x) => x },
};

/** Numbers of a few bits, so that none of these results is rounded. */
const start = [1, -2, 4, 8, -0.5, 3];
const makers: Record<string, () => Tensor> = {
  'a float32 tensor': () => tensor(start, { shape: [2, 3] }),
  'a float64 tensor': () => tensor(start, { shape: [2, 3], dtype: 'float64' }),
  'a leaf that wants a gradient': () => tensor(start, { shape: [2, 3], requiresGrad: true }),
  'a SharedTensor': () => new SharedTensor([2, 3]).assign(tensor(start, { shape: [2, 3] })),
  'a Parameter': () =>
    new Parameter([2, 3], 'float64').assign(tensor(start, { shape: [2, 3], dtype: 'float64' })),
  'a gradient': () => {
    const p = new Parameter([2, 3]);
    p.backward(tensor(start, { shape: [2, 3] }));
    return p.grad!;
  },
  'a detached view of a result': () => tensor(start, { requiresGrad: true }).mul(1).detach().reshape([2, 3]),
};

describe.each(Object.entries(makers))('%s', (_, make) => {
  test.each(Object.entries(ops))('%s', (_, { run, value }) => {
    const { dtype } = make();
    const others: (number | Tensor)[] = [
      2,
      tensor(-4, { dtype }),
      tensor([1, 2, -8], { dtype }),
      tensor([[2], [-1]], { dtype }),
      tensor(
        [
          [1, 2, 4],
          [-1, -2, -4],
        ],
        { dtype },
      ),
    ];
    for (const y of others) {
      const x = make();
      const at = (i: number) => {
        if (typeof y === 'number' || y.size === 1) return typeof y === 'number' ? y : y.data[0];
        if (y.size === 6) return y.data[i];
        return y.size === 3 ? y.data[i % 3] : y.data[Math.floor(i / 3)];
      };
      const wanted = start.map((x0, i) => value(x0, at(i)));
      const { data } = x;
      const wants = x.requiresGrad;
      expect(run(to(x), y)).toBe(x);
      expect(Array.from(x.data)).toEqual(wanted);
      // The memory is what it was, and nothing is differentiated.
      expect(x.data).toBe(data);
      expect(x.requiresGrad).toBe(wants);
    }
  });

  test('itself as the other operand', () => {
    const cases: [(x: Tensor, self: Tensor) => Tensor, (x: number) => number][] = [
      [(x, self) => x.assign(self), (x) => x],
      [(x, self) => x.add_(self), (x) => 2 * x],
      [(x, self) => x.sub_(self), () => 0],
      [(x, self) => x.mul_(self), (x) => x * x],
      [(x, self) => x.div_(self), () => 1],
      [(x, self) => x.lerp_(self, 0.5), (x) => x],
    ];
    for (const [run, value] of cases) {
      for (const view of [
        (x: Tensor) => x,
        (x: Tensor) => x.detach(),
        (x: Tensor) => x.detach().reshape([2, 3]),
      ]) {
        const x = make();
        run(to(x), view(x));
        expect(Array.from(x.data)).toEqual(start.map(value));
      }
    }
  });
});

test('what has a history as the other operand is not differentiated', () => {
  const [p, s] = [new Parameter([2]).assign([1, 2]), new SharedTensor([2])];
  to(s).add_(p.mul(3));
  expect(s.toArray()).toEqual([3, 6]);
  expect(s.requiresGrad).toBe(false);
  to(p).sub_(p.mul(0.5));
  expect(p.toArray()).toEqual([0.5, 1]);
  p.square().sum().backward();
  expect(p.grad!.toArray()).toEqual([1, 2]);
});

test('they chain, and the views see it', () => {
  const x = tensor([1, 2, 3, 4]);
  const view = x.reshape([2, 2]);
  to(x)
    .add_(1)
    .mul_(2)
    .sub_(tensor([1, 1, 1, 1]))
    .div_(2);
  expect(view.toArray()).toEqual([
    [1.5, 2.5],
    [3.5, 4.5],
  ]);
});

test('lerp_ takes a tensor of weights', () => {
  const x = tensor([0, 0, 0]);
  to(x).lerp_(tensor([4, 4, 4]), tensor([0, 0.5, 1]));
  expect(x.toArray()).toEqual([0, 2, 4]);
});

test('assign takes int32', () => {
  const x = tensor([1, 2, 3], { dtype: 'int32' });
  x.assign(tensor([4, 5, 6], { dtype: 'int32' }));
  expect(x.toArray()).toEqual([4, 5, 6]);
});

test('nothing is there to be written to', () => {
  for (const { run } of Object.values(ops)) expect(run(to(zeros([0, 3])), 1)).toBeInstanceOf(Tensor);
});

describe('refused, and nothing changed', () => {
  const computed = () => tensor([1, 2, 3], { requiresGrad: true }).mul(2);
  const cases: [string, () => Tensor, (x: Tensor) => unknown, new (message: string) => AxpyError][] = [
    ['a computed tensor', computed, (x) => x.add_(1), AutogradError],
    ['a computed tensor, assigned', computed, (x) => x.assign([0, 0, 0]), AutogradError],
    ['a view with a history', () => computed().reshape([3, 1]), (x) => x.mul_(2), AutogradError],
    [
      'a view of a Parameter, which has a history',
      () => new Parameter([3]).reshape([3, 1]),
      (x) => x.add_(1),
      AutogradError,
    ],
    ['a shape that is larger', () => zeros([3]), (x) => x.add_(zeros([2, 3])), ShapeError],
    ['a shape of a higher rank', () => zeros([3]), (x) => x.add_(zeros([1, 3])), ShapeError],
    ['a shape that fits not', () => zeros([3]), (x) => x.mul_(zeros([2])), ShapeError],
    ['a shape that fits not, assigned', () => zeros([3]), (x) => x.assign(zeros([2])), ShapeError],
    ['the end of a blend that fits not', () => zeros([3]), (x) => x.lerp_(zeros([2]), 0.5), ShapeError],
    ['another dtype', () => zeros([3]), (x) => x.add_(zeros([3], { dtype: 'float64' })), DtypeError],
    [
      'another dtype, assigned',
      () => zeros([3]),
      (x) => x.assign(zeros([3], { dtype: 'float64' })),
      DtypeError,
    ],
    [
      'the end of a blend of another dtype',
      () => zeros([3]),
      (x) => x.lerp_(zeros([3], { dtype: 'float64' }), 0.5),
      DtypeError,
    ],
    ['a quotient of int32', () => zeros([3], { dtype: 'int32' }), (x) => x.div_(1), DtypeError],
    ['a blend of int32', () => zeros([3], { dtype: 'int32' }), (x) => x.lerp_(x, 1), DtypeError],
    ['a fraction beside int32', () => zeros([3], { dtype: 'int32' }), (x) => x.add_(0.5), ArgumentError],
    ['no tensor', () => zeros([3]), (x) => x.add_('1' as never), AxpyError as never],
    ['nothing', () => zeros([3]), (x) => x.mul_(undefined as never), AxpyError as never],
    ['no weight', () => zeros([3]), (x) => x.lerp_(zeros([3]), undefined as never), AxpyError as never],
  ];
  test.each(cases)('%s', (_, make, act, error) => {
    const x = make();
    const before = Array.from(x.data);
    expect(() => act(to(x))).toThrow(error);
    expect(Array.from(x.data)).toEqual(before);
  });

  test('elements that are gone', () => {
    const gone = tensor([1, 2, 3]);
    structuredClone(gone.data.buffer, { transfer: [gone.data.buffer as ArrayBuffer] });
    const x = tensor([1, 2, 3]);
    for (const { run } of Object.values(ops)) {
      expect(() => run(to(x), gone)).toThrow(AxpyError);
      expect(() => run(to(gone), x)).toThrow(AxpyError);
    }
    expect(x.toArray()).toEqual([1, 2, 3]);
  });

  test('a layer learns on', () => {
    const layer = new Dense(2, 1);
    to(layer.weight).assign([[1, 1]]);
    layer
      .forward(tensor([[1, 2]]))
      .sum()
      .backward();
    expect(layer.weight.grad!.toArray()).toEqual([[1, 2]]);
  });
});
