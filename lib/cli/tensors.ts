/** The numbers of tensors in a file, read one tensor at a time. */
import { open } from 'node:fs/promises';
import {
  DataError,
  FormatError,
  importOnnx,
  loadNpy,
  loadNpz,
  loadSafetensors,
  safetensorsHeader,
  type Tensor,
} from '../index.ts';
import { unreadable } from './files.ts';

/** What is said of a tensor. Of numbers that are neither NaN nor infinite: NaN where there are none. */
export interface Facts {
  readonly name: string;
  readonly shape: readonly number[];
  /** As the file calls it, as far as that is known. */
  readonly dtype: string;
  readonly bytes: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  readonly nan: number;
  readonly infinite: number;
}

export type Kind = 'safetensors' | 'onnx' | 'npy' | 'npz';

/** What a file is by its first bytes. @throws FormatError for what is none of these, FileError where the system refuses */
export async function kindOf(op: string, path: string): Promise<Kind> {
  const start = Buffer.alloc(16);
  let read = 0;
  try {
    const file = await open(path);
    try {
      read = (await file.read(start, 0, 16, 0)).bytesRead;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unreadable(op, path, cause);
  }
  if (read === 0)
    throw new FormatError(`[${op}] expected ${path} to have something in it, got an empty file`);
  if (start.subarray(1, 6).toString('latin1') === 'NUMPY') return 'npy';
  if (start.subarray(0, 2).toString('latin1') === 'PK') return 'npz';
  if (start[8] === 0x7b) return 'safetensors';
  if (path.endsWith('.onnx') || start[0] === 0x08) return 'onnx';
  throw new FormatError(
    `[${op}] expected ${path} to be safetensors, ONNX, npy or npz, got a file of another kind`,
  );
}

/** What elements are like, in float64. */
function factsOf(data: ArrayLike<number>): Omit<Facts, 'name' | 'shape' | 'dtype' | 'bytes'> {
  let [nan, infinite, count, sum] = [0, 0, 0, 0];
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (Number.isFinite(value)) {
      count++;
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
    } else if (Number.isNaN(value)) nan++;
    else infinite++;
  }
  if (count === 0)
    return { min: Number.NaN, max: Number.NaN, mean: Number.NaN, std: Number.NaN, nan, infinite };
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < data.length; i++) if (Number.isFinite(data[i])) squares += (data[i] - mean) ** 2;
  return { min, max, mean, std: Math.sqrt(squares / count), nan, infinite };
}

const ofTensor = (name: string, x: Tensor, dtype: string = x.dtype, bytes = x.data.byteLength): Facts => ({
  name,
  shape: [...x.shape],
  dtype,
  bytes,
  ...factsOf(x.data),
});

/** Integers of 64 bits may be beyond int32: they are then read as float64. */
async function wide<Result>(read: (options: { dtype?: 'float64' }) => Promise<Result>): Promise<Result> {
  try {
    return await read({});
  } catch (error) {
    if (error instanceof DataError) return read({ dtype: 'float64' });
    throw error;
  }
}

/** The facts of all tensors of a file, in its order. */
export async function* factsIn(path: string, kind: Kind): AsyncGenerator<Facts> {
  if (kind === 'safetensors') {
    const { tensors } = await safetensorsHeader(path);
    for (const [name, { dtype, begin, end }] of Object.entries(tensors)) {
      const loaded = await wide((options) => loadSafetensors(path, { ...options, only: [name] }));
      yield ofTensor(name, loaded[name], dtype, end - begin);
    }
    return;
  }
  if (kind === 'npy') {
    yield ofTensor('array', await wide((options) => loadNpy(path, options)));
    return;
  }
  const all =
    kind === 'npz' ? await wide((options) => loadNpz(path, options)) : (await importOnnx(path)).stateDict();
  for (const [name, x] of Object.entries(all)) yield ofTensor(name, x);
}
