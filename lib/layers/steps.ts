/** What recurrent layers compute, of whichever weights: a step of each kind of cell, and all steps of one. */
import { add, greater, mul, sub, where } from '../ops/binary.ts';
import { linear } from '../ops/linear.ts';
import { pad } from '../ops/pad.ts';
import { reshape } from '../ops/reshape.ts';
import { slice } from '../ops/slice.ts';
import { relu, sigmoid, tanh } from '../ops/unary.ts';
import type { Tensor } from '../tensor.ts';

/** The weights of a cell, all gates one after the other in the rows: see RecurrentCell. */
export interface CellWeights {
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly biasIh: Tensor | null;
  readonly biasHh: Tensor | null;
}

/** How a cell goes over time. */
export interface Steps {
  /** What is added to the inputs of all steps, or null. */
  readonly bias: Tensor | null;
  /**
   * One step.
   * @param inputs [batch, gates · hidden], what the gates get of the input, with the bias
   * @param states [batch, hidden] each @returns those after the step, of which the first is the output
   */
  step(inputs: Tensor, states: readonly Tensor[]): readonly Tensor[];
}

/** Gates side by side, of so many columns each. */
const columns = (x: Tensor, size: number, from: number, to = from + 1): Tensor =>
  slice(x, [null, [from * size, to * size]]);

const sum = (a: Tensor | null, b: Tensor | null): Tensor | null => a && b && add(a, b);

/** @param order where the gates i, f, g and o are; by default as PyTorch has them */
export function lstmSteps(
  { weightHh, biasIh, biasHh }: CellWeights,
  order: readonly number[] = [0, 1, 2, 3],
): Steps {
  const size = weightHh.shape[1];
  return {
    bias: sum(biasIh, biasHh),
    step: (inputs, [h, c]) => {
      const z = add(inputs, linear(h, weightHh));
      const [i, f, g, o] = order.map((gate) => columns(z, size, gate));
      const next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)));
      return [mul(sigmoid(o), tanh(next)), next];
    },
  };
}

/** @param order where the gates r and z are, before n; by default as PyTorch has them */
export function gruSteps(
  { weightHh, biasIh, biasHh }: CellWeights,
  resetAfter: boolean,
  order: readonly number[] = [0, 1],
): Steps {
  const size = weightHh.shape[1];
  const [weightOfGates, weightOfNew] = [slice(weightHh, [[0, 2 * size]]), slice(weightHh, [[2 * size]])];
  const isApart = resetAfter && biasHh !== null;
  const biasOfNew = isApart ? slice(biasHh, [[2 * size]]) : null;
  const bias = isApart ? pad(slice(biasHh, [[0, 2 * size]]), [[0, size]]) : biasHh;
  return {
    bias: sum(biasIh, bias),
    step: (inputs, [h]) => {
      const gates = add(columns(inputs, size, 0, 2), linear(h, weightOfGates));
      const [r, z] = order.map((gate) => sigmoid(columns(gates, size, gate)));
      const ofState = resetAfter ? mul(r, linear(h, weightOfNew, biasOfNew)) : linear(mul(r, h), weightOfNew);
      const n = tanh(add(columns(inputs, size, 2), ofState));
      return [add(n, mul(z, sub(h, n)))];
    },
  };
}

export function rnnSteps({ weightHh, biasIh, biasHh }: CellWeights, nonlinearity: 'tanh' | 'relu'): Steps {
  const activate = nonlinearity === 'tanh' ? tanh : relu;
  return {
    bias: sum(biasIh, biasHh),
    step: (inputs, [h]) => [activate(add(inputs, linear(h, weightHh)))],
  };
}

/**
 * A cell over all steps: its output after each, in the order of time, and its states after the last.
 * @param x [batch, time, in]
 * @param ends [batch, 1], how many steps of each sequence count, or null for all
 */
export function overTime(
  x: Tensor,
  weightIh: Tensor,
  { bias, step }: Steps,
  initial: readonly Tensor[],
  ends: Tensor | null,
  backwards: boolean,
): { outputs: Tensor[]; states: readonly Tensor[] } {
  const [batch, time, size] = x.shape;
  const rows = weightIh.shape[0];
  // What the inputs give is one product for all steps.
  const whole = linear(reshape(x, [batch * time, size]), weightIh, bias);
  const inputs = reshape(whole, [batch, time, rows]);
  const outputs = new Array<Tensor>(time);
  let states = initial;
  for (let i = 0; i < time; i++) {
    const t = backwards ? time - 1 - i : i;
    const own = reshape(slice(inputs, [null, [t, t + 1]]), [batch, rows]);
    const next = step(own, states);
    if (ends === null) {
      states = next;
      outputs[t] = next[0];
    } else {
      const lasts = greater(ends, t);
      outputs[t] = where(lasts, next[0], 0);
      const before = states;
      states = next.map((after, k) => where(lasts, after, before[k]));
    }
  }
  return { outputs, states };
}
