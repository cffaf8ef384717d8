/**
 * Loops over arrays of float32 as WebAssembly SIMD. A loop goes down the columns of matrices, four at a time, and may keep
 * sums of each column, or along the rows of matrices, and may keep sums of each row; an array without either is one row. The
 * arrays are copied into the memory of WebAssembly and back by blocks that stay in the first caches.
 */
import type { Data } from '../../../binding.d.ts';
import { copyBlock } from './gemm-wasm.ts';
import { doubles, floats, give, load, take } from './simd.ts';
import {
  advance,
  type Code,
  FunctionBuilder,
  f64x2,
  get,
  i32,
  narrow,
  repeat,
  set,
  v128,
  widen,
} from './wasm.ts';

/** Four float64, as two vectors. */
export type Wide = readonly [Code, Code];

const vectorBytes = 16;
const lanes = 4;
/** Elements of an array in a block, and bytes from an array to the next, which do not begin at the same set of the cache. */
export const blockElements = 4096;
const blockBytes = 4 * blockElements + 320;

/** Fewer elements take longer to copy than to compute. */
const leastElements = 512;
/** Likewise of rows. */
const leastRow = 64;

const low = Array.from({ length: 8 }, (_, i) => i);
const high = low.map((i) => i + 8);

/** Makes the code of a loop's body: keeps what is used more than once, and goes between float32 and float64. */
export class Body {
  readonly before: Code[] = [];

  constructor(private readonly f: FunctionBuilder) {}

  keep(value: Code): Code {
    const local = this.f.v128();
    this.before.push(set(local, value));
    return get(local);
  }

  keepWide([a, b]: Wide): Wide {
    return [this.keep(a), this.keep(b)];
  }

  /** Four float32 in float64. */
  widen(x: Code): Wide {
    const kept = this.keep(x);
    return this.keepWide([widen(kept), widen(v128.shuffle(kept, kept, [...high, ...high]))]);
  }

  /** Rounded to float32. */
  narrow([a, b]: Wide): Code {
    return this.keep(v128.shuffle(narrow(a), narrow(b), [...low, ...low.map((i) => i + 16)]));
  }

  /** A function of two float64, of four. */
  both(f: (x: Code, keep: (value: Code) => Code) => Code, [a, b]: Wide): Wide {
    const keep = (value: Code) => this.keep(value);
    return this.keepWide([f(a, keep), f(b, keep)]);
  }
}

type Lifted<Args extends readonly unknown[]> = (...args: { [I in keyof Args]: Wide }) => Wide;
const lift =
  <Args extends readonly Code[]>(op: (...args: Args) => Code): Lifted<Args> =>
  (...args) =>
    [0, 1].map((half) => op(...(args.map((arg) => arg[half]) as unknown as Args))) as unknown as Wide;

/** The arithmetic of float64 on four. */
export const wide = {
  const: (value: number): Wide => [f64x2.const(value), f64x2.const(value)],
  add: lift(f64x2.add),
  sub: lift(f64x2.sub),
  mul: lift(f64x2.mul),
};

interface Result {
  outs?: readonly Code[];
  sums?: readonly Wide[];
}

/** What a loop does with four elements: from those of the ins, numbers of their columns or row, and sums so far. */
type Rule = (body: Body, ins: readonly Code[], own: readonly Wide[], sums: readonly Wide[]) => Result;

/** `groups` times `steps` vectors of each array, `step` bytes apart; the first ones of the groups are `next` bytes apart. */
type Run = (
  at: number,
  own: number,
  sums: number,
  steps: number,
  groups: number,
  step: number,
  next: number,
) => void;

