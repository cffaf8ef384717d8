/** Check first, then change: an operation that throws leaves everything as it was, to the last bit. */
import { afterEach, describe, expect, test } from 'vitest';
import { contribute, track } from '../lib/autograd.ts';
import {
  Adam,
  AutogradError,
  AxpyError,
  BatchNorm,
  backendInfo,
  batchNorm,
  Conv2D,
  compile,
  concat,
  conv2d,
  Dense,
  dropout,
  gradCheck,
  type Layer,
  losses,
  maxPool2d,
  type Optimizer,
  ones,
  Parameter,
  permutation,
  randn,
  Sequential,
  SGD,
  SharedTensor,
  seed,
  setThreads,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../lib/index.ts';
import { kernels, withKernels } from '../lib/kernels/index.ts';
import { defaultState } from '../lib/random.ts';

function detach(x: Tensor): Tensor {
  structuredClone(x.data.buffer, { transfer: [x.data.buffer as ArrayBuffer] });
  return x;
}

const revoked = (): never => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as never;
};

/** A buffer that may grow, of which the library's types do not know. */
function growable(byteLength: number, maxByteLength: number): SharedArrayBuffer & { grow(to: number): void } {
  return Reflect.construct(SharedArrayBuffer, [byteLength, { maxByteLength }]);
}

/** As a string, which tells −0 and the payloads of NaN apart. */
const bits = (array: ArrayBufferView) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex');

/** A model in the midst of its training. */
function world() {
  seed(7);
  const model = new Sequential([new Dense(3, 4, { activation: 'relu' }), new BatchNorm(4), new Dense(4, 2)]);
  const optimizers = {
    Adam: new Adam(model.parameters()),
    SGD: new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 }),
    plain: new SGD(model.parameters(), { learningRate: 0.1 }),
  };
  const step = (optimizer: Optimizer) => {
    optimizer.zeroGrad();
    model
      .forward(randn([5, 3]))
      .square()
      .mean()
      .backward();
    optimizer.step();
  };
  for (const optimizer of Object.values(optimizers)) step(optimizer);
  return { model, optimizers, spare: [new Dense(2, 2), new Dense(3, 3)] };
}
type World = ReturnType<typeof world>;

/** Everything that an operation could have changed. */
function stateOf({ model, optimizers, spare }: World): unknown {
  const tensors = [...model.namedParameters(), ...model.namedBuffers()];
  return {
    threads: backendInfo().threads,
    random: bits(defaultState),
    tensors: tensors.map(([name, x]) => [
      name,
      x.shape,
      x.storage.version,
      x.requiresGrad,
      bits(x.data),
      x.grad && bits(x.grad.data),
    ]),
    buffers: tensors.map(([, x]) => x.data.buffer),
    layers: [...model.layers, ...spare].map(({ label, training }) => [label, training]),
    optimizers: Object.values(optimizers).map((optimizer) => [
      optimizer.learningRate,
      Object.entries(optimizer.stateDict()).map(([name, x]) => [name, bits(x.data)]),
    ]),
  };
}

type Act = (w: World) => unknown;

/** A record of a model or optimizer with one thing wrong, at its last name, so that all before it are good. */
const wrong: Record<string, (good: Record<string, unknown>, last: string) => unknown> = {
  null: () => null,
  'a string': () => 'state',
  'an array': () => [],
  'a typed array': () => new Float32Array(4),
  'a string object': () => new String('state'),
  'a revoked proxy': revoked,
  'no names': () => ({}),
  'one name less': (good, last) => Object.fromEntries(Object.entries(good).filter(([name]) => name !== last)),
  'one name more': (good) => ({ ...good, more: zeros([1]) }),
  'inherited names': (good) => Object.create(good),
  undefined: (good, last) => ({ ...good, [last]: undefined }),
  'null for a tensor': (good, last) => ({ ...good, [last]: null }),
  'numbers for a tensor': (good, last) => ({ ...good, [last]: [1, 2] }),
  'a revoked proxy for a tensor': (good, last) => ({ ...good, [last]: revoked() }),
};

