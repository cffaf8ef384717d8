/** What layers are given as plain values, made into tensors. */
import { describe, isArray, isRecord, readArray } from '../arguments.ts';
import { DataError } from '../errors.ts';
import type { Dtype } from '../memory.ts';
import { checkDtype, isTensor, type Tensor, tensor, type Values } from '../tensor.ts';
import { isPlainObject, most } from '../tree.ts';
import { isArrayLike } from '../values.ts';

/**
 * What a model takes or is to return: a tensor, or values to make one of; or several. Several in an array are arguments of
 * `forward`, in a record they are one argument. Only an array with tensors or records in it is one of several: an array of
 * numbers, nested or not, is the values of one tensor, and so is an array of typed arrays, which are its rows.
 */
export type Inputs = Tensor | Values | readonly Inputs[] | { readonly [name: string]: Inputs };

/** A tensor, or arrays and records of them. */
export type Tensors = Tensor | readonly Tensors[] | { readonly [name: string]: Tensors };

/** A tensor as it is, values as a tensor of `dtype`. @throws DataError that names them. */
export function toTensor(name: string, values: Tensor | Values, dtype: Dtype): Tensor {
  if (isTensor(values)) return values;
  try {
    return tensor(values, { dtype });
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${name}: ${error.message}`);
    throw error;
  }
}

/** How deep arrays and records of tensors may lie in each other. */
const deepest = 32;

/**
 * Whether an array is one of several inputs, rather than the values of one.
 * @param seen arrays of arrays that have been looked into: who holds one many times, in many that hold each other, is not
 *   worth as many looks
 */
export function isSeveral(values: readonly unknown[], seen = new Set<unknown>(), depth = 0): boolean {
  // A proxy may say anything of its length.
  const { length } = values as { length: unknown };
  if (depth > deepest || typeof length !== 'number' || seen.has(values)) return false;
  for (let i = 0; i < length; i++) {
    const item = values[i];
    if (isTensor(item) || isPlain(item)) return true;
    if (!isArray(item)) return false;
    if (i === 0) seen.add(values);
    if (isSeveral(item, seen, depth + 1)) return true;
  }
  return false;
}

export const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  isPlainObject(value) && !isArrayLike(value);

/**
 * Tensors for inputs, in arrays and records of their own, each item read once.
 * @param convert makes a tensor of what is none
 * @throws DataError where there are none, and what `convert` throws; both name the place: 'x.image'
 */
export function readTensors(
  name: string,
  inputs: unknown,
  convert: (name: string, values: Values) => Tensor,
  depth = 0,
): Tensors {
  if (isTensor(inputs)) return inputs;
  const isArrayOfSeveral = isArray(inputs) && isSeveral(inputs);
  if (!isArrayOfSeveral && !isPlain(inputs)) return convert(name, inputs as Values);
  if (depth > deepest) {
    throw new DataError(`expected tensors in ${name.slice(0, 60)} less than ${deepest} levels deep`);
  }
  const read = (item: unknown, key: string | number) =>
    readTensors(`${name}.${key}`, item, convert, depth + 1);
  if (isArrayOfSeveral) {
    const refuse = (got: string) =>
      new DataError(`expected ${name} to be at most ${most} tensors, got ${got}`);
    return readArray(inputs, most, refuse).map(read);
  }
  const entries = Object.entries(inputs as object);
  if (entries.length === 0) throw new DataError(`expected at least one tensor in ${name}, got none`);
  return Object.fromEntries(entries.map(([key, item]) => [key, read(item, key)]));
}

/** A name that a user gave, for messages. */
export const text = (name: unknown): string => (typeof name === 'string' ? name : describe(name));

/** What a layer says of its inputs. */
interface Taker {
  readonly label: string;
  readonly inputDtype?: Dtype | Readonly<Record<string, Dtype>>;
}

/** The dtype of an input by its path, as 'words'; '' for the only one. @throws DtypeError where a layer says none. */
export function dtypesOf({ label, inputDtype }: Taker, otherwise: Dtype): (path: string) => Dtype {
  const own = inputDtype === undefined ? otherwise : inputDtype;
  if (!isRecord(own)) {
    checkDtype(label, own);
    return () => own;
  }
  const byPath = new Map<string, Dtype>(Object.entries(own));
  for (const dtype of byPath.values()) checkDtype(label, dtype);
  return (path) => byPath.get(path) ?? otherwise;
}

/**
 * Inputs as tensors, values of the dtype that the layer says or, where it says none, of another.
 * @param name what messages call all of them: 'x'
 * @throws DataError for values that make no tensor
 */
export function readInputs(layer: Taker, name: string, inputs: unknown, otherwise: Dtype): Tensors {
  const whole = text(name);
  const dtypeOf = dtypesOf(layer, otherwise);
  return readTensors(whole, inputs, (name, values) =>
    toTensor(name, values, dtypeOf(name.slice(whole.length + 1))),
  );
}
