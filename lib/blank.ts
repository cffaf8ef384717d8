/** Layers made for values that come from elsewhere, as from a file: nothing is drawn for them, and they may not outgrow it. */
import { FormatError } from './errors.ts';

/** What is made meanwhile. */
class Blank {
  /** Parameters and SharedTensors. */
  readonly tensors = new Set<object>();
  /** How the tensors would have been filled. */
  readonly fills = new Map<object, () => void>();

  private left: number;

  constructor(bytes: number) {
    // Layers may have some that are no state.
    this.left = 2 * bytes + 2 ** 20;
  }

  /** @throws FormatError for tensors of more bytes than there are values for */
  reserve(bytes: number): void {
    this.left -= bytes;
    if (this.left < 0) {
      throw new FormatError('expected a model of as many numbers as there are in the file, got a larger one');
    }
  }
}

export let blank: Blank | null = null;

/**
 * What `make` makes, with tensors of zeros instead of initial values. It has to be synchronous.
 * @param bytes of values that there are; what is made may be about twice as large
 * @returns with it a function that fills those of its tensors that are not in `given`, and all that were made
 */
export function makeBlank<Result>(
  bytes: number,
  make: () => Result,
): [made: Result, fillOthers: (given: ReadonlySet<object>) => void, tensors: ReadonlySet<object>] {
  const before = blank;
  const own = new Blank(bytes);
  blank = own;
  try {
    const made = make();
    return [
      made,
      (given) => {
        for (const [tensor, fill] of own.fills) if (!given.has(tensor)) fill();
      },
      own.tensors,
    ];
  } finally {
    blank = before;
  }
}
