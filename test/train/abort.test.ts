/** An abort, wherever `fit`, `evaluate` and `predict` are; and the history that an error brings along. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  AbortError,
  ArgumentError,
  AxpyError,
  type Callback,
  type Data,
  evaluate,
  type FitOptions,
  fit,
  NonFiniteError,
  predict,
  SGD,
} from '../../lib/index.ts';
import { line, linearModel, numbers, rejection } from './support.ts';

type Own = Partial<FitOptions> & { data?: Data };

/** What is to happen once something waits. */
let onWait = () => {};
const never = () => {
  onWait();
  return new Promise<never>(() => {});
};
const batch = () => line(4);

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function start({ data = line(8), ...options }: Own) {
  const model = linearModel(0.5);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
  return { model, training: fit(model, data, { loss: 'mse', optimizer, batchSize: 4, ...options }) };
}

/** The error of a training that is aborted once it waits for ever. */
async function aborted(own: Own, reason: unknown = 'enough'): Promise<AbortError> {
  const controller = new AbortController();
  onWait = () => setTimeout(() => controller.abort(reason), 2);
  const { model, training } = start({ ...own, signal: controller.signal });
  const error = await rejection(training);
  expect(error).toBeInstanceOf(AbortError);
  expect(error).toMatchObject({ name: 'AbortError', code: 'AXPY_ABORT', cause: reason });
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  // The model may be trained again, and has its mode.
  expect(model.training).toBe(true);
  await fit(model, line(4), { loss: 'mse', optimizer: new SGD(model.parameters(), { learningRate: 0.01 }) });
  return error as AbortError;
}

describe('a wait that never ends is interrupted:', () => {
  /** An epoch of two batches, then a pass that waits for ever; `closed` counts what it was told. */
  function source(returning: () => unknown) {
    let passes = 0;
    const told = { returns: 0 };
    const data = (): AsyncIterable<ReturnType<typeof batch>> => {
      let at = 0;
      const hangs = ++passes === 2;
      return {
        [Symbol.asyncIterator]: () => ({
          next: () =>
            hangs && at === 1
              ? never()
              : Promise.resolve(
                  at++ < 2 ? { done: false, value: batch() } : { done: true, value: undefined },
                ),
          return: () => {
            told.returns++;
            return returning() as Promise<never>;
          },
        }),
      };
    };
    return { data, told };
  }

  it.each<[string, () => unknown]>([
    ['closes', () => Promise.resolve({ done: true })],
    ['hangs when it is closed', never],
    ['refuses to be closed', () => Promise.reject(new Error('no'))],
    [
      'throws when it is closed',
      () => {
        throw new Error('no');
      },
    ],
    ['returns nothing', () => undefined],
  ])('for data from an iterator that %s', async (_, returning) => {
    const { data, told } = source(returning);
    const error = await aborted({ data, epochs: 5 });
    expect(error.history!.epochs).toMatchObject([{ epoch: 1 }]);
    expect(told.returns).toBe(1);
  });

  it('for data from a generator that hangs, and goes on when it does not', async () => {
    let resolve = () => {};
    let closed = false;
    async function* data() {
      try {
        yield batch();
        onWait();
        await new Promise<void>((done) => {
          resolve = done;
        });
        yield batch();
      } finally {
        closed = true;
      }
    }
    expect((await aborted({ data })).history).toEqual({ epochs: [] });
    resolve();
    await sleep(0);
    expect(closed).toBe(true);
  });

  it('for the promise of an iterable, and for one in an iterable', async () => {
    await aborted({ data: never });
    let closed = false;
    function* promises() {
      try {
        yield Promise.resolve(batch());
        yield never();
      } finally {
        closed = true;
      }
    }
    await aborted({ data: promises as unknown as () => Iterable<ReturnType<typeof batch>> });
    expect(closed).toBe(true);
  });

  it('for validation', async () => {
    async function* validation() {
      yield batch();
      await never();
    }
    expect((await aborted({ validation })).history).toEqual({ epochs: [] });
  });

  it.each(['onTrainBegin', 'onEpochBegin', 'onBatchEnd', 'onEpochEnd'] as const)('for %s', async (hook) => {
    const ends: unknown[] = [];
    const callback: Callback = { [hook]: never, onTrainEnd: (_, { error }) => void ends.push(error) };
    const error = await aborted({ callbacks: [callback] });
    expect(ends).toEqual([error]);
    expect(error.history!.epochs).toHaveLength(hook === 'onEpochEnd' ? 1 : 0);
  });

  it('for an iterator that is to return, when a callback has stopped training', async () => {
    const { data, told } = source(never);
    const callbacks: Callback[] = [{ onBatchEnd: (context) => context.stop('early') }];
    await aborted({ data, callbacks });
    expect(told.returns).toBe(1);
  });

  it('and what comes late of it is nobody’s rejection', async () => {
    const late = () => {
      onWait();
      return sleep(20).then(() => Promise.reject(new Error('late')));
    };
    await aborted({ data: late });
    await aborted({ callbacks: [{ onEpochEnd: late }] });
    // An unhandled one would fail the file.
    await sleep(25);
  });

  it('in evaluate, by a timeout too', async () => {
    async function* data() {
      yield batch();
      await never();
    }
    const error = await rejection(
      evaluate(linearModel(), data, { loss: 'mse', signal: AbortSignal.timeout(20) }),
    );
    expect(error).toMatchObject({ name: 'AbortError', history: undefined, cause: { name: 'TimeoutError' } });
  });
});

