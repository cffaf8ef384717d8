/**
 * Elementwise calls as a list of instructions over positions: one recorded call, or several that became one. What is read lies
 * anywhere by strides; what is written is a value at each position, or a reduction of it.
 */
import type { Float } from '../../../binding.d.ts';
import type { Dtype, Storage } from '../../memory.ts';
import { mergeAxes, sizeOf, stridesOf } from '../../shape.ts';
import { assemble, maxValues, ops, type Step, type Value } from '../instructions.ts';
import { Part, type RecordedArgument, type RecordedCall } from '../recorder.ts';
import { type Access, dtypeOf, keyOf, type Memory, type Node, partOf } from './nodes.ts';
import {
  areApart,
  compose,
  flat,
  isContiguous,
  isTransposed,
  refine,
  split,
  type View,
  whole,
} from './view.ts';

export interface Place {
  memory: Memory;
  offset: number;
  strides: number[];
}

export interface Out extends Place {
  value: Value;
  /** A code of `reduceOps`, for an out of k0 · k1 elements without a place in the positions; null for one at each position. */
  reduce: number | null;
  scale: number;
}

const maxRank = 16;
/**
 * From how many elements it pays. With fewer positions than `from` calls of `fused` take longer than the ones in whose place they
 * are. By steps of a recurrent net, as measured: on the addon single calls win a tenth at 512 and up to a fifth at 1,024, neither
 * at 2,048, `fused` a quarter at 4,096; in the fallback neither at 512, `fused` a twentieth at 1,024. What is read in parts is
 * computed by parts if these are columns of at least `run` elements: by gates of 64 rows on the addon, a twentieth slower at 16 and
 * 32 columns, as much quicker at 64 and 128. Tests set both to 0.
 */
export const pays = { from: 1024, run: 64 };
/** How many arrays a call takes at most, so that their blocks fit into the cache together. */
const maxIns = 24;
const maxOuts = 16;

const sameDims = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, i) => size === b[i]);
const isSame = (a: Place, b: Place) =>
  a.memory === b.memory && a.offset === b.offset && a.strides.every((stride, i) => stride === b.strides[i]);
/** Each once, as there are many. */
export const results = Array.from({ length: maxValues }, (_, at): Value => ({ kind: 'result', at }));
export const given = Array.from({ length: maxValues }, (_, at): Value => ({ kind: 'in', at }));
export const constant = (value: number): Value => ({ kind: 'constant', value });

export class Chain implements Node {
  readonly mayFail = false;

  get kernel(): string {
    if (this.original !== null) return this.original[0];
    return this.copied === null ? 'fused' : 'copy';
  }

  private own: Access[] | null = null;
  private keysRead: object[] | null = null;
  private keysWritten: object[] | null = null;

  constructor(
    readonly dtype: Dtype,
    public dims: readonly number[],
    readonly ins: Place[],
    readonly steps: Step[],
    readonly outs: Out[],
    /** k0, r0, k1, r1 of the reductions; null without any. */
    public shape: readonly number[] | null,
    /** The call that does the same, while nothing has changed. */
    private original: RecordedCall | null,
  ) {}

  get count(): number {
    return sizeOf(this.dims);
  }

  private viewOf({ offset, strides }: Place): View {
    return { dims: this.dims, offset, strides };
  }

  get accesses(): readonly Access[] {
    if (this.own !== null) return this.own;
    const own = this.ins.map((place): Access => {
      return { memory: place.memory, effect: 'read', view: this.viewOf(place) };
    });
    for (const out of this.outs) {
      const { memory, reduce } = out;
      const view = reduce === null ? this.viewOf(out) : whole(memory.length);
      const isWhole = view.offset === 0 && isContiguous(view) && sizeOf(view.dims) === memory.length;
      own.push({ memory, effect: isWhole ? 'overwritten' : 'partly', view });
    }
    this.own = own;
    return own;
  }

  /** What it copies, where it does nothing else: elements as they are, or converted to floats. */
  get copied(): { from: Place; to: Place } | null {
    const [out] = this.outs;
    if (this.steps.length > 0 || this.ins.length !== 1 || this.outs.length !== 1 || out.reduce !== null)
      return null;
    return out.value.kind === 'in' ? { from: this.ins[0], to: out } : null;
  }

  /** Whether it copies a matrix transposed, which the kernel of copies does by blocks, and so much quicker than a chain. */
  get transposes(): boolean {
    const { copied } = this;
    return (
      copied !== null && (isTransposed(this.viewOf(copied.from)) || isTransposed(this.viewOf(copied.to)))
    );
  }

