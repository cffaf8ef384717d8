import {
  advance,
  assemble,
  type Code,
  FunctionBuilder,
  f32x4,
  f64x2,
  get,
  i32,
  instantiate,
  type Local,
  repeat,
  set,
  v128,
} from './wasm.ts';

/**
 * The inner part of the matrix product as WebAssembly SIMD, written for this module's packed form: a matrix is cut into
 * panels of four rows (of op(a)) or columns (of op(b)), and a panel holds its four elements of each step of k side by
 * side. Panels follow one another without gaps. All sizes are in elements, all pointers in bytes.
 */
export interface GemmModule {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly float32: GemmFunctions;
  readonly float64: GemmFunctions;
}

export interface GemmFunctions {
  /** Packs a matrix that is stored depth × (4·panels), the rows of it `stride` apart. */
  packRows(to: number, from: number, stride: number, panels: number, depth: number): void;
  /** Packs a matrix that is stored (4·panels) × depth, the rows of it `stride` apart. */
  packColumns(to: number, from: number, stride: number, panels: number, depth: number): void;
  /** c += a · b of packed a and b, in tiles of 4 × `tileColumns`; the rows of c are `stride` apart. */
  multiply(
    c: number,
    a: number,
    b: number,
    rowPanels: number,
    columnTiles: number,
    depth: number,
    stride: number,
  ): void;
}

interface Type {
  name: string;
  /** log2 of the bytes of an element. */
  shift: number;
  arithmetic: typeof f32x4;
}

const types: readonly Type[] = [
  { name: '32', shift: 2, arithmetic: f32x4 },
  { name: '64', shift: 3, arithmetic: f64x2 },
];

/** Two vectors wide: with eight accumulators, operands and a product stay within the 16 registers of x64. */
export const tileColumns = { float32: 8, float64: 4 } as const;

const vectorBytes = 16;
const tileRows = 4;
const tileVectors = 2;

function packRows({ name, shift }: Type): FunctionBuilder {
  const f = new FunctionBuilder(`packRows${name}`, 5);
  const [to, from, stride, panels, depth] = [0, 1, 2, 3, 4];
  const panelBytes = f.i32();
  const source = f.i32();
  const target = f.i32();
  const panel = f.i32();
  const stepBytes = 4 << shift;
  const copies: Code[] = [];
  for (let offset = 0; offset < stepBytes; offset += vectorBytes) {
    copies.push(v128.store(get(target), offset, v128.load(get(source), offset)));
  }
  f.code = [
    set(panelBytes, i32.shiftLeft(get(depth), shift + 2)),
    set(stride, i32.shiftLeft(get(stride), shift)),
    repeat(depth, [
      set(source, get(from)),
      set(target, get(to)),
      set(panel, get(panels)),
      repeat(panel, [copies, advance(source, i32.const(stepBytes)), advance(target, get(panelBytes))]),
      advance(from, get(stride)),
      advance(to, i32.const(stepBytes)),
    ]),
  ];
  return f;
}

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
  const load = [r0, r1, r2, r3].map((local, row) => set(local, rows[row]));
  if (shift === 3) {
    const vectors = [0, 1].flatMap((lane) => [
      pick(get(r0), get(r1), [lane, lane + 2]),
      pick(get(r2), get(r3), [lane, lane + 2]),
    ]);
    return { setup: load, vectors };
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
  return { setup: [load, interleave], vectors };
}

/** The last vectors of a panel may run past its end: into the next one, which is packed later, or into slack. */
function packColumns({ name, shift }: Type): FunctionBuilder {
  const f = new FunctionBuilder(`packColumns${name}`, 5);
  const [to, from, stride, panels, depth] = [0, 1, 2, 3, 4];
  const row = Array.from({ length: tileRows }, () => f.i32());
  const target = f.i32();
  const steps = f.i32();
  const vectorLanes = vectorBytes >> shift;
  const { setup, vectors } = transpose(
    f,
    shift,
    row.map((pointer) => v128.load(get(pointer))),
  );
  const startRows = row.map((pointer, i) =>
    set(pointer, i === 0 ? get(from) : i32.add(get(row[i - 1]), get(stride))),
  );
  const laneShift = 4 - shift;
  f.code = [
    set(stride, i32.shiftLeft(get(stride), shift)),
    repeat(panels, [
      startRows,
      set(from, i32.add(get(row[tileRows - 1]), get(stride))),
      set(target, get(to)),
      set(steps, i32.shiftRight(i32.add(get(depth), i32.const(vectorLanes - 1)), laneShift)),
      repeat(steps, [
        setup,
        vectors.map((vector, i) => v128.store(get(target), i * vectorBytes, vector)),
        row.map((pointer) => advance(pointer, i32.const(vectorBytes))),
        advance(target, i32.const(vectors.length * vectorBytes)),
      ]),
      advance(to, i32.shiftLeft(get(depth), shift + 2)),
    ]),
  ];
  return f;
}

