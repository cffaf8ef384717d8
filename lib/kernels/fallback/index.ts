import type { Kernels } from '../../../binding.d.ts';
import { binary, binaryGradient, where } from './binary.ts';
import { convolve, convolveTransposed, convolveWeightGradient } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { epilogueGradient } from './epilogue.ts';
import { checkFinite } from './finite.ts';
import { gemm, gemmAccumulate } from './gemm.ts';
import { loss, lossGradient } from './loss.ts';
import { cast, copy, fill, gather, oneHot, scatterAdd } from './move.ts';
import { batchMoments, batchNorm, batchNormGradient, layerNorm, layerNormGradient } from './normalize.ts';
import { adam, sgd } from './optimizer.ts';
import { averagePool, averagePoolGradient, maxPool, maxPoolGradient } from './pool.ts';
import { dropoutMask, randomBits, randomNormal, randomUniform } from './random.ts';
import { argmax, reduce } from './reduce.ts';
import { softmax, softmaxCrossEntropy, softmaxCrossEntropyGradient, softmaxGradient } from './softmax.ts';
import { unary, unaryGradient } from './unary.ts';

/** The kernels in TypeScript: the definition that the native ones have to match, and what runs where they cannot. */
export const fallback = {
  gemm,
  gemmAccumulate,
  epilogueGradient,
  unary,
  unaryGradient,
  binary,
  binaryGradient,
  where,
  elementwise,
  fill,
  cast,
  copy,
  gather,
  scatterAdd,
  oneHot,
  reduce,
  argmax,
  checkFinite,
  softmax,
  softmaxGradient,
  softmaxCrossEntropy,
  softmaxCrossEntropyGradient,
  loss,
  lossGradient,
  convolve,
  convolveTransposed,
  convolveWeightGradient,
  maxPool,
  maxPoolGradient,
  averagePool,
  averagePoolGradient,
  batchMoments,
  batchNorm,
  batchNormGradient,
  layerNorm,
  layerNormGradient,
  randomBits,
  randomUniform,
  randomNormal,
  dropoutMask,
  sgd,
  adam,
} satisfies Kernels;
