/** What one update kernel call takes: the parameters of one dtype that have a gradient, and what belongs to them. */
import type { Float } from '../kernels/index.ts';
import { floats, type Tensor } from '../tensor.ts';

export class Group {
  /** The arrays of the latest `gather`, one for each parameter that took part. They are filled again by the next. */
  readonly parameters: Float[] = [];
  readonly gradients: Float[] = [];
  /** In the order of the optimizer's slots. */
  readonly state: readonly Float[][];
  /** 1 for what decays; another array whenever it changes, as a recorded call keeps it. */
  decays = new Int32Array(0);

  constructor(
    private readonly members: readonly { parameter: Tensor; state: readonly Float[] }[],
    slots: number,
    private readonly decaying: (parameter: Tensor) => boolean,
  ) {
    this.state = Array.from({ length: slots }, () => []);
  }

  /** Collects the parameters that have a gradient, and counts their update. Makes no garbage while they are the same. */
  gather(): void {
    const { members, parameters, gradients, state } = this;
    let count = 0;
    let same = true;
    for (let i = 0; i < members.length; i++) {
      const { parameter, state: own } = members[i];
      parameter.observeGradient('read');
      if (parameter.gradient === null) continue;
      parameter.version++;
      parameters[count] = floats(parameter);
      gradients[count] = parameter.gradient;
      for (let slot = 0; slot < state.length; slot++) state[slot][count] = own[slot];
      if (this.decays[count] !== (this.decaying(parameter) ? 1 : 0)) same = false;
      count++;
    }
    if (same && this.decays.length === count) return;
    for (const list of [parameters, gradients, ...state]) list.length = count;
    this.decays = new Int32Array(count);
    for (let at = 0, i = 0; i < members.length; i++) {
      const { parameter } = members[i];
      if (parameter.gradient !== null) this.decays[at++] = this.decaying(parameter) ? 1 : 0;
    }
  }
}
