/** Layers of attention: beside PyTorch (test/reference/transformer.py), with a cache, in models, and what they refuse. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  type Attending,
  compile,
  type Decoding,
  Dense,
  Embedding,
  encodeModel,
  encodeOnnx,
  encodeSafetensors,
  encodeWeights,
  type FloatDtype,
  fit,
  importOnnx,
  KeyValueCache,
  Layer,
  loadModel,
  loadSafetensors,
  loadWeights,
  MultiHeadAttention,
  noGrad,
  PositionEmbedding,
  predict,
  randn,
  rotary,
  Sequential,
  seed,
  type Tensor,
  TransformerBlock,
  TransformerDecoderBlock,
  tensor,
} from '../../lib/index.ts';
import { uniform } from '../cases/case.ts';
import { elements } from '../cases/values.ts';
import { deviation, type Numbers, read } from '../reference/read.ts';

const int32 = (values: number[][]) => tensor(values, { dtype: 'int32' });
const keyMask = int32([
  [1, 1, 1, 0, 0],
  [0, 1, 1, 1, 1],
]);
const mask = int32([
  [1, 0, 1, 1, 1],
  [1, 1, 1, 0, 1],
  [0, 0, 1, 1, 1],
]);
const ends = int32([
  [1, 1, 0],
  [1, 1, 1],
]);

const made: Record<string, [(dtype: FloatDtype) => Layer, Attending & Decoding]> = {
  self: [(dtype) => new MultiHeadAttention(6, 2, { dtype }), {}],
  'self, no bias': [(dtype) => new MultiHeadAttention(6, 2, { bias: false, dtype }), {}],
  'self, causal': [(dtype) => new MultiHeadAttention(6, 2, { causal: true, dtype }), {}],
  'self, keys': [(dtype) => new MultiHeadAttention(6, 2, { dtype }), { keyMask }],
  cross: [(dtype) => new MultiHeadAttention(6, 2, { dtype }), {}],
  'cross, another size': [(dtype) => new MultiHeadAttention(6, 2, { kvSize: 4, dtype }), {}],
  'cross, mask and keys': [(dtype) => new MultiHeadAttention(6, 2, { dtype }), { mask, keyMask }],
  ...Object.fromEntries(
    (['block, after', 'block, after, keys', 'block, before'] as const).map((name) => {
      const options = { hidden: 10, causal: false, preNorm: name === 'block, before' };
      const activation = options.preNorm ? 'gelu' : 'relu';
      return [
        name,
        [
          (dtype: FloatDtype) => new TransformerBlock(6, 2, { ...options, activation, dtype }),
          name.endsWith('keys') ? { keyMask } : {},
        ] as [(dtype: FloatDtype) => Layer, Attending],
      ];
    }),
  ),
  'decoder, after': [
    (dtype) => new TransformerDecoderBlock(6, 2, { hidden: 10, preNorm: false, activation: 'relu', dtype }),
    {},
  ],
  'decoder, before, masks': [
    (dtype) => new TransformerDecoderBlock(6, 2, { hidden: 10, dtype }),
    { keyMask: ends, contextMask: mask, contextKeyMask: keyMask },
  ],
};

describe.each<[FloatDtype, number]>([
  ['float64', 1e-12],
  ['float32', 5e-5],
])('beside PyTorch, %s', (dtype, tolerance) => {
  const rows = (name: string, shape: readonly number[]): Tensor =>
    tensor(elements(uniform([...shape], -1, 1), name), { shape, dtype });

  test.each(Object.entries(read<Record<string, Numbers>>('transformer')))('%s', async (name, numbers) => {
    const [make, options] = made[name];
    const layer = make(dtype);
    // By their names there.
    const there = await loadSafetensors(encodeWeights(layer, { convention: 'pytorch' }));
    const names = Object.keys(there).sort();
    const state = Object.fromEntries(names.map((key) => [key, rows(`${name}/${key}`, there[key].shape)]));
    await loadWeights(encodeSafetensors(state), layer, { convention: 'pytorch' });
    const isDecoder = layer instanceof TransformerDecoderBlock;
    const hasContext = isDecoder || name.startsWith('cross');
    const inputs = [rows(`${name}/x`, [2, hasContext ? 3 : 5, 6])];
    if (hasContext) inputs.push(rows(`${name}/context`, [2, 5, name.endsWith('size') ? 4 : 6]));
    for (const input of inputs) input.setRequiresGrad();
    const [x, context] = inputs;
    const attend = (a: Tensor, b?: Tensor) =>
      isDecoder
        ? layer.forward(a, b as Tensor, options)
        : layer.forward(a, b ? { ...options, context: b } : options);
    const y = attend(x, context);
    y.backward(rows(`${name}/cotangent`, y.shape));
    const compiled = compile((a: Tensor, b: Tensor | null) => noGrad(() => attend(a, b ?? undefined)));
    for (let run = 0; run < 3; run++) {
      expect([...compiled.sync(x.detach(), context?.detach() ?? null).data]).toEqual([...y.data]);
    }
    // The gradients by the names there.
    const gradients = layer.parameters().map(({ grad }) => [...grad!.data]);
    layer.parameters().forEach((parameter, i) => {
      parameter.data.set(gradients[i]);
    });
    const named = await loadSafetensors(encodeWeights(layer, { convention: 'pytorch' }));
    const seen = [y, ...inputs.map((input) => input.grad!), ...names.map((key) => named[key])];
    const values = seen.flatMap((one) => [...one.data]);
    const got = dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
    expect(deviation(got, numbers, tolerance)).toBeNull();
  });
});

/** A small GPT. */
class Gpt extends Layer {
  override readonly inputDtype = 'int32';
  readonly embedding = new Embedding(11, 8);
  readonly positions: PositionEmbedding | null;
  readonly blocks: TransformerBlock<FloatDtype>[];
  readonly out = new Dense(8, 11);

