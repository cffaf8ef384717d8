/** Layers of convolutional networks: shapes, messages, what they compute, and how their weights begin. */
import { describe, expect, test } from 'vitest';
import {
  AvgPool1D,
  AvgPool2D,
  BatchNorm,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  Dense,
  DtypeError,
  denseFromChannelsFirst,
  denseToChannelsFirst,
  type Fans,
  Flatten,
  fromChannelsFirst,
  GlobalAvgPool1D,
  GlobalAvgPool2D,
  GlobalMaxPool1D,
  GlobalMaxPool2D,
  GroupNorm,
  Lambda,
  type Layer,
  LayerNorm,
  MaxPool1D,
  MaxPool2D,
  Pad,
  PReLU,
  ReLU,
  Reshape,
  Residual,
  RMSNorm,
  randn,
  Sequential,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
  toChannelsFirst,
  Upsample,
  zeros,
} from '../../lib/index.ts';

const counting = (...shape: number[]): Tensor => {
  const size = shape.reduce((product, n) => product * n, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => i),
    { shape },
  );
};

describe('the shape that is announced is the one of the output', () => {
  const layers: [name: string, layer: () => Layer, input: number[], output: number[]][] = [
    ['Conv2D', () => new Conv2D(3, 4, 3), [5, 7, 3], [3, 5, 4]],
    ['Conv2D, same', () => new Conv2D(3, 4, [2, 3], { padding: 'same' }), [5, 7, 3], [5, 7, 4]],
    ['Conv2D, same, stride', () => new Conv2D(3, 4, 3, { padding: 'same', stride: 2 }), [5, 8, 3], [3, 4, 4]],
    [
      'Conv2D, stride, padding, dilation',
      () => new Conv2D(3, 4, 3, { stride: [2, 1], padding: [1, 2], dilation: 2 }),
      [6, 7, 3],
      [2, 7, 4],
    ],
    ['Conv2D, sides', () => new Conv2D(3, 4, 3, { padding: { top: 1, left: 2 } }), [4, 4, 3], [3, 4, 4]],
    [
      'Conv2D, groups, gelu',
      () => new Conv2D(4, 6, 1, { groups: 2, activation: 'gelu' }),
      [2, 2, 4],
      [2, 2, 6],
    ],
    ['ConvTranspose2D', () => new ConvTranspose2D(3, 4, 3), [2, 3, 3], [4, 5, 4]],
    [
      'ConvTranspose2D, stride, outputPadding',
      () => new ConvTranspose2D(3, 4, 3, { stride: 2, padding: 1, outputPadding: 1, activation: 'relu' }),
      [2, 3, 3],
      [4, 6, 4],
    ],
    [
      'ConvTranspose2D, same',
      () => new ConvTranspose2D(3, 4, 3, { stride: 3, padding: 'same' }),
      [2, 3, 3],
      [6, 9, 4],
    ],
    ['Conv1D', () => new Conv1D(3, 4, 3), [6, 3], [4, 4]],
    ['Conv1D, causal', () => new Conv1D(3, 4, 3, { padding: { left: 4 }, dilation: 2 }), [6, 3], [6, 4]],
    ['Conv1D, stride', () => new Conv1D(2, 2, 2, { stride: 2, padding: 1, groups: 2 }), [6, 2], [4, 2]],
    ['MaxPool2D', () => new MaxPool2D(2), [5, 6, 3], [2, 3, 3]],
    ['MaxPool2D, stride, padding', () => new MaxPool2D(3, { stride: 2, padding: 1 }), [5, 6, 3], [3, 3, 3]],
    ['AvgPool2D', () => new AvgPool2D([2, 3], { countPadding: true }), [5, 6, 3], [2, 2, 3]],
    ['AvgPool2D, same', () => new AvgPool2D(2, { padding: 'same' }), [5, 6, 3], [3, 3, 3]],
    ['GlobalAvgPool2D', () => new GlobalAvgPool2D(), [5, 6, 3], [3]],
    ['GlobalMaxPool2D', () => new GlobalMaxPool2D(), [5, 6, 3], [3]],
    ['MaxPool1D', () => new MaxPool1D(2), [7, 3], [3, 3]],
    [
      'MaxPool1D, stride, padding',
      () => new MaxPool1D(3, { stride: 2, padding: { left: 2 } }),
      [6, 3],
      [3, 3],
    ],
    ['AvgPool1D', () => new AvgPool1D(3, { stride: 1, padding: 1, countPadding: true }), [6, 3], [6, 3]],
    ['AvgPool1D, same', () => new AvgPool1D(4, { padding: 'same' }), [6, 3], [2, 3]],
    ['GlobalAvgPool1D', () => new GlobalAvgPool1D(), [6, 3], [3]],
    ['GlobalMaxPool1D', () => new GlobalMaxPool1D(), [6, 3], [3]],
    ['PReLU', () => new PReLU(), [5, 3], [5, 3]],
    ['PReLU, channels', () => new PReLU(3), [5, 3], [5, 3]],
    ['Reshape', () => new Reshape([2, 3]), [6], [2, 3]],
    ['Reshape, open', () => new Reshape([4, -1, 1]), [2, 6], [4, 3, 1]],
    ['Lambda', () => new Lambda((x) => x.square(), { outputShape: (shape) => shape }), [5, 3], [5, 3]],
    ['Residual', () => new Residual([new ReLU(), new PReLU()]), [3], [3]],
    ['BatchNorm', () => new BatchNorm(3, { activation: 'relu' }), [5, 6, 3], [5, 6, 3]],
    ['BatchNorm of rows, silu', () => new BatchNorm(3, { activation: 'silu', affine: false }), [3], [3]],
    ['LayerNorm', () => new LayerNorm(3), [4, 3], [4, 3]],
    ['LayerNorm, two axes', () => new LayerNorm([4, 3], { affine: false }), [2, 4, 3], [2, 4, 3]],
    ['RMSNorm', () => new RMSNorm([4, 3]), [2, 4, 3], [2, 4, 3]],
    ['GroupNorm', () => new GroupNorm(2, 4), [5, 6, 4], [5, 6, 4]],
    ['Pad', () => new Pad([1, 2], { value: 3 }), [2, 3, 1], [4, 7, 1]],
    ['Pad, sides', () => new Pad({ bottom: 2 }), [2, 3, 1], [4, 3, 1]],
    ['Upsample', () => new Upsample([2, 3]), [2, 3, 4], [4, 9, 4]],
    ['Upsample, bilinear', () => new Upsample(2, { mode: 'bilinear' }), [2, 3, 4], [4, 6, 4]],
    ['Upsample, no whole factor', () => new Upsample([0.5, 1.5]), [2, 3, 4], [1, 4, 4]],
    [
      'Upsample, size',
      () => new Upsample(null, { size: 5, mode: 'bilinear', alignCorners: true }),
      [2, 3, 4],
      [5, 5, 4],
    ],
  ];

  test.each(layers)('%s', (_, make, input, output) => {
    const layer = make();
    expect(layer.outputShape(input)).toEqual(output);
    expect(layer.forward(randn([2, ...input])).shape).toEqual([2, ...output]);
    expect(layer.forward(zeros([0, ...input])).shape).toEqual([0, ...output]);
    // Of an unknown input nothing is known, but it does not throw.
    expect(layer.outputShape(undefined)).toBeUndefined();
  });
});

