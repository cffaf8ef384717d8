/** A training on one page. */
import { checkOptions, describe, isArray, isRecord } from '../arguments.ts';
import { type Path, pathOf } from '../files/disk.ts';
import { ArgumentError, type ConfusionMatrix, type History } from '../index.ts';
import type { EpochRecord } from '../train/history.ts';
import { type Chart, chartOf, colours, escaped, figure, type Point, type Series } from './chart.ts';
import { replaceText } from './disk.ts';
import type { BatchEvent, NormsEvent } from './events.ts';
import { palettes } from './palettes.ts';
import type { Run } from './readRun.ts';
import { type Confusion, readConfusion } from './recorder.ts';

/** Options of `report` and `saveReport`. */
export interface ReportOptions {
  /** Default: the name of the run. */
  title?: string;
  /** What `model.summary()` returned; a run knows it. */
  summary?: string;
  /** Numbers that are to stand out, as the score on test data; beside those that the program added to the run. */
  scores?: Readonly<Record<string, number>>;
  /** What `confusionMatrix` returned, or its counts; a run knows the last ones that were added to it. */
  confusion?: ConfusionMatrix | readonly (readonly number[])[];
  /** The names of classes in it. */
  labels?: readonly string[];
}

const optionNames: readonly (keyof ReportOptions)[] = ['title', 'summary', 'scores', 'confusion', 'labels'];

/** More curves of one kind than there are colours tell nothing apart. */
const mostCurves = colours;

// ── what is on it ───────────────────────────────────────────────────────────────────────────────────────────────────

const notScores = ['epoch', 'seconds', 'examplesPerSecond', 'learningRate', 'validation'];
const scoresOf = (record: EpochRecord) => Object.keys(record).filter((name) => !notScores.includes(name));

function curvesByEpoch({ epochs, bestEpoch }: History): Chart[] {
  const points = (of: (record: EpochRecord) => number | undefined): Point[] =>
    epochs.map((record) => [record.epoch, of(record) ?? Number.NaN]);
  const names = new Set(
    epochs.flatMap((record) => [...scoresOf(record), ...Object.keys(record.validation ?? {})]),
  );
  return Array.from(names, (name) => {
    const series = [
      { name: 'training', points: points((record) => record[name]) },
      { name: 'validation', points: points((record) => record.validation?.[name]) },
    ];
    return { title: name, along: 'epoch', series, mark: bestEpoch };
  });
}

function curvesOfRun({ events }: Run): Chart[] {
  const batches = events.filter((event): event is BatchEvent => event.type === 'batch');
  const norms = events.filter((event): event is NormsEvent => event.type === 'norms');
  const by = (title: string, name: 'loss' | 'learningRate' | 'examplesPerSecond'): Chart => {
    const points = batches.map((event): Point => [event.step, event[name]]);
    return { title, along: 'batch', series: [{ name: title, points }] };
  };
  const normsOf = (kind: 'weights' | 'gradients'): Series[] => {
    const names = [...new Set(norms.flatMap((event) => Object.keys(event[kind])))];
    const of = (name: string): Point[] => norms.map((event) => [event.step, event[kind][name] ?? Number.NaN]);
    if (names.length <= mostCurves) return names.map((name) => ({ name, points: of(name) }));
    const all = norms.map((event): Point => [event.step, Math.hypot(...Object.values(event[kind]))]);
    return [{ name: `all ${names.length} parameters`, points: all }];
  };
  return [
    by('loss', 'loss'),
    by('learning rate', 'learningRate'),
    by('examples per second', 'examplesPerSecond'),
    { title: 'norms of gradients', along: 'batch', series: normsOf('gradients') },
    { title: 'norms of weights', along: 'batch', series: normsOf('weights') },
  ];
}

/** The epoch that counts: the best where one was looked for, else the last. */
const epochThatCounts = ({ epochs, bestEpoch }: History): EpochRecord | undefined =>
  epochs.find(({ epoch }) => epoch === bestEpoch) ?? epochs.at(-1);

function finalScores(record: EpochRecord | undefined): [name: string, value: number][] {
  if (record === undefined) return [];
  const own = scoresOf(record).map((name): [string, number] => [name, record[name]]);
  const others = Object.entries(record.validation ?? {}) as [string, number][];
  return [...own, ...others.map(([name, value]): [string, number] => [`validation ${name}`, value])];
}

