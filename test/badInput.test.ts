/** Whatever is passed where something else belongs: an AxpyError with a code, never an error of the JavaScript engine. */
import { describe, expect, it } from 'vitest';
import {
  Activation,
  Adagrad,
  Adam,
  AdamW,
  AvgPool2D,
  AxpyError,
  affineGrid,
  arange,
  averagePool2d,
  BatchNorm,
  batchNorm,
  Columns,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  compile,
  concat,
  confusionMatrix,
  conv1d,
  conv2d,
  convTranspose2d,
  Dense,
  Dropout,
  denseFromChannelsFirst,
  dropout,
  Embedding,
  earlyStopping,
  einsum,
  evaluate,
  eye,
  Flatten,
  fit,
  fromChannelsFirst,
  full,
  GlobalAvgPool2D,
  GRU,
  GroupNorm,
  gradCheck,
  gridSample,
  groupNorm,
  interpolate,
  KeyValueCache,
  kFold,
  Layer,
  LayerNorm,
  Lion,
  LSTM,
  layerNorm,
  losses,
  MaxPool2D,
  MultiHeadAttention,
  maxPool2d,
  metrics,
  NAdam,
  Normalize,
  noGrad,
  OneHot,
  oneHot,
  Pad,
  Parameter,
  PositionEmbedding,
  permutation,
  predict,
  profile,
  progress,
  RandomRotation,
  RandomTranslation,
  RandomZoom,
  Rescale,
  RMSNorm,
  RMSprop,
  RNN,
  rand,
  randomState,
  rmsNorm,
  rotary,
  Sequential,
  SGD,
  SharedTensor,
  StringLookup,
  scaledDotProductAttention,
  seed,
  setThreads,
  stack,
  Tensor,
  type TrainingContext,
  TransformerBlock,
  TransformerDecoderBlock,
  tensor,
  toChannelsFirst,
  trainTestSplit,
  Upsample,
  upsample,
  where,
  zeros,
} from '../lib/index.ts';

const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};

/** Shows itself by an error. */
const hidden = {
  get constructor() {
    throw new TypeError('hidden');
  },
  toString() {
    throw new TypeError('hidden');
  },
  [Symbol.toPrimitive]() {
    throw new TypeError('hidden');
  },
};

/** Callbacks, as it happens, that listen to nothing. */
const objects: unknown = [Object.create(null)];

/** What is no tensor, no number, no shape, no axis, no name and no option. */
const strange: [name: string, value: never][] = (
  [
    ['null', null],
    ['a string', 'a'],
    ['a bigint', 1n],
    ['a symbol', Symbol('a')],
    ['a boolean', true],
    ['an object without prototype', Object.assign(Object.create(null), { unknown: 1 })],
    ['an array of a symbol', [Symbol('a')]],
    ['an array of a bigint', [1n]],
    ['an array of an object', objects],
    ['NaN', Number.NaN],
    ['a proxy that was revoked', revoked({})],
    ['a proxy of an array that was revoked', revoked([])],
    ['a proxy of a function that was revoked', revoked(() => 1)],
    ['an array of billions', new Array(2 ** 32 - 1)],
    ['an array that says it is shorter than nothing', new Proxy([1], { get: () => -1 })],
    ['an array whose length throws when shown', new Proxy([1], { get: () => hidden })],
    ['an object that hides its class', Object.assign(Object.create(hidden), { unknown: 1 })],
    ['a string object', new String('ab')],
    ['a Map', new Map([['dtype', 'float32']])],
    ['a Set', new Set(['dtype'])],
    ['what was not awaited', Promise.resolve({ dtype: 'float32' })],
    ['a Date', new Date(0)],
    ['a bigint of a million digits', 10n ** 1_000_000n],
    ['a long string', 'a'.repeat(2 ** 26)],
  ] as const
).map(([name, value]) => [name, value as never]);

const matrix = () =>
  tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
const image = () => zeros([1, 1, 1, 1]);
const grid = () => zeros([1, 1, 1, 2]);
const labels = () => tensor([0, 1], { dtype: 'int32' });
const float64 = () => tensor([1], { dtype: 'float64' });
const parameters = () => new Dense(2, 2).parameters();

