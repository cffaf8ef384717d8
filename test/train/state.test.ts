/**
 * State inside compiled functions: averages of weights, target networks, clipping, accumulation of gradients, optimizers of
 * one's own. All of it is written with the ops that write in place, and runs compiled as it runs eagerly.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  BatchNorm,
  compile,
  Dense,
  losses,
  noGrad,
  type Parameter,
  randn,
  Sequential,
  SGD,
  SharedTensor,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../lib/index.ts';
import { type Program, parameter, refused, same, shared, to } from './twins.ts';

/** Five calls of a function with random rows of three, after each of which the state is seen. */
function five<State>(make: () => { state: State; fn: (x: Tensor, state: State) => unknown }): Program {
  return async ({ run, see }) => {
    const { state, fn } = make();
    const f = run((x: Tensor) => fn(x, state));
    for (let i = 0; i < 5; i++) see(await f(randn([4, 3])), state);
  };
}

const network = () => new Sequential([new Dense(3, 4, { activation: 'tanh' }), new Dense(4, 1)]);

describe('a SharedTensor', () => {
  const with3 = (fn: (x: Tensor, s: SharedTensor) => unknown) => five(() => ({ state: shared(1, 2, 3), fn }));
  same({
    'is assigned': with3((x, s) => void to(s).assign(x.mean(0))),
    'is assigned a constant': with3((x, s) => {
      to(s).assign([4, 5, 6]);
      return s.mul(x);
    }),
    'is added to': with3((x, s) => void to(s).add_(x.sum(0)).add_(1)),
    'is subtracted from': with3((x, s) => void to(s).sub_(x.sum(0)).sub_(0.5)),
    'is multiplied': with3((x, s) => void to(s).mul_(x.mean(0)).mul_(-2)),
    'is divided': with3((x, s) => void to(s).div_(x.abs().sum(0)).div_(3)),
    'is blended': with3((x, s) => void to(s).lerp_(x.mean(0), 0.1).lerp_(tensor(7), 0.5)),
    'is blended by a tensor': with3((x, s) => void to(s).lerp_(x.mean(0), x.mean().sigmoid())),
    'is added to itself': with3((_, s) => void to(s).add_(s).mul_(s).sub_(s.mul(0.5)).lerp_(s, 0.5)),
    'is read before, between and after': with3((x, s) => {
      const before = s.add(0);
      to(s).add_(1);
      const between = s.mul(x);
      to(s).mul_(2);
      return [before, between, s, s.mul(1)];
    }),
    'is seen by its views': with3((x, s) => {
      const [view, detached] = [s.reshape([3, 1]), s.detach()];
      to(s).add_(x.mean());
      to(view).mul_(2);
      return [view, detached, view.add(detached)];
    }),
    'is written to by its views': with3((x, s) => {
      to(s.reshape([1, 3])).add_(x.mean(0, { keepDims: true }));
      to(s.detach()).mul_(0.5);
      return s.sum();
    }),
    'is changed without being read': with3((_, s) => void to(s).mul_(0)),
    'counts, and what is counted chooses': five(() => ({
      state: shared(0),
      fn: (x, count) => {
        to(count).add_(1);
        return where(count.greater(2), x, x.neg());
      },
    })),
    'holds what was drawn': with3((x, s) => {
      to(s).assign(randn([3]));
      return x.add(s);
    }),
    'takes part in a gradient': five(() => ({
      state: [parameter(1, 2, 3), shared(1, 1, 1)] as const,
      fn: (x, [p, s]) => {
        to(s).lerp_(x.mean(0), 0.5);
        p.zeroGrad();
        const y = x.mul(s).mul(p).sum();
        y.backward();
        return y;
      },
    })),
    'is written to between a forward pass that did not save it and its backward pass': five(() => ({
      state: [parameter(1, 2, 3), shared(1, 1, 1)] as const,
      fn: (x, [p, s]) => {
        p.zeroGrad();
        const y = x.mul(p).add(s).sum();
        to(s).add_(1);
        y.backward();
        return y;
      },
    })),
    'in float64': five(() => ({
      state: new SharedTensor([3], 'float64'),
      fn: (x, s) => void to(s).lerp_(x.cast('float64').mean(0), 1 / 3),
    })),
    'is written to by eager code and other programs in between': async ({ run, see }) => {
      const s = shared(1, 2, 3);
      const [add, scale, read] = [
        run((x: Tensor) => void to(s).add_(x.mean(0))),
        run((by: number) => void to(s).mul_(by)),
        run(() => s),
      ];
      for (let i = 0; i < 4; i++) {
        await add(randn([2, 3]));
        if (i === 1) to(s).sub_(1);
        if (i === 2) s.data[0] = 7;
        await scale(i - 2.5);
        see(await read(), s);
      }
    },
    'and a tensor made inside': five(() => ({
      state: shared(1, 2, 3),
      fn: (x, s) => {
        const sum = zeros([3]);
        for (let i = 0; i < 3; i++) to(sum).add_(x.mean(0).mul(i)).mul_(0.5);
        to(s).add_(sum);
        const copy = s.clone();
        to(copy).assign([0, 0, 0]);
        return [sum, copy];
      },
    })),
  });
});

