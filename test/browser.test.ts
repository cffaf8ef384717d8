/** The build for browsers, where there is what browsers have and nothing of Node: a network trains in it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { transformSync } from 'esbuild';
import { expect, test } from 'vitest';
import type * as Library from '../lib/index.ts';

const file = (name: string) => fileURLToPath(new URL(`../dist/${name}`, import.meta.url));
const text = readFileSync(file('browser.cjs'), 'utf8');

interface Said {
  log: string[];
  warn: string[];
}

type Globals = Record<string, unknown>;

/** The library in a realm with these globals, and what it writes to the console. */
function load(globals: Globals, source = text, isIsolated = false): { axpy: typeof Library; said: Said } {
  const said: Said = { log: [], warn: [] };
  const module = { exports: {} };
  const context = createContext({
    module,
    exports: module.exports,
    performance,
    AbortController,
    AbortSignal,
    TextDecoder,
    TextEncoder,
    console: {
      log: (line: string) => said.log.push(line),
      warn: (line: string) => said.warn.push(line),
    },
    ...globals,
  });
  if (!isIsolated) runInContext('delete globalThis.SharedArrayBuffer', context);
  expect(runInContext('typeof process + typeof Buffer', context)).toMatch(/^(undefined|object)undefined$/);
  expect(runInContext('typeof setImmediate', context)).toBe(typeof globals.setImmediate);
  runInContext(source, context, { filename: 'https://example.org/axpy.js' });
  return { axpy: module.exports as typeof Library, said };
}

/** A port of Node keeps a process, as a page's does not. */
class Channel {
  readonly port1: unknown;
  readonly port2: unknown;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.port2 = port2;
    const heard = { onmessage: () => {} };
    port1.on('message', () => heard.onmessage());
    port1.unref();
    this.port1 = heard;
  }
}

