/** Matrix products. */
import { checkBoolean, checkOptions } from '../arguments.ts';
import { contribute, track } from '../autograd.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type Flag, type Float, kernels } from '../kernels/index.ts';
import { broadcastShapes, checkSize, type Shape, sameShape, show, sizeOf } from '../shape.ts';
import { checkSameFloat, checkTensor, empty, floats, type Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { broadcastTo } from './broadcastTo.ts';
import { sumToShape } from './derivative.ts';
import { reshape } from './reshape.ts';

/** Options of `matmul` of a `Tensor`. */
export interface MatmulOptions {
  /** Use aᵀ (of the last two axes). Default false. */
  transposeA?: boolean;
  /** Use bᵀ (of the last two axes). Default false. */
  transposeB?: boolean;
}

/** One operand of a batched product as the gemm kernel sees it: whether stored transposed, and its step. */
interface Operand {
  data: Float;
  transposed: Flag;
  stride: number;
}

const not = (flag: Flag): Flag => (flag === 0 ? 1 : 0);

/**
 * a · b over the last two axes, [..., m, k] · [..., k, n] → [..., m, n]; the axes before are batches and broadcast.
 * A vector stands for a row on the left and for a column on the right, and its axis is left out of the result.
 * @throws ShapeError when the inner sizes or the batches do not fit, DtypeError for int32 or two dtypes.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  checkTensor('matmul', a);
  checkTensor('matmul', b, 'the operand');
  checkSameFloat('matmul', a, b);
  checkOptions('matmul', options, ['transposeA', 'transposeB']);
  const { transposeA = false, transposeB = false } = options;
  checkBoolean('matmul', 'transposeA', transposeA);
  checkBoolean('matmul', 'transposeB', transposeB);
  if (a.rank === 0 || b.rank === 0) {
    throw new ShapeError(`[matmul] expected at least one axis, got ${show(a.shape)} and ${show(b.shape)}`);
  }
  if ((a.rank === 1 && transposeA) || (b.rank === 1 && transposeB)) {
    throw new ArgumentError('[matmul] expected a matrix to transpose, got a vector');
  }
  if (a.rank > 1 && b.rank > 1) return batched(a, b, transposeA ? 1 : 0, transposeB ? 1 : 0);
  const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
  const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b;
  const y = batched(left, right, transposeA ? 1 : 0, transposeB ? 1 : 0);
  const shape = y.shape.slice(0, -2);
  if (a.rank > 1) shape.push(y.shape[y.rank - 2]);
  if (b.rank > 1) shape.push(y.shape[y.rank - 1]);
  return reshape(y, shape);
}

function batched(a: Tensor, b: Tensor, transposeA: Flag, transposeB: Flag): Tensor {
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, n] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
  if (k !== inner) {
    const how = `${show(a.shape)}${transposeA ? 'ᵀ' : ''} and ${show(b.shape)}${transposeB ? 'ᵀ' : ''}`;
    throw new ShapeError(`[matmul] expected inner sizes that agree, got ${k} and ${inner} of ${how}`);
  }
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batchShape = broadcastShapes('matmul', batchA, batchB);
  const batch = sizeOf(batchShape);
  const fits = (own: Shape) => sameShape(own, batchShape) || sizeOf(own) === 1 || sizeOf(own) === batch;
  if (!fits(batchA)) return batched(spread(a, batchShape), b, transposeA, transposeB);
  if (!fits(batchB)) return batched(a, spread(b, batchShape), transposeA, transposeB);

  const shape = [...batchShape, m, n];
  checkSize('matmul', shape);
  const y = empty(shape, checkSameFloat('matmul', a, b));
  const left = { data: floats(a), transposed: transposeA, stride: sizeOf(batchA) === batch ? m * k : 0 };
  const right = { data: floats(b), transposed: transposeB, stride: sizeOf(batchB) === batch ? k * n : 0 };
  // A batch of row blocks against one matrix is one product of all the rows.
  if (right.stride === 0 && !transposeA && batch > 1) multiply(floats(y), left, right, 1, batch * m, n, k);
  else multiply(floats(y), left, right, batch, m, n, k);
  tracing?.note('matmul', [a, b], y, { transposeA: transposeA === 1, transposeB: transposeB === 1 });
  return track(
    y,
    [a, b],
    (dy) => {
      const gradient: Operand = { data: dy, transposed: 0, stride: m * n };
      const flip = (x: Operand): Operand => ({ ...x, transposed: not(x.transposed) });
      // y = AB: dA = dY·Bᵀ and dB = Aᵀ·dY; for an operand stored transposed, the transpose of that.
      contributeProduct(
        a,
        ...(transposeA ? ([right, flip(gradient), k, m] as const) : ([gradient, flip(right), m, k] as const)),
        n,
        batch,
        left.stride,
      );
      contributeProduct(
        b,
        ...(transposeB ? ([flip(gradient), left, n, k] as const) : ([flip(left), gradient, k, n] as const)),
        m,
        batch,
        right.stride,
      );
    },
    [b.requiresGrad ? a : null, a.requiresGrad ? b : null],
    (dy) => {
      const [ta, tb] = [transposeA === 1, transposeB === 1];
      // A matrix for all rows: one product of them all.
      const isOne = right.stride === 0 && !ta && batch > 1;
      const rows = (x: Tensor) =>
        isOne ? reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape[x.rank - 1]]) : x;
      return [
        () => {
          const da = ta
            ? matmul(b, dy, { transposeA: tb, transposeB: true })
            : matmul(dy, b, { transposeB: !tb });
          return sumToShape(da, a.shape);
        },
        () => {
          const [of, by] = [rows(a), rows(dy)];
          const db = tb
            ? matmul(by, of, { transposeA: true, transposeB: ta })
            : matmul(of, by, { transposeA: !ta });
          return sumToShape(db, b.shape);
        },
      ];
    },
  );
}

function spread(x: Tensor, batchShape: Shape): Tensor {
  return broadcastTo(x, [...batchShape, ...x.shape.slice(-2)]);
}

function multiply(c: Float, a: Operand, b: Operand, batch: number, m: number, n: number, k: number): void {
  // Nothing to write, however long the sums.
  if (c.length === 0) return;
  // With one matrix the stride says nothing; the kernel wants the full one or 0.
  const strideA = batch === 1 ? 0 : a.stride;
  const strideB = batch === 1 ? 0 : b.stride;
  kernels.gemm(
    c,
    a.data,
    b.data,
    null,
    batch,
    m,
    n,
    k,
    a.transposed,
    b.transposed,
    strideA,
    strideB,
    -1,
    0,
    null,
  );
}

/** The gradient of an operand is a product, summed over the batch where the operand was shared by it (stride 0). */
function contributeProduct(
  target: Tensor,
  a: Operand,
  b: Operand,
  m: number,
  n: number,
  k: number,
  batch: number,
  stride: number,
): void {
  const add = (out: Float) => {
    if (out.length === 0) return;
    const strides = batch === 1 ? ([0, 0, 0] as const) : ([a.stride, b.stride, stride] as const);
    kernels.gemmAccumulate(out, a.data, b.data, batch, m, n, k, a.transposed, b.transposed, ...strides, null);
  };
  const write = (out: Float) => {
    if (stride !== 0 || batch === 1 || out.length === 0) {
      multiply(out, a, b, batch, m, n, k);
    } else {
      kernels.fill(out, 0);
      add(out);
    }
  };
  contribute(target, write, add);
}
