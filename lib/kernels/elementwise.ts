/** Kernel calls turned into a list of instructions for the kernel `elementwise`. */
import { ArgumentError } from '../errors.ts';
import type { Storage } from '../memory.ts';
import { opNumber } from './instructions.ts';
import type { RecordedArgument, RecordedCall } from './recorder.ts';

/** What `elementwise` takes of a list. */
export interface Instructions {
  readonly code: Int32Array;
  readonly constants: Float64Array;
}

/** What calls compute with, by what it stands for. A scalar has one element, all others have as many each. */
export interface Roles {
  readonly outs: readonly Storage[];
  readonly ins: readonly Storage[];
  readonly scalars: readonly Storage[];
  readonly shared: readonly Storage[];
  /** What the outs and the scalars become. */
  readonly results: readonly Storage[];
}

/** A value until all constants are known, which are numbered before results. */
type Value = { readonly kind: 'input' | 'constant' | 'result'; readonly at: number };

/**
 * The list that does what the calls did.
 * @param isOwn whether memory that no call wrote was made beside the calls, and so holds what it holds for ever
 * @throws ArgumentError for a call that no instruction stands for, and for arrays from elsewhere
 */
export function instructionsOf(
  calls: readonly RecordedCall[],
  { outs, ins, scalars, shared, results }: Roles,
  isOwn: (storage: Storage) => boolean,
): Instructions {
  const inputs = [...outs, ...ins, ...scalars, ...shared];
  const lengths = new Set([outs[0].length, 1]);
  const values = new Map<Storage, Value>(inputs.map((array, at) => [array, { kind: 'input', at }]));
  const constants: number[] = [];
  const steps: { op: number; operands: (Value | null)[] }[] = [];

  const constant = (value: number): Value => {
    const found = constants.findIndex((other) => Object.is(other, value));
    return { kind: 'constant', at: found < 0 ? constants.push(value) - 1 : found };
  };
  const parameter = (value: number) => (Object.is(value, 0) ? null : constant(value));
  const read = (storage: Storage): Value => {
    const value = values.get(storage);
    if (value !== undefined) return value;
    const array = isOwn(storage) ? storage.array : null;
    if (array?.every((element) => Object.is(element, array[0]))) return constant(array[0]);
    throw new ArgumentError(
      `[elementwise] expected to compute from what is given and from numbers, got a tensor of ${storage.length} elements ` +
        'from elsewhere',
    );
  };
  const step = (out: RecordedArgument, op: number, ...operands: (Value | null)[]) => {
    const array = out as Storage;
    if (!lengths.has(array.length)) {
      throw new ArgumentError(
        `[elementwise] expected results of the shape of what is given, or scalars, got one of ${array.length} elements`,
      );
    }
    values.set(array, { kind: 'result', at: steps.push({ op, operands }) - 1 });
  };
  for (const [kernel, out, ...args] of calls) {
    if (kernel === 'unary') {
      const [x, op, p, q] = args as [Storage, number, number, number];
      step(out, opNumber('unary', op), read(x), parameter(p), parameter(q));
    } else if (kernel === 'binary') {
      const [a, b, , op] = args as [Storage, Storage, Storage | null, number];
      step(out, opNumber('binary', op), read(a), read(b));
    } else if (kernel === 'where') {
      const [condition, a, b] = args as [Storage, Storage, Storage];
      step(out, opNumber('where'), read(condition), read(a), read(b));
    } else if (kernel === 'fill') {
      values.set(out as Storage, constant(args[0] as number));
    } else {
      throw new ArgumentError(
        `[elementwise] expected elementwise ops (functions of one or two tensors, and where), got one that calls ${kernel}`,
      );
    }
  }
  const becomes = results.map(read);
  const first = { input: 0, constant: inputs.length, result: inputs.length + constants.length };
  const numberOf = (value: Value | null) => (value === null ? -1 : first[value.kind] + value.at);
  return {
    code: Int32Array.from([
      ...[outs.length, ins.length, scalars.length],
      ...becomes.map(numberOf),
      ...steps.flatMap(({ op, operands }) => [op, ...operands.map(numberOf)]),
    ]),
    constants: Float64Array.from(constants),
  };
}