async function train(axpy: typeof Library, progress = true): Promise<number[]> {
  const { Adam, compile, Dense, fit, predict, Sequential, tensor } = axpy;
  axpy.seed(1);
  const x = [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ];
  const y = [[0], [1], [1], [0]];
  const model = new Sequential([
    new Dense(2, 16, { activation: 'tanh' }),
    new Dense(16, 1, { activation: 'sigmoid' }),
  ]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
  const { epochs } = await fit(
    model,
    { x, y },
    {
      loss: 'binaryCrossEntropy',
      optimizer,
      epochs: 100,
      batchSize: 2,
      seed: 2,
      progress,
      metrics: ['accuracy'],
    },
  );
  expect(epochs[99].loss).toBeLessThan(0.1);
  const predictions = (await predict(model, x)).toArray() as number[][];
  const loaded = await axpy.loadModel(axpy.encodeModel(model));
  expect((await predict(loaded, x)).toArray()).toEqual(predictions);
  expect(axpy.encodeOnnx(model, { inputShape: [2] }).length).toBeGreaterThan(100);
  const doubled = compile((a: Library.Tensor) => a.mul(2));
  expect((await doubled(tensor([1, 2]))).toArray()).toEqual([2, 4]);
  return predictions.flat();
}

/** What an edge runtime has by name, so that a call can say that it is not to be had. */
function unsupported(): never {
  throw new Error('not supported in this runtime');
}

/** By turns of a page, and of what has timers alone. */
const hosts: Record<string, Globals> = {
  'a page': { MessageChannel: Channel, setTimeout },
  'a realm without channels': { setTimeout },
  'a page under a policy that compiles nothing': {
    MessageChannel: Channel,
    WebAssembly: {
      validate: () => true,
      Module: function Module() {
        throw new EvalError('refused to compile');
      },
    },
  },
  'a sandbox that has a process': {
    setTimeout,
    process: { env: {}, versions: { node: '20.17.0' }, platform: 'linux', getBuiltinModule: () => undefined },
  },
  'a page with an element of that name': { setTimeout, process: { nodeName: 'DIV' } },
  'an edge runtime': { setImmediate: unsupported, MessageChannel: Channel },
  'an edge runtime that has less': {
    setImmediate: unsupported,
    MessageChannel: unsupported,
    setTimeout,
    process: { env: {}, getBuiltinModule: unsupported },
  },
};

/** What comes of it on the backend of this run. */
const atHome = train(await import('../lib/index.ts'), false);

for (const [name, globals] of Object.entries(hosts)) {
  for (const isIsolated of [false, true]) {
    test(`${name}, ${isIsolated ? 'with' : 'without'} shared memory: trains, to the same end`, async () => {
      const { axpy, said } = load(globals, text, isIsolated);
      expect(axpy.backendInfo()).toMatchObject({
        name: 'fallback',
        reason: expect.stringContaining('browsers'),
      });
      expect(said.warn).toEqual([]);
      const predictions = await train(axpy);
      const expected = await atHome;
      for (const [i, value] of predictions.entries()) expect(value).toBeCloseTo(expected[i], 4);
      // `progress: true` writes to the console there, a line an epoch.
      expect(said.log.length).toBe(100);
      expect(said.log[99]).toMatch(/^epoch 100\/100 .* examples\/s$/);
    });
  }
}

test('parameters are shared where memory can be, and else it is an error to try', () => {
  const layer = ({ axpy }: { axpy: typeof Library }) => new axpy.Dense(2, 2);
  const isolated = load(hosts['a page'], text, true);
  expect(Object.keys(layer(isolated).share())).toEqual(['weight', 'bias']);
  const { axpy } = load(hosts['a page']);
  const dense = layer({ axpy });
  expect(() => dense.share()).toThrow(axpy.MemoryError);
  expect(() => dense.share()).toThrow(/cross-origin isolated/);
  const { shape, dtype } = dense.weight;
  const memory = { buffer: new ArrayBuffer(16), shape, dtype } as never;
  expect(() => dense.weight.attach(memory)).toThrow(axpy.ShapeError);
});

test('models go to bytes and come from them; there are no files', async () => {
  const { axpy } = load(hosts['a page']);
  const model = new axpy.Dense(2, 2);
  const loaded = await axpy.loadModel(axpy.encodeModel(model));
  expect(loaded.toJSON()).toEqual(model.toJSON());
  for (const promise of [axpy.saveModel('model', model), axpy.loadModel('model')]) {
    await expect(promise).rejects.toThrow(/expected a host with files/);
    await expect(promise).rejects.toBeInstanceOf(axpy.FileError);
  }
});

test('a step that updates a plain array is refused there as anywhere', async () => {
  const { axpy } = load(hosts['a page']);
  const outside = axpy.zeros([2]);
  const step = axpy.compile((x: Library.Tensor) => {
    outside.add_(x);
    return x.sum();
  });
  await expect((async () => step(axpy.ones([2])))()).rejects.toThrow(axpy.AxpyError);
});

test('arrays of NumPy come and go as bytes, deflated where a page can', async () => {
  const streams = { TextEncoder, TextDecoder, ReadableStream, CompressionStream, DecompressionStream };
  const { axpy } = load({ ...hosts['a page'], ...streams });
  const x = axpy.tensor([[1, 2, 3]]);
  expect((await axpy.loadNpy(axpy.encodeNpy(x))).toArray()).toEqual(x.toArray());
  for (const compressed of [false, true]) {
    const loaded = await axpy.loadNpz(await axpy.encodeNpz({ x }, { compressed }));
    expect(loaded.x.toArray()).toEqual(x.toArray());
  }
  await expect(axpy.loadNpz('x.npz')).rejects.toThrow(axpy.FileError);
  const without = load({ ...hosts['a page'], TextEncoder, TextDecoder }).axpy;
  const [y, bytes] = [without.ones([2]), await axpy.encodeNpz({ x }, { compressed: true })];
  expect((await without.loadNpz(await without.encodeNpz({ y }))).y.toArray()).toEqual([1, 1]);
  for (const promise of [without.encodeNpz({ y }, { compressed: true }), without.loadNpz(bytes)]) {
    await expect(promise).rejects.toThrow(/expected a host with \w*ompressionStream .* store the members/);
    await expect(promise).rejects.toThrow(without.FileError);
  }
});

test('maps, sets and classes are told apart without the help of Node', async () => {
  const { axpy } = load(hosts['a page']);
  const named = new axpy.Dense(1, 1);
  class Model extends axpy.Layer {
    readonly parts = new Map([['one', named]]);
    readonly list = [new axpy.Dense(1, 1)];

    override forward(x: Library.Tensor): Library.Tensor {
      return named.forward(x);
    }
  }
  expect(Object.keys(new Model().stateDict())).toEqual([
    'parts.one.weight',
    'parts.one.bias',
    'list.0.weight',
    'list.0.bias',
  ]);
  const sum = axpy.compile((pair: Map<string, Library.Tensor>) => pair.get('a')!.add(pair.get('b')!));
  const { Map: Theirs } = { Map };
  const one = axpy.ones([1]);
  expect(
    (
      await sum(
        new Theirs([
          ['a', one],
          ['b', axpy.ones([1])],
        ]),
      )
    ).toArray(),
  ).toEqual([2]);
  expect(() => axpy.tensor(new DataView(new ArrayBuffer(8)) as never)).toThrow(axpy.DataError);
});

test('the files have no trace of Node that a bundler would follow', () => {
  for (const name of ['browser.cjs', 'browser.js']) {
    const source = readFileSync(file(name), 'utf8');
    const code = source.replaceAll(/^ *(\/\/|\*|\/\*).*$/gm, '');
    expect(code.match(/\brequire\(|\bimport\(|^import .*|import\.meta|dlopen/gm)).toBeNull();
  }
});

test('the build is as small as the README says', () => {
  const { code } = transformSync(readFileSync(file('browser.js'), 'utf8'), { minify: true, format: 'esm' });
  expect(code.length).toBeLessThan(690_000);
  expect(gzipSync(code, { level: 9 }).length).toBeLessThan(248_000);
});

test('the modules for Node start in such a sandbox as well, and say why they take the fallback', async () => {
  const node = readFileSync(file('index.cjs'), 'utf8');
  const { axpy, said } = load(hosts['a sandbox that has a process'], node);
  expect(axpy.backendInfo().reason).toMatch(/loads no addons/);
  expect(said.warn).toEqual([
    expect.stringMatching(/^axpy: the TypeScript fallback serves.*loads no addons/),
  ]);
  await train(axpy);
});
