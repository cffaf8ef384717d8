/** The server: whom it answers, what, and what strangers and slow pages can do. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect as connectTo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { type DashboardOptions, dashboard } from '../../lib/dashboard/index.ts';
import { pointsOf } from '../../lib/dashboard/page/run.ts';
import { ArgumentError, tensor } from '../../lib/index.ts';
import { type Run, readRun, runFolder } from '../../lib/runs/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { train } from '../runs/support.ts';
import { ask, opened, until, type Watcher, watch } from './support.ts';

/** A folder with a run in which there is everything. */
async function folderOfRun(name = 'a'): Promise<{ folder: string; run: Run }> {
  const folder = temporaryFolder();
  const own = runFolder({ folder, name, config: { note: '<i>' }, every: 0, norms: 0, histograms: 0 });
  await train([own], { metrics: ['r2'] });
  await own.image('first', tensor([[0, 1]]));
  await own.confusion(
    [
      [1, 2],
      [3, 4],
    ],
    { labels: ['<cat>', 'dog'] },
  );
  await own.scalars({ 'test.loss': 0.5 });
  return { folder, run: await readRun(own.path!) };
}

const line = (event: object) => `${JSON.stringify({ time: 1, step: 1, epoch: 1, ...event })}\n`;
const batch = (step: number, loss: unknown) =>
  line({ type: 'batch', step, batch: step, loss, learningRate: 0.1 });