function factsOf({ epochs, stopped, bestEpoch }: History, run: Run | undefined): [string, string][] {
  const seconds = epochs.reduce((sum, record) => sum + record.seconds, 0);
  const facts: [string, string][] = [
    ['epochs', String(epochs.length)],
    ['time in training', `${figure(seconds)} s`],
  ];
  if (bestEpoch !== undefined) facts.push(['best epoch', String(bestEpoch)]);
  if (stopped !== undefined) facts.push(['stopped', stopped]);
  if (run === undefined) return facts;
  const { info, end } = run;
  const failure = end?.error && `${end.error.name}: ${end.error.message}`;
  facts.push(
    ['began', `${new Date(info.created).toISOString().slice(0, 19).replace('T', ' ')} UTC`],
    ['outcome', end === undefined ? 'none yet' : [end.outcome, failure].filter(Boolean).join(', ')],
    ['optimizer', info.optimizer.type],
    ['parameters', figure(info.model.parameters)],
    ['axpy', `${info.versions.axpy}, ${info.machine.backend}, ${info.machine.threads} threads`],
    ['Node', `${info.versions.node}, ${info.machine.platform}-${info.machine.arch}`],
  );
  for (const [name, value] of Object.entries(info.config)) {
    facts.push([name, typeof value === 'string' ? value : JSON.stringify(value)]);
  }
  return facts;
}

// ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────

const paletteOf = (colour: readonly string[]) => colour.map((one, i) => `--c${i}:${one}`).join(';');

const style = `:root{color-scheme:light dark;--ground:#fff;--ink:#1c1e21;--faint:#667;--line:#dde;--heat:0,114,178;${paletteOf(palettes.light)}}
@media(prefers-color-scheme:dark){:root{--ground:#16181c;--ink:#e6e8eb;--faint:#9aa;--line:#333a44;--heat:86,180,233;${paletteOf(palettes.dark)}}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:86rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.scores{display:flex;flex-wrap:wrap;gap:.75rem}.scores div{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .9rem}
.scores b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}.scores span,small,dt{color:var(--faint)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(26rem,100%),1fr));gap:1.25rem}
figure{margin:0}svg{width:100%;height:auto;display:block}
svg text{font-size:11px;fill:var(--faint)}.axes line{stroke:var(--line)}.mark{stroke:var(--faint);stroke-dasharray:4 4}
.curve polyline{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}.curve circle{fill:var(--c)}
.key{margin-right:.6em;white-space:nowrap}.key::before{content:"";display:inline-block;width:.9em;height:.25em;margin-right:.35em;vertical-align:middle;background:var(--c)}
${Array.from({ length: colours }, (_, i) => `.c${i}{--c:var(--c${i})}`).join('')}
pre{overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;padding:.75rem;font:13px/1.45 ui-monospace,monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.25rem;margin:0}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th{font-weight:500;padding:.25rem .5rem}tbody th{text-align:right}td{min-width:2.6rem;text-align:center;padding:.25rem .5rem;border:1px solid var(--line)}thead td{border:0}`;

const section = (title: string, content: string): string =>
  content === '' ? '' : `<section>\n<h2>${escaped(title)}</h2>\n${content}\n</section>\n`;

function confusionTable({ labels, counts }: Confusion): string {
  const rows = counts.map((row, i) => {
    const sum = row.reduce((total, count) => total + count, 0) || 1;
    // By the share of the true class, so that rare ones show as well.
    const cells = row.map((count, j) => {
      const share = count / sum;
      const title = `${labels[i]} taken for ${labels[j]}: ${figure(100 * share)} %`;
      return `<td style="background:rgba(var(--heat),${(0.75 * share).toFixed(3)})" title="${escaped(title)}">${figure(count)}</td>`;
    });
    return `<tr><th scope="row">${escaped(labels[i])}</th>${cells.join('')}</tr>`;
  });
  const heads = labels.map((label) => `<th scope="col">${escaped(label)}</th>`).join('');
  return `<div class="wide"><table>
<caption><small>true classes in rows, predicted ones in columns</small></caption>
<thead><tr><td></td>${heads}</tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>`;
}

const facts = (entries: readonly [string, string][]): string =>
  `<dl>${entries.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`;

