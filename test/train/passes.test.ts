/** What passes make of a recorded list leaves the same as the list that was recorded, to the bit. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Workload, workloads } from '../../benchmark/workloads.ts';
import { compile, concat, losses, Parameter, profile, randn, type Tensor } from '../../lib/index.ts';
import { backendInfo, createProgram } from '../../lib/kernels/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { improved, withPasses } from '../../lib/kernels/passes/index.ts';
import { areApart, compose, flat, type View } from '../../lib/kernels/passes/view.ts';
import { plan } from '../../lib/kernels/plan.ts';
import { mainQueue } from '../../lib/kernels/queue.ts';
import { copyOf, type Elements } from '../../lib/memory.ts';
import { stridesOf } from '../../lib/shape.ts';
import { trace } from '../../lib/train/program.ts';
import { ops, pick } from './functions.ts';

beforeEach(() => {
  // Of few elements too.
  pays.from = 0;
  pays.run = 0;
});

/** Runs the list of a function as it was recorded, and as the passes leave it: results, and all that was written. */
function both(fn: (...args: Tensor[]) => Tensor[], args: readonly Tensor[]) {
  const { recording, form, inputs } = trace(fn, [...args]);
  const storages = form.tensors.map(({ storage }) => storage);
  const list = improved(recording, storages)!;
  const lists = [{ calls: recording.calls, outputs: storages }, list];
  const plans = lists.map(({ calls, outputs }) => plan(recording, calls, outputs, mainQueue));
  const { written } = plans[0];
  const before = written.map(copyOf);
  const ran = plans.map((planned, i): Elements[] => {
    for (const [at, array] of written.entries()) array.set(before[at]);
    for (const [at, input] of inputs.entries()) planned.place(input).set(args[at].data);
    for (const { from, to } of planned.captured) to.set(from.array!);
    createProgram(planned.calls).run();
    return [...lists[i].outputs.map(planned.place), ...written].map(copyOf);
  });
  return {
    ran,
    calls: lists.map(({ calls }) => calls.length),
    kernels: list.calls.map(([kernel]) => kernel),
  };
}

const instruction = fc.record({
  name: fc.constantFrom(...Object.keys(ops)),
  a: fc.nat(40),
  b: fc.nat(40),
  i: fc.nat(5),
});

const programs = fc.record({
  /** From how many elements on elementwise calls are joined: shorter ones stay calls of their own. */
  from: fc.constantFrom(0, 20, Infinity),
  list: fc.array(instruction, { minLength: 1, maxLength: 20 }),
  loss: fc.nat(40),
  updates: fc.array(fc.nat(40), { maxLength: 2 }),
  results: fc.array(fc.nat(40), { maxLength: 3 }),
});

test('functions of views, elementwise ops and products, with gradients and updates', () => {
  let fewer = 0;
  fc.assert(
    fc.property(programs, ({ from, list, loss, updates, results }) => {
      pays.from = from;
      const parameters = [new Parameter([2, 3, 4]), new Parameter([1, 3, 4])];
      for (const p of parameters) p.assign(randn(p.shape));
      const fn = (x: Tensor, y: Tensor): Tensor[] => {
        for (const p of parameters) p.zeroGrad();
        const values: Tensor[] = [x, y, parameters[0], x.add(parameters[1])];
        for (const { name, a, b, i } of list) values.push(ops[name](pick(values, a), pick(values, b), i));
        const error = losses.mse(pick(values, loss), y);
        if (error.requiresGrad) error.backward();
        for (const at of updates) (parameters[0] as Tensor).lerp_(pick(values, at).detach().tanh(), 0.5);
        return [...results.map((at) => pick(values, at)), values[values.length - 1]].map((z) => z.add(0));
      };
      const { ran, calls } = both(fn, [randn([2, 3, 4]), randn([2, 3, 4])]);
      expect(ran[1]).toEqual(ran[0]);
      if (calls[1] < calls[0]) fewer++;
    }),
    { numRuns: 800 },
  );
  expect(fewer).toBeGreaterThan(400);
});

describe('whole training steps', () => {
  const all = backendInfo().name === 'native';
  const few = ['house', 'mlp', 'lstm'];
  const names = Object.keys(workloads).filter((name) => all || few.includes(name));
  test.each(names)('%s', (name) => {
    const make = workloads[name as keyof typeof workloads] as Workload;
    const steps = () => {
      const { loss } = make();
      // From the second one on with passes.
      return [loss(), loss(), loss()].map((value) => value.item());
    };
    const wanted = withPasses(false, steps);
    expect(withPasses(true, steps)).toEqual(wanted);
  });
});

test('a call writes over what it reads, where that is not read again', () => {
  /** Whether tanh does, of a function that calls it once. */
  const isOver = (fn: (x: Tensor) => Tensor) => {
    const { recording, form } = trace(fn, [randn([6, 6])]);
    const storages = form.tensors.map(({ storage }) => storage);
    const [, out, x] = improved(recording, storages)!.calls.find(([kernel]) => kernel === 'unary')!;
    return out === x;
  };
  const square = (x: Tensor) => x.matmul(x);
  expect(isOver((x) => square(square(x).tanh()))).toBe(true);
  const twice = (x: Tensor) => square(x.tanh()).matmul(x);
  expect(isOver((x) => twice(square(x)))).toBe(false);
  // An argument; a result.
  expect(isOver((x) => square(x.tanh()))).toBe(false);
  expect(isOver((x) => square(x).tanh())).toBe(false);
});

