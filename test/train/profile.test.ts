/** The profiler: what it reports, and that it leaves no trace. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  Adam,
  ArgumentError,
  AutogradError,
  compile,
  concat,
  Dense,
  Dropout,
  IndexError,
  losses,
  Profile,
  profile,
  randn,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';

/** A compiled training step after its first call, and all that a step changes. */
function scene() {
  seed(1);
  const model = new Sequential([
    new Dense(20, 30, { activation: 'relu' }),
    new Dropout(0.5),
    new Dense(30, 1),
  ]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = losses.mse(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  const [x, y] = [randn([16, 20]), randn([16, 1])];
  step.sync(x, y);
  const state = () => [
    ...[...model.parameters()].flatMap((p) => [p.toArray(), p.grad?.toArray()]),
    ...Object.values(optimizer.stateDict()).map((t) => t.toArray()),
  ];
  return { model, optimizer, step, x, y, state };
}

afterEach(() => vi.restoreAllMocks());
const quiet = { print: false, runs: 3 };

describe('profile', () => {
  test('reports every call of the recorded step, and their sums by kernel', () => {
    const { step, x, y } = scene();
    const result = profile(step, [x, y], quiet);
    expect(result).toBeInstanceOf(Profile);
    expect(result.runs).toBe(3);
    const names = result.calls.map(({ kernel }) => kernel);
    expect(names).toEqual(expect.arrayContaining(['gemm', 'dropoutMask', 'loss', 'adam']));
    // All four parameters at once.
    expect(names.filter((name) => name === 'adam')).toHaveLength(1);
    const forward = result.calls.find(({ kernel }) => kernel === 'gemm')!;
    expect(forward.size).toBe('16×30×20 NT');
    expect(forward.operations).toBe(2 * 16 * 30 * 20 + 2 * 16 * 30);
    for (const { time, bytes, limit } of result.calls) {
      expect(time).toBeGreaterThanOrEqual(0);
      expect(bytes).toBeGreaterThan(0);
      expect(limit).toBeGreaterThan(0);
    }
    expect(result.kernels.reduce((sum, { calls }) => sum + calls, 0)).toBe(result.calls.length);
    expect(result.kernels.reduce((sum, { time }) => sum + time, 0)).toBeCloseTo(result.time, 12);
    const times = result.kernels.map(({ time }) => time);
    expect(times).toEqual([...times].sort((a, b) => b - a));
    const { float32, float64, bandwidths } = result.limits;
    for (const limit of [float32, float64, ...bandwidths.map(({ rate }) => rate)]) {
      expect(limit).toBeGreaterThan(1e8);
      expect(limit).toBeLessThan(1e14);
    }
  });

  test('leaves parameters, gradients, optimizer and random state as they were', () => {
    const [one, other] = [scene(), scene()];
    const before = one.state();
    profile(one.step, [one.x, one.y], quiet);
    expect(one.state()).toEqual(before);
    profile(one.step, undefined, quiet);
    expect(one.state()).toEqual(before);
    // The same mask is drawn next, and the same step made, as without a profile.
    seed(5);
    const expected = other.step.sync(other.x, other.y).item();
    seed(5);
    profile(one.step, [one.x, one.y], quiet);
    expect(one.step.sync(one.x, one.y).item()).toBe(expected);
    expect(one.state()).toEqual(other.state());
  });

  test('refuses more runs than anyone would wait for', () => {
    const { step, x, y } = scene();
    for (const runs of [10_001, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
      expect(() => profile(step, [x, y], { ...quiet, runs })).toThrow(ArgumentError);
    }
  });

  test('restores them after a run that fails', () => {
    const { model, x } = scene();
    const step = compile((input: Tensor, labels: Tensor) =>
      losses.softmaxCrossEntropy(concat([model.forward(input), input], 1), labels),
    );
    const labels = tensor(new Int32Array(16));
    step.sync(x, labels);
    seed(5);
    // Dropout has drawn when the label is found to be out of range.
    expect(() => profile(step, [x, tensor(new Int32Array(16).fill(99))], quiet)).toThrow(IndexError);
    const next = randn([4]).toArray();
    seed(5);
    expect(next).toEqual(randn([4]).toArray());
  });

  test('comes after the runs that were queued', async () => {
    const { step, x, y, optimizer } = scene();
    const runs = [step(x, y), step(x, y), step(x, y)];
    profile(step, [x, y], quiet);
    expect(optimizer.stateDict()['step.0'].item()).toBe(4);
    const values = await Promise.all(runs);
    expect(values.every((value) => Number.isFinite(value.item()))).toBe(true);
  });

  test('of a forward pass', () => {
    const { model, x } = scene();
    model.eval();
    const forward = compile((input: Tensor) => model.forward(input));
    forward.sync(x);
    const { calls } = profile(forward, [x], quiet);
    expect(calls.map(({ kernel }) => kernel)).toEqual(['gemm', 'gemm']);
  });

  test('prints two tables unless told not to', () => {
    const { step } = scene();
    const written: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    profile(step, undefined, quiet);
    expect(written).toEqual([]);
    const result = profile(step, undefined, { runs: 2 });
    expect(written.join('')).toBe(`${result}\n`);
    const text = result.toString(3);
    expect(text).toMatch(/^one run: .* medians of 2 runs\nlimits: .* GFLOP\/s in float32/);
    expect(text).toMatch(/kernel +calls +time +share +GFLOP\/s +GB\/s +of limit\n─+\n/);
    expect(text).toMatch(/\ntotal +\d+ .* 100 %/);
    const [, calls] = text.split(/\ncall .*\n─+\n/);
    expect(calls.split('\n')).toHaveLength(3);
  });
});

describe('profile refuses', () => {
  const { step, x, y } = scene();

  test.each<[string, () => unknown, RegExp]>([
    [
      'what is not compiled',
      () => profile((() => x) as never),
      /expected step to be what compile\(\) returned/,
    ],
    ['nothing', () => profile(undefined as never), /got undefined/],
    ['a function never called', () => profile(compile(() => x)), /to have been called before/],
    [
      'arguments of a new kind',
      () => profile(step, [x, randn([16, 2])]),
      /to have been called with arguments of this kind before/,
    ],
    ['arguments that are no array', () => profile(step, x as never), /expected args to be an array/],
    ['an unknown option', () => profile(step, [x, y], { repeat: 3 } as never), /got repeat/],
    ['no runs', () => profile(step, [x, y], { runs: 0 }), /runs to be an integer of at least 1/],
    ['a print that is no boolean', () => profile(step, [x, y], { print: 1 as never }), /true or false/],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(message);
  });

  test('to run inside a compiled function', () => {
    expect(() => compile(() => profile(step, undefined, quiet)).sync()).toThrow(AutogradError);
  });
});
