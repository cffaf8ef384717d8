/** The public face of axpy. */
export type { ActivationFunction, ActivationName } from './activations.ts';
export { noGrad } from './autograd.ts';
export { arange, type CreateOptions, eye, full, ones, zeros } from './create.ts';
export {
  ArgumentError,
  AutogradError,
  AxpyError,
  BackendError,
  DataError,
  DtypeError,
  IndexError,
  KernelError,
  MemoryError,
  NonFiniteError,
  ShapeError,
} from './errors.ts';
export { type GradCheckOptions, type GradCheckResult, gradCheck } from './gradCheck.ts';
export type { Fans, Initializer, InitializerName } from './initializers.ts';
export { type BackendInfo, backendInfo, setThreads } from './kernels/index.ts';
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
export { Dense, type DenseOptions } from './layers/dense.ts';
export { Dropout } from './layers/dropout.ts';
export { Flatten } from './layers/flatten.ts';
export { type ExampleShape, Layer } from './layers/layer.ts';
export { Sequential, type SequentialOptions } from './layers/sequential.ts';
export { type LossFunction, type LossName, type LossOptions, losses } from './losses.ts';
export type { Dtype, FloatDtype } from './memory.ts';
export { where } from './ops/binary.ts';
export { concat, stack } from './ops/concat.ts';
export { dropout } from './ops/dropout.ts';
export { oneHot } from './ops/gather.ts';

import './ops/index.ts';

export type { Reduction } from './ops/loss.ts';
export type { MatmulOptions } from './ops/matmul.ts';
export type { ReduceOptions } from './ops/reduce.ts';
export type { Range } from './ops/slice.ts';
export { Adam, type AdamOptions } from './optimizers/adam.ts';
export { Optimizer } from './optimizers/optimizer.ts';
export { SGD, type SGDOptions } from './optimizers/sgd.ts';
export { permutation, type RandomState, rand, randn, randomState, seed } from './random.ts';
export type { Shape } from './shape.ts';
export {
  type Nested,
  Parameter,
  type SharedParameter,
  Tensor,
  type TensorOptions,
  tensor,
  type Values,
} from './tensor.ts';
export type { BatchReport, Callback, Outcome, TrainingContext } from './train/callbacks/callback.ts';
export { type EarlyStoppingOptions, earlyStopping } from './train/callbacks/earlyStopping.ts';
export { type ProgressOptions, progress } from './train/callbacks/progress.ts';
export { type Compiled, compile } from './train/compile.ts';
export type { Batches, Data, Examples } from './train/data.ts';
export { type EvaluateOptions, evaluate, type PredictOptions, predict } from './train/evaluate.ts';
export { type FitOptions, fit } from './train/fit.ts';
export type { EpochRecord, History, Scores } from './train/history.ts';
export {
  type Accumulator,
  type AccuracyOptions,
  type ConfusionMatrix,
  confusionMatrix,
  type Metric,
  type MetricChoice,
  type MetricName,
  metrics,
} from './train/metrics.ts';
export {
  Profile,
  type ProfiledCall,
  type ProfiledKernel,
  type ProfileOptions,
  profile,
} from './train/profile.ts';