  /** The memory that it fills with a number, where it does nothing else. */
  get filled(): { memory: Memory; value: number } | null {
    const { result } = this;
    const value = this.outs[0]?.value;
    return result !== null && value.kind === 'constant' ? { memory: result, value: value.value } : null;
  }

  /** The memory that holds what it computes at each position, where that is all that it leaves. */
  get result(): Memory | null {
    const [out] = this.outs;
    if (this.outs.length !== 1 || out.reduce !== null || out.offset !== 0 || out.memory.length !== this.count)
      return null;
    return isContiguous({ dims: this.dims, offset: 0, strides: out.strides }) ? out.memory : null;
  }

  /** Reads a memory as a number, but where it reads it as a scale that is no constant. */
  know(memory: Memory, value: number): void {
    if (this.count < pays.from) return;
    const isKnown = this.ins.map((one) => one.memory === memory);
    const known = <V extends Value | null>(own: V): V =>
      own?.kind === 'in' && isKnown[own.at] ? (constant(value) as V) : own;
    for (let i = 0; i < this.steps.length; i++) {
      const { op, operands } = this.steps[i];
      this.steps[i] = { op, operands: operands.map(known) };
    }
    for (const out of this.outs) out.value = known(out.value);
    this.touch();
    this.prune();
  }

  /** The same at the positions of a view of its result, into a memory of their own; null where there is no such chain. */
  at(view: View, memory: Memory): Chain | null {
    if (sizeOf(view.dims) < pays.from) return null;
    let dims: readonly number[] | null = view.dims;
    const composed: View[] = [];
    for (const one of this.ins) {
      const own = compose(view, this.viewOf(one));
      if (own === null) return null;
      composed.push(flat(own));
      dims = refine(dims, composed[composed.length - 1].dims);
      if (dims === null || dims.length > maxRank) return null;
    }
    const ins = this.ins.map((one, i): Place => {
      return { memory: one.memory, offset: composed[i].offset, strides: split(composed[i], dims!) };
    });
    const end: Out = { ...this.outs[0], memory, offset: 0, strides: stridesOf(dims) };
    return new Chain(this.dtype, dims, ins, [...this.steps], [end], null, null);
  }

  /** Reads what was a view of a memory from another one, which holds it position by position. */
  redirect(from: Memory, { offset, strides }: View, to: Memory): void {
    for (const one of this.ins) {
      if (one.memory !== from || one.offset !== offset) continue;
      if (one.strides.some((stride, i) => stride !== strides[i])) continue;
      one.memory = to;
      one.offset = 0;
      one.strides = stridesOf(this.dims);
    }
    this.touch();
  }

  /** Splits its axes. */
  private refineTo(dims: readonly number[]): void {
    if (sameDims(this.dims, dims)) return;
    for (const place of this.ins) place.strides = split(this.viewOf(place), dims);
    for (const out of this.outs) if (out.reduce === null) out.strides = split(this.viewOf(out), dims);
    this.dims = dims;
    this.touch();
  }

  touch(): void {
    this.original = null;
    this.forget();
  }

  private forget(): void {
    this.own = null;
    this.keysRead = null;
    this.keysWritten = null;
  }

  moved(from: Memory, to: Memory, map: View): (() => void) | null {
    if (this.steps.length > 0 && this.count < pays.from) return this.shifted(from, to, map);
    const found: { place: Place; offset: number; dims: number[]; strides: number[] }[] = [];
    let dims: readonly number[] | null = this.dims;
    for (const place of [...this.ins, ...this.outs]) {
      if (place.memory !== from) continue;
      if ('reduce' in place && place.reduce !== null) {
        const composed = compose(whole(from.length), map);
        if (composed === null) return null;
        const view = {
          dims: composed.axes[0].map(({ size }) => size),
          offset: composed.offset,
          strides: composed.axes[0].map(({ stride }) => stride),
        };
        if (composed.offset !== 0 || to.length !== from.length || !isContiguous(view)) return null;
        found.push({ place, offset: 0, dims: [], strides: [] });
        continue;
      }
      const composed = compose(this.viewOf(place), map);
      if (composed === null) return null;
      const axes = composed.axes.flat();
      const own = axes.map(({ size }) => size);
      const strides = axes.map(({ stride }) => stride);
      if (this.copied === null && isTransposed({ dims: own, strides })) return null;
      dims = refine(dims, own);
      if (dims === null || dims.length > maxRank) return null;
      found.push({ place, offset: composed.offset, dims: own, strides });
    }
    return () => {
      this.touch();
      this.refineTo(dims!);
      for (const { place, offset, dims: own, strides } of found) {
        place.memory = to;
        place.offset = offset;
        if (own.length > 0)
          place.strides = sameDims(own, dims!) ? strides : split({ dims: own, offset, strides }, dims!);
      }
    };
  }

