/**
 * Winograd's minimal filtering F(4×4, 3×3): a tile of 4×4 outputs from 6×6 inputs by 36 products a pair of channels, where the
 * direct sum takes 144 (Lavin & Gray, "Fast algorithms for convolutional neural networks", CVPR 2016). As
 * `native/kernels/winograd.cc` has it, and docs/convolution.md explains.
 */
import { gemmFunctions } from './gemm-simd.ts';
import { copyBlock, multiplyRows, spread } from './gemm-wasm.ts';
import type { Geometry } from './geometry.ts';
import { floats, give, take } from './simd.ts';
import { patchSide, products, type Transform, tileSide, transforms } from './winograd-simd.ts';

/** A convolution of x with 3×3 kernels: each output from the inputs that begin at its own place less the pads. */
interface Filtering {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
  readonly padTop: number;
  readonly padLeft: number;
}

const down = ({ outHeight }: Filtering) => Math.ceil(outHeight / tileSide);
const across = ({ outWidth }: Filtering) => Math.ceil(outWidth / tileSide);

/** What the transposed convolution is: input y gathers the outputs from y + pad − 2 on. */
function transposed(g: Geometry): Filtering {
  return {
    batch: g.batch,
    height: g.outHeight,
    width: g.outWidth,
    channels: g.outChannels,
    outHeight: g.height,
    outWidth: g.width,
    outChannels: g.channels,
    padTop: 2 - g.padTop,
    padLeft: 2 - g.padLeft,
  };
}

/** In multiplications: those of the products, and what the transforms cost beside them; the numbers are measured. */
function pays(f: Filtering): boolean {
  const { channels: c, outChannels: o } = f;
  const direct = 9 * f.batch * f.outHeight * f.outWidth * c * o;
  const tiles = f.batch * down(f) * across(f);
  return products * (tiles * (c * o + 20 * (c + o)) + 12 * c * o) < direct;
}

/** Tiles in a row of an image, which are transformed together: more would take much memory. */
const mostAcross = 256;

/** Whether a convolution of float32 is better done this way; its gradients then are as well. */
export function suitsWinograd(g: Geometry): boolean {
  const { kernelHeight, kernelWidth, strideY, strideX, dilationY, dilationX, groups } = g;
  return (
    kernelHeight === 3 &&
    kernelWidth === 3 &&
    strideY * strideX * dilationY * dilationX * groups === 1 &&
    [g, transposed(g)].every((f) => across(f) <= mostAcross && pays(f)) &&
    transforms() !== null
  );
}

const size = 4;
/** Channels of a vector. */
const vector = 4;
const vectorBytes = vector * size;
const roundUp = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;
/** Columns of the products' tiles. */
const width = 8;

/** 36 matrices of rows × columns, in bytes. The distance between rows and matrices is no power of two. */
class Matrices {
  readonly row: number;
  readonly matrix: number;
  readonly at: number;

  constructor(rows: number, columns: number) {
    this.row = size * spread(roundUp(columns, width), size);
    this.matrix = rows * this.row + 64;
    this.at = take(products * this.matrix);
  }
}

/** The pixels of one row of the tiles or patches of all images, in the memory of WebAssembly; 0 outside of the image. */
class Strip {
  readonly pixel: number;
  readonly row: number;
  readonly at: number;

  constructor(
    private readonly f: Filtering,
    private readonly side: number,
    private readonly height: number,
    private readonly width: number,
    private readonly channels: number,
    private readonly padTop: number,
    private readonly padLeft: number,
  ) {
    this.pixel = size * roundUp(channels, vector);
    this.row = this.pixel * (tileSide * across(f) + side - tileSide);
    this.at = take(this.row * side);
  }

  static ofPatches(f: Filtering): Strip {
    return new Strip(f, patchSide, f.height, f.width, f.channels, f.padTop, f.padLeft);
  }

  static ofTiles(f: Filtering): Strip {
    return new Strip(f, tileSide, f.outHeight, f.outWidth, f.outChannels, 0, 0);
  }

