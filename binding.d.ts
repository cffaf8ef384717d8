/**
 * The kernel contract: every computation of axpy is a call of one of these functions.
 *
 * Two implementations satisfy it, `native/kernels/` (C++ over OpenBLAS) and `lib/kernels/fallback/` (TypeScript). The
 * rules that hold for every kernel, unless its own text says otherwise:
 *
 * - Destinations come first, then inputs, then sizes and scalars. Nothing is returned.
 * - Arrays are flat, contiguous and row-major, and exactly as long as the sizes say: a longer array is as wrong as a
 *   shorter one (pass `subarray`). An array on a detached buffer is refused.
 * - `Float` arrays of one call share one type, that of the first one; it selects the float32 or the float64 kernel.
 * - The destination is overwritten, unless the name says `Accumulate` or `Add`, or the text says "updated".
 * - No reference is kept after the call. What changes from step to step lives in a buffer (a random state, the
 *   hyperparameters of an optimizer), never in a scalar, so that a recorded call stays right when it is replayed.
 * - A list of arrays is an ordinary array of them, without holes; what is said of an array holds for each of its arrays.
 *   Its first one stands for the list where the first argument fixes the type; an empty list counts as float32.
 * - A size of zero is allowed and means "no elements": an empty sum is 0, an empty product is 1, and the maximum or
 *   minimum of nothing is -Infinity or Infinity.
 * - NaN propagates through everything, `maximum`, `minimum`, `max`, `min`, `relu` and `clip` included, and NaN in the
 *   input or output of these makes NaN of a gradient. What a gradient is multiplied by is multiplied, so 0 · Infinity is
 *   NaN; what masks it (`relu`, `clip`, `maximum`, `minimum`, `where`, a⁰) selects, so what is masked is 0 whatever it was.
 * - Nothing is flushed to 0, and nothing leaves the range of float32 on the way to a result that does not: sums, squares
 *   and products of float32 are as if computed in float64 and rounded once, up to their rounding. Products of matrices,
 *   convolutions and the gradients of poolings alone add in the precision of their arrays, in an order of their own; so
 *   does everything with float64, where only `reduce`, `batchMoments`, `layerNorm` and the differences from a mean
 *   find their results whatever the size of partial ones. Where |terms| add up to more than the largest number there,
 *   infinities or NaN may come.
 * - What is exact (copies, single operations of IEEE 754, masks) has the sign of zero that IEEE 754 gives it; a zero chosen
 *   among equals, or rounded from a sum, may have either.
 * - An elementwise kernel (`unary`, `binary`, their gradients, `where`, `loss` gradients, updates) may be given the very
 *   same array as destination and as an input of the same shape. Any other overlap of a destination yields unspecified
 *   numbers, but never an access outside the arrays.
 * - Every argument is checked before anything is written. A violation throws `KernelError` (code `AXPY_KERNEL`), an
 *   index out of its range `IndexError` (code `AXPY_INDEX`), with the same message from both implementations.
 * - A call that the system gives no memory to work in throws `MemoryError` (code `AXPY_MEMORY`); a part of its destinations
 *   may have been written by then.
 * - Results do not depend on the number of threads, bit for bit.
 *
 * Op codes are positions in the lists of `lib/kernels/codes.ts`.
 */

export type Float = Float32Array | Float64Array;

/** What kernels accept that work on int32 as well; all `Data` arrays of one call share one type. */
export type Data = Float | Int32Array;

/** 0 for no, 1 for yes. */
export type Flag = 0 | 1;

export interface Kernels {
  // ── gemm ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * c[i] = activation(op(a[i]) · op(b[i]) + bias) for each matrix i of the batch.
   *
   * `op(a)` is m × k and `op(b)` is k × n; with `transposeA` a is stored k × m, with `transposeB` b is stored n × k.
   * c is batch × m × n. `strideA` is the number of elements from one matrix of a to the next: m·k, or 0 to use one
   * matrix for the whole batch (a then holds m·k elements); likewise `strideB`. A number that is not finite reaches its
   * row or column of c alone, through every product with it: 0 · Infinity is NaN.
   * `bias`, of length n, is added to each row; null for none. `activation` is a code of `unaryOps`, with its first
   * parameter in `parameter`; -1 for none. With k = 0 the product is 0, and bias and activation still apply.
   *
   * `layout` says where the matrices lie within longer arrays, or is null: outer, inner, then for each of c, a and b its
   * offset, outer stride, inner stride and row stride; fourteen numbers of at least 0, in elements. The batch is
   * outer × inner, and its matrix (o, i) begins at offset + o·outer stride + i·inner stride; a matrix is stored by rows that
   * are `row stride` apart, at least as far as they are long. strideA and strideB are 0 beside a layout. No two rows of c may
   * have elements in common, as is clear where each stride leads beyond all that the shorter ones reach; c keeps what lies
   * between them. Matrices of a and of b may overlap.
   */
  gemm(
    c: Float,
    a: Float,
    b: Float,
    bias: Float | null,
    batch: number,
    m: number,
    n: number,
    k: number,
    transposeA: Flag,
    transposeB: Flag,
    strideA: number,
    strideB: number,
    activation: number,
    parameter: number,
    layout: Int32Array | null,
  ): void;

