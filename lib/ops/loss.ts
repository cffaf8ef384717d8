/** Losses as single ops: forward to the reduced value, backward straight to the gradient of the prediction. */
import { describe } from '../arguments.ts';
import { contribute, releaseSaved, track, wantsGradient } from '../autograd.ts';
import { ArgumentError, DtypeError, ShapeError } from '../errors.ts';
import { kernels, type LossOp, lossCode } from '../kernels/index.ts';
import { type FloatDtype, release, take } from '../memory.ts';
import { sameShape, show } from '../shape.ts';
import { checkFloat, checkSameFloat, checkTensor, elements, empty, floats, Tensor } from '../tensor.ts';
import { oneHot } from './gather.ts';
import { trackSoftmax } from './softmax.ts';

/** How the losses of single elements or examples become the result: their mean, their sum, or each by itself. */
export type Reduction = 'mean' | 'sum' | 'none';

/** @throws ArgumentError for another reduction. */
export function checkReduction(name: string, reduction: Reduction): void {
  if (reduction !== 'mean' && reduction !== 'sum' && reduction !== 'none') {
    throw new ArgumentError(
      `[${name}] expected reduction to be mean, sum or none, got ${describe(reduction)}`,
    );
  }
}

/** @throws ShapeError for the mean of nothing. */
export function checkSome(name: string, count: number, reduction: Reduction): void {
  if (count === 0 && reduction === 'mean') {
    throw new ShapeError(`[${name}] expected at least one example to take the mean of, got none`);
  }
}

/** ∂l/∂p and ∂l/∂t of each loss, in ops. */
const derivatives: {
  readonly [Op in LossOp]: readonly ((p: Tensor, t: Tensor, parameter: number) => Tensor)[];
} = {
  squaredError: [(p, t) => p.sub(t).mul(2), (p, t) => t.sub(p).mul(2)],
  absoluteError: [(p, t) => p.sub(t).sign(), (p, t) => t.sub(p).sign()],
  huber: [(p, t, delta) => p.sub(t).clip(-delta, delta), (p, t, delta) => t.sub(p).clip(-delta, delta)],
  binaryCrossEntropy: [
    (p, t) => p.sub(t).div(p.mul(p.neg().add(1)).maximum(1e-12)),
    (p) => p.neg().log1p().maximum(-100).sub(p.log().maximum(-100)),
  ],
  binaryCrossEntropyWithLogits: [(p, t) => p.sigmoid().sub(t), (p) => p.neg()],
  crossEntropy: [(_, t) => t.neg(), (p) => p.neg()],
};

/**
 * l(prediction, target) element by element, for an op of codes.ts. Differentiable in both.
 * @param name what errors call the loss
 * @param count what a mean divides by; the number of elements by default
 */
export function elementwiseLoss(
  code: LossOp,
  prediction: Tensor,
  target: Tensor,
  reduction: Reduction,
  parameter = 0,
  name: string = code,
  count?: number,
): Tensor {
  checkTensor(name, prediction, 'prediction');
  checkTensor(name, target, 'target');
  checkReduction(name, reduction);
  const dtype = checkSameFloat(name, prediction, target);
  if (!sameShape(prediction.shape, target.shape)) {
    throw new ShapeError(
      `[${name}] expected prediction and target of one shape, got ${show(prediction.shape)} and ${show(target.shape)}`,
    );
  }
  const examples = count ?? prediction.size;
  checkSome(name, examples, reduction);
  const scale = reduction === 'mean' ? 1 / examples : 1;
  const loss = empty(reduction === 'none' ? prediction.shape : [], dtype);
  const op = lossCode[code];
  kernels.loss(floats(loss), floats(prediction), floats(target), op, parameter, scale);
  return track(
    loss,
    [prediction, target],
    (dy) => {
      for (const operand of [0, 1] as const) {
        contribute(operand === 0 ? prediction : target, (dx) =>
          kernels.lossGradient(dx, dy, floats(prediction), floats(target), op, parameter, scale, operand),
        );
      }
    },
    [prediction, target],
    (dy) => {
      const share = dy.mul(scale);
      return derivatives[code].map((own) => () => own(prediction, target, parameter).mul(share));
    },
  );
}

/** The dtype of logits. @throws DtypeError, ShapeError unless labels are such for each row of them */
export function checkLabels(name: string, logits: Tensor, labels: Tensor): FloatDtype {
  const dtype = checkFloat(name, logits);
  if (labels.dtype !== 'int32') throw new DtypeError(`[${name}] expected int32 labels, got ${labels.dtype}`);
  if (logits.rank === 0 || !sameShape(labels.shape, logits.shape.slice(0, -1))) {
    throw new ShapeError(
      `[${name}] expected logits [batch, ..., classes] and labels [batch, ...], got ${show(logits.shape)} and ` +
        show(labels.shape),
    );
  }
  return dtype;
}

/**
 * −log softmax(logits)[label] for each row.
 * @param logits [batch, ..., classes]
 * @param labels int32 [batch, ...], from 0 to classes − 1
 * @returns a scalar, or [batch, ...] for reduction 'none'
 * @throws IndexError for a label out of range, ShapeError, DtypeError
 */
export function softmaxCrossEntropyWithLabels(logits: Tensor, labels: Tensor, reduction: Reduction): Tensor {
  const name = 'softmaxCrossEntropy';
  checkTensor(name, logits, 'logits');
  checkTensor(name, labels, 'labels');
  checkReduction(name, reduction);
  const dtype = checkLabels(name, logits, labels);
  const rows = labels.size;
  const classes = logits.shape[logits.rank - 1];
  checkSome(name, rows, reduction);
  const scale = reduction === 'mean' ? 1 / rows : 1;
  const loss = empty(reduction === 'none' ? labels.shape : [], dtype);
  const y = elements<'int32'>(labels);
  const probabilities = take(logits.size, dtype);
  kernels.softmaxCrossEntropy(floats(loss), probabilities, floats(logits), y, rows, classes, scale);
  if (!wantsGradient([logits])) {
    release(probabilities);
    return loss;
  }
  return track(
    loss,
    [logits],
    (dy) => {
      contribute(logits, (dx) =>
        kernels.softmaxCrossEntropyGradient(dx, dy, probabilities, y, rows, classes, scale),
      );
      releaseSaved(probabilities);
    },
    [labels],
    (dy) => {
      const own = trackSoftmax(
        new Tensor(probabilities as never, logits.shape, dtype),
        logits,
        logits.rank - 1,
        0,
      );
      const share = dy.mul(scale);
      const each = reduction === 'none' ? share.reshape([...labels.shape, 1]) : share;
      return [own.sub(oneHot(labels, classes, dtype)).mul(each)];
    },
  );
}