describe('a wrong input is refused by the name of the layer', () => {
  const pooled = (layer: Layer) => new Sequential([new Conv2D(3, 3, 1), layer]).forward(zeros([2, 2, 5, 3]));
  const cases: [name: string, call: () => unknown, message: RegExp][] = [
    [
      'channels',
      () => new Sequential([new Conv2D(3, 4, 3)]).forward(zeros([2, 5, 5, 4])),
      /^Conv2D 1 expected input \[batch, height, width, 3\], received \[2, 5, 5, 4\]$/,
    ],
    [
      'rank',
      () => new Conv2D(3, 4, 3).forward(zeros([5, 5, 3])),
      /^Conv2D expected input .* received \[5, 5, 3\]$/,
    ],
    [
      'channels, at construction',
      () => new Sequential([new Conv2D(3, 4, 3), new Conv2D(3, 4, 3)], { inputShape: [9, 9, 3] }),
      /^Conv2D 2 expected input \[batch, height, width, 3\], received \[batch, 7, 7, 4\]$/,
    ],
    [
      'too small, at construction',
      () => new Sequential([new MaxPool2D(2), new Conv2D(3, 4, 3)], { inputShape: [5, 5, 3] }),
      /^Conv2D 1 expected input \[batch, height ≥ 3, width ≥ 3, 3\], received \[batch, 2, 2, 3\]$/,
    ],
    [
      'window',
      () => pooled(new MaxPool2D(3)),
      /^MaxPool2D 1 expected input \[batch, height ≥ 3, width ≥ 3, channels\], received \[2, 2, 5, 3\]$/,
    ],
    ['window of the mean', () => pooled(new AvgPool2D([3, 1])), /^AvgPool2D 1 .* height ≥ 3, width ≥ 1/],
    ['rank of a mean', () => new GlobalAvgPool2D().forward(zeros([2, 3])), /^GlobalAvgPool2D expected input/],
    [
      'transposed',
      () => new ConvTranspose2D(3, 4, 1, { padding: 1 }).forward(zeros([1, 2, 2, 3])),
      /^ConvTranspose2D expected input \[batch, height, width, 3\] that leaves a pixel/,
    ],
    [
      'sequence',
      () => new Conv1D(3, 4, 3).forward(zeros([1, 2, 3])),
      /^Conv1D expected input \[batch, length ≥ 3, 3\], received \[1, 2, 3\]$/,
    ],
    [
      'sequence, rank',
      () => new Conv1D(3, 4, 3).forward(zeros([2, 3])),
      /^Conv1D expected input \[batch, length, 3\]/,
    ],
    [
      'batch norm',
      () => new BatchNorm(3).forward(zeros([2, 4])),
      /^BatchNorm expected input \[batch, \.\.\., 3\]/,
    ],
    ['batch norm, a row', () => new BatchNorm(3).forward(zeros([3])), /^BatchNorm expected input/],
    [
      'layer norm',
      () => new LayerNorm([2, 3]).forward(zeros([4, 3])),
      /^LayerNorm expected input \[batch, \.\.\., 2, 3\]/,
    ],
    ['rms norm', () => new RMSNorm(3).forward(zeros([4, 2])), /^RMSNorm expected input \[batch, \.\.\., 3\]/],
    [
      'group norm',
      () => new GroupNorm(1, 3).forward(zeros([3])),
      /^GroupNorm expected input \[batch, \.\.\., 3\]/,
    ],
    [
      'pad',
      () => new Pad(1).forward(zeros([2, 3])),
      /^Pad expected input \[batch, height, width, channels\]/,
    ],
    ['upsample', () => new Upsample(2).forward(zeros([2, 3])), /^Upsample expected input/],
  ];

  test.each(cases)('%s', (_, call, message) => {
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(message);
  });

  test.each([
    new Conv2D(1, 1, 1),
    new BatchNorm(1),
    new LayerNorm(1, { affine: false }),
    new RMSNorm(1),
    new GroupNorm(1, 1),
  ])('dtype, %#', (layer) => {
    expect(() => layer.forward(zeros([1, 1, 1, 1], { dtype: 'float64' }))).toThrow(DtypeError);
  });

  test('and so are numbers that make no layer', () => {
    expect(() => new Conv2D(3, 4, 3, { groups: 2 })).toThrow(
      /Conv2D expected groups to divide 3 and 4 channels, got 2/,
    );
    expect(() => new Conv2D(3, 4, [3, 0])).toThrow(
      /\[Conv2D\] expected kernel to be an integer of at least 1, got 0/,
    );
    expect(() => new MaxPool2D(2, { padding: 2 })).toThrow(
      /\[MaxPool2D\] expected padding to be less than the window/,
    );
    expect(() => new ConvTranspose2D(1, 1, 2, { stride: 2, outputPadding: 2 })).toThrow(/outputPadding/);
    expect(() => new Pad('same' as never)).toThrow(/Pad expected padding/);
    expect(() => new LayerNorm([])).toThrow(/at least one axis/);
    expect(() => new GroupNorm(2, 3)).toThrow(/\[GroupNorm\] expected groups to divide 3 channels, got 2/);
  });
});