function multiply({ name, shift, arithmetic }: Type, fused: boolean): FunctionBuilder {
  const f = new FunctionBuilder(`multiply${name}`, 7);
  const [c, a, b, rowPanels, columnTiles, depth, stride] = [0, 1, 2, 3, 4, 5, 6];
  const aAt = f.i32();
  const cRow = f.i32();
  const panel = f.i32();
  const steps = f.i32();
  // A tile takes two vectors of b a step: two float32 panels, or one of float64.
  const stepBytes = 4 << shift;
  const bPanels = (tileVectors * vectorBytes) / stepBytes;
  const bAt = Array.from({ length: bPanels }, () => f.i32());
  const left = f.v128();
  const right = Array.from({ length: tileVectors }, () => f.v128());
  const sums: Local[][] = Array.from({ length: tileRows }, () => right.map(() => f.v128()));

  const multiplyAdd = (x: Code, y: Code, sum: Code): Code =>
    fused ? arithmetic.fused(x, y, sum) : arithmetic.add(sum, arithmetic.mul(x, y));
  const bVector = (vector: number): Code => {
    const offset = vector * vectorBytes;
    return v128.load(get(bAt[Math.floor(offset / stepBytes)]), offset % stepBytes);
  };
  // One step to a turn of the loop: V8 keeps all of it in registers, but spills when more steps are unrolled.
  const step: Code = [
    right.map((local, vector) => set(local, bVector(vector))),
    sums.map((row, i) => [
      set(left, arithmetic.loadSplat(get(aAt), i << shift)),
      row.map((sum, j) => set(sum, multiplyAdd(get(left), get(right[j]), get(sum)))),
    ]),
    [aAt, ...bAt].map((pointer) => advance(pointer, i32.const(stepBytes))),
  ];
  const addToC = sums.map((row) => [
    row.map((sum, j) => {
      const offset = j * vectorBytes;
      return v128.store(get(cRow), offset, arithmetic.add(v128.load(get(cRow), offset), get(sum)));
    }),
    advance(cRow, get(stride)),
  ]);
  const startB = bAt.map((pointer, i) =>
    set(pointer, i === 0 ? get(b) : i32.add(get(bAt[i - 1]), i32.shiftLeft(get(depth), shift + 2))),
  );

  f.code = [
    set(stride, i32.shiftLeft(get(stride), shift)),
    repeat(columnTiles, [
      set(aAt, get(a)),
      set(cRow, get(c)),
      set(panel, get(rowPanels)),
      repeat(panel, [
        sums.flat().map((sum) => set(sum, v128.zero)),
        startB,
        set(steps, get(depth)),
        repeat(steps, step),
        addToC,
      ]),
      // The last panel of b ends where the next tile begins.
      set(b, get(bAt[bPanels - 1])),
      set(c, i32.add(get(c), i32.const(tileVectors * vectorBytes))),
    ]),
  ];
  return f;
}

function moduleBytes(fused: boolean): Uint8Array<ArrayBuffer> {
  return assemble(types.flatMap((type) => [packRows(type), packColumns(type), multiply(type, fused)]));
}

/** The module for this engine; null where it lacks WebAssembly or its SIMD. */
export function loadGemmModule(): GemmModule | null {
  const exports = instantiate([true, false].map(moduleBytes));
  if (exports === null) return null;
  const functions = (name: string) =>
    ({
      packRows: exports[`packRows${name}`],
      packColumns: exports[`packColumns${name}`],
      multiply: exports[`multiply${name}`],
    }) as unknown as GemmFunctions;
  return {
    memory: exports.memory as GemmModule['memory'],
    float32: functions('32'),
    float64: functions('64'),
  };
}
