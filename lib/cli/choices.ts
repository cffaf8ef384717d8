/** What `axpy train` is asked for, read and checked. */
import {
  choiceOf,
  delimiterOf,
  type Given,
  listOf,
  numberOf,
  type Option,
  textOf,
  UsageError,
} from './command.ts';
import type { Order } from './parts.ts';
import type { Task } from './target.ts';

const op = 'train';

export interface Choices {
  readonly file: string;
  readonly target: string;
  readonly task: Task | undefined;
  readonly out: string;
  readonly report: string | undefined;
  readonly runs: string | undefined;
  readonly drop: readonly string[];
  readonly hidden: readonly number[];
  readonly model: 'auto' | 'network' | 'linear';
  readonly epochs: number;
  readonly members: number;
  readonly seed: number;
  readonly test: number;
  readonly order: Order | undefined;
  readonly rows: number;
  readonly delimiter: string | undefined;
  readonly balanced: boolean;
  readonly isJson: boolean;
}

function readHidden(given: Given): number[] {
  const sizes = listOf(given, 'hidden').map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= 16384) && sizes.length <= 16) {
    return sizes.length === 0 ? [128, 64] : sizes;
  }
  throw new UsageError(
    `[${op}] expected --hidden to be sizes of layers, as 128,64, got ${textOf(given, 'hidden')}`,
  );
}

/** @throws UsageError for what is out of its domain, and without a target */
export function readChoices(given: Given): Choices {
  const target = textOf(given, 'target');
  if (target === undefined) {
    throw new UsageError(`[${op}] expected --target to name the column that is to be predicted`);
  }
  const whole = { whole: true, least: 1 };
  return {
    file: given.files[0],
    target,
    task: choiceOf(op, given, 'task', ['regression', 'classification']),
    out: textOf(given, 'out') ?? 'model.safetensors',
    report: textOf(given, 'report'),
    runs: textOf(given, 'runs'),
    drop: listOf(given, 'drop'),
    hidden: readHidden(given),
    model: choiceOf(op, given, 'model', ['auto', 'network', 'linear']) ?? 'auto',
    epochs: numberOf(op, given, 'epochs', 200, { ...whole, most: 1e6 }),
    members: numberOf(op, given, 'networks', 4, { ...whole, most: 64 }),
    seed: numberOf(op, given, 'seed', 1, { whole: true, least: 0, most: 2 ** 32 - 1 }),
    test: numberOf(op, given, 'test', 0.2, { least: 0.01, most: 0.5 }),
    order: choiceOf(op, given, 'split', ['random', 'time']),
    rows: numberOf(op, given, 'rows', Number.POSITIVE_INFINITY, {
      whole: true,
      least: 20,
      most: 2 ** 31 - 1,
    }),
    delimiter: delimiterOf(op, given),
    balanced: given.values.balanced === true,
    isJson: given.values.json === true,
  };
}

export const options: Readonly<Record<string, Option>> = {
  target: { type: 'string', short: 't', value: 'COLUMN', text: 'the column to predict' },
  task: { type: 'string', value: 'TASK', text: 'regression or classification; found out by default' },
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    text: 'where the model goes; default model.safetensors',
  },
  report: { type: 'string', value: 'FILE', text: 'a page of HTML with curves and scores' },
  runs: { type: 'string', value: 'FOLDER', text: 'a folder of runs, for axpy/runs and dashboards' },
  drop: { type: 'string', value: 'A,B', text: 'columns to leave out' },
  test: { type: 'string', value: 'SHARE', text: 'of rows to hold out, up to 0.5; default 0.2' },
  split: {
    type: 'string',
    value: 'HOW',
    text: 'random, or time: the latest; time where rows are in order of dates',
  },
  model: {
    type: 'string',
    value: 'KIND',
    text: 'network, linear, or auto: what validation likes; default auto',
  },
  hidden: { type: 'string', value: 'SIZES', text: 'of hidden layers; default 128,64' },
  networks: { type: 'string', value: 'N', text: 'how many, whose mean is the answer; default 4' },
  epochs: {
    type: 'string',
    value: 'N',
    text: 'at most; default 200, fewer where validation stops improving',
  },
  balanced: { type: 'boolean', text: 'classes count alike, however rare' },
  seed: { type: 'string', value: 'N', text: 'of all that is random; default 1' },
  rows: { type: 'string', value: 'N', text: 'how many to take at most, drawn at random' },
  delimiter: { type: 'string', value: 'C', text: 'between cells, or tab; found out by default' },
  json: { type: 'boolean', text: 'the result as JSON' },
  quiet: { type: 'boolean', short: 'q', text: 'no notes on standard error' },
};
