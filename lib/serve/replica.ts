/** A model with numbers of its own: it predicts by them while the model itself goes on learning. */
import { noGrad } from '../autograd.ts';
import type { Source } from '../files/disk.ts';
import { readWeights } from '../files/weights.ts';
import { mainQueue, Queue } from '../kernels/queue.ts';
import { changing } from '../kernels/recorder.ts';
import { Layer } from '../layers/layer.ts';
import { inMode } from '../layers/mode.ts';
import type { Storage } from '../memory.ts';
import { turn } from '../platform.ts';
import { elements, type Tensor } from '../tensor.ts';
import { compileSteps, type Steps } from '../train/compile.ts';
import type { Tensors } from '../train/examples.ts';
import { forwardOf } from '../train/step.ts';
import { copying, Numbers } from './numbers.ts';
import type { Follower } from './publication.ts';

/**
 * Where the numbers of a version come from: a model of this thread with the same parameters and buffers; a file of
 * `saveModel`, `saveWeights` or `checkpoint`, or its bytes; tensors by name, as of `stateDict`.
 */
export type NumbersOf = Layer | Source | Readonly<Record<string, Tensor>>;

type Copy = Steps<[], void>;

/** So many numbers are copied in a fraction of a millisecond. */
const atOnce = 2 ** 17;

/**
 * The model itself runs, in evaluation mode, with the replica's memory lent to its parameters and buffers for as long as it is
 * recorded: the programs work there ever after. So nothing has to be known of how a model is made, and nothing of it is
 * written to. They have a queue of their own, and run while the model's own programs do.
 */
export class Replica {
  /** How many times it was given numbers. */
  version = 0;
  /** The version that a prediction is made with which is asked for now. */
  latest = 0;
  private readonly queue: Queue;
  /** What its programs work on. */
  private readonly memory = new WeakSet<ArrayBufferLike>();
  private readonly own: Numbers;
  /** Where the next version becomes whole, before it takes its place between two batches. */
  private readonly next: Numbers;
  private readonly lent: { readonly tensor: { storage: Storage }; storage: Storage }[];
  private readonly forward: Steps<[x: Tensors], Tensors>;
  private readonly take: Copy;
  /** Copies to `next`, from models of this thread and versions of another one. */
  private readonly copies = new WeakMap<Layer, Copy>();
  private updates: Promise<unknown> = Promise.resolve();
  private failure: unknown;
  /** Whether somebody's answer is made of several batches, of which some are computed. */
  isHeld = false;
  /** Lets the version take its place that waits for that. */
  private due: (() => void) | null = null;

  /** @param executor its number @param threads that a prediction may have at most; 0 for as many as there are */
  constructor(model: Layer, executor: number, threads: number) {
    this.queue = new Queue(executor, threads, this.memory);
    this.own = this.numbersOf(model);
    this.next = this.numbersOf(model);
    const own = this.own.namedTensors();
    this.lent = model.namedTensors().map(([, tensor], i) => ({ tensor, storage: own[i][1].storage }));
    this.forward = compileSteps((x: Tensors) => noGrad(() => forwardOf(model, x)), false, this.queue);
    this.take = compileSteps(copying(this.own, this.next), false, this.queue);
  }

  private numbersOf(model: Layer): Numbers {
    const numbers = new Numbers(model);
    this.admit(numbers);
    return numbers;
  }

  private admit(numbers: Numbers): void {
    for (const [, { storage }] of numbers.namedTensors()) this.memory.add(storage.array!.buffer);
  }

  /** The output for a batch, by the numbers of the latest version. */
  predict(x: Tensors): Tensors | Promise<Tensors> {
    this.lend();
    try {
      return inMode(false, () => this.forward.soon(x));
    } finally {
      this.lend();
    }
  }

  /** Gives the model's tensors the memory of the replica, or theirs again. */
  private lend(): void {
    for (const own of this.lent) {
      const { storage } = own.tensor;
      own.tensor.storage = own.storage;
      own.storage = storage;
    }
  }

  /** Takes on other numbers, after those that were asked for before. @returns the number of the version */
  update(from: NumbersOf): Promise<number> {
    return this.inTurn(async () => {
      if (from instanceof Layer) await this.copyOf(from, mainQueue).soon();
      else await this.write(from);
      await this.takePlace();
    });
  }

  /** Writes numbers to where they wait, all of which are read and checked before, and lets the event loop turn in between. */
  private async write(from: Exclude<NumbersOf, Layer>): Promise<void> {
    const { changes } = await readWeights('update', from, this.next);
    for (const { tensor, values } of changes) {
      changing('update', tensor.storage);
      for (let start = 0; start < values.length; start += atOnce) {
        elements(tensor).set(values.subarray(start, start + atOnce), start);
        await turn();
      }
    }
  }

  /** Takes on the latest numbers that another thread has published. @returns the number of the version */
  follow(follower: Follower): Promise<number> {
    return this.inTurn(async () => {
      await follower.read((published) => {
        this.admit(published);
        return this.copyOf(published, this.queue).soon();
      });
      await this.takePlace();
    });
  }

  /** No other version takes its place until `release`. */
  hold(): void {
    this.isHeld = true;
  }

  release(): void {
    this.isHeld = false;
    this.due?.();
    this.due = null;
  }

  /** At once, before whatever is asked for from now on, or as soon as it may. */
  private takePlace(): Promise<unknown> {
    const take = async () => {
      const taken = this.take.soon();
      this.latest = this.version + 1;
      await taken;
    };
    if (!this.isHeld) return take();
    return new Promise((resolve) => {
      this.due = () => resolve(take());
    });
  }

  /** @returns when the updates that were asked for are made, or failed @throws what the first one threw, where there are no numbers */
  async ready(): Promise<void> {
    await this.updates;
    if (this.version === 0) throw this.failure;
  }

  private inTurn(step: () => Promise<void>): Promise<number> {
    const update = this.updates.then(async () => {
      await step();
      return ++this.version;
    });
    this.updates = update.catch((error) => {
      this.latest = this.version;
      this.failure ??= error;
    });
    return update;
  }

  private copyOf(from: Layer, queue: Queue): Copy {
    let copy = this.copies.get(from);
    if (copy === undefined) {
      copy = compileSteps(copying(this.next, from), false, queue);
      this.copies.set(from, copy);
    }
    return copy;
  }
}
