/** Scaled dot-product attention. */
import { checkBoolean, checkOptions, describe } from '../arguments.ts';
import { noGrad, track } from '../autograd.ts';
import { derivativeOf, differentiate } from '../backward.ts';
import { arange } from '../create.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { allocate, type FloatDtype, lending } from '../memory.ts';
import { keepState, type RandomState, stateOf } from '../random.ts';
import { broadcastShapes, type Shape, sameShape, show, sizeOf } from '../shape.ts';
import { checkSameFloat, checkTensor, Tensor } from '../tensor.ts';
import { tracing } from '../trace.ts';
import { add, greater, mul, notEqual, where } from './binary.ts';
import { broadcastTo } from './broadcastTo.ts';
import { cast } from './cast.ts';
import { concat } from './concat.ts';
import { checkRate, dropout } from './dropout.ts';
import { matmul } from './matmul.ts';
import { max } from './reduce.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { softmax } from './softmax.ts';

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /** Whether query i sees keys 0 to i alone; default false. */
  causal?: boolean;
  /**
   * Which keys a query sees, of a shape that broadcasts to [..., queries, keys]. int32: those where it is not 0. Of the dtype of
   * the queries: what is added to the scores, −Infinity for a key that is not seen. A query that sees no key at all gets zeros,
   * as in PyTorch from 2.5 on, and so do the gradients through it.
   */
  mask?: Tensor | null;
  /** The probability with which a weight is set to 0, whether a model is trained or not, as in `dropout`; default 0. */
  dropout?: number;
  /** What scores are multiplied by; default 1/√(size of a query). */
  scale?: number;
  /** Whether there may be fewer heads of keys and values, each for as many neighbouring heads of queries; default false. */
  grouped?: boolean;
}

/** What is known of a call after its checks. */
interface Plan {
  readonly causal: boolean;
  readonly rate: number;
  readonly scale: number;
}

/** q, k, v and what is added to the scores, or null. */
type Operands = readonly [q: Tensor, k: Tensor, v: Tensor, bias: Tensor | null];

/** More scores than these are computed by parts, which stay in the cache, and again in backward, instead of being kept. */
const most = 2 ** 18;
/** But not of fewer queries, as products of a few rows are slow. */
const fewest = 128;

/**
 * softmax(q·kᵀ·scale + mask)·v (Vaswani et al., 2017), as PyTorch's function of that name. Where the scores would be many, they
 * are computed for some queries at a time, and again in backward, so that memory grows with the length and not with its square
 * (Rabe & Staats, 2021; Dao et al., 2022).
 * @param q [..., queries, size]
 * @param k [..., keys, size], whose axes before the last two broadcast with those of q, as those of v do
 * @param v [..., keys, size of values]
 * @returns [..., queries, size of values]
 * @throws ShapeError, DtypeError when tensors do not fit each other, ArgumentError for options out of their domains
 */
