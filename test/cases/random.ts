/** The kernels that draw or set numbers, which no differentiable op reaches. */
import { kernels } from '../../lib/kernels/index.ts';
import { allocate } from '../../lib/memory.ts';
import { randomState } from '../../lib/random.ts';
import { type DirectCase, defineCases } from './case.ts';

/** Lengths around the four words of a Philox block, and past what one thread takes. */
const lengths = [0, 1, 2, 3, 4, 5, 7, 8, 37, 1031];

/** A state whose counter carries over from word to word. */
function aboutToCarry(): Uint32Array {
  const state = randomState(5);
  state.set([0xfffffffe, 0xffffffff, 0xffffffff, 0], 2);
  return state;
}

/** A state whose counter wraps around to 0. */
function aboutToWrap(): Uint32Array {
  const state = randomState(6);
  state.fill(0xffffffff, 2);
  return state;
}

const states: readonly (readonly [string, () => Uint32Array])[] = [
  ['seed 0', () => randomState(0)],
  ['seed past 32 bits', () => randomState(2 ** 52 + 12345)],
  ['carry', aboutToCarry],
  ['wrap', aboutToWrap],
];

function drawing(
  name: string,
  draw: (dtype: 'float32' | 'float64', length: number, state: Uint32Array) => void,
): DirectCase[] {
  return states.map(([title, state]) => ({
    name: `${name}, ${title}`,
    run: (dtype) => {
      // One state for all lengths: each call begins where the one before stopped.
      const shared = state();
      for (const length of lengths) draw(dtype, length, shared);
    },
  }));
}

export default defineCases({
  op: 'random',
  cases: [],
  direct: [
    ...drawing('randomBits', (_, length, state) => kernels.randomBits(new Uint32Array(length), state)),
    ...drawing('randomUniform', (dtype, length, state) =>
      kernels.randomUniform(allocate(length, dtype), state, -2, 3),
    ),
    ...drawing('randomNormal', (dtype, length, state) =>
      kernels.randomNormal(allocate(length, dtype), state, 1, 0.5),
    ),
    ...drawing('dropoutMask', (dtype, length, state) =>
      kernels.dropoutMask(allocate(length, dtype), state, 0.25),
    ),
    {
      name: 'a range of one value',
      run: (dtype) => kernels.randomUniform(allocate(5, dtype), randomState(1), 2, 2),
    },
    {
      name: 'a range that float32 rounds up',
      // The next float32 after 1: every number rounds to a border, and never to the upper one.
      run: (dtype) => kernels.randomUniform(allocate(64, dtype), randomState(1), 1, 1 + 2 ** -23),
    },
    { name: 'no deviation', run: (dtype) => kernels.randomNormal(allocate(5, dtype), randomState(1), 3, 0) },
    {
      name: 'fill',
      run: (dtype) => {
        for (const length of [0, 1, 37]) kernels.fill(allocate(length, dtype), 1.1);
        for (const value of [Number.NaN, Infinity, -Infinity, -0, 1e300])
          kernels.fill(allocate(5, dtype), value);
      },
    },
    {
      name: 'fill int32',
      run: () => {
        for (const value of [0, 1.9, -1.9, 2147483647, -2147483648]) kernels.fill(new Int32Array(5), value);
      },
    },
    {
      name: 'cast between all types',
      run: (dtype) => {
        const x = allocate(4, dtype);
        x.set([1.5, -2.5, 1e10, Number.NaN]);
        for (const out of [new Float32Array(4), new Float64Array(4), new Int32Array(4)]) {
          kernels.cast(out, x);
          kernels.cast(out, Int32Array.of(1, -1, 2147483647, -2147483648));
        }
      },
    },
  ],
  bad: [],
  bench: [],
});
