/** Charts: what is drawn, and when it is drawn anew. */
import uPlot from 'uplot';
import { figure } from '../../runs/chart.ts';
import { palettes } from '../../runs/palettes.ts';
import { el, isDark, styled } from './dom.ts';
import { type Line, pointsOf } from './run.ts';

export interface Series {
  readonly name: string;
  readonly colour: number;
  readonly isDashed?: boolean;
  readonly line: Line;
}

export interface Spec {
  readonly title: string;
  /** What lies along the axis. */
  readonly along: string;
  readonly series: readonly Series[];
  readonly isSmooth?: boolean;
}

export interface Look {
  readonly scale: string;
  /** From 0 to less than 1: the share of what came before. */
  readonly smoothing: number;
}

/** The colour of a run or a curve, by its number. */
export const colourOf = (index: number): string => {
  const colours = isDark.matches ? palettes.dark : palettes.light;
  return colours[index % colours.length];
};

/** Marks with as many digits as tell them apart. */
function marks(ticks: readonly (number | null)[]): string[] {
  const texts = ticks.map((value) => (value === null ? '' : figure(value)));
  const some = texts.filter((text) => text !== '');
  if (new Set(some).size === some.length) return texts;
  return ticks.map((value) => (value === null ? '' : String(Number(value.toPrecision(8)))));
}

/** Nothing lies between two batches or epochs. */
const wholeSteps = Array.from({ length: 30 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));

/** What axes look like, in all charts: one along the bottom, one at the left that is as wide as its marks. */
export function axes(): uPlot.Axis[] {
  const line = { stroke: styled('--line'), width: 1 };
  const common: uPlot.Axis = {
    stroke: styled('--faint'),
    grid: line,
    ticks: { ...line, size: 5 },
    gap: 4,
    values: (_, ticks) => marks(ticks),
    font: '12px system-ui, sans-serif',
  };
  const width = (_: uPlot, texts: string[] | null) =>
    18 + 7 * Math.max(4, ...(texts ?? []).map(({ length }) => length));
  return [
    { ...common, size: 32, incrs: wholeSteps },
    { ...common, size: width },
  ];
}

export const height = 230;

/** Mean values that follow: each a share of the one before, and of the value itself (with the beginning made up for). */
function smoothed(values: readonly (number | null)[], share: number): (number | null)[] {
  let [mean, weight] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    mean = share * mean + (1 - share) * value;
    weight = share * weight + (1 - share);
    return mean / weight;
  });
}

