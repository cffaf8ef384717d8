/**
 * Zip archives (PKWARE's APPNOTE), as far as arrays need them: members that are stored or deflated, of any size, read one by
 * one through the central directory. Deflate is the host's, by DecompressionStream, which Node, Bun, Deno and browsers have,
 * off the main thread. A library would bring its own, and leave out what is most of this file: reading by ranges, sums, zip64,
 * and that no member takes more memory than its part of the file can stand for.
 */
import { describe } from '../arguments.ts';
import { AxpyError, FileError, FormatError } from '../errors.ts';
import { builtin } from '../platform.ts';
import { blocksOf, concatBytes, type Feed, Turns } from './bytes.ts';
import type { Readable } from './disk.ts';

/** What of an open file is needed here. */
type File = Pick<Readable, 'size' | 'read' | 'readInto'>;

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

/** One that was found in an archive. */
export interface Member extends Entry {
  /** The bytes of its name. */
  readonly label: Uint8Array;
  /** Where the next one begins. */
  limit: number;
}

const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  descriptor: 0x08074b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
};
const flag = { encrypted: 0x1, descriptor: 0x8, patched: 0x20, utf8: 0x800, masked: 0x2000 };
const stored = 0;
const deflated = 8;
const methods: Readonly<Record<number, string>> = {
  1: 'shrunk',
  6: 'imploded',
  9: 'Deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'Zstandard',
  95: 'XZ',
  99: 'AES',
};
/** Fields of 16 and 32 bits that are full stand for what zip64 holds elsewhere. */
const full16 = 0xffff;
const full32 = 0xffffffff;
/** Deflate makes of a byte so many at most: a match of 258 takes two bits. */
const mostOfByte = 1032;
const blockBytes = 2 ** 20;

// ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const u16 = (view: DataView, at: number) => view.getUint16(at, true);
const u32 = (view: DataView, at: number) => view.getUint32(at, true);
/** Rounded beyond 2⁵³, where no file ends. */
const u64 = (view: DataView, at: number) => u32(view, at) + 2 ** 32 * u32(view, at + 4);

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

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Code page 437 from 128: what names are in that do not say that they are UTF-8. */
const page437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0';

