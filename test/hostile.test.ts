/** Arguments that lie, have no end or answer by errors; and what must not grow beyond all bounds. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { describe as say } from '../lib/arguments.ts';
import {
  Adam,
  AvgPool2D,
  AxpyError,
  arange,
  batchNorm,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  compile,
  concat,
  confusionMatrix,
  conv2d,
  Dense,
  denseFromChannelsFirst,
  dropout,
  Flatten,
  fit,
  full,
  gradCheck,
  groupNorm,
  interpolate,
  LayerNorm,
  layerNorm,
  losses,
  MaxPool2D,
  maxPool2d,
  noGrad,
  ones,
  Pad,
  Parameter,
  permutation,
  RMSNorm,
  rand,
  randn,
  rmsNorm,
  Sequential,
  SGD,
  SharedTensor,
  scaledDotProductAttention,
  stack,
  type Tensor,
  tensor,
  Upsample,
  upsample,
  zeros,
} from '../lib/index.ts';
import { defaultState } from '../lib/random.ts';
import { show } from '../lib/shape.ts';
import { recordedCall } from '../lib/train/compile.ts';
import { declarations } from './cases/index.ts';
import { cotangentOf, inputsOf } from './cases/values.ts';

const error = (code: string) => expect.objectContaining({ code, constructor: expect.any(Function) });

/** An array, or a record, that counts how often each of its parts is read, and has another answer from the second time on. */
function lying<Value extends object>(
  honest: Value,
  lie: unknown,
): { value: Value; reads: Map<PropertyKey, number> } {
  const reads = new Map<PropertyKey, number>();
  const value = new Proxy(honest, {
    get(target, name, receiver) {
      if (typeof name === 'symbol' || !Object.hasOwn(target, name))
        return Reflect.get(target, name, receiver);
      const count = (reads.get(name) ?? 0) + 1;
      reads.set(name, count);
      return count === 1 ? Reflect.get(target, name) : lie;
    },
  });
  return { value, reads };
}

const endless = (): number[] => new Array(2 ** 32 - 1);
const matrix = () =>
  tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
const image = () => ones([1, 4, 4, 1]);

describe('messages', () => {
  const revoked = (target: object) => {
    const { proxy, revoke } = Proxy.revocable(target, {});
    revoke();
    return proxy;
  };
  const thrower = () => {
    throw new TypeError('hidden');
  };
  class Named {
    value = 1;
  }
  Object.defineProperty(Named, 'name', { get: thrower });
  const values: unknown[] = [
    revoked({}),
    revoked([]),
    revoked(thrower),
    new Proxy({}, new Proxy({}, { get: thrower })),
    new Proxy([], new Proxy({}, { get: thrower })),
    Object.defineProperty({}, 'constructor', { get: thrower }),
    new Named(),
    { constructor: { name: Symbol('name') } },
    { constructor: { name: 'a'.repeat(1e6) } },
    { constructor: null },
    { constructor: revoked({}) },
    { toString: thrower, [Symbol.toPrimitive]: thrower, [Symbol.toStringTag]: 3 },
    Object.create(null),
    endless(),
    'a'.repeat(2 ** 26),
    '\ud800',
    10n ** 100_000n,
    -(10n ** 100_000n),
    Symbol('s'),
    thrower,
    class {},
    new Float32Array(2 ** 20),
    Number.NaN,
    -0,
    undefined,
    null,
    globalThis,
  ];
  test.each(values.map((value, i) => [i, value] as const))('describe value %d', (_, value) => {
    expect(say(value).length).toBeLessThan(100);
    expect(show([value as never, 1]).length).toBeLessThan(100);
  });

  test('show only the beginning of what is long', () => {
    expect(show([2, 'batch'])).toBe('[2, batch]');
    expect(show(endless())).toMatch(/^\[undefined, .*, …\]$/);
    expect(show(endless()).length).toBeLessThan(300);
  });
});