  constructor(
    options: ConstructorParameters<typeof TransformerBlock>[2] = {},
    kind?: 'learned' | 'sinusoidal',
  ) {
    super();
    this.positions = kind ? new PositionEmbedding(16, 8, { kind }) : null;
    this.blocks = [0, 1].map(() => new TransformerBlock(8, 4, options));
  }

  forward(tokens: Tensor, { cache = null }: { cache?: KeyValueCache | null } = {}): Tensor {
    let x: Tensor = this.embedding.forward(tokens);
    if (this.positions) x = this.positions.forward(x, { cache });
    for (const block of this.blocks) x = block.forward(x, { cache });
    return this.out.forward(x);
  }
}

const words = (batch: number, length: number, first = 0) =>
  int32(
    Array.from({ length: batch }, (_, i) => Array.from({ length }, (_, t) => (7 * (first + t) + 3 * i) % 11)),
  );
const close = (a: Tensor, b: Tensor) => {
  expect(a.shape).toEqual(b.shape);
  const off = a
    .sub(b as never)
    .abs()
    .max()
    .item();
  expect(off).toBeLessThan(1e-5);
};

describe('a cache', () => {
  const models: [string, () => Gpt][] = [
    ['learned positions', () => new Gpt({}, 'learned')],
    ['sinusoids', () => new Gpt({ norm: 'rms' }, 'sinusoidal')],
    ['rotary, grouped heads', () => new Gpt({ rotary: 'halves', kvHeads: 2, bias: false })],
    ['rotary by pairs, after', () => new Gpt({ rotary: 'pairs', preNorm: false, activation: 'relu' })],
  ];
  test.each(models)('%s: word by word as all at once', (_, make) => {
    seed(1);
    const model = make();
    const whole = model.forward(words(3, 12));
    const cache = new KeyValueCache(model, 3, 16);
    const next = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, { cache })));
    for (let round = 0; round < 2; round++) {
      expect(cache.position).toBe(0);
      // A beginning, some words eagerly, and one by one.
      close(next.sync(words(3, 5)), whole.slice([null, [0, 5]]) as Tensor);
      close(
        noGrad(() => model.forward(words(3, 2, 5), { cache })),
        whole.slice([null, [5, 7]]) as Tensor,
      );
      for (let t = 7; t < 12; t++) {
        close(next.sync(words(3, 1, t)), whole.slice([null, [t, t + 1]]) as Tensor);
        expect(cache.position).toBe(t + 1);
      }
      cache.reset();
    }
  });

  test('is full at some time, and then as it was', () => {
    const model = new Gpt({}, 'learned');
    const cache = new KeyValueCache(model, 2, 4);
    noGrad(() => model.forward(words(2, 3), { cache }));
    expect(() => noGrad(() => model.forward(words(2, 2), { cache }))).toThrow(/indices/);
    const attention = new MultiHeadAttention(4, 2);
    const own = new KeyValueCache(attention, 1, 4);
    noGrad(() => attention.forward(randn([1, 3, 4]), { cache: own }));
    expect(() => noGrad(() => attention.forward(randn([1, 2, 4]), { cache: own }))).toThrow(/indices/);
    expect(own.position).toBe(3);
  });

  test('is of one model and one batch, in noGrad', () => {
    const [model, other] = [new Gpt(), new Gpt()];
    const cache = new KeyValueCache(model, 2, 4);
    expect(() => model.forward(words(2, 1), { cache })).toThrow(/noGrad/);
    expect(() => noGrad(() => other.forward(words(2, 1), { cache }))).toThrow(/of its own model/);
    expect(() => noGrad(() => model.forward(words(3, 1), { cache }))).toThrow(/a batch of 2/);
    expect(() => new KeyValueCache(new Dense(1, 1), 1, 1)).toThrow(/layers of attention/);
    const attention = new MultiHeadAttention(8, 2);
    const own = new KeyValueCache(attention, 1, 4);
    const x = randn([1, 2, 8]);
    expect(() => attention.forward(x, { cache: own, context: x })).toThrow(/noGrad/);
    expect(() => attention.forward(x, { cache: {} as never })).toThrow(/cache to be a KeyValueCache/);
  });
});

