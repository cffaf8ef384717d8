/** `axpy train` and `axpy predict`: what they say is what somebody else would compute, and what they save is what was trained. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type AnyModel, loadModel, predict, trainTestSplit } from '../../lib/index.ts';
import { readRuns } from '../../lib/runs/index.ts';
import {
  axpy,
  csvOf,
  flowerNames,
  flowers,
  folderOf,
  houseNames,
  houses,
  quick,
  randomNumbers,
} from './support.ts';

const root = new URL('../../', import.meta.url).pathname;

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const rmse = (predicted: readonly number[], actual: readonly number[]) =>
  Math.sqrt(mean(predicted.map((value, i) => (value - actual[i]) ** 2)));

/** Gauss's elimination, with the largest pivot. */
function solve(a: number[][], b: number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i]]);
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    const pivot = rows
      .slice(k)
      .reduce((best, row, i) => (Math.abs(row[k]) > Math.abs(rows[best][k]) ? k + i : best), k);
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = k + 1; i < n; i++) {
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let k = n - 1; k >= 0; k--)
    x[k] =
      (rows[k][n] - rows[k].slice(k + 1, n).reduce((sum, value, j) => sum + value * x[k + 1 + j], 0)) /
      rows[k][k];
  return x;
}

test('the mean and ridge regression are what normal equations in float64 say', async () => {
  const next = randomNumbers(5);
  // A target that may be below 0, so that there is no question of logarithms.
  const rows = Array.from({ length: 240 }, () => {
    const [a, b, c] = [next() * 10, next() - 0.5, next() * 1000];
    return [a, b, c, 2 * a - 30 * b + 0.01 * c + Math.sin(a) * 3 - 15 + next()];
  });
  const folder = folderOf({ 'data.csv': csvOf([['a', 'b', 'c', 'y'], ...rows]) });
  const { code, stdout, stderr } = await axpy(folder, [
    'train',
    'data.csv',
    '-t',
    'y',
    '--model',
    'linear',
    '--json',
    '--seed',
    '7',
    '-q',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const result = JSON.parse(stdout);

  const { train: rest, test: held } = trainTestSplit(Array.from(rows.keys()), { testSize: 0.2, seed: 7 });
  const { train, test: validation } = trainTestSplit(rest, { testSize: 0.2, seed: 7 });
  const y = (at: readonly number[]) => at.map((i) => rows[i][3]);
  expect(result.heldOut).toBe(held.length);
  expect(result.scores.mean.RMSE).toBeCloseTo(
    rmse(
      held.map(() => mean(y(train))),
      y(held),
    ),
    8,
  );

  const statistics = [0, 1, 2, 3].map((j) => {
    const center = mean(train.map((i) => rows[i][j]));
    return { center, deviation: Math.sqrt(mean(train.map((i) => (rows[i][j] - center) ** 2))) };
  });
  const scaled = (i: number, j: number) => (rows[i][j] - statistics[j].center) / statistics[j].deviation;
  const errors = [1, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-6].map((lambda) => {
    const features = [0, 1, 2];
    const product = features.map((j) =>
      features.map((k) => mean(train.map((i) => scaled(i, j) * scaled(i, k))) + (j === k ? lambda : 0)),
    );
    const weights = solve(
      product,
      features.map((j) => mean(train.map((i) => scaled(i, j) * scaled(i, 3)))),
    );
    const predicted = (at: readonly number[]) =>
      at.map(
        (i) =>
          statistics[3].center +
          statistics[3].deviation * features.reduce((sum, j) => sum + weights[j] * scaled(i, j), 0),
      );
    return { validation: rmse(predicted(validation), y(validation)), test: rmse(predicted(held), y(held)) };
  });
  const best = errors.reduce((one, other) => (other.validation < one.validation ? other : one));
  expect(result.scores.linear.RMSE / best.test).toBeCloseTo(1, 4);
  expect(result.validation.linear / best.validation).toBeCloseTo(1, 4);
});

test('a model of numbers: better than the mean, the same by a seed, and in a program', async () => {
  const rows = houses(300);
  const folder = folderOf({ 'data.csv': csvOf([houseNames, ...rows]) });
  const args = ['train', 'data.csv', '-t', 'price', ...quick];
  const [one, other, third] = await Promise.all([
    axpy(folder, [...args, '-o', 'one.st', '--report', 'one.html', '--runs', 'runs']),
    axpy(folder, [...args, '-o', 'other.st', '--json']),
    axpy(folder, [...args, '-o', 'third.st', '--json', '--seed', '2']),
  ]);
  expect([one.code, other.code, third.code], one.stderr + other.stderr).toEqual([0, 0, 0]);
  const bytes = (name: string) => readFileSync(join(folder, name));
  expect(bytes('one.st').equals(bytes('other.st'))).toBe(true);
  expect(bytes('one.st').equals(bytes('third.st'))).toBe(false);
  const { scores, kept } = JSON.parse(other.stdout);
  expect(scores[kept].RMSE).toBeLessThan(0.2 * scores.mean.RMSE);
  expect(one.stdout).toMatch(/held out +RMSE +MAE +R²\n/);
  expect(one.stderr).toContain('numbers: size, age\n');
  expect(one.stderr).toContain('categories: city\n');
  expect(bytes('one.html').toString()).toContain('<title>price of data.csv</title>');
  const [run] = await readRuns(join(folder, 'runs'));
  expect(run.info.config).toMatchObject({ data: 'data.csv', target: 'price' });
  expect(run.events.filter(({ type }) => type === 'scalars')).toHaveLength(1);

  const asked = [
    ...houses(7, 9).map((row) => [...row.slice(0, 3), 'x']),
    ['', '', '', ''],
    ['100', '5', 'Atlantis', ''],
  ];
  const predicted = await axpy(folder, ['predict', 'one.st', '-', '--keep', 'city,age'], {
    input: csvOf([houseNames, ...asked]),
  });
  expect(predicted.code).toBe(0);
  expect(predicted.stderr).toMatch(
    /size: 1 cell without a number, taken as \d+(\.\d+)?, the median of training/,
  );
  const lines = predicted.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  expect(lines[0]).toEqual(['city', 'age', 'price']);
  expect(lines).toHaveLength(1 + asked.length);
  const model = await loadModel<AnyModel>(join(folder, 'one.st'));
  const own = await predict(
    model,
    asked.slice(0, 7).map(([size, age, city]) => ({ size: Number(size), age: Number(age), city })),
  );
  lines.slice(1, 8).forEach(([city, age, price], i) => {
    expect([city, age]).toEqual([asked[i][2], String(asked[i][1])]);
    expect(Math.abs(Number(price) / own.data[i] - 1)).toBeLessThan(2e-6);
  });
  expect(lines.slice(8).every(([, , price]) => Number(price) > 0)).toBe(true);
});

test('a model of classes: scores, confusion, probabilities', async () => {
  const rows = [...flowers(240), ['1', '1', 'odd'], ['1', '2', ''], ['2', '2', 'odd']];
  const folder = folderOf({ 'data.csv': csvOf([flowerNames, ...rows]) });
  const args = ['train', 'data.csv', '-t', 'colour', ...quick];
  const { code, stdout, stderr } = await axpy(folder, [...args, '--model', 'network', '--balanced']);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('colour: 3 classes, of 240 rows; 1 row without it left out\n');
  expect(stderr).toContain('2 rows left out, of classes too rare to be tested: odd\n');
  expect(stdout).toMatch(/class +rows +precision +recall +F1\nblue /);
  const json = await axpy(folder, [
    'train',
    'data.csv',
    '-t',
    'colour',
    '--model',
    'linear',
    '--json',
    '-o',
    'line.st',
  ]);
  const { confusion, classes, scores, heldOut } = JSON.parse(json.stdout);
  expect(classes).toEqual(['blue', 'red', 'white']);
  expect(confusion.flat().reduce((sum: number, count: number) => sum + count)).toBe(heldOut);
  const hits = confusion.reduce((sum: number, row: number[], k: number) => sum + row[k], 0);
  expect(scores.linear.accuracy).toBeCloseTo(hits / heldOut, 12);
  expect(scores['most frequent']['log loss']).toBeCloseTo(Math.log(3), 2);

  const predicted = await axpy(folder, [
    'predict',
    'line.st',
    'data.csv',
    '--proba',
    '-o',
    'out.csv',
    '--keep',
    'colour',
  ]);
  expect(predicted).toMatchObject({ code: 0, stdout: '' });
  const [head, ...lines] = readFileSync(join(folder, 'out.csv'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  expect(head).toEqual(['colour', 'predicted colour', 'colour=blue', 'colour=red', 'colour=white']);
  expect(lines).toHaveLength(rows.length);
  expect(lines.map(([own]) => own)).toEqual(rows.map((row) => row[2]));
  for (const [, colour, ...shares] of lines) {
    const values = shares.map(Number);
    expect(values.reduce((sum, value) => sum + value)).toBeCloseTo(1, 5);
    expect(classes[values.indexOf(Math.max(...values))]).toBe(colour);
  }
  expect(lines.filter(([own, colour]) => own === colour).length).toBeGreaterThan(0.9 * rows.length);
});

test('dates, decimal commas, semicolons, a BOM, gzip, missing values, what is no use', async () => {
  const next = randomNumbers(3);
  const rows = Array.from({ length: 400 }, (_, i) => {
    const date = new Date(Date.UTC(2024, 0, 1) + i * 86_400_000);
    const [year, month, day] = date.toISOString().slice(0, 10).split('-');
    const weekend = date.getUTCDay() % 6 === 0;
    const warm = i % 9 === 0 ? '' : (20 * next()).toFixed(2).replace('.', ',');
    const sales = (weekend ? 500 : 100) + 10 * next();
    return [
      i + 1,
      `${day}.${month}.${year}`,
      warm,
      'EUR',
      `"text; number ${i}"`,
      sales.toFixed(2).replace('.', ','),
    ];
  });
  const text = `\ufeff${csvOf([['Nr', 'Tag', 'Wärme', 'Währung', 'Notiz', 'Umsatz'], ...rows], ';')}\r\n`;
  const folder = folderOf({ 'daten.csv.gz': gzipSync(text), 'daten.csv': text });
  const { code, stdout, stderr } = await axpy(folder, [
    'train',
    'daten.csv.gz',
    '-t',
    'Umsatz',
    ...quick,
    '--json',
  ]);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('Nr is left out: it is another number in each row');
  expect(stderr).toContain('Währung is left out: it is "EUR" in all rows');
  expect(stderr).toContain('Notiz is left out: it has 400 different texts in 400 rows');
  expect(stderr).toContain('dates: Tag\n');
  expect(stderr).toContain('numbers: Wärme\n');
  expect(stderr).toContain('80 held out, the latest by Tag');
  const { scores, kept } = JSON.parse(stdout);
  // What tells weekends from other days is the calendar alone.
  expect(scores[kept]['R²']).toBeGreaterThan(0.95);
  expect(scores.mean['R²']).toBeLessThan(0.05);
  const predicted = await axpy(folder, ['predict', 'model.safetensors', '-'], {
    input: 'Wärme;Tag\n;06.07.2024\n1,5;08.07.2024\n',
  });
  expect(predicted.code, predicted.stderr).toBe(0);
  const [, saturday, monday] = predicted.stdout.split('\n').map(Number);
  expect(saturday).toBeGreaterThan(350);
  expect(monday).toBeLessThan(250);
  const onnx = await axpy(folder, ['export', 'model.safetensors', '--onnx', 'model.onnx']);
  expect(onnx.code, onnx.stderr).toBe(0);
});

test('Ctrl+C keeps what is best so far', async () => {
  const folder = folderOf({ 'data.csv': csvOf([houseNames, ...houses(300)]) });
  const args = ['train', 'data.csv', '-t', 'price', '--networks', '40', '--hidden', '256,256'];
  const { code, stdout, stderr } = await axpy(folder, args, { interruptAt: /network 1 of 40/ });
  expect(code).toBe(130);
  expect(stderr).toContain('what is best so far is kept');
  expect(stderr).not.toContain('network 40 of 40');
  expect(stdout).toContain('<- kept');
  expect(await axpy(folder, ['inspect', 'model.safetensors'])).toMatchObject({ code: 0, stderr: '' });
});

test('real sales: at least as good as a linear model', async () => {
  const folder = folderOf({});
  const file = join(root, 'examples/data/sacramento.csv');
  const { code, stdout } = await axpy(folder, [
    'train',
    file,
    '-t',
    'price',
    '--json',
    '--networks',
    '2',
    '-q',
  ]);
  expect(code).toBe(0);
  const { scores, kept, heldOut } = JSON.parse(stdout);
  expect(heldOut).toBe(187);
  expect(scores[kept].RMSE).toBeLessThanOrEqual(scores.linear.RMSE);
  expect(scores[kept].RMSE).toBeLessThan(0.6 * scores.mean.RMSE);
});
