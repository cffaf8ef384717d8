/** Values as bytes, between processes. */
import { builtin } from '../platform.ts';

/** Whatever `structuredClone` copies; plain data where the host is not Node. */
export function serialize(value: unknown): Uint8Array {
  const v8 = builtin('node:v8');
  if (v8 !== undefined) return v8.serialize(value);
  return new TextEncoder().encode(JSON.stringify(value));
}

/** What was made into the first `size` bytes of a buffer. */
export function deserialize(buffer: Int32Array, size: number): unknown {
  // Which wants memory that no thread shares.
  const bytes = new Uint8Array(size);
  bytes.set(new Uint8Array(buffer.buffer, 0, size));
  const v8 = builtin('node:v8');
  return v8 === undefined ? JSON.parse(new TextDecoder().decode(bytes)) : v8.deserialize(bytes);
}
