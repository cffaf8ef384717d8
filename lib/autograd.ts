/**
 * Reverse-mode differentiation. An op that computes `y` from inputs calls `track(y, inputs, backward)`; `backward`
 * receives dL/dy and, for each input, calls `contribute(input, write)`, where `write` computes that input's share of the
 * gradient into the buffer it is given. Whether the share is stored or added is decided here, in one place.
 */
import { checkFunction, isInstance } from './arguments.ts';
import { AutogradError, DataError } from './errors.ts';
import { Gaps, type Part } from './gaps.ts';
import { binaryCode, type Float, kernels } from './kernels/index.ts';
import { changing, nextPass, recording } from './kernels/recorder.ts';
import {
  agePool,
  allocate,
  allocateShared,
  type FloatDtype,
  lending,
  release,
  Storage,
  take,
} from './memory.ts';
import { show } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** Where a tensor came from. */
export interface GraphNode {
  /** The inputs that want a gradient. */
  readonly inputs: readonly Tensor[];
  /** Null once it has run. */
  readonly backward: ((gradient: Float) => void) | null;
  /** Creation order, which is a topological order. */
  readonly order: number;
  /** The tensors that backward reads. */
  readonly saved: readonly (Tensor | null)[];
  /** The sum of the versions of their memory. Versions only grow, so an unchanged sum means unchanged tensors. */
  readonly versions: number;
}

/** Takes the place of a node that has run, so that a loss kept for a plot does not keep its whole history. */
const spent: GraphNode = { inputs: [], backward: null, order: -1, saved: [], versions: 0 };

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
  const before = gradEnabled;
  gradEnabled = false;
  try {
    const result = fn();
    if (isInstance(result, Promise)) {
      // Nobody will wait for it, and a rejection that nobody hears ends the process.
      result.catch(() => {});
      throw new AutogradError('[noGrad] expected a synchronous function, got one that returns a promise');
    }
    return result;
  } finally {
    gradEnabled = before;
  }
}

