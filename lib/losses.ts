/**
 * Losses: `losses` is what this module exports, and no more. Each takes a prediction and a target, and an options object with
 * `reduction`, by default the mean.
 * @module
 */
export {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  focal,
  hinge,
  squaredHinge,
} from './losses/binary.ts';
export { multiMargin, softmaxCrossEntropy } from './losses/classes.ts';
export { huber, meanAbsoluteError, mse, quantile } from './losses/regression.ts';
export { cosineEmbedding, cosineSimilarity, klDivergence } from './losses/similarity.ts';
