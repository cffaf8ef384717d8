/** Where the time of a compiled function goes: kernel by kernel and call by call, against what the machine can do. */

import { checkBoolean, checkOptions, checkPositive, readList } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { costOf, leastTime } from '../kernels/cost.ts';
import { type Call, type Kernels, type Limits, measureLimits } from '../kernels/index.ts';
import type { PassReport } from '../kernels/passes/index.ts';
import { mainQueue } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { table as kernelTable } from '../kernels/table.ts';
import { copyOf } from '../memory.ts';
import { nameClass } from '../names.ts';
import { stream } from '../platform.ts';
import { type Compiled, recordedCall } from './compile.ts';

/** More tell nothing more of a median, and the event loop waits for them. */
const mostRuns = 10_000;

/** Options of `profile`. */
export interface ProfileOptions {
  /** How many runs are timed, after three that are not, up to 10,000. Default: as many as half a second holds, 5 to 200. */
  runs?: number;
  /** Whether the tables go to stdout. Default true. */
  print?: boolean;
  /** Whether to tell what each pass did to the recorded calls. Default false. */
  passes?: boolean;
}

/** One call of a kernel. */
export interface ProfiledCall {
  kernel: keyof Kernels;
  /** Its sizes, as `128×512×784 NT` of a product. */
  size: string;
  /** Seconds, the median of the runs. */
  time: number;
  /** Floating-point operations. */
  operations: number;
  /** Bytes it has to read and write. */
  bytes: number;
  /** Seconds it would take at the limit that holds it back: that of arithmetic or that of memory. */
  limit: number;
}

/** All calls of a kernel together. */
export interface ProfiledKernel extends Omit<ProfiledCall, 'size'> {
  calls: number;
}

/** What a pass did to the list of calls: how many there are, of which kernels, and the bytes that they read and write. */
export type ProfiledPass = PassReport;

/** What a run of one of several processes exchanges with the others. */
export interface ProfiledExchanges {
  /** How many exchanges a run has. */
  count: number;
  /** Bytes that they take of this process. */
  bytes: number;
  /** Seconds in which at least one of them was under way. */
  time: number;
  /** Seconds in which calls did nothing but wait for them: the rest of `time` was hidden behind other calls. */
  waited: number;
}

/** What `profile` found; as text, two tables, and one of passes where they were asked for. */
export class Profile {
  static {
    nameClass(Profile, 'Profile');
  }

  /** The calls of a run, in order. */
  readonly calls: readonly ProfiledCall[];
  /** Their sums by kernel, the longest first. */
  readonly kernels: readonly ProfiledKernel[];
  /** Seconds of a run: the sum over the calls. */
  readonly time: number;
  /** How many runs were timed. */
  readonly runs: number;
  /** What the machine can do, measured in the same process, in operations and bytes a second. */
  readonly limits: Readonly<Limits>;
  /** What is exchanged with other processes; null where nothing is. */
  readonly exchanges: ProfiledExchanges | null;
  /** What each pass did, in order; empty unless it was asked for. */
  readonly passes: readonly ProfiledPass[];

  /** @internal */
  constructor(
    calls: readonly ProfiledCall[],
    runs: number,
    limits: Limits,
    passes: readonly ProfiledPass[] = [],
    exchanges: ProfiledExchanges | null = null,
  ) {
    this.calls = calls;
    this.exchanges = exchanges;
    this.passes = passes;
    this.runs = runs;
    this.limits = limits;
    this.time = calls.reduce((sum, { time }) => sum + time, 0);
    const kernels = new Map<string, ProfiledKernel>();
    for (const { kernel, time, operations, bytes, limit } of calls) {
      const sum = kernels.get(kernel) ?? { kernel, calls: 0, time: 0, operations: 0, bytes: 0, limit: 0 };
      sum.calls++;
      sum.time += time;
      sum.operations += operations;
      sum.bytes += bytes;
      sum.limit += limit;
      kernels.set(kernel, sum);
    }
    this.kernels = [...kernels.values()].sort((a, b) => b.time - a.time);
  }