  /**
   * c[i] += op(a[i]) · op(b[i]), arguments as in `gemm`. With `strideC` 0, c is one m × n matrix that receives the sum
   * over the batch, in the order of the batch; otherwise strideC is m·n. Beside a layout it is 0, and matrices of c whose
   * outer or inner stride is 0 receive the sum over that part of the batch.
   */
  gemmAccumulate(
    c: Float,
    a: Float,
    b: Float,
    batch: number,
    m: number,
    n: number,
    k: number,
    transposeA: Flag,
    transposeB: Flag,
    strideA: number,
    strideB: number,
    strideC: number,
    layout: Int32Array | null,
  ): void;

  /**
   * The gradient of a product's epilogue, y = activation(z + bias) by rows: out = gradient · f′(y), rows × columns, and
   * biasGradient = Σ over the rows of out, as exact as `reduce`; null for none. `activation` is one of
   * `gradientFromOutput`; −1 leaves out = gradient. `out` may be the very array `gradient`.
   */
  epilogueGradient(
    out: Float,
    biasGradient: Float | null,
    gradient: Float,
    y: Float,
    rows: number,
    columns: number,
    activation: number,
    parameter: number,
  ): void;

  // ── elementwise ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** out = f(x) for a code of `unaryOps`; p and q are its parameters (see there), 0 where it has none. Same lengths. */
  unary(out: Float, x: Float, op: number, p: number, q: number): void;

  /**
   * out = gradient · f′, where x is the input and y the output of `unary`. The ops named in `gradientFromOutput` of
   * codes.ts read only y, all others only x; pass null for what is not read. At a kink f′ is 0 for relu and abs, the
   * slope p for leakyRelu at 0, and 1 at both borders of clip; f′ of sqrt at 0 is Infinity (NaN times a zero gradient).
   * The gradient of relu is the gradient where y > 0 and 0 elsewhere; that of clip likewise where p ≤ x ≤ q. That of
   * powScalar is 0 for p = 0. At ±Infinity f′ of gelu and silu is its limit, 1 and 0.
   */
  unaryGradient(
    out: Float,
    gradient: Float,
    x: Float | null,
    y: Float | null,
    op: number,
    p: number,
    q: number,
  ): void;

  /**
   * out = f(a, b) for a code of `binaryOps`. With `layout` null there is no broadcasting: a and b are as long as out,
   * or of length 1. Otherwise `layout` is dims, strides of a, strides of b, one group after the other, each `rank` ≤ 16
   * long (so 3·rank in all): out is contiguous over dims, strides count elements and are ≥ 0, 0 where an operand is
   * broadcast. a and b must be long enough for every position that the layout reaches. pow is that of C. Of Int32Array sums,
   * differences and products wrap around, and there is neither div nor pow.
   */
  binary(out: Data, a: Data, b: Data, layout: Int32Array | null, op: number): void;

  /**
   * out = gradient · ∂f/∂a (operand 0) or gradient · ∂f/∂b (operand 1), over the broadcast shape; layout as in `binary`,
   * gradient contiguous like out. Of maximum and minimum the winner gets the gradient, the loser 0, and at a tie each
   * half of it. ∂pow/∂b is 0 where a is 0 and b ≥ 0; out is 0 for operand 0 where b is 0. Comparisons have gradient 0.
   */
  binaryGradient(
    out: Float,
    gradient: Float,
    a: Float,
    b: Float,
    layout: Int32Array | null,
    op: number,
    operand: Flag,
  ): void;

  /** out = condition ≠ 0 ? a : b. Layout as in `binary`, with a third group of strides: condition, a, b (4·rank). */
  where(out: Data, condition: Data, a: Data, b: Data, layout: Int32Array | null): void;

