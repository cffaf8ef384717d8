/** Trainings on a dashboard: told as they are, stopped by those who may, and never held up or ended by it. */
import { describe, expect, it } from 'vitest';
import { pointsOf } from '../../lib/dashboard/page/run.ts';
import {
  ArgumentError,
  type Callback,
  ClosedError,
  checkpoint,
  Dense,
  fit,
  SGD,
  tensor,
} from '../../lib/index.ts';
import { runFolder } from '../../lib/runs/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { readPng, train } from '../runs/support.ts';
import { ask, opened, until, watch } from './support.ts';

const all = { every: 0, norms: 0, histograms: 0 } as const;
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
/** Takes its time after each batch. */
const slowly = (milliseconds: number): Callback => ({ onBatchEnd: () => pause(milliseconds) });

describe('a training', () => {
  it('is told as it goes, and what the program adds', async () => {
    const board = await opened({ name: 'mine', ...all });
    const page = await watch(board, '/1');
    const losses: number[] = [];
    const history = await train([board, { onBatchEnd: (_, { loss }) => void losses.push(loss) }, slowly(1)], {
      metrics: ['r2'],
    });
    await board.scalars({ test: 0.25 });
    await board.image('x', tensor([[0, 0.5, 1]]));
    await board.image('x', tensor([[1, 0.5, 0]]));
    await board.confusion([[1]]);
    await board.histogram('own', [1, 2, 3]);
    const run = () => page.runs.get('/1')!;
    await until(() => run()?.details?.images.x?.length === 2 && run().histograms.names.includes('own'));
    expect(page.list).toMatchObject([
      { id: '/1', name: 'mine', state: 'finished', isLive: true, canStop: false },
    ]);
    const [x, y] = pointsOf(run().lines.get('batch/loss')!);
    expect(x).toEqual(losses.map((_, i) => i + 1));
    y.forEach((value, i) => {
      expect(value).toBeCloseTo(losses[i], 5);
    });
    expect(pointsOf(run().lines.get('epoch/r2')!)[1].map((value) => value!.toFixed(4))).toEqual(
      history.epochs.map(({ r2 }) => r2.toFixed(4)),
    );
    expect(run().latest('scalars/test')).toBe(0.25);
    expect(run().names('weights/')).toEqual(['0.weight', '0.bias', '1.weight', '1.bias']);
    expect(run().details).toMatchObject({ end: { outcome: 'finished' }, confusions: [{ counts: [[1]] }] });
    const [first, second] = run().details!.images.x;
    for (const [{ file }, pixels] of [
      [first, [0, 128, 255]],
      [second, [255, 128, 0]],
    ] as const) {
      const { text } = await ask(board.url, `/image?run=%2F1&name=${file}`);
      expect(readPng(Buffer.from(text, 'latin1')).pixels).toEqual([pixels]);
    }
  });

  it('computes what it computes without', async () => {
    const board = await opened(all);
    await watch(board, '/1');
    expect((await train([board])).epochs.map(({ loss }) => loss)).toEqual(
      (await train([])).epochs.map(({ loss }) => loss),
    );
  });

  it('follows others, and goes on from a checkpoint', async () => {
    const folder = temporaryFolder();
    const board = await opened({ every: 0 });
    await train([board, checkpoint({ folder })], { epochs: 2 });
    await train([board], { epochs: 3, resume: folder });
    await train([board]);
    const page = await watch(board, '/1', '/2');
    await until(() => page.runs.size === 2);
    expect(page.list.map(({ name }) => name).sort()).toEqual(['Sequential', 'Sequential (2)']);
    for (const id of ['/1', '/2']) {
      expect(pointsOf(page.runs.get(id)!.lines.get('epoch/loss')!)[0]).toEqual([1, 2, 3]);
      expect(pointsOf(page.runs.get(id)!.lines.get('batch/loss')!)[0]).toEqual(
        Array.from({ length: 12 }, (_, i) => i + 1),
      );
    }
    // What a program before this one trained is there by epoch.
    const other = await opened();
    await train([other], { epochs: 3, resume: folder });
    const later = await watch(other, '/1');
    await until(() => later.runs.size === 1);
    expect(pointsOf(later.runs.get('/1')!.lines.get('epoch/loss')!)[0]).toEqual([1, 2, 3]);
  });

  it('that is written to the folder too is there once, by its name', async () => {
    const folder = temporaryFolder();
    const board = await opened({ folder });
    await train([runFolder({ folder, name: 'before' })]);
    await train([runFolder({ folder, name: 'written' }), board]);
    const page = await watch(board, '/1');
    await until(() => page.list.length === 2);
    expect(page.list.map(({ name, isLive }) => [name, isLive])).toEqual(
      expect.arrayContaining([
        ['before', false],
        ['written', true],
      ]),
    );
  });

  it('that fails, fails as it would, and is told to', async () => {
    const board = await opened();
    const broken = { onEpochEnd: () => Promise.reject(new RangeError('no <more>')) };
    await expect(train([board, broken])).rejects.toThrow('no <more>');
    const page = await watch(board, '/1');
    await until(() => page.runs.size === 1);
    expect(page.list[0].state).toBe('failed');
    expect(page.runs.get('/1')!.details!.end!.error).toEqual({ name: 'RangeError', message: 'no <more>' });
  });

  it('is not ended by a dashboard that is closed, which begins no other', async () => {
    const board = await opened({ stop: true, every: 0 });
    const page = await watch(board, '/1');
    const close = {
      onBatchEnd: (_: unknown, { batch }: { batch: number }) => (batch === 2 ? board.close() : undefined),
    };
    expect((await train([board, close, slowly(1)])).epochs.length).toBe(3);
    await board.image('x', tensor([[1]]));
    await board.close();
    expect(page.runs.size).toBeLessThan(2);
    await expect(train([board])).rejects.toThrow(ClosedError);
    await expect(fetch(board.url)).rejects.toThrow();
  });

  it('needs one for itself', async () => {
    const board = await opened();
    const model = new Dense(1, 1);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const second: Callback = {
      onEpochEnd: async () =>
        void (await fit(model, { x: [[1]], y: [[1]] }, { loss: 'mse', optimizer, callbacks: [board] })),
    };
    await expect(train([board, second])).rejects.toThrow(ArgumentError);
    await expect((await opened()).scalars({ a: 1 })).rejects.toThrow('expected a training that has begun');
  });
});

