/** Bytes in memory. */
import { MemoryError } from '../errors.ts';
import { turn } from '../platform.ts';

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

const blockBytes = 2 ** 20;

/** Memory in blocks, all but the last of the same size. */
export function* blocksOf(parts: Iterable<ArrayBufferView>): Generator<Uint8Array> {
  for (const { buffer, byteOffset, byteLength } of parts) {
    for (let at = 0; at < byteLength; at += blockBytes) {
      yield new Uint8Array(buffer, byteOffset + at, Math.min(blockBytes, byteLength - at));
    }
  }
}

/** Lets the event loop turn after every few megabytes that something was done with. */
export class Turns {
  private bytes = 0;

  async after(bytes: number): Promise<void> {
    this.bytes += bytes;
    if (this.bytes < 4 * blockBytes) return;
    this.bytes = 0;
    await turn();
  }
}
