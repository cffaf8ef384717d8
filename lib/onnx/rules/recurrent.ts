/** Recurrent layers, each direction of a level as one node. */
import { sizeOf } from '../../shape.ts';
import type { Graph, Value } from '../graph.ts';
import type { Elements } from '../messages.ts';
import type { Rules } from './rule.ts';

/** Where ONNX's gates are among PyTorch's, in its order: i, o, f, c; z, r, h. */
const orders = { LSTM: [0, 3, 1, 2], GRU: [1, 0, 2], RNN: [0] };

/** Parameters one after the other, each with its gates in another order, as one of a direction: [1, ...]. */
function regrouped(
  graph: Graph,
  parts: readonly Value[],
  order: readonly number[],
  shape: readonly number[],
): string {
  const constants = parts.map((part) => {
    const { constant } = part;
    if (constant === null) throw graph.refuse('weights that are computed');
    return constant;
  });
  const [{ name, values: first }] = constants;
  const whole = new (first.constructor as Float32ArrayConstructor)(sizeOf(shape)) as Elements;
  let at = 0;
  for (const { values } of constants) {
    const size = values.length / order.length;
    for (const gate of order) {
      (whole as Float32Array).set((values as Float32Array).subarray(gate * size, (gate + 1) * size), at);
      at += size;
    }
  }
  return graph.name(graph.constant(whole, shape, parts[0].type, name));
}

export const recurrent: Rules<'recurrent'> = {
  recurrent(graph, inputs, attributes, { shape, type }) {
    const [x, weightIh, weightHh, biasIh, biasHh, lengths, ...initial] = inputs as (Value | undefined)[];
    const { type: opType, backwards, output } = attributes;
    const order = orders[opType];
    const [rows, size] = weightHh!.shape as number[];
    const [, width] = weightIh!.shape as number[];
    const one = (state: Value) => graph.name(graph.reshaped(state, [1, ...state.shape]));
    const states = initial.some((state) => state !== undefined)
      ? initial.map((state, i) =>
          one(state ?? graph.filled([x!.shape[0], size], 0, (initial[1 - i] ?? x!).type)),
        )
      : [];
    const names = [
      // Time first.
      graph.name(x!, [1, 0, 2]),
      regrouped(graph, [weightIh!], order, [1, rows, width]),
      regrouped(graph, [weightHh!], order, [1, rows, size]),
      biasIh && biasHh ? regrouped(graph, [biasIh, biasHh], order, [1, 2 * rows]) : '',
      lengths ? graph.name(lengths) : '',
      ...states,
    ];
    while (names[names.length - 1] === '') names.pop();
    const own =
      attributes.type === 'GRU'
        ? { linear_before_reset: attributes.resetAfter ? 1 : 0 }
        : attributes.type === 'RNN'
          ? { activations: { texts: [attributes.nonlinearity === 'tanh' ? 'Tanh' : 'Relu'] } }
          : {};
    const direction = backwards ? 'reverse' : 'forward';
    const outputs = graph.several(
      opType,
      names,
      { hidden_size: size, direction, ...own },
      opType === 'LSTM' ? 3 : 2,
    );
    // [time, direction, batch, hidden], and [direction, batch, hidden].
    const squeezed = graph.node('Squeeze', [outputs[output], graph.integers([output === 0 ? 1 : 0])]);
    return graph.value(squeezed, shape, type, output === 0 ? [1, 0, 2] : [0, 1]);
  },
};
