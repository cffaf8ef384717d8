/** The processes that train together, and what they tell each other beside gradients. */
import type { Call, Data } from '../../binding.d.ts';
import { checkFunction, describe, isInstance } from '../arguments.ts';
import { synchronous } from '../autograd.ts';
import { ArgumentError, BackendError, DistributedError } from '../errors.ts';
import { beforeChange } from '../hold.ts';
import { exchangeCode } from '../kernels/codes.ts';
import { type ExchangeKind, openRanks, type Ranks } from '../kernels/index.ts';
import { mainQueue, runNow } from '../kernels/queue.ts';
import { changing, refuseRecording } from '../kernels/recorder.ts';
import { allocateBytes, allocateShared } from '../memory.ts';
import { nameClass } from '../names.ts';
import { Optimizer } from '../optimizers/optimizer.ts';
import { builtin, host } from '../platform.ts';
import { floats, type Tensor } from '../tensor.ts';
import { version } from '../version.ts';
import { Reducer } from './reducer.ts';
import { checkSource, Scattered, type ScatterSource } from './scatter.ts';
import { deserialize, serialize } from './serial.ts';
import { withSynchronization } from './synchronization.ts';

/** What a world is opened with. */
export interface WorldOptions {
  /** How many seconds an exchange waits for other ranks before it throws. */
  readonly timeout: number;
  /** How many bytes of gradients are added up by one exchange, at most; a larger one is one by itself. */
  readonly bucketBytes: number;
}

/** What the exchanges of a rank have come to. */
export interface ExchangeStatistics {
  /** How many have begun. */
  readonly exchanges: number;
  /** Bytes that this rank gave to them. */
  readonly bytes: number;
  /** Seconds in which at least one was under way. */
  readonly seconds: number;
  /** Seconds of these in which nothing was computed meanwhile. */
  readonly waited: number;
}

const nothing = () => {};
const alone: Ranks = { rank: 0, size: 1, hosts: [], library: null };
/** Without it nobody makes a world. */
const key = Symbol('world');

/**
 * The processes of a job, and this one's place among them: what `distribute` of `axpy/mpi` returns. Its methods are called by
 * all ranks, in the same order.
 */
export class World {
  static {
    nameClass(World, 'World');
  }

  /** The number of this process, from 0 on. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** The names of the hosts of all ranks. */
  readonly hosts: readonly string[];
  /** What the MPI library says it is; null for a process of its own, which needs none. */
  readonly library: string | null;
  /** @internal What kernels know of it, and count. */
  readonly state: Float64Array;

  private readonly reducers = new WeakMap<Optimizer, Reducer>();
  /** How many sources have been scattered, which have their numbers by that. */
  private sources = 0;

  /** @internal Worlds are made by `open`. @throws ArgumentError for who has no key */
  constructor(
    given: symbol,
    { rank, size, hosts, library }: Ranks = alone,
    private readonly options: WorldOptions = { timeout: 0, bucketBytes: 1 },
    /** @internal Tells the other ranks that this one makes no more exchanges, and why. */
    readonly leave: (why: string) => void = nothing,
  ) {
    if (given !== key) {
      throw new ArgumentError(
        '[World] expected to be made by distribute() of axpy/mpi, got a call of its constructor',
      );
    }
    [this.rank, this.size, this.hosts, this.library] = [rank, size, hosts, library];
    this.state = allocateShared(5, 'float64');
    this.state[0] = size;
  }

  /**
   * @internal The world of a job that was started by MPI, or of this process alone where libraries is null.
   * @throws DistributedError where MPI cannot be used, and where another rank has another version of this library
   */
  static async open(libraries: readonly string[] | null, options: WorldOptions): Promise<World> {
    if (libraries === null) {
      return new World(key, { ...alone, hosts: [hostName()] }, options);
    }
    const ranks = openRanks(libraries, options.timeout);
    if (ranks === null) {
      throw new BackendError('[distribute] expected the native backend, as the fallback exchanges nothing');
    }
    const world = new World(key, ranks.world, options, ranks.leave);
    endWith(ranks);
    await world.agree('distribute', { 'version of axpy': version });
    return world;
  }

  /** Counted from the beginning of this process on. */
  get statistics(): ExchangeStatistics {
    const [, exchanges, bytes, waited, taken] = this.state;
    return { exchanges, bytes, waited: waited / 1e9, seconds: taken / 1e9 };
  }

  /**
   * Makes an optimizer's steps those of all ranks: before each step, and before gradients are clipped, they become their mean
   * over the ranks. Parameters, and what the optimizer keeps, become those of rank 0 now, so that all begin alike. In a compiled
   * function gradients are exchanged while backward goes on. What reads `grad` by itself, between backward and step, reads that
   * of this rank.
   *
   *     const optimizer = world.wrap(new SGD(model.parameters(), { learningRate: 0.1 }));
   *
   * @returns the optimizer itself
   * @throws ArgumentError for what is no optimizer, DistributedError where other ranks have other parameters
   */
  wrap<Wrapped extends Optimizer>(optimizer: Wrapped): Wrapped {
    const op = 'wrap';
    refuseRecording(op);
    if (!isInstance(optimizer, Optimizer)) {
      throw new ArgumentError(`[${op}] expected an Optimizer, got ${describe(optimizer)}`);
    }
    this.reducerOf(optimizer).attach(optimizer);
    const facts = { optimizer: JSON.stringify(optimizer), parameters: shapesOf(optimizer.parameters) };
    const all = this.valuesNow([facts]);
    this.compare(op, all.flat() as Facts[]);
    this.broadcastNow([...optimizer.parameters], stateOf(optimizer));
    return optimizer;
  }

