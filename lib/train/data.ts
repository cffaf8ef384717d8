/** Where batches come from: examples in memory, or batches that the caller makes. */

import { describe, isArray, isFunction, isInstance, isRecord, isRevoked } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import type { Readable } from '../data/source.ts';
import { Stream, stream } from '../data/stream.ts';
import { Scattered } from '../distributed/scatter.ts';
import { ArgumentError, DataError } from '../errors.ts';
import { allocate } from '../memory.ts';
import { gather } from '../ops/gather.ts';
import { Tensor } from '../tensor.ts';
import type { Interruption } from './abort.ts';
import type { Conversion } from './conversion.ts';
import {
  type Batch,
  checkExamples,
  checkKeys,
  type Examples,
  type Inputs,
  mapTensors,
  rowsOf,
  type Tensors,
  toBatch,
} from './examples.ts';
import { runOf, type Share } from './share.ts';

export type { Batch, Examples, Inputs, Tensors, TensorsOf } from './examples.ts';
export { runOf, type Share } from './share.ts';

/** Batches that the caller makes, in the order to take them; an epoch is one pass. */
export type Batches<Y = Inputs, X = Inputs> =
  | Iterable<Examples<Y, X>>
  | AsyncIterable<Examples<Y, X>>
  | Readable<Examples<Y, X>>;

/**
 * What to learn from, or to test on:
 * - all examples in memory, `{ x, y }`, from which batches are taken; x and y may be several tensors, as `Inputs` says;
 *   `sampleWeight` beside them says what the loss of each counts;
 * - an iterable or async iterable of `{ x, y }` batches, iterated anew for each epoch: an array, a set, an object with
 *   `[Symbol.iterator]`, a stream that `stream` made. A generator and a `ReadableStream` run only once, which is enough for one
 *   epoch;
 * - a function that returns such an iterable, or a promise of it, called for each epoch: a generator function, say.
 *
 * Where several processes train together, what `scatter` of their world returned is such an iterable.
 */
export type Data<Y = Inputs, X = Inputs> =
  | Examples<Y, X>
  | Batches<Y, X>
  | (() => Batches<Y, X> | Promise<Batches<Y, X>>);

/** Batches of a pass that were taken before it was interrupted. */
export interface Skip {
  readonly count: number;
  /** Called after each of them that was given again. */
  taken(): void;
  /** Called when none is left. */
  over(): void;
}

/** Batches, any number of times over. */
export interface Dataset {
  /** How many examples there are, where they are in memory. */
  readonly examples: number | undefined;
  /** How many batches there are in an epoch, where that is known beforehand. */
  readonly batchCount: number | undefined;
  /** The x of a batch of one example and why it is one, where it is known beforehand that there will be such. */
  readonly single: { readonly x: Tensors; readonly why: string } | undefined;
  /** Whether batches come in parts, of which each of several processes has its own at the same time. */
  readonly isDivided: boolean;
  /**
   * A pass over all of them, but for those to skip, whose waits an abort interrupts.
   * @param pass its number from 0, on which random orders of streams depend; by default the next one
   */
  batches(interruption: Interruption, skip?: Skip, pass?: number): Iterable<Batch> | AsyncIterable<Batch>;
}

export interface DatasetOptions extends Conversion {
  /** What messages call the data: 'data' or 'validation'. */
  name: string;
  /** For examples in memory; iterables have chosen theirs. */
  batchSize: number;
  /** Whether to leave out the last batch of examples in memory where it is smaller; default false. */
  dropLast?: boolean;
  /** The order in which a pass takes n examples in memory; by default as they lie. */
  order?: (n: number) => Int32Array;
  /**
   * Which part of each batch of examples in memory is given, of no rows where there are fewer than parts. What else there is to
   * know, counts, the order and what is skipped, is of whole batches. Batches of iterables are given as they are.
   */
  share?: Share | undefined;
}

/**
 * Examples in memory are converted and checked here, all of them; batches of an iterable one by one as they come.
 * @throws DataError or ShapeError for what cannot be used.
 */
export function openData(data: Data, options: DatasetOptions): Dataset {
  if (isInstance(data, Scattered)) return divided(data as Scattered<Inputs, Inputs>, options);
  if (isFunction(data) || isSource(data)) return streamed(data, options);
  if (!isRecord(data) || !('x' in data && 'y' in data)) {
    throw new DataError(
      `expected ${options.name} to be { x, y }, an iterable of { x, y } batches or a function that returns one, ` +
        `got ${describe(data)}`,
    );
  }
  checkKeys(options.name, data);
  return inMemory(data, options);
}

/** Whether it gives batches, by an iterator or a reader. */
function isSource(data: unknown): data is Batches {
  return isIterable(data) || (isRecord(data) && isFunction((data as Partial<Readable<unknown>>).getReader));
}

function isIterable(data: unknown): data is Iterable<unknown> | AsyncIterable<unknown> {
  if (isRevoked(data) || !(isRecord(data) || isArray(data) || data instanceof Set)) return false;
  const batches = data as Partial<Iterable<unknown> & AsyncIterable<unknown>>;
  return isFunction(batches[Symbol.asyncIterator] ?? batches[Symbol.iterator]);
}

/** All of it. */
const alone: Share = { index: 0, count: 1 };

