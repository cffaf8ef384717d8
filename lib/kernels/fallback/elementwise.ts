import type { Float, Kernels } from '../../../binding.d.ts';
import { binaryOps, unaryOps } from '../codes.ts';
import { applyBinary, applyWhere } from './binary.ts';
import { checkIndices, checkLength, refuse } from './check.ts';
import { apply } from './unary.ts';

const maxValues = 256;
const whereOp = unaryOps.length + binaryOps.length;

/** Elements of a block: so few that its values stay in the first caches. */
const blockSize = 512;

interface Instruction {
  readonly op: number;
  /** Numbers of values; −1 for none. */
  readonly operands: readonly number[];
}

/** A checked list. A value is elements (an array of the group or the result of an instruction) or a scalar. */
interface Instructions {
  /** How many there are in a group. */
  readonly outs: number;
  readonly ins: number;
  readonly scalars: number;
  /** The first value of each kind. */
  readonly firstScalar: number;
  readonly firstShared: number;
  readonly firstConstant: number;
  readonly firstResult: number;
  readonly instructions: readonly Instruction[];
  readonly isScalar: readonly boolean[];
  /** The values that the outs and the scalars become. */
  readonly becomes: readonly number[];
}

function refuseCode(at: number, expected: string, code: Int32Array): never {
  refuse('elementwise', `code[${at}]`, `be ${expected}`, String(code[at]));
}

function countAt(code: Int32Array, at: number, least: number): number {
  if (code[at] < least || code[at] > maxValues) refuseCode(at, `a count from ${least} to ${maxValues}`, code);
  return code[at];
}

/** The number of a value below `end`. */
function valueAt(code: Int32Array, at: number, least: number, end: number): number {
  if (code[at] < least || code[at] >= end) refuseCode(at, `a value from ${least} to ${end - 1}`, code);
  return code[at];
}

function readInstruction(code: Int32Array, at: number, value: number, isScalar: boolean[]): Instruction {
  const op = code[at];
  if (op < 0 || op > whereOp) refuseCode(at, `a code from 0 to ${whereOp}`, code);
  const isUnary = op < unaryOps.length;
  const least = [0, isUnary ? -1 : 0, op === whereOp ? 0 : -1];
  const operands = least.map((lowest, i) => {
    const place = at + 1 + i;
    const operand = valueAt(code, place, lowest, op < whereOp && !isUnary && i === 2 ? 0 : value);
    if (isUnary && i > 0 && operand >= 0 && !isScalar[operand]) refuseCode(place, 'a scalar', code);
    return operand;
  });
  isScalar[value] = operands.every((operand) => operand < 0 || isScalar[operand]);
  return { op, operands };
}

function read(code: Int32Array, shared: number, constants: number): Instructions {
  if (code.length < 3) refuse('elementwise', 'code', 'have length at least 3', String(code.length));
  const [outs, ins, scalars] = [countAt(code, 0, 1), countAt(code, 1, 0), countAt(code, 2, 0)];
  const results = outs + scalars;
  const rest = code.length - 3 - results;
  if (rest < 0 || rest % 4 !== 0) {
    refuse('elementwise', 'code', `have length ${3 + results} + 4·instructions`, String(code.length));
  }
  const firstScalar = outs + ins;
  const firstShared = firstScalar + scalars;
  const firstConstant = firstShared + shared;
  const firstResult = firstConstant + constants;
  const values = firstResult + rest / 4;
  if (values > maxValues) {
    refuse('elementwise', 'code', `number at most ${maxValues} values`, String(values));
  }
  const isScalar = Array.from({ length: firstResult }, (_, value) => value >= firstScalar);
  const instructions = Array.from({ length: rest / 4 }, (_, i) =>
    readInstruction(code, 3 + results + 4 * i, firstResult + i, isScalar),
  );
  const becomes = Array.from({ length: results }, (_, i) => {
    const value = valueAt(code, 3 + i, 0, values);
    if (i >= outs && !isScalar[value]) refuseCode(3 + i, 'a scalar', code);
    return value;
  });
  const firsts = { firstScalar, firstShared, firstConstant, firstResult };
  return { outs, ins, scalars, ...firsts, instructions, isScalar, becomes };
}

