/** Trainings at once: what they share, and what they may not. */
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type Callback,
  type Checkpoint,
  checkpoint,
  Dense,
  earlyStopping,
  type FitOptions,
  fit,
  loadCheckpoint,
  randn,
  SGD,
  seed,
} from '../../lib/index.ts';
import { numbers, rejection } from '../train/support.ts';
import { temporaryFolder } from './temporary.ts';

/** A training of three steps an epoch; another one for another number. */
function training(number: number) {
  seed(number);
  const model = new Dense(3, 1);
  const data = { x: randn([12, 3]), y: randn([12, 1]) };
  const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
  const run = (options: Partial<FitOptions>) =>
    fit(model, data, { loss: 'mse', optimizer, batchSize: 4, epochs: 4, seed: 1, ...options } as never);
  return { model, run };
}

/** Something to wait for. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

const namesIn = (folder: string) => readdirSync(folder).filter((name) => name !== 'best.safetensors');
const stepsIn = (folder: string) => namesIn(folder).map((name) => Number(/\d+/.exec(name)));

describe('a folder', () => {
  it.each(['epoch', 1, 2] as const)(
    'that two trainings begin at once keeps one alone, every %s',
    async (every) => {
      for (let turn = 0; turn < 6; turn++) {
        const folder = temporaryFolder();
        const own = [training(1), training(2)];
        const ends = await Promise.all(
          own.map(({ run }) =>
            run({ callbacks: [checkpoint({ folder, every, best: 'loss' })] }).then(
              () => undefined,
              (error: unknown) => error,
            ),
          ),
        );
        const errors = ends.filter((error) => error !== undefined);
        expect(errors.length).toBeGreaterThan(0);
        for (const error of errors) {
          expect(error).toBeInstanceOf(ArgumentError);
          expect((error as Error).message).toMatch(
            /^\[checkpoint\] expected a folder that no other training writes to/,
          );
        }
        if (errors.length > 1) continue;
        const whole = own[ends.indexOf(undefined)];
        const newest = await loadCheckpoint(join(folder, namesIn(folder).at(-1)!));
        expect(newest.step).toBe(12);
        expect([...newest.weights.weight.data]).toEqual([...whole.model.weight.data]);
      }
    },
  );

  it('that two trainings go on from at once is that of one alone, and stays whole', async () => {
    const reference = training(1);
    await reference.run({});
    for (let turn = 0; turn < 4; turn++) {
      const folder = temporaryFolder();
      await training(1).run({ callbacks: [checkpoint({ folder, keep: 1 })], epochs: 2 });
      const ends = await Promise.allSettled(
        [1, 2].map((every) =>
          training(1).run({ callbacks: [checkpoint({ folder, every, keep: 1 })], resume: folder }),
        ),
      );
      expect(ends.map(({ status }) => status)).toContain('rejected');
      const last = training(1);
      await last.run({ resume: folder });
      expect(numbers(last.model)).toEqual(numbers(reference.model));
    }
  });

  it('is left by the training that finds another one there, of which nothing is removed', async () => {
    const folder = temporaryFolder();
    const [isOpen, isKept, isOver] = [gate(), gate(), gate()];
    const first: Callback = {
      async onBatchEnd() {
        await isOpen.opened;
      },
      async onEpochBegin({ epoch }) {
        if (epoch !== 4) return;
        isKept.open();
        await isOver.opened;
      },
    };
    const second: Callback = {
      onTrainBegin: () => isOpen.open(),
      async onBatchEnd() {
        await isKept.opened;
      },
    };
    const one = training(1);
    const end = one.run({ callbacks: [first, checkpoint({ folder, keep: Infinity })] });
    const other = rejection(
      training(2).run({ callbacks: [second, checkpoint({ folder, every: 1, keep: 1 })] }),
    );
    expect(await other).toBeInstanceOf(ArgumentError);
    expect(stepsIn(folder).slice(0, 2)).toEqual([3, 6]);
    isOver.open();
    await end;
    expect(stepsIn(folder)).toEqual([3, 6, 9, 12]);
  });

  it('may be that of several callbacks of one training, and hold files of others', async () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    const kept: Checkpoint[] = [];
    await training(1).run({
      callbacks: [
        checkpoint({ folder: elsewhere, every: 1, keep: 1 }),
        checkpoint({ folder: elsewhere, best: 'loss' }),
        checkpoint({ save: (c) => void kept.push(c) }),
      ],
    });
    expect(readdirSync(elsewhere)).toContain('best.safetensors');
    // What comes meanwhile is another's, in whichever folder.
    const copy: Callback = {
      onEpochEnd(_, { epoch }) {
        if (epoch === 2)
          copyFileSync(
            join(elsewhere, namesIn(elsewhere)[0]),
            join(folder, 'checkpoint-000000001.safetensors'),
          );
      },
    };
    const error = await rejection(training(1).run({ callbacks: [copy, checkpoint({ folder, keep: 1 })] }));
    expect((error as Error).message).toContain('checkpoint-000000001.safetensors of another');
    expect(namesIn(folder)).toContain('checkpoint-000000001.safetensors');
  });
});

it.each<[string, () => Callback]>([
  ['checkpoint', () => checkpoint({ save() {} })],
  ['earlyStopping', () => earlyStopping({ monitor: 'loss' })],
  ['a copy of checkpoint', () => ({ ...checkpoint({ save() {} }) })],
  ['a state of your own', () => ({ stateDict: () => 1, loadStateDict() {} })],
])('%s is in one training at a time', async (name, make) => {
  const callback = make();
  const [one, other] = [training(1), training(2)];
  const before = JSON.stringify(numbers(other.model));
  const end = one.run({ callbacks: [callback] });
  const error = await rejection(
    other.run({ callbacks: [name.startsWith('a copy') ? { ...callback } : callback] }),
  );
  expect(error).toBeInstanceOf(ArgumentError);
  expect((error as Error).message).toMatch(
    /^\[fit\] expected callbacks with a state that are not in another training/,
  );
  expect(JSON.stringify(numbers(other.model))).toBe(before);
  await end;
  await other.run({ callbacks: [callback] });
});

it('a callback without a state may be in several', async () => {
  const seen: number[] = [];
  const callback: Callback = { onEpochEnd: (_, { epoch }) => void seen.push(epoch) };
  await Promise.all([1, 2].map((n) => training(n).run({ callbacks: [callback] })));
  expect(seen).toHaveLength(8);
});
