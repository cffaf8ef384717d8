/**
 * Attacks everything that lib/index.ts exports, found by reflection, with arguments of which some are hostile: alone, within
 * functions that are compiled, and within training. Allowed are a value, an AxpyError with a code, and what a hostile
 * value threw itself.
 */
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import * as axpy from '../../lib/index.ts';
import { network } from '../onnx/models.ts';
import { hostile } from './hostile.ts';
import { attempts, isAllowed, type Random, showError, type Try, takeAway } from './support.ts';

const { Tensor, Layer, tensor } = axpy;
type AnyFunction = (...args: unknown[]) => unknown;

class Custom extends Layer {
  readonly dense = new axpy.Dense(3, 2);
  override forward(x: axpy.Tensor): axpy.Tensor {
    return this.dense.forward(x).relu();
  }
}

// ── values that would do ────────────────────────────────────────────────────────────────────────────────────────────

const floatDtypes = ['float32', 'float64'] as const;
const rounded = (random: Random) => Math.round((4 * random.next() - 2) * 64) / 64;
const filled = (random: Random, shape: number[], dtype: axpy.Dtype = 'float32') => {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Float64Array.from({ length: size }, () => rounded(random));
  const x =
    dtype === 'int32'
      ? tensor(
          new Int32Array(size).map(() => random.int(0, 2)),
          { shape },
        )
      : tensor(values, { shape, dtype });
  return dtype !== 'int32' && random.chance(0.5) ? x.setRequiresGrad() : x;
};
const mlp = () =>
  new axpy.Sequential([
    new axpy.Dense(3, 4, { activation: 'relu' }),
    new axpy.Dropout(0.1),
    new axpy.Dense(4, 2),
  ]);
const model = (random: Random): axpy.Layer => (random.chance(0.8) ? mlp() : new Custom());

const named = (random: Random) => ({ a: filled(random, [4, 3]), b: filled(random, [2], 'int32') });

const activations = ['linear', 'relu', 'sigmoid', 'tanh', 'softmax', 'gelu', 'elu'] as const;
const initializers = ['zeros', 'heNormal', 'xavierUniform', () => 0.5] as const;

