/** Requests, gathered into batches and taken apart again. */
import { allocate, type Dtype } from '../memory.ts';
import { elements, isTensor, Tensor } from '../tensor.ts';
import { mapTensors, rowsOf, type Tensors } from '../train/examples.ts';
import { checkOutputRows } from '../train/step.ts';
import { leavesOf, walk } from '../tree.ts';

/** Who asked for predictions: some examples, of which each batch takes as many as it has room for. */
export class Request {
  readonly rows: number;
  /** What the requests of a batch have in common. */
  readonly kind: string;
  /** How many of its examples are in batches, or have been. */
  taken = 0;
  isOver = false;
  readonly result: Promise<Tensors>;
  private readonly outputs: Tensors[] = [];
  private resolve!: (y: Tensors) => void;
  private reject!: (error: unknown) => void;

  constructor(
    readonly x: Tensors,
    readonly since: number,
  ) {
    this.rows = rowsOf(x);
    this.kind = kindOf(x);
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Who no longer waits for it hears of its end all the same.
    this.result.catch(() => {});
  }

  /** The outputs for examples of it, in their order. @returns whether these were the last */
  answer(y: Tensors): boolean {
    this.outputs.push(y);
    if (this.isOver || this.taken < this.rows) return false;
    const done = this.outputs.reduce((sum, output) => sum + rowsOf(output), 0);
    if (done < this.rows) return false;
    this.isOver = true;
    this.resolve(this.outputs.length === 1 ? this.outputs[0] : join(this.outputs));
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

/** The structure, shapes and dtypes of examples. */
function kindOf(x: Tensors): string {
  return Array.from(
    walk(x, isTensor),
    ([path, { shape, dtype }]) => `${path}:${dtype}${shape.slice(1)}`,
  ).join(' ');
}

/** Some examples of a request, where they are in a batch. */
interface Share {
  readonly request: Request;
  readonly from: number;
  readonly rows: number;
}

export class Batch {
  readonly shares: Share[] = [];
  rows = 0;

  static of(share: Share): Batch {
    const batch = new Batch();
    batch.shares.push(share);
    batch.rows = share.rows;
    return batch;
  }

  /** Takes of a request what there is room for. */
  add(request: Request, most: number): void {
    const rows = Math.min(request.rows - request.taken, most - this.rows);
    this.shares.push({ request, from: request.taken, rows });
    request.taken += rows;
    this.rows += rows;
  }

  /** The examples of all, and the first one again until there are `size`. */
  input(size: number): Tensors {
    const [{ request, rows }] = this.shares;
    if (rows === request.rows && rows === size) return request.x;
    const parts = this.shares.map((share) => ({ ...share, tensors: leavesOf(share.request.x, isTensor) }));
    let at = 0;
    return mapTensors(request.x, ({ shape, dtype }) => {
      const place = at++;
      const width = widthOf(shape);
      const values = allocate(size * width, dtype);
      let row = 0;
      for (const { tensors, from, rows } of parts) {
        values.set(elements(tensors[place]).subarray(from * width, (from + rows) * width), row * width);
        row += rows;
      }
      for (; row < size; row++) values.copyWithin(row * width, 0, width);
      return new Tensor(values, [size, ...shape.slice(1)], dtype);
    });
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
      if (request.answer(own)) answered(request);
    }
  }
}

const widthOf = (shape: readonly number[]) => shape.slice(1).reduce((product, size) => product * size, 1);

function rowsFrom(all: Tensor, from: number, rows: number): Tensor {
  const { shape, dtype } = all;
  const width = widthOf(shape);
  return new Tensor(
    elements(all).slice(from * width, (from + rows) * width),
    [rows, ...shape.slice(1)],
    dtype as Dtype,
  );
}

/** The outputs for some examples after those for others, tensor by tensor. */
function join(outputs: readonly Tensors[]): Tensors {
  const batch = new Batch();
  const all = outputs.map((y) => new Request(y, 0));
  const rows = all.reduce((sum, request) => sum + request.rows, 0);
  for (const request of all) batch.add(request, rows);
  return batch.input(rows);
}
