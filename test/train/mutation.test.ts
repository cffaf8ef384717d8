/**
 * Everything mutable that the recording of a function can look at, changed between two runs: the program computes what the
 * function would compute now, or throws. A new thing to look at is a new line here.
 */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  BatchNorm,
  backendInfo,
  compile,
  Dense,
  Dropout,
  dropout,
  Layer,
  losses,
  noGrad,
  type Optimizer,
  ones,
  Parameter,
  rand,
  randn,
  Sequential,
  SGD,
  seed,
  setThreads,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../lib/index.ts';
import { freeze, type Program, parameter, refused, same, sameOrRefused, seen, shared, to } from './twins.ts';

const row = (...values: number[]) => tensor(values);

/** A network in training: [n, 3] to [n, 2]. */
function training(optimize: (parameters: Parameter[]) => Optimizer = sgd(0.1)) {
  const model: Sequential = new Sequential([new Dense(3, 4, { activation: 'tanh' }), new Dense(4, 2)]);
  const optimizer = optimize(model.parameters());
  const [x, y] = [randn([5, 3]), randn([5, 2])];
  const step = (input: Tensor, target: Tensor) => {
    const loss = losses.mse(model.forward(input), target);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  };
  return { model, layers: model.layers, optimizer, x, y, step };
}

function sgd(learningRate: number, options = {}): (parameters: Parameter[]) => Optimizer {
  return (parameters) => new SGD(parameters, { learningRate, ...options });
}

function adam(options = {}): (parameters: Parameter[]) => Optimizer {
  return (parameters) => new Adam(parameters, { learningRate: 0.05, ...options });
}

/** Two training steps before each of the changes and after the last one; all is seen after each. */
function between(
  make: typeof training | (() => ReturnType<typeof training>),
  ...changes: ((t: ReturnType<typeof training>) => void)[]
): Program {
  return async ({ run, see }) => {
    const t = make();
    const step = run(t.step);
    for (const change of [() => {}, ...changes]) {
      change(t);
      for (let i = 0; i < 2; i++) see(await step(t.x, t.y), t.model, t.optimizer);
    }
  };
}

/** Calls of a function with these arguments one after the other, with changes in between. */
function play<Args extends unknown[]>(
  fn: (...args: Args) => unknown,
  ...acts: (NoInfer<Args> | (() => unknown))[]
): Program {
  return async ({ run, see }) => {
    const f = run(fn);
    for (const act of acts) {
      if (typeof act === 'function') act();
      else see(await f(...act));
    }
  };
}

/** The same with things of its own for each twin. */
const calls =
  (make: () => Program): Program =>
  (twin) =>
    make()(twin);

