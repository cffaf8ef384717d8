/**
 * Random small functions of tensors, called with random arguments and with random changes of state in between: compiled,
 * they do what they do eagerly, to the bit. A function is a list of instructions over a growing list of values, so that
 * fast-check can shrink it.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Adam,
  AutogradError,
  AxpyError,
  BatchNorm,
  compile,
  concat,
  Dense,
  Dropout,
  dropout,
  losses,
  noGrad,
  type Optimizer,
  randn,
  SGD,
  seed,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../lib/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { occupy } from './support.ts';
import { freeze, parameter, seen, shared, to } from './twins.ts';

/** One instruction: what it does, and which values it takes, counted modulo how many there are. */
interface Instruction {
  readonly name: string;
  readonly a: number;
  readonly b: number;
}

/** What programs have besides their arguments. Everything is [n, 3] or broadcasts to it. */
function world() {
  seed(1);
  const vector = (scale: number) => [1, -0.5, 0.25].map((value) => value * scale);
  const parameters = [parameter(...vector(1)), parameter(...vector(-2))];
  const states = [shared(...vector(3)), shared(0, 0, 0)];
  const dense = new Dense(3, 3, { activation: 'tanh' });
  const norm = new BatchNorm(3);
  const drop = new Dropout(0.5);
  const learning = [...parameters, ...dense.parameters(), ...norm.parameters()];
  const optimizers: Optimizer[] = [
    new SGD(learning, { learningRate: 0.125, momentum: 0.5 }),
    new Adam([...parameters, ...dense.parameters()], { learningRate: 0.01 }),
  ];
  const outside = [tensor(vector(0.5)), tensor(2), tensor([vector(1)])];
  const layers = [dense, norm, drop];
  return { parameters, states, dense, norm, drop, layers, learning, optimizers, outside };
}
type World = ReturnType<typeof world>;

const pick = <Item>(list: readonly Item[], at: number): Item => list[at % list.length];

/** What becomes of one or two values. */
const ops: Record<string, (a: Tensor, b: Tensor, w: World) => Tensor> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  maximum: (a, b) => a.maximum(b),
  where: (a, b) => where(a.greater(b), a, b.neg()),
  scale: (a) => a.mul(-0.5).add(1),
  tanh: (a) => a.tanh(),
  relu: (a) => a.relu(),
  square: (a) => a.tanh().square(),
  mean: (a) => a.mean(),
  rows: (a) => a.reshape([-1, 3]).mean(0),
  detach: (a) => a.detach(),
  view: (a) => a.reshape([-1, 3]),
  clone: (a) => a.clone(),
  slice: (a) => a.reshape([-1, 3]).slice([[0, 1]]),
  concat: (a, b) => concat([a.reshape([-1, 3]), b.reshape([-1, 3])]).sum(0),
  withoutGradient: (a, b) => noGrad(() => a.mul(b)),
  noise: (a) => a.add(randn([3])),
  dropout: (a) => dropout(a, 0.25),
  dense: (a, _, w) => w.dense.forward(a.reshape([-1, 3])),
  norm: (a, _, w) => w.norm.forward(a.reshape([-1, 3])),
  drop: (a, _, w) => w.drop.forward(a),
};

/** What is done to state. A row of three fits what is written to. */
const acts: Record<string, (a: Tensor, b: number, w: World) => void> = {
  assign: (a, b, w) => to(pick(w.states, b)).assign(row(a)),
  add_: (a, b, w) => to(pick(w.states, b)).add_(row(a)),
  mul_: (_, b, w) => to(pick(w.states, b)).mul_(0.5),
  lerp_: (a, b, w) => to(pick(w.states, b)).lerp_(row(a), 0.25),
  decay: (_, b, w) => to(pick(w.parameters, b)).mul_(0.75),
  average: (_, b, w) => to(pick(w.states, b)).lerp_(w.parameters[0], 0.5),
  backward: (a) => {
    if (a.requiresGrad) a.mean().backward();
  },
  regress: (a, b, w) => {
    const loss = losses.mse(a.add(pick(w.parameters, b)), a.detach());
    if (loss.requiresGrad) loss.backward();
  },
  trainable: (_, b, w) => {
    pick(w.layers, b).trainable = b % 2 === 0;
  },
  zeroGrad: (_, b, w) => pick(w.optimizers, b).zeroGrad(),
  zeroOne: (_, b, w) => pick(w.learning, b).zeroGrad(),
  step: (_, b, w) => pick(w.optimizers, b).step(),
  scaleGradient: (_, b, w) => {
    const { grad } = pick(w.learning, b);
    if (grad !== null) to(grad).mul_(0.5);
  },
};