  /** The tables of kernels and of the `top` most expensive calls. */
  toString(top = 10): string {
    const { time, limits } = this;
    const columns = (of: Omit<ProfiledCall, 'kernel' | 'size'>) => [
      duration(of.time),
      percent(of.time / time),
      rate(of.operations / of.time),
      rate(of.bytes / of.time),
      percent(of.limit / of.time),
    ];
    const heads = ['time', 'share', 'GFLOP/s', 'GB/s', 'of limit'];
    const sum = (key: 'operations' | 'bytes' | 'limit') =>
      this.calls.reduce((total, call) => total + call[key], 0);
    const total = { time, operations: sum('operations'), bytes: sum('bytes'), limit: sum('limit') };
    const kernels = [
      ['kernel', 'calls', ...heads],
      ...this.kernels.map((kernel) => [kernel.kernel, String(kernel.calls), ...columns(kernel)]),
      ['total', String(this.calls.length), ...columns(total)],
    ];
    const longest = [...this.calls].sort((a, b) => b.time - a.time).slice(0, top);
    const calls = [
      ['call', 'size', ...heads],
      ...longest.map((call) => [call.kernel, call.size, ...columns(call)]),
    ];
    return [
      `one run: ${duration(time)}, medians of ${this.runs} runs`,
      `limits: ${rate(limits.float32)} GFLOP/s in float32, ${rate(limits.float64)} in float64; ` +
        `${limits.bandwidths.map(({ rate: per }) => rate(per)).join(', ')} GB/s ` +
        `over ${limits.bandwidths.map(({ bytes }) => bytes / 2 ** 20).join(', ')} MiB`,
      ...(this.exchanges === null ? [] : [exchangeLine(this.exchanges)]),
      '',
      table(kernels, 1, true),
      '',
      table(calls, 2, false),
      ...(this.passes.length === 0 ? [] : ['', table(passRows(this.passes), 4, false)]),
    ].join('\n');
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

function exchangeLine({ count, bytes, time, waited }: ProfiledExchanges): string {
  const hidden = time > 0 ? `, ${percent(1 - waited / time)} of them hidden` : '';
  return (
    `exchanges: ${count} of ${(bytes / 2 ** 20).toFixed(2)} MiB, ${duration(time)} under way${hidden}; ` +
    `${duration(waited)} waited for`
  );
}

function passRows(passes: readonly ProfiledPass[]): string[][] {
  const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)}`;
  const rows = passes.map(({ pass, before, after }) => {
    const names = new Set([...Object.keys(before.kernels), ...Object.keys(after.kernels)]);
    const changes = Array.from(names, (name): [string, number] => [
      name,
      (after.kernels[name] ?? 0) - (before.kernels[name] ?? 0),
    ]).filter(([, change]) => change !== 0);
    changes.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    return [
      pass,
      `${before.calls} → ${after.calls}`,
      `${megabytes(before.bytes)} → ${megabytes(after.bytes)}`,
      changes.map(([name, change]) => `${name} ${change < 0 ? '−' : '+'}${Math.abs(change)}`).join(', '),
    ];
  });
  return [['pass', 'calls', 'MiB moved', 'kernels'], ...rows];
}

function duration(seconds: number): string {
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(1)} µs`;
  return seconds < 1 ? `${(seconds * 1e3).toFixed(2)} ms` : `${seconds.toFixed(2)} s`;
}

const rate = (perSecond: number) => (Number.isFinite(perSecond) ? (perSecond / 1e9).toFixed(1) : '');
const percent = (share: number) => (Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : '');

/** Rows of text, of which the first is the head and, with a total, the last one a sum; `left` columns are words. */
function table(rows: readonly (readonly string[])[], left: number, total: boolean): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  const lines = rows.map((cells) =>
    cells
      .map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width, 0) + 2 * (widths.length - 1));
  const end = total ? [rule, lines[lines.length - 1]] : [];
  return [lines[0], rule, ...lines.slice(1, total ? -1 : undefined), ...end].join('\n');
}

