/** Messages name what the caller wrote, and tell what was given: a sweep of bad input over all that is public. */
import { describe, expect, test } from 'vitest';
import * as axpy from '../lib/index.ts';

const { ones, tensor } = axpy;
const good = () => ones([2, 3]);
const ints = tensor([1, 2], { dtype: 'int32' });
const bad: readonly unknown[] = [
  undefined,
  'text',
  {},
  [],
  -1,
  1.5,
  1e39,
  ints,
  ones([2, 3], { dtype: 'float64' }),
  ones([5, 7]),
  ones([0, 3]),
];

// biome-ignore lint/suspicious/noExplicitAny: anything is called with anything
type Any = any;

/** Who a message says speaks: '[add] expected', 'Dense 2 expected'; null where it says none. */
function speakerOf(message: string): string | null {
  const [, bracketed, label] = /^(?:\[([^\]]*)\]|([A-Z]\w*)(?: \d+)? expected)/.exec(message) ?? [];
  return bracketed ?? label ?? null;
}

/** Messages of calls that say another name than that of what was called; a layer may say that of its function. */
class Sweep {
  readonly foreign = new Set<string>();
  count = 0;

  call(name: string, fn: () => unknown): void {
    try {
      const result = fn();
      if (result instanceof Promise) result.catch(() => {});
    } catch (error) {
      // What stands where only TypeScript looks.
      if (!(error instanceof axpy.AxpyError)) return;
      this.count++;
      const speaker = speakerOf(error.message);
      if (speaker !== null && speaker.toLowerCase() !== name.toLowerCase()) {
        this.foreign.add(`${name}: ${error.message}`);
      }
    }
  }
}

