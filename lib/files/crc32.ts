/** CRC-32, by which zip archives tell whether a member is what was written. */
import { builtin } from '../platform.ts';

/** The tables of CRC-32 for four bytes at a time. */
let tables: readonly Uint32Array[] | undefined;

function makeTables(): readonly Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) === 0 ? c >>> 1 : (c >>> 1) ^ 0xedb88320;
    return c;
  });
  const all = [first];
  for (let i = 1; i < 4; i++) all.push(all[i - 1].map((c) => first[c & 0xff] ^ (c >>> 8)));
  return all;
}

/** For hosts without. */
export function crcByTables(bytes: Uint8Array, start = 0): number {
  tables ??= makeTables();
  const [a, b, c, d] = tables;
  let crc = ~start;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc = d[crc & 0xff] ^ c[(crc >>> 8) & 0xff] ^ b[(crc >>> 16) & 0xff] ^ a[crc >>> 24];
  }
  for (; at < bytes.length; at++) crc = a[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** CRC-32, of what follows bytes whose sum is `start`. Node's own is several times as fast. */
export function crc32(bytes: Uint8Array, start = 0): number {
  const own = builtin('node:zlib')?.crc32;
  return own === undefined ? crcByTables(bytes, start) : own(bytes, start);
}
