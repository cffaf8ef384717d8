/**
 * Programs of the addon: calls recorded once and made again on this thread or on the executor. The file runs in the native
 * project alone. What an environment's or a process's end does to runs in flight is in test/stress/executor.mjs, which
 * runs from here as well.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Addon, Call as RecordedCall } from '../binding.d.ts';
import { IndexError, KernelError, NonFiniteError } from '../lib/errors.ts';
import { unaryCode } from '../lib/kernels/codes.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { kernels } from '../lib/kernels/index.ts';
import { loadNative } from '../lib/kernels/native.ts';
import { declarations } from './cases/index.ts';
import {
  arraysOf,
  type Call,
  isList,
  mapArrays,
  recordDeclaration,
  sameBytes,
  type TypedArray,
} from './contract/call.ts';
import { kernelNames, signatures } from './contract/signature.ts';

const addon: Addon = loadNative();
const threads = addon.info().threads;
beforeAll(() => addon.setThreads(2));
afterAll(() => addon.setThreads(threads));

const root = fileURLToPath(new URL('..', import.meta.url));

type ArrayType<A> = new (buffer: SharedArrayBuffer, offset?: number, length?: number) => A;

function share<A extends TypedArray>(array: A): A {
  const copy = new (array.constructor as unknown as ArrayType<A>)(new SharedArrayBuffer(array.byteLength));
  copy.set(array as never);
  return copy;
}

const floats = (...values: number[]) => share(Float32Array.from(values));
/** A call that counts how often it was made, in element 1: the steps of a parameter without elements. */
const counter = () => share(Float64Array.of(0, 0));
const nothing = floats();
const [firstRow, hyperOfAdam] = [share(Int32Array.of(0)), share(new Float64Array(5))];
const count = (scalars: Float64Array): RecordedCall => [
  'adam',
  [nothing, nothing, nothing],
  [nothing],
  scalars,
  firstRow,
  hyperOfAdam,
  0,
];
const codeOf = (fn: () => unknown): unknown => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return undefined;
};

/** Runs before and after changes of an array that a program is told of, and of one that may change untold. */
function expectSteady(
  program: { setSteady(array: Float32Array | Float64Array, isSteady: boolean): void },
  array: Float32Array | Float64Array,
  check: (isSteady: boolean) => void,
): void {
  for (const isSteady of [true, true, false, true]) {
    array.forEach((value, i) => {
      array[i] = -value / 2;
    });
    program.setSteady(array, isSteady);
    for (let run = 0; run < 3; run++) {
      check(isSteady);
      if (!isSteady) array.fill(run, 0, 5);
    }
  }
}