  operandUnder(out: Memory, isFree: (memory: Memory) => memory is Storage): Storage | null {
    const { ins, outs, dims } = this;
    // Copies read and write different arrays.
    if (this.steps.length === 0 || this.original?.[0] === 'loss') return null;
    const [end, ...others] = outs.filter(({ memory }) => memory === out);
    if (others.length > 0 || end.reduce !== null) return null;
    const isThere = (one: Place) =>
      one.offset === end.offset &&
      one.strides.every((stride, i) => stride === end.strides[i] || dims[i] === 1);
    for (const { memory } of ins) {
      if (!isFree(memory) || memory.length !== out.length || memory.dtype !== this.dtype) continue;
      if (outs.some((other) => other.memory === memory)) continue;
      if (ins.every((one) => one.memory !== memory || isThere(one))) return memory;
    }
    return null;
  }

  /** What makes the call as it is find a memory in a part of another one, where its elements lie together as before. */
  private shifted(from: Memory, to: Memory, map: View): (() => void) | null {
    const isTogether = isContiguous(map) && dtypeOf(from) === dtypeOf(to);
    return isTogether && this.original !== null ? () => this.shift(from, to, map.offset) : null;
  }

  rename(from: Memory, to: Memory): void {
    this.shift(from, to, 0);
  }

  /** Uses the elements of another memory from an offset on in the place of one. */
  private shift(from: Memory, to: Memory, offset: number): void {
    for (const place of [...this.ins, ...this.outs]) {
      if (place.memory !== from) continue;
      place.memory = to;
      place.offset += offset;
    }
    const moved = (some: RecordedArgument) => {
      if (some === from) return partOf(to, offset, from.length);
      return some instanceof Part && some.storage === from
        ? partOf(to, some.offset + offset, some.length)
        : some;
    };
    if (this.original !== null) {
      const [name, ...args] = this.original;
      this.original = [name, ...args.map(moved)];
    }
    this.forget();
  }

  // ── joining ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Does what a later chain does as well; false, and nothing is done, where that is none of it. */
  absorb(next: Chain): boolean {
    if (this.dtype !== next.dtype || this.dtype === 'int32') return false;
    if (this.count !== next.count || this.count < pays.from) return false;
    if (this.transposes || next.transposes) return false;
    const { shape, ins, outs, steps } = this;
    if (shape !== null && next.shape !== null && !shape.every((size, i) => size === next.shape![i]))
      return false;
    if (steps.length + next.steps.length + ins.length + next.ins.length + 16 > maxValues) return false;
    if (ins.length + next.ins.length > maxIns || outs.length + next.outs.length > maxOuts) return false;
    if (!sameDims(this.dims, next.dims)) {
      const dims = refine(this.dims, next.dims);
      if (dims === null || dims.length > maxRank) return false;
      this.refineTo(dims);
      next.refineTo(dims);
    }
    const added: Place[] = [];
    const values: Value[] = [];
    for (const own of next.ins) {
      const key = keyOf(own.memory);
      const written = outs.filter(({ memory }) => keyOf(memory) === key);
      if (written.length > 0) {
        const [out] = written;
        if (written.length > 1 || out.reduce !== null || !isSame(out, own)) return false;
        values.push(out.value);
        continue;
      }
      const known = ins.findIndex((one) => isSame(one, own));
      values.push(given[known >= 0 ? known : ins.length + added.push(own) - 1]);
    }
    const renumbered = <V extends Value | null>(value: V): V => {
      if (value?.kind === 'in') return values[value.at] as V;
      return value?.kind === 'result' ? (results[steps.length + value.at] as V) : value;
    };
    for (const { op, operands } of next.steps) {
      if (ops[op].form === 'lossSlope' && renumbered(operands[0])?.kind === 'result') return false;
    }
    for (const out of next.outs) {
      const key = keyOf(out.memory);
      const isRead = ({ memory }: Place) => keyOf(memory) === key;
      if (ins.some(isRead) || added.some(isRead)) return false;
      for (const other of outs) {
        if (keyOf(other.memory) !== key) continue;
        if (other.memory !== out.memory || other.reduce !== null || out.reduce !== null) return false;
        if (!areApart(this.viewOf(other), this.viewOf(out))) return false;
      }
    }
    const moved = next.steps.map(({ op, operands }) => ({ op, operands: operands.map(renumbered) }));
    for (const out of next.outs) {
      out.value = renumbered(out.value);
      outs.push(out);
    }
    ins.push(...added);
    steps.push(...moved);
    this.shape ??= next.shape;
    this.touch();
    return true;
  }

