import type { Float, Kernels } from '../../../binding.d.ts';
import { elementwiseOps, type Instruction, maxValues } from '../instructions.ts';
import { loopOf } from './chains.ts';
import { checkIndices, checkLength, refuse } from './check.ts';
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

/** A list over groups of arrays. */
interface GroupList extends Instructions {
  /** How many there are in a group. */
  readonly outs: number;
  readonly ins: number;
  readonly scalars: number;
  /** The first value of each kind. */
  readonly firstScalar: number;
  readonly firstShared: number;
  readonly firstConstant: number;
  /** The values that the outs and the scalars become. */
  readonly becomes: readonly number[];
}

function read(code: Int32Array, shared: number, constants: number): GroupList {
  const reader = new CodeReader('elementwise', code);
  reader.wantLength(3);
  const [outs, ins, scalars] = [reader.countAt(0, 1), reader.countAt(1, 0), reader.countAt(2, 0)];
  const results = outs + scalars;
  reader.wantLength(3 + results);
  const firstScalar = outs + ins;
  const firstShared = firstScalar + scalars;
  const firstConstant = firstShared + shared;
  const given = Array.from({ length: firstConstant + constants }, (_, value) => value >= firstScalar);
  const list = reader.instructions(3 + results, given, elementwiseOps, true);
  const becomes = Array.from({ length: results }, (_, i) => {
    const value = reader.valueAt(3 + i, 0, list.isScalar.length);
    if (i >= outs && !list.isScalar[value]) reader.refuse(3 + i, 'a scalar');
    return value;
  });
  return { ...list, outs, ins, scalars, firstScalar, firstShared, firstConstant, becomes };
}

const known = new Known<GroupList>();

function checkGroups(name: string, arrays: readonly Float[], each: number, lengths: readonly number[]): void {
  arrays.forEach((array, i) => {
    const length = lengths[Math.floor(i / each)];
    if (array.length !== length) checkLength('elementwise', `${name}[${i}]`, array, length);
  });
}

// ── the call ────────────────────────────────────────────────────────────────────────────────────────────────────────

const scalarOut = new Float64Array(1);
const scalarIns = [0, 1, 2].map(() => new Float64Array(1));
const ones = [1, 1, 1] as const;

function scalarOf({ op, operands }: Instruction, values: Float64Array): number {
  for (let i = 0; i < op.arrays; i++) scalarIns[i][0] = values[operands[i]];
  compute(op, scalarOut, scalarIns, ones, parametersOf({ op, operands }, values));
  return scalarOut[0];
}

function parametersOf({ op, operands }: Instruction, values: Float64Array): number[] {
  return operands.slice(op.arrays).map((value) => (value < 0 ? 0 : values[value]));
}

/** One run over groups. */
class Run {
  readonly #list: GroupList;
  readonly #registers: Registers;
  /** Scalars by their number. */
  readonly #values = new Float64Array(maxValues);
  /** The value itself, or the one that a where by a scalar chooses. */
  readonly #source: number[] = [];
  readonly #isWanted: boolean[] = [];
  /** As an out, in the precision of the arrays. */
  readonly #isKept: boolean[] = [];
  readonly #same: readonly Float[];
  /** Elements by their number, of a block. */
  readonly #elements: Float[] = [];

  constructor(
    list: GroupList,
    /** Whether to compute float32 in float64. */
    private readonly isWide: boolean,
    isDouble: boolean,
    shared: Float64Array,
    constants: Float64Array,
  ) {
    this.#list = list;
    this.#registers = isDouble || isWide ? registers64 : registers32;
    this.#same = [0, 1, 2].map(() => (isDouble || isWide ? new Float64Array(1) : new Float32Array(1)));
    this.#values.set(shared, list.firstShared);
    this.#values.set(constants, list.firstConstant);
  }

  /** Computes the scalars of a group, advances its row and makes its choices. */
  begin(row: Float64Array): void {
    const { instructions, firstScalar, firstResult, isScalar, becomes, outs } = this.#list;
    const values = this.#values;
    values.set(row, firstScalar);
    for (let i = 0; i < instructions.length; i++) {
      if (isScalar[firstResult + i]) values[firstResult + i] = scalarOf(instructions[i], values);
    }
    for (let i = 0; i < row.length; i++) row[i] = values[becomes[outs + i]];
    this.#choose();
  }

