/**
 * Memory for a recorded list of calls: every array moves to a SharedArrayBuffer, which nobody can detach under a native
 * thread, and intermediates share memory with others that live at another time.
 */
import type { Argument, Call } from '../../binding.d.ts';
import { ArgumentError } from '../errors.ts';
import { allocateBytes } from '../memory.ts';
import { arraysOf, effects, isList, type Recording, type Storage } from './recorder.ts';

export interface Plan {
  /** The calls over the new arrays. */
  calls: Call[];
  /** The new array of an old one: of an input, for its next values; of an output, to read. */
  place: (storage: Storage) => Storage;
  /** What stays where it is and is written to: parameters, their gradients, the state of optimizers and random numbers. */
  written: readonly Storage[];
  /** Bytes of the intermediates, one by one and as planned. */
  bytes: { separate: number; planned: number };
}

/** An intermediate: its first and last call, and where it goes. */
interface Span {
  storage: Storage;
  from: number;
  to: number;
  offset: number;
}

const alignment = 64;
const rounded = (bytes: number) => Math.ceil(bytes / alignment) * alignment;

/** A view of the same type and length at an offset of a buffer. */
function view(like: Storage, buffer: SharedArrayBuffer, offset: number): Storage {
  const View = like.constructor as new (buffer: SharedArrayBuffer, offset: number, length: number) => Storage;
  return new View(buffer, offset, like.length);
}

/** Each intermediate at the lowest offset that is free for as long as it lives, the largest first. */
function assign(spans: Span[]): number {
  const placed: Span[] = [];
  let total = 0;
  for (const span of [...spans].sort((a, b) => b.storage.byteLength - a.storage.byteLength)) {
    const size = rounded(span.storage.byteLength);
    let offset = 0;
    // `placed` is in order of offset, so the first gap that is wide enough is the lowest.
    for (const other of placed) {
      if (other.to < span.from || span.to < other.from) continue;
      if (other.offset >= offset + size) break;
      offset = Math.max(offset, other.offset + rounded(other.storage.byteLength));
    }
    span.offset = offset;
    total = Math.max(total, offset + size);
    const at = placed.findIndex((other) => other.offset > offset);
    placed.splice(at < 0 ? placed.length : at, 0, span);
  }
  return total;
}

/**
 * @param outputs arrays that are read after a run, and so live to its end
 * @throws ArgumentError when a call writes to an array that is neither an intermediate nor shared
 */
export function plan(recording: Recording, outputs: ReadonlySet<Storage>): Plan {
  const spans = new Map<Storage, Span>();
  const kept = new Set<Storage>(recording.inputs);
  const written = new Set<Storage>();
  recording.calls.forEach((call, index) => {
    const [kernel] = call;
    for (const [argument, position] of arraysOf(call)) {
      if (kept.has(argument)) continue;
      const effect = effects[kernel][position] ?? '-';
      const span = spans.get(argument);
      if (span) {
        span.to = index;
      } else if (recording.made.has(argument) && effect === 'w') {
        spans.set(argument, { storage: argument, from: index, to: index, offset: 0 });
      } else if (argument.length > 0 && !(argument.buffer instanceof SharedArrayBuffer)) {
        if (effect !== '-') {
          throw new ArgumentError(
            `[compile] expected what a step updates to be Parameters, got a tensor of ${argument.length} elements on an ` +
              `ordinary buffer (${kernel})`,
          );
        }
        // Read before any call wrote it: a constant.
        kept.add(argument);
      } else if (effect !== '-') {
        written.add(argument);
      }
    }
  });
  for (const output of outputs) {
    const span = spans.get(output);
    if (span) span.to = recording.calls.length;
    else if (!(output.length > 0 && output.buffer instanceof SharedArrayBuffer)) kept.add(output);
  }

  const places = new Map<Storage, Storage>();
  const slab = allocateBytes(assign([...spans.values()]));
  for (const { storage, offset } of spans.values()) places.set(storage, view(storage, slab, offset));
  let end = 0;
  const offsets = [...kept].map((storage) => {
    const offset = end;
    end += rounded(storage.byteLength);
    return offset;
  });
  const own = allocateBytes(end);
  [...kept].forEach((storage, i) => {
    const copy = view(storage, own, offsets[i]);
    copy.set(storage);
    places.set(storage, copy);
  });

  const place = (storage: Storage) => places.get(storage) ?? storage;
  const placed = (argument: Argument): Argument => {
    if (isList(argument)) return argument.map((array) => place(array) as typeof array);
    return argument === null || typeof argument === 'number' ? argument : place(argument);
  };
  const separate = [...spans.values()].reduce((sum, { storage }) => sum + rounded(storage.byteLength), 0);
  return {
    calls: recording.calls.map(([kernel, ...args]): Call => [kernel, ...args.map(placed)]),
    place,
    written: [...written],
    bytes: { separate, planned: slab.byteLength },
  };
}
