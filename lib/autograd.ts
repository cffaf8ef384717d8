/**
 * Reverse-mode differentiation. An op that computes `y` from inputs calls `track(y, inputs, backward)`; `backward`
 * receives dL/dy and, for each input, calls `contribute(input, write)`, where `write` computes that input's share of the
 * gradient into the buffer it is given. Whether the share is stored or added is decided here, in one place.
 */
import { checkFunction, isInstance } from './arguments.ts';
import { AutogradError, DataError } from './errors.ts';
import { binaryCode, type Float, kernels } from './kernels/index.ts';
import { recording as compiling, nextPass } from './kernels/recorder.ts';
import { allocate, allocateShared, type FloatDtype, release, take } from './memory.ts';
import { sameShape, show } from './shape.ts';
import { checkTensor, type Tensor } from './tensor.ts';

/** Where a tensor came from. */
export interface GraphNode {
  /** The inputs that want a gradient. */
  readonly inputs: readonly Tensor[];
  /** Null once it has run. */
  readonly backward: ((gradient: Float) => void) | null;
  /** Creation order, which is a topological order. */
  readonly order: number;
  /** The sum of the inputs' versions. Versions only grow, so an unchanged sum means unchanged inputs. */
  readonly versions: number;
}

/** Takes the place of a node that has run, so that a loss kept for a plot does not keep its whole history. */
const spent: GraphNode = { inputs: [], backward: null, order: -1, versions: 0 };

let recording = true;
let created = 0;

/** Whether ops record what backward needs. */
export function isRecording(): boolean {
  return recording;
}

/**
 * Runs `fn` without recording: what it computes has no history and `requiresGrad` false.
 * @throws AutogradError when fn returns a promise, as recording would resume before its work is done.
 */
export function noGrad<Result>(fn: () => Result): Result {
  checkFunction('noGrad', 'fn', fn);
  const before = recording;
  recording = false;
  try {
    const result = fn();
    if (isInstance(result, Promise)) {
      // Nobody will wait for it, and a rejection that nobody hears ends the process.
      result.catch(() => {});
      throw new AutogradError('[noGrad] expected a synchronous function, got one that returns a promise');
    }
    return result;
  } finally {
    recording = before;
  }
}

function sumVersions(tensors: readonly Tensor[]): number {
  let sum = 0;
  for (let i = 0; i < tensors.length; i++) sum += tensors[i].version;
  return sum;
}

/** True when an op over these inputs will be differentiated, and so has to save what its backward reads. */
export function wantsGradient(inputs: readonly (Tensor | null)[]): boolean {
  if (!recording) return false;
  for (let i = 0; i < inputs.length; i++) if (inputs[i]?.requiresGrad) return true;
  return false;
}

/** Gives `output` its history, if any input wants a gradient. `backward` is called at most once. */
export function track(
  output: Tensor,
  inputs: readonly (Tensor | null)[],
  backward: (gradient: Float) => void,
): Tensor {
  if (!wantsGradient(inputs)) return output;
  const wanting = inputs.filter((input): input is Tensor => input?.requiresGrad === true);
  output.node = { inputs: wanting, backward, order: created++, versions: sumVersions(wanting) };
  output.wantsGradient = true;
  return output;
}

/**
 * Adds to the gradient of `target` what `write` computes; nothing, when it wants none. `write` overwrites its buffer,
 * as long as the target's data. `add`, where an op has it, adds instead and saves a buffer.
 */
export function contribute(target: Tensor, write: (out: Float) => void, add?: (out: Float) => void): void {
  if (!target.requiresGrad) return;
  if (target.node === null) {
    target.observeGradient('read');
    if (target.pass !== pass) remember(target);
  }
  const dtype = target.dtype as FloatDtype;
  const sum = target.gradient;
  if (sum === null) {
    const fresh = target.node === null ? leafBuffer(target) : take(target.size, dtype);
    write(fresh);
    target.gradient = fresh;
  } else if (add) {
    add(sum);
  } else {
    const share = take(target.size, dtype);
    write(share);
    kernels.binary(sum, sum, share, null, binaryCode.add);
    release(share);
  }
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

/**
 * A leaf keeps one gradient buffer for life: `grad` after the next backward is the same memory. It is of the kind of the
 * leaf's own: shared for a Parameter, else one whose bytes the garbage collector counts, as such leaves may be many.
 */
function leafBuffer(leaf: Tensor): Float {
  if (compiling !== null && !compiling.made.has(leaf.storage)) checkShared(leaf);
  // A user who transferred `grad` has taken it away.
  if (leaf.gradientBuffer === null || leaf.gradientBuffer.length !== leaf.size) {
    const shared = leaf.storage.buffer instanceof SharedArrayBuffer;
    leaf.gradientBuffer = (shared ? allocateShared : allocate)(leaf.size, leaf.dtype as FloatDtype);
  }
  return leaf.gradientBuffer;
}

/** A replay writes gradients where no user can detach the memory: those of Parameters. */
function checkShared(leaf: Tensor): void {
  if (leaf.size > 0 && !(leaf.storage.buffer instanceof SharedArrayBuffer)) {
    throw new AutogradError(
      `[compile] expected gradients of Parameters only, got a leaf of shape ${show(leaf.shape)} that is none`,
    );
  }
}

/** Runs the nodes behind `root`, latest first. Iterative: depth costs no stack. */
export function runBackward(root: Tensor, gradient: Tensor | undefined): void {
  if (!root.requiresGrad) {
    throw new AutogradError('[backward] expected a tensor with a history or requiresGrad, got one without');
  }
  if (gradient === undefined && root.size !== 1) {
    throw new AutogradError(
      `[backward] expected a gradient argument for shape ${show(root.shape)}, as only one element needs none`,
    );
  }
  if (gradient !== undefined) {
    checkTensor('backward', gradient, 'gradient');
    if (!sameShape(gradient.shape, root.shape) || gradient.dtype !== root.dtype) {
      throw new AutogradError(
        `[backward] expected a gradient of shape ${show(root.shape)} and dtype ${root.dtype}, ` +
          `got ${show(gradient.shape)} and ${gradient.dtype}`,
      );
    }
  }
  const pending = collect(root);
  const outer = { pass, touched };
  pass = nextPass();
  touched = [];
  try {
    contribute(root, (out) => {
      if (gradient === undefined) kernels.fill(out, 1);
      else kernels.cast(out, gradient.storage);
    });
    runNodes(pending);
    for (const { before } of touched) if (before !== null) release(before);
  } catch (error) {
    undo(pending);
    throw error;
  } finally {
    ({ pass, touched } = outer);
  }
}

/** Calls each closure with its tensor's gradient, which no other will add to. */
function runNodes(pending: readonly Tensor[]): void {
  for (const tensor of pending) {
    const run = tensor.node!.backward!;
    const dy = tensor.gradient;
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
  }
  for (const { leaf, before } of touched.reverse()) {
    if (before === null) {
      leaf.gradient = null;
    } else {
      leaf.gradient!.set(before);
      release(before);
    }
  }
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
    if (sumVersions(node.inputs) !== node.versions) {
      throw new AutogradError(
        '[backward] expected the inputs as the forward pass saw them: a parameter was updated in place in between ' +
          '(optimizer step, loadStateDict); run the forward pass again',
      );
    }
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
