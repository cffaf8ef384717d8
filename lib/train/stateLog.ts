/** The random states before each batch that an iterator was asked for: it may draw from them, and draws again when it is gone through anew. */
import { FormatError } from '../errors.ts';
import { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import type { RandomState } from '../random.ts';

/** States of one key at equal distances: as steps are mostly alike, there are few. */
interface Stretch {
  readonly first: Uint32Array;
  count: number;
  /** How far the counter moves. */
  stride: bigint;
}

const counterOf = (state: RandomState): bigint =>
  state.slice(2).reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);

function stateAt({ first, stride }: Stretch, i: number): Uint32Array {
  const state = first.slice();
  const counter = BigInt.asUintN(128, counterOf(first) + BigInt(i) * stride);
  for (let word = 0; word < 4; word++) state[2 + word] = Number((counter >> BigInt(32 * word)) & 0xffffffffn);
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

  stateDict(): SavedState {
    return this.stretches.map(({ first, count, stride }) => ({ first, count, stride: String(stride) }));
  }

  /** @throws FormatError */
  static from(where: string, state: readonly SavedState[]): StateLog {
    const log = new StateLog();
    for (const one of state) {
      const fields = new Fields(where, one);
      const stride = fields.text('stride');
      const first = fields.array<Uint32Array>('first', 'Uint32Array', 6);
      const count = fields.count('count');
      if (!/^\d{1,40}$/.test(stride)) throw new FormatError(`${where}: expected stride to be an integer`);
      log.stretches.push({ first, count, stride: BigInt(stride) });
      log.length += count;
    }
    return log;
  }
}