/** The same where tensors belong. */
const wrongTensors: typeof wrong = {
  ...wrong,
  'a detached tensor': (good, last) => ({ ...good, [last]: detach((good[last] as Tensor).clone()) }),
  'a detached tensor that says it is not': (good, last) => {
    const x = detach((good[last] as Tensor).clone());
    Object.defineProperty(x.data, 'length', { value: x.size });
    return { ...good, [last]: x };
  },
  'another dtype': (good, last) => {
    const x = good[last] as Tensor;
    return { ...good, [last]: x.cast(x.dtype === 'float32' ? 'float64' : 'float32') };
  },
  'another shape': (good, last) => ({ ...good, [last]: zeros([...(good[last] as Tensor).shape, 1]) }),
  'another size': (good, last) => ({ ...good, [last]: zeros([9]) }),
  'a proxy of a tensor': (good, last) => ({ ...good, [last]: new Proxy(good[last] as Tensor, {}) }),
  'what has the prototype of a tensor': (good, last) => ({
    ...good,
    [last]: Object.assign(Object.create(Object.getPrototypeOf(good[last])), good[last]),
  }),
  'what looks like a tensor': (good, last) => ({ ...good, [last]: { ...(good[last] as Tensor) } }),
};

const lastOf = (record: object) => Object.keys(record).at(-1)!;

/** The state of a model of the same layers, with other values. */
function otherState(model: Layer): Record<string, Tensor> {
  const state = model.stateDict();
  for (const x of Object.values(state)) x.data.fill(3);
  return state;
}

const steps =
  (count: number) =>
  ({ optimizers: { Adam: optimizer } }: World) => {
    const state = optimizer.stateDict();
    state['step.1'].data[0] = count;
    optimizer.loadStateDict(state);
  };

const hyper =
  (at: number, value: number): Act =>
  ({ optimizers: { Adam: optimizer } }) => {
    const state = optimizer.stateDict();
    state.hyper.data[at] = value;
    state['mean.0'].data.fill(3);
    optimizer.loadStateDict(state);
  };

const memory = (x: Tensor, change: object) => ({
  buffer: new SharedArrayBuffer(x.data.byteLength),
  shape: x.shape,
  dtype: x.dtype,
  ...change,
});

/** Descriptions of shared memory with one thing wrong. */
const wrongMemory: Record<string, (x: Tensor) => unknown> = {
  'a buffer too small': (x) => memory(x, { buffer: new SharedArrayBuffer(x.data.byteLength - 4) }),
  'an empty buffer': (x) => memory(x, { buffer: new SharedArrayBuffer(0) }),
  'a buffer too large': (x) => memory(x, { buffer: new SharedArrayBuffer(x.data.byteLength + 4) }),
  'no whole number of elements': (x) => memory(x, { buffer: new SharedArrayBuffer(x.data.byteLength + 1) }),
  'a growing buffer of another size': (x) => memory(x, { buffer: growable(4, x.data.byteLength) }),
  'an ordinary buffer': (x) => memory(x, { buffer: new ArrayBuffer(x.data.byteLength) }),
  'what has the prototype of a buffer': (x) =>
    memory(x, { buffer: Object.create(SharedArrayBuffer.prototype) }),
  'a buffer that says it is larger': (x) => {
    const buffer = new SharedArrayBuffer(4);
    Object.defineProperty(buffer, 'byteLength', { value: x.data.byteLength });
    return memory(x, { buffer });
  },
  'no buffer': (x) => memory(x, { buffer: undefined }),
  'another shape': (x) => memory(x, { shape: [x.size, 1, 1] }),
  'no shape': (x) => memory(x, { shape: undefined }),
  'a shape without end': (x) => memory(x, { shape: new Array(2 ** 32 - 1) }),
  'another dtype': (x) => memory(x, { dtype: x.dtype === 'float32' ? 'float64' : 'float32' }),
  'a symbol for a dtype': (x) => memory(x, { dtype: Symbol('float32') }),
  'a dtype that throws when shown': (x) =>
    memory(x, {
      dtype: {
        toString() {
          throw new RangeError('shown');
        },
      },
    }),
  'a revoked proxy': revoked,
  null: () => null,
  'a number': () => 4,
};

