/** Optimizers as rules: those of the library, and others written outside of it. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  AdamW,
  type AnyParameter,
  AxpyError,
  compile,
  Dense,
  type FloatDtype,
  losses,
  Optimizer,
  Parameter,
  SGD,
  seed,
  type Tensor,
  tensor,
  where,
} from '../lib/index.ts';

type Values = Record<string, Tensor>;
type Update = Parameters<Optimizer['update']>;

const dtypes: readonly FloatDtype[] = ['float32', 'float64'];
const unit = { float32: 2 ** -23, float64: 2 ** -52 };

/** Those of the library without their kernels. */
class AdamByRule extends Adam {
  override update(...args: Update): ReturnType<Optimizer['update']> {
    return Optimizer.prototype.update.apply(this, args);
  }
}
class AdamWByRule extends AdamW {
  override update(...args: Update): ReturnType<Optimizer['update']> {
    return Optimizer.prototype.update.apply(this, args);
  }
}
class SGDByRule extends SGD {
  override update(...args: Update): ReturnType<Optimizer['update']> {
    return Optimizer.prototype.update.apply(this, args);
  }
}

/** RMSprop (Tieleman & Hinton, 2012). */
class RMSprop extends Optimizer {
  constructor(parameters: Iterable<Tensor>, learningRate: number, decay = 0.9) {
    super(parameters, {
      learningRate,
      hyper: { decay: { value: decay, low: 0, under: 1 }, epsilon: { value: 1e-8, low: 0 } },
      state: ['square'],
    });
  }

  protected rule({ p, g, square }: Values, { learningRate, decay, epsilon }: Values): Values {
    const v = square.mul(decay).add(g.square().mul(decay.neg().add(1)));
    return { p: p.sub(g.mul(learningRate).div(v.sqrt().add(epsilon))), square: v };
  }
}

/** Lion (Chen et al., 2023), with weights that decay by themselves and a rate that warms up over ten steps. */
class Lion extends Optimizer {
  constructor(parameters: Iterable<Tensor>, learningRate: number, decay: number) {
    super(parameters, {
      learningRate,
      hyper: { decay: { value: decay, low: 0 } },
      state: ['mean'],
      scalars: { step: { low: 0, integer: true } },
    });
  }

  protected rule({ p, g, mean, step, decays }: Values, { learningRate, decay }: Values): Values {
    const next = step.add(1);
    const rate = learningRate.mul(where(next.less(10), next.div(10), 1));
    const direction = mean.mul(0.9).add(g.mul(0.1)).sign();
    const shrunk = p.sub(p.mul(decay.mul(decays).mul(rate)));
    return { p: shrunk.sub(direction.mul(rate)), mean: mean.mul(0.99).add(g.mul(0.01)), step: next };
  }
}

function parameter(values: readonly number[], dtype: FloatDtype, shape = [values.length]): AnyParameter {
  const p = new Parameter(shape, dtype);
  p.data.set(values);
  return p;
}

function give(p: AnyParameter, gradient: readonly number[]): void {
  p.zeroGrad();
  p.backward(tensor([...gradient], { shape: p.shape, dtype: p.dtype }));
}

const start = [1, -0.5, 0.25, 3];
/** A gradient that changes with the step. */
const slope = (step: number) => start.map((_, i) => Math.fround(Math.sin(3 * step + i)));

function expectNear(
  got: ArrayLike<number>,
  wanted: readonly number[],
  units: number,
  dtype: FloatDtype,
): void {
  wanted.forEach((value, i) => {
    expect(Math.abs(got[i] - value), `[${i}] ${got[i]}, wanted ${value}`).toBeLessThanOrEqual(
      units * unit[dtype] * (1 + Math.abs(value)),
    );
  });
}