  get reads(): readonly object[] {
    this.keysRead ??= this.ins.map(({ memory }) => keyOf(memory));
    return this.keysRead;
  }

  get writes(): readonly object[] {
    this.keysWritten ??= this.outs.map(({ memory }) => keyOf(memory));
    return this.keysWritten;
  }

  /** Does not store a memory. What it takes to compute it goes with `prune`. */
  drop(memory: object): void {
    const kept = this.outs.filter((out) => out.memory !== memory);
    this.outs.splice(0, this.outs.length, ...kept);
    this.touch();
  }

  /** Without outs that nobody reads; whether any are left. */
  keep(isWanted: (out: Out) => boolean): boolean {
    const { outs } = this;
    let kept = 0;
    for (const out of outs) if (isWanted(out)) outs[kept++] = out;
    if (kept < outs.length) {
      outs.length = kept;
      if (outs.every(({ reduce }) => reduce === null)) this.shape = null;
      this.touch();
    }
    if (this.original === null) this.prune();
    return kept > 0;
  }

  /** Without instructions and ins that no out needs. */
  private prune(): void {
    const { ins, steps, outs } = this;
    const isUsed = new Array<boolean>(steps.length).fill(false);
    const isRead = new Array<boolean>(ins.length).fill(false);
    const use = (value: Value | null) => {
      if (value?.kind === 'result') isUsed[value.at] = true;
      if (value?.kind === 'in') isRead[value.at] = true;
    };
    for (const { value } of outs) use(value);
    for (let i = steps.length - 1; i >= 0; i--) if (isUsed[i]) steps[i].operands.forEach(use);
    if (!isUsed.includes(false) && !isRead.includes(false)) return;
    const number = (flags: boolean[]) => {
      let next = 0;
      return flags.map((flag) => (flag ? next++ : -1));
    };
    const [newStep, newIn] = [number(isUsed), number(isRead)];
    const renumbered = <V extends Value | null>(value: V): V => {
      if (value?.kind === 'result') return results[newStep[value.at]] as V;
      return value?.kind === 'in' ? (given[newIn[value.at]] as V) : value;
    };
    const keptSteps = steps
      .filter((_, i) => isUsed[i])
      .map(({ op, operands }) => ({ op, operands: operands.map(renumbered) }));
    steps.splice(0, steps.length, ...keptSteps);
    const keptIns = ins.filter((_, i) => isRead[i]);
    ins.splice(0, ins.length, ...keptIns);
    for (const out of outs) out.value = renumbered(out.value);
  }

  // ── as calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

  emit(): readonly RecordedCall[] {
    if (this.original !== null) return [this.original];
    const { copied, filled } = this;
    if (filled !== null) return [['fill', filled.memory, filled.value]];
    if (copied !== null && dtypeOf(copied.from.memory) === this.dtype) return [copyOf(this.dims, copied)];
    return [this.fused()];
  }

  private fused(): RecordedCall {
    const stored = this.outs.filter(({ reduce }) => reduce === null);
    const { dims, strides } = mergeAxes(
      this.dims,
      [...this.ins, ...stored].map((place) => place.strides),
    );
    const rank = dims.length;
    const areRuns = stored.every((out) => isContiguous(this.viewOf(out)));
    const outs = this.outs.map(({ memory, reduce, offset }) =>
      reduce === null && areRuns ? partOf(memory, offset, this.count) : (memory as RecordedArgument),
    );
    const layout = [...(this.shape ?? [this.count, 1, 1, 1]), rank, ...dims];
    [...this.ins, ...(areRuns ? [] : stored)].forEach(({ offset }, i) => {
      layout.push(offset, ...strides[i]);
    });
    const { code, constants } = assemble(this.ins.length, this.steps, this.outs);
    return [
      'fused',
      outs as Float[],
      this.ins.map(({ memory }) => memory) as Float[],
      Int32Array.from(layout),
      code,
      constants,
    ];
  }
}

function copyOf(dims: readonly number[], { from, to }: { from: Place; to: Place }): RecordedCall {
  const merged = mergeAxes(dims, [to.strides, from.strides]);
  const [out, x] = [to.memory, from.memory] as RecordedArgument[];
  const length = sizeOf(dims);
  if (merged.dims.length === 1 && merged.strides.every(([stride]) => stride === 1)) {
    return ['cast', partOf(to.memory, to.offset, length), partOf(from.memory, from.offset, length)];
  }
  return [
    'copy',
    out,
    x,
    Int32Array.from([...merged.dims, ...merged.strides.flat(), to.offset, from.offset]),
  ];
}
