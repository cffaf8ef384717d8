import { load } from './simd.ts';
import {
  type Arithmetic,
  advance,
  type Code,
  FunctionBuilder,
  f32x4,
  f64x2,
  get,
  i32,
  type Local,
  repeat,
  set,
  v128,
} from './wasm.ts';

/** The inner part of the matrix product as WebAssembly SIMD. Counts are of elements, pointers and strides of bytes. */
export interface GemmFunctions {
  /**
   * Packs a matrix whose transpose is stored, rows `stride` apart, into panels of `tileColumns`: they follow one another
   * without gaps, and hold the elements of each of `depth` steps side by side.
   */
  packColumns(to: number, from: number, stride: number, panels: number, depth: number): void;
  /**
   * For each of 1 to `tileRows` rows of c that a tile may have, a function of that number: c = a · b, added to c where
   * `keep` is −1 and not 0, in tiles of so many rows and of `tileColumns`. Elements of a are `aRow` and `aDepth` apart,
   * rows of c `cRow`, rows of b within a tile's columns `bDepth`, and its next tile begins `bTile` after the one before.
   */
  readonly multiply: readonly ((
    c: number,
    a: number,
    b: number,
    rowTiles: number,
    columnTiles: number,
    depth: number,
    cRow: number,
    aRow: number,
    aDepth: number,
    bDepth: number,
    bTile: number,
    keep: number,
  ) => void)[];
}

interface Type {
  name: string;
  /** log2 of the bytes of an element. */
  shift: number;
  arithmetic: Arithmetic;
}

const types: readonly Type[] = [
  { name: '32', shift: 2, arithmetic: f32x4 },
  { name: '64', shift: 3, arithmetic: f64x2 },
];

/**
 * A tile is four rows of two vectors: its sums, the operands and a product are 12 of the 16 registers of x64. With more
 * rows, or more steps to a turn of the loop, the V8 of Node 20 spills, which halves the speed.
 */
export const tileRows = 4;
const tileVectors = 2;
export const tileColumns = { float32: 8, float64: 4 } as const;

const vectorBytes = 16;
const tileBytes = tileVectors * vectorBytes;
/** Rows that are transposed together. */
const groupRows = 4;

/** The bytes of a shuffle that picks these lanes of two vectors, counted through. */
function lanes(shift: number, picked: readonly number[]): number[] {
  return picked.flatMap((lane) => Array.from({ length: 1 << shift }, (_, byte) => (lane << shift) + byte));
}

/** Four rows of a vector each, turned into the vectors of a panel. */
function transpose(
  f: FunctionBuilder,
  shift: number,
  rows: readonly Code[],
): { setup: Code; vectors: Code[] } {
  const pick = (a: Code, b: Code, picked: readonly number[]): Code =>
    v128.shuffle(a, b, lanes(shift, picked));
  const [r0, r1, r2, r3] = rows.map(() => f.v128());
  const loads = [r0, r1, r2, r3].map((local, row) => set(local, rows[row]));
  if (shift === 3) {
    const vectors = [0, 1].flatMap((lane) => [
      pick(get(r0), get(r1), [lane, lane + 2]),
      pick(get(r2), get(r3), [lane, lane + 2]),
    ]);
    return { setup: loads, vectors };
  }
  const [low01, high01, low23, high23] = rows.map(() => f.v128());
  const interleave = [
    set(low01, pick(get(r0), get(r1), [0, 4, 1, 5])),
    set(high01, pick(get(r0), get(r1), [2, 6, 3, 7])),
    set(low23, pick(get(r2), get(r3), [0, 4, 1, 5])),
    set(high23, pick(get(r2), get(r3), [2, 6, 3, 7])),
  ];
  const vectors = [
    pick(get(low01), get(low23), [0, 1, 4, 5]),
    pick(get(low01), get(low23), [2, 3, 6, 7]),
    pick(get(high01), get(high23), [0, 1, 4, 5]),
    pick(get(high01), get(high23), [2, 3, 6, 7]),
  ];
  return { setup: [loads, interleave], vectors };
}

