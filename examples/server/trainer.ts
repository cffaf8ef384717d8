/** Learns from what comes, round by round, and tells of a version that is better than the one before. */
import { rename } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import {
  AbortError,
  Adam,
  type Checkpoint,
  encodeCheckpoint,
  FormatError,
  fit,
  loadCheckpoint,
  loadModel,
  permutation,
  saveCheckpoint,
} from 'axpy';
import type { Example } from './examples.ts';
import { errorOf, errorOfMean, type HouseModel, lesson, modelFor } from './houses.ts';

/** What there is to know of a training, as plain data. */
export interface TrainingState {
  phase: 'waiting' | 'training' | 'stopped';
  /** Counts the versions that were served, also before this process; 0 before there is one. */
  version: number;
  /** When that was made, in milliseconds since 1970. */
  madeAt: number;
  /** Of that version, on what was held out: see `errorOf`. */
  error: number | null;
  /** The number of the last example that a round has taken. */
  seen: number;
  /** Since the process began: rounds, those that brought nothing better, and those that failed. */
  rounds: number;
  rejected: number;
  failed: number;
  /** Mean squared error of the epoch before. */
  loss: number | null;
  /** What went wrong last with a round, and with its file; null since it went well. */
  faults: { round: string | null; checkpoint: string | null };
}

export interface TrainerOptions {
  /** Of the latest version. */
  file: string;
  /** How many examples the first model is made of, and how many new ones make a round. */
  first: number;
  every: number;
  /** How many examples are remembered. */
  remember: number;
}

export interface TrainerEvents {
  /** @returns when it is served */
  onVersion(model: HouseModel): Promise<unknown>;
  onState(state: TrainingState): void;
}

/** Every fifth is not learned from: versions are held against these. */
const isHeld = ({ n }: Example) => n % 5 === 0;
/** How many of these count, the latest. */
const heldMost = 1000;
/** So many old examples are learned from again beside each new one, lest they be forgotten. */
const replayed = 8;
/** And so many are learned from in a round, however fast they come. */
const roundMost = 4000;

const drawn = (examples: readonly Example[], count: number): Example[] =>
  Array.from(permutation(examples.length).slice(0, count), (i) => examples[i]);

const rounds = { first: { epochs: 60, rate: 3e-3 }, next: { epochs: 8, rate: 1e-3 } };

export const stateAtFirst = (): TrainingState => ({
  phase: 'waiting',
  version: 0,
  madeAt: 0,
  error: null,
  seen: 0,
  rounds: 0,
  rejected: 0,
  failed: 0,
  loss: null,
  faults: { round: null, checkpoint: null },
});

/** What a checkpoint says of its version. */
type Extra = Pick<TrainingState, 'version' | 'madeAt' | 'error' | 'seen'>;

/**
 * The version that a file has, to be served at once; null where there is none. A damaged one is put aside: the examples are
 * still there, of which another is made.
 */
export async function latestVersion(file: string): Promise<{ model: HouseModel; extra: Extra } | null> {
  try {
    const model = (await loadModel(file)) as HouseModel;
    return { model, extra: (await loadCheckpoint(file)).extra as unknown as Extra };
  } catch (error) {
    if ((error as { cause?: { code?: string } }).cause?.code === 'ENOENT') return null;
    if (!(error instanceof FormatError)) throw error;
    await rename(file, `${file}.damaged`);
    process.emitWarning(`${file} was put aside: ${error.message}`);
    return null;
  }
}

/** A model that learns, and its optimizer. */
interface Pupil {
  readonly model: HouseModel;
  readonly optimizer: Adam;
}

const pupilOf = (model: HouseModel): Pupil => ({ model, optimizer: new Adam(model.parameters()) });

export class Trainer {
  readonly state = stateAtFirst();
  private examples: Example[] = [];
  private pupil: Pupil | null = null;
  /** The version that is served: what a round that made nothing better goes back to. */
  private best: Checkpoint | null = null;
  private wake: (() => void) | null = null;

  constructor(
    private readonly options: TrainerOptions,
    private readonly events: TrainerEvents,
  ) {}

  /** What is to be learned from. */
  add(examples: readonly Example[]): void {
    this.examples = [...this.examples, ...examples].slice(-this.options.remember);
    this.wake?.();
  }

