/** Jobs in which a rank fails, hangs, dies or does something else end, soon, and say which rank it was and why. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bundle } from '../bundle.ts';
import { type Ended, job, type Kind, kinds } from './faultyJob.ts';

const child = bundle('test/mpi/fault.child.ts');

/** What a job that ends by itself may take, in seconds, on a machine that has other things to do. */
const soon = 40;

const lines = ({ stdout }: Ended, word: string) =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith(`${word} `))
    .toSorted();

/** The job has ended with an error, and left no process behind. */
function expectFailure(ended: Ended): void {
  const { code, seconds, left, stdout, stderr } = ended;
  expect(code, `${stdout}\n${stderr}`).not.toBe(0);
  expect(code, `killed\n${stdout}\n${stderr}`).not.toBeNull();
  expect(seconds).toBeLessThan(soon);
  expect(left).toEqual([]);
  expect(lines(ended, 'end'), stderr).toEqual([]);
}

/** All ranks came to their end, and nobody complained. */
function expectSuccess(ended: Ended, ranks: number): void {
  const { code, left, stderr } = ended;
  expect({ code, stderr, left }).toEqual({ code: 0, stderr: '', left: [] });
  expect(lines(ended, 'end')).toEqual(Array.from({ length: ranks }, (_, i) => `end ${i} of ${ranks}`));
}

const other: Readonly<Record<Kind, Kind>> = { mpich: 'openmpi', openmpi: 'mpich' };
const library: Readonly<Record<Kind, string>> = { mpich: 'libmpich.so.12', openmpi: 'libmpi.so.40' };

