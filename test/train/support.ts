/** Small models and data sets, and the error of a call that must fail. */
import { expect } from 'vitest';
import { type AxpyError, Dense, type Layer, Sequential, type Tensor, tensor } from '../../lib/index.ts';

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
