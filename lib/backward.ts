/**
 * The walks back through a history, from the latest tensor to the earliest: by kernels, for the `grad` of leaves or for what is
 * asked for, and in tensors, so that gradients have a history themselves. What ops do on the way is in autograd.ts.
 */
import {
  contribute,
  contributeSame,
  fillGaps,
  type GraphNode,
  inWalk,
  isAsked,
  nextOrder,
  type Share,
  spent,
  sumVersions,
  track,
  type Walk,
  walkUnderWay,
  withGrad,
} from './autograd.ts';
import { AutogradError } from './errors.ts';
import { type Float, kernels } from './kernels/index.ts';
import { nextPass, recording } from './kernels/recorder.ts';
import { agePool, type FloatDtype, lending, release, take } from './memory.ts';
import { show } from './shape.ts';
import type { Tensor } from './tensor.ts';

/**
 * Runs the nodes behind `root`, latest first, from dL/droot, or 1. Iterative: depth costs no stack.
 * @param keep whether the history can be used again
 * @param seed the gradient as a tensor, for gradients with a history
 * @returns the leaves that have got a gradient
 */
export function runBackward(
  root: Tensor,
  gradient: Float | null,
  keep = false,
  seed: Tensor | null = null,
): Tensor[] {
  checkRoot('backward', root, gradient !== null);
  const pending = collect([root]);
  const walk: Walk = { pass: nextPass(), asked: null, touched: [], isKept: false };
  const { touched } = walk;
  return inWalk(walk, () => {
    try {
      if (seed !== null) {
        contributeDerived(derive([root], [seed], null, keep));
      } else {
        contributeRoot(root, gradient);
        runNodes(pending, keep, walk);
      }
      for (const { leaf } of touched) fillGaps(leaf);
      for (const { before } of touched) if (before !== null) release(before);
      return touched.map(({ leaf }) => leaf);
    } catch (error) {
      undo(pending, touched);
      throw error;
    } finally {
      if (recording === null) agePool();
    }
  });
}

/** Gives leaves without a gradient one of zeros, as a loss does that does not depend on them. */
export function runNothing(leaves: readonly Tensor[]): void {
  const walk: Walk = { pass: nextPass(), asked: null, touched: [], isKept: false };
  inWalk(walk, () => {
    for (const leaf of leaves) {
      leaf.observeGradient('read');
      if (leaf.gradient === null) contribute(leaf, (out) => kernels.fill(out, 0));
    }
  });
}

/** @throws AutogradError unless there is something to differentiate, by one number */
export function checkRoot(op: string, root: Tensor, hasGradient: boolean): void {
  if (!root.requiresGrad) {
    throw new AutogradError(`[${op}] expected a tensor with a history or requiresGrad, got one without`);
  }
  if (hasGradient || root.size === 1) return;
  throw new AutogradError(
    `[${op}] expected a gradient argument for shape ${show(root.shape)}, as only one element needs none`,
  );
}

function contributeRoot(root: Tensor, gradient: Float | null): void {
  contribute(root, (out) => {
    if (gradient === null) kernels.fill(out, 1);
    else kernels.cast(out, gradient);
  });
}

/** Leaves get gradients that have a history: beside their own memory, which changes, a tensor that does not. */
function contributeDerived(shares: ReadonlyMap<Tensor, Tensor>): void {
  for (const [leaf, share] of shares) {
    if (leaf.node !== null) continue;
    const before = leaf.grad;
    // What has a history has memory of its own already.
    const kept = before === null || before.node !== null ? before : before.clone();
    const { storage } = share;
    const values = recording === null ? storage.array : recording.argument(storage);
    contributeSame(leaf, values as Float);
    const sum = kept === null ? share : kept.add(share);
    leaf.derived = sum.node === null ? null : sum;
  }
}

/**
 * dL/dinputs, as `runBackward` finds them, without a trace in any leaf.
 * @returns for each input a buffer of its own, or null where none of the outputs depends on it
 */