function sumVersions(tensors: readonly (Tensor | null)[]): number {
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

const nothing: readonly Tensor[] = [];

/**
 * Gives `output` its history, if any input wants a gradient. `backward` is called at most once.
 * @param saved the tensors whose elements `backward` reads, whether or not they want a gradient: an error when they change
 */
export function track(
  output: Tensor,
  inputs: readonly (Tensor | null)[],
  backward: (gradient: Float) => void,
  saved: readonly (Tensor | null)[] = nothing,
): Tensor {
  if (!wantsGradient(inputs)) return output;
  const wanting = inputs.filter((input): input is Tensor => input?.requiresGrad === true);
  if (recording !== null) checkOwn(wanting);
  output.node = { inputs: wanting, backward, order: created++, saved, versions: sumVersions(saved) };
  output.wantsGradient = true;
  return output;
}

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

/**
 * Adds to the gradient of `target` what `write` computes; nothing, when it wants none. `write` overwrites its buffer,
 * as long as the target's data. `add`, where an op has it, adds instead and saves a buffer.
 */
export function contribute(target: Tensor, write: (out: Float) => void, add?: (out: Float) => void): void {
  if (!target.requiresGrad) return;
  if (target.node === null) prepareLeaf(target);
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
  if (!target.requiresGrad) return;
  if (target.node === null) prepareLeaf(target);
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
  if (target.pass !== pass) remember(target);
  if (target.gradient === null) prepareGradient(target);
  changing('backward', target.gradientStorage!);
}

/** The first share of a gradient. */
function begin(target: Tensor, write: (out: Float) => void): void {
  const fresh = target.node === null ? gradientMemory(target) : take(target.size, target.dtype as FloatDtype);
  write(fresh);
  target.gradient = fresh;
}

/** Where no part was written, a gradient is 0. */
function fillGaps(target: Tensor): void {
  const { gaps } = target;
  if (gaps === null) return;
  target.gaps = null;
  if (!gaps.isEmpty) gaps.fill(target.gradient!, target.dtype as FloatDtype);
}

/** The number of the backward pass under way. */
let pass = 0;

/** The leaves that the pass under way has written to, with what their gradients were. */
let touched: { leaf: Tensor; before: Float | null }[] = [];

/**
 * Before a pass first writes to a leaf's gradient, so that it can be undone: shares go straight to where they belong, and a
 * gradient that has to be kept for that is one which the pass adds to.
 */
function remember(leaf: Tensor): void {
  const { gradient } = leaf;
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

/**
 * Runs the nodes behind `root`, latest first, from dL/droot, or 1. Iterative: depth costs no stack.
 * @returns the leaves that have got a gradient
 */
export function runBackward(root: Tensor, gradient: Float | null): Tensor[] {
  if (!root.requiresGrad) {
    throw new AutogradError('[backward] expected a tensor with a history or requiresGrad, got one without');
  }
  if (gradient === null && root.size !== 1) {
    throw new AutogradError(
      `[backward] expected a gradient argument for shape ${show(root.shape)}, as only one element needs none`,
    );
  }
  const pending = collect(root);
  const outer = { pass, touched };
  pass = nextPass();
  touched = [];
  try {
    contribute(root, (out) => {
      if (gradient === null) kernels.fill(out, 1);
      else kernels.cast(out, gradient);
    });
    runNodes(pending);
    for (const { leaf } of touched) fillGaps(leaf);
    for (const { before } of touched) if (before !== null) release(before);
    return touched.map(({ leaf }) => leaf);
  } catch (error) {
    undo(pending);
    throw error;
  } finally {
    ({ pass, touched } = outer);
    if (recording === null) agePool();
  }
}

/** Calls each closure with its tensor's gradient, which no other will add to. */
function runNodes(pending: readonly Tensor[]): void {
  for (const tensor of pending) {
    const run = tensor.node!.backward!;
    const dy = tensor.gradient;
    fillGaps(tensor);
    tensor.node = spent;
    tensor.gradient = null;
    if (dy === null) continue;
    run(dy);
    release(dy);
  }
}

/** After an error: leaves have the gradients of before the pass, everything else none. */
function undo(pending: readonly Tensor[]): void {
  for (const tensor of pending) {
    if (tensor.gradient !== null) release(tensor.gradient);
    tensor.gradient = null;
    tensor.gaps = null;
  }
  for (const { leaf, before } of touched.reverse()) {
    leaf.gaps = null;
    if (before === null || recording !== null) {
      leaf.gradient = before;
    } else {
      leaf.gradient!.set(before);
      release(before);
    }
  }
}

/**
 * Within a backward pass, runs `fn` again with a history, and that history from dL/dresult: for ops that keep their inputs
 * rather than what they made of them. `fn` gets the inputs as views at which the history ends; their gradients are the inputs'.
 */
export function differentiate(
  inputs: readonly (Tensor | null)[],
  fn: (inputs: readonly (Tensor | null)[]) => Tensor,
  gradient: Float,
): void {
  const before = gradEnabled;
  gradEnabled = true;
  try {
    lending(() => {
      const result = fn(inputs.map((input) => input && viewOf(input)));
      const pending = collect(result);
      contributeSame(result, gradient);
      runNodes(pending);
      return null;
    });
  } finally {
    gradEnabled = before;
  }
}

/** The same elements, with a history that hands its gradient to x and ends there. */
function viewOf(x: Tensor): Tensor {
  const view = x.detach();
  if (!x.requiresGrad) return view;
  const backward = (dy: Float) => contributeSame(x, dy);
  view.node = { inputs: [], backward, order: created++, saved: [], versions: 0 };
  view.wantsGradient = true;
  return view;
}

/** Every tensor with a node behind `root`, latest first; checked before the first kernel runs. */
function collect(root: Tensor): Tensor[] {
  const found: Tensor[] = [];
  if (root.node === null) return found;
  const seen = new Set<Tensor>([root]);
  const stack = [root];
  for (let tensor = stack.pop(); tensor !== undefined; tensor = stack.pop()) {
    const node = tensor.node!;
    if (node.backward === null) {
      throw new AutogradError(
        '[backward] expected a history that was not used yet: backward ran through it before and freed what it saved',
      );
    }
    if (sumVersions(node.saved) !== node.versions) throw changed(node.saved);
    found.push(tensor);
    for (const input of node.inputs) {
      if (input.node !== null && !seen.has(input)) {
        seen.add(input);
        stack.push(input);
      }
    }
  }
  return found.sort((a, b) => b.node!.order - a.node!.order);
}

function changed(saved: readonly (Tensor | null)[]): AutogradError {
  const shapes = saved.flatMap((x) => (x === null ? [] : [show(x.shape)])).join(', ');
  return new AutogradError(
    `[backward] expected tensors as the forward pass saw them: one of shapes ${shapes} was updated in place in between ` +
      '(optimizer step, loadStateDict, assign, another backward); run the forward pass again',
  );
}
