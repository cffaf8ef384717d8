/**
 * Zip archives read, as far as arrays need them: members that are stored or deflated, of any size, one by one through the central
 * directory. A library would leave out what is most of this file: reading by ranges, sums, zip64, and that no member takes more
 * memory than its part of the file can stand for.
 */
import { describe } from '../arguments.ts';
import { AxpyError, FormatError } from '../errors.ts';
import { type Feed, Turns } from './bytes.ts';
import { crc32 } from './crc32.ts';
import type { Readable } from './disk.ts';
import {
  deflated,
  type Entry,
  flag,
  full16,
  full32,
  piped,
  signatures,
  stored,
  u16,
  u32,
  u64,
  viewOf,
} from './zipFormat.ts';

/** What of an open file is needed here. */
type File = Pick<Readable, 'size' | 'read' | 'readInto'>;

/** One that was found in an archive. */
export interface Member extends Entry {
  /** The bytes of its name. */
  readonly label: Uint8Array;
  /** Where the next one begins. */
  limit: number;
}

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
/** Deflate makes of a byte so many at most: a match of 258 takes two bits. */
const mostOfByte = 1032;
const blockBytes = 2 ** 20;

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
