/** What ends an operator within its kernel call, where that is possible, and else after it. */

import type { Activation } from '../../ops/epilogue.ts';
import { unary } from '../../ops/unary.ts';
import type { Tensor } from '../../tensor.ts';
import type { NodeConfig, OnnxNode } from '../node.ts';
import { readNumber } from '../node.ts';

export type FusedActivation = Activation | null;

/** y, after the activation that the node was given. */
export function applyActivation({ activation }: OnnxNode, y: Tensor): Tensor {
  return activation === null ? y : unary(activation.op, y, activation.parameter);
}

/** Those that take an activation. */
export const takesActivation: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'BatchNormalization',
  'Gemm',
  'MatMul',
  'axpy:Dense',
]);

/** An operator as an activation that kernels apply; null for what is none. */
export function activationOf({ op, attributes }: NodeConfig): FusedActivation {
  const alpha = (otherwise: number) => {
    const given = readNumber(attributes.alpha ?? otherwise);
    return typeof given === 'number' && Number.isFinite(given) && given >= 0 ? given : null;
  };
  const plain = { Relu: 'relu', Sigmoid: 'sigmoid', Tanh: 'tanh', Softplus: 'softplus' } as const;
  if (Object.hasOwn(plain, op)) return { op: plain[op as keyof typeof plain], parameter: 0 };
  if (op !== 'LeakyRelu' && op !== 'Elu') return null;
  const parameter = alpha(op === 'Elu' ? 1 : 0.01);
  return parameter === null ? null : { op: op === 'Elu' ? 'elu' : 'leakyRelu', parameter };
}
