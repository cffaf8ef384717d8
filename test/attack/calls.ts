/** Random calls of every kernel with awkward sizes, and their placement in memory whose surroundings are watched. */
import type { Kernels } from '../../binding.d.ts';
import { allocate } from '../../lib/memory.ts';
import {
  arraysOf,
  type Call,
  invoke,
  isArray,
  isList,
  mapArrays,
  type Outcome,
  type TypedArray,
} from '../contract/call.ts';
import { argumentsOf, type Draw } from '../contract/generate.ts';
import { type Geometry, natural } from '../contract/geometries.ts';
import { type KernelName, roles, signatures } from '../contract/signature.ts';
import { bufferKinds, makeBuffer, type Random } from './support.ts';

/** Block sizes, vector widths and shares of threads, one less and one more. */
const awkward = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 79, 95,
  96, 97, 127, 128, 129, 191, 255, 256, 257, 383, 511, 512, 513, 1023, 1024, 1025, 2047, 4095, 4096, 4099,
  9973, 65537,
];

/** Four sizes in any order, whose product (zeros aside) is at most `limit`. */
function sizesWithin(random: Random, limit: number): number[] {
  const sizes: number[] = [];
  let room = limit;
  for (let i = 0; i < 4; i++) {
    const fitting = awkward.filter((size) => size <= room && (size > 0 || random.chance(0.2)));
    const size = random.chance(0.5) ? random.pick(fitting) : random.int(1, Math.min(room, 130));
    sizes.push(size);
    room = Math.floor(room / Math.max(1, size));
  }
  return sizes
    .map((size) => [random.next(), size])
    .sort(([a], [b]) => a - b)
    .map(([, size]) => size);
}

const work = (g: Geometry): number =>
  Math.max(1, g.batch) *
  (Math.max(1, g.outHeight * g.outWidth) * g.outChannels * g.kernelHeight * g.kernelWidth +
    g.height * g.width) *
  Math.max(1, g.channels / g.groups);

const geometryKinds = [
  'winograd',
  'winograd',
  'winograd',
  'depthwise',
  'pixel',
  'narrow',
  'grouped',
  'any',
  'far',
] as const;

/** The geometry of a convolution of at most `limit` multiplications; a `far` one reaches far beyond its image. */
function geometryWithin(random: Random, limit: number): Geometry {
  const kind = random.pick(geometryKinds);
  const channels = () => (random.chance(0.7) ? random.int(1, 130) : random.pick(awkward.slice(0, 37)));
  const size = () => (random.chance(0.9) ? random.int(1, 40) : random.int(0, 3));
  const few = (most: number) => random.int(1, most);
  const unit = kind === 'winograd' || kind === 'pixel';
  const narrow = kind === 'narrow' || kind === 'grouped';
  const groups = kind === 'grouped' ? few(6) : kind === 'depthwise' ? channels() || 1 : 1;
  const g = {
    batch: random.int(random.chance(0.05) ? 0 : 1, 3),
    height: size(),
    width: size(),
    channels: kind === 'depthwise' ? groups : groups * (narrow ? few(5) : channels()),
    outHeight: 0,
    outWidth: 0,
    outChannels:
      kind === 'depthwise' ? groups * (random.chance(0.8) ? 1 : 2) : groups * (narrow ? few(9) : channels()),
    kernelHeight: kind === 'winograd' ? 3 : kind === 'pixel' ? 1 : few(5),
    kernelWidth: kind === 'winograd' ? 3 : kind === 'pixel' ? 1 : few(5),
    strideY: unit ? 1 : few(3),
    strideX: unit ? 1 : few(3),
    dilationY: unit ? 1 : few(3),
    dilationX: unit ? 1 : few(3),
    padTop: kind === 'pixel' ? 0 : random.int(0, 4),
    padLeft: kind === 'pixel' ? 0 : random.int(0, 4),
    groups,
  };
  const slack = () => (random.chance(0.8) ? 0 : random.int(-2, 5));
  const fit = () => {
    const { padTop, padLeft, kernelHeight, kernelWidth, strideY, strideX, dilationY, dilationX } = g;
    g.outHeight = natural(g.height, padTop, random.int(0, 3), kernelHeight, strideY, dilationY) + slack();
    g.outWidth = natural(g.width, padLeft, random.int(0, 3), kernelWidth, strideX, dilationX) + slack();
    g.outHeight = Math.max(0, g.outHeight);
    g.outWidth = Math.max(0, g.outWidth);
  };
  fit();
  for (let i = 0; i < 60 && work(g) > limit; i++) {
    if (g.batch > 1) g.batch--;
    else if (g.height * g.width > (unit ? 200 : 80))
      [g.height, g.width] = [Math.ceil(g.height / 1.5), Math.ceil(g.width / 1.5)];
    else if (groups === 1 && g.channels > g.outChannels) g.channels = Math.ceil(g.channels / 2);
    else if (groups === 1) g.outChannels = Math.ceil(g.outChannels / 2);
    else g.height = g.width = 1 + Math.floor(g.height / 4);
    if (g.height * g.width <= 1 && groups > 1) break;
    fit();
  }
  if (kind === 'far') {
    const distance = () => random.pick([0, 1, 1000, 65536, 2 ** 30, 2 ** 31 - 1]);
    g.padTop = distance();
    g.padLeft = distance();
    for (const field of ['strideY', 'strideX', 'dilationY', 'dilationX'] as const) g[field] = distance() || 1;
    g.outHeight = random.int(0, 6);
    g.outWidth = random.int(0, 6);
  }
  return g;
}

