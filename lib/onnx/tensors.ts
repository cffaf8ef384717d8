/** Tensors of an ONNX file: what they say they are, checked, and their numbers, wherever those lie. */
import { FileError, FormatError } from '../errors.ts';
import { type Readable, withSource } from '../files/disk.ts';
import { type Encoding, encodings } from '../files/dtypes.ts';
import { builtin } from '../platform.ts';
import { type Shape, show } from '../shape.ts';
import { elementOf, typeName } from './elements.ts';
import type { Element } from './known.ts';
import { Refusal, shortName } from './node.ts';
import { dataType, type TensorProto } from './schema.ts';

/** A tensor of the file. */
export interface FileTensor {
  readonly name: string;
  readonly element: Element;
  readonly shape: Shape;
  readonly size: number;
  readonly proto: TensorProto;
}

/** How the numbers of a type lie in raw bytes. */
const encodingOf: Readonly<Record<number, Encoding>> = {
  [dataType.float]: encodings.F32,
  [dataType.double]: encodings.F64,
  [dataType.float16]: encodings.F16,
  [dataType.bfloat16]: encodings.BF16,
  [dataType.bool]: encodings.BOOL,
  [dataType.int8]: encodings.I8,
  [dataType.uint8]: encodings.U8,
  [dataType.int16]: encodings.I16,
  [dataType.uint16]: encodings.U16,
  [dataType.int32]: encodings.I32,
  [dataType.uint32]: encodings.U32,
  [dataType.int64]: encodings.I64,
  [dataType.uint64]: encodings.U64,
};

const label = (name: string) => `tensor '${shortName(name)}'`;

export const isExternal = ({ dataLocation, externalData }: TensorProto) =>
  dataLocation === 1 || externalData.length > 0;

/**
 * What a tensor is.
 * @throws FormatError unless its shape is one and its numbers, where they lie in the file, are as many; Refusal for what are
 *   no numbers
 */
export function readTensorProto(proto: TensorProto, name = proto.name): FileTensor {
  const element = elementOf(proto.dataType);
  if (element === null) {
    throw new Refusal(`${label(name)}: expected numbers, got ${typeName(proto.dataType)}`);
  }
  const shape = [...proto.dims];
  let size = 1;
  for (const each of shape) size *= each;
  if (shape.length > 16 || !shape.every((each) => each >= 0 && each < 2 ** 31) || size >= 2 ** 31) {
    throw new FormatError(`${label(name)}: expected a shape of fewer than 2^31 elements, got ${show(shape)}`);
  }
  if (!isExternal(proto)) checkCount(name, size, countOf(proto), shape);
  return { name, element, shape, size, proto };
}

function checkCount(name: string, size: number, count: number, shape: Shape): void {
  if (count === size) return;
  throw new FormatError(`${label(name)}: expected ${size} numbers for shape ${show(shape)}, got ${count}`);
}

/** The field that a type has its numbers in, where they are not raw. */
function fieldOf(proto: TensorProto): readonly number[] | null {
  switch (proto.dataType) {
    case dataType.float:
      return proto.floatData;
    case dataType.int64:
      return proto.int64Data;
    case dataType.uint32:
    case dataType.uint64:
      return proto.uint64Data;
    case dataType.double:
      return null;
    default:
      return proto.int32Data;
  }
}

/** Raw bytes, and a list of doubles, which is as raw. */
function bytesOf(proto: TensorProto): Uint8Array | null {
  if (proto.rawData.length > 0) return proto.rawData;
  return proto.dataType === dataType.double ? proto.doubleData : null;
}

function countOf(proto: TensorProto): number {
  const bytes = bytesOf(proto);
  return bytes === null ? fieldOf(proto)!.length : bytes.length / encodingOf[proto.dataType].bytes;
}