describe('arguments', () => {
  const mix = (a: Tensor, b: Tensor, c: Tensor) => a.mul(100).add(b.mul(10)).add(c);
  const [p, q, r] = [row(1, 2), row(3, 4), row(5, 6)];
  same({
    'one tensor given twice, then two': play(
      (a: Tensor, b: Tensor) => a.mul(10).add(b),
      [p, p],
      [p, q],
      [q, q],
      [q, p],
      [r, r],
    ),
    'two tensors, then one given twice': play(
      (a: Tensor, b: Tensor) => a.mul(10).add(b),
      [p, q],
      [q, q],
      [p, r],
    ),
    'every pattern of three': play(
      mix,
      [p, p, p],
      [p, q, p],
      [q, p, p],
      [p, p, q],
      [p, q, r],
      [r, q, p],
      [r, r, p],
      [p, r, r],
      [r, p, r],
      [q, q, q],
    ),
    'views of one memory': play(
      (a: Tensor, b: Tensor) => a.mul(10).add(b),
      [p, p.detach()],
      [p, q.reshape([2])],
      [q.detach(), q.detach()],
      [r, p],
    ),
    'a tensor that the function reads from outside as well': calls(() => {
      const outside = row(1, 2);
      return play(
        (a: Tensor) => a.mul(10).add(outside),
        [outside],
        [q],
        () => outside.assign([7, 8]),
        [outside],
        [r],
        [outside.detach()],
      );
    }),
    'written to between calls': calls(() => {
      const a = row(1, 2);
      const change = () => {
        a.data[0]++;
        a.assign([a.data[0], 9]);
      };
      return play((b: Tensor, c: Tensor) => b.mul(c), [a, a], change, [a, a], change, [a, p], [p, a]);
    }),
    'results of other calls': async ({ run, see }) => {
      const f = run((a: Tensor, b: Tensor) => a.mul(b).add(1));
      let y = await f(p, q);
      for (let i = 0; i < 3; i++) {
        y = await f(y, i === 1 ? y : q);
        see(y);
      }
    },
    'a hundred shapes in turn, twice': async ({ run, see }) => {
      const weight = parameter(1, 2, 3);
      const f = run((a: Tensor) => {
        weight.zeroGrad();
        const y = a.mul(weight).sum(0);
        y.sum().backward();
        return y;
      });
      for (let i = 0; i < 200; i++) see(await f(randn([(i % 100) + 1, 3])), weight);
    },
    'dtypes in turn': play(
      (a: Tensor, b: Tensor) => (a.dtype === 'int32' ? b.gather(a) : a.mul(2)),
      [row(1.5), p],
      [tensor([1.1], { dtype: 'float64' }), p],
      [tensor([1], { dtype: 'int32' }), p],
      [row(2.5), q],
      [tensor([0], { dtype: 'int32' }), q],
      [tensor([2.1], { dtype: 'float64' }), q],
    ),
    'shapes of one size': play(
      (a: Tensor) => a.sum(0),
      [tensor([[1, 2, 3, 4]])],
      [
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ],
      [row(1, 2, 3, 4)],
      [
        tensor([
          [5, 6],
          [7, 8],
        ]),
      ],
    ),
    'none at all': play((a: Tensor) => a.mul(2), [zeros([0])], [p], [zeros([0])]),
    numbers: play(
      (a: Tensor, by: number) => a.div(by),
      [p, 2],
      [p, 0],
      [p, -0],
      [p, Number.NaN],
      [p, 2],
      [q, Infinity],
      [q, 0],
    ),
    'strings, booleans and what is not there': play(
      (a: Tensor, how?: unknown) =>
        a.add(
          how === 'one'
            ? 1
            : how === true
              ? 2
              : how === false
                ? 3
                : how === null
                  ? 4
                  : how === undefined
                    ? 5
                    : 6,
        ),
      [p, 'one'],
      [p, true],
      [p, false],
      [p, null],
      [p],
      [p, undefined],
      [p, '1'],
      [p, 1],
      [p, 'one'],
    ),
    'more of them, and fewer': play(
      (...all: Tensor[]) => all.reduce((sum, x) => sum.mul(10).add(x), zeros([2])),
      [p],
      [p, q],
      [p, q, r],
      [q],
      [r, p],
      [],
      [q, q, q],
      [p, p],
    ),
    'arrays, records and Maps': play(
      (batch: { x: Tensor[]; by: number; map: Map<string, Tensor> }, last: readonly [Tensor, [Tensor]]) => {
        const list = batch.x.reduce((sum, x) => sum.mul(10).add(x), zeros([2]));
        return { list: list.mul(batch.by), map: batch.map.get('a')!.sub(last[0]).mul(last[1][0]) };
      },
      [{ x: [p, q], by: 1, map: new Map([['a', p]]) }, [p, [q]]],
      [{ x: [p, q], by: 2, map: new Map([['a', p]]) }, [p, [q]]],
      [{ x: [q, r], by: 2, map: new Map([['a', r]]) }, [q, [p]]],
      [{ x: [q, q], by: 2, map: new Map([['a', q]]) }, [q, [q]]],
      [{ x: [p, q, r], by: 2, map: new Map([['a', p]]) }, [r, [q]]],
      [{ x: [], by: 2, map: new Map([['a', p]]) }, [r, [q]]],
      [{ map: new Map([['a', row(7, 8)]]), by: 2, x: [p, r] }, [r, [q]]],
    ),
    'a record with other names': play(
      (record: Record<string, Tensor | number>) =>
        Object.entries(record).map(([name, x]) => (typeof x === 'number' ? p.mul(x) : x.mul(name.length))),
      [{ a: p, bb: q }],
      [{ bb: q, a: p }],
      [{ a: p, bbb: q }],
      [{ a: p }],
      [{ a: 1, bb: q }],
      [{ a: 2, bb: p }],
    ),
    'a Map with other keys': play(
      (map: Map<unknown, Tensor>) => [...map].map(([key, x]) => x.mul(key === 1 ? 2 : key === '1' ? 3 : 4)),
      [new Map([[1, p]])],
      [new Map([['1', p]])],
      [
        new Map<unknown, Tensor>([
          ['1', p],
          [1, q],
        ]),
      ],
      [
        new Map<unknown, Tensor>([
          [1, p],
          ['1', q],
        ]),
      ],
      [new Map([[1, r]])],
    ),
    'an array and a record with the names of its places': play(
      (x: Tensor[] | Record<number, Tensor>) => (Array.isArray(x) ? x[0].mul(2) : x[0].mul(3)),
      [[p]],
      [{ 0: p }],
      [[q]],
      [{ 0: q }],
    ),
    'one array with other tensors in it': calls(() => {
      const list = [p, q];
      return play(
        (all: Tensor[]) => all.reduce((sum, x) => sum.mul(10).add(x), zeros([2])),
        [list],
        () => list.reverse(),
        [list],
        () => list.push(r),
        [list],
        () => list.fill(p),
        [list],
      );
    }),
    'one tensor in places of a tree and as an argument': play(
      (tree: { a: Tensor; list: Tensor[] }, b: Tensor) => mix(tree.a, tree.list[0], b),
      [{ a: p, list: [p] }, p],
      [{ a: p, list: [q] }, r],
      [{ a: p, list: [q] }, p],
      [{ a: q, list: [q] }, p],
      [{ a: r, list: [p] }, p],
      [{ a: q, list: [q] }, r],
    ),
    'a SharedTensor, written to between calls': calls(() => {
      const state = shared(1, 2);
      return play(
        (a: Tensor, b: Tensor) => a.mul(10).add(b),
        [state, state],
        () => state.assign([3, 4]),
        [state, state],
        [state, p],
        [p, state.detach()],
      );
    }),
  });
  sameOrRefused({
    'memory that the function writes to': async ({ run, see }) => {
      const { model, layers, step, x, y } = training();
      const weight = (layers[1] as Dense).weight;
      const f = run((before: Tensor) => {
        step(x, y);
        return before.mul(1);
      });
      for (const argument of [zeros([2, 4]), weight.detach(), weight.reshape([2, 4]).detach()]) {
        see(await f(argument), model);
      }
    },
    'a tensor that wants a gradient': calls(() => {
      const leaf = row(1, 2);
      const want = (gradient: boolean) => () => leaf.setRequiresGrad(gradient);
      return play(
        (a: Tensor) => (a.requiresGrad ? a.mul(2) : a.mul(3)),
        [leaf],
        want(true),
        [leaf],
        want(false),
        [leaf],
      );
    }),
    'a Parameter': calls(() => {
      const p1 = parameter(1, 2);
      return play((a: Tensor) => (a.requiresGrad ? a.mul(2) : a.mul(3)), [p], [p1], [q]);
    }),
    'an object of a class, which changes': calls(() => {
      class Settings {
        scale = 2;
      }
      const settings = new Settings();
      const change = () => {
        settings.scale = 3;
      };
      return play((a: Tensor, { scale }: Settings) => a.mul(scale), [p, settings], change, [p, settings]);
    }),
    'a typed array, which changes': calls(() => {
      const factors = new Float32Array([1, 2]);
      return play(
        (a: Tensor, by: Float32Array) => a.mul(tensor(by)),
        [p, factors],
        () => factors.fill(3),
        [p, factors],
      );
    }),
    'a function': calls(() => {
      let by = 2;
      const times = (a: Tensor) => a.mul(by);
      const change = () => {
        by = 3;
      };
      return play((a: Tensor, g: typeof times) => g(a), [p, times], change, [p, (a: Tensor) => a.mul(4)]);
    }),
    'a layer, whose values change': calls(() => {
      const layer = new Dense(2, 2);
      return play(
        (a: Tensor, of: Layer) => of.forward(a.reshape([1, 2])),
        [p, layer],
        () => layer.weight.data.fill(3),
        [p, layer],
        [p, new Dense(2, 2)],
      );
    }),
  });

  test('however many shapes there are, their programs are kept', () => {
    let recordings = 0;
    const f = compile((x: Tensor) => {
      recordings++;
      return x.add(1);
    });
    for (let round = 0; round < 16; round++) for (let n = 1; n <= 100; n++) f.sync(zeros([n]));
    // Once each, and again before runs 2, 3, 5 and 9, to see that it still does the same.
    expect(recordings).toBeLessThanOrEqual(500);
  });
});

