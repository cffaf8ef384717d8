/** Images changed at random: what becomes of each can be told from what it was. */
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  Conv2D,
  compile,
  Dense,
  Flatten,
  fit,
  type Layer,
  predict,
  RandomBrightness,
  RandomContrast,
  RandomCrop,
  RandomFlip,
  randn,
  Sequential,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';

const [batch, height, width] = [64, 5, 6];
/** Pixels that tell their place, the same in every image, in two channels. */
const pixels = () =>
  tensor(
    Array.from({ length: batch }, () =>
      Array.from({ length: height }, (_, i) =>
        Array.from({ length: width }, (_, j) => [1 + 10 * i + j, -(1 + 10 * i + j)]),
      ),
    ),
  );
type Image = number[][][];
const images = (x: Tensor) => x.toArray() as Image[];

/** What a layer makes of the images while it trains, eagerly and by a compiled function at its third call. */
function both(layer: Layer): [string, Image[]][] {
  seed(5);
  const step = compile((x: Tensor) => layer.forward(x) as Tensor);
  const x = pixels();
  step.sync(x);
  const second = images(step.sync(x));
  const third = images(step.sync(x));
  expect(third).not.toEqual(second);
  return [
    ['eager', images(layer.forward(x) as Tensor)],
    ['compiled', third],
  ];
}

/** How many images became each of some. */
function count(made: readonly Image[], known: readonly Image[]): number[] {
  const texts = known.map((image) => JSON.stringify(image));
  const counts = known.map(() => 0);
  for (const image of made) {
    const at = texts.indexOf(JSON.stringify(image));
    expect(at).toBeGreaterThanOrEqual(0);
    counts[at]++;
  }
  return counts;
}

describe('RandomFlip', () => {
  const [image] = images(pixels());
  const across = (one: Image) => one.map((row) => row.toReversed());
  const down = (one: Image) => one.toReversed();

  it.each([
    ['horizontal', [image, across(image)]],
    ['vertical', [image, down(image)]],
    ['both', [image, across(image), down(image), across(down(image))]],
  ] as const)('%s mirrors each image by itself', (direction, known) => {
    for (const [way, made] of both(new RandomFlip(direction))) {
      // Of 64 fair draws one of 2 or 4 stays out of these bounds less than once in a hundred thousand times, and the seed is fixed.
      for (const n of count(made, known)) expect(n, way).toBeGreaterThan(known.length === 2 ? 14 : 3);
    }
  });
});

describe('RandomCrop', () => {
  const [image] = images(pixels());
  const part = (top: number, left: number, h: number, w: number): Image =>
    Array.from({ length: h }, (_, i) =>
      Array.from({ length: w }, (_, j) => image[top + i]?.[left + j] ?? [0, 0]),
    );

  it.each([
    [3, 4, 0],
    [5, 6, 2],
    [7, 3, 1],
    [5, 6, 0],
  ])('cuts %i × %i from everywhere, with %i zeros around', (h, w, padding) => {
    const known: Image[] = [];
    for (let top = -padding; top + h <= height + padding; top++)
      for (let left = -padding; left + w <= width + padding; left++) known.push(part(top, left, h, w));
    const layer = new RandomCrop(h, w, { padding });
    if (known.length === 1) {
      expect(images(layer.forward(pixels()) as Tensor)[0]).toEqual(known[0]);
      return;
    }
    for (const [way, made] of both(layer)) {
      const hit = count(made, known).filter((n) => n > 0).length;
      // All of up to 25 places by 64 draws but for a few.
      expect(hit, way).toBeGreaterThan(0.75 * known.length);
    }
  });

  it('takes the middle in evaluation, and the whole with zeros where there is less', () => {
    const layer = new RandomCrop(3, 4, { padding: 1 }).eval();
    expect(images(layer.forward(pixels()))[0]).toEqual(part(1, 1, 3, 4));
    const wider = new RandomCrop(7, 6, { padding: 1 }).eval();
    expect(images(wider.forward(pixels()))[0]).toEqual(part(-1, 0, 7, 6));
    expect(layer.outputShape([5, 6, 2])).toEqual([3, 4, 2]);
  });
});

describe('lights', () => {
  it('RandomBrightness adds one number to each image', () => {
    for (const [way, made] of both(new RandomBrightness(0.5))) {
      const [image] = images(pixels());
      const added = made.map((one) => one[0][0][0] - image[0][0][0]);
      made.forEach((one, n) => {
        one.flat(2).forEach((value, i) => {
          expect(value - image.flat(2)[i]).toBeCloseTo(added[n], 4);
        });
      });
      expect(Math.min(...added), way).toBeLessThan(-0.35);
      expect(Math.max(...added), way).toBeGreaterThan(0.35);
      expect(added.every((one) => Math.abs(one) <= 0.5001)).toBe(true);
    }
  });

  it('RandomContrast keeps the means of channels', () => {
    const [image] = images(pixels());
    const middle = image.flat().reduce((sum, [red]) => sum + red, 0) / (height * width);
    for (const [way, made] of both(new RandomContrast(0.5))) {
      const factors = made.map((one) => (one[0][0][0] - middle) / (image[0][0][0] - middle));
      made.forEach((one, n) => {
        one.flat().forEach(([red, green], i) => {
          expect(red).toBeCloseTo(middle + factors[n] * (image.flat()[i][0] - middle), 3);
          expect(green).toBeCloseTo(-red, 3);
        });
      });
      expect(Math.min(...factors), way).toBeLessThan(0.65);
      expect(Math.max(...factors), way).toBeGreaterThan(1.35);
    }
  });
});

describe('in a model', () => {
  const model = () =>
    new Sequential([
      new RandomFlip(),
      new RandomCrop(6, 6, { padding: 2 }),
      new Conv2D(1, 4, 3),
      new Flatten(),
      new Dense(64, 2),
    ]);

  it('is of the training alone, the same for the same seed, eager and compiled', async () => {
    const results = [];
    for (const compiled of [true, false, true]) {
      seed(2);
      const one = model();
      const x = randn([20, 6, 6, 1]);
      const y = Array.from({ length: 20 }, (_, i) => i % 2);
      const optimizer = new SGD(one.parameters(), { learningRate: 0.05 });
      const { epochs } = await fit(
        one,
        { x, y },
        { loss: 'softmaxCrossEntropy', optimizer, epochs: 4, batchSize: 8, compiled },
      );
      const seen = (await predict(one, x)).toArray();
      expect((await predict(one, x)).toArray()).toEqual(seen);
      results.push([epochs.map(({ loss }) => loss), seen]);
    }
    expect(results[2]).toEqual(results[0]);
    expect(results[1]).toEqual(results[0]);
  });

  it('refuses what does not fit', () => {
    expect(() => new RandomCrop(9, 9).forward(pixels())).toThrow(ShapeError);
    expect(() => new RandomCrop(9, 9, { padding: 1 }).outputShape([5, 6, 1])).toThrow('height ≥ 7');
    expect(() => new RandomFlip().forward(randn([2, 3]))).toThrow(ShapeError);
    expect(() => new RandomFlip('left' as never)).toThrow(ArgumentError);
    expect(() => new RandomCrop(0, 1)).toThrow(ArgumentError);
    expect(() => new RandomCrop(1, 1, { padding: -1 })).toThrow(ArgumentError);
    expect(() => new RandomBrightness(-1)).toThrow(ArgumentError);
    expect(() => new RandomContrast(Number.NaN)).toThrow(ArgumentError);
    expect(new RandomFlip().forward(randn([0, 3, 3, 1])).shape).toEqual([0, 3, 3, 1]);
  });
});
