/** Gradients as values: of outputs with respect to inputs, and of functions. What they return can be differentiated again. */
import { checkBoolean, checkFunction, describe, isArray, readList, readOptions } from './arguments.ts';
import { isGradEnabled, synchronous, withGrad } from './autograd.ts';
import { checkRoot, derive, runGradients } from './backward.ts';
import { zeros } from './create.ts';
import { ArgumentError, AutogradError } from './errors.ts';
import type { Float } from './kernels/index.ts';
import { reshape } from './ops/reshape.ts';
import { show } from './shape.ts';
import { checkGradient, checkTensor, floats, isTensor, onesLike, Tensor } from './tensor.ts';
import { leavesOf, mapTree } from './tree.ts';

/** Options of `gradients`. */
export interface GradientsOptions {
  /** dL/doutput for each output, in their order, or for the only one; null, and by default, 1 for a tensor of one element. */
  gradOutputs?: Tensor | null | readonly (Tensor | null)[];
  /** Whether the gradients have a history, so that they can be differentiated. Default false. */
  createGraph?: boolean;
  /** Whether the history of the outputs can be used again. Default: `createGraph`. */
  retainGraph?: boolean;
  /** Whether an input that no output depends on has the gradient null, instead of being an error. Default false. */
  allowUnused?: boolean;
}

/**
 * dL/dinputs for outputs that were computed from them, as PyTorch's `torch.autograd.grad`: nothing is added to the `grad` of any
 * tensor, and no gradient is computed that is not asked for. Inputs may be leaves or computed tensors.
 *
 *     const [dx] = gradients(y.sum(), [x], { createGraph: true });
 *     dx.square().sum().backward();  // of the gradient
 *
 * @param inputs one tensor, whose gradient is returned, or a list of them, with the list of theirs
 * @throws AutogradError for what has no history, or one that was used up, for an input that is not used and, with createGraph,
 *   for an op without a second derivative, which it names.
 */
export function gradients(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor,
  options: GradientsOptions & { allowUnused: true },
): Tensor | null;
export function gradients(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor,
  options?: GradientsOptions,
): Tensor;
export function gradients(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradientsOptions & { allowUnused: true },
): (Tensor | null)[];
export function gradients(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options?: GradientsOptions,
): Tensor[];
export function gradients(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradientsOptions = {},
): Tensor | null | (Tensor | null)[] {
  const op = 'gradients';
  const roots = readTensors(op, 'outputs', outputs);
  const sought = readTensors(op, 'inputs', inputs);
  const {
    gradOutputs = null,
    createGraph = false,
    retainGraph = createGraph,
    allowUnused = false,
  } = readOptions(op, options, ['gradOutputs', 'createGraph', 'retainGraph', 'allowUnused']);
  for (const [name, value] of Object.entries({ createGraph, retainGraph, allowUnused })) {
    checkBoolean(op, name, value);
  }
  for (const input of sought) {
    if (input.requiresGrad) continue;
    throw new AutogradError(`[${op}] expected inputs with a history or requiresGrad, got one without`);
  }
  const seeds = readSeeds(op, roots, gradOutputs);
  const found = createGraph
    ? withHistory(roots, seeds, sought, retainGraph)
    : withoutHistory(roots, seeds, sought, retainGraph);
  const unused = found.indexOf(null);
  if (unused >= 0 && !allowUnused) {
    throw new AutogradError(
      `[${op}] expected outputs that depend on each input, got none for input ${unused} of shape ` +
        `${show(sought[unused].shape)}: allowUnused gives null for it`,
    );
  }
  return isTensor(inputs) ? found[0] : found;
}

/** A tensor, or a list of at least one. */
function readTensors(op: string, name: string, given: Tensor | readonly Tensor[]): Tensor[] {
  const list = isTensor(given) ? [given] : readList(op, name, given);
  if (list.length === 0)
    throw new ArgumentError(`[${op}] expected ${name} to be at least one tensor, got none`);
  for (const x of list) checkTensor(op, x, `each of ${name}`);
  return list;
}

/** dL/doutput for each output. */
function readSeeds(
  op: string,
  roots: readonly Tensor[],
  given: NonNullable<GradientsOptions['gradOutputs']> | null,
): (Tensor | null)[] {
  const list = isArray(given) ? readList(op, 'gradOutputs', given as readonly (Tensor | null)[]) : [given];
  if (isArray(given) && list.length !== roots.length) {
    throw new ArgumentError(
      `[${op}] expected gradOutputs for ${roots.length} outputs, got ${list.length} of them`,
    );
  }
  return roots.map((root, i) => {
    const seed = (i < list.length ? list[i] : null) as Tensor | null;
    checkRoot(op, root, seed !== null);
    if (seed !== null) checkGradient(op, seed, root);
    return seed;
  });
}

function withoutHistory(
  roots: readonly Tensor[],
  seeds: readonly (Tensor | null)[],
  sought: readonly Tensor[],
  keep: boolean,
): (Tensor | null)[] {
  const memory: (Float | null)[] = seeds.map((seed) => seed && floats(seed));
  const buffers = runGradients(roots, memory, sought, keep);
  return buffers.map((buffer, i) => buffer && new Tensor(buffer as never, sought[i].shape, sought[i].dtype));
}