/** What was read of a code and for how many others; it is read again where it has changed. */
const known = new WeakMap<
  Int32Array,
  { copy: Int32Array; shared: number; constants: number; list: Instructions }
>();

function instructionsOf(code: Int32Array, shared: number, constants: number): Instructions {
  const before = known.get(code);
  const isSame =
    before?.shared === shared &&
    before.constants === constants &&
    before.copy.length === code.length &&
    before.copy.every((value, i) => value === code[i]);
  if (isSame) return before.list;
  const copy = code.slice();
  const list = read(copy, shared, constants);
  known.set(code, { copy, shared, constants, list });
  return list;
}

function checkGroups(name: string, arrays: readonly Float[], each: number, lengths: readonly number[]): void {
  arrays.forEach((array, i) => {
    const length = lengths[Math.floor(i / each)];
    if (array.length !== length) checkLength('elementwise', `${name}[${i}]`, array, length);
  });
}

// ── registers ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Memory for the values of a block, and views of it for blocks of each length. */
class Registers {
  readonly #buffers: Float[] = [];
  readonly #views: Float[][] = [];

  constructor(private readonly make: (length: number) => Float) {}

  get(register: number, length: number): Float {
    this.#views[length] ??= [];
    const views = this.#views[length];
    this.#buffers[register] ??= this.make(blockSize);
    views[register] ??= this.#buffers[register].subarray(0, length);
    return views[register];
  }
}

const registers32 = new Registers((length) => new Float32Array(length));
const registers64 = new Registers((length) => new Float64Array(length));

// ── the call ────────────────────────────────────────────────────────────────────────────────────────────────────────

const [scalarOut, scalarA, scalarB, scalarC] = [0, 1, 2, 3].map(() => new Float64Array(1));

function scalarOf({ op, operands: [a, b, c] }: Instruction, values: Float64Array): number {
  scalarA[0] = values[a];
  scalarB[0] = b < 0 ? 0 : values[b];
  scalarC[0] = c < 0 ? 0 : values[c];
  if (op < unaryOps.length) apply(scalarOut, scalarA, op, scalarB[0], scalarC[0]);
  else if (op < whereOp) applyBinary(scalarOut, scalarA, 0, scalarB, 0, op - unaryOps.length);
  else applyWhere(scalarOut, scalarA, 0, scalarB, 0, scalarC, 0);
  return scalarOut[0];
}

/** One run over groups. */
class Run {
  readonly #list: Instructions;
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
    list: Instructions,
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
      if (op === whereOp && isScalar[operands[0]]) {
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

  #compute({ op, operands }: Instruction, v: number, n: number): void {
    const { isScalar } = this.#list;
    const out = this.#registers.get(v, n);
    this.#elements[v] = out;
    const [a, b, c] = operands.map((operand) => (operand < 0 ? -1 : this.#source[operand]));
    if (op < unaryOps.length) {
      const x = isScalar[a] ? out.fill(this.#values[a]) : this.#elements[a];
      apply(out, x, op, b < 0 ? 0 : this.#values[b], c < 0 ? 0 : this.#values[c]);
    } else {
      const first = this.#operand(a, 0);
      const second = this.#operand(b, 1);
      const [stepA, stepB] = [isScalar[a] ? 0 : 1, isScalar[b] ? 0 : 1];
      if (op < whereOp) applyBinary(out, first, stepA, second, stepB, op - unaryOps.length);
      else applyWhere(out, first, stepA, second, stepB, this.#operand(c, 2), isScalar[c] ? 0 : 1);
    }
    if (!this.isWide || !this.#isKept[v]) return;
    for (let i = 0; i < n; i++) out[i] = Math.fround(out[i]);
  }

  #operand(value: number, at: number): Float {
    if (!this.#list.isScalar[value]) return this.#elements[value];
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
  const list = instructionsOf(code, shared.length, constants.length);
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
    for (let begin = 0; begin < lengths[group]; begin += blockSize) {
      run.block(arrays, begin, Math.min(begin + blockSize, lengths[group]));
    }
  }
};
