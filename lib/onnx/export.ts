/** Models as files of ONNX, which other runtimes serve. */
import { checkPositive, describe, isArray, isRecord, readArray, readOptions } from '../arguments.ts';
import { ArgumentError, DtypeError } from '../errors.ts';
import { concatBytes } from '../files/bytes.ts';
import { type Path, replaceFile } from '../files/disk.ts';
import { settleRuns } from '../kernels/queue.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import { checkLayer, type ExampleShape, type Layer } from '../layers/layer.ts';
import type { Dtype, Storage } from '../memory.ts';
import { readShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { conversionFor } from '../train/conversion.ts';
import type { Tensors } from '../train/examples.ts';

import { version } from '../version.ts';
import { asIs, channelsFirst, Graph, type Value } from './graph.ts';
import type { OnnxType, Order } from './messages.ts';
import { rules } from './rules/index.ts';
import type { Rule } from './rules/rule.ts';
import { encodeModelParts } from './schema.ts';
import { type Forward, type Inputs, type Part, placeOf, type Step, traceForward } from './tracing.ts';

/** The version of ONNX's operators, and of its files, that are written. */
const [opset, irVersion] = [17, 8];

/** What a file of protobuf holds at most. */
const largest = 2 ** 31 - 1;

/** The shape of an example of each input, without the batch: of one, or of several as `forward` takes them. */
export type ExampleShapes = Shape | readonly ExampleShapes[] | { readonly [name: string]: ExampleShapes };

/** Where the channels are in images, or in sequences, that go in and come out. */
export type OnnxLayout = 'NHWC' | 'NCHW' | 'NLC' | 'NCL';

/** Options of `exportOnnx` and `encodeOnnx`. */
export interface OnnxOptions {
  /**
   * The shape of an example, without the batch; several, in an array or a record, for a model of several inputs. Default: that
   * of a Sequential that was given one.
   */
  inputShape?: ExampleShapes;
  /**
   * 'NHWC' (default) and 'NLC': inputs and outputs lie as they do here. 'NCHW': those of four axes have their channels in the
   * second, as in PyTorch; 'NCL': those of three axes have.
   */
  layout?: OnnxLayout;
  /** The size of the batch, if the file is to serve no other; default: any. */
  batch?: number;
  /** 'float32': a model of float64 is written in float32, for which alone onnxruntime has many ops. Default: as it is. */
  dtype?: 'float32';
  /** What inputs are called, in order. Default: 'input', or by the keys of records, or input_0, input_1, … */
  inputNames?: readonly string[];
  /** What outputs are called, in order. Default: 'output', or by the keys of records, or output_0, output_1, … */
  outputNames?: readonly string[];
  /** A text about the model. */
  description?: string;
}

const layouts: readonly OnnxLayout[] = ['NHWC', 'NCHW', 'NLC', 'NCL'];

/** How many inputs or outputs there may be. */
const most = 2 ** 10;

/**
 * Writes what a model computes in evaluation as a file of ONNX (opset 17), for onnxruntime and others. `forward` is called on
 * stand-ins, so that models of layers of one's own are written as well: all that is made of the library's ops, save losses and
 * random numbers, and that does not depend on values. Batches may have any size. Parameters have the names that they have
 * here, and their bits; weights of convolutions are transposed to ONNX's order.
 *
 *     await exportOnnx(model, 'model.onnx', { inputShape: [32, 32, 3], layout: 'NCHW' });
 *
 * Float64 stays float64, which ONNX has for all ops, and onnxruntime for some: see `dtype`.
 * @throws ArgumentError for a forward pass that no graph can have, and for options; ShapeError for shapes that the model does
 *   not take; FileError where the system refuses
 */
export async function exportOnnx(model: Layer, path: Path, options: OnnxOptions = {}): Promise<void> {
  const op = 'exportOnnx';
  await replaceFile(op, path, partsOf(op, model, options));
}

/** The same as bytes. @throws as `exportOnnx` */
export function encodeOnnx(model: Layer, options: OnnxOptions = {}): Uint8Array {
  return concatBytes(partsOf('encodeOnnx', model, options));
}

interface Own {
  readonly inputs: Named[];
  readonly arrange: Inputs['arrange'];
  readonly layout: OnnxLayout;
  readonly batch: number | null;
  readonly typeOf: (dtype: Dtype) => OnnxType;
  readonly outputNames: readonly string[] | undefined;
  readonly description: string;
}

interface Named {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: Dtype;
}

function partsOf(op: string, model: Layer, options: OnnxOptions): Uint8Array[] {
  refuseRecording(op);
  checkLayer(op, model);
  const own = readOnnxOptions(op, model, options);
  settleRuns();
  const forward = traceForward(op, model, { examples: own.inputs, arrange: own.arrange }, own.batch);
  const parts = encodeModelParts({
    irVersion,
    producerName: 'axpy',
    producerVersion: version,
    domain: '',
    modelVersion: 0,
    docString: own.description,
    graph: graphOf(op, model, forward, own),
    opsetImport: [{ domain: '', version: opset }],
    metadataProps: [],
    functions: [],
  });
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  if (bytes > largest) {
    throw new ArgumentError(
      `[${op}] expected a model of less than 2 GiB, as a file of ONNX holds no more, got one of ${bytes} bytes`,
    );
  }
  return parts;
}

// ── the graph ───────────────────────────────────────────────────────────────────────────────────────────────────────

function graphOf(op: string, model: Layer, forward: Forward, own: Own) {
  const names = namesOf(op, model, forward, own);
  const border = [...own.inputs.map(({ name }) => name), ...names.outputs];
  const graph = new Graph(op, own.typeOf, border, names.tensors.values());
  const values = new Map<number, Value>();
  const atBorder = (rank: number): Order => {
    const isFirst = (own.layout === 'NCHW' && rank === 4) || (own.layout === 'NCL' && rank === 3);
    return isFirst ? channelsFirst(rank) : asIs(rank);
  };
  forward.inputs.forEach(({ memory, shape, dtype }, i) => {
    values.set(memory, graph.input(own.inputs[i].name, shape, dtype, atBorder(shape.length)));
  });
  /** What a memory holds now, in the shape in which it is seen. */
  const read = ({ memory, shape, dtype }: Part): Value => {
    let value = values.get(memory);
    if (value === undefined) {
      const leaf = forward.leaves.get(memory)!;
      if (leaf.storage === null) return graph.filled(shape, leaf.fill, own.typeOf(dtype));
      value = graph.leaf(leaf.storage, leaf.values, names.tensors.get(leaf.storage));
      value = graph.reshaped(value, shape);
      values.set(memory, value);
    }
    return graph.reshaped(value, shape);
  };
  for (const step of forward.steps) {
    graph.scope = step.layer.path;
    graph.where = placeOf(step);
    const inputs = step.inputs.map((input) => (input === null ? undefined : read(input)));
    const { shape, dtype, memory } = step.output;
    const rule = rules[step.op] as unknown as Rule<Step['op']>;
    values.set(memory, rule(graph, inputs as Value[], step.attributes, { shape, type: own.typeOf(dtype) }));
  }
  graph.scope = '';
  graph.where = 'the output';
  const outputs = forward.outputs.map(([, part], i) => {
    const value = read(part);
    return { name: names.outputs[i], value, order: atBorder(value.rank) };
  });
  return graph.proto(model.label, outputs);
}

/** What outputs and tensors are called. @throws ArgumentError for a name that two have */
function namesOf(op: string, model: Layer, { outputs }: Forward, own: Own) {
  const named = [...model.namedParameters(), ...model.namedBuffers()] as [string, Tensor][];
  const tensors = new Map<Storage, string>(named.map(([name, { storage }]) => [storage, name]));
  const paths = outputs.map(([path]) => path);
  const given = own.outputNames;
  if (given !== undefined && given.length !== paths.length) {
    throw new ArgumentError(`[${op}] expected ${paths.length} outputNames, got ${given.length}`);
  }
  const names = given ?? paths.map((path) => defaultName('output', path));
  checkNames(op, [...own.inputs.map(({ name }) => name), ...names]);
  return { tensors, outputs: names };
}

/** Of a path in a tree: keys are names, positions are numbers behind one. */
function defaultName(kind: 'input' | 'output', path: string): string {
  if (path === '') return kind;
  return /^\d/.test(path) ? `${kind}_${path}` : path;
}

/** @throws ArgumentError for two of one name: in a graph each value has its own */
function checkNames(op: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new ArgumentError(
    `[${op}] expected inputs and outputs of different names, got two called ${describe(twice)}: give inputNames or outputNames`,
  );
}

// ── options ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function readOnnxOptions(op: string, model: Layer, options: OnnxOptions): Own {
  const given = readOptions(op, options, [
    'inputShape',
    'layout',
    'batch',
    'dtype',
    'inputNames',
    'outputNames',
    'description',
  ]);
  const { layout = 'NHWC', batch, dtype, description = '' } = given;
  if (!layouts.includes(layout)) {
    throw new ArgumentError(
      `[${op}] expected layout to be one of ${layouts.join(', ')}, got ${describe(layout)}`,
    );
  }
  if (batch !== undefined) checkPositive(op, 'batch', batch);
  if (dtype !== undefined && dtype !== 'float32') {
    throw new DtypeError(`[${op}] expected dtype to be float32 or left out, got ${describe(dtype)}`);
  }
  if (typeof description !== 'string') {
    throw new ArgumentError(`[${op}] expected description to be a text, got ${describe(description)}`);
  }
  const shapes = given.inputShape ?? exampleOf(model);
  if (shapes === undefined) {
    throw new ArgumentError(
      `[${op}] expected inputShape, the shape of an example without the batch, got none, and a model that does not tell it`,
    );
  }
  const { inputDtype } = conversionFor(model);
  const { leaves, arrange } = readShapes(op, shapes);
  const inputNames = readNames(op, 'inputNames', given.inputNames);
  if (inputNames !== undefined && inputNames.length !== leaves.length) {
    throw new ArgumentError(`[${op}] expected ${leaves.length} inputNames, got ${inputNames.length}`);
  }
  return {
    inputs: leaves.map(({ path, shape }, i) => ({
      name: inputNames?.[i] ?? defaultName('input', path),
      shape,
      dtype: inputDtype(path),
    })),
    arrange,
    layout,
    batch: batch ?? null,
    typeOf: (own) => (own === 'float64' ? (dtype ?? own) : own),
    outputNames: readNames(op, 'outputNames', given.outputNames),
    description,
  };
}