const table: Record<string, Record<string, Act>> = {
  'Layer.loadStateDict': Object.fromEntries(
    Object.entries(wrongTensors).map(([name, make]) => [
      name,
      ({ model }: World) => {
        const good = otherState(model);
        model.loadStateDict(make(good, lastOf(good)) as never);
      },
    ]),
  ),
  'Layer.attach': {
    ...Object.fromEntries(
      Object.entries(wrong).map(([name, make]) => [
        name,
        ({ model }: World) => {
          const good = model.share();
          model.attach(make(good, lastOf(good)) as never);
        },
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(wrongMemory).map(([name, make]) => [
        `${name}, as its last`,
        ({ model }: World) => {
          const tensors = [...model.namedParameters(), ...model.namedBuffers()];
          const given = Object.fromEntries(tensors.map(([key, x]) => [key, memory(x, {})]));
          const last = lastOf(model.share());
          model.attach({ ...given, [last]: make(tensors.find(([key]) => key === last)![1]) } as never);
        },
      ]),
    ),
  },
  'SharedTensor.attach': Object.fromEntries(
    Object.entries(wrongMemory).map(([name, make]) => [
      name,
      ({ model }: World) => {
        const [x] = model.parameters();
        x.attach(make(x) as never);
      },
    ]),
  ),
  'Adam.loadStateDict': {
    ...Object.fromEntries(
      Object.entries(wrongTensors).map(([name, make]) => [
        name,
        ({ optimizers: { Adam: optimizer } }: World) => {
          const good = optimizer.stateDict();
          for (const x of Object.values(good)) x.data.fill(0.5);
          good.hyper.assign(optimizer.stateDict().hyper);
          optimizer.loadStateDict(make(good, lastOf(good)) as never);
        },
      ]),
    ),
    'a learning rate of NaN': hyper(0, Number.NaN),
    'a negative learning rate': hyper(0, -1),
    'an infinite learning rate': hyper(0, Infinity),
    'beta1 of 1': hyper(1, 1),
    'beta2 below 0': hyper(2, -0.1),
    'an epsilon of NaN': hyper(3, Number.NaN),
    'a negative l2': hyper(4, -1),
    'half a step': steps(1.5),
    'steps below 0': steps(-1),
    'steps of NaN': steps(Number.NaN),
  },
  'SGD.loadStateDict': {
    ...Object.fromEntries(
      Object.entries(wrongTensors).map(([name, make]) => [
        name,
        ({ optimizers: { SGD: optimizer } }: World) => {
          const good = optimizer.stateDict();
          good['velocity.0'].data.fill(3);
          optimizer.loadStateDict(make(good, lastOf(good)) as never);
        },
      ]),
    ),
    'a momentum of 1': ({ optimizers: { SGD: optimizer } }) => {
      const state = optimizer.stateDict();
      state.hyper.data[1] = 1;
      optimizer.loadStateDict(state);
    },
    'half of Nesterov': ({ optimizers: { SGD: optimizer } }) => {
      const state = optimizer.stateDict();
      state.hyper.data[3] = 0.5;
      optimizer.loadStateDict(state);
    },
    'momentum without velocities': ({ optimizers: { plain } }) => {
      const state = plain.stateDict();
      state.hyper.data[1] = 0.9;
      plain.loadStateDict(state);
    },
  },
  'Tensor.assign': {
    'too few values': ({ model }) => model.parameters()[0].assign([1, 2]),
    'a value that is none': ({ model }) =>
      model.parameters()[0].assign([...Array(4)].map(() => [1, 2, 'x' as never])),
    'a detached tensor': ({ model }) => model.parameters()[0].assign(detach(zeros([4, 3]))),
    'a detached tensor that says it is not': ({ model }) => {
      const x = detach(zeros([4, 3]));
      Object.defineProperty(x.data, 'length', { value: 12 });
      return model.parameters()[0].assign(x);
    },
    'an array that says it is shorter': ({ model }) => {
      const values = new Float32Array(13);
      Object.defineProperty(values, 'length', { value: 12 });
      return model.parameters()[0].assign(values);
    },
    'a proxy of a tensor': ({ model }) => model.parameters()[0].assign(new Proxy(zeros([4, 3]), {})),
    'a revoked proxy': ({ model }) => model.parameters()[0].assign(revoked()),
    'another dtype': ({ model }) =>
      model.parameters()[0].assign(zeros([4, 3], { dtype: 'float64' }) as Tensor),
    'another shape': ({ model }) => model.parameters()[0].assign(zeros([3, 4])),
  },
  setThreads: Object.fromEntries(
    [0, 65, 1.5, Number.NaN, '2', null, undefined, 1n, revoked()].map((value, i) => [
      `value ${i}`,
      () => setThreads(value as never),
    ]),
  ),
  'making a layer': {
    'Dense, biasInit by an unknown name': () => new Dense(2, 2, { biasInit: 'none' as never }),
    'Dense, biasInit that throws': () =>
      new Dense(2, 2, {
        biasInit: () => {
          throw new AxpyError('MINE', 'mine');
        },
      }),
    'Dense, biasInit of too few values': () => new Dense(2, 2, { biasInit: () => [1] }),
    'Dense, biasInit of NaN': () => new Dense(2, 2, { biasInit: () => [1, Number.NaN] }),
    'Dense, biasInit beyond float32': () => new Dense(2, 2, { biasInit: () => [1, 1e39] }),
    'Dense, biasInit of a revoked proxy': () => new Dense(2, 2, { biasInit: revoked() }),
    'Conv2D, biasInit': () => new Conv2D(2, 2, 1, { biasInit: { name: 'normal', deviation: -1 } }),
    'Conv2D, padding': () => new Conv2D(2, 2, 1, { padding: { top: -1 } }),
    'Sequential of layers that do not fit': ({ model, spare }) => new Sequential([...model.layers, ...spare]),
    'Sequential, the last no layer': ({ spare }) => new Sequential([...spare, {} as never]),
    'Sequential, sizes that do not fit': ({ spare }) => new Sequential(spare),
    'Sequential of holes': () => new Sequential(new Array(3)),
  },
  'making an optimizer': {
    'no options': ({ model }) => new SGD(model.parameters(), undefined as never),
    'a learning rate of NaN': ({ model }) => new Adam(model.parameters(), { learningRate: Number.NaN }),
    'a parameter twice': ({ model }) => new Adam([...model.parameters(), model.parameters()[0]]),
    'a proxy of a parameter': ({ model }) => new Adam([new Proxy(model.parameters()[0], {})]),
    'a revoked proxy': () => new Adam(revoked()),
    'nesterov without momentum': ({ model }) =>
      new SGD(model.parameters(), { learningRate: 1, nesterov: true }),
  },
  'the mode and rate': {
    'train of no boolean': ({ model }) => model.train('yes' as never),
    'training of no boolean': ({ model }) => {
      model.training = 1 as never;
    },
    'a learning rate of NaN': ({ optimizers }) => {
      optimizers.Adam.learningRate = Number.NaN;
    },
    'requiresGrad of no boolean': ({ model }) => {
      model.parameters()[0].requiresGrad = 0 as never;
    },
  },
  'random numbers': {
    'a seed of half': () => seed(0.5),
    'a permutation of half': () => permutation(0.5),
    'a permutation by no state': () => permutation(4, new Uint32Array(5)),
    'dropout of a detached tensor': () => dropout(detach(zeros([4])), 0.5),
    'a rate of 1': () => dropout(zeros([4]), 1),
  },
  'running statistics': {
    'a detached batch': ({ model }) => model.layers[1].forward(detach(zeros([2, 4]))),
    'a detached scale': ({ model: { layers } }) => {
      const { runningMean: mean, runningVariance: variance } = layers[1] as BatchNorm;
      return batchNorm(zeros([2, 4]), detach(zeros([4])), null, { mean, variance });
    },
    'half of them': ({ model: { layers } }) =>
      batchNorm(zeros([2, 4]), null, null, { mean: (layers[1] as BatchNorm).runningMean } as never),
  },
};

describe.each(Object.entries(table))('%s', (_, cases) => {
  test.each(Object.entries(cases))('%s', (_, act) => {
    const w = world();
    const before = stateOf(w);
    let error: unknown;
    try {
      act(w);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AxpyError);
    expect(stateOf(w)).toEqual(before);
  });
});

describe('what is given is read once', () => {
  test('a state whose second answer would not fit', () => {
    const { model, optimizers } = world();
    for (const target of [model, ...Object.values(optimizers)]) {
      const reads = new Map<PropertyKey, number>();
      const lying = new Proxy(target.stateDict(), {
        get(state, name: string) {
          reads.set(name, (reads.get(name) ?? 0) + 1);
          return reads.get(name) === 1 ? state[name] : zeros([1]);
        },
      });
      target.loadStateDict(lying);
      expect([...reads.values()].every((count) => count === 1)).toBe(true);
    }
  });

  test('shared memory whose second answer would not fit', () => {
    const x = new SharedTensor([2]);
    const own = memory(x, {});
    let reads = 0;
    x.attach({
      shape: own.shape,
      dtype: 'float32',
      get buffer() {
        return reads++ === 0 ? own.buffer : new SharedArrayBuffer(0);
      },
    });
    expect([x.data.buffer, x.data.length]).toEqual([own.buffer, 2]);
  });

  test('a buffer that grows later does not', () => {
    const x = new Parameter([2, 1]);
    const buffer = growable(8, 64);
    x.attach({ buffer, shape: [2, 1], dtype: 'float32' });
    x.assign([[1], [2]]);
    buffer.grow(64);
    expect(x.toArray()).toEqual([[1], [2]]);
    expect(x.mul(2).toArray()).toEqual([[2], [4]]);
  });

  test('tensors that share() describes are copies of no state', () => {
    const layer = new Dense(2, 1);
    (layer.share().weight.shape as number[])[0] = 9;
    expect(layer.weight.shape).toEqual([1, 2]);
  });
});

describe('gradCheck', () => {
  const leaf = (...values: number[]) => tensor(values, { dtype: 'float64', requiresGrad: true });

  test.each([1, 2, 3, 4, 5])('gives the inputs back when fn throws at call %d', (nth) => {
    const [x, y] = [leaf(1 / 3, -0), leaf(2)];
    y.mul(3).backward();
    const before = [x, y].map((input) => [
      bits(input.data),
      input.grad && bits(input.grad.data),
      input.requiresGrad,
    ]);
    const memory = y.grad!.data;
    let calls = 0;
    const fn = () => {
      if (++calls === nth) throw new RangeError('mine');
      return x.mul(y);
    };
    expect(() => gradCheck(fn, [x, y])).toThrow(RangeError);
    expect(
      [x, y].map((input) => [bits(input.data), input.grad && bits(input.grad.data), input.requiresGrad]),
    ).toEqual(before);
    expect(y.grad!.data).toBe(memory);
  });

  test.each<[string, (x: Tensor) => Tensor]>([
    ['no tensor', () => 1 as never],
    ['another shape', () => zeros([3], { dtype: 'float64' })],
    ['another dtype', () => zeros([2])],
  ])('gives the inputs back when fn returns %s at its second call', (_, second) => {
    const x = leaf(1, 2);
    let calls = 0;
    expect(() => gradCheck((input) => (calls++ === 0 ? input.mul(2) : second(input)), [x])).toThrow(
      AxpyError,
    );
    expect([x.toArray(), x.grad]).toEqual([[1, 2], null]);
  });

  test('leaves the gradient of a parameter on its memory', () => {
    const x = new Parameter([1], 'float64');
    x.mul(2).backward();
    gradCheck((input) => input.square(), [x]);
    expect(x.grad!.data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(x.grad!.item()).toBe(2);
  });
});

describe('step', () => {
  test.each<[string, (parameters: Tensor[]) => Optimizer]>([
    ['Adam', (parameters) => new Adam(parameters)],
    ['SGD', (parameters) => new SGD(parameters, { learningRate: 1, momentum: 0.5 })],
  ])('of %s, the gradient of the last parameter detached', (_, make) => {
    const parameters = (['float32', 'float64', 'float64'] as const).map((dtype) =>
      tensor([1, 2], { dtype, requiresGrad: true }),
    );
    const optimizer = make(parameters);
    for (const x of parameters) x.square().sum().backward();
    detach(parameters[2].grad!);
    const state = () => [
      parameters.map((x) => [x.storage.version, bits(x.data)]),
      Object.values(optimizer.stateDict()).map(({ data }) => bits(data)),
    ];
    const before = state();
    expect(() => optimizer.step()).toThrow(expect.objectContaining({ code: 'AXPY_DATA' }));
    expect(state()).toEqual(before);
    // It goes on once the gradient is there again.
    parameters[2].zeroGrad();
    parameters[2].square().sum().backward();
    optimizer.step();
    expect(parameters.map(({ storage }) => storage.version)).toEqual([1, 1, 1]);
  });
});

describe('backward', () => {
  afterEach(() => expect(kernels).toBe(genuine));
  const genuine = kernels;

  /** Runs `fn` so that the nth call of a kernel throws after it has written; false when there were not so many. */
  function failingAt(nth: number, fn: () => void): boolean {
    let calls = 0;
    const failing = Object.fromEntries(
      Object.entries(kernels).map(([name, kernel]) => [
        name,
        (...args: never[]) => {
          (kernel as (...args: never[]) => void)(...args);
          if (++calls === nth) throw new RangeError(`kernel ${nth}`);
        },
      ]),
    );
    try {
      withKernels(failing as never, fn);
      return false;
    } catch (error) {
      expect((error as Error).message).toBe(`kernel ${nth}`);
      return true;
    }
  }

  const dtype = 'float64';
  const leaf = (shape: number[], from: number) => {
    const x = zeros(shape, { dtype, requiresGrad: true });
    x.data.forEach((_, i) => {
      x.data[i] = Math.sin(from + i);
    });
    return x;
  };

  /** Many ops, leaves used once and several times, at first without gradients and with. */
  function graph() {
    const a = leaf([2, 3], 1);
    const b = leaf([2, 3], 2);
    const images = leaf([1, 4, 4, 2], 3);
    const weight = leaf([2, 3, 3, 2], 4);
    const scale = leaf([3], 5);
    const dense = new Dense(3, 2, { dtype, activation: 'tanh' });
    dense.weight.data.forEach((_, i, data) => {
      data[i] = Math.cos(i);
    });
    const leaves = [a, b, images, weight, scale, dense.weight, dense.bias!];
    const forward = () => {
      const normal = batchNorm(a.mul(b), scale, scale);
      const hidden = dense.forward(normal).add(dense.forward(b));
      const pixels = maxPool2d(conv2d(images, weight), 2).reshape([2]);
      const chosen = where(a.greater(0).cast(dtype), a, b.exp()).mean();
      const all = concat([hidden.reshape([4]), pixels, a.softmax().reshape([6])]);
      return all.square().sum().add(chosen).add(losses.mse(a, b));
    };
    return { leaves, forward };
  }

  const gradients = (leaves: Tensor[]) => leaves.map(({ grad }) => grad && bits(grad.data));

  /** All tensors behind one. */
  function history(root: Tensor, found = new Set<Tensor>()): Set<Tensor> {
    if (found.has(root)) return found;
    found.add(root);
    for (const input of root.node?.inputs ?? []) history(input, found);
    return found;
  }

  test.each([
    ['no gradients yet', 0],
    ['gradients to add to', 1],
    ['some of each', 0.5],
  ])('leaves every gradient as it was, whichever kernel fails: %s', (_, share) => {
    const { leaves, forward } = graph();
    const start = () => {
      for (const x of leaves) x.zeroGrad();
      leaves.slice(0, Math.round(share * leaves.length)).forEach((x) => {
        x.mul(0.1).sum().backward();
      });
    };
    start();
    forward().backward();
    const expected = gradients(leaves);
    let failures = 0;
    for (let nth = 1; ; nth++) {
      start();
      const before = gradients(leaves);
      const root = forward();
      const inner = [...history(root)].filter((x) => !leaves.includes(x));
      if (!failingAt(nth, () => root.backward())) break;
      failures++;
      expect(gradients(leaves)).toEqual(before);
      expect(inner.filter(({ gradient }) => gradient !== null)).toEqual([]);
      // The first call writes the gradient of the root, before anything is used up.
      if (nth > 1) expect(() => root.backward()).toThrow(AutogradError);
      // And the next one adds what it should, to what there was.
      forward().backward();
      expect(gradients(leaves)).toEqual(expected);
    }
    expect(failures).toBeGreaterThan(30);
  });

  test('a compiled function that throws before it has run leaves everything as it was', () => {
    const layer = new Dense(2, 3);
    const optimizer = new Adam(layer.parameters());
    layer
      .forward(ones([1, 2]))
      .sum()
      .backward();
    layer.bias!.requiresGrad = false;
    const steps = [
      () => optimizer.zeroGrad(),
      () =>
        layer
          .forward(ones([4, 2]))
          .sum()
          .backward(),
      () => optimizer.step(),
      () => layer.weight.mul_(2),
      () => layer.weight.grad!.add_(1),
      () => layer.bias!.setRequiresGrad(true),
      () => layer.eval(),
      () => layer.weight.setRequiresGrad(false),
    ];
    const state = () => [
      layer.training,
      Object.values(optimizer.stateDict()).map(({ data }) => bits(data)),
      layer
        .parameters()
        .map((x) => [x.requiresGrad, x.storage.version, bits(x.data), x.grad && bits(x.grad.data)]),
    ];
    const before = state();
    for (let count = 0; count <= steps.length; count++) {
      const broken = compile(() => {
        for (const step of steps.slice(0, count)) step();
        throw new RangeError('mine');
      });
      expect(() => broken.sync()).toThrow(RangeError);
      expect(state()).toEqual(before);
    }
  });

  test.each([false, true])('a part that did not run serves the next one (a gradient before: %s)', (had) => {
    const x = tensor([1], { requiresGrad: true });
    if (had) x.mul(10).backward();
    const shared = x.mul(2);
    const fail = () => {
      for (const input of [shared, x]) contribute(input, (out) => kernels.fill(out, 77));
      throw new RangeError('closure');
    };
    const bad = track(zeros([]), [shared, x], fail, [], 'bad');
    const worse = shared.sum().add(bad);
    expect(() => worse.backward()).toThrow('closure');

    shared.sum().backward();
    expect(x.grad?.item()).toBe(had ? 12 : 2);
  });
});
