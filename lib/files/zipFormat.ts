/**
 * What reading and writing of zip archives share: what PKWARE's APPNOTE calls things, and deflate, which is the host's, by
 * DecompressionStream and its counterpart: Node, Bun, Deno and browsers have them, off the main thread.
 */
import { FileError } from '../errors.ts';

/** What the central directory says of a member. */
export interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  /** Of its local header. */
  readonly offset: number;
}

export const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  descriptor: 0x08074b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
};
export const flag = { encrypted: 0x1, descriptor: 0x8, patched: 0x20, utf8: 0x800, masked: 0x2000 };
export const stored = 0;
export const deflated = 8;
/** Fields of 16 and 32 bits that are full stand for what zip64 holds elsewhere. */
export const full16 = 0xffff;
export const full32 = 0xffffffff;
export const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const u16 = (view: DataView, at: number) => view.getUint16(at, true);
export const u32 = (view: DataView, at: number) => view.getUint32(at, true);
/** Rounded beyond 2⁵³, where no file ends. */
export const u64 = (view: DataView, at: number) => u32(view, at) + 2 ** 32 * u32(view, at + 4);

export interface PipeReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  close(): Promise<void>;
}

/** What the host's deflate makes of parts, or inflate. @throws FileError where the host has none */
export function piped(
  op: string,
  kind: 'CompressionStream' | 'DecompressionStream',
  next: () => Promise<Uint8Array | null>,
): PipeReader {
  let pending: Promise<Uint8Array | null> = Promise.resolve(null);
  const source = () =>
    new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          pending = next();
          const part = await pending;
          if (part === null) controller.close();
          else controller.enqueue(part);
        },
      },
      { highWaterMark: 0 },
    );
  let reader: PipeReader & { cancel(): Promise<void> };
  try {
    reader = source()
      .pipeThrough(new globalThis[kind]('deflate-raw') as never)
      .getReader() as never;
  } catch (cause) {
    throw new FileError(`[${op}] expected a host with ${kind} ('deflate-raw'), got none: store the members`, {
      cause,
    });
  }
  return {
    read: () => reader.read(),
    async close() {
      // Nothing that is still being read outlives the file.
      await Promise.allSettled([reader.cancel(), pending]);
    },
  };
}
