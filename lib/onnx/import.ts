/** From a file of ONNX to a layer: what the file says is checked, and written down as a config that needs no file. */
import { describe, readList, readOptions } from '../arguments.ts';
import { ArgumentError, FormatError, inNameOf } from '../errors.ts';
import { type Source, withSource } from '../files/disk.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import type { Json } from '../layers/config.ts';
import type { Dtype } from '../memory.ts';
import { fromChannelsFirst } from '../ops/channels.ts';
import { transpose } from '../ops/transpose.ts';
import { warn } from '../platform.ts';
import { elements, Tensor } from '../tensor.ts';
import { elementOf, typeName } from './elements.ts';
import { isFloat, mostKnown } from './known.ts';
import { type GraphConfig, labelOf, type NodeConfig, Refusal, shortName } from './node.ts';
import { OnnxModel, type OnnxModelOptions, type OnnxTensor, type OnnxValue } from './onnxModel.ts';
import { operatorOf } from './operators/index.ts';
import {
  type AttributeProto,
  attributeType,
  decodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './schema.ts';
import { type FileTensor, isExternal, numbersOf, readExternal, readTensorProto } from './tensors.ts';

/** Options of `importOnnx`. */
export interface ImportOnnxOptions {
  /**
   * The values to return, by their names in the file, also inner ones: the features before the last layer, say. What they do
   * not need is left out. Default: the outputs of the file.
   */
  outputs?: readonly string[];
  /** How images, inputs and outputs of four axes, are given and returned: 'NCHW' (default), as the file says, or 'NHWC'. */
  layout?: 'NCHW' | 'NHWC';
}

/** The versions of ONNX's operators that are understood, with what differs between them. */
const [oldest, newest] = [7, 21];
const op = 'importOnnx';
/** How deep graphs may lie in each other. */
const deepest = 8;
/** How many values a constant has that stays a number in the graph, and is no buffer. */
const mostFloats = 64;
/** How many inner values a message names. */
const mostNamed = 12;
/** How many there may be of what a config lists. */
const mostListed = 2 ** 16;

/**
 * Reads a model of ONNX as a layer that can predict and be trained.
 *
 *     const model = await importOnnx('resnet18.onnx');
 *     const scores = await predict(model, images); // [batch, 3, 224, 224], as the file says
 *
 * Its float initializers are parameters, under their names in the file; running statistics of BatchNormalization and
 * constants are buffers. Halves become float32, which holds all of them; integers become int32. docs/files.md lists the
 * operators, and how to export a model so that it can be trained on.
 * @param source a path, a file: URL, or the bytes; numbers in files beside it want a path
 * @throws FormatError for what is no such file, with what and where; ArgumentError for operators that are not known here, all
 *   in one, and for options; FileError where the system refuses to read
 */
export async function importOnnx(source: Source, options: ImportOnnxOptions = {}): Promise<OnnxModel> {
  refuseRecording(op);
  const { outputs, layout = 'NCHW' } = readOptions(op, options, ['outputs', 'layout']);
  const wanted = outputs === undefined ? null : readList(op, 'outputs', outputs);
  if (layout !== 'NCHW' && layout !== 'NHWC') {
    throw new ArgumentError(`[${op}] expected layout to be NCHW or NHWC, got ${describe(layout)}`);
  }
  return withSource(op, source, async (file) => {
    const proto = decodeModel(await file.read(0, file.size));
    const graph = new FileGraph(proto, wanted);
    const model = graph.explaining(() =>
      inNameOf(op, 'OnnxModel', () => new OnnxModel(graph.config(layout))),
    );
    const buffers = new Map([...model.namedParameters(), ...model.namedBuffers()]);
    const { tensors } = graph;
    const fill = (own: FileTensor, bytes?: Uint8Array) => {
      const entry = graph.entries.get(own.name)!;
      const numbers = numbersOf(own, bytes);
      if (entry.kind === 'integers') checkIntegers(own, numbers);
      const x = new Tensor(numbers, own.shape, entry.dtype);
      const { storage } = { first: () => x, last: () => fromChannelsFirst(x), turned: () => transpose(x) }[
        entry.form
      ]();
      // Not by `data`, after which every save would copy them.
      elements(buffers.get(own.name)!).set(storage.array as Float32Array);
    };
    const held = [...tensors.values()].filter(({ name }) => graph.entries.has(name));
    for (const own of held) if (!isExternal(own.proto)) fill(own);
    await readExternal(op, file, held, fill);
    return model;
  });
}

function checkIntegers({ name }: FileTensor, numbers: ArrayLike<number>): void {
  for (let i = 0; i < numbers.length; i++) {
    if ((numbers[i] | 0) === numbers[i]) continue;
    throw new FormatError(
      `tensor '${shortName(name)}': expected integers of 32 bits, got ${numbers[i]} at position ${i}`,
    );
  }
}

/** Of which operators an input is one that has to be known: it is no weight. */
const knownInputs: Readonly<Record<string, readonly number[]>> = {
  Resize: [1, 2, 3],
  Upsample: [1],
  Clip: [1, 2],
  Pad: [2],
  Dropout: [1],
  OneHot: [1, 2],
  Range: [0, 1, 2],
};

/** Names that exporters give to what they computed or wrote down: PyTorch's onnx::Div_3, Keras's Const__12. */
const isMadeUp = (name: string) => /^onnx::|^\/|^_?\d+$|(^|[^a-z])const(ant)?([^a-z]|$)/i.test(name);

/** What is in a file, as a config. */
class FileGraph {
  readonly tensors = new Map<string, FileTensor>();
  readonly entries = new Map<string, OnnxTensor>();
  private readonly constants: Record<string, Json> = Object.create(null) as Record<string, Json>;
  /** Tensors of what are no numbers, and why they cannot be read. */
  private readonly texts = new Map<string, string>();
  /** Tensors of Constant nodes, which are no weights. */
  private readonly made = new Set<string>();
  private readonly nodes: NodeConfig[];
  private readonly opset: number;
  private readonly outputs: readonly OnnxValue[];
  private readonly graph: GraphProto;
  private readonly reads: Uses;
  /** Whether outputs were asked for, which may need fewer inputs. */
  private readonly isCut: boolean;

  constructor(model: ModelProto, wanted: readonly string[] | null) {
    const { graph } = model;
    if (graph === null) throw new FormatError('expected a model with a graph, got one without');
    this.graph = graph;
    this.opset = opsetOf(model);
    const all = this.convert(graph, 'graph', 0);
    this.checkNames(all.nodes);
    this.outputs = this.outputsOf(wanted, all.nodes);
    this.nodes = needed(all.nodes, this.outputs);
    this.isCut = wanted !== null;
    const constants = Object.keys(this.constants);
    const reads = this.usesOf(this.nodes);
    this.reads = reads;
    for (const [name, message] of this.texts) {
      if (reads.has(name)) throw new ArgumentError(`[${op}] ${message}`);
    }
    for (const name of constants) if (!reads.has(name) && !this.isOutput(name)) delete this.constants[name];
    for (const own of this.tensors.values())
      if (reads.has(own.name) || this.isOutput(own.name)) this.place(own, reads.get(own.name) ?? []);
  }

  config(layout: OnnxModelOptions['layout']): Readonly<Record<string, Json>> {
    const inputs = this.graph.input
      .filter(({ name }) => !this.tensors.has(name) && (!this.isCut || this.reads.has(name)))
      .map((info, i) => infoOf(info, `graph.input[${i}]`));
    const config: OnnxModelOptions = {
      inputs,
      outputs: this.outputs,
      tensors: [...this.entries.values()],
      constants: { ...this.constants },
      nodes: this.nodes,
      opset: this.opset,
      layout,
    };
    return { ...(config as object) };
  }

  /** Runs `fn`, whose error about operators then says which outputs need none of them. */
  explaining<Result>(fn: () => Result): Result {
    try {
      return fn();
    } catch (error) {
      const isKnown = (node: NodeConfig) => node.op === 'If' || operatorOf(node.op) !== undefined;
      if (!(error instanceof ArgumentError) || this.nodes.every(isKnown)) throw error;
      const free = this.outputs.filter((output) => needed(this.nodes, [output]).every(isKnown));
      if (free.length === 0) throw error;
      const names = free.map(({ name }) => `'${shortName(name)}'`).join(', ');
      throw new ArgumentError(
        `${error.message}; without them there are the outputs [${names}]: see the option outputs`,
      );
    }
  }

  private isOutput(name: string): boolean {
    return this.outputs.some((output) => output.name === name);
  }

  /** What is returned. @throws ArgumentError for a name that is no value of the file */
  private outputsOf(wanted: readonly string[] | null, nodes: readonly NodeConfig[]): OnnxValue[] {
    const infos = new Map([...this.graph.valueInfo, ...this.graph.output].map((info) => [info.name, info]));
    if (wanted === null) {
      if (this.graph.output.length === 0)
        throw new FormatError('graph.output: expected an output at least, got none');
      return this.graph.output.map((info, i) => infoOf(info, `graph.output[${i}]`));
    }
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    if (wanted.length === 0) throw new ArgumentError(`[${op}] expected a name at least in outputs, got none`);
    return wanted.map((name) => {
      if (typeof name !== 'string' || name === '' || !made.has(name)) {
        const own = this.graph.output.map((info) => shortName(info.name)).join(', ');
        const inner = [...made].slice(-mostNamed).map(shortName).join(', ');
        throw new ArgumentError(
          `[${op}] expected outputs to be values of the model, as its own (${own}) or inner ones (the last are ${inner}), got ${describe(name)}`,
        );
      }
      const info = infos.get(name);
      return info ? infoOf(info, `value '${shortName(name)}'`) : { name, dtype: 'float32', shape: null };
    });
  }

  // ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Nodes without those that are constants, which are kept beside them, as initializers are. */
  private convert(graph: GraphProto, path: string, depth: number): GraphConfig {
    if (depth > deepest)
      throw new FormatError(`${path}: expected graphs at most ${deepest} deep, got a deeper one`);
    if (graph.node.length > mostListed || graph.initializer.length > mostListed) {
      throw new FormatError(`${path}: expected at most ${mostListed} nodes and initializers, got more`);
    }
    if (graph.sparseInitializer.length > 0) {
      throw new ArgumentError(
        `[${op}] expected tensors that have all their numbers, got ${path}.sparse_initializer`,
      );
    }
    for (const proto of graph.initializer) this.keep(proto, proto.name);
    const nodes: NodeConfig[] = [];
    graph.node.forEach((proto, i) => {
      const node = this.node(proto, `${path}.node[${i}]`, depth);
      if (node.op === 'Constant') this.constant(proto, node);
      else nodes.push(node);
    });
    return { nodes, outputs: graph.output.map(({ name }) => name) };
  }

  /** @throws FormatError for a value that comes from two places */
  private checkNames(nodes: readonly NodeConfig[]): void {
    const names = new Set(this.tensors.keys());
    // An initializer may be among the inputs, which it then has a value for.
    for (const { name } of this.graph.input) {
      if (names.has(name) && !this.tensors.has(name)) {
        throw new FormatError(`graph.input: expected each name once, got '${shortName(name)}' twice`);
      }
      names.add(name);
    }
    for (const node of nodes) {
      for (const name of node.outputs) {
        if (name === '') continue;
        if (names.has(name) || Object.hasOwn(this.constants, name)) {
          throw new FormatError(
            `${labelOf(node)}: expected a name of its own for '${shortName(name)}', got one that is taken`,
          );
        }
        names.add(name);
      }
    }
  }

  private keep(proto: TensorProto, name: string): void {
    if (name === '' || name === '__proto__')
      throw new FormatError(`expected names of initializers, got '${name}'`);
    if (this.tensors.has(name) || this.texts.has(name)) {
      throw new FormatError(`tensor '${shortName(name)}': expected one of its name, got two`);
    }
    try {
      this.tensors.set(name, readTensorProto(proto, name));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // Labels of classes, say, which perhaps nobody reads.
      this.texts.set(name, error.message);
    }
  }

  private node(proto: NodeProto, path: string, depth: number): NodeConfig {
    const { name, input, output, opType, domain } = proto;
    const isOwn = domain === '' || domain === 'ai.onnx';
    if (input.length > mostListed || output.length > mostListed) {
      throw new FormatError(`${path}: expected at most ${mostListed} inputs and outputs, got more`);
    }
    const label = `node '${shortName(name || output[0] || path)}' (${shortName(opType)})`;
    if (opType === '') throw new FormatError(`${path}: expected an operator, got none`);
    if (output.length === 0) throw new FormatError(`${label}: expected an output at least, got none`);
    const attributes: Record<string, Json> = Object.create(null) as Record<string, Json>;
    for (const attribute of proto.attribute) {
      if (Object.hasOwn(attributes, attribute.name)) {
        throw new FormatError(`${label}: expected one attribute ${shortName(attribute.name)}, got two`);
      }
      if (isOwn && opType === 'Constant') continue;
      attributes[attribute.name] = this.attribute(attribute, label, depth);
    }
    return {
      op: isOwn ? opType : `${domain}:${opType}`,
      name,
      inputs: input,
      outputs: output,
      attributes: { ...attributes },
    };
  }

  private attribute(own: AttributeProto, label: string, depth: number): Json {
    const refuse = (got: string) =>
      new FormatError(`${label}: expected attribute ${shortName(own.name)} to have a value, got ${got}`);
    if (own.refAttrName !== '') throw refuse('a reference to one of a function');
    switch (own.type || typeOf(own)) {
      case attributeType.float:
        return own.f;
      case attributeType.int:
        return own.i;
      case attributeType.string:
        return new TextDecoder().decode(own.s);
      case attributeType.floats:
        return listed(own.floats, refuse);
      case attributeType.ints:
        return listed(own.ints, refuse);
      case attributeType.strings:
        return listed(own.strings, refuse).map((text) => new TextDecoder().decode(text));
      case attributeType.tensor: {
        if (own.t === null) throw refuse('none');
        const value = readTensorProto(own.t, `${own.name} of ${label}`);
        if (value.size > mostKnown) throw refuse(`a tensor of ${value.size} numbers`);
        return knownOf(value);
      }
      case attributeType.graph:
        if (own.g === null) throw refuse('none');
        return this.convert(own.g, label, depth + 1) as unknown as Json;
      default:
        // One that no operator here reads, or that the operator will miss.
        return null;
    }
  }

  /** A Constant as what an initializer would be, but that it is no weight. */
  private constant({ attribute, output: [name] }: NodeProto, node: NodeConfig): void {
    const label = `node '${shortName(node.name || name)}' (Constant)`;
    const [own] = attribute;
    if (own === undefined || name === '' || name === '__proto__') {
      throw new FormatError(
        `${label}: expected a value and a name, got ${own === undefined ? 'no value' : `'${name}'`}`,
      );
    }
    if (Object.hasOwn(this.constants, name))
      throw new FormatError(`${label}: expected a name of its own, got one twice`);
    if (own.name === 'value') {
      if (own.t === null) throw new FormatError(`${label}: expected a tensor as its value, got none`);
      this.keep(own.t, name);
      this.made.add(name);
      return;
    }
    const forms: Readonly<Record<string, Json>> = {
      value_float: { dtype: 'float32', shape: [], values: [own.f] },
      value_floats: { dtype: 'float32', shape: [own.floats.length], values: own.floats },
      value_int: { dtype: 'int', shape: [], values: [own.i] },
      value_ints: { dtype: 'int', shape: [own.ints.length], values: own.ints },
    };
    if (!Object.hasOwn(forms, own.name)) {
      this.texts.set(name, `${label}: expected numbers as its value, got ${shortName(own.name)}`);
      return;
    }
    if (own.floats.length + own.ints.length > mostKnown) {
      throw new FormatError(`${label}: expected at most ${mostKnown} numbers in a list, got more`);
    }
    this.constants[name] = forms[own.name];
  }

  // ── tensors ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Who reads a name, and as which input. */
  private usesOf(nodes: readonly NodeConfig[], uses: Uses = new Map()): Uses {
    const add = (name: string, use: Use) => {
      const list = uses.get(name);
      if (list === undefined) uses.set(name, [use]);
      else list.push(use);
    };
    for (const node of nodes) {
      node.inputs.forEach((name, input) => {
        add(name, { node, input });
      });
      for (const branch of branchesOf(node)) {
        this.usesOf(branch.nodes, uses);
        for (const name of branch.outputs) add(name, { node, input: -1 });
      }
    }
    return uses;
  }

  /** Decides what a tensor is in the model: a number of the graph, a parameter or a buffer. */
  private place(own: FileTensor, uses: readonly Use[]): void {
    const { name, element, shape, size } = own;
    const isOf = (ops: Readonly<Record<string, readonly number[]>>) =>
      uses.length > 0 &&
      uses.every(({ node, input }) => Object.hasOwn(ops, node.op) && ops[node.op].includes(input));
    const isMade = this.made.has(name);
    // Written down as a constant or not, training moves them.
    const isStatistic = isOf({ BatchNormalization: [3, 4] });
    const isKnown = isFloat(element)
      ? isOf(knownInputs) || (isMade && size <= mostFloats) || (shape.length === 0 && isMadeUp(name))
      : true;
    if (isKnown && !isStatistic && size <= mostKnown && !isExternal(own.proto)) {
      this.constants[name] = knownOf(own);
      return;
    }
    if (!isFloat(element)) {
      this.entries.set(name, { name, shape, dtype: 'float64', kind: 'integers', form: 'first' });
      return;
    }
    const isParameter = !isMade && !isStatistic && !hasInfinities(own);
    const form = formOf(shape, uses);
    const lies = {
      first: shape,
      last: [shape[0], ...shape.slice(2), shape[1]],
      turned: [shape[1], shape[0]],
    }[form];
    const kind = isParameter ? 'parameter' : 'buffer';
    this.entries.set(name, { name, shape: lies, dtype: element, kind, form });
  }
}

interface Use {
  readonly node: NodeConfig;
  readonly input: number;
}

type Uses = Map<string, Use[]>;

/** How a weight lies best: as those of axpy's layers, where it is one. */
function formOf(shape: readonly number[], uses: readonly Use[]): OnnxTensor['form'] {
  const isWeight = ({ node, input }: Use) =>
    input === 1 && (node.op === 'Conv' || node.op === 'ConvTranspose');
  if ((shape.length === 3 || shape.length === 4) && uses.some(isWeight)) return 'last';
  const isFactor = ({ node: { op, attributes }, input }: Use) =>
    input === 1 && (op === 'MatMul' || (op === 'Gemm' && !attributes.transB));
  return shape.length === 2 && uses.some(isFactor) ? 'turned' : 'first';
}

/** A mask with infinities in it is no weight: an optimizer would make NaN of it. */
function hasInfinities(own: FileTensor): boolean {
  return !isExternal(own.proto) && !numbersOf(own).every(Number.isFinite);
}

const branchesOf = ({ op, attributes }: NodeConfig): GraphConfig[] =>
  op === 'If'
    ? (Object.values(attributes) as unknown as GraphConfig[]).filter((branch) => Array.isArray(branch?.nodes))
    : [];

/** The nodes that something wanted needs, in their order. */
function needed(nodes: readonly NodeConfig[], outputs: readonly OnnxValue[]): NodeConfig[] {
  const makers = new Map<string, NodeConfig>();
  for (const node of nodes) for (const name of node.outputs) makers.set(name, node);
  const kept = new Set<NodeConfig>();
  const open = outputs.map(({ name }) => name);
  const reads = (list: readonly NodeConfig[]) => {
    for (const node of list) {
      open.push(...node.inputs);
      for (const branch of branchesOf(node)) {
        reads(branch.nodes);
        open.push(...branch.outputs);
      }
    }
  };
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name);
    if (node === undefined || kept.has(node)) continue;
    kept.add(node);
    reads([node]);
  }
  return nodes.filter((node) => kept.has(node));
}

