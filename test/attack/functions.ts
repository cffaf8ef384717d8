/**
 * Random functions of tensors, run eagerly and compiled on identical twins, with changes of what they look at in between: all
 * that can be seen of both has to be the same, to the bit.
 */
import {
  Adam,
  compile,
  losses,
  type Optimizer,
  Parameter,
  SGD,
  SharedTensor,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { ops, pick } from '../train/functions.ts';
import { type Random, showError, type Try, turn } from './support.ts';

interface Instruction {
  readonly name: string;
  readonly a: number;
  readonly b: number;
  readonly i: number;
}

/** What a function has besides its arguments. */
interface World {
  readonly parameters: readonly Parameter[];
  readonly state: SharedTensor;
  readonly optimizer: Optimizer | null;
}

type Values = Float32Array<ArrayBuffer>;

/** What is not in `ops`: branches on what the function looks at, and changes in place. */
const others: Record<string, (a: Tensor, b: Tensor, world: World, flag: boolean) => Tensor> = {
  branch: (a, b, _, flag) => (flag ? a.relu() : b.neg()),
  asLearning: (a, b, { parameters }) => (parameters[1].requiresGrad ? a.mul(2) : b.add(1)),
  asBefore: (a, _, { parameters }) => (parameters[0].grad === null ? a.add(0.5) : a.mul(0.5)),
  kept: (a, _, { state }) => a.add(state.clone()),
  update: (a, _, { state }) => {
    (state as Tensor).lerp_(a.detach().tanh(), 0.5);
    return a;
  },
  made: (a, b) => {
    const own = a.detach().clone();
    own.mul_(0.5);
    const before = own.add(1);
    own.add_(b.detach());
    return before.mul(own);
  },
};

const names = [...Object.keys(ops), ...Object.keys(ops), ...Object.keys(others)];
const specials = [0, -0, 1e30, -3e38, 1e-40, Infinity, Number.NaN];

/** One call of a compiled function, on this thread or on the executor. */
type Step = (x: Tensor, y: Tensor, flag: boolean) => readonly Tensor[] | Promise<readonly Tensor[]>;

export async function functions(t: Try): Promise<void> {
  const { random } = t;
  pays.from = random.pick([0, 0, 0, 64, 1024, Infinity]);
  pays.run = 0;
  const shape = [2, 3, 4 * random.pick([1, 1, 1, 2, 9, 40, 128])];
  const few = random.chance(0.9) ? 0 : 0.02;
  const values = (size: number): Values =>
    Float32Array.from({ length: size }, () =>
      random.chance(few) ? random.pick(specials) : 4 * random.next() - 2,
    );
  const size = shape.reduce((product, dim) => product * dim, 1);
  const list = Array.from(
    { length: random.int(1, 14) },
    (): Instruction => ({
      name: random.pick(names),
      a: random.int(0, 40),
      b: random.int(0, 40),
      i: random.int(0, 5),
    }),
  );
  const drawn = {
    loss: random.int(0, 40),
    results: Array.from({ length: random.int(0, 3) }, () => random.int(0, 40)),
    forgets: random.chance(0.7),
    optimizer: random.pick(['none', 'SGD', 'Adam'] as const),
    first: [values(size), values(size / 2), values(size)] as const,
  };
  const described = list.map(({ name, a, b, i }) => `${name} ${a} ${b} ${i}`).join(', ');
  const note = `functions of ${shape}, from ${pays.from}: ${described}; loss ${drawn.loss}, ${drawn.optimizer}`;
  t.note(note);

  const twin = (): { world: World; step: Step } => {
    const parameters = [new Parameter(shape), new Parameter([1, ...shape.slice(1)])];
    for (const [i, parameter] of parameters.entries())
      parameter.assign(tensor(drawn.first[i], { shape: parameter.shape }));
    const state = new SharedTensor(shape);
    state.assign(tensor(drawn.first[2], { shape }));
    const optimizer =
      drawn.optimizer === 'SGD'
        ? new SGD(parameters, { learningRate: 0.125, momentum: 0.5 })
        : drawn.optimizer === 'Adam'
          ? new Adam(parameters, { learningRate: 0.01 })
          : null;
    const world = { parameters, state, optimizer };
    const step = (x: Tensor, y: Tensor, flag: boolean): Tensor[] => {
      if (drawn.forgets) for (const parameter of parameters) parameter.zeroGrad();
      const own: Tensor[] = [x, y, parameters[0], x.add(parameters[1])];
      for (const { name, a, b, i } of list) {
        const [left, right] = [pick(own, a), pick(own, b)];
        own.push(name in ops ? ops[name](left, right, i) : others[name](left, right, world, flag));
      }
      const error = losses.mse(pick(own, drawn.loss), y);
      if (error.requiresGrad) {
        error.backward();
        if (parameters.every(({ grad }) => grad !== null)) optimizer?.step();
      }
      return [error, ...drawn.results.map((at) => pick(own, at).add(0)), own[own.length - 1].mul(1)];
    };
    return { world, step };
  };
  const [eager, compiled] = [twin(), twin()];
  const program = compile(compiled.step);
  const worlds = [eager.world, compiled.world];
  let flag = true;
  for (let run = 0; run < 5; run++) {
    const [x, y] = [values(size), values(size)].map((own) => tensor(own, { shape }));
    const other = random.chance(0.1) ? x : y;
    const isSync = random.chance(0.5);
    const outcomes: unknown[] = [];
    let seen: (readonly Tensor[])[] = [];
    for (const step of [eager.step, isSync ? program.sync : program]) {
      try {
        seen.push(await (step as Step)(x, other, flag));
        outcomes.push('success');
      } catch (error) {
        outcomes.push(showError(error));
      }
    }
    if (outcomes[0] !== outcomes[1]) {
      t.find('a compiled function fails otherwise', `${outcomes.join('\n')}\nrun ${run}: ${note}`);
      return;
    }
    if (seen.length < 2) seen = [[], []];
    const [wanted, got] = worlds.map(({ parameters, state }, i) => [
      ...seen[i].map(({ data }) => data),
      ...parameters.map(({ data }) => data),
      state.data,
      ...parameters.map(({ grad }) => grad?.data ?? null),
    ]);
    const wrong = wanted.findIndex((own, i) => !areSame(own, got[i]));
    if (wrong >= 0) {
      t.find('a compiled function gives other bits', `value ${wrong} of run ${run}: ${note}`);
      return;
    }
    flag = changeSomething(random, worlds, values, flag);
    if (random.chance(0.05)) await turn();
  }
}

function areSame(a: ArrayLike<number> | null, b: ArrayLike<number> | null): boolean {
  if (a === null || b === null) return a === b;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return a.length === b.length;
}

/** Between two runs, on both sides alike; the flag of the next one. */
function changeSomething(
  random: Random,
  worlds: readonly World[],
  values: (size: number) => Values,
  flag: boolean,
): boolean {
  const way = random.int(0, 9);
  const { size, shape } = worlds[0].state;
  const fresh = tensor(values(size), { shape });
  for (const { parameters, state } of worlds) {
    if (way === 0) parameters[0].assign(fresh);
    if (way === 1) state.assign(fresh);
    if (way === 2) parameters[1].requiresGrad = !parameters[1].requiresGrad;
    if (way === 3) for (const parameter of parameters) parameter.zeroGrad();
  }
  return way === 4 ? !flag : flag;
}
