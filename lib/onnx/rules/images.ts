/** What works on images and sequences: channels first, as ONNX has them. */
import { ends, pixelsOf, reach, type Span, type Window } from '../../ops/window.ts';
import type { Positions } from '../../trace.ts';
import { asIs, channelsFirst, type Graph, type Value } from '../graph.ts';
import type { Order } from '../messages.ts';
import { isFixed } from '../sizes.ts';
import { activated } from './elementwise.ts';
import type { Rules } from './rule.ts';

/** The window along the axes that there are, and their sizes. */
function along(graph: Graph, x: Value, { vertical, horizontal }: Window): { spans: Span[]; sizes: number[] } {
  const sizes = x.shape.slice(1, -1);
  if (!isFixed(sizes)) throw graph.refuse(`images whose size depends on the batch, ${graph.describe(x)},`);
  return { spans: sizes.length === 1 ? [horizontal] : [vertical, horizontal], sizes: [...sizes] };
}

/** Those before the first pixel of each axis, and then those after the last. */
function flat(pairs: readonly (readonly [number, number])[]): number[] {
  return [...pairs.map(([before]) => before), ...pairs.map(([, after]) => after)];
}

const windowAttributes = (spans: readonly Span[]) => ({
  kernel_shape: spans.map(({ kernel }) => kernel),
  strides: spans.map(({ stride }) => stride),
});

const dilationsOf = (spans: readonly Span[]) => ({ dilations: spans.map(({ dilation }) => dilation) });

/** Names of the tensors that a convolution takes. */
function operands(graph: Graph, [x, weight, bias]: readonly (Value | undefined)[]): string[] {
  const names = [x!, weight!].map((value) => graph.name(value, channelsFirst(value.rank)));
  return bias === undefined ? names : [...names, graph.name(bias)];
}

function convolution(
  ...[graph, inputs, attributes, { shape, type }]: Parameters<(typeof images)['conv2d']>
): Value {
  const { window, groups, activation } = attributes;
  const { spans, sizes } = along(graph, inputs[0], window);
  const name = graph.node('Conv', operands(graph, inputs), {
    ...windowAttributes(spans),
    ...dilationsOf(spans),
    pads: flat(spans.map((span, i) => ends(span, sizes[i]))),
    group: groups,
  });
  return graph.value(activated(graph, name, type, activation), shape, type, channelsFirst(shape.length));
}

export const images: Rules<
  | 'averagePool2d'
  | 'batchNorm'
  | 'conv1d'
  | 'conv2d'
  | 'convTranspose2d'
  | 'gridSample'
  | 'interpolate'
  | 'maxPool2d'
