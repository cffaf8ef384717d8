import type { Float } from '../../../binding.d.ts';
import { type GemmModule, loadGemmModule, tileColumns } from './gemm-simd.ts';
import { copyRun } from './move.ts';

/**
 * Matrix products by WebAssembly SIMD. Operands are copied into the module's memory block by block, packed there, and
 * multiplied into a tile of c that stays there over all of k (the scheme of Goto & van de Geijn, "Anatomy of
 * high-performance matrix multiplication", ACM TOMS 34, 2008, with one tile for their two outer loops). The blocks bound
 * the memory: about 11 MB for float32 and 22 MB for float64, whatever the size of the matrices.
 */

/** Rows of a block of a: packed, it stays in the level 2 cache. */
const maxRows = 512;
/** Columns of a block of b. */
const maxColumns = 2048;
/** Steps of k in a block: a panel of a and a tile's width of b share the level 1 cache. */
const maxDepth = 512;
/** Elements of a tile of c. */
const maxTile = 512 * 1024;

const pageBytes = 65536;
/** Room for what packing reads or writes past the end of a block. */
const slackBytes = 256;

let gemmModule: GemmModule | null | undefined;

/** Whether this engine has what `multiplyWasm` needs. */
export function hasWasm(): boolean {
  if (gemmModule === undefined) gemmModule = loadGemmModule();
  return gemmModule !== null;
}

let float32 = new Float32Array(0);
let float64 = new Float64Array(0);

function reserve(memory: GemmModule['memory'], bytes: number): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  // Growing detaches the views.
  if (float32.buffer !== memory.buffer) {
    float32 = new Float32Array(memory.buffer);
    float64 = new Float64Array(memory.buffer);
  }
}

/** The largest block size of at most `limit` that cuts `size` evenly. */
function evenBlock(size: number, limit: number, multiple: number): number {
  return roundUp(Math.ceil(size / Math.ceil(size / limit)), multiple);
}

function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}

/** c += op(a) · op(b), arguments as of `multiplyPlain`; none of m, n, k is 0, and `hasWasm` is true. */
export function multiplyWasm(
  c: Float,
  cFirst: number,
  cRow: number,
  a: Float,
  aFirst: number,
  aRow: number,
  b: Float,
  bFirst: number,
  bRow: number,
  m: number,
  n: number,
  k: number,
  transposeA: number,
  transposeB: number,
): void {
  const { memory, ...functions } = gemmModule as GemmModule;
  const type = c instanceof Float32Array ? 'float32' : 'float64';
  const { packRows, packColumns, multiply } = functions[type];
  const width = tileColumns[type];
  const depth = Math.min(k, evenBlock(k, maxDepth, 4));
  const columns = Math.min(n, evenBlock(n, maxColumns, width));
  const rows = Math.min(m, evenBlock(m, Math.min(maxRows, maxTile / roundUp(columns, width)), 4));

  const elementBytes = c.BYTES_PER_ELEMENT;
  const paddedRows = roundUp(rows, 4);
  const paddedColumns = roundUp(columns, width);
  const larger = Math.max(paddedRows, paddedColumns);
  const sourceAt = 0;
  const aAt = roundUp(sourceAt + larger * (depth + 4) * elementBytes + slackBytes, 64);
  const bAt = roundUp(aAt + paddedRows * depth * elementBytes + slackBytes, 64);
  const cAt = roundUp(bAt + paddedColumns * depth * elementBytes + slackBytes, 64);
  reserve(memory, cAt + paddedRows * paddedColumns * elementBytes);
  const view = type === 'float32' ? float32 : float64;
  const tile = cAt / elementBytes;

  for (let j = 0; j < n; j += columns) {
    const tileN = Math.min(columns, n - j);
    const stride = roundUp(tileN, width);
    for (let i = 0; i < m; i += rows) {
      const tileM = Math.min(rows, m - i);
      const cTile = cFirst + i * cRow + j;
      copyBlock(view, tile, stride, c, cTile, cRow, tileM, tileN);
      for (let p = 0; p < k; p += depth) {
        const steps = Math.min(depth, k - p);
        if (transposeB === 0) {
          copyBlock(view, sourceAt, tileN, b, bFirst + p * bRow + j, bRow, steps, tileN);
          packRows(bAt, sourceAt, tileN, stride / 4, steps);
        } else {
          copyBlock(view, sourceAt, steps, b, bFirst + j * bRow + p, bRow, tileN, steps);
          packColumns(bAt, sourceAt, steps, stride / 4, steps);
        }
        const panels = Math.ceil(tileM / 4);
        if (transposeA === 0) {
          copyBlock(view, sourceAt, steps, a, aFirst + i * aRow + p, aRow, tileM, steps);
          packColumns(aAt, sourceAt, steps, panels, steps);
        } else {
          copyBlock(view, sourceAt, tileM, a, aFirst + p * aRow + i, aRow, steps, tileM);
          packRows(aAt, sourceAt, tileM, panels, steps);
        }
        multiply(cAt, aAt, bAt, panels, stride / width, steps, stride);
      }
      copyBlock(c, cTile, cRow, view, tile, stride, tileM, tileN);
    }
  }
}

/** Copies rows × columns elements between matrices whose rows are `toStride` and `fromStride` apart. */
function copyBlock(
  to: Float,
  toFirst: number,
  toStride: number,
  from: Float,
  fromFirst: number,
  fromStride: number,
  rows: number,
  columns: number,
): void {
  if (toStride === columns && fromStride === columns) {
    to.set(from.subarray(fromFirst, fromFirst + rows * columns), toFirst);
    return;
  }
  for (let row = 0; row < rows; row++) {
    copyRun(to, toFirst + row * toStride, from, fromFirst + row * fromStride, columns);
  }
}
