/** Trainings that survive: a checkpoint every so often, and at the end. */
import { checkFunction, checkOptions, checkPositive, describe } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { readCheckpoint, runOf, writeCheckpoint } from '../../files/checkpoint.ts';
import type { Path } from '../../files/disk.ts';
import { Folder } from '../../files/folder.ts';
import type { Checkpoint } from '../../files/snapshot.ts';
import { statelessError } from '../course.ts';
import { type EpochRecord, valueAt } from '../history.ts';
import type { Callback } from './callback.ts';
import { directionOf } from './earlyStopping.ts';
import { keeperCallback, type Resting, sayLost } from './keeper.ts';

/** Options of `checkpoint`. */
export interface CheckpointOptions {
  /** Where files are kept; made where it is not there. */
  folder?: Path;
  /**
   * Instead of a folder: takes each checkpoint, to write its `encode()` to an object store, say. Training goes on meanwhile, and
   * the next one waits for it.
   */
  save?: (checkpoint: Checkpoint, why: 'due' | 'best') => void | Promise<void>;
  /** After how many steps, in all epochs, or after each 'epoch', which is the default. */
  every?: number | 'epoch';
  /** How many files stay, the newest ones; default 3. Infinity keeps all. The best one is beside these. */
  keep?: number;
  /** A number of the record, as 'validation.loss': the epoch where it is best is kept in `best.safetensors`. Default: none. */
  best?: string;
  /** Whether less or more is better. Known for losses and the metrics of axpy; to be given for your own. */
  mode?: 'min' | 'max';
}

const op = 'checkpoint';

/** The best comes first: a checkpoint that knows of a best epoch then never comes before its file. */
type Why = 'best' | 'due';

/** Where checkpoints go. */
interface Store {
  /** @throws ArgumentError where there are those of another training */
  open(training: Resting): Promise<void>;
  write(checkpoint: Checkpoint, why: readonly Why[]): Promise<void>;
}

/**
 * Keeps checkpoints of a training, from which `fit` goes on with `resume: folder` as if nothing had been between.
 *
 *     const history = await fit(model, data, {
 *       ...options,
 *       callbacks: [checkpoint({ folder: 'run1', every: 500, best: 'validation.loss' })],
 *       resume: 'run1',
 *       signal,
 *     });
 *
 * The files are called `checkpoint-000000500.safetensors` by the number of steps taken. What is kept is copied between two
 * steps, after all callbacks have been told of the one before, wherever this one is in their list; training goes on while the
 * file is written, and the next one waits for it. So one costs a copy of model and optimizer, in memory and time, and what
 * the disk takes of the machine. When training ends, by its last epoch, by `stop` or by its signal, that very point is kept
 * as well. When it ends by an error the checkpoints before it stay, and none is written of numbers that are not finite.
 * @throws ArgumentError for options out of their domains; and `fit` throws it, before training, when the number to watch
 *   will not be in the records, for a folder with checkpoints of a training that this one does not go on from, where this
 *   callback is in another training already, and, where `every` is a number of steps, for a metric of yours whose accumulator
 *   has no `stateDict`. `fit` ends with FileError when the system refuses to write, and with ArgumentError when another
 *   training turns out to write to the folder as well.
 */
