/** What ends a product or a convolution within the same kernel call: the bias and the activation. */
import { isRecord } from '../arguments.ts';
import { contribute, isAsked } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import {
  type Float,
  gradientFromOutput,
  kernels,
  reduceCode,
  type UnaryOp,
  unaryCode,
} from '../kernels/index.ts';
import { show } from '../shape.ts';
import { checkElements, checkSameFloat, checkTensor, type Tensor } from '../tensor.ts';
import { sumToShape } from './derivative.ts';
import { unaryDerivative } from './unaryDerivative.ts';

/** An elementwise activation with its first parameter. */
export interface Activation {
  op: UnaryOp;
  parameter: number;
}

const fusable: ReadonlySet<unknown> = new Set<UnaryOp>(gradientFromOutput);

/** True when the gradient needs only the activation's output, so that the sum z = XWᵀ + b need not be kept. */
export function canFuse(activation: Activation): boolean {
  return fusable.has(activation.op);
}

/** An activation, read once. @throws ArgumentError unless it is null or one that `canFuse`. */
export function readActivation(op: string, activation: Activation | null): Activation | null {
  if (activation === null) return null;
  if (isRecord(activation)) {
    const own = { op: activation.op, parameter: activation.parameter };
    if (canFuse(own) && Number.isFinite(own.parameter)) return own;
  }
  throw new ArgumentError(
    `[${op}] expected activation to be null or { op, parameter } with op among ${gradientFromOutput.join(', ')}`,
  );
}

/** @throws ArgumentError, DtypeError, ShapeError or DataError unless it is null or a vector of this length, of x's dtype. */
export function checkVector(
  op: string,
  x: Tensor,
  vector: Tensor | null,
  name: string,
  length: number,
): void {
  if (vector === null) return;
  checkTensor(op, vector, name);
  checkSameFloat(op, x, vector);
  if (vector.rank !== 1 || vector.size !== length) {
    throw new ShapeError(`[${op}] expected ${name} [${length}], got ${show(vector.shape)}`);
  }
  checkElements(op, vector);
}

/** The code that kernels take; −1 for none. */
export function activationCode(activation: Activation | null): number {
  return activation === null ? -1 : unaryCode[activation.op];
}

/** dz in ops, as what follows computes it in place. */
export function epilogueDerivative(dy: Tensor, y: Tensor, activation: Activation | null): Tensor {
  return activation === null ? dy : unaryDerivative(activation.op, dy, y, activation.parameter, 0);
}

/** db in ops, the sum of dz over all but the last axis. */
export function biasDerivative(dz: Tensor, bias: Tensor | null): () => Tensor | null {
  return () => bias && sumToShape(dz, bias.shape);
}

/**
 * The backward pass of the epilogue of y = g(z + b), rows × columns: turns dy into dz, in place, and contributes
 * db = Σ dz over the rows. The gradient that an op's backward receives is its own, so that it may be overwritten.
 */
export function epilogueGradient(
  dy: Float,
  y: Float,
  bias: Tensor | null,
  activation: Activation | null,
  rows: number,
  columns: number,
): void {
  const code = activationCode(activation);
  const parameter = activation?.parameter ?? 0;
  if (activation === null) {
    if (bias) contribute(bias, (db) => kernels.reduce(db, dy, 1, rows, columns, 1, reduceCode.sum, 1));
  } else if (isAsked(bias)) {
    contribute(bias, (db) => kernels.epilogueGradient(dy, db, dy, y, rows, columns, code, parameter));
  } else {
    kernels.epilogueGradient(dy, null, dy, y, rows, columns, code, parameter);
  }
}
