/** Everything wrong that people do, and what is said about it: a line, and an exit code that tells whose mistake it is. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { axpy, bin, csvOf, flowerNames, flowers, folderOf, quick } from './support.ts';

const good = csvOf([flowerNames, ...flowers(60)]);
const folderOfMistakes = () =>
  folderOf({
    'good.csv': good,
    'empty.csv': '',
    'header.csv': 'a,b\n',
    'headless.csv': csvOf(flowers(60)),
    'twice.csv': 'a,a,b\n1,2,3\n',
    'ragged.csv': 'a,b\n1,2\n3\n4,5\n',
    'quote.csv': 'a,b\n1,"2\n3,4\n',
    'within.csv': 'a,b\n1,x"2"\n3,4\n',
    'latin.csv': Buffer.from('a,b\n1,caf\xe9\n', 'latin1'),
    'binary.csv': Buffer.from([1, 0, 2, 0, 3]),
    'fake.csv.gz': 'a,b\n1,2\n',
    'constant.csv': csvOf([['a', 'b'], ...Array.from({ length: 40 }, (_, i) => [i % 7, 1])]),
    'texts.csv': csvOf([['a', 'b'], ...Array.from({ length: 40 }, (_, i) => [i % 7, `text ${i}`])]),
    'dates.csv': csvOf([
      ['a', 'b'],
      ...Array.from({ length: 40 }, (_, i) => [i % 7, `2024-01-${1 + (i % 28)}`]),
    ]),
    'nothing.csv': csvOf([['id', 'b'], ...Array.from({ length: 40 }, (_, i) => [i, i % 2])]),
    'large.csv': csvOf([['a', 'b'], ...Array.from({ length: 40 }, (_, i) => [`${i + 1}e200`, i * 1.5])]),
    'few.csv': csvOf([flowerNames, ...flowers(12)]),
  });

const cases: [title: string, args: string[], code: number, message: RegExp][] = [
  ['no file', ['train', 'none.csv', '-t', 'b'], 1, /cannot read none\.csv: there is no such file/],
  ['a folder', ['train', '.', '-t', 'b'], 1, /it is a folder/],
  ['an empty file', ['train', 'empty.csv', '-t', 'b'], 1, /got an empty file/],
  ['names alone', ['train', 'header.csv', '-t', 'b'], 1, /at least 20 rows that have b, got 0/],
  ['no names', ['train', 'headless.csv', '-t', 'b'], 1, /names of columns, got the number/],
  ['a name twice', ['train', 'twice.csv', '-t', 'b'], 1, /a name of its own, got a twice/],
  ['a row that is too short', ['train', 'ragged.csv', '-t', 'b'], 1, /got 1 in line 3 of ragged\.csv/],
  ['a quote left open', ['train', 'quote.csv', '-t', 'b'], 1, /expected a quote that begins to end/],
  ['a quote within', ['train', 'within.csv', '-t', 'b'], 1, /in line 2 of within\.csv/],
  ['another encoding', ['train', 'latin.csv', '-t', 'b'], 1, /text in UTF-8/],
  ['no text', ['train', 'binary.csv', '-t', 'b'], 1, /a file that is no text/],
  ['no gzip', ['train', 'fake.csv.gz', '-t', 'b'], 1, /packed by gzip/],
  [
    'no such target',
    ['train', 'good.csv', '-t', 'color'],
    1,
    /one of the columns width, length, colour, got color/,
  ],
  ['a constant target', ['train', 'constant.csv', '-t', 'b'], 1, /more than one class, got "1" in all rows/],
  [
    'a constant number',
    ['train', 'constant.csv', '-t', 'b', '--task', 'regression'],
    1,
    /more than one value, got 1/,
  ],
  ['texts for classes', ['train', 'texts.csv', '-t', 'b'], 1, /at least two classes of 5 rows or more/],
  ['dates for a target', ['train', 'dates.csv', '-t', 'b'], 1, /numbers or classes, got dates/],
  [
    'classes as numbers',
    ['train', 'good.csv', '-t', 'colour', '--task', 'regression'],
    1,
    /to be numbers, got "red"/,
  ],
  ['nothing to predict from', ['train', 'nothing.csv', '-t', 'b'], 1, /none that tell anything/],
  ['few rows', ['train', 'few.csv', '-t', 'colour'], 1, /at least 20 rows that have colour, got 12/],
  [
    'dropping what is not there',
    ['train', 'good.csv', '-t', 'colour', '--drop', 'x'],
    1,
    /--drop to name columns/,
  ],
  [
    'dropping all',
    ['train', 'good.csv', '-t', 'colour', '--drop', 'width,length'],
    1,
    /none that tell anything/,
  ],
  ['time without dates', ['train', 'good.csv', '-t', 'colour', '--split', 'time'], 1, /a column of dates/],
  ['no folder', ['train', 'good.csv', '-t', 'colour', '-o', 'none/x.st'], 1, /expected a folder none/],
  [
    'its own table as the model',
    ['train', 'good.csv', '-t', 'colour', '-o', './good.csv'],
    2,
    /another file to write than/,
  ],
  [
    'one file for two',
    ['train', 'good.csv', '-t', 'colour', '-o', 'x', '--report', './x'],
    2,
    /different names/,
  ],
  [
    'predictions into the table',
    ['predict', 'none.st', 'good.csv', '-o', 'good.csv'],
    2,
    /another file to write than/,
  ],
  ['no target', ['train', 'good.csv'], 2, /expected --target/],
  ['no file named', ['train', '-t', 'b'], 2, /expected data\.csv, got nothing/],
  ['two files', ['train', 'good.csv', 'good.csv', '-t', 'b'], 2, /expected data\.csv/],
  ['a misspelt option', ['train', 'good.csv', '--targt', 'b'], 2, /--targt/],
  ['no number', ['train', 'good.csv', '-t', 'b', '--epochs', 'many'], 2, /--epochs to be a whole number/],
  [
    'a part of 2',
    ['train', 'good.csv', '-t', 'b', '--test', '2'],
    2,
    /--test to be a number from 0\.01 to 0\.5/,
  ],
  [
    'no task',
    ['train', 'good.csv', '-t', 'b', '--task', 'ranking'],
    2,
    /regression, classification, got ranking/,
  ],
  ['no sizes', ['train', 'good.csv', '-t', 'b', '--hidden', '8,x'], 2, /--hidden/],
  ['a long delimiter', ['train', 'good.csv', '-t', 'b', '--delimiter', ',,'], 2, /--delimiter/],
  ['no folder of runs', ['dashboard', 'nowhere'], 1, /a folder of runs, got nowhere/],
  ['no port', ['dashboard', '.', '--port', '70000'], 2, /--port to be a whole number from 0 to 65535/],
  ['numbers beyond all', ['train', 'large.csv', '-t', 'b'], 1, /at most 1e\+150 in a, got [\d.]+e\+20\d/],
  ['a target beyond all', ['train', 'large.csv', '-t', 'a'], 1, /at most 1e\+38 in the target a/],
  ['no command', ['tarin', 'good.csv'], 2, /expected a command, train, predict/],
  ['a table for a model', ['predict', 'good.csv', 'good.csv'], 1, /a model that axpy train wrote/],
  ['no model', ['predict', 'none.st', 'good.csv'], 1, /cannot read none\.st/],
  ['nothing to export to', ['export', 'good.csv'], 2, /--onnx, --npz or --weights/],
  ['what cannot be inspected', ['inspect', 'good.csv'], 1, /a file of another kind/],
];

test('each is said in one line', async () => {
  const folder = folderOfMistakes();
  for (let at = 0; at < cases.length; at += 4) {
    await Promise.all(
      cases.slice(at, at + 4).map(async ([title, args, code, message]) => {
        const outcome = await axpy(folder, args);
        const complaint = outcome.stderr.trim().split('\n').at(-1)!;
        expect({ title, code: outcome.code, stdout: outcome.stdout }).toEqual({ title, code, stdout: '' });
        expect(complaint, title).toMatch(message);
        expect(complaint, title).toMatch(/^axpy: /);
        expect(outcome.stderr, title).not.toMatch(/^ +at /m);
      }),
    );
  }
  const { stderr } = await axpy(folder, ['train', 'empty.csv', '-t', 'b'], { env: { AXPY_DEBUG: '1' } });
  expect(stderr).toMatch(/^FormatError: |^axpy: FormatError: .*\n +at /);
});

test.each([
  ['AXPY_BACKEND', 'gpu', /expected AXPY_BACKEND to be native, fallback or auto, got "gpu"/],
  ['AXPY_THREADS', 'many', /expected AXPY_THREADS to be an integer/],
])('%s that makes no sense', async (name, value, message) => {
  const { code, stderr } = await axpy(folderOf({ 'good.csv': good }), ['train', 'good.csv', '-t', 'colour'], {
    env: { [name]: value },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^axpy: .*\n$/);
});

test('a model and a table that do not fit', async () => {
  const folder = folderOf({ 'good.csv': good, 'other.csv': 'width;other\n1;2\n' });
  expect(await axpy(folder, ['train', 'good.csv', '-t', 'colour', ...quick, '-q'])).toMatchObject({
    code: 0,
    stderr: '',
  });
  const missing = await axpy(folder, ['predict', 'model.safetensors', 'other.csv']);
  expect(missing).toMatchObject({ code: 1, stdout: '' });
  expect(missing.stderr).toMatch(/^axpy: .*got none called length\n$/);
  const kept = await axpy(folder, ['predict', 'model.safetensors', 'good.csv', '--keep', 'name']);
  expect(kept).toMatchObject({ code: 1, stdout: '' });
});

test('a dashboard serves the runs of a folder until Ctrl+C, and says where a port is taken', async () => {
  const folder = folderOf({ 'good.csv': good });
  await axpy(folder, ['train', 'good.csv', '-t', 'colour', ...quick, '--runs', 'runs']);
  const child = spawn(process.execPath, [bin, 'dashboard', 'runs'], { cwd: folder });
  const ended = new Promise((resolve) => child.once('close', resolve));
  try {
    const url = await new Promise<string>((resolve) =>
      child.stdout.once('data', (text) => resolve(String(text).trim())),
    );
    expect(await (await fetch(url)).text()).toContain('<!doctype html>');
    const taken = await axpy(folder, ['dashboard', 'runs', '--port', new URL(url).port]);
    expect(taken).toMatchObject({ code: 1, stdout: '' });
    expect(taken.stderr).toMatch(/^axpy: .*\n$/);
  } finally {
    child.kill('SIGINT');
  }
  expect(await ended).toBe(0);
});

test('help, versions, and no words where none are wanted', async () => {
  const folder = folderOf({});
  const [all, none, own, version] = await Promise.all([
    axpy(folder, ['--help']),
    axpy(folder, []),
    axpy(folder, ['train', '--help']),
    axpy(folder, ['--version']),
  ]);
  expect(all).toMatchObject({ code: 0, stderr: '' });
  expect(none).toEqual({ ...all, code: 2 });
  expect(own.stdout).toContain('--target COLUMN');
  expect(await axpy(folder, ['help', 'train'])).toEqual(own);
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('the documentation names no option that there is not', async () => {
  const folder = folderOf({});
  const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const names = ['train', 'predict', 'inspect', 'export', 'dashboard', 'bench'];
  const helps = await Promise.all(names.map((name) => axpy(folder, [name, '--help'])));
  const known = helps.map(({ stdout }) => stdout).join('\n');
  const named = [...new Set(page.match(/--[a-z]+/g))];
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((option) => !known.includes(option))).toEqual([]);
});

/** Tables as they come: any words, any number of columns, gaps, quotes. */
const cell = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: -5, max: 50 }).map(String) },
  { weight: 2, arbitrary: fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map(String) },
  fc.constantFrom(
    '',
    'NA',
    '?',
    'yes',
    'no',
    '2024-02-30',
    '2024-02-28',
    '1,5',
    '1e400',
    '-0',
    '__proto__',
    'NaN',
  ),
  fc.string({ maxLength: 5 }),
);
const tables = fc.integer({ min: 1, max: 4 }).chain((width) =>
  fc.tuple(
    fc.array(fc.constantFrom('a', 'b.c', 'constructor', '__proto__', 'ü', 'x y', 'weekday'), {
      minLength: width,
      maxLength: width,
    }),
    // Columns of a few words are more like tables than columns of all.
    fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { minLength: width, maxLength: width }),
    fc.integer({ min: 15, max: 60 }),
    fc.integer(),
  ),
);

test('no table is a bug of ours', async () => {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  await fc.assert(
    fc.asyncProperty(tables, async ([names, words, rows, seed]) => {
      const head = names.map((name, i) => quoted(`${name}${i === 0 ? '' : i}`));
      const lines = Array.from({ length: rows }, (_, i) =>
        words.map((own, j) =>
          quoted(own[Math.abs((seed ^ (i * 2654435761)) + j * 40503 + i * j) % own.length]),
        ),
      );
      const target = names[0];
      const folder = folderOf({ 'data.csv': csvOf([head, ...lines]) });
      const trained = await axpy(folder, ['train', 'data.csv', `--target=${target}`, ...quick]);
      expect([0, 1], trained.stderr).toContain(trained.code);
      expect(trained.stderr).not.toContain('bug of axpy');
      if (trained.code !== 0) return;
      const predicted = await axpy(folder, ['predict', 'model.safetensors', 'data.csv', '--keep', target]);
      expect(predicted.code, predicted.stderr).toBe(0);
    }),
    { numRuns: 12 },
  );
}, 120_000);
