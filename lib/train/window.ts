/** Gradients of several batches before one update, each with the weight of its examples. */
import type { Fields } from '../files/fields.ts';
import type { SavedState } from '../files/savedState.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { readState } from '../state.ts';
import { isTensor, type Tensor } from '../tensor.ts';

/** What a step is to do with a batch. */
export interface Turn {
  /** Whether it begins with gradients of its own. */
  readonly isFirst: boolean;
  /** What its mean loss counts. */
  readonly share: number;
  /** Whether it ends with an update. */
  readonly isLast: boolean;
}

export class Window {
  private batches = 0;
  /** Of all batches so far, and of the first. */
  private examples = 0;
  private first = 0;

  /** @param of how many batches */
  constructor(private readonly of: number) {}

  /** Whether gradients wait for an update. */
  get isOpen(): boolean {
    return this.batches > 0;
  }

  /**
   * Takes a batch in. Losses count as if all batches were as large as the first one, and `scale` makes up for those that were
   * not, such that the sum of gradients is that of the mean over all examples.
   */
  add(size: number): Turn {
    const isFirst = this.batches === 0;
    if (isFirst) this.first = size;
    this.batches++;
    this.examples += size;
    const isFull = this.batches === this.of;
    return { isFirst, share: size / (this.of * this.first), isLast: isFull && this.scale === 1 };
  }

  /** Whether an update is due that the step has not made. */
  get isFull(): boolean {
    return this.batches === this.of;
  }

  /** What gradients are to be multiplied by before an update. */
  get scale(): number {
    return (this.of * this.first) / this.examples;
  }

  close(): void {
    [this.batches, this.examples, this.first] = [0, 0, 0];
  }

  /** With copies of the gradients that wait. */
  stateDict({ parameters }: Optimizer): SavedState {
    if (!this.isOpen) return null;
    const { batches, examples, first } = this;
    const own = parameters.map(({ requiresGrad, grad }, i) => [i, requiresGrad ? grad : null] as const);
    const gradients = Object.fromEntries(own.filter(([, grad]) => grad !== null)) as Record<string, Tensor>;
    return { batches, examples, first, gradients };
  }

  /** @returns what writes the gradients. @throws where they are none of these parameters */
  read(saved: Fields, { parameters }: Optimizer): () => void {
    const gradients = saved.tensors('gradients');
    const own = Object.keys(gradients)
      .filter((i) => isTensor(parameters[Number(i)]))
      .map((i): [string, Tensor] => [i, parameters[Number(i)]]);
    readState('fit', own, gradients);
    [this.batches, this.examples] = [saved.count('batches'), saved.count('examples')];
    this.first = saved.count('first');
    return () => {
      for (const [i, parameter] of own) {
        parameter.zeroGrad();
        parameter.backward(gradients[i]);
      }
    };
  }
}
