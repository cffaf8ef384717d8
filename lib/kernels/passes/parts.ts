/** What is computed as a whole and then read in parts alone, as the gates of a recurrent cell are, is computed by parts. */
import { Storage } from '../../memory.ts';
import { sizeOf } from '../../shape.ts';
import { Chain, pays } from './chain.ts';
import type { List } from './list.ts';
import type { Node } from './nodes.ts';
import { runOf, type View } from './view.ts';

export function parts(list: List): void {
  const { uses } = list;
  const nodes: Node[][] = list.nodes.map((node) => [node]);
  list.nodes.forEach((node, at) => {
    if (!(node instanceof Chain)) return;
    const memory = node.result;
    if (memory === null || !list.isIntermediate(memory)) return;
    const readers = uses.get(memory)!;
    const { count } = node;
    const isRead = (other: Node) => other !== node && !(other instanceof Chain && other.count === count);
    if (!readers.some((other) => nodes[other].some(isRead))) return;
    const views: { reader: Chain; view: View }[] = [];
    let total = 0;
    let isWhole = true;
    for (const other of readers) {
      if (other === at) continue;
      // One that was computed by parts itself has others in its place.
      for (const reader of nodes[other]) {
        for (const access of reader.accesses) {
          if (access.memory !== memory) continue;
          if (!(reader instanceof Chain) || reader.dtype !== node.dtype || access.effect !== 'read') return;
          if (runOf(access.view) < pays.run) return;
          const size = sizeOf(access.view.dims);
          total += size;
          isWhole &&= size === memory.length;
          views.push({ reader, view: access.view });
        }
      }
    }
    // What is read twice would be computed twice.
    if (isWhole || total > memory.length) return;
    const own = views.map(({ view }) => node.at(view, new Storage(memory.dtype, sizeOf(view.dims), null)));
    if (own.includes(null)) return;
    views.forEach(({ reader, view }, i) => {
      reader.redirect(memory, view, own[i]!.result!);
    });
    nodes[at] = own as Chain[];
  });
  list.nodes = nodes.flat();
}
