import type { Data, Float, Kernels } from '../../../binding.d.ts';
import { reduceCode, reduceOps } from '../codes.ts';
import { type Instruction, ops } from '../instructions.ts';
import { loopOf } from './chains.ts';
import { checkLength, refuse } from './check.ts';
import {
  blockSize,
  CodeReader,
  compute,
  type Instructions,
  Known,
  type Registers,
  registers32,
  registers64,
  takesNumber,
} from './instructions.ts';
import { maxRank } from './layout.ts';
import { type Block, blockElements } from './loops.ts';
import { copyRun } from './move.ts';
import { pieceSize, type Reduction, reduceFrom, type Source } from './reduce.ts';

// ── what a call says ────────────────────────────────────────────────────────────────────────────────────────────────

/** A value stored, with −1 for `reduce`, or reduced. */
interface End {
  readonly value: number;
  readonly reduce: number;
  /** The number of a constant, or −1. */
  readonly scale: number;
}

interface Chain extends Instructions {
  readonly ends: readonly End[];
  /** The constants that have to be finite. */
  readonly finite: readonly number[];
  /** Whether a value that is given is wanted as elements, whatever it is. */
  readonly asArray: readonly boolean[];
}

function readCode(code: Int32Array, outs: readonly Float[], ins: number, constants: number): Chain {
  const reader = new CodeReader('fused', code);
  reader.wantLength(1);
  const count = reader.countAt(0, 0);
  checkLength('fused', 'outs', outs, count);
  reader.wantLength(1 + 3 * count);
  const given = Array.from({ length: ins + constants }, (_, value) => value >= ins);
  const list = reader.instructions(1 + 3 * count, given, ops.length, false);
  const finite = list.instructions
    .filter(({ op }) => op.form.startsWith('loss'))
    .flatMap(({ op, operands }) => operands.slice(op.arrays));
  const ends = readEnds(reader, count, list);
  const asArray = given.map(
    (_, value) =>
      ends.some((end) => end.value === value) ||
      list.instructions.some(({ op, operands }) =>
        operands.slice(0, op.arrays).some((operand, i) => operand === value && !takesNumber(op, i)),
      ),
  );
  const scales = ends.map(({ scale }) => scale);
  return { ...list, ends, asArray, finite: [...finite, ...scales].filter((value) => value >= 0) };
}

function readEnds(reader: CodeReader, count: number, { isScalar, firstResult }: Instructions): End[] {
  return Array.from({ length: count }, (_, i) => {
    const at = 1 + 3 * i;
    const value = reader.valueAt(at, 0, isScalar.length);
    const reduce = reader.codeAt(at + 1, -1, reduceOps.length);
    const scale = reader.scalarAt(at + 2, isScalar, firstResult);
    const hasScale = reduce >= 0 && reduce !== reduceCode.max && reduce !== reduceCode.min;
    if (scale >= 0 && !hasScale) reader.refuse(at + 2, '-1 for what has no scale');
    return { value, reduce, scale };
  });
}

/** Where positions are in an array, with neighbouring axes that are stepped through evenly merged. */
interface Walk {
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly lowest: number;
  readonly highest: number;
}

interface Positions {
  readonly count: number;
  readonly sizes: readonly number[];
  /** Of the ins. */
  readonly walks: readonly Walk[];
  /** Of the outs of positions; null where they follow one another. */
  readonly stored: readonly Walk[] | null;
}

const sizeCount = 5;

function readLayout(layout: Int32Array, ins: number, stored: number): Positions {
  if (layout.length < sizeCount) {
    refuse('fused', 'layout', `have length at least ${sizeCount}`, String(layout.length));
  }
  const wantAtLeastZero = (at: number) => {
    if (layout[at] < 0) refuse('fused', `layout[${at}]`, 'be at least 0', String(layout[at]));
  };
  for (let at = 0; at < 4; at++) wantAtLeastZero(at);
  const rank = layout[4];
  if (rank < 0 || rank > maxRank) {
    refuse('fused', 'layout[4]', `be a rank from 0 to ${maxRank}`, String(rank));
  }
  const length = sizeCount + rank + ins * (rank + 1);
  const longer = length + stored * (rank + 1);
  if (layout.length !== length && layout.length !== longer) {
    const expected = stored > 0 ? `${length} or ${longer}` : length;
    refuse('fused', 'layout', `have length ${expected}`, String(layout.length));
  }
  const dims = layout.subarray(sizeCount, sizeCount + rank);
  let count = 1;
  for (let axis = 0; axis < rank; axis++) {
    wantAtLeastZero(sizeCount + axis);
    count *= dims[axis];
  }
  const sizes = [...layout.subarray(0, 4)];
  const wanted = sizes.reduce((product, size) => product * size, 1);
  if (count !== wanted) refuse('fused', 'layout', `have k0·r0·k1·r1 = ${wanted} elements`, String(count));
  if (count > 2147483647) refuse('fused', 'layout', 'have at most 2147483647 elements', String(count));
  const walksFrom = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const at = from + i * (rank + 1);
      return walkOf(dims, layout[at], layout.subarray(at + 1, at + 1 + rank));
    });
  return {
    count,
    sizes,
    walks: walksFrom(sizeCount + rank, ins),
    stored: layout.length === length ? null : walksFrom(length, stored),
  };
}