/** Values over more than two decades go by their logarithm, as in reports. */
function isLogarithmic(values: readonly (readonly (number | null | undefined)[])[], scale: string): boolean {
  if (scale !== 'automatic') return scale === 'logarithmic';
  let [low, high] = [Infinity, -Infinity];
  for (const list of values) {
    for (const value of list) {
      if (value === null || value === undefined) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return low > 0 && high / low > 100;
}

export class Chart {
  readonly element = el('figure');
  private plot: uPlot | undefined;
  private signature = '';
  private isZoomed = false;
  private readonly resized = new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (this.plot !== undefined && width > 0 && width !== this.plot.width)
      this.plot.setSize({ width, height });
  });

  constructor() {
    this.resized.observe(this.element);
  }

  show({ title, along, series, isSmooth = false }: Spec, { scale, smoothing }: Look): void {
    const tables = series.map(({ line }): uPlot.AlignedData => {
      const [x, y] = pointsOf(line);
      return [x, isSmooth && smoothing > 0 ? smoothed(y, smoothing) : y];
    });
    const joined = uPlot.join(tables) as [number[], ...(number | null | undefined)[][]];
    const isLog = isLogarithmic(joined.slice(1) as (number | null | undefined)[][], scale);
    // The logarithm of what is not positive is nowhere.
    const positive = (y: number | null | undefined) => (typeof y === 'number' && y <= 0 ? null : y);
    const [x, ...lists] = joined;
    const data = [x, ...(isLog ? lists.map((list) => list.map(positive)) : lists)] as uPlot.AlignedData;
    const drawn = series.map(({ name, colour, isDashed }) => [name, colour, isDashed]);
    const signature = JSON.stringify([title, along, drawn, isLog, isDark.matches]);
    if (signature !== this.signature) {
      this.signature = signature;
      this.make({ title, along, series }, isLog, data);
    } else this.plot!.setData(data, !this.isZoomed);
    if (this.isZoomed) this.plot!.redraw();
    this.tell(series, title, along);
  }

  remove(): void {
    this.resized.disconnect();
    this.plot?.destroy();
    this.element.remove();
  }

  private make({ title, along, series }: Spec, isLog: boolean, data: uPlot.AlignedData): void {
    this.plot?.destroy();
    this.isZoomed = false;
    const note = isLog ? [' ', el('small', {}, '(logarithmic)')] : [];
    this.element.replaceChildren(el('figcaption', {}, el('b', {}, title), ...note));
    const value = (_: uPlot, y: number | null) => (y === null || y === undefined ? '–' : figure(y));
    this.plot = new uPlot(
      {
        width: Math.max(200, Math.floor(this.element.clientWidth)),
        height,
        scales: { x: { time: false }, y: { distr: isLog ? 3 : 1 } },
        axes: axes(),
        cursor: { sync: { key: along, setSeries: false }, points: { size: 6 } },
        legend: { markers: { width: 0, fill: (_, i) => colourOf(series[i - 1]?.colour ?? 0) } },
        series: [
          { label: along, value },
          ...series.map(({ name, colour, isDashed = false }) => ({
            label: name,
            stroke: colourOf(colour),
            width: 1.6,
            // More curves than colours are dashed in their way.
            ...(isDashed ? { dash: [6, 4] } : colour >= palettes.light.length ? { dash: [2, 3] } : {}),
            value,
          })),
        ],
        hooks: {
          setSelect: [
            ({ select }) => {
              if (select.width > 0) this.isZoomed = true;
            },
          ],
          ready: [atEnd],
          setCursor: [atEnd],
          setData: [atEnd],
        },
      },
      data,
      this.element,
    );
    this.plot.over.addEventListener('dblclick', () => {
      this.isZoomed = false;
    });
    // What a click does, keys do too.
    for (const head of this.element.querySelectorAll<HTMLElement>('.u-series th')) {
      head.tabIndex = 0;
      head.setAttribute('role', 'button');
      head.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        head.click();
      });
    }
  }

  /** For those who do not see it. */
  private tell(series: readonly Series[], title: string, along: string): void {
    const canvas = this.plot!.ctx.canvas;
    const values = series.map(({ name, line }) => `${name} ${figure(line.last[1] ?? Number.NaN)}`);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${title} by ${along}, now: ${values.slice(0, 8).join(', ')}`);
  }
}

/** Without a cursor the legend has the latest values: of each curve its own. */
function atEnd(plot: uPlot): void {
  if (plot.cursor.left! >= 0) return;
  const idxs = plot.data.map((list) => {
    let at = list.length - 1;
    while (at > 0 && (list[at] === undefined || list[at] === null)) at--;
    return at;
  });
  plot.setLegend({ idxs }, false);
}

/** As many charts as there are specs, in their order. */
export class Charts {
  private readonly charts = new Map<string, Chart>();

  constructor(private readonly element: HTMLElement) {}

  show(specs: readonly Spec[], look: Look): void {
    const titles = new Set(specs.map(({ title }) => title));
    for (const [title, chart] of this.charts) {
      if (titles.has(title)) continue;
      chart.remove();
      this.charts.delete(title);
    }
    specs.forEach((spec, i) => {
      const chart = this.charts.get(spec.title) ?? new Chart();
      this.charts.set(spec.title, chart);
      const place = this.element.children[i];
      if (place !== chart.element) this.element.insertBefore(chart.element, place ?? null);
      chart.show(spec, look);
    });
  }
}