  /**
   * Runs a list of elementwise instructions over groups of arrays, as a parameter, its gradient and what an optimizer
   * keeps for it are one, and stores no intermediates. Outs are updated; the other arrays are read.
   *
   * `code` begins with three counts: the outs (k ≥ 1), ins (m) and scalars (s) of a group. Group i has outs[i·k …] and
   * ins[i·m …], all of one length, and row rows[i] of `scalars`, s numbers (without any, rows is empty). Its values are
   * numbered: what the k outs hold, the m ins, the s scalars, all of `shared`, all of `constants`, then the result of each
   * instruction; at most 256. After the counts come the values that the k outs and the s scalars become, and then the
   * instructions, those of `fused` up to where; what stands there for a constant is a scalar here.
   *
   * What is computed from scalars alone is a scalar, computed in float64, once for each group in their order, and may be
   * what a scalar becomes; beside elements it is rounded to their type, but p and q are not. With `wide` 0 the result is that of
   * calls of `unary`, `binary` and `where` one after the other, bit for bit. With 1 float32 counts as computed in float64, up
   * to rounding, so that nothing leaves its range on the way; what an out becomes counts as it is kept, rounded.
   */
  elementwise(
    outs: readonly Float[],
    ins: readonly Float[],
    scalars: Float64Array,
    rows: Int32Array,
    shared: Float64Array,
    constants: Float64Array,
    code: Int32Array,
    wide: Flag,
  ): void;

  /**
   * A chain of elementwise calls in one pass over memory, of which nothing is stored but the outs: values at each position, or
   * reductions of them. The result is that of calls of `cast`, `unary`, `unaryGradient`, `binary`, `binaryGradient`, `where`,
   * `loss` and `lossGradient` (an element for each position) and `reduce` one after the other, bit for bit.
   *
   * `layout` is k0, r0, k1, r1, rank, dims (rank of them, ≤ 16), then for each in its offset and strides (rank of them), and
   * either nothing more or the same for each out of positions. The chain is computed at the positions of dims, in row-major order,
   * of which there are k0·r0·k1·r1, at most 2³¹ − 1. An in of int32 counts as converted to the type of outs. Strides count
   * elements and may be 0 or negative; each array is long enough for all that they reach. What of an out no position reaches is
   * kept.
   *
   * Values are numbered: the ins, the constants, the result of each instruction; at most 256. Constants count as rounded to the
   * type of outs, but as parameters they do not. `code` is the number of outs; for each out the value that it is of, an end,
   * and a scale; then the instructions. The end is −1 for an out that has the value of each position, where the layout says, or
   * one after the other and as many elements as there are; else it is a code of `reduceOps`, and the out is k0 × k1, as `reduce` gives it. The scale of a reduction is a constant, −1 for 1.
   *
   * An instruction is an op and the values that it reads, each given or the result of an earlier one; behind them parameters,
   * which are constants, −1 for 0. Ops are numbered through (`lib/kernels/instructions.ts`):
   *
   * - `unaryOps` (x; p, q), `binaryOps` (a, b), where (condition, a, b);
   * - the gradients of `unaryOps` (gradient, x or y as the op reads it; p, q), where −1 stands for what neg and scale do not
   *   read; of `binaryOps` by a and then by b (gradient, a, b);
   * - `lossOps` (prediction, target; parameter, scale), and their gradients by prediction and then by target (gradient,
   *   prediction, target; parameter, scale), a scale of −1 for 1, parameter and scale finite;
   * - the same gradients by one gradient for all positions, as of `lossGradient` with a gradient of length 1: a constant, or
   *   the number at the offset of an in.
   *
   * An out of positions may be the very array of an in that is read where the out is stored, position by position: whatever reads
   * it finds what was there before the call. But for that no element that is written may be read, nor be written twice; outs may
   * lie beside one another in one array.
   */
  fused(
    outs: readonly Float[],
    ins: readonly Data[],
    layout: Int32Array,
    code: Int32Array,
    constants: Float64Array,
  ): void;

  /** out = value, converted to the type of out (truncated towards zero for Int32Array, which wants a finite value). */
  fill(out: Data, value: number): void;

  /** out = x converted: float to int32 truncates towards zero and saturates, NaN becomes 0. Any two types, same length. */
  cast(out: Data, x: Data): void;

  // ── copying ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * out[outOffset + Σ i·outStride] = x[xOffset + Σ i·xStride] for every index i within dims. `layout` is dims, strides
   * of out, strides of x, outOffset, xOffset (3·rank + 2, rank ≤ 16). Strides may be negative, and those of x zero;
   * positions of out that the layout does not reach keep their values. No reached position may lie outside an array, and
   * there are no more of them than out has elements.
   */
  copy(out: Data, x: Data, layout: Int32Array): void;

  /** out[i, :] = x[indices[i], :] with x rows × width and out count × width. Indices within [0, rows). */
  gather(out: Data, x: Data, indices: Int32Array, count: number, rows: number, width: number): void;

  /** out[indices[i], :] += x[i, :], in the order of i, with x count × width and out rows × width. */
  scatterAdd(out: Float, x: Float, indices: Int32Array, count: number, rows: number, width: number): void;

  /**
   * out[o, i, j] = x[o, indices[o, i, j], j] with x outer × size × inner, out and indices outer × count × inner. Indices within
   * [0, size).
   */
  gatherAlong(
    out: Data,
    x: Data,
    indices: Int32Array,
    outer: number,
    size: number,
    count: number,
    inner: number,
  ): void;