/** A value of each kind that arguments and options can have. */
const kinds = {
  shape: (random) => Array.from({ length: random.int(0, 3) }, () => random.int(0, 5)),
  size: (random) => random.int(1, 5),
  number: (random) => rounded(random),
  positive: (random) => random.next() + 0.01,
  rate: (random) => random.next() * 0.9,
  learningRate: (random) =>
    random.chance(0.7)
      ? random.next()
      : axpy.schedules.cosine({ from: random.next(), steps: random.int(1, 9) }),
  anneal: (random) => random.pick(['cos', 'linear']),
  thresholdMode: (random) => random.pick(['rel', 'abs']),
  axis: (random) => random.int(-2, 1),
  axes: (random) => random.pick([undefined, 0, [0], [1, 0], [-1]]),
  boolean: (random) => random.chance(0.5),
  features: (random) => random.pick([1, 3, [3], [], [4, 3]]),
  part: (random) => random.pick([0.25, 0.5, 2]),
  folds: (random) => random.pick([2, 3]),
  classes: (random) => random.pick([undefined, null, 3]),
  vocabulary: (random) => random.pick([undefined, ['a', 'b', 'c'], ['text', 'value']]),
  nonlinearity: (random) => random.pick(['tanh', 'relu']),
  returns: (random) => random.pick(['sequence', 'last']),
  paddingIndex: (random) => random.pick([undefined, null, 0, -1, 3]),
  unknownIndex: (random) => random.pick(['error', 'zeros']),
  unknownText: (random) => random.pick(['error', 'index']),
  columnLayers: () => ({
    city: new axpy.Sequential([new axpy.StringLookup(['a', 'b']), new axpy.OneHot(3)]),
    size: new axpy.Normalize(1),
  }),
  widths: (random) => random.pick([{}, { city: 3, size: 1 }]),
  table: (random) =>
    random.pick([
      { city: ['a', 'c'], size: [1, 2] },
      [{ city: 'a', size: 1 }],
      { city: ['a', 'a'], size: [1, 2], more: ['p', 'q'] },
    ]),
  // What any layer may learn from, or take.
  plain: (random) =>
    random.pick<unknown>([
      filled(random, [4, 3]),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      ['a', 'b', 'a'],
      [0, 2, 1],
      { city: ['a', 'c'], size: [1, 2] },
      [filled(random, [4, 3]).detach(), filled(random, [2, 3]).detach()],
      new Set(['a', 'b']),
    ]),
  examples: (random) =>
    random.pick<unknown>([
      { x: filled(random, [8, 3]).detach(), y: [0, 1, 0, 1, 0, 1, 0, 1] },
      { x: [filled(random, [8, 3]).detach(), new Uint8Array(8)], y: new Float64Array(8) },
      { x: { city: new Array(8).fill('a'), size: filled(random, [8]).detach() }, y: new Array(8).fill([1]) },
      new Array(8).fill({ city: 'a', size: 1 }),
    ]),
  examplesOrCount: (random) =>
    random.pick<unknown>([8, { x: [0, 1, 2, 3, 4, 5, 6, 7], y: new Uint8Array(8) }]),
  kindsOf8: (random) =>
    random.pick<unknown>([
      undefined,
      [0, 1, 0, 1, 0, 1, 0, 1],
      ['a', 'a', 'b', 'b', 'c', 'c', 'c', 'a'],
      new Int8Array(8),
    ]),
  dtype: (random) => random.pick([...floatDtypes, 'int32']),
  floatDtype: (random) => random.pick(floatDtypes),
  seed: (random) => random.int(0, 1e6),
  state: (random) => axpy.randomState(random.int(0, 1e6)),
  values: (random) =>
    random.pick([
      1,
      [1, 2],
      [
        [1, 2],
        [3, 4],
      ],
      Float32Array.of(1, 2),
      Int32Array.of(1, 2),
      new Uint8Array(3),
      [Float64Array.of(1, 2), Float64Array.of(3, 4)],
      [[Int16Array.of(1, 2)], [Uint32Array.of(3, 4)]],
      { length: 2, 0: 1, 1: 2 },
    ]),
  tensor: (random) =>
    filled(
      random,
      random.pick([[], [4], [4, 3], [4, 3], [2, 4, 3], [1, 3], [0, 3]]),
      random.pick([...floatDtypes, 'float32', 'int32']),
    ),
  matrix: (random) => filled(random, [4, 3]),
  condition: (random) => filled(random, [4, 3], random.pick(['float32', 'int32'])),
  rows: (random) => filled(random, random.pick([[4, 2], [4, 2], [4]])),
  image: (random) => filled(random, [2, 6, 6, 3]),
  sequence: (random) => filled(random, [2, 9, 3]),
  weight2d: (random) => filled(random, [4, 3, 3, 3]),
  weight1d: (random) => filled(random, [4, 3, 3]),
  weightTransposed: (random) => filled(random, [3, 3, 3, 4]),
  weightDense: (random) => filled(random, [5, 12]),
  weightOf3: (random) => filled(random, [4, 3]),
  vector3: (random) => random.pick([null, filled(random, [3])]),
  vector4: (random) => random.pick([null, filled(random, [4])]),
  running: () => random3(),
  labels: (random) => filled(random, [4], 'int32'),
  operand: (random) =>
    random.pick([
      2,
      filled(random, [3]),
      filled(random, [4, 1]),
      filled(random, [4, 3]),
      filled(random, [4, 3], 'int32'),
    ]),
  tensors: (random) => [filled(random, [2, 3]), filled(random, [2, 3])],
  pair: (random) => random.pick([1, 2, [1, 2]]),
  zeroPair: (random) => random.pick([0, [0, 1]]),
  padding: (random) => random.pick(['same', 'valid', 1, [1, 0], { top: 1 }, { left: 1, right: 2 }]),
  padding1d: (random) => random.pick(['same', 'valid', 1, { left: 1 }]),
  sides: (random) => random.pick([1, [1, 0], { top: 1 }, { left: 1, right: 2 }]),
  pads: () => [
    [1, 0],
    [0, 2],
  ],
  ranges: (random) => random.pick([[null, [0, 2]], [[1]], [[0, 3, 2]]]),
  fused: (random) => random.pick([null, { op: 'relu', parameter: 0 }]),
  activation: (random) => random.pick([...activations, (x: axpy.Tensor) => x.relu()]),
  init: (random) => random.pick(initializers),
  reduction: (random) => random.pick(['mean', 'sum', 'none']),
  mode: (random) => random.pick(['nearest', 'bilinear']),
  paddingMode: (random) => random.pick(['zeros', 'border', 'reflection']),
  fillMode: (random) => random.pick(['reflect', 'nearest', 'constant']),
  grid: (random) => filled(random, [2, 3, 5, 2]),
  theta: (random) => filled(random, [2, 2, 3]),
  turns: (random) => random.pick([0, 0.2, [-0.5, 0.1]]),
  layers: () => [new axpy.Dense(3, 3), new axpy.ReLU(), new axpy.Dense(3, 2)],
  model,
  layer: () => new axpy.Dense(3, 2),
  layerClass: () => Custom,
  maker: () => () => new Custom(),
  config: (random) => model(random).config,
  record: () => ({ size: 3 }),
  text: () => 'text',
  texts: () => ['text', 'value'],
  equation: (random) => random.pick(['ij->ji', 'ij', 'ij->', '...j->...']),
  anything: (random) => random.pick([1, 'text', tensor([1])]),
  write: () => (gradient: unknown) => [gradient],
  parameters: (random) => model(random).parameters(),
  scalarFunction:
    () =>
    (...xs: axpy.Tensor[]) =>
      xs[0].square().sum(),
  plainFunction: () => () => 1,
  tensorFunction: () => (x: axpy.Tensor) => x.mul(2),
  items: (random) =>
    random.pick([[1, 2, 3], new Set(['a']), { x: [[1], [2]], y: [0, 1] }, () => [1], filled(random, [4, 3])]),
  branches: () => ({
    inputs: { a: [3], b: null },
    layers: {
      left: { layer: new axpy.Dense(3, 2), from: 'a' },
      both: { layer: new axpy.Concatenate(), from: ['left', 'b'] },
    },
    outputs: ['left', 'both'],
  }),
  // A step of one's own has to bear what it is called with.
  step: () => (x: unknown) => (x instanceof Tensor ? x.mul(2).add(1) : x),
  compiled: () => {
    const f = axpy.compile((x: axpy.Tensor) => x.mul(2));
    f.sync(axpy.ones([4, 3]));
    return f;
  },
  args: (random) => [filled(random, [4, 3])],
  // Each process has a folder of its own.
  path: (random) => random.pick(['file', 'other', pathToFileURL('file')]),
  source: (random) =>
    random.pick([
      'file',
      'none',
      axpy.encodeModel(mlp()),
      axpy.encodeCheckpoint({ model: mlp() }),
      axpy.encodeSafetensors(named(random)),
      network(),
    ]),
  every: (random) => random.pick([1, 2, 'epoch']),
  extra: (random) => random.pick([null, [1, Number.NaN], { a: tensor([1]), $: new Uint8Array(3) }]),
  resume: (random) =>
    random.pick([undefined, undefined, 'run', 'none', axpy.encodeCheckpoint({ model: mlp() })]),
  npy: (random) => random.pick(['file', axpy.encodeNpy(filled(random, [4, 3]))]),
  npz: (random) => random.pick(['file', npz]),
  onnx: (random) => random.pick(['none', network()]),
  values2: (random) => random.pick([undefined, ['flat'], ['y', 'd'], ['none']]),
  layout: (random) => random.pick(['NHWC', 'NCHW']),
  graph: () => ({
    inputs: [{ name: 'x', dtype: 'float32', shape: null }],
    outputs: [{ name: 'y', dtype: 'float32', shape: null }],
    tensors: [{ name: 'w', shape: [3], dtype: 'float32', kind: 'parameter', form: 'first' }],
    constants: { c: { dtype: 'float32', shape: [], values: [2] } },
    nodes: [
      { op: 'Mul', name: '', inputs: ['x', 'w'], outputs: ['a'], attributes: {} },
      { op: 'Pow', name: 'power', inputs: ['a', 'c'], outputs: ['y'], attributes: {} },
    ],
    opset: 13,
    layout: 'NCHW',
  }),
  named,
  texts2: () => ({ note: 'text' }),
  only: (random) => random.pick([/^a/, ['a'], ['none']]),
  rename: (random) => random.pick([{ 'a.': 'b.' }, (name: string) => name]),
  images: () => ({}),
  convention: (random) => random.pick([undefined, 'pytorch']),
  data: (random) => {
    const batch = { x: filled(random, [8, 3]).detach(), y: filled(random, [8, 2]).detach() };
    return random.pick([
      batch,
      [batch, batch],
      { ...batch, sampleWeight: Array.from({ length: 8 }, () => random.next()) },
      () => [batch],
      { x: [batch.x, batch.x], y: batch.y },
      { x: { a: batch.x }, y: { b: [batch.y] } },
      {
        x: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        y: [
          [1, 0],
          [0, 1],
        ],
      },
    ]);
  },
  loss: (random) => random.pick(['mse', 'huber', axpy.losses.mse, 'softmaxCrossEntropy']),
  metricList: (random) =>
    random.pick<unknown>([
      [],
      { b: ['accuracy'] },
      ['accuracy'],
      ['f1', 'rocAuc', 'logLoss'],
      [axpy.metrics.r2()],
      [() => 1],
    ]),
  classWeight: (random) => random.pick(['balanced', [1, 2], { 1: 3 }, { a: [1, 2] }]),
  classification: (random) => random.pick([undefined, 'binary', 'multiclass', 'multilabel']),
  average: (random) => random.pick([undefined, 'macro', 'micro', 'weighted']),
  callbacks: () => [
    { onBatchEnd: () => {}, onEpochEnd: async () => {} },
    axpy.earlyStopping({ monitor: 'loss' }),
    axpy.checkpoint({ folder: 'run', every: 1 }),
  ],
  signal: () => new AbortController().signal,
  // Few, or what is no count: a large one would be obeyed.
  epochs: (random) => random.pick([1, 2]),
  monitor: (random) => random.pick(['loss', 'validation.loss']),
  extreme: (random) => random.pick(['min', 'max']),
  stream: () => ({ write: () => true, isTTY: false, on: () => {}, once: () => {}, removeListener: () => {} }),
  threads: (random) => random.int(1, 3),
  inputShape: (random) => random.pick([undefined, [3], [6, 6, 3]]),
  exampleShapes: (random) => random.pick([[3], [3], [3], [[3]], { a: [3] }]),
  onnxLayout: (random) => random.pick(['NHWC', 'NCHW']),
  onnxDtype: (random) => random.pick([undefined, 'float32']),
  inputNames: (random) => random.pick([undefined, ['x']]),
  outputNames: (random) => random.pick([undefined, ['y']]),
} satisfies Record<string, (random: Random) => unknown>;