describe('gradients and parameters', () => {
  const learner = (rate = 0.1) => {
    const model = network();
    return { model, optimizer: new SGD(model.parameters(), { learningRate: rate, momentum: 0.5 }) };
  };
  type Learner = ReturnType<typeof learner>;
  const learning = (fn: (x: Tensor, state: Learner) => unknown) => five(() => ({ state: learner(), fn }));

  /** Scales the gradients so that all together have at most this norm. */
  const clip = (parameters: readonly Parameter[], most: number) =>
    noGrad(() => {
      const squares = parameters.map((p) => p.grad!.square().sum());
      const norm = squares.reduce((sum, square) => sum.add(square)).sqrt();
      const scale = norm.reciprocal().mul(most).minimum(1);
      for (const p of parameters) to(p.grad).mul_(scale);
      return norm;
    });

  same({
    'clipped by their norm': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).mul(10).square().mean().backward();
      const norm = clip(model.parameters(), 0.5);
      optimizer.step();
      return norm;
    }),
    'clipped by value': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).mul(10).square().mean().backward();
      for (const { grad } of model.parameters()) to(grad).assign(grad!.clip(-0.01, 0.01));
      optimizer.step();
    }),
    noisy: learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).square().mean().backward();
      for (const { grad } of model.parameters()) to(grad).add_(randn(grad!.shape).mul(0.01));
      optimizer.step();
    }),
    'scaled before another backward adds to them': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).mean().backward();
      for (const { grad } of model.parameters()) to(grad).mul_(0.5);
      model.forward(x.neg()).mean().backward();
      optimizer.step();
    }),
    'accumulated over several calls': async ({ run, see }) => {
      const { model, optimizer } = learner();
      const add = run((x: Tensor) => {
        const loss = model.forward(x).square().mean();
        loss.mul(0.25).backward();
        return loss;
      });
      const update = run(() => {
        const norm = clip(model.parameters(), 0.1);
        optimizer.step();
        optimizer.zeroGrad();
        return norm;
      });
      for (let i = 0; i < 12; i++) {
        see(await add(randn([4, 3])));
        if (i % 4 === 3) see(await update(), model);
      }
    },
    'accumulated by a number of the call': async ({ run, see }) => {
      const { model, optimizer } = learner();
      const step = run((x: Tensor, last: boolean) => {
        const loss = model.forward(x).square().mean();
        loss.backward();
        if (last) {
          optimizer.step();
          optimizer.zeroGrad();
        }
        return loss;
      });
      for (let i = 0; i < 9; i++) see(await step(randn([4, 3]), i % 3 === 2), model);
    },
    'accumulated in tensors of their own': five(() => ({
      state: {
        ...learner(),
        sums: network()
          .parameters()
          .map(({ shape }) => new SharedTensor(shape)),
      },
      fn: (x, { model, optimizer, sums }) => {
        optimizer.zeroGrad();
        model.forward(x).square().mean().backward();
        model.parameters().forEach((p, i) => {
          to(sums[i]).lerp_(p.grad!, 0.25);
          to(p.grad).assign(sums[i]);
        });
        optimizer.step();
      },
    })),
    returned: learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).square().mean().backward();
      const before = model.parameters().map(({ grad }) => grad!);
      to(before[0]).mul_(2);
      optimizer.step();
      return before;
    }),
    'that are not there yet': learning((x, { model }) => {
      for (const { grad } of model.parameters()) if (grad !== null) to(grad).mul_(0.5);
      model.forward(x).mean().backward();
    }),
    'parameters decayed apart from the gradient': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).square().mean().backward();
      for (const p of model.parameters()) if (p.rank > 1) to(p).mul_(0.99);
      optimizer.step();
    }),
    'parameters kept within bounds': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).mean().backward();
      optimizer.step();
      noGrad(() => {
        for (const p of model.parameters()) to(p).assign(p.clip(-0.3, 0.3));
      });
    }),
    'parameters of unit length': learning((x, { model, optimizer }) => {
      optimizer.zeroGrad();
      model.forward(x).mean().backward();
      optimizer.step();
      for (const p of model.parameters()) to(p).div_(p.detach().square().sum().sqrt().add(1e-6));
    }),
    'parameters through a detached view': learning((x, { model }) => {
      to(model.parameters()[0].detach().reshape([12])).lerp_(x.mean(), 0.1);
      return model.forward(x);
    }),
    'running statistics written to': five(() => ({
      state: new BatchNorm(3),
      fn: (x, norm) => {
        const y = norm.forward(x);
        to(norm.runningMean).mul_(0.5);
        return y;
      },
    })),
  });
});

