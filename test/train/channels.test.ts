/** What trainings say on channels of `node:diagnostics_channel`. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, it, onTestFinished } from 'vitest';
import { fit, SGD, type TrainingMessages } from '../../lib/index.ts';
import { line, linearModel, rejection } from './support.ts';

const names = ['axpy:train:begin', 'axpy:train:batch', 'axpy:train:epoch', 'axpy:train:end'] as const;

/** Listens until the test is over. */
function listen<Name extends (typeof names)[number]>(
  name: Name,
  listener: (message: TrainingMessages[Name]) => void,
) {
  const own = (message: unknown) => listener(message as TrainingMessages[Name]);
  subscribe(name, own);
  onTestFinished(() => void unsubscribe(name, own));
}

function train(options: object = {}) {
  const model = linearModel();
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  return fit(model, line(4), { loss: 'mse', optimizer, batchSize: 2, epochs: 2, ...options });
}

it('tells who listens what callbacks are told, before them', async () => {
  const said: [string, object][] = [];
  for (const name of names) listen(name, (message) => said.push([name, message]));
  const told: number[] = [];
  const history = await train({ callbacks: [{ onBatchEnd: () => void told.push(said.length) }] });
  expect(said.map(([name]) => name.slice('axpy:train:'.length))).toEqual([
    'begin',
    ...['batch', 'batch', 'epoch'],
    ...['batch', 'batch', 'epoch'],
    'end',
  ]);
  expect(told).toEqual([2, 3, 5, 6]);
  const messages = said.map(([, message]) => message as TrainingMessages['axpy:train:batch']);
  expect(new Set(messages.map(({ training }) => training)).size).toBe(1);
  expect(messages[0].training).toMatchObject({ epochs: 2, batchCount: 2, step: 4, history });
  expect(messages[2].report).toEqual({ batch: 2, size: 2, loss: expect.any(Number), updated: true });
  expect((said[3][1] as TrainingMessages['axpy:train:epoch']).record).toBe(history.epochs[0]);
  expect((said[7][1] as TrainingMessages['axpy:train:end']).outcome).toEqual({});
});

it('tells of the end whichever way a training ends, and of what began', async () => {
  const said: string[] = [];
  listen('axpy:train:begin', () => said.push('begin'));
  listen('axpy:train:end', ({ outcome }) => said.push(String((outcome.error as Error | undefined)?.message)));
  const error = new Error('no');
  const failing = { onTrainBegin: () => Promise.reject(error) };
  expect(await rejection(train({ callbacks: [failing] }))).toBe(error);
  expect(said).toEqual(['begin', 'no']);
  // What cannot begin says nothing.
  await rejection(train({ epochs: 0 }));
  expect(said.length).toBe(2);
});

it('does not end for what those who listen throw', async () => {
  const thrown: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  });
  const error = new Error('of a listener');
  listen('axpy:train:epoch', () => {
    throw error;
  });
  expect((await train()).epochs.length).toBe(2);
  await new Promise((resolve) => setImmediate(resolve));
  expect(thrown).toEqual([error, error]);
});
