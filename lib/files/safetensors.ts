/**
 * safetensors (github.com/huggingface/safetensors): a length of eight bytes, a header in JSON that says of each tensor what
 * it is and where it lies, and the numbers. Headers are held to the rules of the reference implementation.
 */
import { describe, isRecord, readOptions } from '../arguments.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { allocate, type Dtype } from '../memory.ts';
import { checkShape, type Shape, sizeOf } from '../shape.ts';
import type { Named } from '../state.ts';
import { checkElements, checkTensor, elements, still, Tensor } from '../tensor.ts';
import { concatBytes } from './bytes.ts';
import { type Path, type Readable, replaceFile, type Source, withSource } from './disk.ts';
import { checkWanted, convert, type EncodingName, encodings } from './dtypes.ts';
import { Scanner } from './scanner.ts';
import { type Only, selected } from './select.ts';

/** Where a tensor lies in a file, and as what. */
export interface TensorEntry {
  readonly dtype: EncodingName;
  readonly shape: Shape;
  /** From the first byte of the file. */
  readonly begin: number;
  readonly end: number;
}

/** What stands before the numbers. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the file, but for names that are integers, which JavaScript has first. */
  readonly tensors: Readonly<Record<string, TensorEntry>>;
}

/** Options of `saveSafetensors` and `encodeSafetensors`. */
export interface SafetensorsOptions {
  /** Text by name, for whoever reads the file. */
  metadata?: Readonly<Record<string, string>>;
}

/** Options of `loadSafetensors`. */
export interface LoadSafetensorsOptions {
  /** Names, or an expression that they match; other tensors are not read. Default: all. */
  only?: Only;
  /** What all numbers become; see `loadSafetensors` for the default. */
  dtype?: Dtype;
}

const most = 100_000_000;
const metadataName = '__metadata__';

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const nameOf = { float32: 'F32', float64: 'F64', int32: 'I32' } as const;
/** Eight bytes first, so that all of them lie at multiples of their size; then as the reference implementation. */
const rank: Record<Dtype, number> = { float64: 0, float32: 1, int32: 2 };

const isWellFormed = (text: unknown): text is string => typeof text === 'string' && !loneSurrogate.test(text);
const loneSurrogate = /[\uD800-\uDFFF]/u;

/** @internal In the order in which they lie in a file. */
export function inOrder(tensors: Named<Tensor>): Named<Tensor> {
  return [...tensors].sort(
    ([a, x], [b, y]) => rank[x.dtype as Dtype] - rank[y.dtype as Dtype] || (a < b ? -1 : a > b ? 1 : 0),
  );
}

/** @internal The file of tensors, in parts: the header, and each of them. */
export function partsOf(
  op: string,
  tensors: Named<Tensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const sorted = inOrder(tensors);
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) header.push([metadataName, metadata]);
  const values: Uint8Array[] = [];
  let at = 0;
  for (const [name, x] of sorted) {
    const { buffer, byteOffset, byteLength } = elements(x);
    header.push([
      name,
      { dtype: nameOf[x.dtype as Dtype], shape: x.shape, data_offsets: [at, at + byteLength] },
    ]);
    values.push(new Uint8Array(buffer, byteOffset, byteLength));
    at += byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const length = Math.ceil(text.length / 8) * 8;
  if (length > most) {
    throw new ArgumentError(
      `[${op}] expected names and metadata of at most ${most} bytes, as the format has it, got ${length}`,
    );
  }
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setUint32(0, length, true);
  head.fill(0, 4, 8);
  head.set(text, 8);
  return [head, ...values];
}

/** @throws ArgumentError unless metadata are texts by name */
export function readMetadata(
  op: string,
  metadata: Readonly<Record<string, string>> = {},
): Record<string, string> {
  if (!isRecord(metadata)) {
    throw new ArgumentError(`[${op}] expected metadata to be texts by name, got ${describe(metadata)}`);
  }
  const entries = Object.entries(metadata);
  for (const [name, text] of entries) {
    if (isWellFormed(name) && isWellFormed(text)) continue;
    throw new ArgumentError(
      `[${op}] expected metadata.${name.slice(0, 60)} to be text, got ${describe(text)}`,
    );
  }
  return Object.fromEntries(entries);
}

/** Tensors by name, which `replaceFile` will find as they are now. */
function snapshot(op: string, tensors: Readonly<Record<string, Tensor>>): [string, Tensor][] {
  refuseRecording(op);
  if (!isRecord(tensors)) {
    throw new ArgumentError(`[${op}] expected tensors by name, got ${describe(tensors)}`);
  }
  const own = Object.entries(tensors);
  for (const [name, x] of own) {
    checkTensor(op, x, name.slice(0, 60));
    checkElements(op, x);
    if (name !== metadataName && isWellFormed(name)) continue;
    throw new ArgumentError(
      `[${op}] expected names of well-formed text other than ${metadataName}, got ${describe(name)}`,
    );
  }
  settleRuns();
  return own.map(([name, x]) => [name, still(x)]);
}

