/** Weights of examples: what the loss of each counts. */
import { describe } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError, DataError, ShapeError } from '../errors.ts';
import { place } from '../finite.ts';
import { isPlain, type Tensors, toTensor } from '../layers/inputs.ts';
import type { FloatDtype } from '../memory.ts';
import { mul } from '../ops/binary.ts';
import { cast } from '../ops/cast.ts';
import { mean } from '../ops/reduce.ts';
import { reshape } from '../ops/reshape.ts';
import { type Shape, show } from '../shape.ts';
import { checkFloat, checkTensor, isTensor, type Tensor, type Values } from '../tensor.ts';

/**
 * What the loss of each example counts, numbers of at least 0: [examples], or [examples, positions] where a loss is one of
 * positions; where each output has a loss of its own, for all of them or by the names of outputs.
 */
export type SampleWeight = Tensor | Values | { readonly [output: string]: Tensor | Values };

/**
 * Weights as tensors of a dtype, in a record where they are given by output.
 * @param name what messages call them, as in 'validation.sampleWeight'
 * @param outputs the outputs that have a loss each
 * @throws DataError for what is no weight, or a record that names something else than these
 */
export function readWeights(
  name: string,
  given: unknown,
  dtype: FloatDtype,
  outputs: readonly string[],
): Tensors {
  if (isTensor(given) || !isPlain(given)) return readWeight(name, given, dtype);
  const entries = Object.entries(given);
  const other = entries.find(([output]) => !outputs.includes(output));
  if (other === undefined && entries.length > 0) {
    return Object.fromEntries(
      entries.map(([output, own]) => [output, readWeight(`${name}.${output}`, own, dtype)]),
    );
  }
  const expected =
    outputs.length > 0
      ? `hold weights by the names of outputs, ${outputs.join(', ')}`
      : 'be weights [examples], as there is one loss for all outputs';
  throw new DataError(
    `expected ${name} to ${expected}, got ${other === undefined ? 'an empty record' : `a record with ${describe(other[0])}`}`,
  );
}

function readWeight(name: string, given: unknown, dtype: FloatDtype): Tensor {
  const own = toTensor(name, given as Tensor | Values, dtype);
  const weights = noGrad(() => cast(own, dtype));
  const { data } = weights;
  for (let i = 0; i < data.length; i++) {
    if (data[i] >= 0 && data[i] < Infinity) continue;
    throw new DataError(
      `expected ${name} to hold finite weights of at least 0, got ${data[i]} at ` +
        (weights.rank > 0 ? place(weights, i) : 'its only place'),
    );
  }
  return weights;
}

/** Those of an output; null for 1. */
export function weightsOf(weights: Tensors | null, output: string): Tensor | null {
  if (weights === null || isTensor(weights)) return weights;
  return (weights as Readonly<Record<string, Tensor>>)[output] ?? null;
}

/** The shape of weights without what may follow for each example alone: [n] for a column [n, 1]. */
function lead({ shape }: Tensor): Shape {
  let { length } = shape;
  while (length > 1 && shape[length - 1] === 1) length--;
  return shape.slice(0, length);
}

/** The weights such that they broadcast to losses of a rank. */
function aligned(weights: Tensor, rank: number): Tensor {
  const own = lead(weights);
  return reshape(weights, [...own, ...Array.from({ length: rank - own.length }, () => 1)]);
}

/** Weights of examples times others, of the same ones or of positions in them. @throws ShapeError */
export function weightsTimes(a: Tensor, b: Tensor): Tensor {
  const [own, other] = [lead(a), lead(b)];
  if (own.some((size, axis) => axis < other.length && size !== other[axis])) {
    throw new ShapeError(`expected weights ${show(b.shape)}, as those by class are, got ${show(a.shape)}`);
  }
  const rank = Math.max(own.length, other.length);
  return noGrad(() => mul(aligned(a, rank), aligned(b, rank)));
}

/**
 * The mean over a batch of weight × loss, where what a loss is of, positions say, has the weight of its example.
 * @throws ArgumentError for the loss of a whole batch, ShapeError for losses of something else than these examples
 */
export function weightedMean(losses: Tensor, weights: Tensor): Tensor {
  checkTensor('loss', losses, 'the result of the loss function');
  checkFloat('loss', losses);
  if (losses.rank === 0) {
    throw new ArgumentError(
      '[loss] expected a function that returns the loss of each example, as examples have weights, got one number for all ' +
        "of them: take no mean, and pass { reduction: 'none' } to functions of losses",
    );
  }
  const own = lead(weights);
  if (own.length > losses.rank || own.some((size, axis) => size !== losses.shape[axis])) {
    throw new ShapeError(
      `[loss] expected weights for losses ${show(losses.shape)}, of their first axis or more of them, got ${show(weights.shape)}`,
    );
  }
  const factors = aligned(weights, losses.rank);
  return mean(mul(losses, factors.dtype === losses.dtype ? factors : cast(factors, losses.dtype)));
}