describe('a run on disk', () => {
  it('is told as it is written', async () => {
    const { folder, run } = await folderOfRun();
    const page = await watch(await opened({ folder }), 'a');
    await until(() => page.runs.get('a')?.details?.end !== undefined);
    const { lines, details, histograms, at } = page.runs.get('a')!;
    expect(page.list).toMatchObject([
      { id: 'a', name: 'a', state: 'finished', isLive: false, canStop: false },
    ]);
    expect(details!.info).toEqual(run.info);
    expect(details!.end).toEqual(run.end);
    expect(at).toMatchObject({ step: 12, epoch: 3, batch: 4 });
    expect(details!.confusions).toMatchObject([
      {
        name: 'confusion',
        counts: [
          [1, 2],
          [3, 4],
        ],
        labels: ['<cat>', 'dog'],
      },
    ]);
    const close = (name: string, expected: readonly (readonly number[])[]) => {
      const [x, y] = pointsOf(lines.get(name)!);
      expect(x, name).toEqual(expected.map(([step]) => step));
      y.forEach((value, i) => {
        expect(Math.abs(value! - expected[i][1]), name).toBeLessThanOrEqual(1e-6 * Math.abs(expected[i][1]));
      });
    };
    const of = (type: string) =>
      run.events.filter((event) => event.type === type) as never as Record<string, never>[];
    for (const key of ['loss', 'learningRate', 'examplesPerSecond', 'memory']) {
      close(
        `batch/${key}`,
        of('batch').map((event) => [event.step, event[key]]),
      );
    }
    for (const name of ['0.weight', '0.bias', '1.weight', '1.bias']) {
      close(
        `weights/${name}`,
        of('norms').map(({ step, weights }) => [step, weights[name]]),
      );
      close(
        `gradients/${name}`,
        of('norms').map(({ step, gradients }) => [step, gradients[name]]),
      );
    }
    close(
      'epoch/loss',
      run.history.epochs.map(({ epoch, loss }) => [epoch, loss]),
    );
    close(
      'epoch/r2',
      run.history.epochs.map(({ epoch, r2 }) => [epoch, r2]),
    );
    close('scalars/test.loss', [[12, 0.5]]);
    expect(histograms.names).toEqual(expect.arrayContaining(['weights/0.weight', 'gradients/1.bias']));
  });

  it('has histograms and images where they are asked for', async () => {
    const { folder, run } = await folderOfRun();
    const { url } = await opened({ folder });
    const page = await watch({ url }, 'a');
    await until(() => page.runs.get('a')?.details !== undefined);
    const answer = await ask(url, '/histograms?run=a&name=weights%2F0.weight');
    const told = run.events.flatMap((event) =>
      event.type === 'histograms' ? [{ ...event.weights['0.weight'], step: event.step }] : [],
    );
    expect(JSON.parse(answer.text)).toEqual(told);
    const [{ file, width, height }] = page.runs.get('a')!.details!.images.first;
    expect([width, height]).toEqual([2, 1]);
    const image = await ask(url, `/image?run=a&name=${encodeURIComponent(file)}`);
    expect([image.status, image.headers['content-type']]).toEqual([200, 'image/png']);
    expect(image.text).toBe(readFileSync(join(folder, 'a', file), 'latin1'));
  });

  it('is followed while it grows, begins anew, and goes', async () => {
    const { folder } = await folderOfRun();
    const [place, target] = [join(folder, 'a'), join(folder, 'b')];
    cpSync(place, target, { recursive: true });
    const events = join(target, 'events.jsonl');
    writeFileSync(
      events,
      line({ type: 'begin', step: 0, completed: 0, epochs: 3 }) + batch(1, 4) + batch(2, 3),
    );
    const page = await watch(await opened({ folder }), 'b');
    const losses = () => page.runs.get('b')?.lines.get('batch/loss')?.y.join();
    await until(() => losses() === '4,3');
    // A line in two parts, one that is none, and a letter of which a part is not there yet.
    const whole = Buffer.from(line({ type: 'scalars', step: 3, values: { größe: 5 } }));
    appendFileSync(events, `${batch(3, 'NaN')}nothing\n`);
    const cut = whole.indexOf(0xc3) + 1;
    appendFileSync(events, whole.subarray(0, cut));
    await until(() => losses() === '4,3,');
    appendFileSync(events, whole.subarray(cut));
    await until(() => page.runs.get('b')!.latest('scalars/größe') === 5);
    expect(page.runs.get('b')!.lines.get('batch/loss')!.notFinite).toEqual({ count: 1, x: 3 });
    expect(page.runs.get('b')!.details!.damaged).toBe(1);
    // From a checkpoint after the first batch.
    appendFileSync(events, line({ type: 'begin', step: 1, completed: 0, epochs: 3 }) + batch(2, 2.5));
    await until(() => losses() === '4,2.5');
    expect(page.runs.get('b')!.lines.has('scalars/größe')).toBe(false);
    truncateSync(events, 0);
    appendFileSync(events, batch(1, 9));
    await until(() => losses() === '9');
    expect(page.list.map(({ id }) => id).sort()).toEqual(['a', 'b']);
    rmSync(target, { recursive: true });
    await until(() => page.list.length === 1, 'the end of a run');
  });

  it('of 100,000 batches is told in 2,000 points', async () => {
    const { folder } = await folderOfRun();
    const lines = Array.from({ length: 100_000 }, (_, i) => batch(i + 1, i === 54_320 ? 99 : 1 / (i + 1)));
    writeFileSync(join(folder, 'a', 'events.jsonl'), lines.join(''));
    const page = await watch(await opened({ folder }), 'a');
    await until(() => page.runs.get('a')?.at.step === 100_000);
    const { x, y, last } = page.runs.get('a')!.lines.get('batch/loss')!;
    expect(x.length).toBeLessThanOrEqual(2000);
    expect(x.length).toBeGreaterThan(900);
    expect(y[x.indexOf(54_321)]).toBe(99);
    expect(last).toEqual([100_000, 1e-5]);
    expect(page.bytes).toBeLessThan(500_000);
  });

  it('that is damaged is said to be, beside others', async () => {
    const { folder } = await folderOfRun();
    for (const [name, text] of Object.entries({
      json: '{',
      format: '{"format":2}',
      other: '{"format":1,"created":1,"began":1}',
    })) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'run.json'), text);
    }
    // Every kind of event with what it should not have.
    const types = [
      'batch',
      'norms',
      'histograms',
      'epoch',
      'scalars',
      'histogram',
      'image',
      'confusion',
      'end',
    ];
    const contents = [
      {},
      { record: 3 },
      { weights: { a: 3, b: { counts: 'x' } } },
      { values: [1] },
      { name: 3, file: 4 },
    ];
    const strange = types.flatMap((type) => contents.map((content) => line({ type, ...content })));
    appendFileSync(join(folder, 'a', 'events.jsonl'), strange.join(''));
    const page = await watch(await opened({ folder }), 'a', 'json');
    await until(() => page.list.length === 4);
    const problems = Object.fromEntries(page.list.map(({ id, state, problem }) => [id, [state, problem]]));
    expect(problems.json).toEqual(['unreadable', expect.stringContaining('expected JSON')]);
    expect(problems.format).toEqual(['unreadable', expect.stringContaining('run of format 1')]);
    expect(problems.other).toEqual(['unreadable', expect.stringContaining('with a model')]);
    await until(() => page.runs.get('a')?.latest('batch/loss') !== undefined);
  });

  it('may be the folder itself, and one that is not there may come', async () => {
    const { folder } = await folderOfRun();
    const page = await watch(await opened({ folder: join(folder, 'a') }), 'a');
    await until(() => page.runs.get('a')?.details !== undefined);
    const later = join(folder, 'later');
    const other = await watch(await opened({ folder: later }), 'a');
    await until(() => other.messages > 0);
    expect(other.list).toEqual([]);
    cpSync(join(folder, 'a'), join(later, 'a'), { recursive: true });
    await until(() => other.runs.get('a')?.details !== undefined);
  });
});

