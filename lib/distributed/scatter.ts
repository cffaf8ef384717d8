/**
 * Batches that one rank reads and all have parts of. Rank 0 says what comes next, in a gathering: how many rows, and of what
 * structure, where that is another one than before. Then each array is divided, by an exchange each.
 */
import type { Data } from '../../binding.d.ts';
import { describe, isFunction, isRecord, isRevoked } from '../arguments.ts';
import { iterate, type Opening } from '../data/pull.ts';
import { openingOf } from '../data/source.ts';
import { ArgumentError, DistributedError } from '../errors.ts';
import { isPlain, readTensors, toTensor } from '../layers/inputs.ts';
import { allocate, allocateBytes, type Dtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import type { Batches } from '../train/data.ts';
import { type Batch, checkExamples, type Examples, type TensorsOf, toBatch } from '../train/examples.ts';
import { runOf } from '../train/share.ts';
import { leavesOf, mapTree } from '../tree.ts';
import { natureOf } from '../values.ts';
import { deserialize, serialize } from './serial.ts';
import type { Division, World } from './world.ts';

/** What rank 0 reads batches from. */
export type ScatterSource<Y = unknown, X = unknown> =
  | Batches<Y, X>
  | (() => Batches<Y, X> | Promise<Batches<Y, X>>);

/** What comes next. */
const [over, batch, failure] = [0, 1, 2];

/** @throws ArgumentError for what is no source of batches */
export function checkSource<Source>(batches: Source | undefined): Source {
  const isSource =
    isFunction(batches) ||
    (typeof batches === 'object' &&
      batches !== null &&
      !isRevoked(batches) &&
      [Symbol.asyncIterator, Symbol.iterator, 'getReader'].some((name) =>
        isFunction((batches as Record<PropertyKey, unknown>)[name]),
      ));
  if (isSource) return batches as Source;
  const areExamples = isRecord(batches) && 'x' in batches && 'y' in batches;
  throw new ArgumentError(
    '[scatter] expected an iterable of { x, y } batches on rank 0, or a function that returns one, got ' +
      (areExamples
        ? 'examples in memory: stream({ x, y }).batch(32) makes batches of them'
        : describe(batches)),
  );
}

/** Rank 0's batches, of which each rank has its part: what `world.scatter` returns. A pass is one of all ranks. */
export class Scattered<Y = unknown, X = unknown>
  implements AsyncIterable<Examples<TensorsOf<Y>, TensorsOf<X>>>
{
  static {
    nameClass(Scattered, 'Scattered');
  }

  private passes = 0;
  private opening: Opening<unknown> | undefined;

  /** @internal `world.scatter` makes them. */
  constructor(
    /** @internal */
    readonly world: World,
    /** @internal Where rank 0 reads; undefined on others. */
    readonly source: ScatterSource<Y, X> | undefined,
    private readonly key: number,
  ) {}

  /** The next pass, of tensors; `sampleWeight` where the source gives such. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Examples<TensorsOf<Y>, TensorsOf<X>>, void, undefined> {
    const pass = this.passes++;
    const whole = this.source === undefined ? null : () => this.read(pass);
    for await (const { x, y, weights } of this.divide(whole)) {
      yield { x, y, ...(weights !== null && { sampleWeight: weights }) } as never;
    }
  }

  private async *read(pass: number): AsyncGenerator<Batch> {
    this.opening ??= openingOf(this.source, 'scatter');
    const open = this.opening;
    let count = 0;
    for await (const given of iterate(() => open(pass))) {
      const which = `batch ${++count} from rank 0`;
      checkExamples(which, given);
      yield plainBatch(given, which);
    }
  }

  /**
   * @internal This rank's parts of whole batches.
   * @param open begins the pass on rank 0; null elsewhere
   */
  async *divide(open: (() => AsyncIterable<Batch> | Iterable<Batch>) | null): AsyncGenerator<Batch> {
    const { world, key } = this;
    if (world.size === 1) {
      yield* open!();
      return;
    }
    if (open === null) {
      const pass = new Pass(world, key);
      for (let next = await pass.receive(); next !== undefined; next = await pass.receive()) yield next;
      return;
    }
    const pass = new Pass(world, key);
    let isAsked = true;
    try {
      for await (const whole of open()) {
        isAsked = false;
        yield await pass.give(whole);
        isAsked = true;
      }
    } catch (error) {
      // Others wait for what the source gives; of an exchange that fails they know.
      if (isAsked) await pass.fail(error);
      throw error;
    }
    await pass.end();
  }
}

/** What is known of the batches of a pass until they are of another structure. */
interface Structure {
  /** x, y and weights, with the places of tensors in the list that follows: as bigints, as nothing else in them is one. */
  readonly tree: Pick<Batch, 'x' | 'y' | 'weights'>;
  readonly parts: readonly { readonly dtype: Dtype; readonly inner: Shape }[];
}

/** What ranks say to each other while they go over the source once. */
class Pass {
  /** The bytes of `structure`. */
  private header: Uint8Array = new Uint8Array(0);
  private structure: Structure = { tree: {} as never, parts: [] };
  /** Memory that threads share, which arrays pass through. */
  private readonly rooms = new Map<string, SharedArrayBuffer>();

  constructor(
    private readonly world: World,
    private readonly key: number,
  ) {}

  /** On rank 0: gives each rank its part. @returns its own */
  async give(whole: Batch): Promise<Batch> {
    const { x, y, weights, total } = whole;
    const tensors = leavesOf([x, y, weights], isTensor);
    const parts = tensors.map(({ dtype, shape }) => ({ dtype, inner: shape.slice(1) }));
    let place = 0n;
    const tree = mapTree({ x, y, weights }, isTensor, () => place++) as Structure['tree'];
    this.structure = { tree, parts };
    const header = serialize(this.structure);
    const isKnown =
      header.length === this.header.length && header.every((byte, i) => byte === this.header[i]);
    this.header = header;
    await this.say(batch, isKnown ? null : header, total);
    return await this.divide(total, tensors);
  }

  /** On rank 0: there are no more. */
  async end(): Promise<void> {
    await this.say(over, null, 0);
  }

  /** On rank 0: there are no more, as something was thrown. Where nobody can be told, that is known already. */
  async fail(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : describe(error);
    await this.say(failure, serialize(message), 0).catch(() => {});
  }

  /** On other ranks: this one's part of the next batch; undefined after the last. @throws DistributedError for what rank 0 threw */
  async receive(): Promise<Batch | undefined> {
    const [what, bytes, total] = await this.world.gather('scatter', this.key, [0, 0, 0]);
    const said = bytes === 0 ? null : await this.share(bytes);
    if (what === over) return undefined;
    if (what === failure) {
      throw new DistributedError(
        `[scatter] expected batches from rank 0 (${this.world.hosts[0]}), got an error of its source: ${said}`,
      );
    }
    if (said !== null) this.structure = said as Structure;
    return await this.divide(total, null);
  }

  private async say(what: number, bytes: Uint8Array | null, total: number): Promise<void> {
    await this.world.gather('scatter', this.key, [what, bytes?.length ?? 0, total]);
    if (bytes !== null) await this.share(bytes.length, bytes);
  }

  /** Bytes of rank 0, for all. */
  private async share(size: number, own?: Uint8Array): Promise<unknown> {
    const buffer = new Int32Array(allocateBytes(4 * Math.ceil(size / 4)));
    if (own !== undefined) new Uint8Array(buffer.buffer).set(own);
    await this.world.broadcast([], [buffer]);
    return own === undefined ? deserialize(buffer, size) : undefined;
  }

  /** @param whole the tensors of the whole batch, on rank 0; null elsewhere */
  private async divide(total: number, whole: readonly Tensor[] | null): Promise<Batch> {
    const { rank, size } = this.world;
    const rows = Array.from({ length: size }, (_, index) => {
      const [start, end] = runOf(total, { index, count: size });
      return end - start;
    });
    const { tree, parts } = this.structure;
    const divisions = parts.map(({ dtype, inner }, i): Division => {
      const width = sizeOf(inner);
      const all = this.array(`all ${i}`, dtype, whole === null ? 0 : total * width);
      if (whole !== null) all.set(elements(whole[i]));
      const counts = this.array(`counts ${width}`, 'int32', size) as Int32Array;
      counts.set(rows.map((count) => count * width));
      return { part: this.array(`part ${i}`, dtype, rows[rank] * width), all, counts };
    });
    await this.world.divide(divisions);
    const tensors = divisions.map(({ part }, i) => {
      const { dtype, inner } = parts[i];
      const own = allocate(part.length, dtype);
      own.set(part);
      return new Tensor(own, [rows[rank], ...inner], dtype);
    });
    const isPlace = (value: unknown): value is bigint => typeof value === 'bigint';
    const own = mapTree(tree, isPlace, (place) => tensors[Number(place)]) as Structure['tree'];
    return { ...own, total, share: rows[rank] / total };
  }

  /** An array of a name, over memory that is used again for each batch. */
  private array(name: string, dtype: Dtype, length: number): Data {
    const bytes = length * (dtype === 'float64' ? 8 : 4);
    let room = this.rooms.get(name);
    if (room === undefined || room.byteLength < bytes) {
      room = allocateBytes(bytes);
      this.rooms.set(name, room);
    }
    if (dtype === 'int32') return new Int32Array(room, 0, length);
    return dtype === 'float32' ? new Float32Array(room, 0, length) : new Float64Array(room, 0, length);
  }
}

/** A batch as it is without a model: plain values become what `tensor` makes of them. */
function plainBatch({ x, y, sampleWeight }: Examples, which: string): Batch {
  const read = (name: string, given: unknown) =>
    readTensors(name, given, (own, values) => toTensor(own, values, natureOf(values).dtype));
  const nameOf = (part: keyof Examples) => `${part} of ${which}`;
  const tensors = read(nameOf('x'), x);
  const first = leavesOf(tensors, isTensor).find(({ dtype }) => dtype !== 'int32');
  return toBatch(
    { x: tensors as never, y: read(nameOf('y'), y) as never, sampleWeight },
    {
      dtype: first?.dtype === 'float64' ? 'float64' : 'float32',
      inputDtype: () => 'float32',
      input: (own) => own as never,
      outputs: isPlain(sampleWeight) ? Object.keys(sampleWeight) : [],
      labelsAt: () => undefined,
    },
    nameOf,
  );
}
