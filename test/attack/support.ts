/**
 * What attackers are made of: a source of random numbers for each try, a journal that outlives the process, values that
 * do harm, and the loop of a child process. `run.ts` starts the children and judges how they end.
 */
import { openSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AxpyError } from '../../lib/errors.ts';
import { generator, hash } from '../cases/generator.ts';

export class Random {
  readonly next: () => number;

  constructor(seed: number) {
    this.next = generator(seed);
  }

  /** An integer from low to high, both included. */
  int(low: number, high: number): number {
    return low + Math.floor((high - low + 1) * this.next());
  }

  pick<Value>(list: readonly Value[]): Value {
    return list[Math.floor(this.next() * list.length)];
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

/** One try. Everything it does follows from the seed of the run and its index. */
export interface Try {
  readonly index: number;
  readonly random: Random;
  /** Writes down what is done next; the last note of a process that dies names the killing call. */
  note(text: string): void;
  /** Reports a find: its kind, by which finds are counted together, and what shows it. */
  find(kind: string, detail: string): void;
  /** Counts something else than tries. */
  count(what: string, times: number): void;
}

/** Numbers on which sizes, indices and counts go wrong. */
export const numbers = [
  0,
  -0,
  1,
  2,
  3,
  7,
  -1,
  -7,
  0.5,
  1.5,
  1e-300,
  1e300,
  255,
  65535,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  Infinity,
  -Infinity,
  Number.NaN,
] as const;

/** What hostile values throw themselves; the library may pass it on. */
export class HostileError extends Error {}

export function boom(): never {
  throw new HostileError('on purpose');
}

/** Whether an error is one that the contract allows: the library's own with a code, or the hostile value's. */
export function isAllowed(error: unknown): boolean {
  if (error instanceof HostileError) return true;
  return error instanceof AxpyError && /^AXPY_[A-Z_]+$/.test(error.code);
}

export function showError(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${typeof error}`;
  const code = (error as { code?: unknown }).code;
  return `${error.name}${code === undefined ? '' : ` ${String(code)}`}: ${error.message.slice(0, 200)}`;
}

/** Takes the memory of a buffer away: an ordinary one is transferred, a resizable one shrunk. */
export function takeAway(buffer: ArrayBufferLike): void {
  if (buffer instanceof SharedArrayBuffer) return;
  const { resizable } = buffer as { resizable?: boolean };
  if (resizable) (buffer as unknown as { resize(length: number): void }).resize(0);
  else {
    try {
      structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    } catch (error) {
      // That of Node's own pool cannot be.
      if (!(error instanceof DOMException && error.name === 'DataCloneError')) throw error;
    }
  }
}

export const bufferKinds = ['ordinary', 'shared', 'resizable', 'growable'] as const;

export function makeBuffer(kind: (typeof bufferKinds)[number], bytes: number): ArrayBufferLike {
  const Type = (kind === 'shared' || kind === 'growable' ? SharedArrayBuffer : ArrayBuffer) as new (
    bytes: number,
    options?: { maxByteLength: number },
  ) => ArrayBufferLike;
  const grows = kind === 'resizable' || kind === 'growable';
  return new Type(bytes, grows ? { maxByteLength: bytes + 4096 } : undefined);
}

/** A full collection, where Node was started with --expose-gc. */
export const collect = (): void => globalThis.gc?.();

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// ── the child process ───────────────────────────────────────────────────────────────────────────────────────────────

/** Makes the tries that the command line asks for, one after the other. */
export async function attempts(attempt: (t: Try) => void | Promise<void>): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      from: { type: 'string', default: '0' },
      to: { type: 'string', default: '1' },
      until: { type: 'string', default: 'Infinity' },
      journal: { type: 'string' },
      // Read by the attacker itself.
      only: { type: 'string' },
    },
  });
  const journal = openSync(values.journal!, 'w');
  const say = (message: object) => writeSync(1, `@${JSON.stringify(message)}\n`);
  let index = Number(values.from);
  const to = Number(values.to);
  const note = (text: string) => writeSync(journal, `${index} ${text.slice(0, 4000)}\0`, 0);
  const find = (kind: string, detail: string) => say({ index, kind, detail: detail.slice(0, 4000) });
  process.on('uncaughtException', (error) => find('an uncaught exception', error?.stack ?? String(error)));
  process.on('unhandledRejection', (error) => {
    if (!isAllowed(error)) find('an unhandled rejection', showError(error));
  });
  for (; index < to && Date.now() < Number(values.until); index++) {
    note('begins');
    const random = new Random(hash(`${values.seed} ${index}`));
    await attempt({ index, random, note, find, count: (count, times) => void say({ count, times }) });
  }
  note('ends');
  say({ next: index });
  process.exit(0);
}
