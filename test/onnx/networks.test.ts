/** Whole networks: in onnxruntime, and in the eyes of ONNX's own checker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeOnnx, exportOnnx, seed, type Tensor, toChannelsFirst } from '../../lib/index.ts';
import { decodeModel } from '../../lib/onnx/schema.ts';
import { has, runPython } from '../files/python.ts';
import { inputsFor, networks, trained, vgg } from './networks.ts';
import { expectSame, runtime, session } from './runtime.ts';

const layouts = ['NHWC', 'NCHW'] as const;

const hasChecker = has('onnx');
if (!hasChecker) console.warn('Python has no onnx here, so that its checker does not look at the files');

/** What is said of a file whose shapes are inferred as well, each with what is declared. */
const check = `
import sys, onnx
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    outputs = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    print(model.producer_name, model.opset_import[0].version, outputs)
`;

describe.each(Object.entries(networks))('%s', (name, network) => {
  it.skipIf(runtime === null)('predicts the same, for batches of 1 and 5, in both layouts', async () => {
    seed(5);
    const model = trained(network);
    for (const layout of layouts) {
      const served = await session(encodeOnnx(model, { inputShape: network.inputShape, layout }));
      const border = (x: Tensor) => (x.rank === 4 && layout === 'NCHW' ? toChannelsFirst(x) : x);
      for (const batch of [1, 5]) {
        const x = inputsFor(network, batch);
        await expectSame(model, served, [x], x, `${name}, ${layout}`, border);
      }
    }
  });

  it('has a Transpose where channels move, and no other', () => {
    const model = network.make();
    for (const layout of layouts) {
      const { graph } = decodeModel(encodeOnnx(model, { inputShape: network.inputShape, layout }));
      const transposes = graph!.node.filter(({ opType }) => opType === 'Transpose');
      expect(
        transposes.map(({ name: own }) => own),
        layout,
      ).toHaveLength(network.transposes[layout]);
    }
  });

  it.skipIf(!hasChecker)('is a model in the eyes of the checker', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'axpy-onnx-'));
    try {
      const model = network.make();
      const paths = layouts.map((layout) => join(folder, `${layout}.onnx`));
      for (const [i, layout] of layouts.entries()) {
        await exportOnnx(model, paths[i], { inputShape: network.inputShape, layout });
      }
      const lines = runPython('-c', check, ...paths)
        .trim()
        .split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toMatch(/^axpy 17 \[\['batch', /);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it('keeps every bit of the weights, those of convolutions in the order of ONNX', () => {
  const model = vgg(4, 8);
  const { graph } = decodeModel(encodeOnnx(model));
  const state = model.stateDict();
  expect(
    graph!.initializer
      .filter(({ name }) => name in state)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(Object.keys(state).sort());
  for (const { name, dims, rawData } of graph!.initializer) {
    const own = state[name];
    if (own === undefined) continue;
    const want = own.rank === 4 ? toChannelsFirst(own) : own;
    expect(dims, name).toEqual(want.shape);
    expect(Buffer.from(rawData), name).toEqual(
      Buffer.from(want.data.buffer, want.data.byteOffset, want.data.byteLength),
    );
  }
});
