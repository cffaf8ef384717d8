/** Models in files: what is saved is what comes back, or it is said why not. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  Activation,
  Adam,
  BatchNorm,
  Conv2D,
  compile,
  configure,
  Dense,
  Dropout,
  encodeCheckpoint,
  encodeModel,
  encodeSafetensors,
  Flatten,
  fit,
  initialize,
  Layer,
  layerFrom,
  loadModel,
  loadSafetensors,
  loadWeights,
  MaxPool2D,
  Parameter,
  predict,
  rand,
  randn,
  registerLayer,
  Sequential,
  SharedTensor,
  safetensorsHeader,
  saveModel,
  seed,
  type Tensor,
} from '../../lib/index.ts';
import { defaultState } from '../../lib/random.ts';
import { temporaryFolder } from './temporary.ts';

const cnn = () =>
  new Sequential(
    [
      new Conv2D(1, 4, 3, { padding: 'same', activation: 'relu' }),
      new BatchNorm(4, { activation: 'relu' }),
      new MaxPool2D(2),
      new Flatten(),
      new Dropout(0.3),
      new Dense(3 * 3 * 4, 2),
    ],
    { inputShape: [6, 6, 1] },
  );

const images = { x: rand([40, 6, 6, 1]), y: Array.from({ length: 40 }, (_, i) => i % 2) };

async function trained<Model extends Layer>(model: Model, data: { x: unknown; y: unknown } = images) {
  const optimizer = new Adam(model.parameters());
  await fit(model, data as never, { loss: 'softmaxCrossEntropy', optimizer, epochs: 2, batchSize: 8 });
  return model;
}

const bits = (x: Tensor) =>
  Buffer.from(new Uint8Array(x.data.buffer, x.data.byteOffset, x.data.byteLength)).toString('hex');
const stateOf = (model: Layer) =>
  Object.fromEntries(Object.entries(model.stateDict()).map(([name, x]) => [name, `${x.shape} ${bits(x)}`]));

const refuses = (promise: Promise<unknown>, code: string, message: string) =>
  expect(promise).rejects.toMatchObject({ code, message: expect.stringContaining(message) });

function set<Value>(record: Record<string, Value>, name: string, value: Value): void {
  record[name] = value;
}

/** The bytes of a model with other metadata or tensors. */
async function changed(
  model: Layer,
  change: (metadata: Record<string, string>, tensors: Record<string, Tensor>) => void,
): Promise<Uint8Array> {
  const bytes = encodeModel(model);
  const metadata = { ...(await safetensorsHeader(bytes)).metadata };
  const tensors = await loadSafetensors(bytes);
  change(metadata, tensors);
  return encodeSafetensors(tensors, { metadata });
}

