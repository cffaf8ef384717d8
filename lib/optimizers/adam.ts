/** Adam (Kingma & Ba, "Adam: a method for stochastic optimization", 2015). */
import { checkBoolean, checkOptions } from '../arguments.ts';
import type { Call } from '../kernels/index.ts';
import { nameClass } from '../names.ts';
import { maximum } from '../ops/binary.ts';
import type { Gather } from './gather.ts';
import type { ParametersOf } from './group.ts';
import type { Hyperparameter } from './hyper.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** What a group of Adam or AdamW may have of its own, beside a decay of weights. */
export interface AdamHyper {
  /** Default 0.001. */
  learningRate?: number | Schedule;
  /** Decay of the mean of gradients; default 0.9. */
  beta1?: number;
  /** Decay of the mean of squared gradients; default 0.999. */
  beta2?: number;
  /** Added to the root of the second mean; default 1e-8. */
  epsilon?: number;
}

/** What groups of parameters of an `Adam` may have of their own. */
export interface AdamGroup extends AdamHyper {
  /** λ of λ/2·‖W‖²: adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Options of `Adam`. */
export interface AdamOptions extends AdamGroup {
  /** Divide by the largest second mean so far (Reddi, Kale & Kumar, "On the convergence of Adam and beyond", 2018). */
  amsgrad?: boolean;
}

/** What Adam and AdamW are made of, but for the decay. */
export function adamOptions(
  op: string,
  amsgrad: boolean,
  { learningRate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamHyper,
) {
  checkBoolean(op, 'amsgrad', amsgrad);
  const hyper: Record<string, Hyperparameter> = {
    beta1: { value: beta1, low: 0, under: 1 },
    beta2: { value: beta2, low: 0, under: 1 },
    epsilon: { value: epsilon, low: 0 },
  };
  const state = ['mean', 'square', ...(amsgrad ? ['largest'] : [])];
  return { learningRate, hyper, state, scalars: { step: { low: 0, integer: true } } };
}

export function adamRule(
  { p, g, mean, square, largest, step }: Values,
  { learningRate, beta1, beta2, epsilon }: Values,
): Values {
  const next = step.add(1);
  const left = (x: Values[string]) => x.neg().add(1);
  const m = mean.mul(beta1).add(g.mul(left(beta1)));
  // Scaled before it is squared: a large gradient overflows later.
  const v = square.mul(beta2).add(g.mul(left(beta2)).mul(g));
  const most = largest === undefined ? v : maximum(largest, v);
  // The corrections of m and v, taken out of what is computed for each element.
  const root = left(beta2.pow(next)).sqrt();
  const rate = learningRate.mul(root).div(left(beta1.pow(next)));
  const after = p.sub(m.div(most.sqrt().add(epsilon.mul(root))).mul(rate));
  return { p: after, mean: m, square: v, step: next, ...(largest && { largest: most }) };
}

/** Steps scaled by running means of the gradient and of its square, with the bias of both corrected. */
export class Adam extends Optimizer<Required<AdamGroup>> {
  static {
    nameClass(Adam, 'Adam');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<AdamGroup>, options: AdamOptions = {}) {
    checkOptions('Adam', options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'l2', 'amsgrad']);
    const { l2 = 0, amsgrad = false, ...hyper } = options;
    super(parameters, { l2, ...adamOptions('Adam', amsgrad, hyper) });
  }

  protected rule(values: Values, hyper: Values): Values {
    return adamRule(values, hyper);
  }

  /** The rule in one pass over memory. A subclass with a rule of its own has no such kernel, nor has amsgrad. */
  override update(gather: Gather, scalars: Float64Array, hyper: Float64Array): Call {
    const { outs, gradients, rows, slots } = gather;
    const isPlain = this.rule === Adam.prototype.rule && slots.length === 2;
    if (!isPlain) return super.update(gather, scalars, hyper);
    return ['adam', outs, gradients, scalars, rows, hyper, 0];
  }
}