/** Calls that take a shape; its sizes are 2 and 3. */
const shapes: Record<string, (shape: number[]) => { shape: readonly number[] }> = {
  zeros: (shape) => zeros(shape),
  ones: (shape) => ones(shape),
  full: (shape) => full(shape, 1),
  rand: (shape) => rand(shape),
  randn: (shape) => randn(shape),
  tensor: (shape) => tensor(new Float32Array(6), { shape }),
  reshape: (shape) => arange(6).reshape(shape),
  broadcastTo: (shape) => zeros([3]).broadcastTo(shape),
  SharedTensor: (shape) => new SharedTensor(shape),
  Parameter: (shape) => new Parameter(shape),
  LayerNorm: (shape) => new LayerNorm(shape),
  RMSNorm: (shape) => new RMSNorm(shape),
  'LayerNorm, weight': (shape) => new LayerNorm(shape).weight!,
  layerNorm: (shape) => layerNorm(zeros([2, 3]), shape),
  'inputShape of a Sequential': (shape) => ({
    shape: new Sequential([new Flatten()], { inputShape: shape }).inputShape!,
  }),
  attach: (shape) => {
    const x = new SharedTensor([2, 3]);
    x.attach({ shape, dtype: 'float32', buffer: new SharedArrayBuffer(24) });
    return x;
  },
};

describe.each(Object.entries(shapes))('the shape of %s', (_, call) => {
  test('is read once, into an array of its own', () => {
    const { value, reads } = lying([2, 3], -1);
    const { shape } = call(value);
    expect(shape).toEqual([2, 3]);
    expect(Math.max(...reads.values())).toBe(1);
    const given = [2, 3];
    expect(call(given).shape).not.toBe(given);
  });

  test.each<[string, () => unknown]>([
    ['without end', endless],
    ['with an end far off', () => [1, ...Array(5), ...endless().slice(0, 2 ** 20)]],
    [
      'as a proxy without end',
      () => new Proxy([2], { get: (_t, name) => (name === 'length' ? 2 ** 32 - 1 : 1) }),
    ],
    ['of rank 17', () => Array(17).fill(1)],
    ['too large', () => [2 ** 31]],
    ['too large, beside 0', () => [2 ** 31, 0]],
    ['beyond all numbers, beside 0', () => [1e300, 1e300, 0]],
    ['of Infinity', () => [Infinity, 0]],
    ['of NaN', () => [Number.NaN]],
    ['of strings', () => ['2', '3']],
    ['of holes', () => new Array(2)],
    ['of objects', () => [{ valueOf: () => 2 }, 3]],
  ])('is refused %s, at once', (_, make) => {
    const shape = make();
    const start = performance.now();
    expect(() => call(shape as never)).toThrow(error('AXPY_SHAPE'));
    expect(performance.now() - start).toBeLessThan(1000);
    try {
      call(shape as never);
    } catch (thrown) {
      expect((thrown as Error).message.length).toBeLessThan(300);
    }
  });
});

