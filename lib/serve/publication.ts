/** Numbers of a model that another thread reads, one whole version after the other. */
import { describe, isRecord } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { checkLayer, type Layer } from '../layers/layer.ts';
import type { SharedParameter } from '../parameter.ts';
import { isSharedArrayBuffer, sharedMemory } from '../platform.ts';
import { compileSteps, type Steps } from '../train/compile.ts';
import { copying, Numbers } from './numbers.ts';

/** What `postMessage` carries to a thread that predicts; for `Predictor.follow`. */
export interface PublicationHandle {
  /** Two versions: one is whole, while the other is written. */
  readonly versions: readonly Readonly<Record<string, SharedParameter>>[];
  /** Which is whole, the number of that version, and how many times writing to each began or ended. */
  readonly state: SharedArrayBuffer;
}

/** Places in `state`. */
const latest = 0;
const number = 1;
const writings = 2;

/**
 * What a model that is trained in one thread hands to those that predict in others.
 *
 *     const publication = new Publication(model);
 *     parentPort.postMessage(publication.handle);
 *     await fit(model, data, { …, callbacks: [{ onEpochEnd: () => publication.publish() }] });
 *
 * and there `predictor.follow(handle)`. Who reads takes a version as a whole or not at all; who writes waits for nobody, also not
 * for threads that end while they read.
 */
export class Publication {
  readonly handle: PublicationHandle;
  private readonly state: Int32Array;
  private readonly copies: readonly Steps<[], void>[];
  private publishing: Promise<unknown> = Promise.resolve();

  /** @throws MemoryError where the host has no shared memory */
  constructor(model: Layer) {
    checkLayer('Publication', model);
    const versions = [new Numbers(model), new Numbers(model)];
    const state = sharedMemory(4 * (writings + versions.length));
    this.state = new Int32Array(state);
    this.handle = { versions: versions.map((version) => version.share()), state };
    this.copies = versions.map((version) => compileSteps(copying(version, model), false));
  }

  /** The number of the latest version, 0 before the first. */
  get version(): number {
    return Atomics.load(this.state, number);
  }

  /**
   * Publishes the model's numbers as they are after the steps that were asked for before. They are copied once, off this
   * thread. @returns the number of the version
   */
  publish(): Promise<number> {
    const published = this.publishing.then(async () => {
      const { state } = this;
      const place = 1 - Atomics.load(state, latest);
      // Who reads the version before the latest yet sees that it changes, and takes the latest.
      Atomics.add(state, writings + place, 1);
      await this.copies[place].soon();
      Atomics.add(state, writings + place, 1);
      Atomics.store(state, latest, place);
      return Atomics.add(state, number, 1) + 1;
    });
    this.publishing = published.catch(() => {});
    return published;
  }
}

/** One who reads what another thread publishes. */
export class Follower {
  private readonly state: Int32Array;
  readonly versions: readonly Numbers[];
  private seen = 0;

  /** @throws ArgumentError, ShapeError for what is no handle of a publication of such a model */
  constructor(op: string, model: Layer, handle: PublicationHandle) {
    const refuse = (got: unknown) =>
      new ArgumentError(`[${op}] expected the handle of a Publication, got ${describe(got)}`);
    if (!isRecord(handle)) throw refuse(handle);
    const { versions, state } = handle;
    if (!Array.isArray(versions) || versions.length !== 2 || !isSharedArrayBuffer(state))
      throw refuse(handle);
    if (state.byteLength !== 4 * (writings + versions.length)) throw refuse(state);
    this.state = new Int32Array(state);
    this.versions = versions.map((version) => {
      const numbers = new Numbers(model);
      numbers.attach(version);
      return numbers;
    });
  }

  /** Whether there is a version that was not read. */
  get isBehind(): boolean {
    return Atomics.load(this.state, number) !== this.seen;
  }

  /** Calls `read` with the latest version, again where that was written to meanwhile. */
  async read(read: (version: Numbers) => unknown): Promise<void> {
    const { state } = this;
    for (let isWhole = false; !isWhole; ) {
      // First, so that it is no newer than what is read: a version that is read twice does no harm.
      const version = Atomics.load(state, number);
      const place = Atomics.load(state, latest);
      const begun = Atomics.load(state, writings + place);
      await read(this.versions[place]);
      isWhole = Atomics.load(state, writings + place) === begun && begun % 2 === 0;
      if (isWhole) this.seen = version;
    }
  }
}