  /**
   * out[o, indices[o, i, j], j] += x[o, i, j], in the order of i, with x and indices outer × count × inner and out
   * outer × size × inner. Indices within [0, size).
   */
  scatterAddAlong(
    out: Float,
    x: Float,
    indices: Int32Array,
    outer: number,
    size: number,
    count: number,
    inner: number,
  ): void;

  /** out[i, :] = 0 but 1 at labels[i], out count × classes. Labels within [0, classes). */
  oneHot(out: Float, labels: Int32Array, count: number, classes: number): void;

  // ── reductions ────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * out[i, j] = scale · R(x[i, :, j, :]) with x k0 × r0 × k1 × r1 and out k0 × k1, for a code of `reduceOps`.
   * Sums are compensated enough that their error does not grow with the length (blocks of a fixed size, summed in
   * float64). `scale` applies to all but max and min, where it must be 1; what is scaled may leave
   * the range of float64 before, so the mean of the largest numbers is one of them. Of Int32Array there are sum, max and
   * min with scale 1; the results are exact, and one that int32 does not hold throws `DataError` (code `AXPY_DATA`) before
   * anything is written, as the largest of nothing does.
   */
  reduce(out: Data, x: Data, k0: number, r0: number, k1: number, r1: number, op: number, scale: number): void;

  /**
   * out[i, j] = the first index of the largest x[i, :, j], or of the smallest with `least`, x outer × size × inner. NaN
   * counts as the one that is looked for. size ≥ 1.
   */
  argmax(out: Int32Array, x: Data, outer: number, size: number, inner: number, least: Flag): void;

  /**
   * out[i, :, j] = the places along `size` of the first `count` numbers of x[i, :, j] in ascending order, or in descending order;
   * equals as they follow each other, NaN behind all numbers and, descending, before them. Where there are fewer than `count`, −1.
   * x is outer × size × inner, out outer × count × inner.
   */
  argsort(
    out: Int32Array,
    x: Data,
    outer: number,
    size: number,
    count: number,
    inner: number,
    descending: Flag,
  ): void;

  /**
   * out[i, n, j] = the sum of x[i, : n + 1, j], or the product, and with `reverse` of x[i, n :, j]; x and out are outer × size × inner.
   * One after the other, in float64.
   */
  cumulate(
    out: Float,
    x: Float,
    outer: number,
    size: number,
    inner: number,
    product: Flag,
    reverse: Flag,
  ): void;

  // ── softmax and losses ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * out = softmax(x), or its logarithm with `log`, along `size` of x outer × size × inner; shifted by the maximum. All are
   * NaN where one is NaN or Infinity, or all are −Infinity.
   */
  softmax(out: Float, x: Float, outer: number, size: number, inner: number, log: Flag): void;

  /** out = gradient · ∂softmax/∂x, where y is the output of `softmax`. */
  softmaxGradient(
    out: Float,
    gradient: Float,
    y: Float,
    outer: number,
    size: number,
    inner: number,
    log: Flag,
  ): void;

  /**
   * out = log Σ eˣ over `size`: x is outer × size × inner, out outer × inner. Shifted by the maximum; −Infinity of nothing and
   * where all are −Infinity, Infinity where one is Infinity, NaN where one is NaN.
   */
  logSumExp(out: Float, x: Float, outer: number, size: number, inner: number): void;

  /**
   * Cross-entropy of softmax(logits) against int labels: −log softmax(logits)[i, labels[i]], logits rows × classes.
   * `out` has length 1 (scale · the sum over rows) or, when rows ≠ 1, length rows (scale · each). `probabilities`
   * (rows × classes) receives the softmax, for the gradient. Labels within [0, classes).
   */
  softmaxCrossEntropy(
    out: Float,
    probabilities: Float,
    logits: Float,
    labels: Int32Array,
    rows: number,
    classes: number,
    scale: number,
  ): void;

  /** out = scale · gradient · (probabilities − onehot(labels)); gradient of length 1 or rows. */
  softmaxCrossEntropyGradient(
    out: Float,
    gradient: Float,
    probabilities: Float,
    labels: Int32Array,
    rows: number,
    classes: number,
    scale: number,
  ): void;

  /**
   * An elementwise loss l(prediction, target) for a code of `lossOps`, with its parameter. prediction and target have
   * the same length n; `out` has length 1 (scale · the sum) or, when n ≠ 1, length n (scale · each).
   */
  loss(out: Float, prediction: Float, target: Float, op: number, parameter: number, scale: number): void;

  /** out = scale · gradient · ∂l/∂prediction (operand 0) or ∂l/∂target (operand 1); gradient of length 1 or n. */
  lossGradient(
    out: Float,
    gradient: Float,
    prediction: Float,
    target: Float,
    op: number,
    parameter: number,
    scale: number,
    operand: Flag,
  ): void;