/** A row of three of any value. */
const row = (a: Tensor) =>
  (a.size === 1 ? a.reshape([1]).broadcastTo([3]) : a.reshape([-1, 3]).mean(0)).tanh();

const names = [...Object.keys(ops), ...Object.keys(acts)];
const instruction: fc.Arbitrary<Instruction> = fc.record({
  name: fc.constantFrom(...names),
  a: fc.nat(30),
  b: fc.nat(30),
});

/** Trees that arguments come in. */
type Wrapped = { x: Tensor; rest: readonly (Tensor | readonly Tensor[])[]; by: number };

/** The function of a list of instructions: all values so far, of which the last few are its result. */
function functionOf(w: World, list: readonly Instruction[]) {
  return ({ x, rest, by }: Wrapped, flag: boolean): unknown => {
    const values: Tensor[] = [x, ...rest.flat(), ...w.parameters, ...w.states, ...w.outside, x.mul(by)];
    if (flag) values.push(zeros([3]));
    for (const { name, a, b } of list) {
      const left = pick(values, a);
      if (name in ops) values.push(ops[name](left, pick(values, b), w));
      else acts[name](left, b, w);
    }
    return {
      // Not a Parameter itself, of which a program returns a copy.
      last: values.slice(-3).map((value) => value.reshape(value.shape)),
      states: w.states,
      rows: new Map([['first', values[0]]]),
    };
  };
}

/** What happens between two calls, to a parameter, a state, a layer or an optimizer by a number. */
const changes: Record<string, (w: World, at: number) => void> = {
  nothing: () => {},
  'requires gradient': (w, at) => {
    const p = pick(w.learning, at);
    p.requiresGrad = !p.requiresGrad;
  },
  freeze: (w, at) => freeze(pick(w.layers, at), at % 2 === 0),
  mode: (w, at) => pick(w.layers, at).train(at % 2 === 0),
  trainable: (w, at) => {
    pick(w.layers, at).trainable = at % 2 === 0;
  },
  outside: (w, at) => pick(w.outside, at).data.fill(at / 8),
  'outside, assigned': (w, at) => void to(pick(w.outside, at)).mul_(-1),
  state: (w, at) => pick(w.states, at).data.fill(at / 8),
  'state, in place': (w, at) => void to(pick(w.states, at)).add_(1),
  parameter: (w, at) => void to(pick(w.parameters, at)).mul_(0.5),
  gradients: (w, at) => pick(w.learning, at).zeroGrad(),
  'all gradients': (w) => w.optimizers[0].zeroGrad(),
  'an eager backward': (w, at) => {
    const p = pick(w.parameters, at);
    if (p.requiresGrad) p.square().sum().backward();
  },
  'an eager step': (w, at) => pick(w.optimizers, at).step(),
  rate: (w, at) => {
    pick(w.optimizers, at).learningRate = at / 64;
  },
  'another state of the optimizer': (w, at) => {
    const options = { learningRate: 0.0625, momentum: 0.25, l2: (at % 3) / 8 };
    w.optimizers[0].loadStateDict(new SGD(w.learning, options).stateDict());
  },
  'another memory': (w, at) => pick(w.states, at).attach(shared(1, 2, 3).share()),
  seed: (_, at) => seed(at),
};

/** A kind of call. */
const kind = fc.record({
  /** Which tensors of the pool: an equal number is the same tensor. */
  tensors: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
  rows: fc.constantFrom(1, 2),
  nested: fc.boolean(),
  by: fc.constantFrom(1, 2, -1),
  flag: fc.boolean(),
});

/** A call of one of the kinds, and what changes before it: often nothing, as programs are to be run more than once. */
const call = fc.record({
  change: fc.oneof(fc.constant('nothing'), fc.constantFrom(...Object.keys(changes))),
  at: fc.nat(30),
  kind: fc.nat(5),
  /** Whether tensors of the pool change places. */
  turn: fc.nat(2),
  way: fc.constantFrom('sync', 'awaited', 'awaited from the executor'),
  withoutGradient: fc.constantFrom(false, false, false, false, true),
});
type Value<Made> = Made extends fc.Arbitrary<infer Of> ? Of : never;