  /** Calls `visit` with the first element of each of its rows, and of where the image has it, −1 for nowhere. */
  #eachRow(tileRow: number, visit: (here: number, there: number) => void): void {
    const rows = down(this.f);
    const [image, top] = [Math.floor(tileRow / rows), (tileRow % rows) * tileSide - this.padTop];
    for (let i = 0; i < this.side; i++) {
      const y = top + i;
      const isInside = y >= 0 && y < this.height;
      const there = isInside ? (image * this.height + y) * this.width * this.channels : -1;
      visit((this.at + i * this.row) / size, there);
    }
  }

  read(images: Float32Array, tileRow: number): void {
    const view = floats();
    const { channels, padLeft } = this;
    const stride = this.pixel / size;
    const columns = this.row / this.pixel;
    const [first, end] = [Math.max(0, -padLeft), Math.min(this.width, columns - padLeft)];
    const isWhole = stride === channels && padLeft + first === 0 && end - first === columns;
    this.#eachRow(tileRow, (here, there) => {
      if (!isWhole || there < 0) view.fill(0, here, here + columns * stride);
      if (there < 0 || first >= end) return;
      const target = here + (padLeft + first) * stride;
      copyBlock(view, target, stride, images, there + first * channels, channels, end - first, channels);
    });
  }

  write(images: Float32Array, tileRow: number): void {
    const view = floats();
    const { channels, width } = this;
    this.#eachRow(tileRow, (here, there) => {
      if (there >= 0) copyBlock(images, there, channels, view, here, this.pixel / size, width, channels);
    });
  }
}

/** Rows of tiles that are multiplied at a time, such that transformed patches and products stay in the level 2 cache. */
function rowsAtATime(f: Filtering): number {
  const perTile = products * (f.channels + f.outChannels);
  const tiles = Math.max(2 ** 17 / perTile, (f.channels * f.outChannels) / (f.channels + f.outChannels));
  return Math.max(1, Math.min(Math.round(tiles / across(f)), f.batch * down(f)));
}

/** The 36 products of matrices, added to c where `keep` is −1; `aRow` and `aDepth` as of `GemmFunctions.multiply`. */
function multiplyAll(
  c: Matrices,
  a: Matrices,
  b: Matrices,
  m: number,
  n: number,
  depth: number,
  aRow: number,
  aDepth: number,
  keep: number,
): void {
  const own = gemmFunctions()!.float32;
  const tiles = Math.ceil(n / width);
  for (let k = 0; k < products; k++) {
    const [cAt, aAt, bAt] = [c, a, b].map(({ at, matrix }) => at + k * matrix);
    multiplyRows(own, cAt, aAt, bAt, m, tiles, depth, c.row, aRow, aDepth, b.row, width * size, keep);
  }
}

/** Transforms what a strip holds into rows of the matrices from `first` on. */
function transformStrip(
  run: Transform,
  to: Matrices,
  first: number,
  from: Strip,
  f: Filtering,
  channels: number,
): void {
  const { row, matrix, at } = to;
  run(
    ...[at + first * row, from.at, across(f), Math.ceil(channels / vector)],
    ...[from.row, from.pixel, tileSide * from.pixel, vectorBytes],
    ...[patchSide * matrix, matrix, row, vectorBytes],
  );
}

/** out = activation(convolution of x + bias), with weights in the space of the products, channels × outChannels. */
function filter(
  out: Float32Array,
  x: Float32Array,
  weights: Matrices,
  bias: Float32Array | null,
  isRelu: boolean,
  f: Filtering,
): void {
  const { patch, output } = transforms()!;
  const { channels, outChannels } = f;
  const columns = across(f);
  const total = f.batch * down(f);
  const most = rowsAtATime(f);
  const groups = Math.ceil(outChannels / vector);
  const patches = new Matrices(most * columns, channels);
  const sums = new Matrices(most * columns, outChannels);
  const from = Strip.ofPatches(f);
  const to = Strip.ofTiles(f);
  const ends = take((groups + 1) * vectorBytes);
  const [least, shifts] = [ends / size, ends / size + vector];
  floats().fill(isRelu ? 0 : -Infinity, least, shifts);
  floats().fill(0, shifts, shifts + groups * vector);
  if (bias !== null) floats().set(bias, shifts);
  for (let first = 0; first < total; first += most) {
    const count = Math.min(most, total - first);
    for (let n = 0; n < count; n++) {
      from.read(x, first + n);
      transformStrip(patch, patches, n * columns, from, f, channels);
    }
    multiplyAll(sums, patches, weights, count * columns, outChannels, channels, patches.row, size, 0);
    for (let n = 0; n < count; n++) {
      output(
        ...[to.at, sums.at + n * columns * sums.row, columns, groups],
        ...[patchSide * sums.matrix, sums.matrix, sums.row, vectorBytes],
        ...[to.row, to.pixel, tileSide * to.pixel, vectorBytes, ends],
      );
      to.write(out, first + n);
    }
  }
}

