/**
 * The contract of binding.d.ts, held against both implementations at once: every kernel call that the cases lead to, with
 * right arguments and with wrong ones. As it calls both whichever one serves, it runs once, beside what the addon alone has.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Addon } from '../binding.d.ts';
import { binaryCode, codeLists, reduceCode, unaryCode } from '../lib/kernels/codes.ts';
import { describeFact, flag, isArrayFact } from '../lib/kernels/facts.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { kernels } from '../lib/kernels/index.ts';
import { opNumber } from '../lib/kernels/instructions.ts';
import { loadNative } from '../lib/kernels/native.ts';
import { table } from '../lib/kernels/table.ts';
import { complete, declarations } from './cases/index.ts';
import { generator } from './cases/values.ts';
import {
  arraysOf,
  type Call,
  isArray,
  isList,
  record,
  recordCase,
  recordDeclaration,
  replay,
  sameBytes,
} from './contract/call.ts';
import { compareWithin, showCall } from './contract/compare.ts';
import { randomCall } from './contract/generate.ts';
import { exactOps, randomList } from './contract/lists.ts';
import { mutations } from './contract/mutate.ts';
import { type KernelName, kernelNames, signatures } from './contract/signature.ts';

/** Without the addon there is nothing to compare with, so its absence fails the suite. */
function requireAddon(): Addon {
  try {
    return loadNative();
  } catch (error) {
    throw new Error('the contract needs both implementations; build the addon first (npm run setup)', {
      cause: error,
    });
  }
}

const addon = requireAddon();
const threads = addon.info().threads;
beforeAll(() => addon.setThreads(2));
afterAll(() => addon.setThreads(threads));

/** Cases that cannot be recorded say so in the test of their op; here they leave the other calls standing. */
const recorded: Call[] = [];
const failures = new Map<string, unknown>();
for (const declaration of declarations) {
  try {
    recorded.push(...recordDeclaration(kernels, declaration));
  } catch (error) {
    failures.set(declaration.op, error);
  }
}

