/**
 * Op codes of the kernel contract: a code is the position of a name in its list. `native/codes.h` holds the same lists;
 * the addon reports them, and loading fails when they differ.
 */

/**
 * f of `unary`, with its parameters p and q:
 * powScalar xᵖ · leakyRelu x > 0 ? x : p·x · elu x > 0 ? x : p·(eˣ − 1) · gelu x·Φ(x) by erf (Hendrycks & Gimpel, 2016)
 * silu x·σ(x) · softplus log(1 + eˣ) · clip min(max(x, p), q) · scale p·x + q · sign −1, 0, 1
 * log1p log(1 + x) · expm1 eˣ − 1 · logSigmoid log σ(x) · floor ⌊x⌋ · ceil ⌈x⌉ · round the nearest integer, of two the even one
 */
export const unaryOps = [
  'neg',
  'exp',
  'log',
  'sqrt',
  'abs',
  'square',
  'reciprocal',
  'sign',
  'powScalar',
  'scale',
  'clip',
  'relu',
  'leakyRelu',
  'elu',
  'gelu',
  'silu',
  'softplus',
  'sigmoid',
  'tanh',
  'log1p',
  'expm1',
  'logSigmoid',
  'sin',
  'cos',
  'floor',
  'ceil',
  'round',
] as const;

/**
 * The unary ops whose derivative is a function of the output alone, and so needs no input kept: exp′ = y, sqrt′ = ½/y,
 * reciprocal′ = −y², σ′ = y(1 − y), tanh′ = 1 − y², relu′ = [y > 0], leakyRelu′ = y > 0 ? 1 : p (for p ≥ 0),
 * elu′ = y > 0 ? 1 : y + p, softplus′ = 1 − e⁻ʸ, logSigmoid′ = 1 − eʸ. neg and scale need neither x nor y.
 */
export const gradientFromOutput = [
  'exp',
  'sqrt',
  'reciprocal',
  'relu',
  'leakyRelu',
  'elu',
  'softplus',
  'sigmoid',
  'tanh',
  'logSigmoid',
] as const;

/** f(a, b) of `binary`; comparisons give 1 or 0 (0 when an operand is NaN, but notEqual 1). */
export const binaryOps = [
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'maximum',
  'minimum',
  'equal',
  'notEqual',
  'greater',
  'greaterEqual',
  'less',
  'lessEqual',
] as const;

/** R of `reduce`; norm is the root of the sum of squares. */
export const reduceOps = ['sum', 'product', 'max', 'min', 'sumOfSquares', 'norm'] as const;

/**
 * l(prediction p, target t) of `loss`:
 * squaredError (p − t)² · absoluteError |p − t|, derivative 0 at 0
 * huber, δ the parameter: ½(p − t)² where |p − t| ≤ δ, else δ(|p − t| − ½δ)
 * binaryCrossEntropy −(t log p + (1 − t) log(1 − p)), each logarithm at least −100; its derivative by p is
 *   (p − t) / max(p(1 − p), 1e−12); the one by t is log(1 − p) − log p with the same clamp
 * binaryCrossEntropyWithLogits max(p, 0) − p·t + log(1 + e^−|p|), finite for every finite p
 * crossEntropy −t·p for the logarithm p of a probability, 0 for t = 0 and an infinite p; derivatives −t and −p
 */
export const lossOps = [
  'squaredError',
  'absoluteError',
  'huber',
  'binaryCrossEntropy',
  'binaryCrossEntropyWithLogits',
  'crossEntropy',
] as const;

/** What an exchange between ranks is for, which all of them have to agree on. */
export const exchangeKinds = ['step', 'scores', 'values', 'batch', 'state', 'scatter'] as const;

/** What `geometry` of the convolution and pooling kernels holds, in this order. */
export const geometryFields = [
  'batch',
  'height',
  'width',
  'channels',
  'outHeight',
  'outWidth',
  'outChannels',
  'kernelHeight',
  'kernelWidth',
  'strideY',
  'strideX',
  'dilationY',
  'dilationX',
  'padTop',
  'padLeft',
  'groups',
] as const;

export type UnaryOp = (typeof unaryOps)[number];
export type BinaryOp = (typeof binaryOps)[number];
export type ReduceOp = (typeof reduceOps)[number];
export type LossOp = (typeof lossOps)[number];
export type ExchangeKind = (typeof exchangeKinds)[number];
export type GeometryField = (typeof geometryFields)[number];

type Codes<Name extends string> = Readonly<Record<Name, number>>;

function codes<Name extends string>(names: readonly Name[]): Codes<Name> {
  return Object.freeze(Object.fromEntries(names.map((name, code) => [name, code]))) as Codes<Name>;
}

export const unaryCode = codes(unaryOps);
export const binaryCode = codes(binaryOps);
export const reduceCode = codes(reduceOps);
export const lossCode = codes(lossOps);
export const exchangeCode = codes(exchangeKinds);

/** Every list by name, as the addon's manifest reports them. */
export const codeLists = { unaryOps, binaryOps, reduceOps, lossOps, exchangeKinds } as const;
