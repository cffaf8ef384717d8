/** Activation functions by name, for layers. */
import { describe, isFunction } from './arguments.ts';
import { ArgumentError } from './errors.ts';
import type { Activation } from './ops/epilogue.ts';
import { logSoftmax, softmax } from './ops/softmax.ts';
import * as unary from './ops/unary.ts';
import type { Tensor } from './tensor.ts';

const functions = {
  linear: (x: Tensor): Tensor => x,
  relu: unary.relu,
  leakyRelu: (x: Tensor): Tensor => unary.leakyRelu(x),
  elu: (x: Tensor): Tensor => unary.elu(x),
  gelu: unary.gelu,
  silu: unary.silu,
  softplus: unary.softplus,
  sigmoid: unary.sigmoid,
  tanh: unary.tanh,
  softmax: (x: Tensor): Tensor => softmax(x),
  logSoftmax: (x: Tensor): Tensor => logSoftmax(x),
};

/** An activation by name. */
export type ActivationName = keyof typeof functions;
/** One of your own, made of ops. */
export type ActivationFunction = (x: Tensor) => Tensor;

/** Those that the product can apply in passing, with the defaults of their functions. */
const fused: Partial<Record<ActivationName, Activation>> = {
  relu: { op: 'relu', parameter: 0 },
  leakyRelu: { op: 'leakyRelu', parameter: 0.01 },
  elu: { op: 'elu', parameter: 1 },
  softplus: { op: 'softplus', parameter: 0 },
  sigmoid: { op: 'sigmoid', parameter: 0 },
  tanh: { op: 'tanh', parameter: 0 },
};

/** The function of a name, or a function as it is. @throws ArgumentError for anything else. */
export function resolveActivation(activation: ActivationName | ActivationFunction): ActivationFunction {
  if (isFunction(activation)) return activation;
  if (typeof activation === 'string' && Object.hasOwn(functions, activation)) return functions[activation];
  const known = Object.keys(functions).join(', ');
  throw new ArgumentError(
    `expected activation to be one of ${known} or a function, got ${describe(activation)}`,
  );
}

/** How the product can apply this activation, or null when it cannot. */
export function fusedActivation(activation: ActivationName | ActivationFunction): Activation | null {
  return typeof activation === 'string' && Object.hasOwn(fused, activation) ? fused[activation]! : null;
}