test('the summary of the cnn workload', () => {
  const model = new Sequential(
    [
      new Conv2D(1, 32, 3, { activation: 'relu' }),
      new Conv2D(32, 64, 3, { activation: 'relu' }),
      new MaxPool2D(2),
      new Flatten(),
      new Dense(64 * 12 * 12, 128, { activation: 'relu' }),
      new Dense(128, 10),
    ],
    { inputShape: [28, 28, 1] },
  );
  expect(model.summary()).toBe(
    [
      'layer        output shape         parameters',
      '────────────────────────────────────────────',
      'Conv2D 1     [batch, 26, 26, 32]         320',
      'Conv2D 2     [batch, 24, 24, 64]      18,496',
      'MaxPool2D 1  [batch, 12, 12, 64]           0',
      'Flatten 1    [batch, 9216]                 0',
      'Dense 1      [batch, 128]          1,179,776',
      'Dense 2      [batch, 10]               1,290',
      '────────────────────────────────────────────',
      'total                              1,199,882',
    ].join('\n'),
  );
});

describe('weights begin', () => {
  const fansOf = (make: (init: (shape: readonly number[], fans: Fans) => number[]) => Layer): Fans => {
    let seen: Fans | undefined;
    make((shape, fans) => {
      seen = fans;
      return Array(shape.reduce((product, n) => product * n, 1)).fill(0);
    });
    return seen!;
  };

  test('by the number of inputs that an output has, and the reverse', () => {
    expect(fansOf((init) => new Conv2D(6, 4, [3, 2], { init }))).toEqual({ fanIn: 36, fanOut: 24 });
    expect(fansOf((init) => new Conv2D(6, 4, 3, { init, groups: 2 }))).toEqual({ fanIn: 27, fanOut: 18 });
    expect(fansOf((init) => new Conv2D(6, 6, 3, { init, groups: 6 }))).toEqual({ fanIn: 9, fanOut: 9 });
    expect(fansOf((init) => new Conv1D(6, 4, 5, { init }))).toEqual({ fanIn: 30, fanOut: 20 });
    // Each output pixel meets one position of the kernel.
    expect(fansOf((init) => new ConvTranspose2D(6, 4, 2, { init, stride: 2 }))).toEqual({
      fanIn: 6,
      fanOut: 16,
    });
  });

  test('so that the variance of the signal stays', () => {
    seed(1);
    const model = new Sequential([
      new Conv2D(16, 32, 3, { activation: 'relu', padding: 'same' }),
      new Conv2D(32, 32, 3, { activation: 'relu', padding: 'same' }),
      new ConvTranspose2D(32, 16, 2, { stride: 2 }),
    ]);
    const deviation = Math.sqrt(
      model
        .forward(randn([4, 12, 12, 16]))
        .variance()
        .item(),
    );
    expect(deviation).toBeGreaterThan(0.5);
    expect(deviation).toBeLessThan(2);
  });

  test('as ones and zeros in a normalisation', () => {
    for (const layer of [new BatchNorm(2), new LayerNorm(2), new GroupNorm(1, 2)]) {
      expect([...layer.weight!.data]).toEqual([1, 1]);
      expect([...layer.bias!.data]).toEqual([0, 0]);
    }
    expect(new BatchNorm(2, { affine: false }).parameters()).toEqual([]);
    expect([...new RMSNorm(2).weight!.data]).toEqual([1, 1]);
    expect(new RMSNorm(2).epsilon).toBe(2 ** -23);
    expect(new RMSNorm(2, { dtype: 'float64' }).epsilon).toBe(2 ** -52);
    expect(new Conv2D(1, 2, 3, { bias: false }).bias).toBeNull();
  });

  test('and scales of a normalisation are no weights to L2', () => {
    const layer = new LayerNorm([2, 2]);
    const optimizer = new SGD(layer.parameters(), { learningRate: 1, l2: 0.5 });
    expect(optimizer.penalty()).toBe(0);
    layer
      .forward(zeros([1, 2, 2]))
      .sum()
      .backward();
    optimizer.step();
    expect([...layer.weight!.data]).toEqual([1, 1, 1, 1]);
  });
});

