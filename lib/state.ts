/** State by name, as layers and optimizers give it and take it back: all is read and checked before anything is written. */
import { describe, isRecord } from './arguments.ts';
import { ArgumentError, ShapeError } from './errors.ts';
import { sameShape, show } from './shape.ts';
import { checkElements, checkTensor, type Tensor } from './tensor.ts';

export type Named<Kind> = [name: string, value: Kind][];

/**
 * The values of a record, each read once, in the order of the names.
 * @throws ArgumentError unless it has these names and no others.
 */
export function readNamed<Value>(
  op: string,
  names: readonly string[],
  given: Readonly<Record<string, Value>>,
): Value[] {
  if (!isRecord(given)) {
    throw new ArgumentError(`[${op}] expected values by name, got ${describe(given)}`);
  }
  const known = new Set(names);
  const missing = names.filter((name) => !Object.hasOwn(given, name));
  const unknown = Object.keys(given).filter((name) => !known.has(name));
  if (missing.length + unknown.length > 0) {
    throw new ArgumentError(
      `[${op}] expected the names ${nameList(names)}; missing: ${nameList(missing)}; unknown: ${nameList(unknown)}`,
    );
  }
  return names.map((name) => given[name]);
}

/** Some names, for messages. */
export function nameList(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const some = names.slice(0, 8).map((name) => name.slice(0, 60));
  return some.join(', ') + (names.length > some.length ? `, … (${names.length})` : '');
}

/**
 * The tensors of a record, for those of these names.
 * @throws ArgumentError when a name is missing or unknown or names no tensor, ShapeError when a shape or dtype differs,
 *   DataError for a tensor whose buffer was detached.
 */
export function readTensors(
  op: string,
  own: Readonly<Named<Tensor>>,
  given: Readonly<Record<string, Tensor>>,
): Tensor[] {
  const names = own.map(([name]) => name);
  return readNamed(op, names, given).map((x, i) => {
    const [name, { shape, dtype }] = own[i];
    checkTensor(op, x, name);
    if (x.dtype !== dtype || !sameShape(x.shape, shape)) {
      throw new ShapeError(
        `[${op}] expected ${name} to be ${dtype} ${show(shape)}, got ${x.dtype} ${show(x.shape)}`,
      );
    }
    checkElements(op, x);
    return x;
  });
}

/** Their values. @throws as `readTensors` */
export function readState(
  op: string,
  own: Readonly<Named<Tensor>>,
  given: Readonly<Record<string, Tensor>>,
): Tensor['data'][] {
  return readTensors(op, own, given).map((x) => x.data);
}
