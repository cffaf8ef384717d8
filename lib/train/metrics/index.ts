/**
 * The metrics to choose from; by name they take their default options.
 * @module
 */
export { accuracy } from './accuracy.ts';
export { f1, precision, recall } from './counts.ts';
export { logLoss } from './logLoss.ts';
export { averagePrecision, rocAuc } from './ranking.ts';
export { meanAbsoluteError, meanSquaredError, r2, rootMeanSquaredError } from './regression.ts';
export { topK } from './topK.ts';