/** Functions, the kinds of calls of them, and the calls. */
const sessions = fc.tuple(
  /** From how many elements on passes join elementwise calls. */
  fc.constantFrom(0, Infinity),
  fc.array(instruction, { minLength: 1, maxLength: 12 }),
  fc.array(kind, { minLength: 1, maxLength: 2 }),
  fc.array(call, { minLength: 2, maxLength: 14 }),
);

/** All that is seen of a session, up to the error that ends it. */
async function watched(
  [from, list, kinds, calls]: Value<typeof sessions>,
  compiled: boolean,
): Promise<unknown[]> {
  pays.from = from;
  pays.run = 0;
  const w = world();
  const fn = functionOf(w, list);
  const program = compile(fn);
  const pools = new Map([1, 2].map((rows) => [rows, [0, 1, 2].map((i) => randn([rows, 3]).add(i))]));
  const saw: unknown[] = [];
  for (const { change, at, kind: which, turn, way, withoutGradient } of calls) {
    const { tensors, rows, nested, by, flag } = pick(kinds, which);
    changes[change](w, at);
    // What backward will read of it, and whether the call changes that, is seen afterwards.
    const stale = tensor([1, 2, 3], { requiresGrad: true })
      .mul(pick([...w.parameters, ...w.states], at))
      .sum();
    const [x, ...rest] = tensors.map((i) => pick(pools.get(rows)!, i + turn));
    const argument: Wrapped = { x, rest: nested ? [rest] : rest, by };
    const run = () => {
      if (!compiled) return fn(argument, flag);
      if (way === 'awaited from the executor') occupy();
      return way === 'sync' ? program.sync(argument, flag) : program(argument, flag);
    };
    try {
      let result: unknown;
      if (withoutGradient) {
        noGrad(() => {
          result = run();
        });
      } else {
        result = run();
      }
      saw.push(seen(await result));
    } catch (error) {
      if (!(error instanceof AxpyError)) throw error;
      // What an eager function did before it threw stays done; a program has then done nothing.
      saw.push('refused');
      return saw;
    }
    saw.push(seen([w.learning, w.states, w.norm, w.optimizers]), seen(randn([1])), isStale(stale));
    saw.push(w.layers.map(({ trainable }) => trainable));
    saw.push(w.learning.map(({ requiresGrad }) => requiresGrad));
  }
  return saw;
}

/** Whether backward refuses a history, as what it reads has changed. */
function isStale(y: Tensor): boolean {
  try {
    y.backward();
    return false;
  } catch (error) {
    if (error instanceof AutogradError) return true;
    throw error;
  }
}

test('a compiled function does what it does eagerly', async () => {
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(sessions, async (session) => {
      const eager = await watched(session, false);
      if (eager.at(-1) !== 'refused') whole++;
      expect(await watched(session, true)).toEqual(eager);
    }),
    { numRuns: 400 },
  );
  // Most functions end well: the others test how they end.
  expect(whole).toBeGreaterThan(200);
});

test('tensors of no elements among others take no memory, and get in nobody’s way', () => {
  /** Each value is made of an earlier one, and may be needed again at the end. */
  const step = fc.record({ of: fc.nat(30), empty: fc.boolean(), wide: fc.boolean(), kept: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
      const run = (x: Tensor, none: Tensor): Tensor[] => {
        const [full, empty] = [[x], [none]];
        const kept: Tensor[] = [];
        for (const { of, empty: isEmpty, wide, kept: isKept } of steps) {
          const among = isEmpty ? empty : full;
          const from = among[of % among.length];
          const made =
            wide && !isEmpty
              ? concat([from, from])
                  .slice([[0, 3]])
                  .add(1)
              : from.mul(0.5);
          among.push(made);
          if (isKept) kept.push(made);
        }
        return [full[full.length - 1], empty[empty.length - 1], ...kept].map((y) => y.add(0));
      };
      const [x, none] = [tensor([1, 2, 3]), zeros([0, 3])];
      const wanted = run(x, none).map((y) => y.toArray());
      expect(
        compile(run)
          .sync(x, none)
          .map((y) => y.toArray()),
      ).toEqual(wanted);
    }),
    { numRuns: 300 },
  );
});
