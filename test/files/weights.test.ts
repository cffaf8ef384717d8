/** Weights without their architecture: of models made by hand, and of PyTorch. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  Dense,
  Dropout,
  encodeModel,
  encodeSafetensors,
  encodeWeights,
  Flatten,
  fromChannelsFirst,
  Layer,
  LayerNorm,
  type LoadWeightsOptions,
  loadSafetensors,
  loadWeights,
  MaxPool2D,
  predict,
  ReLU,
  randn,
  Sequential,
  saveSafetensors,
  saveWeights,
  Tanh,
  type Tensor,
  tensor,
  toChannelsFirst,
} from '../../lib/index.ts';
import { hasTorch, runPython } from './python.ts';
import { temporaryFolder } from './temporary.ts';

const stateOf = (model: Layer) =>
  Object.fromEntries(Object.entries(model.stateDict()).map(([name, x]) => [name, [...x.data]]));

const refuses = (promise: Promise<unknown>, code: string, message: string) =>
  expect(promise).rejects.toMatchObject({ code, message: expect.stringContaining(message) });

const mlp = () =>
  new Sequential([new Dense(3, 4, { activation: 'relu' }), new BatchNorm(4), new Dense(4, 2)]);

describe('weights', () => {
  it('of one model become those of another one', async () => {
    const path = join(temporaryFolder(), 'weights');
    const [from, to] = [mlp(), mlp()];
    await saveWeights(path, from, { metadata: { a: 'b' } });
    const report = await loadWeights(path, to);
    expect(stateOf(to)).toEqual(stateOf(from));
    expect(report).toEqual({
      loaded: Object.keys(from.stateDict()),
      missing: [],
      unexpected: [],
      rounded: [],
    });
    for (const source of [encodeWeights(from), encodeModel(from), from.stateDict()]) {
      const other = mlp();
      await loadWeights(source, other);
      expect(stateOf(other)).toEqual(stateOf(from));
    }
  });

  it('of the model itself may change places', async () => {
    const model = new Sequential([new Dense(2, 2), new Dense(2, 2)]);
    const before = model.stateDict();
    const rename = (name: string) => name.replace(/^[01]/, (layer) => String(1 - Number(layer)));
    await loadWeights(Object.fromEntries(model.namedParameters()), model, { rename });
    for (const [name, x] of Object.entries(model.stateDict()))
      expect([...x.data]).toEqual([...before[rename(name)].data]);
  });

  it('are seen by a compiled predict that ran before', async () => {
    const [from, to] = [mlp(), mlp()];
    const x = randn([4, 3]);
    await predict(to, x);
    await loadWeights(encodeWeights(from), to);
    expect((await predict(to, x)).toArray()).toEqual((await predict(from, x)).toArray());
  });

  it('that do not fit change nothing, and the message tells what to do', async () => {
    const model = mlp();
    const before = stateOf(model);
    const other = new Sequential([new Dense(3, 4), new BatchNorm(4)]);
    await refuses(
      loadWeights(encodeWeights(other), model),
      'AXPY_ARGUMENT',
      'missing: 2.weight, 2.bias; unknown: none. { strict: false }',
    );
    const wide = new Sequential([new Dense(3, 4), new BatchNorm(4), new Dense(4, 5)]);
    for (const strict of [true, false]) {
      await refuses(
        loadWeights(encodeWeights(wide), model, { strict }),
        'AXPY_SHAPE',
        'expected 2.weight as [2, 4], got [5, 4]',
      );
    }
    await refuses(loadWeights(encodeWeights(other).subarray(0, 60), model), 'AXPY_FORMAT', '[loadWeights]');
    expect(stateOf(model)).toEqual(before);
  });

  it('that are missing or left over are reported where one asks for that', async () => {
    const model = mlp();
    const before = stateOf(model);
    const other = new Sequential([new Dense(3, 4), new Dropout(), new Dense(4, 2)]);
    const tensors = { ...other.stateDict(), extra: randn([1]) };
    const report = await loadWeights(tensors, model, { strict: false });
    expect(report).toMatchObject({
      loaded: ['0.weight', '0.bias', '2.weight', '2.bias'],
      missing: ['1.weight', '1.bias', '1.runningMean', '1.runningVariance'],
      unexpected: ['extra'],
    });
    expect(stateOf(model)).toEqual({ ...before, ...stateOf(other) });
  });

  it.each<[string, LoadWeightsOptions['rename']]>([
    [
      'a function',
      (name) =>
        name === 'junk' ? null : name.replace('net.fc1', '0').replace('net.norm', '1').replace('head', '2'),
    ],
    [
      'a table of prefixes and names',
      { 'net.fc1.': '0.', 'net.norm.': '1.', 'head.weight': '2.weight', 'head.bias': '2.bias', junk: null },
    ],
  ])('get other names by %s', async (_, rename) => {
    const [from, to] = [mlp(), mlp()];
    const names: Record<string, string> = { 0: 'net.fc1', 1: 'net.norm', 2: 'head' };
    const tensors = Object.fromEntries(
      Object.entries(from.stateDict()).map(([name, x]) => [name.replace(/^\d/, (digit) => names[digit]), x]),
    );
    await loadWeights(encodeSafetensors({ ...tensors, junk: randn([2]) }), to, { rename });
    expect(stateOf(to)).toEqual(stateOf(from));
  });

  it('of other precision are converted, and it is said what was rounded', async () => {
    const model = new Dense(2, 1);
    const weight = tensor([[0.1, 0.5]], { dtype: 'float64' });
    const report = await loadWeights({ weight, bias: tensor([0.25], { dtype: 'float64' }) }, model);
    expect(report.rounded).toEqual(['weight']);
    expect([...model.weight.data]).toEqual([Math.fround(0.1), 0.5]);
  });

  it('refuse what is no option', async () => {
    const model = mlp();
    const given = model.stateDict();
    await refuses(loadWeights(given, model, { strict: 1 as never }), 'AXPY_ARGUMENT', 'strict');
    await refuses(
      loadWeights(given, model, { rename: 5 as never }),
      'AXPY_ARGUMENT',
      'expected rename to be a table or a function, got 5',
    );
    await refuses(
      loadWeights(given, model, { rename: () => 5 as never }),
      'AXPY_ARGUMENT',
      'a name or null for "0.weight", got 5',
    );
    await refuses(
      loadWeights(given, model, { rename: () => '0.weight' }),
      'AXPY_ARGUMENT',
      'for both "0.weight" and "0.bias"',
    );
    await refuses(
      loadWeights(given, model, { convention: 'keras' as never }),
      'AXPY_ARGUMENT',
      'expected convention to be pytorch, got "keras"',
    );
    await refuses(loadWeights({ x: 1 } as never, model), 'AXPY_ARGUMENT', 'x');
    await refuses(loadWeights(5 as never, model), 'AXPY_ARGUMENT', 'got 5');
    await refuses(saveWeights('x', 5 as never), 'AXPY_ARGUMENT', 'Layer');
  });
});

/** The networks of weights.py. */
const networks = {
  images: () =>
    new Sequential(
      [
        new Sequential([
          new Conv2D(2, 4, 3, { padding: 1 }),
          new BatchNorm(4),
          new ReLU(),
          new MaxPool2D(2),
          new Conv2D(4, 6, [3, 1], { groups: 2, bias: false }),
          new ReLU(),
          new ConvTranspose2D(6, 4, 2, { stride: 2 }),
          new Tanh(),
        ]),
        new Sequential([
          new Flatten(),
          new BatchNorm(4 * 4 * 8),
          new Dropout(0.5),
          new Dense(4 * 4 * 8, 5),
          new ReLU(),
          new Dense(5, 3),
        ]),
      ],
      { inputShape: [8, 8, 2] },
    ),
  sequences: () =>
    new Sequential([new Conv1D(3, 4, 3), new ReLU(), new Flatten(), new LayerNorm(24), new Dense(24, 2)], {
      inputShape: [8, 3],
    }),
};

