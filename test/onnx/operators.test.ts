/** Operators beside what ONNX's own project and PyTorch say of them, where those are installed (python3-onnx, python3-torch). */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { AxpyError, importOnnx, type OnnxModel, type Tensor, tensor } from '../../lib/index.ts';
import {
  dataType,
  decodeModel,
  encodeModelProto,
  type ModelProto,
  type NodeProto,
} from '../../lib/onnx/schema.ts';
import { has, runPython } from '../files/python.ts';
import { difference, type Packed, unpack } from './models.ts';

/** Lines of JSON that a script prints; null where Python lacks a module. */
function linesOf<Line>(script: string, module: string): Line[] | null {
  if (!has(module)) return null;
  const text = runPython(fileURLToPath(new URL(script, import.meta.url)));
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const outputsOf = (model: OnnxModel, inputs: readonly Tensor[]) =>
  [model.forward(...inputs)].flat() as Tensor[];

interface Case {
  readonly name: string;
  readonly ops: readonly string[];
  readonly rtol: number;
  readonly atol: number;
  readonly model: string;
  readonly inputs: readonly Packed[];
  readonly outputs: readonly Packed[];
}

/** Where the library means something else, or nothing: with the reason. */
const others: Readonly<Record<string, string>> = {
  test_cast_FLOAT_to_FLOAT16: 'halves are floats here',
  test_cast_DOUBLE_to_FLOAT16: 'halves are floats here',
  test_castlike_FLOAT_to_FLOAT16: 'halves are floats here',
  test_castlike_FLOAT_to_FLOAT16_expanded: 'halves are floats here',
  test_castlike_DOUBLE_to_FLOAT16: 'halves are floats here',
  test_castlike_DOUBLE_to_FLOAT16_expanded: 'halves are floats here',
  test_cast_FLOAT_to_BFLOAT16: 'python3-onnx has bits for them',
  test_cast_BFLOAT16_to_FLOAT: 'python3-onnx has bits for them',
  test_castlike_FLOAT_to_BFLOAT16: 'python3-onnx has bits for them',
  test_castlike_FLOAT_to_BFLOAT16_expanded: 'python3-onnx has bits for them',
  test_castlike_BFLOAT16_to_FLOAT: 'python3-onnx has bits for them',
  test_castlike_BFLOAT16_to_FLOAT_expanded: 'python3-onnx has bits for them',
  test_training_dropout_default: 'the mode of the model decides',
  test_training_dropout: 'the mode of the model decides',
  test_maxpool_2d_uint8: 'pools are of floats',
  test_resize_tf_crop_and_resize: 'regions are refused',
  // As PyTorch and onnxruntime have it.
  test_resize_downsample_scales_linear_align_corners: 'the last pixel lies on the last one',
  test_resize_downsample_scales_cubic_align_corners: 'the last pixel lies on the last one',
};

/** What is refused in whole or in part, and so has cases that are not computed. */
const known = new Set(
  (
    'Acos Acosh Adagrad Adam Asin Asinh Atan Atanh Bernoulli BitShift BlackmanWindow Compress ConvInteger Cos Cosh DFT DequantizeLinear ' +
    'Det DynamicQuantizeLinear EyeLike GRU GatherND GridSample HammingWindow HannWindow LSTM Loop MatMulInteger MaxUnpool ' +
    'MelWeightMatrix Momentum NegativeLogLikelihoodLoss NonMaxSuppression NonZero OptionalGetElement OptionalHasElement Optional QLinearConv ' +
    'QLinearMatMul QuantizeLinear RNN RandomUniformLike RandomNormalLike ReverseSequence RoiAlign STFT Scan Scatter ScatterElements ScatterND ' +
    'SequenceAt SequenceConstruct SequenceInsert SequenceMap SequenceEmpty SequenceLength SequenceErase SplitToSequence ConcatFromSequence ' +
    'Sin Sinh SoftmaxCrossEntropyLoss StringNormalizer Tan TfIdfVectorizer TopK Unique ' +
    // The mask of Dropout, indices of MaxPool, dilated and three-dimensional pools and convolutions, statistics of a batch, traces.
    'Dropout MaxPool AveragePool ConvTranspose BatchNormalization Einsum Identity If'
  ).split(' '),
);

const cases = linesOf<Case>('conformance.py', 'onnx');

/** Inputs of the dtype that the model says. */
const inputsOf = (model: OnnxModel, given: readonly Packed[]): Tensor[] =>
  model.inputs.map(({ dtype }, i) =>
    tensor(Float64Array.from(unpack(given[i]).data), { shape: given[i].shape, dtype }),
  );

describe.skipIf(cases === null)('the cases of ONNX itself (where python3-onnx is installed)', () => {
  it('come out as they should, or are refused by name', async () => {
    let computed = 0;
    for (const { name, ops, model: text, inputs, outputs, rtol, atol } of cases!) {
      if (name in others) continue;
      let results: Tensor[];
      try {
        const model = (await importOnnx(bytesOf(text))).eval();
        results = outputsOf(model, inputsOf(model, inputs));
      } catch (error) {
        const { code, message } = error as AxpyError;
        expect(['AXPY_ARGUMENT', 'AXPY_FORMAT'], `${name}: ${message}`).toContain(code);
        expect(
          ops.some((op) => known.has(op)),
          `${name}: ${message}`,
        ).toBe(true);
        continue;
      }
      results.forEach((y, i) => {
        const expected = unpack(outputs[i]);
        expect(y.shape, name).toEqual(expected.shape);
        const far = Array.from(y.data as Float32Array).findIndex((own, j) => {
          const value = expected.data[j];
          return (
            own !== value &&
            !(Number.isNaN(own) && Number.isNaN(value)) &&
            !(Math.abs(own - value) <= atol + (rtol / 100) * Math.abs(value) + 1e-6)
          );
        });
        expect(far, `${name} ${y} ${expected}`).toBe(-1);
      });
      computed++;
    }
    expect(computed).toBeGreaterThan(600);
  });

  it('come out the same of images whose channels lie last', async () => {
    let tried = 0;
    for (const { name, model: text, inputs, outputs } of cases!) {
      if (name in others) continue;
      const proto = decodeModel(bytesOf(text));
      const last = withChannelsLast(proto);
      if (last === 0) continue;
      let model: OnnxModel;
      try {
        model = (await importOnnx(encodeModelProto(proto))).eval();
      } catch (error) {
        expect(error).toBeInstanceOf(AxpyError);
        continue;
      }
      tried++;
      outputsOf(model, inputsOf(model, inputs)).forEach((y, i) => {
        const expected = unpack(outputs[i]);
        expect(
          difference(y.cast('float64'), expected.cast('float64')),
          `${name} ${y} ${expected}`,
        ).toBeLessThan(1e-4);
      });
    }
    expect(tried).toBeGreaterThan(250);
  });
});

/** Puts a pool of one pixel, which changes nothing but where channels lie, behind each input of 3 or 4 axes. */
function withChannelsLast({ graph }: ModelProto): number {
  const { input: infos, node, output } = graph!;
  const weights = new Set(graph!.initializer.map(({ name }) => name));
  let count = 0;
  for (const { name, type } of infos) {
    const rank = type?.tensorType?.shape?.dim.length ?? 0;
    const isFloat = type?.tensorType?.elemType === dataType.float;
    if (weights.has(name) || !isFloat || (rank !== 3 && rank !== 4) || output.some((y) => y.name === name))
      continue;
    for (const each of node) each.input = each.input.map((own) => (own === name ? `${name} last` : own));
    const attribute = { name: 'kernel_shape', type: 7, ints: new Array<number>(rank - 2).fill(1) };
    node.unshift({
      opType: 'MaxPool',
      name: '',
      domain: '',
      docString: '',
      input: [name],
      output: [`${name} last`],
      attribute: [attribute],
    } as unknown as NodeProto);
    count++;
  }
  return count;
}

interface TorchCase {
  readonly name: string;
  readonly opset: number;
  readonly model: string;
  readonly inputs: readonly Packed[];
  readonly outputs: readonly Packed[];
  /** Of the sum of squares of the outputs, for each float input. */
  readonly gradients: readonly (Packed | null)[];
}

const programs = linesOf<TorchCase>('pytorch/programs.py', 'torch');

describe.skipIf(programs === null).each(programs ?? [])('$name of PyTorch, opset $opset', (own) => {
  it('computes and differentiates as PyTorch does', async () => {
    const model = (await importOnnx(bytesOf(own.model))).eval();
    const inputs = own.inputs.map((x, i) => (own.gradients[i] ? unpack(x).setRequiresGrad() : unpack(x)));
    const outputs = outputsOf(model, inputs);
    outputs.forEach((y, i) => {
      expect(
        difference(y.cast('float64'), unpack(own.outputs[i]).cast('float64')),
        `${y} ${unpack(own.outputs[i])}`,
      ).toBeLessThan(1e-5);
    });
    if (own.gradients.every((gradient) => gradient === null)) return;
    const differentiable = outputs.filter((y) => y.requiresGrad);
    differentiable
      .map((y) => y.square().sum())
      .reduce((a, b) => a.add(b))
      .backward();
    own.gradients.forEach((gradient, i) => {
      if (gradient === null) return;
      const expected = unpack(gradient);
      const largest = Math.max(1, ...expected.abs().data);
      const got = inputs[i].grad ?? expected.mul(0);
      expect(difference(got.div(largest), expected.div(largest)), `${got} ${expected}`).toBeLessThan(1e-5);
    });
  });
});
