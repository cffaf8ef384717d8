/** How far a training has come: what is kept of it between steps, and how it goes on from there. */
import { describe, isFunction } from '../arguments.ts';
import { AbortError, ArgumentError, FormatError } from '../errors.ts';
import { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import { type Checkpoint, capture, checkLayers, prepare } from '../files/snapshot.ts';
import type { Layer } from '../layers/layer.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { defaultState, type RandomState } from '../random.ts';
import type { Interruption } from './abort.ts';
import type { Callback, Outcome, TrainingContext } from './callbacks/callback.ts';
import { type Keeper, keeperOf, type Resting, sayLost } from './callbacks/keeper.ts';
import type { Skip } from './data.ts';
import { checkState } from './explain.ts';
import type { EpochRecord, History } from './history.ts';
import type { BatchLoss } from './loss.ts';
import type { ChosenMetric } from './metrics.ts';
import type { Ranks } from './ranks.ts';
import { StateLog } from './stateLog.ts';
import { Tally } from './tally.ts';
import { readAverage, type WeightAverage } from './weightAverage.ts';
import { Window } from './window.ts';

/** What has to be as it was for a training to go on; null for what does not matter or was not given. */
export type Conditions = Readonly<Record<string, number | boolean | null>>;

interface Trained {
  readonly model: Layer;
  readonly optimizer: Optimizer;
  readonly accumulate: number;
  readonly averageWeights: WeightAverage | undefined;
  readonly ranks: Ranks | undefined;
  readonly loss: BatchLoss;
  readonly metrics: readonly ChosenMetric[];
  readonly callbacks: readonly Callback[];
  readonly conditions: Conditions;
  /** The random state of the shuffling; the default one where there is no other. */
  readonly random: RandomState;
  /** Whether batches come from code of the user's. */
  readonly isStreamed: boolean;
}

/** What callbacks see, with the parts that change. */
export type Progress = { -readonly [Key in keyof TrainingContext]: TrainingContext[Key] };

/** An epoch under way. */
interface Pass {
  readonly tally: Tally;
  /** The random states with which it began to take data. */
  readonly start: RandomState;
  readonly shuffle: RandomState;
  /** The default one before each further batch, where code of a user's may draw from it and checkpoints are kept. */
  readonly log: StateLog | null;
  /** The time that it took before it was interrupted. */
  readonly seconds: number;
}

const op = 'fit';
const copy = (state: RandomState): RandomState => new Uint32Array(state);
const isStateful = ({ stateDict, loadStateDict }: Callback) =>
  isFunction(stateDict) && isFunction(loadStateDict);

/** What of a callback knows one training alone: its keeper, which copies of it have as well, or itself where it has a state. */
export const knowing = (callback: Callback): object | undefined =>
  keeperOf(callback) ?? (isStateful(callback) ? callback : undefined);

const show = (value: unknown) => (value === null || value === undefined ? 'none' : String(value));

export class Course implements Resting {
  readonly run = Math.floor(Math.random() * 2 ** 52).toString(36);
  /** Steps taken, in the epoch under way and in all. */
  batch = 0;
  step = 0;
  resumedFrom: string | undefined;
  /** The gradients that wait for an update. */
  readonly window: Window;
  private pass: Pass | null = null;
  /** Since when the epoch under way goes on. */
  private since = 0;
  /** The default random state as the latest step, or callback after it, left it: what is under way draws from it as well. */
  private readonly random = copy(defaultState);
  /** Whether the model is in the state of this training. */
  private hasBegun = false;
  /** Whether the epoch to train next is the rest of one. */
  private isResuming = false;
  private restore: (() => void) | undefined;
  private readonly keepers: readonly Keeper[];

  constructor(
    private readonly training: Trained,
    private readonly context: Progress,
  ) {
    this.window = new Window(training.accumulate);
    this.keepers = training.callbacks
      .map(keeperOf)
      .filter((keeper): keeper is Keeper => keeper !== undefined);
  }

  get history(): History {
    return this.context.history;
  }

  get monitors(): readonly string[] {
    return this.context.monitors;
  }

  get isWithin(): boolean {
    return this.batch > 0;
  }

  get stateless(): string | undefined {
    return (this.pass?.tally ?? this.newTally()).stateless;
  }

  get tally(): Tally {
    return this.pass!.tally;
  }

  /** What all processes have counted in the epoch under way. */
  async wholeTally(): Promise<Tally> {
    const { ranks } = this.training;
    return ranks ? await ranks.sum(this.tally, this.newTally()) : this.tally;
  }

  /** From now on each process draws numbers of its own. */
  spread(ranks: Ranks | undefined): void {
    ranks?.spread(this.training.model, [this.random]);
  }

  /** Whether this process is the one that writes. */
  get isWriter(): boolean {
    return this.training.ranks?.isFirst ?? true;
  }

  /** What the epoch under way took, without what was between. */
  get seconds(): number {
    return this.pass!.seconds + (performance.now() - this.since) / 1000;
  }

  /** Whether there is another epoch, or the rest of one. */
  get goesOn(): boolean {
    const { history, epochs } = this.context;
    return history.epochs.length < epochs && (history.stopped === undefined || this.isWithin);
  }

  /** Checks a checkpoint to go on from. @throws ArgumentError for one of another training, before anything changed */
  async open(checkpoint: Checkpoint | undefined): Promise<void> {
    if (checkpoint) this.restore = this.prepare(checkpoint);
    for (const keeper of this.keepers) await keeper.begin(this);
  }

  /** Goes on from that, or begins anew. */
  async begin(interruption: Interruption): Promise<void> {
    const { context, training } = this;
    await this.tell(interruption, training.callbacks, (callback) => callback.onTrainBegin?.(context));
    if (this.isResuming && this.goesOn) {
      context.epoch++;
      await this.tell(interruption, training.callbacks, (callback) => callback.onEpochBegin?.(context));
    }
    // Last: what callbacks change as they begin is then as it was when they did so before.
    this.restore?.();
    // It holds a copy of all.
    this.restore = undefined;
    this.hasBegun = true;
  }

  async beginEpoch(interruption: Interruption): Promise<void> {
    const { context, training } = this;
    context.epoch = context.history.epochs.length + 1;
    this.since = performance.now();
    if (!this.isResuming) {
      try {
        await this.tell(interruption, training.callbacks, (callback) => callback.onEpochBegin?.(context));
      } finally {
        const log = training.isStreamed && this.keepers.length > 0 ? new StateLog() : null;
        const [start, shuffle] = [copy(defaultState), copy(training.random)];
        this.pass = { tally: this.newTally(), start, shuffle, log, seconds: 0 };
      }
    }
    this.since = performance.now();
  }

  /** What of an epoch's data was taken before it was interrupted; undefined where it begins. */
  skip(): Skip | undefined {
    const { batch, pass, random } = this;
    const { isResuming } = this;
    this.isResuming = false;
    if (!isResuming || batch === 0) return undefined;
    const states = pass!.log?.[Symbol.iterator]();
    return {
      count: batch,
      taken: () => {
        const state = states?.next().value;
        if (state) defaultState.set(state);
      },
      over: () => {
        defaultState.set(random);
      },
    };
  }

  /** Counts a step. */
  took(): void {
    this.batch++;
    this.step++;
    this.context.step = this.step;
  }

  endEpoch(record: EpochRecord): void {
    this.history.epochs.push(record);
    this.batch = 0;
    this.pass = null;
  }

  /** Tells callbacks, all of them: after an abort no promise is waited for. @throws AbortError then, and what one throws */
  async tell(
    interruption: Interruption,
    callbacks: readonly Callback[],
    call: (callback: Callback) => void | Promise<void>,
  ): Promise<void> {
    let aborted: AbortError | undefined;
    for (const callback of callbacks) {
      try {
        const answer = call(callback);
        if (answer !== undefined) await interruption.wait(answer);
      } catch (error) {
        if (!(error instanceof AbortError && interruption.isDue)) throw error;
        aborted ??= error;
      }
    }
    this.settle();
    if (aborted !== undefined) throw aborted;
  }

  /** All that belongs to the latest step is over. */
  settle(): void {
    this.random.set(defaultState);
    if (this.pass?.log && this.pass.log.length < this.batch) this.pass.log.add(this.random);
  }

  /** A moment to keep, after a step or an epoch that all callbacks were told of. */
  async rest(record?: EpochRecord): Promise<void> {
    for (const keeper of this.keepers) await keeper.rest(this, record);
  }

  /** What keepers do when training has ended, whichever way. */
  ends(outcome: Outcome, signal: { readonly aborted: boolean } | undefined): (() => Promise<void>)[] {
    const isAborted = outcome.error instanceof AbortError && signal?.aborted === true;
    const isWhole = this.hasBegun && (isAborted || !('error' in outcome));
    return this.keepers.map((keeper) => async () => {
      try {
        await keeper.end(this, isWhole);
      } catch (error) {
        // Who aborts is told of the abort, and counts on a checkpoint.
        if (isAborted) {
          const detail = error instanceof Error ? error.message : describe(error);
          sayLost(this.step, 'at which training was aborted', detail);
        }
        throw error;
      }
    });
  }

  async capture(): Promise<Checkpoint> {
    const { training, history, pass, batch, step, random } = this;
    const tally = pass === null || batch === 0 ? null : await this.wholeTally();
    const { model, optimizer, conditions, callbacks, averageWeights } = training;
    const { length } = history.epochs;
    checkState(
      model,
      optimizer,
      pass === null ? `at the end of epoch ${length}` : `at epoch ${length + 1}, batch ${batch}`,
    );
    const shuffle = pass?.shuffle ?? training.random;
    const epoch = pass && {
      batch,
      metrics: pass.tally.names,
      tally: tally?.stateDict() ?? null,
      start: pass.start,
      log: pass.log?.stateDict() ?? null,
      window: this.window.stateDict(optimizer),
      seconds: this.seconds,
    };
    const state = {
      conditions,
      history: history as unknown as SavedState,
      epoch,
      shuffle: training.random === defaultState ? null : shuffle,
      callbacks: callbacks.filter(isStateful).map((callback) => callback.stateDict!()),
      averageWeights: averageWeights?.stateDict(),
    };
    return capture(op, { model, optimizer, step }, { training: state }, random);
  }

  /** Checks a checkpoint, and takes of it what concerns nobody else. @returns what writes the rest */
  private prepare(checkpoint: Checkpoint): () => void {
    const { training, context } = this;
    const { title } = checkpoint;
    const write = prepare(op, checkpoint, training);
    checkLayers(op, checkpoint, training.model);
    if (!checkpoint.has('training')) {
      throw new ArgumentError(
        `[${op}] expected a checkpoint of a training by fit, got ${title} of a loop of one's own: restore() it, and begin anew`,
      );
    }
    const saved = checkpoint.record('training');
    checkConditions(title, saved.inner('conditions'), training.conditions);
    const stateful = training.callbacks.filter(isStateful);
    const states = saved.list('callbacks');
    if (states.length !== stateful.length) {
      throw new ArgumentError(
        `[${op}] expected ${states.length} callbacks with a state, as in ${title}, got ${stateful.length}`,
      );
    }
    const { averageWeights } = training;
    const average = readAverage(op, title, saved, averageWeights);
    const history = readHistory(saved.inner('history'));
    const shuffle = saved.has('shuffle') ? words(saved, 'shuffle') : null;
    const pass = saved.has('epoch')
      ? this.readPass(title, saved.inner('epoch'), shuffle ?? defaultState)
      : null;
    const batch = pass === null ? 0 : saved.inner('epoch').count('batch');
    const gradients =
      pass !== null && saved.inner('epoch').has('window')
        ? this.window.read(saved.inner('epoch').inner('window'), training.optimizer)
        : undefined;
    const { random, step } = checkpoint;

    [this.pass, this.batch, this.step] = [pass, batch, step];
    this.isResuming = pass !== null;
    this.resumedFrom = checkpoint.name;
    Object.assign(context.history, history);
    context.epoch = history.epochs.length;
    context.step = step;
    return () => {
      loadCallbacks(stateful, states, write);
      if (average !== undefined) averageWeights!.loadStateDict(average);
      gradients?.();
      this.random.set(random);
      // The data of the epoch under way is taken again as it was.
      const isTaken = pass !== null && this.goesOn && context.history.stopped === undefined;
      const start = isTaken ? pass.start : random;
      defaultState.set(start);
      // What one process has drawn from the default state, several draw from one of its own.
      if (training.random !== defaultState) training.random.set(shuffle ?? start);
    };
  }

  private newTally(): Tally {
    return new Tally(this.training.metrics, this.training.loss.outputs);
  }

  private readPass(title: string, saved: Fields, shuffle: RandomState): Pass {
    const { isStreamed } = this.training;
    const tally = this.newTally();
    if (saved.has('tally')) {
      const names = [saved.texts('metrics'), tally.names].map((list) => list.join(', ') || 'none');
      if (names[0] !== names[1]) {
        throw new ArgumentError(
          `[${op}] expected metrics ${names[0]}, as in ${title} within an epoch, got ${names[1]}`,
        );
      }
      const { stateless } = tally;
      if (stateless !== undefined) throw statelessError(op, stateless);
      // What several processes have counted, one of them goes on from.
      if (this.isWriter) tally.loadStateDict(saved.inner('tally'));
    }
    return {
      tally,
      start: words(saved, 'start'),
      shuffle,
      log: isStreamed ? StateLog.from(saved.inner('log')) : null,
      seconds: saved.number('seconds'),
    };
  }
}

/** All states, and what `write` does; where one of them throws, callbacks know what they knew, and do nothing of the rest. */
function loadCallbacks(
  callbacks: readonly Callback[],
  states: readonly SavedState[],
  write: () => void,
): void {
  const undo: (() => void)[] = [];
  try {
    callbacks.forEach((callback, i) => {
      const before = callback.stateDict!();
      callback.loadStateDict!(states[i]);
      undo.push(() => callback.loadStateDict!(before));
    });
    write();
  } catch (error) {
    for (const back of undo) back();
    throw error;
  }
}

const words = (fields: Fields, name: string) => fields.array<Uint32Array>(name, 'Uint32Array', 6);

/** Of a metric whose sums cannot be kept. */
export function statelessError(op: string, metric: string): ArgumentError {
  return new ArgumentError(
    `[${op}] expected metrics whose sums can be kept in the middle of an epoch, got ${metric} without stateDict and ` +
      "loadStateDict: give its accumulator both, or keep checkpoints at the end of epochs alone, by every: 'epoch'",
  );
}

const reasons: Readonly<Record<string, string>> = {
  examples: 'data of another length has other batches',
  batches: 'data of another length has other batches',
  accumulate: 'updates would be others',
};

/** @throws ArgumentError that says both of the first that differs */
function checkConditions(title: string, saved: Fields, own: Conditions): void {
  for (const [name, value] of Object.entries(own)) {
    const known = saved.get(name) ?? null;
    if (known === value) continue;
    throw new ArgumentError(
      `[${op}] expected ${name} ${show(known)}, as in ${title}, got ${show(value)}: ` +
        `${reasons[name] ?? 'the batches would be others'}. To train otherwise, restore() the model and the optimizer from ` +
        'the checkpoint, and begin anew',
    );
  }
}

/** @throws FormatError for what is none */
function readHistory(saved: Fields): History {
  const epochs = saved.list('epochs').map((record, i) => {
    const fields = new Fields(`epoch ${i + 1} of the history`, record);
    if (fields.count('epoch') !== i + 1) throw new FormatError(`expected epoch ${i + 1} in the history`);
    fields.number('loss');
    return record as unknown as EpochRecord;
  });
  return {
    epochs,
    ...(saved.has('stopped') ? { stopped: saved.text('stopped') } : {}),
    ...(saved.has('bestEpoch') ? { bestEpoch: saved.count('bestEpoch') } : {}),
  };
}
