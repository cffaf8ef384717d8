import type { Kernels } from '../../../binding.d.ts';
import { kernelNames } from '../table.ts';
import * as along from './along.ts';
import * as binary from './binary.ts';
import { checked } from './check.ts';
import * as convolution from './convolution.ts';
import * as cumulate from './cumulate.ts';
import * as elementwise from './elementwise.ts';
import * as epilogue from './epilogue.ts';
import * as exchange from './exchange.ts';
import * as finite from './finite.ts';
import * as fused from './fused.ts';
import * as gemm from './gemm.ts';
import * as interpolate from './interpolate.ts';
import * as loss from './loss.ts';
import * as move from './move.ts';
import * as normalize from './normalize.ts';
import * as optimizer from './optimizer.ts';
import * as pool from './pool.ts';
import * as random from './random.ts';
import * as reduce from './reduce.ts';
import * as softmax from './softmax.ts';
import * as sort from './sort.ts';
import * as unary from './unary.ts';

/** The kernels without checks, among what else their files export. */
const unchecked: Kernels = {
  ...along,
  ...binary,
  ...convolution,
  ...cumulate,
  ...elementwise,
  ...epilogue,
  ...exchange,
  ...fused,
  ...finite,
  ...gemm,
  ...interpolate,
  ...loss,
  ...move,
  ...normalize,
  ...optimizer,
  ...pool,
  ...random,
  ...reduce,
  ...softmax,
  ...sort,
  ...unary,
};

/** The kernels in TypeScript: the definition that the native ones have to match, and what runs where they cannot. */
export const fallback = Object.fromEntries(
  kernelNames.map((name) => [name, checked(name, unchecked[name])]),
) as unknown as Kernels;