type Kind = keyof typeof kinds;

const npz = await axpy.encodeNpz({ a: tensor([1, 2]), b: tensor(3) }, { compressed: true });

function random3(): unknown {
  return { mean: axpy.zeros([3]), variance: axpy.ones([3]), count: axpy.zeros([1]) };
}

/** Options by name: their kinds. */
const optionKinds: Readonly<Record<string, Kind>> = {
  dtype: 'floatDtype',
  requiresGrad: 'boolean',
  shape: 'shape',
  stride: 'pair',
  padding: 'padding',
  dilation: 'pair',
  groups: 'size',
  activation: 'activation',
  winograd: 'boolean',
  outputPadding: 'zeroPair',
  bias: 'boolean',
  init: 'init',
  biasInit: 'init',
  keepDims: 'boolean',
  causal: 'boolean',
  preNorm: 'boolean',
  grouped: 'boolean',
  scale: 'positive',
  base: 'positive',
  first: 'size',
  argnums: 'axis',
  createGraph: 'boolean',
  retainGraph: 'boolean',
  allowUnused: 'boolean',
  order: 'size',
  correction: 'size',
  ord: 'size',
  descending: 'boolean',
  largest: 'boolean',
  quantile: 'rate',
  gamma: 'positive',
  alpha: 'rate',
  margin: 'rate',
  power: 'size',
  weight: 'operand',
  positiveWeight: 'positive',
  ignoreIndex: 'axis',
  labelSmoothing: 'rate',
  logTarget: 'boolean',
  transposeA: 'boolean',
  transposeB: 'boolean',
  training: 'boolean',
  momentum: 'rate',
  epsilon: 'positive',
  affine: 'boolean',
  countPadding: 'boolean',
  alignCorners: 'boolean',
  mode: 'mode',
  reduction: 'reduction',
  delta: 'positive',
  decays: 'boolean',
  learningRate: 'learningRate',
  amsgrad: 'boolean',
  centered: 'boolean',
  weightDecay: 'rate',
  learningRateDecay: 'rate',
  initialAccumulator: 'rate',
  momentumDecay: 'rate',
  from: 'positive',
  to: 'rate',
  steps: 'size',
  warmup: 'size',
  multiply: 'size',
  factor: 'rate',
  max: 'positive',
  rising: 'rate',
  divFactor: 'positive',
  finalDivFactor: 'positive',
  threePhase: 'boolean',
  cooldown: 'size',
  minLearningRate: 'rate',
  start: 'size',
  clipGradNorm: 'positive',
  clipGradValue: 'positive',
  accumulate: 'size',
  beta1: 'rate',
  beta2: 'rate',
  l2: 'rate',
  dampening: 'rate',
  nesterov: 'boolean',
  tolerance: 'positive',
  loss: 'loss',
  epochs: 'epochs',
  batchSize: 'size',
  validation: 'data',
  classWeight: 'classWeight',
  metrics: 'metricList',
  callbacks: 'callbacks',
  metadata: 'texts2',
  outputs: 'values2',
  layout: 'layout',
  only: 'only',
  rename: 'rename',
  flattened: 'images',
  convention: 'convention',
  strict: 'boolean',
  signal: 'signal',
  shuffle: 'boolean',
  seed: 'seed',
  compiled: 'boolean',
  compressed: 'boolean',
  runs: 'epochs',
  print: 'boolean',
  monitor: 'monitor',
  model: 'model',
  folder: 'path',
  every: 'every',
  extra: 'extra',
  resume: 'resume',
  patience: 'size',
  minDelta: 'positive',
  restoreBest: 'boolean',
  stream: 'stream',
  threshold: 'rate',
  kind: 'classification',
  average: 'average',
  fromLogits: 'boolean',
  k: 'size',
  inputShape: 'inputShape',
  value: 'number',

  inputNames: 'inputNames',
  outputNames: 'outputNames',
  stopMode: 'extreme',
  stride1d: 'size',
  padding1d: 'padding1d',
  dilation1d: 'size',
  invert: 'boolean',
  limit: 'size',
  widths: 'widths',
  testSize: 'part',
  folds: 'folds',
  stratify: 'kindsOf8',
  groups8: 'kindsOf8',
};