function walkOf(dims: Int32Array, offset: number, strides: Int32Array): Walk {
  const [ownDims, ownStrides]: [number[], number[]] = [[], []];
  let lowest = offset;
  let highest = offset;
  for (let axis = 0; axis < dims.length; axis++) {
    const [dim, stride] = [dims[axis], strides[axis]];
    const extent = (dim - 1) * stride;
    if (extent < 0) lowest += extent;
    else highest += extent;
    const last = ownDims.length - 1;
    if (dim === 1) continue;
    if (last >= 0 && ownStrides[last] === stride * dim) {
      ownDims[last] *= dim;
      ownStrides[last] = stride;
    } else {
      ownDims.push(dim);
      ownStrides.push(stride);
    }
  }
  return { offset, dims: ownDims, strides: ownStrides, lowest, highest };
}

const isNumber = ({ dims, strides }: Walk) => dims.length === 0 || (dims.length === 1 && strides[0] === 0);
const isWhole = ({ dims, strides }: Walk) => dims.length === 1 && strides[0] === 1;

/** Calls run(element, step, n) for `count` positions from `begin` on. */
function forRuns(
  { offset, dims, strides }: Walk,
  begin: number,
  count: number,
  run: (at: number, step: number, n: number) => void,
): void {
  const last = dims.length - 1;
  if (last < 0) {
    run(offset, 0, count);
    return;
  }
  const index = new Array<number>(dims.length);
  let at = offset;
  for (let axis = last, rest = begin; axis >= 0; axis--) {
    index[axis] = rest % dims[axis];
    rest = Math.floor(rest / dims[axis]);
    at += index[axis] * strides[axis];
  }
  for (let left = count; left > 0; ) {
    const n = Math.min(left, dims[last] - index[last]);
    run(at, strides[last], n);
    left -= n;
    at -= index[last] * strides[last];
    index[last] = 0;
    for (let axis = last - 1; axis >= 0; axis--) {
      const wraps = ++index[axis] === dims[axis];
      at += strides[axis] * (wraps ? 1 - dims[axis] : 1);
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}

/** The elements at `to.length` positions from `begin` on. */
function gather(to: Float, from: Data, walk: Walk, begin: number): void {
  let i = 0;
  forRuns(walk, begin, to.length, (at, step, n) => {
    if (step === 1) copyRun(to, i, from, at, n);
    else if (step === 0) to.fill(from[at], i, i + n);
    else for (let j = 0; j < n; j++) to[i + j] = from[at + j * step];
    i += n;
  });
}

/** Puts elements where the positions from `begin` on are. */
function scatter(to: Float, from: Float, walk: Walk, begin: number): void {
  let i = 0;
  forRuns(walk, begin, from.length, (at, step, n) => {
    if (step === 1) copyRun(to, at, from, i, n);
    else for (let j = 0; j < n; j++) to[at + j * step] = from[i + j];
    i += n;
  });
}

/** By the numbers of ends; null for one that is not stored, or one position after the other. */
function placesOf({ ends }: Chain, { stored }: Positions): (Walk | null)[] {
  let next = 0;
  return ends.map(({ reduce }) => (reduce < 0 && stored !== null ? stored[next++] : null));
}

// ── the call ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Computes blocks of positions. */
class Run {
  /** Elements by their number, of the block. */
  readonly elements: Float[] = [];
  readonly #registers: Registers;
  readonly #numbers: Float[] = [];

  /** Elements of a block. */
  readonly size: number;
  /** The chain as a loop, if there is one, and the ins that are no numbers, in the order in which it has them. */
  readonly #vectors: Block | null = null;
  readonly #given: readonly number[] = [];
  /** Where the ends are stored that are strided. */
  readonly #places: readonly (Walk | null)[];

  constructor(
    private readonly chain: Chain,
    private readonly positions: Positions,
    private readonly ins: readonly Data[],
    private readonly constants: Float64Array,
    /** Where values are stored, or null for an end that is not. */
    private readonly outs: readonly (Float | null)[],
    isDouble: boolean,
  ) {
    const { firstResult, instructions, ends } = chain;
    this.#places = placesOf(chain, positions);
    this.#registers = isDouble ? registers64 : registers32;
    const one = () => (isDouble ? new Float64Array(1) : new Float32Array(1));
    for (let v = 0; v < firstResult; v++) {
      this.#numbers[v] = one();
      if (v >= ins.length) this.#numbers[v][0] = constants[v - ins.length];
      else if (positions.count > 0) this.#numbers[v][0] = ins[v][positions.walks[v].offset];
    }
    if (!isDouble && positions.count > 0) {
      const given = Array.from({ length: firstResult }, (_, value) => value);
      const arrays = given.filter((value) => !this.#isNumber(value));
      const numbers = given.filter((value) => this.#isNumber(value));
      const loop = loopOf(chain, numbers.join(), () => {
        const written = ends.map(({ value }) => value);
        return { arrays, numbers, firstResult, instructions, outs: written, rounds: true };
      });
      if (loop?.works) {
        const numberOf = (v: number) => (v < ins.length ? this.#numbers[v][0] : constants[v - ins.length]);
        this.#vectors = loop.open(numbers.map(numberOf));
        this.#given = arrays;
      }
    }
    this.size = this.#vectors === null ? blockSize : blockElements;
  }

  close(): void {
    this.#vectors?.close();
  }

  #isNumber(value: number): boolean {
    return value >= this.ins.length ? value < this.chain.firstResult : isNumber(this.positions.walks[value]);
  }

  /** Computes `count` elements from position `begin` on, a block at most, and stores them. */
  block(begin: number, count: number): void {
    const { instructions, firstResult, ends, asArray } = this.chain;
    if (this.#vectors !== null) {
      this.#byVectors(this.#vectors, begin, count);
      return;
    }
    for (let v = 0; v < firstResult; v++) {
      if (!this.#isNumber(v)) this.elements[v] = this.#read(v, begin, count);
      else if (asArray[v]) this.elements[v] = this.#registers.get(v, count).fill(this.#numbers[v][0]);
    }
    for (let i = 0; i < instructions.length; i++) this.#compute(instructions[i], firstResult + i, count);
    for (let i = 0; i < ends.length; i++) this.#store(i, begin);
  }

  #byVectors(block: Block, begin: number, count: number): void {
    for (const [i, value] of this.#given.entries()) {
      const [walk, array] = [this.positions.walks[value], this.ins[value]];
      const first = walk.offset + begin;
      if (isWhole(walk)) block.view.set(array.subarray(first, first + count), block.place(i));
      else gather(block.elements(i, count), array, walk, begin);
    }
    block.run(count);
    for (const [i, { value }] of this.chain.ends.entries()) {
      this.elements[value] = block.elements(i, count);
      this.#store(i, begin);
    }
  }

  #store(end: number, begin: number): void {
    const out = this.outs[end];
    if (out === null) return;
    const elements = this.elements[this.chain.ends[end].value];
    const places = this.#places[end];
    if (places === null) out.set(elements, begin);
    else scatter(out, elements, places, begin);
  }

  #read(value: number, begin: number, count: number): Float {
    const walk = this.positions.walks[value];
    const array = this.ins[value];
    // What an end is made of is copied before any out is written, which may be its array.
    const isRead = !this.chain.ends.some((end) => end.value === value);
    if (isRead && isWhole(walk) && !(array instanceof Int32Array)) {
      return array.subarray(walk.offset + begin, walk.offset + begin + count);
    }
    const copy = this.#registers.get(value, count);
    gather(copy, array, walk, begin);
    return copy;
  }

  #compute({ op, operands }: Instruction, v: number, count: number): void {
    const out = this.#registers.get(v, count);
    const isOne: boolean[] = [];
    const arrays: Float[] = [];
    for (let i = 0; i < op.arrays; i++) {
      const value = operands[i] < 0 ? operands[0] : operands[i];
      const isSlope = op.form === 'lossSlope' && i === 0;
      isOne.push(isSlope || (takesNumber(op, i) && this.#isNumber(value)));
      arrays.push(isOne[i] ? this.#numbers[value] : this.elements[value]);
    }
    const parameters = operands.slice(op.arrays).map((value, i) => {
      if (value >= 0) return this.constants[value - this.ins.length];
      return op.form.startsWith('loss') && i === 1 ? 1 : 0;
    });
    compute(
      op,
      out,
      arrays,
      isOne.map((one) => (one ? 0 : 1)),
      parameters,
    );
    this.elements[v] = out;
  }
}

/** The values that are reduced, computed as they are asked for: each position once, from `begin` up to `end` of a window. */
class Window implements Source {
  readonly arrays: readonly Float[];
  #begin = 0;
  #end = 0;
  #other: Window | null = null;

  constructor(
    private readonly run: Run,
    /** Computes the same once more, and stores nothing. */
    private readonly repeat: Run,
    private readonly values: readonly number[],
    private readonly isDouble: boolean,
  ) {
    this.arrays = values.map(() => (isDouble ? new Float64Array(pieceSize) : new Float32Array(pieceSize)));
  }

  at(first: number, count: number, end: number): number {
    if (first < this.#begin || first + count > this.#end) {
      const kept = first >= this.#begin && first < this.#end ? this.#end - first : 0;
      for (const array of this.arrays) array.copyWithin(0, first - this.#begin, first - this.#begin + kept);
      this.#fill(first, kept, Math.min(end - first, pieceSize));
    }
    return first - this.#begin;
  }

  again(reduction: number, first: number, count: number): Data {
    this.#other ??= new Window(this.repeat, this.repeat, this.values, this.isDouble);
    this.#other.#fill(first, 0, count);
    return this.#other.arrays[reduction];
  }

  #fill(first: number, kept: number, size: number): void {
    for (let at = kept; at < size; at += this.run.size) {
      const count = Math.min(this.run.size, size - at);
      this.run.block(first + at, count);
      this.values.forEach((value, i) => {
        this.arrays[i].set(this.run.elements[value], at);
      });
    }
    this.#begin = first;
    this.#end = first + size;
  }
}

const knownCodes = new Known<Chain>();
const knownLayouts = new Known<Positions>();

/** Whether two arrays share memory. */
function overlap(a: Data, b: Data): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  );
}

export const fused: Kernels['fused'] = (outs, ins, layout, code, constants) => {
  const chain = knownCodes.get(code, [outs.length, ins.length, constants.length], (copy) =>
    readCode(copy, outs, ins.length, constants.length),
  );
  const { ends, finite } = chain;
  for (const value of finite) {
    const at = value - ins.length;
    if (Number.isFinite(constants[at])) continue;
    refuse('fused', `constants[${at}]`, 'be a finite number', String(constants[at]));
  }
  const storedCount = ends.filter(({ reduce }) => reduce < 0).length;
  const positions = knownLayouts.get(layout, [ins.length, storedCount], (copy) =>
    readLayout(copy, ins.length, storedCount),
  );
  const [k0, r0, k1, r1] = positions.sizes;
  const wantWithin = (name: string, { length }: Data, { lowest, highest }: Walk) => {
    if (positions.count === 0 || (lowest >= 0 && highest < length)) return;
    const expected = `stay within ${name} (length ${length})`;
    refuse('fused', 'layout', expected, `position ${lowest < 0 ? lowest : highest}`);
  };
  const places = placesOf(chain, positions);
  outs.forEach((out, i) => {
    const own = places[i];
    if (own !== null) wantWithin(`outs[${i}]`, out, own);
    else checkLength('fused', `outs[${i}]`, out, ends[i].reduce < 0 ? positions.count : k0 * k1);
  });
  ins.forEach((array, i) => {
    wantWithin(`ins[${i}]`, array, positions.walks[i]);
  });

  const isDouble = outs[0] instanceof Float64Array;
  const stored = outs.map((out, i) => (ends[i].reduce < 0 ? out : null));
  const run = new Run(chain, positions, ins, constants, stored, isDouble);
  const reduced = ends.flatMap((end, i) => (end.reduce < 0 ? [] : [{ ...end, out: outs[i] }]));
  if (reduced.length === 0) {
    for (let begin = 0; begin < positions.count; begin += run.size) {
      run.block(begin, Math.min(run.size, positions.count - begin));
    }
    run.close();
    return;
  }
  // Sums of float64 may be taken again, from what is overwritten by then.
  const lasting = isDouble
    ? ins.map((array) => (stored.some((out) => out !== null && overlap(out, array)) ? array.slice() : array))
    : ins;
  const nothing = outs.map(() => null);
  const repeat = isDouble ? new Run(chain, positions, lasting, constants, nothing, isDouble) : run;
  const values = reduced.map(({ value }) => value);
  const reductions = reduced.map(
    ({ reduce, scale, out }): Reduction => ({
      out,
      op: reduce,
      scale: scale < 0 ? 1 : constants[scale - ins.length],
    }),
  );
  reduceFrom(new Window(run, repeat, values, isDouble), reductions, k0, r0, k1, r1);
  run.close();
};