  /** Learns until the signal ends it, and then keeps what the round under way has learned. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.wake?.());
    await this.goOn();
    while (!signal.aborted) {
      if (this.isDue) await this.round(signal);
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
    this.tell({ phase: 'stopped' });
  }

  private get isDue(): boolean {
    const { first, every } = this.options;
    const { seen } = this.state;
    const fresh = this.examples.filter(({ n }) => n > seen);
    const isEnough = fresh.length >= (seen === 0 ? first : every);
    return isEnough && !fresh.every(isHeld);
  }

  private tell(news: Partial<TrainingState>): void {
    Object.assign(this.state, news);
    this.events.onState({ ...this.state });
  }

  /** Where the process before left off. */
  private async goOn(): Promise<void> {
    const latest = await latestVersion(this.options.file);
    if (latest === null) return;
    this.pupil = pupilOf(latest.model);
    this.best = await loadCheckpoint(this.options.file);
    this.best.restore(this.pupil);
    this.tell(latest.extra);
  }

  private async round(signal: AbortSignal): Promise<void> {
    const held = this.examples.filter(isHeld).slice(-heldMost);
    const known = this.examples.filter((example) => !isHeld(example));
    // Where there is no version yet, none were learned from.
    const { seen } = this.pupil === null ? stateAtFirst() : this.state;
    const fresh = known.filter(({ n }) => n > seen);
    const old = known.slice(0, known.length - fresh.length);
    const some = drawn(fresh, roundMost / 2);
    const again = drawn(old, Math.min(replayed * some.length, roundMost - some.length));
    this.tell({ phase: 'training', rounds: this.state.rounds + 1, seen: this.examples.at(-1)!.n });
    try {
      const before = this.pupil === null ? errorOfMean(held) : await errorOf(this.pupil.model, held);
      const pupil = this.pupil ?? pupilOf(modelFor(some));
      await this.learn(pupil, [...some, ...again], signal);
      const error = await errorOf(pupil.model, held);
      if (error < before) await this.take(pupil, error);
      else this.goBack({ rejected: this.state.rejected + 1 });
      this.tell({ phase: 'waiting', faults: { ...this.state.faults, round: null } });
    } catch (error) {
      this.goBack({ failed: this.state.failed + 1 });
      this.tell({ phase: 'waiting', faults: { ...this.state.faults, round: (error as Error).message } });
    }
    await turn();
  }

  /** @returns when it has, or was ended by the signal, after a whole step */
  private async learn(pupil: Pupil, sales: readonly Example[], signal: AbortSignal): Promise<void> {
    const { learning, data } = lesson(pupil.model, sales);
    const { epochs, rate } = this.pupil === null ? rounds.first : rounds.next;
    const { optimizer } = pupil;
    await fit(learning, data, {
      loss: 'mse',
      optimizer,
      epochs,
      signal,
      callbacks: [
        {
          onEpochBegin: ({ epoch }) => {
            optimizer.learningRate = rate * (1 - (epoch - 1) / epochs);
          },
          onEpochEnd: (_, { loss }) => this.tell({ loss }),
        },
      ],
    }).catch((error) => {
      if (!(error instanceof AbortError)) throw error;
    });
  }

  /** A version that is better: on the disk first, so that whoever has seen it finds none older after a restart. */
  private async take(pupil: Pupil, error: number): Promise<void> {
    const { version, seen, faults } = this.state;
    const extra: Extra = { version: version + 1, madeAt: Date.now(), error, seen };
    const content = { ...pupil, extra: { ...extra } };
    const fault = await saveCheckpoint(this.options.file, content).then(
      () => null,
      ({ message }: Error) => message,
    );
    this.pupil = pupil;
    this.best = await loadCheckpoint(encodeCheckpoint(content));
    // What cannot be kept is served all the same.
    await this.events.onVersion(pupil.model);
    this.tell({ ...extra, faults: { ...faults, checkpoint: fault } });
  }

  private goBack(news: Partial<TrainingState>): void {
    if (this.pupil !== null) this.best!.restore({ ...this.pupil, random: false });
    this.tell(news);
  }
}
