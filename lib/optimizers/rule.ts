/** A rule of an optimizer, a function of tensors, turned into instructions that run for all parameters in one call. */
import { describe, isRecord } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError } from '../errors.ts';
import { type Instructions, instructionsOf } from '../kernels/elementwise.ts';
import { withKernels } from '../kernels/index.ts';
import { Recording, record, recordingKernels } from '../kernels/recorder.ts';
import { Storage } from '../memory.ts';
import { readNamed } from '../state.ts';
import { checkTensor, Tensor } from '../tensor.ts';

/** Tensors by name. */
export type Values = Record<string, Tensor>;

/** How many elements a stand-in for a parameter has: other than 1, which a scalar has. */
const size = 2;

/** What a rule gets, by name. */
export interface Names {
  /** Updated, as large as the parameter: the parameter itself comes first. */
  readonly outs: readonly string[];
  readonly ins: readonly string[];
  /** One number for each parameter, that stays. */
  readonly flags: readonly string[];
  /** Updated, one number for each parameter. */
  readonly scalars: readonly string[];
  /** One number for all parameters. */
  readonly shared: readonly string[];
}

/** Runs `fn` once, on stand-ins in float64, for what it does to any arrays. */
export function traceRule(names: Names, fn: (values: Values, shared: Values) => Values): Instructions {
  const standIns = (list: readonly string[], shape: readonly number[]): Values =>
    Object.fromEntries(
      list.map((name) => [name, new Tensor(new Storage('float64', shape[0] ?? 1, null), shape, 'float64')]),
    );
  const [outs, ins] = [standIns(names.outs, [size]), standIns(names.ins, [size])];
  const [flags, scalars, shared] = [names.flags, names.scalars, names.shared].map((list) =>
    standIns(list, []),
  );
  const storages = (values: Values): Storage[] => Object.values(values).map(({ storage }) => storage);
  const inputs = [outs, ins, flags, scalars, shared].flatMap(storages);
  const into = new Recording(new Set(inputs));
  const run = () => fn({ ...outs, ...ins, ...flags, ...scalars }, shared);
  const results = withKernels(recordingKernels, () =>
    record(into, () => noGrad(() => readResults({ ...outs, ...scalars }, run()))),
  ).map(({ storage }) => storage);
  const roles = {
    outs: storages(outs),
    ins: storages(ins),
    scalars: [...storages(flags), ...storages(scalars)],
    shared: storages(shared),
    results: [
      ...results.slice(0, names.outs.length),
      ...storages(flags),
      ...results.slice(names.outs.length),
    ],
  };
  return instructionsOf(into.calls, roles, (storage) => into.owns(storage));
}

/** What a rule returned, in the order of what it updates. */
function readResults(updated: Values, returned: Values): Tensor[] {
  if (!isRecord(returned)) {
    throw new ArgumentError(`[rule] expected a record of tensors to be returned, got ${describe(returned)}`);
  }
  const names = Object.keys(updated);
  return readNamed('rule', names, returned).map((x, i) => {
    checkTensor('rule', x, names[i]);
    const wanted = updated[names[i]];
    if (x.dtype !== wanted.dtype || x.size !== wanted.size) {
      const kind = wanted.size === 1 ? 'a scalar' : 'of the shape of the parameter';
      throw new ArgumentError(`[rule] expected ${names[i]} to be ${kind}, got another shape or dtype`);
    }
    return x;
  });
}