  /**
   * Runs a synchronous function, as the forward pass of a step, in which BatchNorm layers that train normalise by the batches of
   * all ranks as by one: so a step of n ranks is that of one with n times the batch. Each such layer exchanges two numbers a
   * channel, thrice a step, and waits for them. Ranks may have different numbers of rows; one without any runs the model on a
   * batch of none, [0, ...], as all ranks have to make the same exchanges. Gradients are those of the sum of what the ranks call
   * backward on.
   *
   *     const prediction = world.syncBatchNorm(() => model.forward(x));
   *
   * @returns what the function returns
   * @throws AutogradError for a function that returns a promise; DistributedError as `gatherValues`
   */
  syncBatchNorm<Result>(fn: () => Result): Result {
    const op = 'syncBatchNorm';
    checkFunction(op, 'fn', fn);
    return withSynchronization(this, () => synchronous(op, fn()));
  }

  /**
   * Batches that rank 0 alone reads, and of each of which every rank has a part, for sources that cannot be divided: a cursor of a
   * database, a socket, a generator with a state. All ranks call it; on others than rank 0 what is given is not looked at.
   *
   *     const data = world.scatter(world.rank === 0 ? batches : undefined);
   *     await fit(model, data, { loss, optimizer, world });
   *
   * Ranks have runs of the rows, in order, whose lengths differ by one at most; of a batch of fewer rows than there are ranks the
   * last ones have none, tensors [0, ...]. `fit` and `evaluate` make tensors of plain values as they do of rank 0's own batches;
   * who iterates gets what `tensor` makes of them. Each pass is one over the source. What ends it on rank 0, an error as well,
   * ends it on all.
   * @param batches what `fit` takes: an iterable of `{ x, y }`, sync or async, a `Stream`, a `ReadableStream`, or a function that
   *   returns one, called for each pass
   * @throws ArgumentError on rank 0 for something else; passes throw there what the source throws, DataError and ShapeError for
   *   batches that cannot be used, and on other ranks a DistributedError that says so
   */
  scatter<Y, X>(batches: ScatterSource<Y, X> | undefined): Scattered<Y, X> {
    refuseRecording('scatter');
    const source = this.rank === 0 ? checkSource(batches) : undefined;
    return new Scattered(this, source, this.sources++);
  }

  /** Waits until all ranks are here. @throws DistributedError where one does not come, or ended */
  async barrier(): Promise<void> {
    refuseRecording('barrier');
    await this.gather('values', 0, []);
  }

  /**
   * What each rank has, by rank: anything that `structuredClone` copies.
   * @throws DistributedError where one does not come, ended, or does something else
   */
  async gatherValues<Value>(value: Value): Promise<Value[]> {
    refuseRecording('gatherValues');
    const bytes = serialize(value);
    const sizes = await this.gather('values', 0, [bytes.length]);
    const { buffers, calls } = this.sending(sizes, bytes);
    await this.run(calls);
    return buffers.map((buffer, i) => deserialize(buffer, sizes[i])) as Value[];
  }

  /** The sums over the ranks of numbers of this one, as many on each: of losses, counts. @throws as `gatherValues` */
  async sum(numbers: readonly number[]): Promise<number[]> {
    const all = await this.gatherValues([...numbers]);
    return numbers.map((_, i) => all.reduce((total, own) => total + own[i], 0));
  }

  /** @internal @throws DistributedError that names the first rank with other facts than rank 0 */
  async agree(op: string, facts: Facts): Promise<void> {
    this.compare(op, await this.gatherValues(facts));
  }

  private compare(op: string, all: readonly Facts[]): void {
    for (const [name, expected] of Object.entries(all[0])) {
      const rank = all.findIndex((own) => own[name] !== expected);
      if (rank < 0) continue;
      throw new DistributedError(
        `[${op}] expected the same ${name} on all ranks, got ${difference(expected, String(all[rank][name]))} ` +
          `on rank 0 and ${difference(String(all[rank][name]), expected)} on rank ${rank} (${this.hosts[rank]})`,
      );
    }
  }

  /** @internal Gathers a few numbers of each rank: [size × numbers]. */
  async gather(kind: ExchangeKind, key: number, numbers: readonly number[]): Promise<Float64Array> {
    const { all, calls } = this.gathering(kind, key, numbers);
    await this.run(calls);
    return all;
  }

