/** Every declaration, or those that AXPY_OPS names (npm run test:op). */
import along from './along.ts';
import attention from './attention.ts';
import binary from './binary.ts';
import broadcastTo from './broadcastTo.ts';
import type { Declaration } from './case.ts';
import cast from './cast.ts';
import classify from './classify.ts';
import concat from './concat.ts';
import conv1d from './conv1d.ts';
import conv2d from './conv2d.ts';
import convTranspose2d from './convTranspose2d.ts';
import cumprod from './cumprod.ts';
import cumsum from './cumsum.ts';
import dropout from './dropout.ts';
import einsum from './einsum.ts';
import exchanges from './exchanges.ts';
import gather from './gather.ts';
import gridSample from './gridSample.ts';
import imageKernels from './imageKernels.ts';
import interpolate from './interpolate.ts';
import kernels from './kernels.ts';
import linear from './linear.ts';
import loss from './loss.ts';
import losses from './losses.ts';
import matmul from './matmul.ts';
import norm from './norm.ts';
import normalize from './normalize.ts';
import normalizeKernels from './normalizeKernels.ts';
import optimizer from './optimizer.ts';
import pad from './pad.ts';
import pool from './pool.ts';
import product from './product.ts';
import random from './random.ts';
import reduce from './reduce.ts';
import reshape from './reshape.ts';
import slice from './slice.ts';
import softmax from './softmax.ts';
import sort from './sort.ts';
import split from './split.ts';
import tile from './tile.ts';
import transpose from './transpose.ts';
import triangle from './triangle.ts';
import unary from './unary.ts';
import '../../lib/ops/index.ts';

const all: readonly Declaration[] = [
  unary,
  binary,
  classify,
  matmul,
  einsum,
  linear,
  reduce,
  norm,
  product,
  cumsum,
  cumprod,
  softmax,
  attention,
  loss,
  losses,
  reshape,
  broadcastTo,
  transpose,
  slice,
  split,
  tile,
  triangle,
  along,
  sort,
  concat,
  gather,
  cast,
  dropout,
  conv2d,
  convTranspose2d,
  conv1d,
  pool,
  normalize,
  pad,
  interpolate,
  gridSample,
  random,
  optimizer,
  kernels,
  imageKernels,
  normalizeKernels,
  exchanges,
];

/** Names of declarations, or of functions, with which cases begin: `relu` is in unary. */
const names = (process.env.AXPY_OPS ?? '').split(' ').filter(Boolean);
const has = ({ op, cases }: Declaration, name: string) =>
  op === name || cases.some((c) => c.name.split(/\W/)[0] === name);
for (const name of names) {
  if (all.some((declaration) => has(declaration, name))) continue;
  throw new Error(`no op is named ${name}; there are ${all.map(({ op }) => op).join(', ')}`);
}

export const declarations: readonly Declaration[] =
  names.length === 0 ? all : all.filter((declaration) => names.some((name) => has(declaration, name)));
export const complete: boolean = declarations.length === all.length;
