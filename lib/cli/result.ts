/** What came of `axpy train`: tables, JSON, a page. */
import { basename } from 'node:path';
import { backendInfo, type ConfusionMatrix, type History } from '../index.ts';
import type { Choices } from './choices.ts';
import type { Candidate } from './learn.ts';
import type { Parts } from './parts.ts';
import { byClass, judged, type Scores } from './scores.ts';
import type { Target } from './target.ts';
import { bold, figure, say, score as shown, table } from './terminal.ts';

export interface Result {
  readonly choices: Choices;
  readonly target: Target;
  readonly parts: Parts;
  /** On the rows held out: of the guess, which comes first, and of each candidate. */
  readonly scores: ReadonlyMap<string, Scores>;
  readonly candidates: ReadonlyMap<string, Candidate>;
  /** The name of the candidate that was saved. */
  readonly kept: string;
  readonly matrix: ConfusionMatrix | undefined;
  readonly histories: readonly History[];
}

/** Scores that are parts of 1. */
const shares = new Set(['R²', 'accuracy', 'balanced accuracy']);

function scoreTable(scores: ReadonlyMap<string, Scores>, kept: string): string {
  const [first] = scores.values();
  const names = Object.keys(first);
  const rows = Array.from(scores, ([name, values]) => [
    name,
    ...names.map((name) => (shares.has(name) ? values[name].toFixed(3) : shown(values[name]))),
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

/** The history of the network that validation liked best. */
function bestOf(histories: readonly History[]): History {
  const losses = histories.map(({ epochs }) =>
    Math.min(...epochs.map(({ validation }) => validation?.loss ?? Infinity)),
  );
  return histories[losses.indexOf(Math.min(...losses))] ?? { epochs: [] };
}

/** Writes the page that `--report` asks for. */
export async function writeReport({
  choices,
  target,
  scores,
  candidates,
  kept,
  matrix,
  histories,
}: Result): Promise<void> {
  if (choices.report === undefined) return;
  const { saveReport } = await import('../runs/index.ts');
  // What was kept comes first.
  const ordered = [...scores].sort(([a], [b]) => Number(b === kept) - Number(a === kept));
  const flat = ordered.flatMap(([name, values]) =>
    Object.entries(values).map(([score, value]) => [`${name}: ${score}`, value]),
  );
  await saveReport(choices.report, bestOf(histories), {
    title: `${target.name} of ${basename(choices.file)}`,
    summary: candidates.get(kept)!.model.summary(),
    scores: Object.fromEntries(flat),
    ...(matrix === undefined || target.task === 'regression'
      ? {}
      : { confusion: matrix, labels: target.classes }),
  });
}

/** The result as JSON. */
function jsonOf({ choices, target, parts, scores, candidates, kept, matrix }: Result): string {
  const result = {
    model: choices.out,
    kept,
    task: target.task,
    target: target.name,
    heldOut: parts.test.length,
    scores: Object.fromEntries(scores),
    validation: Object.fromEntries(Array.from(candidates, ([name, { value }]) => [name, value])),
    ...(matrix === undefined || target.task === 'regression'
      ? {}
      : { classes: target.classes, confusion: matrix.counts }),
    backend: backendInfo().name,
  };
  return `${JSON.stringify(result, null, 2)}\n`;
}

/** Why that candidate was kept. */
function reasonOf({ choices, target, parts, candidates }: Result): string {
  if (candidates.size === 1) return choices.model === 'auto' ? 'as there is no network' : 'as asked for';
  const values = Array.from(candidates, ([name, { value }]) => `${name} ${figure(value)}`).join(', ');
  return choices.model === 'auto'
    ? `which errs less on the ${parts.validation.length} rows to choose by (${judged(target)}: ${values})`
    : `as asked for (${judged(target)} on the rows to choose by: ${values})`;
}

/** What is not to be concluded from the scores; undefined where all is well. */
function caveatOf({ target, scores, kept }: Result): string | undefined {
  const errorOf = (name: string) => scores.get(name)?.[judged(target)] ?? Number.POSITIVE_INFINITY;
  const [guess] = scores.keys();
  if (errorOf(guess) <= errorOf(kept)) {
    return `On the rows held out it errs no less than the guess, ${guess}: the columns are not known to tell anything.`;
  }
  if (kept === 'linear' || errorOf('linear') >= errorOf(kept)) return undefined;
  return 'On the rows held out the linear model errs less: the network is not known to be better; --model linear keeps the other.';
}

/** Says it all on standard output. */
export async function tell(result: Result): Promise<void> {
  const { choices, target, scores, kept, matrix } = result;
  if (choices.isJson) {
    await say(jsonOf(result));
    return;
  }
  await say(`\n${scoreTable(scores, kept)}\n`);
  if (matrix !== undefined && target.task === 'classification') {
    await say(`${classTable(target.classes, matrix)}\n`);
  }
  const what = kept === 'linear' ? 'linear model' : 'network';
  await say(`${bold(choices.out)}: the ${what}, ${reasonOf(result)}\n`);
  const caveat = caveatOf(result);
  if (caveat !== undefined) await say(`${caveat}\n`);
  if (choices.report !== undefined) await say(`${bold(choices.report)}: curves and scores\n`);
}
