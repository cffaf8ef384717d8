/** dy · f′ of the elementwise functions as an op of its own, with a derivative in ops. */
import { type Float, gradientFromOutput, kernels, type UnaryOp, unaryCode } from '../kernels/index.ts';
import { empty, floats, type Tensor } from '../tensor.ts';
import { trackInOps } from './derivative.ts';

const fromOutput: ReadonlySet<UnaryOp> = new Set<UnaryOp>(gradientFromOutput);

/** g · h′(v), for dx = dy · h(v) with the factors dy and g together as s; null where h is constant. */
type Rule = (s: Tensor, v: Tensor, p: number) => Tensor | null;

/** f′ is constant, or has steps. */
const constant: Rule = () => null;
const steps: Rule = () => null;

/** What f′ is a function of is the output where `gradientFromOutput` says so, else the input. */
const rules: { readonly [Op in UnaryOp]: Rule } = {
  neg: constant,
  exp: (s) => s,
  log: (s, x) => s.div(x.square()).neg(),
  sqrt: (s, y) => s.div(y.square()).mul(-0.5),
  abs: steps,
  square: (s) => s.mul(2),
  reciprocal: (s, y) => s.mul(y).mul(-2),
  sign: constant,
  powScalar: (s, x, p) => (p === 0 || p === 1 ? null : s.mul(x.pow(p - 2)).mul(p * (p - 1))),
  scale: constant,
  clip: steps,
  relu: steps,
  leakyRelu: steps,
  elu: (s, y) => s.mul(y.lessEqual(0)),
  // φ(x)(2 − x²)
  gelu: (s, x) =>
    s
      .mul(x.square().mul(-0.5).exp())
      .mul(x.square().neg().add(2))
      .mul(1 / Math.sqrt(2 * Math.PI)),
  // σ(1 − σ)(2 + x(1 − 2σ))
  silu(s, x) {
    const y = x.sigmoid();
    return s.mul(y.mul(y.neg().add(1))).mul(x.mul(y.mul(-2).add(1)).add(2));
  },
  softplus: (s, y) => s.mul(y.neg().exp()),
  sigmoid: (s, y) => s.mul(y.mul(-2).add(1)),
  tanh: (s, y) => s.mul(y).mul(-2),
  log1p: (s, x) => s.div(x.add(1).square()).neg(),
  expm1: (s, x) => s.mul(x.exp()),
  sin: (s, x) => s.mul(x.sin()).neg(),
  cos: (s, x) => s.mul(x.cos()).neg(),
  floor: constant,
  ceil: constant,
  round: constant,
  logSigmoid: (s, y) => s.mul(y.exp()).neg(),
};

/** dx = dy · f′, handing the kernel only what it reads. */
export function unaryGradient(
  name: UnaryOp,
  dx: Float,
  dy: Float,
  x: Float | null,
  y: Float,
  p: number,
  q: number,
): void {
  kernels.unaryGradient(dx, dy, x, fromOutput.has(name) ? y : null, unaryCode[name], p, q);
}

/**
 * The same of tensors.
 * @param from the output, where f′ follows from it, else the input
 */
export function unaryDerivative(name: UnaryOp, dy: Tensor, from: Tensor, p: number, q: number): Tensor {
  const dx = empty(dy.shape, dy.dtype);
  const values = floats(from);
  unaryGradient(name, floats(dx), floats(dy), fromOutput.has(name) ? null : values, values, p, q);
  const rule = rules[name];
  const again = (g: Tensor) => unaryDerivative(name, g, from, p, q);
  if (rule === constant || rule === steps) {
    return trackInOps(dx, [dy], rule === constant ? [] : [from], (g) => [again(g)]);
  }
  return trackInOps(dx, [dy, from], [dy, from], (g) => [() => again(g), () => rule(g.mul(dy), from, p)]);
}
