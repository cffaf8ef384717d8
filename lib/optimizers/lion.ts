/** Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2). */
import { checkOptions } from '../arguments.ts';
import { nameClass } from '../names.ts';
import type { Tensor } from '../tensor.ts';
import type { ParametersOf } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** Options of `Lion`. */
export interface LionOptions {
  /** Default 0.0001: three to ten times less than for AdamW, as every element moves by all of it. */
  learningRate?: number | Schedule;
  /** The share of the mean of gradients in the direction of a step; default 0.9. */
  beta1?: number;
  /** Decay of the mean of gradients; default 0.99. */
  beta2?: number;
  /** λ of p ← (1 − learningRate·λ)·p, before the step, for all parameters of a group, as in AdamW. Default 0. */
  weightDecay?: number;
}

/** Steps of one size, along the sign of a mean of gradients: one array of state where Adam has two. */
export class Lion extends Optimizer<Required<LionOptions>> {
  static {
    nameClass(Lion, 'Lion');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<LionOptions>, options: LionOptions = {}) {
    checkOptions('Lion', options, ['learningRate', 'beta1', 'beta2', 'weightDecay']);
    const { learningRate = 1e-4, beta1 = 0.9, beta2 = 0.99, weightDecay = 0 } = options;
    super(parameters, {
      learningRate,
      l2: null,
      hyper: {
        beta1: { value: beta1, low: 0, under: 1 },
        beta2: { value: beta2, low: 0, under: 1 },
        weightDecay: { value: weightDecay, low: 0 },
      },
      state: ['mean'],
    });
  }

  protected rule({ p, g, mean }: Values, { learningRate, beta1, beta2, weightDecay }: Values): Values {
    const left = (x: Tensor) => x.neg().add(1);
    const blend = (beta: Tensor) => mean.mul(beta).add(g.mul(left(beta)));
    const shrunk = p.mul(left(learningRate.mul(weightDecay)));
    return { p: shrunk.sub(blend(beta1).sign().mul(learningRate)), mean: blend(beta2) };
  }
}
