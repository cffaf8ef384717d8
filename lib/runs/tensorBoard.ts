/** Trainings in TensorBoard's files: events as Protocol Buffers in TFRecords (tensorflow/core/util/event.proto). */
import { checkOptions } from '../arguments.ts';
import { type Path, pathOf } from '../files/disk.ts';
import { backendInfo } from '../index.ts';
import { encode, type Schema } from '../onnx/protobuf.ts';
import { builtin, host } from '../platform.ts';
import type { TrainingContext } from '../train/callbacks/callback.ts';
import { version } from '../version.ts';
import { asking, files, Growing } from './disk.ts';
import type { BeginEvent, ConfusionEvent, Histogram, Moment, RunEvent } from './events.ts';
import { type Picture, pngOf } from './image.ts';
import {
  type RecordOptions,
  type RunLog,
  recorder,
  recordOptions,
  type Shown,
  type Sink,
} from './recorder.ts';
import { recordOf } from './records.ts';

// ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface HistogramMessage {
  min: number;
  max: number;
  num: number;
  sum: number;
  sumSquares: number;
  /** The upper ends of buckets, and how many values are in each. */
  bucketLimit: readonly number[];
  bucket: readonly number[];
}

const histogramSchema: Schema<HistogramMessage> = {
  min: [1, 'double'],
  max: [2, 'double'],
  num: [3, 'double'],
  sum: [4, 'double'],
  sumSquares: [5, 'double'],
  bucketLimit: [6, 'double', 'many'],
  bucket: [7, 'double', 'many'],
};

interface ImageMessage {
  height: number;
  width: number;
  colorspace: number;
  encoded: Uint8Array;
}

const imageSchema: Schema<ImageMessage> = {
  height: [1, 'int'],
  width: [2, 'int'],
  colorspace: [3, 'int'],
  encoded: [4, 'bytes'],
};

interface Content {
  plugin: { name: string };
}

const contentSchema: Schema<Content> = { plugin: [1, () => ({ name: [1, 'string'] })] };

interface TextMessage {
  dtype: number;
  shape: { dims: readonly { size: number }[] };
  strings: readonly Uint8Array[];
}

const textSchema: Schema<TextMessage> = {
  dtype: [1, 'int'],
  shape: [2, () => ({ dims: [2, () => ({ size: [1, 'int'] }), 'many'] })],
  strings: [8, 'bytes', 'many'],
};

/** One of these beside its name. */
interface Value {
  tag: string;
  scalar?: number;
  image?: ImageMessage;
  histogram?: HistogramMessage;
  text?: TextMessage;
  content?: Content;
}

const valueSchema: Schema<Value> = {
  tag: [1, 'string'],
  scalar: [2, 'float', 'present'],
  image: [4, () => imageSchema],
  histogram: [5, () => histogramSchema],
  text: [8, () => textSchema],
  content: [9, () => contentSchema],
};

interface EventMessage {
  /** Seconds since 1970. */
  wallTime: number;
  step: number;
  fileVersion?: string;
  summary?: { values: readonly Value[] };
  session?: { status: number };
}

const eventSchema: Schema<EventMessage> = {
  wallTime: [1, 'double'],
  step: [2, 'int'],
  fileVersion: [3, 'string'],
  summary: [5, () => ({ values: [1, () => valueSchema, 'many'] })],
  session: [7, () => ({ status: [1, 'int'] })],
};

/** What SessionLog calls a beginning: what is of this step or a later one so far is no more. */
const start = 1;
/** What DataType calls text. */
const dtString = 7;

/** @internal */
export const eventRecord = (message: EventMessage): Uint8Array => recordOf(encode(eventSchema, message));

// ── what becomes of events ──────────────────────────────────────────────────────────────────────────────────────────

function histogramMessage({ min, max, mean, std, counts }: Histogram): HistogramMessage {
  const num = counts.reduce((sum, count) => sum + count, 0);
  const width = (max - min) / counts.length;
  return {
    min,
    max,
    num,
    sum: mean * num,
    sumSquares: num * (std * std + mean * mean),
    bucketLimit: counts.map((_, i) => (i + 1 === counts.length ? max : min + (i + 1) * width)),
    bucket: counts,
  };
}

const scalars = (prefix: string, values: object): Value[] =>
  Object.entries(values)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, scalar]) => ({ tag: `${prefix}${name}`, scalar }));

const histograms = (prefix: string, values: Readonly<Record<string, Histogram>>): Value[] =>
  Object.entries(values).map(([name, histogram]) => ({
    tag: `${prefix}${name}`,
    histogram: histogramMessage(histogram),
  }));

const textValue = (tag: string, text: string): Value => ({
  tag,
  text: { dtype: dtString, shape: { dims: [{ size: 1 }] }, strings: [new TextEncoder().encode(text)] },
  content: { plugin: { name: 'text' } },
});

/** A table in Markdown, which TensorBoard shows as one. */
function tableOf({ labels, counts }: ConfusionEvent): string {
  const row = (cells: readonly unknown[]) => `| ${cells.join(' | ')} |`;
  const cell = (text: string) => text.replace(/[|\n\r]/g, ' ');
  const heads = labels.map(cell);
  return [
    row(['true \\ predicted', ...heads]),
    row(['---', ...labels.map(() => '---:')]),
    ...counts.map((line, i) => row([heads[i], ...line])),
  ].join('\n');
}