describe.each(Object.entries(networks))("PyTorch's network %s", (name, make) => {
  const fixture = join(import.meta.dirname, 'fixtures', `${name}.safetensors`);
  const far = (a: Tensor, b: Tensor) => Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i])));

  it('predicts here what it predicts there', async () => {
    const { x, y, ...state } = await loadSafetensors(fixture);
    const model = make();
    const report = await loadWeights(state, model, { convention: 'pytorch' });
    expect(report).toMatchObject({ missing: [], unexpected: [], rounded: [] });
    expect(far(await predict(model, fromChannelsFirst(x)), y)).toBeLessThan(2e-6);
  });

  it('goes back without a change of a bit', async () => {
    const { x: _x, y: _y, ...state } = await loadSafetensors(fixture);
    const model = make();
    await loadWeights(state, model, { convention: 'pytorch' });
    const back = await loadSafetensors(encodeWeights(model, { convention: 'pytorch' }));
    for (const [key, { shape, data }] of Object.entries(back)) {
      expect([key, shape, [...data]]).toEqual([key, state[key].shape, [...state[key].data]]);
    }
  });

  it.skipIf(!hasTorch)('trained here, predicts there (where python3-torch is installed)', async () => {
    const path = join(temporaryFolder(), 'weights');
    const { x } = await loadSafetensors(fixture);
    const model = make();
    for (const parameter of model.parameters()) parameter.assign(randn(parameter.shape).mul(0.3));
    const y = await predict(model, fromChannelsFirst(x));
    const tensors = await loadSafetensors(encodeWeights(model, { convention: 'pytorch' }));
    await saveSafetensors(path, { ...tensors, x, y });
    const script = join(import.meta.dirname, 'weights.py');
    expect(Number(runPython(script, 'check', name, path))).toBeLessThan(1e-5);
  });
});

