/**
 * Recorded calls as passes see them: which memory each reads and writes, where in it, and what it would be like elsewhere. A
 * `Chain` is an elementwise call, or several of them as one; a `Product` finds its matrices by strides; all other kernels take
 * whole arrays.
 */
import type { Data } from '../../../binding.d.ts';
import { type Dtype, type Elements, Storage } from '../../memory.ts';
import { type ArrayFact, type Effect, isArrayFact } from '../facts.ts';
import { isList, isStorage, Part, type RecordedArgument, type RecordedCall } from '../recorder.ts';
import { type KernelFacts, table } from '../table.ts';
import { type Composed, compose, flat, isContiguous, type View, whole } from './view.ts';

/** What is planned, or an array that stays where it is. */
export type Memory = Storage | Elements;

export interface Access {
  readonly memory: Memory;
  readonly effect: Effect;
  readonly view: View;
}

export interface Node {
  /** The kernel that does it. */
  readonly kernel: string;
  readonly accesses: readonly Access[];
  /** What it reads and what it writes, by `keyOf`; what it adds to, both. */
  readonly reads: readonly object[];
  readonly writes: readonly object[];
  /** Whether it may throw for what its arrays hold. */
  readonly mayFail: boolean;
  /** What makes it find the elements of a memory where a map says, in another one; null where it cannot. */
  moved(from: Memory, to: Memory, map: View): (() => void) | null;
  /**
   * A memory that is free afterwards and in which `out`, of which it writes all, may lie as well: it is as long, and what is read
   * of it is read where the result is written.
   */
  operandUnder(out: Memory, isFree: (memory: Memory) => memory is Storage): Storage | null;
  /** Uses another memory of the same size and type in the place of one. */
  rename(from: Memory, to: Memory): void;
  /** The calls that do it. */
  emit(): readonly RecordedCall[];
}

export function dtypeOf(memory: Memory): Dtype | 'uint32' {
  if (isStorage(memory)) return memory.dtype;
  if (memory instanceof Float32Array) return 'float32';
  if (memory instanceof Float64Array) return 'float64';
  return memory instanceof Int32Array ? 'int32' : 'uint32';
}

/** What stands for a memory where others may share it: arrays on one buffer count as one. */
export function keyOf(memory: Memory): object {
  return isStorage(memory) ? memory : memory.buffer;
}

function keysOf(accesses: readonly Access[], wanted: (effect: Effect) => boolean): object[] {
  return accesses.filter(({ effect }) => wanted(effect)).map(({ memory }) => keyOf(memory));
}

/** A run of a memory's elements as an argument. */
export function partOf(memory: Memory, offset: number, length: number): RecordedArgument {
  if (offset === 0 && length === memory.length) return memory;
  return isStorage(memory)
    ? new Part(memory, offset, length)
    : (memory.subarray(offset, offset + length) as Data);
}

type Facts = readonly { readonly effect: Effect | null; readonly hasIndices: boolean }[];

const factsOf = Object.fromEntries(
  Object.entries(table as Record<string, KernelFacts<never>>).map(([name, { arguments: facts }]) => [
    name,
    Object.values(facts).map((fact) => ({
      effect: isArrayFact(fact) ? fact.effect : null,
      hasIndices: isArrayFact(fact) && (fact as ArrayFact).contents !== null,
    })),
  ]),
) as Record<string, Facts>;
const effectsByName = Object.fromEntries(
  Object.entries(factsOf).map(([name, facts]) => [name, facts.map(({ effect }) => effect)]),
);
const effectsOfProduct = effectsByName.gemm.map((effect) => (effect === 'partly' ? 'overwritten' : effect));

/** What a call does to each of its arguments; null for those that are no arrays. A product without a layout writes all of c. */
export function effectsOf([name, ...args]: RecordedCall): readonly (Effect | null)[] {
  return name === 'gemm' && args[args.length - 1] === null ? effectsOfProduct : effectsByName[name];
}

/** A call that takes arrays as they are. */
export class Kernel implements Node {
  private own: Access[] | null = null;
  readonly mayFail: boolean;

  get kernel(): string {
    return this.call[0];
  }

  constructor(private call: RecordedCall) {
    const [name, ...args] = call;
    this.mayFail = factsOf[name].some(({ hasIndices }) => hasIndices) || (table[name].fails?.(args) ?? false);
  }