/** Calls that no strange value suits. */
const calls: Record<string, (value: never) => unknown> = {
  zeros: (v) => zeros(v),
  'zeros, a dimension': (v) => zeros([v]),
  'zeros, options': (v) => zeros([1], v),
  'zeros, dtype': (v) => zeros([1], { dtype: v }),
  'rand, options': (v) => rand([1], v),
  'rand, dtype': (v) => rand([1], { dtype: v }),
  'tensor, options': (v) => tensor([1], v),
  'tensor, shape': (v) => tensor([1], { shape: v }),
  arange: (v) => arange(v),
  eye: (v) => eye(v),
  seed: (v) => seed(v),
  randomState: (v) => randomState(v),
  permutation: (v) => permutation(v),
  'permutation, state': (v) => permutation(4, v),
  'dropout, rate': (v) => dropout(matrix(), v),
  'dropout, state': (v) => dropout(matrix(), 0.5, v),
  setThreads: (v) => setThreads(v),
  concat: (v) => concat(v),
  'concat, element': (v) => concat([v]),
  'concat, axis': (v) => concat([matrix()], v),
  stack: (v) => stack([v]),
  where: (v) => where(v, 1, 2),
  oneHot: (v) => oneHot(v, 2),
  'oneHot, classes': (v) => oneHot(labels(), v),
  'oneHot, dtype': (v) => oneHot(labels(), 2, v),
  noGrad: (v) => noGrad(v),
  reshape: (v) => matrix().reshape(v),
  transpose: (v) => matrix().transpose(v),
  'transpose, axis': (v) => matrix().transpose([0, v]),
  slice: (v) => matrix().slice(v),
  'slice, end': (v) => matrix().slice([[0, v]]),
  squeeze: (v) => matrix().squeeze(v),
  unsqueeze: (v) => matrix().unsqueeze(v),
  split: (v) => matrix().split(v),
  'split, size': (v) => matrix().split([v]),
  'split, axis': (v) => matrix().split(1, v),
  unbind: (v) => matrix().unbind(v),
  flip: (v) => matrix().flip(v),
  tile: (v) => matrix().tile(v),
  'tile, count': (v) => matrix().tile([v]),
  tril: (v) => matrix().tril(v),
  takeAlongAxis: (v) => matrix().takeAlongAxis(v),
  'takeAlongAxis, axis': (v) => matrix().takeAlongAxis(labels(), v),
  scatterAdd: (v) => matrix().scatterAdd(v, matrix()),
  norm: (v) => matrix().norm(v),
  'norm, options': (v) => matrix().norm(0, v),
  'norm, ord': (v) => matrix().norm(0, { ord: v }),
  'std, options': (v) => matrix().std(0, v),
  prod: (v) => matrix().prod(v),
  cumsum: (v) => matrix().cumsum(v),
  cumprod: (v) => matrix().cumprod(v),
  sort: (v) => matrix().sort(v),
  'sort, options': (v) => matrix().sort(0, v),
  'topK of a tensor': (v) => matrix().topK(v),
  'topK, options': (v) => matrix().topK(1, 0, v),
  einsum: (v) => einsum(v, matrix()),
  'einsum, tensor': (v) => einsum('ij->i', v),
  'quantile, quantile': (v) => losses.quantile(matrix(), matrix(), { quantile: v }),
  'focal, gamma': (v) => losses.focal(matrix(), matrix(), { gamma: v }),
  'softmaxCrossEntropy, weight': (v) => losses.softmaxCrossEntropy(matrix(), matrix(), { weight: v }),
  'softmaxCrossEntropy, ignoreIndex': (v) =>
    losses.softmaxCrossEntropy(matrix(), matrix(), { ignoreIndex: v }),
  'binaryCrossEntropy, weight': (v) => losses.binaryCrossEntropy(matrix(), matrix(), { weight: v }),
  'cosineEmbedding, pair': (v) => losses.cosineEmbedding(v, matrix()),
  'klDivergence, target': (v) => losses.klDivergence(matrix(), v),
  'scatterAdd, updates': (v) => matrix().scatterAdd(labels(), v),
  sum: (v) => matrix().sum(v),
  'sum, options': (v) => matrix().sum(0, v),
  'variance, options': (v) => matrix().variance(0, v),
  'variance, correction': (v) => matrix().variance(0, { correction: v }),
  argmax: (v) => matrix().argmax(v),
  softmax: (v) => matrix().softmax(v),
  logSumExp: (v) => matrix().logSumExp(v),
  'logSumExp, options': (v) => matrix().logSumExp(0, v),
  flatten: (v) => matrix().flatten(v),
  broadcastTo: (v) => matrix().broadcastTo(v),
  cast: (v) => matrix().cast(v),
  matmul: (v) => matrix().matmul(v),
  'matmul, options': (v) => matrix().matmul(zeros([3, 1]), v),
  assign: (v) => matrix().assign(v),
  backward: (v) => matrix().setRequiresGrad().sum().backward(v),
  'this of an op': (v) => Tensor.prototype.add.call(v, 1),
  'this of item': (v) => Tensor.prototype.item.call(v),
  'this of toArray': (v) => Tensor.prototype.toArray.call(v),
  'this of backward': (v) => Tensor.prototype.backward.call(v),
  'mse, prediction': (v) => losses.mse(v, matrix()),
  'mse, options': (v) => losses.mse(matrix(), matrix(), v),
  'softmaxCrossEntropy, target': (v) => losses.softmaxCrossEntropy(matrix(), v),
  'softmaxCrossEntropy, reduction': (v) => losses.softmaxCrossEntropy(matrix(), matrix(), { reduction: v }),
  'huber, delta': (v) => losses.huber(matrix(), matrix(), { delta: v }),
  Parameter: (v) => new Parameter([v]),
  'Parameter, dtype': (v) => new Parameter([1], v),
  Dense: (v) => new Dense(v, 2),
  'Dense, options': (v) => new Dense(2, 2, v),
  'Dense, activation': (v) => new Dense(2, 2, { activation: v }),
  'Dense, init': (v) => new Dense(2, 2, { init: v }),
  'Dense, values of init': (v) => new Dense(1, 1, { init: () => [v] }),
  'Dense, input': (v) => new Dense(2, 2).forward(v),
  Embedding: (v) => new Embedding(v, 2),
  'Embedding, size': (v) => new Embedding(2, v),
  'Embedding, options': (v) => new Embedding(2, 2, v),
  'Embedding, paddingIndex': (v) => new Embedding(2, 2, { paddingIndex: v ?? 0.5 }),
  'Embedding, init': (v) => new Embedding(2, 2, { init: v }),
  'Embedding, x': (v) => new Embedding(2, 2).forward(v),
  LSTM: (v) => new LSTM(v, 2),
  'LSTM, options': (v) => new LSTM(2, 2, v),
  'LSTM, layers': (v) => new LSTM(2, 2, { layers: v }),
  'LSTM, bidirectional': (v) => new LSTM(2, 2, { bidirectional: v === true ? (1 as never) : v }),
  'LSTM, dropout': (v) => new LSTM(2, 2, { layers: 2, dropout: v }),
  'LSTM, returns': (v) => new LSTM(2, 2, { returns: v }),
  'LSTM, recurrentInit': (v) => new LSTM(2, 2, { recurrentInit: v }),
  'LSTM, x': (v) => new LSTM(2, 2).forward(v),
  'LSTM, state': (v) => new LSTM(2, 2).forward(zeros([1, 1, 2]), v ?? 1),
  'LSTM, a state': (v) => new LSTM(2, 2).forward(zeros([1, 1, 2]), { c: v }),
  'LSTM, lengths': (v) => new LSTM(2, 2).forward(zeros([1, 1, 2]), {}, v ?? 1),
  'GRU, resetAfter': (v) => new GRU(2, 2, { resetAfter: v === true ? (1 as never) : v }),
  'RNN, nonlinearity': (v) => new RNN(2, 2, { nonlinearity: v }),
  'Flatten, input': (v) => new Flatten().forward(v),
  'RandomRotation, factor': (v) => new RandomRotation(v),
  'RandomRotation, an end': (v) => new RandomRotation([v, 1]),
  'RandomRotation, input': (v) => new RandomRotation(0.1).forward(v),
  'RandomTranslation, options': (v) => new RandomTranslation(0.1, 0.1, v),
  'RandomTranslation, fillMode': (v) => new RandomTranslation(0.1, 0.1, { fillMode: v }),
  'RandomTranslation, fillValue': (v) => new RandomTranslation(0.1, 0.1, { fillValue: v }),
  'RandomZoom, widthFactor': (v) => new RandomZoom(0.1, { widthFactor: v === null ? ('a' as never) : v }),
  'Dropout, input in evaluation': (v) => new Dropout().eval().forward(v),
  Activation: (v) => new Activation(v),
  Sequential: (v) => new Sequential(v),
  'conv2d, x': (v) => conv2d(v, image()),
  'conv2d, weight': (v) => conv2d(image(), v),
  'conv2d, options': (v) => conv2d(image(), image(), null, v),
  'conv2d, stride': (v) => conv2d(image(), image(), null, { stride: v }),
  'conv2d, padding': (v) => conv2d(image(), image(), null, { padding: v }),
  'conv2d, a side': (v) => conv2d(image(), image(), null, { padding: { top: v } }),
  'conv2d, dilation': (v) => conv2d(image(), image(), null, { dilation: [1, v] }),
  'conv2d, groups': (v) => conv2d(image(), image(), null, { groups: v }),
  'conv2d, winograd': (v) => conv2d(image(), image(), null, { winograd: v === true ? (1 as never) : v }),
  'conv1d, padding': (v) => conv1d(zeros([1, 1, 1]), zeros([1, 1, 1]), null, { padding: v }),
  'conv1d, stride': (v) => conv1d(zeros([1, 1, 1]), zeros([1, 1, 1]), null, { stride: v }),
  'convTranspose2d, x': (v) => convTranspose2d(v, image()),
  'convTranspose2d, outputPadding': (v) => convTranspose2d(image(), image(), null, { outputPadding: v }),
  'maxPool2d, x': (v) => maxPool2d(v, 1),
  'maxPool2d, size': (v) => maxPool2d(image(), v),
  'maxPool2d, options': (v) => maxPool2d(image(), 1, v),
  'averagePool2d, stride': (v) => averagePool2d(image(), 1, { stride: v }),
  'batchNorm, x': (v) => batchNorm(v),
  'batchNorm, options': (v) => batchNorm(matrix(), null, null, null, v),
  'batchNorm, momentum': (v) => batchNorm(matrix(), null, null, null, { momentum: v }),
  'batchNorm, epsilon': (v) => batchNorm(matrix(), null, null, null, { epsilon: v }),
  'layerNorm, x': (v) => layerNorm(v, 3),
  'layerNorm, shape': (v) => layerNorm(matrix(), v),
  'layerNorm, options': (v) => layerNorm(matrix(), 3, null, null, v),
  'rotary, x': (v) => rotary(v),
  'rotary, options': (v) => rotary(zeros([2, 2]), v),
  'rotary, first': (v) =>
    rotary(zeros([2, 2]), { first: v === 3 || v === 1 || v === 2.5 ? ('1' as never) : v }),
  MultiHeadAttention: (v) => new MultiHeadAttention(v, 1),
  'MultiHeadAttention, heads': (v) => new MultiHeadAttention(1, v),
  'MultiHeadAttention, options': (v) => new MultiHeadAttention(2, 2, v),
  'MultiHeadAttention, x': (v) => new MultiHeadAttention(2, 2).forward(v),
  'MultiHeadAttention, forward': (v) => new MultiHeadAttention(2, 2).forward(zeros([1, 1, 2]), v),
  'MultiHeadAttention, context': (v) =>
    new MultiHeadAttention(2, 2).forward(zeros([1, 1, 2]), { context: v ?? 1 }),
  'MultiHeadAttention, keyMask': (v) =>
    new MultiHeadAttention(2, 2).forward(zeros([1, 1, 2]), { keyMask: v ?? 1 }),
  'MultiHeadAttention, cache': (v) =>
    new MultiHeadAttention(2, 2).forward(zeros([1, 1, 2]), { cache: v ?? 1 }),
  PositionEmbedding: (v) => new PositionEmbedding(v, 2),
  'PositionEmbedding, kind': (v) => new PositionEmbedding(2, 2, { kind: v }),
  'PositionEmbedding, x': (v) => new PositionEmbedding(2, 2).forward(v),
  TransformerBlock: (v) => new TransformerBlock(2, v),
  'TransformerBlock, options': (v) => new TransformerBlock(2, 2, v),
  'TransformerBlock, x': (v) => new TransformerBlock(2, 2).forward(v),
  TransformerDecoderBlock: (v) => new TransformerDecoderBlock(2, v),
  'TransformerDecoderBlock, options': (v) => new TransformerDecoderBlock(2, 2, v),
  'TransformerDecoderBlock, x': (v) => new TransformerDecoderBlock(2, 2).forward(v, zeros([1, 1, 2])),
  'TransformerDecoderBlock, context': (v) => new TransformerDecoderBlock(2, 2).forward(zeros([1, 1, 2]), v),
  'TransformerDecoderBlock, contextKeyMask': (v) =>
    new TransformerDecoderBlock(2, 2).forward(zeros([1, 1, 2]), zeros([1, 1, 2]), { contextKeyMask: v ?? 1 }),
  KeyValueCache: (v) => new KeyValueCache(v, 1, 1),
  'KeyValueCache, length': (v) => new KeyValueCache(new MultiHeadAttention(2, 2), 1, v),
  'rmsNorm, x': (v) => rmsNorm(v, 3),
  'rmsNorm, shape': (v) => rmsNorm(matrix(), v),
  'rmsNorm, options': (v) => rmsNorm(matrix(), 3, null, v),
  'groupNorm, x': (v) => groupNorm(v, 1),
  'groupNorm, groups': (v) => groupNorm(matrix(), v === 3 || v === 1 ? (2 as never) : v),
  'groupNorm, options': (v) => groupNorm(matrix(), 1, null, null, v),
  'scaledDotProductAttention, q': (v) => scaledDotProductAttention(v, matrix(), matrix()),
  'scaledDotProductAttention, v': (v) => scaledDotProductAttention(matrix(), matrix(), v),
  'scaledDotProductAttention, options': (v) => scaledDotProductAttention(matrix(), matrix(), matrix(), v),
  'scaledDotProductAttention, mask': (v) =>
    scaledDotProductAttention(matrix(), matrix(), matrix(), { mask: v === null ? (1 as never) : v }),
  pad: (v) => matrix().pad(v),
  'pad, an end': (v) => matrix().pad([[0, v]]),
  'upsample, x': (v) => upsample(v, 2),
  'upsample, scale': (v) => upsample(image(), v),
  'upsample, mode': (v) => upsample(image(), 2, { mode: v }),
  'affineGrid, theta': (v) => affineGrid(v, 2),
  'affineGrid, size': (v) => affineGrid(zeros([1, 2, 3]), v),
  'affineGrid, options': (v) => affineGrid(zeros([1, 2, 3]), 2, v),
  'gridSample, x': (v) => gridSample(v, grid()),
  'gridSample, grid': (v) => gridSample(image(), v),
  'gridSample, options': (v) => gridSample(image(), grid(), v),
  'gridSample, mode': (v) => gridSample(image(), grid(), { mode: v }),
  'gridSample, paddingMode': (v) => gridSample(image(), grid(), { paddingMode: v }),
  'interpolate, x': (v) => interpolate(v, { size: 2 }),
  'interpolate, options': (v) => interpolate(image(), v),
  'interpolate, size': (v) => interpolate(image(), { size: v }),
  'interpolate, scaleFactor': (v) => interpolate(image(), { scaleFactor: v }),
  'interpolate, alignCorners': (v) =>
    interpolate(image(), { size: 2, mode: 'bilinear', alignCorners: v === true ? (1 as never) : v }),
  fromChannelsFirst: (v) => fromChannelsFirst(v),
  toChannelsFirst: (v) => toChannelsFirst(v),
  denseFromChannelsFirst: (v) => denseFromChannelsFirst(v, [1, 1, 3]),
  'denseFromChannelsFirst, image': (v) => denseFromChannelsFirst(matrix(), v),
  Conv2D: (v) => new Conv2D(v, 1, 1),
  'Conv2D, outChannels': (v) => new Conv2D(1, v, 1),
  'Conv2D, kernel': (v) => new Conv2D(1, 1, v),
  'Conv2D, options': (v) => new Conv2D(1, 1, 1, v),
  'Conv2D, padding': (v) => new Conv2D(1, 1, 1, { padding: v }),
  'Conv2D, activation': (v) => new Conv2D(1, 1, 1, { activation: v }),
  'Conv2D, dtype': (v) => new Conv2D(1, 1, 1, { dtype: v }),
  'Conv2D, input': (v) => new Conv2D(1, 1, 1).forward(v),
  'ConvTranspose2D, outputPadding': (v) => new ConvTranspose2D(1, 1, 1, { outputPadding: v }),
  'Conv1D, kernel': (v) => new Conv1D(1, 1, v),
  'Conv1D, padding': (v) => new Conv1D(1, 1, 1, { padding: v }),
  MaxPool2D: (v) => new MaxPool2D(v),
  'MaxPool2D, options': (v) => new MaxPool2D(1, v),
  'AvgPool2D, countPadding': (v) => new AvgPool2D(1, { countPadding: v === true ? (1 as never) : v }),
  'GlobalAvgPool2D, input': (v) => new GlobalAvgPool2D().forward(v),
  BatchNorm: (v) => new BatchNorm(v),
  'BatchNorm, options': (v) => new BatchNorm(1, v),
  'BatchNorm, input': (v) => new BatchNorm(1).forward(v),
  LayerNorm: (v) => new LayerNorm(v),
  'LayerNorm, epsilon': (v) => new LayerNorm(1, { epsilon: v }),
  RMSNorm: (v) => new RMSNorm(v),
  'RMSNorm, epsilon': (v) => new RMSNorm(1, { epsilon: v }),
  'GroupNorm, channels': (v) => new GroupNorm(1, v),
  'GroupNorm, options': (v) => new GroupNorm(1, 1, v),
  Pad: (v) => new Pad(v),
  'Pad, options': (v) => new Pad(1, v),
  Upsample: (v) => new Upsample(v),
  'Upsample, mode': (v) => new Upsample(1, { mode: v }),
  SharedTensor: (v) => new SharedTensor([v]),
  'Parameter, options': (v) => new Parameter([1], 'float32', v),
  'Sequential, layer': (v) => new Sequential([v]),
  'Sequential, options': (v) => new Sequential([new Flatten()], v),
  'Sequential, inputShape': (v) => new Sequential([new Flatten()], { inputShape: v }),
  summary: (v) => new Sequential([new Dense(2, 2)]).summary(v),
  'summary of a layer': (v) => new Dense(2, 2).summary(v),
  loadStateDict: (v) => new Dense(2, 2).loadStateDict(v),
  attach: (v) => new Dense(2, 2).attach(v),
  'SharedTensor.attach': (v) => new SharedTensor([1]).attach(v),
  'train of a layer': (v) => new Dense(2, 2).train(v === true ? (1 as never) : v),
  ...Object.fromEntries(
    [
      new Dense(2, 2),
      new Flatten(),
      new Dropout(),
      new Activation('relu'),
      new BatchNorm(1),
      new LayerNorm(1),
      new RMSNorm(1),
      new MultiHeadAttention(2, 2),
      new PositionEmbedding(2, 2),
      new TransformerBlock(2, 2),
      new TransformerDecoderBlock(2, 2),
      new GroupNorm(1, 1),
      new Conv1D(1, 1, 1),
      new Conv2D(1, 1, 1),
      new ConvTranspose2D(1, 1, 1),
      new MaxPool2D(1),
      new GlobalAvgPool2D(),
      new Pad(1),
      new Upsample(1),
      new Sequential([new Dense(2, 2)]),
    ].map((layer) => [`${layer.label}.outputShape`, (v: never) => layer.outputShape(v)]),
  ),
  'summary, the shape a layer tells': (v) => new Sequential([new Telling(v), new Flatten()]),
  'predict, the shape a layer tells': (v) => predict(new Telling(v), zeros([0, 1])),
  'gather, indices': (v) => matrix().gather(v),
  'conv2d, activation': (v) => conv2d(image(), image(), null, { activation: v === null ? (1 as never) : v }),
  'batchNorm, running statistics': (v) => batchNorm(matrix(), null, null, v === null ? (1 as never) : v),
  'clip, low': (v) => matrix().clip(v, 1),
  'pow, exponent': (v) => matrix().pow(Number.isNaN(v) ? (null as never) : v),
  'earlyStopping, monitor': (v) => earlyStopping({ monitor: isText(v) ? (1 as never) : v }),
  'earlyStopping, mode': (v) => earlyStopping({ mode: v }),
  'compile, fn': (v) => compile(v),
  'profile, step': (v) => profile(v),
  'profile, args': (v) =>
    profile(
      compile(() => 1),
      v,
    ),
  'SGD, parameters': (v) => new SGD(v, { learningRate: 0.1 }),
  'SGD, options': (v) => new SGD(parameters(), v),
  'SGD, nesterov': (v) =>
    new SGD(parameters(), { learningRate: 0.1, nesterov: v === true ? (1 as never) : v }),
  'Adam, options': (v) => new Adam(parameters(), v),
  'Adam, learningRate': (v) => new Adam(parameters(), { learningRate: v }),
  'Adam, amsgrad': (v) => new Adam(parameters(), { amsgrad: v === true ? (1 as never) : v }),
  'AdamW, weightDecay': (v) => new AdamW(parameters(), { weightDecay: v }),
  'AdamW, a group': (v) => new AdamW([v]),
  'AdamW, parameters of a group': (v) => new AdamW([{ parameters: v }]),
  'Lion, learningRate of a group': (v) => new Lion([{ parameters: parameters(), learningRate: v }]),
  'RMSprop, centered': (v) => new RMSprop(parameters(), { centered: v === true ? (1 as never) : v }),
  'Adagrad, initialAccumulator': (v) => new Adagrad(parameters(), { initialAccumulator: v }),
  'NAdam, momentumDecay': (v) => new NAdam(parameters(), { momentumDecay: v }),
  'Adam, state': (v) => new Adam(parameters()).loadStateDict(v),
  'SGD, value of a state': (v) => new SGD(parameters(), { learningRate: 1 }).loadStateDict({ hyper: v }),
  'gradCheck, fn': (v) => gradCheck(v, [float64()]),
  'gradCheck, inputs': (v) => gradCheck((x) => x as Tensor, v),
  'gradCheck, options': (v) => gradCheck((x) => x as Tensor, [float64()], v),
  'gradCheck, epsilon': (v) => gradCheck((x) => x as Tensor, [float64()], { epsilon: v }),
  'gradCheck, result': (v) => gradCheck(() => v, [float64()]),
  'confusionMatrix, labels': (v) => confusionMatrix(matrix(), v),
  'accuracy, options': (v) => metrics.accuracy(v),
  topK: (v) => metrics.topK(v === true ? (0 as never) : v),
  'progress, stream': (v) => progress({ stream: v }),
  'fit, data': (v) => train({}, v),
  'fit, x': (v) => train({}, { x: v, y: [[1]] } as never),
  'fit, a batch': (v) => train({}, [v] as never),
  'fit, validation batch': (v) => train({ validation: [v] }),
  'fit, loss': (v) => train({ loss: v }),
  'fit, result of the loss': (v) => train({ loss: () => v }),
  'fit, epochs': (v) => train({ epochs: v }),
  'fit, seed': (v) => train({ seed: v }),
  'fit, metrics': (v) => train({ metrics: v }),
  'fit, a metric': (v) => train({ metrics: [v] }),
  'fit, the start of a metric': (v) => train({ metrics: [{ name: 'own', start: v }] }),
  'fit, the sum of a metric': (v) => train({ metrics: [{ name: 'own', start: () => v }] }),
  'fit, the name of a metric': (v) =>
    train({ metrics: [{ name: isText(v) ? '' : v, start: () => ({ add() {}, result: () => 1 }) }] }),
  'fit, callbacks': (v) => train({ callbacks: v === objects ? null : v }),
  'fit, a hook': (v) => train({ callbacks: [{ onTrainEnd: v }] }),
  'fit, why to stop': (v) =>
    train({
      callbacks: [{ onEpochBegin: ({ stop }: TrainingContext) => stop(isText(v) ? (1 as never) : v) }],
    }),
  'fit, data of a function': (v) => train({}, (() => v) as never),
  'fit, what iterates': (v) => train({}, { [Symbol.iterator]: v } as never),
  'fit, signal': (v) => train({ signal: v }),
  'evaluate, options': (v) => evaluate(new Dense(1, 1), { x: [[1]], y: [[1]] }, v),
  'evaluate, output of a layer': (v) =>
    evaluate(new Returning(v), { x: [[1]], y: [[1]] }, { metrics: ['accuracy'] }),
  'Normalize, adapt': (v) => new Normalize(1).adapt(v),
  'Normalize, invert': (v) => new Normalize(1, { invert: v === true ? 1 : v } as never),
  'Normalize, forward': (v) => new Normalize(1).forward(v),
  'Normalize, inverse': (v) => new Normalize(1).inverse(v),
  'Normalize, x': (v) => predict(new Normalize(1), v),
  Rescale: (v) => new Rescale(v),
  'OneHot, adapt': (v) => new OneHot().adapt(v),
  'OneHot, x': (v) => predict(new OneHot(1), v),
  'StringLookup, vocabulary': (v) => new StringLookup(v === null ? (1 as never) : v),
  'StringLookup, a word to adapt to': (v) => new StringLookup().adapt(['a', [v]] as never),
  'StringLookup, indices': (v) => new StringLookup(['a']).decode(v),
  'StringLookup, x': (v) => predict(new StringLookup(['a']), v),
  Columns: (v) => new Columns(v),
  'Columns, a layer': (v) => new Columns({ a: v }),
  'Columns, a width': (v) => new Columns({ a: new OneHot(1) }, { widths: { a: v } }),
  'Columns, x': (v) => predict(new Columns({ a: new OneHot(1) }), v),
  'Columns, a column': (v) => predict(new Columns({ a: new OneHot(1) }), { a: v }),
  'Columns, a row': (v) => predict(new Columns({ a: new OneHot(1) }), [{ a: 0 }, v]),
  'Columns, forward': (v) => new Columns({ a: new OneHot(1) }).forward(v),
  'trainTestSplit, data': (v) => trainTestSplit(v),
  'trainTestSplit, y': (v) => trainTestSplit({ x: [1, 2, 3], y: v }),
  'trainTestSplit, testSize': (v) => trainTestSplit([1, 2], { testSize: v }),
  'trainTestSplit, stratify': (v) => trainTestSplit([1, 2], { stratify: v }),
  'trainTestSplit, groups': (v) => trainTestSplit([1, 2], { groups: v }),
  'kFold, data': (v) => kFold(v as never),
  'kFold, folds': (v) => kFold(4, { folds: v }),
  'predict, x': (v) => predict(new Dense(1, 1), v),
  'predict, options': (v) => predict(new Dense(1, 1), [[1]], v),
  'predict, output of a layer': (v) => predict(new Returning(v), [[1]]),
};