  /**
   * Throws `NonFiniteError` (code `AXPY_NON_FINITE`) unless every element of x is finite, and names the first that is
   * not. In a program, the calls after it are then not made: what they would have updated stays as it was.
   */
  checkFinite(x: Float): void;

  // ── convolution and pooling ───────────────────────────────────────────────────────────────────────────────────────
  //
  // Images are batch × height × width × channels, weights outChannels × kernelHeight × kernelWidth × channels / groups.
  // `geometry` is Int32Array(16), in the order of `geometryFields` of codes.ts:
  //
  //   batch, height, width, channels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth,
  //   strideY, strideX, dilationY, dilationX, padTop, padLeft, groups
  //
  // all ≥ 0; kernel, strides, dilations and groups ≥ 1; groups divides channels and outChannels. Output pixel (y, x) meets
  // kernel position (i, j) at the input pixel (y·strideY + i·dilationY − padTop, x·strideX + j·dilationX − padLeft); what
  // lies outside of the image is 0. The output sizes are free: they may leave pixels out or reach beyond the image.
  // The image on the side of the output is batch × outHeight × outWidth × outChannels. The n-th group of outChannels sees
  // the n-th group of channels.
  //
  // `fast` 1 permits float32 algorithms that trade rounding for speed: Winograd's F(4×4, 3×3) (Lavin & Gray, "Fast
  // algorithms for convolutional neural networks", CVPR 2016), whose error is about three times larger. 0 forbids them.
  //
  // A pixel that is not finite reaches only the outputs whose windows see it, and all of them; with `fast` it may reach
  // those of its tile as well, 6 × 6 pixels. Where a weight that is not finite meets what lies outside of the image, the
  // output may be NaN, as 0 · Infinity is, or may be without it; so may the gradient of the weights.

  /** out = activation(convolution of x with weight + bias[outChannels]); activation and parameter as in `gemm`. */
  convolve(
    out: Float,
    x: Float,
    weight: Float,
    bias: Float | null,
    geometry: Int32Array,
    activation: number,
    parameter: number,
    fast: Flag,
  ): void;

  /**
   * The transpose of `convolve` as a linear map of x: out is of the size of its x, x of the size of its out. It is the
   * gradient by the input, and with bias[channels] and activation a layer of its own.
   */
  convolveTransposed(
    out: Float,
    x: Float,
    weight: Float,
    bias: Float | null,
    geometry: Int32Array,
    activation: number,
    parameter: number,
    fast: Flag,
  ): void;

  /** out = ∂/∂weight of Σ gradient ⊙ convolve(x, weight), with gradient of the size of convolve's output. */
  convolveWeightGradient(out: Float, x: Float, gradient: Float, geometry: Int32Array, fast: Flag): void;

  /**
   * out = the largest x under each position of the window, per channel; `indices`, as long as out, receives where in the
   * window it first is, i·kernelWidth + j. NaN counts as largest. Pixels outside of the image do not take part; a window
   * without a pixel gives −Infinity and the index −1. outChannels equals channels, groups is 1, and kernelHeight ·
   * kernelWidth is at most 2³¹ − 1, as for every pooling.
   */
  maxPool(out: Float, indices: Int32Array, x: Float, geometry: Int32Array): void;

  /** out, of the size of x, = Σ of gradient over the windows whose index names the pixel; other indices name none. */
  maxPoolGradient(out: Float, gradient: Float, indices: Int32Array, geometry: Int32Array): void;

  /**
   * out = the mean of x under each position of the window, per channel: over all kernelHeight·kernelWidth positions with
   * `countPadding`, else over the pixels of the image, 0 where there are none. outChannels equals channels, groups is 1.
   */
  averagePool(out: Float, x: Float, geometry: Int32Array, countPadding: Flag): void;

  /** out, of the size of x, = the gradient of `averagePool`. */
  averagePoolGradient(out: Float, gradient: Float, geometry: Int32Array, countPadding: Flag): void;

  // ── images at other sizes ─────────────────────────────────────────────────────────────────────────────────────────

  /**
   * out, batch × rows.length × columns.length × channels, of x, batch × height × width × channels: along each axis the
   * pixel i is (1 − shares[i])·first + shares[i]·next, where first is the pixel of x that rows[i], or columns[i], names,
   * and next the one after it, or the same where there is none; shares are from 0 to 1. A pixel of weight 0 is not read, so that what it holds,
   * NaN or Infinity, does not matter; a pixel alone is copied.
   */
  interpolate(
    out: Float,
    x: Float,
    rows: Int32Array,
    rowShares: Float64Array,
    columns: Int32Array,
    columnShares: Float64Array,
    batch: number,
    height: number,
    width: number,
    channels: number,
  ): void;

