/** `axpy train`: a model of a table, with an honest figure of what it is worth. */
import { access } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import {
  backendInfo,
  type Callback,
  type ConfusionMatrix,
  confusionMatrix,
  DataError,
  FileError,
  type History,
  predict,
  saveModel,
  type Tensor,
  tensor,
} from '../index.ts';
import { type Column, type Found, find, median } from './columns.ts';
import { type Command, choiceOf, type Given, listOf, numberOf, textOf, UsageError } from './command.ts';
import { type Description, entry } from './description.ts';
import { type Inputs, inputsOf, toInputs } from './inputs.ts';
import { type Candidate, learnLinear, learnNetwork, type Material } from './learn.ts';
import { divide, type Parts } from './parts.ts';
import { readTable, type Table } from './sample.ts';
import { classScale, logScale, plainScale, type Scale } from './scale.ts';
import { byClass, type Scores, scoreClasses, scoreNumbers } from './scores.ts';
import { readTarget, type Target } from './target.ts';
import {
  beQuiet,
  bold,
  counted,
  figure,
  note,
  passed,
  passing,
  say,
  score as shown,
  some,
  table,
} from './terminal.ts';

const op = 'train';

interface Choices {
  readonly file: string;
  readonly target: string;
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

function readChoices(given: Given): Choices {
  const target = textOf(given, 'target');
  if (target === undefined)
    throw new UsageError(`[${op}] expected --target to name the column that is to be predicted`);
  const whole = { whole: true, least: 1 };
  return {
    file: given.files[0],
    target,
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
    balanced: given.values.balanced === true,
    isJson: given.values.json === true,
  };
}

// ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the columns are that are learned from, and what is said of those that are not. */
function findColumns(data: Table, { target, drop }: Choices): Map<string, Found> {
  const strange = drop.find((name) => !data.cells.has(name));
  if (strange !== undefined)
    throw new DataError(`[${op}] expected --drop to name columns of the file, got ${strange}`);
  const found = new Map<string, Found>();
  for (const [name, cells] of data.cells) {
    if (name === target || drop.includes(name)) continue;
    const column = find(name, cells, data.delimiter);
    found.set(name, column);
    if (column.kind === 'left out') note(`  ${name} is left out: it ${column.because}`);
    else if (column.kind !== 'category' && column.strange.length > 0) {
      const [first] = column.strange;
      note(
        `  ${name}: ${counted(column.strange.length, 'cell')} no ${column.kind}, as ${JSON.stringify(cells[first].slice(0, 40))} in row ${first + 1}, taken as missing`,
      );
    }
  }
  return found;
}

/** With what is put where values are missing, which only the rows that are learned from tell. */
function columnsOf(found: ReadonlyMap<string, Found>, train: Int32Array): Column[] {
  return Array.from(found).flatMap(([name, column]): Column[] => {
    if (column.kind === 'left out') return [];
    if (column.kind === 'category') return [{ name, kind: 'category' }];
    const values = Float64Array.from(train, (row) => column.values[row]);
    const rest = { fill: median(values), missing: values.some(Number.isNaN) };
    if (column.kind === 'number') return [{ name, kind: 'number', format: column.format, ...rest }];
    const hours = values.some((value) => !Number.isNaN(value) && !Number.isInteger(value));
    return [{ name, kind: 'date', format: column.format, hours, ...rest }];
  });
}

const pick = (inputs: Inputs, rows: Int32Array): Inputs =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      Array.isArray(values)
        ? Array.from(rows, (row) => values[row])
        : Float64Array.from(rows, (row) => values[row]),
    ]),
  );

/** Names that a date brings with it must not be those of other columns. */
function checkNames(columns: readonly Column[]): void {
  const names = columns.flatMap((column) => inputsOf(column).map(({ name }) => name));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new DataError(
    `[${op}] expected no column of the name ${twice}, which is made of another one: rename it, or leave it out by --drop`,
  );
}

// ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────

function scalesFor(target: Target, train: Int32Array): Scale[] {
  if (target.task === 'classification') return [classScale(target.labels, target.classes.length)];
  const { values } = target;
  const plain = plainScale(values, train);
  return values.every((value) => value > 0) ? [plain, logScale(values, train)] : [plain];
}

/** The first Ctrl+C ends the network under way, the next one everything. */
class Interrupts {
  isEnded = false;
  private readonly onSignal = (): void => {
    if (this.isEnded) process.exit(130);
    this.isEnded = true;
    note('\nending: what is best so far is kept (Ctrl+C again ends at once)');
  };

  constructor() {
    process.on('SIGINT', this.onSignal);
  }

  readonly callback: Callback = {
    onBatchEnd: (training) => {
      if (this.isEnded) training.stop('ended by Ctrl+C');
    },
    passive: true,
  };

