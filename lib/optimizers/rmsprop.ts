/** RMSprop (Tieleman & Hinton, "Neural networks for machine learning", lecture 6.5, 2012). */
import { checkBoolean, checkOptions } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { nameClass } from '../names.ts';
import { maximum } from '../ops/binary.ts';
import type { ParametersOf } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** What groups of parameters of an `RMSprop` may have of their own. */
export interface RMSpropGroup {
  /** Default 0.01. */
  learningRate?: number | Schedule;
  /** Decay of the mean of squared gradients; default 0.99. */
  alpha?: number;
  /** Added to the root of that mean; default 1e-8. */
  epsilon?: number;
  /** β of v ← β·v + g/√…, p ← p − learningRate·v. Default 0: no velocity. */
  momentum?: number;
  /** λ of λ/2·‖W‖²: adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Options of `RMSprop`. */
export interface RMSpropOptions extends RMSpropGroup {
  /** Divide by the deviation of gradients, √(mean of squares − square of mean) (Graves, 2013). Default false. */
  centered?: boolean;
}

/** Gradients divided by the root of the running mean of their squares. */
export class RMSprop extends Optimizer<Required<RMSpropGroup>> {
  static {
    nameClass(RMSprop, 'RMSprop');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<RMSpropGroup>, options: RMSpropOptions = {}) {
    checkOptions('RMSprop', options, ['learningRate', 'alpha', 'epsilon', 'momentum', 'l2', 'centered']);
    const { learningRate = 0.01, alpha = 0.99, epsilon = 1e-8, momentum = 0, l2 = 0 } = options;
    const { centered = false } = options;
    checkBoolean('RMSprop', 'centered', centered);
    super(parameters, {
      learningRate,
      l2,
      hyper: {
        alpha: { value: alpha, low: 0, under: 1 },
        epsilon: { value: epsilon, low: 0 },
        momentum: { value: momentum, low: 0, under: 1 },
      },
      state: (own) => ['square', ...(centered ? ['mean'] : []), ...(own.momentum === 0 ? [] : ['velocity'])],
    });
  }

  protected override check({ momentum }: Readonly<Record<string, number>>, state: readonly string[]): void {
    if (momentum === 0 || state.includes('velocity')) return;
    throw new ArgumentError(
      `[RMSprop] expected momentum 0, as this group has no velocities, got ${momentum}`,
    );
  }

  protected rule(
    { p, g, square, mean, velocity }: Values,
    { learningRate, alpha, epsilon, momentum }: Values,
  ): Values {
    const left = alpha.neg().add(1);
    const v = square.mul(alpha).add(g.mul(left).mul(g));
    const m = mean?.mul(alpha).add(g.mul(left));
    // Of gradients that are all the same, rounding may leave less than 0.
    const variance = m === undefined ? v : maximum(v.sub(m.square()), 0);
    const scaled = g.div(variance.sqrt().add(epsilon));
    const speed = velocity?.mul(momentum).add(scaled);
    return {
      p: p.sub((speed ?? scaled).mul(learningRate)),
      square: v,
      ...(m && { mean: m }),
      ...(speed && { velocity: speed }),
    };
  }
}