export function scaledDotProductAttention<D extends FloatDtype>(
  q: Tensor<D>,
  k: Tensor<NoInfer<D>>,
  v: Tensor<NoInfer<D>>,
  options?: AttentionOptions,
): Tensor<D>;
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const op = 'scaledDotProductAttention';
  for (const [name, x] of Object.entries({ q, k, v })) {
    checkTensor(op, x, name);
    checkSameFloat(op, q, x);
    if (x.rank < 2)
      throw new ShapeError(`[${op}] expected ${name} [..., length, size], got ${show(x.shape)}`);
  }
  checkOptions(op, options, ['causal', 'mask', 'dropout', 'scale', 'grouped']);
  const { causal = false, mask = null, dropout: rate = 0, grouped = false } = options;
  checkBoolean(op, 'causal', causal);
  checkBoolean(op, 'grouped', grouped);
  checkRate(op, rate, 'dropout');
  const [queries, size] = q.shape.slice(-2);
  const keys = v.shape[v.rank - 2];
  const { scale = size === 0 ? 1 : 1 / Math.sqrt(size) } = options;
  if (!Number.isFinite(scale)) {
    throw new ArgumentError(`[${op}] expected scale to be a finite number, got ${describe(scale)}`);
  }
  const shapes = () => `q ${show(q.shape)}, k ${show(k.shape)} and v ${show(v.shape)}`;
  if (k.shape[k.rank - 1] !== size || k.shape[k.rank - 2] !== keys) {
    throw new ShapeError(
      `[${op}] expected queries and keys of one size, keys and values of one length, got ${shapes()}`,
    );
  }
  const [leadQ, leadK, leadV] = [q, k, v].map((x) => x.shape.slice(0, -2));
  const ratio = grouped ? (leadQ[leadQ.length - 1] ?? 1) / (leadK[leadK.length - 1] ?? 1) : 1;
  if (!Number.isInteger(ratio) || (grouped && Math.min(q.rank, k.rank, v.rank) < 3)) {
    throw new ShapeError(
      `[${op}] expected heads of queries to be a multiple of those of keys, got ${shapes()}`,
    );
  }
  // As one head of keys with the queries of all of its heads.
  const own = ratio === 1 ? leadQ : [...leadQ.slice(0, -1), leadQ[leadQ.length - 1] / ratio];
  const lead = broadcastShapes(op, own, broadcastShapes(op, leadK, leadV));
  const whole = ratio === 1 ? lead : [...lead.slice(0, -1), lead[lead.length - 1] * ratio];
  const spread = (x: Tensor, to: Shape) =>
    sameShape(x.shape.slice(0, -2), to) ? x : broadcastTo(x, [...to, ...x.shape.slice(-2)]);
  const bias = mask === null ? null : biasOf(op, mask, q, [...whole, queries, keys]);
  const operands: Operands = [spread(q, whole), spread(k, lead), spread(v, lead), bias];
  const plan = { causal, rate, scale };
  // A graph of ONNX has it in one piece.
  return scoresOf(operands) <= most || tracing !== null
    ? attend(operands, plan, 0, queries)
    : byParts(operands, plan);
}

const scoresOf = ([q, k]: Operands) => sizeOf(q.shape.slice(0, -1)) * k.shape[k.rank - 2];

/** What is added to scores for a mask, of its shape. */
function biasOf(op: string, mask: Tensor, q: Tensor, scores: Shape): Tensor {
  checkTensor(op, mask, 'mask');
  if (mask.dtype !== 'int32' && mask.dtype !== q.dtype) {
    throw new DtypeError(`[${op}] expected mask to be int32 or ${q.dtype}, got ${mask.dtype}`);
  }
  if (mask.rank > scores.length || !sameShape(broadcastShapes(op, mask.shape, scores), scores)) {
    throw new ShapeError(
      `[${op}] expected a mask that broadcasts to ${show(scores)}, got ${show(mask.shape)}`,
    );
  }
  return mask.dtype === 'int32' ? where(cast(mask, q.dtype), 0, -Infinity) : mask;
}

/** Some neighbouring positions of an axis, counted from the end; all of them of an axis that is broadcast. */
function part(x: Tensor, axis: number, from: number, to: number): Tensor {
  const at = x.rank - axis;
  if (at < 0 || x.shape[at] === 1 || to - from === x.shape[at]) return x;
  return slice(x, [...x.shape.slice(0, at).map(() => null), [from, to]]);
}