/** A small decoder. */
class Writer extends Layer {
  override readonly inputDtype = { 0: 'int32' } as const;
  readonly embedding = new Embedding(11, 8);
  readonly positions = new PositionEmbedding(16, 8);
  readonly blocks: TransformerDecoderBlock<FloatDtype>[];
  readonly out = new Dense(8, 11);

  constructor(options: ConstructorParameters<typeof TransformerDecoderBlock>[2] = {}) {
    super();
    this.blocks = [0, 1].map(() => new TransformerDecoderBlock(8, 4, options));
  }

  forward(tokens: Tensor, context: Tensor | 'kept', options: Decoding = {}): Tensor {
    let x: Tensor = this.embedding.forward(tokens);
    x = this.positions.forward(x, { cache: options.cache ?? null });
    for (const block of this.blocks) x = block.forward(x, context, options);
    return this.out.forward(x);
  }
}

/** Some rows of three sequences, of which the second is shorter than the others. */
const seenOf = (keys: number) =>
  int32([0, 1, 2].map((i) => Array.from({ length: keys }, (_, k) => Number(i !== 1 || k < keys - 2))));

describe('a context in a cache', () => {
  const options: [string, ConstructorParameters<typeof TransformerDecoderBlock>[2]][] = [
    ['as it is', {}],
    ['of another size, grouped heads, rotary', { kvSize: 5, kvHeads: 2, rotary: 'halves', norm: 'rms' }],
    ['normalised after, no bias', { preNorm: false, bias: false, activation: 'relu' }],
  ];

  test.each(options)(
    '%s: word by word as all at once, for contexts that follow each other',
    async (_, own) => {
      seed(1);
      const model = new Writer(own);
      const cache = new KeyValueCache(model, 3, 12);
      const begin = compile((tokens: Tensor, context: Tensor, contextKeyMask: Tensor | null) =>
        noGrad(() => model.forward(tokens, context, { contextKeyMask, cache })),
      );
      const next = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, 'kept', { cache })));
      const eager = (tokens: Tensor) => noGrad(() => model.forward(tokens, 'kept', { cache }));
      // Lengths, and whether there is a mask, come and go; programs are written down again in between.
      for (const [round, keys] of [7, 7, 4, 7, 4, 6, 7, 4, 7, 7, 7, 7].entries()) {
        const context = randn([3, keys, own?.kvSize ?? 8]);
        const contextKeyMask = round % 3 === 1 ? null : seenOf(keys);
        const whole = model.forward(words(3, 11), context, { contextKeyMask });
        const part = (from: number, to: number) => whole.slice([null, [from, to]]) as Tensor;
        if (round % 4 === 3) {
          close(
            noGrad(() => model.forward(words(3, 4), context, { contextKeyMask, cache })),
            part(0, 4),
          );
        } else {
          close(begin.sync(words(3, 4), context, contextKeyMask), part(0, 4));
        }
        close(eager(words(3, 2, 4)), part(4, 6));
        for (let t = 6; t < 9; t++) close(next.sync(words(3, 1, t)), part(t, t + 1));
        // Runs that wait for each other.
        const both = await Promise.all([next(words(3, 1, 9)), next(words(3, 1, 10))]);
        both.forEach((logits, i) => {
          close(logits, part(9 + i, 10 + i));
        });
        expect(cache.position).toBe(11);
        cache.reset();
      }
    },
  );

  test('is read at once where the next call does not wait for the one that gives it', async () => {
    seed(2);
    const model = new Writer();
    const cache = new KeyValueCache(model, 3, 12);
    const begin = compile((tokens: Tensor, context: Tensor) =>
      noGrad(() => model.forward(tokens, context, { cache })),
    );
    const next = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, 'kept', { cache })));
    for (const keys of [5, 3, 5, 5, 3]) {
      const context = randn([3, keys, 8]);
      const whole = model.forward(words(3, 6), context);
      const [, a, b] = await Promise.all([
        begin(words(3, 4), context),
        next(words(3, 1, 4)),
        next(words(3, 1, 5)),
      ]);
      close(a, whole.slice([null, [4, 5]]) as Tensor);
      close(b, whole.slice([null, [5, 6]]) as Tensor);
      cache.reset();
    }
  });

  test('attention alone: causal and by rotary positions, of a context', () => {
    seed(3);
    for (const causal of [false, true]) {
      const layer = new MultiHeadAttention(8, 2, { causal, rotary: 'pairs', kvHeads: 1 });
      const cache = new KeyValueCache(layer, 2, 9);
      const [x, context] = [randn([2, 5, 8]), randn([2, 4, 8])];
      const whole = layer.forward(x, { context });
      const own = (from: number, to: number) => x.slice([null, [from, to]]) as Tensor;
      noGrad(() => {
        close(layer.forward(own(0, 2), { context, cache }), whole.slice([null, [0, 2]]) as Tensor);
        for (const t of [2, 3, 4]) {
          const y = layer.forward(own(t, t + 1), { context: 'kept', cache });
          close(y, whole.slice([null, [t, t + 1]]) as Tensor);
        }
      });
    }
  });

  test('has to be there, in this cache, and was not kept by a call that failed', async () => {
    const model = new Writer();
    const cache = new KeyValueCache(model, 3, 4);
    const context = randn([3, 5, 8]);
    const next = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, 'kept', { cache })));
    const begin = compile((tokens: Tensor) => noGrad(() => model.forward(tokens, context, { cache })));
    const missing =
      /crossAttention \(MultiHeadAttention\) expected a context that was given with this cache before/;
    expect(() => next.sync(words(3, 1))).toThrow(missing);
    expect(() => noGrad(() => model.forward(words(3, 1), 'kept', { cache }))).toThrow(missing);
    cache.reset();
    begin.sync(words(3, 2));
    next.sync(words(3, 1));
    expect(() => noGrad(() => model.forward(words(3, 1), 'kept'))).toThrow(/expected a cache, in which/);
    cache.reset();
    begin.sync(words(3, 2));
    expect(() =>
      noGrad(() => model.forward(words(3, 1), 'kept', { cache, contextKeyMask: seenOf(5) })),
    ).toThrow(/keyMask with the context/);
    cache.reset();
    begin.sync(words(3, 2));
    const other = new KeyValueCache(model.blocks[0].crossAttention, 2, 4);
    const attend = (x: Tensor) =>
      model.blocks[0].crossAttention.forward(x, { context: 'kept', cache: other });
    expect(() => noGrad(() => attend(randn([3, 1, 8])))).toThrow(/a batch of 2/);
    expect(() => noGrad(() => attend(randn([2, 1, 8])))).toThrow(/expected a context/);
    cache.reset();
    expect(() => next.sync(words(3, 1))).toThrow(missing);
    cache.reset();
    // Longer than the cache: what it would keep of the context is not there.
    await expect(begin(words(3, 5))).rejects.toThrow(/indices/);
    expect(() => next.sync(words(3, 1))).toThrow(missing);
    expect(cache.position).toBe(0);
  });
});

