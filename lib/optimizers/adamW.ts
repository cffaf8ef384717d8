/** AdamW (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019). */
import { checkOptions } from '../arguments.ts';
import type { Call } from '../kernels/index.ts';
import { nameClass } from '../names.ts';
import { type AdamHyper, adamOptions, adamRule } from './adam.ts';
import type { Gather } from './gather.ts';
import type { ParametersOf } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';

/** What groups of parameters of an `AdamW` may have of their own. */
export interface AdamWGroup extends AdamHyper {
  /**
   * λ of p ← (1 − learningRate·λ)·p, before the step, for all parameters of a group, biases among them, as PyTorch does:
   * give those that are not to decay a group with `weightDecay: 0`. Default 0.01.
   */
  weightDecay?: number;
}

/** Options of `AdamW`. */
export interface AdamWOptions extends AdamWGroup {
  /** As in Adam. */
  amsgrad?: boolean;
}

/**
 * Adam with a decay of weights that is no part of the gradient, and so not scaled by what gradients were before.
 *
 *     const [weights, others] = [true, false].map((decays) =>
 *       model.parameters().filter((parameter) => parameter.decays === decays));
 *     new AdamW([{ parameters: weights }, { parameters: others, weightDecay: 0 }], { learningRate: 3e-4, weightDecay: 0.1 });
 */
export class AdamW extends Optimizer<Required<AdamWGroup>> {
  static {
    nameClass(AdamW, 'AdamW');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<AdamWGroup>, options: AdamWOptions = {}) {
    checkOptions('AdamW', options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'weightDecay', 'amsgrad']);
    const { weightDecay = 0.01, amsgrad = false, ...others } = options;
    const { hyper, ...own } = adamOptions('AdamW', amsgrad, others);
    super(parameters, { ...own, l2: null, hyper: { ...hyper, weightDecay: { value: weightDecay, low: 0 } } });
  }

  protected rule(values: Values, hyper: Values): Values {
    const { learningRate, weightDecay } = hyper;
    const left = learningRate.mul(weightDecay).neg().add(1);
    return adamRule({ ...values, p: values.p.mul(left) }, hyper);
  }

  /** As that of Adam. */
  override update(gather: Gather, scalars: Float64Array, hyper: Float64Array): Call {
    const { outs, gradients, rows, slots } = gather;
    const isPlain = this.rule === AdamW.prototype.rule && slots.length === 2;
    if (!isPlain) return super.update(gather, scalars, hyper);
    return ['adam', outs, gradients, scalars, rows, hyper, 1];
  }
}