const create = '{dtype,requiresGrad}';
const warp = '{fillMode:fillMode,fillValue:number,interpolation:mode}';
const onnx =
  '{inputShape:exampleShapes,layout:onnxLayout,batch:size,dtype:onnxDtype,inputNames,outputNames,description:text}';
const convolution = '{groups,activation,bias,init,biasInit,dtype,winograd,stride,padding,dilation}';
const recurrent =
  '{layers:size,bidirectional:boolean,dropout:rate,returns:returns,bias,init,recurrentInit:init,biasInit,dtype}';

/** How each export is called: the kinds of its arguments, and options in braces; `name:kind` where a kind differs. */
const recipes: Readonly<Record<string, string>> = {
  configure: 'layer record',
  fusedActivation: 'activation',
  checkCount: 'text text size',
  checkFloat: 'text tensor',
  checkInputDtype: 'layer tensor floatDtype',
  checkOptions: 'text record texts',
  checkTensor: 'text anything text',
  initialize: 'rows init',
  initializeBoth: 'weightDense init vector3 init',
  initializerBefore: 'activation',
  inputError: 'layer text shape',
  layerFrom: 'config',
  linear: 'matrix weightOf3 vector4 fused',
  registerLayer: 'text layerClass maker',
  resolveActivation: 'activation',
  track: 'tensor tensors write',
  Activation: 'activation',
  ReLU: '',
  LeakyReLU: 'positive',
  ELU: 'positive',
  GELU: '',
  SiLU: '',
  Softplus: '',
  Sigmoid: '',
  Tanh: '',
  Softmax: 'axis',
  Flatten: '',
  GlobalAvgPool2D: '',
  Adam: 'parameters {learningRate,beta1,beta2,epsilon,l2,amsgrad}',
  AdamW: 'parameters {learningRate,beta1,beta2,epsilon,weightDecay,amsgrad}',
  RMSprop: 'parameters {learningRate,alpha:rate,epsilon,momentum,l2,centered}',
  Adagrad: 'parameters {learningRate,learningRateDecay,epsilon,l2,initialAccumulator}',
  NAdam: 'parameters {learningRate,beta1,beta2,epsilon,momentumDecay,l2}',
  Lion: 'parameters {learningRate,beta1,beta2,weightDecay}',
  WeightAverage: 'model {decay:rate,start,every}',
  Predictor: 'model {maxBatch:size,maxDelay:rate,queue:size,threads:size,timeout:positive}',
  Publication: 'model',
  'schedules.warmup': 'size learningRate {from}',
  'schedules.cosine': '{from,to,steps,warmup}',
  'schedules.cosineRestarts': '{from,to,steps,multiply}',
  'schedules.polynomial': '{from,to,steps,power:positive}',
  'schedules.exponential': '{from,factor,every}',
  'schedules.stepDecay': '{from,factor,every,at:widths}',
  'schedules.oneCycle': '{max,steps,rising,divFactor,finalDivFactor,anneal:anneal,threePhase}',
  GlobalMaxPool2D: '',
  GlobalAvgPool1D: '',
  GlobalMaxPool1D: '',
  MaxPool1D: 'size {stride:size,padding:padding1d}',
  AvgPool1D: 'size {stride:size,padding:padding1d,countPadding}',
  PReLU: 'size {slope:number,dtype}',
  RandomBrightness: 'positive',
  RandomContrast: 'positive',
  RandomCrop: 'size size {padding:size}',
  RandomFlip: 'text',
  RandomRotation: `turns ${warp}`,
  RandomTranslation: `turns turns ${warp}`,
  RandomZoom: `turns {widthFactor:turns,fillMode:fillMode,fillValue:number,interpolation:mode}`,
  Reshape: 'shape',
  Residual: 'layer {shortcut:layer}',
  Lambda: 'tensorFunction {outputShape:plainFunction}',
  Add: '',
  Multiply: '',
  Concatenate: 'axis',
  Graph: 'branches',
  SGD: 'parameters {learningRate,momentum,dampening,nesterov,l2}',
  AvgPool2D: 'pair {stride,padding,countPadding}',
  MaxPool2D: 'pair {stride,padding}',
  BatchNorm: 'size {momentum,epsilon,affine,activation,dtype}',
  LayerNorm: 'size {epsilon,affine,dtype}',
  MultiHeadAttention: 'size size {kvSize:size,kvHeads:size,bias,dropout:rate,causal,init,dtype}',
  PositionEmbedding: 'size size {init,dtype}',
  TransformerBlock: 'size size {hidden:size,activation,causal,preNorm,dropout:rate,kvHeads:size,bias,dtype}',
  TransformerDecoderBlock:
    'size size {hidden:size,activation,causal,preNorm,dropout:rate,kvHeads:size,kvSize:size,bias,dtype}',
  KeyValueCache: 'model size size',
  RMSNorm: 'size {epsilon,affine,dtype}',
  GroupNorm: 'size size {epsilon,affine,dtype}',
  Conv1D: `size size size ${convolution.replace('stride,padding,dilation', 'stride:stride1d,padding:padding1d,dilation:dilation1d')}`,
  Conv2D: `size size pair ${convolution}`,
  ConvTranspose2D: `size size pair ${convolution.replace('}', ',outputPadding}')}`,
  Dense: 'size size {activation,bias,init,biasInit,dtype}',
  Dropout: 'rate',
  Embedding: 'size size {paddingIndex:paddingIndex,init,dtype}',
  GRU: `size size ${recurrent.replace('}', ',resetAfter:boolean}')}`,
  LSTM: `size size ${recurrent}`,
  RNN: `size size ${recurrent.replace('}', ',nonlinearity:nonlinearity}')}`,
  Columns: 'columnLayers {widths}',
  Normalize: 'features {invert,dtype}',
  OneHot: 'classes {unknown:unknownIndex,dtype}',
  Rescale: 'number number {dtype}',
  StringLookup: 'vocabulary {unknown:unknownText,limit}',
  stream: 'items',
  zip: 'items items',
  trainTestSplit: 'examples {testSize,shuffle,seed,stratify,groups:kindsOf8}',
  kFold: 'examplesOrCount {folds,shuffle,seed,stratify,groups:kindsOf8}',
  Pad: 'sides {value}',
  Parameter: 'shape floatDtype {decays}',
  SharedTensor: 'shape floatDtype',
  Sequential: 'layers {inputShape}',
  Upsample: 'pair {mode,alignCorners}',
  arange: `number size size ${create}`,
  averagePool2d: 'image pair {stride,padding,countPadding}',
  backendInfo: '',
  batchNorm: 'matrix vector3 vector3 running {training,momentum,epsilon,activation:fused}',
  clipGradNorm: 'parameters positive',
  clipGradValue: 'parameters positive',
  compile: 'step',
  concat: 'tensors axis',
  einsum: 'equation matrix',
  confusionMatrix: 'rows labels size',
  conv1d:
    'sequence weight1d vector4 {stride:size,padding:padding1d,dilation:size,groups,activation:fused,winograd}',
  conv2d: 'image weight2d vector4 {stride,padding,dilation,groups,activation:fused,winograd}',
  convTranspose2d:
    'image weightTransposed vector4 {stride,padding,dilation,groups,activation:fused,outputPadding}',
  denseFromChannelsFirst: 'weightDense shape',
  denseToChannelsFirst: 'weightDense shape',
  dropout: 'tensor rate state',
  reduceOnPlateau:
    '{monitor,mode:stopMode,factor,patience,threshold,thresholdMode:thresholdMode,cooldown,minLearningRate,epsilon}',
  earlyStopping: '{monitor,patience,minDelta,mode:stopMode,restoreBest}',
  evaluate: 'model data {loss,metrics,batchSize,signal,compiled}',
  checkpoint: '{folder,every,keep:size,best:monitor,mode:stopMode}',
  encodeCheckpoint: '{model,optimizer:own,step:size,extra}',
  loadCheckpoint: 'source',
  saveCheckpoint: 'path {model,optimizer:own,step:size,extra}',
  encodeModel: 'model {metadata}',
  encodeNpy: 'tensor',
  encodeNpz: 'named {compressed}',
  encodeOnnx: `model ${onnx}`,
  encodeSafetensors: 'named {metadata}',
  encodeWeights: 'model {metadata,convention,flattened}',
  eye: `size ${create}`,
  importOnnx: 'onnx {outputs,layout}',
  OnnxModel: 'graph',
  loadModel: 'source',
  loadNpy: 'npy {dtype}',
  loadNpz: 'npz {only,dtype}',
  loadSafetensors: 'source {only,dtype}',
  loadWeights: 'source model {strict,rename,convention,flattened}',
  safetensorsHeader: 'source',
  exportOnnx: `model path ${onnx}`,
  saveModel: 'path model {metadata}',
  saveNpy: 'path tensor',
  saveNpz: 'path named {compressed}',
  saveSafetensors: 'path named {metadata}',
  saveWeights: 'path model {metadata,convention,flattened}',
  fit: 'model data {loss,classWeight,optimizer:own,epochs,batchSize,validation,metrics,callbacks,signal,shuffle,seed,compiled,resume,clipGradNorm,clipGradValue,accumulate,averageWeights:ownAverage}',
  fromChannelsFirst: 'image',
  toChannelsFirst: 'image',
  full: `shape number ${create}`,
  grad: 'scalarFunction axis {createGraph}',
  valueAndGrad: 'scalarFunction axis {createGraph}',
  gradients: 'tensor tensors {createGraph,retainGraph,allowUnused}',
  recompute: 'tensorFunction',
  gradCheck: 'scalarFunction tensors {epsilon,tolerance,order}',
  layerNorm: 'matrix shape vector3 vector3 {epsilon}',
  rotary: 'matrix {base,first}',
  rmsNorm: 'matrix shape vector3 {epsilon}',
  groupNorm: 'matrix size vector3 vector3 {epsilon}',
  scaledDotProductAttention: 'matrix matrix matrix {causal,mask:matrix,dropout:rate,scale,grouped}',
  maxPool2d: 'image pair {stride,padding}',
  noGrad: 'plainFunction',
  oneHot: 'labels size floatDtype',
  ones: `shape ${create}`,
  zeros: `shape ${create}`,
  rand: `shape ${create}`,
  randn: `shape ${create}`,
  pad: 'matrix pads number',
  permutation: 'size state',
  predict: 'model matrix {batchSize,signal,compiled}',
  profile: 'compiled args {runs}',
  progress: '{stream}',
  randomState: 'seed',
  seed: 'seed',
  setThreads: 'threads',
  stack: 'tensors axis',
  tensor: 'values {shape,dtype,requiresGrad}',
  affineGrid: 'theta pair {alignCorners}',
  gridSample: 'image grid {mode,paddingMode:paddingMode,alignCorners}',
  interpolate: 'image {scaleFactor:pair,size:pair,mode,alignCorners}',
  upsample: 'image pair {mode,alignCorners}',
  where: 'condition operand operand',
  'losses.mse': 'rows rows {reduction}',
  'losses.meanAbsoluteError': 'rows rows {reduction}',
  'losses.huber': 'rows rows {reduction,delta}',
  'losses.binaryCrossEntropy': 'rows rows {reduction}',
  'losses.binaryCrossEntropyWithLogits': 'rows rows {reduction,weight,positiveWeight}',
  'losses.softmaxCrossEntropy': 'rows labels {reduction,weight,ignoreIndex,labelSmoothing}',
  'losses.multiMargin': 'rows labels {reduction,margin,power,weight}',
  'losses.quantile': 'rows rows {reduction,quantile}',
  'losses.focal': 'rows rows {reduction,gamma,alpha}',
  'losses.hinge': 'rows rows {reduction}',
  'losses.squaredHinge': 'rows rows {reduction}',
  'losses.klDivergence': 'rows rows {reduction,logTarget}',
  'losses.cosineSimilarity': 'rows rows {reduction}',
  'losses.cosineEmbedding': 'tensors rows {reduction,margin}',
  'metrics.accuracy': '{kind,threshold}',
  'metrics.precision': '{kind,threshold,average}',
  'metrics.recall': '{kind,threshold,average}',
  'metrics.f1': '{kind,threshold,average}',
  'metrics.rocAuc': '{kind,average,fromLogits}',
  'metrics.averagePrecision': '{kind,average,fromLogits}',
  'metrics.logLoss': '{kind,fromLogits}',
  'metrics.topK': '{k}',
  'metrics.meanAbsoluteError': '',
  'metrics.meanSquaredError': '',
  'metrics.rootMeanSquaredError': '',
  'metrics.r2': '',
};

