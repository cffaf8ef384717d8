/** What is on the disk whenever a save ends, however it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs, {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { hold } from '../../lib/hold.ts';
import {
  Adam,
  BatchNorm,
  compile,
  Dense,
  exportOnnx,
  fit,
  full,
  importOnnx,
  loadModel,
  loadNpy,
  loadNpz,
  loadSafetensors,
  loadWeights,
  losses,
  randn,
  Sequential,
  SGD,
  saveCheckpoint,
  saveModel,
  saveNpy,
  saveNpz,
  saveSafetensors,
  saveWeights,
  type Tensor,
} from '../../lib/index.ts';
import { temporaryFolder } from './temporary.ts';

const child = join(import.meta.dirname, 'killed.child.mjs');
/** How often a process is killed at random, on each backend; more by AXPY_KILLS. */
const kills = Number(process.env.AXPY_KILLS ?? 8);

/** Runs the child, and kills it after a random time. */
async function killed(path: string): Promise<void> {
  const saving = spawn(process.execPath, [child, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = ended(saving);
  await Promise.race([new Promise((resolve) => saving.stdout.once('data', resolve)), end]);
  await new Promise((resolve) => setTimeout(resolve, 60 * Math.random()));
  saving.kill('SIGKILL');
  expect(await end).toBe('SIGKILL');
}

/** By which signal a process ended. */
const ended = (process: ChildProcess) =>
  new Promise<string | null>((resolve) => process.once('exit', (_, signal) => resolve(signal)));

const values = (tensors: Record<string, Tensor>) => [
  ...new Set(Object.values(tensors).flatMap((x) => [...new Set(x.data)])),
];

it(`killed ${kills} times as it saves, a process leaves the old file or the new one`, {
  timeout: 20_000 + 3000 * kills,
}, async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'model');
  await saveSafetensors(path, { a: full([50_000], 2), b: full([3], 2), c: full([200_000], 2) });
  for (let i = 0; i < kills; i++) {
    await killed(path);
    const tensors = await loadSafetensors(path);
    expect(Object.keys(tensors).sort()).toEqual(['a', 'b', 'c']);
    expect(values(tensors)).toHaveLength(1);
    // What the one before left is gone, since this one saved.
    const others = readdirSync(folder).filter((name) => name !== 'model');
    expect(others.length).toBeLessThanOrEqual(1);
  }
  await saveSafetensors(path, { a: full([1], 3) });
  expect(readdirSync(folder)).toEqual(['model']);
});

it('what a process leaves that is killed before its file has a name is gone with the next save', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'model');
  await saveSafetensors(path, { a: full([1], 2) });
  await ended(spawn(process.execPath, [child, path, 'rename'], { stdio: 'ignore' }));
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^\.axpy-.*\.tmp$/), 'model']);
  expect(values(await loadSafetensors(path))).toEqual([2]);
  await saveSafetensors(path, { a: full([1], 3) });
  expect(readdirSync(folder)).toEqual(['model']);
});

describe('what processes left', () => {
  /** How the files of this process begin. */
  const own = (() => {
    const processes = existsSync('/proc/self/ns/pid') ? readlinkSync('/proc/self/ns/pid') : '';
    return `.axpy-${`${hostname().slice(0, 40)}${processes.replace(/\D/g, '')}`.replace(/[^\w.]/g, '')}-`;
  })();
  const minutes = (n: number) => new Date(Date.now() - 60_000 * n);

  it.each<[string, string, Date, boolean]>([
    ['a process that is gone', `${own}999999999-x.tmp`, minutes(0), true],
    ['a process that is at work', `${own}${process.ppid}-x.tmp`, minutes(1), false],
    [
      'an earlier process of this number',
      `${own}${process.pid}-x.tmp`,
      new Date(Date.now() - 1000 * process.uptime() - 5000),
      true,
    ],
    ['another thread of this process', `${own}${process.pid}-x.tmp`, minutes(0), false],
    [
      'a process that a container counts for itself',
      `.axpy-${hostname()}17-999999999-x.tmp`,
      minutes(1),
      false,
    ],
    ['another machine, which may be at work', '.axpy-elsewhere-7-x.tmp', minutes(1), false],
    ['another machine, long ago', '.axpy-elsewhere-7-x.tmp', minutes(60), true],
    ['nobody knows whom, long ago', '.axpy-.tmp', minutes(60), true],
    ['somebody else', '.other.tmp', minutes(60), false],
    ['somebody else, with such a name', '.axpy-notes', minutes(60), false],
  ])('of %s is removed or kept', async (_, name, changed, isRemoved) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, name), 'x');
    utimesSync(join(folder, name), changed, changed);
    await saveSafetensors(join(folder, 'model'), { x: full([1], 1) });
    expect(readdirSync(folder).sort()).toEqual(isRemoved ? ['model'] : [name, 'model'].sort());
  });
});

