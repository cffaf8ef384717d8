/** Compiled functions: what eager execution does, bit for bit, and errors where a replay could not do it. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  ArgumentError,
  AutogradError,
  compile,
  Dense,
  Dropout,
  IndexError,
  type Layer,
  losses,
  type Optimizer,
  ones,
  Parameter,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { isTensor } from '../../lib/tensor.ts';
import { recordedCall } from '../../lib/train/compile.ts';
import { occupy } from './support.ts';

function network(): Layer {
  return new Sequential([
    new Dense(5, 7, { activation: 'relu' }),
    new Dropout(0.3),
    new Dense(7, 3, { activation: 'gelu' }),
    new Dense(3, 2),
  ]);
}

const optimizers: Record<string, (model: Layer) => Optimizer> = {
  SGD: (model) => new SGD(model.parameters(), { learningRate: 0.05 }),
  'SGD with momentum, dampening and L2': (model) =>
    new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9, dampening: 0.9, l2: 0.01 }),
  'SGD with Nesterov': (model) =>
    new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.8, nesterov: true }),
  Adam: (model) => new Adam(model.parameters(), { learningRate: 0.01, l2: 0.001 }),
};

/** 50 steps over two batch sizes with a falling learning rate: all losses, and the parameters at the end. */
async function train(
  make: (model: Layer) => Optimizer,
  how: 'eager' | 'sync' | 'async',
): Promise<{ losses: number[]; parameters: number[][] }> {
  seed(3);
  const model = network();
  const optimizer = make(model);
  const batches = [8, 5].map((rows) => ({ x: randn([rows, 5]), y: randn([rows, 2]) }));
  const step = (x: Tensor, y: Tensor) => {
    const loss = losses.huber(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  };
  const compiled = compile(step);
  const seen: number[] = [];
  for (let i = 0; i < 50; i++) {
    const { x, y } = batches[i % 3 === 2 ? 1 : 0];
    optimizer.learningRate *= 0.98;
    if (i === 30) model.eval();
    if (i === 40) model.train();
    const loss = how === 'eager' ? step(x, y) : how === 'sync' ? compiled.sync(x, y) : await compiled(x, y);
    seen.push(loss.item());
  }
  return { losses: seen, parameters: model.parameters().map(({ data }) => [...data]) };
}

describe('a compiled step equals the eager one bit for bit', () => {
  for (const [name, make] of Object.entries(optimizers)) {
    for (const how of ['sync', 'async'] as const) {
      test(`${name}, ${how}`, async () => {
        expect(await train(make, how)).toEqual(await train(make, 'eager'));
      });
    }
  }
});

test('the function is written down for each kind of call, and once more before the second run', () => {
  let runs = 0;
  const f = compile((x: Tensor, power: number) => {
    runs++;
    return x.pow(power).sum();
  });
  expect(f.sync(tensor([1, 2]), 2).item()).toBe(5);
  expect(f.sync(tensor([3, 4]), 2).item()).toBe(25);
  expect(f.sync(tensor([3, 4]), 3).item()).toBe(91);
  expect(f.sync(tensor([3, 4, 1]), 2).item()).toBe(26);
  expect(runs).toBe(4);
});

test('results are separate from each other, and keep their structure', () => {
  const f = compile((x: Tensor) => ({ double: x.mul(2), list: [x, x.add(1)], name: 'kept' }));
  const first = f.sync(tensor([1]));
  const second = f.sync(tensor([5]));
  expect(first.double.toArray()).toEqual([2]);
  expect(second.double.toArray()).toEqual([10]);
  expect(second.list.map((x) => x.item())).toEqual([5, 6]);
  expect(second.name).toBe('kept');
  expect(second.double.requiresGrad).toBe(false);
});

describe('a result', () => {
  const key = Symbol('key');

  test('is a copy, the first one too', async () => {
    const layer = new Dense(2, 1, { init: 'ones' });
    const constant = tensor([7]);
    const f = compile((x: Tensor) => ({
      weight: layer.weight,
      constant,
      x,
      view: layer.weight.reshape([2]),
    }));
    const x = tensor([1]);
    for (const result of [f.sync(x), f.sync(x), await f(x)]) {
      for (const y of Object.values(result)) y.data.fill(9);
      expect([layer.weight.toArray(), constant.item(), x.item()]).toEqual([[[1, 1]], 7, 1]);
      expect(result.weight).not.toBeInstanceOf(Parameter);
    }
    expect(f.sync(x).weight.toArray()).toEqual([[1, 1]]);
  });

  test('has its tensors in arrays, plain objects and Maps, at any depth', () => {
    const bare = Object.assign(Object.create(null), { kind: 'bare' });
    const name = { kind: 'key' };
    const f = compile((x: Tensor) => ({
      list: [1, [x.mul(2)], 'text'],
      map: new Map<unknown, unknown>([
        [name, x.mul(3)],
        ['deep', new Map([['deeper', { y: x.mul(4) }]])],
      ]),
      [key]: x.mul(5),
      bare: Object.assign(Object.create(null), { y: x.mul(6), bare }),
      ['__proto__']: { y: x.mul(7) },
      get got() {
        return x.mul(8);
      },
    }));
    for (const value of [1, 10]) {
      const result = f.sync(tensor([value]));
      const tensors = [
        (result.list[1] as Tensor[])[0],
        result.map.get(name),
        (result.map.get('deep') as Map<string, { y: Tensor }>).get('deeper')!.y,
        result[key],
        result.bare.y,
        Object.getOwnPropertyDescriptor(result, '__proto__')!.value.y,
        result.got,
      ];
      expect(tensors.map((x) => x.item())).toEqual([2, 3, 4, 5, 6, 7, 8].map((factor) => factor * value));
      expect([result.list[0], result.list[2], result.bare.bare]).toEqual([1, 'text', bare]);
      expect([Object.getPrototypeOf(result), Object.getPrototypeOf(result.bare)]).toEqual([
        Object.prototype,
        null,
      ]);
    }
  });

  test('keeps what is one object one object, cycles as well', () => {
    const f = compile((x: Tensor) => {
      const y = x.mul(2);
      const inner: Record<string, unknown> = { y };
      inner.self = inner;
      return { inner, again: inner, y };
    });
    const [first, second] = [f.sync(tensor([1])), f.sync(tensor([2]))];
    for (const { inner, again, y } of [first, second]) {
      expect(inner).toBe(again);
      expect(inner.self).toBe(inner);
      expect(inner.y).toBe(y);
    }
    expect(first.inner).not.toBe(second.inner);
    expect([first.y.item(), second.y.item()]).toEqual([2, 4]);
  });

  test('is handed on as it is where there is no tensor in it', () => {
    const parts = [
      [1, 2],
      { a: 1 },
      new Map([[1, 2]]),
      new Set([1]),
      new Date(0),
      /x/,
      () => 1,
      new Float32Array(2),
    ];
    const sparse = new Array(2 ** 32 - 1);
    let deep: unknown = 1;
    for (let i = 0; i < 1e5; i++) deep = [deep];
    const f = compile((x: Tensor) => ({ parts, sparse, deep, y: x.mul(2) }));
    for (const result of [f.sync(tensor([1])), f.sync(tensor([2]))]) {
      expect(result.parts).toBe(parts);
      expect(result.sparse).toBe(sparse);
      expect(result.deep).toBe(deep);
    }
    expect(compile(() => parts).sync()).toBe(parts);
    expect(compile(() => undefined).sync()).toBeUndefined();
  });

  test('goes as deep as it likes', () => {
    const f = compile((x: Tensor) => {
      let deep: unknown = x.mul(2);
      for (let i = 0; i < 1e5; i++) deep = [deep];
      return deep;
    });
    for (const value of [1, 2]) {
      let inner = f.sync(tensor([value]));
      while (Array.isArray(inner)) inner = inner[0];
      expect((inner as Tensor).item()).toBe(2 * value);
    }
  });

  class Box {
    constructor(readonly value: unknown) {}
  }
  class List extends Array<unknown> {}
  class Table extends Map<unknown, unknown> {}
  const layer = new Dense(1, 1);
  test.each<[string, (y: Tensor) => unknown, RegExp]>([
    ['an object of a class', (y) => new Box(y), /result\.value in an object of class Box/],
    ['one deep inside', (y) => [{ box: new Box([y]) }], /result\[0\]\.box\.value/],
    ['under a symbol of one', (y) => Object.assign(new Box(1), { [key]: y }), /result\[Symbol\(key\)\]/],
    ['a Set', (y) => ({ set: new Set([y]) }), /result\.set\.values\(\)/],
    ['a key of a Map', (y) => new Map([[y, 1]]), /result\.key\(0\)/],
    ['a Map of a class', (y) => new Table([[1, y]]), /result\.get\(1\)/],
    ['an array of a class', (y) => List.of(y, y), /result\.0/],
    ['a property of an array', (y) => Object.assign([1], { y }), /result\.y/],
    ['an array with holes', (y) => Object.assign(new Array(3), { 1: y }), /result\.1/],
    ['a sparse array', (y) => Object.assign(new Array(2 ** 32 - 1), { 1: y }), /result\.1/],
    ['a property that is not enumerable', (y) => Object.defineProperty({}, 'y', { value: y }), /result\.y/],
    ['a property of a function', (y) => Object.assign(() => 1, { y }), /result\.y/],
    ['a layer', () => ({ layer }), /result\.layer\.weight in an object of class Dense/],
    ['a proxy', (y) => ({ a: new Proxy({ y }, {}) }), /without proxies, got one at result\.a/],
    ['a proxy of a tensor', (y) => new Proxy(y, {}), /without proxies/],
  ])('is refused with a tensor in %s', async (_, wrap, message) => {
    const f = compile((x: Tensor) => wrap(x.mul(2)));
    expect(() => f.sync(tensor([1]))).toThrow(ArgumentError);
    await expect(f(tensor([1]))).rejects.toThrow(message);
  });
});

test('gradients accumulate over calls, as in eager mode', () => {
  const run = (compiled: boolean) => {
    const layer = new Dense(2, 1, { init: 'ones', bias: false });
    const optimizer = new SGD(layer.parameters(), { learningRate: 0.1 });
    const add = (x: Tensor) => {
      const loss = layer.forward(x).sum();
      loss.backward();
      return loss;
    };
    const call = compiled ? compile(add).sync : add;
    const seen: unknown[] = [];
    for (let i = 1; i <= 6; i++) {
      call(ones([1, 2]).mul(i));
      seen.push(layer.weight.grad?.toArray());
      if (i % 3 === 0) {
        optimizer.step();
        optimizer.zeroGrad();
        seen.push(layer.weight.toArray());
      }
    }
    return seen;
  };
  expect(run(true)).toEqual(run(false));
});

test('two optimizers in turn, in one function', () => {
  const run = (compiled: boolean) => {
    seed(5);
    const [a, b] = [new Dense(3, 3), new Dense(3, 3)];
    const [first, second] = [new Adam(a.parameters()), new SGD(b.parameters(), { learningRate: 0.1 })];
    const x = randn([4, 3]);
    const step = (input: Tensor) => {
      for (const optimizer of [first, second]) {
        first.zeroGrad();
        second.zeroGrad();
        b.forward(a.forward(input)).square().mean().backward();
        optimizer.step();
      }
    };
    const call = compiled ? compile(step).sync : step;
    for (let i = 0; i < 5; i++) call(x);
    return [a, b].map((layer) => layer.weight.toArray());
  };
  expect(run(true)).toEqual(run(false));
});

test('calls run in order, with the arguments and the learning rate of their moment', async () => {
  const layer = new Dense(1, 1, { init: 'zeros', bias: false });
  const optimizer = new SGD(layer.parameters(), { learningRate: 1 });
  const step = compile((x: Tensor) => {
    optimizer.zeroGrad();
    layer.forward(x).sum().backward();
    optimizer.step();
  });
  const read = compile(() => layer.weight.add(0));
  const x = tensor([[1]]);
  await step(x);
  await read();
  const before = layer.weight.data[0];
  const seen: Promise<Tensor>[] = [];
  occupy();
  for (let i = 1; i <= 5; i++) {
    optimizer.learningRate = i;
    void step(x);
    seen.push(read());
    x.data[0]++;
  }
  // Step i takes away i · i: the learning rate and the value of x at its call.
  let expected = before;
  const all = await Promise.all(seen);
  all.forEach((weight, i) => {
    expected -= (i + 1) * (i + 1);
    expect(weight.item()).toBe(expected);
  });
});

test('a call of a new kind completes what waits before it', async () => {
  const order: number[] = [];
  const f = compile((x: Tensor) => x.add(1));
  f.sync(tensor([0]));
  occupy();
  const waiting = [1, 2, 3].map(async (value) => order.push((await f(tensor([value]))).item()));
  expect(f.sync(tensor([1, 2])).toArray()).toEqual([2, 3]);
  await Promise.all(waiting);
  expect(order).toEqual([2, 3, 4]);
});

test('a bad label in a replay is the error of eager mode, and the program stays usable', async () => {
  const f = compile((x: Tensor, y: Tensor) => losses.softmaxCrossEntropy(x, y));
  const logits = zeros([2, 4]);
  const good = f.sync(logits, tensor(new Int32Array([0, 1]))).item();
  const bad = tensor(new Int32Array([0, 4]));
  expect(() => f.sync(logits, bad)).toThrow(IndexError);
  await expect(f(logits, bad)).rejects.toThrow(IndexError);
  expect(f.sync(logits, tensor(new Int32Array([3, 2]))).item()).toBe(good);
});

describe('what a replay could not do throws', () => {
  const layer = new Dense(2, 2);
  const optimizer = new SGD(layer.parameters(), { learningRate: 0.1 });
  const x = ones([1, 2]);
  const cases: Record<string, [fn: (x: Tensor) => unknown, error: new (message: string) => Error]> = {
    'reading data of an intermediate': [(a) => a.add(1).data[0], AutogradError],
    'reading an item': [(a) => a.sum().item(), AutogradError],
    'reading an argument': [(a) => a.toArray(), AutogradError],
    'reading a parameter': [() => layer.weight.data[0], AutogradError],
    'a branch on a value': [(a) => (a.sum().item() > 0 ? a : a.neg()), AutogradError],
    'setting the learning rate': [
      () => {
        optimizer.learningRate = 1;
      },
      AutogradError,
    ],
    'the L2 penalty': [() => optimizer.penalty(), AutogradError],
    'a seed': [() => seed(1), AutogradError],
    'assigning to a tensor': [() => kept.assign([3]), AutogradError],
    'loading the state of an optimizer': [() => optimizer.loadStateDict({}), AutogradError],
    'a gradient of a tensor that is no Parameter': [() => leaf.mul(2).sum().backward(), AutogradError],
    'an asynchronous function': [async (a) => a, ArgumentError],
  };
  const kept = tensor([1]);
  const leaf = tensor([1, 2], { requiresGrad: true });
  for (const [name, [fn, error]] of Object.entries(cases)) {
    test(name, async () => {
      expect(() => compile(fn).sync(x)).toThrow(error);
      await expect(compile(fn)(x)).rejects.toThrow(error);
      // The library works on as before.
      expect(x.add(1).toArray()).toEqual([[2, 2]]);
    });
  }
  test('arguments that cannot be told apart', () => {
    expect(() => compile((a: unknown) => a).sync(new Set([x]))).toThrow(ArgumentError);
    expect(() => compile((a: unknown) => a).sync([new Proxy([x], {})])).toThrow(ArgumentError);
    const endless: unknown[] = [];
    endless.push(endless);
    expect(() => compile((a: unknown) => a).sync(endless)).toThrow(ArgumentError);
    expect(() => compile((a: unknown) => a).sync({ leaf })).toThrow(AutogradError);
    expect(() => compile((a: Tensor) => a).sync(leaf)).toThrow(AutogradError);
    expect(() => compile(3 as never)).toThrow(ArgumentError);
  });
});

describe('what a function returns is compared when it is called anew', () => {
  type Parts = { a: Tensor; b: Tensor };
  const cases: [string, (parts: Parts, isLater: boolean) => unknown][] = [
    ['another tensor', ({ a, b }, isLater) => (isLater ? b : a)],
    ['two in another order', ({ a, b }, isLater) => (isLater ? [b, a] : [a, b])],
    ['another shape of one memory', ({ a }, isLater) => (isLater ? a.reshape([2, 1]) : a)],
    ['another name', ({ a }, isLater) => (isLater ? { second: a } : { first: a })],
    ['another number beside it', ({ a }, isLater) => ({ a, weight: isLater ? 2 : 1 })],
    ['an argument', ({ a }, isLater) => (isLater ? a : a.add(0))],
    ['a number alone', (_, isLater) => (isLater ? 2 : 1)],
  ];
  test.each(cases)('%s', (_, choose) => {
    let isLater = false;
    const fn = (x: Tensor) => choose({ a: x.mul(2), b: x.mul(3) }, isLater);
    const f = compile(fn);
    const x = tensor([1, 2]);
    expect(f.sync(x)).toEqual(detached(fn(x)));
    isLater = true;
    expect(f.sync(x)).toEqual(detached(fn(x)));
  });

  /** Tensors as their shapes and values. */
  function detached(value: unknown): unknown {
    return expect.toSatisfy((other: unknown) => show(other) === show(value));
  }
  const show = (value: unknown) =>
    JSON.stringify(value, (_, part) => (isTensor(part) ? [part.shape, part.toArray()] : part));
});

test('programs are kept as far as their memory goes, those used last', () => {
  const f = compile((x: Tensor) => x.sum());
  const programOf = (x: Tensor) => {
    f.sync(x);
    return recordedCall(f, [x]).program;
  };
  const small = Array.from({ length: 100 }, (_, n) => zeros([n]));
  const programs = small.map(programOf);
  expect(small.map(programOf)).toEqual(programs);
  // The arguments of each take 60 MB.
  const [a, b, c] = [1, 2, 3].map((n) => zeros([15e6 + n]));
  const [first, second] = [programOf(a), programOf(b)];
  expect(programOf(a)).toBe(first);
  programOf(c);
  expect(programOf(a)).toBe(first);
  expect(programOf(b)).not.toBe(second);
});

test.each([
  ['itself', (endless: unknown[]) => endless],
  ['in a record', (endless: unknown[]) => ({ a: endless })],
  ['in a Map', (endless: unknown[]) => new Map([['a', [endless]]])],
])('an array without end is no argument: %s', (_, given) => {
  const endless = Object.assign([tensor([1])], { length: 2 ** 32 - 1 });
  const f = compile((_: unknown) => zeros([1]));
  expect(() => f.sync(given(endless))).toThrow(/of 1048576 values at most, got more at argument 0/);
});

test('a promise of a compiled function inside another ends no process, whoever forgets it', async () => {
  const inner = compile((x: Tensor) => x.mul(2));
  const heard: unknown[] = [];
  const hear = (error: unknown) => heard.push(error);
  process.on('unhandledRejection', hear);
  const outer = compile((x: Tensor) => {
    void inner(x);
    return x.add(1);
  });
  expect((await outer(tensor([1]))).toArray()).toEqual([2]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off('unhandledRejection', hear);
  expect(heard).toEqual([]);
});
