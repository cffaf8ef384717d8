/** A library over axpy: what it exports has the types that axpy gave it, which its own declarations have to name. */
import {
  type AccuracyOptions,
  Adam,
  type AdamOptions,
  BatchNorm,
  Conv2D,
  type Conv2DLayerOptions,
  compile,
  Dense,
  type DenseOptions,
  type EvaluateOptions,
  evaluate,
  type FitOptions,
  fit,
  gradCheck,
  Layer,
  layerFrom,
  losses,
  MaxPool2D,
  metrics,
  Optimizer,
  Parameter,
  type PredictOptions,
  type ProgressOptions,
  permutation,
  predict,
  profile,
  progress,
  randn,
  registerLayer,
  Sequential,
  SGD,
  SharedTensor,
  type Tensor,
  type TensorOptions,
  tensor,
} from 'axpy';

export * as everything from 'axpy';

export const model = new Sequential([
  new Conv2D(1, 2, 3, { padding: 'same' }),
  new BatchNorm(2),
  new MaxPool2D(2),
  new Dense(3, 1, { dtype: 'float64' }),
]);
export const { layers, config, label } = model;
export const [first] = layers;
export const optimizers = [
  new Adam(model.parameters(), { learningRate: 1 }),
  new SGD([], { learningRate: 1 }),
];
export const step = compile((x: Tensor) => ({
  y: model.forward(x),
  all: [x.sum(), losses.mse(x, x)] as const,
}));
export const profiled = await profile(step);
export const { limits } = profiled;
export const optimizer = optimizers[0]!;
export const history = await fit(
  model,
  { x: [1], y: [1] },
  { loss: 'mse', optimizer, metrics: ['r2', metrics.topK(3)] },
);
export const best = history.epochs[0];
export const scores = await evaluate(model, { x: [1], y: [1] }, { loss: 'mse', metrics: [metrics.f1()] });
export const predicted = await predict(model, [1]);
export const checked = gradCheck((x) => x.sum(), [randn([1], { dtype: 'float64' })]);
export const measures = [metrics.accuracy(), metrics.rocAuc(), metrics.r2(), metrics.logLoss()];
export const accuracy = metrics.accuracy();
export const shared = new SharedTensor([2]).share();
export const parameter = new Parameter([2]);
export const copies = layers.map((layer) => layer.parameters());
export const state = model.stateDict();
export const again = () => layerFrom(model.config);
export const order = permutation(3);

const one = tensor([1]);
export const { data, shape, grad } = one;
export const methods = { add: one.add, sum: one.sum, slice: one.slice, cast: one.cast, assign: one.assign };
export const functions = { compile, evaluate, fit, predict, profile, progress, randn, registerLayer, tensor };

export const fitting = (options: FitOptions) => ({ ...options, epochs: 1 });
export const evaluating = (options: EvaluateOptions) => ({ ...options });
export const predicting = (options: PredictOptions) => ({ ...options });
export const writing = (options: ProgressOptions) => ({ ...options });
export const updating = (options: AdamOptions) => ({ ...options });
export const joining = (options: DenseOptions) => ({ ...options });
export const sliding = (options: Conv2DLayerOptions) => ({ ...options });
export const measuring = (options: AccuracyOptions) => ({ ...options });
export const making = (options: TensorOptions) => ({ ...options });
export const drawing = (...args: Parameters<typeof randn>) => args;
export const registering = (...args: Parameters<typeof registerLayer>) => args;

export class Branches extends Layer {
  readonly branches = { left: new Dense(2, 2), right: [new Dense(2, 2)] };

  forward(x: Tensor) {
    return {
      left: this.branches.left.forward(x),
      right: this.branches.right.map((layer) => layer.forward(x)),
    };
  }
}

export class Lion extends Optimizer {
  constructor(parameters: Iterable<Tensor>) {
    super(parameters, {
      learningRate: 1,
      state: ['mean'],
      hyper: { beta: { value: 0.9, low: 0, under: 1 } },
    });
  }

  protected rule({ p, g }: Record<string, Tensor>) {
    return { p: p!.sub(g!) };
  }
}
