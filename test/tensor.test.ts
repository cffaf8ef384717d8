/** Making tensors, reading them, and what a tensor refuses. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  arange,
  eye,
  full,
  noGrad,
  ones,
  Parameter,
  rand,
  randn,
  Tensor,
  tensor,
  zeros,
} from '../lib/index.ts';

const code = (name: string) => expect.objectContaining({ code: name });

describe('tensor()', () => {
  test('takes its shape from the nesting and float32 as its dtype', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(x.shape).toEqual([2, 3]);
    expect([x.rank, x.size, x.dtype, x.requiresGrad]).toEqual([2, 6, 'float32', false]);
    expect(x.data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(x.toArray()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  test('makes a scalar of a number', () => {
    const x = tensor(2.5, { dtype: 'float64' });
    expect(x.shape).toEqual([]);
    expect(x.item()).toBe(2.5);
    expect(x.toArray()).toBe(2.5);
  });

  test('keeps the dtype of a typed array and copies it', () => {
    const values = Float64Array.of(1, 2);
    const x = tensor(values);
    values[0] = 9;
    expect(x.dtype).toBe('float64');
    expect(x.data).toEqual(Float64Array.of(1, 2));
    expect(tensor(Int32Array.of(1)).dtype).toBe('int32');
    expect(tensor(Uint8Array.of(255)).data).toEqual(Float32Array.of(255));
  });

  test('folds flat values into a shape', () => {
    expect(tensor([1, 2, 3, 4], { shape: [2, 2] }).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test('allows dimensions of size 0', () => {
    const x = tensor([], { shape: [2, 0, 3] });
    expect([x.size, x.rank]).toEqual([0, 3]);
    expect(x.toArray()).toEqual([[], []]);
  });

  test('holds NaN and infinities', () => {
    expect(tensor([Number.NaN, Infinity]).toArray()).toEqual([Number.NaN, Infinity]);
  });

  const detached = Float32Array.of(1);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });

  test.each<[string, () => unknown, string, RegExp]>([
    ['ragged rows', () => tensor([[1, 2], [3]]), 'AXPY_DATA', /an array of 2 at values\[1\], got one of 1/],
    ['a number among rows', () => tensor([[1, 2], 3]), 'AXPY_DATA', /values\[1\], got 3/],
    [
      'deeper nesting in one place',
      () => tensor([1, [2]]),
      'AXPY_DATA',
      /a number at values\[1\], got an array/,
    ],
    ['a string', () => tensor(['1'] as never), 'AXPY_DATA', /values\[0\], got "1"/],
    ['null', () => tensor([null] as never), 'AXPY_DATA', /got null/],
    ['undefined', () => tensor(undefined as never), 'AXPY_DATA', /got undefined/],
    ['a hole', () => tensor(new Array(2) as never), 'AXPY_DATA', /got undefined/],
    [
      'a fraction for int32',
      () => tensor([1.5], { dtype: 'int32' }),
      'AXPY_DATA',
      /integers for int32, got 1.5/,
    ],
    ['a number past int32', () => tensor([2 ** 31], { dtype: 'int32' }), 'AXPY_DATA', /integers for int32/],
    ['NaN for int32', () => tensor([Number.NaN], { dtype: 'int32' }), 'AXPY_DATA', /integers/],
    ['a detached array', () => tensor(detached), 'AXPY_DATA', /detached/],
    [
      'a BigInt64Array',
      () => tensor(new BigInt64Array(1) as never),
      'AXPY_DATA',
      /got an object of class BigInt64Array/,
    ],
    ['too few values', () => tensor([1, 2, 3], { shape: [2, 2] }), 'AXPY_SHAPE', /4 elements .* got 3/],
    ['a negative size', () => tensor([], { shape: [-1, 0] }), 'AXPY_SHAPE', /at least 0/],
    ['a shape that is no array', () => tensor([1], { shape: 1 as never }), 'AXPY_SHAPE', /array of integers/],
    ['an unknown dtype', () => tensor([1], { dtype: 'float16' as never }), 'AXPY_DTYPE', /got "float16"/],
    ['a gradient of int32', () => tensor([1], { dtype: 'int32', requiresGrad: true }), 'AXPY_DTYPE', /int32/],
  ])('refuses %s', (_, call, expected, message) => {
    expect(call).toThrow(code(expected));
    expect(call).toThrow(message);
  });
});

describe('tensors made of nothing', () => {
  test('zeros, ones, full, eye', () => {
    expect(zeros([2]).toArray()).toEqual([0, 0]);
    expect(ones([2], { dtype: 'int32' }).data).toEqual(Int32Array.of(1, 1));
    expect(full([2], -1.5, { dtype: 'float64' }).data).toEqual(Float64Array.of(-1.5, -1.5));
    expect(eye(2).toArray()).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(eye(0).shape).toEqual([0, 0]);
  });

  test('arange', () => {
    expect(arange(3).toArray()).toEqual([0, 1, 2]);
    expect(arange(1, 4).toArray()).toEqual([1, 2, 3]);
    expect(arange(5, 0, -2).toArray()).toEqual([5, 3, 1]);
    expect(arange(0).size).toBe(0);
    expect(arange(0, 1, 0.25, { dtype: 'float64' }).toArray()).toEqual([0, 0.25, 0.5, 0.75]);
  });

  test('requiresGrad is an option of all', () => {
    for (const x of [
      zeros([1], { requiresGrad: true }),
      randn([1], { requiresGrad: true }),
      rand([1], { requiresGrad: true }),
    ]) {
      expect(x.requiresGrad).toBe(true);
    }
  });

  test.each<[string, () => unknown, string]>([
    ['arange, step 0', () => arange(0, 1, 0), 'AXPY_ARGUMENT'],
    ['arange, NaN', () => arange(Number.NaN), 'AXPY_ARGUMENT'],
    ['arange, fractions for int32', () => arange(0, 1, 0.5, { dtype: 'int32' }), 'AXPY_DATA'],
    ['full, a fraction for int32', () => full([1], 0.5, { dtype: 'int32' }), 'AXPY_DATA'],
    ['full, no number', () => full([1], '1' as never), 'AXPY_ARGUMENT'],
    ['zeros, 2^31 elements', () => zeros([65536, 32768]), 'AXPY_SHAPE'],
    ['zeros, rank 17', () => zeros(new Array(17).fill(1)), 'AXPY_SHAPE'],
    ['zeros, dtype', () => zeros([1], { dtype: 'int8' as never }), 'AXPY_DTYPE'],
    ['randn, int32', () => randn([1], { dtype: 'int32' as never }), 'AXPY_DTYPE'],
  ])('%s is refused', (_, call, expected) => {
    expect(call).toThrow(code(expected));
  });
});

describe('a tensor', () => {
  test('item wants one element', () => {
    expect(tensor([[7]]).item()).toBe(7);
    expect(() => tensor([1, 2]).item()).toThrow(code('AXPY_SHAPE'));
    expect(() => tensor([]).item()).toThrow(code('AXPY_SHAPE'));
  });

  test('reshape shares memory, the other ops copy', () => {
    const x = tensor([1, 2, 3, 4]);
    expect(x.reshape([2, 2]).data).toBe(x.data);
    for (const y of [x.clone(), x.slice([]), x.transpose(), x.cast('float32'), x.broadcastTo([4])]) {
      expect(y.data).not.toBe(x.data);
      expect(y.data).toEqual(x.data);
    }
  });

  test('detach shares memory without history', () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const y = x.mul(2);
    const z = y.detach();
    expect(z.data).toBe(y.data);
    expect(z.requiresGrad).toBe(false);
    expect(z.mul(3).requiresGrad).toBe(false);
  });

  test('assign overwrites in place, or not at all', () => {
    const x = tensor([[1, 2]]);
    const { data } = x;
    expect(x.assign([[3, 4]])).toBe(x);
    expect(x.data).toBe(data);
    expect(x.toArray()).toEqual([[3, 4]]);
    x.assign(Float32Array.of(5, 6));
    x.assign(tensor([[7, 8]]));
    for (const [values, expected] of [
      [[[1, 2, 3]], 'AXPY_SHAPE'],
      [[1, 2], 'AXPY_SHAPE'],
      [[['1', 2]], 'AXPY_DATA'],
      [tensor([[1, 2]], { dtype: 'float64' }), 'AXPY_DTYPE'],
    ] as const) {
      expect(() => x.assign(values as never)).toThrow(code(expected));
      expect(x.toArray()).toEqual([[7, 8]]);
    }
  });

  test('prints itself, and only a part when it is large', () => {
    expect(inspect(tensor([[1, 2]]))).toBe('Tensor float32 [1, 2] [[1,2]]');
    expect(String(zeros([1000])).length).toBeLessThan(200);
  });

  test('methods are the ops', () => {
    const x = tensor([[1, -2]]);
    expect(x.add(1).mul(x).sub(2).relu().sum().item()).toBe(0);
    expect(x.matmul(x, { transposeB: true }).item()).toBe(5);
    expect(x.abs().max(1).toArray()).toEqual([2]);
  });
});

describe('a parameter', () => {
  test('lies on shared memory, wants a gradient and decays when it is a weight', () => {
    const weight = new Parameter([2, 3], 'float32');
    expect(weight.data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([weight.requiresGrad, weight.decays]).toEqual([true, true]);
    expect(new Parameter([3], 'float64').decays).toBe(false);
    expect(weight).toBeInstanceOf(Tensor);
  });

  test('is left out of the history inside noGrad', () => {
    const weight = new Parameter([2], 'float32');
    expect(noGrad(() => weight.mul(2)).requiresGrad).toBe(false);
    expect(weight.requiresGrad).toBe(true);
  });
});