describe('results', () => {
  const recorded: Call[] = declarations.flatMap((declaration) => recordDeclaration(kernels, declaration));
  const bytes = (args: readonly unknown[]) => arraysOf(args).map(({ array }) => array);

  test.each(kernelNames)('%s: a replay gives the bits of a call', async (kernel) => {
    const calls = recorded.filter((call) => call.kernel === kernel);
    expect(calls.length).toBeGreaterThan(0);
    const all: RecordedCall[] = [];
    const pairs = calls.map(({ args }) => {
      const direct = mapArrays(args, share);
      const replayed = mapArrays(args, share);
      all.push([kernel, ...replayed] as unknown as RecordedCall);
      return { direct, replayed };
    });
    const program = addon.createProgram(all);
    // Twice: what is updated changes each time, and a call must not remember the one before.
    for (const run of [() => program.run(), () => program.runAsync()]) {
      await run();
      for (const { direct, replayed } of pairs) {
        (addon[kernel] as (...args: unknown[]) => void)(...direct);
        const expected = bytes(direct);
        expect(bytes(replayed).every((array, i) => sameBytes(array, expected[i]))).toBe(true);
      }
    }
  });

  // Rows, columns, terms, and which operands are transposed: by panels of which the last is narrow, by parts of the terms,
  // where b is read in place, by dot products.
  test.each([
    [40, 48, 64, 0, 1],
    [64, 33, 700, 0, 1],
    [100, 70, 50, 0, 0],
    [12, 9, 4500, 1, 1],
    [256, 257, 31, 1, 0],
    [257, 64, 64, 0, 1],
    [20, 64, 64, 0, 0],
    [2, 64, 64, 0, 1],
  ] as const)('%i × %i × %i of a steady b', (m, n, k, transposeA, transposeB) => {
    for (const type of [Float32Array, Float64Array]) {
      const random = (length: number) => share(new type(length).map(() => Math.random() - 0.5));
      const [a, b, bias] = [random(m * k), random(2 * k * n), random(n)];
      const [c, expected] = [random(m * n), random(m * n)];
      const own = b.subarray(k * n);
      const rest = [1, m, n, k, transposeA, transposeB, 0, 0, unaryCode.relu, 0, null] as const;
      const program = addon.createProgram([['gemm', c, a, own, bias, ...rest]]);
      expectSteady(program, b, (isSteady) => {
        addon.gemm(expected, a, own, bias, ...rest);
        c.fill(0);
        program.run();
        expect([isSteady, sameBytes(c, expected)]).toEqual([isSteady, true]);
      });
    }
  });

  test.each([
    [24, 40, 8, 8],
    [64, 64, 12, 9],
  ])('a convolution of %i to %i channels by steady weights', (channels, outChannels, height, width) => {
    const random = (length: number) => share(Float32Array.from({ length }, () => Math.random() - 0.5));
    const [x, weight] = [random(height * width * channels), random(outChannels * 9 * channels)];
    const [out, expected] = [0, 0].map(() => random(height * width * outChannels));
    const sizes = [1, height, width, channels, height, width, outChannels, 3, 3, 1, 1, 1, 1, 1, 1, 1];
    const geometry = share(Int32Array.from(sizes));
    const rest = [null, geometry, -1, 0, 1] as const;
    const program = addon.createProgram([['convolve', out, x, weight, ...rest]]);
    expectSteady(program, weight, (isSteady) => {
      addon.convolve(expected, x, weight, ...rest);
      out.fill(0);
      program.run();
      expect([isSteady, sameBytes(out, expected)]).toEqual([isSteady, true]);
    });
  });

  test('more than may be kept is not', () => {
    const [m, n, k] = [8, 1024, 4096];
    const type = Float32Array;
    const [a, b] = [share(new type(m * k).fill(1)), share(new type(n * k).fill(2))];
    const c = Array.from({ length: 10 }, () => share(new type(m * n)));
    const program = addon.createProgram(
      c.map((out) => ['gemm', out, a, b, null, 1, m, n, k, 0, 1, 0, 0, -1, 0, null]),
    );
    for (const value of [2, 3]) {
      b.fill(value);
      program.setSteady(b, true);
      for (let run = 0; run < 3; run++) {
        program.run();
        expect(c.map((out) => out.every((sum) => sum === value * k))).toEqual(c.map(() => true));
      }
    }
  });

  test('only arrays of floats are steady', () => {
    const program = addon.createProgram([]);
    const set = program.setSteady as (...args: unknown[]) => void;
    expect(() => set.call(program, [1], true)).toThrow(
      '[setSteady] expected array to be a Float32Array or a Float64Array, got',
    );
    expect(() => set.call(program, new Int32Array(1), true)).toThrow('[setSteady] expected array');
    expect(() => set.call(program, nothing, 1)).toThrow('[setSteady] expected isSteady to be a boolean, got');
  });

  test('an empty program runs', async () => {
    const program = addon.createProgram([]);
    expect(program.run()).toBeUndefined();
    expect(await program.runAsync()).toBeUndefined();
  });

  test('times makes every call once, after what was queued, and tells how long each took', async () => {
    const counted = counter();
    const n = 256;
    const [a, b, c] = [0, 0, 0].map(() => share(new Float32Array(n * n).fill(1)));
    const product: RecordedCall = ['gemm', c, a, b, null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null];
    const program = addon.createProgram([count(counted), product, count(counted)]);
    const runs = [program.runAsync(), program.runAsync()];
    const start = performance.now();
    const times = program.times();
    const whole = (performance.now() - start) * 1e6;
    expect(counted[1]).toBe(6);
    expect(c.every((x) => x === n)).toBe(true);
    expect(times).toBeInstanceOf(Float64Array);
    expect(times).toHaveLength(3);
    expect(times.every((time) => time >= 0)).toBe(true);
    expect(times[1]).toBeGreaterThan(10_000);
    expect(times[0] + times[1] + times[2]).toBeLessThanOrEqual(whole);
    expect(addon.createProgram([]).times()).toEqual(new Float64Array(0));
    await Promise.all(runs);
  });

  test('layouts and scalar buffers are read at each run', () => {
    const [x, out] = [floats(1, 2, 3, 4), floats(0, 0)];
    const layout = share(Int32Array.of(2, 1, 1, 0, 0));
    const program = addon.createProgram([['copy', out, x, layout]]);
    program.run();
    expect([...out]).toEqual([1, 2]);
    layout[4] = 2;
    program.run();
    expect([...out]).toEqual([3, 4]);
    layout[4] = 3;
    expect(() => program.run()).toThrow('[copy] expected layout to stay within x (length 4), got position 4');
    expect([...out]).toEqual([3, 4]);
  });
});

