/** NAdam (Dozat, "Incorporating Nesterov momentum into Adam", 2016). */
import { checkOptions } from '../arguments.ts';
import { nameClass } from '../names.ts';
import type { Tensor } from '../tensor.ts';
import type { ParametersOf } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** Options of `NAdam`. */
export interface NAdamOptions {
  /** Default 0.002. */
  learningRate?: number | Schedule;
  /** Decay of the mean of gradients; default 0.9. */
  beta1?: number;
  /** Decay of the mean of squared gradients; default 0.999. */
  beta2?: number;
  /** Added to the root of the second mean; default 1e-8. */
  epsilon?: number;
  /** ψ of μₜ = β₁·(1 − 0.5·0.96^(t·ψ)), the momentum at step t; default 0.004. */
  momentumDecay?: number;
  /** λ of λ/2·‖W‖²: adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Adam whose step looks ahead, as Nesterov's does: along the mean of gradients as the next step would have it. */
export class NAdam extends Optimizer<Required<NAdamOptions>> {
  static {
    nameClass(NAdam, 'NAdam');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<NAdamOptions>, options: NAdamOptions = {}) {
    checkOptions('NAdam', options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'momentumDecay', 'l2']);
    const { learningRate = 0.002, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, l2 = 0 } = options;
    const { momentumDecay = 0.004 } = options;
    super(parameters, {
      learningRate,
      l2,
      hyper: {
        beta1: { value: beta1, low: 0, under: 1 },
        beta2: { value: beta2, low: 0, under: 1 },
        epsilon: { value: epsilon, low: 0 },
        momentumDecay: { value: momentumDecay, low: 0 },
      },
      state: ['mean', 'square'],
      // weight: 1 − μ₁·μ₂·…·μₜ, the sum of the weights of all gradients in their mean, which begins with 0 as all state does.
      scalars: { step: { low: 0, integer: true }, weight: { low: 0 } },
    });
  }

  protected rule(
    { p, g, mean, square, step, weight }: Values,
    { learningRate, beta1, beta2, epsilon, momentumDecay }: Values,
  ): Values {
    const left = (x: Tensor) => x.neg().add(1);
    const next = step.add(1);
    const momentumAt = (t: Tensor) => {
      const decayed = t.mul(momentumDecay).mul(Math.log(0.96)).exp();
      return beta1.mul(left(decayed.mul(0.5)));
    };
    const [mu, ahead] = [momentumAt(next), momentumAt(next.add(1))];
    const m = mean.mul(beta1).add(g.mul(left(beta1)));
    const v = square.mul(beta2).add(g.mul(left(beta2)).mul(g));
    const now = left(left(weight).mul(mu));
    const after = left(left(now).mul(ahead));
    const direction = g.mul(left(mu).div(now)).add(m.mul(ahead.div(after)));
    // The correction of v, taken out of what is computed for each element.
    const root = left(beta2.pow(next)).sqrt();
    const scaled = direction.div(v.sqrt().add(epsilon.mul(root)));
    return { p: p.sub(scaled.mul(learningRate.mul(root))), mean: m, square: v, step: next, weight: now };
  }
}
