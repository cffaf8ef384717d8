/** Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017): grey images of clothes, 28×28, in ten classes. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type Tensor, tensor } from 'axpy';

export const classes = [
  'T-shirt',
  'trousers',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'boot',
] as const;

export interface Images {
  /** What was loaded, for the reader. */
  name: string;
  /** x [count, 784] from 0 to 1, y int32 [count] */
  train: { x: Tensor; y: Tensor };
  test: { x: Tensor; y: Tensor };
}

const embedded = fileURLToPath(new URL('../data', import.meta.url));

/** The sizes and bytes of an IDX file: two zeros, a type, the rank, the sizes as big-endian words, then the data. */
function readIdx(file: string): { shape: number[]; bytes: Uint8Array } {
  const content = gunzipSync(readFileSync(file));
  const [zero, zeroToo, type, rank] = content;
  if (zero !== 0 || zeroToo !== 0 || type !== 8) throw new Error(`${file} is no IDX file of bytes`);
  const shape = Array.from({ length: rank }, (_, i) => content.readUInt32BE(4 + 4 * i));
  const bytes = content.subarray(4 + 4 * rank);
  const size = shape.reduce((product, n) => product * n, 1);
  if (bytes.length !== size) throw new Error(`${file} holds ${bytes.length} bytes where ${size} are due`);
  return { shape, bytes };
}

function readPair(folder: string, prefix: string): { x: Tensor; y: Tensor } {
  const images = readIdx(join(folder, `${prefix}-images-idx3-ubyte.gz`));
  const labels = readIdx(join(folder, `${prefix}-labels-idx1-ubyte.gz`));
  const [count, height, width] = images.shape;
  return {
    x: tensor(
      Float32Array.from(images.bytes, (grey) => grey / 255),
      { shape: [count, height * width] },
    ),
    y: tensor(Int32Array.from(labels.bytes)),
  };
}

/**
 * The full set, 60,000 and 10,000 images, from the folder in AXPY_DATA or Debian's package dataset-fashion-mnist; without
 * them, or with `embedded`, the 10,000 test images that lie beside the examples, split 9,000 to 1,000.
 */
export function loadFashion({ embedded: small = false } = {}): Images {
  const wanted = small ? undefined : process.env.AXPY_DATA;
  const folders = small ? [] : wanted ? [wanted] : ['/usr/share/datasets/fashion-mnist'];
  const folder = folders.find((path) => existsSync(join(path, 'train-images-idx3-ubyte.gz')));
  if (folder) {
    return { name: 'Fashion-MNIST 60,000', train: readPair(folder, 'train'), test: readPair(folder, 't10k') };
  }
  if (wanted) throw new Error(`AXPY_DATA=${wanted} holds no train-images-idx3-ubyte.gz`);
  const { x, y } = readPair(embedded, 't10k');
  const part = (start: number, end: number) => ({ x: x.slice([[start, end]]), y: y.slice([[start, end]]) });
  return { name: 'Fashion-MNIST 9,000', train: part(0, 9000), test: part(9000, 10000) };
}
