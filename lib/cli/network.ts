/** Networks that begin as a linear model and learn what it leaves over, several whose mean is the answer. */
import {
  AdamW,
  Add,
  type Callback,
  Dense,
  Dropout,
  earlyStopping,
  fit,
  Graph,
  type History,
  type Layer,
  Residual,
  reduceOnPlateau,
  seed,
  type Tensor,
  tensor,
} from '../index.ts';
import type { Linear, Targets } from './linear.ts';

/** Rows as features, [n, features], and what they are trained on. */
export interface Rows {
  readonly features: Tensor;
  readonly targets: Targets;
}

export interface NetworkOptions {
  readonly hidden: readonly number[];
  readonly epochs: number;
  readonly seed: number;
  readonly members: number;
  /** Whether classes count alike, however many rows they have. */
  readonly balanced: boolean;
  /** What looks on, by the number of the network, from 0. */
  callbacks(member: number): Callback[];
}

const dropout = 0.2;
const learningRate = 1e-3;
const weightDecay = 0.03;
/** Epochs without improvement until the rate is reduced, and until a network is done; fewer where an epoch has many steps. */
const patienceFor = (rows: number) => (rows < 50_000 ? { rate: 8, end: 25 } : { rate: 3, end: 9 });

/** About as many steps an epoch for small tables as for those of tens of thousands of rows. */
const batchSizeFor = (rows: number) => 2 ** Math.min(10, Math.max(5, Math.round(Math.log2(rows / 32))));

const asTensor = (targets: Targets): Tensor =>
  'numbers' in targets
    ? tensor(Float32Array.from(targets.numbers)).reshape([targets.numbers.length, 1])
    : tensor(targets.classes);

/** The linear model as a layer, each number of it times a factor. */
export function linearLayer(linear: Linear, factor = 1): Dense {
  const outputs = linear.bias.length;
  const features = linear.weight.length / outputs;
  const layer = new Dense(features, outputs, { init: 'zeros' });
  layer.weight.assign(
    tensor(Float32Array.from(linear.weight, (value) => factor * value)).reshape([outputs, features]),
  );
  layer.bias!.assign(tensor(Float32Array.from(linear.bias, (value) => factor * value)));
  return layer;
}

/** What comes last returns 0 at first, so that the whole is the linear model. */
function networkOf(linear: Linear, hidden: readonly number[]): { whole: Residual; wide: Dense; last: Dense } {
  const wide = linearLayer(linear);
  const layers: Layer[] = [];
  let size = wide.inFeatures;
  for (const next of hidden) {
    layers.push(new Dense(size, next, { activation: 'relu' }), new Dropout(dropout));
    size = next;
  }
  const last = new Dense(size, wide.outFeatures, { init: 'zeros' });
  return { whole: new Residual([...layers, last], { shortcut: wide }), wide, last };
}

/** The mean of networks, as one: what each returns counts its part. */
function meanOf(networks: readonly ReturnType<typeof networkOf>[], features: number): Layer {
  if (networks.length === 1) return networks[0].whole;
  for (const { wide, last } of networks) {
    for (const layer of [wide, last])
      for (const [, parameter] of layer.namedParameters()) parameter.assign(parameter.div(networks.length));
  }
  const names = networks.map((_, i) => `network${i + 1}`);
  const layers = Object.fromEntries(
    networks.map(({ whole }, i) => [names[i], { layer: whole, from: 'features' }]),
  );
  return new Graph({
    inputs: { features: [features] },
    layers: { ...layers, mean: { layer: new Add(), from: names } },
    outputs: 'mean',
  });
}

export interface Trained {
  readonly network: Layer;
  /** By network; fewer than were asked for where training was ended. */
  readonly histories: readonly History[];
}

/**
 * Trains networks that differ in their random numbers. Each stops where validation has not become better for some epochs, and goes back to
 * the best.
 * @param linear what each begins with, on the same features
 * @param isEnded whether no further network is wanted
 */
export async function trainNetworks(
  train: Rows,
  validation: Rows,
  linear: Linear,
  options: NetworkOptions,
  isEnded: () => boolean,
): Promise<Trained> {
  const networks: ReturnType<typeof networkOf>[] = [];
  const histories: History[] = [];
  const [n, features] = train.features.shape;
  const patience = patienceFor(n);
  const isClasses = 'classes' in train.targets;
  for (let member = 0; member < options.members; member++) {
    if (member > 0 && isEnded()) break;
    const own = (options.seed * 1009 + member) % 2 ** 32;
    seed(own);
    const made = networkOf(linear, options.hidden);
    const history = await fit(
      made.whole,
      { x: train.features, y: asTensor(train.targets) },
      {
        loss: isClasses ? 'softmaxCrossEntropy' : 'mse',
        optimizer: new AdamW(made.whole.parameters(), { learningRate, weightDecay }),
        classWeight: isClasses && options.balanced ? 'balanced' : undefined,
        epochs: options.epochs,
        batchSize: Math.min(batchSizeFor(n), n),
        seed: own,
        validation: { x: validation.features, y: asTensor(validation.targets) },
        callbacks: [
          reduceOnPlateau({ monitor: 'validation.loss', patience: patience.rate, factor: 0.3 }),
          earlyStopping({ monitor: 'validation.loss', patience: patience.end, restoreBest: true }),
          ...options.callbacks(member),
        ],
      },
    );
    networks.push(made);
    histories.push(history);
  }
  return { network: meanOf(networks, features), histories };
}
