/**
 * What the library needs of its host beyond the language. Nothing is imported for it, so that one text runs in Node, Bun,
 * Deno, browsers and sandboxes, and nothing is left for a bundler to replace: a host that has modules of Node gives them by
 * `process.getBuiltinModule`, and where it has none, or a `process` that somebody made up, something else serves.
 */

interface Builtins {
  'node:crypto': typeof import('node:crypto');
  'node:diagnostics_channel': typeof import('node:diagnostics_channel');
  'node:fs': typeof import('node:fs');
  'node:http': typeof import('node:http');
  'node:module': typeof import('node:module');
  'node:os': typeof import('node:os');
  'node:path': typeof import('node:path');
  'node:timers': typeof import('node:timers');
  'node:url': typeof import('node:url');
  'node:util': typeof import('node:util');
  'node:v8': typeof import('node:v8');
  'node:worker_threads': typeof import('node:worker_threads');
  'node:zlib': Partial<typeof import('node:zlib')>;
}

/** Whatever goes by this name: perhaps nothing, perhaps something that has little of it. */
export const host = (globalThis as { process?: Partial<NodeJS.Process> }).process;

/** What `ask` returns; undefined where the host fails it, as Deno does what it was not permitted. */
export function attempt<Result>(ask: () => Result): Result | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** A module of Node; undefined where the host has none. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  return attempt(() => host?.getBuiltinModule?.(name) as Builtins[Name] | undefined);
}

/** A variable of the environment; an empty one counts as unset. */
export function variable(name: string): string | undefined {
  return attempt(() => host?.env?.[name]) || undefined;
}

// ── what a value is, whatever it says of itself ─────────────────────────────────────────────────────────────────────

const types = builtin('node:util')?.types;

/** Whether `method`, which works on one class alone, works on a value. */
function accepts(method: (this: never) => unknown): (value: unknown) => boolean {
  return (value) => {
    try {
      method.call(value as never);
      return true;
    } catch {
      return false;
    }
  };
}

const getter = (prototype: object, name: PropertyKey) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => unknown;

/** The name of a typed array's class, of another realm as well; undefined for anything else. */
export const typedArrayName = getter(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag) as (
  this: unknown,
) => string | undefined;

/** Whether it is a proxy. The language cannot tell: where the host does not either, one counts as what it stands for. */
export const isProxy: (value: unknown) => boolean = types?.isProxy ?? (() => false);

export const isMap = (types?.isMap ?? accepts(getter(Map.prototype, 'size'))) as (
  value: unknown,
) => value is Map<unknown, unknown>;

export const isSet = (types?.isSet ?? accepts(getter(Set.prototype, 'size'))) as (
  value: unknown,
) => value is Set<unknown>;

export const isArrayBuffer = (types?.isArrayBuffer ??
  accepts(getter(ArrayBuffer.prototype, 'byteLength'))) as (value: unknown) => value is ArrayBuffer;

// ── shared memory ───────────────────────────────────────────────────────────────────────────────────────────────────

/** False in a page that is not isolated from those of other origins. Only one thread then works, on ordinary memory. */
export const sharesMemory = typeof SharedArrayBuffer === 'function';

/** What stands in for shared memory where there is none. */
const standIns = new WeakSet<object>();

/** Memory that a program may work in and, where there is such, that threads share. */
export function sharedMemory(bytes: number): SharedArrayBuffer {
  if (sharesMemory) return new SharedArrayBuffer(bytes);
  const buffer = new ArrayBuffer(bytes);
  standIns.add(buffer);
  return buffer as unknown as SharedArrayBuffer;
}

/** Whether a buffer is of this kind. */
export const isSharedMemory: (buffer: object) => boolean = sharesMemory
  ? (buffer) => buffer instanceof SharedArrayBuffer
  : (buffer) => standIns.has(buffer);

/** Whether it is what its class says, and so memory that another thread may have. */
export const isSharedArrayBuffer = (
  sharesMemory
    ? (types?.isSharedArrayBuffer ?? accepts(getter(SharedArrayBuffer.prototype, 'byteLength')))
    : () => false
) as (value: unknown) => value is SharedArrayBuffer;

// ── time and room ───────────────────────────────────────────────────────────────────────────────────────────────────

type Later = (task: () => void) => void;

/** Timers would wait for four milliseconds each, and for a second behind another tab. */
function byMessages(): Later | undefined {
  if (typeof MessageChannel !== 'function') return undefined;
  const tasks: (() => void)[] = [];
  let channel: InstanceType<typeof MessageChannel> | undefined;
  function open() {
    const opened = new MessageChannel();
    (opened.port1 as unknown as { onmessage?: () => void }).onmessage = () => tasks.shift()!();
    return opened;
  }
  return (task) => {
    channel ??= open();
    tasks.push(task);
    channel.port2.postMessage(null);
  };
}

const ways = [
  builtin('node:timers')?.setImmediate,
  globalThis.setImmediate,
  byMessages(),
  globalThis.setTimeout,
].filter((way) => way !== undefined) as Later[];

/** Runs a task in a turn of the event loop of its own, after what waits already, in order. */
export const later: Later = (task) => {
  const [way] = ways;
  try {
    way(task);
  } catch (error) {
    // Edge runtimes have some of them by name alone, to say in a call that there is no such thing.
    if (ways.length === 1) throw error;
    ways.shift();
    later(task);
  }
};

/** Lets the event loop turn once. */
export const turn = () => new Promise<void>((resolve) => later(resolve));

const v8 = builtin('node:v8');

/** What the heap of JavaScript may hold and holds, in bytes; undefined where the host does not tell. */
export function heap(): { limit: number; used: number } | undefined {
  if (v8 !== undefined) {
    const { heap_size_limit: limit, used_heap_size: used } = v8.getHeapStatistics();
    return { limit, used };
  }
  const { memory } = performance as { memory?: { jsHeapSizeLimit: number; usedJSHeapSize: number } };
  return memory && { limit: memory.jsHeapSizeLimit, used: memory.usedJSHeapSize };
}

// ── words for people ────────────────────────────────────────────────────────────────────────────────────────────────

/** What text is written to. */
export interface Writer {
  write(text: string): unknown;
}

/** A stream of the process or, where it has none, the console, which ends the lines by itself. */
export function stream(name: 'stdout' | 'stderr'): Writer {
  const own = attempt(() => host?.[name]);
  return typeof own?.write === 'function' ? own : { write: (text) => console.log(text.replace(/\n$/, '')) };
}

/** A warning that a program may listen to. */
export function warn(text: string, code: string, detail: string): void {
  if (typeof host?.emitWarning === 'function') host.emitWarning(text, { type: 'AxpyWarning', code, detail });
  else console.warn(`${text} (${detail})`);
}

/**
 * A line on stderr, once for the process: threads that are started later know by the environment data that they inherit
 * that it was said, and so do other copies of the library. Threads whose parent had nothing to say each say it.
 */
export function sayOnce(line: string): void {
  const threads = builtin('node:worker_threads');
  if (attempt(() => threads?.getEnvironmentData(line)) === true) return;
  attempt(() => threads?.setEnvironmentData(line, true));
  const stderr = attempt(() => host?.stderr);
  if (typeof stderr?.write === 'function') stderr.write(`${line}\n`);
  else console.warn(line);
}
