/** Every optimizer against PyTorch's: twenty steps, eager and compiled, in groups, with a rest, and resumed on the way. */
import { describe, expect, test } from 'vitest';
import {
  Adagrad,
  Adam,
  AdamW,
  compile,
  Dense,
  encodeCheckpoint,
  Lion,
  loadCheckpoint,
  losses,
  NAdam,
  type Optimizer,
  RMSprop,
  Sequential,
  SGD,
  schedules,
  type Tensor,
  tensor,
} from '../lib/index.ts';
import { deviation, type Named, type Numbers, read } from './reference/read.ts';

interface Scheduled {
  name: 'cosine' | 'exponential';
  options: never;
}

interface Run {
  options?: Record<string, unknown>;
  groups?: readonly { of: readonly string[]; schedule?: Scheduled; [option: string]: unknown }[];
  losses: number[];
  end: Named;
}

const classes = { SGD, Adam, AdamW, RMSprop, Adagrad, NAdam, Lion };
const names = ['w1', 'b1', 'w2', 'b2'];
const reference = read<Record<keyof typeof classes, Run[]>>('optimizers');
const { start, x, t } = read<{ start: Named; x: Numbers; t: Numbers }>('trajectories');

const scheduleOf = ({ name, options }: Scheduled) => schedules[name](options);

function world(kind: keyof typeof classes, { options, groups }: Run) {
  const model = new Sequential([
    new Dense(4, 3, { activation: 'tanh', dtype: 'float64' }),
    new Dense(3, 1, { dtype: 'float64' }),
  ]);
  const parameters = [...model.parameters()];
  parameters.forEach((parameter, i) => {
    parameter.data.set(start[names[i]].map(Number));
  });
  const given =
    groups?.map(({ of, schedule, ...own }) => ({
      ...own,
      ...(schedule && { learningRate: scheduleOf(schedule) }),
      parameters: of.map((name) => parameters[names.indexOf(name)]),
    })) ?? parameters;
  const optimizer = new (classes[kind] as new (...args: unknown[]) => Optimizer)(given, options ?? {});
  return { model, parameters, optimizer };
}

type World = ReturnType<typeof world>;
type Way = 'eager' | 'compiled' | 'queued';

/** Steps from one to another. */
async function steps(
  { model, parameters, optimizer }: World,
  way: Way,
  from: number,
  to: number,
): Promise<number[]> {
  const input = tensor(x.map(Number), { shape: [8, 4], dtype: 'float64' });
  const target = tensor(t.map(Number), { shape: [8, 1], dtype: 'float64' });
  const step = (a: Tensor, b: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = losses.mse(model.forward(a), b);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const compiled = compile(step);
  const run = { eager: step, compiled: compiled.sync, queued: compiled }[way];
  const found: (Tensor | Promise<Tensor>)[] = [];
  for (let i = from; i < to; i++) {
    parameters[1].requiresGrad = !(5 <= i && i < 9);
    found.push(run(input, target));
  }
  return (await Promise.all(found)).map((loss) => loss.item());
}

const runs = Object.entries(reference).flatMap(([kind, cases]) =>
  cases.map((run) => ({
    kind: kind as keyof typeof classes,
    run,
    title: `${kind}, ${JSON.stringify({ ...run.options, groups: run.groups })}`,
  })),
);

describe('twenty steps', () => {
  test.each(runs)('$title', async ({ kind, run }) => {
    const ends: number[][] = [];
    for (const way of ['eager', 'compiled', 'queued'] as const) {
      const own = world(kind, run);
      const seen = await steps(own, way, 0, 20);
      expect(deviation(Float64Array.from(seen), run.losses, 1e-12), way).toBeNull();
      own.parameters.forEach((parameter, i) => {
        expect(deviation(parameter.data, run.end[names[i]], 1e-12), `${way}, ${names[i]}`).toBeNull();
      });
      ends.push(own.parameters.flatMap((parameter) => [...parameter.data]));
    }
    expect(ends[1]).toEqual(ends[0]);
    expect(ends[2]).toEqual(ends[0]);

    const before = world(kind, run);
    await steps(before, 'compiled', 0, 11);
    const saved = await loadCheckpoint(
      encodeCheckpoint({ model: before.model, optimizer: before.optimizer }),
    );
    // What was set since then is as it was.
    const after = world(kind, run);
    for (const group of run.groups?.[0].schedule ? [] : after.optimizer.groups) group.learningRate = 0.5;
    saved.restore({ model: after.model, optimizer: after.optimizer });
    await steps(after, 'compiled', 11, 20);
    expect(after.parameters.flatMap((parameter) => [...parameter.data])).toEqual(ends[0]);
  });
});