export function runGradients(
  outputs: readonly Tensor[],
  seeds: readonly (Float | null)[],
  inputs: readonly Tensor[],
  keep: boolean,
): (Float | null)[] {
  const pending = collect(outputs);
  const found = new Map<Tensor, Float | null>(inputs.map((input) => [input, null]));
  const leaves = [...found.keys()].filter(({ node }) => node === null);
  const before = leaves.map(({ gradient, gaps }) => ({ gradient, gaps }));
  for (const leaf of leaves) Object.assign(leaf, { gradient: null, gaps: null });
  const walk: Walk = {
    pass: nextPass(),
    asked: leadingTo(pending, found.keys()),
    touched: [],
    isKept: false,
  };
  return inWalk(walk, () => {
    try {
      outputs.forEach((output, i) => {
        contributeRoot(output, seeds[i]);
      });
      runNodes(pending, keep, walk, found);
      for (const leaf of leaves) {
        fillGaps(leaf);
        found.set(leaf, leaf.gradient);
      }
      return inputs.map((input) => found.get(input)!);
    } catch (error) {
      undo(pending, []);
      throw error;
    } finally {
      leaves.forEach((leaf, i) => {
        Object.assign(leaf, before[i]);
      });
      if (recording === null) agePool();
    }
  });
}

/** The inputs, and of what is pending all that depends on one of them. */
export function leadingTo(pending: readonly Tensor[], inputs: Iterable<Tensor>): Set<Tensor> {
  const leading = new Set(inputs);
  for (let i = pending.length - 1; i >= 0; i--) {
    if (pending[i].node!.inputs.some((input) => leading.has(input))) leading.add(pending[i]);
  }
  return leading;
}

/** Calls each closure with its tensor's gradient, which no other will add to; `found` gets a copy of those that it names. */
function runNodes(
  pending: readonly Tensor[],
  keep: boolean,
  walk: Walk,
  found?: Map<Tensor, Float | null>,
): void {
  for (const tensor of pending) {
    const node = tensor.node!;
    const dy = tensor.gradient;
    fillGaps(tensor);
    tensor.gradient = null;
    if (found !== undefined) {
      if (dy === null) continue;
      const goesOn = node.inputs.some((input) => walk.asked!.has(input));
      // What goes on may be overwritten.
      if (found.has(tensor)) found.set(tensor, goesOn ? copied(dy, tensor) : dy);
      if (!goesOn) continue;
    }
    if (!keep) tensor.node = spent;
    if (dy === null) continue;
    walk.isKept = keep || node.isLent;
    node.backward!(dy);
    release(dy);
  }
}

function copied(gradient: Float, { size, dtype }: Tensor): Float {
  const copy = take(size, dtype as FloatDtype);
  kernels.cast(copy, gradient);
  return copy;
}

/** The same as `runNodes` in tensors: the sums of shares, of those that are `asked` for or else of leaves. */
export function derive(
  outputs: readonly Tensor[],
  seeds: readonly Tensor[],
  inputs: readonly Tensor[] | null,
  keep: boolean,
  from = 0,
): Map<Tensor, Tensor> {
  const pending = collect(outputs, from);
  const wanted = inputs && new Set(inputs);
  const leading = wanted && leadingTo(pending, wanted);
  const isWanted = (x: Tensor | null): x is Tensor =>
    x?.requiresGrad === true && (leading === null || leading.has(x));
  const sums = new Map<Tensor, Tensor>();
  const add = (x: Tensor, share: Tensor) => {
    sums.set(x, sums.get(x)?.add(share) ?? share);
  };
  withGrad(true, () => {
    outputs.forEach((output, i) => {
      if (isWanted(output)) add(output, seeds[i]);
    });
    for (const tensor of pending) {
      const node = tensor.node!;
      const dy = sums.get(tensor);
      if (dy === undefined || !node.inputs.some(isWanted)) continue;
      if (!wanted?.has(tensor)) sums.delete(tensor);
      node.isLent = true;
      if (!keep) tensor.node = spent;
      sharesOf(node, dy).forEach((share, i) => {
        const input = node.sources[i];
        if (share === null || !isWanted(input)) return;
        const own = typeof share === 'function' ? share() : share;
        if (own !== null) add(input, own);
      });
    }
  });
  return sums;
}

