/** Steps of a training: made for batches one after the other, compiled or not, with what becomes of those that fail. */
import { noGrad } from '../autograd.ts';
import { NonFiniteError, ShapeError } from '../errors.ts';
import type { Layer } from '../layers/layer.ts';
import { inMode } from '../layers/mode.ts';
import { concat } from '../ops/concat.ts';
import { defaultState } from '../random.ts';
import { tensor } from '../tensor.ts';
import { compileSteps } from './compile.ts';
import { type Batch, mapTensors, rowsOf, type Tensors } from './examples.ts';
import { explainNonFinite, replay } from './explain.ts';
import type { BatchLoss } from './loss.ts';
import { trace } from './program.ts';
import type { Ranks } from './ranks.ts';
import {
  forwardOf,
  type IdleResult,
  idleStep,
  type StepResult,
  trainingStep,
  type Updating,
  updateStep,
} from './step.ts';
import type { Window } from './window.ts';

type Take = (
  examples: Batch,
  epoch: number,
  batch: number,
  window: Window,
) => Promise<StepResult | IdleResult>;

/** Steps, and word that code of a user has run in between. */
export interface Steps {
  /** With an update where the window is full by it. */
  readonly take: Take;
  /** An update by what gradients there are. */
  finish(window: Window): Promise<void>;
  /** @throws what a forward pass of such a batch throws; changes nothing, and computes nothing where steps are compiled. */
  rehearse(x: Tensors, why: string): void;
  doubt(between: 'epochs' | 'steps'): void;
}

/** What steps are made of. */
interface Parts extends Omit<Updating, 'reducer' | 'synchronized'> {
  readonly ranks: Ranks | undefined;
  readonly model: Layer;
  readonly loss: BatchLoss;
  readonly compiled: boolean;
  readonly accumulate: number;
}

/** Steps that refuse a loss which is not finite. */
export function stepsOf(parts: Parts): Steps {
  const { model, loss, optimizer, compiled, accumulate, ranks } = parts;
  const synchronized = ranks?.syncBatchNorm ? ranks.world : null;
  const updating: Updating = { ...parts, reducer: ranks?.reducer, synchronized };
  const random = new Uint32Array(defaultState.length);
  const compiling = <Args extends unknown[], Returned>(fn: (...args: Args) => Returned) =>
    compiled ? compileSteps(fn, false) : { soon: fn, doubt: () => {} };
  const steps = compiling(trainingStep(model, loss, updating));
  const idle = compiling(idleStep(updating));
  const updates = compiling(updateStep(updating));
  // A model in evaluation mode trains; where only some of its layers are, they stay so.
  const training = <Result>(fn: () => Result): Result => inMode(model.training ? null : true, fn);
  const forward = (x: Tensors) => forwardOf(model, x);
  // One example may be less than a layer takes, which an eager step would find when layers before that have been changed.
  let isRehearsed = compiled;
  const pass = (x: Tensors) =>
    training(() => (compiled ? trace(forward, [x]) : replay(defaultState.slice(), model, () => forward(x))));
  const fits = (x: Tensors): boolean => {
    try {
      pass(x);
      return true;
    } catch {
      return false;
    }
  };
  const rehearse = (x: Tensors, why: string) => {
    try {
      pass(x);
    } catch (error) {
      if (!(error instanceof ShapeError) || why === '') throw error;
      // What two do not fit either is no matter of their number: the first step will tell.
      if (!fits(noGrad(() => mapTensors(x, (one) => concat([one, one]))))) return;
      throw new ShapeError(`${error.message}; ${why}`);
    }
    isRehearsed = true;
  };
  return {
    rehearse,
    async take(examples, epoch, batch, window) {
      const { x, y, weights } = examples;
      // By the batches of all ranks one example is not alone.
      if (!isRehearsed && rowsOf(x) === 1 && synchronized === null) rehearse(x, '');
      random.set(defaultState);
      try {
        if (accumulate === 1 && !ranks) return await training(() => steps.soon(x, y, weights));
        const own = accumulate === 1 ? undefined : window.add(examples.total);
        const joint = ranks?.joint(examples);
        const result = await training(() =>
          joint && examples.share === 0 && synchronized === null
            ? idle.soon(own, joint)
            : steps.soon(x, y, weights, own, joint),
        );
        if (own === undefined) return result;
        if (own.isLast) window.close();
        else if (window.isFull) await this.finish(window);
        return result;
      } catch (error) {
        if (!(error instanceof NonFiniteError)) throw error;
        throw training(() => explainNonFinite(loss, { epoch, batch }, model, examples, optimizer, random));
      }
    },
    async finish(window) {
      const { scale } = window;
      await updates.soon(scale === 1 ? null : tensor(scale, { dtype: 'float64' }));
      window.close();
    },
    doubt(between) {
      // Not after each step: of batches of one example every pass would be made twice.
      if (between === 'epochs') isRehearsed = compiled;
      steps.doubt();
      idle.doubt();
      updates.doubt();
    },
  };
}
