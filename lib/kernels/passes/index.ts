/**
 * What is done to the recorded list of a compiled function before it is planned: passes, in this order, each of which makes
 * the list another one with the same results, bit for bit.
 */
import type { Storage } from '../../memory.ts';
import { variable } from '../../platform.ts';
import type { RecordedCall, Recording } from '../recorder.ts';
import { constants } from './constants.ts';
import { fuse } from './fuse.ts';
import { inPlace } from './inPlace.ts';
import { List, nodeOf } from './list.ts';
import { dtypeOf } from './nodes.ts';
import { parts } from './parts.ts';
import { unread } from './unread.ts';
import { versions } from './versions.ts';
import { views } from './views.ts';

export const passes: readonly ((list: List) => void)[] = [
  unread,
  views,
  constants,
  parts,
  fuse,
  unread,
  inPlace,
];

/** `AXPY_PASSES=0` leaves lists as they were recorded, for comparison. */
let isOn = variable('AXPY_PASSES') !== '0';

/** Runs `fn` with or without the passes. */
export function withPasses<Result>(on: boolean, fn: () => Result): Result {
  const before = isOn;
  isOn = on;
  try {
    return fn();
  } finally {
    isOn = before;
  }
}

/** What a list is like before or after a pass. */
export interface Sizes {
  calls: number;
  /** Calls by kernel. */
  kernels: Record<string, number>;
  /** Bytes that the calls read and write. */
  bytes: number;
}

/** What a pass did. */
export interface PassReport {
  pass: string;
  before: Sizes;
  after: Sizes;
}

/** The calls of a recording as they are run, and where its results are. */
export interface Improved {
  readonly calls: readonly RecordedCall[];
  readonly outputs: readonly Storage[];
}

/**
 * Makes what takes the place of a recording, which stays as it is, pass by pass; null without passes.
 * @param reports receives what each pass did
 */
export function* improving(
  recording: Recording,
  outputs: readonly Storage[],
  reports: PassReport[] | null = null,
): Generator<void, Improved | null> {
  if (!isOn) return null;
  const own = versions(recording.calls, recording, outputs);
  const list = new List(own.calls.map(nodeOf), recording, own.outputs);
  let before = reports && sizesOf(list);
  for (const pass of passes) {
    yield;
    pass(list);
    if (before === null || reports === null) continue;
    const after = sizesOf(list);
    reports.push({ pass: pass.name, before, after });
    before = after;
  }
  return { calls: list.calls, outputs: list.outputs };
}

/** The same at once. */
export function improved(
  recording: Recording,
  outputs: readonly Storage[],
  reports: PassReport[] | null = null,
): Improved | null {
  const work = improving(recording, outputs, reports);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

function sizesOf({ nodes }: List): Sizes {
  const kernels: Record<string, number> = {};
  let bytes = 0;
  for (const node of nodes) {
    kernels[node.kernel] = (kernels[node.kernel] ?? 0) + 1;
    for (const { memory, effect, view } of node.accesses) {
      let elements = 1;
      // What is broadcast is read once.
      view.dims.forEach((size, axis) => {
        if (view.strides[axis] !== 0) elements *= size;
      });
      const each = dtypeOf(memory) === 'float64' ? 8 : 4;
      bytes += elements * each * (effect === 'updated' ? 2 : 1);
    }
  }
  return { calls: nodes.length, kernels, bytes };
}