function assembleLoop(ins: number, own: number, sums: number, rule: Rule): FunctionBuilder {
  const f = new FunctionBuilder('run', 7);
  const [at, ownAt, sumsAt, steps, groups, step, next] = Array(7).keys();
  const [pointer, left] = [f.i32(), f.i32()];
  const pairs = (count: number) => Array.from({ length: count }, () => [f.v128(), f.v128()] as const);
  const [ownLocals, sumLocals] = [pairs(own), pairs(sums)];
  const flat = (locals: readonly (readonly [number, number])[]) => locals.flat();
  const read = (locals: readonly (readonly [number, number])[]): Wide[] =>
    locals.map(([a, b]) => [get(a), get(b)]);
  const body = new Body(f);
  const inputs = Array.from({ length: ins }, (_, i) => body.keep(v128.load(get(pointer), i * blockBytes)));
  const result = rule(body, inputs, read(ownLocals), read(sumLocals));
  const { outs = [], sums: after = [] } = result;
  const loadAll = (from: number, locals: readonly number[]) =>
    locals.map((local, i) => set(local, v128.load(get(from), i * vectorBytes)));
  f.code = repeat(groups, [
    loadAll(ownAt, flat(ownLocals)),
    loadAll(sumsAt, flat(sumLocals)),
    set(pointer, get(at)),
    set(left, get(steps)),
    repeat(left, [
      body.before,
      outs.map((value, i) => v128.store(get(pointer), i * blockBytes, value)),
      after.map(([a, b], i) => [set(sumLocals[i][0], a), set(sumLocals[i][1], b)]),
      advance(pointer, get(step)),
    ]),
    flat(sumLocals).map((local, i) => v128.store(get(sumsAt), i * vectorBytes, get(local))),
    advance(at, get(next)),
    advance(ownAt, i32.const(2 * own * vectorBytes)),
    advance(sumsAt, i32.const(2 * sums * vectorBytes)),
  ]);
  return f;
}

const roundUp = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

/** Up to `blockElements` of each array of a loop: the ins, in whose places the outs are then. */
export class Block {
  /** Of the memory; nothing else may take from it until the block is closed. */
  readonly view = floats();

  constructor(
    private readonly loop: Run,
    private readonly at: number,
    private readonly ownAt: number,
    private readonly sumAt: number,
  ) {}

  /** The first element of in or out number `i`. */
  place(i: number): number {
    return (this.at + i * blockBytes) / 4;
  }

  elements(i: number, count: number): Float32Array {
    return this.view.subarray(this.place(i), this.place(i) + count);
  }

  run(count: number): void {
    this.loop(this.at, this.ownAt, this.sumAt, Math.ceil(count / lanes), 1, vectorBytes, 0);
  }

  /** Makes 0 of the sum, and of what is beyond the elements in their last vectors. */
  clear(ins: number, count: number): void {
    this.view.fill(0, this.sumAt / 4, this.sumAt / 4 + 2 * lanes);
    for (let i = 0; i < ins; i++) {
      this.view.fill(0, this.place(i) + count, this.place(i) + roundUp(count, lanes));
    }
  }

  /** Whether that sum has no NaN. */
  isRight(): boolean {
    for (let i = 0; i < lanes; i++) if (Number.isNaN(this.view[this.sumAt / 4 + i])) return false;
    return true;
  }

  close(): void {
    give(this.at);
  }
}

/** A rule, assembled when it is first used. */
export class Loop {
  #run: Run | null | undefined;

  /** `own`: how many numbers each column has, `sums`: how many sums. */
  constructor(
    private readonly ins: number,
    private readonly outs: number,
    private readonly own: number,
    private readonly sums: number,
    private readonly rule: Rule,
  ) {}

  /** Whether it is there for this array, and the array long enough for the copies to pay. */
  suits(array: Data): array is Float32Array {
    return array instanceof Float32Array && array.length >= leastElements && this.works;
  }

  /** Likewise for a matrix: rows that are no whole vectors are copied one by one. */
  suitsColumns(array: Data, columns: number): array is Float32Array {
    return (columns % lanes === 0 || columns > 32) && this.suits(array);
  }

  /** Likewise along rows: their lengths alone decide, so that a row gives the same however many there are. */
  suitsRows(array: Data, size: number): array is Float32Array {
    return array instanceof Float32Array && size >= leastRow && this.works;
  }