/** Classes that nobody makes by themselves: their constructors are not for users. */
const unmade = new Set<string>(['Tensor', 'Layer', 'Optimizer', 'Profile', 'Stream', 'World']);

/** How methods are called, whatever they belong to; one that is not here gets anything. */
const methodRecipes: Readonly<Record<string, string>> = {
  backward: 'operand',
  assign: 'operand',
  setRequiresGrad: 'boolean',
  pow: 'operand',
  add: 'operand',
  sub: 'operand',
  mul: 'operand',
  div: 'operand',
  maximum: 'operand',
  minimum: 'operand',
  equal: 'operand',
  notEqual: 'operand',
  greater: 'operand',
  greaterEqual: 'operand',
  less: 'operand',
  lessEqual: 'operand',
  clip: 'number number',
  leakyRelu: 'positive',
  elu: 'positive',
  sum: 'axes {keepDims}',
  mean: 'axes {keepDims}',
  max: 'axes {keepDims}',
  min: 'axes {keepDims}',
  variance: 'axes {keepDims,correction}',
  argmax: 'axis',
  argmin: 'axis',
  softmax: 'axis',
  logSumExp: 'axes {keepDims}',
  logSoftmax: 'axis',
  matmul: 'matrix {transposeA,transposeB}',
  transpose: 'axes',
  reshape: 'shape',
  flatten: 'axis',
  squeeze: 'axes',
  unsqueeze: 'axis',
  slice: 'ranges',
  split: 'size axis',
  unbind: 'axis',
  flip: 'axes',
  tile: 'shape',
  tril: 'axis',
  triu: 'axis',
  norm: 'axes {keepDims,ord}',
  std: 'axes {keepDims,correction}',
  prod: 'axes {keepDims}',
  cumsum: 'axis',
  cumprod: 'axis',
  sort: 'axis {descending}',
  argsort: 'axis {descending}',
  topK: 'size axis {largest}',
  takeAlongAxis: 'labels axis',
  scatterAdd: 'labels tensor axis',
  pad: 'pads number',
  gather: 'labels',
  broadcastTo: 'shape',
  cast: 'dtype',
  forward: 'tensor',
  inverse: 'tensor',
  adapt: 'plain',
  inputFrom: 'plain text floatDtype',
  encode: 'texts text',
  decode: 'labels',
  outputShape: 'inputShape',
  summary: 'inputShape',
  train: 'boolean',
  loadStateDict: 'state',
  attach: 'shared',
  toJSON: '',
  predict: 'matrix {timeout:positive}',
  follow: 'handle',
  publish: '',
  close: '',
  stats: '',
};

