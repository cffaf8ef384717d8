/**
 * Chains of elementwise calls become one call, which goes through memory once: a call joins the one that it reads the result
 * of, or that reads what it reads, unless something between them forbids that either of them moves. What only the chain sees
 * is never stored.
 */
import { Chain } from './chain.ts';
import type { List } from './list.ts';
import type { Node } from './nodes.ts';

/** A node where it is made. */
interface Placed {
  node: Node | null;
  /** Where it was recorded. */
  readonly first: number;
  at: number;
  /** Where the first of the calls was that it is made of. */
  oldest: number;
  readonly reads: object[];
  readonly writes: object[];
  /** The nodes that are made before and after it. */
  previous: Placed | null;
  next: Placed | null;
  /** What it became a part of. */
  into: Placed | null;
}

/** With how many calls one is tried at most. */
const most = 8;
/** How far calls move at most, so that what happens between two places is known from the calls around them. */
const reach = 256;

export function fuse(list: List): void {
  const failures: number[] = [0];
  /** How many nodes read each memory that only nodes see. */
  const readers = new Map<object, number>();
  let last: Placed | null = null;
  const placed = list.nodes.map((node, at): Placed => {
    failures.push(failures[at] + Number(node.mayFail));
    const [reads, writes] = [distinct(node.reads), distinct(node.writes)];
    for (const key of reads) readers.set(key, (readers.get(key) ?? 0) + 1);
    const own: Placed = {
      node,
      first: at,
      at,
      oldest: at,
      reads,
      writes,
      previous: last,
      next: null,
      into: null,
    };
    if (last !== null) last.next = own;
    last = own;
    return own;
  });
  const uses = new Map<object, Placed[]>();

  /** Calls `see` with those that use a memory, the latest first, down to those that are surely made before a place. */
  const look = (key: object, low: number, see: (by: Placed) => boolean): boolean => {
    const own = uses.get(key);
    if (own === undefined) return true;
    for (let i = own.length - 1; i >= 0 && own[i].first >= low - reach; i--) {
      if (!see(finalOf(own[i]))) return false;
    }
    return true;
  };

  /** Whether a node could be made at the place of another one instead, given what happens in between. */
  const canMove = (own: Placed, other: Placed): boolean => {
    const [low, high] = own.at < other.at ? [own.at, other.at] : [other.at, own.at];
    const isBetween = (by: Placed) => by !== own && by !== other && by.at > low && by.at < high;
    if (failures[low] !== failures[high]) {
      for (const key of own.writes) if (!list.isIntermediate(key)) return false;
    }
    for (const key of own.writes) if (!look(key, low, (by) => !isBetween(by))) return false;
    for (const key of own.reads) {
      if (!look(key, low, (by) => !isBetween(by) || !by.writes.includes(key))) return false;
    }
    return true;
  };

  /** Makes one of two; the earlier one goes to where the later is, or the later one to the earlier. */
  const join = (a: Placed, b: Placed): Placed | null => {
    const [before, after] = a.at < b.at ? [a, b] : [b, a];
    if (!(before.node instanceof Chain && after.node instanceof Chain)) return null;
    const isUp = before.next === after || canMove(after, before);
    if (!isUp && (after.at - before.oldest > reach || !canMove(before, after))) return null;
    if (!before.node.absorb(after.node)) return null;
    const [kept, gone] = isUp ? [before, after] : [after, before];
    const { node } = before;
    kept.node = node;
    kept.oldest = Math.min(kept.oldest, gone.oldest);
    gone.node = null;
    gone.into = kept;
    if (gone.previous !== null) gone.previous.next = gone.next;
    if (gone.next !== null) gone.next.previous = gone.previous;
    for (const key of after.reads) {
      const isWritten = before.writes.includes(key);
      if (!isWritten && !before.reads.includes(key)) continue;
      const left = readers.get(key)! - 1;
      readers.set(key, left);
      // What only the chain sees is not stored.
      if (left === 0 && isWritten && list.isIntermediate(key)) node.drop(key);
    }
    for (const key of gone.reads) if (!kept.reads.includes(key)) kept.reads.push(key);
    for (const key of gone.writes) if (!kept.writes.includes(key)) kept.writes.push(key);
    return kept;
  };

  const candidates: Placed[] = [];
  let count = 0;
  const see = (by: Placed) => {
    if (by.node instanceof Chain && by.node.count === count && !candidates.includes(by)) candidates.push(by);
    return candidates.length < most;
  };
  for (const own of placed) {
    candidates.length = 0;
    if (own.node instanceof Chain) {
      count = own.node.count;
      for (const key of own.reads) look(key, own.at, see);
      for (const key of own.writes) look(key, own.at, see);
    }
    for (const key of own.reads) note(uses, key, own);
    for (const key of own.writes) if (!own.reads.includes(key)) note(uses, key, own);
    let current = own;
    if (candidates.length > 1) candidates.sort((a, b) => b.at - a.at);
    for (const candidate of candidates) {
      const other = finalOf(candidate);
      if (other !== current) current = join(other, current) ?? current;
    }
  }
  list.nodes = placed.flatMap(({ node }) => node ?? []);
}

function distinct(keys: readonly object[]): object[] {
  const found: object[] = [];
  for (const key of keys) if (!found.includes(key)) found.push(key);
  return found;
}

function note(uses: Map<object, Placed[]>, key: object, use: Placed): void {
  const own = uses.get(key);
  if (own === undefined) uses.set(key, [use]);
  else own.push(use);
}

function finalOf(use: Placed): Placed {
  let final = use;
  while (final.into !== null) final = final.into;
  return final;
}