/** The last vectors of a panel may run past its end: into the next one, which is packed later, or into slack. */
function packColumns({ name, shift }: Type): FunctionBuilder {
  const f = new FunctionBuilder(`packColumns${name}`, 5);
  const [to, from, stride, panels, depth] = Array(5).keys();
  const rows = Array.from({ length: tileBytes >> shift }, () => f.i32());
  const target = f.i32();
  const steps = f.i32();
  const groups = rows.length / groupRows;
  const vectorLanes = vectorBytes >> shift;
  const groupBytes = groupRows << shift;
  const turn = Array.from({ length: groups }, (_, group) => {
    const own = rows.slice(group * groupRows, (group + 1) * groupRows);
    const { setup, vectors } = transpose(
      f,
      shift,
      own.map((pointer) => v128.load(get(pointer))),
    );
    const perStep = vectors.length / vectorLanes;
    const place = (i: number) =>
      Math.floor(i / perStep) * tileBytes + group * groupBytes + (i % perStep) * vectorBytes;
    return [setup, vectors.map((vector, i) => v128.store(get(target), place(i), vector))];
  });
  f.code = repeat(panels, [
    rows.map((pointer) => [set(pointer, get(from)), advance(from, get(stride))]),
    set(target, get(to)),
    set(steps, i32.shiftRight(i32.add(get(depth), i32.const(vectorLanes - 1)), 4 - shift)),
    repeat(steps, [
      turn,
      rows.map((pointer) => advance(pointer, i32.const(vectorBytes))),
      advance(target, i32.const(vectorLanes * tileBytes)),
    ]),
    advance(to, i32.shiftLeft(get(depth), Math.log2(tileBytes))),
  ]);
  return f;
}

function multiply({ name, arithmetic }: Type, rows: number, fused: boolean): FunctionBuilder {
  const f = new FunctionBuilder(`multiply${name}${rows}`, 12);
  const [c, a, b, rowTiles, columnTiles, depth, cRow, aRow, aDepth, bDepth, bTile, keep] = Array(12).keys();
  const aTile = f.i32();
  const aAt = Array.from({ length: rows }, () => f.i32());
  const bAt = f.i32();
  const cAt = f.i32();
  const tiles = f.i32();
  const steps = f.i32();
  const left = f.v128();
  const kept = f.v128();
  const right = Array.from({ length: tileVectors }, () => f.v128());
  const sums: Local[][] = aAt.map(() => right.map(() => f.v128()));

  const multiplyAdd = (x: Code, y: Code, sum: Code): Code =>
    fused ? arithmetic.fused(x, y, sum) : arithmetic.add(sum, arithmetic.mul(x, y));
  const step: Code = [
    right.map((local, vector) => set(local, v128.load(get(bAt), vector * vectorBytes))),
    sums.map((row, i) => [
      set(left, arithmetic.loadSplat(get(aAt[i]), 0)),
      row.map((sum, j) => set(sum, multiplyAdd(get(left), get(right[j]), get(sum)))),
      advance(aAt[i], get(aDepth)),
    ]),
    advance(bAt, get(bDepth)),
  ];
  const toC = sums.map((row) => [
    row.map((sum, j) => {
      const before = v128.and(v128.load(get(cAt), j * vectorBytes), get(kept));
      return v128.store(get(cAt), j * vectorBytes, arithmetic.add(before, get(sum)));
    }),
    advance(cAt, get(cRow)),
  ]);
  f.code = [
    set(kept, v128.splat(get(keep))),
    repeat(columnTiles, [
      set(aTile, get(a)),
      set(cAt, get(c)),
      set(tiles, get(rowTiles)),
      repeat(tiles, [
        sums.flat().map((sum) => set(sum, v128.zero)),
        aAt.map((pointer) => [set(pointer, get(aTile)), advance(aTile, get(aRow))]),
        set(bAt, get(b)),
        set(steps, get(depth)),
        repeat(steps, step),
        toC,
      ]),
      advance(b, get(bTile)),
      advance(c, i32.const(tileBytes)),
    ]),
  ];
  return f;
}

const heights = Array.from({ length: tileRows }, (_, i) => i + 1);

let functions: { float32: GemmFunctions; float64: GemmFunctions } | null | undefined;

/** The functions for each type; null where the engine lacks WebAssembly or its SIMD. */
export function gemmFunctions() {
  if (functions !== undefined) return functions;
  const variants = [true, false].map((fused) =>
    types.flatMap((type) => [packColumns(type), ...heights.map((rows) => multiply(type, rows, fused))]),
  );
  const exports = load(variants);
  const of = (type: string) =>
    ({
      packColumns: exports![`packColumns${type}`],
      multiply: heights.map((rows) => exports![`multiply${type}${rows}`]),
    }) as GemmFunctions;
  functions = exports && { float32: of('32'), float64: of('64') };
  return functions;
}
