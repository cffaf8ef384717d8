/**
 * Whole trainings as users write them: networks over time, two optimizers, frozen teachers, shared encoders, target networks.
 * In float32 compiled equals eager to the bit; in float64 both follow PyTorch, whose values are those of programs.json, which
 * `write_programs` of test/reference/make_reference.py wrote.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  AdamW,
  type AnyParameter,
  BatchNorm,
  Conv2D,
  concat,
  Dense,
  type FloatDtype,
  losses,
  noGrad,
  type Optimizer,
  Parameter,
  Sequential,
  SGD,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { uniform } from '../cases/case.ts';
import { elements } from '../cases/values.ts';
import { deviation, type Numbers, read } from '../reference/read.ts';
import { freeze, type Program, type Run, same, to, ways } from './twins.ts';

/** A training by functions that `run` makes, in a dtype; it sees the losses and then what was learnt. */
type Training = (dtype: FloatDtype, ...twin: Parameters<Program>) => void | Promise<void>;

/** Numbers of a name, as make_reference.py has them. */
const rows = (dtype: FloatDtype, name: string, shape: number[]): Tensor =>
  tensor(elements(uniform(shape, -1, 1), name), { shape, dtype });

function learnt(dtype: FloatDtype, name: string, shape: number[]): AnyParameter {
  const p = new Parameter(shape, dtype);
  p.assign(rows(dtype, name, shape));
  return p;
}

/** Dense layers with tanh in between. */
function net(dtype: FloatDtype, name: string, ...sizes: number[]): Sequential {
  const layers = sizes.slice(1).map((out, i) => {
    const layer = new Dense(sizes[i], out, { dtype, activation: i < sizes.length - 2 ? 'tanh' : 'linear' });
    layer.weight.assign(rows(dtype, `${name}/${i}/weight`, [out, sizes[i]]));
    layer.bias!.assign(rows(dtype, `${name}/${i}/bias`, [out]));
    return layer;
  });
  return new Sequential(layers);
}

function update(optimizer: Optimizer, loss: Tensor): Tensor {
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  return loss;
}

const sgd = (parameters: Parameter[], learningRate: number) => new SGD(parameters, { learningRate });
const labels = tensor([0, 1, 0, 1], { dtype: 'int32' });

const fineTuning =
  (optimize: (parameters: Parameter[]) => Optimizer): Training =>
  async (dtype, { run, see }) => {
    const [body, head] = [net(dtype, 'tuning/body', 3, 4), net(dtype, 'tuning/head', 4, 2)];
    const parameters = [...body.parameters(), ...head.parameters()];
    freeze(body);
    const optimizer = optimize(parameters);
    const step = run((x: Tensor) =>
      update(optimizer, head.forward(body.forward(x).tanh()).sub(1).square().mean()),
    );
    for (let i = 0; i < 9; i++) {
      freeze(body, i < 3);
      freeze(head, i >= 6);
      see(await step(rows(dtype, `tuning/x/${i}`, [4, 3])));
    }
    see(...parameters);
  };

/** A body with batch normalisation, frozen, learning, and then its beginning frozen again. */
const transfer =
  (optimize: (parameters: AnyParameter[]) => Optimizer): Training =>
  async (dtype, { run, see }) => {
    const norms = [
      new BatchNorm(3, { activation: 'relu', dtype }),
      new BatchNorm(4, { affine: false, activation: 'tanh', dtype }),
    ];
    const body = new Sequential([
      new Conv2D(1, 3, 3, { bias: false, dtype }),
      norms[0],
      new Conv2D(3, 4, 3, { bias: false, dtype }),
      norms[1],
    ]);
    const head = new Dense(4, 2, { dtype });
    const parameters = [...body.parameters(), ...head.parameters()];
    // By their names in PyTorch, where activations are layers. No bias before a BatchNorm, whose gradient is but rounding.
    const names = ['0.0.weight', '0.1.weight', '0.1.bias', '0.3.weight', '1.weight', '1.bias'];
    parameters.forEach((p, i) => {
      to(p).assign(rows(dtype, `transfer/${names[i]}`, [...p.shape]));
    });
    const optimizer = optimize(parameters);
    const step = run((x: Tensor) =>
      update(optimizer, losses.softmaxCrossEntropy(head.forward(body.forward(x).mean([1, 2])), labels)),
    );
    for (let i = 0; i < 12; i++) {
      body.trainable = i >= 3;
      if (i >= 9) for (const layer of body.layers.slice(0, 2)) layer.trainable = false;
      see(await step(rows(dtype, `transfer/x/${i}`, [4, 7, 7, 1])));
      if (i % 3 < 2) continue;
      see(
        ...parameters,
        ...norms.flatMap(({ runningMean, runningVariance }) => [runningMean, runningVariance]),
      );
    }
  };

