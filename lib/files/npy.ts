/**
 * Arrays as NumPy writes them (numpy.lib.format): versions 1.0, 2.0 and 3.0, each type of number that has a place in a
 * tensor, both orders of bytes and of axes. Elements are read into the tensor itself where they are its own, and else by
 * blocks. The header is a literal of Python, read by a grammar that knows no more than NumPy writes.
 */
import { readOptions } from '../arguments.ts';
import { DataError, FormatError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { type Arrays, allocate, copyOf, type Dtype } from '../memory.ts';
import { transpose } from '../ops/transpose.ts';
import { maxRank, show, sizeOf } from '../shape.ts';
import { checkElements, checkTensor, elements, still, Tensor } from '../tensor.ts';
import { allocateBuffer, concatBytes, type Feed } from './bytes.ts';
import { type Path, replaceFile, type Source, withSource } from './disk.ts';
import { checkWanted, convert, type Encoding, type EncodingName, encodings } from './dtypes.ts';
import { Scanner } from './scanner.ts';

/** Options of `loadNpy`. */
export interface LoadNpyOptions<D extends Dtype = Dtype> {
  /** What all numbers become; see `loadNpy` for the default. */
  dtype?: D;
}

/**
 * The array of a `.npy` file, as `np.save` writes it.
 *
 * float32, float64 and int32 come as they are. float16 becomes float32; int8, int16, uint8, uint16 and bool int32: all
 * exactly. uint32, int64 and uint64 become int32 where every number fits, and are refused otherwise, unless `dtype` says
 * what they shall be: floats are then rounded, and int32 takes integers alone.
 * @param source a path, a `file:` URL, or the bytes
 * @throws FormatError for what is no such file, with what and where, and for complex numbers, text, dates, records and
 *   Python's objects, which are never executed; DataError for numbers that do not fit and for shapes that no tensor has,
 *   FileError where the system refuses, MemoryError where it has no memory
 */
// biome-ignore lint/suspicious/noExplicitAny: what no one asked for is seen in the file
export async function loadNpy<D extends Dtype = any>(
  source: Source,
  options: LoadNpyOptions<D> = {},
): Promise<Tensor<NoInfer<D>>> {
  const op = 'loadNpy';
  const { dtype } = readOptions(op, options, ['dtype']);
  checkWanted(op, dtype);
  return await withSource(op, source, (file) => {
    let at = 0;
    const fill = async (into: Uint8Array) => {
      await file.readInto(at, into);
      at += into.length;
    };
    return readNpy('the array', { size: file.size, fill }, dtype);
  });
}

/**
 * Writes a tensor as `np.save` does, byte for byte, as it is when this is called. The file is replaced at once or not at all.
 * @throws ArgumentError for what is no tensor or no path, FileError where the system refuses, MemoryError
 */
export async function saveNpy(path: Path, tensor: Tensor): Promise<void> {
  const op = 'saveNpy';
  await replaceFile(op, path, snapshot(op, tensor));
}

/** The bytes that `saveNpy` writes. @throws as it does */
export function encodeNpy(tensor: Tensor): Uint8Array {
  return concatBytes(snapshot('encodeNpy', tensor));
}

function snapshot(op: string, tensor: Tensor): Uint8Array[] {
  refuseRecording(op);
  settleRuns();
  return npyParts(op, 'a tensor', tensor, true);
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The kinds of numbers, by NumPy's letter and size. */
const kinds: Readonly<Record<string, EncodingName>> = {
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
  b1: 'BOOL',
  i1: 'I8',
  i2: 'I16',
  i4: 'I32',
  i8: 'I64',
  u1: 'U8',
  u2: 'U16',
  u4: 'U32',
  u8: 'U64',
};

/** What else there is by its letter, and what to do about it in NumPy. */
const refusals: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  f: ['long doubles', "save array.astype('f8')"],
  c: ['complex numbers', 'save array.real and array.imag, each for itself'],
  O: ["Python's objects, which would have to be executed", "save array.astype('f4') if they are numbers"],
  S: ['text', 'save np.unique(array, return_inverse=True)[1], the number of each text'],
  U: ['text', 'save np.unique(array, return_inverse=True)[1], the number of each text'],
  M: ['dates', "save array.astype('f8')"],
  m: ['spans of time', "save array.astype('f8')"],
  V: ['raw bytes', "save array.astype('f4') if they are bfloat16 or the like, or else array.view('u1')"],
};
const perField = 'save each field, np.savez(path, **{name: array[name] for name in array.dtype.names})';

const magic = '\x93NUMPY';
/** How long a header may be: that of an array of numbers has a few hundred bytes. */
const longestHeader = 2 ** 16;
/** How many bytes are converted at a time; a multiple of every element's. */
const block = 2 ** 20;
/** The largest size of a tensor, and of one of its dimensions where another one is 0. */
const largest = 2 ** 31 - 1;

const refuse = (expected: string, got: string) => new FormatError(`expected ${expected}, got ${got}`);

/**
 * @internal The tensor of a whole `.npy` file.
 * @param name what messages call its numbers
 * @throws FormatError, DataError, MemoryError
 */
export async function readNpy(name: string, feed: Feed, wanted: Dtype | undefined): Promise<Tensor> {
  const { descr, isFortran, shape, length } = await readHeader(feed);
  const { encoding, isSwapped } = readDescr(descr);
  const bytes = sizeOf(shape) * encoding.bytes;
  const rest = feed.size - length;
  if (bytes !== rest) {
    const expected = `${bytes} bytes after the header, for ${descr} of shape ${show(shape)}`;
    throw refuse(expected, `${rest}${bytes < rest ? ': np.savez keeps several arrays in one file' : ''}`);
  }
  // In this order, as a header may name more sizes than a function takes arguments.
  if (shape.length > maxRank || Math.max(sizeOf(shape), ...shape) > largest) {
    throw new DataError(
      `expected at most ${maxRank} axes and fewer than 2^31 elements, got shape ${show(shape)}`,
    );
  }
  const dtype = wanted ?? encoding.dtype;
  const data = allocate(sizeOf(shape), dtype);
  await readElements(name, feed, encoding, isSwapped, data, wanted !== undefined);
  if (!isFortran || shape.length < 2) return new Tensor(data, shape, dtype);
  return transpose(new Tensor(data, [...shape].reverse(), dtype));
}

async function readElements(
  name: string,
  feed: Feed,
  encoding: Encoding,
  isSwapped: boolean,
  into: Arrays[Dtype],
  isWanted: boolean,
): Promise<void> {
  const isOwn = encoding.isOwn === true && into instanceof encoding.array!;
  const total = into.length * encoding.bytes;
  const scratch = isOwn ? new Uint8Array(into.buffer) : allocateBuffer(Math.min(block, total));
  for (let at = 0; at < total; at += block) {
    const count = Math.min(block, total - at);
    const bytes = isOwn ? scratch.subarray(at, at + count) : scratch.subarray(0, count);
    await feed.fill(bytes);
    if (isSwapped) swap(bytes, encoding.bytes);
    if (!isOwn) convert(name, encoding, bytes, into, at / encoding.bytes, isWanted);
  }
}

/** Turns the bytes of each element round. */
function swap(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) {
    for (let low = start, high = start + size - 1; low < high; low++, high--) {
      const byte = bytes[low];
      bytes[low] = bytes[high];
      bytes[high] = byte;
    }
  }
}

