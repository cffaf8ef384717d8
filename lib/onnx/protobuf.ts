/**
 * The wire format of Protocol Buffers, read and written by tables of fields (protobuf.dev/programming-guides/encoding). A
 * library would be many times this file, and would neither bound what a bad file costs nor leave weights where they lie.
 */
import { FormatError } from '../errors.ts';

/** What a field holds. 'int' is any of int32, int64 and enums, which are written alike; beyond 2⁵³ it is rounded. */
export type Kind = Numeric | 'string' | 'bytes' | (() => AnySchema);
type Numeric = 'int' | 'float' | 'double';

/**
 * A field's number and kind. One given `many` is a list, packed where its kind allows it; one given `present` says by being
 * there which of several a message has, and is written where it is 0 as well.
 */
export type Field = readonly [number: number, kind: Kind, how?: 'many' | 'present'];

/** The fields of a message. All are there once it is read: as 0, '', no bytes, null for a message, or an empty list. */
export type Schema<Message> = { readonly [Name in keyof Message]-?: Field };

// biome-ignore lint/suspicious/noExplicitAny: of any message
export type AnySchema = Schema<any>;

type Values = Record<string, unknown>;

/** How deep messages may lie in each other, as in the libraries of Google. */
const deepest = 100;
/** How many messages there may be, so that a file of empty ones does not take a hundred times its size. */
const mostMessages = 2 ** 21;

const wire = { varint: 0, eight: 1, bytes: 2, four: 5 } as const;
const wires: Readonly<Record<Numeric, number>> = { int: wire.varint, float: wire.four, double: wire.eight };
const isNumeric = (kind: Kind): kind is Numeric => typeof kind === 'string' && kind in wires;
const wireOf = (kind: Kind): number => (isNumeric(kind) ? wires[kind] : wire.bytes);

interface Known {
  readonly name: string;
  readonly kind: Kind;
  readonly isMany: boolean;
  /** Whether it is written with its initial value as well. */
  readonly isPresent: boolean;
}

/** In bytes; an integer takes one at least. */
const sizes: Readonly<Record<Numeric, number>> = { int: 1, float: 4, double: 8 };

const byNumber = new WeakMap<AnySchema, Map<number, Known>>();

function fieldsOf(schema: AnySchema): Map<number, Known> {
  let fields = byNumber.get(schema);
  if (fields === undefined) {
    fields = new Map(
      Object.entries(schema).map(([name, [number, kind, how]]) => [
        number,
        { name, kind, isMany: how === 'many', isPresent: how === 'present' },
      ]),
    );
    byNumber.set(schema, fields);
  }
  return fields;
}

function initial({ kind, isMany }: Known): unknown {
  if (isMany) return [];
  if (isNumeric(kind)) return 0;
  if (kind === 'string') return '';
  return kind === 'bytes' ? nothing : null;
}

const nothing = new Uint8Array(0);

/**
 * Reads a message. Fields of bytes are views of what was given; fields that the table does not know are passed over.
 * @param name what messages call the whole
 * @throws FormatError with the field and the offset, for what is no such message
 */
export function decode<Message>(name: string, schema: Schema<Message>, bytes: Uint8Array): Message {
  return new Reader(bytes).message(schema as AnySchema, bytes.length, name, 0) as Message;
}

class Reader {
  private at = 0;
  private messages = 0;
  private readonly view: DataView;
  private readonly text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  message(schema: AnySchema, end: number, path: string, depth: number): Values {
    if (depth > deepest) throw this.error(path, `messages at most ${deepest} deep`, 'a deeper one');
    if (++this.messages > mostMessages)
      throw this.error(path, `${mostMessages} messages at most in a file`, 'more');
    const fields = fieldsOf(schema);
    const made: Values = {};
    for (const field of fields.values()) made[field.name] = initial(field);
    while (this.at < end) {
      const start = this.at;
      const tag = this.varint(end, path);
      const [number, type] = [Math.floor(tag / 8), tag & 7];
      if (tag <= 0 || number === 0) {
        this.at = start;
        throw this.error(path, 'a field', `tag ${tag}`);
      }
      const field = fields.get(number);
      if (field === undefined) this.skip(type, end, `${path} field ${number}`);
      else this.field(made, field, type, end, path, depth);
    }
    return made;
  }

