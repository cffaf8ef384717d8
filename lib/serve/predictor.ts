/** Predictions for many who ask at the same time. */
import { checkOptions, checkPositive, describe } from '../arguments.ts';
import { AbortError, ArgumentError, ClosedError, QueueFullError, TimeoutError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import { later, turn } from '../platform.ts';
import { interruptible, type Signal } from '../train/abort.ts';
import { type Conversion, conversionFor } from '../train/conversion.ts';
import { predict } from '../train/evaluate.ts';
import { rowsOf, type Tensors, toInputs } from '../train/examples.ts';
import { checkSignal } from '../train/options.ts';
import type { InputsOf, OutputOf } from '../train/step.ts';
import { Batch, kindOf, Request } from './batch.ts';
import { said } from './channels.ts';
import { Latencies, type LatencySummary } from './latencies.ts';
import { Follower, type PublicationHandle } from './publication.ts';
import { type NumbersOf, Replica } from './replica.ts';

/** Options of `Predictor`. */
export interface PredictorOptions {
  /** Examples that are computed together at most; default 32. */
  maxBatch?: number;
  /**
   * How long, in milliseconds, a batch that is not full waits for more, where nothing else is computed; default 0. Whatever is asked
   * for in one turn of the event loop, or while a batch is computed, comes together anyway.
   */
  maxDelay?: number;
  /** Requests that may wait; default 1024. One more is refused at once. */
  queue?: number;
  /** How many threads a batch may be computed with; by default those of the process. */
  threads?: number | undefined;
  /** In milliseconds, for requests that do not say another; by default for ever. */
  timeout?: number | undefined;
}

/** How long a request is waited for. */
export interface RequestOptions {
  /** Ends the wait with an AbortError. */
  signal?: Signal | undefined;
  /** Milliseconds after which there is a TimeoutError instead of an answer. */
  timeout?: number | undefined;
}

/** What a predictor has done since it was made. */
export interface PredictorStats {
  /** Requests that were answered, and their examples. */
  readonly answered: number;
  readonly examples: number;
  readonly batches: number;
  /** Refused because the queue was full. */
  readonly refused: number;
  /** Those that ended with a TimeoutError, by their signal, and with another error. */
  readonly timedOut: number;
  readonly aborted: number;
  readonly failed: number;
  /** Requests that wait or are being computed now. */
  readonly waiting: number;
  /** The version of the numbers that predictions are made with. */
  readonly version: number;
  /** From request to answer. */
  readonly latency: LatencySummary;
}

/** Executors have numbers; 0 is that of everything else. */
const executors = 15;
let made = 0;

/** Batches are of these sizes or a multiple of the last, so that few programs serve all: a batch is filled up to the next one. */
function paddedSize(rows: number, most: number): number {
  let size = 1;
  while (size < rows) size = size < 2 ? size + 1 : size * (Number.isInteger(Math.log2(size)) ? 1.5 : 4 / 3);
  return Math.min(size, most);
}

/**
 * A model behind an endpoint: requests are gathered into batches, and answered while the model, here or in another thread, goes
 * on learning.
 *
 *     const predictor = new Predictor(model, { maxBatch: 64 });
 *     const y = await predictor.predict([[…]]);
 *     await predictor.update(model);
 *
 * Predictions are made with a copy of the model's numbers, that of the moment when it was made, until `update` brings others. They
 * come to be between two batches: each answer is of one whole version. The event loop is free meanwhile.
 */
// biome-ignore lint/suspicious/noExplicitAny: so that a predictor of any model is a Predictor
export class Predictor<Model extends Layer = any> {
  private readonly replica: Replica;
  private readonly conversion: Conversion;
  private readonly most: number;
  private readonly delay: number;
  private readonly queue: number;
  private readonly timeout: number | undefined;
  /** Batches that are to be computed, in this order. Of each kind the last one may have room for more. */
  private waiting: Batch[] = [];
  private readonly last = new Map<string, Batch>();
  /** One that was computed, whose memory the next of its kind has. */
  private spare: Batch | null = null;
  /** How many have no answer. */
  private open = 0;
  private follower: Follower | null = null;
  private readonly latencies = new Latencies();
  private readonly counts = {
    answered: 0,
    examples: 0,
    batches: 0,
    refused: 0,
    timedOut: 0,
    aborted: 0,
    failed: 0,
  };
  private isWorking = false;
  /** Ends the wait for a fuller batch. */
  private hurry: (() => void) | null = null;
  private closed: Promise<void> | null = null;
  private emptied: (() => void) | null = null;

  /** @throws ArgumentError for options out of their domains, MemoryError where there is none for a copy of the numbers */
  constructor(
    private readonly model: Model,
    options: PredictorOptions = {},
  ) {
    const op = 'Predictor';
    refuseRecording(op);
    checkLayer(op, model);
    checkOptions(op, options, ['maxBatch', 'maxDelay', 'queue', 'threads', 'timeout']);
    const { maxBatch = 32, maxDelay = 0, queue = 1024, threads, timeout } = options;
    checkPositive(op, 'maxBatch', maxBatch);
    checkPositive(op, 'queue', queue);
    if (threads !== undefined) checkPositive(op, 'threads', threads);
    checkTime(op, 'maxDelay', maxDelay);
    checkTime(op, 'timeout', timeout);
    this.most = maxBatch;
    this.delay = maxDelay;
    this.queue = queue;
    this.timeout = timeout;
    this.conversion = conversionFor(model);
    this.replica = new Replica(model, 1 + (made++ % executors), threads ?? 0);
    // Whoever asks for a prediction hears what went wrong with it.
    this.replica.update(model).catch(() => {});
  }

  /**
   * The model's output for some examples, as of the function `predict`: in evaluation mode, without gradients.
   * @param x [examples, ...], as `predict` takes it; it may change as soon as this returns
   * @returns [examples, ...output]. Examples are computed with those of others, and a product of other rows may be summed in another
   *   order: what one request is answered differs from what it would be answered alone by rounding at most
   * @throws QueueFullError, TimeoutError, AbortError, ClosedError; what `predict` throws
   */
  async predict(x: InputsOf<Model>, options: RequestOptions = {}): Promise<OutputOf<Model>> {
    const op = 'predict';
    checkOptions(op, options, ['signal', 'timeout']);
    const { signal, timeout = this.timeout } = options;
    checkSignal(op, signal);
    checkTime(op, 'timeout', timeout);
    this.checkOpen(op);
    if (this.open >= this.queue) {
      this.counts.refused++;
      throw new QueueFullError(`[${op}] expected at most ${this.queue} requests at a time, got one more`);
    }
    const given = toInputs(x, this.conversion);
    if (rowsOf(given) === 0) return (await predict(this.model, x)) as OutputOf<Model>;
    const request = new Request(given, performance.now());
    this.enter(request, given);
    const timer =
      timeout === undefined ? undefined : setTimeout(() => this.expire(request, timeout), timeout);
    try {
      if (signal === undefined) return (await request.result) as OutputOf<Model>;
      return (await interruptible(op, signal, (interruption) =>
        interruption.wait(request.result),
      )) as OutputOf<Model>;
    } catch (error) {
      this.fail(request, error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Predictions from now on are made with the numbers of a model of this thread, with those that it has after the steps that were
   * asked for before; of a file that `saveModel`, `saveWeights` or `checkpoint` wrote, or its bytes; or with tensors by name. Updates
   * come in the order in which they were asked for, and a batch under way is not touched.
   * @returns the number of the version, once predictions are made with it
   * @throws as `loadWeights`: the numbers then stay what they are
   */
  async update(from: NumbersOf): Promise<number> {
    this.checkOpen('update');
    return this.updated(await this.replica.update(from));
  }

  /**
   * Predictions from now on are made with the latest numbers that a model in another thread has published.
   * @param handle that of a `Publication` of a model with the same parameters and buffers
   * @returns once predictions are made with a version of it, where there is one
   * @throws ArgumentError, ShapeError for another handle
   */
  async follow(handle: PublicationHandle): Promise<void> {
    this.checkOpen('follow');
    this.follower = new Follower('follow', this.model, handle);
    await this.catchUp();
  }

  /** What has been done so far. */
  stats(): PredictorStats {
    return {
      ...this.counts,
      waiting: this.open,
      version: this.replica.version,
      latency: this.latencies.summary(),
    };
  }

  /** Refuses further requests. @returns when those that were made before are answered */
  close(): Promise<void> {
    this.closed ??= new Promise((resolve) => {
      if (this.open === 0) resolve();
      else this.emptied = resolve;
      this.hurry?.();
    });
    return this.closed;
  }

  private checkOpen(op: string): void {
    if (this.closed !== null)
      throw new ClosedError(`[${op}] expected a Predictor that is open, got one that was closed`);
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  private enter(request: Request, x: Tensors): void {
    const kind = kindOf(x);
    try {
      for (let taken = 0; taken < request.rows; ) {
        const rows = Math.min(request.rows - taken, this.most);
        taken += this.batchOf(kind, x, rows).add(request, x, taken);
      }
    } catch (error) {
      // There was memory for a part of it.
      request.fail(error);
      throw error;
    }
    this.open++;
    said.begin(() => ({ predictor: this, prediction: request }));
    if (this.hurry !== null && this.waiting.some(({ isFull }) => isFull)) this.hurry();
    if (this.isWorking) return;
    this.isWorking = true;
    // What else comes in this turn of the event loop is computed together.
    later(() => void this.work());
  }

  /**
   * One that has room for so many examples of a kind. Requests are divided only where they are larger than a batch, and then they
   * begin one: while they are answered numbers must not change, which is never for long.
   */
  private batchOf(kind: string, x: Tensors, rows: number): Batch {
    const last = this.last.get(kind);
    if (last?.hasRoomFor(rows)) return last;
    const batch = this.spare?.kind === kind ? this.spare : new Batch(kind, x, this.most);
    if (batch === this.spare) this.spare = null;
    this.last.set(kind, batch);
    this.waiting.push(batch);
    return batch;
  }

  private expire(request: Request, timeout: number): void {
    this.fail(request, new TimeoutError(`[predict] expected an answer within ${timeout} ms, got none`));
  }

  private fail(request: Request, error: unknown): void {
    if (!request.fail(error)) return;
    if (error instanceof TimeoutError) this.counts.timedOut++;
    else if (error instanceof AbortError) this.counts.aborted++;
    else this.counts.failed++;
    const latency = performance.now() - request.since;
    said.end(() => ({ predictor: this, prediction: request, latency, error }));
    this.left();
  }

  private answered(request: Request, version: number): void {
    this.counts.answered++;
    this.counts.examples += request.rows;
    const latency = performance.now() - request.since;
    this.latencies.add(latency);
    said.end(() => ({ predictor: this, prediction: request, latency, version }));
    this.left();
  }

  private left(): void {
    if (--this.open === 0) this.emptied?.();
  }

  // ── batches ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private async work(): Promise<void> {
    // Nothing is awaited between the last look and the end, as who is answered may ask again at once.
    while (this.waiting.length > 0) {
      await this.fuller();
      const batch = this.waiting.shift()!;
      if (this.last.get(batch.kind) === batch) this.last.delete(batch.kind);
      if (batch.isWanted) await this.compute(batch);
      if (!batch.goesOn) this.replica.release();
      batch.clear();
      this.spare = batch;
    }
    this.isWorking = false;
  }

  /** Waits until there is a whole batch, the first of its requests has waited long enough, or no more will come. */
  private async fuller(): Promise<void> {
    const [{ since }] = this.waiting;
    const left = since + this.delay - performance.now();
    if (left <= 0 || this.closed !== null || this.waiting.some(({ isFull }) => isFull)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.hurry = null;
  }

  private async compute(batch: Batch): Promise<void> {
    try {
      if (!this.replica.isHeld) await this.catchUp();
      if (batch.goesOn) this.replica.hold();
      const { x, size } = batch.input((rows) => paddedSize(rows, this.most));
      const start = performance.now();
      const y = this.replica.predict(x);
      const version = this.replica.latest;
      this.counts.batches++;
      // Computed here and now, it has kept everybody waiting.
      const isHere = !(y instanceof Promise);
      const outputs = await y;
      const duration = performance.now() - start;
      const { count: requests, rows } = batch;
      said.batch(() => ({ predictor: this, requests, rows, size, version, duration }));
      batch.answer(outputs, size, (request) => this.answered(request, version));
      if (isHere) await turn();
    } catch (error) {
      await this.computeApart(batch, error);
    }
  }

  /** What is wrong with the examples of one is no fault of the others in a batch. */
  private async computeApart(batch: Batch, error: unknown): Promise<void> {
    const batches = batch.apart();
    if (batches.length === 1) batch.fail((request) => this.fail(request, error));
    else for (const alone of batches) await this.compute(alone);
  }

  private updated(version: number): number {
    said.update(() => ({ predictor: this, version }));
    return version;
  }

  private async catchUp(): Promise<void> {
    const { follower } = this;
    if (follower?.isBehind) this.updated(await this.replica.follow(follower));
    else if (this.replica.version === 0) await this.replica.ready();
  }
}

/** @throws ArgumentError unless it is a time in milliseconds, or left out. */
function checkTime(op: string, name: string, value: number | undefined): void {
  if (value === undefined || (typeof value === 'number' && value >= 0 && value < 2 ** 31)) return;
  throw new ArgumentError(`[${op}] expected ${name} to be a time in milliseconds, got ${describe(value)}`);
}