  /** Whether this engine has what it needs. */
  get works(): boolean {
    return this.#assembled !== null;
  }

  /** Null where the engine lacks what the loop needs. */
  get #assembled(): Run | null {
    if (this.#run === undefined) {
      const exports = load([[assembleLoop(this.ins, this.own, this.sums, this.rule)]]);
      this.#run = exports && (exports.run as Run);
    }
    return this.#run;
  }

  /**
   * Over arrays of one length; `own` are numbers for all elements. A block whose sum is NaN is not stored, but given to
   * `again`.
   */
  flat(
    outs: readonly Float32Array[],
    ins: readonly Float32Array[],
    own: readonly number[] = [],
    again?: (first: number, end: number) => void,
  ): void {
    const block = this.open(own);
    const { length } = outs[0];
    for (let first = 0; first < length; first += blockElements) {
      const count = Math.min(blockElements, length - first);
      for (const [i, array] of ins.entries()) {
        block.view.set(count === length ? array : array.subarray(first, first + count), block.place(i));
      }
      if (again !== undefined) block.clear(ins.length, count);
      block.run(count);
      if (again !== undefined && !block.isRight()) {
        again(first, first + count);
        continue;
      }
      for (const [i, array] of outs.entries()) array.set(block.elements(i, count), first);
    }
    block.close();
  }

  /** Room for a block of elements, which the caller fills, for `own` numbers; to be closed. */
  open(own: readonly number[]): Block {
    const places = Math.max(this.ins, this.outs);
    const at = take(places * blockBytes + (this.own + this.sums) * lanes * 8);
    const ownAt = at + places * blockBytes;
    for (const [i, value] of own.entries()) {
      doubles().fill(value, ownAt / 8 + i * lanes, ownAt / 8 + (i + 1) * lanes);
    }
    return new Block(this.#assembled!, at, ownAt, ownAt + this.own * lanes * 8);
  }

  /**
   * Over matrices of rows × columns. `own` has `own` arrays of a number for each column; returns `sums` arrays of a sum for
   * each.
   */
  columns(
    outs: readonly Float32Array[],
    ins: readonly Float32Array[],
    rows: number,
    columns: number,
    own: readonly Float64Array[] = [],
  ): Float64Array[] {
    const most = Math.min(columns, blockElements / lanes);
    const groups = Math.ceil(most / lanes);
    const at = take(Math.max(this.ins, this.outs) * blockBytes);
    const ownAt = take(Math.max(1, this.own) * groups * lanes * 8);
    const sumsAt = take(Math.max(1, this.sums) * groups * lanes * 8);
    const results = Array.from({ length: this.sums }, () => new Float64Array(columns));
    for (let first = 0; first < columns; first += most) {
      const count = Math.min(most, columns - first);
      for (const [i, numbers] of own.entries()) {
        spreadLanes(doubles(), ownAt / 8, this.own, i, numbers, first, count);
      }
      doubles().fill(0, sumsAt / 8, sumsAt / 8 + this.sums * groups * lanes);
      this.#down(outs, ins, rows, columns, first, count, at, ownAt, sumsAt);
      for (const [i, numbers] of results.entries()) {
        gatherLanes(numbers, first, count, doubles(), sumsAt / 8, this.sums, i);
      }
    }
    give(at);
    return results;
  }

  #down(
    outs: readonly Float32Array[],
    ins: readonly Float32Array[],
    rows: number,
    columns: number,
    firstColumn: number,
    count: number,
    at: number,
    ownAt: number,
    sumsAt: number,
  ): void {
    const run = this.#assembled!;
    const view = floats();
    const stride = roundUp(count, lanes);
    const most = Math.floor(blockElements / stride);
    const place = (i: number) => (at + i * blockBytes) / 4;
    for (let row = 0; row < rows; row += most) {
      const own = Math.min(most, rows - row);
      const from = row * columns + firstColumn;
      for (const [i, array] of ins.entries()) {
        copyBlock(view, place(i), stride, array, from, columns, own, count);
      }
      run(at, ownAt, sumsAt, own, stride / lanes, stride * 4, vectorBytes);
      for (const [i, array] of outs.entries()) {
        copyBlock(array, from, columns, view, place(i), stride, own, count);
      }
    }
  }

  /**
   * Over matrices of rows × size, an in of one row being that of all rows. `own` has `own` arrays of a number for each row;
   * returns `sums` arrays of a sum for each. Rows that are no whole vectors go on with `pad`.
   */
  rows(
    outs: readonly Float32Array[],
    ins: readonly Float32Array[],
    rows: number,
    size: number,
    own: readonly Float64Array[] = [],
    pad = 0,
  ): Float64Array[] {
    const length = Math.min(size, blockElements);
    const most = Math.min(rows, Math.floor(blockElements / roundUp(length, lanes)));
    const at = take(Math.max(this.ins, this.outs) * blockBytes);
    const ownAt = take(Math.max(1, this.own) * most * lanes * 8);
    const sumsAt = take(Math.max(1, this.sums) * most * lanes * 8);
    const results: Float64Array[] = [];
    for (let i = 0; i < this.sums; i++) results.push(new Float64Array(rows));
    const view = floats();
    const numbers = doubles();
    const place = at / 4;
    for (let row = 0; row < rows; row += most) {
      const count = Math.min(most, rows - row);
      for (let n = 0, to = ownAt / 8; n < count; n++) {
        for (let i = 0; i < this.own; i++) {
          const value = own[i][row + n];
          for (const end = to + lanes; to < end; to++) numbers[to] = value;
        }
      }
      numbers.fill(0, sumsAt / 8, sumsAt / 8 + count * this.sums * lanes);
      for (let first = 0; first < size; first += length) {
        const part = Math.min(length, size - first);
        const stride = roundUp(part, lanes);
        const from = row * size + first;
        for (let i = 0; i < ins.length; i++) {
          const isOne = ins[i].length === size && rows > 1;
          if (isOne && row > 0 && length === size) continue;
          const to = place + (i * blockBytes) / 4;
          copyBlock(view, to, stride, ins[i], isOne ? first : from, isOne ? 0 : size, count, part);
          for (let n = 0; n < count && part < stride; n++) {
            view.fill(pad, to + n * stride + part, to + (n + 1) * stride);
          }
        }
        this.#assembled!(at, ownAt, sumsAt, stride / lanes, count, vectorBytes, stride * 4);
        for (let i = 0; i < outs.length; i++) {
          copyBlock(outs[i], from, size, view, place + (i * blockBytes) / 4, stride, count, part);
        }
      }
      for (let n = 0, sum = sumsAt / 8; n < count; n++) {
        for (let i = 0; i < this.sums; i++, sum += lanes) {
          results[i][row + n] = numbers[sum] + numbers[sum + 1] + (numbers[sum + 2] + numbers[sum + 3]);
        }
      }
    }
    give(at);
    return results;
  }
}

/** Numbers of columns to where a loop has them: those of four columns together, `each` of them for each column. */
function spreadLanes(
  to: Float64Array,
  at: number,
  each: number,
  which: number,
  from: Float64Array,
  first: number,
  count: number,
): void {
  for (let c = 0; c < count; c++) {
    to[at + (Math.floor(c / lanes) * each + which) * lanes + (c % lanes)] = from[first + c];
  }
}

function gatherLanes(
  to: Float64Array,
  first: number,
  count: number,
  from: Float64Array,
  at: number,
  each: number,
  which: number,
): void {
  for (let c = 0; c < count; c++) {
    to[first + c] = from[at + (Math.floor(c / lanes) * each + which) * lanes + (c % lanes)];
  }
}

/** Sums of elements, by columns or rows. */
export const sumLoop = new Loop(1, 0, 0, 1, (body, [x], _, [sum]) => ({
  sums: [wide.add(sum, body.widen(x))],
}));