/** Queries `from` to `to` by all that they see. */
function attend(
  [q, k, v, mask]: Operands,
  { causal, rate, scale }: Plan,
  from: number,
  to: number,
  state?: RandomState,
) {
  const end = causal ? Math.min(to, k.shape[k.rank - 2]) : k.shape[k.rank - 2];
  const [own, seen, values] = [part(q, 2, from, to), part(k, 2, 0, end), part(v, 2, 0, end)];
  const shape = own.shape.slice(0, -1);
  // Of grouped heads, as one head of keys with the queries of all of its heads.
  const lead = seen.shape.slice(0, -2);
  const rows = sameShape(lead, shape.slice(0, -1)) ? shape : [...lead, sizeOf(shape) / sizeOf(lead)];
  const fold = (x: Tensor, size: number) => (rows === shape ? x : reshape(x, [...rows, size]));

  let scores = mul(matmul(fold(own, own.shape[own.rank - 1]), seen, { transposeB: true }), scale);
  if (rows !== shape) scores = reshape(scores, [...shape, end]);
  let bias = mask && part(part(mask, 2, from, to), 1, 0, end);
  if (causal) {
    const ahead = futureOf(from, to, end, q.dtype as FloatDtype);
    bias = bias === null ? ahead : add(bias, ahead);
  }
  let some: Tensor | null = null;
  if (mask !== null && bias !== null && end > 0) {
    const own = bias;
    some = noGrad(() => notEqual(max(own, -1, { keepDims: true }), -Infinity));
    bias = where(some, bias, 0);
  }
  if (bias !== null) scores = add(scores, bias);
  let weights = softmax(scores);
  if (rate > 0) weights = dropout(weights, rate, state);
  let y = matmul(fold(weights, end), values);
  if (rows !== shape) y = reshape(y, [...shape, values.shape[values.rank - 1]]);
  return some === null ? y : where(some, y, 0);
}

/** [to − from, keys]: −Infinity where a key lies ahead of a query. Of few it is a constant, which costs a program nothing. */
function futureOf(from: number, to: number, keys: number, dtype: FloatDtype): Tensor {
  const queries = to - from;
  if (queries * keys > fewest ** 2) {
    const positions = reshape(arange(from, to, 1, { dtype }), [queries, 1]);
    return where(greater(arange(0, keys, 1, { dtype }), positions), -Infinity, 0);
  }
  const values = allocate(queries * keys, dtype);
  for (let i = 0; i < queries; i++) {
    values.fill(-Infinity, i * keys + Math.min(from + i + 1, keys), (i + 1) * keys);
  }
  return new Tensor(values, [queries, keys], dtype);
}

/** The same by parts of the first axis that are few enough scores, or of queries. */
function byParts(operands: Operands, plan: Plan): Tensor {
  const [q, k, v, bias] = operands;
  const { rank } = k;
  const scores = scoresOf(operands);
  const count = k.shape[0];
  if (rank > 2 && scores > most && count > 1) {
    const some = Math.max(1, Math.floor((most * count) / scores));
    const heads = q.shape[0] / count;
    const y = ranges(count, some).map(([from, to]) => {
      const [own, mask] = [q, bias].map((x) => x && part(x, rank, from * heads, to * heads));
      return byParts([own!, part(k, rank, from, to), part(v, rank, from, to), mask], plan);
    });
    return concat(y, 0);
  }
  if (rank > 2 && scores > most && q.shape[0] === 1) {
    const without = (x: Tensor) => (x.rank === rank ? reshape(x, x.shape.slice(1)) : x);
    const y = byParts([without(q), without(k), without(v), bias && without(bias)], plan);
    return reshape(y, [1, ...y.shape]);
  }
  const queries = q.shape[q.rank - 2];
  const rows = Math.max(fewest, Math.floor((most * queries) / scores));
  const y = ranges(queries, rows).map(([from, to]) => {
    const kept = plan.rate > 0 ? keepState() : null;
    const again = (inputs: readonly (Tensor | null)[]) =>
      attend(inputs as unknown as Operands, plan, from, to, kept === null ? undefined : stateOf(kept));
    return track(
      lending(() => noGrad(() => attend(operands, plan, from, to))),
      operands,
      (dy) => differentiate(operands, again, dy),
      operands,
      derivativeOf(operands, again),
    );
  });
  return y.length === 1 ? y[0] : concat(y, -2);
}

/** [from, to) for so many at a time. */
function ranges(length: number, count: number): [from: number, to: number][] {
  return Array.from({ length: Math.ceil(length / count) }, (_, i) => [
    i * count,
    Math.min((i + 1) * count, length),
  ]);
}