describe('stopping', () => {
  it('takes the token, from the page itself', async () => {
    const board = await opened({ stop: true, every: 0 });
    const { hash, host, origin } = new URL(board.url);
    const authorization = `Bearer ${hash.slice(1)}`;
    const post = (headers: Record<string, string>, path = '/stop?run=%2F1', method = 'POST') =>
      ask(board.url, path, { method, headers: { host, ...headers } }).then(({ status }) => status);
    expect(await post({ authorization })).toBe(409);
    const page = await watch(board, '/1');
    const training = train([board, slowly(5)], { epochs: 1e6 });
    await until(() => page.list[0]?.canStop);
    // A form of another page, its script, a guess, a link, the token in the address.
    expect(await post({})).toBe(403);
    expect(await post({ 'content-type': 'text/plain', origin: 'https://evil.example' })).toBe(403);
    expect(await post({ authorization, origin: 'https://evil.example' })).toBe(403);
    expect(await post({ authorization, origin: 'null' })).toBe(403);
    expect(await post({ authorization, host: 'evil.example' })).toBe(403);
    for (const guess of ['', 'x', hash.slice(1, -1), `${hash.slice(1)}x`, hash]) {
      expect(await post({ authorization: `Bearer ${guess}` })).toBe(403);
    }
    expect(await post({ authorization }, '/stop?run=%2F1', 'GET')).toBe(405);
    expect(await post({}, `/stop?run=%2F1&token=${hash.slice(1)}`)).toBe(403);
    expect(await post({ authorization }, '/stop?run=%2F2')).toBe(409);
    expect(page.list[0].state).toBe('running');
    expect((await ask(board.url, '/stop', { method: 'OPTIONS', headers: { host } })).status).toBe(405);
    // Nothing that is told without it has it.
    for (const path of ['/', '/page.js'])
      expect((await ask(board.url, path)).text).not.toContain(hash.slice(1));
    expect(JSON.stringify(page.list)).not.toContain(hash.slice(1));
    expect(await post({ authorization, origin })).toBe(202);
    expect((await training).stopped).toBe('on the dashboard');
    await until(() => page.list[0].state === 'stopped');
    expect(page.list[0].canStop).toBe(false);
    expect(await post({ authorization, origin })).toBe(409);
  });

  it('is nobody’s where it was not asked for', async () => {
    const board = await opened({ host: '0.0.0.0' });
    const { port } = new URL(board.url);
    const page = await watch({ url: `http://127.0.0.1:${port}` }, '/1');
    const training = train([board, slowly(2)], { epochs: 20 });
    await until(() => page.list.length === 1);
    expect(page.list[0].canStop).toBe(false);
    const headers = { authorization: 'Bearer undefined' };
    const answer = await ask(`http://127.0.0.1:${port}`, '/stop?run=%2F1', { method: 'POST', headers });
    expect(answer.status).toBe(403);
    expect((await training).stopped).toBeUndefined();
  });
});
