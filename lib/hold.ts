/** Memory that is read while time goes by, as into a file: whoever is about to change it lets it be copied before. */

const held = new Map<ArrayBufferLike, Set<() => void>>();

/** Calls `copy` before the memory changes for the first time, unless it was released by then. Returns what releases it. */
export function hold(buffer: ArrayBufferLike, copy: () => void): () => void {
  const copies = held.get(buffer) ?? new Set();
  copies.add(copy);
  held.set(buffer, copies);
  return () => {
    copies.delete(copy);
    if (copies.size === 0 && held.get(buffer) === copies) held.delete(buffer);
  };
}

/** To be told before memory changes. */
export function beforeChange(buffer: ArrayBufferLike): void {
  if (held.size === 0) return;
  const copies = held.get(buffer);
  if (copies === undefined) return;
  held.delete(buffer);
  for (const copy of copies) copy();
}

/** The same for much of it. */
export function beforeChanges(buffers: Iterable<ArrayBufferLike>): void {
  if (held.size > 0) for (const buffer of buffers) beforeChange(buffer);
}