describe.each(dtypes)('%s', (dtype) => {
  test.each<[string, (ps: Parameter[]) => Optimizer, (ps: Parameter[]) => Optimizer]>([
    ['Adam', (ps) => new Adam(ps, { learningRate: 0.1 }), (ps) => new AdamByRule(ps, { learningRate: 0.1 })],
    [
      'Adam, l2',
      (ps) => new Adam(ps, { learningRate: 0.1, l2: 0.1, epsilon: 0.01 }),
      (ps) => new AdamByRule(ps, { learningRate: 0.1, l2: 0.1, epsilon: 0.01 }),
    ],
    [
      'AdamW',
      (ps) => new AdamW(ps, { learningRate: 0.1, weightDecay: 0.5 }),
      (ps) => new AdamWByRule(ps, { learningRate: 0.1, weightDecay: 0.5 }),
    ],
    ['SGD', (ps) => new SGD(ps, { learningRate: 0.1 }), (ps) => new SGDByRule(ps, { learningRate: 0.1 })],
    ...[
      { momentum: 0.9, l2: 0.1 },
      { momentum: 0.9, dampening: 0.9 },
      { momentum: 0.5, nesterov: true },
    ].map((options): [string, (ps: Parameter[]) => Optimizer, (ps: Parameter[]) => Optimizer] => [
      `SGD, ${JSON.stringify(options)}`,
      (ps) => new SGD(ps, { learningRate: 0.1, ...options }),
      (ps) => new SGDByRule(ps, { learningRate: 0.1, ...options }),
    ]),
  ])('%s: the kernel does what the rule says', (_, makeKernel, makeRule) => {
    const all = [makeKernel, makeRule].map((make) => {
      const ps = [parameter(start, dtype, [2, 2]), parameter(start, dtype), parameter([7], dtype)];
      const optimizer = make(ps);
      for (let step = 0; step < 20; step++) {
        give(ps[0], slope(step));
        // Steps are counted apart.
        if (step % 3 === 0) give(ps[1], slope(-step));
        else ps[1].zeroGrad();
        optimizer.step();
      }
      return { ps, state: optimizer.stateDict() };
    });
    const [own, rule] = all;
    own.ps.forEach((p, i) => {
      expectNear(p.data, Array.from(rule.ps[i].data), 40, dtype);
    });
    expect(Object.keys(own.state)).toEqual(Object.keys(rule.state));
    for (const [name, x] of Object.entries(own.state)) {
      expectNear(x.data, Array.from(rule.state[name].data), 40, dtype);
    }
  });

  test('Adam counts the steps of each parameter: one that comes late moves as if it were the first', () => {
    const [early, late, alone] = [0, 0, 0].map(() => parameter(start, dtype));
    const both = new Adam([early, late], { learningRate: 0.1 });
    const single = new Adam([alone], { learningRate: 0.1 });
    for (let step = 0; step < 60; step++) {
      give(early, slope(step));
      if (step >= 50) {
        give(late, slope(step));
        give(alone, slope(step));
        single.step();
      }
      both.step();
    }
    expect([...late.data]).toEqual([...alone.data]);
    expect(both.stateDict()['step.0'].item()).toBe(60);
    expect(both.stateDict()['step.1'].item()).toBe(10);
  });

  test('Adam from its first step is algorithm 1 of the paper, in float64', () => {
    const p = parameter(start, dtype);
    const optimizer = new Adam([p], { learningRate: 0.05, beta1: 0.8, beta2: 0.95 });
    const wanted = Array.from(p.data);
    const [m, v] = [start.map(() => 0), start.map(() => 0)];
    for (let t = 1; t <= 30; t++) {
      give(p, slope(t));
      optimizer.step();
      slope(t).forEach((g, i) => {
        m[i] = 0.8 * m[i] + (1 - 0.8) * g;
        v[i] = 0.95 * v[i] + (1 - 0.95) * g * g;
        wanted[i] -= (0.05 * (m[i] / (1 - 0.8 ** t))) / (Math.sqrt(v[i] / (1 - 0.95 ** t)) + 1e-8);
      });
    }
    expectNear(p.data, wanted, 60, dtype);
  });

  test('RMSprop, written outside of the library, follows its formula', () => {
    const p = parameter(start, dtype);
    const optimizer = new RMSprop([p], 0.01);
    const wanted = Array.from(p.data);
    const v = start.map(() => 0);
    for (let step = 0; step < 25; step++) {
      give(p, slope(step));
      optimizer.step();
      slope(step).forEach((g, i) => {
        v[i] = 0.9 * v[i] + (1 - 0.9) * g * g;
        wanted[i] -= (0.01 * g) / (Math.sqrt(v[i]) + 1e-8);
      });
    }
    expectNear(p.data, wanted, 60, dtype);
  });

  test('Lion: scalars, where, and what decays', () => {
    const [w, b] = [parameter(start, dtype, [2, 2]), parameter(start, dtype)];
    const optimizer = new Lion([w, b], 0.01, 0.5);
    const wanted = [Array.from(w.data), Array.from(b.data)];
    const mean = start.map(() => 0);
    for (let step = 0; step < 15; step++) {
      give(w, slope(step));
      give(b, slope(step));
      optimizer.step();
      const rate = 0.01 * Math.min(1, (step + 1) / 10);
      slope(step).forEach((g, i) => {
        const direction = Math.sign(0.9 * mean[i] + 0.1 * g);
        wanted[0][i] = wanted[0][i] * (1 - 0.5 * rate) - rate * direction;
        wanted[1][i] -= rate * direction;
        mean[i] = 0.99 * mean[i] + 0.01 * g;
      });
    }
    expectNear(w.data, wanted[0], 60, dtype);
    expectNear(b.data, wanted[1], 60, dtype);
  });

  test('what leaves the range of float32 on the way finds its place', () => {
    const p = parameter([1, 1, 1], dtype);
    class Far extends Optimizer {
      constructor() {
        super([p], { learningRate: 1e30 });
      }
      protected rule({ p, g }: Values, { learningRate }: Values): Values {
        return { p: p.sub(g.mul(learningRate).square().sqrt().div(learningRate)) };
      }
    }
    const far = new Far();
    give(p, [0.5, -0.25, 0]);
    far.step();
    expectNear(p.data, [0.5, 0.75, 1], 4, dtype);
  });
});

