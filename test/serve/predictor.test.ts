/** Predictions for many at the same time, beside a training, with numbers that change. */
import { describe, expect, test } from 'vitest';
import {
  AbortError,
  Adam,
  BatchNorm,
  ClosedError,
  Conv2D,
  compile,
  DataError,
  Dense,
  Dropout,
  Embedding,
  encodeModel,
  Flatten,
  fit,
  GRU,
  IndexError,
  Layer,
  noGrad,
  Parameter,
  Predictor,
  predict,
  QueueFullError,
  randn,
  Sequential,
  ShapeError,
  SharedTensor,
  seed,
  type Tensor,
  TimeoutError,
  tensor,
} from '../../lib/index.ts';

seed(1);
const network = () =>
  new Sequential([new Dense(6, 32, { activation: 'relu' }), new Dropout(0.5), new Dense(32, 3)]);
const rows = (n: number) =>
  Array.from({ length: n }, (_, i) => Array.from({ length: 6 }, (_, j) => Math.sin(i * 7 + j)));

/** What of two results is furthest apart. */
const distance = (a: Tensor, b: Tensor) => Math.max(...noGrad(() => a.sub(b).abs()).data);

describe('what is answered', () => {
  test.each([1, 2, 5, 31, 32, 33, 100])('%i at a time: what predict gives', async (n) => {
    const model = network();
    const predictor = new Predictor(model);
    const y = await predictor.predict(rows(n));
    expect(y.shape).toEqual([n, 3]);
    expect(distance(y, await predict(model, rows(n)))).toBeLessThan(1e-6);
  });

  test('many at the same time, of any number of examples: each gets its own', async () => {
    const model = network();
    const predictor = new Predictor(model, { maxBatch: 16 });
    const all = rows(200);
    const expected = await predict(model, all);
    const requests: Promise<void>[] = [];
    for (let start = 0, n = 1; start + n <= 200; start += n, n = 1 + (n % 20)) {
      const own = all.slice(start, start + n);
      const theirs = expected.slice([[start, start + n]]);
      requests.push(predictor.predict(own).then((y) => expect(distance(y, theirs)).toBeLessThan(1e-6)));
    }
    await Promise.all(requests);
    const { answered, batches, examples, waiting, latency } = predictor.stats();
    expect(answered).toBe(requests.length);
    expect(examples).toBeGreaterThan(180);
    expect(batches).toBeLessThan(requests.length);
    expect(waiting).toBe(0);
    expect(latency.count).toBe(answered);
    expect(latency.p50).toBeLessThanOrEqual(latency.p99);
  });

  test('structures in and out, of different shapes, and dtypes', async () => {
    class Pair extends Layer {
      override readonly inputDtype = { words: 'int32' } as const;
      readonly embedding = new Embedding(10, 4);
      readonly over = new GRU(4, 4);
      readonly dense = new Dense(2, 4);
      forward({ words, size }: { words: Tensor; size: Tensor }) {
        const last = this.over.forward(this.embedding.forward(words)).mean([1]);
        return { sum: last.add(this.dense.forward(size)), words: last };
      }
    }
    const model = new Pair();
    const predictor = new Predictor(model);
    const requests = Array.from({ length: 12 }, (_, i) => ({
      words: [Array.from({ length: 2 + (i % 3) }, (_, j) => (i * j) % 10)],
      size: [[i, 1]],
    }));
    const answers = await Promise.all(requests.map((x) => predictor.predict(x)));
    for (const [i, { sum, words }] of answers.entries()) {
      const alone = await predict(model, requests[i]);
      expect(distance(sum, alone.sum)).toBeLessThan(1e-6);
      expect(distance(words, alone.words)).toBeLessThan(1e-6);
    }
    expect(predictor.stats().batches).toBe(3);
  });

  test('texts of any lengths in any number, some given up: each gets its own, whatever it is computed with', async () => {
    seed(7);
    const model = new Sequential([new GRU(2, 4, { returns: 'last' }), new Dense(4, 2)]);
    const predictor = new Predictor(model, { maxBatch: 8 });
    for (let round = 0; round < 6; round++) {
      const requests = Array.from({ length: 40 }, (_, i) => {
        const x = randn([1 + ((i * 7 + round) % 11), 1 + ((i * 5 + round) % 4), 2]);
        const controller = (i + round) % 9 === 0 ? new AbortController() : null;
        return { x, controller, expected: predict(model, x) };
      });
      const answers = requests.map(async ({ x, controller }) => {
        const y = predictor.predict(x, { signal: controller?.signal });
        x.data.fill(NaN);
        return await y;
      });
      for (const { controller } of requests) controller?.abort();
      for (const [i, answer] of (await Promise.allSettled(answers)).entries()) {
        const { controller, expected } = requests[i];
        if (controller !== null) expect((answer as PromiseRejectedResult).reason).toBeInstanceOf(AbortError);
        else
          expect(distance((answer as PromiseFulfilledResult<Tensor>).value, await expected)).toBeLessThan(
            1e-6,
          );
      }
    }
    expect(predictor.stats()).toMatchObject({ waiting: 0, failed: 0 });
  });

  test('one of another shape, or of another dtype, is no matter of those beside it', async () => {
    const model = network();
    const predictor = new Predictor(model);
    const answers = await Promise.allSettled([
      predictor.predict(randn([2, 6])),
      predictor.predict(randn([2, 3])),
      predictor.predict(randn([1, 6], { dtype: 'float64' })),
      predictor.predict(rows(3)),
    ]);
    expect(
      answers.map((answer) => (answer.status === 'fulfilled' ? 'answered' : answer.reason.code)),
    ).toEqual(['answered', 'AXPY_SHAPE', 'AXPY_DTYPE', 'answered']);
    const [, , , last] = answers as PromiseFulfilledResult<Tensor>[];
    expect(distance(last.value, await predict(model, rows(3)))).toBeLessThan(1e-6);
  });

  test('no examples, a buffer that is used again, float64', async () => {
    const model = new Sequential([new Dense(2, 1, { dtype: 'float64' })], { inputShape: [2] });
    const predictor = new Predictor(model);
    expect((await predictor.predict(tensor([], { dtype: 'float64' }).reshape([0, 2]))).shape).toEqual([0, 1]);
    const buffer = tensor([[1, 2]], { dtype: 'float64' });
    const expected = await predict(model, buffer);
    const answer = predictor.predict(buffer);
    buffer.data.fill(7);
    expect(distance(await answer, expected)).toBe(0);
  });
});

