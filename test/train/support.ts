/** Small models and data sets, and the error of a call that must fail. */
import { expect } from 'vitest';
import {
  type AxpyError,
  Dense,
  Layer,
  type Metric,
  Parameter,
  Sequential,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { createProgram } from '../../lib/kernels/index.ts';
import { mainQueue } from '../../lib/kernels/queue.ts';

/** Has the executor run something, so that what is asked for next waits until the event loop has turned. */
export function occupy(): void {
  void mainQueue.enqueue({ program: createProgram([]), enter: () => {}, leave: () => {}, abandon: () => {} });
}

/** A Dense of known weights: y = x·Wᵀ + b. */
export function dense(weight: number[][], bias: number[] = weight.map(() => 0)): Dense {
  const layer = new Dense(weight[0].length, weight.length);
  layer.weight.assign(weight);
  layer.bias!.assign(bias);
  return layer;
}

/** y = weight·x + bias, to be learnt. */
export function linearModel(weight = 0, bias = 0): Sequential {
  return new Sequential([dense([[weight]], [bias])]);
}

/** x·Wᵀ of float64 for x of two numbers; by positions of so many numbers each, where that is said. */
export class Linear extends Layer {
  readonly weight: Parameter<'float64'>;
  constructor(
    weight: number[][],
    readonly width?: number,
  ) {
    super();
    this.weight = new Parameter([weight.length, 2], 'float64');
    this.weight.assign(weight);
  }
  forward(x: Tensor): Tensor {
    const y = x.matmul(this.weight, { transposeB: true });
    return this.width === undefined ? y : y.reshape([x.shape[0], -1, this.width]);
  }
}

/** n points of y = 2x − 1. */
export function line(n: number): { x: number[][]; y: number[][] } {
  const x = Array.from({ length: n }, (_, i) => [i / n - 0.5]);
  return { x, y: x.map(([value]) => [2 * value - 1]) };
}

/** All parameters, to be compared. */
export function numbers(model: Layer): number[][] {
  return model.parameters().map((parameter) => Array.from(parameter.data));
}

/** What `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection');
}

type ErrorClass = new (message: string) => AxpyError;

/** Runs `act`, which must fail with an error of this class and message, and leave the model's parameters as they are. */
export async function refuses(
  model: Layer,
  act: () => Promise<unknown>,
  kind: ErrorClass,
  message: string | RegExp,
): Promise<void> {
  const before = numbers(model);
  const error = await rejection(act());
  expect(error).toBeInstanceOf(kind);
  expect((error as AxpyError).code).toBe(new kind('').code);
  expect((error as AxpyError).message).toMatch(message);
  expect(numbers(model)).toEqual(before);
}

export function matrix(values: number[][]): Tensor {
  return tensor(values);
}

export function labels(values: number[]): Tensor {
  return tensor(values, { dtype: 'int32' });
}

/** The metric over batches of the given sizes. */
export function over(metric: Metric, prediction: Tensor, target: Tensor, sizes: number[]): number {
  const sum = metric.start();
  let start = 0;
  for (const size of sizes) {
    const range = [[start, start + size]] as const;
    sum.add(prediction.slice(range), target.slice(range));
    start += size;
  }
  return sum.result();
}

/** The same number for every division into batches. */
export function exactly(metric: Metric, prediction: Tensor, target: Tensor): number {
  const n = target.shape[0];
  const whole = over(metric, prediction, target, [n]);
  for (const sizes of [[n - 1, 1], [1, n - 1], Array.from({ length: n }, () => 1)]) {
    const value = over(metric, prediction, target, sizes);
    if (Number.isNaN(whole)) expect(value).toBeNaN();
    else expect(value).toBeCloseTo(whole, 12);
  }
  return whole;
}
