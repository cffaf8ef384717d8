/** Networks with branches, held against the same written by hand. */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  Add,
  ArgumentError,
  AvgPool1D,
  AxpyError,
  Concatenate,
  compile,
  concat,
  Dense,
  Embedding,
  encodeModel,
  evaluate,
  Flatten,
  fit,
  GlobalMaxPool1D,
  GlobalMaxPool2D,
  Graph,
  type GraphOptions,
  gradCheck,
  Lambda,
  Layer,
  layerFrom,
  loadModel,
  losses,
  MaxPool1D,
  Multiply,
  PReLU,
  predict,
  Reshape,
  Residual,
  randn,
  Sequential,
  ShapeError,
  StringLookup,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { rejection } from '../train/support.ts';

/** Two inputs, a layer used twice, two outputs. */
function branched() {
  const twice = new Dense(6, 6, { activation: 'tanh' });
  return new Graph({
    inputs: { words: [4], size: [2] },
    layers: {
      embedded: { layer: new Embedding(9, 3), from: 'words' },
      flat: { layer: new Flatten(), from: 'embedded' },
      left: { layer: new Dense(12, 6), from: 'flat' },
      right: { layer: new Dense(2, 6), from: 'size' },
      sum: { layer: new Add(), from: ['left', 'right'] },
      once: { layer: twice, from: 'sum' },
      again: { layer: twice, from: 'once' },
      both: { layer: new Concatenate(), from: ['again', 'size'] },
      kind: { layer: new Dense(8, 3), from: 'both' },
      price: { layer: new Dense(8, 1), from: 'both' },
    },
    outputs: ['kind', 'price'],
  });
}

/** The same by hand. */
class ByHand extends Layer {
  override readonly inputDtype = { words: 'int32' } as const;
  readonly embedded = new Embedding(9, 3);
  readonly left = new Dense(12, 6);
  readonly right = new Dense(2, 6);
  readonly once = new Dense(6, 6, { activation: 'tanh' });
  readonly kind = new Dense(8, 3);
  readonly price = new Dense(8, 1);

  forward({ words, size }: { words: Tensor; size: Tensor }) {
    const flat = this.embedded.forward(words).flatten();
    const sum = this.left.forward(flat).add(this.right.forward(size));
    const again = this.once.forward(this.once.forward(sum));
    const joined = concat([again, size], 1);
    return { kind: this.kind.forward(joined), price: this.price.forward(joined) };
  }
}

const data = (n: number) => {
  seed(3);
  const size = randn([n, 2]);
  return {
    x: { words: Array.from({ length: n }, (_, i) => [i % 9, (i * 2) % 9, 1, 0]), size },
    y: {
      kind: tensor(Int32Array.from({ length: n }, (_, i) => i % 3)),
      price: size.sum([1], { keepDims: true }),
    },
  };
};
type Outputs = { kind: Tensor; price: Tensor };
const loss = (p: Outputs, y: Outputs) =>
  losses.softmaxCrossEntropy(p.kind, y.kind).add(losses.mse(p.price, y.price));

