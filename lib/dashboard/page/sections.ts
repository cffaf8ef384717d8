/** What is shown of the runs that are chosen, beside curves of which charts.ts has the drawing. */
import { figure } from '../../runs/chart.ts';
import type { ConfusionEvent } from '../../runs/events.ts';
import type { Listed } from '../server.ts';
import type { Picture } from '../view.ts';
import { colourOf, type Series, type Spec } from './charts.ts';
import { el } from './dom.ts';
import type { Run } from './run.ts';

/** A run that is chosen, with its colour. */
export interface Chosen {
  readonly listed: Listed;
  readonly run: Run;
  readonly colour: number;
}

// ── cards ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts[0] === 0 && parts[1] === 0
    ? `${seconds} s`
    : parts.map((part) => String(part).padStart(2, '0')).join(':');
}

const good = ['running', 'finished'];

/** How a run is and where. */
export function cardOf(
  { listed, run, colour }: Chosen,
  now: number,
  stop: (() => void) | undefined,
): HTMLElement {
  const { details, at } = run;
  const { state, name, problem } = listed;
  const facts: [string, string][] = [];
  const fact = (title: string, value: number | undefined, unit = '') =>
    value === undefined ? 0 : facts.push([title, figure(value) + unit]);
  const planned = details?.info.epochs;
  facts.push(['epoch', planned === undefined ? String(at.epoch) : `${at.epoch} / ${planned}`]);
  facts.push(['batches', at.step.toLocaleString('en-US')]);
  fact('loss', run.latest('batch/loss') ?? run.latest('epoch/loss'));
  for (const score of run.names('epoch/validation.')) {
    fact(`validation ${score}`, run.latest(`epoch/validation.${score}`));
  }
  for (const score of run.names('scalars/')) fact(score, run.latest(`scalars/${score}`));
  fact('examples/s', run.latest('batch/examplesPerSecond'));
  const memory = run.latest('batch/memory');
  if (memory !== undefined) fact('memory', memory / 2 ** 20, ' MiB');
  const begin = details?.begin?.time;
  if (begin !== undefined) {
    facts.push(['time', duration((state === 'running' ? Math.max(now, at.time) : at.time) - begin)]);
  }
  const { end } = details ?? {};
  if (end?.bestEpoch !== undefined) fact('best epoch', end.bestEpoch);
  const said: string[] = [];
  if (end?.reason !== undefined) said.push(end.reason);
  if (end?.error !== undefined) said.push(`${end.error.name}: ${end.error.message}`);
  const strange = run.lines.get('batch/loss')?.notFinite;
  if (strange) said.push(`NaN or infinite losses: ${strange.count}, the first after batch ${strange.x}`);
  if (problem !== undefined) said.push(problem);
  if (details?.damaged) said.push(`${details.damaged} lines of its file say nothing`);
  const button = el('button', { type: 'button', 'aria-label': `Stop ${name}` }, 'Stop');
  if (stop !== undefined) button.addEventListener('click', stop);
  const tone = good.includes(state) ? 'good' : state === 'failed' || state === 'unreadable' ? 'bad' : '';
  return el(
    'article',
    { class: 'card', '--c': colourOf(colour) },
    el(
      'header',
      {},
      el('h3', {}, name),
      el('span', { class: tone }, state),
      ...(stop === undefined ? [] : [button]),
    ),
    el('dl', {}, ...facts.map(([title, value]) => el('div', {}, el('dt', {}, title), el('dd', {}, value)))),
    ...said.map((text) => el('p', { class: 'bad' }, text)),
  );
}

// ── charts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const notScores = ['seconds', 'examplesPerSecond', 'learningRate'];
const union = (lists: readonly string[][]): string[] => [...new Set(lists.flat())];

/** The same curve of each run. */
function curves(chosen: readonly Chosen[], name: string): Series[] {
  return chosen.flatMap(({ listed, run, colour }) => {
    const line = run.lines.get(name);
    return line === undefined ? [] : [{ name: listed.name, colour, line }];
  });
}