/** Calls of the file system while `fn` runs, as `handle.write`; `fail` says which of them fail. */
async function observed(
  fn: () => Promise<unknown>,
  fail: (call: string, count: number) => string | undefined = () => undefined,
) {
  const calls: string[] = [];
  const noted = (name: string) => {
    calls.push(name);
    const code = fail(name, calls.length);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected`), { code });
  };
  const real = { ...fs.promises };
  const spies = (['open', 'rename', 'unlink'] as const).map((name) =>
    vi.spyOn(fs.promises, name).mockImplementation((async (...args: never[]) => {
      const [path, flags] = args as unknown as [string, string];
      const which = flags === 'wx' ? 'file' : statSync(path).isDirectory() ? 'folder' : 'old';
      noted(name === 'open' ? `open ${which}` : name);
      const made: unknown = await (real[name] as (...args: never[]) => Promise<unknown>)(...args);
      if (name !== 'open') return made;
      return new Proxy(made as object, {
        get(handle, key) {
          const method: unknown = Reflect.get(handle, key);
          if (typeof method !== 'function') return method;
          return async (...given: unknown[]) => {
            const result: unknown = method.apply(handle, given);
            await result;
            noted(`${which}.${String(key)}`);
            return result;
          };
        },
      });
    }) as never),
  );
  try {
    await fn();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return calls;
}

describe('a save', () => {
  const tensors = { x: full([1000], 1) };

  it('synchronises the file before it has its name, and the folder after', async () => {
    const path = join(temporaryFolder(), 'model');
    const calls = await observed(() => saveSafetensors(path, tensors));
    expect(calls.filter((call) => call !== 'file.write')).toEqual([
      'open file',
      'file.sync',
      'file.close',
      'rename',
      'open folder',
      'folder.sync',
      'folder.close',
    ]);
  });

  it('that fails anywhere leaves the old file, and nothing beside it', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await saveSafetensors(path, { x: full([1], 7) });
    const count = (await observed(() => saveSafetensors(path, { x: full([1], 7) }))).length;
    let hasName = false;
    for (let at = 1; at <= count; at++) {
      const calls: string[] = [];
      const error: unknown = await observed(
        () => saveSafetensors(path, tensors),
        (call, i) => {
          calls.push(call);
          return i === at ? 'EIO' : undefined;
        },
      ).then(
        () => undefined,
        (thrown) => thrown,
      );
      // A file system need not know of permissions, and the old file is held open for speed alone.
      if (['file.chmod', 'open old', 'old.close', undefined].includes(calls[at - 1])) {
        expect(error).toBeUndefined();
        await saveSafetensors(path, { x: full([1], 7) });
        continue;
      }
      expect(error).toMatchObject({
        code: 'AXPY_FILE',
        message: expect.stringMatching(/^\[saveSafetensors\] expected to write .*model, got EIO/),
        cause: { code: 'EIO' },
      });
      hasName = calls.slice(0, at - 1).includes('rename');
      expect((await loadSafetensors(path)).x.data[0]).toBe(hasName ? 1 : 7);
      expect(readdirSync(folder)).toEqual(['model']);
    }
    expect(hasName).toBe(true);
  });

  it('goes on where the system cannot synchronise a folder', async () => {
    const path = join(temporaryFolder(), 'model');
    await observed(
      () => saveSafetensors(path, tensors),
      (call) => (call === 'open folder' ? 'EISDIR' : undefined),
    );
    expect((await loadSafetensors(path)).x.size).toBe(1000);
  });

  it('keeps who may read the file, and follows a link to it', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    const path = join(folder, 'real', 'model');
    writeFileSync(path, 'old', { mode: 0o600 });
    symlinkSync(path, join(folder, 'link'));
    await saveSafetensors(join(folder, 'link'), tensors);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(fs.lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect((await loadSafetensors(path)).x.size).toBe(1000);
    expect(readdirSync(join(folder, 'real'))).toEqual(['model']);
  });

  it('follows a link to where there is no file yet, and one that leads to itself no further', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    symlinkSync('second', join(folder, 'first'));
    symlinkSync(join('real', 'model'), join(folder, 'second'));
    await saveSafetensors(join(folder, 'first'), tensors);
    expect(readdirSync(join(folder, 'real'))).toEqual(['model']);
    expect((await loadSafetensors(join(folder, 'first'))).x.size).toBe(1000);
    symlinkSync('loop', join(folder, 'loop'));
    await saveSafetensors(join(folder, 'loop'), tensors);
    expect((await loadSafetensors(join(folder, 'loop'))).x.size).toBe(1000);
  });

  it('goes to the folder that was the current one when it was called', async () => {
    const folder = temporaryFolder();
    const before = process.cwd();
    process.chdir(folder);
    const saving = saveSafetensors('model', tensors);
    process.chdir(before);
    await saving;
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('beside others to the same path: one of them is there in the end', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await Promise.all(Array.from({ length: 12 }, (_, i) => saveSafetensors(path, { x: full([20_000], i) })));
    expect(values(await loadSafetensors(path))).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['model']);
  });
});

describe('memory that changes while it is saved', () => {
  /** Writes that read the memory late, a little at a time, as those of a busy system may. */
  async function slowly<Result>(fn: () => Promise<Result>): Promise<Result> {
    const { open } = fs.promises;
    const spy = vi.spyOn(fs.promises, 'open').mockImplementation(async (...args) => {
      const handle = await open(...args);
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
      const late = async (bytes: Uint8Array, done: number, length: number, position: number) => {
        for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
        return write(bytes, done, Math.min(length, 1000), position);
      };
      return Object.assign(handle, { write: late });
    });
    return await fn().finally(() => spy.mockRestore());
  }

  const hex = ({ buffer }: Tensor['data']) => Buffer.from(buffer).toString('hex');
  const x = randn([16, 20]);
  const makeModel = () =>
    new Sequential([new Dense(20, 30, { activation: 'tanh' }), new BatchNorm(30), new Dense(30, 20)]);
  type Model = ReturnType<typeof makeModel>;
  /** All ways in which the values of a model change. */
  const changes: Record<string, (model: Model) => unknown> = {
    'an update in place': (model) => model.layers[0].weight.mul_(2),
    assign: (model) => model.layers[2].weight.assign(randn([20, 30])),
    'an eager step': (model) => {
      const optimizer = new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 });
      losses.mse(model.forward(x), x).backward();
      optimizer.step();
    },
    'a forward pass, of running statistics': (model) => model.forward(x),
    'a training': (model) =>
      fit(model, { x, y: x }, { loss: 'mse', optimizer: new Adam(model.parameters()), batchSize: 8 }),
    'a compiled function': async (model) => {
      const step = compile(() => model.layers[0].weight.mul_(0.5).sum());
      await step();
      step.sync();
    },
    loadStateDict: (model) => model.loadStateDict(makeModel().stateDict()),
    loadWeights: (model) => loadWeights(makeModel().stateDict(), model),
    'what a user writes': (model) => model.layers[0].weight.data.fill(7),
    'another thread, perhaps': (model) => new Float32Array(model.layers[0].weight.share().buffer).fill(9),
    'memory of another one': (model) => model.layers[0].attach(new Dense(20, 30).share()),
  };

  it.each(Object.entries(changes))('by %s: the file has what it was', async (_, change) => {
    const path = join(temporaryFolder(), 'model');
    for (const isExposed of [false, true]) {
      const model = makeModel();
      if (isExposed) model.layers[0].weight.data.fill(0.25);
      const before = model.stateDict();
      await slowly(async () => {
        const saving = saveModel(path, model);
        for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
        await change(model);
        await saving;
      });
      const saved = (await loadModel(path)).stateDict();
      for (const [name, { data }] of Object.entries(saved))
        expect([name, hex(data)]).toEqual([name, hex(before[name].data)]);
      const now = model.stateDict();
      expect(
        Object.keys(now).some((name) => !before[name].data.every((value, i) => value === now[name].data[i])),
      ).toBe(true);
    }
  });

  const savers: Record<
    string,
    [
      save: (path: string, model: Model) => Promise<void>,
      read: (path: string) => Promise<Record<string, Tensor>>,
    ]
  > = {
    saveModel: [saveModel, async (path) => (await loadModel(path)).stateDict()],
    saveWeights: [saveWeights, loadSafetensors],
    saveSafetensors: [
      (path, model) => saveSafetensors(path, Object.fromEntries(model.namedParameters())),
      loadSafetensors,
    ],
    saveNpz: [(path, model) => saveNpz(path, Object.fromEntries(model.namedParameters())), loadNpz],
    'saveNpz, compressed': [
      (path, model) => saveNpz(path, Object.fromEntries(model.namedParameters()), { compressed: true }),
      loadNpz,
    ],
    saveNpy: [
      (path, model) => saveNpy(path, model.layers[0].weight),
      async (path) => ({ '0.weight': await loadNpy(path) }),
    ],
    saveCheckpoint: [
      (path, model) => saveCheckpoint(path, { model }),
      async (path) => (await loadModel(path)).stateDict(),
    ],
    exportOnnx: [
      (path, model) => exportOnnx(model, path, { inputShape: [20] }),
      async (path) => (await importOnnx(path)).stateDict(),
    ],
  };

  it.each(Object.entries(savers))('by %s: the file has what it was', async (_, [save, read]) => {
    const path = join(temporaryFolder(), 'file');
    for (const name of ['an update in place', 'an eager step', 'a training', 'what a user writes']) {
      const model = makeModel();
      const before = model.stateDict();
      await slowly(async () => {
        const saving = save(path, model);
        for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
        await changes[name](model);
        await saving;
      });
      const saved = await read(path);
      expect(saved['0.weight']).toBeDefined();
      for (const [key, { data }] of Object.entries(saved)) {
        if (Object.hasOwn(before, key)) expect([key, hex(data)]).toEqual([key, hex(before[key].data)]);
      }
    }
  });

  it('after its part was written, before the file is whole', async () => {
    const path = join(temporaryFolder(), 'model');
    const model = makeModel();
    const before = model.stateDict();
    const { open } = fs.promises;
    let writes = 0;
    const spy = vi.spyOn(fs.promises, 'open').mockImplementation(async (...args) => {
      const handle = await open(...args);
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
      const changing = async (...given: unknown[]) => {
        const result = await write(...given);
        // Some are on the disk by then, whose sums are written last.
        if (++writes === 5) for (const parameter of model.parameters()) parameter.add_(1);
        return result;
      };
      return Object.assign(handle, { write: changing });
    });
    await saveModel(path, model).finally(() => spy.mockRestore());
    const saved = (await loadModel(path)).stateDict();
    for (const [name, { data }] of Object.entries(saved)) {
      expect([name, hex(data)]).toEqual([name, hex(before[name].data)]);
    }
  });

  it('at any moments, in any order', async () => {
    const path = join(temporaryFolder(), 'model');
    const names = Object.keys(changes);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(12)), { minLength: 1, maxLength: 6 }),
        async (plan) => {
          const model = makeModel();
          const before = model.stateDict();
          await slowly(async () => {
            const saving = saveModel(path, model);
            for (const [name, turns] of plan) {
              for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
              await changes[name](model);
            }
            await saving;
          });
          const saved = (await loadModel(path)).stateDict();
          for (const [name, { data }] of Object.entries(saved))
            expect([name, hex(data)]).toEqual([name, hex(before[name].data)]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('nobody holds it when that is done, or has failed', async () => {
    const folder = temporaryFolder();
    const model = makeModel();
    await saveModel(join(folder, 'model'), model);
    await saveModel(join(folder, 'no', 'model'), model).catch(() => {});
    const { weight } = model.layers[0];
    let copies = 0;
    const release = hold(weight.storage.array!.buffer, () => {
      copies++;
    });
    weight.mul_(2);
    weight.mul_(2);
    expect(copies).toBe(1);
    release();
    weight.mul_(2);
    expect(copies).toBe(1);
  });
});
