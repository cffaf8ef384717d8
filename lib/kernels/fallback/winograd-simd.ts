/**
 * The transforms of Winograd's F(4×4, 3×3) as WebAssembly SIMD, on vectors of four channels. They follow from polynomials at
 * the points 0, ±a, ±b and ∞; docs/convolution.md tells why these.
 */
import { load } from './simd.ts';
import {
  advance,
  type Code,
  FunctionBuilder,
  f32x4,
  get,
  i32,
  type Local,
  repeat,
  set,
  v128,
} from './wasm.ts';

/** Of a tile of outputs, and of the patch of inputs that it is computed from. */
export const tileSide = 4;
export const patchSide = 6;
/** Values of a transformed patch. */
export const products = patchSide * patchSide;

/**
 * For each of `items` one after the other, and of its `groups` of four channels: from × from pixels become to × to. Strides
 * are of bytes: from a row of pixels to the next, from a column, an item, a group; first where they are read.
 */
export type Transform = (
  ...args: readonly number[] /* to, from, items, groups, fromRow, fromColumn, fromItem, fromGroup, toRow, toColumn, toItem, toGroup */
) => void;

const [a, b] = [0.625, 1.5];
const [a2, b2, a3, b3] = [a ** 2, b ** 2, a ** 3, b ** 3];
/** 1 / Π (pᵢ − pⱼ), the scale of a row of G. */
const [scale0, scaleA, scaleB] = [1 / (a2 * b2), 1 / (2 * a2 * (a2 - b2)), 1 / (2 * b2 * (b2 - a2))];

const { add, sub } = f32x4;
const times = (factor: number, x: Code): Code => f32x4.mul(f32x4.const(factor), x);

interface Rule {
  from: number;
  to: number;
  /** Along one axis; values that are used twice have places. */
  along(x: readonly Code[], place: (value: Code) => Code): Code[];
}

/** Sum and difference. */
const both = (x: Code, y: Code): [Code, Code] => [add(x, y), sub(x, y)];

const rules: Record<string, Rule> = {
  /** Bᵀ d */
  patch: {
    from: 6,
    to: 6,
    along(d, place) {
      const even = (square: number) => place(sub(d[4], times(square, d[2])));
      const odd = (square: number, point: number) => place(times(point, sub(d[3], times(square, d[1]))));
      const end = (i: number) => add(times(a2 * b2, d[i]), sub(d[i + 4], times(a2 + b2, d[i + 2])));
      return [end(0), ...both(even(b2), odd(b2, a)), ...both(even(a2), odd(a2, b)), end(1)];
    },
  },
  /** Aᵀ m */
  output: {
    from: 6,
    to: 4,
    along(m, place) {
      const [sumA, differenceA] = both(m[1], m[2]).map(place);
      const [sumB, differenceB] = both(m[3], m[4]).map(place);
      return [
        add(m[0], add(sumA, sumB)),
        add(times(a, differenceA), times(b, differenceB)),
        add(times(a2, sumA), times(b2, sumB)),
        add(times(a3, differenceA), add(times(b3, differenceB), m[5])),
      ];
    },
  },
  /** A y */
  gradient: {
    from: 4,
    to: 6,
    along(y, place) {
      const even = (square: number) => place(add(times(square, y[2]), y[0]));
      const odd = (point: number) => place(add(times(point ** 3, y[3]), times(point, y[1])));
      return [y[0], ...both(even(a2), odd(a)), ...both(even(b2), odd(b)), y[3]];
    },
  },
  /** G g */
  weight: {
    from: 3,
    to: 6,
    along(g, place) {
      const even = (scale: number, square: number) => place(times(scale, add(times(square, g[2]), g[0])));
      const odd = (factor: number) => place(times(factor, g[1]));
      return [
        times(scale0, g[0]),
        ...both(even(scaleA, a2), odd(a * scaleA)),
        ...both(even(scaleB, b2), odd(b * scaleB)),
        g[2],
      ];
    },
  },
  /** Gᵀ u */
  weightGradient: {
    from: 6,
    to: 3,
    along(u, place) {
      const sumA = place(times(scaleA, add(u[1], u[2])));
      const sumB = place(times(scaleB, add(u[3], u[4])));
      const differenceA = times(a * scaleA, sub(u[1], u[2]));
      return [
        add(times(scale0, u[0]), add(sumA, sumB)),
        add(times(b * scaleB, sub(u[3], u[4])), differenceA),
        add(times(a2, sumA), add(times(b2, sumB), u[5])),
      ];
    },
  },
};

function transform(name: string, { from, to, along }: Rule): FunctionBuilder {
  const ended = name === 'output';
  const f = new FunctionBuilder(name, ended ? 13 : 12);
  const [target, source, items, groups, ...strides] = Array(13).keys();
  const [fromRow, fromColumn, fromItem, fromGroup, toRow, toColumn, toItem, toGroup, ends] = strides;
  const [fromAt, toAt, rowAt, at, rest] = Array.from({ length: 5 }, () => f.i32());
  const column = Array.from({ length: from }, () => f.v128());
  const places = Array.from({ length: 4 }, () => f.v128());
  const rows: Local[][] = Array.from({ length: to }, () => column.map(() => f.v128()));

  const apply = (x: readonly Local[], keep: (value: Code, i: number) => Code): Code => {
    const before: Code[] = [];
    const place = (value: Code): Code => {
      const local = places[before.length];
      before.push(set(local, value));
      return get(local);
    };
    const results = along(x.map(get), place);
    return [before, results.map(keep)];
  };
  const downColumns = column.map((_, j) => [
    set(at, j === 0 ? get(fromAt) : get(rowAt)),
    set(rowAt, i32.add(get(at), get(fromColumn))),
    column.map((local, i) => [set(local, v128.load(get(at))), i < from - 1 ? advance(at, get(fromRow)) : []]),
    apply(column, (value, i) => set(rows[i][j], value)),
  ]);
  const [least, shift, shiftAt] = ended ? [f.v128(), f.v128(), f.i32()] : [-1, -1, -1];
  const end = (value: Code) => (ended ? f32x4.max(add(value, get(shift)), get(least)) : value);
  const alongRows = rows.map((row) => [
    set(at, get(rowAt)),
    apply(row, (value) => [v128.store(get(at), 0, end(value)), advance(at, get(toColumn))]),
    advance(rowAt, get(toRow)),
  ]);
  f.code = [
    ended ? set(least, v128.load(get(ends))) : [],
    repeat(items, [
      set(fromAt, get(source)),
      set(toAt, get(target)),
      set(rest, get(groups)),
      ended ? set(shiftAt, get(ends)) : [],
      repeat(rest, [
        downColumns,
        set(rowAt, get(toAt)),
        ended ? [advance(shiftAt, i32.const(16)), set(shift, v128.load(get(shiftAt)))] : [],
        alongRows,
        advance(fromAt, get(fromGroup)),
        advance(toAt, get(toGroup)),
      ]),
      advance(source, get(fromItem)),
      advance(target, get(toItem)),
    ]),
  ];
  return f;
}

let functions: Readonly<Record<keyof typeof rules, Transform>> | null | undefined;

/** The transforms; null where the engine lacks WebAssembly or its SIMD. */
export function transforms() {
  functions ??= load([
    Object.entries(rules).map(([name, rule]) => transform(name, rule)),
  ]) as typeof functions;
  return functions ?? null;
}
