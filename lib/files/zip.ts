/** Zip archives written: members that are stored or deflated, of any size. */
import { blocksOf, concatBytes, Turns } from './bytes.ts';
import { crc32 } from './crc32.ts';
import {
  deflated,
  type Entry,
  flag,
  full16,
  full32,
  piped,
  signatures,
  stored,
  viewOf,
} from './zipFormat.ts';

/** An archive, part by part: the same for the same members, as it knows no time. */
export async function* archiveOf(
  op: string,
  members: Iterable<readonly [name: string, parts: readonly Uint8Array[]]>,
  isCompressed: boolean,
): AsyncGenerator<Uint8Array> {
  const entries: Entry[] = [];
  const turns = new Turns();
  let offset = 0;
  for (const [name, parts] of members) {
    let crc = 0;
    for (const block of blocksOf(parts)) {
      crc = crc32(block, crc);
      await turns.after(block.length);
    }
    const body = isCompressed ? await deflate(op, parts) : parts;
    const entry: Entry = {
      name,
      flags: /^[\0-\x7f]*$/.test(name) ? 0 : flag.utf8,
      method: isCompressed ? deflated : stored,
      crc,
      compressed: lengthOf(body),
      size: lengthOf(parts),
      offset,
    };
    const header = localHeader(entry);
    yield header;
    yield* body;
    offset += header.length + entry.compressed;
    entries.push(entry);
  }
  yield* directoryOf(entries, offset);
}

const lengthOf = (parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0);

async function deflate(op: string, parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const blocks = blocksOf(parts);
  const reader = piped(op, 'CompressionStream', async () => blocks.next().value ?? null);
  const made: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return made;
    made.push(value!);
  }
}

/** Numbers in little-endian order, of so many bytes each. */
function record(...fields: readonly (readonly [bytes: 2 | 4 | 8, value: number])[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((sum, [width]) => sum + width, 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value % 2 ** 32, true);
    if (width === 8) view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    at += width;
  }
  return bytes;
}

const versionOf = (isLarge: boolean) => (isLarge ? 45 : 20);
/** The first of January 1980, midnight. */
const [time, date] = [0, 0x21];
/** Who wrote it, Unix, and that its owner may read and write a member. */
const unix = 3 << 8;
const ownerOnly = 0o600 << 16;

/** What stands before the data of a member. */
export function localHeader({ name, flags, method, crc, compressed, size }: Entry): Uint8Array {
  const label = new TextEncoder().encode(name);
  const isLarge = size >= full32 || compressed >= full32;
  const sizes = isLarge ? [full32, full32] : [compressed, size];
  const extra = isLarge ? record([2, 1], [2, 16], [8, size], [8, compressed]) : new Uint8Array(0);
  return concatBytes([
    record([4, signatures.local], [2, versionOf(isLarge)], [2, flags], [2, method], [2, time], [2, date]),
    record([4, crc], [4, sizes[0]], [4, sizes[1]], [2, label.length], [2, extra.length]),
    label,
    extra,
  ]);
}

/** The central directory, which begins at `start`, and the records after it. */
export function* directoryOf(entries: readonly Entry[], start: number): Generator<Uint8Array> {
  let bytes = 0;
  for (const { name, flags, method, crc, compressed, size, offset } of entries) {
    const label = new TextEncoder().encode(name);
    const isLarge = Math.max(size, compressed, offset) >= full32;
    const places = isLarge ? [full32, full32, full32] : [compressed, size, offset];
    const extra = isLarge
      ? record([2, 1], [2, 24], [8, size], [8, compressed], [8, offset])
      : new Uint8Array(0);
    const version = versionOf(isLarge);
    const entry = concatBytes([
      record(
        [4, signatures.central],
        [2, unix | version],
        [2, version],
        [2, flags],
        [2, method],
        [2, time],
        [2, date],
      ),
      record(
        [4, crc],
        [4, places[0]],
        [4, places[1]],
        [2, label.length],
        [2, extra.length],
        [2, 0],
        [2, 0],
        [2, 0],
      ),
      record([4, ownerOnly], [4, places[2]]),
      label,
      extra,
    ]);
    bytes += entry.length;
    yield entry;
  }
  const count = entries.length;
  const isLarge = count >= full16 || bytes >= full32 || start >= full32;
  if (isLarge) {
    yield record(
      [4, signatures.end64],
      [8, 44],
      [2, unix | 45],
      [2, 45],
      [4, 0],
      [4, 0],
      [8, count],
      [8, count],
    );
    yield record([8, bytes], [8, start]);
    yield record([4, signatures.locator64], [4, 0], [8, start + bytes], [4, 1]);
  }
  const counts = isLarge ? full16 : count;
  yield record([4, signatures.end], [2, 0], [2, 0], [2, counts], [2, counts]);
  yield record([4, isLarge ? full32 : bytes], [4, isLarge ? full32 : start], [2, 0]);
}