function withHistory(
  roots: readonly Tensor[],
  seeds: readonly (Tensor | null)[],
  sought: readonly Tensor[],
  keep: boolean,
): (Tensor | null)[] {
  const given = roots.map((root, i) => seeds[i] ?? onesLike(root));
  const sums = derive(roots, given, sought, keep);
  // Who updates one in place means it alone.
  const taken = new Set(given);
  return sought.map((input) => {
    const sum = sums.get(input) ?? null;
    if (sum === null || sum.node !== null || !taken.has(sum)) {
      if (sum !== null) taken.add(sum);
      return sum;
    }
    return sum.clone();
  });
}

/** Which arguments to differentiate by: a position, or several. */
export type ArgumentNumbers = number | readonly number[];

/** Options of `grad` and `valueAndGrad`. */
export interface GradOptions {
  /**
   * Whether the gradients have a history, by which `backward` and `gradients` go on to what `fn` has used: for a penalty on them,
   * say. Default: within another `grad`, which differentiates them. */
  createGraph?: boolean;
}

/** How many functions are being differentiated, in each other. */
let depth = 0;

type Trees = readonly unknown[];
/** What stands at a position, or at several, in the arguments. */
type At<Args extends Trees, Numbers> = Numbers extends readonly number[]
  ? { -readonly [Index in keyof Numbers]: Args[Numbers[Index] & number] }
  : Args[Numbers & number];

/**
 * The gradient of a function, as JAX's `grad`: a function of the same arguments that returns the gradient of `fn`, with respect
 * to the first of them or those that `argnums` names. Each is a tensor, or an array, record or Map of tensors, and its gradient
 * is of the same form; 0 where `fn` does not depend on it. It can be nested, `grad(grad(f))`, called in `compile`, and leaves no
 * trace in the `grad` of any tensor.
 *
 *     const slope = grad((x: Tensor) => x.pow(3).sum());
 *     const curvature = grad((x: Tensor) => slope(x).sum());
 *     const [dw, db] = grad(loss, [0, 1])(w, b, x, y);
 *
 * @param fn returns a tensor of one element, and is synchronous
 * @throws ArgumentError, AutogradError as it is called, for results or arguments that have no gradient
 */
export function grad<Args extends Trees, const Numbers extends ArgumentNumbers = 0>(
  fn: (...args: Args) => Tensor,
  argnums?: Numbers,
  options: GradOptions = {},
): (...args: Args) => At<Args, Numbers> {
  const own = differentiated('grad', fn, argnums, options);
  return (...args) => own(args)[1] as At<Args, Numbers>;
}

/** `grad` with the value of the function, as JAX's `value_and_grad`: [fn(…args), gradient]. @throws as `grad` */
export function valueAndGrad<Args extends Trees, const Numbers extends ArgumentNumbers = 0>(
  fn: (...args: Args) => Tensor,
  argnums?: Numbers,
  options: GradOptions = {},
): (...args: Args) => [value: Tensor, gradient: At<Args, Numbers>] {
  const own = differentiated('valueAndGrad', fn, argnums, options);
  return (...args) => own(args) as [Tensor, At<Args, Numbers>];
}

function differentiated<Args extends Trees>(
  op: string,
  fn: (...args: Args) => Tensor,
  argnums: ArgumentNumbers = 0,
  options: GradOptions,
): (args: Args) => [Tensor, unknown] {
  checkFunction(op, 'fn', fn);
  const numbers = isArray(argnums) ? readList(op, 'argnums', argnums) : [argnums];
  for (const number of numbers) {
    if (Number.isInteger(number) && number >= 0) continue;
    throw new ArgumentError(
      `[${op}] expected argnums to be positions of arguments, from 0 on, got ${describe(number)}`,
    );
  }
  const { createGraph: wanted } = readOptions(op, options, ['createGraph']);
  if (wanted !== undefined) checkBoolean(op, 'createGraph', wanted);
  return (args) => {
    const createGraph = wanted ?? (depth > 0 && isGradEnabled());
    const variables: Tensor[] = [];
    const standIn = (x: Tensor): Tensor => {
      if (x.dtype === 'int32') return x;
      // With a history it leads on to what x was computed from.
      const variable = createGraph && x.requiresGrad ? reshape(x, x.shape) : x.detach().setRequiresGrad();
      variables.push(variable);
      return variable;
    };
    const own = args.map((arg, i) => (numbers.includes(i) ? mapTree(arg, isTensor, standIn) : arg)) as never;
    for (const number of numbers) checkArgument(op, number, args);
    depth++;
    try {
      const value = withGrad(true, () => synchronous(op, fn(...(own as Args))));
      checkTensor(op, value, 'the result of fn');
      if (value.size !== 1) {
        throw new AutogradError(
          `[${op}] expected fn to return a tensor of one element, got shape ${show(value.shape)}`,
        );
      }
      const found = value.requiresGrad
        ? gradients(value, variables, { createGraph, allowUnused: true })
        : variables.map(() => null);
      const by = new Map(variables.map((variable, i) => [variable, found[i]]));
      const result = numbers.map((number) =>
        mapTree((own as Args)[number], isTensor, (x) => by.get(x) ?? zeros(x.shape, { dtype: x.dtype })),
      );
      return [createGraph ? value : value.detach(), isArray(argnums) ? result : result[0]];
    } finally {
      depth--;
    }
  };
}

/** @throws ArgumentError unless there are floats to differentiate by */
function checkArgument(op: string, number: number, args: Trees): void {
  if (leavesOf(args[number], isTensor).some(({ dtype }) => dtype !== 'int32')) return;
  throw new ArgumentError(
    `[${op}] expected argument ${number} to be or to hold tensors of floats, got ${describe(args[number])}`,
  );
}
