/** Sums by which damage shows: xxHash32 (Collet, 2012), whose four lanes go through gigabytes in a second. */

const [p1, p2, p3, p4, p5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];
const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));
const round = (lane: number, word: number) => Math.imul(rotate(lane + Math.imul(word, p2), 13), p1);

/** A sum of memory that comes block by block. */
export class Digest {
  private lanes = [(p1 + p2) | 0, p2 | 0, 0, -p1 | 0];
  private bytes = 0;
  /** The words that fill the lanes no more. */
  private rest: Int32Array = new Int32Array(0);

  /** Adds what begins and ends at a multiple of four bytes; all but the last of sixteen. */
  add({ buffer, byteOffset, byteLength }: ArrayBufferView): this {
    const words = new Int32Array(buffer, byteOffset, byteLength / 4);
    const whole = words.length - (words.length % 4);
    let [a, b, c, d] = this.lanes;
    for (let i = 0; i < whole; i += 4) {
      a = round(a, words[i]);
      b = round(b, words[i + 1]);
      c = round(c, words[i + 2]);
      d = round(d, words[i + 3]);
    }
    this.lanes = [a, b, c, d];
    this.bytes += byteLength;
    // A copy, as the memory may be another by the time of the sum.
    this.rest = words.slice(whole);
    return this;
  }

  /** Unsigned. */
  get sum(): number {
    const [a, b, c, d] = this.lanes;
    let sum = this.bytes < 16 ? p5 | 0 : (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
    sum = (sum + this.bytes) | 0;
    for (const word of this.rest) sum = Math.imul(rotate(sum + Math.imul(word, p3), 17), p4);
    sum = Math.imul(sum ^ (sum >>> 15), p2);
    sum = Math.imul(sum ^ (sum >>> 13), p3);
    return (sum ^ (sum >>> 16)) >>> 0;
  }
}

/** Of memory that begins and ends at a multiple of four bytes. */
export const digest = (memory: ArrayBufferView): number => new Digest().add(memory).sum;

/** Of text, in UTF-8 filled up with zeros. */
export function digestOfText(text: string): number {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(4 * Math.ceil(bytes.length / 4));
  padded.set(bytes);
  return digest(padded);
}
