/** Curves in few points: what is left of many is among them, their extremes above all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Curve } from '../../lib/dashboard/curve.ts';

const most = 16;
const curveOf = (values: readonly number[]) => {
  const curve = new Curve(most);
  values.forEach((y, x) => {
    curve.add(x, y);
  });
  return curve;
};
const values = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: -99, max: 99 }) },
    fc.constantFrom(Number.NaN, Infinity, -Infinity),
  ),
  { maxLength: 400 },
);

describe('a curve', () => {
  it('of few values is these', () => {
    const curve = curveOf([3, 1, Number.NaN, 2]);
    expect([curve.x, curve.y]).toEqual([
      [0, 1, 2, 3],
      [3, 1, Number.NaN, 2],
    ]);
    expect(curve.notFinite).toEqual({ count: 1, x: 2 });
    expect(curve.last).toEqual([3, 2]);
  });

  it('of many has points of theirs in order, the greatest and the least, and the last', () => {
    fc.assert(
      fc.property(values, (list) => {
        const curve = curveOf(list);
        expect(curve.x.length).toBeLessThanOrEqual(most);
        expect(curve.y.length).toBe(curve.x.length);
        curve.x.forEach((x, i) => {
          expect(curve.y[i]).toBe(list[x]);
          if (i > 0) expect(x).toBeGreaterThan(curve.x[i - 1]);
        });
        const strange = list.filter((y) => !Number.isFinite(y)).length;
        expect(curve.notFinite?.count ?? 0).toBe(strange);
        expect(curve.count).toBe(list.length);
        if (list.length === 0) return;
        expect(curve.last).toEqual([list.length - 1, list.at(-1)]);
        // What belongs to no stretch that is over is fewer than a stretch has.
        const told = list.slice(0, (curve.x.at(-1) ?? -1) + 1).filter(Number.isFinite);
        expect(list.length - 1 - curve.x.at(-1)!).toBeLessThan(Math.max(1, (8 * list.length) / most));
        const kept = curve.y.filter(Number.isFinite);
        if (told.length === 0) return;
        expect(Math.max(...kept)).toBe(Math.max(...told));
        expect(Math.min(...kept)).toBe(Math.min(...told));
      }),
      { numRuns: 300 },
    );
  });

  it('that is cut has nothing from behind there, and goes on', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: -1, max: 400 }), (list, at) => {
        const curve = curveOf(list);
        expect(curve.cut(at)).toBe(curve.x.length > 0);
        expect(Math.max(-1, ...curve.x)).toBeLessThanOrEqual(at);
        if (curve.last !== undefined) expect(curve.last[0]).toBeLessThanOrEqual(at);
        curve.add(at + 1, 7);
        expect(curve.last).toEqual([at + 1, 7]);
      }),
    );
  });

  it('goes one way, in seven digits', () => {
    const curve = new Curve(most);
    for (const [x, y] of [
      [5, 1 / 3],
      [4, 9],
      [5, 123456789],
      [6, 1e-300 / 3],
    ] as const)
      curve.add(x, y);
    expect([curve.x, curve.y]).toEqual([
      [5, 5, 6],
      [0.3333333, 123456789, 3.333333e-301],
    ]);
  });
});
