/**
 * Reverse-mode differentiation. An op that computes `y` from inputs calls `track(y, inputs, backward)`; `backward`
 * receives dL/dy and, for each input, calls `contribute(input, write)`, where `write` computes that input's share of the
 * gradient into the buffer it is given. Whether the share is stored or added is decided here, in one place.
 */
import { checkFunction, isInstance } from './arguments.ts';
import { AutogradError, DataError } from './errors.ts';
import { Gaps, type Part } from './gaps.ts';
import { binaryCode, type Float, kernels } from './kernels/index.ts';
import { changing, recording } from './kernels/recorder.ts';
import { allocate, allocateShared, type FloatDtype, release, Storage, take } from './memory.ts';
import { show } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** What an input gets of a gradient, in tensors; as a function where it costs something, as not every input is asked for. */
export type Share = Tensor | null | (() => Tensor | null);

/**
 * dL/dinputs, in the order of the inputs, of dL/doutput: in ops, and so with a history and a derivative of its own. Or the name
 * of an op that has no such form.
 */
export type Derivative = string | ((dy: Tensor) => readonly Share[]);

/** Where a tensor came from. */
export interface GraphNode {
  /** The inputs that want a gradient. */
  readonly inputs: readonly Tensor[];
  /** All inputs, in the order of what `derivative` gives. */
  readonly sources: readonly (Tensor | null)[];
  /** Null once it has run. */
  readonly backward: ((gradient: Float) => void) | null;
  readonly derivative: Derivative;
  /** Whether a gradient's history reads what the op has saved. */
  isLent: boolean;
  /** Creation order, which is a topological order. */
  readonly order: number;
  /** The tensors that backward reads. */
  readonly saved: readonly (Tensor | null)[];
  /** The sum of the versions of their memory. Versions only grow, so an unchanged sum means unchanged tensors. */
  readonly versions: number;
}

/** Takes the place of a node that has run, so that a loss kept for a plot does not keep its whole history. */
export const spent: GraphNode = {
  inputs: [],
  sources: [],
  backward: null,
  derivative: '',
  isLent: false,
  order: -1,
  saved: [],
  versions: 0,
};

let gradEnabled = true;
let created = 0;

/** Whether ops keep the history that backward needs. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/**
 * Runs `fn` without gradients: what it computes has no history and `requiresGrad` false.
 * @throws AutogradError when fn returns a promise, as gradients would be back before its work is done.
 */
export function noGrad<Result>(fn: () => Result): Result {
  checkFunction('noGrad', 'fn', fn);
  return withGrad(false, () => synchronous('noGrad', fn()));
}

/** Runs `fn` with histories kept, or not. */
export function withGrad<Result>(enabled: boolean, fn: () => Result): Result {
  const before = gradEnabled;
  gradEnabled = enabled;
  try {
    return fn();
  } finally {
    gradEnabled = before;
  }
}

/** What a function returned. @throws AutogradError for a promise */
export function synchronous<Result>(op: string, result: Result): Result {
  if (!isInstance(result, Promise)) return result;
  // Nobody will wait for it, and a rejection that nobody hears ends the process.
  result.catch(() => {});
  throw new AutogradError(`[${op}] expected a synchronous function, got one that returns a promise`);
}

/** Of the tensors that an op has saved. */
export function sumVersions(tensors: readonly (Tensor | null)[]): number {
  let sum = 0;
  for (let i = 0; i < tensors.length; i++) {
    const x = tensors[i];
    if (x !== null) sum += x.storage.owner.version;
  }
  return sum;
}

/** True when an op over these inputs will be differentiated, and so has to save what its backward reads. */
export function wantsGradient(inputs: readonly (Tensor | null)[]): boolean {
  if (!gradEnabled) return false;
  for (let i = 0; i < inputs.length; i++) if (inputs[i]?.requiresGrad) return true;
  return false;
}

/**
 * Gives `output` its history, if any input wants a gradient. `backward` is called once, but for histories that are kept.
 * @param saved the tensors whose elements `backward` reads, whether or not they want a gradient: an error when they change
 * @param derivative the same in ops, for gradients that are differentiated themselves; it reads no other elements than those
 *   of `saved` and of the output
 */
export function track(
  output: Tensor,
  inputs: readonly (Tensor | null)[],
  backward: (gradient: Float) => void,
  saved: readonly (Tensor | null)[],
  derivative: Derivative,
): Tensor {
  if (!wantsGradient(inputs)) return output;
  const wanting = inputs.filter((input): input is Tensor => input?.requiresGrad === true);
  if (recording !== null) checkOwn(wanting);
  output.node = {
    inputs: wanting,
    sources: inputs,
    backward,
    derivative,
    isLent: false,
    order: created++,
    saved,
    versions: sumVersions(saved),
  };
  output.wantsGradient = true;
  return output;
}

/** The order of the next tensor with a history: what comes after this moment has no smaller one. */
export const nextOrder = (): number => created;

/** A history that began outside could be used up only once. */
function checkOwn(inputs: readonly Tensor[]): void {
  for (const { node, shape } of inputs.filter((input) => !recording?.owns(input))) {
    if (node === null) continue;
    throw new AutogradError(
      `[compile] expected tensors without a history from outside of a compiled function, got one of shape ${show(shape)}: ` +
        'compute it inside, or detach() it',
    );
  }
}

/** A walk back through a history (backward.ts). */
export interface Walk {
  /** Its number. */
  readonly pass: number;
  /** What leads to the tensors whose gradients are asked for; null where it is every leaf, in its `grad`. */
  readonly asked: ReadonlySet<Tensor> | null;
  /** The leaves that it has written to, with what their gradients were. */
  readonly touched: { leaf: Tensor; before: Float | null }[];
  /** Whether what the op at hand has saved is read again, by another walk. */
  isKept: boolean;
}