> = {
  conv1d: convolution,
  conv2d: convolution,

  convTranspose2d(graph, inputs, { window, groups, activation, outputPadding }, { shape, type }) {
    const { spans, sizes } = along(graph, inputs[0], window);
    const more = [...outputPadding];
    const pads = spans.map((span, i): readonly [number, number] => {
      if (span.padding !== 'same') return [span.padding.before, span.padding.after];
      // Of so many pixels as steps; a kernel smaller than a step leaves some at the end.
      const surplus = reach(span) - span.stride;
      more[i] = Math.max(-surplus, 0);
      return ends(span, pixelsOf(span, sizes[i], 0));
    });
    const name = graph.node('ConvTranspose', operands(graph, inputs), {
      ...windowAttributes(spans),
      ...dilationsOf(spans),
      pads: flat(pads),
      output_padding: more,
      group: groups,
    });
    return graph.value(activated(graph, name, type, activation), shape, type, channelsFirst(shape.length));
  },

  maxPool2d(graph, [x], { window }, { shape, type }) {
    const { spans, sizes } = along(graph, x, window);
    const name = graph.node('MaxPool', [graph.name(x, channelsFirst(x.rank))], {
      ...windowAttributes(spans),
      pads: flat(spans.map((span, i) => ends(span, sizes[i]))),
    });
    return graph.value(name, shape, type, channelsFirst(shape.length));
  },

  averagePool2d(graph, [x], { window, countPadding }, { shape, type }) {
    const { spans, sizes } = along(graph, x, window);
    const name = graph.node('AveragePool', [graph.name(x, channelsFirst(x.rank))], {
      ...windowAttributes(spans),
      pads: flat(spans.map((span, i) => ends(span, sizes[i]))),
      count_include_pad: countPadding ? 1 : 0,
    });
    return graph.value(name, shape, type, channelsFirst(shape.length));
  },

  batchNorm(graph, inputs, { epsilon, activation, moves }, { shape, type }) {
    if (moves) throw graph.refuse('running statistics that move in evaluation (training: true)');
    const [x, scale, shift, mean, variance] = inputs;
    const order = channelsFirst(x.rank);
    const channels = [x.shape[x.rank - 1]];
    const from = graph.name(x, order);
    const by = [scale ?? graph.filled(channels, 1, type), shift ?? graph.filled(channels, 0, type)];
    const name =
      mean === undefined
        ? byBatch(graph, from, by, order, epsilon, type)
        : graph.node(
            'BatchNormalization',
            [from, ...[...by, mean, variance].map((value) => graph.name(value))],
            {
              epsilon: { float: epsilon },
            },
          );
    return graph.value(activated(graph, name, type, activation), shape, type, order);
  },

  interpolate(graph, [x], { mode, alignCorners, rows, columns }, { shape, type }) {
    const order = channelsFirst(4);
    const from = graph.name(x, order);
    const sizes = x.shape.slice(1, 3);
    if (!isFixed(sizes)) throw graph.refuse(`images whose size depends on the batch, ${graph.describe(x)},`);
    const axes = [rows, columns];
    if (axes.every((positions, i) => isResize(positions, sizes[i], mode, alignCorners))) {
      const to = graph.sizes(order.map((axis) => shape[axis]));
      const how =
        mode === 'nearest'
          ? { mode, coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
          : { mode: 'linear', coordinate_transformation_mode: alignCorners ? 'align_corners' : 'half_pixel' };
      return graph.value(graph.node('Resize', [from, '', '', to], how), shape, type, order);
    }
    // By a scale of one's own: each row, and then each column, is made of two.
    const name = axes.reduce((y, positions, i) => blended(graph, y, positions, 2 + i, sizes[i], type), from);
    return graph.value(name, shape, type, order);
  },

  gridSample(graph, [x, grid], { mode, paddingMode, alignCorners }, { shape, type }) {
    const order = channelsFirst(4);
    const name = graph.node('GridSample', [graph.name(x, order), graph.name(grid)], {
      mode,
      padding_mode: paddingMode,
      align_corners: alignCorners ? 1 : 0,
    });
    return graph.value(name, shape, type, order);
  },
};

/** Normalisation by the mean and the variance of the batch, of which BatchNormalization in training would keep a record. */
function byBatch(
  graph: Graph,
  x: string,
  by: readonly Value[],
  order: Order,
  epsilon: number,
  type: Value['type'],
): string {
  const how = { axes: asIs(order.length).filter((axis) => axis !== 1), keepdims: 1 };
  const [scale, shift] = by.map((value) => graph.operand(value, order));
  const about = (y: string) => graph.node('Sub', [y, graph.node('ReduceMean', [y], how)]);
  // The mean of float32 is rounded: the second takes the rest.
  const centered = about(about(x));
  const variance = graph.node('ReduceMean', [graph.node('Mul', [centered, centered])], how);
  const deviation = graph.node('Sqrt', [graph.node('Add', [variance, graph.number(epsilon, type)])]);
  return graph.node('Add', [graph.node('Mul', [graph.node('Div', [centered, deviation]), scale]), shift]);
}

/** Whether Resize to a size takes the same pixels, in float32 as well, in which runtimes compute where they are. */
function isResize({ first, shares }: Positions, size: number, mode: string, alignCorners: boolean): boolean {
  const count = first.length;
  const scale = Math.fround(count / size);
  const tolerance = 2e-6 * Math.max(size, count);
  for (let i = 0; i < count; i++) {
    if (mode === 'nearest') {
      if (Math.floor(Math.fround(i / scale)) !== first[i]) return false;
      continue;
    }
    const position = alignCorners
      ? count === 1
        ? 0
        : (i * (size - 1)) / (count - 1)
      : (i + 0.5) / (count / size) - 0.5;
    const own = Math.min(Math.max(position, 0), size - 1);
    if (!(Math.abs(own - (first[i] + shares[i])) <= tolerance)) return false;
  }
  return true;
}

/** (1 − share) · first + share · next, along an axis. */
function blended(
  graph: Graph,
  x: string,
  { first, shares }: Positions,
  axis: number,
  size: number,
  type: Value['type'],
): string {
  const take = (indices: readonly number[]) => graph.node('Gather', [x, graph.integers(indices)], { axis });
  const here = take([...first]);
  if (shares.every((share) => share === 0)) return here;
  const next = take(Array.from(first, (pixel) => Math.min(pixel + 1, size - 1)));
  const dims = [shares.length, ...Array.from({ length: 3 - axis }, () => 1)];
  const by = graph.name(graph.constant(shares, dims, type));
  return graph.node('Add', [here, graph.node('Mul', [graph.node('Sub', [next, here]), by])]);
}
