/** Stochastic gradient descent. */
import { checkBoolean, checkOptions, describe } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { type Float, kernels } from '../kernels/index.ts';
import type { Tensor } from '../tensor.ts';
import type { Group } from './group.ts';
import { checkHyper, Optimizer } from './optimizer.ts';

export interface SGDOptions {
  /** α of W ← W − α·∂J/∂W, equations (5) and (6) of the notes. */
  learningRate: number;
  /** β of v ← β·v + (1 − dampening)·∂J/∂W, W ← W − α·v, from v = 0. Default 0: no velocity. */
  momentum?: number;
  /** Default 0; with `dampening` equal to `momentum` it is the notes' momentum. */
  dampening?: number;
  /** Step along ∂J/∂W + β·v (Sutskever, Martens, Dahl & Hinton, 2013); wants momentum > 0 and no dampening. */
  nesterov?: boolean;
  /** λ of J + λ/2·‖W‖², equation (9): adds λ·W to the gradient of weights (rank ≥ 2), not of biases. Default 0. */
  l2?: number;
}

/** Gradient descent with momentum, Nesterov's variant and L2 regularization. */
export class SGD extends Optimizer {
  private readonly velocities: Float[] | null;

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: Iterable<Tensor>, options: SGDOptions) {
    checkOptions('SGD', options, ['learningRate', 'momentum', 'dampening', 'nesterov', 'l2']);
    const { learningRate, momentum = 0, dampening = 0, nesterov = false, l2 = 0 } = options;
    checkBoolean('SGD', 'nesterov', nesterov);
    super(parameters, [learningRate, momentum, dampening, nesterov ? 1 : 0, l2], 4);
    this.velocities = momentum === 0 ? null : this.buffers();
  }

  protected check([learningRate, momentum, dampening, nesterov, l2]: readonly number[]): void {
    checkHyper('learningRate', learningRate, { low: 0 });
    checkHyper('momentum', momentum, { low: 0, under: 1 });
    checkHyper('dampening', dampening, { low: 0, under: 1 });
    checkHyper('l2', l2, { low: 0 });
    if (nesterov !== 0 && nesterov !== 1) {
      throw new ArgumentError(`expected nesterov to be 0 or 1, got ${describe(nesterov)}`);
    }
    if (nesterov === 1 && (momentum === 0 || dampening !== 0)) {
      throw new ArgumentError('expected momentum above 0 and dampening 0 with nesterov');
    }
    // Not known yet while the constructor checks.
    if (this.velocities === null && momentum !== 0) {
      throw new ArgumentError(`expected momentum 0, as this optimizer has no velocities, got ${momentum}`);
    }
  }

  protected slots(): Record<string, Float[]> {
    return this.velocities ? { velocity: this.velocities } : {};
  }

  protected advance(): void {}

  protected update({ parameters, state, gradients, decays }: Group): void {
    kernels.sgd(parameters, this.velocities ? state[0] : null, gradients, this.hyper, decays);
  }
}