describe('lists', () => {
  const w = () => ones([1, 2, 2, 1]);
  /** Calls that take an array or a record, a good one for them, and what it must not say the second time. */
  const lists: Record<string, [good: object, lie: unknown, call: (value: never) => unknown]> = {
    'axes of sum': [[0, 1], 9, (v) => matrix().sum(v).toArray()],
    'axes of mean': [[1], 9, (v) => matrix().mean(v).toArray()],
    'axes of max': [[1], 9, (v) => matrix().max(v).toArray()],
    'axes of variance': [[1], 9, (v) => matrix().variance(v).toArray()],
    'axes of transpose': [[1, 0], 9, (v) => matrix().transpose(v).toArray()],
    'ranges of slice': [[[0, 1], [1]], 9, (v) => matrix().slice(v).toArray()],
    'a range of slice': [[2, 0, -1], 9, (v) => matrix().slice([null, v]).toArray()],
    'pairs of pad': [[[0, 1]], 9, (v) => matrix().pad(v).toArray()],
    'a pair of pad': [[1, 2], -9, (v) => matrix().pad([v]).toArray()],
    'tensors of concat': [[matrix(), matrix()], 9, (v) => concat(v).toArray()],
    'tensors of stack': [[matrix(), matrix()], 9, (v) => stack(v).toArray()],
    'options of sum': [{ keepDims: true }, 9, (v) => matrix().sum(0, v).toArray()],
    'options of zeros': [{ dtype: 'float64' }, 9, (v) => zeros([1], v).dtype],
    'options of conv2d': [
      { stride: 2, padding: 1, dilation: 1, groups: 1 },
      -9,
      (v) => conv2d(image(), w(), null, v).toArray(),
    ],
    'stride of conv2d': [[2, 1], -9, (v) => conv2d(image(), w(), null, { stride: v }).toArray()],
    'padding of conv2d': [[2, 1], -9, (v) => conv2d(image(), w(), null, { padding: v }).toArray()],
    'sides of conv2d': [{ top: 1, left: 2 }, -9, (v) => conv2d(image(), w(), null, { padding: v }).toArray()],
    'activation of conv2d': [
      { op: 'relu', parameter: 0 },
      'gelu',
      (v) => conv2d(image().setRequiresGrad(), w(), null, { activation: v }).sum().backward(),
    ],
    'size of maxPool2d': [[2, 1], -9, (v) => maxPool2d(image(), v).toArray()],
    'options of maxPool2d': [{ stride: 1 }, -9, (v) => maxPool2d(image(), 2, v).toArray()],
    'scale of upsample': [[2, 1], -9, (v) => upsample(image(), v).toArray()],
    'options of interpolate': [{ mode: 'nearest', size: 2 }, -9, (v) => interpolate(image(), v).toArray()],
    'size of interpolate': [[2, 1], -9, (v) => interpolate(image(), { size: v }).toArray()],
    'image of a weight': [[1, 1, 3], -9, (v) => denseFromChannelsFirst(matrix(), v).toArray()],
    'Conv2D, kernel': [[2, 1], -9, (v) => new Conv2D(1, 1, v).forward(image()).shape],
    'Conv2D, options': [
      { stride: 2, padding: 1, bias: false, groups: 1, activation: 'relu' },
      -9,
      (v) => new Conv2D(1, 1, 2, v).forward(image()).shape,
    ],
    'Conv2D, padding': [{ top: 1 }, -9, (v) => new Conv2D(1, 1, 2, { padding: v }).forward(image()).shape],
    'Conv1D, options': [
      { stride: 2, dilation: 1 },
      -9,
      (v) => new Conv1D(1, 1, 2, v).forward(ones([1, 4, 1])).shape,
    ],
    'Conv1D, padding': [
      { left: 1, right: 2 },
      -9,
      (v) => new Conv1D(1, 1, 2, { padding: v }).forward(ones([1, 4, 1])).shape,
    ],
    'ConvTranspose2D, options': [
      { stride: 2, outputPadding: 1 },
      -9,
      (v) => new ConvTranspose2D(1, 1, 2, v).forward(image()).shape,
    ],
    'MaxPool2D, size': [[2, 1], -9, (v) => new MaxPool2D(v).forward(image()).shape],
    'MaxPool2D, stride': [[2, 1], -9, (v) => new MaxPool2D(2, { stride: v }).forward(image()).shape],
    'AvgPool2D, padding': [[1, 1], -9, (v) => new AvgPool2D(2, { padding: v }).forward(image()).shape],
    'Upsample, scale': [[2, 1], -9, (v) => new Upsample(v).forward(image()).shape],
    'Pad, sides': [{ top: 1 }, -9, (v) => new Pad(v).forward(image()).shape],
    'Dense, options': [
      { activation: 'relu', bias: false, init: 'ones' },
      -9,
      (v) => new Dense(3, 1, v).forward(matrix()).shape,
    ],
    'Dense, init': [{ name: 'constant', value: 2 }, -9, (v) => new Dense(1, 1, { init: v }).weight.item()],
    'Dense, values of init': [[1, 2], Number.NaN, (v) => new Dense(2, 1, { init: () => v }).weight.toArray()],
    'Sequential, layers': [
      [new Flatten(), new Flatten()],
      -9,
      (v) => new Sequential<Flatten[]>(v).forward(matrix()).shape,
    ],
    outputShape: [[3, 3], -9, (v) => new Flatten().outputShape(v)],
    'options of Adam': [
      { learningRate: 0.1 },
      -9,
      (v) => new Adam(new Dense(1, 1).parameters(), v).learningRate,
    ],
    'inputs of gradCheck': [
      [tensor([1], { dtype: 'float64' })],
      -9,
      (v) => gradCheck((x) => x.square(), v).ok,
    ],
  };

  test.each(Object.entries(lists))('%s are read once', (_, [good, lie, call]) => {
    const expected = call(good as never);
    const { value, reads } = lying(good, lie);
    expect(call(value as never)).toEqual(expected);
    expect(Math.max(...reads.values())).toBe(1);
  });

  test('nested arrays are checked as they are copied, of which the first ones told the shape', () => {
    const row = lying([1, 2], Number.NaN);
    expect(tensor([[3, 4], row.value]).toArray()).toEqual([
      [3, 4],
      [1, 2],
    ]);
    expect(() => tensor(lying([[1, 2]], [1]).value)).toThrow(error('AXPY_DATA'));
    expect(() => tensor(lying([1, 2], 1.5).value, { dtype: 'int32' })).toThrow(error('AXPY_DATA'));
  });

  test('the iterator of parameters', () => {
    const parameters = new Dense(1, 1).parameters();
    let asked = 0;
    const once = new Proxy(parameters, {
      get: (target, name) => (name === Symbol.iterator && asked++ > 0 ? 9 : Reflect.get(target, name)),
    });
    expect(new SGD(once, { learningRate: 1 }).parameters).toEqual(parameters);
  });

  test('a layer keeps no array of its user', () => {
    const [size, stride, padding] = [[2, 2], [1, 1], { top: 1 }];
    const layers = [
      new Conv2D(1, 1, size as never, { stride: stride as never, padding }),
      new MaxPool2D(size as never, { stride: stride as never, padding }),
    ];
    const before = layers.map((layer) => layer.forward(image()).shape);
    size.fill(4);
    stride.fill(3);
    padding.top = 0;
    expect(layers.map((layer) => layer.forward(image()).shape)).toEqual(before);
  });

  test.each<[string, () => unknown]>([
    ['axes', () => matrix().sum(endless())],
    ['transpose', () => matrix().transpose(endless())],
    ['slice', () => matrix().slice(endless() as never)],
    ['slice, a range', () => matrix().slice([endless() as never])],
    ['pad', () => matrix().pad(endless() as never)],
    ['pad, a pair', () => matrix().pad([endless() as never])],
    ['concat', () => concat(endless() as never)],
    ['concat, the first good', () => concat(Object.assign(endless(), { 0: matrix() }) as never)],
    ['stack', () => stack(endless() as never)],
    ['conv2d, stride', () => conv2d(image(), image(), null, { stride: endless() as never })],
    ['Conv2D, padding', () => new Conv2D(1, 1, 1, { padding: endless() as never })],
    ['Sequential', () => new Sequential(endless() as never)],
    [
      'Sequential, the first good',
      () => new Sequential(Object.assign(endless(), { 0: new Flatten() }) as never),
    ],
    ['tensor', () => tensor(endless())],
    ['tensor, the first good', () => tensor(Object.assign(endless(), { 0: 1 }))],
    ['tensor, rows', () => tensor([endless(), endless()])],
    ['assign', () => matrix().assign(endless())],
    ['Dense, values of init', () => new Dense(1, 1, { init: endless })],
    ['SGD, parameters', () => new SGD(endless() as never, { learningRate: 1 })],
    ['SGD, parameters without end', () => new SGD(forEver(new Parameter([1])), { learningRate: 1 })],
    ['gradCheck', () => gradCheck((x) => x, endless() as never)],
    ['gradCheck of nothing', () => gradCheck((x) => x.square(), [])],
    ['confusionMatrix', () => confusionMatrix(tensor([1]), endless())],
    ['options', () => zeros([1], endless() as never)],
    ['options with an index for each element', () => zeros([1], new Float32Array(2 ** 28) as never)],
    ['a state', () => new Dense(1, 1).loadStateDict(new Float32Array(2 ** 28) as never)],
    ['a state of endless names', () => new Dense(1, 1).loadStateDict(endless() as never)],
  ])('without end are refused at once: %s', (_, call) => {
    const start = performance.now();
    expect(call).toThrow(AxpyError);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  function* forEver<Value>(value: Value): Generator<Value> {
    for (;;) yield value;
  }

  test.each<[string, object]>([
    ['x', { x: endless(), y: [[1]] }],
    ['y', { x: [[1]], y: endless() }],
    ['labels', { x: [[1]], y: Object.assign(endless(), { 0: 1 }) }],
    ['batches', endless()],
  ])('without end are refused at once: %s of fit', async (_, data) => {
    const model = new Dense(1, 2);
    const optimizer = new SGD(model.parameters(), { learningRate: 1 });
    const start = performance.now();
    await expect(fit(model, data as never, { loss: 'softmaxCrossEntropy', optimizer })).rejects.toThrow(
      AxpyError,
    );
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('typed arrays as values', () => {
  const detached = (values: ArrayBufferView) => {
    structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] });
  };

  test('whose length says something else', () => {
    for (const length of [0, 1, 7, -1, Number.NaN]) {
      const values = Float32Array.of(1, 2, 3);
      Object.defineProperty(values, 'length', { value: length });
      expect(tensor(values).toArray()).toEqual([1, 2, 3]);
      expect(() => tensor(values, { shape: [1] })).toThrow(error('AXPY_SHAPE'));
      expect(zeros([3]).assign(values).toArray()).toEqual([1, 2, 3]);
    }
  });

  test('that a getter of the options detaches', () => {
    for (const name of ['shape', 'dtype', 'requiresGrad']) {
      const values = Float32Array.of(1, 2, 3);
      const options = Object.defineProperty({}, name, {
        enumerable: true,
        get: () => {
          detached(values);
          return undefined;
        },
      });
      expect(() => tensor(values, options)).toThrow(error('AXPY_DATA'));
    }
  });

  test('that a proxy for a shape detaches', () => {
    const values = Float32Array.of(1, 2, 3);
    const shape = new Proxy([3], {
      get(target, name) {
        if (name === '0' && values.length > 0) detached(values);
        return Reflect.get(target, name);
      },
    });
    expect(() => tensor(values, { shape })).toThrow(error('AXPY_DATA'));
  });

  test('whose buffer was made smaller than they are', () => {
    const buffer = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }]) as ArrayBuffer & {
      resize(to: number): void;
    };
    const fixed = new Float32Array(buffer, 8, 2);
    const following = new Float32Array(buffer);
    buffer.resize(32);
    expect(tensor(following).size).toBe(8);
    buffer.resize(8);
    expect(() => tensor(fixed)).toThrow(error('AXPY_DATA'));
    expect(tensor(following).size).toBe(2);
  });
});