describe('the size of what is flattened', () => {
  class Net extends Layer {
    readonly conv = new Conv2D(1, 2, 3);
    readonly fc = new Dense(8, 2);
    forward(x: Tensor): Tensor {
      return this.fc.forward(this.conv.forward(x).flatten());
    }
  }

  it("is told for a layer of one's own", async () => {
    const [from, to] = [new Net(), new Net()];
    const options = { convention: 'pytorch', flattened: { 'fc.weight': [2, 2, 2] } } as const;
    const bytes = encodeWeights(from, options);
    const theirs = await loadSafetensors(bytes);
    // PyTorch flattens channels first.
    const x = randn([3, 4, 4, 1]);
    const inner = toChannelsFirst(from.conv.forward(x)).flatten();
    const y = inner.matmul(theirs['fc.weight'].transpose()).add(theirs['fc.bias']);
    const expected = from.forward(x);
    y.data.forEach((value, i) => {
      expect(value).toBeCloseTo(expected.data[i], 5);
    });
    await loadWeights(bytes, to, options);
    expect(stateOf(to)).toEqual(stateOf(from));
  });

  it("is asked for where a layer of one's own may flatten", async () => {
    const net = new Net();
    await refuses(
      loadWeights({}, net, { convention: 'pytorch' }),
      'AXPY_ARGUMENT',
      "flattened: { 'fc.weight': [height, width, channels] }, or null there",
    );
    expect(() => encodeWeights(new Sequential([net]), { convention: 'pytorch' })).toThrow(
      "flattened: { '0.fc.weight'",
    );
    encodeWeights(net, { convention: 'pytorch', flattened: { 'fc.weight': null } });
    class Pooled extends Layer {
      readonly conv = new Conv2D(1, 8, 3);
      readonly fc = new Dense(8, 2);
      forward(x: Tensor): Tensor {
        return this.fc.forward(this.conv.forward(x).mean([1, 2]));
      }
    }
    // As many inputs as channels: nothing that has an order of its own.
    encodeWeights(new Pooled(), { convention: 'pytorch' });
  });

  it('is asked for where it is not known', async () => {
    const layers = () => [new Conv2D(1, 2, 3), new Flatten(), new Dense(8, 2)];
    const unknown = new Sequential(layers());
    await refuses(
      loadWeights({}, unknown, { convention: 'pytorch' }),
      'AXPY_ARGUMENT',
      "flattened: { '2.weight': [height, width, channels] }, or null",
    );
    const known = new Sequential(layers(), { inputShape: [4, 4, 1] });
    known.loadStateDict(unknown.stateDict());
    const told = encodeWeights(unknown, { convention: 'pytorch', flattened: { '2.weight': [2, 2, 2] } });
    expect([...told]).toEqual([...encodeWeights(known, { convention: 'pytorch' })]);
    await refuses(
      loadWeights(told, unknown, { convention: 'pytorch', flattened: { '2.weight': [3, 2, 2] } }),
      'AXPY_SHAPE',
      'expected weight [out, 12]',
    );
    await refuses(
      loadWeights(told, unknown, { convention: 'pytorch', flattened: { fc: [2, 2, 2] } }),
      'AXPY_ARGUMENT',
      'expected names of the model in flattened (0.weight, 0.bias, 2.weight, 2.bias), got "fc"',
    );
  });
});