describe('each message names what was called:', () => {
  test('methods of tensors', () => {
    const sweep = new Sweep();
    const methods = Object.entries(Object.getOwnPropertyDescriptors(axpy.Tensor.prototype));
    for (const [name, { value }] of methods) {
      if (typeof value !== 'function' || name === 'constructor') continue;
      for (const self of [good(), ints, ones([]), ones([0, 3])] as Any[]) {
        for (const a of bad) for (const b of [undefined, 1, a]) sweep.call(name, () => self[name](a, b));
        for (const b of bad) sweep.call(name, () => self[name](0, b));
      }
    }
    expect([...sweep.foreign]).toEqual([]);
    expect(sweep.count).toBeGreaterThan(1000);
  });

  // These say the name that they are given.
  const told = ['checkCount', 'checkFloat', 'checkInputDtype', 'checkOptions', 'checkTensor', 'inputError'];
  // Made by the library alone.
  const unmade = ['Tensor', 'Profile'];

  test('functions and classes', () => {
    const sweep = new Sweep();
    for (const [name, fn] of Object.entries(axpy) as [string, Any][]) {
      if (typeof fn !== 'function' || [...told, ...unmade].includes(name)) continue;
      // These would write files of such names.
      if (name.startsWith('save')) continue;
      const isClass = /^[A-Z]/.test(name);
      if (isClass && fn.prototype instanceof Error) continue;
      for (const a of [good(), 2, ...bad]) {
        for (const b of [2, good(), undefined, 'text', {}, -1, ints, ones([5, 7])]) {
          for (const c of [undefined, { unknown: 1 }]) {
            sweep.call(name, () => (isClass ? new fn(a, b, c) : fn(a, b, c)));
          }
        }
      }
    }
    expect([...sweep.foreign]).toEqual([]);
    expect(sweep.count).toBeGreaterThan(1000);
  });

  test('options', () => {
    const sweep = new Sweep();
    const parameters = new axpy.Dense(2, 2).parameters();
    const made: Record<string, (options: Any) => unknown> = {
      SGD: (options) => new axpy.SGD(parameters, { learningRate: 1, ...options }),
      Adam: (options) => new axpy.Adam(parameters, options),
      Dense: (options) => new axpy.Dense(2, 2, options),
      Conv1D: (options) => new axpy.Conv1D(2, 2, 3, options),
      Conv2D: (options) => new axpy.Conv2D(2, 2, 3, options),
      ConvTranspose2D: (options) => new axpy.ConvTranspose2D(2, 2, 3, options),
      BatchNorm: (options) => new axpy.BatchNorm(2, options),
      LayerNorm: (options) => new axpy.LayerNorm(2, options),
      MultiHeadAttention: (options) => new axpy.MultiHeadAttention(4, 2, options),
      PositionEmbedding: (options) => new axpy.PositionEmbedding(4, 2, options),
      TransformerBlock: (options) => new axpy.TransformerBlock(4, 2, options),
      TransformerDecoderBlock: (options) => new axpy.TransformerDecoderBlock(4, 2, options),
      RMSNorm: (options) => new axpy.RMSNorm(2, options),
      GroupNorm: (options) => new axpy.GroupNorm(1, 2, options),
      scaledDotProductAttention: (options) => axpy.scaledDotProductAttention(good(), good(), good(), options),
      MaxPool2D: (options) => new axpy.MaxPool2D(2, options),
      Upsample: (options) => new axpy.Upsample(2, options),
      huber: (options) => axpy.losses.huber(good(), good(), options),
      sum: (options) => good().sum(0, options),
      rand: (options) => axpy.rand([2], options),
      gradCheck: (options) => axpy.gradCheck((x) => x, [good()], options),
    };
    const names = [
      ...['learningRate', 'l2', 'momentum', 'dampening', 'nesterov', 'beta1', 'beta2', 'epsilon', 'init'],
      ...[
        'biasInit',
        'bias',
        'dtype',
        'stride',
        'padding',
        'dilation',
        'groups',
        'mode',
        'delta',
        'reduction',
      ],
      ...['momentum', 'affine', 'keepDims', 'requiresGrad', 'tolerance', 'outputPadding'],
    ];
    for (const [name, make] of Object.entries(made)) {
      for (const option of names) for (const value of bad) sweep.call(name, () => make({ [option]: value }));
      const initializers = ['constant', 'normal', 'uniform', 'none'];
      for (const init of initializers)
        sweep.call(name, () => make({ init: { name: init, value: 'x', mean: 'x', low: 1 } }));
      sweep.call(name, () => make({ init: () => [1] }));
    }
    const options = [...sweep.foreign].filter(
      (message) => !/\[(constant|normal|uniform)\] expected options/.test(message),
    );
    expect(options).toEqual([]);
    expect(sweep.count).toBeGreaterThan(500);
  });

  test('losses, layers and activations', () => {
    const sweep = new Sweep();
    for (const [name, loss] of Object.entries(axpy.losses) as [string, Any][]) {
      for (const a of [good(), ...bad]) {
        for (const b of [good(), ...bad]) {
          for (const options of [undefined, null, { reduction: 'x' }])
            sweep.call(name, () => loss(a, b, options));
        }
      }
      sweep.call(name, () => loss(good(), tensor([1, 9], { dtype: 'int32' })));
    }
    const layers: axpy.Layer[] = [
      new axpy.Dense(4, 2),
      new axpy.Conv1D(4, 2, 3),
      new axpy.Conv2D(4, 2, 3),
      new axpy.ConvTranspose2D(4, 2, 3),
      new axpy.BatchNorm(4),
      new axpy.LayerNorm(4),
      new axpy.RMSNorm(4),
      new axpy.MultiHeadAttention(4, 2),
      new axpy.PositionEmbedding(4, 4),
      new axpy.TransformerBlock(4, 2),
      new axpy.TransformerDecoderBlock(4, 2),
      new axpy.GroupNorm(2, 4),
      new axpy.MaxPool2D(2),
      new axpy.AvgPool2D(2),
      new axpy.GlobalAvgPool2D(),
      new axpy.Upsample(2),
      new axpy.Pad(1),
      new axpy.Dropout(0.5),
      new axpy.Flatten(),
      new axpy.GELU(),
      new axpy.LeakyReLU(),
      new axpy.ELU(),
      new axpy.Softmax(3),
      new axpy.Sigmoid(),
    ];
    for (const layer of layers) {
      const inputs = [...bad, ones([1, 1, 1, 4]), ones([1, 2, 4]), ones([1, 1, 1, 4], { dtype: 'int32' })];
      for (const x of inputs) {
        sweep.call(layer.label, () => layer.forward(x as Any));
        sweep.call(layer.label, () => layer.outputShape(x as Any));
        sweep.call(layer.label, () => layer.loadStateDict({ weight: x as Any }));
      }
    }
    const others = [...sweep.foreign].filter((message) => !message.includes('[loadStateDict]'));
    expect(others).toEqual([]);
    expect(sweep.count).toBeGreaterThan(500);
  });

  test('metrics', async () => {
    const model = new axpy.Dense(2, 3);
    const targets = [
      [0, 1, 2, 9],
      [0.5, 1, 1, 1],
      ones([4, 5]),
      ones([4, 3, 2]),
      tensor([0, 1, 2, -1], { dtype: 'int32' }),
    ];
    const foreign: string[] = [];
    let count = 0;
    for (const name of Object.keys(axpy.metrics)) {
      for (const y of targets) {
        const data = { x: ones([4, 2]), y } as Any;
        const message = await axpy.evaluate(model, data, { metrics: [name as Any] }).then(
          () => null,
          (error) => error.message,
        );
        if (message === null) continue;
        count++;
        if (![null, name, 'evaluate'].includes(speakerOf(message))) foreign.push(`${name}: ${message}`);
      }
    }
    expect(foreign).toEqual([]);
    expect(count).toBeGreaterThan(20);
  });
});

