/** Arguments for the constructors of all layers, and what they take. */
import fc from 'fast-check';
import * as axpy from '../../lib/index.ts';

const activation = fc.constantFrom('linear', 'relu', 'gelu', 'softmax', 'tanh');
const init = fc.oneof(
  fc.constantFrom('heNormal', 'xavierUniform', 'ones', 'normal'),
  fc.record({ name: fc.constant('constant'), value: fc.double({ min: -2, max: 2, noNaN: true }) }),
  fc.record({ name: fc.constant('uniform'), low: fc.constant(-0.5) }),
);
const dtype = fc.constantFrom('float32', 'float64');
const flag = fc.boolean();
const none = fc.tuple();
const pair = fc.oneof(fc.integer({ min: 1, max: 2 }), fc.tuple(fc.constant(1), fc.constant(2)));
const side = fc.integer({ min: 0, max: 1 });
const padding = fc.oneof(
  fc.constantFrom('same', 'valid', 1, [1, 0]),
  fc.record({ top: side, left: side }, { requiredKeys: [] }),
);
const common = {
  groups: fc.constantFrom(1, 2),
  bias: flag,
  activation,
  init,
  biasInit: init,
  dtype,
  winograd: flag,
};
const image = { ...common, stride: pair, dilation: pair };
const number = fc.double();
const optional = (record: Record<string, fc.Arbitrary<unknown>>) => fc.record(record, { requiredKeys: [] });

const turns = fc.constantFrom<unknown>(0.2, 0, [-0.1, 0.3]);
const warp = optional({
  fillMode: fc.constantFrom('reflect', 'nearest', 'constant'),
  fillValue: fc.constantFrom(0, -0.5),
  interpolation: fc.constantFrom('bilinear', 'nearest'),
});

const overTime = (more: Record<string, fc.Arbitrary<unknown>> = {}) =>
  fc.tuple(
    fc.constant(4),
    fc.constant(3),
    optional({
      layers: fc.constantFrom(2, 3),
      bidirectional: flag,
      returns: fc.constantFrom('sequence', 'last'),
      bias: flag,
      init,
      recurrentInit: init,
      biasInit: init,
      dtype,
      ...more,
    }),
  );

const block = (more: Record<string, fc.Arbitrary<unknown>> = {}) =>
  fc.tuple(
    fc.constant(4),
    fc.constantFrom(1, 2),
    optional({
      hidden: fc.constant(3),
      activation,
      causal: flag,
      norm: fc.constantFrom('layer', 'rms'),
      preNorm: flag,
      dropout: fc.constant(0.5),
      rotary: fc.constantFrom(false, 'halves'),
      kvHeads: fc.constant(1),
      bias: flag,
      dtype,
      ...more,
    }),
  );