test('lists of arrays are kept by the program', () => {
  const [w, g] = [floats(1, 2), floats(1, 1)];
  const [parameters, gradients] = [[w], [g]];
  const hyper = share(Float64Array.of(0.5, 0, 0, 0, 0));
  const program = addon.createProgram([
    ['sgd', parameters, gradients, share(Float64Array.of(0)), firstRow, hyper],
  ]);
  // Another list now; the program has the arrays.
  parameters[0] = floats(7, 7);
  gradients.length = 0;
  program.run();
  program.run();
  expect([...w]).toEqual([0, 1]);
});

describe('order', () => {
  test('is first in, first out over all programs', async () => {
    const x = floats(1);
    const double = addon.createProgram([['unary', x, x, unaryCode.scale, 2, 0]]);
    const increment = addon.createProgram([['unary', x, x, unaryCode.scale, 1, 1]]);
    const settled: string[] = [];
    let expected = 1;
    const promises: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      const which = i % 3 === 0;
      expected = Math.fround(which ? expected * 2 : expected + 1);
      promises.push((which ? double : increment).runAsync().then(() => settled.push(`${i}`)));
    }
    await Promise.all(promises);
    expect(x[0]).toBe(expected);
    expect(settled).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
  });

  test('run comes after all that was queued', () => {
    const counted = counter();
    const slow = addon.createProgram([...Array(2000).fill(count(counted)), count(counted)]);
    const promises = Array.from({ length: 50 }, () => slow.runAsync());
    addon.createProgram([]).run();
    expect(counted[1]).toBe(50 * 2001);
    return Promise.all(promises);
  });

  test('is of an executor: others go on meanwhile, and their programs wait for their own', async () => {
    const [slow, quick] = [counter(), counter()];
    const long = addon.createProgram(Array(200_000).fill(count(slow)), 1);
    const short = addon.createProgram([count(quick)], 2);
    const promises = [long.runAsync(), short.runAsync()];
    addon.createProgram([], 2).run();
    expect(quick[1]).toBe(1);
    expect(slow[1]).toBeLessThan(200_000);
    addon.createProgram([], 1).run();
    expect(slow[1]).toBe(200_000);
    await Promise.all(promises);
  });

  test.each([1, 2])('programs of %i threads at most compute the same at the same time', async (most) => {
    const n = 256;
    const [a, b] = [1, 2].map((seed) =>
      share(Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * seed))),
    );
    const results = Array.from({ length: 4 }, () => share(new Float32Array(n * n)));
    const rest = [null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null] as const;
    const programs = results.map((c, i) =>
      addon.createProgram(Array(6).fill(['gemm', c, a, b, ...rest]), i, most),
    );
    const direct = new Float32Array(n * n);
    addon.gemm(direct, a, b, ...rest);
    for (let i = 0; i < 10; i++) {
      for (const c of results) c.fill(0);
      await Promise.all(programs.map((program) => program.runAsync()));
      expect(results.every((c) => sameBytes(c, direct))).toBe(true);
    }
  });

  test('kernels, run and the executor share the pool', async () => {
    const n = 320;
    const [a, b] = [1, 2].map((seed) =>
      share(Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * seed))),
    );
    const product = (c: Float32Array): RecordedCall => [
      'gemm',
      c,
      a,
      b,
      null,
      1,
      n,
      n,
      n,
      0,
      0,
      0,
      0,
      -1,
      0,
      null,
    ];
    const [own, other, direct] = [0, 0, 0].map(() => share(new Float32Array(n * n)));
    const program = addon.createProgram(Array(8).fill(product(other)));
    const here = addon.createProgram([product(own)]);
    for (let i = 0; i < 10; i++) {
      const running = program.runAsync();
      addon.gemm(direct, a, b, null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null);
      here.run();
      await running;
      expect(sameBytes(own, direct) && sameBytes(other, direct)).toBe(true);
    }
  });
});