describe('each message tells what was given:', () => {
  const messageOf = (fn: () => unknown): string => {
    try {
      fn();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('expected an error');
  };

  test('the sizes of reshape', () => {
    const sizes = [[-1, -1], [-1, 4], [-1, 0], [-2, 3], [-1, 1.5], [7]];
    for (const shape of sizes) {
      expect(messageOf(() => good().reshape(shape))).toContain(`[${shape.join(', ')}]`);
    }
  });

  test('a number that float32 does not hold', async () => {
    const model = new axpy.Dense(1, 1);
    const run = (x: number[][] | axpy.Tensor) => axpy.predict(model, x).catch((error) => error.message);
    const said =
      /got -?Infinity at row 0, position 0 \(counted from 0\), which in float32 stands for any number beyond 3.4e38/;
    expect(await run([[1e39]])).toMatch(said);
    expect(await run([[-1e39]])).toMatch(said);
    expect(await run([[Number.NaN]])).toMatch(/got NaN at row 0, position 0 \(counted from 0\)$/);
    expect(messageOf(() => tensor([1e39], { dtype: 'int32' }))).toContain('1e+39');
  });

  test('what was a tensor', () => {
    const copies = [structuredClone({ ...good() }), JSON.parse(JSON.stringify(good()))];
    for (const copy of copies) {
      expect(messageOf(() => good().add(copy))).toMatch(/got an object of dtype and shape that is no tensor/);
    }
  });
});

test('text of a tensor shows what JSON has no word for', () => {
  const x = tensor([
    [1, -0.5],
    [Number.NaN, -Infinity],
  ]);
  expect(String(x)).toBe('Tensor float32 [2, 2] [[1,-0.5],[NaN,-Infinity]]');
  expect(String(tensor(Infinity))).toBe('Tensor float32 [] Infinity');
  expect(String(tensor([], { shape: [2, 0] }))).toBe('Tensor float32 [2, 0] [[],[]]');
});

describe('JSON.stringify shows', () => {
  test('of a tensor dtype, shape and values, which make it again', () => {
    const x = tensor([
      [1, -0, Number.NaN],
      [Infinity, -Infinity, 0.5],
    ]);
    const json = JSON.stringify(x);
    expect(json).toBe('{"dtype":"float32","shape":[2,3],"values":[1,0,"NaN","Infinity","-Infinity",0.5]}');
    for (const dtype of ['float32', 'float64', 'int32'] as const) {
      for (const shape of [[], [3], [2, 0], [2, 2, 3]]) {
        const y = axpy.rand(shape).mul(100).cast(dtype);
        const { values, ...options } = JSON.parse(JSON.stringify(y));
        const again = tensor(values, options);
        expect([again.dtype, again.shape, [...again.data]]).toEqual([dtype, shape, [...y.data]]);
      }
    }
    const parameter = new axpy.Parameter([2]);
    parameter.sum().backward();
    expect(JSON.stringify(parameter)).toBe('{"dtype":"float32","shape":[2],"values":[0,0]}');
  });

  test('of a layer its config, of an optimizer its hyperparameters, of both the state where it is asked for', () => {
    const model = new axpy.Sequential([new axpy.Dense(2, 3), new axpy.ReLU()]);
    expect(JSON.parse(JSON.stringify({ model }))).toEqual({ model: model.config });
    expect(axpy.layerFrom(JSON.parse(JSON.stringify(model))).summary()).toBe(model.summary());
    const optimizer = new axpy.Adam(model.parameters());
    optimizer.learningRate = 0.5;
    expect(JSON.stringify(optimizer)).toBe(
      '{"type":"Adam","learningRate":0.5,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"l2":0}',
    );
    const state = JSON.parse(JSON.stringify(model.stateDict()));
    expect(Object.keys(state)).toEqual(['0.weight', '0.bias']);
    expect(state['0.bias']).toEqual({ dtype: 'float32', shape: [3], values: [0, 0, 0] });
  });
});