/** Arguments for the constructor of every layer class. */
export const given: Readonly<Record<string, fc.Arbitrary<unknown[]>>> = {
  Activation: fc.tuple(activation),
  AvgPool2D: fc.tuple(fc.constant(2), optional({ stride: pair, padding, countPadding: flag })),
  BatchNorm: fc.tuple(
    fc.constant(4),
    optional({ momentum: fc.constant(0.3), epsilon: fc.constant(1e-3), affine: flag, activation, dtype }),
  ),
  Columns: fc.tuple(
    fc.constantFrom('float32', 'float64').map((dtype) => ({
      city: new axpy.Sequential([new axpy.StringLookup(['a', 'b']), new axpy.OneHot(4, { dtype })]),
      size: new axpy.Normalize(1, { dtype }),
    })),
    optional({ widths: fc.constantFrom({ city: 4 }, { size: 1 }) }),
  ),
  Conv1D: fc.tuple(
    fc.constant(4),
    fc.constant(2),
    fc.constant(2),
    optional({
      ...common,
      stride: fc.constantFrom(1, 2),
      dilation: fc.constantFrom(1, 2),
      padding: fc.oneof(fc.constantFrom('same', 'valid', 1), optional({ left: side, right: side })),
    }),
  ),
  Conv2D: fc.tuple(fc.constant(4), fc.constant(2), pair, optional({ ...image, padding })),
  ConvTranspose2D: fc.tuple(
    fc.constant(4),
    fc.constant(2),
    pair,
    optional({ ...image, padding: fc.constantFrom('valid', 'same'), outputPadding: fc.constant(0) }),
  ),
  Dense: fc.tuple(
    fc.constant(4),
    fc.constant(3),
    optional({ activation, bias: flag, init, biasInit: init, dtype }),
  ),
  Dropout: fc.oneof(none, fc.tuple(fc.constantFrom(0, 0.25))),
  ELU: fc.oneof(none, fc.tuple(fc.constantFrom(0, 2, -0))),
  Embedding: fc.tuple(
    fc.constant(5),
    fc.constant(3),
    optional({ paddingIndex: fc.constantFrom(null, 0, 3, -1), init, dtype }),
  ),
  Flatten: none,
  GELU: none,
  GRU: overTime({ resetAfter: flag }),
  LSTM: fc.oneof(
    overTime(),
    fc.tuple(fc.constant(4), fc.constant(2), fc.constant({ layers: 2, dropout: 0.5 })),
  ),
  GroupNorm: fc.tuple(
    fc.constantFrom(1, 2, 4),
    fc.constant(4),
    optional({ epsilon: fc.constant(1e-3), affine: flag, dtype }),
  ),
  Add: none,
  AvgPool1D: fc.tuple(fc.constant(2), optional({ stride: fc.constant(1), countPadding: flag })),
  Concatenate: fc.oneof(none, fc.tuple(fc.constantFrom(1, -2))),
  GlobalAvgPool1D: none,
  GlobalAvgPool2D: none,
  GlobalMaxPool1D: none,
  GlobalMaxPool2D: none,
  MaxPool1D: fc.tuple(
    fc.constant(2),
    optional({ stride: fc.constant(3), padding: fc.constantFrom<unknown>('same', { left: 1 }) }),
  ),
  Multiply: none,
  PReLU: fc.oneof(none, fc.tuple(fc.constant(4), optional({ slope: fc.constantFrom(0.5, -1, -0), dtype }))),
  RandomBrightness: fc.tuple(fc.constantFrom(0, 0.2)),
  RandomContrast: fc.tuple(fc.constantFrom(0, 0.2)),
  RandomCrop: fc.tuple(fc.constant(4), fc.constant(7), fc.constantFrom({ padding: 1 }, { padding: 3 })),
  RandomFlip: fc.oneof(none, fc.tuple(fc.constantFrom('vertical', 'both'))),
  RandomRotation: fc.tuple(turns, warp),
  RandomTranslation: fc.tuple(turns, turns, warp),
  RandomZoom: fc.oneof(
    fc.tuple(turns, warp),
    fc.tuple(turns, fc.record({ widthFactor: fc.constantFrom<unknown>(null, 0.3, [-0.5, 0]) })),
  ),
  Reshape: fc.tuple(fc.constantFrom([2, -1], [-1], [12, 12])),
  Graph: fc.tuple(
    fc.record({
      inputs: fc.constantFrom<unknown>(['x'], { x: null }, { x: [6, 6, 4] }),
      layers: flag.map((isShared) => {
        const a = new axpy.Tanh();
        const b = isShared ? a : new axpy.GELU();
        return {
          a: { layer: a, from: 'x' },
          b: { layer: b, from: ['a'] },
          sum: { layer: new axpy.Concatenate(), from: ['x', 'b'] },
        };
      }),
      outputs: fc.constant('sum'),
    }),
  ),
  Lambda: fc.tuple(fc.constant((x: axpy.Tensor) => x)),
  LayerNorm: fc.tuple(
    fc.constantFrom<unknown>(4, [4], [6, 4]),
    optional({ epsilon: fc.constant(1e-3), affine: flag, dtype }),
  ),
  LeakyReLU: fc.oneof(none, fc.tuple(fc.constant(0.2))),
  MaxPool2D: fc.tuple(pair, optional({ stride: pair })),
  MultiHeadAttention: fc.tuple(
    fc.constant(4),
    fc.constantFrom(1, 2),
    optional({
      kvHeads: fc.constant(1),
      bias: flag,
      dropout: fc.constant(0.5),
      causal: flag,
      rotary: fc.constantFrom(false, 'halves', 'pairs'),
      init,
      dtype,
    }),
  ),
  Normalize: fc.tuple(fc.constantFrom<unknown>(4, [6, 4], []), optional({ invert: flag, dtype })),
  OneHot: fc.tuple(fc.constantFrom(5, 9), optional({ unknown: fc.constantFrom('error', 'zeros'), dtype })),
  Pad: fc.tuple(
    fc.constantFrom<unknown>(1, [1, 0], { top: 2 }),
    optional({ value: fc.oneof(number, fc.constantFrom(-0, Infinity, -Infinity, Number.NaN)) }),
  ),
  OnnxModel: fc.tuple(
    fc.record({
      inputs: fc.constant([{ name: 'x', dtype: 'float32', shape: ['batch', null, 'h', 'w'] }]),
      outputs: fc.constant([{ name: 'y', dtype: 'float32', shape: null }]),
      tensors: fc.constant([
        { name: 'a.scale', shape: [1, 1, 1], dtype: 'float32', kind: 'parameter', form: 'first' },
        { name: 'mask', shape: [1], dtype: 'float32', kind: 'buffer', form: 'first' },
      ]),
      constants: fc.constant({ least: { dtype: 'float32', shape: [], values: ['-Infinity'] } }),
      nodes: fc.constantFrom('Elu', 'ThresholdedRelu', 'Celu').map((op) => [
        { op: 'Mul', name: '', inputs: ['x', 'a.scale'], outputs: ['1'], attributes: {} },
        { op, name: 'b', inputs: ['1'], outputs: ['2'], attributes: { alpha: 0.5 } },
        { op: 'Clip', name: '', inputs: ['2', 'least', ''], outputs: ['3'], attributes: {} },
        { op: 'Add', name: '', inputs: ['3', 'mask'], outputs: ['y'], attributes: {} },
      ]),
      opset: fc.constantFrom(13, 17),
      layout: fc.constantFrom('NCHW', 'NHWC'),
    }),
  ),
  RNN: overTime({ nonlinearity: fc.constantFrom('tanh', 'relu') }),
  PositionEmbedding: fc.tuple(
    fc.constantFrom(6, 9),
    fc.constant(4),
    optional({ kind: fc.constantFrom('learned', 'sinusoidal'), init, dtype }),
  ),
  ReLU: none,
  RMSNorm: fc.tuple(
    fc.constantFrom<unknown>(4, [4], [6, 4]),
    optional({ epsilon: fc.constant(1e-3), affine: flag, dtype }),
  ),
  Residual: flag.map((hasShortcut) => {
    const shortcut = new axpy.Sigmoid();
    return [[new axpy.Tanh(), new axpy.GELU()], hasShortcut ? { shortcut } : {}];
  }),
  Rescale: fc.tuple(fc.constantFrom(0.5, -0, -3), fc.constantFrom(0, -1), fc.constant({ dtype: 'float64' })),
  SiLU: none,
  Sequential: none,
  Sigmoid: none,
  Softmax: fc.oneof(none, fc.tuple(fc.constantFrom(1, -1))),
  Softplus: none,
  StringLookup: fc.tuple(
    fc.uniqueArray(fc.string(), { minLength: 1 }),
    optional({ unknown: fc.constant('index'), limit: fc.constantFrom(null, 3) }),
  ),
  Tanh: none,
  TransformerBlock: block(),
  TransformerDecoderBlock: block({ kvSize: fc.constantFrom(4) }),
  Upsample: fc.oneof(
    fc.tuple(
      fc.oneof(pair, fc.constantFrom<unknown>(0.5, [1.5, 2.7])),
      optional({ mode: fc.constantFrom('nearest', 'bilinear'), alignCorners: fc.constant(false) }),
    ),
    fc.tuple(fc.constant(null), fc.record({ size: pair, mode: fc.constant('bilinear'), alignCorners: flag })),
  ),
};

/** What layers take that take no numbers. */
const inputs: Readonly<Record<string, unknown>> = {
  Columns: { city: ['a', 'c'], size: [3, -2] },
  Embedding: [[1, 4]],
  OneHot: [[1, 4]],
  StringLookup: ['', 'ab', 'no word'],
};

/** Layers that take sequences. */
const sequences = [
  'Conv1D',
  'GRU',
  'LSTM',
  'MultiHeadAttention',
  'PositionEmbedding',
  'RNN',
  'TransformerBlock',
  'TransformerDecoderBlock',
];

/** Images or sequences, as the class of a layer takes them, the same ones each time; what takes no numbers has its own. */
export function examplesFor(name: string, layer: axpy.Layer, count: number): unknown {
  if (Object.hasOwn(inputs, name)) return inputs[name];
  const dtype = (layer.config.dtype ?? layer.inputDtype ?? 'float64') as 'float32';
  const shape = name.endsWith('1D') || sequences.includes(name) ? [count, 6, 4] : [count, 6, 6, 4];
  axpy.seed(7);
  const x = axpy.randn(shape, { dtype });
  return name === 'TransformerDecoderBlock' ? [x, axpy.randn([count, 3, 4], { dtype })] : x;
}
