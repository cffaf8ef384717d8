/** The page: what it is told, which runs are chosen, and when it is drawn. */
import type { Listed } from '../server.ts';
import type { Distribution, News } from '../view.ts';
import { Charts, colourOf, type Look } from './charts.ts';
import { el, isDark, replace } from './dom.ts';
import { heat } from './heat.ts';
import { Run } from './run.ts';
import {
  aboutOf,
  type Chosen,
  cardOf,
  choicesOf,
  confusionOf,
  pictureOf,
  specsByBatch,
  specsByEpoch,
  specsOfNorms,
} from './sections.ts';

const byId = (id: string) => document.getElementById(id)!;
const [main, connection, nothing] = [byId('main'), byId('connection'), byId('nothing')];
const list = document.querySelector('#runs ul')!;
const scale = byId('scale') as HTMLSelectElement;
const smoothing = byId('smoothing') as HTMLInputElement;
/** What may stop trainings, where the address has it. */
const token = location.hash.slice(1);
/** Of runs that nobody chose, so many are shown. */
const mostByDefault = 8;

let listed: readonly Listed[] = [];
let chosen: string[] = new URLSearchParams(location.search).getAll('run');
let hasChosen = chosen.length > 0;
let runs = new Map<string, Run>();
let stream: EventSource | undefined;

// ── what the server tells ───────────────────────────────────────────────────────────────────────────────────────────

function say(text: string, kind: string): void {
  connection.textContent = text;
  connection.className = kind;
}

function connect(): void {
  stream?.close();
  runs = new Map();
  stream = new EventSource(`events?${new URLSearchParams(chosen.map((id) => ['run', id]))}`);
  stream.addEventListener('open', () => {
    // It tells everything from the beginning.
    runs = new Map();
    say('live', 'live');
  });
  stream.addEventListener('error', () => {
    say(
      stream!.readyState === EventSource.CLOSED ? 'refused' : 'no connection: the program has ended',
      'lost',
    );
    if (stream!.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
  stream.addEventListener('runs', ({ data }) => {
    listed = JSON.parse(data);
    choose();
  });
  stream.addEventListener('run', ({ data }) => {
    const news = JSON.parse(data) as News & { id: string };
    const run = runs.get(news.id) ?? new Run();
    runs.set(news.id, run);
    run.take(news);
    later();
  });
}

/** Unless somebody has chosen: the trainings of this program, or else the run that began last. */
function choose(): void {
  const there = new Set(listed.map(({ id }) => id));
  const live = listed.filter(({ isLive }) => isLive).slice(0, mostByDefault);
  const byDefault = (
    live.length > 0 ? live : listed.filter(({ state }) => state !== 'unreadable').slice(0, 1)
  ).map(({ id }) => id);
  const wanted = hasChosen ? chosen.filter((id) => there.has(id)) : byDefault;
  if (wanted.join('\n') !== chosen.join('\n')) {
    chosen = wanted;
    connect();
  }
  later();
}

function toggle(id: string): void {
  hasChosen = true;
  chosen = chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id];
  const search = new URLSearchParams(chosen.map((one) => ['run', one]));
  history.replaceState(null, '', `?${search}${location.hash}`);
  connect();
  later();
}

async function stop({ id, name }: Listed): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`stop?${new URLSearchParams({ run: id })}`, { method: 'POST', headers });
  const text = await answer.text();
  connection.textContent = answer.ok ? `${name}: ${text}` : `${name} could not be stopped: ${text}`;
}

// ── what is drawn ───────────────────────────────────────────────────────────────────────────────────────────────────

const section = (title: string, className: string) => {
  const content = el('div', { class: className });
  const whole = el('section', { hidden: true }, el('h2', {}, title), content);
  main.append(whole);
  const show = (isThere: boolean) => {
    whole.hidden = !isThere;
  };
  return { whole, content, show };
};

const cards = el('div');
main.append(cards);
const [byEpoch, byBatch] = [section('By epoch', 'grid'), section('By batch', 'grid')];
const norms = section('Norms', 'grid');
const distributions = section('Distributions', 'grid');
const [pictures, confusions] = [section('Images', 'pictures'), section('Confusion matrices', 'pictures')];
const about = section('Models', '');
const chartsOf = {
  epoch: new Charts(byEpoch.content),
  batch: new Charts(byBatch.content),
  norms: new Charts(norms.content),
};

/** A choice, by default of the first; what somebody chose stays while there is more to choose from. */
function picker(label: string, place: HTMLElement): { value(choices: readonly string[]): string } {
  const select = el('select', { 'aria-label': label });
  place.querySelector('h2')!.after(select);
  let own = '';
  select.addEventListener('change', () => {
    own = select.value;
    later();
  });
  return {
    value(choices) {
      replace(select, choices.join('\n'), () => choices.map((one) => el('option', {}, one)));
      select.value = choices.includes(own) ? own : choices[0];
      return select.value;
    },
  };
}

const parameter = picker('Of which parameter', norms.whole);
const distribution = picker('Of what', distributions.whole);