/**
 * Writes tensors by name: float32 as F32, float64 as F64, int32 as I32, all as they are when it is called. The file is
 * replaced at once or not at all.
 * @throws ArgumentError for what are no tensors or no names, FileError where the system refuses
 */
export async function saveSafetensors(
  path: Path,
  tensors: Readonly<Record<string, Tensor>>,
  options: SafetensorsOptions = {},
): Promise<void> {
  const op = 'saveSafetensors';
  const { metadata } = readOptions(op, options, ['metadata']);
  await replaceFile(op, path, partsOf(op, snapshot(op, tensors), readMetadata(op, metadata)));
}

/** The bytes that `saveSafetensors` writes. @throws as it does */
export function encodeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  options: SafetensorsOptions = {},
): Uint8Array {
  const op = 'encodeSafetensors';
  const { metadata } = readOptions(op, options, ['metadata']);
  return concatBytes(partsOf(op, snapshot(op, tensors), readMetadata(op, metadata)));
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Reads the header's JSON in one pass and takes nothing but what the format has, so that a header costs no more than a few
 * times its size. JSON.parse would take keys that are there twice, and make objects of whatever there is.
 */
class HeaderScanner extends Scanner {
  constructor(text: string) {
    super(text, ' \n\r\t');
  }

  error(expected: string): FormatError {
    return new FormatError(`expected ${expected} at character ${this.at} of the header, got ${this.rest}`);
  }

  string(): string {
    this.space();
    const start = this.at;
    if (this.text[start] !== '"') throw this.error('text in quotes');
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    try {
      const value = JSON.parse(this.text.slice(start, end + 1)) as string;
      this.at = end + 1;
      return value;
    } catch {
      throw this.error('text as in JSON');
    }
  }

  integer(): number {
    this.space();
    const start = this.at;
    let value = 0;
    for (; this.at < this.text.length; this.at++) {
      const digit = this.text.charCodeAt(this.at) - 48;
      if (digit < 0 || digit > 9) break;
      value = 10 * value + digit;
    }
    const isPlain = this.at > start && (this.text[start] !== '0' || this.at === start + 1);
    if (isPlain && Number.isSafeInteger(value)) return value;
    this.at = start;
    throw this.error('an integer from 0 to 2^53 - 1');
  }

  list(): number[] {
    const items: number[] = [];
    this.expect('[');
    if (this.has(']')) return items;
    do items.push(this.integer());
    while (this.has(','));
    this.expect(']');
    return items;
  }

  /** Reads what is in an object, by `read`. @throws FormatError for a name that comes twice */
  object(read: (name: string) => void): void {
    const names = new Set<string>();
    this.expect('{');
    if (this.has('}')) return;
    do {
      const start = this.at;
      const name = this.string();
      if (names.has(name)) {
        this.at = start;
        throw this.error('each name once');
      }
      names.add(name);
      this.expect(':');
      read(name);
    } while (this.has(','));
    this.expect('}');
  }
}

function isEncoding(name: string): name is EncodingName {
  return Object.hasOwn(encodings, name);
}

/** A tensor's entry, by offsets into the data. */
function readEntry(scanner: HeaderScanner, name: string): TensorEntry {
  const found: { dtype?: EncodingName; shape?: number[]; offsets?: number[] } = {};
  scanner.object((key) => {
    if (key === 'shape') found.shape = scanner.list();
    else if (key === 'data_offsets') found.offsets = scanner.list();
    else if (key === 'dtype') {
      const dtype = scanner.string();
      if (!isEncoding(dtype)) {
        const known = Object.keys(encodings).join(', ');
        throw new FormatError(
          `expected dtype of ${describe(name)} to be one of ${known}, got ${describe(dtype)}`,
        );
      }
      found.dtype = dtype;
    } else throw scanner.error(`dtype, shape or data_offsets of ${describe(name)} before this`);
  });
  const { dtype, shape, offsets } = found;
  if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
    throw scanner.error(`dtype, shape and two data_offsets of ${describe(name)} before this`);
  }
  return { dtype, shape, begin: offsets[0], end: offsets[1] };
}

/** @throws FormatError unless tensors lie one after the other, each as long as it says, and fill the file */
function checkPlaces(entries: readonly (readonly [string, TensorEntry])[], bytes: number): void {
  let at = 0;
  for (const [name, { dtype, shape, begin, end }] of entries) {
    const refuse = (expected: string, got: string) => {
      return new FormatError(`expected ${expected} for ${describe(name)}, got ${got}`);
    };
    if (begin !== at || end < begin) throw refuse(`data_offsets that begin at ${at}`, `[${begin}, ${end}]`);
    const size = shape.reduce((product, length) => product * length, encodings[dtype].bytes);
    if (size !== end - begin) {
      throw refuse(`${end - begin} bytes, as data_offsets say`, `${size} by dtype ${dtype} and shape`);
    }
    at = end;
  }
  if (at !== bytes)
    throw new FormatError(`expected tensors of ${bytes} bytes, as many as follow the header, got ${at}`);
}

