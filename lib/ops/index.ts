/** The ops that are methods of Tensor: one line each, and the type of the methods follows from it. */
import { Tensor } from '../tensor.ts';
import * as binary from './binary.ts';
import { broadcastTo } from './broadcastTo.ts';
import { cast, clone } from './cast.ts';
import { gather } from './gather.ts';
import { matmul } from './matmul.ts';
import * as reduce from './reduce.ts';
import { flatten, reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { logSoftmax, softmax } from './softmax.ts';
import { transpose } from './transpose.ts';
import * as unary from './unary.ts';

const methods = {
  add: binary.add,
  sub: binary.sub,
  mul: binary.mul,
  div: binary.div,
  pow: binary.pow,
  maximum: binary.maximum,
  minimum: binary.minimum,
  equal: binary.equal,
  notEqual: binary.notEqual,
  greater: binary.greater,
  greaterEqual: binary.greaterEqual,
  less: binary.less,
  lessEqual: binary.lessEqual,
  neg: unary.neg,
  exp: unary.exp,
  log: unary.log,
  sqrt: unary.sqrt,
  abs: unary.abs,
  square: unary.square,
  reciprocal: unary.reciprocal,
  sign: unary.sign,
  clip: unary.clip,
  relu: unary.relu,
  leakyRelu: unary.leakyRelu,
  elu: unary.elu,
  gelu: unary.gelu,
  silu: unary.silu,
  softplus: unary.softplus,
  sigmoid: unary.sigmoid,
  tanh: unary.tanh,
  sum: reduce.sum,
  mean: reduce.mean,
  max: reduce.max,
  min: reduce.min,
  variance: reduce.variance,
  argmax: reduce.argmax,
  softmax,
  logSoftmax,
  matmul,
  transpose,
  reshape,
  flatten,
  slice,
  gather,
  broadcastTo,
  cast,
  clone,
};

type Method<Op> = Op extends (x: Tensor, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

export type TensorMethods = { [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

for (const [name, op] of Object.entries(methods) as [string, (x: Tensor, ...rest: unknown[]) => Tensor][]) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]): Tensor {
      return op(this, ...rest);
    },
  });
}
