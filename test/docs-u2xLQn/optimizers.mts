import {
  AdamW, checkpoint, compile, Dense, evaluate, fit, losses, randn, Sequential, schedules, seed, SGD, type Tensor, WeightAverage,
} from '../../lib/index.ts';

seed(1);
const x = randn([512, 2]);
const y = x.slice([null, [0, 1]]).sin().mul(x.slice([null, [1, 2]]));
const model = new Sequential([
  new Dense(2, 32, { activation: 'tanh' }), new Dense(32, 32, { activation: 'tanh' }), new Dense(32, 1),
]);

const weights = model.parameters().filter((p) => p.decays);
const biases = model.parameters().filter((p) => !p.decays);
const optimizer = new AdamW(
  [{ parameters: weights }, { parameters: biases, weightDecay: 0 }],
  { learningRate: schedules.cosine({ from: 0.02, to: 0.0001, steps: 480, warmup: 20 }), weightDecay: 0.01 },
);
const average = new WeightAverage(model, { decay: 0.98 });
const { epochs } = await fit(model, { x, y }, {
  loss: 'mse', optimizer, epochs: 60, batchSize: 32,
  accumulate: 2,         // gradients of 64 examples make an update
  clipGradNorm: 1,
  averageWeights: average,
  validation: { x, y },  // with the average
});
average.swap();          // the model has the average from now on
const { loss } = await evaluate(model, { x, y }, { loss: 'mse' });
if (!(loss! < 0.01 && Math.abs(loss! - epochs[59].validation!.loss!) < 1e-6)) throw new Error(`loss ${loss}`);

const [body, head] = [model.parameters().slice(0, 4), model.parameters().slice(4)];
const finetune = new SGD([{ parameters: body, learningRate: 0.001 }, { parameters: head }], { learningRate: 0.01, momentum: 0.9 });
const step = compile((input: Tensor, target: Tensor) => {
  finetune.zeroGrad();
  const error = losses.mse(model.forward(input), target);
  error.backward();
  finetune.step();
  return error;
});
const before = await step(x, y);
finetune.groups[0].learningRate = 0.01;
finetune.groups[1].momentum = 0.5;
await step(x, y);

const resumed = await fit(model, { x, y }, {
  loss: 'mse', optimizer: finetune, epochs: 2, accumulate: 3,
  callbacks: [checkpoint({ save: (one) => console.log(one.step, one.encode().length > 1000), every: 5 })],
});
if (!(resumed.epochs[1].loss < 2 * before.item() + 0.01)) throw new Error('it got worse');
