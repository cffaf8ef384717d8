/** Gradients made smaller, between backward and the step of an optimizer; in a compiled function as well. */
import { describe, readIterable } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { completeGradients } from '../distributed/reducer.ts';
import { ArgumentError } from '../errors.ts';
import { add, div } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { mul_ } from '../ops/inPlace.ts';
import { sum } from '../ops/reduce.ts';
import { clip, reciprocal, sqrt, square } from '../ops/unary.ts';
import { checkTensor, type Tensor } from '../tensor.ts';

/** The gradients that there are. @throws ArgumentError unless parameters are tensors and the limit is above 0. */
function gradientsOf(op: string, parameters: Iterable<Tensor>, limit: number): Tensor[] {
  if (!(typeof limit === 'number' && limit > 0)) {
    throw new ArgumentError(`[${op}] expected a limit above 0, got ${describe(limit)}`);
  }
  const given = readIterable(parameters);
  if (given === null) {
    throw new ArgumentError(`[${op}] expected parameters to be an iterable, got ${describe(parameters)}`);
  }
  const own: Tensor[] = [];
  // Checked as they come: an iterable need not have an end.
  for (const parameter of given) {
    checkTensor(op, parameter, 'each parameter');
    own.push(parameter);
  }
  completeGradients(own);
  return own.map(({ grad }) => grad).filter((grad): grad is Tensor => grad !== null);
}

/**
 * Scales all gradients by one factor where their common norm, √Σ‖g‖², is above a limit, so that it becomes the limit
 * (Pascanu, Mikolov & Bengio, 2013); as PyTorch's `clip_grad_norm_`.
 * @returns the norm before, a scalar of the dtype of the first gradient; null without gradients
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): Tensor | null {
  const gradients = gradientsOf('clipGradNorm', parameters, maxNorm);
  if (gradients.length === 0) return null;
  const { dtype } = gradients[0];
  return noGrad(() => {
    const squares = gradients.map((gradient) => cast(sum(square(gradient)), dtype));
    const norm = sqrt(squares.reduce((total, one) => add(total, one)));
    // PyTorch's constant, for a norm of 0.
    const factor = clip(reciprocal(div(add(norm, 1e-6), maxNorm)), 0, 1);
    for (const gradient of gradients)
      mul_(gradient, gradient.dtype === dtype ? factor : cast(factor, gradient.dtype));
    return norm;
  });
}

/** Limits each element of all gradients to [−limit, limit]; as PyTorch's `clip_grad_value_`. */
export function clipGradValue(parameters: Iterable<Tensor>, limit: number): void {
  for (const gradient of gradientsOf('clipGradValue', parameters, limit)) {
    gradient.assign(noGrad(() => clip(gradient, -limit, limit)));
  }
}
