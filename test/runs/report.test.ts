/** Reports: pages that need nothing else, with what happened in them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import {
  ArgumentError,
  confusionMatrix,
  earlyStopping,
  FileError,
  type History,
  tensor,
} from '../../lib/index.ts';
import { chartOf, figure } from '../../lib/runs/chart.ts';
import { readRun, report, runFolder, saveReport } from '../../lib/runs/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { network, train } from './support.ts';

const record = (epoch: number, loss: number, rest: object = {}) => ({
  epoch,
  loss,
  seconds: 1,
  examplesPerSecond: 10,
  ...rest,
});
const history = (...losses: number[]): History => ({ epochs: losses.map((loss, i) => record(i + 1, loss)) });

/** Elements open and close in order, and nothing is asked of anybody else. */
function expectWhole(page: string): void {
  expect(page).toMatch(/^<!doctype html>\n/);
  expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|undefined|\[object/);
  const open: string[] = [];
  for (const [, end, name, isEmpty] of page.matchAll(/<(\/?)([a-z0-9]+)[^>]*?(\/?)>/g)) {
    if (name === 'meta' || isEmpty === '/') continue;
    if (end === '') open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
}

const textOf = (page: string) =>
  page
    .slice(page.indexOf('<body>'))
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');

const polylines = (page: string) =>
  [...page.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) =>
    points.split(' ').map((point) => point.split(',').map(Number)),
  );

describe('a chart', () => {
  const along = 'epoch';

  it('has each point where it belongs', () => {
    const points = [
      [1, 4],
      [2, 2],
      [4, 1],
      [5, 0],
    ] as const;
    const [line] = polylines(chartOf({ title: 'loss', along, series: [{ name: 'a', points }] }));
    // Both axes go from the first pixel to the last in proportion.
    const [[x0, top], , , [x1, bottom]] = line;
    points.forEach(([x, y], i) => {
      expect(line[i][0]).toBeCloseTo(x0 + ((x - 1) / 4) * (x1 - x0), 0);
      expect(line[i][1]).toBeCloseTo(bottom + (y / 4) * (top - bottom), 0);
    });
    expect(x0).toBeLessThan(x1);
    expect(top).toBeLessThan(bottom);
  });

  it('goes by the logarithm over more than two decades of positive numbers', () => {
    const chart = (...values: number[]) =>
      chartOf({ title: 'loss', along, series: [{ name: 'a', points: values.map((y, x) => [x, y]) }] });
    const [[[, a], [, b], [, c]]] = polylines(chart(1000, 10, 0.1));
    expect(b).toBeCloseTo((a + c) / 2, 0);
    expect(chart(1000, 10, 0.1)).toContain('logarithmic');
    for (const values of [
      [99, 1],
      [1000, 0],
      [1000, -1],
    ])
      expect(chart(...values)).not.toContain('logarithmic');
  });

  it('has a gap where there is no number, and a dot for one alone', () => {
    const values = [1, 2, Number.NaN, 3, Number.POSITIVE_INFINITY, 4, 5];
    const page = chartOf({
      title: 'x',
      along,
      series: [{ name: 'a', points: values.map((y, x) => [x, y]) }],
    });
    expect(polylines(page).map(({ length }) => length)).toEqual([2, 2]);
    expect(page.match(/<circle/g)?.length).toBe(1);
    const empty = { title: 'x', along, series: [{ name: 'a', points: [[1, Number.NaN]] as const }] };
    expect(chartOf(empty)).toBe('');
    expect(chartOf({ title: 'x', along, series: [] })).toBe('');
  });

  it('of a hundred thousand points keeps the extremes', () => {
    const points = Array.from({ length: 100_000 }, (_, i): [number, number] => [i, i === 54_321 ? 9 : i % 2]);
    const [line] = polylines(chartOf({ title: 'x', along, series: [{ name: 'a', points }] }));
    expect(line.length).toBeLessThan(1000);
    const heights = line.map(([, y]) => y);
    expect(heights.filter((y) => y === Math.min(...heights)).length).toBe(1);
  });

  it.each([
    [1, 1],
    [0, 0],
    [-3, 7],
    [1e-9, 2e-9],
    [0.5, 50_000],
    [1e300, 1.5e300],
  ])('has marks between %d and %d', (low, high) => {
    const page = chartOf({
      title: 'x',
      along,
      series: [
        {
          name: 'a',
          points: [
            [1, low],
            [2, high],
          ],
        },
      ],
    });
    const marks = [...page.matchAll(/text-anchor="end">([^<]*)<\/text>/g)]
      .map(([, text]) => text)
      .slice(0, -1);
    expect(marks.length).toBeGreaterThan(0);
    expect(marks.length).toBeLessThan(12);
    expect(new Set(marks).size).toBe(marks.length);
    for (const [[, y]] of polylines(page)) expect(Number.isFinite(y)).toBe(true);
  });

  it.each([
    [0, '0'],
    [0.123456, '0.1235'],
    [1234567, '1,235,000'],
    [1e-7, '1.00e-7'],
    [-12345678, '-1.23e7'],
    [Number.NaN, 'NaN'],
  ])('shows %d as %s', (value, text) => expect(figure(value)).toBe(text));
});

