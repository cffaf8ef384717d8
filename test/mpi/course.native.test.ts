/** What users do with trainings, by several ranks: it is what one process with the whole batch does. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { job, type Launcher, outputOf, usual } from './job.ts';

interface Line {
  numbers: number[];
  epochs: Record<string, unknown>[];
  stopped: string | null;
}

const folders: string[] = [];
const folder = () => {
  const made = mkdtempSync(join(tmpdir(), 'axpy-mpi-'));
  folders.push(made);
  return made;
};
afterAll(() => {
  for (const made of folders) rmSync(made, { recursive: true });
});

/** What each rank has said. */
async function run<Own = Line>(
  ...[launcher, ranks, ...args]: [Launcher | null, number, ...string[]]
): Promise<Own[][]> {
  const [all] = await outputOf<Own[][]>(launcher, ranks, 'course.child.ts', args);
  expect(all).toHaveLength(ranks);
  return all;
}

/** Numbers to rounding; all else as it is. */
function expectClose(actual: unknown, expected: unknown, where = ''): void {
  if (typeof expected === 'number') return void expect(actual, where).toBeCloseTo(expected, 11);
  if (typeof expected !== 'object' || expected === null) return void expect(actual, where).toBe(expected);
  expect(Object.keys(actual as object), where).toEqual(Object.keys(expected));
  for (const [key, value] of Object.entries(expected))
    expectClose((actual as never)[key], value, `${where}.${key}`);
}

/** What all ranks have said, which has to be the same to the bit. */
function oneOf<Own>([first, ...others]: readonly Own[]): Own {
  for (const other of others) expect(other).toEqual(first);
  return first;
}

describe.each(usual)('%s', (launcher) => {
  // Of seven ranks some have no part of the last batch, of two examples.
  test.each([
    ['scores', 2],
    ['scores', 7],
    ['accumulate', 7],
    ['early', 2],
  ] as const)('%s, %i ranks: numbers, records and stops are those of one process', async (scene, ranks) => {
    const [alone] = await run(null, 1, scene);
    expectClose(oneOf(await run(launcher, ranks, scene)), alone);
  });

  test('streams of different lengths: no example is lost, and the last steps are of those that are left', async () => {
    const [{ epochs }] = oneOf(await run(launcher, 3, 'streams'));
    expect(epochs).toHaveLength(3);
    expect(epochs.every(({ loss }) => Number.isFinite(loss))).toBe(true);
  });

  test('a stop on one rank is one on all, after one more step', async () => {
    const [{ stopped, epochs }] = oneOf(await run(launcher, 3, 'stop'));
    expect([stopped, epochs.length]).toEqual(['seen enough', 1]);
  });

  test('a signal on one rank ends all after one step, with a checkpoint from which any number of ranks goes on', async () => {
    const whole = oneOf(await run(launcher, 2, 'resume', folder()));
    const kept = folder();
    const lines = (await run<{ code: string; cause: string }>(launcher, 3, 'abort', kept)).flat();
    expect(lines.map(({ code }) => code)).toEqual(['AXPY_ABORT', 'AXPY_ABORT', 'AXPY_ABORT']);
    const other = 'rank 2 was told to abort: told to end';
    expect(lines.map(({ cause }) => cause)).toEqual([other, other, 'told to end']);
    expect(readdirSync(kept).sort()).toEqual([
      'checkpoint-000000004.safetensors',
      'checkpoint-000000008.safetensors',
      'checkpoint-000000010.safetensors',
    ]);
    for (const [by, ranks] of [
      [launcher, 2],
      [launcher, 5],
      [null, 1],
    ] as const) {
      const begun = folder();
      await run(launcher, 3, 'begin', begun);
      const resumed = oneOf(await run(by, ranks, 'resume', begun));
      expectClose(resumed, whole);
    }
  });

  test('SIGTERM to the ranks: all end at one step, and rank 0 keeps it', async () => {
    const kept = folder();
    const told = new Set<number>();
    const { code, stdout } = await job(launcher, 2, 'course.child.ts', ['sigterm', kept], {
      onOutput(text) {
        for (const [, pid] of text.matchAll(/"pid":(\d+)/g)) {
          if (told.has(Number(pid))) continue;
          told.add(Number(pid));
          process.kill(Number(pid), 'SIGTERM');
        }
      },
    });
    expect([code, stdout.match(/AXPY_ABORT/g)]).toEqual([0, ['AXPY_ABORT', 'AXPY_ABORT']]);
    expect(readdirSync(kept)).toHaveLength(1);
  });

  test('a loss that is not finite on one rank ends all, before their parameters change', async () => {
    const lines = (await run<{ code: string; message: string }>(launcher, 4, 'broken')).flat();
    expect(lines.map(({ code }) => code)).toEqual(Array(4).fill('AXPY_NON_FINITE'));
    expect(lines.filter(({ message }) => message.includes('on another rank'))).toHaveLength(3);
    expect(
      lines.filter(({ message }) => message.includes('loss is Infinity at epoch 1, batch 2')),
    ).toHaveLength(1);
  });

  test('dropout is of each rank, and the same at the next run', async () => {
    const [first, second] = [
      oneOf(await run(launcher, 2, 'dropout')),
      oneOf(await run(launcher, 2, 'dropout')),
    ];
    // The default state begins by a seed: that of rank 0.
    expect(second).toEqual(first);
    expect(oneOf(await run(launcher, 3, 'dropout'))).not.toEqual(first);
  });

  test('running statistics are those of rank 0 for validation and at the end', async () => {
    const [{ buffers }] = oneOf(await run<{ buffers: number[] }>(launcher, 3, 'buffers'));
    expect(buffers.every(Number.isFinite)).toBe(true);
  });

  test.each([
    [
      'apart',
      /expected the same parameters and optimizer state on all ranks, to the bit, got others on rank 2 \(/,
    ],
    [
      'options',
      /expected the same options on all ranks, got .*"epochs":3.* on rank 0 and .*"epochs":4.* on rank 2 \(/,
    ],
    [
      'lengths',
      /expected the same options on all ranks, got .*"examples":50.* on rank 0 and .*"examples":49.* on rank 2 \(/,
    ],
  ])('%s: what differs is named, and who has it', async (scene, message) => {
    const { code, stderr } = await job(launcher, 3, 'course.child.ts', [scene]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});