  private field(
    made: Values,
    { name, kind, isMany }: Known,
    type: number,
    end: number,
    path: string,
    depth: number,
  ) {
    const list = isMany ? (made[name] as unknown[]) : null;
    const place = list === null ? `${path}.${name}` : `${path}.${name}[${list.length}]`;
    if (list !== null && type === wire.bytes && isNumeric(kind)) {
      this.packed(list as number[], kind, end, place);
      return;
    }
    if (type !== wireOf(kind)) throw this.error(place, `wire type ${wireOf(kind)}`, `${type}`);
    const value = this.value(kind, end, place, depth);
    if (list === null) made[name] = value;
    else list.push(value);
  }

  private value(kind: Kind, end: number, place: string, depth: number): unknown {
    if (isNumeric(kind)) return this.number(kind, end, place);
    const until = this.length(end, place);
    if (typeof kind === 'function') return this.message(kind(), until, place, depth + 1);
    const part = this.bytes.subarray(this.at, until);
    this.at = until;
    return kind === 'bytes' ? part : this.string(part, place);
  }

  private packed(list: number[], kind: Numeric, end: number, place: string): void {
    const until = this.length(end, place);
    const size = sizes[kind];
    if ((until - this.at) % size !== 0) {
      throw this.error(place, `packed ${kind}s of ${size} bytes each`, `${until - this.at} bytes`);
    }
    while (this.at < until) list.push(this.number(kind, until, place));
  }

  private number(kind: Numeric, end: number, place: string): number {
    if (kind === 'int') return this.varint(end, place);
    const size = sizes[kind];
    if (this.at + size > end) throw this.error(place, `${size} bytes`, `${end - this.at}`);
    this.at += size;
    const { view, at } = this;
    return kind === 'float' ? view.getFloat32(at - size, true) : view.getFloat64(at - size, true);
  }

  private string(part: Uint8Array, place: string): string {
    try {
      return this.text.decode(part);
    } catch {
      throw this.error(place, 'text in UTF-8', 'other bytes');
    }
  }

  /** Where the bytes end that a length announces. */
  private length(end: number, place: string): number {
    const start = this.at;
    const length = this.varint(end, place);
    if (length >= 0 && length <= end - this.at) return this.at + length;
    const left = end - this.at;
    this.at = start;
    throw this.error(place, `a length of at most ${left} bytes, as many as are left`, `${length}`);
  }

  private varint(end: number, place: string): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= end) throw this.error(place, 'a number', 'the end');
      const byte = this.bytes[this.at++];
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high = (byte & 0x7f) >> 4;
      } else high |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) return high * 2 ** 32 + (low >>> 0);
    }
    throw this.error(place, 'a number of at most 10 bytes', 'a longer one');
  }

  private skip(type: number, end: number, place: string): void {
    if (type === wire.varint) this.varint(end, place);
    else if (type === wire.bytes) this.at = this.length(end, place);
    else if (type === wire.four || type === wire.eight) {
      const size = type === wire.four ? 4 : 8;
      if (this.at + size > end) throw this.error(place, `${size} bytes`, `${end - this.at}`);
      this.at += size;
    } else throw this.error(place, 'wire type 0, 1, 2 or 5', `${type}`);
  }

  private error(place: string, expected: string, got: string): FormatError {
    return new FormatError(`expected ${expected} for ${place} at byte ${this.at}, got ${got}`);
  }
}

/** How long bytes are that are handed on as they are. */
const large = 2 ** 12;

