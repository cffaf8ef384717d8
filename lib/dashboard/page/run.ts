/** A run as the page knows it. */
import type { CurveNews, Details, News } from '../view.ts';

/** The values of a curve; null for what is no finite number. */
export interface Line {
  x: number[];
  y: (number | null)[];
  last: readonly [x: number, y: number | null];
  notFinite: { readonly count: number; readonly x: number } | null;
}

export class Run {
  readonly lines = new Map<string, Line>();
  details: Details | undefined;
  histograms: NonNullable<News['histograms']> = { names: [], version: 0 };
  at: News['at'] = { time: 0, step: 0, epoch: 0, batch: 0 };

  take({ anew, at, details, histograms, curves }: News): void {
    if (anew) this.lines.clear();
    this.at = at;
    this.details = details ?? this.details;
    this.histograms = histograms ?? this.histograms;
    for (const [name, from, x, y, last, notFinite] of curves as readonly CurveNews[]) {
      const before = this.lines.get(name);
      this.lines.set(name, {
        x: [...(before?.x.slice(0, from) ?? []), ...x],
        y: [...(before?.y.slice(0, from) ?? []), ...y],
        last,
        notFinite,
      });
    }
  }

  /** What a curve has last; undefined where there is none. */
  latest(name: string): number | undefined {
    const line = this.lines.get(name);
    return line && (line.last[1] ?? Number.NaN);
  }

  /** The names of curves with this prefix, without it. */
  names(prefix: string): string[] {
    return [...this.lines.keys()].flatMap((name) =>
      name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
    );
  }
}

/** With the latest value, which counts for more than another at its place. */
export function pointsOf({ x, y, last }: Line): [x: number[], y: (number | null)[]] {
  const end = x.at(-1);
  if (end === undefined || end < last[0])
    return [
      [...x, last[0]],
      [...y, last[1]],
    ];
  return [x, [...y.slice(0, -1), last[1]]];
}