describe('tensors from outside', () => {
  const x = row(1, 2, 3);
  /** A function that reads a tensor in a certain way, with what changes the tensor between calls. */
  const reading = (read: (outside: Tensor, x: Tensor) => unknown, make: () => Tensor = () => row(4, 5, 6)) =>
    calls(() => {
      const outside = make();
      return play(
        (a: Tensor) => read(outside, a),
        [x],
        () => outside.data.fill(1),
        [x],
        () => outside.assign([2, 1, 0]),
        [x],
        [row(3, 1, 2)],
        () => outside.detach().assign([0, 2, 1]),
        [x],
        () => outside.reshape([3, 1]).data.set([1, 0, 1]),
        [x],
      );
    });
  const integers = () => tensor([0, 1, 2], { dtype: 'int32' });
  same({
    'as an operand': reading((outside, a) => a.mul(outside).sub(outside)),
    'as a view': reading((outside, a) => a.reshape([3, 1]).mul(outside.reshape([1, 3]))),
    'as a view made before': calls(() => {
      const outside = row(4, 5, 6);
      const view = outside.reshape([3, 1]);
      return play(
        (a: Tensor) => a.add(view),
        [x],
        () => outside.assign([1, 2, 3]),
        [x],
        () => view.data.fill(1),
        [x],
      );
    }),
    'as a condition': reading((outside, a) => where(outside.greater(1), a, a.neg())),
    'as indices': reading((outside, a) => a.gather(outside), integers),
    'as labels': reading(
      (outside, a) => losses.softmaxCrossEntropy(a.reshape([1, 3]).broadcastTo([3, 3]), outside),
      integers,
    ),
    'as the only thing': reading((outside) => outside.sum()),
    'as a result': reading((outside) => [outside, outside.reshape([3, 1])]),
    'as state on shared memory': reading(
      (outside, a) => a.mul(outside),
      () => shared(4, 5, 6),
    ),
    'in float64': calls(() => {
      const outside = tensor(new Float64Array([1, 2]));
      return play(
        (n: number) => outside.mul(n),
        [2],
        () => outside.data.fill(1 / 3),
        [2],
        [3],
      );
    }),
    'as a weight of a loss': async ({ run, see }) => {
      const t = training();
      const weight = tensor(1);
      const step = run((a: Tensor) => {
        const loss = t.model.forward(a).square().mean().mul(weight);
        t.optimizer.zeroGrad();
        loss.backward();
        t.optimizer.step();
        return loss;
      });
      for (const value of [1, 2, 0, -1]) {
        weight.data[0] = value;
        see(await step(t.x), t.model);
      }
    },
    'written to in place': calls(() => {
      const outside = row(4, 5, 6);
      return play(
        (a: Tensor) => a.mul(outside),
        [x],
        () => to(outside).add_(x),
        [x],
        () => to(outside.reshape([3, 1])).mul_(2),
        [x],
        () => to(outside).lerp_(x, 0.5).div_(3).sub_(1),
        [x],
      );
    }),
    'whose elements are gone': async ({ run, see }) => {
      const outside = row(4, 5, 6);
      const f = run((a: Tensor) => a.mul(outside));
      see(await f(x));
      structuredClone(outside.data.buffer, { transfer: [outside.data.buffer as ArrayBuffer] });
      await expect((async () => await f(x))()).rejects.toThrow(/detached/);
      see(await run((a: Tensor) => a.mul(2))(x));
    },
    'that wants a gradient, and no longer': calls(() => {
      const outside = row(4, 5, 6);
      const want = (gradient: boolean) => () => outside.setRequiresGrad(gradient);
      return play(
        (a: Tensor) => (a.mul(outside).requiresGrad ? a.add(1) : a.add(2)),
        [x],
        want(true),
        [x],
        want(false),
        [x],
        want(true),
        [x],
      );
    }),
    'that an optimizer is eagerly training': async ({ run, see }) => {
      const leaf = tensor([1, 2, 3], { requiresGrad: true });
      const optimizer = new SGD([leaf], { learningRate: 0.1 });
      const f = run((a: Tensor) => a.mul(leaf).detach());
      for (let i = 0; i < 3; i++) {
        leaf.square().sum().backward();
        optimizer.step();
        see(await f(x));
      }
    },
    'whose gradient is read': async ({ run, see }) => {
      const leaf = tensor([1, 2, 3], { requiresGrad: true });
      const f = run((a: Tensor) => (leaf.grad === null ? a.neg() : a.mul(leaf.grad)));
      see(await f(x));
      for (let i = 0; i < 2; i++) {
        leaf.square().sum().backward();
        see(await f(x));
      }
      leaf.grad!.data.fill(2);
      see(await f(x));
      leaf.zeroGrad();
      see(await f(x));
    },
  });
  const one = () => tensor([2]);
  const value = (read: (outside: Tensor) => number, make = one) =>
    calls(() => {
      const outside = make();
      const set = (n: number) => () => outside.data.fill(n);
      return play(
        (a: Tensor) => a.mul(read(outside)),
        [x],
        [x],
        set(3),
        [x],
        () => outside.assign(outside.mul(2)),
        [x],
        set(Number.NaN),
        [x],
        set(0),
        [x],
        set(-0),
        [x],
      );
    });
  sameOrRefused({
    'read by item()': value((outside) => outside.item()),
    'read by toArray()': value((outside) => (outside.toArray() as number[])[0]),
    'read by data': value((outside) => outside.data[0]),
    'read by a view': value((outside) => outside.reshape([1, 1]).data[0]),
    'read through one that was made of it inside': value((outside) => outside.mul(1).item()),
    'read by toString()': value((outside) => outside.toString().length),
    'shared, read by item()': value(
      (outside) => outside.item(),
      () => shared(2),
    ),
    'read by tensor() of its data': calls(() => {
      const outside = row(4, 5, 6);
      return play(
        (a: Tensor) => a.mul(tensor(outside.data)),
        [x],
        () => outside.data.fill(2),
        [x],
      );
    }),
    'read by a branch': value((outside) => (outside.item() > 2 ? 1 : -1)),
  });
});

