/** onnxruntime, to hold what it computes against what models compute here. */
import { createRequire } from 'node:module';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import { type Layer, predict, type Tensor } from '../../lib/index.ts';
import { isTensor } from '../../lib/tensor.ts';
import { leavesOf } from '../../lib/tree.ts';

type Runtime = typeof import('onnxruntime-node');

/** Null where there is no binary of it: on musl, or another processor. */
export const runtime: Runtime | null = (() => {
  try {
    return createRequire(import.meta.url)('onnxruntime-node') as Runtime;
  } catch (error) {
    console.warn(`onnxruntime cannot be loaded here, so that nothing is held against it: ${error}`);
    return null;
  }
})();

export type Outputs = Readonly<Record<string, OrtTensor>>;

/** @param asWritten without what joins nodes: a factor of a product is a float32 number there, in float64 as well */
export async function session(bytes: Uint8Array, asWritten = false): Promise<InferenceSession> {
  return await runtime!.InferenceSession.create(bytes, {
    graphOptimizationLevel: asWritten ? 'basic' : 'all',
    logSeverityLevel: 3,
    // Threads would take longer to start than these models to run.
    intraOpNumThreads: 1,
  });
}

export async function run(of: InferenceSession, inputs: Readonly<Record<string, Tensor>>): Promise<Outputs> {
  const feeds = Object.entries(inputs)
    // One that nothing comes of is no input of the session's.
    .filter(([name]) => of.inputNames.includes(name))
    .map(([name, { data, shape, dtype }]) => [name, new runtime!.Tensor(dtype, data, [...shape])]);
  return await of.run(Object.fromEntries(feeds));
}

/** How much of a number rounding explains, and of the largest in a tensor. */
export const tolerances = { float32: 2e-5, float64: 1e-10, int32: 0 };

/** That both are the same but for rounding, of numbers of the size `least` where there are such on the way. */
export function expectClose(
  got: OrtTensor | undefined,
  want: Tensor,
  what: string,
  tolerance?: number,
  least = 0,
): void {
  expect(got, what).toBeDefined();
  expect([got!.type, [...got!.dims]], what).toEqual([want.dtype, [...want.shape]]);
  const within = tolerance ?? tolerances[want.dtype as 'float32'];
  const [ours, theirs] = [want.data, got!.data as Float32Array];
  let largest = 0;
  for (const value of ours) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  for (let i = 0; i < ours.length; i++) {
    if (Object.is(ours[i], theirs[i]) || ours[i] === theirs[i]) continue;
    const off = Math.abs(ours[i] - theirs[i]) / Math.max(Math.abs(ours[i]), largest / 10, least);
    if (!(off <= within)) {
      throw new Error(`${what}: element ${i} is ${theirs[i]} in onnxruntime, ${ours[i]} here, off by ${off}`);
    }
  }
}

/** The outputs of a file for some inputs, against the model's, in order. */
export async function expectSame(
  model: Layer,
  of: InferenceSession,
  inputs: readonly Tensor[],
  arranged: unknown,
  what = '',
  atBorder: (x: Tensor) => Tensor = (x) => x,
): Promise<void> {
  const want = leavesOf(await predict(model, arranged as Tensor), isTensor);
  const got = await run(of, Object.fromEntries(inputs.map((x, i) => [of.inputNames[i], atBorder(x)])));
  expect(of.outputNames.length).toBe(want.length);
  of.outputNames.forEach((name, i) => {
    expectClose(got[name], atBorder(want[i]), `${what} ${name}`);
  });
}