describe('failures', () => {
  const scene = () => {
    const [before, after] = [counter(), counter()];
    const x = floats(1, 2, 3);
    const program = addon.createProgram([count(before), ['checkFinite', x], count(after)]);
    return { before, after, x, program };
  };
  const message = '[checkFinite] expected x to be finite, got -Infinity at 1';

  test.each(['run', 'runAsync', 'times'] as const)(
    '%s stops at the first, and the program stays usable',
    async (how) => {
      const { before, after, x, program } = scene();
      const run = async () => program[how]();
      await run();
      x[1] = -Infinity;
      const error = await run().then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(NonFiniteError);
      expect(error).toMatchObject({ code: 'AXPY_NON_FINITE', message });
      expect([before[1], after[1]]).toEqual([2, 1]);
      x[1] = 0;
      await run();
      expect([before[1], after[1]]).toEqual([3, 2]);
    },
  );

  test('an index is checked at each run, with its own class', async () => {
    const indices = share(Int32Array.of(0, 1));
    const program = addon.createProgram([['gather', floats(0, 0), floats(5, 6), indices, 2, 2, 1]]);
    program.run();
    indices[1] = 2;
    expect(() => program.run()).toThrow(IndexError);
    await expect(program.runAsync()).rejects.toThrow('[gather] expected indices[1] to be from 0 to 1, got 2');
  });

  test('lengths are checked at a run', () => {
    const program = addon.createProgram([['unary', floats(1), floats(1, 2), 0, 0, 0]]);
    expect(() => program.run()).toThrow('[unary] expected x to have length 1, got 2');
  });

  test('one that nobody handles is reported as any other', () => {
    const { status, stderr } = node(`
      const x = new Float32Array(new SharedArrayBuffer(4));
      x[0] = NaN;
      addon.createProgram([['checkFinite', x]]).runAsync();`);
    expect(status).toBe(1);
    expect(stderr).toContain('[checkFinite] expected x to be finite, got NaN at 0');
  });
});