/** Parts that follow each other: what is small in buffers of our own, what is large where it lies. */
class Writer {
  private readonly parts: Uint8Array[] = [];
  private small = new Uint8Array(256);
  private used = 0;
  length = 0;

  private room(bytes: number): void {
    if (this.used + bytes <= this.small.length) return;
    const grown = new Uint8Array(2 * this.small.length + bytes);
    grown.set(this.small.subarray(0, this.used));
    this.small = grown;
  }

  private close(): void {
    if (this.used > 0) this.parts.push(this.small.slice(0, this.used));
    this.used = 0;
  }

  done(): Uint8Array[] {
    this.close();
    return this.parts;
  }

  bytes(part: Uint8Array): void {
    this.length += part.length;
    if (part.length >= large) {
      this.close();
      this.parts.push(part);
      return;
    }
    this.room(part.length);
    this.small.set(part, this.used);
    this.used += part.length;
  }

  varint(value: number): void {
    this.room(10);
    // What was 2⁶³ − 1 is rounded up as it is read.
    const isLargest = value >= 2 ** 63;
    let low = isLargest ? 0xffffffff : value >>> 0;
    let high = isLargest ? 0x7fffffff : Math.floor(value / 2 ** 32) >>> 0;
    const start = this.used;
    while (high > 0 || low > 0x7f) {
      this.small[this.used++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.small[this.used++] = low;
    this.length += this.used - start;
  }

  number(kind: Numeric, value: number): void {
    if (kind === 'int') {
      this.varint(value);
      return;
    }
    const size = sizes[kind];
    this.room(size);
    const view = new DataView(this.small.buffer, this.used, size);
    if (kind === 'float') view.setFloat32(0, value, true);
    else view.setFloat64(0, value, true);
    this.used += size;
    this.length += size;
  }

  /** What another one has, with its length before it. */
  nested(inner: Writer): void {
    this.varint(inner.length);
    for (const part of inner.done()) this.bytes(part);
  }
}

/**
 * Writes a message, fields in the order of their numbers; those that have their initial value are left out.
 * @returns parts that follow each other; large fields of bytes are among them as they were given
 */
export function encode<Message>(schema: Schema<Message>, message: Message): Uint8Array[] {
  const writer = new Writer();
  write(writer, schema as AnySchema, message as Values);
  return writer.done();
}

function write(writer: Writer, schema: AnySchema, message: Values): void {
  const fields = [...fieldsOf(schema)].sort(([a], [b]) => a - b);
  for (const [number, { name, kind, isMany, isPresent }] of fields) {
    const value = message[name];
    if (!isMany) {
      const isInitial = value === '' || (Object.is(value, 0) && !isPresent);
      if (
        value === null ||
        value === undefined ||
        isInitial ||
        (kind === 'bytes' && (value as Uint8Array).length === 0)
      )
        continue;
      writer.varint(8 * number + wireOf(kind));
      writeValue(writer, kind, value);
      continue;
    }
    const list = (value ?? []) as readonly unknown[];
    if (isNumeric(kind)) {
      if (list.length === 0) continue;
      const inner = new Writer();
      for (const item of list) writeValue(inner, kind, item);
      writer.varint(8 * number + wire.bytes);
      writer.nested(inner);
      continue;
    }
    for (const item of list) {
      writer.varint(8 * number + wire.bytes);
      writeValue(writer, kind, item);
    }
  }
}

function writeValue(writer: Writer, kind: Kind, value: unknown): void {
  if (isNumeric(kind)) writer.number(kind, value as number);
  else if (typeof kind === 'function') {
    const inner = new Writer();
    write(inner, kind(), value as Values);
    writer.nested(inner);
  } else {
    const bytes = kind === 'bytes' ? (value as Uint8Array) : new TextEncoder().encode(value as string);
    writer.varint(bytes.length);
    writer.bytes(bytes);
  }
}