/** What a Sequential was told, perhaps one within it. */
function exampleOf(model: Layer): ExampleShape {
  let layer: Layer | undefined = model;
  for (let depth = 0; layer !== undefined && depth < 100; depth++) {
    const chain: ReturnType<Layer['chain']> = layer.chain();
    if (chain === null || chain.inputShape !== undefined) return chain?.inputShape;
    layer = chain.layers[0];
  }
  return undefined;
}

function readNames(op: string, option: string, given: readonly string[] | undefined): string[] | undefined {
  if (given === undefined) return undefined;
  const refuse = (got: string) =>
    new ArgumentError(`[${op}] expected ${option} to be an array of different texts, got ${got}`);
  const names = readArray(given, most, refuse);
  for (const name of names) if (typeof name !== 'string' || name === '') throw refuse(describe(name));
  checkNames(op, names);
  return names;
}

/** Shapes in a tree, each read once, and the way to put tensors in their places. */
function readShapes(
  op: string,
  shapes: ExampleShapes,
): { leaves: { path: string; shape: Shape }[]; arrange: Inputs['arrange'] } {
  const leaves: { path: string; shape: Shape }[] = [];
  type Arrange = (tensors: readonly Tensor[]) => Tensors;
  const visit = (tree: ExampleShapes, path: string, depth: number): Arrange => {
    const under = (key: string | number) => (path === '' ? String(key) : `${path}.${key}`);
    if (depth > 64 || leaves.length > most) {
      throw new ArgumentError(
        `[${op}] expected inputShape of ${most} shapes at most, nested at most 64 deep, got more`,
      );
    }
    if (isArray(tree) && (tree.length === 0 || !isTree(tree[0]))) {
      leaves.push({ path, shape: readShape(op, tree as Shape) });
      const at = leaves.length - 1;
      return (tensors) => tensors[at];
    }
    if (isArray(tree)) {
      const items = readArray(
        tree as readonly ExampleShapes[],
        most,
        (got) => new ArgumentError(`[${op}] expected inputShape of ${most} shapes at most, got ${got}`),
      ).map((item, i) => visit(item, under(i), depth + 1));
      return (tensors) => items.map((item) => item(tensors));
    }
    if (!isRecord(tree)) {
      throw new ArgumentError(
        `[${op}] expected inputShape to be a shape, or shapes in arrays and records, got ${describe(tree)}`,
      );
    }
    const entries = Object.entries(tree as Record<string, ExampleShapes>).map(
      ([name, item]) => [name, visit(item, under(name), depth + 1)] as const,
    );
    return (tensors) => Object.fromEntries(entries.map(([name, item]) => [name, item(tensors)]));
  };
  const arrange = visit(shapes, '', 0);
  if (leaves.length === 0)
    throw new ArgumentError(`[${op}] expected inputShape of at least one shape, got none`);
  return { leaves, arrange };
}

const isTree = (value: unknown): boolean => isArray(value) || isRecord(value);