/** What is not for users, though JavaScript shows it. */
const internal = new Set([
  'constructor',
  'exampleFrom',
  'checkInput',
  'along',
  'endsOf',
  'initialStates',
  'steps',
  'observeGradient',
  'collectTensors',
  'namedTensors',
  'makeGathers',
  'earlier',
  'checkSizes',
  'named',
  'checkOwn',
  'capture',
  'check',
  'state',
  'namedState',
  'statisticsIn',
  'inputDtypeAt',
  'parameterDtype',
  'ofFirst',
  'tell',
  'use',
  'checkVocabulary',
  'first',
  'names',
  'partOf',
  'columnsOf',
  'columnsOfRows',
  'observeMode',
  'observeRequiresGrad',
  'rule',
  'trace',
  'update',
  'settings',
  'window',
  'convolve',
  'apply',
  'place',
  'pool',
  'merge',
  'change',
  'before',
  'still',
  'sizes',
  'mergedShape',
  'refuse',
  'graph',
  'named',
  'shapes',
  'takerOf',
  'outputNames',
  'keyMaskOf',
  'atOnce',
  'from',
  'enter',
  'rowsWaiting',
  'expire',
  'fail',
  'answered',
  'left',
  'work',
  'nextBatch',
  'fuller',
  'compute',
  'computeApart',
  'catchUp',
  'checkOpen',
  'addGraph',
  'added',
  'addedFor',
  'admit',
  'angles',
  'copyOf',
  'derive',
  'dropped',
  'inTurn',
  'joined',
  'keptOf',
  'kind',
  'layersBelow',
  'lend',
  'makeReading',
  'number',
  'numbersOf',
  'observe',
  'ofContext',
  'ofItself',
  'projected',
  'quantile',
  'taken',
  'tensorsBelow',
  'thought',
  'turned',
  'valuesAt',
  'width',
  'withContext',
  'write',
]);

// ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The arguments of a recipe. `owner` is what a method belongs to, or the model of a training. */
function argumentsOf(random: Random, recipe: string, owner: unknown): unknown[] {
  let trained: unknown = owner;
  const one = (kind: string): unknown => {
    if (kind === 'own') return new axpy.SGD((trained as axpy.Layer).parameters(), { learningRate: 0.01 });
    if (kind === 'handle') return new axpy.Publication(one('model') as axpy.Layer).handle;
    if (kind === 'ownAverage') return new axpy.WeightAverage(trained as axpy.Layer, { decay: 0.5 });
    if (kind === 'state') {
      const { stateDict } = (owner ?? {}) as { stateDict?: () => object };
      return stateDict ? { ...stateDict.call(owner) } : kinds.state(random);
    }
    if (kind === 'shared') return { ...(owner as axpy.Layer).share() };
    const value = kinds[kind as Kind](random);
    if (kind === 'model') trained = value;
    return value;
  };
  const parts = recipe === '' ? [] : recipe.split(' ');
  return parts.map((part) => {
    if (!part.startsWith('{')) return one(part);
    const options: Record<string, unknown> = {};
    for (const entry of part.slice(1, -1).split(',')) {
      const [name, kind = optionKinds[name]] = entry.split(':');
      const isNeeded = ['loss', 'optimizer', 'learningRate', 'model', 'folder'].includes(name);
      if (isNeeded || random.chance(0.4)) options[name] = one(optionKinds[kind] ?? kind);
    }
    return options;
  });
}

/** Numbers of epochs and runs that would be obeyed for a very long time. */
function isEndless(args: readonly unknown[]): boolean {
  return args.some((arg) => {
    if (typeof arg !== 'object' || arg === null) return false;
    try {
      const { epochs, runs } = arg as { epochs?: unknown; runs?: unknown };
      return [epochs, runs].some(
        (count) => typeof count === 'number' && count > 10 && Number.isInteger(count),
      );
    } catch {
      return false;
    }
  });
}

interface Target {
  readonly name: string;
  readonly recipe: string | undefined;
  readonly call: (args: unknown[]) => unknown;
  readonly owner: unknown;
}

const exported = Object.entries(axpy).flatMap(([name, value]): [string, AnyFunction][] => {
  if (typeof value === 'function') return [[name, value as AnyFunction]];
  return Object.entries(value).map(([part, fn]) => [`${name}.${part}`, fn as AnyFunction]);
});
const isClass = (fn: AnyFunction): boolean => /^class/.test(String(fn));
const isError = (fn: AnyFunction): boolean => fn.prototype instanceof Error;
const functions = exported.filter(([name, fn]) => !isError(fn) && !unmade.has(name));
const classes = functions.filter(([, fn]) => isClass(fn));

function construct(random: Random, [name, fn]: [string, AnyFunction]): object {
  return Reflect.construct(fn, argumentsOf(random, recipes[name] ?? '', null));
}

/** Names of methods and accessors up the chain of prototypes. */
function members(object: object): { name: string; descriptor: PropertyDescriptor }[] {
  const found = new Map<string, PropertyDescriptor>();
  for (
    let level = Object.getPrototypeOf(object);
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (!internal.has(name) && !found.has(name)) found.set(name, descriptor);
    }
  }
  return [...found].map(([name, descriptor]) => ({ name, descriptor }));
}