export function specsByEpoch(chosen: readonly Chosen[]): Spec[] {
  const prefix = 'validation.';
  const plain = (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
  const names = union(chosen.map(({ run }) => run.names('epoch/').map(plain)));
  return names
    .filter((name) => !notScores.includes(name))
    .map((name) => {
      const [own, other] = [curves(chosen, `epoch/${name}`), curves(chosen, `epoch/${prefix}${name}`)];
      const isOne = chosen.length === 1;
      const series = isOne
        ? [
            ...own.map((one) => ({ ...one, name: 'training', colour: 0 })),
            ...other.map((one) => ({ ...one, name: 'validation', colour: 1 })),
          ]
        : [...own, ...other.map((one) => ({ ...one, name: `${one.name}, validation`, isDashed: true }))];
      return { title: name, along: 'epoch', series };
    });
}

const mebibytes = (one: Series): Series => {
  const inMiB = (y: number | null) => (y === null ? null : y / 2 ** 20);
  const { x, y, last, notFinite } = one.line;
  return { ...one, line: { x, y: y.map(inMiB), last: [last[0], inMiB(last[1])], notFinite } };
};

export function specsByBatch(chosen: readonly Chosen[]): Spec[] {
  const of = (title: string, name: string): Spec => {
    const series = curves(chosen, `batch/${name}`);
    return { title, along: 'batch', series, isSmooth: true };
  };
  const memory = of('memory, MiB', 'memory');
  const own = [
    of('loss by batch', 'loss'),
    of('learning rate', 'learningRate'),
    of('examples per second', 'examplesPerSecond'),
    { ...memory, series: memory.series.map(mebibytes) },
  ];
  const added = union(chosen.map(({ run }) => run.names('scalars/')));
  return [
    ...own,
    // Of a single value the card tells.
    ...added
      .map((name) => ({ title: name, along: 'batch', series: curves(chosen, `scalars/${name}`) }))
      .filter(({ series }) => series.some(({ line }) => pointsIn(line) > 1)),
  ].filter(({ series }) => series.length > 0);
}

const pointsIn = ({ x, last }: Series['line']): number => x.length + (x.at(-1) === last[0] ? 0 : 1);

/** √Σ of squares over the curves of one run, which have their points at the same places. */
function total(run: Run, prefix: string): Series['line'] | undefined {
  const lines = run.names(prefix).map((name) => run.lines.get(prefix + name)!);
  const [first] = lines;
  if (first === undefined) return undefined;
  const sum = (of: (line: Series['line']) => number | null | undefined) =>
    Math.hypot(...lines.map((line) => of(line) ?? Number.NaN));
  const finite = (y: number) => (Number.isFinite(y) ? y : null);
  const y = first.x.map((_, i) => finite(sum((line) => line.y[i])));
  return { x: first.x, y, last: [first.last[0], finite(sum(({ last }) => last[1]))], notFinite: null };
}

export const allTogether = 'all together';
export const eachApart = 'each';
/** More curves at a time tell nothing. */
const mostApart = 16;

/** The parameters that there are norms of. */
export const parametersOf = (chosen: readonly Chosen[]): string[] =>
  union(chosen.map(({ run }) => union([run.names('weights/'), run.names('gradients/')])));

/** Which of them may be chosen, the first one by default. */
export function choicesOf(chosen: readonly Chosen[]): string[] {
  const names = parametersOf(chosen);
  const isFew = chosen.length === 1 && names.length <= mostApart;
  return isFew ? [eachApart, allTogether, ...names] : [allTogether, ...names];
}

export function specsOfNorms(chosen: readonly Chosen[], choice: string): Spec[] {
  return (['gradients', 'weights'] as const)
    .map((kind) => {
      const prefix = `${kind}/`;
      const series =
        choice === eachApart
          ? chosen.flatMap(({ run }) =>
              run
                .names(prefix)
                .map((name, colour) => ({ name, colour, line: run.lines.get(prefix + name)! })),
            )
          : choice === allTogether
            ? chosen.flatMap(({ listed, run, colour }) => {
                const line = total(run, prefix);
                return line === undefined ? [] : [{ name: listed.name, colour, line }];
              })
            : curves(chosen, prefix + choice);
      return { title: `norms of ${kind}`, along: 'batch', series };
    })
    .filter(({ series }) => series.length > 0);
}

// ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function confusionOf(title: string, { labels, counts }: ConfusionEvent): HTMLElement {
  const heads = labels.map((label) => el('th', { scope: 'col' }, String(label)));
  const rows = counts.map((row, i) => {
    const sum = row.reduce((total, count) => total + count, 0) || 1;
    const cells = row.map((count, j) => {
      // By the share of the true class, so that rare ones show as well.
      const share = count / sum;
      const cell = el(
        'td',
        { title: `${labels[i]} taken for ${labels[j]}: ${figure(100 * share)} %` },
        figure(count),
      );
      cell.style.background = `rgba(var(--heat), ${(0.75 * share).toFixed(3)})`;
      return cell;
    });
    return el('tr', {}, el('th', { scope: 'row' }, String(labels[i])), ...cells);
  });
  const caption = el('caption', {}, el('b', {}, title), ' true classes in rows, predicted ones in columns');
  const head = el('thead', {}, el('tr', {}, el('td'), ...heads));
  return el(
    'div',
    { class: 'wide' },
    el('table', { class: 'confusion' }, caption, head, el('tbody', {}, ...rows)),
  );
}

