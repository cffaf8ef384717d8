/**
 * Networks as users write them, which are in no benchmark: sizes that no kernel likes, chains of ops of all kinds, state of
 * many kinds. Each is made anew for each way to run it, from the random state of the moment.
 */
import {
  Adam,
  averagePool2d,
  BatchNorm,
  Conv1D,
  Conv2D,
  ConvTranspose2D,
  clipGradNorm,
  clipGradValue,
  concat,
  Dense,
  Dropout,
  dropout,
  eye,
  full,
  type Layer,
  LayerNorm,
  losses,
  maxPool2d,
  noGrad,
  Optimizer,
  oneHot,
  Parameter,
  pad,
  rand,
  randn,
  Sequential,
  SGD,
  SharedTensor,
  stack,
  type Tensor,
  tensor,
  upsample,
  where,
  zeros,
} from 'axpy';

export interface Network {
  /** What learns, and what else is seen after each round. */
  state: readonly Tensor[];
  /** Functions that are called one after the other, with the arguments of a round; their results are seen. */
  steps: readonly ((...batch: Tensor[]) => Tensor | Tensor[])[];
  batches: readonly (readonly Tensor[])[];
}

/** @param scale multiplies widths, to measure */
export type Make = (scale: number) => Network;

// ── what they are made of ───────────────────────────────────────────────────────────────────────────────────────────

/** A Parameter with normal values times a scale. */
function weight(shape: number[], scale = 1 / Math.sqrt(shape[shape.length - 1])): Parameter {
  const p = new Parameter(shape);
  p.assign(randn(shape).mul(scale));
  return p;
}

const ints = (shape: number[], under: number, by = 7) =>
  tensor(
    Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * by + (i >> 3)) % under),
    { shape },
  );

const coin = (shape: number[]) => rand(shape).greater(0.5).cast('float32');

/** [rows, columns] by a function of both. */
const table = (rows: number, columns: number, at: (i: number, j: number) => number) =>
  tensor(
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    {
      shape: [rows, columns],
    },
  );

/** Minimises a loss by an optimizer. */
function minimize<Args extends Tensor[]>(
  loss: (...args: Args) => Tensor,
  optimizer: Optimizer,
  before: (parameters: readonly Tensor[]) => void = () => {},
): (...args: Args) => Tensor {
  return (...args) => {
    const value = loss(...args);
    optimizer.zeroGrad();
    value.backward();
    before(optimizer.parameters);
    optimizer.step();
    return value;
  };
}

type Values = Readonly<Record<string, Tensor>>;

/** Hinton's, as PyTorch has it. */
class RMSprop extends Optimizer {
  constructor(parameters: Iterable<Tensor>, learningRate: number) {
    super(parameters, { learningRate, hyper: { decay: { value: 0.9 } }, state: ['square'] });
  }

  protected rule({ p, g, square }: Values, { learningRate, decay }: Values) {
    const next = square.mul(decay).add(g.square().mul(decay.neg().add(1)));
    return { p: p.sub(learningRate.mul(g).div(next.sqrt().add(1e-8))), square: next };
  }
}

/** Chen et al., 2023. */
class Lion extends Optimizer {
  constructor(parameters: Iterable<Tensor>, learningRate: number) {
    super(parameters, { learningRate, state: ['mean'] });
  }

  protected rule({ p, g, mean }: Values, { learningRate }: Values) {
    const update = mean.mul(0.9).add(g.mul(0.1)).sign();
    return { p: p.sub(learningRate.mul(update.add(p.mul(0.01)))), mean: mean.mul(0.99).add(g.mul(0.01)) };
  }
}

const heads = (x: Tensor, count: number) => {
  const [batch, length, width] = x.shape;
  return x.reshape([batch, length, count, width / count]).transpose([0, 2, 1, 3]);
};

/** Attention of many heads of x to memory. `mask` broadcasts to the scores, 1 where there is nothing to see. */
function attend(q: Tensor, k: Tensor, v: Tensor, count: number, mask: Tensor | null): Tensor {
  const [batch, length, width] = q.shape;
  const scores = heads(q, count)
    .matmul(heads(k, count), { transposeB: true })
    .mul(1 / Math.sqrt(width / count));
  const seen = mask === null ? scores : where(mask, -1e9, scores);
  return seen.softmax(-1).matmul(heads(v, count)).transpose([0, 2, 1, 3]).reshape([batch, length, width]);
}

const future = (length: number) =>
  tensor(
    Int32Array.from({ length: length * length }, (_, i) => Number(i % length > Math.floor(i / length))),
    { shape: [length, length] },
  );