const specials = [Number.NaN, Infinity, -Infinity, -0, 1e-42, 3e38, -3e38, 1e-320, 1.7e308];

/** What a call is made from. With `special`, some floats are NaN, infinite, denormal or as large as can be. */
function drawFrom(random: Random, limit: number, special: boolean): Draw {
  const dtype = random.chance(0.7) ? 'float32' : 'float64';
  const { next } = random;
  // Convolutions of the size for which they have their fastest algorithms.
  const large = random.chance(0.4) ? Math.max(limit, 3e6) : limit;
  return {
    dtype,
    sizes: sizesWithin(random, limit),
    flags: Array.from({ length: 5 }, () => random.pick([0, 1] as const)),
    code: random.int(0, 10000),
    geometry: geometryWithin(random, large),
    floats: (length, low = -2, high = 2) => {
      const values = allocate(length, dtype);
      for (let i = 0; i < length; i++) values[i] = low + (high - low) * next();
      if (special && length > 0) values[random.int(0, length - 1)] = random.pick(specials);
      return values;
    },
    int32: (length, size) => new Int32Array(length).map(() => Math.floor(next() * size)),
    state: () => new Uint32Array(6).map(() => next() * 2 ** 32),
  };
}

export function randomCall(random: Random, kernel: KernelName, limit: number, special = false): Call {
  return { kernel, args: argumentsOf(kernel, drawFrom(random, limit, special)), from: 'an attack' };
}

/** A call in a line, for notes: the scalars, layouts and geometries, and the lengths of the other arrays. */
export function brief({ kernel, args }: Pick<Call, 'kernel' | 'args'>): string {
  const show = (value: unknown): string => {
    if (isList(value)) return `[${value.map(show).join()}]`;
    if (value instanceof Int32Array && value.length <= 24) return `i32[${value.join()}]`;
    if (isArray(value))
      return `${value.constructor.name.replace(/[a-z]+/g, '')}×${(value as TypedArray).length}`;
    return typeof value === 'number' ? String(Object.is(value, -0) ? '-0' : value) : typeof value;
  };
  return `${kernel} (${args.map(show).join(', ')})`;
}

// ── placement ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where the arrays of a call lie: each in a memory, at a byte. */
interface Placement {
  readonly kind: (typeof bufferKinds)[number];
  readonly sizes: readonly number[];
  readonly places: readonly { memory: number; offset: number }[];
  readonly overlapping: boolean;
}

/** The distinct arrays, in the order in which `mapArrays` meets them. */
function distinct(args: readonly unknown[]): { array: TypedArray; position: number }[] {
  const found: { array: TypedArray; position: number }[] = [];
  mapArrays(args, (array, position) => {
    found.push({ array, position });
    return array;
  });
  return found;
}

/**
 * All arrays within one memory with canaries between them; or, for a sanitizer, each in one of its own size; or anywhere
 * in one memory, so that they overlap.
 */
