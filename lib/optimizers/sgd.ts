/** Stochastic gradient descent. */
import { checkOptions } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import type { Call } from '../kernels/index.ts';
import { nameClass } from '../names.ts';
import { where } from '../ops/binary.ts';
import type { Gather } from './gather.ts';
import type { ParametersOf } from './group.ts';
import { Optimizer } from './optimizer.ts';
import type { Values } from './rule.ts';
import type { Schedule } from './schedules.ts';

/** Options of `SGD`. */
export interface SGDOptions {
  /** α of W ← W − α·∂J/∂W, equations (5) and (6) of the notes. */
  learningRate: number | Schedule;
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
export class SGD extends Optimizer<Required<SGDOptions>> {
  static {
    nameClass(SGD, 'SGD');
  }

  /** @throws ArgumentError for options out of their domains. */
  constructor(parameters: ParametersOf<SGDOptions>, options: SGDOptions) {
    checkOptions('SGD', options, ['learningRate', 'momentum', 'dampening', 'nesterov', 'l2']);
    const { learningRate, momentum = 0, dampening = 0, nesterov = false, l2 = 0 } = options;
    super(parameters, {
      learningRate,
      l2,
      hyper: {
        momentum: { value: momentum, low: 0, under: 1 },
        dampening: { value: dampening, low: 0, under: 1 },
        nesterov: { value: nesterov, flag: true },
      },
      state: (own) => (own.momentum === 0 ? [] : ['velocity']),
    });
  }

  protected override check(
    { momentum, dampening, nesterov }: Readonly<Record<string, number>>,
    state: readonly string[],
  ): void {
    if (nesterov === 1 && (momentum === 0 || dampening !== 0)) {
      throw new ArgumentError('[SGD] expected momentum above 0 and dampening 0 with nesterov');
    }
    if (momentum !== 0 && !state.includes('velocity')) {
      throw new ArgumentError(
        `[SGD] expected momentum 0, as this optimizer has no velocities, got ${momentum}`,
      );
    }
  }

  protected rule(
    { p, g, velocity }: Values,
    { learningRate, momentum, dampening, nesterov }: Values,
  ): Values {
    if (velocity === undefined) return { p: p.sub(g.mul(learningRate)) };
    const v = velocity.mul(momentum).add(g.mul(dampening.neg().add(1)));
    const direction = where(nesterov, v.mul(momentum).add(g), v);
    return { p: p.sub(direction.mul(learningRate)), velocity: v };
  }

  /** The rule in one pass over memory. A subclass with a rule of its own has no such kernel. */
  override update(gather: Gather, scalars: Float64Array, hyper: Float64Array): Call {
    if (this.rule !== SGD.prototype.rule) return super.update(gather, scalars, hyper);
    return ['sgd', gather.outs, gather.gradients, scalars, gather.rows, hyper];
  }
}