describe('a model in a file', () => {
  it('predicts the same, bit for bit, in another process as well', async () => {
    const path = join(temporaryFolder(), 'model.safetensors');
    const model = await trained(cnn());
    await saveModel(path, model, { metadata: { note: 'of today' } });
    const loaded = await loadModel<Sequential>(path);
    expect(loaded).toBeInstanceOf(Sequential);
    expect(loaded.config).toEqual(model.config);
    expect(stateOf(loaded)).toEqual(stateOf(model));
    const expected = bits(await predict(model, images.x));
    for (const compiled of [true, false]) {
      expect(bits(await predict(loaded, images.x, { compiled }))).toBe(expected);
    }
    expect((await safetensorsHeader(path)).metadata).toMatchObject({ note: 'of today', 'axpy.format': '1' });
    writeFileSync(`${path}.x`, images.x.data);
    const program = `
      import { readFileSync } from 'node:fs';
      import { loadModel, predict, Tensor } from ${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)};
      const { buffer } = new Uint8Array(readFileSync(${JSON.stringify(`${path}.x`)}));
      const y = await predict(await loadModel(${JSON.stringify(path)}), new Tensor(new Float32Array(buffer), [40, 6, 6, 1], 'float32'));
      process.stdout.write(Buffer.from(y.data.buffer).toString('hex'));`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe(expected);
  });

  it('is what it was when saving began', async () => {
    const path = join(temporaryFolder(), 'model.safetensors');
    const model = cnn();
    const before = stateOf(model);
    const saving = saveModel(path, model);
    for (const parameter of model.parameters()) parameter.mul_(2);
    await saving;
    expect(stateOf(await loadModel(path))).toEqual(before);
  });

  it('may be saved while it is trained, and is of a whole step', async () => {
    const folder = temporaryFolder();
    const model = cnn();
    const states: string[] = [JSON.stringify(stateOf(model))];
    const training = fit(model, images as never, {
      loss: 'softmaxCrossEntropy',
      optimizer: new Adam(model.parameters()),
      epochs: 5,
      batchSize: 8,
      callbacks: [{ onBatchEnd: () => void states.push(JSON.stringify(stateOf(model))) }],
    });
    for (let i = 0; i < 5; i++) {
      await saveModel(join(folder, 'model'), model);
      expect(states).toContain(JSON.stringify(stateOf(await loadModel(join(folder, 'model')))));
    }
    await training;
  });

  it('goes on in training as the one that was saved', async () => {
    const model = await trained(cnn());
    const loaded = await loadModel(encodeModel(model));
    // N of BatchNorm is no state, and so is the same only for batches of one size.
    for (const one of [model, loaded]) {
      seed(3);
      await trained(one);
    }
    expect(stateOf(loaded)).toEqual(stateOf(model));
  });

  it('shares nothing with the one that was saved, nor with the bytes', async () => {
    const model = cnn();
    const bytes = encodeModel(model);
    const loaded = await loadModel(bytes);
    const before = stateOf(loaded);
    bytes.fill(0);
    await trained(model);
    expect(stateOf(loaded)).toEqual(before);
  });

  it('keeps what is frozen and what is in evaluation mode', async () => {
    const model = cnn();
    model.layers[0].setRequiresGrad(false);
    model.layers[1].eval();
    const loaded = await loadModel<Sequential>(encodeModel(model));
    expect(loaded.parameters().map((p) => p.requiresGrad)).toEqual([false, false, true, true, true, true]);
    expect(loaded.layers.map((layer) => layer.training)).toEqual([true, false, true, true, true, true]);
    expect((await loadModel(encodeModel(model.eval()))).training).toBe(false);
  });

  it('keeps which layers are trainable, which files of before there was that say of none', async () => {
    const model = cnn();
    model.layers[1].trainable = false;
    const trainable = (layer: Layer) => (layer as Sequential).layers.map((one) => one.trainable);
    const wanting = (layer: Layer) => layer.parameters().map((p) => p.requiresGrad);
    const loaded = await loadModel(encodeModel(model));
    expect(trainable(loaded)).toEqual([true, false, true, true, true, true]);
    expect(wanting(loaded)).toEqual([true, true, false, false, true, true]);
    const before = await loadModel(
      await changed(model, (metadata) => {
        const { frozenLayers, ...others } = JSON.parse(metadata['axpy.modes']);
        expect(frozenLayers).toEqual(['1']);
        set(metadata, 'axpy.modes', JSON.stringify(others));
        for (const name of ['axpy.sums', 'axpy.sum']) delete metadata[name];
      }),
    );
    expect(trainable(before)).toEqual(new Array(6).fill(true));
    expect(wanting(before)).toEqual(wanting(loaded));
  });

  it('draws no random numbers, and leaves the generator as it is', async () => {
    const bytes = encodeModel(cnn());
    const before = [...defaultState];
    await loadModel(bytes);
    encodeModel(cnn().layers[4]);
    await loadModel(encodeModel(new Sequential([new Dropout()])));
    seed(1);
    const state = [...defaultState];
    await loadModel(bytes);
    expect([...defaultState]).toEqual(state);
    expect(before).toHaveLength(6);
  });

  it('comes back in any nesting of layers, once or several times in it', async () => {
    const leaf = fc.constantFrom(
      () => new Dense(3, 3, { activation: 'tanh' }),
      () => new BatchNorm(3),
      () => new Dropout(0.2),
      () => new Dense(3, 3, { bias: false, init: () => new Array(9).fill(0.5) }),
    );
    const { tree } = fc.letrec<{ tree: (known: Layer[]) => Layer }>((tie) => ({
      tree: fc.oneof(
        { withCrossShrink: true },
        leaf.map((make) => (known: Layer[]) => {
          const made = make();
          known.push(made);
          return made;
        }),
        fc.nat().map((which) => (known: Layer[]) => known[which % known.length] ?? new Dense(3, 3)),
        fc.array(tie('tree'), { minLength: 1, maxLength: 4 }).map((parts) => (known: Layer[]) => {
          const made = new Sequential(parts.map((part) => part(known)));
          known.push(made);
          return made;
        }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(tree, async (make) => {
        const model = make([]);
        for (const parameter of model.parameters()) parameter.assign(randn(parameter.shape));
        const loaded = await loadModel(encodeModel(model));
        expect(stateOf(loaded)).toEqual(stateOf(model));
        const x = randn([4, 3]);
        expect(bits(await predict(loaded, x))).toBe(bits(await predict(model, x)));
      }),
    );
  });

  it('ties what was tied: an update of one is an update of both', async () => {
    const dense = new Dense(2, 2);
    const loaded = await loadModel<Sequential>(encodeModel(new Sequential([dense, new Sequential([dense])])));
    expect((loaded.layers[1] as Sequential).layers[0]).toBe(loaded.layers[0]);
    expect(loaded.parameterCount()).toBe(6);
    expect(layerFrom(JSON.parse(JSON.stringify(loaded))).parameterCount()).toBe(6);
  });

  it('in float64 keeps every digit; half-precision weights are taken', async () => {
    const model = new Dense(2, 1, { dtype: 'float64' });
    model.weight.assign([[Math.PI, 1e-300]]);
    expect([...(await loadModel<Dense<'float64'>>(encodeModel(model))).weight.data]).toEqual([
      Math.PI,
      1e-300,
    ]);
  });
});

class Residual extends Layer {
  readonly body: Dense;
  readonly gain = new Parameter([1]);
  readonly steps = new SharedTensor([1]);
  /** No state: what the constructor makes of it has to be there after a load. */
  readonly #table = new SharedTensor([4]);
  constructor(readonly size: number) {
    super();
    this.body = new Dense(size, size, { activation: 'tanh' });
    initialize(this.gain, 'ones');
    initialize(this.#table, { name: 'constant', value: 3 });
    configure(this, { size });
  }
  forward(x: Tensor): Tensor {
    return x.add(this.body.forward(x).mul(this.gain)).mul(this.#table.mean());
  }
}

/** Keeps what it learns where nobody sees it. */
class Secret extends Layer {
  readonly out = new Dense(2, 1);
  readonly #inner = new Dense(2, 2);
  forward(x: Tensor): Tensor {
    return this.out.forward(this.#inner.forward(x));
  }
}

/** With state that is no parameter, and that it tells. */
class Counting extends Layer {
  readonly #seen = new SharedTensor([1]);
  override [Layer.hidden]() {
    return { seen: this.#seen };
  }
  forward(x: Tensor): Tensor {
    if (this.training) this.#seen.add_(1);
    return x.mul(this.#seen);
  }
}

class Forgetful extends Layer {
  constructor(readonly act: 'relu' | 'tanh' = 'relu') {
    super();
    configure(this, { inner: { act } });
  }
  forward(x: Tensor): Tensor {
    return x[this.act]();
  }
}

describe("layers of one's own in a file", () => {
  class Unregistered extends Residual {}
  class Lost extends Layer {
    readonly body: Dense;
    constructor(size: number) {
      super();
      this.body = new Dense(size, size);
    }
    forward(x: Tensor): Tensor {
      return this.body.forward(x);
    }
  }
  beforeAll(() => {
    registerLayer('Secret', Secret, () => new Secret());
    registerLayer('Counting', Counting, () => new Counting());
    registerLayer('Forgetful', Forgetful, () => new Forgetful());
    registerLayer('OwnResidual', Residual, ({ size }) => new Residual(size));
    // Forgets to tell its size.
    registerLayer('Lost', Lost, ({ size = 2 }) => new Lost(size));
  });

  it('come back', async () => {
    const model = new Sequential([new Residual(3), new Residual(3)]);
    for (const [, tensor] of [...model.namedParameters(), ...model.namedBuffers()])
      tensor.assign(randn(tensor.shape));
    const loaded = await loadModel(encodeModel(model));
    expect(stateOf(loaded)).toEqual(stateOf(model));
    const x = randn([5, 3]);
    expect(bits(await predict(loaded, x))).toBe(bits(await predict(model, x)));
  });

  it.each<[string, () => Layer, string]>([
    [
      'is not registered',
      () => new Sequential([new Unregistered(2)]),
      'got "Unregistered": registerLayer makes others known',
    ],
    ['tells too little', () => new Lost(3), 'to make a model of the tensors body.weight float32 [3, 3]'],
    [
      'has a function',
      () => new Dense(1, 1, { activation: (x) => x.square() }),
      'a function as an activation has no place in a file',
    ],
    [
      'keeps parameters to itself',
      () => new Sequential([new Secret()]),
      'got a model with 2 more, of shape [2, 2], [2]',
    ],
    ['forgets an option', () => new Forgetful('tanh'), 'got another inner.act'],
    ['is a function', () => new Sequential([new Activation((x) => x)]), 'expected activation to be one of'],
  ])('are not saved where one %s, and the message says what to do', async (_, make, message) => {
    const path = join(temporaryFolder(), 'model');
    writeFileSync(path, 'the old one');
    await refuses(saveModel(path, make()), 'AXPY_ARGUMENT', message);
    expect(readFileSync(path, 'utf8')).toBe('the old one');
  });
});

it('state that a layer tells as hidden is in the file, of models and of checkpoints', async () => {
  const model = new Sequential([new Counting(), new BatchNorm(2)]);
  for (let i = 0; i < 3; i++) model.forward(randn([4, 2]));
  const x = randn([4, 2]);
  const expected = bits(await predict(model, x));
  for (const bytes of [encodeModel(model), encodeCheckpoint({ model })]) {
    const loaded = await loadModel(bytes);
    expect(bits(await predict(loaded, x))).toBe(expected);
    // N of BatchNorm as well: what follows is the same.
    const [a, b] = [model, loaded].map((one) =>
      bits((one as Sequential).layers[1].forward(x.slice([[0, 2]]))),
    );
    expect(a).toBe(b);
  }
});

it('hidden state and parameters are of the same moment, after the runs that were asked for before', async () => {
  class Paired extends Layer {
    readonly seen = new SharedTensor([1]);
    readonly #same = new SharedTensor([1]);
    constructor() {
      super();
      // Whoever has the array may write to it, so that it is copied at once.
      this.seen.data.fill(0);
      this.#same.data.fill(0);
    }
    override [Layer.hidden]() {
      return { same: this.#same };
    }
    forward(x: Tensor): Tensor {
      this.seen.add_(1);
      this.#same.add_(1);
      return x.add(this.seen).add(this.#same);
    }
  }
  registerLayer('Paired', Paired, () => new Paired());
  const model = new Paired();
  const step = compile((x: Tensor) => model.forward(x));
  await step(randn([2000]));
  const runs = [step(randn([2000])), step(randn([2000]))];
  const tensors = await loadSafetensors(encodeModel(model));
  expect([tensors.seen.item(), tensors['checkpoint:model.hidden.same'].item()]).toEqual([3, 3]);
  await Promise.all(runs);
});

describe('damage', () => {
  const model = new Sequential([new Dense(3, 2), new BatchNorm(2)]);
  const optimizer = new Adam(model.parameters());
  const files = {
    model: encodeModel(model, { metadata: { note: 'text' } }),
    checkpoint: encodeCheckpoint({ model, optimizer }),
  };

  it.each(Object.entries(files))('of any bit of a %s is found', async (_, original) => {
    const start = 8 + Number(new DataView(original.buffer).getBigUint64(0, true));
    for (let at = 0; at < original.length; at++) {
      const bytes = original.slice();
      bytes[at] ^= 1 << (at % 8);
      const loading = Promise.all([
        loadModel(bytes),
        loadWeights(bytes, new Sequential([new Dense(3, 2), new BatchNorm(2)])),
      ]);
      const error: unknown = await loading.then(
        () => undefined,
        (thrown) => thrown,
      );
      // What users wrote, and what tensors of a checkpoint are that no model has, are no matter of the model.
      if (error === undefined) {
        const loaded = await loadModel(bytes);
        expect(stateOf(loaded)).toEqual(stateOf(model));
        expect(loaded.config).toEqual(model.config);
        if (at >= start) expect(original).toBe(files.checkpoint);
      } else expect((error as { code: string }).code).toMatch(/^AXPY_(FORMAT|ARGUMENT)$/);
    }
  });

  it('is not what another tool does on purpose, as the message says', async () => {
    const tensors = await loadSafetensors(files.model);
    tensors['0.bias'] = randn([2]);
    const { metadata } = await safetensorsHeader(files.model);
    await refuses(
      loadModel(encodeSafetensors(tensors, { metadata })),
      'AXPY_FORMAT',
      'remove axpy.sums and axpy.sum from the metadata',
    );
    const { 'axpy.sums': _sums, 'axpy.sum': _sum, ...rest } = metadata;
    const loaded = await loadModel<Sequential>(encodeSafetensors(tensors, { metadata: rest }));
    expect(bits((loaded.layers[0] as Dense).bias!)).toBe(bits(tensors['0.bias']));
  });

  it('names of metadata that the library has are its own', async () => {
    for (const name of ['axpy.model', 'axpy.sum', 'checkpoint']) {
      expect(() => encodeModel(model, { metadata: { [name]: 'x' } })).toThrow(`got "${name}"`);
    }
  });
});

describe('a file that is no model, or not of this library, is refused', () => {
  const model = new Sequential([new Dense(2, 2), new BatchNorm(2)]);

  it.each<
    [string, (metadata: Record<string, string>, tensors: Record<string, Tensor>) => void, string, string]
  >([
    [
      'no architecture',
      (m) => delete m['axpy.model'],
      'AXPY_FORMAT',
      'loadWeights puts them into a model of yours',
    ],
    ['a later version', (m) => set(m, 'axpy.format', '2'), 'AXPY_FORMAT', 'update it to load this file'],
    ['no version', (m) => delete m['axpy.format'], 'AXPY_FORMAT', 'expected the version of the format'],
    ['a missing tensor', (_, t) => delete t['0.weight'], 'AXPY_FORMAT', 'missing: 0.weight; unknown: none'],
    ['a tensor too many', (_, t) => set(t, 'x', randn([1])), 'AXPY_FORMAT', 'missing: none; unknown: x'],
    [
      'another shape',
      (_, t) => set(t, '0.bias', randn([3])),
      'AXPY_FORMAT',
      'expected 0.bias to be float32 [2], got F32 [3]',
    ],
    [
      'another dtype',
      (_, t) => set(t, '0.bias', randn([2], { dtype: 'float64' })),
      'AXPY_FORMAT',
      'got F64 [2]',
    ],
    ['no JSON', (m) => set(m, 'axpy.model', '{'), 'AXPY_FORMAT', 'expected JSON, got "{"'],
    [
      'deep JSON',
      (m) => set(m, 'axpy.model', '['.repeat(100_000)),
      'AXPY_FORMAT',
      'expected JSON at most 1024 deep',
    ],
    [
      'deep layers',
      (m) => set(m, 'axpy.model', `${'{"type":"Sequential","layers":['.repeat(400)}${']}'.repeat(400)}`),
      'AXPY_ARGUMENT',
      'a config that ends',
    ],
    [
      'an unknown layer',
      (m) => set(m, 'axpy.model', '{"type":"Foo"}'),
      'AXPY_ARGUMENT',
      'got "Foo": registerLayer makes others known',
    ],
    ['no config', (m) => set(m, 'axpy.model', '7'), 'AXPY_ARGUMENT', 'expected config to be an object'],
    [
      'a model of gigabytes',
      (m) => set(m, 'axpy.model', '{"type":"Dense","inFeatures":30000,"outFeatures":30000}'),
      'AXPY_FORMAT',
      'as many numbers as there are in the file',
    ],
    [
      'a shared layer that is none',
      (m) => set(m, 'axpy.model', '{"type":"@shared","@id":1}'),
      'AXPY_ARGUMENT',
      'the layer that is shared before',
    ],
    [
      'no modes',
      (m) => set(m, 'axpy.modes', '{"frozen":[1],"evaluation":[]}'),
      'AXPY_FORMAT',
      'what is frozen and in evaluation mode',
    ],
    [
      'no layers that are frozen',
      (m) => set(m, 'axpy.modes', '{"frozen":[],"evaluation":[],"frozenLayers":"0"}'),
      'AXPY_FORMAT',
      'what is frozen and in evaluation mode',
    ],
  ])('%s', async (_, change, code, message) => {
    const bytes = await changed(model, change);
    await refuses(loadModel(bytes), code, message);
    await refuses(loadModel(bytes), code, '[loadModel]');
  });

  it('tensors of a checkpoint are passed over', async () => {
    const bytes = await changed(model, (_, tensors) => {
      tensors['checkpoint:optimizer.x'] = randn([3]);
    });
    expect(stateOf(await loadModel(bytes))).toEqual(stateOf(model));
  });

  it('a pickle of PyTorch, with what to do', async () => {
    for (const mark of [
      [0x50, 0x4b, 3, 4],
      [0x80, 2, 0x8a, 0x0a],
      [0x80, 2, 0x63, 1],
    ]) {
      const bytes = new Uint8Array(64).fill(1);
      bytes.set(mark);
      await refuses(loadModel(bytes), 'AXPY_FORMAT', 'safetensors.torch.save_file');
    }
  });

  it('whatever is changed in it', async () => {
    const original = encodeModel(model);
    const change = fc.tuple(
      fc.nat(original.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0129\\e'))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = original.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          const loaded = await loadModel(bytes);
          for (const p of loaded.parameters()) expect(p.data.length).toBe(p.size);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^AXPY_(FORMAT|ARGUMENT)$/);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('what is no model is not saved', async () => {
    await refuses(saveModel('x', {} as never), 'AXPY_ARGUMENT', '[saveModel] expected model to be a Layer');
    await refuses(saveModel('x', model, { metdata: {} } as never), 'AXPY_ARGUMENT', 'got metdata');
  });
});