describe('several models', () => {
  same({
    'a moving average of weights': five(() => ({
      state: (() => {
        const [model, average] = [network(), network()];
        average.loadStateDict(model.stateDict());
        return { model, average, optimizer: new Adam(model.parameters(), { learningRate: 0.1 }) };
      })(),
      fn: (x, { model, average, optimizer }) => {
        optimizer.zeroGrad();
        const loss = model.forward(x).sub(1).square().mean();
        loss.backward();
        optimizer.step();
        const own = model.parameters();
        average.parameters().forEach((p, i) => {
          to(p).lerp_(own[i], 0.1);
        });
        return [loss, noGrad(() => average.forward(x))];
      },
    })),
    'a target network, assigned now and then': async ({ run, see }) => {
      const [model, target] = [network(), network()];
      const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
      const step = run((x: Tensor, next: Tensor, sync: boolean) => {
        if (sync) {
          const own = model.parameters();
          target.parameters().forEach((p, i) => {
            to(p).assign(own[i]);
          });
        }
        const wanted = noGrad(() => target.forward(next).mul(0.9).add(1));
        const loss = losses.huber(model.forward(x), wanted);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return loss;
      });
      for (let i = 0; i < 7; i++) see(await step(randn([4, 3]), randn([4, 3]), i % 3 === 0), model, target);
    },
    'weights exchanged': async ({ run, see }) => {
      const [a, b] = [network(), network()];
      const swap = run(() => {
        const [own, others] = [a.parameters(), b.parameters()];
        own.forEach((p, i) => {
          const kept = p.detach().clone();
          to(p).assign(others[i]);
          to(others[i]).assign(kept);
        });
      });
      for (let i = 0; i < 3; i++) {
        await swap();
        see(a, b);
      }
    },
  });
});

