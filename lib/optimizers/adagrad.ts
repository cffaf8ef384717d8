/** Adagrad (Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning", 2011). */
import { checkOptions } from '../arguments.ts';
import { nameClass } from '../names.ts';
import type { ParametersOf } from './group.ts';
import { checkNumber } from './hyper.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** What groups of parameters of an `Adagrad` may have of their own. */
export interface AdagradGroup {
  /** Default 0.01. */
  learningRate?: number | Schedule;
  /** δ of learningRate / (1 + (t − 1)·δ) at step t; default 0. */
  learningRateDecay?: number;
  /** Added to the root of the sum; default 1e-10. */
  epsilon?: number;
  /** λ of λ/2·‖W‖²: adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Options of `Adagrad`. */
export interface AdagradOptions extends AdagradGroup {
  /** What sums of squared gradients begin with; default 0. */
  initialAccumulator?: number;
}

/** Gradients divided by the root of the sum of their squares so far. */
export class Adagrad extends Optimizer<Required<AdagradGroup>> {
  static {
    nameClass(Adagrad, 'Adagrad');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<AdagradGroup>, options: AdagradOptions = {}) {
    const op = 'Adagrad';
    checkOptions(op, options, ['learningRate', 'learningRateDecay', 'epsilon', 'l2', 'initialAccumulator']);
    const { learningRate = 0.01, learningRateDecay = 0, epsilon = 1e-10, l2 = 0 } = options;
    const { initialAccumulator = 0 } = options;
    checkNumber(op, 'initialAccumulator', initialAccumulator, { low: 0 });
    super(parameters, {
      learningRate,
      l2,
      hyper: { learningRateDecay: { value: learningRateDecay, low: 0 }, epsilon: { value: epsilon, low: 0 } },
      state: ['sum'],
      scalars: { step: { low: 0, integer: true } },
    });
    for (const { slot, values } of this.state()) if (slot === 'sum') values.fill(initialAccumulator);
  }

  protected rule({ p, g, sum, step }: Values, { learningRate, learningRateDecay, epsilon }: Values): Values {
    const rate = learningRate.div(step.mul(learningRateDecay).add(1));
    const total = sum.add(g.square());
    return { p: p.sub(g.div(total.sqrt().add(epsilon)).mul(rate)), sum: total, step: step.add(1) };
  }
}
