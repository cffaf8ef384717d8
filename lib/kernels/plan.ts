/**
 * Memory for a recorded list of calls: every array lies where nobody can detach it under a native thread. Intermediates share memory with others that live at another time, and with those of all other programs of a queue,
 * as runs go one after the other.
 */
import type { Argument, Call } from '../../binding.d.ts';
import { ArgumentError } from '../errors.ts';
import { bytesOf, type Elements, Storage } from '../memory.ts';
import { roomForPrograms } from './index.ts';
import type { Queue } from './queue.ts';
import {
  arraysOf,
  isList,
  isShared,
  Part,
  type RecordedArgument,
  type RecordedCall,
  type Recording,
} from './recorder.ts';
import { effects } from './table.ts';

export interface Plan {
  /** The calls over arrays. */
  readonly calls: Call[];
  /** The array of a storage: of an argument, for its next values; of a result, to read. */
  place(storage: Storage): Elements;
  /** What has values from outside on ordinary memory, to be copied before a run. */
  readonly captured: readonly Captured[];
  /** What stays where it is and is written to: parameters, their gradients, the state of optimizers and random numbers. */
  readonly written: readonly Elements[];
  /** Bytes of the intermediates, one by one and as planned, and of what the program has for itself. */
  readonly bytes: { separate: number; planned: number; own: number };
}

export interface Captured {
  readonly from: Storage;
  readonly to: Elements;
  /** Whether the calls change what is in `to`. */
  readonly changes: boolean;
}

/** An intermediate: its first and last call, and where it goes. */
interface Span {
  readonly storage: Storage;
  readonly from: number;
  to: number;
  offset: number;
}

const alignment = 64;
const rounded = (bytes: number) => Math.ceil(bytes / alignment) * alignment;

/** A view at an offset of a buffer, of the type and length of something. */
function view(like: Elements | Storage, buffer: ArrayBufferLike, offset: number): Elements {
  const { length } = like;
  const name = like instanceof Storage ? like.dtype : like instanceof Uint32Array ? 'uint32' : dtypeOf(like);
  if (name === 'float32') return new Float32Array(buffer, offset, length);
  if (name === 'float64') return new Float64Array(buffer, offset, length);
  return name === 'int32' ? new Int32Array(buffer, offset, length) : new Uint32Array(buffer, offset, length);
}

const dtypeOf = (array: Elements) =>
  array instanceof Float32Array ? 'float32' : array instanceof Float64Array ? 'float64' : 'int32';

/** Gaps between what lives at one time, in the order of their offsets, the last one without an end. */
class Gaps {
  private readonly gaps: { offset: number; size: number }[] = [{ offset: 0, size: Infinity }];
  /** The bytes that there have to be. */
  total = 0;

  /** The smallest gap that is wide enough. */
  take(size: number): number {
    let best = this.gaps.length - 1;
    for (let i = 0; i < best; i++) {
      const own = this.gaps[i].size;
      if (own >= size && own < this.gaps[best].size) best = i;
    }
    const gap = this.gaps[best];
    const { offset } = gap;
    gap.offset += size;
    gap.size -= size;
    if (gap.size === 0) this.gaps.splice(best, 1);
    this.total = Math.max(this.total, offset + size);
    return offset;
  }

  giveBack(offset: number, size: number): void {
    const { gaps } = this;
    let low = 0;
    for (let high = gaps.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (gaps[middle].offset < offset) low = middle + 1;
      else high = middle;
    }
    const before = gaps[low - 1];
    const after = gaps[low];
    const meetsBefore = before !== undefined && before.offset + before.size === offset;
    if (offset + size === after.offset) {
      after.offset = meetsBefore ? before.offset : offset;
      after.size += meetsBefore ? before.size + size : size;
      if (meetsBefore) gaps.splice(low - 1, 1);
    } else if (meetsBefore) {
      before.size += size;
    } else {
      gaps.splice(low, 0, { offset, size });
    }
  }
}