test('who asks again in the moment of an answer is answered', async () => {
  const predictor = new Predictor(network());
  let asked = 0;
  for (const hops of [0, 1, 2, 3, 4, 5, 6, 8, 10, 15]) {
    for (let i = 0; i < 20; i++, asked++) {
      await predictor.predict(rows(1));
      for (let hop = 0; hop < hops; hop++) await null;
    }
  }
  expect(predictor.stats().answered).toBe(asked);
});

describe('beside a training', () => {
  test('answers stay those of the version until update, then are those of the model as it is', async () => {
    const model = new Sequential([
      new Conv2D(1, 4, 3),
      new BatchNorm(4, { activation: 'relu' }),
      new Flatten(),
      new Dense(4 * 16, 2),
    ]);
    const x = randn([40, 6, 6, 1]);
    const y = Array.from({ length: 40 }, (_, i) => i % 2);
    const predictor = new Predictor(model);
    const before = await predict(model, x);
    const training = fit(
      model,
      { x, y },
      {
        loss: 'softmaxCrossEntropy',
        optimizer: new Adam(model.parameters(), { learningRate: 0.01 }),
        epochs: 20,
        batchSize: 8,
      },
    );
    let asked = 0;
    let isDone = false;
    const asking = (async () => {
      for (; !isDone; asked++) {
        const some = x.slice([[asked % 30, (asked % 30) + 10]]);
        const answer = await predictor.predict(some);
        expect(distance(answer, before.slice([[asked % 30, (asked % 30) + 10]]))).toBeLessThan(1e-5);
      }
    })();
    await training;
    isDone = true;
    await asking;
    expect(asked).toBeGreaterThan(5);
    const after = await predict(model, x);
    expect(distance(after, before)).toBeGreaterThan(0.01);
    expect(await predictor.update(model)).toBe(2);
    expect(distance(await predictor.predict(x), after)).toBeLessThan(1e-5);
    expect(model.training).toBe(true);
  });

  test('each answer is of one whole version, however fast they come', async () => {
    // All of its numbers are the number of the step.
    class Constant extends Layer {
      readonly parts = Array.from({ length: 6 }, () => new Parameter([64, 64]));
      forward(x: Tensor): Tensor {
        return x
          .matmul(
            this.parts
              .map((part) => part.mean())
              .reduce((a, b) => a.add(b))
              .reshape([1, 1]),
          )
          .add(
            this.parts[5]
              .slice([
                [0, 1],
                [0, 1],
              ])
              .mul(0),
          );
      }
    }
    const model = new Constant();
    const step = compile(() => {
      for (const part of model.parts) part.add_(1);
    });
    const predictor = new Predictor(model, { maxBatch: 4 });
    const answers: number[] = [];
    let isDone = false;
    const asking = Array.from({ length: 8 }, async (_, i) => {
      // Every other one asks for more than a batch has: in whole batches, or with others in the last.
      const x = Array.from({ length: [1, 11, 2, 8, 3, 9, 1, 30][i] }, () => [1]);
      while (!isDone) {
        const { data } = await predictor.predict(x);
        expect(new Set(data).size).toBe(1);
        answers.push(data[0]);
      }
    });
    let steps = 0;
    for (; steps < 200 || (new Set(answers).size < 20 && steps < 5000); steps++) {
      void step();
      expect(await predictor.update(model)).toBe(steps + 2);
    }
    isDone = true;
    await Promise.all(asking);
    expect(answers.every((sum) => sum % 6 === 0)).toBe(true);
    expect(new Set(answers).size).toBeGreaterThanOrEqual(20);
    expect((await predictor.predict([[1]])).item()).toBe(6 * steps);
  });

  test('a large request that is given up between its batches holds no version back', async () => {
    const model = network();
    const predictor = new Predictor(model, { maxBatch: 4 });
    let ended = 0;
    for (let turns = 0; turns < 40; turns++) {
      const controller = new AbortController();
      const large = predictor.predict(rows(50), { signal: controller.signal }).catch((error) => {
        expect(error).toBeInstanceOf(AbortError);
        ended++;
      });
      const update = predictor.update(model);
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      const small = predictor.predict(rows(2));
      expect(await update).toBe(turns + 2);
      expect((await small).shape).toEqual([2, 3]);
      await large;
    }
    expect(ended).toBeGreaterThan(3);
  });

  test('numbers from another model, a file, its bytes, a state; what does not fit leaves them as they are', async () => {
    const [model, other] = [network(), network()];
    const predictor = new Predictor(model);
    const answers = [model, other].map((one) => predict(one, rows(4)));
    const [own, theirs] = await Promise.all(answers);
    const sources = [
      { from: other, expected: theirs },
      { from: model, expected: own },
      { from: encodeModel(other), expected: theirs },
      { from: model.stateDict(), expected: own },
      { from: other.stateDict(), expected: theirs },
    ];
    for (const { from, expected } of sources) {
      await predictor.update(from);
      expect(distance(await predictor.predict(rows(4)), expected)).toBeLessThan(1e-6);
    }
    const wrong = new Sequential([new Dense(6, 32), new Dense(32, 4)]);
    await expect(predictor.update(wrong)).rejects.toThrow(/expected/);
    await expect(predictor.update({})).rejects.toThrow(/missing/);
    await expect(predictor.update(new Uint8Array(10))).rejects.toThrow();
    expect(distance(await predictor.predict(rows(4)), theirs)).toBeLessThan(1e-6);
    expect(predictor.stats().version).toBe(6);
  });
});

