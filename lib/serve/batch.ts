/** Requests, gathered into batches and taken apart again. */
import { allocate, type Dtype } from '../memory.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import { joined } from '../train/evaluate.ts';
import { mapTensors, rowsOf, type Tensors } from '../train/examples.ts';
import { checkOutputRows } from '../train/step.ts';
import { leavesOf, walk } from '../tree.ts';

/** Who asked for predictions, for examples that are in one batch or in several. */
export class Request {
  readonly rows: number;
  isOver = false;
  readonly result: Promise<Tensors>;
  private readonly outputs: Tensors[] = [];
  private answered = 0;
  private resolve!: (y: Tensors) => void;
  private reject!: (error: unknown) => void;

  constructor(
    x: Tensors,
    readonly since: number,
  ) {
    this.rows = rowsOf(x);
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Who no longer waits for it hears of its end all the same.
    this.result.catch(() => {});
  }

  /** The outputs for examples of it, in their order. @returns whether these were the last */
  answer(y: Tensors, rows: number): boolean {
    this.outputs.push(y);
    this.answered += rows;
    if (this.isOver || this.answered < this.rows) return false;
    this.isOver = true;
    this.resolve(this.outputs.length === 1 ? this.outputs[0] : joined(this.outputs));
    return true;
  }

  /** @returns false where it was over */
  fail(error: unknown): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.reject(error);
    return true;
  }
}

/** The structure, shapes and dtypes of examples: what the requests of a batch have in common. */
export function kindOf(x: Tensors): string {
  if (isTensor(x)) return `${x.dtype}${x.shape.slice(1)}`;
  return Array.from(walk(x, isTensor), ([path, tensor]) => `${path}:${kindOf(tensor)}`).join(' ');
}

/** Examples of a request that are in a batch, one after the other. */
interface Share {
  readonly request: Request;
  readonly rows: number;
  /** Whether there are more in the next batch. */
  readonly goesOn: boolean;
}

/** One tensor of the examples of a batch. */
interface Column {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** Of an example. */
  readonly width: number;
  /** The examples', and room for more. */
  values: ReturnType<typeof allocate>;
}

/** Bytes that are taken at once, rather than when there are examples for them. */
const atOnce = 2 ** 18;

/** Examples of one kind that are computed together: copies, so that what was given may change. */
export class Batch {
  rows = 0;
  private isClosed = false;
  private shares: Share[] = [];
  private readonly columns: readonly Column[];

  /** @param like examples of the kind @param most how many there is room for */
  constructor(
    readonly kind: string,
    private readonly like: Tensors,
    private readonly most: number,
  ) {
    this.columns = leavesOf(like, isTensor).map(({ shape: [, ...shape], dtype }) => {
      const width = shape.reduce((product, size) => product * size, 1);
      const rows = Math.min(Math.max(1, Math.floor(atOnce / (8 * Math.max(width, 1)))), most);
      return { shape, dtype, width, values: allocate(rows * width, dtype) };
    });
  }

  /** Whether it waits for nothing. */
  get isFull(): boolean {
    return this.isClosed || this.rows === this.most;
  }

  /** Whether a request of it that somebody waits for has examples in the next one. */
  get goesOn(): boolean {
    const last = this.shares.at(-1);
    return last?.goesOn === true && !last.request.isOver;
  }

  /** Takes no more from now on where it has no room for so many. @returns whether it has */
  hasRoomFor(rows: number): boolean {
    this.isClosed ||= rows > this.most - this.rows;
    return !this.isClosed;
  }

  /** Whether somebody waits for it. */
  get isWanted(): boolean {
    return this.shares.some(({ request }) => !request.isOver);
  }

  /** How many requests are in it. */
  get count(): number {
    return this.shares.length;
  }

  /** When the first of its requests was made. */
  get since(): number {
    return this.shares[0].request.since;
  }

  /** Nobody's. */
  clear(): void {
    this.rows = 0;
    this.isClosed = false;
    this.shares = [];
  }

  /** Takes examples of a request, from one of them on, as many as there is room for. @returns how many */
  add(request: Request, x: Tensors, from: number): number {
    const rows = Math.min(request.rows - from, this.most - this.rows);
    this.reserve(this.rows + rows);
    const tensors = isTensor(x) ? [x] : leavesOf(x, isTensor);
    this.columns.forEach(({ width, values }, i) => {
      const all = elements(tensors[i]);
      const own = rows === request.rows ? all : all.subarray(from * width, (from + rows) * width);
      values.set(own, this.rows * width);
    });
    this.shares.push({ request, rows, goesOn: from + rows < request.rows });
    this.rows += rows;
    return rows;
  }

  private reserve(rows: number): void {
    for (const column of this.columns) {
      const { width, dtype, values } = column;
      if (rows * width <= values.length) continue;
      column.values = allocate(Math.max(rows, Math.min(this.most, 2 * this.rows)) * width, dtype);
      column.values.set(values.subarray(0, this.rows * width));
    }
  }

  /** Closes up where requests were that are over. */
  private compact(): void {
    let [from, to] = [0, 0];
    for (const { request, rows } of this.shares) {
      if (!request.isOver) {
        for (const { width, values } of this.columns)
          values.copyWithin(to * width, from * width, (from + rows) * width);
        to += rows;
      }
      from += rows;
    }
    this.shares = this.shares.filter(({ request }) => !request.isOver);
    this.rows = to;
  }

  /** Its examples, and the first one again until there are as many as `sizeFor` says. They stay until it is cleared. */
  input(sizeFor: (rows: number) => number): { x: Tensors; size: number } {
    if (this.shares.some(({ request }) => request.isOver)) this.compact();
    const size = sizeFor(this.rows);
    this.reserve(size);
    let at = 0;
    const x = mapTensors(this.like, () => {
      const { shape, dtype, width, values } = this.columns[at++];
      for (let row = this.rows; row < size; row++) values.copyWithin(row * width, 0, width);
      return new Tensor(values.subarray(0, size * width), [size, ...shape], dtype);
    });
    return { x, size };
  }

  /**
   * Gives each request its own.
   * @param answered called for each that now has all
   * @throws ShapeError where the model does not keep the examples apart
   */
  answer(y: Tensors, size: number, answered: (request: Request) => void): void {
    checkOutputRows('predict', y, size);
    let row = 0;
    for (const { request, rows } of this.shares) {
      const own = rows === size ? y : mapTensors(y, (all) => rowsFrom(all, row, rows));
      row += rows;
      if (request.answer(own, rows)) answered(request);
    }
  }

  /** A batch for each of its requests that waits yet. */
  apart(): Batch[] {
    this.compact();
    let row = 0;
    return this.shares.map((share) => {
      const { rows } = share;
      const batch = new Batch(this.kind, this.like, rows);
      batch.columns.forEach(({ width, values }, i) => {
        values.set(this.columns[i].values.subarray(row * width, (row + rows) * width));
      });
      batch.shares.push(share);
      batch.rows = rows;
      row += rows;
      return batch;
    });
  }

  /** Ends its requests with an error. */
  fail(fail: (request: Request) => void): void {
    for (const { request } of this.shares) fail(request);
  }
}

function rowsFrom(all: Tensor, from: number, rows: number): Tensor {
  const { shape, dtype } = all;
  const width = all.size / shape[0];
  return new Tensor(
    elements(all).slice(from * width, (from + rows) * width),
    [rows, ...shape.slice(1)],
    dtype as Dtype,
  );
}
