/** Adam (Kingma & Ba, "Adam: a method for stochastic optimization", 2015). */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type Float, kernels } from '../kernels/index.ts';
import type { Tensor } from '../tensor.ts';
import type { Group } from './group.ts';
import { checkHyper, Optimizer } from './optimizer.ts';

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
  private readonly means: Float[];
  private readonly squares: Float[];

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: Iterable<Tensor>, options: AdamOptions = {}) {
    checkOptions('Adam', options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'l2']);
    const { learningRate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, l2 = 0 } = options;
    super(parameters, [learningRate, beta1, beta2, epsilon, l2, 0, 1, 1], 4);
    this.means = this.buffers();
    this.squares = this.buffers();
  }

  protected check([learningRate, beta1, beta2, epsilon, l2, steps, power1, power2]: readonly number[]): void {
    checkHyper('learningRate', learningRate, { low: 0 });
    checkHyper('beta1', beta1, { low: 0, under: 1 });
    checkHyper('beta2', beta2, { low: 0, under: 1 });
    checkHyper('epsilon', epsilon, { low: 0 });
    checkHyper('l2', l2, { low: 0 });
    if (!Number.isInteger(steps)) {
      throw new ArgumentError(`expected the number of steps to be an integer, got ${describe(steps)}`);
    }
    checkHyper('the number of steps', steps, { low: 0 });
    // What the powers of beta1 and beta2 leave of the corrections: 1 before the first step, less after it.
    checkHyper('the power of beta1', power1, { low: 0, most: 1 });
    checkHyper('the power of beta2', power2, { low: 0, most: 1 });
  }

  protected slots(): Record<string, Float[]> {
    return { mean: this.means, square: this.squares };
  }

  protected advance(): void {
    kernels.adamAdvance(this.hyper);
  }

  protected update({ parameters, state: [means, squares], gradients, decays }: Group): void {
    kernels.adam(parameters, means, squares, gradients, this.hyper, decays);
  }
}