/** Gives each intermediate a place, call by call, and says how many bytes they need together. */
function assign(spans: readonly Span[], calls: number): number {
  const ending: Span[][] = Array.from({ length: calls + 1 }, () => []);
  // What has no elements needs no place, and would leave gaps of no size.
  const some = spans.filter(({ storage }) => storage.length > 0);
  for (const span of some) ending[span.to].push(span);
  const gaps = new Gaps();
  let next = 0;
  // The spans come in the order in which they begin.
  for (let call = 0; call <= calls; call++) {
    for (; next < some.length && some[next].from === call; next++) {
      some[next].offset = gaps.take(rounded(bytesOf(some[next].storage)));
    }
    for (const { storage, offset } of ending[call]) gaps.giveBack(offset, rounded(bytesOf(storage)));
  }
  return gaps.total;
}

/**
 * Places for what was recorded, as passes have left its calls.
 * @param outputs what is read after a run, and so lives to its end
 * @param queue whose programs it runs among
 * @throws ArgumentError when a call writes to an array that is neither an intermediate nor shared
 */
export function plan(
  recording: Pick<Recording, 'inputs' | 'owns'>,
  calls: readonly RecordedCall[],
  outputs: readonly Storage[],
  queue: Queue,
): Plan {
  const { inputs } = recording;
  const spans = new Map<Storage, Span>();
  /** What the program has for itself; true for what a call changes. */
  const own = new Map<Elements | Storage, boolean>([...inputs].map((input) => [input, true]));
  const written = new Set<Elements>();
  for (let index = 0; index < calls.length; index++) {
    const call = calls[index];
    for (const [some, position] of arraysOf<Elements | Storage | Part>(call)) {
      const argument = some instanceof Part ? some.storage : some;
      const effect = effects[call[0]][position] ?? '-';
      if (!(argument instanceof Storage)) {
        if (isShared(argument)) {
          if (effect !== '-') written.add(argument);
        } else if (effect === '-' || argument.length === 0) {
          if (!own.has(argument)) own.set(argument, false);
        } else {
          throw new ArgumentError(
            `[compile] expected what a step updates to be Parameters, got an array of ${argument.length} elements on an ` +
              `ordinary buffer (${call[0]})`,
          );
        }
      } else if (argument.array !== null || own.has(argument)) {
        own.set(argument, (own.get(argument) ?? false) || effect !== '-');
      } else {
        const span = spans.get(argument);
        if (span) span.to = index;
        else spans.set(argument, { storage: argument, from: index, to: index, offset: 0 });
      }
    }
  }
  for (const output of outputs) {
    const span = spans.get(output);
    if (span) span.to = calls.length;
    // An argument, a constant, or nothing: no elements.
    else if (!output.isShared) own.set(output, own.get(output) ?? false);
  }

  const places = new Map<Elements | Storage, Elements>();
  const total = assign([...spans.values()], calls.length);
  const shared = queue.room(total);
  for (const { storage, offset } of spans.values()) places.set(storage, view(storage, shared, offset));
  let end = 0;
  for (const some of own.keys()) end += rounded(bytesOf(some));
  const slab = roomForPrograms(end);
  const captured: Captured[] = [];
  let offset = 0;
  for (const [some, changes] of own) {
    const place = view(some, slab, offset);
    offset += rounded(place.byteLength);
    places.set(some, place);
    const values = some instanceof Storage ? some.array : some;
    if (values === null) continue;
    // A user may have taken away what is not the function's own: a run looks.
    if (some instanceof Storage && (changes || !recording.owns(some)))
      captured.push({ from: some, to: place, changes });
    else place.set(values);
  }

  const place = (storage: Elements | Storage): Elements =>
    places.get(storage) ?? (storage instanceof Storage ? storage.array! : storage);
  const placed = (argument: RecordedArgument): Argument => {
    if (isList(argument)) return argument.map(placed as (some: unknown) => Argument) as unknown as Argument;
    if (argument === null || typeof argument === 'number') return argument;
    if (!(argument instanceof Part)) return place(argument as Elements | Storage);
    const { storage, offset, length } = argument;
    return place(storage).subarray(offset, offset + length) as Argument;
  };
  let separate = 0;
  for (const { storage } of spans.values()) separate += rounded(bytesOf(storage));
  return {
    calls: calls.map(([kernel, ...args]): Call => [kernel, ...args.map(placed)]),
    place,
    captured,
    written: [...written],
    bytes: { separate, planned: total, own: end },
  };
}