const isText = (value: unknown) => typeof value === 'string';

/** A layer that tells anything for the shape of its output. */
class Telling extends Layer {
  constructor(private readonly told: never) {
    super();
  }

  forward(x: Tensor): Tensor {
    return x;
  }

  override outputShape(): never {
    return this.told;
  }
}

class Returning extends Layer {
  private readonly value: Tensor;

  constructor(value: Tensor) {
    super();
    this.value = value;
  }

  forward(): Tensor {
    return this.value;
  }
}

/** Trains, and fails when a training that was refused has changed the parameters. */
async function train(options: object, data: never = { x: [[1]], y: [[1]] } as never) {
  const model = new Dense(1, 1);
  const before = [...model.weight.data];
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  try {
    await fit(model, data, { loss: 'mse', optimizer, ...options });
  } finally {
    expect([...model.weight.data]).toEqual(before);
  }
}

describe.each(Object.entries(calls))('%s', (_, call) => {
  it.each(strange)('refuses %s', async (_, value) => {
    let error: unknown;
    try {
      await call(value);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AxpyError);
    expect((error as AxpyError).code).toMatch(/^AXPY_[A-Z_]+$/);
    expect((error as AxpyError).message.length).toBeLessThan(500);
  });
});

function detached(): Tensor {
  const x = zeros([2, 2]);
  structuredClone(x.data.buffer, { transfer: [x.data.buffer as ArrayBuffer] });
  return x;
}

