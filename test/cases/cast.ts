/** lib/ops/cast.ts: conversion and copying. */
import { cast, clone } from '../../lib/ops/cast.ts';
import { tensor } from '../../lib/tensor.ts';
import { defineCases, given, uniform } from './case.ts';

export default defineCases({
  op: 'cast',
  cases: [
    // The difference quotient needs float64 all the way, which a pass through float32 is not.
    {
      name: 'to float32',
      inputs: [uniform([7])],
      run: (a) => cast(a, 'float32'),
      torch: 'a.to(torch.float32)',
      gradient: 'kinked',
    },
    {
      name: 'to float64',
      inputs: [uniform([7])],
      run: (a) => cast(a, 'float64'),
      torch: 'a.to(torch.float64)',
    },
    {
      name: 'not finite',
      inputs: [given([5], [Number.NaN, Infinity, -Infinity, 1e300, -0])],
      run: (a) => cast(a, 'float32'),
      torch: 'a.to(torch.float32)',
      gradient: 'kinked',
    },
    {
      name: 'to int32',
      inputs: [given([9], [1.9, -1.9, 0.5, -0.5, Number.NaN, Infinity, -Infinity, 3e9, -3e9])],
      run: (a) => cast(a, 'int32'),
      // C++ leaves the last five undefined; here they are defined.
      torch: 'torch.tensor([1, -1, 0, 0, 0, 2**31 - 1, -2**31, 2**31 - 1, -2**31])',
      gradient: 'none',
    },
    {
      name: 'from int32',
      inputs: [given([4], [1, -2, 16777217, 2147483647], 'int32')],
      run: (a) => cast(a, 'float32'),
      torch: 'a.to(torch.float32)',
      gradient: 'none',
    },
    {
      name: 'int32 to float64',
      inputs: [given([4], [1, -2, 16777217, 2147483647], 'int32')],
      run: (a) => cast(a, 'float64'),
      torch: 'a.to(torch.float64)',
      gradient: 'none',
    },
    { name: 'clone', inputs: [uniform([3, 2])], run: (a) => clone(a), torch: 'a.clone()' },
    { name: 'clone a scalar', inputs: [uniform([])], run: (a) => clone(a), torch: 'a.clone()' },
    { name: 'nothing', inputs: [uniform([0])], run: (a) => clone(a), torch: 'a.clone()' },
    {
      name: 'clone int32',
      inputs: [given([2], [5, -5], 'int32')],
      run: (a) => clone(a),
      torch: 'a.clone()',
      gradient: 'none',
    },
    {
      name: 'and itself',
      inputs: [uniform([4])],
      run: (a) => clone(a).mul(a),
      torch: 'a.clone() * a',
    },
  ],
  bad: [
    {
      name: 'dtype',
      call: () => cast(tensor([1]), 'float16' as never),
      code: 'AXPY_DTYPE',
      message: /got "float16"/,
    },
    { name: 'no tensor', call: () => clone(1 as never), code: 'AXPY_ARGUMENT', message: /a tensor/ },
  ],
  bench: [
    { name: 'to float64, 256 thousand', inputs: [uniform([1 << 18])], run: (a) => cast(a, 'float64') },
    {
      name: 'to int32, 256 thousand',
      inputs: [uniform([1 << 18])],
      run: (a) => cast(a, 'int32'),
      backward: false,
    },
  ],
});