describe('parameters', () => {
  const first = (t: ReturnType<typeof training>) => t.layers[0] as Dense;
  same({
    'written to': between(
      training,
      (t) => first(t).weight.data.fill(0.5),
      (t) => first(t).bias!.assign([1, 2, 3, 4]),
      (t) => first(t).weight.reshape([12]).data.fill(0.25),
      (t) =>
        first(t)
          .weight.detach()
          .assign(ones([4, 3])),
    ),
    'written to in place': between(
      training,
      (t) => to(first(t).weight).mul_(0.5).add_(1),
      (t) => to(first(t).weight.detach().reshape([12])).sub_(0.25),
      (t) => to(first(t).bias).lerp_(row(1, 2, 3, 4), 0.5),
    ),
    loadStateDict: async ({ run, see }) => {
      const t = training();
      const kept = t.model.stateDict();
      const step = run(t.step);
      for (let i = 0; i < 6; i++) {
        see(await step(t.x, t.y), t.model);
        if (i % 2 === 1) t.model.loadStateDict(kept);
      }
    },
    'attached to other memory': async ({ run, see }) => {
      const [t, other] = [training(), training()];
      const step = run(t.step);
      const read = run((x: Tensor) => other.model.forward(x));
      for (let i = 0; i < 6; i++) {
        see(await step(t.x, t.y), t.model, await read(t.x));
        if (i === 1) t.model.attach(other.model.share());
        if (i === 3) first(t).weight.attach(new Parameter([4, 3]).share());
      }
    },
    'frozen, and learning again': between(
      training,
      (t) => freeze(t.model.layers[0]),
      (t) => freeze(t.model.layers[0], false),
      (t) => {
        first(t).bias!.requiresGrad = false;
      },
      (t) => {
        first(t).weight.setRequiresGrad(false);
        first(t).bias!.setRequiresGrad(true);
      },
      (t) => freeze(t.model.layers[0], false),
    ),
    'frozen, and learning again, with Adam': between(
      () => training(adam({ l2: 0.01 })),
      (t) => freeze(t.model.layers[1]),
      (t) => freeze(t.model.layers[1], false),
    ),
    'frozen, and learning again, with momentum': between(
      () => training(sgd(0.1, { momentum: 0.9 })),
      (t) => freeze(t.model.layers[1]),
      (t) => freeze(t.model.layers[1], false),
    ),
    'frozen from the start, then learning': between(
      () => {
        const t = training();
        freeze(t.layers[0]);
        return t;
      },
      (t) => freeze(t.layers[0], false),
    ),
    'frozen by their layer': between(
      training,
      (t) => (t.layers[0] as unknown as { setRequiresGrad(on: boolean): void }).setRequiresGrad(false),
      (t) => (t.layers[0] as unknown as { setRequiresGrad(): void }).setRequiresGrad(),
    ),
    'frozen while gradients of before are there': async ({ run, see }) => {
      const t = training();
      const step = run((x: Tensor) => {
        t.model.forward(x).square().mean().backward();
        t.optimizer.step();
      });
      for (let i = 0; i < 6; i++) {
        freeze(t.layers[0], i === 2 || i === 3);
        await step(t.x);
        see(t.model);
      }
    },
    'frozen, as what a function looks at': calls(() => {
      const p = parameter(1, 2);
      const want = (on: boolean) => () => p.setRequiresGrad(on);
      return play(
        (a: Tensor) => (p.requiresGrad ? a.mul(p) : a.add(p)),
        [row(3, 4)],
        want(false),
        [row(3, 4)],
        want(true),
        [row(3, 4)],
      );
    }),
    'frozen, of a fused layer and of a chain': async ({ run, see }) => {
      const [a, b] = [new Dense(3, 3, { activation: 'relu' }), new Dense(3, 3)];
      const f = run((x: Tensor) => {
        for (const p of [...a.parameters(), ...b.parameters()]) p.zeroGrad();
        const y = b.forward(a.forward(x)).matmul(a.weight).mean();
        if (y.requiresGrad) y.backward();
        return y;
      });
      const x = randn([2, 3]);
      for (let mask = 0; mask < 16; mask++) {
        [...a.parameters(), ...b.parameters()].forEach((p, i) => {
          p.requiresGrad = ((mask >> i) & 1) === 1;
        });
        see(await f(x), a, b);
      }
    },
    'their gradients: there, gone, and other ones': async ({ run, see }) => {
      const t = training();
      const add = run((x: Tensor) => {
        const loss = t.model.forward(x).square().mean();
        loss.backward();
        return loss;
      });
      const changes = [
        () => {},
        () => {},
        () => t.optimizer.zeroGrad(),
        () => first(t).weight.zeroGrad(),
        () => first(t).weight.grad!.data.fill(1),
        () => to(first(t).weight.grad).mul_(0.5),
        () => first(t).weight.grad!.assign(ones([4, 3])),
        () => t.model.forward(t.x).sum().backward(),
        () => t.optimizer.step(),
        () => t.optimizer.zeroGrad(),
        () => t.model.forward(t.x).sum().backward(),
      ];
      for (const change of changes) {
        change();
        see(await add(t.x), t.model);
      }
    },
    'their gradients, as what a function looks at': async ({ run, see }) => {
      const p = parameter(1, 2);
      const f = run((a: Tensor) => (p.grad === null ? a.neg() : a.add(p.grad)));
      for (let i = 0; i < 5; i++) {
        see(await f(row(3, 4)));
        if (i % 2 === 0) p.square().sum().backward();
        else p.zeroGrad();
      }
    },
    'some with gradients, some without, at an optimizer step': async ({ run, see }) => {
      const t = training(adam());
      const update = run(() => t.optimizer.step());
      for (let mask = 1; mask < 8; mask++) {
        t.model.forward(t.x).sum().backward();
        t.model.parameters().forEach((p, i) => {
          if (((mask >> i) & 1) === 0) p.zeroGrad();
        });
        await update();
        see(t.model, t.optimizer);
      }
    },
    'one shared by two layers': async ({ run, see }) => {
      const a = new Dense(3, 3);
      const b = new Dense(3, 3);
      b.weight.attach(a.weight.share());
      const optimizer = new SGD(a.parameters(), { learningRate: 0.1 });
      const step = run((x: Tensor) => {
        optimizer.zeroGrad();
        const y = b.forward(x).add(a.forward(x)).square().mean();
        y.backward();
        optimizer.step();
        return y;
      });
      for (let i = 0; i < 3; i++) see(await step(ones([2, 3])), a.weight.data.slice(), b.weight.data.slice());
    },
  });
  sameOrRefused({
    'frozen inside the function': async ({ run, see }) => {
      const t = training();
      const step = run((x: Tensor, frozen: boolean) => {
        freeze(t.layers[0], frozen);
        t.step(x, t.y);
      });
      for (const frozen of [false, true, false, false, true]) {
        await step(t.x, frozen);
        see(t.model, first(t).weight.requiresGrad);
        freeze(t.layers[0], !frozen);
      }
    },
  });
});

