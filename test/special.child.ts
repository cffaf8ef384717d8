/**
 * Calls of every kernel with special values in their arrays, on both implementations. Prints what is wrong with them, and
 * which codes and types they had.
 *
 *     npx tsx test/special.child.ts [calls of each kernel, four times as many of those with ops] [seed] [kernel]
 */
import fc from 'fast-check';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { loadNative } from '../lib/kernels/native.ts';
import { arraysOf, replay } from './contract/call.ts';
import { compareWithin, showCall } from './contract/compare.ts';
import { codesOf, kernelNames, parameterIndex, signatures } from './contract/signature.ts';
import { specialCall } from './contract/special.ts';

const [runs = '100', seed = '20261125', only] = process.argv.slice(2);
const addon = loadNative();
const problems: string[] = [];
const met = new Set<string>();
for (const kernel of kernelNames) {
  if (only !== undefined && kernel !== only) continue;
  const count = Number(runs) * (parameterIndex(kernel, 'op') >= 0 ? 4 : 1);
  for (let i = 0; i < count; i++) {
    // One op after the other, so that none is left out.
    const [call] = fc.sample(specialCall(kernel, fc.constant(i)), { numRuns: 1, seed: Number(seed) + i });
    const { args } = call;
    const type = arraysOf(args)[0]?.array.constructor.name;
    const codes = signatures
      .get(kernel)!
      .map(({ name }, i) => codesOf(kernel, name)?.[args[i] as number] ?? '');
    met.add(`${kernel} ${codes.join('')} ${type}`);
    const outcomes = [replay(fallback, call), replay(addon, call)] as const;
    const problem = compareWithin(call, ...outcomes, { special: true });
    if (problem !== null) problems.push(`${problem}\n${showCall(call)}`);
  }
}
console.log(JSON.stringify({ simd: addon.info().simd, problems, met: [...met] }));