/** The type that an attribute has of a writer that did not say it. */
function typeOf({ t, g, ints, floats, strings, s, f }: AttributeProto): number {
  if (t !== null) return attributeType.tensor;
  if (g !== null) return attributeType.graph;
  if (ints.length > 0) return attributeType.ints;
  if (floats.length > 0) return attributeType.floats;
  if (strings.length > 0) return attributeType.strings;
  if (s.length > 0) return attributeType.string;
  return f !== 0 ? attributeType.float : attributeType.int;
}

function listed<Item>(items: readonly Item[], refuse: (got: string) => Error): Item[] {
  if (items.length <= mostListed) return [...items];
  throw refuse(`${items.length} of them`);
}

function knownOf(own: FileTensor): Json {
  return { dtype: own.element, shape: own.shape, values: [...numbersOf(own)] };
}

/** An input or an output, as the file declares it. */
function infoOf({ name, type }: ValueInfoProto, path: string): OnnxValue {
  if (name === '') throw new FormatError(`${path}: expected a name, got none`);
  const tensorType = type?.tensorType ?? null;
  // PyTorch leaves it out of outputs that it does not know.
  if (type === null) return { name, dtype: 'float32', shape: null };
  if (tensorType === null) {
    throw new ArgumentError(
      `[${op}] expected ${path} '${shortName(name)}' to be a tensor, got a sequence or a map: name other values in outputs`,
    );
  }
  const element = elementOf(tensorType.elemType);
  if (element === null) {
    throw new ArgumentError(
      `[${op}] expected ${path} '${shortName(name)}' to be of numbers, got ${typeName(tensorType.elemType)}`,
    );
  }
  const dtype: Dtype = isFloat(element) ? element : 'int32';
  const shape = tensorType.shape?.dim.map(({ dimValue, dimParam }) => {
    if (dimParam !== '') return dimParam;
    if (dimValue < 0) throw new FormatError(`${path}: expected sizes of at least 0, got ${dimValue}`);
    return dimValue === 0 ? null : dimValue;
  });
  return { name, dtype, shape: shape ?? null };
}

function opsetOf({ opsetImport }: ModelProto): number {
  const own = opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx');
  if (own === undefined) throw new FormatError('opset_import: expected the version of ONNX, got none');
  const { version } = own;
  if (version < oldest) {
    throw new ArgumentError(
      `[${op}] expected opset ${oldest} or later, got ${version}: export the model again`,
    );
  }
  if (version > newest) {
    warn(
      `[${op}] opset ${version} is newer than ${newest}, the last one that is known`,
      'AXPY_ONNX',
      'its operators are taken as those of the one that is known; what they do not have in common is not seen',
    );
  }
  return version;
}