describe('strangers', () => {
  test('ask for this machine, or get nothing', async () => {
    const { url } = await opened();
    const { port } = new URL(url);
    const statusOf = async (host: string) => (await ask(url, '/', { headers: { host } })).status;
    for (const host of [
      `127.0.0.1:${port}`,
      'localhost:9',
      'localhost',
      'a.localhost',
      `[::1]:${port}`,
      '127.1.2.3',
    ]) {
      expect(await statusOf(host), host).toBe(200);
    }
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1.evil.example',
      'localhost.evil.example',
    ]) {
      expect(await statusOf(host), host).toBe(403);
    }
    const socket = connectTo(Number(port), '127.0.0.1');
    const said = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.end('GET / HTTP/1.0\r\n\r\n');
    expect((await said).toString()).toMatch(/^HTTP\/1\.1 403/);
    // Elsewhere any name may be this machine's.
    const open = await opened({ host: '0.0.0.0' });
    const own = `http://127.0.0.1:${new URL(open.url).port}/`;
    expect((await ask(own, '/', { headers: { host: 'box.example' } })).status).toBe(200);
  });

  test('run no script of theirs, and frame nothing', async () => {
    const { url } = await opened();
    for (const path of ['/', '/page.js', '/page.css', '/icon.svg', '/nothing', '/image?run=a&name=b']) {
      const { headers, status } = await ask(url, path);
      expect(status).toBe(path.includes('n') && !path.includes('icon') && path !== '/' ? 404 : 200);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; script-src 'self'; style-src 'self';/,
      );
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|http/);
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    }
    const { text } = await ask(url, '/');
    expect(text).not.toMatch(/https?:|<style|style=| on\w+=/);
    expect((await ask(url, '/', { method: 'POST' })).status).toBe(405);
    expect((await ask(url, '//')).status).toBeGreaterThanOrEqual(400);
    for (const path of ['/__proto__', '/constructor', '/%00', '/%', '/../../etc/passwd']) {
      expect((await ask(url, path)).status, path).toBe(404);
    }
  });

  test('see images of a run, and no other file', async () => {
    const { folder } = await folderOfRun();
    const secret = join(folder, 'secret.png');
    writeFileSync(secret, 'secret');
    const place = join(folder, 'a');
    writeFileSync(join(place, 'notes.txt'), 'secret');
    symlinkSync(secret, join(place, 'images', 'link.png'));
    const names = [
      '../secret.png',
      secret,
      'images/../../secret.png',
      'images/link.png',
      'notes.txt',
      'run.json',
      '.',
      '',
    ];
    const image = { type: 'image', step: 12, name: 'x', width: 1, height: 1 };
    appendFileSync(join(place, 'events.jsonl'), names.map((file) => line({ ...image, file })).join(''));
    const { url } = await opened({ folder });
    const page = await watch({ url }, 'a');
    await until(() => page.runs.get('a')?.details?.images.x !== undefined);
    // What a run names, what it does not, and runs that are none.
    for (const name of [...names, 'images/nothing.png', '/etc/passwd', 'images\\..\\..\\secret.png']) {
      const { status, text } = await ask(url, `/image?run=a&name=${encodeURIComponent(name)}`);
      expect([status, text], name).toEqual([404, 'no such image']);
    }
    for (const run of ['..', '.', '', 'b', '__proto__']) {
      expect((await ask(url, `/image?run=${run}&name=secret.png`)).status).toBe(404);
      expect((await ask(url, `/histograms?run=${run}&name=x`)).status).toBe(404);
    }
  });

  test('do not stop it by what is no request', async () => {
    const { url } = await opened();
    const { port, hostname } = new URL(url);
    for (const text of [
      '\r\n\r\n',
      'GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n',
      '\0\0',
      `GET / HTTP/1.1\r\nHost: localhost\r\nx: ${'x'.repeat(99_999)}`,
    ]) {
      const socket = connectTo(Number(port), hostname);
      const ended = new Promise((resolve) => socket.on('close', resolve).on('error', () => {}));
      socket.write(text);
      socket.end();
      socket.resume();
      await ended;
    }
    expect((await ask(url, '/')).status).toBe(200);
  });
});

