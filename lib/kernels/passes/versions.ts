/** What is overwritten is another memory from then on: each intermediate is computed once, and then only read or added to. */
import { Storage } from '../../memory.ts';
import { isList, type RecordedArgument, type RecordedCall, type Recording } from '../recorder.ts';
import { effectsOf } from './nodes.ts';

/** The calls with such memory, and what the results are in it. */
export function versions(
  calls: readonly RecordedCall[],
  { inputs }: Pick<Recording, 'inputs'>,
  outputs: readonly Storage[],
): { calls: RecordedCall[]; outputs: Storage[] } {
  const isKnown = new Set<Storage>();
  const latest = new Map<Storage, Storage>();
  const isVersioned = (some: unknown): some is Storage =>
    some instanceof Storage && some.array === null && !inputs.has(some);
  const current = (some: unknown): RecordedArgument => {
    if (isVersioned(some)) isKnown.add(some);
    return (latest.get(some as Storage) ?? some) as RecordedArgument;
  };
  const own = calls.map((call): RecordedCall => {
    const effects = effectsOf(call);
    const versioned = call.slice() as RecordedCall;
    // What it reads comes before what it writes, as it may be the same.
    const written: [at: number, memory: Storage][] = [];
    for (let i = 1; i < call.length; i++) {
      const argument = call[i];
      if (typeof argument !== 'object' || argument === null) continue;
      if (isList(argument)) versioned[i] = argument.map(current) as RecordedArgument;
      else if (effects[i - 1] !== 'overwritten' || !isVersioned(argument)) versioned[i] = current(argument);
      else written.push([i, argument]);
    }
    for (const [i, memory] of written) {
      if (isKnown.has(memory)) latest.set(memory, new Storage(memory.dtype, memory.length, null));
      isKnown.add(memory);
      versioned[i] = latest.get(memory) ?? memory;
    }
    return versioned;
  });
  return { calls: own, outputs: outputs.map((output) => latest.get(output) ?? output) };
}