const itself: unknown[] = [];
itself.push(itself);

describe('a named error', () => {
  it.each<[string, () => unknown, string]>([
    ['an array that holds itself', () => tensor(itself as never), 'AXPY_SHAPE'],
    ['bigints with a dtype', () => tensor(new BigInt64Array(1) as never, { dtype: 'float32' }), 'AXPY_DATA'],
    [
      'a DataView with a dtype',
      () => tensor(new DataView(new ArrayBuffer(4)) as never, { dtype: 'float32' }),
      'AXPY_DATA',
    ],
    ['a sum too large', () => zeros([1e5, 1]).add(zeros([1, 1e5])), 'AXPY_SHAPE'],
    ['a product too large', () => zeros([1e5, 1]).matmul(zeros([1, 1e5])), 'AXPY_SHAPE'],
    ['a table too large', () => oneHot(zeros([1e5], { dtype: 'int32' }), 1e5), 'AXPY_SHAPE'],
    ['a concatenation too large', () => concat(Array(30_000).fill(zeros([1, 1e5]))), 'AXPY_SHAPE'],
    ['a permutation too large', () => permutation(2 ** 31), 'AXPY_ARGUMENT'],
    ['a rank too high', () => oneHot(zeros(Array(16).fill(1), { dtype: 'int32' }), 2), 'AXPY_SHAPE'],
    ['full, no number', () => full([1], '1' as never), 'AXPY_ARGUMENT'],
    [
      'axes as arguments',
      () => (matrix() as never as { transpose(...a: number[]): unknown }).transpose(0, 1),
      'AXPY_ARGUMENT',
    ],
    ['a misspelt option', () => new Adam(parameters(), { lr: 0.1 } as never), 'AXPY_ARGUMENT'],
    ['a model for its parameters', () => new Adam(new Dense(1, 1) as never), 'AXPY_ARGUMENT'],
    [
      'a deviation below 0',
      () => new Dense(1, 1, { init: { name: 'normal', deviation: -1 } }),
      'AXPY_ARGUMENT',
    ],
    [
      'bounds the wrong way',
      () => new Dense(1, 1, { init: { name: 'uniform', low: 1, high: 0 } }),
      'AXPY_ARGUMENT',
    ],
    ['an initializer of NaN', () => new Dense(1, 1, { init: () => [Number.NaN] }), 'AXPY_DATA'],
    ['the mean of no examples', () => losses.softmaxCrossEntropy(zeros([0, 3]), zeros([0, 3])), 'AXPY_SHAPE'],
    ['item of a detached tensor', () => detached().reshape([4]).toArray(), 'AXPY_DATA'],
    ['assign to a detached tensor', () => detached().assign(zeros([2, 2])), 'AXPY_DATA'],
    ['assign of a detached tensor', () => zeros([2, 2]).assign(detached()), 'AXPY_DATA'],
    ['requiresGrad of int32', () => (labels().requiresGrad = true), 'AXPY_DTYPE'],
    [
      'requiresGrad of a result',
      () => (matrix().setRequiresGrad().sum().requiresGrad = false),
      'AXPY_AUTOGRAD',
    ],
    ['no batches to validate on', () => train({ validation: [] }), 'AXPY_DATA'],
  ])('for %s', async (_, call, code) => {
    await expect((async () => call())()).rejects.toMatchObject({ code, constructor: expect.any(Function) });
  });

  it('for more memory than there is', () => {
    const { Float32Array: genuine } = globalThis;
    globalThis.Float32Array = class extends genuine {
      constructor() {
        super();
        throw new RangeError('Array buffer allocation failed');
      }
    } as never;
    try {
      expect(() => zeros([3])).toThrow(expect.objectContaining({ code: 'AXPY_MEMORY' }));
    } finally {
      globalThis.Float32Array = genuine;
    }
  });
});