describe('what cannot be recorded', () => {
  const x = floats(1, 2, 3);
  const create = (calls: unknown) => () => addon.createProgram(calls as RecordedCall[]);

  test.each<[string, unknown, string]>([
    ['no list', 5, 'calls to be an array, got number'],
    ['null', null, 'calls to be an array, got null'],
    ['a call that is no list', [['checkFinite', x], { length: 2 }], 'call 1 to be an array, got Object'],
    ['a call without a name', [[]], 'call 0 to name a kernel, got undefined'],
    ['a name of nothing', [['gemn', x]], 'call 0 to name a kernel, got "gemn"'],
    ['a function of the addon that is no kernel', [['info']], 'call 0 to name a kernel, got "info"'],
  ])('%s', (_, calls, expected) => {
    expect(create(calls)).toThrow(KernelError);
    expect(create(calls)).toThrow(`[createProgram] expected ${expected}`);
  });

  test.each([
    [[64], 'executor to be an integer from 0 to 63'],
    [[-1], 'executor to be an integer from 0 to 63'],
    [[1.5], 'executor to be an integer from 0 to 63'],
    [['1'], 'executor to be an integer from 0 to 63'],
    [[0, 65], 'threads to be an integer from 0 to 64'],
    [[0, Number.NaN], 'threads to be an integer from 0 to 64'],
  ])('an executor or threads %j', (numbers, expected) => {
    expect(() => addon.createProgram([], ...(numbers as [number, number]))).toThrow(expected);
  });

  test('arguments of wrong types and values, in the words of a call', () => {
    expect(create([['unary', x]])).toThrow('[unary] expected x to be a Float32Array like out, got undefined');
    expect(create([['unary', x, x, 99, 0, 0]])).toThrow('[unary] expected op to be a code from 0 to');
    expect(codeOf(create([['unary', x, x, 1.5, 0, 0]]))).toBe('AXPY_KERNEL');
  });

  test('getters and proxies that throw', () => {
    const calls = [['checkFinite', x]];
    Object.defineProperty(calls, 0, {
      get() {
        throw new RangeError('mine');
      },
    });
    expect(create(calls)).toThrow(RangeError);
  });

  test.each(kernelNames)('%s: an array that is not shared', (kernel) => {
    const made = recordDeclarationCalls(kernel);
    const parameters = signatures.get(kernel)!;
    arraysOf(made.args).forEach(({ array, position }, at, all) => {
      const args = mapArrays(made.args, share);
      const list = args[position];
      const item = at - all.findIndex((other) => other.position === position);
      args[position] = isList(list) ? list.with(item, array.slice()) : array.slice();
      const name = `${parameters[position].name}${isList(list) ? `[${item}]` : ''}`;
      expect(
        create([
          ['checkFinite', x],
          [kernel, ...args],
        ]),
      ).toThrow(
        `[createProgram] expected call 1 (${kernel}) to have its ${name} ` +
          'on a SharedArrayBuffer, got an ordinary one',
      );
    });
  });

  test('an empty array may lie anywhere', () => {
    addon.createProgram([['checkFinite', new Float32Array(0)]]).run();
  });

  test('a Program is made by createProgram, and its methods want one', () => {
    const program = addon.createProgram([]);
    const { run, runAsync, times } = program;
    for (const other of [undefined, {}, addon, Object.create(program)]) {
      expect(() => run.call(other as never)).toThrow();
      expect(() => runAsync.call(other as never)).toThrow();
      expect(() => times.call(other as never)).toThrow();
    }
    const { constructor: Program } = program as unknown as { constructor: () => void };
    expect(() => Program()).toThrow(KernelError);
  });
});

const firstCalls = new Map<string, Call>();
/** One call of the kernel in which every array has elements. */
function recordDeclarationCalls(kernel: string): Call {
  if (firstCalls.size === 0) {
    for (const call of declarations.flatMap((declaration) => recordDeclaration(fallback, declaration))) {
      const full = arraysOf(call.args).every(({ array }) => array.length > 0);
      if (full && !firstCalls.has(call.kernel)) firstCalls.set(call.kernel, call);
    }
  }
  return firstCalls.get(kernel)!;
}

// ── life ────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Ran {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs code in a process of its own, with `addon` and `gc`. */
function node(code: string): Ran {
  const load = `
    import { createRequire } from 'node:module';
    const path = process.env.AXPY_BINARY || ${JSON.stringify(`${root}build/Release/axpy.node`)};
    const addon = createRequire(path)(path);
    const floats = (n) => new Float32Array(new SharedArrayBuffer(4 * n));
    const gemm = (n) => ['gemm', floats(n * n), floats(n * n), floats(n * n), null, 1, n, n, n, 0, 0, 0, 0, -1, 0, null];`;
  const flags = ['--expose-gc', '--input-type=module', '--eval', load + code];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, flags, {
    encoding: 'utf8',
    timeout: 50_000,
  });
  return { status, signal, stdout, stderr };
}