function inMemory(data: Examples, options: DatasetOptions): Dataset {
  const { name, batchSize, dropLast = false, order = inOrder, share = alone } = options;
  const { x, y, weights } = toBatch(data, options, (part) => (name === 'data' ? part : `${name}.${part}`));
  const n = rowsOf(x);
  const left = n % batchSize;
  if (dropLast && n < batchSize) {
    throw new DataError(
      `expected at least ${batchSize} examples in ${name}, a whole batch, as dropLast leaves out what is less; got ${n}`,
    );
  }
  const end = dropLast ? n - left : n;
  const taken = (rows: Int32Array) => {
    const indices = new Tensor(rows, [rows.length], 'int32');
    return (part: Tensor) => gather(part, indices);
  };
  const single = (): Dataset['single'] => {
    if (batchSize !== 1 && (left !== 1 || dropLast)) return undefined;
    const why =
      n === 1 || batchSize === 1
        ? `there ${n === 1 ? 'is one example' : `are ${n} examples`} at batchSize ${batchSize}`
        : `the last batch is of one example, as ${n} leave one over at batchSize ${batchSize}: pass dropLast: true, or ` +
          'another batchSize';
    return { x: noGrad(() => mapTensors(x, taken(allocate(1, 'int32')))), why };
  };
  return {
    examples: n,
    batchCount: Math.ceil(end / batchSize),
    single: single(),
    isDivided: true,
    *batches(_, skip) {
      const rows = order(n);
      skip?.over();
      for (let start = batchSize * (skip?.count ?? 0); start < end; start += batchSize) {
        const total = Math.min(batchSize, end - start);
        const [from, to] = runOf(total, share);
        const take = taken(rows.slice(start + from, start + to));
        yield noGrad(() => ({
          x: mapTensors(x, take),
          y: mapTensors(y, take),
          weights: mapTensors(weights, take),
          total,
          share: (to - from) / total,
        }));
      }
    },
  };
}

function inOrder(n: number): Int32Array {
  const order = allocate(n, 'int32');
  for (let i = 0; i < n; i++) order[i] = i;
  return order;
}

function streamed(data: Batches | (() => Batches | Promise<Batches>), options: DatasetOptions): Dataset {
  const { name, share = alone } = options;
  checkClassWeights(options);
  // An array can be looked over before anything has changed; what else iterates may do so only once.
  if (Array.isArray(data)) {
    if (data.length === 0) throw new DataError(`expected at least one batch in ${name}, got none`);
    // Not by a method of the array, which may be another's.
    for (let i = 0; i < data.length; i++) checkExamples(`batch ${i + 1} of ${name}`, data[i]);
  }
  let passes = 0;
  return {
    examples: undefined,
    batchCount: Array.isArray(data) ? data.length : undefined,
    single: undefined,
    isDivided: false,
    async *batches(interruption, skip, pass = passes) {
      passes++;
      const given = isFunction(data) ? await interruption.wait(called(data)) : data;
      const source = passOf(given, pass);
      if (!isIterable(source)) {
        throw new DataError(
          `expected the function ${name} to return an iterable of { x, y } batches, got ${describe(source)}`,
        );
      }
      let count = 0;
      for await (const given of interruption.over(source)) {
        count++;
        if (skip && count <= skip.count) {
          skip.taken();
          if (count === skip.count) skip.over();
          continue;
        }
        const which = `batch ${count} of ${name}`;
        checkExamples(which, given);
        yield toBatch(given, options, (part) => `${part} of ${which}`, share.count > 1);
      }
      if (skip && count < skip.count) {
        throw new DataError(
          `expected at least ${skip.count} batches in ${name}, as many as the checkpoint has taken, got ${count}`,
        );
      }
      if (count > 0) return;
      throw new DataError(
        passes === 1
          ? `expected at least one batch in ${name}, got none`
          : `expected ${name} to give its batches again for pass ${passes}, got none: a generator runs only once; ` +
              'pass a function that returns a new one, or an object that can be iterated again',
      );
    },
  };
}

/** Rank 0's batches, made and checked there, and this rank's part of each. */
function divided(data: Scattered<Inputs, Inputs>, options: DatasetOptions): Dataset {
  const { world, source } = data;
  const { name, share } = options;
  checkClassWeights(options);
  if ((share ?? alone).count !== world.size) {
    throw new ArgumentError(
      `expected the world beside ${name} that its scatter returned, as each of ${world.size} ranks has a part: pass it as the option world`,
    );
  }
  const { share: _, ...own } = options;
  if (world.size === 1) return { ...streamed(source!, own), isDivided: true };
  let whole: Dataset | undefined;
  return {
    examples: undefined,
    batchCount: undefined,
    single: undefined,
    isDivided: true,
    async *batches(interruption, skip, pass) {
      if (source === undefined) {
        for (let i = 0; i < (skip?.count ?? 0); i++) skip!.taken();
        skip?.over();
        yield* data.divide(null);
      } else {
        // Not before the pass, as others then hear of what is wrong with it.
        yield* data.divide(() => {
          whole ??= streamed(source, own);
          return whole.batches(interruption, skip, pass);
        });
      }
    },
  };
}

/** @throws ArgumentError where batches are not enough to weigh classes by */
function checkClassWeights({ name, classWeights }: DatasetOptions): void {
  if (!classWeights?.needsAll) return;
  throw new ArgumentError(
    `expected ${name} in memory for classWeight 'balanced', got batches: count the classes, and pass a record of n / (k · count)`,
  );
}

/** A pass of a stream, or of what has to be made one; everything else as it is. */
function passOf(given: Batches | undefined, pass: number): Exclude<Batches, Readable<unknown>> | undefined {
  if (isInstance(given, Stream)) return given.pass(pass);
  const isReadable = isRecord(given) && !isIterable(given) && 'getReader' in given;
  return (
    isReadable ? stream<Examples>(given as Readable<Examples>).pass(pass) : given
  ) as Iterable<Examples>;
}

/** What a function returns, a promise as it is; undefined for a proxy that was revoked, which cannot be awaited. */
function called(data: () => Batches | Promise<Batches>): Batches | Promise<Batches> | undefined {
  const given = data();
  return isRevoked(given) ? undefined : given;
}