const trainings: Record<string, Training> = {
  /** Two tensors of zeros are one at the start of a sequence; later they are two, and carried on. */
  lstm: async (dtype, { run, see }) => {
    const [w, u, b, out] = (
      [
        ['w', [8, 3]],
        ['u', [8, 2]],
        ['b', [8]],
        ['out', [1, 2]],
      ] as const
    ).map(([name, shape]) => learnt(dtype, `lstm/${name}`, [...shape]));
    const optimizer = sgd([w, u, b, out], 0.5);
    const step = run((xs: Tensor[], y: Tensor, h0: Tensor, c0: Tensor) => {
      let [h, c] = [h0, c0];
      for (const x of xs) {
        const gates = x
          .matmul(w, { transposeB: true })
          .add(h.matmul(u, { transposeB: true }))
          .add(b);
        const [i, f, g, o] = [0, 2, 4, 6].map((at) => gates.slice([null, [at, at + 2]]));
        c = f.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
        h = o.sigmoid().mul(c.tanh());
      }
      const loss = update(optimizer, losses.mse(h.matmul(out, { transposeB: true }), y));
      return { loss, h, c };
    });
    const start = zeros([2, 2], { dtype });
    let [h, c] = [start, start];
    for (let i = 0; i < 6; i++) {
      if (i % 2 === 0) [h, c] = [start, start];
      const xs = Array.from({ length: 5 }, (_, t) => rows(dtype, `lstm/x/${i}/${t}`, [2, 3]));
      const result = await step(xs, rows(dtype, `lstm/y/${i}`, [2, 1]), h, c);
      see(result.loss);
      [h, c] = [result.h.detach(), result.c.detach()];
    }
    see(w, u, b, out);
  },

  gan: async (dtype, { run, see }) => {
    const [generator, critic] = [net(dtype, 'gan/g', 2, 4, 3), net(dtype, 'gan/d', 3, 4, 1)];
    const own = sgd(generator.parameters(), 0.2);
    const others = sgd(critic.parameters(), 0.1);
    const [one, zero] = [tensor([[1], [1], [1], [1]], { dtype }), zeros([4, 1], { dtype })];
    const judge = (x: Tensor, target: Tensor) =>
      losses.binaryCrossEntropyWithLogits(critic.forward(x), target);
    const step = run((real: Tensor, z: Tensor) => [
      update(others, judge(real, one).add(judge(generator.forward(z).detach(), zero))),
      update(own, judge(generator.forward(z), one)),
    ]);
    for (let i = 0; i < 6; i++) {
      see(...(await step(rows(dtype, `gan/x/${i}`, [4, 3]), rows(dtype, `gan/z/${i}`, [4, 2]))));
    }
    see(...generator.parameters(), ...critic.parameters());
  },

  distillation: async (dtype, { run, see }) => {
    const teacher = net(dtype, 'distillation/teacher', 3, 5, 2);
    const student = net(dtype, 'distillation/student', 3, 2);
    freeze(teacher);
    const optimizer = sgd(student.parameters(), 0.2);
    const step = run((x: Tensor) => {
      const p = student.forward(x);
      const soft = losses.softmaxCrossEntropy(p.div(2), teacher.forward(x).div(2).softmax());
      return update(optimizer, losses.softmaxCrossEntropy(p, labels).mul(0.25).add(soft.mul(0.75)));
    });
    for (let i = 0; i < 6; i++) see(await step(rows(dtype, `distillation/x/${i}`, [4, 3])));
    see(...student.parameters());
  },

  fineTuning: fineTuning((parameters) => sgd(parameters, 0.2)),
  /** Each parameter's steps count from its own first one. */
  fineTuningByAdam: fineTuning((parameters) => new Adam(parameters, { learningRate: 0.1 })),
  transfer: transfer((parameters) => new SGD(parameters, { learningRate: 0.1, momentum: 0.9, l2: 0.05 })),
  transferByAdamW: transfer((parameters) => new AdamW(parameters, { learningRate: 0.05, weightDecay: 0.05 })),

  siamese: async (dtype, { run, see }) => {
    const encoder = net(dtype, 'siamese', 3, 4, 2);
    const optimizer = sgd(encoder.parameters(), 0.3);
    const alike = labels.cast(dtype);
    const step = run((a: Tensor, b: Tensor) => {
      const distance = encoder.forward(a).sub(encoder.forward(b)).square().sum(1);
      const apart = distance.neg().add(1).relu();
      return update(optimizer, alike.mul(distance).add(alike.neg().add(1).mul(apart)).mean());
    });
    for (let i = 0; i < 6; i++) {
      const a = rows(dtype, `siamese/a/${i}`, [4, 3]);
      see(await step(a, i % 3 === 0 ? a : rows(dtype, `siamese/b/${i}`, [4, 3])));
    }
    see(...encoder.parameters());
  },

  dqn: async (dtype, { run, see }) => {
    const [q, target] = [net(dtype, 'dqn', 3, 5, 2), net(dtype, 'dqn', 3, 5, 2)];
    const optimizer = sgd(q.parameters(), 0.2);
    const taken = concat([labels.cast(dtype).neg().add(1), labels.cast(dtype)])
      .reshape([2, 4])
      .transpose();
    const follow = run(() => {
      const own = q.parameters();
      target.parameters().forEach((p, i) => {
        to(p).assign(own[i]);
      });
    });
    const step = run((state: Tensor, after: Tensor, reward: Tensor) => {
      const wanted = noGrad(() => target.forward(after).max(1).mul(0.9).add(reward));
      return update(optimizer, losses.huber(q.forward(state).mul(taken).sum(1), wanted));
    });
    for (let i = 0; i < 8; i++) {
      if (i % 3 === 0) await follow();
      const [state, after] = ['x', 'next'].map((name) => rows(dtype, `dqn/${name}/${i}`, [4, 3]));
      see(await step(state, after, rows(dtype, `dqn/reward/${i}`, [4])));
    }
    see(...q.parameters(), ...target.parameters());
  },

  accumulation: async (dtype, { run, see }) => {
    const model = net(dtype, 'accumulation', 3, 4, 1);
    const optimizer = sgd(model.parameters(), 0.5);
    const add = run((x: Tensor) => {
      const loss = model.forward(x).square().mean();
      loss.div(3).backward();
      return loss;
    });
    const step = run(() => {
      const gradients = model.parameters().map(({ grad }) => grad!);
      const norm = gradients
        .map((g) => g.square().sum())
        .reduce((sum, s) => sum.add(s))
        .sqrt();
      const factor = norm.add(1e-6).reciprocal().mul(0.25).minimum(1);
      for (const g of gradients) to(g).mul_(factor);
      optimizer.step();
      optimizer.zeroGrad();
    });
    for (let i = 0; i < 9; i++) {
      see(await add(rows(dtype, `accumulation/x/${i}`, [4, 3])));
      if (i % 3 === 2) await step();
    }
    see(...model.parameters());
  },

  averaging: async (dtype, { run, see }) => {
    const [model, average] = [net(dtype, 'averaging', 3, 4, 1), net(dtype, 'averaging', 3, 4, 1)];
    const optimizer = sgd(model.parameters(), 0.3);
    const step = run((x: Tensor) => {
      const loss = update(optimizer, model.forward(x).sub(1).square().mean());
      const own = model.parameters();
      average.parameters().forEach((p, i) => {
        to(p).lerp_(own[i], 0.25);
      });
      return [loss, noGrad(() => average.forward(x).mean())];
    });
    for (let i = 0; i < 6; i++) see(...(await step(rows(dtype, `averaging/x/${i}`, [4, 3]))));
    see(...model.parameters(), ...average.parameters());
  },

  twoTasks: async (dtype, { run, see }) => {
    const body = net(dtype, 'tasks/body', 3, 4);
    const [first, second] = [net(dtype, 'tasks/first', 4, 1), net(dtype, 'tasks/second', 4, 2)];
    const parameters = [body, first, second].flatMap((model) => model.parameters());
    const optimizer = sgd(parameters, 0.2);
    const step = run((x: Tensor, weight: number) => {
      const hidden = body.forward(x).tanh();
      const value = first.forward(hidden).sub(1).square().mean();
      const kind = losses.softmaxCrossEntropy(second.forward(hidden), labels);
      return update(optimizer, value.mul(weight).add(kind.mul(1 - weight)));
    });
    for (let i = 0; i < 6; i++) {
      see(await step(rows(dtype, `tasks/x/${i}`, [4, 3]), 1 / (Math.floor(i / 2) + 1)));
    }
    see(...parameters);
  },
};

describe('in float32', () => {
  same(
    Object.fromEntries(
      Object.entries(trainings).map(([name, training]): [string, Program] => [
        name,
        (twin) => training('float32', twin),
      ]),
    ),
  );
});

describe('in float64, as in PyTorch', () => {
  const reference = read<Record<string, Numbers>>('programs');
  const eager: Run = (fn) => fn;

  test('has the trainings that there are', () => {
    expect(Object.keys(reference)).toEqual(Object.keys(trainings));
  });

  for (const [name, training] of Object.entries(trainings)) {
    for (const [way, run] of Object.entries({ eager, ...ways })) {
      test(`${name}, ${way}`, async () => {
        const got: number[] = [];
        await training('float64', {
          run,
          see: (...values) => got.push(...values.flatMap((x) => [...(x as Tensor).data])),
        });
        expect(deviation(Float64Array.from(got), reference[name], 1e-10)).toBeNull();
      });
    }
  }
});