export function placementOf(random: Random, args: readonly unknown[], overlapping = false): Placement {
  const kind = random.chance(0.5) ? 'ordinary' : random.pick(bufferKinds);
  const arrays = distinct(args).map(({ array }) => array);
  if (!overlapping && random.chance(process.env.AXPY_SANITIZER === undefined ? 0.1 : 0.7)) {
    const places = arrays.map((_, memory) => ({ memory, offset: 0 }));
    return { kind, sizes: arrays.map(({ byteLength }) => byteLength), places, overlapping };
  }
  const align = (bytes: number) => Math.ceil(bytes / 8) * 8;
  if (overlapping) {
    const size = align(Math.max(0, ...arrays.map(({ byteLength }) => byteLength)) * 1.5) + 128;
    const places = arrays.map(({ byteLength, BYTES_PER_ELEMENT: width }) => ({
      memory: 0,
      offset: 64 + width * random.int(0, Math.floor((size - 128 - byteLength) / width)),
    }));
    return { kind, sizes: [size], places, overlapping };
  }
  let end = 0;
  const places = arrays.map(({ byteLength, BYTES_PER_ELEMENT: width }) => {
    const offset = Math.ceil((end + 8 * random.int(1, 32)) / 8) * 8 + (width === 4 ? random.pick([0, 4]) : 0);
    end = offset + byteLength;
    return { memory: 0, offset };
  });
  return { kind, sizes: [align(end) + 256], places, overlapping };
}

const canary = 0xff;

/**
 * Makes a call on copies of its arguments at their places, and sees to it that nothing changes but the destinations, and
 * nothing at all when it throws. `raw` are arguments that go in as they are.
 */
export function execute(
  implementation: Kernels,
  { kernel, args }: Pick<Call, 'kernel' | 'args'>,
  { kind, sizes, places, overlapping }: Placement,
  raw: ReadonlyMap<number, unknown> = new Map(),
): Outcome {
  const { overwritten, updated } = roles[kernel];
  const parameters = signatures.get(kernel)!;
  const memories = sizes.map((size) => new Uint8Array(makeBuffer(kind, size)).fill(canary));
  const destinations: { memory: number; offset: number; bytes: number }[] = [];
  let met = 0;
  const own = mapArrays(args, (array, position) => {
    const { memory, offset } = places[met++];
    const Type = array.constructor as new (buffer: ArrayBufferLike, at: number, length: number) => TypedArray;
    const copy = new Type(memories[memory].buffer, offset, array.length);
    const { name } = parameters[position];
    const uses = args.filter((other) => other === array || (isList(other) && other.includes(array))).length;
    const isOverwritten = overwritten.includes(name) && uses === 1 && !overlapping;
    if (!isOverwritten) copy.set(array as never);
    if (overwritten.includes(name) || updated.includes(name)) {
      destinations.push({ memory, offset, bytes: array.byteLength });
    }
    return copy;
  });
  for (const [position, value] of raw) own[position] = value;
  const before = memories.map((bytes) => Buffer.from(bytes));
  let error: unknown = null;
  try {
    invoke(implementation, kernel, own);
  } catch (thrown) {
    error = thrown ?? 'nothing';
  }
  if (error !== null) destinations.length = 0;
  let fault: string | null = null;
  memories.forEach((bytes, memory) => {
    const after = Buffer.from(bytes.buffer, 0, bytes.length);
    let at = 0;
    const same = (end: number) => {
      if (end > at && !after.subarray(at, end).equals(before[memory].subarray(at, end))) {
        const first = after.findIndex((byte, i) => i >= at && byte !== before[memory][i]);
        fault =
          error === null ? `wrote outside of its destinations, at byte ${first}` : 'wrote before it threw';
      }
    };
    const inside = destinations.filter((d) => d.memory === memory).sort((a, b) => a.offset - b.offset);
    for (const { offset, bytes: length } of inside) {
      same(offset);
      at = Math.max(at, offset + length);
    }
    same(after.length);
  });
  return { args: own, error, fault };
}

/** The buffers of all arrays of a call. */
export const buffersOf = (args: readonly unknown[]): ArrayBufferLike[] => [
  ...new Set(arraysOf(args).map(({ array }) => array.buffer)),
];
