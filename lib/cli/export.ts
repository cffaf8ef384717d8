/** `axpy export`: a model in the formats of others. */
import { writeFile } from 'node:fs/promises';
import {
  type AnyModel,
  exportOnnx,
  type Layer,
  loadModel,
  StringLookup,
  safetensorsHeader,
  saveNpz,
  saveWeights,
} from '../index.ts';
import { type Command, type Given, textOf, UsageError } from './command.ts';
import { type Description, descriptionIn } from './description.ts';
import { checkOutputs } from './files.ts';
import { inputsOf } from './inputs.ts';
import { note } from './terminal.ts';

const op = 'export';

/** The shape of an example, as 28,28,1. */
function readShape(given: Given): number[] | undefined {
  const text = textOf(given, 'shape');
  if (text === undefined) return undefined;
  const shape = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (shape.every((length) => Number.isInteger(length) && length > 0)) return shape;
  throw new UsageError(`[${op}] expected --shape to be that of an example, as 28,28,1, got ${text}`);
}

/** The words that a model knows, by the names of inputs. */
function wordsOf(model: Layer): Map<string, readonly string[]> {
  const words = new Map<string, readonly string[]>();
  for (const [path, layer] of model.namedLayers()) {
    if (!(layer instanceof StringLookup)) continue;
    // Columns is the first layer, and a StringLookup the first of those of a column.
    words.set(path.replace(/^0\./, '').replace(/\.0$/, ''), layer.vocabulary);
  }
  return words;
}

/** What whoever runs the file has to know: which index each word has, what is put where nothing is, which output is which class. */
function guideOf(description: Description, model: Layer): object {
  const words = wordsOf(model);
  const inputs = description.columns.flatMap((column) =>
    inputsOf(column).map(({ name, kind }) =>
      kind === 'number'
        ? {
            name,
            dtype: 'float32',
            shape: ['batch', 1],
            ...(column.kind !== 'category' && column.name === name ? { missing: column.fill } : {}),
          }
        : { name, dtype: 'int32', shape: ['batch'], unknown: 0, vocabulary: words.get(name), first: 1 },
    ),
  );
  const { target, classes } = description;
  return { target, ...(classes === undefined ? {} : { classes }), inputs };
}

async function writeOnnx(
  path: string,
  model: AnyModel,
  description: Description | undefined,
  shape: number[] | undefined,
): Promise<void> {
  if (description === undefined) {
    await exportOnnx(model, path, shape === undefined ? {} : { inputShape: shape });
    note(`${path}: ONNX`);
    return;
  }
  const inputs = description.columns.flatMap(inputsOf);
  const inputShape = Object.fromEntries(inputs.map(({ name, kind }) => [name, kind === 'number' ? [1] : []]));
  // onnxruntime has no Elu for float64.
  await exportOnnx(model, path, { inputShape, dtype: 'float32' });
  const guide = `${path}.json`;
  await writeFile(guide, `${JSON.stringify(guideOf(description, model), null, 2)}\n`);
  note(`${path}: ONNX; categories are indices there, ${guide} says which`);
}

async function run(given: Given): Promise<number> {
  const [path] = given.files;
  const [onnx, npz, weights] = ['onnx', 'npz', 'weights'].map((key) => textOf(given, key));
  if (onnx === undefined && npz === undefined && weights === undefined) {
    throw new UsageError(`[${op}] expected --onnx, --npz or --weights, and a file for it, got none`);
  }
  await checkOutputs(op, [onnx, npz, weights], [path]);
  const shape = readShape(given);
  const { metadata } = await safetensorsHeader(path);
  const model = await loadModel<AnyModel>(path);
  if (onnx !== undefined) await writeOnnx(onnx, model, descriptionIn(op, path, metadata), shape);
  if (npz !== undefined) {
    await saveNpz(npz, model.stateDict());
    note(`${npz}: arrays of NumPy by the names of parameters and buffers`);
  }
  if (weights !== undefined) {
    const isTorch = given.values.pytorch === true;
    await saveWeights(weights, model, isTorch ? { convention: 'pytorch' } : {});
    note(`${weights}: weights${isTorch ? " in PyTorch's convention" : ''}, safetensors`);
  }
  return 0;
}

export const command: Command = {
  name: op,
  files: ['model.safetensors'],
  text: 'Writes a model in other formats.',
  options: {
    onnx: { type: 'string', value: 'FILE', text: 'ONNX, opset 17' },
    shape: {
      type: 'string',
      value: 'N,N',
      text: 'of an example, where the model does not know it: for --onnx',
    },
    npz: { type: 'string', value: 'FILE', text: 'parameters and buffers as arrays of NumPy' },
    weights: { type: 'string', value: 'FILE', text: 'parameters and buffers as safetensors' },
    pytorch: { type: 'boolean', text: "weights in PyTorch's convention" },
  },
  examples: ['axpy export model.safetensors --onnx model.onnx'],
  run,
};
