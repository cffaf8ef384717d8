import type { Float } from '../../../binding.d.ts';
import { type GemmFunctions, gemmFunctions, tileColumns, tileRows } from './gemm-simd.ts';
import { copyRun } from './move.ts';
import { doubles, floats, give, take } from './simd.ts';

/**
 * Matrix products by WebAssembly SIMD. Operands are copied into its memory block by block and multiplied into a tile of c that
 * stays there over all of k (the scheme of Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM
 * TOMS 34, 2008, with one tile for their two outer loops). The blocks bound the memory, whatever the size of the matrices: about
 * 12 MB for float32 and 24 MB for float64.
 */

/** Rows of a block of a, which stays in the level 2 cache. */
const maxRows = 256;
/** Elements of it, with all of k, that are read in at once. */
const mostOfA = 2 ** 18;
/** Columns of a block of b: few, such that it is still in the cache when it is packed and multiplied. */
const maxColumns = 256;
/** Steps of k in a block: rows of a tile of a and a tile's columns of b share the level 1 cache. */
const maxDepth = 512;

/** Room for what is read or written past the end of a block. */
const slackBytes = 256;
/** Of a line of the cache. */
const lineBytes = 64;

/** Whether this engine has what `multiplyWasm` needs. */
export function hasWasm(): boolean {
  return gemmFunctions() !== null;
}

/** The largest block size of at most `limit` that cuts `size` evenly. */
function evenBlock(size: number, limit: number, multiple: number): number {
  return Math.min(size, roundUp(Math.ceil(size / Math.ceil(size / limit)), multiple));
}

function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}

/** c = a · b of any number of rows, or c += a · b; arguments as of `GemmFunctions.multiply`. */
export function multiplyRows(
  { multiply }: GemmFunctions,
  c: number,
  a: number,
  b: number,
  rows: number,
  columnTiles: number,
  depth: number,
  cRow: number,
  aRow: number,
  aDepth: number,
  bDepth: number,
  bTile: number,
  keep: number,
): void {
  const tiles = Math.floor(rows / tileRows);
  const whole = tiles * tileRows;
  const run = multiply[tileRows - 1];
  if (tiles > 0) run(c, a, b, tiles, columnTiles, depth, cRow, aRow, aDepth, bDepth, bTile, keep);
  if (rows === whole) return;
  const last = multiply[rows - whole - 1];
  last(c + whole * cRow, a + whole * aRow, b, 1, columnTiles, depth, cRow, aRow, aDepth, bDepth, bTile, keep);
}

/**
 * The distance of rows of so many elements, such that the same places of neighbouring rows do not share a set of the level 1
 * cache.
 */
export function spread(columns: number, size: number): number {
  const stride = roundUp(columns, lineBytes / size);
  return (stride * size) % 256 === 0 ? stride + lineBytes / size : stride;
}

/** c = op(a) · op(b), added to c where `keep` is 1; arguments as of `multiplyPlain`; none of m, n, k is 0, and `hasWasm` is true. */
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
  keep: number,
): void {
  const isSingle = c instanceof Float32Array;
  const type = isSingle ? 'float32' : 'float64';
  const own = gemmFunctions()![type];
  const width = tileColumns[type];
  const size = c.BYTES_PER_ELEMENT;
  const depth = evenBlock(k, maxDepth, 4);
  const columns = evenBlock(n, maxColumns, width);
  const padded = roundUp(columns, width);
  const rows = evenBlock(m, maxRows, tileRows);

  // A block of a is read in once, with all of k, unless that is much.
  const span = rows * k <= mostOfA ? k : depth;
  // Between rows of what is read across them.
  const aSpread = transposeA === 0 ? span : spread(rows, size);
  const bSpread = transposeB === 0 ? spread(columns, size) : depth;
  const aAt = take((transposeA === 0 ? rows : span) * aSpread * size + slackBytes);
  const bBytes = (transposeB === 0 ? depth * bSpread : (padded + 4) * (depth + 4)) * size + slackBytes;
  const bAt = take(bBytes);
  const packedAt = take(transposeB === 0 ? 0 : bBytes);
  const cAt = take(rows * padded * size);
  const view = isSingle ? floats() : doubles();
  const [aNext, aDepth] = transposeA === 0 ? [aSpread * size, size] : [size, aSpread * size];

  for (let i = 0; i < m; i += rows) {
    const tileM = Math.min(rows, m - i);
    const readA = (p: number, steps: number) => {
      if (transposeA === 0)
        copyBlock(view, aAt / size, aSpread, a, aFirst + i * aRow + p, aRow, tileM, steps);
      else copyBlock(view, aAt / size, aSpread, a, aFirst + p * aRow + i, aRow, steps, tileM);
    };
    if (span === k) readA(0, k);
    for (let j = 0; j < n; j += columns) {
      const tileN = Math.min(columns, n - j);
      const stride = roundUp(tileN, width);
      const cTile = cFirst + i * cRow + j;
      if (keep === 1) copyBlock(view, cAt / size, stride, c, cTile, cRow, tileM, tileN);
      for (let p = 0; p < k; p += depth) {
        const steps = Math.min(depth, k - p);
        let [bFrom, bDepth, bTile] = [bAt, bSpread * size, width * size];
        if (transposeB === 0) {
          copyBlock(view, bAt / size, bSpread, b, bFirst + p * bRow + j, bRow, steps, tileN);
        } else {
          copyBlock(view, bAt / size, steps, b, bFirst + j * bRow + p, bRow, tileN, steps);
          own.packColumns(packedAt, bAt, steps * size, stride / width, steps);
          [bFrom, bDepth, bTile] = [packedAt, width * size, width * steps * size];
        }
        if (span !== k) readA(p, steps);
        const aFrom = span === k ? aAt + p * aDepth : aAt;
        const kept = keep === 1 || p > 0 ? -1 : 0;
        const [tiles, cNext] = [stride / width, stride * size];
        multiplyRows(own, cAt, aFrom, bFrom, tileM, tiles, steps, cNext, aNext, aDepth, bDepth, bTile, kept);
      }
      copyBlock(c, cTile, cRow, view, cAt / size, stride, tileM, tileN);
    }
  }
  give(aAt);
}

/** Copies rows × columns elements between matrices whose rows are `toStride` and `fromStride` apart. */
export function copyBlock(
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
