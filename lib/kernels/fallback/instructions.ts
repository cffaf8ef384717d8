/** Lists of instructions, as the kernels `elementwise` and `fused` take them: read with checks, computed by blocks. */
import type { Float } from '../../../binding.d.ts';
import { unaryCode } from '../codes.ts';
import { type Instruction, maxValues, type Op, ops } from '../instructions.ts';
import { applyBinary, applyBinaryGradient, applyWhere } from './binary.ts';
import { refuse } from './check.ts';
import { applyLoss, applyLossGradient } from './loss.ts';
import { apply, applyGradient } from './unary.ts';

/** Elements of a block: so few that its values stay in the first caches. */
export const blockSize = 512;

/** A checked list. Values are what is given and then the results; each is elements or a scalar. */
export interface Instructions {
  readonly firstResult: number;
  readonly instructions: readonly Instruction[];
  readonly isScalar: readonly boolean[];
}

/** Reads the argument `code` of a kernel. */
export class CodeReader {
  constructor(
    readonly kernel: string,
    private readonly code: Int32Array,
  ) {}

  refuseLength(expected: string): never {
    refuse(this.kernel, 'code', `have length ${expected}`, String(this.code.length));
  }

  refuse(at: number, expected: string): never {
    refuse(this.kernel, `code[${at}]`, `be ${expected}`, String(this.code[at]));
  }

  wantLength(least: number): void {
    if (this.code.length < least) this.refuseLength(`at least ${least}`);
  }

  countAt(at: number, least: number): number {
    const count = this.code[at];
    if (count < least || count > maxValues) this.refuse(at, `a count from ${least} to ${maxValues}`);
    return count;
  }

  codeAt(at: number, least: number, end: number): number {
    const code = this.code[at];
    if (code < least || code >= end) this.refuse(at, `a code from ${least} to ${end - 1}`);
    return code;
  }

  /** The number of a value below `end`. */
  valueAt(at: number, least: number, end: number): number {
    const value = this.code[at];
    if (value < least || value >= end) this.refuse(at, `a value from ${least} to ${end - 1}`);
    return value;
  }

  /** That of a scalar, or −1. */
  scalarAt(at: number, isScalar: readonly boolean[], end: number): number {
    const value = this.valueAt(at, -1, end);
    if (value >= 0 && !isScalar[value]) this.refuse(at, 'a scalar');
    return value;
  }

  /**
   * The instructions from a place on to the end.
   * @param given for each value that is given whether it is a scalar
   * @param folds whether the result of scalars alone is a scalar
   */
  instructions(from: number, given: readonly boolean[], opCount: number, folds: boolean): Instructions {
    const isScalar = [...given];
    const firstResult = given.length;
    const instructions: Instruction[] = [];
    this.#wantFew(firstResult);
    for (let at = from; at < this.code.length; ) {
      const value = isScalar.length;
      this.#wantFew(value + 1);
      const op = ops[this.codeAt(at++, 0, opCount)];
      const count = op.arrays + op.parameters;
      if (at + count > this.code.length) this.refuseLength(`${at + count} or more`);
      const operands: number[] = [];
      for (let i = 0; i < count; i++, at++) {
        operands.push(
          i < op.arrays
            ? this.valueAt(
                at,
                mayLack(op, i) ? -1 : 0,
                op.form === 'lossSlope' && i === 0 ? firstResult : value,
              )
            : this.scalarAt(at, isScalar, value),
        );
      }
      instructions.push({ op, operands });
      isScalar.push(folds && operands.every((operand) => operand < 0 || isScalar[operand]));
    }
    return { firstResult, instructions, isScalar };
  }

  #wantFew(values: number): void {
    if (values > maxValues) {
      refuse(this.kernel, 'code', `number at most ${maxValues} values`, String(values));
    }
  }
}

/** The gradient of a function of constant slope needs neither its input nor its output. */
function mayLack({ form, code }: Op, at: number): boolean {
  return form === 'unaryGradient' && at === 1 && (code === unaryCode.neg || code === unaryCode.scale);
}

/** Whether an operand may be one number that stands for all elements. */
export function takesNumber({ form }: Op, at: number): boolean {
  return form === 'binary' || form === 'where' || (form === 'lossSlope' && at === 0);
}

/**
 * Computes as many elements as `out` has.
 * @param steps 1 for an operand of elements; 0, where the op takes a number, for one that stands for all
 */
export function compute(
  { form, code, operand }: Op,
  out: Float,
  operands: readonly Float[],
  steps: readonly (0 | 1)[],
  parameters: readonly number[],
): void {
  const [a, b, c] = operands;
  const [p, q] = parameters;
  if (form === 'unary') apply(out, a, code, p, q);
  else if (form === 'binary') applyBinary(out, a, steps[0], b, steps[1], code);
  else if (form === 'where') applyWhere(out, a, steps[0], b, steps[1], c, steps[2]);
  else if (form === 'unaryGradient') applyGradient(out, a, b, code, p, q);
  else if (form === 'binaryGradient') applyBinaryGradient(out, a, b, c, code, operand);
  else if (form === 'loss') applyLoss(out, a, b, code, p, q);
  else applyLossGradient(out, a, steps[0], b, c, code, p, q, operand);
}

/** What was read of an array, and with which other numbers; it is read again where they have changed. */
export class Known<Read> {
  readonly #all = new WeakMap<Int32Array, { copy: Int32Array; others: readonly number[]; read: Read }>();

  get(array: Int32Array, others: readonly number[], read: (copy: Int32Array) => Read): Read {
    const before = this.#all.get(array);
    if (before !== undefined && isSame(before.copy, array) && isSame(before.others, others))
      return before.read;
    const copy = array.slice();
    const fresh = read(copy);
    this.#all.set(array, { copy, others, read: fresh });
    return fresh;
  }
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Memory for the values of a block, and views of it for blocks of each length. */
export class Registers {
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

export const registers32 = new Registers((length) => new Float32Array(length));
export const registers64 = new Registers((length) => new Float64Array(length));
