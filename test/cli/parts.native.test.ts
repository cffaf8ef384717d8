/** What the commands are made of: cells, files of CSV, linear models. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { calendar, readDate, readNumber } from '../../lib/cli/cells.ts';
import { find } from '../../lib/cli/columns.ts';
import { openCsv } from '../../lib/cli/csv.ts';
import { fitLinear } from '../../lib/cli/linear.ts';
import { cellOf, shortest } from '../../lib/cli/predict.ts';
import { readTable } from '../../lib/cli/sample.ts';
import { type Tensor, tensor } from '../../lib/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { randomNumbers } from './support.ts';

test.each([
  ['1,234.5', 'point', 1234.5],
  ['1.234,5', 'comma', 1234.5],
  ['-1,5', 'comma', -1.5],
  ['1,5', 'point', Number.NaN],
  ['$1,200', 'point', 1200],
  ['-€ 3.50', 'point', -3.5],
  ['12 %', 'point', 12],
  [' 7 ', 'point', 7],
  ['1e3', 'point', 1000],
  ['.5', 'point', 0.5],
  ['5.', 'point', 5],
  ['.', 'point', Number.NaN],
  ['', 'point', Number.NaN],
  ['1e999', 'point', Number.NaN],
  ['0x10', 'point', Number.NaN],
  ['12,34,567', 'point', Number.NaN],
] as const)('the number %s, %s', (cell, format, value) => {
  expect(readNumber(cell, format)).toBe(value);
});

test('numbers as JavaScript writes them are read', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(readNumber(String(value), 'point')).toBe(value + 0);
      expect(readNumber(String(value).replace('.', ','), 'comma')).toBe(value + 0);
    }),
  );
});

test('dates are what Date says, in each format, and no others', () => {
  const pad = (value: number) => String(value).padStart(2, '0');
  fc.assert(
    fc.property(
      fc.date({ min: new Date('1901-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }),
      (date) => {
        const [y, m, d] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()];
        const [h, min] = [date.getUTCHours(), date.getUTCMinutes()];
        const days = Date.UTC(y, m - 1, d, h, min) / 86_400_000;
        const time = `${pad(h)}:${pad(min)}`;
        const half = `${h % 12 || 12}:${pad(min)} ${h < 12 ? 'AM' : 'PM'}`;
        expect(readDate(`${y}-${pad(m)}-${pad(d)}T${time}:00Z`, 'ymd')).toBeCloseTo(days, 9);
        expect(readDate(`${d}.${m}.${y} ${time}`, 'dmy')).toBeCloseTo(days, 9);
        expect(readDate(`${m}/${d}/${y} ${half}`, 'mdy')).toBeCloseTo(days, 9);
        const { weekday, dayOfMonth, dayOfYear, hour } = calendar(days);
        expect(weekday).toBe(date.toLocaleDateString('en-US', { weekday: 'long', timeZone: 'UTC' }));
        expect([dayOfMonth, dayOfYear]).toEqual([
          d,
          (Date.UTC(y, m - 1, d) - Date.UTC(y, 0, 0)) / 86_400_000,
        ]);
        expect(hour).toBeCloseTo(h + min / 60, 6);
      },
    ),
  );
  for (const no of ['2023-02-29', '2024-13-01', '2024-1', 'x', '', '2024-01-01 25:00'])
    expect(readDate(no, 'ymd')).toBeNaN();
});

test('what is written is read, whatever is in it', async () => {
  const folder = temporaryFolder();
  const text = fc.string({ unit: fc.constantFrom('a', ',', ';', '"', '\n', ' ', 'é', '\t', '😀') });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(text, text, text), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(',', ';', '\t', '|'),
      async (rows, delimiter) => {
        const path = join(folder, 'x.csv');
        const quoted = rows.map((row) =>
          row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(delimiter),
        );
        writeFileSync(path, `\ufeff${[`a${delimiter}b${delimiter}c`, ...quoted].join('\r\n')}\r\n`);
        const sheet = await openCsv('test', path, delimiter);
        const read: (readonly string[])[] = [];
        for await (const row of sheet.rows) read.push(row);
        expect(sheet.names).toEqual(['a', 'b', 'c']);
        expect(read).toEqual(rows);
      },
    ),
    { numRuns: 60 },
  );
});

test.each([',', ';', '\t', '|'])('the delimiter %j is found', async (delimiter) => {
  const path = join(temporaryFolder(), 'x.csv');
  const rows = ['name', 'value', 'note'].join(delimiter);
  writeFileSync(
    path,
    `${rows}\n${['a', '1', '"x, y; z"'].join(delimiter)}\n${['b', '2', 'u'].join(delimiter)}\n`,
  );
  expect(await openCsv('test', path)).toMatchObject({ names: ['name', 'value', 'note'], delimiter });
});

test('names may count columns; numbers that do not are data', async () => {
  const path = join(temporaryFolder(), 'x.csv');
  writeFileSync(path, 'label,0,1,2\na,5,6,7\n');
  expect((await openCsv('test', path)).names).toEqual(['label', '0', '1', '2']);
  writeFileSync(path, '5.1,3.5,1.4,a\n5,3,1,b\n');
  await expect(openCsv('test', path)).rejects.toThrow('[test] expected the first line of');
});

test('a sample of rows is of all of them alike, in their order, the same by a seed', async () => {
  const path = join(temporaryFolder(), 'x.csv');
  writeFileSync(path, `a,b\n${Array.from({ length: 10_000 }, (_, i) => `${i},x`).join('\n')}\n`);
  const draw = async (seed: number) =>
    (await readTable('test', path, { rows: 1000, seed, delimiter: undefined })).cells.get('a')!.map(Number);
  const [one, same, other] = [await draw(1), await draw(1), await draw(2)];
  expect(one).toHaveLength(1000);
  expect(one).toEqual(one.toSorted((a, b) => a - b));
  expect(one).toEqual(same);
  expect(one).not.toEqual(other);
  // Of 1000 uniform ones the mean deviates by 91.
  expect(Math.abs(one.reduce((sum, value) => sum + value) / 1000 - 5000)).toBeLessThan(400);
});

test('what columns are', () => {
  const cells = (of: (i: number) => string) => Array.from({ length: 100 }, (_, i) => of(i));
  expect(
    find(
      'a',
      cells((i) => String(i * 1.5)),
      ',',
    ),
  ).toMatchObject({ kind: 'number', strange: [] });
  expect(
    find(
      'a',
      cells((i) => (i === 7 ? 'oops' : String(i * 1.5))),
      ',',
    ),
  ).toMatchObject({ kind: 'number', strange: [7] });
  expect(
    find(
      'nr',
      cells((i) => String(i + 1)),
      ',',
    ),
  ).toMatchObject({ kind: 'left out' });
  expect(
    find(
      'user_id',
      cells((i) => String((i * 37) % 1009)),
      ',',
    ),
  ).toMatchObject({ kind: 'left out' });
  expect(
    find(
      'a',
      cells((i) => String((i * 37) % 1009)),
      ',',
    ),
  ).toMatchObject({ kind: 'number' });
  expect(
    find(
      'a',
      cells((i) => `word ${i % 5}`),
      ',',
    ),
  ).toMatchObject({ kind: 'category' });
  expect(
    find(
      'a',
      cells((i) => `word ${i}`),
      ',',
    ),
  ).toMatchObject({ kind: 'left out' });
  expect(
    find(
      'a',
      cells(() => 'NA'),
      ',',
    ),
  ).toMatchObject({ kind: 'left out', because: 'has no values' });
  expect(
    find(
      'a',
      cells((i) => `2024-03-${1 + (i % 31)}`),
      ',',
    ),
  ).toMatchObject({ kind: 'date', format: 'ymd' });
  expect(
    find(
      'a',
      cells((i) => `${1 + (i % 12)}/20/2024`),
      ',',
    ),
  ).toMatchObject({ kind: 'date', format: 'mdy' });
  expect(
    find(
      'a',
      cells((i) => `20/${1 + (i % 12)}/2024`),
      ',',
    ),
  ).toMatchObject({ kind: 'date', format: 'dmy' });
  expect(
    find(
      'a',
      cells((i) => `${i},5`),
      ';',
    ),
  ).toMatchObject({ kind: 'number', format: 'comma' });
  expect(
    find(
      'a',
      cells((i) => (i % 2 ? 'yes' : '')),
      ',',
    ),
  ).toMatchObject({ kind: 'category' });
  expect(find('a', ['01.02.2024', '03.04.2024'], ',')).toMatchObject({ kind: 'date', format: 'dmy' });
  expect(find('a', ['01/02/2024', '03/04/2024'], ',')).toMatchObject({ kind: 'date', format: 'mdy' });
  expect(
    find(
      't',
      cells((i) => String(i + 1)),
      ',',
    ),
  ).toMatchObject({ kind: 'number' });
});

test('cells and numbers of predictions are read back', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(Math.fround(Number(shortest(value)))).toBe(value + 0);
    }),
  );
  expect(['a', 'a,b', 'a"b', ' a', 'a\n'].map(cellOf)).toEqual(['a', '"a,b"', '"a""b"', '" a"', '"a\n"']);
});

test('where a linear model of classes is least, its gradient is 0', () => {
  const next = randomNumbers(2);
  const [n, features, count] = [60, 4, 3];
  const x = Float64Array.from({ length: n * features }, () => next() * 4 - 2);
  const classes = Int32Array.from({ length: n }, (_, i) =>
    Math.min(2, Math.floor(1.5 + x[i * features] / 2 + next())),
  );
  const lambda = 0.01;
  const { weight, bias } = fitLinear(
    tensor(x, { shape: [n, features], dtype: 'float64' }) as Tensor<'float64'>,
    { classes, count },
    lambda,
  );
  const gradient = Array.from(weight, (value) => lambda * value).concat(Array(count).fill(0));
  for (let i = 0; i < n; i++) {
    const logits = Array.from(
      { length: count },
      (_, k) =>
        bias[k] +
        Array.from({ length: features }, (_, j) => weight[k * features + j] * x[i * features + j]).reduce(
          (a, b) => a + b,
        ),
    );
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
    logits.forEach((z, k) => {
      const error = (Math.exp(z) / total - (classes[i] === k ? 1 : 0)) / n;
      gradient[count * features + k] += error;
      for (let j = 0; j < features; j++) gradient[k * features + j] += error * x[i * features + j];
    });
  }
  expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(1e-5);
});