  /** @internal Makes tensors on shared memory, and arrays there, what they are on rank 0. */
  async broadcast(tensors: readonly Tensor[], arrays: readonly Data[] = []): Promise<void> {
    await this.run(this.sharing(tensors, arrays));
  }

  /** @internal Divides arrays of rank 0 among all, by how many elements each rank has of them. All on shared memory. */
  async divide(divisions: readonly Division[]): Promise<void> {
    await this.run(divisions.map(({ part, all, counts }) => ['scatter', part, all, counts, this.state, 0]));
  }

  private broadcastNow(tensors: readonly Tensor[], arrays: readonly Data[]): void {
    this.runNow(this.sharing(tensors, arrays));
  }

  private valuesNow<Value>(value: Value): Value[] {
    const bytes = serialize(value);
    const { all: sizes, calls } = this.gathering('values', 0, [bytes.length]);
    this.runNow(calls);
    const { buffers, calls: sends } = this.sending(sizes, bytes);
    this.runNow(sends);
    return buffers.map((buffer, i) => deserialize(buffer, sizes[i])) as Value[];
  }

  /** @internal What an optimizer's steps exchange. */
  reducerOf(optimizer: Optimizer): Reducer {
    let own = this.reducers.get(optimizer);
    if (own === undefined) {
      own = new Reducer(this, optimizer.parameters);
      this.reducers.set(optimizer, own);
    }
    return own;
  }

  /** @internal */
  get bucketBytes(): number {
    return this.options.bucketBytes;
  }

  // ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private gathering(kind: ExchangeKind, key: number, numbers: readonly number[]) {
    const [own, all] = [numbers.length, this.size * numbers.length].map((n) => allocateShared(n, 'float64'));
    own.set(numbers);
    const calls: Call[] = [
      ['allGatherBegin', all, own, this.state, exchangeCode[kind], key],
      ['allGatherEnd', all, this.state],
    ];
    return { all, calls };
  }

  /** Bytes of each rank go to all others, one rank after the other. */
  private sending(sizes: Float64Array, bytes: Uint8Array) {
    const buffers = Array.from(sizes, (size) => new Int32Array(allocateBytes(4 * Math.ceil(size / 4))));
    new Uint8Array(buffers[this.rank].buffer).set(bytes);
    const calls = buffers.map((buffer, root): Call => ['broadcast', [buffer], this.state, root]);
    return { buffers, calls };
  }

  private sharing(tensors: readonly Tensor[], arrays: readonly Data[]): Call[] {
    for (const { storage } of tensors) changing('broadcast', storage);
    for (const { buffer } of arrays) beforeChange(buffer);
    const all = [...tensors.map(floats), ...arrays];
    return [Float32Array, Float64Array, Int32Array].map(
      (kind): Call => ['broadcast', all.filter((array) => array instanceof kind), this.state, 0],
    );
  }

  /** After the runs that were asked for before: every rank makes its exchanges in the same order. */
  private run(calls: readonly Call[]): Promise<void> {
    return mainQueue.enqueue(runOf(calls));
  }

  private runNow(calls: readonly Call[]): void {
    if (mainQueue.isBusy) mainQueue.drain();
    runNow(runOf(calls));
  }
}

/** @internal An array of rank 0, of no elements elsewhere, and this rank's part of it. */
export interface Division {
  readonly part: Data;
  readonly all: Data;
  readonly counts: Int32Array;
}

/** What ranks have to have alike, in words, by what it is. */
export type Facts = Readonly<Record<string, string>>;

const runOf = (calls: readonly Call[]) => ({
  program: mainQueue.createProgram(calls),
  enter: nothing,
  leave: nothing,
  abandon: nothing,
});

/** @internal The shapes of tensors, in words. */
export const shapesOf = (tensors: readonly Tensor[]): string =>
  tensors
    .map(({ dtype, shape, requiresGrad }) => `${dtype} [${shape}]${requiresGrad ? '' : ' frozen'}`)
    .join('; ');

/** @internal What an optimizer keeps beside parameters. */
export const stateOf = (optimizer: Optimizer): Data[] => optimizer.state().map(({ values }) => values);

function hostName(): string {
  return builtin('node:os')?.hostname() ?? 'this host';
}

/** Of a long text what is about the first place at which it is not the other one. */
function difference(text: string, other: string): string {
  if (text.length <= 120) return text;
  let at = 0;
  while (text[at] === other[at]) at++;
  const start = Math.max(0, at - 40);
  return `${start > 0 ? '…' : ''}${text.slice(start, start + 100)}…`;
}

/** The others learn how this process ends; the job ends with it, unless all end as they should. */
function endWith({ leave, close }: Pick<NonNullable<ReturnType<typeof openRanks>>, 'leave' | 'close'>): void {
  let last: string | undefined;
  // Somebody may listen who goes on.
  host?.on?.('uncaughtExceptionMonitor', (error: unknown) => {
    last = error instanceof Error ? error.message : describe(error);
  });
  host?.on?.('exit', (code: number) => {
    if (code !== 0) leave(last ?? `its process exited with code ${code}`);
    close(code);
  });
}