/** The text of a name; undefined for what is none. */
function textOf(label: Uint8Array, isUtf8: boolean): string | undefined {
  if (label.includes(0)) return undefined;
  if (!isUtf8) {
    const characters = Array.from(label, (byte) => page437[byte - 128] ?? String.fromCharCode(byte));
    return characters.join('');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(label);
  } catch {
    return undefined;
  }
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The length of the record at the end of an archive, without its comment. */
const endLength = 22;
const localLength = 30;
const centralLength = 46;

const refuse = (expected: string, got: string, cause?: unknown) =>
  new FormatError(`expected ${expected}, got ${got}`, cause === undefined ? undefined : { cause });

/** An archive that is open. Its errors are without the name of the file. */
export class Archive {
  private readonly turns = new Turns();

  constructor(
    private readonly op: string,
    private readonly file: File,
  ) {}

  /** The members, in the order of the central directory. */
  async members(): Promise<Member[]> {
    const { count, size, offset } = await this.end();
    if (count * centralLength > size) throw refuse(`${count} members`, `a directory of ${size} bytes`);
    const bytes = await this.file.read(offset, size);
    const view = viewOf(bytes);
    const members: Member[] = [];
    let at = 0;
    while (members.length < count) {
      const where = `at ${offset + at}`;
      if (at + centralLength > size || u32(view, at) !== signatures.central) {
        throw refuse(`the entry of member ${members.length + 1} of ${count} ${where}`, 'something else');
      }
      const ends = at + centralLength + u16(view, at + 28) + u16(view, at + 30) + u16(view, at + 32);
      if (ends > size)
        throw refuse(`an entry within the directory ${where}`, `one that ends at ${offset + ends}`);
      members.push(this.entry(bytes.subarray(at, ends), where, offset));
      at = ends;
    }
    if (at !== size)
      throw refuse(`a directory of ${count} members to end at ${offset + size}`, `${offset + at}`);
    this.limit(members, offset);
    return members;
  }

  /** Members may lie in any order, but not in each other, as those of bombs do. */
  private limit(members: readonly Member[], end: number): void {
    const sorted = [...members].sort((a, b) => a.offset - b.offset);
    sorted.forEach((member, i) => {
      member.limit = sorted[i + 1]?.offset ?? end;
      const least = member.offset + localLength + member.label.length + member.compressed;
      if (least > member.limit) {
        throw refuse(
          `member ${describe(member.name)}, ${member.compressed} bytes from ${member.offset}, to end by ${member.limit}, ` +
            'where something else begins',
          `at least ${least}`,
        );
      }
    });
  }

  /** What the record at the end says of the central directory. */
  private async end(): Promise<{ count: number; size: number; offset: number }> {
    const { file } = this;
    const start = Math.max(0, file.size - endLength - full16);
    const tail = await file.read(start, file.size - start);
    const view = viewOf(tail);
    let at = tail.length - endLength;
    while (
      at >= 0 &&
      !(u32(view, at) === signatures.end && at + endLength + u16(view, at + 20) === tail.length)
    )
      at--;
    if (at < 0) throw refuse('a zip archive, with a record at its end', 'none: it may be cut off');
    const disks = [u16(view, at + 4), u16(view, at + 6)];
    const counts = [u16(view, at + 8), u16(view, at + 10)];
    const record = { count: counts[1], size: u32(view, at + 12), offset: u32(view, at + 16) };
    const position = start + at;
    const locator = await this.locator(position);
    if (locator === null) {
      if (disks[0] !== 0 || disks[1] !== 0 || counts[0] !== counts[1]) throw refuse('one disk', 'several');
      if (record.offset + record.size !== position) {
        throw refuse(`the directory to end at ${position}`, `${record.offset + record.size}`);
      }
      return record;
    }
    const own = await this.end64(locator, position - 20);
    const agrees =
      (record.count === full16 || record.count === own.count) &&
      (record.size === full32 || record.size === own.size) &&
      (record.offset === full32 || record.offset === own.offset);
    if (!agrees) throw refuse('one central directory', 'two records at the end that contradict each other');
    return own;
  }

  /** Where the zip64 record is; null where there is none. */
  private async locator(end: number): Promise<number | null> {
    if (end < 20) return null;
    const view = viewOf(await this.file.read(end - 20, 20));
    if (u32(view, 0) !== signatures.locator64) return null;
    if (u32(view, 4) !== 0 || u32(view, 16) > 1) throw refuse('one disk', 'several');
    return u64(view, 8);
  }

  private async end64(at: number, end: number): Promise<{ count: number; size: number; offset: number }> {
    if (at + 56 > end) throw refuse(`the zip64 record to end by ${end}`, `one at ${at}`);
    const view = viewOf(await this.file.read(at, 56));
    if (u32(view, 0) !== signatures.end64 || at + 12 + u64(view, 4) !== end) {
      throw refuse(`a zip64 record at ${at} that ends at ${end}`, 'something else');
    }
    const count = u64(view, 32);
    if (u32(view, 16) !== 0 || u32(view, 20) !== 0 || u64(view, 24) !== count)
      throw refuse('one disk', 'several');
    const [size, offset] = [u64(view, 40), u64(view, 48)];
    if (offset + size !== at) throw refuse(`the directory to end at ${at}`, `${offset + size}`);
    return { count, size, offset };
  }

  private entry(bytes: Uint8Array, where: string, end: number): Member {
    const view = viewOf(bytes);
    const flags = u16(view, 8);
    const labelEnd = centralLength + u16(view, 28);
    const label = bytes.subarray(centralLength, labelEnd);
    const name = textOf(label, (flags & flag.utf8) !== 0);
    if (name === undefined)
      throw refuse(`a name in ${flags & flag.utf8 ? 'UTF-8' : 'text'} ${where}`, 'other bytes');
    const extra = bytes.subarray(labelEnd, labelEnd + u16(view, 30));
    const fields = { size: u32(view, 24), compressed: u32(view, 20), offset: u32(view, 42) };
    const { size, compressed, offset } = this.fields64(fields, extra, name);
    const disk = u16(view, 34);
    if (disk !== 0 && disk !== full16) throw refuse('one disk', `member ${describe(name)} on another`);
    if (offset >= end)
      throw refuse(`member ${describe(name)} before the directory at ${end}`, `at ${offset}`);
    return {
      name,
      flags,
      method: u16(view, 10),
      crc: u32(view, 16),
      compressed,
      size,
      offset,
      label,
      limit: end,
    };
  }

  /** Those of some fields that are full, in their order, are in an extra field of 64 bits each. */
  private fields64<Fields extends Record<string, number>>(
    fields: Fields,
    extra: Uint8Array,
    name: string,
  ): Fields {
    const wanted = Object.keys(fields).filter((key) => fields[key] === full32);
    const view = viewOf(extra);
    let at = 0;
    for (let next = 0; at + 4 <= extra.length; at = next) {
      const id = u16(view, at);
      next = at + 4 + u16(view, at + 2);
      if (next > extra.length) {
        throw refuse(`the extra fields of ${describe(name)} to have ${extra.length} bytes`, `${next}`);
      }
      if (id !== 1 || wanted.length === 0) continue;
      if (next - at - 4 < 8 * wanted.length) {
        throw refuse(`${8 * wanted.length} bytes of zip64 for ${describe(name)}`, `${next - at - 4}`);
      }
      const own = wanted.map((key, i) => [key, u64(view, at + 4 + 8 * i)]);
      return { ...fields, ...Object.fromEntries(own) };
    }
    // Without such a field they are what they say, which fits into no file that needs none.
    return fields;
  }

  /** Uses the bytes of a member, all of them, whose sum is checked then. */
  async use<Result>(member: Member, read: (feed: Feed) => Promise<Result>): Promise<Result> {
    const name = describe(member.name);
    const { flags, method, size, compressed } = member;
    if ((flags & (flag.encrypted | flag.masked)) !== 0)
      throw refuse(`${name} without a password`, 'encrypted');
    if ((flags & flag.patched) !== 0) throw refuse(`the data of ${name}`, 'a patch of others');
    if (method !== stored && method !== deflated) {
      throw refuse(`${name} stored or deflated`, methods[method] ?? `method ${method}`);
    }
    const most = method === stored ? compressed : mostOfByte * compressed;
    if (size > most || (method === stored && size < compressed)) {
      const kind = method === stored ? 'stored' : 'deflated';
      throw refuse(`${name}, ${kind} in ${compressed} bytes, to have ${most} at most`, `${size}`);
    }
    const start = await this.dataOf(member, name);
    const parts = method === stored ? this.stored(start) : this.inflated(member, start);
    const { turns } = this;
    let crc = 0;
    let left = size;
    const end = () => refuse(`${name} to have ${size} bytes`, `${size - left}`);
    try {
      const result = await read({
        size,
        fill: async (into) => {
          if (into.length > left) throw end();
          for (let at = 0; at < into.length; ) {
            const part = into.subarray(at, at + blockBytes);
            const count = await parts.fill(part);
            if (count === 0) throw end();
            crc = crc32(part.subarray(0, count), crc);
            at += count;
            left -= count;
            await turns.after(count);
          }
        },
      });
      if (!(await parts.isEnd())) throw refuse(`${name} to have ${size} bytes`, 'more');
      if (crc !== member.crc) throw refuse(`${name} with the sum ${hex(member.crc)} (CRC-32)`, hex(crc));
      return result;
    } finally {
      await parts.close();
    }
  }

  /** Where the data of a member begins, after a local header that has to agree. */
  private async dataOf(member: Member, name: string): Promise<number> {
    const { offset, limit, label, flags, method } = member;
    const view = viewOf(await this.file.read(offset, localLength));
    if (u32(view, 0) !== signatures.local)
      throw refuse(`the header of ${name} at ${offset}`, 'something else');
    const start = offset + localLength + u16(view, 26) + u16(view, 28);
    if (start + member.compressed > limit) {
      throw refuse(`${name} from ${start} to end by ${limit}`, `${start + member.compressed}`);
    }
    const bytes = await this.file.read(offset + localLength, start - offset - localLength);
    const own = bytes.subarray(0, u16(view, 26));
    const extra = bytes.subarray(u16(view, 26));
    const fields = this.fields64({ size: u32(view, 22), compressed: u32(view, 18) }, extra, member.name);
    const contradicts = (what: string) => {
      throw refuse(`the header of ${name} at ${offset} to agree with the directory`, `another ${what}`);
    };
    if (own.length !== label.length || own.some((byte, i) => byte !== label[i])) contradicts('name');
    if (u16(view, 8) !== method) contradicts('method');
    const alike = flag.encrypted | flag.descriptor | flag.patched | flag.utf8 | flag.masked;
    if (((u16(view, 6) ^ flags) & alike) !== 0) contradicts('set of flags');
    const said = [u32(view, 14), fields.compressed, fields.size];
    const known = [member.crc, member.compressed, member.size];
    const agrees = said.every((value, i) => value === known[i]);
    // Written to what cannot go back, a header leaves them to a descriptor after the data.
    const isLeft = (flags & flag.descriptor) !== 0;
    if (!agrees && !(isLeft && said.every((value) => value === 0))) contradicts('size or sum');
    if (isLeft) await this.checkDescriptor(member, start + member.compressed, name);
    return start;
  }

  private async checkDescriptor(
    { crc, compressed, size, limit }: Member,
    at: number,
    name: string,
  ): Promise<void> {
    const bytes = await this.file.read(at, Math.min(24, limit - at));
    const view = viewOf(bytes);
    const agrees = [0, 4].some((from) => {
      if (from === 4 && !(bytes.length >= 4 && u32(view, 0) === signatures.descriptor)) return false;
      return [u32, u64].some((read) => {
        const width = read === u32 ? 4 : 8;
        return (
          from + 4 + 2 * width <= bytes.length &&
          u32(view, from) === crc &&
          read(view, from + 4) === compressed &&
          read(view, from + 4 + width) === size
        );
      });
    });
    if (!agrees) throw refuse(`a descriptor of ${name} at ${at} that agrees with the directory`, 'another');
  }

  private stored(start: number): Parts {
    let at = start;
    return {
      fill: async (into) => {
        await this.file.readInto(at, into);
        at += into.length;
        return into.length;
      },
      // As many as were stored were read.
      isEnd: async () => true,
      close: async () => {},
    };
  }

  private inflated({ name, compressed }: Member, start: number): Parts {
    const end = start + compressed;
    let at = start;
    const reader = piped(this.op, 'DecompressionStream', async () => {
      if (at === end) return null;
      const from = at;
      at = Math.min(end, at + blockBytes / 4);
      return this.file.read(from, at - from);
    });
    let rest: Uint8Array = new Uint8Array(0);
    const next = async () => {
      while (rest.length === 0) {
        const { done, value } = await reader.read().catch((cause) => {
          if (cause instanceof AxpyError) throw cause;
          throw refuse(`${describe(name)} to be deflated`, 'something else', cause);
        });
        if (done) return false;
        rest = value!;
      }
      return true;
    };
    return {
      async fill(into) {
        if (!(await next())) return 0;
        const count = Math.min(into.length, rest.length);
        into.set(rest.subarray(0, count));
        rest = rest.subarray(count);
        return count;
      },
      isEnd: async () => !(await next()),
      close: reader.close,
    };
  }
}

/** The bytes of a member, part by part. */
interface Parts {
  /** Some of the next ones; returns how many, 0 at the end. */
  fill(into: Uint8Array): Promise<number>;
  isEnd(): Promise<boolean>;
  close(): Promise<void>;
}

const hex = (crc: number) => crc.toString(16).padStart(8, '0');

interface PipeReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  close(): Promise<void>;
}

/** What the host's deflate makes of parts, or inflate. @throws FileError where the host has none */
function piped(
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
    reader = source().pipeThrough(new globalThis[kind]('deflate-raw')).getReader() as never;
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

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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