/** Takes weights into the memory; outputs go along the vectors, so those of the convolution itself are turned over first. */
function weightsOf(f: Filtering, weight: Float32Array, isTransposed: boolean): Matrices {
  const to = new Matrices(f.channels, f.outChannels);
  const from = take(weight.byteLength + 64 * 9 * Math.max(f.channels, f.outChannels));
  floats().set(weight, from / size);
  const run = (target: number, source: number, groups: number, tap: number, channel: number) =>
    transforms()!.weight(
      ...[target, source, f.channels, groups, 3 * tap, tap, channel, vectorBytes],
      ...[patchSide * to.matrix, to.matrix, to.row, vectorBytes],
    );
  if (isTransposed) {
    const tap = size * f.outChannels;
    // The taps are turned round.
    run(to.at, from + 8 * tap, Math.ceil(f.outChannels / vector), -tap, 9 * tap);
  } else {
    const depth = 9 * f.channels;
    const panels = Math.ceil(f.outChannels / width);
    const panelBytes = depth * width * size;
    const turned = take(panels * panelBytes + 256);
    gemmFunctions()!.float32.packColumns(turned, from, depth * size, panels, depth);
    for (let p = 0; p < panels; p++) {
      const target = to.at + p * width * size;
      run(target, turned + p * panelBytes, width / vector, f.channels * width * size, width * size);
    }
  }
  give(from);
  return to;
}

/** out = convolution of x + bias, ReLU of it on demand, or the transposed one; for sizes that suit it. */
export function winograd(
  out: Float32Array,
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | null,
  isRelu: boolean,
  g: Geometry,
  isTransposed: boolean,
): void {
  const f = isTransposed ? transposed(g) : g;
  const weights = weightsOf(f, weight, isTransposed);
  filter(out, x, weights, bias, isRelu, f);
  give(weights.at);
}

/** Tiles that are transformed before they are multiplied: so many that the sums, read and written each time, do not weigh. */
const gradientTiles = 128;

export function winogradWeightGradient(
  out: Float32Array,
  x: Float32Array,
  gradient: Float32Array,
  f: Geometry,
): void {
  const { patch, gradient: turn, weightGradient } = transforms()!;
  const columns = across(f);
  const total = f.batch * down(f);
  const most = Math.max(1, Math.min(Math.round(gradientTiles / columns), total));
  const sums = new Matrices(f.outChannels, f.channels);
  const patches = new Matrices(most * columns, f.channels);
  const gradients = new Matrices(most * columns, f.outChannels);
  const [fromX, fromGradient] = [Strip.ofPatches(f), Strip.ofTiles(f)];
  for (let first = 0; first < total; first += most) {
    const count = Math.min(most, total - first);
    for (let n = 0; n < count; n++) {
      fromX.read(x, first + n);
      fromGradient.read(gradient, first + n);
      transformStrip(patch, patches, n * columns, fromX, f, f.channels);
      transformStrip(turn, gradients, n * columns, fromGradient, f, f.outChannels);
    }
    const keep = first === 0 ? 0 : -1;
    const depth = count * columns;
    multiplyAll(sums, gradients, patches, f.outChannels, f.channels, depth, size, gradients.row, keep);
  }
  const groups = Math.ceil(f.channels / vector);
  const pixel = groups * vectorBytes;
  const to = take(f.outChannels * 9 * pixel);
  weightGradient(
    ...[to, sums.at, f.outChannels, groups, patchSide * sums.matrix, sums.matrix, sums.row, vectorBytes],
    ...[3 * pixel, pixel, 9 * pixel, vectorBytes],
  );
  copyBlock(out, 0, f.channels, floats(), to / size, pixel / size, 9 * f.outChannels, f.channels);
  give(sums.at);
}