function sharesOf({ derivative }: GraphNode, dy: Tensor): readonly Share[] {
  if (typeof derivative !== 'string') return derivative(dy);
  throw new AutogradError(
    `[backward] expected ops with a second derivative for createGraph, got ${derivative}, which has none`,
  );
}

/** After an error: leaves have the gradients of before the pass, everything else none. */
function undo(pending: readonly Tensor[], touched: Walk['touched']): void {
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
  const outer = walkUnderWay();
  withGrad(true, () =>
    lending(() => {
      const views = inputs.map((input) => input && viewOf(input));
      const result = fn(views);
      const pending = collect([result]);
      const ends = [
        ...(outer.asked ?? []),
        ...views.filter((view, i) => view !== null && isAsked(inputs[i])),
      ];
      const asked = outer.asked && leadingTo(pending, ends as Tensor[]);
      const walk = { ...outer, asked, isKept: false };
      return inWalk(walk, () => {
        contributeSame(result, gradient);
        runNodes(pending, false, walk);
        return null;
      });
    }),
  );
}

/** Within a backward pass, runs `fn` again with a history, and what of that history is new from dL/dresult. */
export function differentiateNew(fn: () => Tensor, gradient: Float): void {
  const outer = walkUnderWay();
  withGrad(true, () => {
    const from = nextOrder();
    const result = fn();
    const pending = collect([result], from);
    const asked = outer.asked && leadingTo(pending, outer.asked);
    const walk = { ...outer, asked, isKept: false };
    inWalk(walk, () => {
      contributeSame(result, gradient);
      runNodes(pending, false, walk);
    });
  });
}

/** The same in tensors: what of dL/dresult comes to where the new history begins. */
export function deriveNew(fn: () => Tensor, dy: Tensor, begins: readonly Tensor[]): Share[] {
  return withGrad(true, () => {
    const from = nextOrder();
    const sums = derive([fn()], [dy], begins, true, from);
    return begins.map((begin) => sums.get(begin) ?? null);
  });
}

/** Where the history of `root` that is no older than `from` begins: leaves and computed tensors that want a gradient. */
export function beginsOf(root: Tensor, from: number): Tensor[] {
  const pending = collect([root], from);
  const own = new Set(pending);
  const begins = new Set(pending.flatMap(({ node }) => node!.inputs.filter((input) => !own.has(input))));
  return [...begins];
}

/** The same elements, with a history that hands its gradient to x and ends there. */
function viewOf(x: Tensor): Tensor {
  const view = x.detach();
  if (!x.requiresGrad) return view;
  // As one of x it has its place after it.
  track(view, [x], (dy) => contributeSame(x, dy), [], 'a view');
  view.node = { ...view.node!, inputs: [] };
  return view;
}

/** The derivative of `fn` in tensors, by a history of it that is made again: `differentiate` for gradients with a history. */
export function derivativeOf(
  inputs: readonly (Tensor | null)[],
  fn: (inputs: readonly (Tensor | null)[]) => Tensor,
): (dy: Tensor) => readonly Share[] {
  return (dy) =>
    withGrad(true, () => {
      const views = inputs.map((input) => input?.reshape(input.shape) ?? null);
      const wanting = views.filter((view): view is Tensor => view?.requiresGrad === true);
      const sums = derive([fn(views)], [dy], wanting, true);
      return views.map((view) => (view && sums.get(view)) ?? null);
    });
}

/** Every tensor with a node behind `roots`, not older than `from`, latest first; checked before the first kernel runs. */
function collect(roots: readonly Tensor[], from = 0): Tensor[] {
  const found: Tensor[] = [];
  const isNew = ({ node }: Tensor) => node !== null && !(node.order < from && node !== spent);
  const stack = roots.filter((root, i) => isNew(root) && roots.indexOf(root) === i);
  const seen = new Set<Tensor>(stack);
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
      if (isNew(input) && !seen.has(input)) {
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
