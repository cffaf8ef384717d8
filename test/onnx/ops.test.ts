/** Every op, in every case that is declared for it, as onnxruntime computes it. */
import { describe, expect, it } from 'vitest';
import { type Dtype, encodeOnnx, Layer, noGrad, type Tensor } from '../../lib/index.ts';
import { rules } from '../../lib/onnx/rules/index.ts';
import { type Listener, type Traced, traced } from '../../lib/trace.ts';
import type { Case } from '../cases/case.ts';
import { declarations } from '../cases/index.ts';
import { inputsOf } from '../cases/values.ts';
import { expectClose, run, runtime, session } from './runtime.ts';

/** Nothing that a forward pass of evaluation consists of. */
const others = [
  'loss',
  'losses',
  'random',
  'optimizer',
  'dropout',
  'cumprod',
  'kernels',
  'imageKernels',
  'normalizeKernels',
];

/** What onnxruntime computes otherwise: NaN and what int32 does not hold, which ONNX leaves open, and products of nothing. */
const unlike: Readonly<Record<string, readonly string[]>> = {
  reduce: ['max, not finite', 'min, not finite', 'argmax, NaN and ties'],
  cast: ['to int32'],
  norm: ['norm, squares beyond float32'],
  sort: ['sort, ends', 'sort, ends, descending', 'topK, ties and NaN'],
  interpolate: ['numbers that are not finite stay with their neighbours'],
  matmul: [
    'empty batch against one matrix, transposeA',
    'empty batch against one matrix, transposeA transposeB',
  ],
  softmax: ['logSoftmax, not finite'],
  pool: ['max, not finite'],
};

/** What it has for float32 alone. */
const floatOnly = ['conv1d', 'conv2d', 'convTranspose2d', 'gridSample', 'interpolate', 'pool'];

/** The op on inputs of this shape, each a batch of one. */
class Single extends Layer {
  override readonly inputDtype: Readonly<Record<string, Dtype>>;

  constructor(
    readonly run: Case['run'],
    readonly shapes: readonly (readonly number[])[],
    dtypes: readonly Dtype[],
  ) {
    super();
    this.inputDtype = Object.fromEntries(dtypes.map((dtype, i) => [String(i), dtype]));
  }

  forward(...inputs: Tensor[]): Tensor {
    return this.run(...inputs.map((x, i) => x.reshape(this.shapes[i])));
  }
}

const listed = declarations.filter(({ op }) => !others.includes(op));

describe.skipIf(runtime === null).each(['float32', 'float64'] as const)('%s', (dtype) => {
  const own = listed.filter(({ op }) => dtype === 'float32' || !floatOnly.includes(op));
  it.each(own.map(({ op, cases }) => [op, cases] as const))('%s', async (op, cases) => {
    for (const c of cases) {
      if (unlike[op]?.includes(c.name) || (dtype === 'float64' && c.name.startsWith('gelu'))) continue;
      const inputs = inputsOf(op, c, dtype).map((x) => x.detach());
      const want = noGrad(() => c.run(...inputs));
      const model = new Single(
        c.run,
        inputs.map(({ shape }) => shape),
        inputs.map((x) => x.dtype),
      );
      const bytes = encodeOnnx(model, { batch: 1, inputShape: inputs.map(({ shape }) => shape) });
      const feeds = inputs.map((x, i) => [`input_${i}`, x.reshape([1, ...x.shape])]);
      const { output } = await run(await session(bytes, dtype === 'float64'), Object.fromEntries(feeds));
      expectClose(output, want, `${op}, ${c.name}`);
    }
  });
});

it('goes over every rule', () => {
  const heard = new Set<keyof Traced>(['full', 'dropout', 'cumprod', 'lerp']);
  const listener: Listener = { note: (op) => void heard.add(op) };
  for (const { op, cases } of listed) {
    for (const c of cases)
      traced(listener, () => noGrad(() => c.run(...inputsOf(op, c, 'float32').map((x) => x.detach()))));
  }
  // What layers tell as a whole: recurrent.test.ts.
  heard.add('recurrent');
  expect([...heard].sort()).toEqual(Object.keys(rules).sort());
});