let isDue = false;
function later(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function draw(): void {
  const known = chosen.flatMap((id, colour): Chosen[] => {
    const [one, run] = [listed.find((other) => other.id === id), runs.get(id)];
    return one !== undefined && run?.details !== undefined ? [{ listed: one, run, colour }] : [];
  });
  drawList();
  nothing.hidden = known.length > 0;
  nothing.textContent = listed.length === 0 ? 'Nothing has been trained yet.' : 'No run is chosen.';
  document.title = known.length === 1 ? `${known[0].listed.name} – axpy` : 'axpy';
  drawCards(known);
  const look: Look = { scale: scale.value, smoothing: smoothing.valueAsNumber };
  const groups = [
    [byEpoch, chartsOf.epoch, specsByEpoch(known)],
    [byBatch, chartsOf.batch, specsByBatch(known)],
    [norms, chartsOf.norms, specsOfNorms(known, parameter.value(choicesOf(known)))],
  ] as const;
  for (const [group, charts, specs] of groups) {
    group.show(specs.length > 0);
    charts.show(specs, look);
  }
  drawDistributions(known);
  const titled = ({ listed: { name } }: Chosen, title: string) =>
    known.length > 1 ? `${name}: ${title}` : title;
  const images = known.flatMap((one) =>
    Object.entries(one.run.details!.images).map(([name, files]) => ({ one, name, files })),
  );
  pictures.show(images.length > 0);
  replace(
    pictures.content,
    JSON.stringify(images.map(({ one, name, files }) => [one.listed, name, files])),
    () => images.map(({ one, name, files }) => pictureOf(titled(one, name), one.listed.id, files)),
  );
  const matrices = known.flatMap((one) => one.run.details!.confusions.map((matrix) => ({ one, matrix })));
  confusions.show(matrices.length > 0);
  replace(
    confusions.content,
    JSON.stringify(matrices.map(({ one, matrix }) => [one.listed.name, matrix])),
    () => matrices.map(({ one, matrix }) => confusionOf(titled(one, matrix.name), matrix)),
  );
  about.show(known.length > 0);
  replace(
    about.content,
    JSON.stringify(known.map(({ listed: { id }, run }) => [id, run.details!.info])),
    () => known.map((one) => aboutOf(one, known.length === 1)),
  );
}

function drawList(): void {
  const signature = JSON.stringify([listed, chosen, isDark.matches]);
  const focus = document.activeElement?.id ?? '';
  replace(list, signature, () =>
    listed.map((one) => {
      const { id, name, model, state, created } = one;
      const at = chosen.indexOf(id);
      const box = el('input', {
        type: 'checkbox',
        id: `run ${id}`,
        checked: at >= 0,
        '--c': at < 0 ? undefined : colourOf(at),
      });
      box.addEventListener('change', () => toggle(id));
      const when = created > 0 ? new Date(created).toLocaleString() : '';
      return el(
        'li',
        {},
        el('label', {}, box, name, el('small', {}, [state, model, when].filter(Boolean).join(' · '))),
      );
    }),
  );
  if (focus.startsWith('run ')) document.getElementById(focus)?.focus();
}

function drawCards(known: readonly Chosen[]): void {
  // A button keeps the focus, and a press of it, as the text beside it changes.
  const focus = document.activeElement?.closest('.card')
    ? document.activeElement.getAttribute('aria-label')
    : null;
  const made = known.map((one) =>
    cardOf(one, Date.now(), one.listed.canStop && token !== '' ? () => void stop(one.listed) : undefined),
  );
  replace(cards, made.map((card) => card.outerHTML).join(''), () => made);
  if (focus !== null)
    for (const one of cards.querySelectorAll('button'))
      if (one.getAttribute('aria-label') === focus) one.focus();
}

/** What is shown of distributions, as these are asked for when they are wanted. */
let shown = '';
async function drawDistributions(known: readonly Chosen[]): Promise<void> {
  const names = [...new Set(known.flatMap(({ run }) => run.histograms.names))];
  distributions.show(names.length > 0);
  if (names.length === 0) return;
  const name = distribution.value(names);
  const asked = known.map(({ listed: { id }, run }) => [id, run.histograms.version]);
  const wanted = JSON.stringify([name, distributions.content.clientWidth, isDark.matches, asked]);
  if (wanted === shown) return;
  shown = wanted;
  const lists = await Promise.all(
    known.map(async ({ listed: { id } }) => {
      const answer = await fetch(`histograms?${new URLSearchParams({ run: id, name })}`);
      return answer.ok ? ((await answer.json()) as Distribution[]) : [];
    }),
  ).catch(() => []);
  if (wanted !== shown) return;
  const figures = lists.map(() => el('figure'));
  distributions.content.replaceChildren(...figures.filter((_, i) => lists[i].length > 0));
  lists.forEach((own, i) => {
    if (own.length > 0) heat(figures[i], known[i].listed.name, own);
  });
}

for (const control of [scale, smoothing]) control.addEventListener('input', later);
isDark.addEventListener('change', later);
addEventListener('resize', later);
// On a narrow page the list is in the way.
if (innerWidth < 800) (byId('runs') as HTMLDetailsElement).open = false;
setInterval(() => listed.some(({ state }) => state === 'running') && later(), 1000);
connect();
