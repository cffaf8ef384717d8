/**
 * Copies disappear where those that use the copy can find its elements where they were, or those that compute what is copied
 * can put them where they will be: slices, transposes, reshapes, parts put together, gradients handed on.
 */
import { Chain } from './chain.ts';
import type { List } from './list.ts';
import { dtypeOf, keyOf, type Memory, type Node } from './nodes.ts';
import { areApart, sourceOf, type View } from './view.ts';

export function views(list: List): void {
  const nodes: (Node | null)[] = [...list.nodes];
  const { uses } = list;
  const usesBy = (memory: Memory) => uses.get(keyOf(memory)) ?? [];
  /** How many of the nodes before one may fail. */
  const failures: number[] = [0];
  for (const node of list.nodes) failures.push(failures[failures.length - 1] + Number(node.mayFail));

  /** Lets all that use `from`, but the copy, use a part of `to` instead; false, and nothing is done, where one cannot. */
  const move = (from: Memory, to: Memory, map: View, copy: number): boolean => {
    const isSame =
      from.length === to.length &&
      map.offset === 0 &&
      map.dims.length === 1 &&
      map.strides[0] === 1 &&
      dtypeOf(from) === dtypeOf(to);
    const moves: (() => void)[] = [];
    const own = usesBy(from);
    for (const at of own) {
      const node = nodes[at];
      if (at === copy || node === null) continue;
      if (isSame) {
        moves.push(() => node.rename(from, to));
        continue;
      }
      const moved = node.moved(from, to, map);
      if (moved === null) return false;
      moves.push(moved);
    }
    for (const commit of moves) commit();
    nodes[copy] = null;
    const all = usesBy(to);
    for (const at of own) if (at !== copy) all.push(at);
    uses.delete(keyOf(from));
    return true;
  };

  /** Whether a node between two ones, these included, does something to a memory, other than apart from a view of it. */
  const isDisturbed = (
    memory: Memory,
    first: number,
    last: number,
    copy: number,
    does: (effect: string, at: number) => boolean,
    view: View | null,
  ): boolean => {
    const key = keyOf(memory);
    for (const at of usesBy(memory)) {
      if (at < first || at > last || at === copy) continue;
      for (const access of nodes[at]?.accesses ?? []) {
        if (keyOf(access.memory) !== key || !does(access.effect, at)) continue;
        if (view === null || access.memory !== memory || !areApart(access.view, view)) return true;
      }
    }
    return false;
  };

  for (let copy = 0; copy < nodes.length; copy++) {
    const node = nodes[copy];
    const copied = node instanceof Chain ? node.copied : null;
    if (copied === null) continue;
    const { from, to } = copied;
    const { dims } = node as Chain;
    const [x, y] = [from.memory, to.memory];
    if (x === y) continue;
    const converts = dtypeOf(x) !== dtypeOf(y);

    // Read where it is: nothing else writes the copy, and what it is of stays until the last that reads the copy.
    const source = list.isIntermediate(y) ? sourceOf(y.length, dims, to, from) : null;
    if (source !== null) {
      const own = usesBy(y).filter((at) => nodes[at] !== null && at !== copy);
      const last = own.reduce((a, b) => Math.max(a, b), copy);
      const isWritten = own.some((at) => nodes[at]!.writes.includes(y));
      const canConvert =
        !converts ||
        own.every((at) => nodes[at] instanceof Chain && (nodes[at] as Chain).dtype === dtypeOf(y));
      if (
        own.length > 0 &&
        !isWritten &&
        canConvert &&
        !isDisturbed(x, copy, last, copy, (effect) => effect !== 'read', null) &&
        move(y, x, source, copy)
      )
        continue;
    }
    if (converts || !list.isIntermediate(x)) continue;

    // Written where it will be: nothing else happens there meanwhile, and what is copied stays as it is.
    const target = sourceOf(x.length, dims, from, to);
    if (target === null || target.strides.some((stride) => stride === 0)) continue;
    const own = usesBy(x).filter((at) => nodes[at] !== null);
    const first = own.reduce((a, b) => Math.min(a, b), copy);
    const last = own.reduce((a, b) => Math.max(a, b), copy);
    if (first === copy || own.some((at) => at > copy && nodes[at]!.writes.includes(x))) continue;
    const isSeen = !list.isIntermediate(y);
    if (isSeen && failures[first] !== failures[copy]) continue;
    const written = { dims: target.dims, offset: target.offset, strides: target.strides };
    const isTouched = (effect: string, at: number) => effect !== 'read' || at < copy;
    if (isDisturbed(y, first, last, copy, isTouched, written)) continue;
    // Not by one node that uses both, but of a chain, whose outs may lie apart in one memory.
    const key = keyOf(y);
    const usesBoth = (at: number) => nodes[at]!.reads.includes(key) || nodes[at]!.writes.includes(key);
    if (own.some((at) => at !== copy && !(nodes[at] instanceof Chain) && usesBoth(at))) continue;
    move(x, y, target, copy);
  }
  list.nodes = nodes.filter((node) => node !== null);
}
