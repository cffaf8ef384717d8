/** Matrix products and what normalises rows. */
import type { Graph, Value } from '../graph.ts';
import { activated } from './elementwise.ts';
import type { Rules } from './rule.ts';

/** With the last two axes exchanged. */
const flipped = (x: Value): Value => {
  const order = Array.from({ length: x.rank }, (_, axis) => axis);
  return x.transposed([...order.slice(0, -2), x.rank - 1, x.rank - 2]);
};

const matrix = (graph: Graph, x: Value, isTransposed: boolean) => graph.name(isTransposed ? flipped(x) : x);

export const products: Rules<'layerNorm' | 'linear' | 'matmul'> = {
  linear(graph, inputs, { activation }, { shape, type }) {
    const names = inputs.filter((value) => value !== undefined).map((value) => graph.name(value));
    const name = graph.node('Gemm', names, { transB: 1 });
    return graph.value(activated(graph, name, type, activation), shape, type);
  },

  matmul(graph, [a, b], { transposeA, transposeB }, { shape, type }) {
    // Of two matrices one may be stored transposed.
    const isGemm = a.rank === 2 && b.rank === 2 && (transposeA || transposeB);
    const name = isGemm
      ? graph.node('Gemm', [graph.name(a), graph.name(b)], {
          transA: transposeA ? 1 : 0,
          transB: transposeB ? 1 : 0,
        })
      : graph.node('MatMul', [matrix(graph, a, transposeA), matrix(graph, b, transposeB)]);
    return graph.value(name, shape, type);
  },

  layerNorm(graph, [x, scale, shift], { axes, epsilon }, { shape, type }) {
    const own = x.shape.slice(-axes);
    const names = [graph.name(x), graph.name(scale ?? graph.filled(own, 1, type))];
    if (shift !== undefined) names.push(graph.name(shift));
    const name = graph.node('LayerNormalization', names, { axis: -axes, epsilon: { float: epsilon } });
    return graph.value(name, shape, type);
  },
};
