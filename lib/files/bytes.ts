/** Bytes in memory. */
import { MemoryError } from '../errors.ts';

/** Bytes that come once, from the front. */
export interface Feed {
  readonly size: number;
  /** The next ones, as many as fit. @throws FormatError where they end */
  fill(into: Uint8Array): Promise<void>;
}

/** New bytes. @throws MemoryError when the system has none */
export function allocateBuffer(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new MemoryError(`expected ${length} bytes of memory, got none from the system`, { cause });
  }
}

/** Parts that follow each other, in one piece. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = allocateBuffer(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
