/** How plain values of examples become tensors. */
import { describe } from '../arguments.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { type Tensors, toTensor } from '../layers/inputs.ts';
import type { Layer } from '../layers/layer.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { isTensor, type Tensor, type Values } from '../tensor.ts';
import { leavesOf } from '../tree.ts';
import { isArrayLike, natureOf } from '../values.ts';
import type { ClassWeighing } from './classWeight.ts';
import { classLosses, type LossChoice, type LossName, lossAmong, lossesOf } from './loss.ts';
import { type TargetCheck, targetCheck } from './targets.ts';

export interface Conversion {
  /** The model's. */
  dtype: FloatDtype;
  /** The dtype of the tensor that numbers for an input become, by its path, as 'words'; '' for the only one. */
  inputDtype(path: string): Dtype;
  /** The tensors that the model makes of its input. */
  input(values: unknown, name: string): Tensors;
  /** The outputs that have a loss each. */
  outputs: readonly string[];
  /** The loss for which a flat y, or the part of it at that path, holds the labels of classes. */
  labelsAt(path: string): LossName | undefined;
  /** What makes weights of the classes of examples, where they are weighed by these. */
  classWeights?: ClassWeighing | undefined;
  /** Whether targets are in the domain of the loss, where that is known. */
  checkTargets?: TargetCheck | undefined;
}

/** The conversion for a model and a loss: its parameters' dtype, float32 without parameters. */
export function conversionFor(model: Layer, loss?: LossChoice): Conversion {
  const dtype = model.parameterDtype();
  const byOutput = lossesOf(loss);
  return {
    dtype,
    outputs: [...(byOutput?.keys() ?? [])],
    labelsAt: (path) => lossAmong(byOutput === null ? loss : byOutput.get(path)?.loss, classLosses),
    checkTargets: targetCheck(model, loss),
    inputDtype: (path) => model.inputDtypeAt(path, dtype),
    input(values, name) {
      const x = model.inputFrom(values, name, dtype);
      if (leavesOf(x, isTensor).length > 0) return x;
      throw new ArgumentError(
        `${model.label} expected inputFrom to return tensors, or arrays and records of them, got ${describe(x)}`,
      );
    },
  };
}

/** True for a typed array and for an array of nothing but numbers. */
function isFlat(values: Values): values is ArrayLike<number> {
  if (ArrayBuffer.isView(values)) return true;
  if (!isArrayLike(values)) return false;
  // Not by a method of the array, which would walk the holes of a sparse one.
  for (let i = 0; i < values.length; i++) if (typeof values[i] !== 'number') return false;
  return values.length > 0;
}

/** Targets as tensors, labels where the loss at their path reads such. @throws DataError for labels that are none */
export function toTargets(
  name: string,
  path: string,
  values: Tensor | Values,
  { dtype, labelsAt }: Conversion,
): Tensor {
  const labels = labelsAt(path);
  if (isTensor(values) || labels === undefined) return toTensor(name, values, dtype);
  // Rows of them are what labels of sequences come as.
  if (!isFlat(values)) return toTensor(name, values, natureOf(values).dtype === 'int32' ? 'int32' : dtype);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isInteger(values[i])) {
      throw new DataError(
        `expected ${name} to hold integer labels for ${labels}, got ${values[i]} at row ${i}, position 0 (counted from 0)`,
      );
    }
  }
  return toTensor(name, values, 'int32');
}