/** @throws FormatError for what has no place in a tensor */
function readDescr(descr: string): { encoding: Encoding; isSwapped: boolean } {
  const [, order, letter, size] = /^([<>|])([a-zA-Z])(\d*)/.exec(descr) ?? [];
  const shown = JSON.stringify(descr.slice(0, 60));
  const kind = descr.slice(1);
  if (order !== undefined && Object.hasOwn(kinds, kind)) {
    const encoding = encodings[kinds[kind]];
    // One byte has no order, whatever is said of it.
    if (order !== '|' || size === '1') return { encoding, isSwapped: order === '>' };
  } else if (letter !== undefined && Object.hasOwn(refusals, letter)) {
    const [what, advice] = refusals[letter];
    throw refuse('an array of numbers', `${what} (dtype ${shown}): ${advice}`);
  }
  throw refuse('an array of numbers', `dtype ${shown}`);
}

interface Header {
  readonly descr: string;
  readonly isFortran: boolean;
  readonly shape: number[];
  /** Of the whole, in bytes. */
  readonly length: number;
}

async function readHeader(feed: Feed): Promise<Header> {
  const next = async (count: number) => {
    const bytes = new Uint8Array(count);
    await feed.fill(bytes);
    return bytes;
  };
  const begins = 'a .npy file, which begins with \\x93NUMPY';
  if (feed.size < 10) throw refuse(begins, `${feed.size} bytes`);
  const start = await next(10);
  if (String.fromCharCode(...start.subarray(0, 6)) !== magic) throw refuse(begins, 'other bytes at 0');
  const [major, minor, ...digits] = start.subarray(6);
  if (!(major >= 1 && major <= 3 && minor === 0))
    throw refuse('version 1.0, 2.0 or 3.0', `${major}.${minor} at 6`);
  if (major > 1) {
    if (feed.size < 12) throw refuse('the length of the header at 8', `${feed.size} bytes`);
    digits.push(...(await next(2)));
  }
  const count = digits.reduceRight((sum, byte) => 256 * sum + byte, 0);
  const offset = 8 + digits.length;
  if (offset + count > feed.size)
    throw refuse(`a header of ${count} bytes at ${offset}`, `${feed.size} bytes in all`);
  if (count > longestHeader) {
    throw refuse(
      `a header of at most ${longestHeader} bytes`,
      `${count}: if it describes records, ${perField}`,
    );
  }
  // What is not ASCII there, in whichever encoding, is in the names of records.
  return { ...parseHeader(new TextDecoder().decode(await next(count)), offset), length: offset + count };
}

