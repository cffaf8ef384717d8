/** Batches that several processes share: each has its part, and together they have what one would have. */
import { describe, expect, it } from 'vitest';
import { Dense, permutation, randomState, seed, type Tensor, tensor } from '../../lib/index.ts';
import { defaultState } from '../../lib/random.ts';
import { interruptible } from '../../lib/train/abort.ts';
import { classWeighing } from '../../lib/train/classWeight.ts';
import { conversionFor } from '../../lib/train/conversion.ts';
import { type Dataset, type DatasetOptions, openData, runOf } from '../../lib/train/data.ts';
import { type Batch, type Examples, mapTensors } from '../../lib/train/examples.ts';
import { type LossChoice, resolveLoss } from '../../lib/train/loss.ts';

const model = new Dense(2, 3, { dtype: 'float64' });

function open(data: Examples, options: Partial<DatasetOptions> = {}, loss: LossChoice = 'mse'): Dataset {
  return openData(data, { name: 'data', batchSize: 4, ...conversionFor(model, loss), ...options });
}

const batchesOf = (dataset: Dataset, skipped?: number): Promise<Batch[]> =>
  interruptible('fit', undefined, async (interruption) => {
    const skip = skipped === undefined ? undefined : { count: skipped, taken() {}, over() {} };
    const batches: Batch[] = [];
    for await (const batch of dataset.batches(interruption, skip)) batches.push(batch);
    return batches;
  });

/** n examples of two numbers each, which tell their place. */
const examples = (n: number) => ({
  x: Array.from({ length: n }, (_, i) => [i, -i]),
  y: Array.from({ length: n }, (_, i) => [i, 2 * i, 3 * i]),
  sampleWeight: Array.from({ length: n }, (_, i) => 1 + (i % 3)),
});

const rows = (tensors: unknown) => (tensors as Tensor).toArray() as unknown[];

const sizes = [1, 2, 3, 4, 5, 6, 7];
const counts = [1, 2, 3, 4, 5];

