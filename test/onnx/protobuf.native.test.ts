import fc from 'fast-check';
import { expect, it } from 'vitest';
import { concatBytes } from '../../lib/files/bytes.ts';
import { decode, encode, type Schema } from '../../lib/onnx/protobuf.ts';

interface Message {
  n: number;
  x: number;
  d: number;
  ds: number[];
  text: string;
  raw: Uint8Array;
  inner: Message | null;
  ns: number[];
  xs: number[];
  texts: string[];
  inners: Message[];
}

const schema: Schema<Message> = {
  n: [1, 'int'],
  x: [2, 'float'],
  d: [20, 'double'],
  ds: [21, 'double', 'many'],
  text: [3, 'string'],
  raw: [4, 'bytes'],
  inner: [5, () => schema],
  ns: [6, 'int', 'many'],
  xs: [7, 'float', 'many'],
  texts: [8, 'string', 'many'],
  inners: [2000, () => schema, 'many'],
};

const int = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, -1, 2 ** 31, 2 ** 32, -(2 ** 31), -(2 ** 63), 2 ** 63),
);
const float = fc.oneof(fc.float(), fc.constant(-0));
const double = fc.oneof(fc.double(), fc.constant(-0));
/** Messages with so many levels of others in them. */
const messagesOf = (depth: number): fc.Arbitrary<Message> =>
  fc.record({
    n: int,
    x: float,
    d: double,
    ds: fc.array(double, { maxLength: 4 }),
    text: fc
      .string({ unit: 'binary' })
      .map((text) => new TextDecoder().decode(new TextEncoder().encode(text))),
    // Parts of more than 4 KB are handed on as they are.
    raw: fc.oneof({ weight: 4, arbitrary: fc.uint8Array() }, fc.constant(new Uint8Array(5000).fill(7))),
    inner: depth === 0 ? fc.constant(null) : fc.option(messagesOf(depth - 1), { freq: 2 }),
    ns: fc.array(int, { maxLength: 4 }),
    xs: fc.array(float, { maxLength: 4 }),
    texts: fc.array(fc.string(), { maxLength: 4 }),
    inners: depth === 0 ? fc.constant([]) : fc.array(messagesOf(depth - 1), { maxLength: 2 }),
  });
const messages = fc.nat(3).chain(messagesOf);

const bytesOf = (message: Message) => concatBytes(encode(schema, message));
const refused = (bytes: Uint8Array, message: string) =>
  expect(() => read(bytes)).toThrow(
    expect.objectContaining({ code: 'AXPY_FORMAT', message: expect.stringContaining(message) }),
  );
/** Without arrays of thousands of bytes, which are slow to compare. */
const plain = (message: Message): unknown => ({
  ...message,
  raw: Buffer.from(message.raw).toString('latin1'),
  inner: message.inner && plain(message.inner),
  inners: message.inners.map(plain),
});
const read = (bytes: Uint8Array) => decode('message', schema, bytes);

it('a message that was written is read as it was', () => {
  fc.assert(
    fc.property(messages, (message) => {
      expect(plain(read(bytesOf(message)))).toEqual(plain(message));
    }),
  );
});

it('numbers are written as the format says', () => {
  const message = { ...read(new Uint8Array()), n: 150, ns: [3, 270, 86942], text: 'testing' };
  // The examples of protobuf.dev/programming-guides/encoding: 08 96 01 and, packed, 03 8e 02 9e a7 05.
  expect([...bytesOf(message)]).toEqual([
    0x08, 0x96, 0x01, 0x1a, 7, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67, 0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5,
  ]);
  expect([...bytesOf({ ...read(new Uint8Array()), n: -2 })]).toEqual([
    8,
    0xfe,
    ...new Array(8).fill(0xff),
    1,
  ]);
});

