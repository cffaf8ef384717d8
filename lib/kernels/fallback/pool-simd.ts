/** Max pooling as WebAssembly SIMD: the windows of a row that see equally much of the image, four channels at a time. */
import { load } from './simd.ts';
import { advance, type Code, FunctionBuilder, f32x4, get, i32, i32x4, repeat, set, v128 } from './wasm.ts';

/**
 * Arguments of both: out or the gradient by it, indices, x or the gradient by it; `windows` of `groups` of four
 * channels, of rows × columns pixels; bytes from a row, a column, a window to the next in x; the index of the first pixel, and from a row to the next how many more than from a column.
 */
type Row = (...args: readonly number[]) => void;

export interface PoolFunctions {
  readonly pool: Row;
  readonly gradient: Row;
}

const vector = i32.const(16);

function overWindows(
  name: string,
  parts: (f: FunctionBuilder, index: () => Code, at: () => Code) => Record<'first' | 'pixel' | 'last', Code>,
): FunctionBuilder {
  const f = new FunctionBuilder(name, 12);
  const [a, b, x, windows, groups, rows, columns, rowStep, columnStep, windowStep, firstIndex, indexStep] =
    Array(12).keys();
  const [xAt, pixel, pixelRow, group, i, j, index] = Array.from({ length: 7 }, () => f.i32());
  const {
    first,
    pixel: visit,
    last,
  } = parts(
    f,
    () => get(index),
    () => get(pixel),
  );
  f.code = repeat(windows, [
    set(xAt, get(x)),
    set(group, get(groups)),
    repeat(group, [
      first,
      set(pixelRow, get(xAt)),
      set(index, get(firstIndex)),
      set(i, get(rows)),
      repeat(i, [
        set(pixel, get(pixelRow)),
        set(j, get(columns)),
        repeat(j, [visit, advance(pixel, get(columnStep)), advance(index, i32.const(1))]),
        advance(pixelRow, get(rowStep)),
        advance(index, get(indexStep)),
      ]),
      last,
      advance(xAt, vector),
      advance(a, vector),
      advance(b, vector),
    ]),
    advance(x, get(windowStep)),
  ]);
  return f;
}

const pool = overWindows('pool', (f, index, at) => {
  const [largest, where, candidate, better] = Array.from({ length: 4 }, () => f.v128());
  return {
    first: [set(largest, f32x4.const(Number.NEGATIVE_INFINITY)), set(where, i32x4.const(-1))],
    pixel: [
      set(candidate, v128.load(at())),
      // The first NaN stays: no comparison with it holds, and it is not replaced.
      set(
        better,
        v128.or(
          v128.andNot(f32x4.eq(get(largest), get(largest)), f32x4.le(get(candidate), get(largest))),
          i32x4.eq(get(where), i32x4.const(-1)),
        ),
      ),
      set(largest, v128.select(get(candidate), get(largest), get(better))),
      set(where, v128.select(v128.splat(index()), get(where), get(better))),
    ],
    last: [v128.store(get(0), 0, get(largest)), v128.store(get(1), 0, get(where))],
  };
});

const gradient = overWindows('gradient', (f, index, at) => {
  const [own, where] = [f.v128(), f.v128()];
  const share = v128.and(get(own), i32x4.eq(get(where), v128.splat(index())));
  return {
    first: [set(own, v128.load(get(0))), set(where, v128.load(get(1)))],
    pixel: v128.store(at(), 0, f32x4.add(v128.load(at()), share)),
    last: [],
  };
});

let functions: PoolFunctions | null | undefined;

/** The functions; null where the engine lacks WebAssembly or its SIMD. */
export function poolFunctions(): PoolFunctions | null {
  if (functions === undefined) functions = load([[pool, gradient]]) as PoolFunctions | null;
  return functions;
}
