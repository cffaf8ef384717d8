/** Curves as SVG, whose colours a style sheet gives. */

/** A point; a value that is not finite is a gap in the curve. */
export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Chart {
  readonly title: string;
  /** What lies along the axis: 'epoch', 'batch'. */
  readonly along: string;
  readonly series: readonly Series[];
  /** Where a line is drawn across: at the best epoch. */
  readonly mark?: number | undefined;
}

/** How many colours the style sheet has. */
export const colours = 8;

const [width, height] = [640, 280];
const [left, right, top, bottom] = [64, 12, 12, 36];
/** More points than pixels show nothing more. */
const mostPoints = 600;

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escaped = (text: unknown): string =>
  String(text).replace(/[&<>"]/g, (letter) => entities[letter]);

/** A number with as many digits as people read. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(2).replace('e+', 'e');
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumFractionDigits: 12 });
}

/** Where an axis has its marks: from `low` to `high`, at multiples of 1, 2 or 5 times a power of ten. */
function ticks(low: number, high: number, about: number): number[] {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** The way from values to pixels, and the marks along it. */
interface Axis {
  at(value: number): number;
  readonly marks: readonly number[];
}

function linear(low: number, high: number, from: number, to: number, about: number): Axis {
  // A single value lies in the middle.
  const around = low === high ? Math.abs(low) / 2 || 0.5 : 0;
  const [start, end] = [low - around, high + around];
  return {
    at: (value) => from + ((value - start) / (end - start)) * (to - from),
    marks: low === high ? [low] : ticks(start, end, about),
  };
}

function logarithmic(low: number, high: number, from: number, to: number): Axis {
  const { at } = linear(Math.log10(low), Math.log10(high), from, to, 1);
  const decades = ticks(Math.log10(low), Math.log10(high), 5).filter(Number.isInteger);
  return { at: (value) => at(Math.log10(value)), marks: decades.map((power) => 10 ** power) };
}

/** As many points as are seen: of each stretch the least and the greatest, in order. */
function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= mostPoints) return points;
  const size = Math.ceil((2 * points.length) / mostPoints);
  const kept: Point[] = [];
  for (let at = 0; at < points.length; at += size) {
    const some = points.slice(at, at + size);
    const ends = [...some].sort((a, b) => a[1] - b[1]);
    kept.push(...some.filter((point) => point === ends[0] || point === ends[ends.length - 1]));
  }
  return kept;
}

/** Stretches without gaps. */
function stretches(points: readonly Point[]): Point[][] {
  const all: Point[][] = [[]];
  for (const point of points) {
    if (Number.isFinite(point[1])) all[all.length - 1].push(point);
    else all.push([]);
  }
  return all.filter(({ length }) => length > 0);
}

const round = (value: number): string => String(Math.round(10 * value) / 10);

function curve({ name, points }: Series, i: number, x: Axis, y: Axis): string {
  const [last] = points.slice(-1);
  const title = `<title>${escaped(name)}${last === undefined ? '' : `: ${figure(last[1])} at the end`}</title>`;
  const shapes = stretches(points).map((stretch) => {
    const places = thinned(stretch).map(([a, b]) => `${round(x.at(a))},${round(y.at(b))}`);
    if (places.length > 1) return `<polyline points="${places.join(' ')}"/>`;
    const [a, b] = places[0].split(',');
    return `<circle cx="${a}" cy="${b}" r="3"/>`;
  });
  return `<g class="curve c${i % colours}">${title}${shapes.join('')}</g>`;
}

/** A chart, with a legend above it; '' where there is no number to draw. Values over more than two decades go by their logarithm. */
export function chartOf({ title, along, series, mark }: Chart): string {
  const drawn = series.filter(({ points }) => points.some(([, y]) => Number.isFinite(y)));
  if (drawn.length === 0) return '';
  const points = drawn.flatMap(({ points: own }) => own.filter(([, y]) => Number.isFinite(y)));
  const range = (of: 0 | 1): [number, number] => {
    let [low, high] = [Infinity, -Infinity];
    for (const point of points) [low, high] = [Math.min(low, point[of]), Math.max(high, point[of])];
    return [low, high];
  };
  const [[x0, x1], [y0, y1]] = [range(0), range(1)];
  const x = linear(x0, x1, left, width - right, 8);
  const isLogarithmic = y0 > 0 && y1 / y0 > 100;
  const y = isLogarithmic
    ? logarithmic(y0, y1, height - bottom, top)
    : linear(y0, y1, height - bottom, top, 5);
  const rules = y.marks.map((value) => {
    const at = round(y.at(value));
    return (
      `<line x1="${left}" x2="${width - right}" y1="${at}" y2="${at}"/>` +
      `<text x="${left - 6}" y="${at}" dy="0.32em" text-anchor="end">${figure(value)}</text>`
    );
  });
  const feet = x.marks
    .filter((value) => Number.isInteger(value))
    .map(
      (value) =>
        `<text x="${round(x.at(value))}" y="${height - bottom + 16}" text-anchor="middle">${figure(value)}</text>`,
    );
  const across =
    mark === undefined || !(mark >= x0 && mark <= x1)
      ? ''
      : `<line class="mark" x1="${round(x.at(mark))}" x2="${round(x.at(mark))}" y1="${top}" y2="${height - bottom}"/>`;
  const legend =
    drawn.length === 1 && drawn[0].name === title
      ? []
      : drawn.map(({ name }, i) => `<span class="key c${i % colours}">${escaped(name)}</span>`);
  return `<figure>
<figcaption><b>${escaped(title)}</b>${isLogarithmic ? ' <small>(logarithmic)</small>' : ''} ${legend.join(' ')}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)} by ${escaped(along)}">
<g class="axes">${rules.join('')}${feet.join('')}<text x="${width - right}" y="${height - 4}" text-anchor="end">${escaped(along)}</text></g>
${across}${drawn.map((one, i) => curve(one, i, x, y)).join('\n')}
</svg>
</figure>`;
}