describe('layouts', () => {
  test('channels move to the end and back', () => {
    const x = counting(1, 2, 3, 2);
    const moved = fromChannelsFirst(x);
    expect(moved.shape).toEqual([1, 3, 2, 2]);
    expect(
      moved
        .slice([
          [0, 1],
          [0, 1],
          [1, 2],
        ])
        .toArray(),
    ).toEqual([[[[1, 7]]]]);
    expect(toChannelsFirst(moved).toArray()).toEqual(x.toArray());
    expect(fromChannelsFirst(counting(2, 3)).toArray()).toEqual(counting(2, 3).toArray());
    expect(fromChannelsFirst(counting(2, 3, 4)).shape).toEqual([2, 4, 3]);
    expect(() => toChannelsFirst(counting(3))).toThrow(ShapeError);
  });

  test('a Dense after Flatten reads the same image from either', () => {
    seed(5);
    const image = [2, 3, 4] as const;
    const x = randn([5, ...image]);
    const theirs = randn([3, 24]);
    const ours = denseFromChannelsFirst(theirs, image);
    const want = toChannelsFirst(x).flatten().matmul(theirs, { transposeB: true });
    const got = x.flatten().matmul(ours, { transposeB: true });
    const apart = got.sub(want).abs().max().item();
    expect(apart).toBeLessThan(1e-5);
    expect(denseToChannelsFirst(ours, image).toArray()).toEqual(theirs.toArray());
    expect(() => denseFromChannelsFirst(theirs, [2, 3, 5])).toThrow(
      /weight \[out, 30\] for an image \[2, 3, 5\]/,
    );
  });
});

test('an activation after is the one within', () => {
  seed(6);
  const x = randn([2, 4, 4, 3]);
  const fused = new Conv2D(3, 2, 3, { activation: 'relu' });
  const plain = new Conv2D(3, 2, 3);
  plain.weight.assign(fused.weight);
  expect(fused.forward(x).toArray()).toEqual(new ReLU().forward(plain.forward(x)).toArray());
});
