/** Embedding: what it gives, how it learns, and what of it lasts. PyTorch's values are those of test/reference/recurrent.py. */
import { describe, expect, it, test } from 'vitest';
import {
  Adam,
  ArgumentError,
  compile,
  Dense,
  DtypeError,
  Embedding,
  encodeModel,
  encodeWeights,
  Flatten,
  type FloatDtype,
  fit,
  gradCheck,
  IndexError,
  loadModel,
  loadSafetensors,
  loadWeights,
  losses,
  predict,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { uniform } from '../cases/case.ts';
import { elements } from '../cases/values.ts';
import { deviation, type Numbers, read } from '../reference/read.ts';

const int32 = (values: readonly unknown[]) => tensor(values as number[], { dtype: 'int32' });
const rows = (name: string, shape: number[], low = -1, high = 1) => elements(uniform(shape, low, high), name);
const counted = () => new Embedding(4, 2, { init: () => [0, 1, 10, 11, 20, 21, 30, 31] });

describe('Embedding', () => {
  it('takes rows, for indices of any shape', async () => {
    const layer = counted();
    expect(layer.forward(int32([2, 0])).toArray()).toEqual([
      [20, 21],
      [0, 1],
    ]);
    expect(layer.forward(int32([[[3]], [[1]]])).toArray()).toEqual([[[[30, 31]]], [[[10, 11]]]]);
    expect(layer.outputShape([5, 3])).toEqual([5, 3, 2]);
    expect(layer.outputShape([])).toEqual([2]);
    for (const compiled of [true, false]) {
      for (const x of [
        [
          [3, 1],
          [0, 0],
        ],
        [Uint8Array.of(3, 1), Uint8Array.of(0, 0)],
      ]) {
        expect((await predict(layer, x, { compiled })).toArray()).toEqual([
          [
            [30, 31],
            [10, 11],
          ],
          [
            [0, 1],
            [0, 1],
          ],
        ]);
      }
    }
  });

  it('begins with N(0, 1), and zeros for the padding', async () => {
    seed(1);
    const { weight } = new Embedding(1000, 50, { paddingIndex: -2 });
    const values = Array.from(weight.data);
    expect(values.slice(998 * 50, 999 * 50)).toEqual(new Array(50).fill(0));
    expect(values.filter((x) => x === 0).length).toBe(50);
    expect(values.reduce((sum, x) => sum + x * x, 0) / values.length).toBeCloseTo(0.999, 1);
    const own = new Embedding(2, 2, { paddingIndex: 0, init: 'ones' });
    expect([...own.weight.data]).toEqual([0, 0, 1, 1]);
    own.weight.assign([
      [3, 4],
      [5, 6],
    ]);
    // What somebody puts there stays, in a file as well.
    expect((await loadModel(encodeModel(own))).forward(int32([0])).toArray()).toEqual([[3, 4]]);
    expect(own.forward(int32([0])).toArray()).toEqual([[3, 4]]);
  });

  it('adds up the gradients of each row, and none for the padding, whatever comes', () => {
    for (const paddingIndex of [null, 1]) {
      const layer = new Embedding(4, 2, { paddingIndex, init: 'ones', dtype: 'float64' });
      const x = int32([
        [0, 1],
        [3, 0],
      ]);
      const factors = tensor(
        [
          [
            [1, 2],
            [Number.NaN, Infinity],
          ],
          [
            [5, 6],
            [7, 8],
          ],
        ],
        { dtype: 'float64' },
      );
      for (let pass = 1; pass <= 2; pass++) {
        layer.forward(x).mul(factors).sum().backward();
        const padded = paddingIndex === null ? [Number.NaN, Infinity] : [0, 0];
        expect(layer.weight.grad!.toArray()).toEqual([
          [8 * pass, 10 * pass],
          padded,
          [0, 0],
          [5 * pass, 6 * pass],
        ]);
      }
      const loss = () => layer.forward(x).square().mul(3).sum();
      layer.weight.zeroGrad();
      if (paddingIndex === null) expect(gradCheck(loss, [layer.weight]).ok).toBe(true);
    }
  });

  it('refuses an index out of range and says where, at each run of a compiled function', () => {
    const layer = counted();
    const step = compile((x: Tensor) => layer.forward(x));
    for (const forward of [(x: Tensor) => layer.forward(x), step.sync]) {
      for (let i = 0; i < 4; i++) expect(forward(int32([i])).toArray()).toEqual([[10 * i, 10 * i + 1]]);
      for (const bad of [4, -1, 2 ** 31 - 1, -(2 ** 31)]) {
        expect(() => forward(int32([bad]))).toThrow(IndexError);
        expect(() => forward(int32([bad]))).toThrow(new RegExp(`\\[0\\] to be from 0 to 3, got ${bad}`));
      }
      expect(forward(int32([3])).toArray()).toEqual([[30, 31]]);
    }
  });

  it('refuses what it cannot be made of, and what are no indices', async () => {
    const bad: [number, number, object, RegExp][] = [
      [0, 2, {}, /count to be an integer of at least 1, got 0/],
      [2, 1.5, {}, /size to be an integer of at least 1, got 1.5/],
      [2, 2, { paddingIndex: 2 }, /paddingIndex to be from -2 to 1, got 2/],
      [2, 2, { paddingIndex: -3 }, /paddingIndex to be from -2 to 1, got -3/],
      [2, 2, { paddingIndex: '0' }, /paddingIndex to be an index or null/],
      [2, 2, { padding: 0 }, /padding/],
      [2, 2, { init: 'none' }, /\[Embedding\] expected one of/],
    ];
    for (const [count, size, options, message] of bad) {
      expect(() => new Embedding(count, size, options)).toThrow(ArgumentError);
      expect(() => new Embedding(count, size, options)).toThrow(message);
    }
    expect(() => new Embedding(2, 2).forward(tensor([1]))).toThrow(DtypeError);
    await expect(predict(new Embedding(2, 2), [0.5])).rejects.toMatchObject({ code: 'AXPY_DATA' });
  });

  it('is told in summary and config, and keeps its name in files of PyTorch', async () => {
    const model = new Sequential(
      [new Embedding(9, 3, { paddingIndex: -1 }), new Flatten(), new Dense(12, 2)],
      {
        inputShape: [4],
      },
    );
    expect(model.summary()).toMatch(/Embedding 1 +\[batch, 4, 3\] +27/);
    expect(model.layers[0].config).toEqual({
      type: 'Embedding',
      count: 9,
      size: 3,
      paddingIndex: 8,
      init: { name: 'normal', deviation: 1 },
      dtype: 'float32',
    });
    const weight = tensor(rows('w', [9, 3]), { shape: [9, 3] });
    const report = await loadWeights({ '0.weight': weight }, model, { convention: 'pytorch', strict: false });
    expect(report.loaded).toEqual(['0.weight']);
    expect(model.layers[0].weight.toArray()).toEqual(weight.toArray());
    // The features of an Embedding are last there as well: what is flattened after it keeps its order, whatever its size.
    const flat = () => new Sequential([new Embedding(9, 3), new Flatten(), new Dense(12, 2)]);
    const [from, to] = [flat(), flat()];
    expect(
      (await loadSafetensors(encodeWeights(from, { convention: 'pytorch' })))['2.weight'].toArray(),
    ).toEqual(from.layers[2].weight.toArray());
    await loadWeights(from.stateDict(), to, { convention: 'pytorch' });
    expect(to.layers[2].weight.toArray()).toEqual(from.layers[2].weight.toArray());
  });

  it('learns in fit, of plain numbers', async () => {
    seed(1);
    const model = new Sequential([new Embedding(6, 4), new Flatten(), new Dense(12, 2)]);
    // Whether a 5 is among them.
    const x = Array.from({ length: 60 }, (_, i) => [i % 6, (i * 5 + 1) % 6, (i * 7 + (i >> 3)) % 6]);
    const y = x.map((words) => Number(words.includes(5)));
    const { epochs } = await fit(
      model,
      { x, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: new Adam(model.parameters(), { learningRate: 0.05 }),
        epochs: 30,
        metrics: ['accuracy'],
        validation: { x, y },
      },
    );
    expect(epochs[29].validation?.accuracy).toBe(1);
  });
});

describe.each<[FloatDtype, number]>([
  ['float64', 1e-12],
  ['float32', 1e-4],
])('%s', (dtype, tolerance) => {
  test.each([false, true])('a training with padding is that of PyTorch, compiled: %s', (compiled) => {
    const wanted = read<Record<string, Numbers>>('recurrent').embedding;
    const table = new Embedding(7, 3, { paddingIndex: 2, dtype });
    const out = new Dense(3, 2, { dtype });
    table.weight.assign(tensor(rows('embedding/table/weight', [7, 3]), { shape: [7, 3], dtype }));
    out.weight.assign(tensor(rows('embedding/out/weight', [2, 3]), { shape: [2, 3], dtype }));
    out.bias!.assign(tensor(rows('embedding/out/bias', [2]), { dtype }));
    const optimizer = new Adam([...table.parameters(), ...out.parameters()], { learningRate: 0.1 });
    const step = (words: Tensor) => {
      const loss = losses.softmaxCrossEntropy(out.forward(table.forward(words).mean(1)), int32([0, 1, 0, 1]));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return [loss, table.weight.grad!];
    };
    const run = compiled ? compile(step).sync : step;
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      const words = Int32Array.from(rows(`embedding/x/${i}`, [4, 5], 0, 7));
      for (const x of run(tensor(words, { shape: [4, 5] }))) seen.push(...x.data);
    }
    seen.push(...table.weight.data);
    const got = dtype === 'float64' ? Float64Array.from(seen) : Float32Array.from(seen);
    expect(deviation(got, wanted, tolerance)).toBe(null);
  });
});
