/**
 * What a kernel call costs at least: its floating-point operations and the bytes it has to move, from its name and
 * arguments alone. Held against the limits of the machine, they say how much faster the call could be.
 *
 * A multiply-add counts as two operations. An elementary function (exp, log, tanh, erf) counts as so many as the
 * polynomial that computes it has, about 16. Convolutions count as if computed directly, whatever the algorithm:
 * Winograd's does fewer, and may seem to exceed the peak. Integer work (Philox, indices, comparisons of layouts) counts
 * as nothing. Bytes are those of each array once, twice for one that is updated, as if each call began anew.
 */
import type { Argument, Call, Data, Limits } from '../../binding.d.ts';
import type { Estimate } from './estimate.ts';
import { type ArrayFact, isArrayFact, positiveSize, size } from './facts.ts';
import { implementation } from './index.ts';
import { arraysOf } from './recorder.ts';
import { table } from './table.ts';

export interface Cost {
  /** Floating-point operations. */
  readonly operations: number;
  /** Bytes read and written. */
  readonly bytes: number;
  /** Whether the operations are of float64. */
  readonly wide: boolean;
  /** The sizes, for a reader: `128×512×784`. */
  readonly size: string;
}

/** The op, and the sizes among the arguments or else the length of the first array. */
function sizeOf([kernel, ...args]: Call): string {
  const facts = Object.values(table[kernel].arguments);
  const ops = facts.map((fact, i) => (isArrayFact(fact) ? undefined : fact.names?.[args[i] as number]));
  const sizes = args.filter((_, i) => facts[i] === size || facts[i] === positiveSize);
  const shown = sizes.length > 0 ? sizes.join('×') : String((args[0] as Data).length);
  return [...ops.filter((op) => op !== undefined), shown].join(' ');
}

/** What the call costs. */
export function costOf(call: Call): Cost {
  const [kernel, ...args] = call;
  const entry = table[kernel];
  const rule = entry.cost as unknown as (...args: readonly Argument[]) => number | Estimate;
  const said = rule(...args);
  const estimate = typeof said === 'number' ? { operations: said } : said;
  const facts = Object.values(entry.arguments);
  let bytes = 0;
  let wide = false;
  for (const [array, position] of arraysOf(call)) {
    const { effect, elements } = facts[position] as ArrayFact;
    bytes += array.byteLength * (effect === 'updated' ? 2 : 1);
    // The hyperparameters of an optimizer are float64 whatever the parameters are.
    if (position === 0 && elements !== 'Float64') wide = array instanceof Float64Array;
  }
  return {
    operations: estimate.operations,
    bytes: estimate.bytes ?? bytes,
    wide,
    size: estimate.size ?? sizeOf(call),
  };
}

/** Seconds that it takes at the limits: to compute, or to move the bytes if that takes longer, from a cache they fit in. */
export function leastTime({ operations, bytes, wide }: Cost, limits: Limits): number {
  const { bandwidths } = limits;
  const { rate } = bandwidths.find((b) => b.bytes >= bytes) ?? bandwidths[bandwidths.length - 1];
  return Math.max(operations / (wide ? limits.float64 : limits.float32), bytes / rate);
}

/** What an ordinary core does, of the addon and of the fallback: seconds a call, operations and bytes a second. */
const ordinary = {
  native: { call: 2e-7, operations: 3e10, bytes: 3e10 },
  fallback: { call: 1e-6, operations: 2e9, bytes: 5e9 },
};

/** Whether calls, one after the other, take less than so many seconds on an ordinary core, as far as their costs tell. */
export function areQuick(calls: readonly Call[], seconds: number): boolean {
  const { call, operations, bytes } = ordinary[implementation];
  let left = seconds - calls.length * call;
  for (let i = 0; i < calls.length && left > 0; i++) {
    const cost = costOf(calls[i]);
    left -= Math.max(cost.operations / operations, cost.bytes / bytes);
  }
  return left > 0;
}