describe('optimizers of ones own', () => {
  /** A training of a network by a rule over one parameter, its gradient and its state. */
  const by = (
    slots: readonly string[],
    rule: (p: Parameter, g: Tensor, state: Record<string, SharedTensor>) => void,
  ) =>
    five(() => {
      const model = network();
      const state = model
        .parameters()
        .map(({ shape }) => Object.fromEntries(slots.map((slot) => [slot, new SharedTensor(shape)])));
      return {
        state: { model, state },
        fn: (x) => {
          for (const p of model.parameters()) p.zeroGrad();
          const loss = model.forward(x).sub(1).square().mean();
          loss.backward();
          noGrad(() => {
            model.parameters().forEach((p, i) => {
              rule(p, p.grad!, state[i]);
            });
          });
          return loss;
        },
      };
    });
  same({
    'gradient descent': by([], (p, g) => void to(p).sub_(g.mul(0.1))),
    momentum: by(['v'], (p, g, { v }) => {
      to(v).mul_(0.9).add_(g);
      to(p).sub_(v.mul(0.1));
    }),
    RMSprop: by(['square'], (p, g, { square }) => {
      to(square).lerp_(g.square(), 0.1);
      to(p).sub_(g.div(square.sqrt().add(1e-8)).mul(0.01));
    }),
    Lion: by(['m'], (p, g, { m }) => {
      const direction = m.mul(0.9).add(g.mul(0.1)).sign();
      to(p).mul_(0.999).sub_(direction.mul(0.01));
      to(m).lerp_(g, 0.01);
    }),
    'Adam, with a count of its own': by(['mean', 'square', 'steps'], (p, g, { mean, square, steps }) => {
      to(steps).add_(1);
      to(mean).lerp_(g, 0.1);
      to(square).lerp_(g.square(), 0.001);
      const correct = (x: Tensor, beta: number) => x.div(tensor(beta).pow(steps).neg().add(1));
      to(p).sub_(correct(mean, 0.9).div(correct(square, 0.999).sqrt().add(1e-8)).mul(0.01));
    }),
  });

  test('momentum is SGD with momentum, to the bit', () => {
    const [own, library] = [parameter(1, -2, 3), parameter(1, -2, 3)];
    const v = shared(0, 0, 0);
    const optimizer = new SGD([library], { learningRate: 0.125, momentum: 0.5 });
    // Powers of two: no rounding, in whatever order it is computed.
    const step = compile(() => {
      for (const p of [own, library]) {
        p.zeroGrad();
        p.square().mul(0.5).sum().backward();
      }
      to(v).mul_(0.5).add_(own.grad!);
      to(own).sub_(v.mul(0.125));
      optimizer.step();
    });
    for (let i = 0; i < 4; i++) {
      step.sync();
      expect(own.toArray()).toEqual(library.toArray());
    }
    expect(own.toArray()).not.toEqual([1, -2, 3]);
  });
});

describe('what cannot be', () => {
  refused({
    'another shape than fits': async ({ run, see }) => {
      const s = shared(1, 2, 3);
      see(s);
      await run((x: Tensor) => void to(s).add_(x))(randn([4, 3]));
    },
    'another dtype': async ({ run, see }) => {
      const s = shared(1, 2, 3);
      see(s);
      await run(() => void to(s).add_(zeros([3], { dtype: 'float64' })))();
    },
    'no tensor': async ({ run, see }) => {
      const s = shared(1, 2, 3);
      see(s);
      await run(() => void to(s).add_('1' as never))();
    },
    'state that backward reads, changed before it': async ({ run, see }) => {
      const [p, s] = [parameter(1, 2, 3), shared(1, 2, 3)];
      see(p, s);
      await run(() => {
        const y = p.mul(s).sum();
        to(s).add_(1);
        y.backward();
      })();
    },
    'the same through a view': async ({ run, see }) => {
      const [p, s] = [parameter(1, 2, 3), shared(1, 2, 3)];
      see(p, s);
      await run(() => {
        const y = p.mul(s.reshape([3])).sum();
        to(s.detach()).add_(1);
        y.backward();
      })();
    },
    'a gradient that backward reads, changed before it': async ({ run, see }) => {
      const [p, q] = [parameter(1, 2, 3), parameter(1, 2, 3)];
      see(p, q);
      await run(() => {
        q.zeroGrad();
        q.square().sum().backward();
        const y = p.mul(q.grad!).sum();
        to(q.grad).mul_(2);
        y.backward();
      })();
    },
    'a gradient that backward reads, added to by another backward': async ({ run, see }) => {
      const [p, q] = [parameter(1, 2, 3), parameter(1, 2, 3)];
      see(p, q);
      await run(() => {
        q.zeroGrad();
        q.square().sum().backward();
        const y = p.mul(q.grad!).sum();
        q.square().sum().backward();
        y.backward();
      })();
    },
  });
});
