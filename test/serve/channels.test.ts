/** What predictors say on channels of `node:diagnostics_channel`. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, it, onTestFinished } from 'vitest';
import { Dense, Predictor, randn, Sequential } from '../../lib/index.ts';

const names = [
  'axpy:predict:begin',
  'axpy:predict:batch',
  'axpy:predict:end',
  'axpy:predict:update',
] as const;

/** Listens until the test is over. */
function listen(): [name: string, message: Record<string, unknown>][] {
  const said: [string, Record<string, unknown>][] = [];
  for (const name of names) {
    const own = (message: unknown) => {
      said.push([name.slice('axpy:predict:'.length), message as Record<string, unknown>]);
    };
    subscribe(name, own);
    onTestFinished(() => void unsubscribe(name, own));
  }
  return said;
}

const kinds = (said: readonly [name: string, message: object][]) => said.map(([name]) => name);

it('tells of requests, batches, answers and versions', async () => {
  const said = listen();
  const model = new Sequential([new Dense(3, 2)]);
  const predictor: Predictor = new Predictor(model);
  await Promise.all([predictor.predict(randn([2, 3])), predictor.predict(randn([3, 3]))]);
  expect(kinds(said)).toEqual(['begin', 'begin', 'batch', 'end', 'end']);
  const [[, first], , [, batch], [, answer]] = said;
  expect(first).toEqual({ predictor, prediction: expect.objectContaining({ rows: 2 }) });
  expect(batch).toEqual({
    predictor,
    requests: 2,
    rows: 5,
    size: 6,
    version: 1,
    duration: expect.any(Number),
  });
  expect(answer).toEqual({
    predictor,
    prediction: first.prediction,
    version: 1,
    latency: expect.any(Number),
  });
  expect(answer.prediction).toBe(first.prediction);

  said.length = 0;
  expect(await predictor.update(model)).toBe(2);
  await predictor.predict(randn([1, 3]));
  expect(kinds(said)).toEqual(['update', 'begin', 'batch', 'end']);
  expect(said.map(([, { version }]) => version)).toEqual([2, undefined, 2, 2]);
});

it('tells of errors, and of the batches in which those beside them are answered', async () => {
  const said = listen();
  const predictor = new Predictor(new Sequential([new Dense(3, 2)]));
  await Promise.allSettled([predictor.predict(randn([1, 4])), predictor.predict(randn([1, 3]))]);
  const ends = said.filter(([name]) => name === 'end').map(([, message]) => message);
  expect(ends).toEqual(
    [
      { predictor, prediction: { rows: 1 }, latency: expect.any(Number), error: expect.any(Error) },
      {
        predictor,
        prediction: expect.objectContaining({ rows: 1 }),
        latency: expect.any(Number),
        version: 1,
      },
    ].map((message) => ({ ...message, prediction: expect.objectContaining({ rows: 1 }) })),
  );
});

it('says the version that an answer is of while others take its place', async () => {
  const said = listen();
  const model = new Sequential([new Dense(1, 1, { init: 'zeros' })]);
  const predictor = new Predictor(model);
  const [weight] = model.parameters();
  const answers: Promise<unknown>[] = [];
  const seen = new Map<unknown, number>();
  for (let version = 2; version < 60; version++) {
    weight.data[0] = version;
    const updated = predictor.update(model);
    for (let i = 0; i < 3; i++) {
      answers.push(predictor.predict([[1]]).then((y) => seen.set(answers.length, y.item())));
    }
    if (version % 3 === 0) await updated;
  }
  await Promise.all(answers);
  const batches = said.filter(([name]) => name === 'batch').map(([, { version }]) => version as number);
  expect(batches).toEqual([...batches].sort((a, b) => a - b));
  expect(predictor.stats().version).toBe(59);
  await predictor.predict([[1]]);
  expect(said.at(-1)![1].version).toBe(59);
});
