/** What a page shows of a run, kept small while the run grows. */
import { isArray, isRecord } from '../arguments.ts';
import type {
  BeginEvent,
  ConfusionEvent,
  EndEvent,
  Histogram,
  ImageEvent,
  Moment,
  RunEvent,
} from '../runs/events.ts';
import type { RunInfo } from '../runs/info.ts';
import { Curve, type Point } from './curve.ts';

/** How many points a curve has at most; of norms, of which there are two for each parameter, fewer. */
const mostPoints = { own: 2000, norms: 500 };
/** How many curves a run has, how many steps of a histogram or an image are kept, and how large a table of classes may be. */
export const [mostCurves, mostSteps, mostClasses] = [2000, 40, 100];

/** How values were distributed after a step. */
export interface Distribution extends Histogram {
  readonly step: number;
}

/** What a page knows of a run already. */
export interface Known {
  generation: number;
  details: number;
  histograms: number;
  readonly curves: Map<string, { thinned: number; count: number; sent: number }>;
}

export const nothingKnown = (): Known => ({ generation: -1, details: -1, histograms: -1, curves: new Map() });

/** Points from the index `from` on, which take the place of those that were there; and the latest value. In JSON, NaN is null. */
export type CurveNews = readonly [
  name: string,
  from: number,
  x: readonly number[],
  y: readonly number[],
  last: Point,
  notFinite: { count: number; x: number } | null,
];

export type Picture = Pick<ImageEvent, 'step' | 'file' | 'width' | 'height'>;

export interface Details {
  readonly info: RunInfo;
  readonly begin: BeginEvent | undefined;
  readonly end: EndEvent | undefined;
  readonly images: Readonly<Record<string, readonly Picture[]>>;
  readonly confusions: readonly ConfusionEvent[];
  /** How many lines of its file are none. */
  readonly damaged: number;
}

/** What a page is told. What is not there has not changed. */
export interface News {
  /** Everything that was told before is no more. */
  readonly anew: boolean;
  readonly at: Moment & { readonly batch: number };
  readonly details?: Details;
  /** Of which there are some, and a number that changes with them. */
  readonly histograms?: { readonly names: readonly string[]; readonly version: number };
  readonly curves: readonly CurveNews[];
}

export class View {
  begin: BeginEvent | undefined;
  end: EndEvent | undefined;
  private at: Moment & { batch: number } = { time: 0, step: 0, epoch: 0, batch: 0 };
  private damaged = 0;
  private readonly curves = new Map<string, Curve>();
  private readonly images = new Map<string, ImageEvent[]>();
  private readonly confusions = new Map<string, ConfusionEvent>();
  private readonly distributions = new Map<string, Distribution[]>();
  /** Go up when what was said before is wrong now, when details change, and when histograms do. */
  private generation = 0;
  private details = 0;
  private histograms = 0;

  /** @param info what the run is */
  constructor(private about: RunInfo) {}

  get info(): RunInfo {
    return this.about;
  }

  set info(info: RunInfo) {
    this.about = info;
    this.details++;
  }

  /** Takes what a file says as well, in which anything may be: what is no such event changes nothing. */
  add(event: RunEvent): void {
    const { type, time, step, epoch } = event;
    if (type === 'begin') this.goOn(event);
    const batch = type === 'batch' ? event.batch : this.at.batch;
    this.at = { time, step, epoch, batch };
    switch (type) {
      case 'batch':
        for (const name of ['loss', 'learningRate', 'examplesPerSecond', 'memory'] as const) {
          this.point(`batch/${name}`, step, event[name]);
        }
        break;
      case 'epoch': {
        if (!isRecord(event.record)) break;
        const { epoch: x, validation = {}, ...scores } = event.record;
        this.points('epoch/', x, scores);
        this.points('epoch/validation.', x, validation);
        break;
      }
      case 'norms':
        this.points('weights/', step, event.weights, mostPoints.norms);
        this.points('gradients/', step, event.gradients, mostPoints.norms);
        break;
      case 'scalars':
        this.points('scalars/', step, event.values);
        break;
      case 'histograms':
        this.distribute('weights/', step, event.weights);
        this.distribute('gradients/', step, event.gradients);
        break;
      case 'histogram':
        this.distribute('', step, { [event.name]: event.histogram });
        break;
      case 'image': {
        if (typeof event.name !== 'string' || typeof event.file !== 'string') break;
        const list = keep(this.images, event.name, event);
        if (list.length > mostSteps) list.shift();
        this.details++;
        break;
      }
      case 'confusion':
        if (!isTable(event) || !(this.confusions.has(event.name) || this.confusions.size < mostSteps)) break;
        this.confusions.set(event.name, event);
        this.details++;
        break;
      case 'begin':
        this.begin = event;
        this.details++;
        break;
      case 'end':
        this.end = event;
        this.details++;
    }
  }

