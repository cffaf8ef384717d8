/** Sums over the processes of a job in the middle of a step, and whether layers that know how are to take them. */
import { contribute, track } from '../autograd.ts';
import { type Float, kernels } from '../kernels/index.ts';
import { type Recording, recording } from '../kernels/recorder.ts';
import { empty, floats, type Tensor } from '../tensor.ts';

/** The processes of a job, as kernels know them: a `World`. */
export interface Ranks {
  readonly state: Float64Array;
}

/** Of reductions that end before anything else begins; those of gradients, which may be under way meanwhile, have others. */
const ticket = 250;

/** Makes values the sum over the ranks of theirs, and waits for it. All ranks do so at the same place of a step. */
function exchange(values: Float, { state }: Ranks): void {
  kernels.allReduceBegin([values], state, ticket);
  kernels.allReduceEnd([values], state, ticket, 1);
}

/**
 * The sum over the ranks of their x, of one shape; the same on all of them. Its gradient is the sum of theirs, as what all ranks
 * call backward on counts as one sum.
 */
export function sumOverRanks(x: Tensor, ranks: Ranks): Tensor {
  const y = empty(x.shape, x.dtype);
  kernels.cast(floats(y), floats(x));
  exchange(floats(y), ranks);
  return track(
    y,
    [x],
    (dy) =>
      contribute(x, (dx) => {
        kernels.cast(dx, dy);
        exchange(dx, ranks);
      }),
    [],
    (dy) => [sumOverRanks(dy, ranks)],
  );
}

/** Who is synchronised, and the recording in which that began, if any. */
interface Synchronization {
  readonly ranks: Ranks | null;
  readonly within: Recording | null;
}

let inForce: Synchronization = { ranks: null, within: null };

/** Runs a synchronous function whose BatchNorm layers normalise by the batches of all ranks; by their own, for null. */
export function withSynchronization<Result>(ranks: Ranks | null, fn: () => Result): Result {
  const before = inForce;
  inForce = { ranks, within: recording };
  try {
    return fn();
  } finally {
    inForce = before;
  }
}

/** What programs observe. */
const subject = {};
const observed = { get: () => inForce.ranks, set: () => {} };

/** Whose batches count as one with that of this process; null where it is alone. */
export function synchronization(): Ranks | null {
  // What a recorded function has set itself is no condition of its program.
  if (inForce.within !== recording) recording?.observe(subject, 'synchronization', 'read', observed);
  return inForce.ranks;
}
