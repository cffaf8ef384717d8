/** Items in a random order, drawn from a buffer. */
import { kernels } from '../kernels/index.ts';
import { defaultState, randomState } from '../random.ts';
import { type End, end, more, type Pull, until } from './pull.ts';

/** How many words are drawn at a time. */
const words = 256;

/** The order of a pass: of a seed a stretch of its numbers for each pass, of the default state a seed. */
function stateOf(seed: number | undefined, pass: number): Uint32Array {
  if (seed === undefined) {
    const state = randomState(0);
    const drawn = new Uint32Array(2);
    kernels.randomBits(drawn, defaultState);
    state.set(drawn);
    return state;
  }
  const state = randomState(seed);
  // The highest word of the counter, which no pass reaches by counting.
  state[5] = pass;
  return state;
}

export function shuffled<Item>(
  source: Pull<Item>,
  size: number,
  seed: number | undefined,
  pass: number,
): Pull<Item> {
  let state: Uint32Array | null = null;
  const drawn = new Uint32Array(words);
  let used = words;
  const draw = (below: number): number => {
    state ??= stateOf(seed, pass);
    if (used === words) {
      kernels.randomBits(drawn, state);
      used = 0;
    }
    return Math.floor((drawn[used++] / 2 ** 32) * below);
  };
  const buffer: Item[] = [];
  let isOver = false;
  const fill = (item: Item | End): Item | End | typeof more => {
    if (item === end) isOver = true;
    else buffer.push(item);
    return isOver || buffer.length === size ? pick() : more;
  };
  const pick = (): Item | End => {
    const { length } = buffer;
    if (length === 0) return end;
    const at = draw(length);
    const item = buffer[at];
    buffer[at] = buffer[length - 1];
    buffer.pop();
    return item;
  };
  // Each draw leaves one place free, until the source has no more.
  const next = () => (isOver ? pick() : until(source, fill));
  return { next, close: () => source.close() };
}