  /** out, of the size of x, = the gradient of `interpolate`: Σ weight · gradient over the outputs that a pixel is in. */
  interpolateGradient(
    out: Float,
    gradient: Float,
    rows: Int32Array,
    rowShares: Float64Array,
    columns: Int32Array,
    columnShares: Float64Array,
    batch: number,
    height: number,
    width: number,
    channels: number,
  ): void;

  // ── normalisation ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * mean and inverse, of length channels, = the mean and 1/√(variance + epsilon) of each column of x rows × channels, with
   * the variance divided by rows; 0 and 1/√epsilon for no rows. Computed as exactly as `reduce`, about the mean. remainder
   * = what `mean` lacks for being rounded, 0 where that is not finite: deviations of numbers far from 0 are not much larger.
   *
   * Unless null, runningMean and runningVariance are updated, r ← (1 − m)·r + m·(mean, or rows/(rows − 1) times the
   * variance), with m = momentum; with recentRows, of one element, m = momentum·(rows − 1)/(R − 1) for R = max(rows,
   * recentRows), and recentRows ← max(rows, R/2). Nothing is updated for fewer than two rows. A variance may be too large
   * for the arrays where `inverse` is not: the running one is then Infinity.
   */
  batchMoments(
    mean: Float,
    remainder: Float,
    inverse: Float,
    runningMean: Float | null,
    runningVariance: Float | null,
    recentRows: Float | null,
    x: Float,
    rows: number,
    channels: number,
    epsilon: number,
    momentum: number,
  ): void;

  /**
   * out = activation((x − mean − remainder)·inverse·scale + shift) by columns; a null scale is 1, a null remainder or shift
   * 0. out may be x.
   */
  batchNorm(
    out: Float,
    x: Float,
    mean: Float,
    remainder: Float | null,
    inverse: Float,
    scale: Float | null,
    shift: Float | null,
    rows: number,
    channels: number,
    activation: number,
    parameter: number,
  ): void;

  /**
   * The gradients of `batchNorm` (Ioffe & Szegedy, 2015). With x̂ = (x − mean − remainder)·inverse and dz = gradient·f′,
   * where f′ is that of the output, recomputed: scaleGradient = Σ dz·x̂ and shiftGradient = Σ dz over the rows; out =
   * scale·inverse·(dz − (shiftGradient + x̂·scaleGradient) / rows) with `moments` 1, where mean and inverse are those of
   * x; out = scale·inverse·dz with 0, where they are constants. `activation` is −1 or one of `gradientFromOutput`.
   * `out` may be the very array `gradient`.
   */
  batchNormGradient(
    out: Float,
    scaleGradient: Float,
    shiftGradient: Float,
    gradient: Float,
    x: Float,
    mean: Float,
    remainder: Float | null,
    inverse: Float,
    scale: Float | null,
    shift: Float | null,
    rows: number,
    channels: number,
    activation: number,
    parameter: number,
    moments: Flag,
  ): void;

  /**
   * out = (x − mean)·inverse·scale + shift by rows (Ba, Kiros & Hinton, 2016), with mean and inverse = 1/√(variance +
   * epsilon) of each row of x rows × size, which are returned for the gradient, and remainder as by `batchMoments`; scale
   * and shift have length size, null for 1 and 0. For size 0, mean is 0 and inverse 1/√epsilon.
   *
   * Where mean is null, 0 is taken for it: out = x·inverse·scale + shift, with inverse = 1/√(the mean of x² + epsilon)
   * (Zhang & Sennrich, 2019). remainder is null where nobody wants it, and zeros without a mean.
   */
  layerNorm(
    out: Float,
    mean: Float | null,
    remainder: Float | null,
    inverse: Float,
    x: Float,
    scale: Float | null,
    shift: Float | null,
    rows: number,
    size: number,
    epsilon: number,
  ): void;

  /**
   * The gradients of `layerNorm` by x (out), scale and shift. `out` may be the very array `gradient`. A null mean or
   * remainder is 0, and nothing of `out` moves with a mean that is null.
   */
  layerNormGradient(
    out: Float,
    scaleGradient: Float,
    shiftGradient: Float,
    gradient: Float,
    x: Float,
    mean: Float | null,
    remainder: Float | null,
    inverse: Float,
    scale: Float | null,
    rows: number,
    size: number,
  ): void;

  // ── random numbers ────────────────────────────────────────────────────────────────────────────────────────────────
  //
  // Philox 4×32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). `state` is
  // Uint32Array(6): key[2], counter[4], lowest word first. Block j of a call is philox(key, counter + j); the call
  // advances the counter by the number of blocks it used, ⌈words / 4⌉. Both implementations give the same bits.

  /** out = random 32-bit words, as they come. */
  randomBits(out: Uint32Array, state: Uint32Array): void;