describe('limits', () => {
  test('a queue that is full refuses, at once and by name', async () => {
    const predictor = new Predictor(network(), { queue: 3 });
    const answers = Array.from({ length: 5 }, () => predictor.predict(rows(1)));
    const outcomes = await Promise.allSettled(answers);
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array(3).fill('fulfilled'),
      ...Array(2).fill('rejected'),
    ]);
    const { reason } = outcomes[4] as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(QueueFullError);
    expect(reason.code).toBe('AXPY_QUEUE_FULL');
    expect(predictor.stats()).toMatchObject({ answered: 3, refused: 2 });
    await predictor.predict(rows(1));
  });

  test('a time that is over, and a signal, end the wait; others get their answers', async () => {
    const model = network();
    const predictor = new Predictor(model, { maxDelay: 60 });
    const controller = new AbortController();
    const late = predictor.predict(rows(2), { timeout: 5 });
    const aborted = predictor.predict(rows(3), { signal: controller.signal });
    const other = predictor.predict(rows(4));
    controller.abort(new Error('gone'));
    await expect(aborted).rejects.toBeInstanceOf(AbortError);
    await expect(late).rejects.toBeInstanceOf(TimeoutError);
    expect(distance(await other, await predict(model, rows(4)))).toBeLessThan(1e-6);
    await expect(predictor.predict(rows(1), { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(
      AbortError,
    );
    expect(predictor.stats()).toMatchObject({ answered: 1, timedOut: 1, aborted: 2, waiting: 0 });
  });

  test('a batch waits for more no longer than it may, and not when it is full', async () => {
    const predictor = new Predictor(network(), { maxBatch: 4, maxDelay: 10_000 });
    await Promise.all([1, 2, 3, 4].map(() => predictor.predict(rows(1))));
    expect(predictor.stats().batches).toBe(1);
    const last = predictor.predict(rows(1));
    await predictor.close();
    await last;
    await expect(predictor.predict(rows(1))).rejects.toBeInstanceOf(ClosedError);
    await expect(predictor.update(network())).rejects.toBeInstanceOf(ClosedError);
  });

  test('what is wrong with one is no fault of the others', async () => {
    class Words extends Layer {
      override readonly inputDtype = 'int32';
      readonly embedding = new Embedding(10, 4);
      forward(x: Tensor): Tensor {
        return this.embedding.forward(x);
      }
    }
    const model = new Words();
    const predictor = new Predictor(model);
    const outcomes = await Promise.allSettled(
      [[[1, 2]], [[3, 10]], [[5, 6]]].map((x) => predictor.predict(x)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((outcomes[1] as PromiseRejectedResult).reason).toBeInstanceOf(IndexError);
    await expect(predictor.predict([[Number.NaN, 1]])).rejects.toBeInstanceOf(DataError);
    expect(predictor.stats()).toMatchObject({ answered: 2, failed: 1 });
  });

  test('a model that mixes examples, draws numbers or writes is refused', async () => {
    class Mean extends Layer {
      readonly dense = new Dense(2, 2);
      forward(x: Tensor): Tensor {
        return this.dense.forward(x).mean([0]);
      }
    }
    await expect(
      new Predictor(new Mean()).predict([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
    ).rejects.toBeInstanceOf(ShapeError);
    class Noise extends Layer {
      readonly dense = new Dense(2, 2);
      forward(x: Tensor): Tensor {
        return this.dense.forward(x).add(randn([2]));
      }
    }
    await expect(new Predictor(new Noise()).predict([[1, 2]])).rejects.toThrow(/random numbers/);
    const hidden = new SharedTensor([2]);
    class Counting extends Layer {
      readonly dense = new Dense(2, 2);
      forward(x: Tensor): Tensor {
        return this.dense.forward(x).add(hidden);
      }
    }
    await expect(new Predictor(new Counting()).predict([[1, 2]])).rejects.toThrow(/in none of its fields/);
  });

  test.each([
    [{ maxBatch: 0 }, 'maxBatch'],
    [{ maxDelay: -1 }, 'maxDelay'],
    [{ queue: 1.5 }, 'queue'],
    [{ threads: 0 }, 'threads'],
    [{ timeout: Number.NaN }, 'timeout'],
    [{ batch: 1 }, 'batch'],
  ])('%o', (options, name) => {
    expect(() => new Predictor(network(), options as object)).toThrow(name);
  });
});