  get accesses(): readonly Access[] {
    if (this.own !== null) return this.own;
    const facts = factsOf[this.call[0]];
    const found: Access[] = [];
    const note = (some: unknown, effect: Effect) => {
      if (some instanceof Part) {
        const { storage, offset, length } = some;
        found.push({
          memory: storage,
          effect: effect === 'overwritten' ? 'partly' : effect,
          view: { dims: [length], offset, strides: [1] },
        });
      } else {
        found.push({ memory: some as Memory, effect, view: whole((some as Memory).length) });
      }
    };
    for (let i = 1; i < this.call.length; i++) {
      const { effect } = facts[i - 1];
      const argument = this.call[i];
      if (effect === null || argument === null) continue;
      if (isList(argument)) for (const some of argument) note(some, effect);
      else note(argument, effect);
    }
    this.own = found;
    return found;
  }

  get reads(): object[] {
    return keysOf(this.accesses, (effect) => effect === 'read' || effect === 'updated');
  }

  get writes(): object[] {
    return keysOf(this.accesses, (effect) => effect !== 'read');
  }

  moved(from: Memory, to: Memory, map: View): (() => void) | null {
    const replaced = new Map<unknown, RecordedArgument>();
    const find = (some: unknown): boolean => {
      const part = some instanceof Part ? some : null;
      if (some !== from && part?.storage !== from) return true;
      const length = part?.length ?? from.length;
      const composed = compose({ dims: [length], offset: part?.offset ?? 0, strides: [1] }, map);
      if (composed === null || !isContiguous(flat(composed))) return false;
      replaced.set(some, partOf(to, composed.offset, length));
      return true;
    };
    for (const argument of this.call) {
      if (isList(argument) ? !argument.every(find) : !find(argument)) return null;
    }
    return () => this.replace((some) => replaced.get(some) ?? some);
  }

  operandUnder(out: Memory, isFree: (memory: Memory) => memory is Storage): Storage | null {
    const [name, ...args] = this.call;
    const { over, arguments: facts } = table[name];
    if (over === undefined || args[0] !== out) return null;
    const at = Object.keys(facts).indexOf(over);
    const memory = args[at];
    if (!(memory instanceof Storage) || !isFree(memory)) return null;
    const isElsewhere = args.some(
      (some, i) => i !== at && (some instanceof Part ? some.storage : some) === memory,
    );
    return memory.length === out.length && !isElsewhere ? memory : null;
  }

  rename(from: Memory, to: Memory): void {
    this.replace((some) => {
      if (some === from) return to as RecordedArgument;
      return some instanceof Part && some.storage === from ? partOf(to, some.offset, some.length) : some;
    });
  }

  private replace(by: (argument: RecordedArgument) => RecordedArgument): void {
    const [name, ...args] = this.call;
    this.call = [
      name,
      ...args.map((argument) =>
        isList(argument)
          ? (argument.map((some) => by(some as RecordedArgument)) as RecordedArgument)
          : by(argument),
      ),
    ];
    this.own = null;
  }

  emit(): readonly RecordedCall[] {
    return [this.call];
  }
}

// ── products ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where the matrices of an operand lie: for each axis of the batch how far apart, and how far their rows. */
interface Matrices {
  memory: Memory;
  offset: number;
  batch: number[];
  rows: number;
  columns: number;
  rowStride: number;
}

export class Product implements Node {
  readonly mayFail = false;

  get kernel(): string {
    return this.call[0];
  }

  private readonly operands: Matrices[];
  private batch: number[];
  private bias: Memory | null;
  private own: Access[] | null = null;
  private isChanged = false;

  constructor(private readonly call: RecordedCall) {
    const isGemm = call[0] === 'gemm';
    const [c, a, b] = call.slice(1, 4) as Memory[];
    const [batch, m, n, k, transposeA, transposeB, strideA, strideB, strideC] = call.slice(
      isGemm ? 5 : 4,
    ) as number[];
    this.bias = isGemm ? (call[4] as Memory | null) : null;
    this.batch = [batch];
    const matrices = (memory: Memory, stride: number, rows: number, columns: number): Matrices => {
      return { memory, offset: 0, batch: [stride], rows, columns, rowStride: columns };
    };
    this.operands = [
      matrices(c, isGemm ? m * n : strideC, m, n),
      transposeA === 1 ? matrices(a, strideA, k, m) : matrices(a, strideA, m, k),
      transposeB === 1 ? matrices(b, strideB, n, k) : matrices(b, strideB, k, n),
    ];
  }