it('doubles are written as the format says, and what says that it is there is so with 0 as well', () => {
  const message = { ...read(new Uint8Array()), d: 1.5, ds: [-0] };
  expect([...bytesOf(message)]).toEqual([
    ...[0xa1, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
    ...[0xaa, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0x80],
  ]);
  const present: Schema<{ x: number; n?: number }> = { x: [2, 'float', 'present'], n: [1, 'int', 'present'] };
  expect([...concatBytes(encode(present, { x: 0 }))]).toEqual([0x15, 0, 0, 0, 0]);
  refused(new Uint8Array([0xaa, 1, 7, 0, 0, 0, 0, 0, 0, 0]), 'expected packed doubles of 8 bytes each');
  refused(new Uint8Array([0xa1, 1, 0]), 'expected 8 bytes for message.d at byte 2, got 1');
});

it('takes lists that are not packed, and passes over what it does not know', () => {
  const bytes = new Uint8Array([
    0x30, 5, 0x30, 6, 0x3d, 0, 0, 0x80, 0x3f, 0x50, 1, 0x5a, 2, 9, 9, 0x65, 1, 2, 3, 4,
  ]);
  expect(read(bytes)).toEqual({ ...read(new Uint8Array()), ns: [5, 6], xs: [1] });
  expect(read(new Uint8Array([0x1a, 3, 0xef, 0xbb, 0xbf])).text).toBe('\ufeff');
});

it('whatever bytes it is given, it reads a message or says what is wrong and where', () => {
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))),
      (message, changes) => {
        const bytes = bytesOf(message);
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        try {
          read(bytes);
        } catch (error) {
          expect(error).toMatchObject({
            code: 'AXPY_FORMAT',
            message: expect.stringMatching(/at byte \d+, got/),
          });
        }
      },
    ),
    { numRuns: 1000 },
  );
});

it('names the field', () => {
  const refuse = (bytes: number[], text: string) => refused(new Uint8Array(bytes), text);
  refuse([0x08], 'expected a number for message.n at byte 1, got the end');
  refuse([0x08, ...new Array(11).fill(0x80)], 'a number of at most 10 bytes');
  refuse([0x0a, 0], 'expected wire type 0 for message.n at byte 1, got 2');
  refuse([0x22, 5, 1], 'a length of at most 1 bytes, as many as are left for message.raw at byte 1, got 5');
  refuse([0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 'got 9223372036854776000');
  refuse([0x2a, 4, 0x2a, 2, 0x08, 0x80], 'message.inner.inner.n');
  refuse([0x1a, 1, 0xff], 'expected text in UTF-8 for message.text');
  refuse([0x00], 'expected a field for message at byte 0, got tag 0');
  refuse([0x0f], 'expected wire type 0 for message.n');
  refuse([0x53], 'message field 10');
  refuse([0x15, 1, 2], 'expected 4 bytes for message.x at byte 1, got 2');
  refuse([0x65, 1, 2], 'expected 4 bytes for message field 12 at byte 1, got 2');
  refuse([0x61, 1, 2, 3, 4, 5], 'expected 8 bytes for message field 12 at byte 1, got 5');
  refuse([0x22, ...new Array(9).fill(0xff), 1], 'a length of at most 0 bytes');
});

it('messages may not lie in each other without end, nor be more than a file has room for', () => {
  let deep: Uint8Array = new Uint8Array();
  for (let i = 0; i < 101; i++) {
    const inner: Message = { ...read(new Uint8Array()), raw: deep };
    deep = concatBytes(encode({ ...schema, raw: [5, 'bytes'], inner: [4, () => schema] }, inner));
    if (deep.length === 0) deep = new Uint8Array([0x2a, 0]);
  }
  refused(deep, 'messages at most 100 deep');
  const many = new Uint8Array(3 * 2 ** 21);
  for (let i = 0; i < many.length; i += 3) many.set([0x82, 0x7d, 0], i);
  const least: Schema<Pick<Message, 'inners'>> = { inners: [2000, () => least, 'many'] } as never;
  expect(() => decode('message', least, many)).toThrow('2097152 messages at most');
});