function method(random: Random, owner: object, title: string): Target {
  const { name, descriptor } = random.pick(members(owner));
  if (typeof descriptor.value === 'function') {
    const call = (args: unknown[]) => Reflect.apply(descriptor.value, owner, args);
    return {
      name: `${title}.${name}`,
      recipe: Object.hasOwn(methodRecipes, name) ? methodRecipes[name] : 'number tensor',
      call,
      owner,
    };
  }
  const call = ([value]: unknown[]) => {
    if (descriptor.set && random.chance(0.7)) Reflect.apply(descriptor.set, owner, [value]);
    return Reflect.apply(descriptor.get ?? (() => undefined), owner, []);
  };
  return { name: `${title}.${name}=`, recipe: 'number', call, owner };
}

function target(random: Random): Target {
  const way = random.next();
  if (way < 0.45) {
    const [name, fn] = random.pick(functions);
    const call = isClass(fn)
      ? (args: unknown[]) => Reflect.construct(fn, args)
      : (args: unknown[]) => fn(...args);
    return { name, recipe: recipes[name], call, owner: null };
  }
  if (way < 0.75) return method(random, kinds.tensor(random) as object, 'Tensor');
  const chosen = random.pick(classes);
  return method(random, construct(random, chosen), chosen[0]);
}

const settledWithin = 20_000;

/** Uses a result as a user would; promises are awaited, compiled functions called, gradients taken. */
async function use(t: Try, random: Random, name: string, result: unknown): Promise<void> {
  let value = result;
  if (value instanceof Promise) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, settledWithin, 'late');
    });
    value = await Promise.race([value, late]).finally(() => clearTimeout(timer));
    if (value === 'late') t.find(`${name} never settles`, '');
  }
  if (typeof value === 'function' && 'sync' in value && name.startsWith('compile')) {
    const compiled = value as axpy.Compiled<unknown[], unknown>;
    for (let i = 0; i < 3; i++) {
      const args = [random.chance(0.8) ? kinds.matrix(random) : hostile(random, kinds.matrix(random))];
      await use(
        t,
        random,
        'a compiled function',
        random.chance(0.5) ? compiled.sync(...args) : compiled(...args),
      );
    }
  }
  if (!(value instanceof Tensor) || value.size > 1000) return;
  String(value);
  value.toArray();
  if (value.requiresGrad && value.size === 1) value.backward();
}

/** Makes a call alone, or in one of the places where the library calls its user. */
function place(random: Random, act: () => unknown): unknown {
  const way = random.next();
  if (way < 0.75) return act();
  if (way < 0.8) return axpy.noGrad(act);
  const model = mlp();
  const inner = (x: axpy.Tensor): axpy.Tensor => {
    const got = act();
    return got instanceof Tensor && got.dtype === x.dtype && got.size === 1 ? x.mul(got) : x;
  };
  if (way < 0.87) {
    const compiled = axpy.compile((x: axpy.Tensor) => inner(x.mul(2)));
    compiled.sync(axpy.ones([2]));
    return random.chance(0.5) ? compiled.sync(axpy.ones([2])) : compiled(axpy.ones([2]));
  }
  if (way < 0.9)
    return axpy.gradCheck(
      (x: axpy.Tensor) => inner(x).sum(),
      [axpy.ones([3], { dtype: 'float64', requiresGrad: true })],
    );
  const data = { x: axpy.ones([6, 3]), y: axpy.zeros([6, 2]) };
  const optimizer = new axpy.SGD(model.parameters(), { learningRate: 0.01 });
  const common = { optimizer, batchSize: 2, compiled: random.chance(0.5) };
  if (way < 0.95) return axpy.fit(model, data, { ...common, loss: (p, y) => axpy.losses.mse(inner(p), y) });
  return axpy.fit(model, data, { ...common, loss: 'mse', callbacks: [{ onBatchEnd: () => void act() }] });
}

/** An argument in a few words; nothing of it is called. */
const show = (value: unknown): string =>
  inspect(value, {
    depth: 1,
    maxArrayLength: 3,
    maxStringLength: 20,
    customInspect: false,
    breakLength: Infinity,
  }).slice(0, 300);

/** What the engine throws at every use of a revoked proxy; a description of one must not. */
const isRevoked = (error: unknown): boolean =>
  error instanceof TypeError &&
  /proxy that has been revoked/.test(error.message) &&
  !/ describe /.test(error.stack ?? '');

/** Numbers in messages aside, errors with the same text are of one kind. */
const kindOf = (name: string, error: unknown): string =>
  `${name}: ${showError(error)
    .replace(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, 'N')
    .slice(0, 90)}`;

for (const [name] of functions) {
  if (recipes[name] === undefined)
    console.log(`@${JSON.stringify({ index: 0, kind: `no recipe for the export ${name}`, detail: '' })}`);
}

await attempts(async (t) => {
  const { random } = t;
  t.note('prepares');
  let name = 'prepares';
  const judge = (error: unknown): void => {
    if (isAllowed(error) || isRevoked(error)) return;
    t.find(kindOf(name, error), error instanceof Error ? (error.stack ?? '') : String(error));
  };
  try {
    const { name: called, recipe, call, owner } = target(random);
    name = called;
    const args = argumentsOf(random, recipe ?? 'tensor number', owner);
    let twisted = '';
    for (let i = 0; i < args.length; i++) {
      if (!random.chance(0.5)) continue;
      args[i] = hostile(random, args[i]);
      twisted += ` ${i}`;
    }
    if (random.chance(0.05)) args.length = random.int(0, args.length);
    if (random.chance(0.05)) args.push(hostile(random, {}));
    if (random.chance(0.03) && owner instanceof Tensor) takeAway(owner.data.buffer);
    if (isEndless(args)) return;
    t.note(`${name} (${args.map(show).join(', ')}) hostile:${twisted}`);
    const act = () => {
      const result = call(args);
      // A place that drops a promise does not hear of it.
      if (result instanceof Promise) result.catch(judge);
      return result;
    };
    await use(t, random, name, place(random, act));
  } catch (error) {
    judge(error);
  } finally {
    axpy.setThreads(2);
  }
});
