/** What one update kernel call takes: the parameters of one dtype that have a gradient, and what belongs to them. */
import { DataError } from '../errors.ts';
import type { Float } from '../kernels/index.ts';
import { changing } from '../kernels/recorder.ts';
import { show } from '../shape.ts';
import { floats, type Tensor } from '../tensor.ts';

export class Group {
  /** The arrays of the latest `gather`, one for each parameter that took part. They are filled again by the next. */
  readonly parameters: Float[] = [];
  readonly gradients: Float[] = [];
  /** In the order of the optimizer's slots. */
  readonly state: readonly Float[][];
  /** 1 for what decays; another array whenever it changes, as a recorded call keeps it. */
  decays = new Int32Array(0);

  private readonly gathered: Tensor[] = [];

  constructor(
    private readonly members: readonly { parameter: Tensor; state: readonly Float[] }[],
    slots: number,
    private readonly decaying: (parameter: Tensor) => boolean,
  ) {
    this.state = Array.from({ length: slots }, () => []);
  }

  /**
   * Collects the parameters that have a gradient. Makes no garbage while they are the same.
   * @throws DataError where the elements of one are gone.
   */
  gather(): void {
    const { members, parameters, gradients, state } = this;
    let count = 0;
    let same = true;
    for (let i = 0; i < members.length; i++) {
      const { parameter, state: own } = members[i];
      if (!takesPart(parameter)) continue;
      const { size } = parameter;
      const gradient = parameter.gradient!;
      if (parameter.storage.array!.length !== size || gradient.length !== size) {
        throw new DataError(
          `[step] expected parameters and gradients with their elements, got a buffer that was detached (transferred) ` +
            `for one of shape ${show(parameter.shape)}`,
        );
      }
      this.gathered[count] = parameter;
      parameters[count] = floats(parameter);
      gradients[count] = gradient;
      for (let slot = 0; slot < state.length; slot++) state[slot][count] = own[slot];
      if (this.decays[count] !== (this.decaying(parameter) ? 1 : 0)) same = false;
      count++;
    }
    if (same && this.decays.length === count) return;
    for (const list of [this.gathered, parameters, gradients, ...state]) list.length = count;
    this.decays = new Int32Array(count);
    for (let at = 0, i = 0; i < members.length; i++) {
      const { parameter } = members[i];
      if (takesPart(parameter)) this.decays[at++] = this.decaying(parameter) ? 1 : 0;
    }
  }

  /** Counts the update of what was gathered, so that backward can tell. */
  count(): void {
    for (let i = 0; i < this.gathered.length; i++) changing('step', this.gathered[i].storage);
  }
}

/** A parameter that is frozen stays as it is, whatever gradient it has left. */
function takesPart(parameter: Tensor): boolean {
  if (!parameter.requiresGrad) return false;
  parameter.observeGradient('read');
  return parameter.gradient !== null;
}
