/**
 * Attacks what reads files: of each format a right one, changed in some places, cut, or with parts of it moved. Allowed are
 * what a right file gives, and an AxpyError with a code.
 */
import * as axpy from '../../lib/index.ts';
import { network } from '../onnx/models.ts';
import { attempts, isAllowed, type Random, showError } from './support.ts';

const { Dense, BatchNorm, Dropout, Flatten, Conv2D, Sequential, randn, tensor } = axpy;

interface Format {
  readonly make: () => Uint8Array | Promise<Uint8Array>;
  /** All that read it; each is tried. */
  readonly load: readonly ((bytes: Uint8Array) => Promise<unknown>)[];
}

const mlp = () =>
  new Sequential([
    new Dense(3, 4, { activation: 'relu' }),
    new Dropout(0.1),
    new BatchNorm(4),
    new Dense(4, 2),
  ]);
const cnn = () =>
  new Sequential([new Conv2D(1, 2, 3, { padding: 'same' }), new Flatten(), new Dense(32, 2)], {
    inputShape: [4, 4, 1],
  });
const tensors = () => ({
  a: randn([4, 3]),
  b: tensor([1, 2], { dtype: 'int32' }),
  c: randn([2], { dtype: 'float64' }),
});

/** A short training, which goes on from what it is given. */
async function train(options: Partial<axpy.FitOptions>): Promise<unknown> {
  const model = mlp();
  const optimizer = new axpy.Adam(model.parameters());
  const data = { x: randn([12, 3]), y: randn([12, 2]) };
  return await axpy.fit(model, data, {
    loss: 'mse',
    optimizer,
    batchSize: 4,
    epochs: 2,
    ...options,
  } as never);
}

let original: axpy.Checkpoint | undefined;

/** A checkpoint in whose JSON something is as it is in the bytes: another number, another name, nothing. */
async function disturbed(bytes: Uint8Array): Promise<axpy.Checkpoint> {
  original ??= await axpy.loadCheckpoint(made.get('training that goes on')!);
  let at = bytes.reduce((sum, byte) => (31 * sum + byte) % 2 ** 31, 7);
  const next = (n: number) => {
    at = (at * 48271) % (2 ** 31 - 1);
    return at % n;
  };
  const other = () =>
    [null, -1, 1.5, 'x', [], {}, { $: 'NaN' }, { $: 'Tensor', name: 'x' }, 2 ** 40, true][next(10)];
  const change = (value: unknown, depth: number): unknown => {
    if (next(40) === 0) return other();
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => change(item, depth + 1));
    const entries = Object.entries(value).filter(() => next(60) > 0);
    return Object.fromEntries(entries.map(([key, item]) => [key, change(item, depth + 1)]));
  };
  const json = change(original.json, 0);
  return await axpy.loadCheckpoint(Object.assign(Object.create(original), { json }).encode());
}

const formats: Readonly<Record<string, Format>> = {
  safetensors: {
    make: () => axpy.encodeSafetensors(tensors(), { metadata: { note: 'text' } }),
    load: [axpy.loadSafetensors, axpy.safetensorsHeader],
  },
  model: {
    make: () => axpy.encodeModel(cnn()),
    load: [axpy.loadModel, (bytes) => axpy.loadWeights(bytes, cnn(), { convention: 'pytorch' })],
  },
  checkpoint: {
    make: () => {
      const model = mlp();
      return axpy.encodeCheckpoint({
        model,
        optimizer: new axpy.Adam(model.parameters()),
        extra: { a: [1, 'x'] },
      });
    },
    load: [axpy.loadCheckpoint, axpy.loadModel],
  },
  'training that goes on': {
    make: async () => {
      const kept: Uint8Array[] = [];
      await train({
        epochs: 1,
        callbacks: [axpy.checkpoint({ save: (c) => void kept.push(c.encode()), every: 2 })],
      });
      return kept[0];
    },
    // Sums find all damage: so what is in the file is damaged, and the sums are made anew.
    load: [(resume) => train({ resume }), async (bytes) => train({ resume: await disturbed(bytes) })],
  },
  ONNX: {
    make: network,
    load: [axpy.importOnnx, (bytes) => axpy.importOnnx(bytes, { outputs: ['flat'], layout: 'NHWC' })],
  },
  'model of vectors': {
    make: () => axpy.encodeModel(mlp()),
    load: [axpy.loadModel, (bytes) => axpy.loadWeights(bytes, mlp(), { strict: false })],
  },
  npy: { make: () => axpy.encodeNpy(randn([4, 3])), load: [axpy.loadNpy] },
  npz: { make: () => axpy.encodeNpz(tensors()), load: [axpy.loadNpz] },
  'npz, deflated': { make: () => axpy.encodeNpz(tensors(), { compressed: true }), load: [axpy.loadNpz] },
};

/** Numbers that are sizes, counts, tags and marks in some format. */
const words = [
  [0xff, 0xff, 0xff, 0xff],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0xff, 0x7f],
  [0, 0, 0, 0],
  [0x80, 0x80, 0x80, 0x80],
  [1, 0, 0, 0],
];
const marks = Buffer.from('{}[]()",:\'\\0123456789-.eLTF\0\n');

function mutate(random: Random, original: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(original);
  const changes = random.int(1, 4);
  for (let i = 0; i < changes && bytes.length > 0; i++) {
    // Headers are at the beginning, directories at the end.
    const near = Math.min(bytes.length, 300);
    const at = random.pick([
      random.int(0, bytes.length - 1),
      random.int(0, near - 1),
      bytes.length - random.int(1, near),
    ]);
    const other = random.int(0, bytes.length - 1);
    const length = Math.min(random.int(1, 40), bytes.length - Math.max(at, other));
    const way = random.next();
    if (way < 0.3) bytes[at] = random.int(0, 255);
    else if (way < 0.5) bytes[at] = random.pick([...marks]);
    else if (way < 0.6) bytes[at] ^= 1 << random.int(0, 7);
    else if (way < 0.7) bytes.set(random.pick(words).slice(0, bytes.length - at), at);
    else if (way < 0.8) bytes.copyWithin(at, other, other + length);
    else if (way < 0.87) bytes = bytes.slice(0, at);
    else if (way < 0.94) bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + length)]);
    else
      bytes = Uint8Array.from([
        ...bytes.slice(0, at),
        ...bytes.slice(other, other + length),
        ...bytes.slice(at),
      ]);
  }
  return bytes;
}

const made = new Map<string, Uint8Array>();

await attempts(async (t) => {
  const name = t.random.pick(Object.keys(formats));
  const { make, load } = formats[name];
  if (!made.has(name)) {
    axpy.seed(1);
    made.set(name, await make());
  }
  const bytes = mutate(t.random, made.get(name)!);
  for (const read of load) {
    t.note(`${name} (${Buffer.from(bytes).toString('base64')})`);
    const start = performance.now();
    try {
      await read(bytes);
    } catch (error) {
      if (!isAllowed(error))
        t.find(
          `${name}: ${showError(error)}`,
          `${(error as Error)?.stack}\n${Buffer.from(bytes).toString('base64')}`,
        );
    }
    const seconds = (performance.now() - start) / 1000;
    if (seconds > 5) t.find(`${name} takes long`, `${seconds} s\n${Buffer.from(bytes).toString('base64')}`);
  }
});