  done(): void {
    process.off('SIGINT', this.onSignal);
  }
}

function progressOf(member: number, members: number): Callback {
  let best = Number.POSITIVE_INFINITY;
  return {
    passive: true,
    onEpochEnd({ epoch, epochs }, { validation }) {
      const loss = validation?.loss ?? Number.NaN;
      best = Math.min(best, loss);
      passing(
        `network ${member + 1} of ${members}, epoch ${epoch} of at most ${epochs}: validation loss ${figure(loss)}, best ${figure(best)}`,
      );
    },
    onTrainEnd({ epoch, history }) {
      passed();
      note(
        `network ${member + 1} of ${members}: ${counted(epoch, 'epoch')}, the best ${history.bestEpoch ?? epoch}, validation loss ${figure(best)}`,
      );
    },
  };
}

// ── what it is worth ────────────────────────────────────────────────────────────────────────────────────────────────

/** Scores of outputs for some rows. */
function scoring(target: Target) {
  return (outputs: Tensor, rows: Int32Array): Scores =>
    target.task === 'regression'
      ? scoreNumbers(
          outputs.data,
          Float64Array.from(rows, (row) => target.values[row]),
        )
      : scoreClasses(
          outputs.data,
          Int32Array.from(rows, (row) => target.labels[row]),
          target.classes.length,
        );
}

/** The name of the score that candidates are chosen by, of which less is better. */
const judged = ({ task }: Target) => (task === 'regression' ? 'RMSE' : 'log loss');

/** What the rows that are learned from say alone: their mean, or how frequent classes are. */
function trivial(target: Target, train: Int32Array, count: number): Tensor {
  if (target.task === 'regression') {
    const mean = train.reduce((sum, row) => sum + target.values[row] / train.length, 0);
    return tensor(new Float64Array(count).fill(mean), { dtype: 'float64' });
  }
  const shares = target.classes.map(
    (_, k) => train.reduce((sum, row) => sum + (target.labels[row] === k ? 1 : 0), 0) / train.length,
  );
  return tensor(
    Float64Array.from({ length: count * shares.length }, (_, i) => shares[i % shares.length]),
    { dtype: 'float64' },
  );
}

function scoreTable(scores: ReadonlyMap<string, Scores>, kept: string): string {
  const [first] = scores.values();
  const names = Object.keys(first);
  const rows = Array.from(scores, ([name, values]) => [
    name,
    ...names.map((name) => shown(values[name])),
    name === kept ? '<- kept' : '',
  ]);
  return table([['held out', ...names, ''], ...rows]);
}

function classTable(classes: readonly string[], matrix: ConfusionMatrix): string {
  const scores = byClass(matrix).map((values, k) => [
    classes[k],
    ...values.map((value) => (Number.isNaN(value) ? '-' : figure(value, 3))),
  ]);
  const heads = ['class', 'rows', 'precision', 'recall', 'F1'];
  if (classes.length > 12) return table([heads, ...scores]);
  const confusion = matrix.counts.map((row, k) => [classes[k], ...row.map(String)]);
  return `${table([heads, ...scores])}\n${table([['true \\ predicted', ...classes], ...confusion])}`;
}

// ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function checkFolder(path: string): Promise<void> {
  const folder = dirname(path);
  await access(folder).catch((cause) => {
    throw new FileError(`[${op}] expected a folder ${folder} for ${basename(path)}, got none`, { cause });
  });
}