/** The numbers of a tensor, in float32 for what are floats of at most that size, in float64 for all else. */
export function numbersOf({ proto, size }: FileTensor, external?: Uint8Array): Float32Array | Float64Array {
  const isSingle = elementOf(proto.dataType) === 'float32';
  const encoding = encodingOf[proto.dataType];
  const numbers = isSingle ? new Float32Array(size) : new Float64Array(size);
  const bytes = external ?? bytesOf(proto);
  if (bytes === null) {
    const field = fieldOf(proto)!;
    // Halves are there as their bits.
    const isBits = proto.dataType === dataType.float16 || proto.dataType === dataType.bfloat16;
    const view = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < size; i++) {
      if (isBits) view.setUint16(0, field[i], true);
      numbers[i] = isBits ? encoding.at(view, 0) : field[i];
    }
    return numbers;
  }
  const isOwn = proto.dataType === dataType.float || proto.dataType === dataType.double;
  if (isOwn && isLittle) {
    new Uint8Array(numbers.buffer).set(bytes);
    return numbers;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < size; i++) numbers[i] = encoding.at(view, i * encoding.bytes);
  return numbers;
}

const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

// ── in other files ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Where a tensor's numbers lie beside the model. */
interface Place {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

function placeOf({ name, proto, size, shape }: FileTensor): Place {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const refuse = (expected: string, got: string) =>
    new FormatError(`${label(name)}: expected ${expected}, got ${got}`);
  const number = (key: string, otherwise: number) => {
    const text = entries.get(key);
    if (text === undefined) return otherwise;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(value)) throw refuse(`${key} of external data to be a number`, `'${shortName(text)}'`);
    return value;
  };
  const location = entries.get('location') ?? '';
  const isInside =
    location !== '' && !/^[/\\]|^[A-Za-z]:|\0/.test(location) && !location.split(/[/\\]/).includes('..');
  if (!isInside) throw refuse('external data in the folder of the model', `'${shortName(location)}'`);
  const { bytes } = encodingOf[proto.dataType];
  const length = number('length', size * bytes);
  checkCount(name, size, length / bytes, shape);
  return { location, offset: number('offset', 0), length };
}

/**
 * Reads the numbers that lie in other files, in the folder of the model.
 * @throws FormatError for a file that is elsewhere or too short, FileError for one that cannot be read
 */
export async function readExternal(
  op: string,
  { path }: Readable,
  tensors: readonly FileTensor[],
  use: (tensor: FileTensor, bytes: Uint8Array) => void,
): Promise<void> {
  const byFile = new Map<string, { tensor: FileTensor; place: Place }[]>();
  for (const tensor of tensors) {
    if (!isExternal(tensor.proto)) continue;
    const place = placeOf(tensor);
    const list = byFile.get(place.location);
    if (list === undefined) byFile.set(place.location, [{ tensor, place }]);
    else list.push({ tensor, place });
  }
  if (byFile.size === 0) return;
  const [files, paths] = [builtin('node:fs'), builtin('node:path')];
  if (path === undefined || files === undefined || paths === undefined) {
    throw new FormatError(
      `expected a model with all its numbers in it, got one whose ${label(tensors[0].name)} lies in another file: give its path`,
    );
  }
  const folder = await files.promises.realpath(paths.dirname(path));
  for (const [location, list] of byFile) {
    const named = paths.join(folder, location);
    // A link out of the folder reads what its maker may not.
    const real = await files.promises.realpath(named).catch((cause: unknown) => {
      throw new FileError(
        `[${op}] expected to read ${named}, as ${label(list[0].tensor.name)} says, got none`,
        { cause },
      );
    });
    if (
      paths.relative(folder, real).split(paths.sep)[0] === '..' ||
      paths.isAbsolute(paths.relative(folder, real))
    ) {
      throw new FormatError(
        `${label(list[0].tensor.name)}: expected external data in the folder of the model, got a link to elsewhere`,
      );
    }
    await withSource(op, real, async (file) => {
      for (const { tensor, place } of list) {
        if (place.offset + place.length > file.size) {
          throw new FormatError(
            `${label(tensor.name)}: expected ${place.length} bytes at ${place.offset} of ${location}, got a file of ${file.size}`,
          );
        }
        use(tensor, await file.read(place.offset, place.length));
      }
    });
  }
}