  #choose(): void {
    const { instructions, firstResult, isScalar, becomes, outs } = this.#list;
    const source = this.#source;
    const count = firstResult + instructions.length;
    for (let v = 0; v < count; v++) {
      source[v] = v;
      this.#isWanted[v] = this.#isKept[v] = false;
      if (v < firstResult || isScalar[v]) continue;
      const { op, operands } = instructions[v - firstResult];
      if (op.form === 'where' && isScalar[operands[0]]) {
        source[v] = source[operands[this.#values[operands[0]] === 0 ? 2 : 1]];
      }
    }
    for (let i = 0; i < outs; i++)
      this.#isWanted[source[becomes[i]]] = this.#isKept[source[becomes[i]]] = true;
    for (let v = count - 1; v >= firstResult; v--) {
      if (!this.#isWanted[v]) continue;
      for (const operand of instructions[v - firstResult].operands) {
        if (operand >= 0) this.#isWanted[source[operand]] = true;
      }
    }
  }

  /** The whole group by vectors, if there are any for its list; then true. */
  byVectors(arrays: readonly Float[]): boolean {
    const { instructions, firstResult, isScalar, becomes, outs } = this.#list;
    const source = this.#source;
    const given = arrays.map((_, v) => v).filter((v) => this.#isWanted[v]);
    const numbers = isScalar.map((_, v) => v).filter((v) => isScalar[v]);
    const written = becomes.slice(0, outs).map((value) => source[value]);
    const variant = `${this.isWide} ${source}`;
    const loop = loopOf(this.#list, variant, () => ({
      arrays: given,
      numbers,
      firstResult,
      instructions: instructions.map(({ op, operands }, i) => {
        const v = firstResult + i;
        if (isScalar[v] || !this.#isWanted[v]) return null;
        const resolve = (operand: number, at: number) => (at < op.arrays ? source[operand] : operand);
        return { op, operands: operands.map(resolve) };
      }),
      outs: written,
      rounds: !this.isWide,
    }));
    if (!loop?.suits(arrays[0])) return false;
    const own = numbers.map((v) => this.#values[v]);
    loop.flat(arrays.slice(0, outs) as Float32Array[], given.map((v) => arrays[v]) as Float32Array[], own);
    return true;
  }

  /** Computes elements [begin, end), a block, of the arrays of the group, and writes them to the outs. */
  block(arrays: readonly Float[], begin: number, end: number): void {
    const { instructions, firstScalar, firstResult, isScalar, becomes, outs } = this.#list;
    const n = end - begin;
    for (let v = 0; v < firstScalar; v++) {
      if (!this.#isWanted[v]) continue;
      const part = n === arrays[v].length ? arrays[v] : arrays[v].subarray(begin, end);
      this.#elements[v] = this.isWide ? this.#copy(part, v) : part;
    }
    for (let i = 0; i < instructions.length; i++) {
      const v = firstResult + i;
      if (this.#isWanted[v] && !isScalar[v]) this.#compute(instructions[i], v, n);
    }
    // What becomes another array of the group is copied before any is written.
    const from = becomes.slice(0, outs).map((value, i) => {
      const source = this.#source[value];
      if (source === i || isScalar[source]) return null;
      const found = this.#elements[source];
      return source < firstScalar ? this.#copy(found, firstResult + instructions.length + i) : found;
    });
    for (let i = 0; i < outs; i++) {
      const source = this.#source[becomes[i]];
      const own = from[i];
      if (own !== null) arrays[i].set(own, begin);
      else if (source !== i) arrays[i].fill(this.#values[source], begin, end);
    }
  }

  #copy(part: Float, register: number): Float {
    const copy = this.#registers.get(register, part.length);
    copy.set(part);
    return copy;
  }

  #compute(instruction: Instruction, v: number, n: number): void {
    const { op, operands } = instruction;
    const out = this.#registers.get(v, n);
    this.#elements[v] = out;
    const sources = operands.slice(0, op.arrays).map((operand) => this.#source[operand]);
    // A function of one array is told one.
    const isOne = sources.map((value, i) => this.#list.isScalar[value] && takesNumber(op, i));
    const arrays = sources.map((value, i) => {
      if (isOne[i]) return this.#number(value, i);
      return this.#list.isScalar[value] ? out.fill(this.#values[value]) : this.#elements[value];
    });
    const steps = isOne.map((one) => (one ? 0 : 1));
    compute(op, out, arrays, steps, parametersOf(instruction, this.#values));
    if (!this.isWide || !this.#isKept[v]) return;
    for (let i = 0; i < n; i++) out[i] = Math.fround(out[i]);
  }

  #number(value: number, at: number): Float {
    const same = this.#same[at];
    same[0] = this.#values[value];
    return same;
  }
}

const none = new Float64Array(0);

export const elementwise: Kernels['elementwise'] = (
  outs,
  ins,
  scalars,
  rows,
  shared,
  constants,
  code,
  wide,
) => {
  const [s, c] = [shared.length, constants.length];
  const list = known.get(code, [s, c], (copy) => read(copy, s, c));
  if (outs.length % list.outs !== 0) {
    refuse('elementwise', 'outs', `have a length that ${list.outs} divides`, String(outs.length));
  }
  const groups = outs.length / list.outs;
  checkLength('elementwise', 'ins', ins, groups * list.ins);
  const lengths = Array.from({ length: groups }, (_, group) => outs[group * list.outs].length);
  checkGroups('outs', outs, list.outs, lengths);
  checkGroups('ins', ins, list.ins, lengths);
  checkLength('elementwise', 'rows', rows, list.scalars === 0 ? 0 : groups);
  if (list.scalars === 0 ? scalars.length !== 0 : scalars.length % list.scalars !== 0) {
    refuse(
      'elementwise',
      'scalars',
      `have a length that is a multiple of ${list.scalars}`,
      String(scalars.length),
    );
  }
  checkIndices('elementwise', 'rows', rows, list.scalars === 0 ? 0 : scalars.length / list.scalars);

  const isDouble = outs[0] instanceof Float64Array;
  const run = new Run(list, wide === 1 && !isDouble, isDouble, shared, constants);
  for (let group = 0; group < groups; group++) {
    const at = list.scalars * rows[group];
    run.begin(list.scalars === 0 ? none : scalars.subarray(at, at + list.scalars));
    const arrays = [
      ...outs.slice(group * list.outs, (group + 1) * list.outs),
      ...ins.slice(group * list.ins, (group + 1) * list.ins),
    ];
    if (run.byVectors(arrays)) continue;
    for (let begin = 0; begin < lengths[group]; begin += blockSize) {
      run.block(arrays, begin, Math.min(begin + blockSize, lengths[group]));
    }
  }
};
