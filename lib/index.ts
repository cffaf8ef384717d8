/**
 * Neural networks: tensors with gradients, layers, training, files, serving. All that `import 'axpy'` gives.
 * @module axpy
 */
export {
  type ActivationFunction,
  type ActivationName,
  fusedActivation,
  resolveActivation,
} from './activations.ts';
export { noGrad } from './autograd.ts';
export { arange, type CreateOptions, eye, full, ones, zeros } from './create.ts';
export type { Batched, BatchPadding } from './data/collate.ts';
export type { Items, Readable } from './data/source.ts';
export {
  type BucketOptions,
  type MapOptions,
  type ShuffleOptions,
  Stream,
  type StreamBatchOptions,
  stream,
  zip,
} from './data/stream.ts';
export type { Scattered } from './distributed/scatter.ts';
export { type ExchangeStatistics, World } from './distributed/world.ts';
export {
  AbortError,
  ArgumentError,
  AutogradError,
  AxpyError,
  BackendError,
  ClosedError,
  DataError,
  DistributedError,
  DtypeError,
  FileError,
  FormatError,
  IndexError,
  KernelError,
  MemoryError,
  NonFiniteError,
  QueueFullError,
  ShapeError,
  TimeoutError,
} from './errors.ts';
export {
  checkCount,
  checkFloat,
  checkInputDtype,
  checkOptions,
  checkTensor,
  initialize,
  initializeBoth,
  inputError,
  linear,
  track,
} from './extend.ts';
export { encodeCheckpoint, loadCheckpoint, saveCheckpoint } from './files/checkpoint.ts';
export type { FileUrl, Path, Source } from './files/disk.ts';
export type { EncodingName } from './files/dtypes.ts';
export { encodeModel, loadModel, type SaveModelOptions, saveModel } from './files/model.ts';
export { encodeNpy, type LoadNpyOptions, loadNpy, saveNpy } from './files/npy.ts';
export { encodeNpz, type LoadNpzOptions, loadNpz, type SaveNpzOptions, saveNpz } from './files/npz.ts';
export {
  encodeSafetensors,
  type LoadSafetensorsOptions,
  loadSafetensors,
  type SafetensorsHeader,
  type SafetensorsOptions,
  safetensorsHeader,
  saveSafetensors,
  type TensorEntry,
} from './files/safetensors.ts';
export type { SavedState } from './files/savedState.ts';
export type { Only } from './files/select.ts';
export type { Checkpoint, CheckpointContent, CheckpointParts, RestoreOptions } from './files/snapshot.ts';
export {
  encodeWeights,
  type LoadWeightsOptions,
  loadWeights,
  type Rename,
  type SaveWeightsOptions,
  saveWeights,
  type WeightsConvention,
  type WeightsReport,
} from './files/weights.ts';
export { type GradCheckOptions, type GradCheckResult, gradCheck } from './gradCheck.ts';
export {
  type ArgumentNumbers,
  type GradientsOptions,
  type GradOptions,
  grad,
  gradients,
  valueAndGrad,
} from './gradients.ts';
export {
  type Fans,
  type Initializer,
  type InitializerName,
  initializerBefore,
} from './initializers.ts';
export { type BackendInfo, backendInfo, type Limits, setThreads } from './kernels/index.ts';
export type { PassReport } from './kernels/passes/index.ts';
export {
  Activation,
  ELU,
  GELU,
  LeakyReLU,
  ReLU,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from './layers/activation.ts';
export {
  RandomBrightness,
  RandomContrast,
  RandomCrop,
  type RandomCropOptions,
  RandomFlip,
} from './layers/augment.ts';
export { BatchNorm, type BatchNormLayerOptions } from './layers/batchNorm.ts';
export type { TransformerBlockOptions } from './layers/block.ts';
export { Columns, type ColumnsOptions } from './layers/columns.ts';
export {
  configure,
  type Json,
  type LayerClass,
  type LayerConfig,
  type LayerMaker,
  layerFrom,
  registerLayer,
} from './layers/config.ts';
export { Conv1D, type Conv1DLayerOptions } from './layers/conv1d.ts';
export { Conv2D, type Conv2DLayerOptions } from './layers/conv2d.ts';
export { ConvTranspose2D, type ConvTranspose2DLayerOptions } from './layers/convTranspose2d.ts';
export { Dense, type DenseOptions } from './layers/dense.ts';
export { Dropout } from './layers/dropout.ts';
export { Embedding, type EmbeddingOptions } from './layers/embedding.ts';
export { Flatten } from './layers/flatten.ts';
export { Graph, type GraphNode, type GraphOptions } from './layers/graph.ts';
export { GroupNorm } from './layers/groupNorm.ts';
export { GRU, type GRUOptions } from './layers/gru.ts';
export { KeyValueCache } from './layers/keyValueCache.ts';
export { Lambda, type LambdaOptions } from './layers/lambda.ts';
export {
  type AnyModel,
  type ExampleShape,
  Layer,
  type PlainData,
  type PlainInputs,
  type Table,
} from './layers/layer.ts';
export { LayerNorm, type LayerNormLayerOptions } from './layers/layerNorm.ts';
export { LSTM, type LSTMOptions } from './layers/lstm.ts';
export { Add, Concatenate, Multiply } from './layers/merge.ts';
export {
  type Attending,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
} from './layers/multiHeadAttention.ts';
export { Normalize, type NormalizeOptions } from './layers/normalize.ts';
export { OneHot, type OneHotOptions } from './layers/oneHot.ts';
export { Pad, type PadOptions } from './layers/pad.ts';
export {
  AvgPool1D,
  type AvgPool1DLayerOptions,
  GlobalAvgPool1D,
  GlobalMaxPool1D,
  MaxPool1D,
  type Pool1DLayerOptions,
} from './layers/pool1d.ts';
export {
  AvgPool2D,
  type AvgPool2DLayerOptions,
  GlobalAvgPool2D,
  GlobalMaxPool2D,
  MaxPool2D,
  type Pool2DLayerOptions,
} from './layers/pool2d.ts';
export { PositionEmbedding, type PositionEmbeddingOptions } from './layers/positionEmbedding.ts';
export { PReLU, type PReLUOptions } from './layers/prelu.ts';
export type { RecurrentCell, RecurrentOptions, RecurrentState } from './layers/recurrent.ts';
export { Rescale, type RescaleOptions } from './layers/rescale.ts';
export { Reshape } from './layers/reshape.ts';
export { Residual, type ResidualOptions } from './layers/residual.ts';
export { RMSNorm, type RMSNormLayerOptions } from './layers/rmsNorm.ts';
export { RNN, type RNNOptions } from './layers/rnn.ts';
export { Sequential, type SequentialOptions } from './layers/sequential.ts';
export { StringLookup, type StringLookupOptions } from './layers/stringLookup.ts';
export type { Texts } from './layers/texts.ts';
export { TransformerBlock } from './layers/transformerBlock.ts';
export {
  type Decoding,
  TransformerDecoderBlock,
  type TransformerDecoderBlockOptions,
} from './layers/transformerDecoderBlock.ts';
export { Upsample } from './layers/upsample.ts';
export {
  type Factor,
  type FillMode,
  RandomRotation,
  RandomTranslation,
  RandomZoom,
  type RandomZoomOptions,
  type WarpOptions,
} from './layers/warp.ts';
export type { WeightedLossOptions } from './losses/binary.ts';
export type { ClassLossOptions, CrossEntropyOptions } from './losses/classes.ts';
export type { LossOptions } from './losses/options.ts';
export * as losses from './losses.ts';
export type { Dtype, FloatDtype } from './memory.ts';
export {
  type ExampleShapes,
  encodeOnnx,
  exportOnnx,
  type OnnxLayout,
  type OnnxOptions,
} from './onnx/export.ts';
export { type AttentionOptions, scaledDotProductAttention } from './ops/attention.ts';
export { where } from './ops/binary.ts';
export {
  denseFromChannelsFirst,
  denseToChannelsFirst,
  fromChannelsFirst,
  toChannelsFirst,
} from './ops/channels.ts';
export { concat, stack } from './ops/concat.ts';
export {
  type Conv1dOptions,
  type Conv2dOptions,
  type ConvTranspose2dOptions,
  conv1d,
  conv2d,
  convTranspose2d,
  type Padding1d,
} from './ops/convolution.ts';
export { dropout } from './ops/dropout.ts';
export { einsum } from './ops/einsum.ts';
export type { Activation as FusedActivation } from './ops/epilogue.ts';
export { oneHot } from './ops/gather.ts';
export {
  type AffineGridOptions,
  affineGrid,
  type GridSampleMode,
  type GridSampleOptions,
  gridSample,
  type PaddingMode,
} from './ops/gridSample.ts';
export { groupNorm } from './ops/groupNorm.ts';

import './ops/index.ts';

export { type ImportOnnxOptions, importOnnx } from './onnx/import.ts';
export { OnnxModel, type OnnxValue } from './onnx/onnxModel.ts';

export {
  type InterpolateOptions,
  interpolate,
  type UpsampleMode,
  type UpsampleOptions,
  upsample,
} from './ops/interpolate.ts';
export type { Reduction } from './ops/loss.ts';
export type { MatmulOptions } from './ops/matmul.ts';
export type { NormOptions, VarianceOptions } from './ops/norm.ts';
export {
  type BatchNormOptions,
  batchNorm,
  type LayerNormOptions,
  layerNorm,
  type RunningStatistics,
} from './ops/normalize.ts';
export { pad } from './ops/pad.ts';
export { type AveragePoolOptions, averagePool2d, maxPool2d, type PoolOptions } from './ops/pool.ts';
export type { Axes, ReduceOptions } from './ops/reduction.ts';
export { type RMSNormOptions, rmsNorm } from './ops/rmsNorm.ts';
export { type RotaryOptions, type RotaryStyle, rotary } from './ops/rotary.ts';
export type { Range } from './ops/slice.ts';
export type { Sorted, SortOptions, TopKOptions } from './ops/sort.ts';
export type { Padding, Pair, Sides } from './ops/window.ts';
export { Adagrad, type AdagradGroup, type AdagradOptions } from './optimizers/adagrad.ts';
export { Adam, type AdamGroup, type AdamHyper, type AdamOptions } from './optimizers/adam.ts';
export { AdamW, type AdamWGroup, type AdamWOptions } from './optimizers/adamW.ts';
export { clipGradNorm, clipGradValue } from './optimizers/clip.ts';
export type { GroupOptions, ParameterGroup, ParametersOf } from './optimizers/group.ts';
export type { Domain, Hyperparameter } from './optimizers/hyper.ts';
export { Lion, type LionOptions } from './optimizers/lion.ts';
export { NAdam, type NAdamOptions } from './optimizers/nadam.ts';
export { Optimizer, type OptimizerOptions } from './optimizers/optimizer.ts';
export { RMSprop, type RMSpropGroup, type RMSpropOptions } from './optimizers/rmsprop.ts';
export type {
  CosineOptions,
  CosineRestartsOptions,
  ExponentialOptions,
  OneCycleOptions,
  PolynomialOptions,
  Schedule,
  StepDecayOptions,
} from './optimizers/schedules.ts';
export * as schedules from './optimizers/schedules.ts';
export { SGD, type SGDOptions } from './optimizers/sgd.ts';
export {
  type AnyParameter,
  type AnySharedTensor,
  Parameter,
  type ParameterOptions,
  type SharedParameter,
  SharedTensor,
} from './parameter.ts';
export {
  permutation,
  type RandomOptions,
  type RandomState,
  rand,
  randn,
  randomState,
  seed,
} from './random.ts';
export { recompute } from './recompute.ts';
export type { Prediction, PredictionMessages } from './serve/channels.ts';
export type { LatencySummary } from './serve/latencies.ts';
export {
  Predictor,
  type PredictorOptions,
  type PredictorStats,
  type RequestOptions,
} from './serve/predictor.ts';
export { Publication, type PublicationHandle } from './serve/publication.ts';
export type { NumbersOf } from './serve/replica.ts';
export type { Shape } from './shape.ts';
export {
  type BackwardOptions,
  type Nested,
  Tensor,
  type TensorOptions,
  tensor,
  type Values,
} from './tensor.ts';
export type { Signal } from './train/abort.ts';
export type { BatchReport, Callback, Outcome, TrainingContext } from './train/callbacks/callback.ts';
export { type CheckpointOptions, checkpoint } from './train/callbacks/checkpoint.ts';
export { type EarlyStoppingOptions, earlyStopping } from './train/callbacks/earlyStopping.ts';
export { type ProgressOptions, type ProgressStream, progress } from './train/callbacks/progress.ts';
export { type ReduceOnPlateauOptions, reduceOnPlateau } from './train/callbacks/reduceOnPlateau.ts';
export type { TrainingMessages } from './train/channels.ts';
export type { ClassWeight, WeightsByClass } from './train/classWeight.ts';
export { type Compiled, compile } from './train/compile.ts';
export type { Batches, Data, Examples, Inputs, Tensors, TensorsOf } from './train/data.ts';
export { type EvaluateOptions, evaluate, type PredictOptions, predict } from './train/evaluate.ts';
export { fit } from './train/fit.ts';
export type { EpochRecord, History, Scores } from './train/history.ts';
export type { LossesByOutput, LossFunction, LossName, WeightedLoss } from './train/loss.ts';
export {
  type Accumulator,
  type AccuracyOptions,
  type ClassificationKind,
  type ConfusionMatrix,
  type CountOptions,
  confusionMatrix,
  type Metric,
  type MetricChoice,
  type MetricFunction,
  type MetricName,
  type MetricTask,
  metrics,
  type NamedMetric,
  type RankingOptions,
  type ScoreOptions,
} from './train/metrics.ts';
export type { LossChoices, MetricChoices, MetricsByOutput } from './train/options.ts';
export {
  Profile,
  type ProfiledCall,
  type ProfiledKernel,
  type ProfileOptions,
  profile,
} from './train/profile.ts';
export type { SampleWeight } from './train/sampleWeight.ts';
export {
  type FoldOptions,
  kFold,
  type Labels,
  type Split,
  type SplitOptions,
  trainTestSplit,
} from './train/split.ts';
export type { GradientTransform, InputsOf } from './train/step.ts';
export type { FitOptions } from './train/training.ts';
export { WeightAverage, type WeightAverageOptions } from './train/weightAverage.ts';