export function checkpoint(options: CheckpointOptions): Callback {
  checkOptions(op, options, ['folder', 'save', 'every', 'keep', 'best', 'mode']);
  const { folder, save, every = 'epoch', keep = 3, best, mode } = options;
  if ((folder === undefined) === (save === undefined)) {
    throw new ArgumentError(
      `[${op}] expected a folder or save, got ${folder === undefined ? 'neither' : 'both'}`,
    );
  }
  if (save !== undefined) checkFunction(op, 'save', save);
  if (every !== 'epoch' && !(Number.isInteger(every) && every >= 1)) {
    throw new ArgumentError(
      `[${op}] expected every to be 'epoch' or an integer of at least 1, got ${describe(every)}`,
    );
  }
  if (keep !== Infinity) checkPositive(op, 'keep', keep);
  if (best !== undefined && typeof best !== 'string') {
    throw new ArgumentError(`[${op}] expected best to be a string, got ${describe(best)}`);
  }
  const sign = best === undefined ? 1 : directionOf(op, best, mode);
  const store = save === undefined ? inFolder(folder!, keep) : handedTo(save);

  let bestCost = Infinity;
  /** The write under way, and what became of the last one that failed. */
  let writing: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | null = null;
  /** The moment that was kept last. */
  let kept = '';

  const costOf = (record: EpochRecord) => sign * (valueAt(record, best!) ?? Number.NaN);
  const momentOf = ({ history, step }: Resting) => `${step} ${history.epochs.length} ${history.stopped}`;
  const write = async (training: Resting, isBest: boolean, isDue: boolean) => {
    const copy = await training.capture();
    kept = isDue ? momentOf(training) : kept;
    if (!training.isWriter) return;
    const why = (['best', 'due'] as const).filter((one) => (one === 'best' ? isBest : isDue));
    writing = store.write(copy, why).catch((error) => {
      failure = { error };
    });
  };
  const check = () => {
    if (failure !== null) throw failure.error;
  };

  return keeperCallback({
    async begin(training) {
      const { monitors, history } = training;
      if (best !== undefined && !monitors.includes(best)) {
        throw new ArgumentError(`[${op}] expected best to be one of ${monitors.join(', ')}, got ${best}`);
      }
      const stateless = every === 'epoch' ? undefined : training.stateless;
      if (stateless !== undefined) throw statelessError(op, stateless);
      if (training.isWriter) await store.open(training);
      bestCost = Infinity;
      if (best !== undefined) {
        for (const record of history.epochs) if (costOf(record) < bestCost) bestCost = costOf(record);
      }
      [writing, failure] = [Promise.resolve(), null];
      kept = training.resumedFrom === undefined ? '' : momentOf(training);
    },
    async rest(training, record) {
      check();
      const isDue =
        every === 'epoch' ? record !== undefined : record === undefined && training.step % every === 0;
      const cost = record === undefined || best === undefined ? Number.NaN : costOf(record);
      const isBest = cost < bestCost;
      if (!isDue && !isBest) return;
      await writing;
      check();
      if (isBest) bestCost = cost;
      await write(training, isBest, isDue);
    },
    async end(training, isWhole) {
      await writing;
      if (isWhole && failure === null && kept !== momentOf(training)) {
        const stateless = training.isWithin ? training.stateless : undefined;
        if (stateless === undefined) await write(training, false, true);
        else {
          sayLost(
            training.step,
            `in epoch ${training.history.epochs.length + 1}`,
            `the accumulator of the metric ${stateless} has no stateDict: training can go on from the end of the epoch before`,
          );
        }
        await writing;
      }
      check();
    },
  });
}

function handedTo(save: NonNullable<CheckpointOptions['save']>): Store {
  return {
    open: async () => {},
    async write(checkpoint, why) {
      for (const one of why) await save(checkpoint, one);
    },
  };
}

function inFolder(path: Path, keep: number): Store {
  let folder: Folder;
  let run = '';
  /** What need not be looked at: files that were here before, and all but the latest of this training's. */
  let settled: Set<string>;
  let latest = '';

  /** Two trainings that begin at once, where there is nothing yet, learn of each other by their files. */
  const refuseOthers = async () => {
    for (const file of await folder.files()) {
      const other = settled.has(file) ? run : ((await runOf(op, file)) ?? run);
      if (other === run) continue;
      throw new ArgumentError(
        `[${op}] expected a folder that no other training writes to, got ${file} of another meanwhile: choose another folder`,
      );
    }
  };
  return {
    async open(training) {
      const { step, resumedFrom } = training;
      folder = await Folder.open(op, path);
      const [numbered, bests] = [await folder.list(), await folder.bests()];
      settled = new Set([...numbered, ...bests].map((file) => file.path));
      [run, latest] = [training.run, ''];
      // What is here is of this training where that was kept here. The best one may then be later, where a process ended
      // before the next with a number.
      const isOwn = resumedFrom !== undefined && (await folder.holds(resumedFrom));
      const others = isOwn ? numbered.filter((file) => file.step > step) : [...numbered, ...bests];
      for (const file of others) {
        const isWhole = await readCheckpoint(op, file.path).then(
          () => true,
          () => false,
        );
        if (!isWhole) continue;
        const where =
          resumedFrom === undefined
            ? 'from its beginning'
            : `from step ${step} of ${resumedFrom || 'memory'}`;
        throw new ArgumentError(
          `[${op}] expected a folder without checkpoints of another training, got ${file.path} where this one goes on ${where}: ` +
            `pass resume: ${JSON.stringify(folder.path)} to fit to go on from that, or choose another folder`,
        );
      }
    },
    async write(checkpoint, why) {
      const file = folder.fileOf(checkpoint.step);
      const files = why.map((one) => (one === 'best' ? folder.best : file));
      await refuseOthers();
      await writeCheckpoint(op, files, checkpoint, run);
      for (const written of files) settled.delete(written);
      await refuseOthers();
      if (!why.includes('due')) return;
      settled.add(latest);
      latest = file;
      await folder.prune(keep, checkpoint.step, (one) => one === file || settled.has(one));
    },
  };
}
