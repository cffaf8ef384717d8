/** Files of TFRecords: each a length, bytes, and sums of both (tensorflow.org/tutorials/load_data/tfrecord). */

/** Of CRC-32C (Castagnoli), reflected. */
let table: Uint32Array | undefined;

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) === 0 ? c >>> 1 : (c >>> 1) ^ 0x82f63b78;
    return c;
  });
}

/** CRC-32C (RFC 3720, appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  table ??= makeTable();
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** As sums are stored, so that one of bytes with a sum among them says something. */
export function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A record of these bytes. */
export function recordOf(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const record = new Uint8Array(length + 16);
  const view = new DataView(record.buffer);
  view.setUint32(0, length, true);
  view.setUint32(8, masked(crc32c(record.subarray(0, 8))), true);
  let at = 12;
  for (const part of parts) {
    record.set(part, at);
    at += part.length;
  }
  view.setUint32(at, masked(crc32c(record.subarray(12, at))), true);
  return record;
}
