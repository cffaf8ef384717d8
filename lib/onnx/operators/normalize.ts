/** Normalisation, probabilities, and what works otherwise while a model is trained. */
import { arange } from '../../create.ts';
import { dropout } from '../../ops/dropout.ts';
import { batchNorm, layerNorm } from '../../ops/normalize.ts';
import { averagePool2d } from '../../ops/pool.ts';
import { reshape } from '../../ops/reshape.ts';
import { logSoftmax, softmax } from '../../ops/softmax.ts';
import { Parameter, SharedTensor } from '../../parameter.ts';
import { sameShape, show, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { OnnxNode, Operator, Run } from '../node.ts';
import { Held, isKnown, toHeld, type Value } from '../value.ts';

/** A parameter that is frozen, as `setRequiresGrad(false)` makes it. */
const isFrozen = (x: Tensor) => x instanceof Parameter && !x.requiresGrad;

/** By the running statistics in evaluation; by the batch in training, as the layer BatchNorm does it. */
const batchNormalization: Operator = (node) => {
  node.checkInputs(5);
  const epsilon = node.float('epsilon', 1e-5);
  const momentum = 1 - node.float('momentum', 0.9);
  if (!node.flag('spatial', true)) throw node.refusal('attribute spatial to be 1', '0');
  const seen = new SharedTensor([1], node.dtype);
  node.remember(seen);
  return (inputs, context) => {
    const x = toHeld(inputs[0]!);
    if (x.rank < 2) throw node.error('an input of 2 axes at least', show(x.shape));
    const [scale, shift, mean, variance] = inputs.slice(1).map((own) => toHeld(own!, x.dtype).first);
    const training = context.training && context.trainable && !(isFrozen(scale) && isFrozen(shift));
    const count = seen.dtype === x.dtype ? seen : null;
    const y = batchNorm(
      x.last,
      scale,
      shift,
      { mean, variance, count },
      {
        training,
        momentum,
        epsilon,
        activation: node.activation,
      },
    );
    return Held.last(y);
  };
};

/** Each part of an example, of all that is behind `axis`, by its own mean and variance. */
function normalizeFrom(x: Tensor, axis: number, epsilon: number): Tensor {
  return layerNorm(x, x.shape.slice(axis), null, null, { epsilon });
}

/** A vector of the channels beside x, whose channels are axis 1. */
const beside = (vector: Tensor, x: Tensor): Tensor =>
  reshape(vector, [vector.size, ...new Array<number>(Math.max(x.rank - 2, 0)).fill(1)]);

const instanceNormalization: Operator = (node) => {
  node.checkInputs(3);
  const epsilon = node.float('epsilon', 1e-5);
  return (inputs) => {
    const { first: x, dtype } = toHeld(inputs[0]!);
    if (x.rank < 3) throw node.error('an input of 3 axes at least', show(x.shape));
    const [scale, shift] = inputs.slice(1).map((own) => toHeld(own!, dtype).first);
    return Held.first(normalizeFrom(x, 2, epsilon).mul(beside(scale, x)).add(beside(shift, x)));
  };
};

const groupNormalization: Operator = (node) => {
  node.checkInputs(3);
  const epsilon = node.float('epsilon', 1e-5);
  const groups = node.int('num_groups');
  return (inputs) => {
    const { first: x, dtype } = toHeld(inputs[0]!);
    const [batch, channels] = x.shape;
    if (x.rank < 2 || groups < 1 || channels % groups !== 0) {
      throw node.error(`channels that ${groups} groups divide`, show(x.shape));
    }
    const [scale, shift] = inputs.slice(1).map((own) => toHeld(own!, dtype).first);
    const parts = reshape(x, [batch, groups, x.size / (batch * groups)]);
    const even = normalizeFrom(parts, 2, epsilon);
    // Before opset 21 there is a scale for each group.
    const isOfGroups = node.opset < 21;
    const target = isOfGroups ? parts : x;
    const y = reshape(even, target.shape).mul(beside(scale, target)).add(beside(shift, target));
    return Held.first(reshape(y, x.shape));
  };
};

const layerNormalization: Operator = (node) => {
  node.checkInputs(2, 3);
  const epsilon = node.float('epsilon', 1e-5);
  const given = node.int('axis', -1);
  const normalized: Run = ([x0, scale0, shift0]) => {
    const { first: x, dtype } = toHeld(x0!);
    const axis = node.axis(given, x.rank);
    const shape = x.shape.slice(axis);
    const [scale, shift] = [scale0, shift0].map((own) =>
      own === undefined ? null : toHeld(own, dtype).first,
    );
    const fits = (own: Tensor | null) => own === null || sameShape(own.shape, shape);
    if (fits(scale) && fits(shift)) return Held.first(layerNorm(x, shape, scale, shift, { epsilon }));
    const even = normalizeFrom(x, axis, epsilon).mul(scale!);
    return Held.first(shift === null ? even : even.add(shift));
  };
  if (![1, 2].some((output) => node.isRead(output))) return normalized;
  return (inputs, context) => {
    const { first: x } = toHeld(inputs[0]!);
    const axes = Array.from(x.shape.keys()).slice(node.axis(given, x.rank));
    const mean = x.mean(axes, { keepDims: true });
    const deviation = x.variance(axes, { keepDims: true }).add(epsilon).sqrt();
    return [normalized(inputs, context) as Held, Held.first(mean), Held.first(deviation.reciprocal())];
  };
};

/** Each number over a power of the mean square of its neighbours among the channels (Krizhevsky et al., 2012). */
const localResponseNormalization: Operator = (node) => {
  node.checkInputs(1);
  const size = node.int('size');
  const [alpha, beta, bias] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)];
  if (size < 1) throw node.error('attribute size to be at least 1', String(size));
  return ([own]) => {
    const { last: x } = toHeld(own!);
    const channels = x.shape[x.rank - 1];
    // The channels of each pixel as an image of one column.
    const columns = reshape(x.square(), [x.size / Math.max(channels, 1), channels, 1, 1]);
    const reach = Math.floor((size - 1) / 2);
    const padding = { top: reach, bottom: size - 1 - reach };
    const mean = averagePool2d(columns, [size, 1], { stride: 1, padding, countPadding: true });
    return Held.last(x.div(reshape(mean, x.shape).mul(alpha).add(bias).pow(beta)));
  };
};