/** Reads the header of an open file. @throws FormatError */
async function headerOf(file: Readable): Promise<SafetensorsHeader> {
  if (file.size < 8)
    throw new FormatError(`expected a length of 8 bytes first, got ${file.size} bytes in all`);
  const start = new DataView((await file.read(0, 8)).buffer);
  const length = start.getUint32(4, true) * 2 ** 32 + start.getUint32(0, true);
  const room = Math.min(most, file.size - 8);
  if (length > room) {
    throw new FormatError(
      `expected a header of at most ${room} bytes, got a length of ${length} in the first eight bytes`,
    );
  }
  const bytes = await file.read(8, length);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError('expected a header in UTF-8, got other bytes', { cause });
  }
  if (text[0] !== '{')
    throw new FormatError(`expected a header that begins with {, got ${describe(text.slice(0, 8))}`);
  const scanner = new HeaderScanner(text);
  const metadata: [string, string][] = [];
  const entries: [string, TensorEntry][] = [];
  scanner.object((name) => {
    if (name === metadataName) scanner.object((key) => void metadata.push([key, scanner.string()]));
    else entries.push([name, readEntry(scanner, name)]);
  });
  scanner.end();
  // The empty ones before those that begin where they do.
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  const data = 8 + length;
  checkPlaces(entries, file.size - data);
  return {
    metadata: Object.fromEntries(metadata),
    tensors: Object.fromEntries(
      entries.map(([name, entry]) => [name, { ...entry, begin: data + entry.begin, end: data + entry.end }]),
    ),
  };
}

/** What a block is at most that is read to be converted. */
const block = 2 ** 22;

/** @internal Reads a tensor's numbers into elements, as many as its shape has. */
export async function readElements(
  file: Readable,
  name: string,
  { dtype, begin, end }: TensorEntry,
  into: Tensor['data'],
  isWanted: boolean,
): Promise<void> {
  const encoding = encodings[dtype];
  const target = { float32: Float32Array, float64: Float64Array, int32: Int32Array }[encoding.dtype];
  if (encoding.isOwn && into instanceof target) {
    await file.readInto(begin, new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
    return;
  }
  for (let at = begin; at < end; at += block) {
    const bytes = await file.read(at, Math.min(block, end - at));
    convert(describe(name), encoding, bytes, into, (at - begin) / encoding.bytes, isWanted);
  }
}

/** @internal Runs `use` on an open file and its header. */
export function withSafetensors<Result>(
  op: string,
  source: Source,
  use: (file: Readable, header: SafetensorsHeader) => Promise<Result>,
): Promise<Result> {
  return withSource(op, source, async (file) => use(file, await headerOf(file)));
}

/**
 * The tensors of a file by name, as copies. Only what is wanted is read, range by range.
 *
 * F32, F64 and I32 come as they are. F16, BF16, F8_E4M3 and F8_E5M2 become float32; I8, U8, I16, U16 and BOOL int32: all
 * exactly. U32, I64 and U64 become int32 where every number fits, and are refused otherwise, unless `dtype` says what they
 * shall be.
 * @throws FormatError for what is no such file, with what and where; DataError for integers that do not fit, ArgumentError
 *   for names that are not there, FileError where the system refuses, MemoryError where it has no memory
 */
export async function loadSafetensors(
  source: Source,
  options: LoadSafetensorsOptions = {},
): Promise<Record<string, Tensor>> {
  const op = 'loadSafetensors';
  const { only, dtype } = readOptions(op, options, ['only', 'dtype']);
  checkWanted(op, dtype);
  return await withSafetensors(op, source, async (file, { tensors }) => {
    const loaded: [string, Tensor][] = [];
    for (const name of selected(op, only, Object.keys(tensors))) {
      loaded.push([name, await readTensor(file, name, tensors[name], dtype)]);
    }
    return Object.fromEntries(loaded);
  });
}

/** @internal */
export async function readTensor(
  file: Readable,
  name: string,
  entry: TensorEntry,
  wanted?: Dtype,
): Promise<Tensor> {
  const dtype = wanted ?? encodings[entry.dtype].dtype;
  checkShape(describe(name), entry.shape);
  const values = allocate(sizeOf(entry.shape), dtype);
  await readElements(file, name, entry, values, wanted !== undefined);
  return new Tensor(values, entry.shape, dtype);
}

/** What a file says of itself: its metadata, and the name, dtype, shape and place of each tensor. Reads no numbers. */
export async function safetensorsHeader(source: Source): Promise<SafetensorsHeader> {
  return await withSafetensors('safetensorsHeader', source, async (_, header) => header);
}