describe('a share of rows', () => {
  it('is a run; all runs together are the rows, as long as each other but for one row, the longer ones first', () => {
    for (let n = 0; n <= 23; n++) {
      for (const count of [...counts, 24]) {
        const runs = Array.from({ length: count }, (_, index) => runOf(n, { index, count }));
        const lengths = runs.map(([start, end]) => end - start);
        expect(runs[0][0]).toBe(0);
        expect(runs[count - 1][1]).toBe(n);
        for (let i = 1; i < count; i++) expect(runs[i][0]).toBe(runs[i - 1][1]);
        expect(lengths).toEqual([...lengths].sort((a, b) => b - a));
        expect(lengths[0] - lengths[count - 1]).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe('batches in shares', () => {
  const whole = (n: number, options: Partial<DatasetOptions>, skipped?: number) =>
    batchesOf(open(examples(n), options), skipped);
  const shared = (n: number, count: number, options: () => Partial<DatasetOptions>, skipped?: number) =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        batchesOf(open(examples(n), { ...options(), share: { index, count } }), skipped),
      ),
    );

  const check = (all: readonly Batch[], parts: readonly (readonly Batch[])[]) => {
    for (const own of parts) expect(own).toHaveLength(all.length);
    all.forEach(({ x, y, weights, total, share }, i) => {
      const { length } = rows(x);
      expect([total, share]).toEqual([length, 1]);
      const together = (part: 'x' | 'y' | 'weights') => parts.flatMap((own) => rows(own[i][part]));
      expect(together('x')).toEqual(rows(x));
      expect(together('y')).toEqual(rows(y));
      expect(together('weights')).toEqual(rows(weights));
      let sum = 0;
      for (const own of parts) {
        const part = own[i];
        const { length: size } = rows(part.x);
        // Parts of no rows have the shape and the dtype of the others.
        for (const [mine, theirs] of [
          [part.x, x],
          [part.y, y],
          [part.weights, weights],
        ] as [Tensor, Tensor][]) {
          expect([mine.dtype, ...mine.shape]).toEqual([theirs.dtype, size, ...theirs.shape.slice(1)]);
        }
        expect([part.total, part.share]).toEqual([length, size / length]);
        sum += size;
      }
      expect(sum).toBe(total);
    });
  };

  it.each(sizes)(
    'of %i examples, or of so many a batch, are the batches of one process in order',
    async (n) => {
      for (const count of counts) {
        // One batch that is not full; full ones and what is left; with dropLast without it.
        for (const [length, batchSize, dropLast] of [
          [n, 7, false],
          [3 * n + 1, n, false],
          [3 * n + 1, n, true],
          [2 * n, n, false],
        ] as const) {
          const options = { batchSize, dropLast };
          if (dropLast && length < batchSize) continue;
          check(await whole(length, options), await shared(length, count, () => options));
        }
      }
    },
  );

  it.each(counts)('of %i processes are of the same order, whoever takes how many', async (count) => {
    const own = (random: ReturnType<typeof randomState>) => ({
      batchSize: 5,
      order: (n: number) => permutation(n, random),
    });
    const states: ReturnType<typeof randomState>[] = [];
    const parts = await shared(23, count, () => {
      states.push(randomState(7));
      return own(states.at(-1)!);
    });
    const random = randomState(7);
    check(await whole(23, own(random)), parts);
    for (const state of states) expect(state).toEqual(random);
  });

  it('go on in the middle of a pass', async () => {
    for (const skipped of [0, 1, 4, 5]) {
      const options = () => ({ batchSize: 5, order: (n: number) => permutation(n, randomState(3)) });
      const all = await whole(23, options(), skipped);
      expect(all).toHaveLength(5 - skipped);
      check(all, await shared(23, 4, options, skipped));
    }
  });

  it('draw the order from the default random state as one process does', async () => {
    const stateAfter = async (options: Partial<DatasetOptions>) => {
      seed(5);
      await whole(9, { ...options, order: (n: number) => permutation(n) });
      return defaultState.slice();
    };
    const alone = await stateAfter({});
    expect(await stateAfter({ share: { index: 2, count: 3 } })).toEqual(alone);
  });

  it('tell as many examples and batches as there are in all, and of a batch of one example', () => {
    const share = { index: 1, count: 3 };
    for (const [n, batchSize, dropLast] of [
      [9, 4, false],
      [9, 4, true],
      [8, 4, false],
      [1, 4, false],
    ] as const) {
      const [one, part] = [{}, { share }].map((own) => open(examples(n), { batchSize, dropLast, ...own }));
      expect([part.examples, part.batchCount]).toEqual([one.examples, one.batchCount]);
      expect(part.single?.why).toBe(one.single?.why);
      expect(part.single && rows(part.single.x)).toEqual(one.single && rows(one.single.x));
    }
  });

  it('of several inputs and of weights by output keep their form', async () => {
    const data = {
      x: { a: [[1], [2], [3]], b: tensor([4, 5, 6], { dtype: 'int32' }) },
      y: { p: [[7], [8], [9]], q: [[1], [0], [1]] },
      sampleWeight: { p: [1, 2, 3] },
    };
    const loss = { p: 'mse', q: 'mse' } as const;
    const part = (index: number) => batchesOf(open(data, { share: { index, count: 4 } }, loss));
    const [[second], [last]] = [await part(1), await part(3)];
    const plain = ({ x, y, weights }: Batch) =>
      [x, y, weights].map((part) => mapTensors(part, (one) => one.toArray() as unknown as Tensor));
    expect(plain(second)).toEqual([{ a: [[2]], b: [5] }, { p: [[8]], q: [[0]] }, { p: [2] }]);
    expect(plain(last)).toEqual([{ a: [], b: [] }, { p: [], q: [] }, { p: [] }]);
    expect([last.total, last.share]).toEqual([3, 0]);
  });

  it('without weights have none', async () => {
    const { x, y } = examples(5);
    const [first, second] = await batchesOf(open({ x, y }, { share: { index: 1, count: 2 } }));
    expect([first.weights, second.weights]).toEqual([null, null]);
    expect([rows(second.x), second.total, second.share]).toEqual([[], 1, 0]);
  });

  it('of an iterable are whole, as who made them has divided them', async () => {
    const given = [examples(3), examples(2)];
    const dataset = openData(given, {
      name: 'data',
      batchSize: 9,
      ...conversionFor(model, 'mse'),
      share: { index: 1, count: 2 },
    });
    const batches = await batchesOf(dataset);
    expect(batches.map(({ x, total, share }) => [rows(x).length, total, share])).toEqual([
      [3, 3, 1],
      [2, 2, 1],
    ]);
  });
});

describe('the mean loss of a batch', () => {
  const labels = (n: number) => Array.from({ length: n }, (_, i) => (i * i) % 3);
  const cases: [string, LossChoice, (n: number) => Examples, 'balanced' | null][] = [
    ['of rows', 'mse', (n) => ({ ...examples(n), sampleWeight: undefined }), null],
    ['with sampleWeight', 'mse', examples, null],
    ['of classes', 'softmaxCrossEntropy', (n) => ({ x: examples(n).x, y: labels(n) }), null],
    ['with classWeight', 'softmaxCrossEntropy', (n) => ({ ...examples(n), y: labels(n) }), 'balanced'],
  ];

  it.each(cases)('%s is the sum of share × mean of the parts', async (_, loss, make, classWeight) => {
    const own = resolveLoss(loss);
    const classWeights = classWeight === null ? undefined : classWeighing('fit', model, classWeight, loss);
    const mean = ({ x, y, weights }: Batch) => own.of(model.forward(x as Tensor), y, weights).loss.item();
    const data = make(17);
    const options = { batchSize: 7, classWeights };
    const all = await batchesOf(open(data, options, loss));
    for (const count of counts) {
      const parts = await Promise.all(
        Array.from({ length: count }, (_, index) =>
          batchesOf(open(data, { ...options, share: { index, count } }, loss)),
        ),
      );
      all.forEach((batch, i) => {
        const sum = parts.reduce(
          (sum, own) => sum + (own[i].share === 0 ? 0 : own[i].share * mean(own[i])),
          0,
        );
        expect(sum).toBeCloseTo(mean(batch), 10);
      });
    }
  });
});
