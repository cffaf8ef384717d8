/** Memory that holds one number throughout is that number to the chains that read it. */
import { Chain } from './chain.ts';
import type { List } from './list.ts';
import { dtypeOf } from './nodes.ts';

export function constants(list: List): void {
  const { uses } = list;
  for (const node of list.nodes) {
    const filled = node instanceof Chain ? node.filled : null;
    if (filled === null || !list.isIntermediate(filled.memory)) continue;
    const { memory, value } = filled;
    const others = uses.get(memory)!.filter((at) => list.nodes[at] !== node);
    const isOnlyRead = others.every((at) => !list.nodes[at].writes.includes(memory));
    if (!isOnlyRead) continue;
    for (const at of others) {
      const reader = list.nodes[at];
      if (reader instanceof Chain && reader.dtype === dtypeOf(memory)) reader.know(memory, value);
    }
  }
}