/** How long the longer side of a small image becomes. */
const pictureSize = 320;

/** The images of a name, of which one is shown: the latest, unless another step is chosen. */
export function pictureOf(title: string, run: string, list: readonly Picture[]): HTMLElement {
  const image = el('img');
  const where = el('small');
  const show = (at: number) => {
    const { step, file, width, height } = list[at];
    // Pixels as squares that are seen, where there is room; large ones no larger than they are.
    const room = pictureSize / Math.max(width, height);
    image.width = width * (room > 1 ? Math.floor(room) : Math.min(1, 2 * room));
    image.src = `image?${new URLSearchParams({ run, name: file })}`;
    image.alt = `${title}, after batch ${step}`;
    where.textContent = ` after batch ${step}`;
  };
  show(list.length - 1);
  const figure = el('figure', {}, image, el('figcaption', {}, el('b', {}, title), where));
  if (list.length < 2) return figure;
  const max = list.length - 1;
  const slider = el('input', {
    type: 'range',
    min: 0,
    max,
    value: max,
    'aria-label': `Which step of ${title}`,
  });
  slider.addEventListener('input', () => show(slider.valueAsNumber));
  figure.append(slider);
  return figure;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** What was trained, with what. */
export function aboutOf({ listed, run }: Chosen, isOpen: boolean): HTMLElement {
  const { model, optimizer, versions, machine, config, created } = run.details!.info;
  const facts: [string, unknown][] = [
    ['began', `${new Date(created).toISOString().slice(0, 19).replace('T', ' ')} UTC`],
    ['optimizer', optimizer?.type ?? ''],
    ['parameters', figure(model.parameters)],
    ['axpy', `${versions?.axpy}, ${machine?.backend}, ${machine?.threads} threads`],
    ['Node', `${versions?.node}, ${machine?.platform}-${machine?.arch}`],
    ...Object.entries(config ?? {}),
  ];
  const list = facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, textOf(value))]);
  return el(
    'details',
    { class: 'about', open: isOpen },
    el('summary', {}, listed.name),
    el('pre', { tabindex: 0 }, model.summary),
    el('dl', {}, ...list),
  );
}