function valuesOf(event: Exclude<RunEvent, BeginEvent>): Value[] {
  switch (event.type) {
    case 'batch': {
      const { loss, learningRate, examplesPerSecond, memory } = event;
      return [
        { tag: 'loss/batch', scalar: loss },
        ...scalars('', { learningRate, examplesPerSecond, memory }),
      ];
    }
    case 'epoch': {
      const {
        epoch: _,
        validation = {},
        seconds: __,
        examplesPerSecond: ___,
        learningRate: ____,
        ...scores
      } = event.record;
      const named = (of: object, where: string): Value[] =>
        scalars('', of).map(({ tag, ...value }) => ({ tag: `${tag}/${where}`, ...value }));
      return [...named(scores, 'epoch'), ...named(validation, 'validation')];
    }
    case 'norms':
      return [
        ...scalars('norms of weights/', event.weights),
        ...scalars('norms of gradients/', event.gradients),
      ];
    case 'histograms':
      return [...histograms('weights/', event.weights), ...histograms('gradients/', event.gradients)];
    case 'scalars':
      return scalars('', event.values);
    case 'histogram':
      return histograms('', { [event.name]: event.histogram });
    case 'confusion':
      return [textValue(event.name, tableOf(event))];
    case 'end':
    case 'image':
      return [];
  }
}

async function imageOf(name: string, picture: Picture): Promise<Value> {
  const { width, height, channels } = picture;
  return { tag: name, image: { height, width, colorspace: channels, encoded: await pngOf(picture) } };
}

// ── the callback ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Options of `tensorBoard`. */
export interface TensorBoardOptions extends RecordOptions {
  /** Where the file goes; made where it is not there. TensorBoard takes each folder for a run: give each its own. */
  folder: Path;
}

const op = 'tensorBoard';

/**
 * Writes a training as files for TensorBoard (`tensorboard --logdir runs`): `loss/batch`, learning rate, examples a second and
 * memory; loss and metrics of each epoch as `loss/epoch`, `loss/validation` and so on; norms and, where they are asked for,
 * histograms of weights and gradients; the model's summary as text; and what the program adds. The axis is the number of
 * batches trained on.
 *
 *     const board = tensorBoard({ folder: 'runs/wide', histograms: 30 });
 *     await fit(model, data, { ...options, callbacks: [board] });
 *     await board.image('filters', filters);
 *
 * Each training begins a file; one that goes on from a checkpoint in the folder of before says from which step, and
 * TensorBoard leaves out what came after that. What it costs, and when it fails, is as for `runFolder`.
 * @throws ArgumentError for options out of their domains; and `fit` throws it where this callback is in another training
 *   already, FileError where the folder cannot be written to
 */
export function tensorBoard(options: TensorBoardOptions): RunLog {
  checkOptions(op, options, ['folder', ...recordOptions]);
  const { folder, ...own } = options;
  return recorder(op, own, new BoardSink(pathOf(op, folder)));
}

/** How many files this process has begun, as two may begin in a second. */
let begun = 0;

class BoardSink implements Sink {
  private events: Growing | undefined;

  constructor(private readonly folder: string) {}

  async begin({ model, optimizer }: TrainingContext, event: RunEvent): Promise<void> {
    const { fs, path } = files(op);
    const { time, step } = event;
    const machine = (builtin('node:os')?.hostname() ?? 'host').replace(/[^\w.-]/g, '') || 'host';
    const name = `events.out.tfevents.${Math.floor(time / 1000)}.${machine}.${host?.pid ?? 0}.${begun++}`;
    const file = path.join(this.folder, name);
    const { name: backend } = backendInfo();
    const about = `axpy ${version}, ${backend}; ${optimizer.constructor.name}\n\n${indented(model.summary())}`;
    const first = eventRecord({ wallTime: time / 1000, step: 0, fileVersion: 'brain.Event:2' });
    await asking(op, 'write', this.folder, () => fs.mkdir(this.folder, { recursive: true }));
    await asking(op, 'write', file, () => fs.writeFile(file, first));
    this.events = new Growing(op, file);
    if (step > 0) {
      this.events.add(eventRecord({ wallTime: time / 1000, step: step + 1, session: { status: start } }));
    }
    this.put(event, [textValue('model', about)]);
  }

  write(event: RunEvent | Shown): void {
    if (event.type === 'picture') {
      this.events!.add(imageOf(event.name, event.picture).then((value) => recordAt(event, [value])));
    } else if (event.type !== 'begin') this.put(event, valuesOf(event));
  }

  async settled(): Promise<void> {
    await this.events?.settled();
  }

  private put(moment: Moment, values: Value[]): void {
    if (values.length > 0) this.events!.add(recordAt(moment, values));
  }
}

const recordAt = ({ time, step }: Moment, values: Value[]): Uint8Array =>
  eventRecord({ wallTime: time / 1000, step, summary: { values } });

/** As Markdown shows it line by line. */
const indented = (text: string): string => text.replace(/^/gm, '    ');
