/** Adam (Kingma & Ba, "Adam: a method for stochastic optimization", 2015). */
import { checkOptions } from '../arguments.ts';
import type { Call } from '../kernels/index.ts';
import { nameClass } from '../names.ts';
import type { Tensor } from '../tensor.ts';
import type { Group } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';

export interface AdamOptions {
  /** Default 0.001. */
  learningRate?: number;
  /** Decay of the mean of gradients; default 0.9. */
  beta1?: number;
  /** Decay of the mean of squared gradients; default 0.999. */
  beta2?: number;
  /** Added to the root of the second mean; default 1e-8. */
  epsilon?: number;
  /** λ of λ/2·‖W‖²: adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Steps scaled by running means of the gradient and of its square, with the bias of both corrected. */
export class Adam extends Optimizer {
  static {
    nameClass(Adam, 'Adam');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: Iterable<Tensor>, options: AdamOptions = {}) {
    checkOptions('Adam', options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'l2']);
    const { learningRate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, l2 = 0 } = options;
    super(parameters, {
      learningRate,
      l2,
      hyper: {
        beta1: { value: beta1, low: 0, under: 1 },
        beta2: { value: beta2, low: 0, under: 1 },
        epsilon: { value: epsilon, low: 0 },
      },
      state: ['mean', 'square'],
      scalars: { step: { low: 0, integer: true } },
    });
  }

  protected rule(
    { p, g, mean, square, step }: Values,
    { learningRate, beta1, beta2, epsilon }: Values,
  ): Values {
    const next = step.add(1);
    const left = (x: Tensor) => x.neg().add(1);
    const m = mean.mul(beta1).add(g.mul(left(beta1)));
    // Scaled before it is squared: a large gradient overflows later.
    const v = square.mul(beta2).add(g.mul(left(beta2)).mul(g));
    // The corrections of m and v, taken out of what is computed for each element.
    const root = left(beta2.pow(next)).sqrt();
    const rate = learningRate.mul(root).div(left(beta1.pow(next)));
    return { p: p.sub(m.div(v.sqrt().add(epsilon.mul(root))).mul(rate)), mean: m, square: v, step: next };
  }

  /** The rule in one pass over memory. A subclass with a rule of its own has no such kernel. */
  override update(group: Group, scalars: Float64Array, hyper: Float64Array): Call {
    if (this.rule !== Adam.prototype.rule) return super.update(group, scalars, hyper);
    return ['adam', group.outs, group.gradients, scalars, group.rows, hyper];
  }
}