describe('in use', () => {
  test.each([
    ['dropout', { dropout: 0.2 }],
    ['rotary', { rotary: 'halves' as const, norm: 'rms' as const }],
  ])('fit learns by %s, eagerly and compiled to the same bits', async (_, options) => {
    const x = words(4, 10);
    const y = words(4, 10, 1);
    const loss = (logits: Tensor, target: Tensor) =>
      logits
        .logSoftmax(-1)
        .mul(
          target
            .reshape([4, 10, 1])
            .equal(tensor(Int32Array.from({ length: 11 }, (_, i) => i)))
            .cast('float32'),
        )
        .sum()
        .neg();
    const train = async (compiled: boolean) => {
      seed(3);
      const model = new Gpt(options, 'learned');
      const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
      const { epochs } = await fit(
        model,
        { x, y },
        { loss, optimizer, epochs: 15, batchSize: 4, shuffle: false, compiled },
      );
      return { losses: epochs.map(({ loss }) => loss), state: model.eval().forward(x).data };
    };
    const [eager, compiled] = [await train(false), await train(true)];
    expect(compiled).toEqual(eager);
    expect(eager.losses[14]).toBeLessThan(eager.losses[0] / 2);
  });

  const models: [string, () => Layer][] = [
    ['attention', () => new MultiHeadAttention(8, 4, { causal: true, kvHeads: 2 })],
    ['rotary', () => new MultiHeadAttention(8, 2, { rotary: 'pairs' })],
    [
      'sinusoids and blocks',
      () =>
        new Sequential([
          new PositionEmbedding(9, 8, { kind: 'sinusoidal' }),
          new TransformerBlock(8, 2, { dropout: 0.5 }),
          new TransformerBlock(8, 2, { norm: 'rms', preNorm: false }),
        ]),
    ],
  ];
  test.each(models)('%s: saved, exported, in another mode', async (_, make) => {
    seed(4);
    const model = make();
    const x = randn([3, 6, 8]);
    const expected = await predict(model, x);
    close(await predict(await loadModel(encodeModel(model)), x), expected);
    close(await predict(await importOnnx(encodeOnnx(model, { inputShape: [6, 8] })), x), expected);
    expect(model.summary([6, 8])).toContain(
      model.constructor.name === 'Sequential' ? 'TransformerBlock' : 'MultiHeadAttention',
    );
    expect(model.outputShape([6, 8])).toEqual([6, 8]);
    const other = make();
    other.attach(model.share());
    close(await predict(other, x), expected);
  });

  test('rotary turns by positions: products depend on distances alone', () => {
    const [q, k] = [randn([1, 6]), randn([1, 6])];
    for (const style of ['halves', 'pairs'] as const) {
      const product = (i: number, j: number) =>
        rotary(q, { first: i, style })
          .mul(rotary(k, { first: j, style }))
          .sum()
          .item();
      expect(Math.abs(product(3, 1) - product(12, 10))).toBeLessThan(1e-4);
      expect(Math.abs(product(0, 0) - q.mul(k).sum().item())).toBeLessThan(1e-5);
    }
    // The angle of the first pair is the position.
    const x = tensor([[1, 0, 0, 0]]);
    const [cos, sin] = [Math.cos(2), Math.sin(2)].map(Math.fround);
    expect([...rotary(x, { first: 2 }).data]).toEqual([cos, 0, sin, 0]);
    expect([...rotary(x, { first: 2, style: 'pairs' }).data]).toEqual([cos, sin, 0, 0]);
  });

  test('rotary: sequences of lengths that come and go, as programs', () => {
    seed(6);
    const layer = new MultiHeadAttention(8, 2, { rotary: 'halves' });
    const attend = compile((x: Tensor) => noGrad(() => layer.forward(x)));
    for (let run = 0; run < 40; run++) {
      const x = randn([2, [4, 4, 4, 9, 4, 17, 3, 1][run % 8], 8]);
      expect([...attend.sync(x).data]).toEqual([...layer.forward(x).data]);
    }
  });

  test('sinusoids are those of the paper', () => {
    const zeros = tensor(new Float32Array(5 * 4), { shape: [1, 5, 4] });
    const y = new PositionEmbedding(5, 4, { kind: 'sinusoidal' }).forward(zeros);
    const want = [0, 1, 2, 3, 4].flatMap((t) => [
      Math.sin(t),
      Math.cos(t),
      Math.sin(t / 100),
      Math.cos(t / 100),
    ]);
    expect([...y.data]).toEqual(want.map(Math.fround));
  });

  test('attention drops weights while it trains alone', () => {
    seed(5);
    const layer = new MultiHeadAttention(8, 2, { dropout: 0.5 });
    const x = randn([2, 5, 8]);
    const [a, b] = [layer.forward(x), layer.forward(x)];
    expect(a.sub(b).abs().max().item()).toBeGreaterThan(1e-3);
    layer.eval();
    expect([...layer.forward(x).data]).toEqual([...layer.forward(x).data]);
  });
});