test('of a history: curves, the scores of the last epoch or the best, what was given', async () => {
  const page = report(history(1, 0.5, 0.25), {
    title: 'A <b>',
    summary: 'x < y',
    scores: { 'test "loss"': 0.3 },
  });
  expectWhole(page);
  expect(page).toContain('<title>A &lt;b&gt;</title>');
  const text = textOf(page);
  expect(text).toContain('0.3 test &quot;loss&quot; 0.25 loss');
  expect(text).toContain('x &lt; y');
  expect(polylines(page).length).toBe(1);
  const best = { ...history(1, 0.5, 0.25), bestEpoch: 2, stopped: 'no <better>' };
  expect(textOf(report(best))).toMatch(/0\.5 loss loss and metrics are of epoch 2, the best/);
  expect(textOf(report(best))).toContain('no &lt;better&gt;');
  expectWhole(report({ epochs: [] }));
  expectWhole(report(history(1)));
  const several = {
    epochs: [record(1, 2, { accuracy: 0.5, penalty: 3, validation: { loss: 1, accuracy: 0.25 } })],
  };
  expect(textOf(report(several))).toContain(
    '2 loss 0.5 accuracy 3 penalty 1 validation loss 0.25 validation accuracy loss and metrics are of epoch 1',
  );
});

test('of a run: curves by batch as well, norms, what was added, how it ended', async () => {
  const folder = temporaryFolder();
  const own = runFolder({ folder, name: 'a', config: { note: '<i>', hidden: 7 }, every: 0, norms: 0 });
  const validation = network().data;
  await train([own, earlyStopping()], { validation } as object);
  await own.scalars({ 'test.loss': 0.75 });
  await own.scalars({ 'test.loss': 0.5 });
  await own.confusion(
    confusionMatrix(
      tensor([
        [1, 0],
        [0, 1],
        [1, 0],
      ]),
      [0, 1, 1],
    ),
    { labels: ['<cat>', 'dog'] },
  );
  const file = join(folder, 'report.html');
  await saveReport(file, await readRun(own.path!));
  const page = readFileSync(file, 'utf8');
  expect(page).toBe(report(await readRun(own.path!)));
  expectWhole(page);
  const text = textOf(page);
  for (const part of [
    'norms of gradients',
    '0.weight',
    '&lt;cat&gt;',
    'note &lt;i&gt;',
    'hidden 7',
    'finished',
    'Dense 2',
  ]) {
    expect(text).toContain(part);
  }
  expect(text).toContain('0.5 test.loss');
  expect(text).not.toContain('0.75 test.loss');
  expect(text).toMatch(/&lt;cat&gt; 1 0 dog 1 1/);
  // Loss by epoch, twice; three curves by batch; two kinds of norms of four parameters.
  expect(polylines(page).length).toBe(2 + 3 + 8);

  const missing = join(folder, 'nowhere', 'report.html');
  await expect(saveReport(missing, history(1))).rejects.toThrow(FileError);
});

test('what is none is refused', async () => {
  const refused: [unknown, object, RegExp][] = [
    [undefined, {}, /expected what fit or readRun returned, got undefined/],
    [[], {}, /got an array/],
    [{ epochs: 3 }, {}, /got an object/],
    [{ epochs: [1] }, {}, /got an object/],
    [{ events: [], history: {} }, {}, /got an object/],
    [history(1), { title: 3 }, /expected title to be a string/],
    [history(1), { scores: { a: '1' } }, /expected scores to be numbers by name/],
    [history(1), { scores: null }, /expected scores to be numbers by name/],
    [history(1), { confusion: [[1, 2]] }, /as many rows as columns/],
    [history(1), { confusion: [[1]], labels: [] }, /expected 1 labels/],
    [history(1), { titel: 'x' }, /among title/],
  ];
  for (const [source, options, message] of refused) {
    expect(() => report(source as History, options)).toThrow(message);
    expect(() => report(source as History, options)).toThrow(ArgumentError);
    await expect(saveReport('x.html', source as History, options)).rejects.toThrow(ArgumentError);
  }
});
