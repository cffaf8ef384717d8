/** A curve in few points, however long it is: of each stretch the least and the greatest value. */

/** As a line of the page's charts has them. */
export type Point = readonly [x: number, y: number];

const isNumber = (y: number): boolean => y - y === 0;
/** More digits than anybody sees, in half the bytes. */
const short = (y: number): number => (Number.isInteger(y) ? y : Number(y.toPrecision(7)));

export class Curve {
  /** In the order of `x`; of a stretch in which nothing is finite there is a NaN. */
  readonly x: number[] = [];
  readonly y: number[] = [];
  /** The latest value, which may be in no stretch that is over. */
  last: Point | undefined;
  /** How many values there were, and how many of them are not finite, the first of these at `x`. */
  count = 0;
  notFinite: { count: number; x: number } | undefined;
  /** How often points that were there already gave way to fewer. */
  thinned = 0;
  /** How many values a stretch has, and the stretch under way. */
  private size = 1;
  private stretch: Point[] = [];

  /** @param most how many points there may be, a multiple of 4 */
  constructor(private readonly most: number) {}

  /** A value that comes before the latest one is left out: a line goes one way. */
  add(x: number, y: number): void {
    if (this.last !== undefined && x < this.last[0]) return;
    this.last = [x, short(y)];
    this.count++;
    if (!isNumber(y)) {
      this.notFinite ??= { count: 0, x };
      this.notFinite.count++;
    }
    this.stretch.push(this.last);
    if (this.stretch.length >= this.size) this.close();
    if (this.x.length >= this.most) this.thin();
  }

  /** Without what came after `x`. @returns whether anything is left */
  cut(x: number): boolean {
    this.close();
    while (this.x.length > 0 && this.x[this.x.length - 1] > x) {
      this.x.pop();
      this.y.pop();
    }
    const end = this.x.length - 1;
    this.last = end < 0 ? undefined : [this.x[end], this.y[end]];
    if (this.notFinite !== undefined && this.notFinite.x > x) this.notFinite = undefined;
    return end >= 0;
  }

  private close(): void {
    this.put(this.stretch);
    this.stretch = [];
  }

  private put(points: readonly Point[]): void {
    for (const [x, y] of ends(points)) {
      this.x.push(x);
      this.y.push(y);
    }
  }

  private thin(): void {
    const points = this.x.map((x, i): Point => [x, this.y[i]]);
    this.x.length = this.y.length = 0;
    for (let at = 0; at < points.length; at += 4) this.put(points.slice(at, at + 4));
    this.size = this.size === 1 ? 4 : 2 * this.size;
    this.thinned++;
  }
}

/** The least and the greatest, in order; one that is not finite where there is nothing else. */
function ends(points: readonly Point[]): readonly Point[] {
  if (points.length < 2) return points;
  let [low, high] = [-1, -1];
  points.forEach(([, y], i) => {
    if (!isNumber(y)) return;
    if (low < 0 || y < points[low][1]) low = i;
    if (high < 0 || y > points[high][1]) high = i;
  });
  if (low < 0) return [points[0]];
  return low === high ? [points[low]] : [points[Math.min(low, high)], points[Math.max(low, high)]];
}