/**
 * Times each kernel call of a compiled function, on this thread, and prints where the time goes and how far each kernel is
 * from what the machine can do; `docs/profiling.md` explains the columns. What the runs change (parameters, gradients,
 * the state of optimizers and random numbers) is as before in the end. Of processes that train together all call it, with the
 * same number of runs, and each is told what it waits for.
 *
 * @param step what `compile` returned, called before with arguments of the same kind
 * @param args the arguments to run with; when left out, the latest kind of call with the values it had
 * @throws ArgumentError when step is no compiled function or was not called in this way before; what a run throws
 */
export function profile<Args extends unknown[]>(
  step: Compiled<Args, unknown>,
  args?: Args,
  options: ProfileOptions = {},
): Profile {
  refuseRecording('profile');
  checkOptions('profile', options, ['runs', 'print', 'passes']);
  const { runs, print = true, passes = false } = options;
  if (runs !== undefined) {
    checkPositive('profile', 'runs', runs);
    if (runs > mostRuns) {
      throw new ArgumentError(`[profile] expected runs to be at most ${mostRuns}, got ${runs}`);
    }
  }
  checkBoolean('profile', 'print', print);
  checkBoolean('profile', 'passes', passes);

  const given = args === undefined ? null : readList('profile', 'args', args);
  mainQueue.drain();
  const recorded = recordedCall(step, given);
  const before = recorded.written.map(copyOf);
  const world = worldOf(recorded.calls);
  let samples: Float64Array[];
  let exchanges: ProfiledExchanges | null = null;
  try {
    recorded.enter();
    // Ranks agree on a number without asking each other.
    const count = runs ?? (world === undefined ? undefined : jointRuns);
    const start = world?.slice();
    samples = sample(() => recorded.program.times(), count);
    if (world !== undefined) exchanges = exchangesOf(start!, world, samples.length + untimed);
  } finally {
    recorded.written.forEach((array, i) => {
      array.set(before[i]);
    });
  }
  const limits = measureLimits();
  const calls = recorded.calls.map((call, i): ProfiledCall => {
    const cost = costOf(call);
    const { operations, bytes, size } = cost;
    const limit = leastTime(cost, limits);
    return {
      kernel: call[0],
      size,
      time: median(samples.map((times) => times[i])) / 1e9,
      operations,
      bytes,
      limit,
    };
  });
  const result = new Profile(calls, samples.length, limits, passes ? recorded.entry.passes : [], exchanges);
  if (print) stream('stdout').write(`${result}\n`);
  return result;
}

/** What calls know of other processes, where there are some (binding.d.ts). */
function worldOf(calls: readonly Call[]): Float64Array | undefined {
  for (const [kernel, ...args] of calls) {
    const position = Object.keys(kernelTable[kernel].arguments).indexOf('world');
    const world = args[position] as Float64Array | undefined;
    if (world !== undefined && world[0] > 1) return world;
  }
  return undefined;
}

function exchangesOf(before: Float64Array, after: Float64Array, runs: number): ProfiledExchanges {
  const [, count, bytes, waited, time] = Array.from(after, (value, i) => (value - before[i]) / runs);
  return { count, bytes, time: time / 1e9, waited: waited / 1e9 };
}

/** Runs before those that are timed, and how many of processes that have to make as many. */
const untimed = 3;
const jointRuns = 20;

function sample(run: () => Float64Array, count: number | undefined): Float64Array[] {
  for (let i = 1; i < untimed; i++) run();
  const start = performance.now();
  run();
  const fitting = Math.floor(500 / Math.max(performance.now() - start, 1e-3));
  return Array.from({ length: count ?? Math.min(200, Math.max(5, fitting)) }, run);
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1];
}