test.each<[string, (ps: Parameter[]) => Optimizer]>([
  ['RMSprop', (ps) => new RMSprop(ps, 0.01)],
  ['Lion', (ps) => new Lion(ps, 0.01, 0.1)],
  ['Adam', (ps) => new Adam(ps, { l2: 0.01 })],
  ['Adam by its rule', (ps) => new AdamByRule(ps, { l2: 0.01 })],
])('%s: compiled steps are the eager ones, first call included', (_, make) => {
  const [eager, compiled] = [false, true].map((isCompiled) => {
    seed(3);
    const model = new Dense(3, 2);
    const optimizer = make([...model.parameters()]);
    const step = (x: Tensor, y: Tensor) => {
      optimizer.zeroGrad();
      const loss = losses.mse(model.forward(x), y);
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = isCompiled ? compile(step).sync : step;
    const [x, y] = [tensor([[1, 2, 3]]), tensor([[1, -1]])];
    for (let i = 0; i < 12; i++) run(x, y);
    // λ from a state takes effect at once.
    const state = optimizer.stateDict();
    state.hyper.data[state.hyper.size - 1] = 0.5;
    optimizer.loadStateDict(state);
    for (let i = 0; i < 5; i++) run(x, y);
    return { weights: [...model.weight.data, ...model.bias!.data], state: optimizer.stateDict() };
  });
  expect(compiled.weights).toEqual(eager.weights);
  for (const [name, x] of Object.entries(eager.state)) {
    expect([...compiled.state[name].data], name).toEqual([...x.data]);
  }
});

test('a subclass of an optimizer with a rule of its own follows that', () => {
  /** Decay apart from the gradient (Loshchilov & Hutter, 2019). */
  class Decayed extends Adam {
    protected override rule(values: Values, hyper: Values): Values {
      const next = super.rule(values, hyper);
      return { ...next, p: next.p.sub(values.p.mul(hyper.learningRate).mul(0.1)) };
    }
  }
  const [plain, decayed] = [new Parameter([2]), new Parameter([2])];
  for (const p of [plain, decayed]) {
    p.assign([3, -5]);
    p.square().sum().backward();
  }
  new Adam([plain], { learningRate: 0.01 }).step();
  new Decayed([decayed], { learningRate: 0.01 }).step();
  decayed.data.forEach((value, i) => {
    expect(value).toBeCloseTo(plain.data[i] - 0.01 * 0.1 * [3, -5][i], 6);
  });
});

test('a frozen parameter is taken and rests, whatever gradient it has', () => {
  const [frozen, other] = [parameter(start, 'float32'), parameter(start, 'float32')];
  give(frozen, slope(1));
  frozen.requiresGrad = false;
  const optimizer = new Adam([frozen, other], { learningRate: 0.1 });
  give(other, slope(1));
  optimizer.step();
  expect([...frozen.data]).toEqual(start);
  expect([...other.data]).not.toEqual(start);
  frozen.requiresGrad = true;
  optimizer.step();
  expect([...frozen.data]).not.toEqual(start);
  expect(optimizer.stateDict()['step.0'].item()).toBe(1);
});

test('a state is complete: another optimizer goes on from it', () => {
  const run = (steps: number, from: { p: number[]; state: Values } | null, first: number) => {
    const p = parameter(from?.p ?? start, 'float32');
    const optimizer = new Lion([p], 0.01, 0.1);
    if (from !== null) optimizer.loadStateDict(from.state);
    for (let step = first; step < first + steps; step++) {
      give(p, slope(step));
      optimizer.step();
    }
    return { p: [...p.data], state: optimizer.stateDict() };
  };
  const whole = run(12, null, 0);
  expect(run(6, run(6, null, 0), 6).p).toEqual(whole.p);
});

describe('rules that cannot be', () => {
  const make = (rule: (values: Values, hyper: Values) => unknown) => {
    const p = parameter(start, 'float32');
    class Bad extends Optimizer {
      constructor() {
        super([p], { learningRate: 1, state: ['kept'], scalars: { count: {} } });
      }
      protected rule(values: Values, hyper: Values): Values {
        return rule(values, hyper) as Values;
      }
    }
    const optimizer = new Bad();
    give(p, slope(0));
    return () => {
      try {
        optimizer.step();
      } finally {
        expect([...p.data]).toEqual(start);
      }
    };
  };
  test.each<[string, (values: Values, hyper: Values) => unknown, RegExp]>([
    ['a sum', ({ p, kept, count }) => ({ p: p.sub(p.sum()), kept, count }), /calls reduce/],
    [
      'a product of matrices',
      ({ p, kept, count }) => ({
        p: p.add(
          p
            .reshape([1, 2])
            .matmul(p.reshape([2, 1]))
            .reshape([]),
        ),
        kept,
        count,
      }),
      /calls gemm/,
    ],
    ['nothing returned', () => undefined, /expected a record of tensors to be returned, got undefined/],
    ['state left out', ({ p }) => ({ p }), /missing: kept, count/],
    ['an unknown name', ({ p, kept, count }) => ({ p, kept, count, more: p }), /unknown: more/],
    ['a number', ({ p, kept }) => ({ p, kept, count: 1 }), /expected count to be a tensor, got 1/],
    [
      'a scalar for elements',
      ({ kept, count }) => ({ p: count, kept, count }),
      /expected p to be of the shape/,
    ],
    ['elements for a scalar', ({ p, kept }) => ({ p, kept, count: p }), /expected count to be a scalar/],
    [
      'a tensor from elsewhere',
      ({ p, kept, count }) => ({ p: p.add(elsewhere), kept, count }),
      /from elsewhere/,
    ],
    [
      'reading a value',
      ({ p, kept, count }) => ({ p: p.mul(count.item()), kept, count }),
      /reading of values/,
    ],
  ])('%s', (_, rule, message) => {
    const step = make(rule);
    expect(step).toThrow(AxpyError);
    expect(step).toThrow(message);
  });
  const elsewhere = tensor([1, 2], { dtype: 'float64' });

  test.each<[string, object, RegExp]>([
    ['an unknown option', { learningRate: 1, sate: [] }, /options among/],
    ['a name twice', { learningRate: 1, state: ['a', 'a'] }, /each name once, got "a" twice/],
    ['a name of its own', { learningRate: 1, state: ['g'] }, /each name once, got "g" twice/],
    ['hyper that is no record', { learningRate: 1, hyper: 3 }, /hyper to be a record of objects, got 3/],
    ['a number for a description', { learningRate: 1, hyper: { a: 3 } }, /hyper to be a record of objects/],
    [
      'a value outside of its domain',
      { learningRate: 1, hyper: { a: { value: 2, under: 2 } } },
      /a to be less than 2, got 2/,
    ],
    ['no number', { learningRate: 1, hyper: { a: {} } }, /a to be a finite number, got undefined/],
    ['a negative l2', { learningRate: 1, l2: -1 }, /l2 to be a finite number of at least 0, got -1/],
    ['no learning rate', {}, /learningRate to be a finite number of at least 0, got undefined/],
    ['no list of state', { learningRate: 1, state: 'a' }, /state to be an array, got "a"/],
  ])('%s', (_, options, message) => {
    class Own extends Optimizer {
      constructor() {
        super([parameter(start, 'float32')], options as never);
      }
      protected rule(): Values {
        return {};
      }
    }
    expect(() => new Own()).toThrow(AxpyError);
    expect(() => new Own()).toThrow(message);
  });
});

test('eager steps find parameters and gradients that have moved, and new learning rates', () => {
  const weights = new Parameter([3]);
  const frozen = new Parameter([2]);
  const elsewhere = new Parameter([3]);
  const optimizer = new SGD([weights, frozen], { learningRate: 1 });
  const step = () => {
    optimizer.zeroGrad();
    weights.sum().add(frozen.sum()).backward();
    optimizer.step();
  };
  for (let i = 0; i < 3; i++) step();
  expect([...weights.data, ...frozen.data]).toEqual([-3, -3, -3, -3, -3]);
  const left = weights.data;
  weights.attach(elsewhere.share());
  for (let i = 0; i < 3; i++) step();
  expect([[...left], [...elsewhere.data], [...frozen.data]]).toEqual([
    [-3, -3, -3],
    [-3, -3, -3],
    [-6, -6],
  ]);
  frozen.requiresGrad = false;
  optimizer.learningRate = 0.5;
  for (let i = 0; i < 3; i++) step();
  expect([...elsewhere.data, ...frozen.data]).toEqual([-4.5, -4.5, -4.5, -6, -6]);
  frozen.requiresGrad = true;
  for (let i = 0; i < 3; i++) step();
  expect([...elsewhere.data, ...frozen.data]).toEqual([-6, -6, -6, -7.5, -7.5]);
});
