import {
  Adam, compile, Dense, fit, grad, gradients, Layer, losses, noGrad, Optimizer, Parameter, type ParametersOf, rand, randn, recompute,
  seed, SharedTensor, type Tensor, tensor, track,
} from '../../lib/index.ts';

/** x + f(x), f a layer or two, times a gain that is learned; keeps a running mean of what came out. */
class Residual extends Layer {
  readonly body: readonly Layer[];
  readonly gain = new Parameter([1]);
  readonly seen = new SharedTensor([1]);

  constructor(readonly size: number, depth = 1) {
    super();
    this.body = Array.from({ length: depth }, () => new Dense(size, size, { activation: 'tanh' }));
    this.gain.assign([1]);
  }

  forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this.body) y = layer.forward(y);
    // In evaluation nothing is kept. The update runs in a compiled step as well.
    if (this.training) this.seen.lerp_(y.detach().mean().reshape([1]), 0.1);
    return x.add(y.mul(this.gain));
  }
}

seed(1);
const model = new Residual(4, 2);
console.log(model.namedParameters().map(([path]) => path)); // gain, body.0.weight, body.0.bias, body.1.weight, …
const x = randn([64, 4]);
const { epochs } = await fit(model, { x, y: x.mul(2) }, {
  loss: 'mse', optimizer: new Adam(model.parameters(), { learningRate: 0.01 }), epochs: 60,
});
if (!(epochs[59].loss < 0.2 * epochs[0].loss)) throw new Error('Residual did not learn');

type Values = Readonly<Record<string, Tensor>>;

/** Signum: the sign of an average of gradients (Bernstein et al., "signSGD", 2018). */
class Signum extends Optimizer<{ beta: number }> {
  constructor(parameters: ParametersOf<{ learningRate: number; beta: number }>, { learningRate = 1e-4, beta = 0.9 } = {}) {
    super(parameters, { learningRate, hyper: { beta: { value: beta, low: 0, under: 1 } }, state: ['mean'] });
  }

  protected rule({ p, g, mean }: Values, { learningRate, beta }: Values): Record<string, Tensor> {
    const next = mean.mul(beta).add(g.mul(beta.neg().add(1)));
    return { p: p.sub(next.sign().mul(learningRate)), mean: next };
  }
}

const dense = new Dense(4, 1);
const { weight, bias } = dense;
const signum = new Signum([{ parameters: [weight] }, { parameters: [bias!], learningRate: 0.01 }], { learningRate: 0.02 });
const step = compile((input: Tensor, target: Tensor) => {
  const loss = losses.mse(dense.forward(input), target);
  signum.zeroGrad();
  loss.backward();
  signum.step();
  return loss;
});
const target = x.sum(1, { keepDims: true });
const first = step.sync(x, target).item();
for (let i = 0; i < 400; i++) await step(x, target);
if (!(step.sync(x, target).item() < 0.05 * first)) throw new Error('Signum did not learn');

/** −1 or 1 by the sign of x, with the gradient of the identity where |x| ≤ 1 (Bengio, Léonard & Courville, 2013). */
function binarize(x: Tensor): Tensor {
  const y = noGrad(() => x.greaterEqual(0).mul(2).sub(1));
  return track(y, [x], (dy) => [x.abs().lessEqual(1).mul(dy)], [x]);
}

const w = new Parameter([3]);
w.assign([0.5, -2, -0.1]);
const signs = compile(() => {
  w.zeroGrad();
  const y = binarize(w);
  y.sum().backward();
  return [y, w.grad];
});
const [y, gradient] = signs.sync().map((t) => t!.toArray());
if (`${y}` !== '1,-1,-1' || `${gradient}` !== '1,0,1') throw new Error(`got ${y} and ${gradient}`);

const critic = new Dense(2, 16, { activation: 'tanh' });
const score = new Dense(16, 1);
const adam = new Adam([...critic.parameters(), ...score.parameters()], { learningRate: 0.01 });
const train = compile((real: Tensor, fake: Tensor) => {
  const judge = (points: Tensor) => score.forward(critic.forward(points));
  const mix = rand([real.shape[0], 1]);
  const between = real.mul(mix).add(fake.mul(mix.neg().add(1))).setRequiresGrad();
  const slope = gradients(judge(between).sum(), between, { createGraph: true });
  const penalty = slope.square().sum(1).sqrt().sub(1).square().mean();
  const loss = judge(fake).mean().sub(judge(real).mean()).add(penalty.mul(10));
  adam.zeroGrad();
  loss.backward();
  adam.step();
  return penalty;
});
for (let i = 0; i < 200; i++) await train(randn([32, 2]).add(1), randn([32, 2]));
if (!(train.sync(randn([32, 2]).add(1), randn([32, 2])).item() < 0.1)) throw new Error('slopes are not 1');

const energy = (at: Tensor) => at.pow(4).sum();
const hessianTimes = (at: Tensor, v: Tensor) => grad((p: Tensor) => grad(energy)(p).mul(v).sum())(at);
const product = hessianTimes(tensor([1, 2]), tensor([1, 1])).toArray();
if (`${product}` !== '12,48') throw new Error(`got ${product}`);

const block = recompute((at: Tensor) => critic.forward(at).tanh());
block(randn([4, 2])).sum().backward();