test('what does not fit is refused by name', () => {
  const layer = new MultiHeadAttention(8, 2);
  const x = randn([2, 3, 8]);
  expect(() => layer.forward(randn([2, 8]))).toThrow(
    /^MultiHeadAttention expected input \[batch, length, 8\], received \[2, 8\]/,
  );
  expect(() => layer.forward(x, { context: randn([1, 3, 8]) })).toThrow(
    /context \[2, length, 8\], received \[1, 3, 8\]/,
  );
  expect(() => layer.forward(x, { keyMask: int32([[1, 1, 1]]) })).toThrow(
    /keyMask \[2, 3\], received \[1, 3\]/,
  );
  expect(() => layer.forward(x, { keyMask: randn([2, 3]) })).toThrow(/keyMask to be int32/);
  expect(() => layer.forward(x, { mask: randn([4, 4]) })).toThrow(/mask|broadcast/);
  expect(() => layer.forward(x, { other: 1 } as never)).toThrow(/other/);
  const block = new TransformerDecoderBlock(8, 2, { kvSize: 4 });
  const context = randn([2, 5, 4]);
  expect(() => block.forward(x, x)).toThrow(/context \[2, length, 4\], received \[2, 3, 8\]/);
  expect(() => block.forward(x, null as never)).toThrow(
    /^\[TransformerDecoderBlock\] expected context to be a tensor/,
  );
  expect(() => block.forward(x, 'keep' as never)).toThrow(/expected context to be a tensor/);
  expect(() => block.forward(x, context, { contextKeyMask: int32([[1, 1, 1]]) })).toThrow(/keyMask \[2, 5\]/);
  expect(() => block.forward(x, context, { context } as never)).toThrow(/context/);
  expect(() => new TransformerDecoderBlock(8, 3)).toThrow(/TransformerDecoderBlock expected heads to divide/);
  expect(() => new MultiHeadAttention(8, 3)).toThrow(/heads to divide size/);
  expect(() => new MultiHeadAttention(8, 4, { kvHeads: 3 })).toThrow(/kvHeads to divide heads/);
  expect(() => new MultiHeadAttention(6, 2, { rotary: 'pairs' })).toThrow(/even size for rotary, got 3/);
  expect(() => new MultiHeadAttention(6, 2, { rotary: true as never })).toThrow(
    /rotary to be false, 'halves' or 'pairs'/,
  );
  expect(() => new PositionEmbedding(4, 3, { kind: 'sinusoidal' })).toThrow(/even size/);
  expect(() => new PositionEmbedding(4, 8).forward(randn([1, 5, 8]))).toThrow(/length ≤ 4/);
  expect(() => rotary(randn([3]))).toThrow(/of an even size, got \[3\]/);
  expect(() => rotary(x, { base: 0 })).toThrow(/base/);
});
