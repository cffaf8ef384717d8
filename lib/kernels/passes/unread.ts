/** Calls whose results nobody reads go, and with them those that only they read. */
import { Chain } from './chain.ts';
import type { List } from './list.ts';
import { keyOf, type Memory, type Node } from './nodes.ts';

export function unread(list: List): void {
  const isWanted = new Set<object>();
  const isRead = (memory: Memory) => !list.isIntermediate(memory) || isWanted.has(keyOf(memory));
  const kept: Node[] = [];
  for (let i = list.nodes.length - 1; i >= 0; i--) {
    const node = list.nodes[i];
    if (node instanceof Chain) {
      if (!node.keep(({ memory }) => isRead(memory))) continue;
    } else if (
      !node.mayFail &&
      !node.accesses.some(({ memory, effect }) => effect !== 'read' && isRead(memory))
    ) {
      continue;
    }
    kept.push(node);
    for (const { memory, effect } of node.accesses)
      if (effect === 'overwritten') isWanted.delete(keyOf(memory));
    for (const { memory, effect } of node.accesses) {
      // Of what is written in part others may be left.
      if (effect !== 'overwritten' && (effect !== 'partly' || isWanted.has(keyOf(memory))))
        isWanted.add(keyOf(memory));
    }
  }
  list.nodes = kept.reverse();
}