describe('life', () => {
  test('a program and its arrays live as long as a run needs them', () => {
    const ran = node(`
      const registry = new FinalizationRegistry(() => collected++);
      let collected = 0;
      const runs = [];
      for (let i = 0; i < 100; i++) {
        const one = new Float32Array(new SharedArrayBuffer(4)).fill(1);
        const program = addon.createProgram([gemm(64), gemm(64), ['unary', one, one, ${unaryCode.scale}, 1, 1]]);
        registry.register(program);
        runs.push(program.runAsync().then(() => one[0]));
        gc();
      }
      const results = await Promise.all(runs);
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        gc();
      }
      // The interpreter may hold the last one.
      console.log(results.every((value) => value === 2), collected >= 99);`);
    expect(ran.stderr).toBe('');
    expect(ran.stdout.trim()).toBe('true true');
  });

  test('its arrays are kept past setters of prototypes', () => {
    const ran = node(`
      const list = gemm(64);
      const buffers = [1, 2, 3].map((i) => new WeakRef(list[i].buffer));
      const make = () => addon.createProgram([list]);
      const keys = ['0', '1', '2', 'buffer', 'constructor'];
      const prototypes = [Array.prototype, Object.prototype, SharedArrayBuffer.prototype];
      const before = prototypes.map((prototype) => keys.map((key) => Object.getOwnPropertyDescriptor(prototype, key)));
      for (const prototype of prototypes) {
        for (const key of keys) Object.defineProperty(prototype, key, { set() {}, get() {}, configurable: true });
      }
      const program = make();
      prototypes.forEach((prototype, p) => keys.forEach((key, k) => {
        delete prototype[key];
        if (before[p][k]) Object.defineProperty(prototype, key, before[p][k]);
      }));
      list.length = 0;
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        gc();
      }
      program.run();
      console.log(buffers.map((buffer) => buffer.deref() !== undefined).join());`);
    expect(ran.stderr).toBe('');
    expect(ran.stdout.trim()).toBe('true,true,true');
  });

  // Rounds of programs that nobody keeps, and how much more memory a process may have after eight more of them. What malloc
  // keeps of one round of large buffers, 60 MB, it may keep for good.
  test.each([
    ['2000 small ones', `addon.createProgram(Array(50).fill(['unary', x, x, 10, 0, 0])).run();`, 2000, 20],
    ['20 of large buffers', 'addon.createProgram([gemm(512)]);', 20, 100],
  ])('memory of programs that were dropped comes back: %s', (_, make, count, most) => {
    const ran = node(`
      const x = floats(16);
      const round = async () => {
        for (let i = 0; i < ${count}; i++) {
          ${make}
          if (i % 100 === 0) await new Promise(setImmediate);
        }
        let least = Infinity;
        for (let i = 0; i < 5; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 5));
          least = Math.min(least, process.memoryUsage().rss / 2 ** 20);
        }
        return least;
      };
      await round();
      const before = await round();
      for (let i = 0; i < 8; i++) await round();
      const after = await round();
      console.log(after - before);`);
    expect(ran.stderr).toBe('');
    expect(Number(ran.stdout)).toBeLessThan(most);
  });

  test('a queued run keeps the process alive, a settled one does not', () => {
    const ran = node(`
      const program = addon.createProgram(Array(50).fill(gemm(256)));
      program.runAsync().then(() => {
        console.log('done');
        program.runAsync().then(() => console.log('again'));
      });`);
    expect([ran.status, ran.stdout]).toEqual([0, 'done\nagain\n']);
  });

  test('process.exit with a long queue returns at the next kernel', () => {
    const started = Date.now();
    const ran = node(`
      const program = addon.createProgram(Array(1e4).fill(gemm(256)));
      for (let i = 0; i < 100; i++) program.runAsync();
      process.on('exit', () => console.log('exit'));
      setTimeout(() => process.exit(7), 20);`);
    expect([ran.status, ran.signal, ran.stdout]).toEqual([7, null, 'exit\n']);
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  test('environments and processes that end with runs in flight, 200 times', { timeout: 300_000 }, () => {
    const ran = spawnSync(process.execPath, [`${root}test/stress/executor.mjs`, '200'], { encoding: 'utf8' });
    expect([ran.status, ran.signal, ran.stdout], ran.stderr).toEqual([0, null, '200 cycles\n']);
  });
});