describe('an abort', () => {
  it('waits for onTrainEnd, which may save what there is', async () => {
    let saved = false;
    const onTrainEnd = async () => {
      await sleep(20);
      saved = true;
    };
    await aborted({ callbacks: [{ onEpochEnd: never, onTrainEnd }] });
    expect(saved).toBe(true);
  });

  it('ends training after whole steps, off this thread or on it, with the epochs that there were', async () => {
    for (const compiled of [true, false]) {
      const controller = new AbortController();
      const { signal } = controller;
      const onEpochEnd: Callback['onEpochEnd'] = ({ epoch }) => {
        if (epoch === 3) setTimeout(() => controller.abort());
      };
      const { model, training } = start({ compiled, epochs: 1e6, signal, callbacks: [{ onEpochEnd }] });
      const { history } = (await rejection(training)) as AbortError;
      const epochs = history!.epochs.length;
      expect(epochs).toBeGreaterThanOrEqual(3);
      expect(history!.epochs[epochs - 1].epoch).toBe(epochs);
      const after = numbers(model);
      await sleep(5);
      expect(numbers(model)).toEqual(after);
    }
  });

  it.each<[string, unknown]>([
    ['a text', 'enough'],
    ['a frozen error', Object.freeze(new Error('enough'))],
    ['nothing', null],
    ['a revoked proxy', revoked()],
  ])('may have %s for its reason', async (_, reason) => {
    const signal = AbortSignal.abort(reason);
    const calls: unknown[] = [];
    const callbacks = [{ onTrainBegin: () => void calls.push(1), onTrainEnd: () => void calls.push(2) }];
    const errors = [
      await rejection(start({ signal, callbacks }).training),
      await rejection(evaluate(linearModel(), line(4), { loss: 'mse', signal })),
      await rejection(predict(linearModel(), line(4).x, { signal })),
    ] as AbortError[];
    for (const error of errors) {
      expect(error).toBeInstanceOf(AbortError);
      expect(Object.is(error.cause, reason)).toBe(true);
    }
    expect(errors.map(({ message }) => message.split(' ')[0])).toEqual(['[fit]', '[evaluate]', '[predict]']);
    expect(errors[0].history).toEqual({ epochs: [] });
    expect(calls).toEqual([]);
  });

  it('in the last step ends training, one after the last record does not', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const callbacks: Callback[] = [{ onEpochEnd: () => controller.abort() }];
    const { training } = start({ signal, callbacks });
    expect((await training).epochs).toHaveLength(1);
    controller.abort();
    const second = new AbortController();
    const ending: Callback = { onBatchEnd: (_, { batch: n }) => (n === 2 ? second.abort() : undefined) };
    const error = await rejection(start({ signal: second.signal, callbacks: [ending] }).training);
    expect(error).toMatchObject({ name: 'AbortError', history: { epochs: [] } });
  });

  it('leaves no listeners behind, however often a signal is used', async () => {
    const warnings: unknown[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    const model = linearModel();
    const optimizer = new SGD(model.parameters(), { learningRate: 0 });
    for (let i = 0; i < 300; i++) await fit(model, [batch()], { loss: 'mse', optimizer, signal });
    for (let i = 0; i < 20; i++) await rejection(fit(model, () => [], { loss: 'mse', optimizer, signal }));
    await Promise.all(Array.from({ length: 20 }, () => evaluate(model, [batch()], { loss: 'mse', signal })));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await sleep(0);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});

describe('the history is on an error that', () => {
  it('fit throws itself', async () => {
    let pass = 0;
    const broken = () => (++pass === 3 ? [] : [batch()]);
    const data = (await rejection(start({ data: broken, epochs: 5 }).training)) as AxpyError;
    expect(data.history!.epochs).toHaveLength(2);
    const model = linearModel(0.5);
    const optimizer = new SGD(model.parameters(), { learningRate: 1e30 });
    const error = await rejection(fit(model, line(8), { loss: 'mse', optimizer, epochs: 50 }));
    expect(error).toBeInstanceOf(NonFiniteError);
    expect((error as AxpyError).history!.epochs.length).toBeLessThan(50);
    // It is nothing that a log would be full of.
    expect(Object.keys(error as object)).not.toContain('history');
  });

  it('a callback throws, where it is one of ours; others are as they were thrown', async () => {
    const thrown = [
      Object.freeze(new ArgumentError('mine')),
      Object.freeze(new Error('theirs')),
      'text',
      null,
    ];
    for (const error of thrown) {
      let context: unknown;
      const callback: Callback = {
        onEpochEnd: ({ epoch }) => (epoch === 2 ? Promise.reject(error) : undefined),
        onTrainEnd({ history }) {
          context = history;
        },
      };
      expect(await rejection(start({ epochs: 3, callbacks: [callback] }).training)).toBe(error);
      expect(context).toMatchObject({ epochs: [{ epoch: 1 }, { epoch: 2 }] });
      if (error instanceof AxpyError) expect(error.history).toBe(context);
    }
  });

  it('did not end a training: there is none', async () => {
    expect(new ArgumentError('none').history).toBeUndefined();
    const error = await rejection(start({ epochs: 0 }).training);
    expect((error as AxpyError).history).toBeUndefined();
  });
});