describe('what could grow beyond all bounds', () => {
  const wide = () => zeros([2 ** 31 - 1, 0]);

  test('toArray of empty rows without end', () => {
    expect(() => wide().toArray()).toThrow(error('AXPY_MEMORY'));
    expect(() => wide().toArray()).toThrow(/MiB left/);
    expect(() => zeros([2 ** 16, 2 ** 15, 0]).toArray()).toThrow(error('AXPY_MEMORY'));
    expect(zeros([0, 2 ** 31 - 1]).toArray()).toEqual([]);
    expect(zeros([2, 0, 2 ** 31 - 1]).toArray()).toEqual([[], []]);
  });

  test('a tensor as text', () => {
    for (const x of [wide(), zeros([0, 2 ** 31 - 1]), zeros([2 ** 31 - 1, 0, 1])]) {
      expect(String(x).length).toBeLessThan(200);
      expect(inspect(x)).toBe(String(x));
    }
    expect(String(wide())).toBe('Tensor float32 [2147483647, 0] …');
    expect(String(zeros([2, 0]))).toBe('Tensor float32 [2, 0] [[],[]]');
  });

  test('a table of all classes there could be', () => {
    expect(() => confusionMatrix(zeros([2, 2]), [0, 1], 1e9)).toThrow(error('AXPY_MEMORY'));
    const labels = tensor([2 ** 31 - 1, 0], { dtype: 'int32' });
    expect(() => confusionMatrix(labels, labels)).toThrow(error('AXPY_MEMORY'));
  });

  test.each([1, 2])('a permutation for which there is no memory, allocation %d', (nth) => {
    const { Int32Array: genuine } = globalThis;
    const before = [...defaultState];
    let made = 0;
    globalThis.Int32Array = new Proxy(genuine, {
      construct(target, args) {
        if (++made === nth) throw new RangeError('Array buffer allocation failed');
        return Reflect.construct(target, args);
      },
    });
    try {
      expect(() => permutation(4)).toThrow(error('AXPY_MEMORY'));
    } finally {
      globalThis.Int32Array = genuine;
    }
    expect([...defaultState]).toEqual(before);
  });
});