describe.each(kinds)('%s', { timeout: 120_000 }, (kind) => {
  test.each([2, 4])('%i ranks come to their end', async (ranks) => {
    expectSuccess(await job(kind, ranks, child, ['ends']), ranks);
  });

  test('that all ranks end by process.exit(0) is as good', async () => {
    expectSuccess(await job(kind, 2, child, ['exit0']), 2);
  });

  test('a rank that is late is waited for', async () => {
    expectSuccess(await job(kind, 2, child, ['late']), 2);
  });

  test('a rank that has more to do at the end than the others would wait for has the time', async () => {
    expectSuccess(await job(kind, 2, child, ['works', '1', '1.5']), 2);
  });

  test('distribute gives the same world again', async () => {
    const ended = await job(kind, 2, child, ['twice']);
    expectSuccess(ended, 2);
    expect(lines(ended, 'twice')).toEqual(['twice true', 'twice true']);
  });

  test('what V8 handles by signals it handles still', async () => {
    const ended = await job(kind, 2, child, ['wasm']);
    expectSuccess(ended, 2);
    expect(new Set(lines(ended, 'wasm'))).toEqual(new Set(['wasm RuntimeError memory access out of bounds']));
  });

  test('sums of many requests, of scattered arrays and of nothing', async () => {
    const ended = await job(kind, 2, child, ['sums']);
    expectSuccess(ended, 2);
    // (1 + 2) / 2, and 0 + 1.
    expect(lines(ended, 'sums')).toEqual(['sums 1.5 1', 'sums 1.5 1']);
  });

  test('exchanges that begin twice or end for others are refused', async () => {
    const ended = await job(kind, 2, child, ['mistakes']);
    expectFailureOf(ended);
  });

  function expectFailureOf(ended: Ended): void {
    const { code, left, seconds } = ended;
    expect(code).not.toBe(0);
    expect(left).toEqual([]);
    expect(seconds).toBeLessThan(soon);
    const own = lines(ended, 'mistake');
    const end = '[allReduceEnd] expected a reduction to';
    expect(own.filter((line) => line.includes(`${end} begin before it ends`))).toHaveLength(2);
    expect(own.filter((line) => line.includes('expected a gathering to begin before it ends'))).toHaveLength(
      2,
    );
    expect(own.filter((line) => line.includes(`${end} end for the arrays that it began with`))).toHaveLength(
      2,
    );
    expect(own.filter((line) => line.includes('a reduction to end before the next one begins'))).not.toEqual(
      [],
    );
  }

  test.each([2, 4])(
    'a rank of %i that throws: the others hear of it, and it says so itself',
    async (ranks) => {
      const ended = await job(kind, ranks, child, ['throws']);
      expectFailure(ended);
      const caught = lines(ended, 'caught');
      expect(caught).toHaveLength(ranks - 1);
      for (const line of caught) expect(line).toMatch(/DistributedError \[\w+\] rank \d .*the cat sat on it/);
      expect(ended.stderr).toContain('RangeError: the cat sat on it');
    },
  );

  test('a rank that exits with a code', async () => {
    const ended = await job(kind, 2, child, ['exits']);
    expectFailure(ended);
    expect(lines(ended, 'caught')).toEqual([
      expect.stringMatching(/^caught 0 DistributedError .* rank 1 \(.*\) has ended: .* exited with code 3$/),
    ]);
  });

  test('a rank that ends as if all were done', async () => {
    const ended = await job(kind, 2, child, ['returns']);
    expect(ended.code, ended.stdout + ended.stderr).not.toBe(0);
    expect(ended.left).toEqual([]);
    expect(lines(ended, 'caught')).toEqual([
      expect.stringMatching(/^caught 0 DistributedError .* rank 1 \(.*\) has ended: .* came to its end$/),
    ]);
  });

  test.each([2, 4])('a rank of %i that is killed', async (ranks) => {
    expectFailure(await job(kind, ranks, child, ['killed']));
  });

  test.each([2, 4])('a rank of %i that hangs', async (ranks) => {
    const ended = await job(kind, ranks, child, ['loops', '1', '3']);
    expectFailure(ended);
    const caught = lines(ended, 'caught');
    expect(caught).toHaveLength(ranks - 1);
    for (const line of caught)
      expect(line).toMatch(/DistributedError .* within 3 s, got no word of rank 1 \(/);
  });

  test('a rank that is at something else', async () => {
    const ended = await job(kind, 2, child, ['other']);
    expectFailure(ended);
    expect(lines(ended, 'caught')).toEqual([
      expect.stringMatching(/^caught 0 DistributedError .*, step, got rank 1 \(.*\) at something else$/),
      expect.stringMatching(/^caught 1 DistributedError .*, values, got rank 0 \(.*\) at something else$/),
    ]);
  });

  test('a rank with other parameters', async () => {
    const ended = await job(kind, 2, child, ['shape']);
    expectFailure(ended);
    const caught = lines(ended, 'caught');
    expect(caught).toHaveLength(2);
    for (const line of caught) {
      expect(line).toMatch(/\[wrap\] expected the same parameters on all ranks, got .* on rank 1 \(/);
    }
  });

  test('a run that fails between the beginning of an exchange and its end', async () => {
    const ended = await job(kind, 2, child, ['half']);
    expect(ended.code).not.toBe(0);
    expect(ended.left).toEqual([]);
    const caught = lines(ended, 'caught');
    // Twice each: nobody makes exchanges afterwards.
    expect(caught).toHaveLength(4);
    for (const line of caught.slice(0, 2)) {
      expect(line).toMatch(/^caught 0 DistributedError .* rank 1 \(.*\) has ended: \[checkFinite\] /);
    }
    expect(caught[2]).toMatch(/^caught 1 DistributedError \[allReduceBegin\] \[checkFinite\] /);
    expect(caught[3]).toMatch(/^caught 1 NonFiniteError \[checkFinite\] /);
  });

  test('a rank that does not join', async () => {
    const ended = await job(kind, 2, child, ['absent', '1', '3']);
    expectFailure(ended);
    expect(lines(ended, 'refused')).toEqual([
      expect.stringContaining('DistributedError [distribute] expected all ranks to join the job within 3 s'),
    ]);
  });

  test('a rank with another version of the library', async () => {
    const old = `${child.slice(0, -'.mjs'.length)}-old.mjs`;
    const text = readFileSync(child, 'utf8');
    // What it tells the others: its addon has the right one, or would be refused.
    const own = '"version of axpy": version';
    expect(text).toContain(own);
    writeFileSync(old, text.replace(own, '"version of axpy": "0.0.1-old"'));
    const ended = await job(kind, 2, [child, old], ['ends']);
    expectFailure(ended);
    const refused = lines(ended, 'refused');
    expect(refused).toHaveLength(2);
    for (const line of refused) {
      expect(line).toMatch(
        /expected the same version of axpy on all ranks, got .* and 0\.0\.1-old on rank 1/,
      );
    }
  });

  test("another launcher's library", async () => {
    const ended = await job(kind, 2, child, ['ends'], { env: { AXPY_MPI: library[other[kind]] } });
    expectFailure(ended);
    const refused = lines(ended, 'refused');
    expect(refused.length).toBeGreaterThan(0);
    for (const line of refused)
      expect(line).toMatch(/DistributedError \[distribute\] expected 2 ranks, as .* says/);
  });

  test('a library that is not there', async () => {
    const ended = await job(kind, 2, child, ['ends'], { env: { AXPY_MPI: '/nonexistent.so' } });
    expectFailure(ended);
    for (const line of lines(ended, 'refused')) expect(line).toMatch(/DistributedError .*\/nonexistent\.so/);
  });

  test('a library that is no MPI', async () => {
    const ended = await job(kind, 2, child, ['ends'], { env: { AXPY_MPI: 'libm.so.6' } });
    expectFailure(ended);
    for (const line of lines(ended, 'refused')) expect(line).toContain('libm.so.6 has no MPI_');
  });

  test('the fallback exchanges nothing', async () => {
    const ended = await job(kind, 2, child, ['ends'], { env: { AXPY_BACKEND: 'fallback' } });
    expectFailure(ended);
    for (const line of lines(ended, 'refused')) expect(line).toMatch(/^refused BackendError \[distribute\] /);
  });

  test('a worker thread is no rank', async () => {
    const ended = await job(kind, 2, child, ['worker']);
    expectSuccess(ended, 2);
    expect(lines(ended, 'worker')).toHaveLength(2);
    for (const line of lines(ended, 'worker'))
      expect(line).toMatch(/ArgumentError \[distribute\] .* a worker/);
  });
});

test('without a launcher a process is a rank by itself', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await job(null, 1, child, ['ends']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('end 0 of 1, alone');
});
