/**
 * A loop of a user's own whose optimizer is wrapped: `wrap.child.ts <scene>`. Rank 0 prints, as JSON, how far what each rank ends
 * with is from one process with the whole batch, which it computes itself, and what else the scene tells.
 */
import {
  AdamW,
  clipGradNorm,
  clipGradValue,
  compile,
  Dense,
  fit,
  type Layer,
  Lion,
  losses,
  type Optimizer,
  profile,
  Sequential,
  SGD,
  Tanh,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

const [scene, bucketBytes = '26214400'] = process.argv.slice(2);
const world = await distribute({ timeout: 20, bucketBytes: Number(bucketBytes) });
const { rank, size } = world;
const dtype = 'float64';
const perRank = 4;

const make = (): Sequential => {
  const model = new Sequential([
    new Dense(4, 8, { dtype }),
    new Tanh(),
    new Dense(8, 8, { dtype }),
    new Tanh(),
    new Dense(8, 3, { dtype }),
  ]);
  model.parameters().forEach((parameter, k) => {
    parameter.data.forEach((_, i, all) => {
      all[i] = 0.5 * Math.cos(1.3 * i + k);
    });
  });
  return model;
};

/** Examples of a step: those of one rank, or of all. */
const rowsOf = (step: number, own: boolean) => {
  const first = perRank * size * step + (own ? perRank * rank : 0);
  return Array.from({ length: own ? perRank : perRank * size }, (_, i) => first + i);
};
const batch = (rows: number[]): [Tensor, Tensor] => [
  tensor(
    rows.map((i) => [0, 1, 2, 3].map((j) => Math.sin(1.7 * i + 2.3 * j))),
    { dtype },
  ),
  tensor(Int32Array.from(rows, (i) => (i * i) % 3)),
];

type Between = (parameters: readonly Tensor[]) => unknown;

/** Twelve steps. @param isCompiled also half of them eagerly, before and after */
async function train(
  model: Layer,
  optimizer: Optimizer,
  {
    own,
    isCompiled,
    between,
    parts = 1,
  }: { own: boolean; isCompiled: boolean; between?: Between; parts?: number },
): Promise<number[]> {
  const step = (...args: Tensor[]) => {
    optimizer.zeroGrad();
    for (let i = 0; i < args.length; i += 2) {
      losses
        .softmaxCrossEntropy(model.forward(args[i]), args[i + 1])
        .div(parts)
        .backward();
    }
    between?.(optimizer.parameters);
    optimizer.step();
  };
  const compiled = compile(step);
  for (let k = 0; k < 12; k += parts) {
    const args = Array.from({ length: parts }, (_, i) => batch(rowsOf(k + i, own))).flat();
    if (isCompiled && k >= 3 && k < 9) await compiled(...args);
    else step(...args);
  }
  return model.parameters().flatMap(({ data }) => Array.from(data));
}

interface Scene {
  optimizer?: (model: Sequential) => Optimizer;
  prepare?: (model: Sequential) => void;
  between?: Between;
  parts?: number;
}

const scenes: Record<string, Scene> = {
  plain: {},
  adam: { optimizer: (model) => new AdamW(model.parameters(), { learningRate: 0.01 }) },
  /** An optimizer without a kernel of its own. */
  lion: { optimizer: (model) => new Lion(model.parameters(), { learningRate: 0.01 }) },
  clip: { between: (parameters) => clipGradNorm(parameters, 0.1) },
  clipValue: { between: (parameters) => clipGradValue(parameters, 0.01) },
  /** Several backwards to a step. */
  accumulate: { parts: 2 },
  /** What is in the middle has no gradient: the others lie apart in memory. */
  frozen: {
    prepare: (model) => {
      model.layers[2].trainable = false;
    },
  },
  groups: {
    optimizer: ({ layers }) =>
      new SGD(
        [
          { parameters: layers[4].parameters(), learningRate: 0.3 },
          { parameters: [...layers[0].parameters(), ...layers[2].parameters()] },
        ],
        { learningRate: 0.1, momentum: 0.5 },
      ),
  },
};

const momentum = (model: Sequential) => new SGD(model.parameters(), { learningRate: 0.1, momentum: 0.9 });
let told: object = {};
let numbers: number[] = [];
let expected: number[] = [];
if (scene in scenes) {
  const { optimizer = momentum, prepare, between, parts } = scenes[scene];
  const run = async (own: boolean, isCompiled: boolean) => {
    const model = make();
    prepare?.(model);
    // Others begin elsewhere, until they are told.
    if (own && rank > 0) model.parameters()[0].data.fill(7);
    const steps = optimizer(model);
    if (own) world.wrap(steps);
    return await train(model, steps, {
      own,
      isCompiled,
      ...(between && { between }),
      ...(parts && { parts }),
    });
  };
  expected = await run(false, false);
  numbers = [...(await run(true, false)), ...(await run(true, true))];
  expected = [...expected, ...expected];
} else if (scene === 'fit') {
  /** The world of a wrapped optimizer is that of `fit`. */
  const [x, y] = batch(rowsOf(0, false));
  const trained = async (own: boolean) => {
    const model = make();
    const optimizer = momentum(model);
    if (own) world.wrap(optimizer);
    await fit(
      model,
      { x, y },
      { loss: 'softmaxCrossEntropy', optimizer, batchSize: 5, epochs: 2, shuffle: false },
    );
    return model.parameters().flatMap(({ data }) => Array.from(data));
  };
  [expected, numbers] = [await trained(false), await trained(true)];
} else if (scene === 'profile') {
  const model = make();
  const optimizer = world.wrap(momentum(model));
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = losses.softmaxCrossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  await step(...batch(rowsOf(0, true)));
  await step(...batch(rowsOf(0, true)));
  const { exchanges, calls } = profile(step, undefined, { print: false });
  told = {
    exchanges,
    kernels: calls.map(({ kernel }) => kernel),
    text: String(profile(step, undefined, { print: false })),
  };
}
const apart = numbers.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
const all = await world.gatherValues(numbers);
const same = all.every((one) => JSON.stringify(one) === JSON.stringify(all[0]));
if (rank === 0) console.log(JSON.stringify({ apart, same, count: numbers.length, ...told }));