async function run(given: Given): Promise<number> {
  const choices = readChoices(given);
  if (given.values.quiet === true) beQuiet();
  await Promise.all([choices.out, choices.report ?? choices.out].map(checkFolder));
  const rows = numberOf(op, given, 'rows', Number.POSITIVE_INFINITY, {
    whole: true,
    least: 20,
    most: 2 ** 31 - 1,
  });
  const { seed } = choices;
  const data = await readTable(op, choices.file, { rows, seed, delimiter: readDelimiter(given) });
  const sampled =
    data.rows < data.all ? `, of which ${data.rows.toLocaleString('en-US')} were drawn at random` : '';
  note(`${choices.file}: ${counted(data.all, 'row')}${sampled}, ${counted(data.names.length, 'column')}`);
  const target = readTarget(
    op,
    data,
    choices.target,
    choiceOf(op, given, 'task', ['regression', 'classification']),
  );
  sayTarget(target);
  const found = findColumns(data, choices);
  const order = choiceOf(op, given, 'split', ['random', 'time']);
  const parts = divide(op, target, found, { test: choices.test, seed, order });
  const at = (places: Int32Array) => Int32Array.from(places, (i) => target.rows[i]);
  const columns = columnsOf(found, at(parts.train));
  if (columns.length === 0)
    throw new DataError(
      `[${op}] expected columns to predict ${target.name} from, got none that tell anything`,
    );
  checkNames(columns);
  sayColumns(columns, parts);
  const all = toInputs(op, columns, data.cells);
  const inputs = {
    train: pick(all, at(parts.train)),
    validation: pick(all, at(parts.validation)),
    test: pick(all, at(parts.test)),
  };
  const score = scoring(target);
  const material: Material = {
    train: { inputs: inputs.train, rows: parts.train },
    validation: { inputs: inputs.validation, rows: parts.validation },
    scales: scalesFor(target, parts.train),
    judge: (outputs) => score(outputs, parts.validation)[judged(target)],
    straight: columns.filter(({ kind }) => kind === 'date').map(({ name }) => name),
  };
  const interrupts = new Interrupts();
  try {
    const line = await learnLinear(op, material);
    const runs = choices.runs === undefined ? undefined : await openRuns(choices.runs, choices, data);
    const network =
      choices.model === 'linear'
        ? undefined
        : await learnNetwork(
            op,
            material,
            {
              ...choices,
              callbacks: (member) => [
                interrupts.callback,
                progressOf(member, choices.members),
                ...(runs?.callbackOf(member) ?? []),
              ],
            },
            () => interrupts.isEnded,
          );
    const candidates = new Map<string, Candidate>([['linear', line]]);
    if (network !== undefined) candidates.set('network', network);
    const kept =
      choices.model === 'auto' && network !== undefined
        ? network.value < line.value
          ? 'network'
          : 'linear'
        : choices.model;
    const { model, scale } = candidates.get(kept) ?? line;
    if (scale.said !== undefined) note(`${target.name} is above 0: ${scale.said}`);

    const trivialName = target.task === 'regression' ? 'mean' : 'most frequent';
    const scores = new Map([
      [trivialName, score(trivial(target, parts.train, parts.test.length), parts.test)],
    ]);
    for (const [name, candidate] of candidates) {
      scores.set(name, score(await predict(candidate.model, inputs.test), parts.test));
    }
    const own = scores.get(kept)!;
    const description: Description = {
      format: 1,
      target: target.name,
      ...(target.task === 'classification' ? { classes: target.classes } : {}),
      columns,
      scores: own,
    };
    await saveModel(choices.out, model, { metadata: { [entry]: JSON.stringify(description) } });

    const matrix =
      target.task === 'classification'
        ? confusionMatrix(
            await predict(model, inputs.test),
            Int32Array.from(parts.test, (row) => target.labels[row]),
            target.classes.length,
          )
        : undefined;
    await runs?.finish(own, matrix, target);
    if (choices.report !== undefined) {
      await writeReport(choices, target, model.summary(), scores, matrix, bestOf(network?.histories ?? []));
    }
    await tell(choices, target, parts, scores, kept, candidates, matrix);
  } finally {
    interrupts.done();
  }
  return interrupts.isEnded ? 130 : 0;
}