/** x without its mean, over its standard deviation; all that lies on these axes together. */
const meanVarianceNormalization: Operator = (node) => {
  node.checkInputs(1);
  const given = node.ints('axes', [0, 2, 3]);
  return ([own]) => {
    const x = toHeld(own!);
    const axes = node.axes(given, x.rank).map((axis) => x.axis(axis));
    const centered = x.own.sub(x.own.mean(axes, { keepDims: true }));
    const deviation = centered.square().mean(axes, { keepDims: true }).sqrt();
    return Held.of(centered.div(deviation.add(1e-9)), x.isLast);
  };
};

const lpNormalization: Operator = (node) => {
  node.checkInputs(1);
  const p = node.int('p', 2);
  if (p !== 1 && p !== 2) throw node.refusal('attribute p to be 1 or 2', String(p));
  const given = node.int('axis', -1);
  return ([own]) => {
    const x = toHeld(own!);
    const axis = x.axis(node.axis(given, x.rank));
    const sum =
      p === 1
        ? x.own.abs().sum(axis, { keepDims: true })
        : x.own.square().sum(axis, { keepDims: true }).sqrt();
    return Held.of(x.own.div(sum), x.isLast);
  };
};

/** Before opset 13 all axes from one on are one. */
const probabilities =
  (f: (x: Tensor, axis: number) => Tensor): Operator =>
  (node) => {
    node.checkInputs(1);
    const isFlat = node.opset < 13;
    const given = node.int('axis', isFlat ? 1 : -1);
    return ([own]) => {
      const x = toHeld(own!);
      // A flat axis may lie behind all of them.
      const axis = isFlat && given === x.rank ? x.rank : node.axis(given, x.rank);
      if (!isFlat || axis === x.rank - 1) return Held.of(f(x.own, x.axis(axis)), x.isLast);
      const { shape } = x;
      const rows = reshape(x.first, [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
      return Held.first(reshape(f(rows, 1), shape));
    };
  };

/** A one at the largest of an axis. */
const hardmax: Operator = (node) => {
  const argument = probabilities((x, axis) => {
    const order = Array.from(x.shape.keys()).filter((i) => i !== axis);
    const largest = x.argmax(axis);
    const places = reshape(largest, [...largest.shape, 1]);
    const classes = reshape(range(x.shape[axis]), [...largest.shape.map(() => 1), x.shape[axis]]);
    const ones = places.equal(classes).cast(x.dtype);
    const back = Array.from(x.shape.keys(), (i) => (i === axis ? x.rank - 1 : order.indexOf(i)));
    return ones.transpose(back);
  });
  return argument(node);
};

const range = (count: number) => arange(0, count, 1, { dtype: 'int32' });

/** The rate, wherever the file has it. */
function rateOf(node: OnnxNode, input: Value | undefined): number {
  if (node.opset < 12) return node.float('ratio', 0.5);
  return input === undefined ? 0.5 : node.scalar(input, 'the ratio');
}

const dropoutOperator: Operator = (node) => {
  node.checkInputs(1, node.opset < 12 ? 1 : 3);
  return ([x, ratio], { training }) => {
    const rate = rateOf(node, ratio);
    if (!training || rate === 0 || isKnown(x)) return x!;
    const own = x as Held;
    return Held.of(dropout(own.own, rate), own.isLast);
  };
};

export const normalize: Readonly<Record<string, Operator>> = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
  LpNormalization: lpNormalization,
  LRN: localResponseNormalization,
  Softmax: probabilities(softmax),
  LogSoftmax: probabilities(logSoftmax),
  Hardmax: hardmax,
  Dropout: dropoutOperator,
};
