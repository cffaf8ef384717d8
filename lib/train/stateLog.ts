/** The random states before each batch that an iterator was asked for: it may draw from them, and draws again when it is gone through anew. */
import { FormatError } from '../errors.ts';
import type { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import type { RandomState } from '../random.ts';

/** States of one key at equal distances: as steps are mostly alike, there are few. */
interface Stretch {
  readonly first: Uint32Array;
  count: number;
  /** How far the counter moves. */
  stride: bigint;
}

/** A random state is a key of two words and a counter of four, the lowest first. */
const [words, wordsOfCounter] = [6, 4];

const fromWords = (counter: Uint32Array): bigint =>
  counter.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);

const toWords = (counter: bigint): number[] =>
  Array.from({ length: wordsOfCounter }, (_, i) => Number((counter >> BigInt(32 * i)) & 0xffffffffn));

const counterOf = (state: RandomState): bigint => fromWords(state.subarray(2));

function stateAt({ first, stride }: Stretch, i: number): Uint32Array {
  const state = first.slice();
  state.set(toWords(BigInt.asUintN(128, counterOf(first) + BigInt(i) * stride)), 2);
  return state;
}

export class StateLog {
  private readonly stretches: Stretch[] = [];
  length = 0;

  add(state: RandomState): void {
    this.length++;
    const last = this.stretches[this.stretches.length - 1];
    if (last !== undefined && last.first[0] === state[0] && last.first[1] === state[1]) {
      const moved = BigInt.asUintN(128, counterOf(state) - counterOf(last.first));
      if (last.count === 1) last.stride = moved;
      if (moved === BigInt.asUintN(128, last.stride * BigInt(last.count))) {
        last.count++;
        return;
      }
    }
    // Not a view of memory that the next step writes.
    this.stretches.push({ first: new Uint32Array(state), count: 1, stride: 0n });
  }

  *[Symbol.iterator](): Generator<Uint32Array> {
    for (const stretch of this.stretches) for (let i = 0; i < stretch.count; i++) yield stateAt(stretch, i);
  }

  /** In arrays, as there may be as many stretches as steps. */
  stateDict(): SavedState {
    const { stretches } = this;
    const states = new Uint32Array(words * stretches.length);
    const strides = new Uint32Array(wordsOfCounter * stretches.length);
    stretches.forEach(({ first, stride }, i) => {
      states.set(first, words * i);
      strides.set(toWords(stride), wordsOfCounter * i);
    });
    return { states, strides, counts: Float64Array.from(stretches, ({ count }) => count) };
  }

  /** @throws FormatError */
  static from(fields: Fields): StateLog {
    const log = new StateLog();
    const counts = fields.array<Float64Array>('counts', 'Float64Array');
    const states = fields.array<Uint32Array>('states', 'Uint32Array', words * counts.length);
    const strides = fields.array<Uint32Array>('strides', 'Uint32Array', wordsOfCounter * counts.length);
    counts.forEach((count, i) => {
      if (!(Number.isSafeInteger(count) && count >= 1)) {
        throw new FormatError(`expected counts of at least 1 in the log of random states, got ${count}`);
      }
      const first = states.slice(words * i, words * (i + 1));
      const stride = fromWords(strides.subarray(wordsOfCounter * i, wordsOfCounter * (i + 1)));
      log.stretches.push({ first, count, stride });
      log.length += count;
    });
    return log;
  }
}