  /**
   * out = low + (high − low) · u with u uniform on [0, 1), computed in float64 and rounded to out's type. Two words w0,
   * w1 an element: u = ((w0 >>> 5) · 2²⁶ + (w1 >>> 6)) · 2⁻⁵³. A float32 that rounds up to `high` is replaced by `low`.
   */
  randomUniform(out: Float, state: Uint32Array, low: number, high: number): void;

  /**
   * out = mean + deviation · z with z standard normal: z = PPND16(u + 2⁻⁵⁴) (Wichura, algorithm AS 241, 1988), u as in
   * `randomUniform`, in float64 by +, −, ·, / and sqrt alone (the logarithm included), so that both agree to the bit.
   */
  randomNormal(out: Float, state: Uint32Array, mean: number, deviation: number): void;

  /** out = 0 with probability `rate`, else 1 / (1 − rate): an element is dropped when its word < rate · 2³². 0 ≤ rate < 1. */
  dropoutMask(out: Float, state: Uint32Array, rate: number): void;

  // ── optimizer updates ─────────────────────────────────────────────────────────────────────────────────────────────
  //
  // What `elementwise` does with the rules of SGD and Adam, in one pass over memory. Parameter i has the gradient
  // gradients[i] and its share of `outs`, itself first, in arrays of one length; and the row rows[i] of `scalars`, whose
  // first number says whether λ·parameter is added to the gradient: where it is not 0, λ from `hyper` (L2, equation (9) of
  // the notes). The result is that of one call for each parameter. No parameters are fine; then nothing is updated. What
  // is kept counts in the step as it is kept, rounded to the type of its array.

  /**
   * With g the gradient: v ← momentum·v + (1 − dampening)·g, parameter ← parameter − learningRate·(nesterov ? g +
   * momentum·v : v), where outs holds parameter and v; without v, where outs is as long as gradients, parameter ←
   * parameter − learningRate·g. outs are updated. A row of scalars is one number. `hyper` is Float64Array(5):
   * learningRate, momentum, dampening, nesterov (0 or 1), λ. Gradients are kept.
   */
  sgd(
    outs: readonly Float[],
    gradients: readonly Float[],
    scalars: Float64Array,
    rows: Int32Array,
    hyper: Float64Array,
  ): void;

  /**
   * Adam (Kingma & Ba, 2015, algorithm 1): t ← t + 1, m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², parameter ← parameter −
   * learningRate · m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and v̂ likewise. outs holds parameter, m and v and is updated, as
   * t is, the second of the two numbers of a row of scalars. g² counts only times (1 − β₂): gradients up to
   * √(largest / (1 − β₂)) leave v finite. `hyper` is Float64Array(5): learningRate, beta1, beta2, epsilon, λ. With
   * `decoupled` 1 λ is that of AdamW (Loshchilov & Hutter, 2019): gradients are as they are, and every parameter, whatever
   * its row says, is (1 − learningRate·λ)·parameter before it steps.
   */
  adam(
    outs: readonly Float[],
    gradients: readonly Float[],
    scalars: Float64Array,
    rows: Int32Array,
    hyper: Float64Array,
    decoupled: Flag,
  ): void;

  // ── exchanges ─────────────────────────────────────────────────────────────────────────────────────────────────────
  //
  // Between the processes of a job, its ranks, which make the same exchanges in the same order. `world` is Float64Array(5),
  // updated, so that exchanges of a program keep their order: the number of ranks; how many exchanges have begun, the bytes
  // that they took, how many nanoseconds calls waited for others, and in how many some exchange was under way. With one rank
  // nothing is exchanged or counted but the exchanges. Where another rank has ended, does something else, or does not come
  // within the time that the world was opened with, a call throws `DistributedError` (code `AXPY_DISTRIBUTED`), which names it.
  //
  // What begins and ends by two calls goes on while other kernels compute. The arrays between the two are nobody else's.

  /**
   * Begins to gather what each rank has: `all`, ranks × own.length, which `allGatherEnd` fills in. own has 16 elements at
   * most. `kind`, a code of `exchangeKinds`, and `key` say what comes next; they have to be the same on all ranks.
   */
  allGatherBegin(all: Float64Array, own: Float64Array, world: Float64Array, kind: number, key: number): void;

  /** Ends it. `all` is what `allGatherBegin` had, and updated. */
  allGatherEnd(all: Float64Array, world: Float64Array): void;

  /**
   * Begins to make parts the sum over the ranks of their parts, which have the same lengths there. Each element is added up in
   * the precision of its type, in an order that MPI chooses; the sum is the same on all ranks. Of arrays that lie one after the
   * other in memory no copy is made. `ticket` tells reductions that are under way at one time apart.
   */
  allReduceBegin(parts: readonly Float[], world: Float64Array, ticket: number): void;

  /** Ends it: parts, updated, are scale · their sum. */
  allReduceEnd(parts: readonly Float[], world: Float64Array, ticket: number, scale: number): void;

