/** lib/ops/classify.ts: which elements are ordinary numbers. */
import * as ops from '../../lib/ops/classify.ts';
import { type Case, constant, defineCases, given, uniform } from './case.ts';

const numbers = [0, -0, 1, Number.NaN, Infinity, -Infinity, 1e-40, -3e38];

export default defineCases({
  op: 'classify',
  cases: Object.entries({
    isNaN: [ops.isNaN, 'isnan'],
    isFinite: [ops.isFinite, 'isfinite'],
  } as const).flatMap(([name, [run, torch]]): Case[] => [
    {
      name,
      inputs: [given([8], numbers)],
      run,
      torch: `torch.${torch}(a).to(torch.float64)`,
      gradient: 'none',
    },
    {
      name: `${name}, nothing`,
      inputs: [constant(uniform([0, 2]))],
      run,
      torch: `torch.${torch}(a).to(torch.float64)`,
      gradient: 'none',
    },
    {
      name: `${name}, int32`,
      inputs: [given([2], [0, 7], 'int32')],
      run,
      torch: `torch.${torch}(a).to(torch.int32)`,
      gradient: 'none',
    },
  ]),
  bad: Object.entries({ isNaN: ops.isNaN, isFinite: ops.isFinite }).map(([name, call]) => ({
    name,
    call: () => call(1 as never),
    code: 'AXPY_ARGUMENT',
    message: /a tensor, got 1/,
  })),
  bench: [],
});