describe('modes', () => {
  /** A network with layers that know modes, in training. */
  const noisy = () => {
    const model: Sequential = new Sequential([
      new Dense(3, 4),
      new BatchNorm(4),
      new Dropout(0.4),
      new Dense(4, 2),
    ]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const [x, y] = [randn([6, 3]), randn([6, 2])];
    const step = (input: Tensor, target: Tensor) => {
      const loss = losses.mse(model.forward(input), target);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss;
    };
    return { model, layers: model.layers, optimizer, x, y, step };
  };
  class Custom extends Layer {
    readonly weight = parameter(1, 2);
    forward(x: Tensor): Tensor {
      return this.training ? x.mul(this.weight) : x.add(this.weight);
    }
  }
  same({
    'of the whole model': between(
      noisy,
      (t) => t.model.eval(),
      (t) => t.model.train(),
      (t) => t.model.train(false),
    ),
    'of single layers': between(
      noisy,
      (t) => t.layers[1].eval(),
      (t) => t.layers[2].eval(),
      (t) => t.layers[1].train(),
      (t) => {
        t.layers[2].training = true;
      },
      (t) => {
        t.model.training = false;
      },
    ),
    'with BatchNorm frozen': between(
      noisy,
      (t) => freeze(t.layers[1]),
      (t) => t.model.eval(),
      (t) => t.model.train(),
      (t) => freeze(t.layers[1], false),
      (t) => {
        (t.layers[1] as BatchNorm).weight!.requiresGrad = false;
      },
    ),
    'with its statistics written to': between(
      noisy,
      (t) => (t.layers[1] as BatchNorm).runningMean.data.fill(1),
      (t) => t.model.eval(),
      (t) => (t.layers[1] as BatchNorm).runningVariance.assign([1, 2, 3, 4]),
      (t) => to((t.layers[1] as BatchNorm).runningMean).mul_(2),
      (t) => (t.layers[1] as BatchNorm).runningMean.attach(shared(4, 3, 2, 1).share()),
    ),
    'of a layer of the user': async ({ run, see }) => {
      const layer = new Custom();
      const f = run((x: Tensor) => layer.forward(x));
      for (const mode of [true, false, true, false]) {
        layer.train(mode);
        see(await f(row(3, 4)));
      }
    },
    'noGrad around the call': async ({ run, see }) => {
      const t = noisy();
      const f = run((x: Tensor) => {
        const y = t.model.forward(x).mean();
        t.optimizer.zeroGrad();
        if (y.requiresGrad) y.backward();
        return y;
      });
      for (let i = 0; i < 6; i++) {
        let y: unknown;
        if (i % 3 === 1) {
          noGrad(() => {
            y = f(t.x);
          });
        } else {
          y = f(t.x);
        }
        see(await y, t.model);
      }
    },
    'noGrad inside': async ({ run, see }) => {
      const t = training();
      const f = run((x: Tensor, without: boolean) => {
        const forward = () => t.model.forward(x).mean();
        const y = without ? noGrad(forward) : forward();
        t.optimizer.zeroGrad();
        if (y.requiresGrad) y.backward();
        return y;
      });
      for (const without of [false, true, false, true]) see(await f(t.x, without), t.model);
    },
    'the number of threads': async ({ run, see }) => {
      const { threads } = backendInfo();
      const t = training();
      const step = run(t.step);
      for (const n of [1, 2, 3]) {
        setThreads(n);
        see(await step(t.x, t.y), t.model);
      }
      setThreads(threads);
    },
  });
  sameOrRefused({
    'set inside the function, and left so': async ({ run, see }) => {
      const t = noisy();
      const f = run((x: Tensor) => {
        t.model.eval();
        return t.model.forward(x);
      });
      for (let i = 0; i < 4; i++) {
        see(await f(t.x), t.model.training);
        t.model.train();
      }
    },
    'set inside the function, and set back': async ({ run, see }) => {
      const t = noisy();
      const f = run((x: Tensor) => {
        t.model.eval();
        const y = t.model.forward(x);
        t.model.train();
        return y;
      });
      for (let i = 0; i < 4; i++) {
        see(await f(t.x), t.model.training);
        if (i === 1) t.model.eval();
      }
    },
  });
});

describe('optimizers', () => {
  /** The state of a new optimizer over the same parameters. */
  const state = (t: ReturnType<typeof training>, make: ReturnType<typeof sgd>) =>
    t.optimizer.loadStateDict(make(t.model.parameters()).stateDict());
  const momentum = { momentum: 0.9 };
  same({
    'the learning rate': between(
      training,
      (t) => {
        t.optimizer.learningRate = 0.5;
      },
      (t) => {
        t.optimizer.learningRate = 0;
      },
      (t) => {
        t.optimizer.learningRate *= 2;
        t.optimizer.learningRate += 0.01;
      },
    ),
    'l2 of SGD, by a state': between(
      training,
      (t) => state(t, sgd(0.1, { l2: 0.1 })),
      (t) => state(t, sgd(0.1, { l2: 0.5 })),
      (t) => state(t, sgd(0.1)),
    ),
    'l2 of SGD, from the start': between(
      () => training(sgd(0.1, { l2: 0.1 })),
      (t) => state(t, sgd(0.1)),
      (t) => state(t, sgd(0.1, { l2: 0.2 })),
    ),
    'momentum, dampening and nesterov': between(
      () => training(sgd(0.1, momentum)),
      (t) => state(t, sgd(0.1, { momentum: 0.5, dampening: 0.5 })),
      (t) => state(t, sgd(0.1, { momentum: 0.5, nesterov: true })),
      (t) => state(t, sgd(0.2, { momentum: 0.5, l2: 0.1 })),
      (t) => state(t, sgd(0.1, momentum)),
    ),
    'betas, epsilon and l2 of Adam': between(
      () => training(adam()),
      (t) => state(t, adam({ beta1: 0.5 })),
      (t) => state(t, adam({ beta2: 0.9, epsilon: 0.1 })),
      (t) => state(t, adam({ l2: 0.1 })),
      (t) => state(t, adam({ learningRate: 0.5 })),
    ),
    'a state of before': async ({ run, see }) => {
      for (const make of [sgd(0.1, momentum), adam({ l2: 0.01 })]) {
        const t = training(make);
        const step = run(t.step);
        let kept = t.optimizer.stateDict();
        for (let i = 0; i < 8; i++) {
          see(await step(t.x, t.y), t.model, t.optimizer);
          if (i === 2) kept = t.optimizer.stateDict();
          if (i === 5) t.optimizer.loadStateDict(kept);
        }
      }
    },
    'eager steps in between': between(
      () => training(adam()),
      (t) => void t.step(t.x, t.y),
      (t) => t.optimizer.step(),
      (t) => t.optimizer.zeroGrad(),
    ),
    'two of them over the same parameters': async ({ run, see }) => {
      const t = training(adam());
      const other = new SGD(t.layers[1].parameters(), { learningRate: 0.3, momentum: 0.5 });
      const step = run((x: Tensor, second: boolean) => {
        t.step(x, t.y);
        if (second) other.step();
      });
      for (const second of [true, false, true, true]) {
        await step(t.x, second);
        see(t.model, t.optimizer, other);
      }
    },
  });
});

describe('random numbers', () => {
  same({
    'a seed in between': async ({ run, see }) => {
      const f = run((x: Tensor) => [dropout(x, 0.5), randn([3]), rand([3])]);
      for (let i = 0; i < 6; i++) {
        if (i % 2 === 0) seed(i + 7);
        see(await f(ones([8])));
      }
    },
    'draws in between': async ({ run, see }) => {
      const f = run((x: Tensor) => dropout(x, 0.5));
      for (let i = 0; i < 5; i++) see(await f(ones([8])), randn([i]));
    },
    'layers made in between': async ({ run, see }) => {
      const f = run((x: Tensor) => x.add(randn([2])));
      for (let i = 0; i < 4; i++) see(await f(zeros([2])), new Dense(2, 2));
    },
  });
});

describe('other programs', () => {
  same({
    'over the same parameters, in turn': async ({ run, see }) => {
      const t = training(adam());
      const other = training(sgd(0.1));
      const [step, predict, read] = [
        run(t.step),
        run((x: Tensor) => t.model.forward(x)),
        run(() => t.model.parameters().map((p) => p.sum())),
      ];
      const second = run(other.step);
      for (let i = 0; i < 4; i++) {
        see(await step(t.x, t.y), await predict(t.x), await second(t.x, t.y), await read(), t.model);
      }
    },
    'inside another': async ({ run, see }) => {
      const t = training();
      const inner = compile((x: Tensor, y: Tensor) => t.step(x, y));
      const outer = run((x: Tensor, y: Tensor) => inner.sync(x, y).add(inner.sync(x.mul(2), y)));
      for (let i = 0; i < 4; i++) see(await outer(t.x, t.y), t.model, inner.sync(t.x, t.y));
    },
    'that fail': async ({ run, see }) => {
      const t = training();
      const step = run((x: Tensor, labels: Tensor) => {
        t.optimizer.zeroGrad();
        const loss = losses.softmaxCrossEntropy(t.model.forward(x), labels);
        loss.backward();
        t.optimizer.step();
        return loss;
      });
      for (const label of [0, 1, 5, 1, -1, 0]) {
        const labels = tensor([0, 1, 0, 1, label], { dtype: 'int32' });
        const loss = await (async () => await step(t.x, labels))().catch((error) => error.code);
        see(
          loss,
          t.model.parameters().map(({ data }) => Array.from(data)),
        );
      }
    },
  });
});

describe('a call that waits for others is that of its moment', () => {
  /** A step, and what changes before each call of it. */
  const cases: Record<string, (t: ReturnType<typeof training>, i: number) => unknown> = {
    'its arguments': (t, i) => t.x.data.fill(i),
    'the learning rate': (t, i) => {
      t.optimizer.learningRate = i / 10;
    },
    'which parameters are frozen': (t, i) => freeze(t.layers[0], i % 3 === 1),
    'the state of the optimizer': (t, i) => {
      const other = new SGD(t.model.parameters(), { learningRate: 0.1, l2: i % 3 });
      t.optimizer.loadStateDict(other.stateDict());
    },
    'the random numbers': (_, i) => seed(i),
    'a tensor from outside': (t, i) => t.y.data.fill(i),
  };
  test.each(Object.entries(cases))('%s', async (_, change) => {
    const steps = async (compiled: boolean) => {
      seed(1);
      const t = training();
      const fn = (x: Tensor) => [t.step(dropout(x, 0.5), t.y), randn([2])];
      const f = compiled ? compile(fn) : fn;
      const results: unknown[] = [];
      for (let i = 0; i < 7; i++) {
        change(t, i);
        results.push(f(t.x));
      }
      return seen([await Promise.all(results), t.model]);
    };
    expect(await steps(true)).toEqual(await steps(false));
  });
});

describe('what is written to', () => {
  const x = row(1, 2);
  const plain = row(3, 4);
  refused({
    'is not what a history has seen': async ({ run, see }) => {
      const t = training();
      const step = run((a: Tensor) => {
        const y = t.model.forward(a).mean();
        to(t.layers[1].parameters()[0]).mul_(0.5);
        y.backward();
      });
      see(t.model);
      await step(t.x);
    },
    'is not what an optimizer step has changed since': async ({ run, see }) => {
      const t = training();
      t.model.forward(t.x).mean().backward();
      const step = run((a: Tensor) => {
        const y = t.model.forward(a).square().mean();
        t.optimizer.step();
        y.backward();
      });
      see(1);
      await step(t.x);
    },
    'is not computed of what wants a gradient': async ({ run, see }) => {
      const p = parameter(1, 2);
      see(p.grad);
      await run(() => to(p.mul(2)).add_(1))();
    },
  });
  /** Refused when compiled, where it would be lost; the arguments and what is outside are as before. */
  const lost: Record<string, (a: Tensor) => unknown> = {
    'an argument': (a) => to(a).add_(1),
    'a view of an argument': (a) => to(a.reshape([2, 1])).mul_(2),
    'a detached argument': (a) => to(a.detach()).assign(plain),
    'a tensor from outside': () => to(plain).add_(1),
    'a view of one': () => to(plain.reshape([1, 2])).lerp_(tensor(1), 0.5),
    'a tensor from outside, which was read': (a) => [a.mul(plain), to(plain).sub_(a)],
  };
  for (const [name, fn] of Object.entries(lost)) {
    test(`is not ${name}, which a program would lose`, async () => {
      const f = compile(fn as (a: Tensor) => Tensor);
      expect(() => f.sync(x)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^AXPY_/) }));
      await expect(f(x)).rejects.toThrow(expect.objectContaining({ code: expect.stringMatching(/^AXPY_/) }));
      expect([x.toArray(), plain.toArray()]).toEqual([
        [1, 2],
        [3, 4],
      ]);
    });
  }
});