  /** parts, updated, are what they are on the rank `root`. */
  broadcast(parts: readonly Data[], world: Float64Array, root: number): void;

  /**
   * Each rank overwrites part with its share of what is in `all` on the rank `root`: `counts[i]` elements for rank i, one rank's
   * after the other's, [ranks] and the same everywhere, together 2³¹ − 1 at most. On other ranks `all` is not read, of whichever
   * length it is.
   */
  scatter(part: Data, all: Data, counts: Int32Array, world: Float64Array, root: number): void;
}

/** A recorded call: the kernel, and its arguments as at any call. */
export type Call = readonly [kernel: keyof Kernels, ...args: readonly Argument[]];

export type Argument = Data | Uint32Array | readonly Data[] | number | null;

/** A list of recorded calls, ready to be made again and again without JavaScript in between. */
export interface Program {
  /**
   * Makes all calls on this thread, after every run that was queued before. Throws what the first failing call throws;
   * the calls after it are not made.
   */
  run(): void;
  /**
   * Queues a run on the executor, one native thread an environment, first in, first out over all programs. Resolves when
   * all calls are made, rejects with what the first failing one throws. Throws, with the code AXPY_THREAD and nothing
   * queued, where the system gives no thread; a later call asks for one again.
   */
  runAsync(): Promise<void>;
  /** Makes all calls as `run` does, and returns how many nanoseconds each of them took. */
  times(): Float64Array;
  /**
   * What is in an array is something else than at the run before and, with `isSteady`, stays as it is until the next such
   * call, whatever runs come in between. Calls may then keep what they make of it, as weights laid out for products.
   * Completes, as `run` does, what was queued before.
   */
  setSteady(array: Float, isSteady: boolean): void;
}

/** What a machine can do at most, as measured. */
export interface Limits {
  /** Operations a second of float32 multiply-adds that need no memory, each counted as two, on the threads in use. */
  float32: number;
  /** Likewise of float64. */
  float64: number;
  /**
   * How many bytes a second a = b + 3·c reads and writes when the three arrays have so many bytes together and are gone
   * over again and again: from what the nearest cache holds to, last, what none does.
   */
  bandwidths: readonly { bytes: number; rate: number }[];
}

/** What the addon exports beside the kernels. */
export interface Addon extends Kernels {
  /** OpenBLAS's configuration and core type, the SIMD target chosen, and the threads in use. */
  info(): { blas: string; simd: string; threads: number };
  /** Measures the limits, which takes a few hundred milliseconds. */
  limits(): Limits;
  /** Sets the number of threads, 1 to 64, for the whole process. */
  setThreads(count: number): void;
  /**
   * What the addon was compiled with: the arguments of each kernel in order, each with its type as declared here, behind
   * `written` where the kernel writes to it, or with what a number has to be; and the op codes.
   */
  manifest(): { kernels: Record<string, Record<string, string>>; codes: Record<string, string[]> };
  /**
   * Reads the calls once; they keep their arrays alive. Every array that is not empty must be on a SharedArrayBuffer, which
   * nobody can detach while a thread uses it. The same checks and errors as at a call apply, those of types and values
   * here, those of lengths and contents at each run.
   * @param executor the number, 0 to 63, of the thread of this environment that makes its asynchronous runs; those of different
   *   threads may run at the same time, and must not write to what the other reads or writes. Default 0
   * @param threads how many threads a call may have at most, 0 (default) for as many as there are
   */
  createProgram(calls: readonly Call[], executor?: number, threads?: number): Program;
  /**
   * Makes this process a rank of the job that it was started in, by the first of these MPI libraries that can be opened. Once a
   * process. Exchanges then wait so many seconds at most.
   * @returns the number of this rank, from 0 on, how many there are, what the library says it is, and the hosts of all ranks
   * @throws with the code AXPY_DISTRIBUTED where there is no such library, or it cannot be used
   */
  openWorld(
    libraries: readonly string[],
    timeout: number,
  ): { rank: number; size: number; library: string | null; hosts: string[] };
  /** Tells the other ranks that this one makes no more exchanges, and why: theirs throw. */
  leaveWorld(why: string): void;
  /** Ends this process's part in the job: with the others, where `code` is 0 and nothing has failed; else the job ends. */
  closeWorld(code: number): void;
  /** Registers, for this environment, the function that makes an error of a code and a message. */
  setErrorFactory(
    factory: (
      code:
        | 'AXPY_KERNEL'
        | 'AXPY_INDEX'
        | 'AXPY_ARGUMENT'
        | 'AXPY_MEMORY'
        | 'AXPY_NON_FINITE'
        | 'AXPY_THREAD'
        | 'AXPY_DISTRIBUTED'
        | 'AXPY_DATA',
      message: string,
    ) => Error,
  ): void;
}