test('a matrix is transposed by a copy, and no chain reads or writes one across its rows', () => {
  const kernelsOf = (fn: (...args: Tensor[]) => Tensor[], args: Tensor[]) => {
    const { ran, kernels } = both(fn, args);
    expect(ran[1]).toEqual(ran[0]);
    return kernels;
  };
  const [x, y] = [randn([6, 10]), randn([10, 6])];
  // Of an argument, of what a chain leaves, into what is put together, and reduced.
  const read = (a: Tensor, b: Tensor) => [a.transpose().mul(2).add(b).relu()];
  expect(kernelsOf(read, [x, y])).toEqual(['copy', 'fused']);
  const inner = (a: Tensor, b: Tensor) => [a.mul(2).tanh().transpose().add(b).relu()];
  expect(kernelsOf(inner, [x, y])).toEqual(['fused', 'copy', 'fused']);
  const stored = (a: Tensor, b: Tensor) => [concat([a.mul(2).tanh().transpose(), b])];
  expect(kernelsOf(stored, [x, y])).toEqual(['fused', 'copy', 'copy']);
  const reduced = (a: Tensor) => [a.transpose().sum([0])];
  expect(kernelsOf(reduced, [x])).toEqual(['copy', 'reduce']);
  // Whole rows move; products take what is transposed.
  const heads = (a: Tensor) => [a.reshape([2, 3, 2, 5]).transpose([0, 2, 1, 3]).mul(2).relu()];
  expect(kernelsOf(heads, [x])).toEqual(['fused']);
  const product = (a: Tensor) => [a.mul(2).relu().matmul(a, { transposeB: true })];
  expect(kernelsOf(product, [x])).toEqual(['fused', 'gemm']);
});

test('what is read in narrow columns is computed whole', () => {
  const gates = (x: Tensor, y: Tensor) => {
    const z = x.add(y);
    const part = (i: number) => z.slice([null, [i * 5, (i + 1) * 5]]);
    return [part(0).sigmoid().mul(part(1).tanh())];
  };
  const kernelsOf = (run: number) => {
    pays.run = run;
    const { ran, kernels } = both(gates, [randn([6, 10]), randn([6, 10])]);
    expect(ran[1]).toEqual(ran[0]);
    return kernels;
  };
  expect(kernelsOf(6)).toEqual(['binary', 'fused']);
  expect(kernelsOf(5)).toEqual(['fused']);
});

// ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const view: fc.Arbitrary<View> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -12, max: 12 })), { maxLength: 3 })
  .map((axes) => {
    const strides = axes.map(([, stride]) => stride);
    const dims = axes.map(([size]) => size);
    const low = axes.reduce((sum, [size, stride]) => sum + Math.min(0, (size - 1) * stride), 0);
    return { dims, offset: -low, strides };
  });

/** The elements of a view, position by position. */
function elementsOf({ dims, offset, strides }: View): number[] {
  let all = [offset];
  dims.forEach((size, axis) => {
    all = all.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * strides[axis]));
  });
  return all;
}

test('a view by way of another memory finds the same elements', () => {
  let found = 0;
  const maps = fc.tuple(
    fc.constantFrom([24], [4, 6], [2, 3, 4], [3, 1, 8], [6, 2, 2]),
    fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 3, maxLength: 3 }),
  );
  fc.assert(
    fc.property(view, maps, (own, [dims, strides]) => {
      const at = elementsOf(own);
      fc.pre(at.every((i) => i >= 0 && i < 24));
      const map = { dims, offset: 100, strides: strides.slice(0, dims.length) };
      const composed = compose(own, map);
      if (composed === null) return;
      found++;
      const target = elementsOf(map);
      expect(elementsOf(flat(composed))).toEqual(at.map((i) => target[i]));
    }),
    { numRuns: 2000 },
  );
  expect(found).toBeGreaterThan(500);
});

test('a view of all of a memory is found in any order of axes', () => {
  const map = { dims: [2, 3, 4], offset: 0, strides: [4, 8, 1] };
  expect(elementsOf(flat(compose({ dims: [24], offset: 0, strides: [1] }, map)!))).toEqual(elementsOf(map));
  expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
});

test('views that are said to be apart have no element in common', () => {
  let apart = 0;
  fc.assert(
    fc.property(view, view, fc.nat(20), (a, b, by) => {
      const moved = { ...b, offset: b.offset + by };
      const own = new Set(elementsOf(a));
      const meets = elementsOf(moved).some((at) => own.has(at));
      if (!areApart(a, moved)) return;
      apart++;
      expect(meets).toBe(false);
    }),
    { numRuns: 2000 },
  );
  expect(apart).toBeGreaterThan(200);
  // Columns of one matrix.
  const columns = (from: number) => ({ dims: [4, 2], offset: from, strides: [6, 1] });
  expect(areApart(columns(0), columns(2))).toBe(true);
  expect(areApart(columns(0), columns(1))).toBe(false);
});

// ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────

test('a profile tells what each pass did', () => {
  const step = compile((x: Tensor) =>
    x
      .slice([null, [0, 2]])
      .tanh()
      .mul(2)
      .add(1),
  );
  step.sync(randn([4, 4]));
  const { passes, calls } = profile(step, [randn([4, 4])], { print: false, passes: true, runs: 5 });
  expect(calls.map(({ kernel }) => kernel)).toEqual(['fused']);
  expect(passes[0].before).toMatchObject({ calls: 4, kernels: { copy: 1, unary: 3 } });
  expect(passes[passes.length - 1].after).toMatchObject({ calls: 1, kernels: { fused: 1 } });
  // What it reads and what it leaves.
  expect(passes[passes.length - 1].after.bytes).toBe(2 * 8 * 4);
  const text = profile(step, undefined, { print: false, passes: true, runs: 5 }).toString();
  for (const { pass } of passes) expect(text).toContain(pass);
});