// ── networks ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const networks: Record<string, Make> = {
  /** Over time first, the last batch smaller; gradients clipped by their norm. */
  gru(s) {
    const [features, units, length] = [9, 24 * s, 7];
    const [wi, wh] = [weight([3 * units, features]), weight([3 * units, units])];
    const [bi, bh] = [weight([3 * units], 0.1), weight([3 * units], 0.1)];
    const out = new Dense(units, 5);
    const loss = (x: Tensor, labels: Tensor) => {
      let h: Tensor = zeros([x.shape[1], units]);
      for (let t = 0; t < length; t++) {
        const step = x.slice([[t, t + 1]]).reshape([x.shape[1], features]);
        const [a, b] = [
          step.matmul(wi, { transposeB: true }).add(bi),
          h.matmul(wh, { transposeB: true }).add(bh),
        ];
        const part = (y: Tensor, i: number) => y.slice([null, [i * units, (i + 1) * units]]);
        const r = part(a, 0).add(part(b, 0)).sigmoid();
        const z = part(a, 1).add(part(b, 1)).sigmoid();
        const n = part(a, 2)
          .add(r.mul(part(b, 2)))
          .tanh();
        h = n.add(z.mul(h.sub(n)));
      }
      return losses.softmaxCrossEntropy(out.forward(h), labels as Tensor<'int32'>);
    };
    const state = [wi, wh, bi, bh, ...out.parameters()];
    const optimizer = new Adam(state, { learningRate: 0.01 });
    const sizes = [48, 48, 31];
    return {
      state,
      steps: [minimize(loss, optimizer, (all) => void clipGradNorm(all, 0.5))],
      batches: sizes.map((n) => [randn([length, n, features]), ints([n], 5)]),
    };
  },

  /** Both directions over embedded words of sequences that end early; what lies behind the end is masked. */
  biLstm(s) {
    const [words, width, units, length] = [53, 18, 20 * s, 6];
    const embedding = weight([words, width], 0.5);
    const cells = [0, 1].map(() => ({
      w: weight([width + units, 4 * units]),
      b: weight([4 * units], 0.1),
    }));
    const out = new Dense(2 * units, 1);
    const loss = (tokens: Tensor, lengths: Tensor, y: Tensor) => {
      const n = tokens.shape[0];
      const x = embedding.gather(tokens as Tensor<'int32'>);
      const ends = cells.map(({ w, b }, direction) => {
        let [h, c]: Tensor[] = [zeros([n, units]), zeros([n, units])];
        for (let i = 0; i < length; i++) {
          const t = direction === 0 ? i : length - 1 - i;
          const now = x.slice([null, [t, t + 1]]).reshape([n, width]);
          const z = concat([now, h], 1).matmul(w).add(b);
          const gate = (k: number) => z.slice([null, [k * units, (k + 1) * units]]);
          const next = gate(1)
            .add(1)
            .sigmoid()
            .mul(c)
            .add(gate(0).sigmoid().mul(gate(2).tanh()));
          const isIn = lengths.greater(t).reshape([n, 1]);
          h = where(isIn, gate(3).sigmoid().mul(next.tanh()), h);
          c = where(isIn, next, c);
        }
        return h;
      });
      return losses.binaryCrossEntropyWithLogits(out.forward(concat(ends, 1)), y);
    };
    const state = [embedding, ...cells.flatMap(({ w, b }) => [w, b]), ...out.parameters()];
    return {
      state,
      steps: [minimize(loss, new RMSprop(state, 0.002))],
      batches: [33, 33, 20].map((n) => [ints([n, length], words), ints([n], length, 5).add(1), coin([n, 1])]),
    };
  },

  /** An encoder and a decoder that attends to it, post-norm, with masks of both kinds. */
  translation(s) {
    const [words, width, count, from, to] = [31, 24 * s, 3, 9, 7];
    const embedding = weight([words, width], 0.3);
    const dense = (a: number, b: number) => new Dense(a, b);
    const block = () => ({
      own: [0, 1, 2, 3].map(() => dense(width, width)),
      other: [0, 1, 2, 3].map(() => dense(width, width)),
      up: new Dense(width, 3 * width, { activation: 'relu' }),
      down: dense(3 * width, width),
      norms: [0, 1, 2].map(() => new LayerNorm(width)),
    });
    const [encoder, decoder] = [block(), block()];
    const position = (length: number) =>
      table(length, width, (i, j) => (j % 2 === 0 ? Math.sin : Math.cos)(i * Math.exp(-j / 4)));
    const [first, second, ahead] = [position(from), position(to), future(to)];
    const loss = (source: Tensor, target: Tensor, next: Tensor, padding: Tensor) => {
      const mask = padding.reshape([padding.shape[0], 1, 1, from]);
      let x: Tensor = embedding
        .gather(source as Tensor<'int32'>)
        .mul(Math.sqrt(width))
        .add(first) as Tensor;
      const attention = (b: Dense[], q: Tensor, m: Tensor, hidden: Tensor) =>
        b[3].forward(attend(b[0].forward(q), b[1].forward(m), b[2].forward(m), count, hidden));
      x = encoder.norms[0].forward(x.add(attention(encoder.own, x, x, mask)));
      x = encoder.norms[1].forward(x.add(encoder.down.forward(encoder.up.forward(x))));
      let y: Tensor = embedding
        .gather(target as Tensor<'int32'>)
        .mul(Math.sqrt(width))
        .add(second) as Tensor;
      y = decoder.norms[0].forward(y.add(attention(decoder.own, y, y, ahead)));
      y = decoder.norms[1].forward(y.add(attention(decoder.other, y, x, mask)));
      y = decoder.norms[2].forward(y.add(decoder.down.forward(decoder.up.forward(y))));
      // Tied to the embedding.
      const logits = y.reshape([-1, width]).matmul(embedding, { transposeB: true });
      return losses.softmaxCrossEntropy(logits, next.flatten(0) as Tensor<'int32'>);
    };
    const used = [
      ...[...encoder.own, encoder.up, encoder.down, ...encoder.norms.slice(0, 2)],
      ...[...decoder.own, ...decoder.other, decoder.up, decoder.down, ...decoder.norms],
    ];
    const state = [embedding, ...used.flatMap((layer) => layer.parameters())];
    const masks = (n: number) => ints([n, from], 9).less(2).cast('int32');
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.003 }))],
      batches: [11, 11, 6].map((n) => [
        ints([n, from], words),
        ints([n, to], words, 3),
        ints([n, to], words, 5),
        masks(n),
      ]),
    };
  },

  mlpMixer(s) {
    const [patches, channels] = [25, 30 * s];
    const embed = new Conv2D(3, channels, 4, { stride: 4 });
    const blocks = [0, 1].map(() => ({
      norms: [new LayerNorm(channels), new LayerNorm(channels)],
      tokens: [new Dense(patches, 17, { activation: 'gelu' }), new Dense(17, patches)],
      mix: [new Dense(channels, 2 * channels, { activation: 'gelu' }), new Dense(2 * channels, channels)],
    }));
    const [norm, out] = [new LayerNorm(channels), new Dense(channels, 10)];
    const loss = (image: Tensor, labels: Tensor) => {
      let x = embed.forward(image).reshape([image.shape[0], patches, channels]);
      for (const { norms, tokens, mix } of blocks) {
        const y = norms[0].forward(x).transpose([0, 2, 1]);
        x = x.add(tokens[1].forward(tokens[0].forward(y)).transpose([0, 2, 1]));
        x = x.add(mix[1].forward(mix[0].forward(norms[1].forward(x))));
      }
      return losses.softmaxCrossEntropy(out.forward(norm.forward(x).mean([1])), labels as Tensor<'int32'>);
    };
    const layers = [
      embed,
      ...blocks.flatMap(({ norms, tokens, mix }) => [...norms, ...tokens, ...mix]),
      norm,
      out,
    ];
    const state = layers.flatMap((layer) => layer.parameters());
    return {
      state,
      steps: [minimize(loss, new Lion(state, 1e-3))],
      batches: [9, 9, 5].map((n) => [randn([n, 20, 20, 3]), ints([n], 10)]),
    };
  },

  /** Skips by concat of channels, on images whose sizes are odd somewhere. */
  unet(s) {
    const conv = (a: number, b: number) => new Conv2D(a, b, 3, { padding: 'same', activation: 'relu' });
    const w = 6 * s;
    const down = [conv(2, w), conv(w, 2 * w), conv(2 * w, 3 * w)];
    const up = [
      new ConvTranspose2D(3 * w, 2 * w, 2, { stride: 2 }),
      new ConvTranspose2D(2 * w, w, 2, { stride: 2 }),
    ];
    const merge = [conv(4 * w, 2 * w), conv(2 * w, w)];
    const out = new Conv2D(w, 1, 1);
    const loss = (image: Tensor, target: Tensor) => {
      const a = down[0].forward(image);
      const b = down[1].forward(maxPool2d(a, 2));
      const c = down[2].forward(maxPool2d(b, 2));
      const d = merge[0].forward(concat([up[0].forward(c), b], 3));
      const e = merge[1].forward(concat([up[1].forward(d), a], 3));
      const logits = out.forward(e);
      // Cross-entropy and Dice together.
      const p = logits.sigmoid();
      const overlap = p.mul(target).sum([1, 2, 3]).mul(2).add(1);
      const dice = overlap.div(
        p
          .sum([1, 2, 3])
          .add(target.sum([1, 2, 3]))
          .add(1),
      );
      return losses.binaryCrossEntropyWithLogits(logits, target).add(dice.mean().neg().add(1));
    };
    const state = [...down, ...up, ...merge, out].flatMap((layer) => layer.parameters());
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.01 }))],
      batches: [4, 4, 3].map((n) => [randn([n, 20, 12, 2]), coin([n, 20, 12, 1])]),
    };
  },

  resnet(s) {
    const w = 8 * s;
    const unit = (a: number, b: number, stride: number) => ({
      first: new Conv2D(a, b, 3, { stride, padding: 1, bias: false }),
      norm: new BatchNorm(b, { activation: 'relu' }),
      second: new Conv2D(b, b, 3, { padding: 1, bias: false }),
      last: new BatchNorm(b),
      short: stride === 1 && a === b ? null : new Conv2D(a, b, 1, { stride, bias: false }),
      shortNorm: stride === 1 && a === b ? null : new BatchNorm(b),
    });
    const stem = new Conv2D(3, w, 3, { padding: 1, bias: false });
    const stemNorm = new BatchNorm(w, { activation: 'relu' });
    const units = [unit(w, w, 1), unit(w, 2 * w, 2), unit(2 * w, 3 * w, 2)];
    const out = new Dense(3 * w, 7);
    const loss = (image: Tensor, labels: Tensor) => {
      let x = stemNorm.forward(stem.forward(image));
      for (const { first, norm, second, last, short, shortNorm } of units) {
        const y = last.forward(second.forward(norm.forward(first.forward(x))));
        x = y.add(short === null ? x : shortNorm!.forward(short.forward(x))).relu();
      }
      return losses.softmaxCrossEntropy(out.forward(x.mean([1, 2])), labels as Tensor<'int32'>);
    };
    const layers: Layer[] = [
      stem,
      stemNorm,
      ...units.flatMap((u) => Object.values(u).filter((l) => l !== null)),
      out,
    ];
    const state = layers.flatMap((layer) => [...layer.parameters()]);
    const buffers = layers.flatMap((layer) =>
      [...layer.namedBuffers()].map(([, buffer]) => buffer as Tensor),
    );
    return {
      state: [...state, ...buffers],
      steps: [
        minimize(loss, new SGD(state, { learningRate: 0.05, momentum: 0.9, nesterov: true, l2: 1e-3 })),
      ],
      batches: [6, 6, 3].map((n) => [randn([n, 15, 13, 3]), ints([n], 7)]),
    };
  },

  /** Two optimizers and two steps, each of which goes through both networks. */
  dcgan(s) {
    const [latent, w] = [11, 6 * s];
    const g = {
      start: new Dense(latent, 3 * 3 * 2 * w),
      norm: new BatchNorm(2 * w, { activation: 'relu' }),
      up: new ConvTranspose2D(2 * w, w, 4, { stride: 2, padding: 1, bias: false }),
      norm2: new BatchNorm(w, { activation: 'relu' }),
      last: new ConvTranspose2D(w, 1, 4, { stride: 2, padding: 1 }),
    };
    const d = {
      a: new Conv2D(1, w, 4, { stride: 2, padding: 1 }),
      b: new Conv2D(w, 2 * w, 4, { stride: 2, padding: 1 }),
      out: new Dense(18 * w, 1),
    };
    const generate = (z: Tensor) => {
      const x = g.norm.forward(g.start.forward(z).reshape([z.shape[0], 3, 3, 2 * w]));
      return g.last.forward(g.norm2.forward(g.up.forward(x))).tanh();
    };
    const judge = (x: Tensor) => {
      const y = d.b.forward(d.a.forward(x).leakyRelu(0.2)).leakyRelu(0.2);
      return d.out.forward(y.flatten(1));
    };
    const entropy = losses.binaryCrossEntropyWithLogits;
    const [pg, pd] = [g, d].map((net) => Object.values(net).flatMap((l) => [...(l as Layer).parameters()]));
    const [og, od] = [pg, pd].map((p) => new Adam(p, { learningRate: 2e-3, beta1: 0.5 }));
    return {
      state: [...pg, ...pd],
      steps: [
        minimize((x: Tensor, z: Tensor) => {
          const [real, fake] = [judge(x), judge(generate(z).detach())];
          return entropy(real, full(real.shape, 0.9)).add(entropy(fake, zeros(fake.shape)));
        }, od),
        minimize((_: Tensor, z: Tensor) => {
          const fake = judge(generate(z));
          return entropy(fake, full(fake.shape, 1));
        }, og),
      ],
      batches: [8, 8, 5].map((n) => [randn([n, 12, 12, 1]), randn([n, latent])]),
    };
  },

  /** Weights used twice, a distance with a root, a margin. */
  siamese(s) {
    const net = new Sequential([
      new Dense(33, 40 * s, { activation: 'elu' }),
      new Dense(40 * s, 28 * s, { activation: 'silu' }),
      new Dense(28 * s, 35),
    ]);
    const unit = (x: Tensor) => x.div(x.square().sum([1], { keepDims: true }).add(1e-6).sqrt());
    const loss = (a: Tensor, b: Tensor, same: Tensor) => {
      const distance = unit(net.forward(a))
        .sub(unit(net.forward(b)))
        .square()
        .sum([1])
        .add(1e-6)
        .sqrt();
      const apart = distance.neg().add(1.5).maximum(0).square();
      return same.mul(distance.square()).add(same.neg().add(1).mul(apart)).mean();
    };
    const state = net.parameters();
    return {
      state,
      steps: [minimize(loss, new SGD(state, { learningRate: 0.5 }))],
      batches: [40, 40, 37].map((n) => [randn([n, 33]), randn([n, 33]), coin([n])]),
    };
  },

  /** Noise drawn within the step, so that the random state is part of what is seen; a second sample without gradient. */
  vae(s) {
    const [pixels, hidden, latent] = [77, 45 * s, 19];
    const encode = new Dense(pixels, hidden, { activation: 'tanh' });
    const both = new Dense(hidden, 2 * latent);
    const decode = new Sequential([
      new Dense(latent, hidden, { activation: 'softplus' }),
      new Dense(hidden, pixels),
    ]);
    const loss = (x: Tensor, noise: Tensor) => {
      const h = both.forward(encode.forward(x));
      const [mean, logVar] = [h.slice([null, [0, latent]]), h.slice([null, [latent]])];
      const z = mean.add(logVar.mul(0.5).exp().mul(noise));
      const rebuilt = losses.binaryCrossEntropyWithLogits(decode.forward(z), x, { reduction: 'sum' });
      const divergence = logVar.add(1).sub(mean.square()).sub(logVar.exp()).sum().mul(-0.5);
      return rebuilt.add(divergence).div(x.shape[0]);
    };
    const state = [encode, both, decode].flatMap((layer) => [...layer.parameters()]);
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.002, l2: 1e-4 }))],
      batches: [64, 64, 41].map((n) => [rand([n, pixels]), randn([n, latent])]),
    };
  },

  /** Weights kept within a box after each step of the critic; rows between real and generated ones. */
  wgan(s) {
    const critic = new Sequential([
      new Dense(12, 60 * s, { activation: 'leakyRelu' }),
      new Dense(60 * s, 30),
      new Dense(30, 1),
    ]);
    const maker = new Sequential([new Dense(5, 40 * s, { activation: 'gelu' }), new Dense(40 * s, 12)]);
    const [pc, pm] = [critic.parameters(), maker.parameters()];
    const [oc, om] = [new RMSprop(pc, 1e-3), new RMSprop(pm, 1e-3)];
    const learn = minimize(
      (x: Tensor, z: Tensor) =>
        critic.forward(maker.forward(z).detach()).mean().sub(critic.forward(x).mean()),
      oc,
    );
    return {
      state: [...pc, ...pm],
      steps: [
        (x, z) => {
          const value = learn(x, z);
          for (const p of pc) (p as Tensor).assign(noGrad(() => p.clip(-0.15, 0.15)));
          return value;
        },
        minimize((_: Tensor, z: Tensor) => critic.forward(maker.forward(z)).mean().neg(), om),
      ],
      batches: [50, 50, 23].map((n) => [randn([n, 12]), randn([n, 5])]),
    };
  },

  /** Proximal policy optimization: ratios, clipping, entropy, a value beside. */
  ppo(s) {
    const [actions, width] = [6, 50 * s];
    const body = new Dense(14, width, { activation: 'tanh' });
    const [policy, value] = [new Dense(width, actions), new Dense(width, 1)];
    const loss = (x: Tensor, taken: Tensor, before: Tensor, gains: Tensor) => {
      const h = body.forward(x);
      const log = policy.forward(h).logSoftmax(-1);
      const chosen = log.mul(oneHot(taken as Tensor<'int32'>, actions)).sum([1]);
      const estimate = value.forward(h).reshape([x.shape[0]]);
      const advantage = gains.sub(estimate).detach();
      const normal = advantage
        .sub(advantage.mean())
        .div(advantage.variance(undefined, { correction: 1 }).sqrt().add(1e-8));
      const ratio = chosen.sub(before).exp();
      const gain = ratio.mul(normal).minimum(ratio.clip(0.8, 1.2).mul(normal)).mean();
      const entropy = log.exp().mul(log).sum([-1]).mean().neg();
      return losses.huber(estimate, gains).mul(0.5).sub(gain).sub(entropy.mul(0.01));
    };
    const state = [body, policy, value].flatMap((layer) => [...layer.parameters()]);
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 3e-3 }), (all) => clipGradValue(all, 0.05))],
      batches: [100, 100, 57].map((n) => [randn([n, 14]), ints([n], actions), rand([n]).mul(-2), randn([n])]),
    };
  },

  /** RMSNorm, rotary positions, SwiGLU: as in Llama. */
  llama(s) {
    const [words, width, count, length] = [29, 24 * s, 4, 10];
    const size = width / count;
    const embedding = weight([words, width], 0.5);
    const block = () => ({
      gains: [new Parameter([width]), new Parameter([width])],
      w: [0, 1, 2, 3].map(() => weight([width, width])),
      gate: weight([2 * width, width]),
      up: weight([2 * width, width]),
      down: weight([width, 2 * width]),
    });
    const blocks = [block(), block()];
    for (const { gains } of blocks) for (const g of gains) g.assign(full([width], 1));
    const norm = (x: Tensor, gain: Tensor) =>
      x.mul(x.square().mean([-1], { keepDims: true }).add(1e-5).sqrt().reciprocal()).mul(gain);
    const times = (x: Tensor, w: Tensor) => x.matmul(w, { transposeB: true });
    const [sin, cos] = [Math.sin, Math.cos].map((f) =>
      table(length, size / 2, (i, j) => f(i * Math.exp(-j))),
    );
    const ahead = future(length);
    const rotate = (x: Tensor) => {
      const even = x.slice([null, null, null, [0, undefined, 2]]);
      const odd = x.slice([null, null, null, [1, undefined, 2]]);
      return concat([even.mul(cos).sub(odd.mul(sin)), even.mul(sin).add(odd.mul(cos))], -1);
    };
    const loss = (tokens: Tensor, next: Tensor) => {
      let x = embedding.gather(tokens as Tensor<'int32'>);
      const n = tokens.shape[0];
      for (const { gains, w, gate, up, down } of blocks) {
        const y = norm(x, gains[0]);
        const [q, k] = [0, 1].map((i) => rotate(heads(times(y, w[i]), count)));
        const scores = q.matmul(k, { transposeB: true }).div(Math.sqrt(size));
        const mixed = where(ahead, -Infinity, scores)
          .softmax()
          .matmul(heads(times(y, w[2]), count));
        x = x.add(times(mixed.transpose([0, 2, 1, 3]).reshape([n, length, width]), w[3]));
        const z = norm(x, gains[1]);
        x = x.add(times(times(z, gate).silu().mul(times(z, up)), down));
      }
      const log = times(x, embedding).logSoftmax(-1);
      // Label smoothing by hand.
      const picked = log
        .mul(oneHot(next as Tensor<'int32'>, words))
        .sum([-1])
        .mean();
      return picked.mul(-0.9).sub(log.mean().mul(0.1));
    };
    const state = [
      embedding,
      ...blocks.flatMap(({ gains, w, gate, up, down }) => [...gains, ...w, gate, up, down]),
    ];
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.003 }))],
      batches: [7, 7, 4].map((n) => [ints([n, length], words), ints([n, length], words, 5)]),
    };
  },

  /** Losses of ops: focal, triplet, quantiles, a divergence; summed with weights that learn. */
  losses(s) {
    const net = new Sequential([new Dense(21, 48 * s, { activation: 'softplus' }), new Dense(48 * s, 34)]);
    const scales = weight([4], 0.1);
    const quantiles = tensor([0.1, 0.5, 0.9, 0.75]);
    const loss = (x: Tensor, labels: Tensor, y: Tensor) => {
      const z = net.forward(x);
      const n = x.shape[0];
      const p = z.slice([null, [0, 10]]).softmax(-1);
      const right = p.mul(oneHot(labels as Tensor<'int32'>, 10)).sum([1]);
      const focal = right.neg().add(1).pow(2).mul(right.log()).mean().neg();
      const error = y.sub(z.slice([null, [10, 14]]));
      const pinball = error
        .mul(quantiles)
        .maximum(error.mul(quantiles.sub(1)))
        .mean();
      const e = z.slice([null, [14, 34, 2]]);
      const [near, far] = [e.slice([[-1, undefined, -1]]), e.mul(-0.5).add(0.1)];
      const triplet = e
        .sub(near)
        .abs()
        .sum([1])
        .sub(e.sub(far).square().sum([1]))
        .add(0.3)
        .relu()
        .mean();
      const q = z.slice([null, [15, 34, 2]]).logSoftmax(0);
      const kl = q
        .exp()
        .mul(q.sub(Math.log(1 / n)))
        .sum([0])
        .mean();
      const all = stack([focal, pinball, triplet, kl]);
      return all.mul(scales.neg().exp()).add(scales).sum();
    };
    const state = [...net.parameters(), scales];
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.005 }))],
      batches: [45, 45, 32].map((n) => [randn([n, 21]), ints([n], 10), randn([n, 4])]),
    };
  },

  /** Gradients of several batches added up, then one update with a rate that falls, and an average of the weights. */
  accumulation(s) {
    const net = new Sequential([
      new Dense(17, 64 * s, { activation: 'relu' }),
      new Dropout(0.25),
      new Dense(64 * s, 9),
    ]);
    const state = net.parameters();
    const averages = state.map((p) => {
      const x = new SharedTensor(p.shape);
      x.assign(p.detach());
      return x as Tensor;
    });
    const optimizer = new Adam(state, { learningRate: 0.01 });
    const share = (x: Tensor, y: Tensor) => {
      const loss = losses.mse(net.forward(x), y).div(2);
      loss.backward();
      return loss;
    };
    return {
      state: [...state, ...averages],
      steps: [
        share,
        (x, y) => share(x.mul(0.5), y.add(1)),
        () => {
          const norm = clipGradNorm(state, 1) as Tensor;
          optimizer.step();
          optimizer.zeroGrad();
          averages.forEach((average, i) => void average.lerp_(state[i], 0.1));
          return norm;
        },
      ],
      batches: [32, 32, 29].map((n) => [randn([n, 17]), randn([n, 9])]),
    };
  },

  /** The decoder is the encoder transposed; the second step learns the biases alone. */
  tied(s) {
    const w = weight([36 * s, 44]);
    const [b, c] = [weight([36 * s], 0.1), weight([44], 0.1)];
    const loss = (x: Tensor) => {
      const h = x.matmul(w, { transposeB: true }).add(b).sigmoid();
      const y = h.matmul(w).add(c);
      const rate = h.mean([0]).clip(1e-6, 1 - 1e-6);
      const sparse = rate.log().mul(-0.05).sub(rate.neg().add(1).log().mul(0.95)).sum();
      return losses.meanAbsoluteError(y, x).add(sparse.mul(0.01));
    };
    const state = [w, b, c];
    const [all, some] = [
      new SGD(state, { learningRate: 0.1, momentum: 0.9, dampening: 0.5 }),
      new SGD([b, c], { learningRate: 0.2 }),
    ];
    return {
      state,
      steps: [minimize(loss, all), minimize(loss, some)],
      batches: [30, 30, 26].map((n) => [randn([n, 44])]),
    };
  },

  /** Deep Q-learning: a target network that follows, the best action by one of both, values by the other. */
  dqn(s) {
    const make = () => new Sequential([new Dense(10, 40 * s, { activation: 'relu' }), new Dense(40 * s, 28)]);
    const [online, target] = [make(), make()];
    const state = online.parameters();
    const optimizer = new Adam(state, { learningRate: 0.002 });
    const learn = minimize((x: Tensor, taken: Tensor, reward: Tensor, next: Tensor) => {
      const q = online
        .forward(x)
        .mul(oneHot(taken as Tensor<'int32'>, 28))
        .sum([1]);
      const goal = noGrad(() => {
        const best = online.forward(next).argmax(1);
        return target.forward(next).mul(oneHot(best, 28)).sum([1]).mul(0.97).add(reward);
      });
      return losses.huber(q, goal, { delta: 0.7 });
    }, optimizer);
    const followers = target.parameters();
    return {
      state: [...state, ...followers],
      steps: [
        (...batch) => {
          const value = learn(...(batch as [Tensor, Tensor, Tensor, Tensor]));
          followers.forEach((p, i) => void (p as Tensor).lerp_(state[i], 0.05));
          return value;
        },
        (x) => online.forward(x).max([1]).mean(),
      ],
      batches: [64, 64, 40].map((n) => [randn([n, 10]), ints([n], 28), randn([n]), randn([n, 10])]),
    };
  },

  /** Depthwise and grouped convolutions with dilation, squeeze and excitation, as in small mobile nets. */
  mobile(s) {
    const w = 12 * s;
    const unit = (a: number, b: number, stride: number, dilation: number, groups: number) => ({
      wide: new Conv2D(a, 2 * a, 1, { bias: false, groups }),
      depth: new Conv2D(2 * a, 2 * a, 3, { groups: 2 * a, stride, padding: dilation, dilation }),
      norm: new BatchNorm(2 * a),
      squeeze: new Dense(2 * a, 5, { activation: 'relu' }),
      excite: new Dense(5, 2 * a, { activation: 'sigmoid' }),
      narrow: new Conv2D(2 * a, b, 1),
    });
    const stem = new Conv2D(3, w, 5, { stride: 2, padding: 2 });
    const units = [unit(w, w, 1, 1, 1), unit(w, w, 1, 2, 3), unit(w, 2 * w, 2, 1, 2)];
    const out = new Dense(2 * w, 6);
    const loss = (image: Tensor, labels: Tensor) => {
      let x = stem.forward(image);
      for (const { wide, depth, norm, squeeze, excite, narrow } of units) {
        const y = norm.forward(depth.forward(wide.forward(x).clip(0, 6))).silu();
        const [n, , , c] = y.shape;
        const weights = excite.forward(squeeze.forward(y.mean([1, 2]))).reshape([n, 1, 1, c]);
        const z = narrow.forward(y.mul(weights));
        x = z.size === x.size ? z.add(x) : z;
      }
      return losses.softmaxCrossEntropy(
        out.forward(averagePool2d(x, [5, 4]).flatten(1)),
        labels as Tensor<'int32'>,
      );
    };
    const layers: Layer[] = [stem, ...units.flatMap((u) => Object.values(u) as Layer[]), out];
    const state = layers.flatMap((layer) => [...layer.parameters()]);
    return {
      state,
      steps: [minimize(loss, new RMSprop(state, 1e-3))],
      batches: [5, 5, 3].map((n) => [randn([n, 19, 16, 3]), ints([n], 6)]),
    };
  },

  /** Causal convolutions in time, gated, whose outputs add up: WaveNet. */
  wavenet(s) {
    const w = 14 * s;
    const start = new Conv1D(1, w, 1);
    const blocks = [1, 2, 4].map((dilation) => ({
      both: new Conv1D(w, 2 * w, 2, { dilation, padding: { left: dilation } }),
      skip: new Dense(w, w),
      on: new Dense(w, w),
    }));
    const out = new Dense(w, 3);
    const loss = (x: Tensor, y: Tensor) => {
      let h = start.forward(x);
      let total: Tensor | null = null;
      for (const { both, skip, on } of blocks) {
        const z = both.forward(h);
        const gated = z
          .slice([null, null, [0, w]])
          .tanh()
          .mul(z.slice([null, null, [w]]).sigmoid());
        const s = skip.forward(gated);
        total = total === null ? s : total.add(s);
        h = on.forward(gated).add(h).mul(Math.SQRT1_2);
      }
      // Mean, scale and freedom of a distribution.
      const p = out.forward((total as Tensor).relu());
      const at = (i: number) => p.slice([null, null, [i, i + 1]]);
      const scale = at(1).softplus().add(0.01);
      const u = y.sub(at(0)).div(scale);
      return u.square().add(1).log().add(scale.log()).add(at(2).tanh().square().mul(0.1)).mean();
    };
    const layers: Layer[] = [start, ...blocks.flatMap((b) => Object.values(b) as Layer[]), out];
    const state = layers.flatMap((layer) => [...layer.parameters()]);
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.005 }))],
      batches: [6, 6, 5].map((n) => [randn([n, 37, 1]), randn([n, 37, 1])]),
    };
  },

  /** Attention over the neighbours in a graph, then a normalised adjacency; sums by scatter through one-hot rows. */
  graph(s) {
    const [nodes, width] = [41, 26 * s];
    const w = [weight([13, width]), weight([width, 8])];
    const [from, to] = [weight([width, 1]), weight([width, 1])];
    const loss = (x: Tensor, edges: Tensor, labels: Tensor) => {
      const links = edges.add(eye(nodes)).minimum(1);
      const h = x.matmul(w[0]);
      const scores = h.matmul(from).add(h.matmul(to).transpose()).leakyRelu(0.2);
      const attention = where(links.greater(0), scores, -1e9).softmax(1);
      const g = attention.matmul(h).elu();
      const root = links.sum([1], { keepDims: true }).sqrt();
      const normal = links.div(root).div(root.transpose());
      return losses.softmaxCrossEntropy(normal.matmul(g.matmul(w[1])), labels as Tensor<'int32'>);
    };
    const state = [...w, from, to];
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.01 }))],
      batches: [0, 1].map((i) => [
        randn([nodes, 13]),
        rand([nodes, nodes]).less(0.1).cast('float32'),
        ints([nodes], 8, 3 + i),
      ]),
    };
  },

  /** A differential equation by Runge and Kutta's method, in float64. */
  ode(s) {
    const w = [weight([15, 30 * s]), weight([30 * s, 15])].map((p) => {
      const q = new Parameter([...p.shape], 'float64');
      q.assign(p.detach().cast('float64'));
      return q;
    });
    const f = (x: Tensor) => x.matmul(w[0]).tanh().matmul(w[1]);
    const loss = (x: Tensor, y: Tensor) => {
      let z = x;
      const h = 0.2;
      for (let i = 0; i < 4; i++) {
        const a = f(z);
        const b = f(z.add(a.mul(h / 2)));
        const c = f(z.add(b.mul(h / 2)));
        const d = f(z.add(c.mul(h)));
        z = z.add(
          a
            .add(b.mul(2))
            .add(c.mul(2))
            .add(d)
            .mul(h / 6),
        );
      }
      return losses.mse(z, y);
    };
    return {
      state: w,
      steps: [minimize(loss, new SGD(w, { learningRate: 0.1, momentum: 0.5 }))],
      batches: [80, 80, 51].map((n) => [randn([n, 15]), randn([n, 15])].map((x) => x.cast('float64'))),
    };
  },

  /** Images smaller and larger again, and how alike their channels are. */
  style(s) {
    const w = 8 * s;
    const net = [
      new Conv2D(3, w, 3, { padding: { top: 2, bottom: 0, left: 0, right: 2 } }),
      new Conv2D(w, 3, 3, { padding: 1 }),
    ];
    const gram = (x: Tensor) => {
      const [n, height, width, c] = x.shape;
      const flat = x.reshape([n, height * width, c]);
      return flat.matmul(flat, { transposeA: true }).div(height * width * c);
    };
    const loss = (x: Tensor, y: Tensor) => {
      const h = averagePool2d(
        net[0]
          .forward(
            pad(x, [
              [0, 0],
              [0, 1],
              [0, 0],
              [0, 0],
            ]),
          )
          .relu(),
        2,
      );
      const back = net[1].forward(upsample(h, 2, { mode: 'bilinear' }));
      const part = back.slice([null, [0, y.shape[1]], [0, y.shape[2]]]);
      const smooth = part
        .slice([null, [1]])
        .sub(part.slice([null, [0, -1]]))
        .abs()
        .mean();
      return losses
        .mse(part, y)
        .add(losses.mse(gram(part), gram(y)).mul(3))
        .add(smooth.mul(0.1));
    };
    const state = net.flatMap((layer) => layer.parameters());
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.01 }))],
      batches: [3, 3, 2].map((n) => [randn([n, 14, 18, 3]), randn([n, 14, 18, 3])]),
    };
  },

  /** A mixture of experts: a batch of products, mixed by a gate that is balanced. */
  experts(s) {
    const [count, width, hidden] = [5, 16, 20 * s];
    const [up, down] = [weight([count, width, hidden], 0.3), weight([count, hidden, width], 0.3)];
    const bias = weight([count, 1, hidden], 0.1);
    const gate = new Dense(width, count);
    const loss = (x: Tensor, y: Tensor) => {
      const n = x.shape[0];
      const shares = gate.forward(x).softmax(-1);
      const each = x
        .reshape([1, n, width])
        .broadcastTo([count, n, width])
        .matmul(up)
        .add(bias)
        .gelu()
        .matmul(down);
      const mixed = each.mul(shares.transpose().reshape([count, n, 1])).sum([0]);
      const load = shares.mean([0]);
      return losses.mse(mixed, y).add(load.variance().mul(5));
    };
    const state = [up, down, bias, ...gate.parameters()];
    return {
      state,
      steps: [minimize(loss, new RMSprop(state, 0.002))],
      batches: [39, 39, 22].map((n) => [randn([n, width]), randn([n, width])]),
    };
  },

  /** Two towers whose rows are to find each other, with a temperature that learns: CLIP. */
  towers(s) {
    const [a, b] = [new Dense(19, 33 * s), new Dense(27, 33 * s)];
    const heat = weight([1], 1);
    const loss = (x: Tensor, y: Tensor) => {
      const unit = (z: Tensor) => z.div(z.square().sum([-1], { keepDims: true }).sqrt().maximum(1e-8));
      const logits = unit(a.forward(x))
        .matmul(unit(b.forward(y)), { transposeB: true })
        .mul(heat.exp());
      const labels = tensor(Int32Array.from({ length: x.shape[0] }, (_, i) => i));
      const across = losses.softmaxCrossEntropy(logits, labels);
      return across.add(losses.softmaxCrossEntropy(logits.transpose(), labels)).div(2);
    };
    const state = [...a.parameters(), ...b.parameters(), heat];
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.01 }))],
      batches: [42, 42, 35].map((n) => [randn([n, 19]), randn([n, 27])]),
    };
  },

  /** A state that each step multiplies and adds to, forwards and backwards in time: a state-space model. */
  scan(s) {
    const [width, length] = [35 * s, 12];
    const [decay, input, out] = [weight([width], 1), weight([width], 1), new Dense(2 * width, 4)];
    const loss = (x: Tensor, y: Tensor) => {
      const n = x.shape[0];
      const a = decay.sigmoid();
      const run = (z: Tensor) => {
        let h: Tensor = zeros([n, width]);
        const all: Tensor[] = [];
        for (let t = 0; t < length; t++) {
          h = h.mul(a).add(
            z
              .slice([null, [t, t + 1]])
              .reshape([n, width])
              .mul(input),
          );
          all.push(h);
        }
        return stack(all, 1);
      };
      const back = run(x.slice([null, [length - 1, undefined, -1]])).slice([
        null,
        [length - 1, undefined, -1],
      ]);
      const both = concat([run(x), back], 2);
      return losses.mse(out.forward(both.tanh()), y);
    };
    const state = [decay, input, ...out.parameters()];
    return {
      state,
      steps: [minimize(loss, new SGD(state, { learningRate: 0.1, momentum: 0.9 }))],
      batches: [8, 8, 6].map((n) => [randn([n, length, width]), randn([n, length, 4])]),
    };
  },

  /** Weights are moved to where the loss is worse, the gradient taken there, and the step made from where they were. */
  sharpness(s) {
    const net = new Sequential([new Dense(20, 55 * s, { activation: 'gelu' }), new Dense(55 * s, 25)]);
    const state = net.parameters();
    const optimizer = new SGD(state, { learningRate: 0.05, momentum: 0.9 });
    return {
      state,
      steps: [
        (x, y) => {
          const loss = losses.mse(net.forward(x), y);
          optimizer.zeroGrad();
          loss.backward();
          const squares = noGrad(() => state.map((p) => (p.grad as Tensor).square().sum()));
          const norm = squares.reduce((a, b) => a.add(b)).sqrt();
          const moves = noGrad(() => state.map((p) => (p.grad as Tensor).mul(0.05).div(norm.add(1e-12))));
          state.forEach((p, i) => void (p as Tensor).add_(moves[i]));
          optimizer.zeroGrad();
          losses.mse(net.forward(x), y).backward();
          state.forEach((p, i) => void (p as Tensor).sub_(moves[i]));
          optimizer.step();
          return [loss, norm];
        },
      ],
      batches: [40, 40, 33].map((n) => [randn([n, 20]), randn([n, 25])]),
    };
  },

  /** Noise of each step is drawn in it; parts are dropped, and kept by chance as a whole; what is drawn is a result too. */
  diffusion(s) {
    const net = new Sequential([
      new Dense(26, 50 * s, { activation: 'silu' }),
      new Dropout(0.1),
      new Dense(50 * s, 25),
    ]);
    const state = net.parameters();
    const optimizer = new Adam(state, { learningRate: 0.003 });
    return {
      state,
      steps: [
        (x) => {
          const n = x.shape[0];
          const [t, noise] = [rand([n, 1]), randn([n, 25])];
          const signal = t.square().neg().add(1);
          const mixed = x.mul(signal).add(noise.mul(signal.square().neg().add(1).sqrt()));
          const guess = net.forward(concat([mixed, t], 1));
          const loss = losses.mse(dropout(guess, 0.1), noise);
          optimizer.zeroGrad();
          loss.backward();
          optimizer.step();
          return [loss, mixed];
        },
      ],
      batches: [60, 60, 47].map((n) => [randn([n, 25])]),
    };
  },

  /** Factorized machines over sparse features: sums of squares, embeddings gathered several times. */
  factors(s) {
    const [features, width] = [97, 22 * s];
    const [linear, factors, bias] = [
      weight([features, 1], 0.1),
      weight([features, width], 0.2),
      weight([1], 0.1),
    ];
    const loss = (fields: Tensor, values: Tensor, y: Tensor) => {
      const index = fields as Tensor<'int32'>;
      const v = factors.gather(index).mul(values);
      const pairs = v
        .sum([1])
        .square()
        .sub(v.square().sum([1]))
        .sum([1])
        .mul(0.5);
      const first = linear.gather(index).mul(values).sum([1, 2]);
      const logits = pairs.add(first).add(bias);
      return losses.binaryCrossEntropyWithLogits(logits, y).add(factors.square().sum().mul(1e-4));
    };
    const state = [linear, factors, bias];
    return {
      state,
      steps: [minimize(loss, new Adam(state, { learningRate: 0.01 }))],
      batches: [50, 50, 31].map((n) => [ints([n, 8], features, 13), rand([n, 8, 1]), coin([n])]),
    };
  },
};
