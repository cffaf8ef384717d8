/**
 * What a training of several processes does beside what each of them would do alone: begin alike, take its part of each batch,
 * agree on when to end, count together what each has counted, and see that all have the same numbers.
 */
import { describe, isInstance } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import type { Reducer } from '../distributed/reducer.ts';
import { shapesOf, stateOf, World } from '../distributed/world.ts';
import { AbortError, ArgumentError, DataError, DistributedError, NonFiniteError } from '../errors.ts';
import { openResume } from '../files/checkpoint.ts';
import type { Source } from '../files/disk.ts';
import { flatten, type SavedState, unflatten } from '../files/savedState.ts';
import type { Checkpoint } from '../files/snapshot.ts';
import type { Json } from '../layers/config.ts';
import type { Layer } from '../layers/layer.ts';
import type { Elements } from '../memory.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { defaultState, type RandomState } from '../random.ts';
import { empty, Tensor, tensor } from '../tensor.ts';
import type { Signal } from './abort.ts';
import type { Conditions } from './course.ts';
import { type Batch, mapTensors, rowsOf } from './examples.ts';
import type { History } from './history.ts';
import type { Tally } from './tally.ts';
import type { WeightAverage } from './weightAverage.ts';

/** What a step takes beside its part of a batch. */
export interface Joint {
  /** What the mean loss of this part counts in the mean over the batch: a scalar of float64. */
  readonly share: Tensor;
  /** Whether this rank wants training to be aborted, and to stop: [2] of float64. */
  readonly wishes: Tensor;
}

/** After how many steps numbers are compared, beside the end of each epoch. */
const between = 200;

/** What is to be the same on all ranks before the first step. */
interface Trained {
  readonly model: Layer;
  readonly optimizer: Optimizer;
  readonly averageWeights: WeightAverage | undefined;
  readonly conditions: Conditions;
  readonly epochs: number;
  /** The random state of the shuffling, which is not the default one. */
  readonly random: RandomState;
  readonly isStreamed: boolean;
}

export class Ranks {
  readonly reducer: Reducer;
  /** Is aborted on all ranks after the same step. */
  readonly signal: Signal;
  private readonly agreed = new Agreed();
  private steps = 0;
  private history: History = { epochs: [] };
  private hasStopped = false;
  /** How many want to abort, and to stop. */
  private heard: readonly [aborts: number, stops: number] = [0, 0];

  constructor(
    readonly world: World,
    private readonly optimizer: Optimizer,
    private readonly wanted: Signal | undefined,
    /** Whether layers of BatchNorm normalise by the batches of all ranks. */
    readonly syncBatchNorm: boolean,
  ) {
    this.reducer = world.reducerOf(optimizer);
    this.signal = this.agreed;
  }

  /** Whether this is the one that writes. */
  get isFirst(): boolean {
    return this.world.rank === 0;
  }

  // ── the beginning and the end ─────────────────────────────────────────────────────────────────────────────────────

  /** The checkpoint that rank 0 finds. */
  async openResume(op: string, resume: Source | Checkpoint | undefined): Promise<Checkpoint | undefined> {
    const own = this.isFirst ? await openResume(op, resume) : undefined;
    const [bytes] = await this.world.gatherValues(own?.encode() ?? null);
    if (this.isFirst || bytes === null) return own;
    return await openResume(op, bytes);
  }

  /**
   * Before the first step: all ranks are about to train the same, and begin with the numbers of rank 0.
   * @throws DistributedError that names what differs, and the rank
   */
  async begin(training: Trained, monitors: readonly string[], history: History): Promise<void> {
    const { world } = this;
    const { model, optimizer, averageWeights, conditions, epochs, random, isStreamed } = training;
    const own = isStreamed ? {} : conditions;
    await world.agree('fit', {
      model: model
        .namedLayers()
        .map(([path, layer]) => `${path} ${layer.constructor.name}`)
        .join('; '),
      parameters: shapesOf(model.parameters()),
      optimizer: JSON.stringify(optimizer),
      options: JSON.stringify({ epochs, ...own, records: monitors, averages: averageWeights !== undefined }),
    });
    this.history = history;
    await world.broadcast(
      [...model.parameters(), ...others(model, optimizer), ...keptBy(model)],
      [...stateOf(optimizer), ...[random, ...this.statesOf(model)].map(wordsOf)],
    );
    if (averageWeights !== undefined) {
      const [state] = await gather(world, averageWeights.stateDict());
      averageWeights.loadStateDict(state as Record<string, Tensor>);
    }
    this.reducer.attach(optimizer);
    await this.meet();
  }