/** The one under way. */
let walk: Walk = { pass: 0, asked: null, touched: [], isKept: false };

export const walkUnderWay = (): Walk => walk;

/** Makes a walk the one under way while `fn` runs. */
export function inWalk<Result>(own: Walk, fn: () => Result): Result {
  const outer = walk;
  walk = own;
  try {
    return fn();
  } finally {
    walk = outer;
  }
}

/** Whether the walk under way has a use for the gradient of a tensor. */
export function isAsked(x: Tensor | null): x is Tensor {
  return x?.requiresGrad === true && (walk.asked === null || walk.asked.has(x));
}

/** Gives back a buffer that an op has saved for its backward, unless it is going to be read again. */
export function releaseSaved(buffer: Float): void {
  if (!walk.isKept) release(buffer);
}

/**
 * Adds to the gradient of `target` what `write` computes; nothing, when it wants none. `write` overwrites its buffer,
 * as long as the target's data. `add`, where an op has it, adds instead and saves a buffer.
 */
export function contribute(target: Tensor, write: (out: Float) => void, add?: (out: Float) => void): void {
  if (!isAsked(target)) return;
  if (target.node === null && walk.asked === null) prepareLeaf(target);
  const sum = target.gradient;
  if (sum === null) {
    begin(target, write);
    return;
  }
  fillGaps(target);
  if (add) {
    add(sum);
  } else {
    const share = take(target.size, target.dtype as FloatDtype);
    write(share);
    kernels.binary(sum, sum, share, null, binaryCode.add);
    release(share);
  }
}

/** Adds `dy` itself to the gradient of a tensor of as many elements and the same dtype. */
export function contributeSame(target: Tensor, dy: Float): void {
  contribute(
    target,
    (out) => kernels.cast(out, dy),
    (out) => kernels.binary(out, out, dy, null, binaryCode.add),
  );
}

/**
 * Adds to a part of the gradient of `target`, as `contribute` to all of it: `write` overwrites the part alone. Parts that do
 * not meet are each written once, in their place, and what none of them covers becomes 0 when the gradient is asked for.
 */
export function contributePart(
  target: Tensor,
  part: Part,
  write: (out: Float) => void,
  add: (out: Float) => void,
): void {
  if (!isAsked(target)) return;
  if (target.node === null && walk.asked === null) prepareLeaf(target);
  const sum = target.gradient;
  if (sum === null) {
    begin(target, write);
    target.gaps = new Gaps(target.shape, part);
  } else if (target.gaps?.take(part)) {
    write(sum);
  } else {
    fillGaps(target);
    add(sum);
  }
}

/** A leaf's gradient is about to be written. */
function prepareLeaf(target: Tensor): void {
  checkLeaf(target);
  target.observeGradient('update');
  target.derived = null;
  if (target.pass !== walk.pass) remember(target);
  if (target.gradient === null) prepareGradient(target);
  changing('backward', target.gradientStorage!);
}

/** The first share of a gradient. */
function begin(target: Tensor, write: (out: Float) => void): void {
  const isLeaf = target.node === null && walk.asked === null;
  const fresh = isLeaf ? gradientMemory(target) : take(target.size, target.dtype as FloatDtype);
  write(fresh);
  target.gradient = fresh;
}

/** Where no part was written, a gradient is 0. */
export function fillGaps(target: Tensor): void {
  const { gaps } = target;
  if (gaps === null) return;
  target.gaps = null;
  if (!gaps.isEmpty) gaps.fill(target.gradient!, target.dtype as FloatDtype);
}

/**
 * Before a pass first writes to a leaf's gradient, so that it can be undone: shares go straight to where they belong, and a
 * gradient that has to be kept for that is one which the pass adds to.
 */
function remember(leaf: Tensor): void {
  const { gradient } = leaf;
  const { pass, touched } = walk;
  if (recording !== null) {
    touched.push({ leaf, before: gradient });
    return;
  }
  let before: Float | null = null;
  if (gradient !== null) {
    if (gradient.length !== leaf.size) {
      throw new DataError(
        `[backward] expected to add to the gradient of a leaf of shape ${show(leaf.shape)}, whose buffer was detached ` +
          '(transferred): call zeroGrad() first',
      );
    }
    before = take(leaf.size, leaf.dtype as FloatDtype);
    before.set(gradient);
  }
  touched.push({ leaf, before });
  leaf.pass = pass;
}

/** A program writes gradients where no user can detach the memory: those of Parameters, and of what it makes itself. */
function checkLeaf(leaf: Tensor): void {
  if (recording === null || recording.owns(leaf) || leaf.storage.isShared) return;
  throw new AutogradError(
    `[compile] expected gradients of Parameters only, got a leaf of shape ${show(leaf.shape)} that is none`,
  );
}

/**
 * A leaf keeps one gradient buffer for life: `grad` after the next backward is the same memory. It is of the kind of the
 * leaf's own: shared for a Parameter, else one whose bytes the garbage collector counts, as such leaves may be many.
 */
function prepareGradient(leaf: Tensor): void {
  const { size } = leaf;
  const dtype = leaf.dtype as FloatDtype;
  const { isShared } = leaf.storage;
  if (recording !== null && !isShared) leaf.gradientStorage = new Storage(dtype, size, null);
  // A user who transferred `grad` has taken it away.
  else if (leaf.gradientStorage?.array?.length !== size) {
    leaf.gradientStorage = new Storage(dtype, size, (isShared ? allocateShared : allocate)(size, dtype));
    leaf.gradientStorage.isShared = isShared;
  }
}

/** What kernels take for it. */
function gradientMemory({ gradientStorage }: Tensor): Float {
  return (gradientStorage!.array ?? gradientStorage) as Float;
}