describe('Graph', () => {
  it('trains, predicts and scores as the same by hand', async () => {
    const results = [];
    const state = branched().stateDict();
    for (const make of [branched, () => new ByHand()]) {
      const model = make() as Layer;
      model.loadStateDict(state);
      for (const compiled of [true, false]) {
        const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
        const options = { loss, optimizer, epochs: 2, batchSize: 7, shuffle: false, compiled };
        const { epochs } = await fit(model, data(20), options as never);
        results.push(epochs.map((epoch) => epoch.loss));
      }
      const y = (await predict(model, data(5).x as never)) as Outputs;
      results.push(y.kind.toArray(), y.price.toArray(), await evaluate(model, data(9), { loss } as never));
    }
    expect(results.slice(0, results.length / 2)).toEqual(results.slice(results.length / 2));
  });

  it('learns by a loss for each output, as by their sum', async () => {
    const state = branched().stateDict();
    const sum = (p: Outputs, y: Outputs) =>
      losses.softmaxCrossEntropy(p.kind, y.kind).add(losses.mse(p.price, y.price).mul(0.25));
    const { x, y } = data(20);
    // Labels as plain numbers, which the loss of their output makes int32.
    const plain = { kind: Array.from(y.kind.data), price: y.price };
    const byOutput = { kind: 'softmaxCrossEntropy', price: { loss: losses.mse, weight: 0.25 } } as const;
    const results = [];
    for (const [loss, target] of [
      [sum, y],
      [byOutput, plain],
    ] as const) {
      for (const compiled of [true, false]) {
        const model = branched();
        model.loadStateDict(state);
        const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
        const options = { loss, optimizer, epochs: 3, batchSize: 7, shuffle: false, compiled };
        const { epochs } = await fit(model, { x, y: target } as never, options as never);
        const scores = (await evaluate(model, { x, y: target } as never, { loss } as never)) as {
          loss: number;
        };
        results.push([epochs.map((epoch) => epoch.loss), scores.loss]);
      }
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });

  it.each<[string, unknown, unknown, string]>([
    ['no losses', {}, undefined, 'a record of them by output'],
    ['an unknown loss', { kind: 'softmax', price: 'mse' }, undefined, '"softmax"'],
    ['a weight', { kind: { loss: 'mse', weight: -1 } }, undefined, 'the weight of loss.kind'],
    ['an option', { kind: { loss: 'mse', share: 1 } }, undefined, 'share'],
    ['an output that there is not', { colour: 'mse' }, undefined, 'got none for colour'],
    [
      'a target that there is not',
      { kind: 'softmaxCrossEntropy' },
      { price: [[1], [2]] },
      'got none for kind',
    ],
    ['labels that are none', { kind: 'softmaxCrossEntropy' }, { kind: [0, 1.5] }, 'y.kind'],
    ['a label beyond the classes', { kind: 'softmaxCrossEntropy' }, { kind: [0, -1] }, 'y.kind'],
  ])('refuses losses by output with %s', async (_, loss, target, message) => {
    const model = branched();
    const { x, y } = data(2);
    const optimizer = new Adam(model.parameters());
    const error = await rejection(fit(model, { x, y: target ?? y } as never, { loss, optimizer } as never));
    expect(error).toBeInstanceOf(AxpyError);
    expect((error as Error).message).toContain(message);
  });

  it('is made again of its config, and of a file, with what it shares', async () => {
    const model = branched();
    const again = layerFrom(JSON.parse(JSON.stringify(model))) as ReturnType<typeof branched>;
    expect(again.namedParameters().map(([name]) => name)).toEqual(
      model.namedParameters().map(([name]) => name),
    );
    again.loadStateDict(model.stateDict());
    const { x } = data(4);
    const expected = (await predict(model, x)).kind.toArray();
    expect((await predict(again, x)).kind.toArray()).toEqual(expected);
    const loaded = (await loadModel(await encodeModel(model))) as ReturnType<typeof branched>;
    expect((await predict(loaded, x)).kind.toArray()).toEqual(expected);
    expect(loaded.config).toEqual(model.config);
  });

  it('has a summary with what each layer takes', () => {
    expect(branched().summary()).toBe(
      `
layer                 output shape   parameters  from
────────────────────────────────────────────────────────────
words (input)         [batch, 4]
size (input)          [batch, 2]
embedded (Embedding)  [batch, 4, 3]          27  words
flat (Flatten)        [batch, 12]             0  embedded
left (Dense)          [batch, 6]             78  flat
right (Dense)         [batch, 6]             18  size
sum (Add)             [batch, 6]              0  left, right
once (Dense)          [batch, 6]             42  sum
again (Dense)         [batch, 6]         shared  once
both (Concatenate)    [batch, 8]              0  again, size
kind (Dense)          [batch, 3]             27  both
price (Dense)         [batch, 1]              9  both
────────────────────────────────────────────────────────────
total                                       201`.slice(1),
    );
  });

  it('takes one input by itself, several by name or in order, and hands text to the layer that reads it', async () => {
    const one = new Graph({
      inputs: ['x'],
      layers: {
        up: { layer: new Dense(2, 3), from: 'x' },
        gated: { layer: new Multiply(), from: ['up', 'up'] },
      },
      outputs: 'gated',
    });
    const x = randn([2, 2]);
    expect(one.forward(x).toArray()).toEqual(one.forward(x).toArray());
    expect(one.outputShape([2])).toEqual([3]);
    const model = branched();
    const words = tensor([[1, 2, 3, 4]], { dtype: 'int32' });
    const size = randn([1, 2]);
    expect(model.forward(words, size).kind.toArray()).toEqual(model.forward({ words, size }).kind.toArray());
    const text = new Graph({
      inputs: ['word', 'n'],
      layers: {
        id: { layer: new StringLookup(['a', 'b']), from: 'word' },
        vector: { layer: new Embedding(3, 2), from: 'id' },
        both: { layer: new Concatenate(), from: ['vector', 'n'] },
        y: { layer: new Dense(3, 1), from: 'both' },
      },
      outputs: 'y',
    });
    expect((await predict(text, { word: ['a', 'b', '?'], n: [[1], [2], [3]] } as never)).shape).toEqual([
      3, 1,
    ]);
  });

  it('compiles to the bits of what it computes eagerly', () => {
    const model = branched();
    const step = compile((words: Tensor, size: Tensor) => {
      const y = model.forward({ words, size });
      return { kind: y.kind, price: y.price };
    });
    const words = tensor([[1, 2, 3, 4]], { dtype: 'int32' });
    for (let i = 0; i < 3; i++) {
      const size = randn([1, 2]);
      const [a, b] = [step.sync(words, size), model.forward(words, size)];
      expect(a.kind.toArray()).toEqual(b.kind.toArray());
      expect(a.price.toArray()).toEqual(b.price.toArray());
    }
  });

  const dense = () => new Dense(2, 2);
  it.each<[string, unknown, new (message: string) => Error, string]>([
    ['no options', undefined, ArgumentError, 'options'],
    [
      'no inputs',
      { inputs: [], layers: { a: { layer: dense(), from: 'x' } }, outputs: 'a' },
      ArgumentError,
      'inputs',
    ],
    ['no layers', { inputs: ['x'], layers: {}, outputs: 'x' }, ArgumentError, 'at least one layer'],
    [
      'no layer',
      { inputs: ['x'], layers: { a: { layer: 1, from: 'x' } }, outputs: 'a' },
      ArgumentError,
      'got 1',
    ],
    [
      'an unknown source',
      { inputs: ['x'], layers: { a: { layer: dense(), from: 'z' } }, outputs: 'a' },
      ArgumentError,
      '"z"',
    ],
    [
      'a later source',
      {
        inputs: ['x'],
        layers: { a: { layer: dense(), from: 'b' }, b: { layer: dense(), from: 'x' } },
        outputs: 'b',
      },
      ArgumentError,
      '"b"',
    ],
    [
      'a name twice',
      { inputs: ['x'], layers: { x: { layer: dense(), from: 'x' } }, outputs: 'x' },
      ArgumentError,
      '"x" twice',
    ],
    [
      'an unknown output',
      { inputs: ['x'], layers: { a: { layer: dense(), from: 'x' } }, outputs: 'z' },
      ArgumentError,
      '"z"',
    ],
    [
      'an output twice',
      { inputs: ['x'], layers: { a: { layer: dense(), from: 'x' } }, outputs: ['a', 'a'] },
      ArgumentError,
      'each once',
    ],
    [
      'a layer left over',
      {
        inputs: ['x'],
        layers: { a: { layer: dense(), from: 'x' }, b: { layer: dense(), from: 'x' } },
        outputs: 'a',
      },
      ArgumentError,
      '"b" left over',
    ],
    [
      'an option',
      { inputs: ['x'], layers: { a: { layer: dense(), from: 'x' } }, outputs: 'a', output: 1 },
      ArgumentError,
      'output',
    ],
    [
      'a shape that does not fit',
      { inputs: { x: [3] }, layers: { a: { layer: dense(), from: 'x' } }, outputs: 'a' },
      ShapeError,
      'Graph, a: ',
    ],
    [
      'shapes that do not go together',
      { inputs: { x: [3], z: [2] }, layers: { a: { layer: new Add(), from: ['x', 'z'] } }, outputs: 'a' },
      ShapeError,
      '[3], [2]',
    ],
  ])('refuses %s', (_, options, kind, message) => {
    const make = () => new Graph(options as GraphOptions);
    expect(make).toThrow(kind);
    expect(make).toThrow(message);
  });

  it('refuses inputs that are not its own', async () => {
    const model = branched();
    const { x, y } = data(4);
    for (const wrong of [{ words: x.words }, { ...x, other: x.size }, x.size]) {
      const options = { loss, optimizer: new Adam(model.parameters()) };
      expect(await rejection(fit(model, { x: wrong, y } as never, options as never))).toBeInstanceOf(
        ArgumentError,
      );
    }
    expect(() => model.forward({ words: x.size })).toThrow('got none for size');
    expect(() => model.forward(x.size)).toThrow('got 1');
  });
});

describe('layers between', () => {
  const check = (layer: Layer, ...shape: number[]) =>
    gradCheck((x: Tensor) => layer.forward(x).square().sum(), [randn(shape, { dtype: 'float64' })]).ok;

  it('have gradients', () => {
    seed(2);
    expect(check(new PReLU(3, { dtype: 'float64' }), 4, 3)).toBe(true);
    expect(check(new Residual(new Dense(3, 3, { dtype: 'float64' })), 4, 3)).toBe(true);
    expect(check(new GlobalMaxPool2D(), 2, 3, 4, 2)).toBe(true);
    expect(check(new GlobalMaxPool1D(), 2, 5, 2)).toBe(true);
    expect(check(new MaxPool1D(3, { stride: 2, padding: 1 }), 2, 7, 2)).toBe(true);
    expect(check(new AvgPool1D(3, { padding: 'same' }), 2, 7, 2)).toBe(true);
    expect(check(new Reshape([3, -1]), 2, 6)).toBe(true);
    const slope = new PReLU(2, { dtype: 'float64', slope: 0.5 });
    const y = slope.forward(
      tensor(
        [
          [-1, 2],
          [3, -4],
        ],
        { dtype: 'float64' },
      ),
    );
    expect(y.toArray()).toEqual([
      [-0.5, 2],
      [3, -2],
    ]);
    y.sum().backward();
    expect(slope.weight.grad!.toArray()).toEqual([-1, -4]);
  });

  it('pool sequences as numbers say', () => {
    const x = tensor([[[1], [5], [2], [4], [3]]]);
    expect(new MaxPool1D(2).forward(x).toArray()).toEqual([[[5], [4]]]);
    expect(new MaxPool1D(3, { stride: 1, padding: { left: 2 } }).forward(x).toArray()).toEqual([
      [[1], [5], [5], [5], [4]],
    ]);
    expect(new AvgPool1D(2, { stride: 3 }).forward(x).toArray()).toEqual([[[3], [3.5]]]);
  });

  it('refuse what does not fit', () => {
    const x = randn([2, 6]);
    expect(() => new Reshape([4, -1]).forward(x)).toThrow(ShapeError);
    expect(() => new Reshape([5]).outputShape([6])).toThrow(ShapeError);
    expect(() => new Reshape([-1, -1])).toThrow(ShapeError);
    expect(() => new Reshape([0, -1]).forward(x)).toThrow(ShapeError);
    expect(() => new Residual(new Dense(6, 5)).forward(x)).toThrow('a shortcut can change that');
    expect(() => new Residual(1 as never)).toThrow(ArgumentError);
    expect(() => new Concatenate(0)).toThrow(ArgumentError);
    expect(() => new Concatenate().forward()).toThrow(ShapeError);
    expect(() => new Add().forward(x, randn([2, 5]))).toThrow(ShapeError);
    expect(() => new Add().forward(x, randn([3, 6]))).toThrow(ShapeError);
    expect(() => new PReLU(5).forward(x)).toThrow(ShapeError);
    expect(() => new Lambda(1 as never)).toThrow(ArgumentError);
    expect(() => new Lambda(() => 1 as never).forward(x)).toThrow(ArgumentError);
    expect(() => new MaxPool1D(3).forward(randn([2, 2, 1]))).toThrow(ShapeError);
    expect(() => new GlobalMaxPool1D().forward(x)).toThrow(ShapeError);
  });

  it('a Lambda has no config to be made of, and says so', () => {
    const model = new Sequential([new Dense(2, 2), new Lambda((x) => x.square())]);
    expect(() => layerFrom(model.config)).toThrow('make the model by its code');
  });
});