  /** From now on each rank draws numbers of its own, for dropout and the like. @param more states beside the model's */
  spread(model: Layer, more: readonly RandomState[]): void {
    // The highest word of the counter, which nobody reaches by counting.
    for (const state of [...this.statesOf(model), ...more]) state[5] ^= this.world.rank;
  }

  /** The random states that a model draws from. */
  private statesOf(model: Layer): RandomState[] {
    return [defaultState, ...model.namedRandomStates().map(([, state]) => state)];
  }

  /** Training has ended as it should: what is no parameter is what rank 0 has. */
  async end(model: Layer): Promise<void> {
    await this.world.broadcast(keptBy(model), this.statesOf(model).map(wordsOf));
  }

  /** @param isWrapped whether the optimizer's steps stay those of all ranks */
  release(isWrapped: boolean): void {
    if (!isWrapped) this.reducer.detach(this.optimizer);
  }

  /** What ended this rank's training, unless it ended that of all. */
  leave(error: unknown): void {
    if (error instanceof AbortError && this.agreed.aborted) return;
    if (error instanceof NonFiniteError || error instanceof DistributedError) return;
    this.world.leave(messageOf(error));
  }

  // ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The batches of ranks that make their own: as many on each, where one has none left of no rows. */
  async *together(batches: AsyncIterable<Batch> | Iterable<Batch>): AsyncGenerator<Batch> {
    const source =
      Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
    let isDone = false;
    let latest: Batch | undefined;
    try {
      for (;;) {
        const next = isDone ? undefined : await source.next();
        if (next?.done) isDone = true;
        const batch = next?.done ? undefined : next?.value;
        const rows = batch === undefined ? 0 : rowsOf(batch.y);
        const all = await this.world.gather('batch', 0, [rows, Number(isDone)]);
        const [total, done] = [0, 1].map((k) =>
          all.reduce((sum, one, i) => (i % 2 === k ? sum + one : sum), 0),
        );
        if (done === this.world.size) return;
        if (total === 0)
          throw new DataError('expected at least one example in a batch of all ranks, got none');
        latest = batch ?? latest;
        yield batch === undefined ? nothing(latest, total) : { ...batch, total, share: rows / total };
      }
    } finally {
      if (!isDone) await source.return?.();
    }
  }

  /** What a step takes beside a batch. */
  joint({ share }: Batch): Joint {
    return {
      share: tensor(share, { dtype: 'float64' }),
      wishes: tensor(this.wishes(), { dtype: 'float64' }),
    };
  }

  private wishes(): number[] {
    return [this.wanted?.aborted === true, this.history.stopped !== undefined].map(Number);
  }

  /** What all ranks said in a step: their loss and their wishes. @returns the loss */
  hear(said: Tensor): number {
    const [loss, aborts, stops] = said.data;
    this.heard = [aborts, stops];
    return loss;
  }

  /** Does what ranks want, all of them the same. */
  private async follow(): Promise<void> {
    const [aborts, stops] = this.heard;
    if (aborts + stops === 0 || this.hasStopped || this.agreed.aborted) return;
    const { stopped } = this.history;
    const { aborted = false, reason } = this.wanted ?? {};
    const why = aborted ? `rank ${this.world.rank} was told to abort: ${messageOf(reason)}` : null;
    const all = await this.world.gatherValues({ stopped: stopped ?? null, why });
    const first = (of: 'stopped' | 'why') => all.map((own) => own[of]).find((text) => text !== null);
    if (aborts > 0) this.agreed.abort(aborted ? reason : new Error(first('why')!));
    if (stops > 0) this.history.stopped = first('stopped')!;
    this.hasStopped = stops > 0;
  }

  /** Whether all ranks know that training stops. */
  get isStopped(): boolean {
    return this.hasStopped;
  }

  /**
   * After a step: ranks do what they have agreed on, and every so often compare their numbers.
   * @throws DistributedError that names who has others
   */
  async settle(): Promise<void> {
    await this.follow();
    if (++this.steps % between === 0) await this.meet();
  }

  /** Ranks tell their wishes, and compare their numbers. @throws DistributedError that names who has others */
  async meet(): Promise<void> {
    const { world, optimizer } = this;
    const own = [
      ...this.wishes(),
      ...checksum([...optimizer.parameters.map(({ data }) => data), ...stateOf(optimizer)]),
    ];
    const all = await world.gather('state', 0, own);
    const sums = Array.from({ length: world.size }, (_, i) => all.slice(4 * i, 4 * i + 4));
    const [aborts, stops] = [0, 1].map((k) => sums.reduce((total, one) => total + one[k], 0));
    const keys = sums.map(([, , ...sum]) => sum.join());
    const usual = mostFrequent(keys);
    const apart = keys.flatMap((key, rank) => (key === usual ? [] : [`${rank} (${world.hosts[rank]})`]));
    if (apart.length > 0) {
      throw new DistributedError(
        `[fit] expected the same parameters and optimizer state on all ranks, to the bit, got others on rank ` +
          `${apart.join(', ')} after ${this.steps} steps: what a callback or another thread changes, it has to change on all`,
      );
    }
    this.heard = [aborts, stops];
    await this.follow();
  }

