/** The example of a forecast: nothing of the days to come is known before them, and what is learned beats the naive forecast. */
import { predict, type Tensor } from 'axpy';
import { beforeAll, expect, test, vi } from 'vitest';
import { Forecaster, trainForecast } from '../../examples/forecast.ts';
import { ahead, features, isHoliday, loadRidership, past } from '../../examples/support/chicago.ts';

beforeAll(() => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
});

const entries = ({ x }: { x: { past: Tensor } }) => x.past.slice([null, null, [0, 1]]).squeeze(-1);

test('weeks follow the days before them, parts each other, and training days alone say how large numbers are', () => {
  const { train, validation, test: held } = loadRidership();
  // Days of 2001-01-22 to 2012-12-31, of 2013 and 2014, of 2015-01-01 to 2016-08-28.
  const days = [4362, 730, 606];
  expect([train, validation, held].map(({ y }) => y.shape[0])).toEqual([
    days[0] - past - ahead + 1,
    days[1] - ahead + 1,
    days[2] - ahead + 1,
  ]);
  for (const part of [train, validation, held]) {
    // What a week is said to have had, later ones look back on.
    const [before, after] = [entries(part), part.y];
    const count = after.shape[0] - ahead;
    expect(before.slice([[ahead], [-ahead]]).toArray()).toEqual(after.slice([[0, count]]).toArray());
  }
  expect(
    entries(validation)
      .slice([[0, 1], [-ahead]])
      .toArray(),
  ).toEqual(train.y.slice([[-1]]).toArray());
  const all = [...entries(train).slice([[0, 1]]).data, ...train.y.slice([null, [0, 1]]).data];
  all.push(...train.y.slice([[-1], [1]]).flatten().data);
  expect(all).toHaveLength(days[0]);
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  const variance = all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length;
  expect(mean).toBeCloseTo(0, 5);
  expect(variance).toBeCloseTo(1, 5);
});

test('holidays', () => {
  // Of 2012, as the calendar has them.
  const holidays = '01-01 01-16 02-20 05-28 07-04 09-03 11-22 11-23 12-24 12-25 12-31';
  const days = Array.from({ length: 366 }, (_, i) => new Date(Date.UTC(2012, 0, 1 + i)));
  expect(
    days
      .filter(isHoliday)
      .map((day) => day.toISOString().slice(5, 10))
      .join(' '),
  ).toBe(holidays);
});

test('quantiles are in their order, whatever the weights', async () => {
  const model = new Forecaster(4);
  for (const parameter of model.parameters()) parameter.mul_(20);
  const { past: before, ahead: after } = loadRidership().test.x;
  const x = { past: before.slice([[0, 20]]), ahead: after.slice([[0, 20]]) };
  expect(x.past.shape).toEqual([20, past, features]);
  const [low, median, high] = (await predict(model, x)).unbind(-1);
  expect(low.lessEqual(median).min().item()).toBe(1);
  expect(median.lessEqual(high).min().item()).toBe(1);
});

// The fallback takes fewer weeks and a smaller network.
const native = process.env.AXPY_BACKEND === 'native';
const shortened = native ? { weeks: 2000, epochs: 6 } : { weeks: 800, epochs: 6, hidden: 16 };
test('what is learned beats the same weekday of the week before', { timeout: 300_000 }, async () => {
  const report = await trainForecast({ batchSize: 16, ...shortened });
  // The mean of |entries − entries of seven days before|, over 600 weeks of seven days, by awk from the file.
  expect(report.naive).toBeCloseTo(1407.35, 1);
  expect(report.model).toBeLessThan((native ? 0.85 : 0.95) * report.naive);
  expect(report.model).toBeLessThan(report.linear);
  expect(report.coverage.validation).toBeGreaterThan(0.75);
});