  get accesses(): readonly Access[] {
    if (this.own !== null) return this.own;
    const own = this.operands.map((operand, i): Access => {
      const view = this.viewOf(operand);
      const isWhole =
        isContiguous(view) && view.offset === 0 && this.sizeOf(operand) === operand.memory.length;
      const effect =
        i > 0 ? 'read' : this.call[0] !== 'gemm' ? 'updated' : isWhole ? 'overwritten' : 'partly';
      return { memory: operand.memory, effect, view };
    });
    if (this.bias !== null) own.push({ memory: this.bias, effect: 'read', view: whole(this.bias.length) });
    this.own = own;
    return own;
  }

  get reads(): object[] {
    return keysOf(this.accesses, (effect) => effect === 'read' || effect === 'updated');
  }

  get writes(): object[] {
    return keysOf(this.accesses, (effect) => effect !== 'read');
  }

  private sizeOf({ rows, columns }: Matrices): number {
    return this.batch.reduce((size, n) => size * n, rows * columns);
  }

  private viewOf({ offset, batch, rows, columns, rowStride }: Matrices): View {
    return { dims: [...this.batch, rows, columns], offset, strides: [...batch, rowStride, 1] };
  }

  moved(from: Memory, to: Memory, map: View): (() => void) | null {
    if (this.bias === from) return null;
    let batch = this.batch;
    const found: { at: number; composed: Composed; rowStride: number }[] = [];
    for (let at = 0; at < 3; at++) {
      const operand = this.operands[at];
      if (operand.memory !== from) continue;
      const composed = compose(this.viewOf(operand), map);
      if (composed === null || composed.offset < 0) return null;
      const { axes } = composed;
      const rowStride = evenStride(axes[axes.length - 2]);
      const step = evenStride(axes[axes.length - 1]);
      if (rowStride === null || (step !== 1 && operand.columns > 1)) return null;
      if (operand.rows > 1 && rowStride < operand.columns) return null;
      // The axes of the batch may fall into two together, the same ones for all operands.
      const own = axes.slice(0, -2).flat();
      if (own.some(({ stride }) => stride < 0)) return null;
      const sizes = own.map(({ size }) => size);
      if (sizes.length > batch.length) {
        if (batch.length > 1 || sizes.length > 2 || found.length > 0) return null;
        batch = sizes;
      }
      found.push({ at, composed, rowStride: operand.rows > 1 ? rowStride : operand.columns });
    }
    return () => {
      if (batch !== this.batch) {
        // Those of the others step evenly through both.
        for (const operand of this.operands) {
          if (operand.memory !== from) operand.batch = [operand.batch[0] * batch[1], operand.batch[0]];
        }
      }
      for (const { at, composed, rowStride } of found) {
        const own = composed.axes.slice(0, -2).flat();
        const operand = this.operands[at];
        operand.memory = to;
        operand.offset = composed.offset;
        operand.rowStride = rowStride;
        if (own.length === batch.length) operand.batch = own.map(({ stride }) => stride);
        else operand.batch = batch.map((_, i) => own[0].stride * (i === 0 ? batch[1] : 1));
      }
      this.batch = batch;
      this.isChanged = true;
      this.own = null;
    };
  }

  operandUnder(): null {
    return null;
  }

  rename(from: Memory, to: Memory): void {
    for (const operand of this.operands) if (operand.memory === from) operand.memory = to;
    if (this.bias === from) this.bias = to;
    this.own = null;
  }

  emit(): readonly RecordedCall[] {
    const [kernel, ...args] = this.call;
    const [c, a, b] = this.operands.map(({ memory }) => memory as RecordedArgument);
    const rest = args.slice(3);
    if (kernel === 'gemm') rest[0] = this.bias as RecordedArgument;
    if (!this.isChanged) return [[kernel, c, a, b, ...rest]];
    const [outer, inner] = this.batch.length === 2 ? this.batch : [1, this.batch[0]];
    const layout = [outer, inner];
    for (const { offset, batch, rowStride } of this.operands) {
      const [far, near] = batch.length === 2 ? batch : [0, batch[0]];
      layout.push(offset, outer > 1 ? far : 0, inner > 1 ? near : 0, rowStride);
    }
    // The strides stand in the layout.
    const strides = kernel === 'gemm' ? 7 : 6;
    rest.fill(0, strides, kernel === 'gemm' ? strides + 2 : strides + 3);
    rest[rest.length - 1] = Int32Array.from(layout);
    return [[kernel, c, a, b, ...rest]];
  }
}

/** Of axes that are stepped through evenly; null when they are not, or downwards. */
function evenStride(axes: readonly { size: number; stride: number }[]): number | null {
  for (let i = 1; i < axes.length; i++) {
    if (axes[i - 1].stride !== axes[i].stride * axes[i].size) return null;
  }
  const { stride } = axes[axes.length - 1];
  return stride >= 0 ? stride : null;
}