  /** Buffers of layers, as running statistics, become those of rank 0, where ranks have seen other examples. */
  async sameBuffers(model: Layer): Promise<void> {
    const kept = keptBy(model);
    if (kept.length > 0) await this.world.broadcast(kept);
  }

  // ── what is counted ───────────────────────────────────────────────────────────────────────────────────────────────

  /** What all ranks have counted together; `empty` takes it in. */
  sum(tally: Tally, empty: Tally): Promise<Tally> {
    return sumOf(this.world, tally, empty);
  }
}

/** Adds up what each rank has counted, into another tally. */
export async function sumOf(world: World, tally: Tally, empty: Tally): Promise<Tally> {
  for (const state of await gather(world, tally.stateDict())) empty.merge(state);
  return empty;
}

/** Plain data with tensors of all ranks, by rank. */
async function gather(world: World, state: SavedState): Promise<SavedState[]> {
  const { json, tensors } = flatten('fit', state, '');
  const parts = Array.from(tensors, ([name, { shape, dtype, data }]) => ({ name, shape, dtype, data }));
  const all = await world.gatherValues({ json, parts });
  return all.map((own) => {
    const known = new Map(
      own.parts.map(({ name, shape, dtype, data }) => [name, new Tensor(data as never, shape, dtype)]),
    );
    return unflatten('fit', own.json as Json, (name) => known.get(name));
  });
}

/** @throws ArgumentError unless it is a world */
export function checkWorld(op: string, world: unknown): asserts world is World | undefined {
  if (world === undefined || isInstance(world, World)) return;
  throw new ArgumentError(`[${op}] expected world to be what distribute() returned, got ${describe(world)}`);
}

/** @throws ArgumentError for a metric whose sums over ranks cannot be added up */
export function checkMerges(op: string, world: World | undefined, tally: Tally): void {
  const { mergeless } = tally;
  if (world === undefined || world.size === 1 || mergeless === undefined) return;
  throw new ArgumentError(
    `[${op}] expected metrics that can be counted by several processes, got ${mergeless} without stateDict, loadStateDict and ` +
      'merge: give its accumulator all three',
  );
}

/** A signal that is aborted when ranks have agreed on it. */
class Agreed implements Signal {
  aborted = false;
  reason: unknown;
  private readonly listeners = new Set<() => void>();

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners.delete(listener);
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    [this.aborted, this.reason] = [true, reason];
    for (const listener of this.listeners) listener();
  }
}

/** What an error, or another reason, says. */
export const messageOf = (reason: unknown): string =>
  reason instanceof Error ? reason.message : describe(reason);

/** A part of a batch without examples, in the form of another. */
function nothing(like: Batch | undefined, total: number): Batch {
  const none = empty([0], 'float32');
  const { x, y, weights } = like ?? { x: none, y: none, weights: null };
  const rowsOfNone = <Tree>(tree: Tree) => noGrad(() => mapTensors(tree, (one) => one.slice([[0, 0]])));
  return { x: rowsOfNone(x), y: rowsOfNone(y), weights: rowsOfNone(weights), total, share: 0 };
}

/** What layers keep beside parameters. */
const keptBy = (model: Layer): Tensor[] =>
  [...model.namedBuffers(), ...model.namedHidden()].map(([, buffer]) => buffer);

/** A random state as kernels copy it. */
const wordsOf = ({ buffer, byteOffset, length }: RandomState) => new Int32Array(buffer, byteOffset, length);

/** Parameters of an optimizer that the model has not. */
function others(model: Layer, { parameters }: Optimizer): Tensor[] {
  const own = new Set<Tensor>(model.parameters());
  return parameters.filter((parameter) => !own.has(parameter));
}

/** Two sums over the words of arrays, of which a change of one word changes the first, and one of places the second. */
function checksum(arrays: readonly Elements[]): [number, number] {
  let [sum, weighed] = [0, 0];
  for (const { buffer, byteOffset, byteLength } of arrays) {
    const words = new Int32Array(buffer, byteOffset, byteLength / 4);
    for (let i = 0; i < words.length; i++) {
      sum = (sum + words[i]) | 0;
      weighed = (weighed + Math.imul(sum, 0x9e3779b1)) | 0;
    }
  }
  return [sum, weighed];
}

/** Of equally many the first. */
function mostFrequent(keys: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}