/** Reads a literal of Python, as far as one occurs in headers. */
class Literal extends Scanner {
  /** @param offset of the text in the file */
  constructor(
    text: string,
    private readonly offset: number,
  ) {
    super(text, ' \t\r\n\f');
  }

  error(expected: string): FormatError {
    return refuse(expected, `${this.rest} at ${this.offset + this.at}`);
  }

  /** What matches next, which is then passed. */
  private next(pattern: RegExp): RegExpExecArray | null {
    this.space();
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found !== null) this.at = pattern.lastIndex;
    return found;
  }

  string(): string {
    const found = this.next(/'([^'\\\r\n]*)'|"([^"\\\r\n]*)"/y);
    if (found === null) throw this.error('text in quotes');
    return found[1] ?? found[2];
  }

  boolean(): boolean {
    const found = this.next(/True|False/y);
    if (found === null) throw this.error('True or False');
    return found[0] === 'True';
  }

  /** One beyond 2⁵³ is rounded, which is still more than a file holds. */
  private integer(): number {
    // Python has no number with a zero before it; Python 2 marked long ones.
    const found = this.next(/(0|[1-9]\d{0,19})L?(?!\d)/y);
    if (found === null) throw this.error('an integer from 0 to 10^20');
    return Number(found[1]);
  }

  /** A tuple of integers; one alone has a comma. */
  tuple(): number[] {
    const items: number[] = [];
    this.expect('(');
    while (!this.has(')')) {
      items.push(this.integer());
      if (this.has(',')) continue;
      if (items.length === 1) throw this.error('","');
      this.expect(')');
      break;
    }
    return items;
  }
}

/** Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order. */
function parseHeader(text: string, offset: number): Omit<Header, 'length'> {
  const literal = new Literal(text, offset);
  const found: { descr?: string; fortran_order?: boolean; shape?: number[] } = {};
  literal.expect('{');
  while (!literal.has('}')) {
    const key = literal.string();
    if (Object.hasOwn(found, key)) throw literal.error(`${key} once, before this`);
    literal.expect(':');
    if (key === 'descr') {
      if (literal.has('[') || literal.has('(')) throw refuse('an array of numbers', `records: ${perField}`);
      found.descr = literal.string();
    } else if (key === 'fortran_order') found.fortran_order = literal.boolean();
    else if (key === 'shape') found.shape = literal.tuple();
    else throw literal.error('descr, fortran_order or shape before this');
    if (literal.has(',')) continue;
    literal.expect('}');
    break;
  }
  literal.end();
  const { descr, fortran_order: isFortran, shape } = found;
  if (descr === undefined || isFortran === undefined || shape === undefined) {
    throw literal.error('descr, fortran_order and shape before this');
  }
  return { descr, isFortran, shape };
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const descrOf: Readonly<Record<Dtype, string>> = { float32: '<f4', float64: '<f8', int32: '<i4' };
/** What numbers are aligned to in a file, so that it can be mapped into memory. */
const alignment = 64;
/** How many digits NumPy leaves room for in the first size, so that an array may grow. */
const growth = 21;

/**
 * @internal The `.npy` file of a tensor as it is, in parts.
 * @param isStill whether whoever reads them holds the memory until then
 * @throws ArgumentError for what is none
 */
export function npyParts(
  op: string,
  name: string,
  tensor: Tensor,
  isStill: boolean,
): [header: Uint8Array, numbers: Uint8Array] {
  checkTensor(op, tensor, name);
  checkElements(op, tensor);
  const { dtype, shape } = tensor;
  const { buffer, byteOffset, byteLength } = isStill ? elements(still(tensor)) : copyOf(elements(tensor));
  const sizes = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const literal = `{'descr': '${descrOf[dtype as Dtype]}', 'fortran_order': False, 'shape': ${sizes}, }`;
  const room = shape.length === 0 ? 0 : growth - String(shape[0]).length;
  const before = magic.length + 4;
  // What ends at a multiple gets as much again, as in NumPy.
  const length = (Math.floor((before + literal.length + room + 1) / alignment) + 1) * alignment - before;
  const text = `${magic}\x01\x00${String.fromCharCode(length & 0xff, length >> 8)}${literal.padEnd(length - 1)}\n`;
  return [
    Uint8Array.from(text, (character) => character.charCodeAt(0)),
    new Uint8Array(buffer, byteOffset, byteLength),
  ];
}
