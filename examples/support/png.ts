/** Grey pictures as PNG (ISO/IEC 15948). */
import { writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import type { Tensor } from 'axpy';

/** CRC-32 of bytes, by the polynomial of Ethernet. */
function checksum(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A chunk: its length, its name, what it holds, and the checksum of the latter two. */
function chunk(name: string, content: Uint8Array): Buffer {
  const whole = Buffer.alloc(12 + content.length);
  whole.writeUInt32BE(content.length, 0);
  whole.write(name, 4, 'latin1');
  whole.set(content, 8);
  whole.writeUInt32BE(checksum(whole.subarray(4, 8 + content.length)), 8 + content.length);
  return whole;
}

/** A picture of bytes from black to white, row by row. */
export function encodePng(width: number, height: number, greys: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits, grey; compression, filter and interlacing have their only or first kind.
  header[8] = 8;
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(greys.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** Square pictures [count, side · side] of numbers from 0, black, to 1, side by side with a line of grey between. */
export function drawImages(file: string, pictures: Tensor, across: number): void {
  const [count, size] = pictures.shape;
  const side = Math.sqrt(size);
  const step = side + 1;
  const [width, height] = [across * step - 1, Math.ceil(count / across) * step - 1];
  const greys = new Uint8Array(width * height).fill(96);
  for (let i = 0; i < count * size; i++) {
    const [picture, pixel] = [Math.floor(i / size), i % size];
    const x = (picture % across) * step + (pixel % side);
    const y = Math.floor(picture / across) * step + Math.floor(pixel / side);
    greys[y * width + x] = Math.round(255 * pictures.data[i]);
  }
  writeFileSync(file, encodePng(width, height, greys));
}
