/** Exchanges of a process of its own, the only rank there is; several ranks are what test/mpi has. */
import { exchangeCode, exchangeKinds } from '../../lib/kernels/codes.ts';
import { type Float, kernels } from '../../lib/kernels/index.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';
import { defineCases } from './case.ts';
import { generator, hash } from './values.ts';

/** The state of a world of one rank that has exchanged before. */
const alone = () => Float64Array.of(1, 7, 0, 0, 0);

/** Parts that lie one after the other in memory, or each in its own. */
function parts(name: string, dtype: FloatDtype, sizes: readonly number[], isRun: boolean): Float[] {
  const next = generator(hash(name));
  const memory = allocate(
    sizes.reduce((sum, size) => sum + size, 0),
    dtype,
  ).map(() => next() - 0.5) as Float;
  let at = 0;
  return sizes.map((size) => {
    const part = memory.subarray(at, at + size) as Float;
    at += size;
    return isRun ? part : (part.slice() as Float);
  });
}

export default defineCases({
  op: 'exchanges',
  cases: [],
  direct: [
    {
      name: 'gatherings of every kind, of nothing and of as much as there may be',
      run: () => {
        const world = alone();
        for (const kind of exchangeKinds) {
          for (const width of [3, 1, 0, 16]) {
            const own = Float64Array.from({ length: width }, (_, i) => i - 0.5);
            const all = new Float64Array(width);
            kernels.allGatherBegin(all, own, world, exchangeCode[kind], width * 1000);
            kernels.allGatherEnd(all, world);
          }
        }
      },
    },
    {
      name: 'reductions of arrays that are one run of memory, of scattered ones, of nothing',
      run: (dtype) => {
        const world = alone();
        for (const [ticket, sizes] of [[5], [2, 0, 3, 33], [0], [], [1, 70_001]].entries()) {
          for (const isRun of [true, false]) {
            for (const scale of [0.25, 1, -3, 0]) {
              const own = parts(`${sizes}`, dtype, sizes, isRun);
              kernels.allReduceBegin(own, world, ticket);
              kernels.allReduceEnd(own, world, ticket, scale);
            }
          }
        }
        // Two at one time, of which the first to begin is the last to end.
        const [first, second] = ['first', 'second'].map((name) => parts(name, dtype, [4, 4], true));
        kernels.allReduceBegin(first, world, 255);
        kernels.allReduceBegin(second, world, 0);
        kernels.allReduceEnd(second, world, 0, 0.5);
        kernels.allReduceEnd(first, world, 255, 0.5);
      },
    },
    {
      name: 'broadcasts of every type',
      run: (dtype) => {
        const world = alone();
        kernels.broadcast(parts('floats', dtype, [3, 0, 2], false), world, 0);
        kernels.broadcast([Int32Array.of(1, -2, 3), new Int32Array(0)], world, 0);
        kernels.broadcast([], world, 0);
      },
    },
    {
      name: 'scatterings of every type, of nothing',
      run: (dtype) => {
        const world = alone();
        for (const length of [5, 1, 0]) {
          const [part, all] = ['part', 'all'].map((name) => parts(name, dtype, [length], true)[0]);
          kernels.scatter(part, all, Int32Array.of(length), world, 0);
          const integers = Int32Array.from({ length }, (_, i) => 2 ** 30 - i);
          kernels.scatter(new Int32Array(length), integers, Int32Array.of(length), world, 0);
        }
      },
    },
  ],
  bad: [],
  bench: [],
});
