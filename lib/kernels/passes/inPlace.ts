/**
 * What a call makes takes the memory of what it is made of, element by element, where nobody reads that afterwards: less goes
 * through the caches. Comes last, as memory is written more than once from then on.
 */
import type { Storage } from '../../memory.ts';
import type { List } from './list.ts';
import { keyOf } from './nodes.ts';

export function inPlace(list: List): void {
  const { nodes, uses } = list;
  nodes.forEach((node, at) => {
    for (const { memory, effect } of [...node.accesses]) {
      if (effect !== 'overwritten' || !list.isIntermediate(memory)) continue;
      const own = uses.get(memory)!;
      if (own[0] !== at) continue;
      const isFree = (other: object): other is Storage =>
        list.isIntermediate(other) && uses.get(other)!.at(-1) === at;
      const over = node.operandUnder(memory, isFree);
      if (over === null) continue;
      for (const other of own) nodes[other].rename(memory, over);
      uses.get(over)!.push(...own.slice(1));
      uses.delete(keyOf(memory));
    }
  });
}