it('names the class and shows the value in one way', () => {
  expect(() => zeros([1], { dtype: 'float16' as never })).toThrow('got "float16"');
  expect(() => new Adam(parameters(), { learningRate: 1n as never })).toThrow('got 1n');
  expect(() => new Adam(new Dense(1, 1) as never)).toThrow('got an object of class Dense');
});

it('freezes a parameter by requiresGrad', () => {
  const layer = new Dense(2, 1);
  layer.weight.requiresGrad = false;
  layer
    .forward(zeros([1, 2]))
    .sum()
    .backward();
  expect(layer.weight.grad).toBeNull();
  expect(layer.bias?.grad?.toArray()).toEqual([1]);
});

it('takes an initializer by its name alone, also constant', () => {
  expect(new Dense(2, 1, { init: 'constant', dtype: 'float64' }).weight.toArray()).toEqual([[0.1, 0.1]]);
  expect(new Dense(2, 1, { init: { name: 'constant', value: 2 } }).weight.toArray()).toEqual([[2, 2]]);
  expect(new Dense(2, 1, { init: { name: 'zeros' } as never }).weight.toArray()).toEqual([[0, 0]]);
});

it('divides by nothing rather than by less, when the correction exceeds the count', () => {
  expect(tensor([1, 2]).variance(0, { correction: 3 }).item()).toBe(Number.POSITIVE_INFINITY);
});
