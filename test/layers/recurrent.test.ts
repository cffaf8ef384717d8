/** LSTM, GRU and RNN in use: in models, over segments, on sequences of different lengths, and what they refuse. */
import { describe, expect, it, onTestFinished, test } from 'vitest';
import {
  Adam,
  ArgumentError,
  compile,
  Dense,
  Dropout,
  DtypeError,
  Embedding,
  encodeModel,
  encodeWeights,
  evaluate,
  Flatten,
  fit,
  GRU,
  grad,
  gradCheck,
  IndexError,
  Layer,
  LSTM,
  loadModel,
  loadSafetensors,
  loadWeights,
  losses,
  predict,
  profile,
  RNN,
  randn,
  Sequential,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { elements as elementsOf } from '../../lib/tensor.ts';

const int32 = (values: number[]) => tensor(values, { dtype: 'int32' });
const numbers = (x: Tensor) => Array.from(elementsOf(x));
const close = (a: Tensor, b: Tensor, digits = 5) => {
  expect(a.shape).toEqual(b.shape);
  const others = numbers(b);
  numbers(a).forEach((value, i) => {
    expect(value).toBeCloseTo(others[i], digits);
  });
};

const kinds = { LSTM, GRU, RNN };

describe.each(Object.entries(kinds))('%s', (name, Kind) => {
  it('announces the shape that it gives', () => {
    for (const bidirectional of [false, true]) {
      for (const layers of [1, 3]) {
        const width = bidirectional ? 10 : 5;
        const sequence = new Kind(3, 5, { bidirectional, layers });
        const last = new Kind(3, 5, { bidirectional, layers, returns: 'last' });
        for (const batch of [2, 0]) {
          expect(sequence.forward(zeros([batch, 4, 3])).shape).toEqual([batch, 4, width]);
          expect(last.forward(zeros([batch, 4, 3])).shape).toEqual([batch, width]);
        }
        expect(sequence.outputShape([4, 3])).toEqual([4, width]);
        expect(last.outputShape([4, 3])).toEqual([width]);
        expect(sequence.outputShape(undefined)).toBe(undefined);
        expect(last.outputShape(undefined)).toEqual([width]);
        expect(sequence.cells.length).toBe(layers * (bidirectional ? 2 : 1));
      }
    }
  });

  it('ends with the last states: forwards at the end, backwards at the beginning', () => {
    const options = { layers: 2, bidirectional: true } as const;
    const layer = new Kind(3, 4, options);
    const last = new Kind(3, 4, { ...options, returns: 'last' });
    last.loadStateDict(layer.stateDict());
    const x = randn([2, 5, 3]);
    for (const lengths of [undefined, int32([5, 3])]) {
      const sequence = layer.forward(x, lengths);
      const ends = (lengths ? numbers(lengths) : [5, 5]).map((end, i) => [
        ...numbers(
          sequence.slice([
            [i, i + 1],
            [end - 1, end],
            [0, 4],
          ]),
        ),
        ...numbers(sequence.slice([[i, i + 1], [0, 1], [4]])),
      ]);
      expect(last.forward(x, lengths).toArray()).toEqual(ends);
      const { output, state } = last.forward(x, {}, lengths);
      expect(output.toArray()).toEqual(ends);
      expect(state.h.shape).toEqual([4, 2, 4]);
      expect(state.h.slice([[2, 3]]).toArray()).toEqual([ends.map((end) => end.slice(0, 4))]);
      expect(state.h.slice([[3, 4]]).toArray()).toEqual([ends.map((end) => end.slice(4))]);
    }
  });

  it('goes on from a state, by which two halves are the whole', () => {
    const layer = new Kind(3, 4, { layers: 2 });
    const x = randn([2, 6, 3]);
    const whole = layer.forward(x, {});
    const step = compile((part: Tensor, state: object) => layer.forward(part, state));
    for (const forward of [(part: Tensor, state: object) => layer.forward(part, state), step.sync]) {
      let state: object = {};
      const outputs: number[][][][] = [];
      for (const [from, to] of [
        [0, 1],
        [1, 4],
        [4, 6],
      ]) {
        const result = forward(x.slice([null, [from, to]]), state);
        outputs.push(result.output.toArray<number[][][]>());
        state = result.state;
      }
      const joined = [0, 1].map((i) => outputs.flatMap((part) => part[i]));
      close(tensor(joined), whole.output);
      close((state as { h: Tensor }).h, whole.state.h);
    }
  });

  it('carries states in compiled steps as it does eagerly, to the bit', async () => {
    const seen = [false, true].map((compiled) => {
      seed(3);
      const layer = new Kind(2, 5);
      const optimizer = new SGD(layer.parameters(), { learningRate: 0.1 });
      const learn = (x: Tensor, y: Tensor, from: { h?: Tensor }) => {
        const { output, state } = layer.forward(x, from);
        const loss = losses.mse(output, y);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return { loss, state };
      };
      const step = compiled ? compile(learn).sync : learn;
      let state = {};
      const found: number[] = [];
      for (let i = 0; i < 7; i++) {
        const result = step(randn([3, 4, 2]), randn([3, 4, 5]), state);
        found.push(result.loss.item());
        state = Object.fromEntries(Object.entries(result.state).map(([key, x]) => [key, x.detach()]));
      }
      return found;
    });
    expect(seen[1]).toEqual(seen[0]);
  });

  it('takes sequences of different lengths as each by itself, whatever fills them up', () => {
    const layer = new Kind(3, 4, { layers: 2, bidirectional: true, dtype: 'float64' });
    const lengths = [4, 1, 6, 0];
    const x = randn([4, 6, 3], { dtype: 'float64' });
    const alone = lengths.map((length, i) => {
      if (length === 0) return null;
      for (const parameter of layer.parameters()) parameter.zeroGrad();
      const result = layer.forward(
        x.slice([
          [i, i + 1],
          [0, length],
        ]),
        {},
      );
      result.output.square().sum().add(result.state.h.sum()).backward();
      return { ...result, gradients: layer.parameters().map((parameter) => numbers(parameter.grad!)) };
    });
    const filled = [0, 1e300, Number.NaN, Infinity].map((filling) => {
      const values = numbers(x);
      for (let i = 0; i < values.length; i++) {
        if (Math.floor(i / 3) % 6 >= lengths[Math.floor(i / 18)]) values[i] = filling;
      }
      return tensor(values, { shape: [4, 6, 3], dtype: 'float64' });
    });
    const run = (input: Tensor, ends: Tensor) => {
      for (const parameter of layer.parameters()) parameter.zeroGrad();
      const leaf = input.mul(1).detach();
      leaf.requiresGrad = true;
      const result = layer.forward(leaf, {}, ends);
      result.output.square().sum().add(result.state.h.sum()).backward();
      return { ...result, gradients: [leaf, ...layer.parameters()].map((each) => each.grad!) };
    };
    const compiled = compile(run).sync;
    for (const input of filled) {
      for (const way of [run, compiled]) {
        const { output, state, gradients } = way(input, int32(lengths));
        alone.forEach((one, i) => {
          const own = output.slice([[i, i + 1]]);
          if (lengths[i] < 6) {
            const rest = numbers(own.slice([null, [lengths[i]]]));
            expect(rest).toEqual(new Array(rest.length).fill(0));
          }
          if (one === null) return;
          close(own.slice([null, [0, lengths[i]]]), one.output, 12);
          close(state.h.slice([null, [i, i + 1]]), one.state.h, 12);
        });
        // One without a step has its state from the beginning.
        expect(numbers(state.h.slice([null, [3, 4]]))).toEqual(new Array(16).fill(0));
        const [ofX, ...ofParameters] = gradients.map(numbers);
        ofX.forEach((value, i) => {
          if (Math.floor(i / 3) % 6 >= lengths[Math.floor(i / 18)]) expect(value).toBe(0);
        });
        ofParameters.forEach((values, p) => {
          values.forEach((value, j) => {
            const sum = alone.reduce((total, one) => total + (one?.gradients[p][j] ?? 0), 0);
            expect(value).toBeCloseTo(sum, 10);
          });
        });
      }
    }
  });

  it('refuses a length out of range at each run, and goes on', () => {
    const layer = new Kind(2, 3, { returns: 'last' });
    const run = compile((x: Tensor, lengths: Tensor) => layer.forward(x, lengths)).sync;
    const x = randn([2, 4, 2]);
    const expected = layer.forward(x, int32([4, 2]));
    for (const forward of [(a: Tensor, lengths: Tensor) => layer.forward(a, lengths), run]) {
      for (let i = 0; i < 3; i++) {
        for (const bad of [5, -1]) expect(() => forward(x, int32([4, bad]))).toThrow(IndexError);
        expect(() => forward(x, int32([5, 1]))).toThrow(/\[0\] to be from 0 to 4, got 5/);
        close(forward(x, int32([4, 2])), expected, 6);
      }
    }
  });

  it('refuses what does not fit, by its name', () => {
    const layer = new Kind(3, 4);
    const x = zeros([2, 5, 3]);
    const cases: [call: () => unknown, error: new (...args: never[]) => Error, message: RegExp][] = [
      [
        () => layer.forward(zeros([2, 3])),
        ShapeError,
        /expected input \[batch, time ≥ 1, 3\], received \[2, 3\]/,
      ],
      [() => layer.forward(zeros([2, 5, 4])), ShapeError, /received \[2, 5, 4\]/],
      [() => layer.forward(zeros([2, 0, 3])), ShapeError, /time ≥ 1.* received \[2, 0, 3\]/],
      [() => layer.outputShape([5, 4]), ShapeError, /received \[batch, 5, 4\]/],
      [
        () => layer.forward(zeros([2, 5, 3], { dtype: 'float64' })),
        DtypeError,
        /float32 input, received float64/,
      ],
      [() => layer.forward([[[1, 2, 3]]] as never), ArgumentError, /tensor/],
      [() => layer.forward(x, { h: zeros([2, 4]) }), ShapeError, /expected h \[1, 2, 4\], received \[2, 4\]/],
      [
        () => layer.forward(x, { h: zeros([1, 2, 4], { dtype: 'float64' }) as never }),
        DtypeError,
        /float32 h/,
      ],
      [() => layer.forward(x, { h: 1 } as never), ArgumentError, /h to be a tensor/],
      [() => layer.forward(x, { hidden: x } as never), ArgumentError, /among h/],
      [() => layer.forward(x, 5 as never), ArgumentError, /a state \{ h.* \} or lengths, got 5/],
      [() => layer.forward(x, zeros([2]) as never), DtypeError, /int32 lengths, received float32/],
      [() => layer.forward(x, {}, [1, 2] as never), ArgumentError, /lengths to be a tensor/],
      [() => layer.forward(x, int32([1, 2, 3])), ShapeError, /lengths \[2\], received \[3\]/],
      [() => new Kind(0, 1), ArgumentError, /inputSize to be an integer of at least 1/],
      [() => new Kind(1, 1.5), ArgumentError, /hiddenSize to be an integer/],
      [() => new Kind(1, 1, { layers: 0 }), ArgumentError, /layers to be an integer/],
      [
        () => new Kind(1, 1, { layers: 2, dropout: 1 }),
        ArgumentError,
        /dropout to be at least 0 and less than 1/,
      ],
      [() => new Kind(1, 1, { dropout: 0.5 }), ArgumentError, /dropout to be 0 for one level/],
      [() => new Kind(1, 1, { returns: 'all' as never }), ArgumentError, /'sequence' or 'last'/],
      [() => new Kind(1, 1, { numLayers: 2 } as never), ArgumentError, /numLayers/],
      [
        () => new Kind(1, 1, { init: 'none' as never }),
        ArgumentError,
        new RegExp(`\\[${name}\\] expected one of`),
      ],
    ];
    for (const [call, error, message] of cases) {
      expect(call).toThrow(error);
      expect(call).toThrow(message);
    }
  });

  it('drops between levels, in training alone', () => {
    seed(5);
    const layer = new Kind(3, 4, { layers: 3, dropout: 0.5 });
    const state = Object.entries(layer.stateDict());
    const sizes = [3, 4, 4];
    const levels = sizes.map((size, level) => {
      const own = new Kind(size, 4);
      const prefix = `cells.${level}.`;
      const names = state.filter(([path]) => path.startsWith(prefix));
      own.loadStateDict(Object.fromEntries(names.map(([path, x]) => [path.replace(prefix, 'cells.0.'), x])));
      return own;
    });
    const [a, b, c] = levels;
    const same = new Sequential([a, new Dropout(0.5), b, new Dropout(0.5), c]);
    const x = randn([2, 5, 3]);
    for (const training of [true, false]) {
      const results = [layer.train(training), same.train(training)].map((model) => {
        seed(8);
        return [1, 2].map(() => numbers(model.forward(x)));
      });
      expect(results[1]).toEqual(results[0]);
      if (training) expect(results[0][1]).not.toEqual(results[0][0]);
      else expect(results[0][1]).toEqual(results[0][0]);
    }
  });

  it('begins as in PyTorch, uniform on ±1/√hiddenSize', () => {
    seed(2);
    const values = new Kind(8, 16).parameters().flatMap((parameter) => numbers(parameter));
    expect(Math.max(...values)).toBeLessThanOrEqual(0.25);
    expect(Math.min(...values)).toBeLessThan(-0.24);
    expect(values.reduce((sum, x) => sum + x * x, 0) / values.length).toBeCloseTo(0.25 ** 2 / 3, 2);
    const own = new Kind(2, 3, { init: 'ones', recurrentInit: 'zeros', biasInit: 'constant' });
    const { weightIh, weightHh, biasIh, biasHh } = own.cells[0];
    expect([weightIh, weightHh, biasIh!, biasHh!].map((x) => x.data[0])).toEqual([
      1,
      0,
      Math.fround(0.1),
      Math.fround(0.1),
    ]);
    expect(own.parameters().map(({ decays }) => decays)).toEqual([true, true, false, false]);
  });

  it('is recorded in calls that grow with time by as many a step', () => {
    // As it is by default; other files of this process may have set it.
    const others = { ...pays };
    Object.assign(pays, { from: 1024, run: 64 });
    onTestFinished(() => void Object.assign(pays, others));
    const layer = new Kind(2, 3, { bidirectional: true, returns: 'last' });
    const learn = compile((x: Tensor) => {
      for (const parameter of layer.parameters()) parameter.zeroGrad();
      const loss = layer.forward(x).square().sum();
      loss.backward();
      return loss;
    });
    const counts = [8, 16, 24, 40].map((time) => {
      const x = randn([2, time, 2]);
      learn.sync(x);
      return profile(learn, [x], { print: false, runs: 1 }).calls.length;
    });
    const perStep = (counts[1] - counts[0]) / 8;
    expect(counts.slice(2)).toEqual([counts[1] + 8 * perStep, counts[1] + 24 * perStep]);
    expect(perStep).toBeLessThan(100);
  });

  it('has gradients as finite differences say', () => {
    seed(1);
    const layer = new Kind(2, 3, { bidirectional: true, layers: 2, dtype: 'float64' });
    const x = randn([2, 3, 2], { dtype: 'float64' });
    const loss = (input: Tensor) => {
      const { output, state } = layer.forward(input, {}, int32([3, 2]));
      return output.square().sum().add(state.h.sum());
    };
    expect(gradCheck(loss, [x.setRequiresGrad()]).ok).toBe(true);
    for (const parameter of layer.parameters()) expect(gradCheck(() => loss(x), [parameter]).ok).toBe(true);
  });

  it('has gradients of its gradients', () => {
    seed(1);
    const layer = new Kind(2, 3, { bidirectional: true, dtype: 'float64' });
    const lengths = int32([3, 2]);
    const slope = grad((x: Tensor) => layer.forward(x, lengths).square().sum(), 0, { createGraph: true });
    const x = randn([2, 3, 2], { dtype: 'float64' }).setRequiresGrad();
    const penalty = () => slope(x).square().sum();
    penalty().backward();
    for (const leaf of [x, layer.cells[0].weightHh, layer.cells[1].weightIh]) {
      const { data } = leaf;
      numbers(leaf.grad!).forEach((value, i) => {
        const own = data[i];
        const [above, below] = [own + 1e-5, own - 1e-5].map((moved) => {
          data[i] = moved;
          return penalty().item();
        });
        data[i] = own;
        expect((above - below) / 2e-5).toBeCloseTo(value, 6);
      });
    }
  });

  it('is named in files of PyTorch as there, level by level and direction by direction', async () => {
    const make = () =>
      new Sequential([
        new Embedding(5, 3),
        new Kind(3, 2, { layers: 2, bidirectional: true }),
        new Flatten(),
        new Dense(24, 1),
      ]);
    const model = make();
    const bytes = encodeWeights(model, { convention: 'pytorch' });
    const names = ['', '_reverse'].flatMap((end) => [0, 1].map((level) => `l${level}${end}`));
    const words = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'];
    const expected = names.flatMap((end) => words.map((word) => `1.${word}_${end}`));
    const found = await loadSafetensors(bytes);
    expect(Object.keys(found).sort()).toEqual([...expected, '0.weight', '3.weight', '3.bias'].sort());
    expect(found['1.weight_ih_l1'].shape[1]).toBe(4);
    const other = make();
    await loadWeights(bytes, other, { convention: 'pytorch' });
    expect(encodeWeights(other)).toEqual(encodeWeights(model));
  });

  it('is shared with another model of its kind, and saved', async () => {
    const [from, to] = [new Kind(2, 3), new Kind(2, 3)];
    to.attach(from.share());
    from.cells[0].weightIh.assign(randn(from.cells[0].weightIh.shape));
    const x = randn([1, 4, 2]);
    expect(to.forward(x).toArray()).toEqual(from.forward(x).toArray());
    const again = await loadModel(encodeModel(from));
    expect(again).toBeInstanceOf(Kind);
    expect(again.config).toEqual(from.config);
    expect(again.forward(x).toArray()).toEqual(from.forward(x).toArray());
  });
});

/** The first of some words decides, however long ago it was. */
function words(count: number): { x: number[][]; y: number[]; lengths: number[] } {
  const x = Array.from({ length: count }, (_, i) =>
    Array.from({ length: 8 }, (_, t) => (i * (t + 3) + t * t + (i >> 2)) % 6),
  );
  return { x, y: x.map(([first]) => Number(first >= 3)), lengths: x.map((_, i) => 3 + (i % 6)) };
}

describe('a model over time', () => {
  test.each(Object.entries(kinds))('%s learns what was first, in fit, of plain numbers', async (_, Kind) => {
    seed(4);
    const model = new Sequential(
      [new Embedding(6, 8), new Kind(8, 16, { returns: 'last' }), new Dense(16, 2)],
      {
        inputShape: [8],
      },
    );
    expect(model.summary()).toMatch(/\[batch, 16\]/);
    const { x, y } = words(120);
    const { epochs } = await fit(
      model,
      { x, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: new Adam(model.parameters(), { learningRate: 0.02 }),
        epochs: 40,
        batchSize: 24,
        metrics: ['accuracy'],
      },
    );
    expect(epochs[39].accuracy).toBe(1);
    const compiled = await predict(model, x);
    close(await predict(model, x, { compiled: false }), compiled);
    expect((await evaluate(model, { x, y }, { metrics: ['accuracy'] })).accuracy).toBe(1);
  });

  it('takes lengths beside the words, as plain numbers too', async () => {
    class Reader extends Layer {
      override readonly inputDtype = 'int32';
      readonly table = new Embedding(7, 8, { paddingIndex: 6 });
      readonly over = new GRU(8, 16, { returns: 'last', bidirectional: true });
      readonly out = new Dense(32, 2);
      forward(x: Tensor, lengths: Tensor): Tensor {
        return this.out.forward(this.over.forward(this.table.forward(x), lengths));
      }
    }
    seed(4);
    const model = new Reader();
    const { x, y, lengths } = words(120);
    const padded = x.map((row, i) => row.map((word, t) => (t < lengths[i] ? word : 6)));
    const inputs = [tensor(padded, { dtype: 'int32' }), int32(lengths)];
    const { epochs } = await fit(
      model,
      { x: inputs, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: new Adam(model.parameters(), { learningRate: 0.02 }),
        epochs: 30,
      },
    );
    expect(epochs[29].loss).toBeLessThan(0.1);
    const y1 = await predict(model, inputs);
    // What fills up makes no difference.
    const otherwise = x.map((row, i) => row.map((word, t) => (t < lengths[i] ? word : 2)));
    close(await predict(model, [tensor(otherwise, { dtype: 'int32' }), int32(lengths)]), y1, 5);
  });

  it('takes lengths as plain numbers beside a sequence', async () => {
    const layer = new LSTM(2, 3, { returns: 'last' });
    const x = randn([2, 4, 2]);
    const expected = layer.forward(x, int32([1, 4]));
    for (const model of [layer, new Sequential([layer])]) {
      close(await predict(model, [x, int32([1, 4])]), expected);
    }
  });

  it('hands the gradient of a state on: what reads teaches what has written', () => {
    const [writer, reader] = [new LSTM(2, 3), new LSTM(2, 3)];
    const { state } = writer.forward(randn([1, 4, 2]), {});
    reader
      .forward(randn([1, 2, 2]), state)
      .output.sum()
      .backward();
    for (const parameter of writer.parameters())
      expect(numbers(parameter.grad!).some((x) => x !== 0)).toBe(true);
  });
});

describe('GRU', () => {
  it.each([true, false])('is that of its formula, resetAfter: %s', (resetAfter) => {
    const size = 3;
    const layer = new GRU(2, size, { resetAfter, dtype: 'float64' });
    const x = randn([1, 4, 2], { dtype: 'float64' });
    const [cell] = layer.cells;
    const [w, u, b, d] = [cell.weightIh, cell.weightHh, cell.biasIh!, cell.biasHh!].map(numbers);
    const dot = (m: number[], row: number, v: number[]) =>
      v.reduce((sum, value, k) => sum + m[row * v.length + k] * value, 0);
    const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
    let h = [0, 0, 0];
    const expected: number[] = [];
    for (let t = 0; t < 4; t++) {
      const input = numbers(x).slice(2 * t, 2 * t + 2);
      const gate = (row: number) => sigmoid(dot(w, row, input) + b[row] + dot(u, row, h) + d[row]);
      const r = h.map((_, j) => gate(j));
      const z = h.map((_, j) => gate(size + j));
      const reset = h.map((value, j) => r[j] * value);
      const n = h.map((_, j) => {
        const row = 2 * size + j;
        const own = dot(w, row, input) + b[row];
        return Math.tanh(own + (resetAfter ? r[j] * (dot(u, row, h) + d[row]) : dot(u, row, reset) + d[row]));
      });
      h = h.map((value, j) => (1 - z[j]) * n[j] + z[j] * value);
      expected.push(...h);
    }
    close(layer.forward(x), tensor(expected, { shape: [1, 4, size], dtype: 'float64' }), 12);
    const loss = (input: Tensor) =>
      layer
        .forward(input, {}, int32([3]))
        .output.square()
        .sum();
    expect(gradCheck(loss, [x.setRequiresGrad()]).ok).toBe(true);
    for (const parameter of layer.parameters()) expect(gradCheck(() => loss(x), [parameter]).ok).toBe(true);
  });
});
