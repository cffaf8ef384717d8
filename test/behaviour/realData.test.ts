/** The jobs of the demo reach what they promise, on the data that lies beside the examples. */
import { beforeAll, expect, test, vi } from 'vitest';
import { trainConvolution } from '../../examples/convolution.ts';
import { trainFashion } from '../../examples/fashion.ts';
import { trainHouses } from '../../examples/houses.ts';

beforeAll(() => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});

test('Ames: the error of the log price of held-out houses is at most 0.16', async () => {
  const report = await trainHouses();
  expect(report.test).toBeLessThanOrEqual(0.16);
  expect(report.train).toBeLessThan(report.test);
});

test('Fashion-MNIST: the accuracy on held-out images is at least 0.84, or 0.89 where the full set is installed', async () => {
  const report = await trainFashion();
  const full = report.dataset.includes('60,000');
  expect(report.test).toBeGreaterThanOrEqual(full ? 0.89 : 0.84);
}, 300_000);

// The fallback, 20 times slower, does the same with fewer images; measured: 0.619, on the addon as well.
const [limit, reached] = process.env.AXPY_BACKEND === 'native' ? [3000, 0.75] : [400, 0.58];
test(`Fashion-MNIST with convolutions: three epochs over ${limit} images reach ${reached} on those held out`, async () => {
  const report = await trainConvolution({ epochs: 3, embedded: true, limit });
  expect(report.test).toBeGreaterThanOrEqual(reached);
  expect(report.confusion.counts.flat().reduce((sum, count) => sum + count, 0)).toBe(1000);
}, 300_000);