describe('pages', () => {
  it('that take nothing cost no more than others, and hold up nobody', async () => {
    const { folder } = await folderOfRun();
    const events = join(folder, 'a', 'events.jsonl');
    // 1,000 curves of 100 points: more than a socket takes at once.
    const values = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`a long name of a number ${i}`, i / 3]),
    );
    const lines = Array.from({ length: 100 }, (_, i) => line({ type: 'scalars', step: i + 1, values }));
    writeFileSync(events, lines.join(''));
    const { url } = await opened({ folder });
    const { port, hostname } = new URL(url);
    const slow = connectTo({ port: Number(port), host: hostname });
    slow.pause();
    slow.write('GET /events?run=a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const page = await watch({ url }, 'a');
    await until(() => page.runs.get('a')?.at.step === 100);
    const before = process.memoryUsage().arrayBuffers;
    for (let step = 101; step <= 130; step += 10) {
      const more = Array.from({ length: 10 }, (_, i) => line({ type: 'scalars', step: step + i, values }));
      appendFileSync(events, more.join(''));
      await until(() => page.runs.get('a')!.at.step === step + 9);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 2 ** 20);
    // Once it reads, it is told what it missed.
    let text = '';
    slow.on('data', (part) => {
      text += part;
    });
    slow.resume();
    await until(() => /"at":\{"time":1,"step":130/.test(text), 'what a slow page missed');
    slow.destroy();
  });

  it('are 64 at most', async () => {
    const board = await opened();
    const pages: Watcher[] = [];
    for (let i = 0; i < 64; i++) pages.push(await watch(board));
    await expect(watch(board)).rejects.toThrow('503');
    pages[0].close();
    await until(() => pages[1].messages > 0);
    const deadline = Date.now() + 5000;
    let again: unknown;
    while (again === undefined && Date.now() < deadline) again = await watch(board).catch(() => undefined);
    expect(again).toBeDefined();
  });
});

describe('options', () => {
  const refused: [unknown, RegExp][] = [
    [{ port: -1 }, /expected port to be an integer from 0 to 65535, got -1/],
    [{ port: 1.5 }, /got 1.5/],
    [{ port: '80' }, /got "80"/],
    [{ port: 65536 }, /got 65536/],
    [{ host: '' }, /expected host to be a string/],
    [{ host: 3 }, /expected host to be a string, got 3/],
    [{ folder: 3 }, /expected a path/],
    [{ name: '' }, /expected name to be a string/],
    [{ stop: 1 }, /expected stop to be true or false/],
    [{ token: 'a'.repeat(16) }, /expected no token without stop/],
    [{ stop: true, token: 'short' }, /expected token to be 16 letters[^"]*got something else$/],
    [{ stop: true, token: `${'a'.repeat(20)}#` }, /expected token/],
    [{ every: -1 }, /expected every to be a number of seconds/],
    [{ norms: 'x' }, /expected norms/],
    [{ open: true }, /expected options among port/],
    [null, /expected options to be an object/],
  ];
  it.each(refused)('%j are refused', async (options, message) => {
    const attempt = dashboard(options as DashboardOptions);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toThrow(ArgumentError);
  });

  it('name a port that is in use, and a host that is none', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const error = await dashboard({ port }).catch((error) => error);
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error.message).toMatch(
      new RegExp(`^\\[dashboard\\] expected a host and a port .* ${port}: .*EADDRINUSE`),
    );
    expect(error.cause.code).toBe('EADDRINUSE');
    other.close();
    await expect(dashboard({ host: '192.0.2.1' })).rejects.toThrow(ArgumentError);
  });

  it('give an address by which it is found', async () => {
    expect((await opened()).url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect((await opened({ host: 'localhost' })).url).toMatch(/^http:\/\/localhost:\d+\/$/);
    expect((await opened({ stop: true })).url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#[\w-]{24}$/);
    expect((await opened({ stop: true, token: 'abcdefgh_12345-7' })).url).toMatch(/#abcdefgh_12345-7$/);
    expect((await opened({ host: '0.0.0.0' })).url).not.toContain('0.0.0.0');
  });
});
