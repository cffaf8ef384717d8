/**
 * Programs as users write them, run eagerly and compiled on identical twins: all that can be seen of both must be the same,
 * to the bit. A program is a function of `run`, which makes functions of tensors run in one of these ways, and of `see`,
 * which notes down what is to be compared.
 */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  AxpyError,
  compile,
  Layer,
  Optimizer,
  Parameter,
  SharedTensor,
  seed,
  Tensor,
} from '../../lib/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { defaultState } from '../../lib/random.ts';
import { occupy } from './support.ts';

// Passes join calls of few elements too.
pays.from = 0;
pays.run = 0;

/** A tensor to be written to, which is there: `to(p.grad).mul_(2)`. */
export function to(x: Tensor | null): Tensor {
  if (x === null) throw new Error('expected a tensor');
  return x;
}

/** A row of these values on shared memory, for state. */
export function shared(...values: number[]): SharedTensor {
  const x = new SharedTensor([values.length]);
  x.assign(values);
  return x;
}

/** A row of these values to be learnt. */
export function parameter(...values: number[]): Parameter {
  const x = new Parameter([values.length]);
  x.assign(values);
  return x;
}

/** Freezes a layer, or with false makes it learn again, by each of its parameters. */
export function freeze(layer: Layer, frozen = true): void {
  for (const parameter of layer.parameters()) parameter.requiresGrad = !frozen;
}

/** Makes a function run in the way that is tested. */
export type Run = <Args extends unknown[], Returned>(
  fn: (...args: Args) => Returned,
) => (...args: Args) => Returned | Promise<Returned>;

export interface Twin {
  run: Run;
  see(...values: unknown[]): void;
}

export type Program = (twin: Twin) => void | Promise<void>;

/** How a compiled function is called. */
export const ways: Record<string, Run> = {
  sync: (fn) => compile(fn).sync,
  awaited: (fn) => compile(fn),
  'awaited from the executor': (fn) => {
    const compiled = compile(fn);
    return (...args) => {
      occupy();
      return compiled(...args);
    };
  },
  'sync and awaited in turn': (fn) => {
    const compiled = compile(fn);
    let calls = 0;
    return (...args) => (calls++ % 2 === 0 ? compiled(...args) : compiled.sync(...args));
  },
};

/** Numbers to be compared; many of them by a digest, as to show where they differ would take minutes. */
function digest(values: ArrayLike<number>): unknown {
  const list = Array.from(values);
  if (list.length <= 100) return list;
  return `${list.length} numbers, ${createHash('sha1').update(Float64Array.from(list)).digest('hex')}`;
}

/** What of a value can be seen, copied. */
export function seen(value: unknown): unknown {
  if (value instanceof Tensor) {
    const { shape, dtype, data, grad } = value;
    const own = { shape: [...shape], dtype, values: digest(data) };
    return value instanceof Parameter ? { ...own, grad: grad && digest(grad.data) } : own;
  }
  if (value instanceof Layer) return seen([value.namedParameters(), value.namedBuffers()]);
  if (value instanceof Optimizer) return seen(value.stateDict());
  if (value instanceof Map) return ['Map', ...[...value].map(seen)];
  if (Array.isArray(value)) return value.map(seen);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, seen(inner)]));
}

/** All that a program saw, and the random state that it left; the error of the library that ended it, if one did. */
export async function watch(program: Program, run: Run): Promise<{ saw: unknown[]; error: unknown }> {
  seed(1);
  const saw: unknown[] = [];
  let error: unknown;
  try {
    await program({ run, see: (...values) => saw.push(...values.map(seen)) });
    saw.push([...defaultState]);
  } catch (thrown) {
    if (!(thrown instanceof AxpyError)) throw thrown;
    error = thrown;
  }
  return { saw, error };
}

/** Programs that run compiled as they run eagerly. */
export function same(programs: Readonly<Record<string, Program>>): void {
  for (const [name, program] of Object.entries(programs)) {
    for (const [way, run] of Object.entries(ways)) {
      test(`${name}, ${way}`, async () => {
        const eager = await watch(program, (fn) => fn);
        if (eager.error !== undefined) throw eager.error;
        expect(eager.saw.length).toBeGreaterThan(1);
        const compiled = await watch(program, run);
        if (compiled.error !== undefined) throw compiled.error;
        expect(compiled.saw).toEqual(eager.saw);
      });
    }
  }
}

/**
 * Programs of which a compiled function may refuse a call, with an error of the library: what it did until then is right.
 */
export function sameOrRefused(programs: Readonly<Record<string, Program>>): void {
  for (const [name, program] of Object.entries(programs)) {
    for (const [way, run] of Object.entries(ways)) {
      test(`${name}, ${way}`, async () => {
        const eager = await watch(program, (fn) => fn);
        if (eager.error !== undefined) throw eager.error;
        const compiled = await watch(program, run);
        if (compiled.error === undefined) expect(compiled.saw).toEqual(eager.saw);
        else expect(compiled.saw).toEqual(eager.saw.slice(0, compiled.saw.length));
      });
    }
  }
}

/** Programs that end with an error of the library, compiled or not, and see the same until then. */
export function refused(programs: Readonly<Record<string, Program>>): void {
  for (const [name, program] of Object.entries(programs)) {
    for (const [way, run] of Object.entries({ eager: (fn) => fn, ...ways } satisfies Record<string, Run>)) {
      test(`${name}, ${way}`, async () => {
        const eager = await watch(program, (fn) => fn);
        const { saw, error } = await watch(program, run);
        expect(error).toBeInstanceOf(AxpyError);
        expect(saw).toEqual(eager.saw);
      });
    }
  }
}