const charts = (list: readonly Chart[]): string => {
  const drawn = list.map(chartOf).filter((one) => one !== '');
  return drawn.length === 0 ? '' : `<div class="charts">\n${drawn.join('\n')}\n</div>`;
};

function checkText(op: string, name: string, text: unknown): void {
  if (typeof text === 'string') return;
  throw new ArgumentError(`[${op}] expected ${name} to be a string, got ${describe(text)}`);
}

const isHistory = (value: unknown): value is History =>
  isRecord(value) && isArray((value as Partial<History>).epochs) && (value as History).epochs.every(isRecord);

const runOf = (source: History | Run): Run | undefined =>
  isRecord(source) && 'events' in source && isHistory(source.history) ? source : undefined;

function scoresAdded(run: Run | undefined): [string, number][] {
  const added = new Map<string, number>();
  for (const event of run?.events ?? []) {
    if (event.type === 'scalars')
      for (const [name, value] of Object.entries(event.values)) added.set(name, value);
  }
  return [...added];
}

/** The confusion matrices of a run, the last one of each name. */
function confusionsOf(run: Run | undefined): Confusion[] {
  const all = (run?.events ?? []).flatMap((event) => (event.type === 'confusion' ? [event] : []));
  return [...new Map(all.map((event) => [event.name, event])).values()];
}

/**
 * A training as a page of HTML: curves of losses and metrics, scores, the model's summary, confusion matrices; of a run also curves by
 * batch, norms, and what it was made with. All is in the page: it is opened without a server and a network, in light and dark.
 *
 *     await writeFile('report.html', report(history, { title: 'XOR', summary: model.summary() }));
 *     await saveReport('report.html', await readRun('runs/wide'));
 * @param source what `fit` or `readRun` returned
 * @throws ArgumentError for anything else, and for options out of their domains
 */
export function report(source: History | Run, options: ReportOptions = {}): string {
  return pageOf('report', source, options);
}

/** Writes what `report` returns. @throws as it does, and FileError where the system refuses */
export async function saveReport(
  path: Path,
  source: History | Run,
  options: ReportOptions = {},
): Promise<void> {
  const op = 'saveReport';
  await replaceText(op, pathOf(op, path), pageOf(op, source, options));
}

function pageOf(op: string, source: History | Run, options: ReportOptions): string {
  checkOptions(op, options, optionNames);
  const run = runOf(source);
  const history = run?.history ?? source;
  if (!isHistory(history)) {
    throw new ArgumentError(`[${op}] expected what fit or readRun returned, got ${describe(source)}`);
  }
  const { title = run?.info.name ?? 'Training', summary = run?.info.model.summary ?? '' } = options;
  const { scores = {}, confusion, labels } = options;
  checkText(op, 'title', title);
  checkText(op, 'summary', summary);
  const own = isRecord(scores) ? Object.entries(scores) : [];
  if (!isRecord(scores) || own.some(([, value]) => typeof value !== 'number')) {
    throw new ArgumentError(`[${op}] expected scores to be numbers by name, got ${describe(scores)}`);
  }
  const matrices =
    confusion === undefined
      ? confusionsOf(run)
      : [readConfusion(op, confusion, labels === undefined ? {} : { labels })];
  const counting = epochThatCounts(history);
  const cards = [...own, ...scoresAdded(run), ...finalScores(counting)].map(
    ([name, value]) => `<div><b>${figure(value)}</b><span>${escaped(name)}</span></div>`,
  );
  const which = counting?.epoch === history.bestEpoch ? ', the best' : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escaped(title)}</title>
<style>
${style}
</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<div class="scores">${cards.join('')}</div>
${counting === undefined ? '' : `<small>loss and metrics are of epoch ${counting.epoch}${which}</small>`}
${section('By epoch', charts(curvesByEpoch(history)))}${section('By batch', run === undefined ? '' : charts(curvesOfRun(run)))}${matrices
  .map((matrix) =>
    section(matrix.name === 'confusion' ? 'Confusion matrix' : matrix.name, confusionTable(matrix)),
  )
  .join(
    '',
  )}${section('Model', summary === '' ? '' : `<pre>${escaped(summary)}</pre>`)}${section('Training', facts(factsOf(history, run)))}</body>
</html>
`;
}
