/** How far training has come, for people to watch. */
import type { SingleBar } from 'cli-progress';
import { checkOptions, describe, isRevoked } from '../../arguments.ts';
import { ArgumentError } from '../../errors.ts';
import { stream as standardStream } from '../../platform.ts';
import type { EpochRecord, Scores } from '../history.ts';
import type { Callback, TrainingContext } from './callback.ts';

/** A stream to write to; a terminal says so by `isTTY`. */
export interface ProgressStream {
  /** Takes text; what it returns is not looked at. */
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Options of `progress`. */
export interface ProgressOptions {
  /** Default: standard error, or the console of a browser. */
  stream?: ProgressStream;
}

/**
 * Writes a line for each epoch; on a terminal also a bar while the epoch runs. `fit` makes one with `progress: true`.
 *
 *     epoch 3/10  loss 0.3412  accuracy 0.8711  validation loss 0.3633  accuracy 0.8672  1.2 s  50,102 examples/s
 *
 * A learning rate that changes is in it as well.
 */
export function progress(options: ProgressOptions = {}): Callback {
  checkOptions('progress', options, ['stream']);
  const { stream = standardStream('stderr') as ProgressStream } = options;
  if (isRevoked(stream) || typeof stream?.write !== 'function') {
    throw new ArgumentError(`[progress] expected stream to be a writable stream, got ${describe(stream)}`);
  }
  const { isTTY = false } = stream;
  let Bar: typeof SingleBar | null = null;
  let bar: SingleBar | null = null;
  let lastCount: number | undefined;

  const close = () => {
    bar?.stop();
    bar = null;
  };
  return {
    passive: true,
    rankZeroOnly: true,
    async onTrainBegin() {
      // Only a terminal needs it, and a server that trains in the background need not load it.
      // Where modules cannot be imported any more, as in Jest, the lines have to do.
      if (isTTY) Bar = (await import('cli-progress').catch(() => null))?.default.SingleBar ?? null;
      lastCount = undefined;
    },
    onEpochBegin(context) {
      if (Bar === null) return;
      const total = context.batchCount ?? lastCount;
      bar = new Bar({
        stream: stream as NodeJS.WritableStream,
        format: barFormat(context, total !== undefined),
        clearOnComplete: true,
        // Trims to the width of the terminal instead of switching its wrapping off.
        linewrap: true,
      });
      bar.start(total ?? Number.MAX_SAFE_INTEGER, 0, { loss: '' });
    },
    onBatchEnd(_context, { batch, loss }) {
      lastCount = batch;
      bar?.update(batch, { loss: `  loss ${figure(loss)}` });
    },
    onEpochEnd(context, record) {
      close();
      stream.write(`${epochLine(context, record)}\n`);
    },
    onTrainEnd({ history }, { error }) {
      close();
      if (history.stopped !== undefined && error === undefined) stream.write(`stopped: ${history.stopped}\n`);
    },
  };
}

function barFormat({ epoch, epochs }: TrainingContext, hasTotal: boolean): string {
  const extent = hasTotal ? '[{bar}] {value}/{total}' : 'batch {value}';
  return `epoch ${epoch}/${epochs}  ${extent}{loss}`;
}

function epochLine({ epochs, monitors, optimizer, history }: TrainingContext, record: EpochRecord): string {
  const names = monitors.filter((name) => !name.startsWith('validation.'));
  const parts = [`epoch ${record.epoch}/${epochs}`, ...scores(record, names)];
  if (record.penalty !== undefined) parts.push(`penalty ${figure(record.penalty)}`);
  const { learningRate } = record;
  const moves = optimizer.isScheduled || history.epochs.some((other) => other.learningRate !== learningRate);
  if (learningRate !== undefined && moves) parts.push(`learning rate ${figure(learningRate)}`);
  if (record.validation) parts.push(`validation ${scores(record.validation, names).join('  ')}`);
  const rate = Math.round(record.examplesPerSecond).toLocaleString('en-US');
  return [...parts, `${record.seconds.toFixed(1)} s`, `${rate} examples/s`].join('  ');
}

function scores(record: Scores | EpochRecord, names: readonly string[]): string[] {
  return names.map((name) => `${name} ${figure(record[name])}`);
}

function figure(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}