/** One call for each number of elements, types and nulls: what the large set of calls has to offer in variety. */
function varied(kernel: KernelName, limit: number): Call[] {
  const seen = new Set<string>();
  return recorded.filter((call) => {
    if (call.kernel !== kernel || seen.size >= limit) return false;
    const small = arraysOf(call.args).every(({ array }) => array.length > 0 && array.length <= 64);
    const show = (value: unknown): unknown => {
      if (isList(value)) return `${value.length > 0} ${value[0]?.constructor.name}`;
      return isArray(value) ? value.constructor.name : value === null;
    };
    const key = call.args.map(show).join();
    if (!small || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** All kernels; of some ops alone, those that they call. */
const tested = complete ? kernelNames : kernelNames.filter((kernel) => varied(kernel, 1).length > 0);

/** What is wrong with a call on the two implementations, as text; empty when nothing is. */
function problemOf(call: Call, shared = false): string {
  const options = { shared };
  const problem = compareWithin(call, replay(fallback, call, options), replay(addon, call, options));
  return problem === null ? '' : `${problem}\n${showCall(call)}`;
}

describe('what binding.d.ts declares', () => {
  test('has been read whole', () => {
    expect(kernelNames.length).toBeGreaterThanOrEqual(28);
    expect(new Set(kernelNames)).toEqual(new Set(Object.keys(fallback)));
  });

  test.each(kernelNames)('%s: is what the table says', (kernel) => {
    const facts = Object.entries(table[kernel].arguments);
    const types = facts.map(([name, fact]) => {
      const type = isArrayFact(fact) ? describeFact(fact).replace('written ', '') : 'number';
      return { name, type: fact === flag ? 'Flag' : type };
    });
    expect(types).toEqual(signatures.get(kernel));
    expect(fallback[kernel].length).toBe(facts.length);
  });

  test.each(kernelNames)('%s: the addon was compiled with the same arguments', (kernel) => {
    const facts = Object.entries(table[kernel].arguments);
    const described = facts.map(([name, fact]) => [name, describeFact(fact)]);
    expect(Object.entries(addon.manifest().kernels[kernel])).toEqual(described);
    expect(addon[kernel]).toBeTypeOf('function');
  });

  test('is all that the addon has, with the same codes', () => {
    expect(new Set(Object.keys(addon.manifest().kernels))).toEqual(new Set(kernelNames));
    expect(addon.manifest().codes).toEqual(codeLists);
  });
});

describe('recorded calls', () => {
  test.each(declarations.map(({ op }) => op))('%s runs', (op) => {
    if (failures.has(op)) throw failures.get(op);
  });

  test.each(tested)('%s is called by a case', (kernel) => {
    expect(recorded.some((call) => call.kernel === kernel)).toBe(true);
  });

  test.each(tested)('%s: both give the same', (kernel) => {
    const calls = recorded.filter((call) => call.kernel === kernel);
    expect(calls.map((call) => problemOf(call)).filter(Boolean)).toEqual([]);
  });

  test.each(tested)('%s: on shared memory too', (kernel) => {
    expect(
      varied(kernel, 12)
        .map((call) => problemOf(call, true))
        .filter(Boolean),
    ).toEqual([]);
  });
});

describe('a destination over an input', () => {
  const over = tested.filter((kernel) => table[kernel].over !== undefined);
  test.each(over)('%s: gives what it gives apart', (kernel) => {
    const at = Object.keys(table[kernel].arguments).indexOf(table[kernel].over!);
    const calls = recorded.filter((call) => call.kernel === kernel);
    expect(calls.length).toBeGreaterThan(0);
    for (const call of calls) {
      for (const implementation of [fallback, addon]) {
        const apart = replay(implementation, call);
        const together = replay(implementation, { kernel, args: call.args.with(0, call.args[at]) });
        // Empty arrays are never the same.
        const isEmpty = (call.args[at] as { length: number }).length === 0;
        expect(together.args[0] === together.args[at]).toBe(!isEmpty);
        const others = apart.args.map((value, i) => (i === at ? null : value));
        for (const [i, value] of others.entries()) {
          if (isArray(value) && !sameBytes(value, together.args[i] as typeof value))
            expect.fail(`argument ${i} differs: ${showCall(call)}`);
        }
      }
    }
  });
});

describe('wrong arguments', () => {
  test.each(tested)('%s: both refuse in the same words, or do the same', (kernel) => {
    const chosen = varied(kernel, 8);
    expect(chosen.length).toBeGreaterThan(0);
    const problems: string[] = [];
    let refused = 0;
    for (const call of chosen) {
      for (const { title, position, make, raw } of mutations(call)) {
        const options = raw ? { raw: position } : {};
        const outcome = (implementation: typeof fallback | Addon) =>
          replay(implementation, { kernel, args: call.args.with(position, make()) }, options);
        const [a, b] = [outcome(fallback), outcome(addon)];
        if (a.error !== null) refused++;
        const wrong = { ...call, args: call.args.with(position, make()) };
        // What both take is as good as a right call, and has to give the same numbers.
        const problem = compareWithin(wrong, a, b);
        if (problem !== null)
          problems.push(`${signatures.get(kernel)![position].name} ${title}\n${problem}\n${showCall(call)}`);
      }
    }
    expect(problems).toEqual([]);
    expect(refused).toBeGreaterThan(chosen.length * 5);
  });

  test.each(tested)('%s: of two mistakes both find the same one', (kernel) => {
    const next = generator(1);
    const problems: string[] = [];
    for (const call of varied(kernel, 4)) {
      const all = mutations(call).filter(({ raw }) => !raw);
      for (let i = 0; i < 150; i++) {
        const [a, b] = [0, 0].map(() => all[Math.floor(next() * all.length)]);
        if (a.position === b.position) continue;
        const args = call.args.with(a.position, a.make()).with(b.position, b.make());
        const [ours, theirs] = [fallback, addon].map((target) => replay(target, { kernel, args }).error);
        if (String(ours) === String(theirs)) continue;
        problems.push(`${a.title} at ${a.position}, ${b.title} at ${b.position}\n${ours}\n${theirs}`);
      }
    }
    expect(problems).toEqual([]);
  });

  test.each(tested)('%s: errors have the class and code that the contract names', (kernel) => {
    for (const call of varied(kernel, 4)) {
      for (const { make, position, raw } of mutations(call)) {
        const args = call.args.with(position, make());
        const { error } = replay(fallback, { kernel, args }, raw ? { raw: position } : {});
        if (error === null) continue;
        const { name, code, message } = error as { name: string; code: string; message: string };
        expect([
          ['KernelError', 'AXPY_KERNEL'],
          ['IndexError', 'AXPY_INDEX'],
          ['NonFiniteError', 'AXPY_NON_FINITE'],
          ['DataError', 'AXPY_DATA'],
        ]).toContainEqual([name, code]);
        expect(message).toMatch(new RegExp(`^\\[${kernel}\\] expected `));
      }
    }
  });

  test.each(tested)('%s: too few and too many arguments', (kernel) => {
    const call = varied(kernel, 1)[0];
    for (const args of [[], call.args.slice(0, -1), [...call.args, 1]]) {
      const changed = { ...call, args };
      const problem = compareWithin(call, replay(fallback, changed), replay(addon, changed));
      expect(problem, `${args.length} arguments`).toBeNull();
    }
  });
});

describe('random calls', () => {
  test.each(tested)('%s: both give the same', (kernel) => {
    fc.assert(
      fc.property(randomCall(kernel), (call) => {
        expect(replay(fallback, call).error, showCall(call)).toBeNull();
        expect(problemOf(call)).toBe('');
      }),
      { seed: 20240229, numRuns: 60 },
    );
  });
});

describe('numbers of threads', () => {
  const counts = [1, 2, 5];

  /** Whether all counts give the bits that the first one gives; empty when they do. */
  function differing(calls: readonly Call[]): string[] {
    const outcomes = counts.map((count) => {
      addon.setThreads(count);
      return calls.map((call) => replay(addon, call));
    });
    return calls
      .filter((call, i) => {
        const first = outcomes[0][i];
        expect(first.error, showCall(call)).toBeNull();
        const reference = arraysOf(first.args);
        return outcomes.some((own) =>
          arraysOf(own[i].args).some(({ array }, at) => !sameBytes(array, reference[at].array)),
        );
      })
      .map(showCall);
  }

  test('are what setThreads says', () => {
    for (const count of counts) {
      addon.setThreads(count);
      expect(addon.info().threads).toBe(count);
    }
  });

  test.each(tested)('%s: recorded calls do not depend on them', (kernel) => {
    expect(differing(recorded.filter((call) => call.kernel === kernel))).toEqual([]);
  });

  const benches = declarations.flatMap(({ op, bench }) =>
    bench.map((c) => ({
      op,
      c,
      title: `${op}, ${c.name}: the same bits${c.large ? '' : ', and what the fallback gives'}`,
    })),
  );

  test.each(benches)('$title', ({ op, c }) => {
    for (const call of recordCase(addon, op, c, 'float32')) {
      expect(differing([call])).toEqual([]);
      if (!c.large) expect(problemOf(call)).toBe('');
    }
  });

  const long = 200_003;
  const large = record(fallback, 'a large call', () => {
    const state = Uint32Array.of(1, 2, 3, 4, 5, 6);
    kernelsForLarge(state);
    layersForLarge();
  });

  function kernelsForLarge(state: Uint32Array): void {
    // The kernels that no bench reaches; a length that no number of threads divides.
    kernels.randomBits(new Uint32Array(long), state);
    kernels.randomUniform(new Float32Array(long), state, -1, 1);
    kernels.randomNormal(new Float64Array(long), state, 0, 1);
    kernels.dropoutMask(new Float32Array(long), state, 0.5);
    const [w, v, g] = [1, 2, 3].map((i) => new Float32Array(long).map((_, at) => Math.sin(at * i)));
    // Parameters that begin and end anywhere between the parts.
    const cut = (x: Float32Array) =>
      [0, 70_001, 70_004, 103_000, 198_000, long]
        .slice(1)
        .map((end, i, ends) => x.slice(ends[i - 1] ?? 0, end));
    const joined = (...lists: Float32Array[][]) => lists[0].flatMap((_, i) => lists.map((list) => list[i]));
    const rows = Int32Array.of(0, 1, 2, 3, 4);
    const decays = Float64Array.of(1, 0, 1, 0, 1);
    kernels.sgd(joined(cut(w), cut(v)), cut(g), decays, rows, Float64Array.of(0.1, 0.9, 0, 1, 0.01));
    const outs = joined(cut(w), cut(v), cut(g.map(Math.abs)));
    const counts = Float64Array.from([...decays].flatMap((decay, i) => [decay, i]));
    kernels.adam(outs, cut(g), counts, rows, Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1), 0);
    kernels.adam(outs, cut(g), counts, rows, Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1), 1);
    const list = randomList(
      generator(1),
      { outs: 1, ins: 2, scalars: 2, shared: 1, constants: 1 },
      12,
      exactOps,
    );
    const shared = Float64Array.of(0.5);
    kernels.elementwise(cut(w), joined(cut(v), cut(g)), counts, rows, shared, shared, list, 0);
    for (let op = 0; op < 5; op++) kernels.reduce(new Float32Array(1), g, 1, long, 1, 1, op, 1);
    const [add, tanh] = [opNumber('binary', binaryCode.add), unaryCode.tanh];
    for (const [k1, r1] of [
      [1, long],
      [long, 1],
    ]) {
      const chain = Int32Array.of(2, 3, -1, -1, 3, reduceCode.sum, 2, add, 0, 1, tanh, 3, -1, -1);
      const layout = Int32Array.of(1, 1, k1, r1, 1, long, 0, 1, 0, 0);
      kernels.fused([new Float32Array(long), new Float32Array(k1)], [g, w], layout, chain, shared);
    }
    kernels.gather(
      new Float32Array(long),
      g,
      Int32Array.from(g, (_, i) => (i * 7) % long),
      long,
      long,
      1,
    );
    kernels.scatterAdd(
      new Float32Array(10),
      g,
      Int32Array.from(g, (_, i) => i % 10),
      long,
      10,
      1,
    );
    kernels.where(new Float32Array(long), g, w, v, null);
    kernels.gemmAccumulate(
      new Float32Array(64 * 64),
      w.subarray(0, 131072),
      v.subarray(0, 131072),
      1,
      64,
      64,
      2048,
      0,
      1,
      0,
      0,
      0,
      null,
    );
    kernels.gemmAccumulate(
      new Float32Array(32 * 32),
      w.subarray(0, 65536),
      v.subarray(0, 65536),
      64,
      32,
      32,
      32,
      0,
      0,
      1024,
      1024,
      0,
      null,
    );
  }

  function layersForLarge(): void {
    const wave = (length: number, by: number) => new Float32Array(length).map((_, i) => Math.sin(i * by));
    // Images 21 × 19 with 24 channels: by Winograd, in groups, a kernel for each channel, and with steps.
    for (const [groups, step, dilation] of [
      [1, 1, 1],
      [2, 1, 1],
      [24, 1, 1],
      [1, 2, 2],
    ]) {
      const [outHeight, outWidth] = [Math.ceil(21 / step), Math.ceil(19 / step)];
      const shape = [3, 21, 19, 24, outHeight, outWidth, 24, 3, 3, step, step, dilation, dilation, 1, 1];
      const geometry = Int32Array.of(...shape, groups);
      const x = wave(3 * 21 * 19 * 24, 1);
      const w = wave((24 * 9 * 24) / groups, 2);
      const y = wave(3 * outHeight * outWidth * 24, 3);
      for (const fast of [0, 1] as const) {
        kernels.convolve(new Float32Array(y.length), x, w, wave(24, 4), geometry, unaryCode.relu, 0, fast);
        kernels.convolveTransposed(new Float32Array(x.length), y, w, null, geometry, -1, 0, fast);
        kernels.convolveWeightGradient(new Float32Array(w.length), x, y, geometry, fast);
      }
      if (groups > 1) continue;
      const indices = new Int32Array(y.length);
      kernels.maxPool(new Float32Array(y.length), indices, x, geometry);
      kernels.maxPoolGradient(new Float32Array(x.length), y, indices, geometry);
      kernels.averagePool(new Float32Array(y.length), x, geometry, 0);
      kernels.averagePoolGradient(new Float32Array(x.length), y, geometry, 0);
    }
    for (const [rows, columns] of [
      [20_011, 10],
      [97, 2063],
    ]) {
      const x = wave(rows * columns, 1);
      const g = wave(rows * columns, 2);
      const out = new Float32Array(rows * columns);
      const [a, b, c, d, e] = [3, 4, 5, 6, 7].map((by) => wave(columns, by));
      kernels.epilogueGradient(out, a, g, x, rows, columns, unaryCode.tanh, 0);
      kernels.batchMoments(a, e, b, c, d.map(Math.abs), null, x, rows, columns, 1e-5, 0.1);
      kernels.batchNorm(out, x, a, e, b, c, d, rows, columns, unaryCode.relu, 0);
      kernels.batchNormGradient(
        out,
        a.slice(),
        b.slice(),
        g,
        x,
        a,
        e,
        b,
        c,
        d,
        rows,
        columns,
        unaryCode.tanh,
        0,
        1,
      );
      const [mean, remainder, inverse] = [1, 2, 3].map(() => new Float32Array(rows));
      kernels.layerNorm(out, mean, remainder, inverse, x, a, b, rows, columns, 1e-5);
      kernels.layerNormGradient(out, c, d, g, x, mean, remainder, inverse, a, rows, columns);
    }
  }

  test.each(
    large.filter(({ kernel }) => tested.includes(kernel)).map((call) => ({ call, title: call.kernel })),
  )('$title, large', ({ call }) => {
    expect(differing([call])).toEqual([]);
    expect(problemOf(call)).toBe('');
  });

  test('a list of parameters is updated as one by one', () => {
    const lengths = [70_001, 3, 0, 33_000, 1];
    const make = () => lengths.map((n, i) => new Float32Array(n).map((_, at) => Math.sin(at + i)));
    const outs = () => lengths.flatMap((_, i) => [make()[i], make()[i], make()[i].map(Math.abs)]);
    const hyper = Float64Array.of(0.01, 0.9, 0.999, 1e-8, 0.1);
    const scalars = () => Float64Array.of(1, 0, 0, 1, 1, 7, 1, 0, 0, 3);
    const [together, apart] = [0, 0].map(() => ({ outs: outs(), scalars: scalars() }));
    const gradients = make();
    addon.adam(together.outs, gradients, together.scalars, Int32Array.of(3, 0, 1, 2, 4), hyper, 0);
    [3, 0, 1, 2, 4].forEach((row, i) => {
      const own = apart.outs.slice(3 * i, 3 * i + 3);
      addon.adam(own, [gradients[i]], apart.scalars, Int32Array.of(row), hyper, 0);
    });
    expect(together).toEqual(apart);
  });

  test('other than 1 to 64 are refused', () => {
    for (const count of [0, -1, 65, 1.5, Number.NaN, '2', null, undefined]) {
      expect(() => addon.setThreads(count as number), String(count)).toThrow(
        expect.objectContaining({ code: 'AXPY_ARGUMENT' }),
      );
    }
  });
});