describe('no elements, in as many rows or columns as there can be', () => {
  const n = 2 ** 31 - 1;
  const wide: Record<string, (x: Tensor) => Tensor> = {
    relu: (x) => x.relu(),
    add: (x) => x.add(x),
    'the sum': (x) => x.sum(),
    'the sum over columns': (x) => x.sum(0),
    'the mean': (x) => x.mean(),
    variance: (x) => x.variance(0),
    transpose: (x) => x.transpose(),
    flatten: (x) => x.flatten(),
    slice: (x) => x.slice([[5, 0, -1]]),
    clone: (x) => x.clone(),
    concat: (x) => concat([x, x], 1),
    matmul: (x) => x.matmul(zeros([0, 0])),
    'matmul, long sums': (x) => x.transpose().matmul(x),
    layerNorm: (x) => layerNorm(x, [0], zeros([0]), zeros([0])),
    rmsNorm: (x) => rmsNorm(x, [0], zeros([0])),
    groupNorm: (x) => groupNorm(x, 1),
    'attention, no values': (x) =>
      scaledDotProductAttention(x.reshape([1, 0]), x.reshape([1, 0]), zeros([1, 0])),
    batchNorm: (x) => batchNorm(x, zeros([0]).setRequiresGrad()),
    dropout: (x) => dropout(x, 0.5),
    'mean squared error': (x) => losses.mse(x, zeros([n, 0]), { reduction: 'sum' }),
  };
  const tall: Record<string, (x: Tensor) => Tensor> = {
    'the sum': (x) => x.sum(),
    'the sum over rows': (x) => x.sum(1),
    gather: (x) => x.gather(tensor([], { dtype: 'int32' })),
    'matmul, long sums': (x) => x.matmul(x.transpose()),
    layerNorm: (x) => layerNorm(x, n),
    rmsNorm: (x) => rmsNorm(x, n),
    batchNorm: (x) => batchNorm(x),
    concat: (x) => concat([x, x]),
  };
  const deep: Record<string, (x: Tensor) => Tensor> = {
    'the sum over an axis': (x) => x.sum(1),
    'the largest over an axis': (x) => x.max(1),
    'the place of the largest': (x) => x.argmax(1),
    layerNorm: (x) => layerNorm(x, [n, 0, 1]),
    groupNorm: (x) => groupNorm(x, 1),
  };
  const calls = [
    ...Object.entries(wide).map(([name, call]) => [name, [n, 0], call] as const),
    ...Object.entries(tall).map(([name, call]) => [name, [0, n], call] as const),
    ...Object.entries(deep).map(([name, call]) => [name, [n, n, 0, 1], call] as const),
  ];
  test.each(calls)('%s of %j, and its gradient, take no time', (_, shape, call) => {
    const start = performance.now();
    const x = zeros([...shape], { requiresGrad: true });
    const y = call(x);
    if (y.requiresGrad) y.backward(zeros(y.shape));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('shapes', () => {
  const cases = declarations.flatMap(({ op, cases: all }) =>
    all.map((c) => ({ op, c, title: `${op}, ${c.name}` })),
  );

  test.each(cases)('of a result and of gradients are arrays of their own: $title', ({ op, c }) => {
    const inputs = inputsOf(op, c, 'float64');
    const before = inputs.map(({ shape }) => [...shape]);
    const y = c.run(...inputs);
    const views = [y.detach(), y.clone()];
    const all = [...inputs, y, ...views];
    expect(new Set(all.map(({ shape }) => shape)).size).toBe(new Set(all).size);
    if (!inputs.includes(y)) {
      const own = [...y.shape];
      (y.shape as number[]).fill(77);
      expect(inputs.map(({ shape }) => [...shape])).toEqual(before);
      expect(views.map(({ shape }) => shape)).toEqual([own, own]);
      for (const [i, size] of own.entries()) (y.shape as number[])[i] = size;
    }
    if (y.requiresGrad) y.backward(cotangentOf(op, c, y));
    for (const x of inputs) if (x.grad) expect(x.grad.shape).not.toBe(x.shape);
  });

  test('of compiled results and of what is kept', () => {
    const f = compile((x: Tensor) => [x, x.mul(2)]);
    const x = zeros([2]);
    for (let i = 0; i < 2; i++) {
      const [first, second] = f.sync(x);
      (first.shape as number[])[0] = 9;
      expect([second.shape, x.shape]).toEqual([[2], [2]]);
    }
    // The kind of an argument is that of the call that was recorded, whatever happened to it since.
    const g = compile((a: Tensor) => a.add(1));
    const given = zeros([3]);
    g.sync(given);
    const { program } = recordedCall(g, [zeros([3])]);
    (given.shape as number[])[0] = 4;
    g.sync(zeros([3]));
    expect(recordedCall(g, null).program).toBe(program);
    const layer = new Dense(2, 1);
    (layer.stateDict().weight.shape as number[])[0] = 9;
    expect(layer.weight.shape).toEqual([1, 2]);
  });
});

describe('promises that nobody waits for', () => {
  test.each<[string, () => unknown]>([
    ['noGrad', () => noGrad(async () => Promise.reject(new Error('unheard')))],
    ['compile', () => compile(async () => Promise.reject(new Error('unheard'))).sync()],
    ['compile, a value read', () => compile(async (x: Tensor) => x.item()).sync(zeros([]))],
  ])('do not end the process: %s', async (_, call) => {
    expect(call).toThrow(AxpyError);
    await new Promise((resolve) => setTimeout(resolve, 10));
  });
});