  /** A line of its file is none. */
  addDamage(): void {
    this.damaged++;
    this.details++;
  }

  /** The files of its images. */
  files(): string[] {
    return [...this.images.values()].flatMap((list) => list.map(({ file }) => file));
  }

  distributionsOf(name: string): readonly Distribution[] {
    return this.distributions.get(name) ?? [];
  }

  /** What a page has to be told, which then knows it; undefined where that is nothing. */
  news(known: Known): News | undefined {
    const anew = known.generation !== this.generation;
    if (anew) Object.assign(known, nothingKnown(), { generation: this.generation });
    const curves: CurveNews[] = [];
    for (const [name, curve] of this.curves) {
      const { thinned, count, x, y, last, notFinite } = curve;
      const before = known.curves.get(name);
      if (before?.count === count || last === undefined) continue;
      const from = before?.thinned === thinned ? before.sent : 0;
      known.curves.set(name, { thinned, count, sent: x.length });
      curves.push([name, from, x.slice(from), y.slice(from), last, notFinite ?? null]);
    }
    const details = known.details === this.details ? {} : { details: this.told() };
    const histograms =
      known.histograms === this.histograms
        ? {}
        : { histograms: { names: [...this.distributions.keys()], version: this.histograms } };
    const [before, now] = [known.details + known.histograms, this.details + this.histograms];
    [known.details, known.histograms] = [this.details, this.histograms];
    if (!anew && curves.length === 0 && before === now) return undefined;
    return { anew, at: this.at, ...details, ...histograms, curves };
  }

  private told(): Details {
    const images = Object.fromEntries(
      Array.from(this.images, ([name, list]) => [
        name,
        list.map(({ step, file, width, height }) => ({ step, file, width, height })),
      ]),
    );
    const { info, begin, end, damaged } = this;
    return { info, begin, end, images, confusions: [...this.confusions.values()], damaged };
  }

  /** Training begins: what was done after the step that it begins at is done anew. */
  private goOn({ step, completed }: BeginEvent): void {
    if (this.begin === undefined) return;
    this.generation++;
    this.end = undefined;
    for (const [name, curve] of this.curves) {
      if (!curve.cut(name.startsWith('epoch/') ? completed : step)) this.curves.delete(name);
    }
    for (const lists of [this.images, this.distributions] as Map<string, { step: number }[]>[]) {
      for (const [name, list] of lists) {
        const left = list.filter((one) => one.step <= step);
        if (left.length > 0) lists.set(name, left);
        else lists.delete(name);
      }
    }
    for (const [name, confusion] of this.confusions) if (confusion.step > step) this.confusions.delete(name);
  }

  private points(prefix: string, x: number, values: object, most?: number): void {
    if (!isRecord(values)) return;
    for (const [name, value] of Object.entries(values)) this.point(prefix + name, x, value, most);
  }

  private point(name: string, x: number, y: unknown, most = mostPoints.own): void {
    if (typeof y !== 'number' || typeof x !== 'number') return;
    const known = this.curves.get(name);
    if (known === undefined && this.curves.size >= mostCurves) return;
    const curve = known ?? new Curve(most);
    if (known === undefined) this.curves.set(name, curve);
    curve.add(x, y);
  }

  private distribute(prefix: string, step: number, values: object): void {
    if (!isRecord(values)) return;
    for (const [name, one] of Object.entries(values) as [string, Histogram][]) {
      if (!isRecord(one) || !isArray(one.counts) || !one.counts.every(Number.isFinite)) continue;
      if (!Number.isFinite(one.min) || !Number.isFinite(one.max)) continue;
      const list = keep(this.distributions, prefix + name, { ...one, step });
      // Of more steps than there may be, every other one.
      if (list.length > mostSteps) {
        const left = list.filter((_, i) => i % 2 === 0 || i === list.length - 1);
        this.distributions.set(prefix + name, left);
      }
    }
    this.histograms++;
  }
}

/** Adds to the list of a name; to none where there are too many names. */
function keep<Item>(lists: Map<string, Item[]>, name: string, item: Item): Item[] {
  const list = lists.get(name) ?? [];
  if (list.length > 0 || lists.size < mostCurves) lists.set(name, list);
  list.push(item);
  return list;
}

/** Whether it is a table as wide as high. */
function isTable({ name, labels, counts }: ConfusionEvent): boolean {
  if (typeof name !== 'string' || !isArray(labels) || !isArray(counts)) return false;
  const { length } = counts;
  return (
    length <= mostClasses &&
    labels.length === length &&
    counts.every((row) => isArray(row) && row.length === length && row.every(Number.isFinite))
  );
}