function readDelimiter(given: Given): string | undefined {
  const text = textOf(given, 'delimiter');
  const delimiter = text === 'tab' || text === '\\t' ? '\t' : text;
  if (delimiter === undefined || (delimiter.length === 1 && !/["\r\n]/.test(delimiter))) return delimiter;
  throw new UsageError(`[${op}] expected --delimiter to be a character or tab, got ${text}`);
}

function sayTarget(target: Target): void {
  const rows = target.rows.length;
  const without = target.without === 0 ? '' : `; ${counted(target.without, 'row')} without it left out`;
  if (target.task === 'regression') {
    note(`${target.name}: numbers, of ${counted(rows, 'row')}${without}`);
    return;
  }
  note(`${target.name}: ${target.classes.length} classes, of ${counted(rows, 'row')}${without}`);
  const { rare } = target;
  if (rare.rows === 0) return;
  const names = some(rare.classes, 5);
  note(`  ${counted(rare.rows, 'row')} left out, of classes too rare to be tested: ${names}`);
}

function sayColumns(columns: readonly Column[], { by, train, validation, test }: Parts): void {
  const kinds = (['number', 'category', 'date'] as const).map((kind) => {
    const names = columns.filter((column) => column.kind === kind).map(({ name }) => name);
    const shown = some(names);
    return names.length === 0
      ? ''
      : `  ${{ number: 'numbers', category: 'categories', date: 'dates' }[kind]}: ${shown}`;
  });
  for (const line of kinds) if (line !== '') note(line);
  const how = by === undefined ? 'drawn at random' : `the latest by ${by}`;
  note(
    `${counted(train.length, 'row')} to learn from, ${validation.length} to choose by, ${test.length} held out, ${how}`,
  );
}

/** The history of the network that validation liked best. */
function bestOf(histories: readonly History[]): History {
  const losses = histories.map(({ epochs }) =>
    Math.min(...epochs.map(({ validation }) => validation?.loss ?? Infinity)),
  );
  return histories[losses.indexOf(Math.min(...losses))] ?? { epochs: [] };
}

/** A folder of runs, one for each network. */
async function openRuns(folder: string, choices: Choices, data: Table) {
  const { runFolder } = await import('../runs/index.ts');
  const stamp = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
  const { target, hidden, members, seed, test } = choices;
  const config = {
    data: basename(choices.file),
    rows: data.rows,
    target,
    hidden: [...hidden],
    networks: members,
    seed,
    test,
  };
  const made: ReturnType<typeof runFolder>[] = [];
  return {
    callbackOf(member: number): Callback[] {
      const run = runFolder({ folder, name: `${stamp}-${process.pid}-${member + 1}`, config });
      made.push(run);
      return [run];
    },
    async finish(scores: Scores, matrix: ConfusionMatrix | undefined, target: Target): Promise<void> {
      const named = Object.fromEntries(
        Object.entries(scores).map(([name, value]) => [`test.${name}`, value]),
      );
      for (const run of made) {
        await run.scalars(named);
        if (matrix !== undefined && target.task === 'classification') {
          await run.confusion(matrix, { labels: [...target.classes] });
        }
      }
    },
  };
}

async function writeReport(
  choices: Choices,
  target: Target,
  summary: string,
  scores: ReadonlyMap<string, Scores>,
  confusion: ConfusionMatrix | undefined,
  history: History,
): Promise<void> {
  const { saveReport } = await import('../runs/index.ts');
  const flat = Array.from(scores, ([name, values]) =>
    Object.entries(values).map(([score, value]) => [`${name}: ${score}`, value]),
  ).flat();
  await saveReport(choices.report!, history, {
    title: `${target.name} of ${basename(choices.file)}`,
    summary,
    scores: Object.fromEntries(flat),
    ...(confusion === undefined || target.task === 'regression' ? {} : { confusion, labels: target.classes }),
  });
}

async function tell(
  choices: Choices,
  target: Target,
  { test, validation }: Parts,
  scores: ReadonlyMap<string, Scores>,
  kept: string,
  candidates: ReadonlyMap<string, Candidate>,
  matrix: ConfusionMatrix | undefined,
): Promise<void> {
  const { out, report, isJson } = choices;
  if (isJson) {
    const result = {
      model: out,
      kept,
      task: target.task,
      target: target.name,
      heldOut: test.length,
      scores: Object.fromEntries(scores),
      validation: Object.fromEntries(Array.from(candidates, ([name, { value }]) => [name, value])),
      ...(matrix === undefined || target.task === 'regression'
        ? {}
        : { classes: target.classes, confusion: matrix.counts }),
      backend: backendInfo().name,
    };
    await say(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  await say(`\n${scoreTable(scores, kept)}\n`);
  if (matrix !== undefined && target.task === 'classification')
    await say(`${classTable(target.classes, matrix)}\n`);
  const values = Array.from(candidates, ([name, { value }]) => `${name} ${figure(value)}`).join(', ');
  const why =
    candidates.size === 1
      ? 'as asked for'
      : choices.model === 'auto'
        ? `which errs less on the ${validation.length} rows to choose by (${judged(target)}: ${values})`
        : `as asked for (${judged(target)} on the rows to choose by: ${values})`;
  await say(`${bold(out)}: the ${kept === 'linear' ? 'linear model' : 'network'}, ${why}\n`);
  const errorOf = (name: string) => scores.get(name)?.[judged(target)] ?? Number.POSITIVE_INFINITY;
  const [guess] = scores.keys();
  if (errorOf(guess) <= errorOf(kept)) {
    await say(
      `On the rows held out it errs no less than the guess, ${guess}: the columns are not known to tell anything.\n`,
    );
  } else if (kept === 'network' && errorOf('linear') < errorOf(kept)) {
    await say(
      'On the rows held out the linear model errs less: the network is not known to be better; --model linear keeps the other.\n',
    );
  }
  if (report !== undefined) await say(`${bold(report)}: curves and scores\n`);
}

export const command: Command = {
  name: op,
  files: ['data.csv'],
  text:
    'Learns to predict a column of a CSV file (- for standard input, .gz unpacked) from the others, and says what that is worth on rows\n' +
    'held out, beside a linear model and a guess. The model takes raw columns: see axpy predict.',
  options: {
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
  },
  examples: [
    'axpy train houses.csv --target price --report report.html',
    'axpy predict model.safetensors more.csv > prices.csv',
  ],
  run,
};
