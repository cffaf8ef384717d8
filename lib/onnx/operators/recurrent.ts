/** Recurrent layers, with ONNX's order of gates. */
import { arange, zeros } from '../../create.ts';
import { type CellWeights, gruSteps, lstmSteps, overTime, rnnSteps, type Steps } from '../../layers/steps.ts';
import { stack } from '../../ops/concat.ts';
import { gather } from '../../ops/gather.ts';
import { reshape } from '../../ops/reshape.ts';
import { slice } from '../../ops/slice.ts';
import { sameShape, show } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { OnnxNode, Operator } from '../node.ts';
import { Held, permute, toHeld, type Value } from '../value.ts';

interface Kind {
  readonly gates: number;
  /** How many states there are: the output, and others. */
  readonly states: number;
  /** What gates are activated by, each direction of its own. */
  activations(node: OnnxNode): readonly string[];
  steps(node: OnnxNode, weights: CellWeights): Steps;
}

/** The only activations, and nothing clipped on the way. @throws Refusal */
function checkPlain(node: OnnxNode, activations: readonly string[], directions: number): void {
  const wanted = Array.from({ length: directions }, () => activations).flat();
  const given = node.texts('activations', wanted);
  const isSame = (text: string, i: number) => text.toLowerCase() === wanted[i]?.toLowerCase();
  if (given.length !== wanted.length || !given.every(isSame)) {
    throw node.refusal(`activations ${show(wanted)}`, show(given));
  }
  for (const name of ['clip', 'input_forget']) {
    if (node.has(name) && !(name === 'input_forget' && node.int(name) === 0)) {
      throw node.refusal(`no attribute ${name}`, 'one');
    }
  }
  if (node.takes(7)) throw node.refusal('no peepholes (input 7)', 'some');
}

/** One direction's part of a tensor, without that axis. */
function partOf(x: Tensor, direction: number): Tensor {
  return reshape(slice(x, [[direction, direction + 1]]), x.shape.slice(1));
}

const recurrentOf =
  ({ gates, states: count, activations, steps }: Kind): Operator =>
  (node) => {
    node.checkInputs(3, 5 + count + (count > 1 ? 1 : 0));
    const direction = node.choice('direction', ['forward', 'reverse', 'bidirectional'], 'forward');
    const ways = direction === 'bidirectional' ? [false, true] : [direction === 'reverse'];
    checkPlain(node, activations(node), ways.length);
    const isBatchFirst = node.flag('layout', false);
    return (inputs) => {
      const given = toHeld(inputs[0]!).first;
      const { dtype } = given;
      const tensorAt = (i: number): Tensor | null => {
        const value: Value | undefined = inputs[i];
        return value === undefined ? null : toHeld(value, dtype).first;
      };
      if (given.rank !== 3) throw node.error('an input of 3 axes', show(given.shape));
      const x = isBatchFirst ? given : permute(given, [1, 0, 2]);
      const [batch, time, width] = x.shape;
      const [w, r, b] = [tensorAt(1)!, tensorAt(2)!, tensorAt(3)];
      const size = r.shape[r.rank - 1];
      const rows = gates * size;
      const check = (own: Tensor | null, what: string, ...shape: number[]) => {
        if (own !== null && !sameShape(own.shape, shape))
          throw node.error(`${what} ${show(shape)}`, show(own.shape));
      };
      check(w, 'weights', ways.length, rows, width);
      check(r, 'weights of states', ways.length, rows, size);
      check(b, 'biases', ways.length, 2 * rows);
      const initial = Array.from({ length: count }, (_, i) => {
        const own = tensorAt(5 + i);
        const whole = own && isBatchFirst ? permute(own, [1, 0, 2]) : own;
        check(whole, 'states', ways.length, batch, size);
        return whole;
      });
      const lengths = inputs[4] === undefined ? null : toHeld(inputs[4], 'int32').first;
      check(lengths, 'lengths', batch);
      // One that is out of range is an error of the look-up.
      const counts = reshape(arange(0, time + 1, 1, { dtype: dtype as 'float32' }), [time + 1, 1]);
      const ends = lengths && gather(counts, lengths);
      const parts = ways.map((backwards, i) => {
        const halves = (from: number) => b && slice(partOf(b, i), [[from * rows, (from + 1) * rows]]);
        const weights = {
          weightIh: partOf(w, i),
          weightHh: partOf(r, i),
          biasIh: halves(0),
          biasHh: halves(1),
        };
        const begin = initial.map((state) =>
          state === null ? zeros([batch, size], { dtype }) : partOf(state, i),
        );
        return overTime(x, weights.weightIh, steps(node, weights), begin, ends, backwards);
      });
      // [batch, time, direction, hidden], and [direction, batch, hidden].
      const sequence = stack(
        parts.map(({ outputs }) => stack(outputs, 1)),
        2,
      );
      const finals = Array.from({ length: count }, (_, i) => stack(parts.map(({ states }) => states[i])));
      return [
        Held.first(isBatchFirst ? sequence : permute(sequence, [1, 2, 0, 3])),
        ...finals.map((state) => Held.first(isBatchFirst ? permute(state, [1, 0, 2]) : state)),
      ];
    };
  };

/** The activation of the first direction, which the others share. */
function nonlinearityOf(node: OnnxNode): 'tanh' | 'relu' {
  const given = node.texts('activations', ['Tanh'])[0]?.toLowerCase();
  return given === 'relu' ? 'relu' : 'tanh';
}

export const recurrent: Readonly<Record<string, Operator>> = {
  LSTM: recurrentOf({
    gates: 4,
    states: 2,
    activations: () => ['Sigmoid', 'Tanh', 'Tanh'],
    // There they are i, o, f, c.
    steps: (_node, weights) => lstmSteps(weights, [0, 2, 3, 1]),
  }),
  GRU: recurrentOf({
    gates: 3,
    states: 1,
    activations: () => ['Sigmoid', 'Tanh'],
    // There they are z, r, h.
    steps: (node, weights) => gruSteps(weights, node.flag('linear_before_reset', false), [1, 0]),
  }),
  RNN: recurrentOf({
    gates: 1,
    states: 1,
    activations: (node) => [nonlinearityOf(node)],
    steps: (node, weights) => rnnSteps(weights, nonlinearityOf(node)),
  }),
};
