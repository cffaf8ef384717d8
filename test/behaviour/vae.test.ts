/** The example of a variational autoencoder: its bound is better than any without z, and what comes back of a picture is that one. */
import { inflateSync } from 'node:zlib';
import { compile, losses, noGrad, seed, type Tensor, tensor } from 'axpy';
import { beforeAll, expect, test, vi } from 'vitest';
import { loadFashion } from '../../examples/support/fashion-mnist.ts';
import { encodePng } from '../../examples/support/png.ts';
import { negativeElbo, reconstructions, samples, trainVae, Vae } from '../../examples/vae.ts';

beforeAll(() => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
});

test('the bound is that of the paper: pixels given z, and the divergence of z in closed form', () => {
  const outputs = {
    logits: tensor([
      [0, Math.log(3)],
      [-Math.log(3), 0],
    ]),
    mean: tensor([[1], [-2]]),
    logVariance: tensor([[0], [Math.log(4)]]),
  };
  // Two pixels of probability 1/2, one of 3/4 that is white, one of 1/4 that is black; μ² = 1 and 4, σ² = 1 and 4.
  const pixels = 2 * Math.log(2) + 2 * Math.log(4 / 3);
  const divergence = 0.5 * (1 + 1 - 0 - 1 + (4 + 4 - Math.log(4) - 1));
  const x = tensor([
    [1, 1],
    [0, 0],
  ]);
  expect(negativeElbo(outputs, x).item()).toBeCloseTo((pixels + divergence) / 2, 5);
});

test('z is drawn anew in each run of a compiled step, as eagerly', async () => {
  const model = new Vae(4);
  const x = loadFashion({ embedded: true }).test.x.slice([[0, 3]]);
  const eager = () => noGrad(() => negativeElbo(model.forward(x), x));
  const compiled = compile(eager);
  const runs = async (loss: typeof eager | typeof compiled) => {
    seed(3);
    const values: number[] = [];
    for (let i = 0; i < 4; i++) values.push((await loss()).item());
    return values;
  };
  const values = await runs(eager);
  expect(new Set(values).size).toBe(4);
  for (const [i, value] of (await runs(compiled)).entries()) expect(value / values[i]).toBeCloseTo(1, 5);
});

test('it learns: the bound, what comes back of pictures, and pictures of draws', {
  timeout: 600_000,
}, async () => {
  const report = await trainVae({ epochs: 4, limit: 320, batchSize: 16, embedded: true });
  const { train } = loadFashion({ embedded: true });
  const held = report.test;
  expect(held.shape).toEqual([320, 784]);
  // Each pixel by itself: its mean is the best that a model without z can say of it.
  const mean = train.x.mean([0]).clip(1e-4, 1).tile([320, 1]);
  const alone = losses.binaryCrossEntropy(mean, held, { reduction: 'sum' }).item() / 320;
  expect(alone).toBeGreaterThan(380);
  expect(report.loss).toBeLessThan(0.92 * alone);
  expect(report.divergence).toBeGreaterThan(5);

  const grid = (await reconstructions(report, 3, 12)).reshape([3, 2, 12, 784]);
  const [given, back] = [0, 1].map((row) => grid.slice([null, [row, row + 1]]).reshape([36, 784]));
  expect(given.toArray()).toEqual(held.slice([[0, 36]]).toArray());
  const error = (prediction: Tensor) => given.sub(prediction).square().mean().item();
  expect(error(back)).toBeLessThan(0.75 * error(train.x.mean([0])));

  const drawn = await samples(report.model, 10);
  expect(drawn.shape).toEqual([10, 784]);
  expect(drawn.min().item()).toBeGreaterThanOrEqual(0);
  expect(drawn.max().item()).toBeLessThanOrEqual(1);
  // Clothes lie in the middle: corners are black, as in all that was learned from.
  expect(
    drawn
      .reshape([10, 28, 28])
      .slice([null, [0, 3], [0, 3]])
      .mean()
      .item(),
  ).toBeLessThan(0.1);
});

test('PNG: chunks with their checksums around rows of bytes', () => {
  const greys = Uint8Array.from({ length: 6 }, (_, i) => 50 * i);
  const file = encodePng(3, 2, greys);
  expect(file.subarray(0, 8)).toEqual(Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]));
  expect(file.subarray(8, 29).toString('hex')).toBe('0000000d4948445200000003000000020800000000');
  // By zlib.crc32 of Python over the header, and as every file ends.
  expect(file.readUInt32BE(29)).toBe(0xb81f39c6);
  expect(file.subarray(-12).toString('hex')).toBe('0000000049454e44ae426082');
  const length = file.readUInt32BE(33);
  expect(file.subarray(37, 41).toString()).toBe('IDAT');
  const rows = inflateSync(file.subarray(41, 41 + length));
  expect([...rows]).toEqual([0, 0, 50, 100, 0, 150, 200, 250]);
});
