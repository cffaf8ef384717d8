/** A graph of ONNX as a layer: its weights are parameters, and `forward` runs its operators with axpy's ops. */
import { checkOptions, describe, isArray, isRecord, readArray } from '../arguments.ts';
import { ArgumentError, AxpyError, DtypeError, FormatError, ShapeError } from '../errors.ts';
import { configure, type Json, registerLayer } from '../layers/config.ts';
import { type ExampleShape, Layer, tensorsOf } from '../layers/layer.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { type AnySharedTensor, Parameter, SharedTensor } from '../parameter.ts';
import { readShape, type Shape, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { fuse, type Planned, readsOf } from './fuse.ts';
import { type Known, known } from './known.ts';
import {
  type Context,
  labelOf,
  type NodeConfig,
  OnnxNode,
  Refusal,
  type Run,
  readKnown,
  shortName,
} from './node.ts';
import { operatorOf } from './operators/index.ts';
import { folding, Held, isHeld, isKnown, notFolded, toHeld, type Value } from './value.ts';

/** An input or an output of an imported model. */
export interface OnnxValue {
  /** As in the file. */
  readonly name: string;
  readonly dtype: Dtype;
  /** A name where the file has one for a size, null where it says nothing; as a whole null where it says no shape. */
  readonly shape: readonly (number | string | null)[] | null;
}

/** @internal A weight, by its name in the file. */
export interface OnnxTensor {
  readonly name: string;
  /** As the model holds it. */
  readonly shape: Shape;
  readonly dtype: FloatDtype;
  /** `integers` are ones of which there are too many to be written into a config. */
  readonly kind: 'parameter' | 'buffer' | 'integers';
  /** How it lies: as in the file, with axis 1 behind all others, or with both axes exchanged. */
  readonly form: 'first' | 'last' | 'turned';
}

/** @internal What an imported model is, as its `config` shows it. */
export interface OnnxModelOptions {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly tensors: readonly OnnxTensor[];
  readonly constants: { readonly [name: string]: Json };
  readonly nodes: readonly NodeConfig[];
  /** The version of ONNX's operators. */
  readonly opset: number;
  readonly layout: 'NCHW' | 'NHWC';
}

const optionNames = ['inputs', 'outputs', 'tensors', 'constants', 'nodes', 'opset', 'layout'];

/** Values by slot, while the operators run. */
type Values = (Value | undefined)[];
type Step = (values: Values, context: Context) => void;

/** What runs a node, and the slots that it reads. */
interface Built {
  readonly run: Step;
  readonly reads: readonly number[];
}

/** Of how many outputs operators may be read, where that is more than the first. */
const outputsOf: Readonly<Record<string, number>> = {
  Split: Infinity,
  LayerNormalization: 3,
  LSTM: 3,
  GRU: 2,
  RNN: 2,
};

/** How deep branches may lie in each other. */
const deepest = 8;

/**
 * The layer that `importOnnx` makes. It takes what the inputs of the file are, in their order, and returns its output, or an
 * array where there are several. `namedParameters` and `stateDict` have the names of the file; weights of convolutions
 * and of products lie as those of Conv2D and Dense do.
 *
 * `config` holds the graph without the weights, so that `layerFrom` makes the model again without the file.
 */
export class OnnxModel extends Layer {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** How images, inputs and outputs of four axes, are given and returned. */
  readonly layout: 'NCHW' | 'NHWC';
  readonly #tensors: readonly { entry: OnnxTensor; tensor: AnySharedTensor; slot: number }[];
  readonly #inputSlots: readonly number[];
  readonly #outputSlots: readonly number[];
  readonly #steps: readonly Step[];
  /** What is there before a step runs: constants. */
  readonly #constants: Values;
  /** What normalisation remembers of recent batches, see BatchNorm. */
  readonly #states: readonly AnySharedTensor[];

  /**
   * @param options as `config` has them; `importOnnx` makes them of a file
   * @throws FormatError for a graph that is none, ArgumentError for operators that are not known here, all of them in one
   */
  constructor(options: Readonly<Record<string, Json>>) {
    super();
    const own = readConfig(options);
    configure(this, own);
    this.inputs = own.inputs;
    this.outputs = own.outputs;
    this.layout = own.layout;
    const built = build(own);
    this.#constants = built.constants;
    this.#steps = built.steps;
    this.#states = built.states;
    this.#inputSlots = built.inputs;
    this.#outputSlots = built.outputs;
    this.#tensors = own.tensors.map((entry) => ({
      entry,
      tensor:
        entry.kind === 'parameter'
          ? new Parameter(entry.shape, entry.dtype)
          : new SharedTensor(entry.shape, entry.dtype),
      slot: built.slotOf(entry.name),
    }));
    (this as { inputDtype?: Layer['inputDtype'] }).inputDtype =
      own.inputs.length === 1
        ? own.inputs[0].dtype
        : Object.fromEntries(own.inputs.map(({ dtype }, i) => [String(i), dtype]));
  }

  /** @internal */
  override [tensorsOf](): Iterable<readonly [name: string, tensor: AnySharedTensor]> {
    return this.#tensors.map(({ entry, tensor }) => [entry.name, tensor] as const);
  }

  override [Layer.hidden](): Record<string, AnySharedTensor> {
    return Object.fromEntries(this.#states.map((state, i) => [`count.${i}`, state]));
  }

  /**
   * @param given as many tensors as there are inputs
   * @throws ShapeError, DtypeError for inputs that do not fit; what an operator throws names its node
   */
  // biome-ignore lint/suspicious/noExplicitAny: one or several, as the file says
  forward(...given: Tensor[]): any {
    if (given.length !== this.inputs.length) {
      const names = this.inputs.map(({ name }) => shortName(name)).join(', ');
      throw new ArgumentError(
        `${this.label} expected ${this.inputs.length} input(s): ${names}, got ${given.length}`,
      );
    }
    const values = this.#constants.slice();
    given.forEach((x, i) => {
      values[this.#inputSlots[i]] = this.#input(x, this.inputs[i]);
    });
    for (const { entry, tensor, slot } of this.#tensors) {
      values[slot] = entry.kind === 'integers' ? Held.first(tensor.cast('int32')) : Held[entry.form](tensor);
    }
    const context = { training: this.training, trainable: this.trainable };
    for (const step of this.#steps) step(values, context);
    const results = this.#outputSlots.map((slot) => this.#output(toHeld(values[slot]!)));
    return results.length === 1 ? results[0] : results;
  }

  #input(x: Tensor, { name, dtype, shape }: OnnxValue): Held {
    checkTensor(this.label, x, `input ${shortName(name)}`);
    const held = this.layout === 'NHWC' && x.rank === 4 ? Held.last(x) : Held.first(x);
    const own = held.shape;
    // A batch of another size than the file was made with is tried.
    const fits =
      shape === null ||
      (shape.length === own.length &&
        shape.every((size, i) => i === 0 || typeof size !== 'number' || size === own[i]));
    if (!fits) {
      const expected = show(shape!.map((size, i) => (i === 0 ? (size ?? 'batch') : (size ?? 'any'))));
      throw new ShapeError(
        `${this.label} expected input ${shortName(name)} ${expected}, received ${show(own)}`,
      );
    }
    if (x.dtype === dtype) return held;
    throw new DtypeError(`${this.label} expected ${dtype} for input ${shortName(name)}, received ${x.dtype}`);
  }

  #output(x: Held): Tensor {
    return this.layout === 'NHWC' && x.rank === 4 ? x.last : x.first;
  }

  /** That of the file, where it says every size of the only output. */
  override outputShape(input: ExampleShape): ExampleShape {
    const example = input === undefined ? undefined : readShape(this.label, input);
    const expected = this.inputs.length === 1 ? exampleOf(this.inputs[0], this.layout) : undefined;
    const fits =
      example === undefined ||
      expected === undefined ||
      (example.length === expected.length &&
        expected.every((size, i) => typeof size !== 'number' || size === example[i]));
    if (!fits) {
      throw new ShapeError(
        `${this.label} expected input ${show(['batch', ...expected!.map((size) => size ?? 'any')])}, received ${show(['batch', ...example!])}`,
      );
    }
    const output = this.outputs.length === 1 ? exampleOf(this.outputs[0], this.layout) : undefined;
    return output?.every((size): size is number => typeof size === 'number') ? output : undefined;
  }
}

/** The sizes of an example, as the model is given it. */
function exampleOf(
  { shape }: OnnxValue,
  layout: OnnxModel['layout'],
): (number | string | null)[] | undefined {
  if (shape === null || shape.length === 0) return undefined;
  const [, ...example] = shape;
  return layout === 'NHWC' && example.length === 3 ? [example[1], example[2], example[0]] : example;
}

// ── what a config says ──────────────────────────────────────────────────────────────────────────────────────────────

/** More nodes or tensors no file has that fits into memory. */
const mostItems = 2 ** 24;

const refuse = (expected: string, got: string) =>
  new FormatError(`[OnnxModel] expected ${expected}, got ${got}`);

/** The items of an array, whatever methods that one has. */
function readItems(value: unknown, what: string): unknown[] {
  const refused = (got: string) => refuse(`${what} to be an array`, got);
  return readArray(value as unknown[], mostItems, refused);
}

function readList<Item>(
  value: unknown,
  what: string,
  read: (item: Record<string, unknown>, what: string) => Item,
): Item[] {
  return readItems(value, what).map((item, i) => {
    const place = `${what}[${i}]`;
    if (!isRecord(item)) throw refuse(`${place} to be an object`, describe(item));
    return read(item as Record<string, unknown>, place);
  });
}

function readText(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw refuse(`${what} to be text`, describe(value));
}

function readTexts(value: unknown, what: string): string[] {
  return readItems(value, what).map((item, i) => readText(item, `${what}[${i}]`));
}

function readChoice<Word extends string>(value: unknown, what: string, words: readonly Word[]): Word {
  if (words.includes(value as Word)) return value as Word;
  throw refuse(`${what} to be ${words.join(' or ')}`, describe(value));
}

/** A name under which state can be told. */
function readName(value: unknown, what: string): string {
  const name = readText(value, what);
  if (name !== '' && name !== '__proto__') return name;
  throw refuse(`${what} to be a name`, describe(name));
}

const isSize = (size: unknown) =>
  size === null || typeof size === 'string' || (Number.isInteger(size) && (size as number) >= 0);

function readValue({ name, dtype, shape }: Record<string, unknown>, what: string): OnnxValue {
  if (shape !== null && !(isArray(shape) && shape.every(isSize))) {
    throw refuse(`${what}.shape to be null or sizes`, describe(shape));
  }
  return {
    name: readName(name, `${what}.name`),
    dtype: readChoice(dtype, `${what}.dtype`, ['float32', 'float64', 'int32']),
    shape: shape === null ? null : ([...(shape as unknown[])] as OnnxValue['shape']),
  };
}

function readTensor({ name, shape, dtype, kind, form }: Record<string, unknown>, what: string): OnnxTensor {
  const own = readShape('OnnxModel', shape as Shape);
  const lies = readChoice(form, `${what}.form`, ['first', 'last', 'turned']);
  if ((lies === 'turned' && own.length !== 2) || (lies === 'last' && own.length < 3)) {
    throw refuse(`${what}.form that ${own.length} axes have`, lies);
  }
  return {
    name: readName(name, `${what}.name`),
    shape: own,
    dtype: readChoice(dtype, `${what}.dtype`, ['float32', 'float64']),
    kind: readChoice(kind, `${what}.kind`, ['parameter', 'buffer', 'integers']),
    form: lies,
  };
}

function readNode(depth: number) {
  return ({ op, name, inputs, outputs, attributes }: Record<string, unknown>, what: string): NodeConfig => {
    if (depth > deepest) throw refuse(`branches at most ${deepest} deep`, 'a deeper one');
    if (!isRecord(attributes)) throw refuse(`${what}.attributes to be an object`, describe(attributes));
    const own = Object.entries(attributes as object).map(([key, value]: [string, Json]) => {
      if (!isRecord(value) || !('nodes' in value)) return [key, value];
      const { nodes, outputs } = value as { nodes: unknown; outputs: unknown };
      return [
        key,
        {
          nodes: readList(nodes, `${what}.${key}.nodes`, readNode(depth + 1)),
          outputs: readTexts(outputs, `${what}.${key}.outputs`),
        },
      ];
    });
    return {
      op: readText(op, `${what}.op`),
      name: readText(name, `${what}.name`),
      inputs: readTexts(inputs, `${what}.inputs`),
      outputs: readTexts(outputs, `${what}.outputs`),
      attributes: Object.fromEntries(own),
    };
  };
}

/** A config, read once. @throws FormatError for what is none */
function readConfig(options: Readonly<Record<string, Json>>): OnnxModelOptions {
  checkOptions('OnnxModel', options, optionNames);
  const { inputs, outputs, tensors, constants, nodes, opset, layout } = options;
  if (!isRecord(constants)) throw refuse('constants to be an object', describe(constants));
  if (typeof opset !== 'number' || !Number.isInteger(opset)) {
    throw refuse('opset to be an integer', describe(opset));
  }
  return {
    inputs: readList(inputs, 'inputs', readValue),
    outputs: readList(outputs, 'outputs', readValue),
    tensors: readList(tensors, 'tensors', readTensor),
    constants: { ...(constants as object) },
    nodes: readList(nodes, 'nodes', readNode(0)),
    opset,
    layout: readChoice(layout, 'layout', ['NCHW', 'NHWC']),
  };
}

// ── from nodes to steps ─────────────────────────────────────────────────────────────────────────────────────────────

/** Names in force; a branch has its own beside those around it. */
class Scope {
  private readonly slots = new Map<string, number>();

  constructor(private readonly around: Scope | null) {}

  find(name: string): number | undefined {
    return this.slots.get(name) ?? this.around?.find(name);
  }

  /** Whether this scope itself has it. */
  has(name: string): boolean {
    return this.slots.has(name);
  }

  set(name: string, slot: number): void {
    this.slots.set(name, slot);
  }
}

class Builder {
  readonly constants: Values = [];
  readonly refusals: string[] = [];
  /** What operators keep, in the order of the graph. */
  readonly states: AnySharedTensor[] = [];
  private slots = 0;
  private readonly reads: ReadonlySet<string>;
  private readonly dtype: FloatDtype;

  constructor(private readonly config: OnnxModelOptions) {
    this.reads = new Set(
      readsOf(
        config.nodes,
        config.outputs.map(({ name }) => name),
      ),
    );
    this.dtype = config.tensors.find(({ kind }) => kind !== 'integers')?.dtype ?? 'float32';
  }

  /** A place for a value. @throws FormatError for a name that is taken */
  add(scope: Scope, name: string, who: string): number {
    if (scope.has(name))
      throw new FormatError(
        `${who}: expected a name of its own for '${shortName(name)}', got one that is taken`,
      );
    const slot = this.slots++;
    scope.set(name, slot);
    this.constants.push(undefined);
    return slot;
  }

  /** What runs nodes, in their order, without those whose results are known already. */
  nodes(planned: readonly Planned[], scope: Scope): Built[] {
    const later = new Set(planned.flatMap(({ node }) => node.outputs));
    return planned.map((plan) => this.node(plan, scope, later)).filter((built) => built !== null);
  }

  private node({ node, activation }: Planned, scope: Scope, later: ReadonlySet<string>): Built | null {
    const label = labelOf(node);
    const inputs = node.inputs.map((name) => {
      if (name === '') return -1;
      const slot = scope.find(name);
      if (slot !== undefined) return slot;
      const why = later.has(name) ? 'one that only a later node makes' : 'one that nothing makes';
      throw new FormatError(`${label}: expected input '${shortName(name)}' to be there, got ${why}`);
    });
    try {
      return node.op === 'If'
        ? this.branch(node, scope, inputs[0] ?? -1)
        : this.plain(node, activation, scope, inputs);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refusals.push(error.message);
      // Its outputs are there for those that follow, of which more may be unknown.
      for (const name of node.outputs) if (name !== '' && !scope.has(name)) this.add(scope, name, label);
      return null;
    }
  }

  private outputs(node: NodeConfig, scope: Scope): number[] {
    return node.outputs.map((name) => (name === '' ? -1 : this.add(scope, name, labelOf(node))));
  }

  /** Null for one whose result is known. */
  private plain(
    node: NodeConfig,
    activation: Planned['activation'],
    scope: Scope,
    inputs: readonly number[],
  ): Built | null {
    const label = labelOf(node);
    const own = new OnnxNode(
      node,
      this.config.opset,
      (name) => this.reads.has(name),
      activation,
      this.dtype,
      (state) => this.states.push(state),
    );
    const operator = operatorOf(node.op);
    if (operator === undefined) throw own.refusal('an operator that is known here', shortName(node.op));
    own.checkOutputs(outputsOf[node.op] ?? 1);
    const run = operator(own);
    const given = inputs.map((slot) => (slot < 0 ? undefined : this.constants[slot]));
    const isConstant = inputs.every((slot, i) => slot < 0 || given[i] !== undefined);
    const result = isConstant ? folded(run, given, label) : null;
    const outputs = this.outputs(node, scope);
    if (result !== null && result.length <= outputs.length) {
      result.forEach((value, i) => {
        if (outputs[i] >= 0) this.constants[outputs[i]] = value;
      });
      return null;
    }
    const step: Step = (values, context) => {
      const taken = inputs.map((slot) => (slot < 0 ? undefined : values[slot]));
      const made = runIn(label, run, taken, context);
      made.forEach((value, i) => {
        if (i < outputs.length && outputs[i] >= 0) values[outputs[i]] = value;
      });
    };
    return { run: step, reads: inputs.filter((slot) => slot >= 0) };
  }

  /** Of two branches the one that a condition says, which follows from constants or shapes. */
  private branch(node: NodeConfig, scope: Scope, condition: number): Built {
    const own = new OnnxNode(node, this.config.opset, () => false);
    own.checkInputs(1);
    const build = (name: string) => {
      const { nodes, outputs } = own.branch(name);
      if (outputs.length !== node.outputs.length) {
        throw own.error(`${name} to have ${node.outputs.length} outputs`, `${outputs.length}`);
      }
      const inner = new Scope(scope);
      const built = this.nodes(
        nodes.map((each) => ({ node: each, activation: null })),
        inner,
      );
      const results = outputs.map((output) => {
        const slot = inner.find(output);
        if (slot === undefined && this.refusals.length === 0) {
          throw own.error(`${name} to make its output '${shortName(output)}'`, 'none that makes it');
        }
        return slot ?? -1;
      });
      return { built, results };
    };
    const value = this.constants[condition];
    if (isKnown(value)) {
      const { built, results } = build(
        own.scalar(value, 'the condition') !== 0 ? 'then_branch' : 'else_branch',
      );
      const outputs = this.outputs(node, scope);
      results.forEach((slot, i) => {
        if (outputs[i] >= 0) this.constants[outputs[i]] = this.constants[slot];
      });
      return inOrder(built, results, outputs);
    }
    const [then, otherwise] = [build('then_branch'), build('else_branch')];
    const outputs = this.outputs(node, scope);
    const first = inOrder(then.built, then.results, outputs);
    const second = inOrder(otherwise.built, otherwise.results, outputs);
    const isTrue: Run = ([given]) => known('bool', [], [Number(own.scalar(given, 'the condition') !== 0)]);
    return {
      run(values, context) {
        const [chosen] = runIn(own.label, isTrue, [values[condition]], context) as Known[];
        (chosen.values[0] === 1 ? first : second).run(values, context);
      },
      reads: [condition, ...first.reads, ...second.reads],
    };
  }
}

/** Steps one after the other, whose results become the outputs of the node that they are in. */
function inOrder(built: readonly Built[], results: readonly number[], outputs: readonly number[]): Built {
  return {
    run(values, context) {
      for (const { run } of built) run(values, context);
      results.forEach((slot, i) => {
        if (outputs[i] >= 0) values[outputs[i]] = values[slot];
      });
    },
    reads: [...built.flatMap(({ reads }) => reads), ...results],
  };
}

/** The steps; each value goes as soon as nobody reads it any more. */
function schedule(built: readonly Built[], kept: readonly number[]): Step[] {
  const seen = new Set(kept);
  const steps = new Array<Step>(built.length);
  for (let i = built.length - 1; i >= 0; i--) {
    const { run, reads } = built[i];
    const gone = [...new Set(reads)].filter((slot) => !seen.has(slot));
    for (const slot of gone) seen.add(slot);
    steps[i] = (values, context) => {
      run(values, context);
      for (const slot of gone) values[slot] = undefined;
    };
  }
  return steps;
}

const listOf = (made: Value | readonly Value[]): readonly Value[] =>
  isHeld(made as Value) || 'dtype' in made ? [made as Value] : (made as readonly Value[]);

/** What a node makes of constants, where that is small; null where it is not to be computed now. */
function folded(run: Run, given: readonly (Value | undefined)[], label: string): readonly Known[] | null {
  try {
    const made = listOf(folding(() => run(given, { training: false, trainable: false })));
    return made.every(isKnown) ? made : null;
  } catch (error) {
    if (error === notFolded || error instanceof Refusal) return null;
    if (error instanceof FormatError || !(error instanceof AxpyError)) throw error;
    // The file alone is to blame.
    throw new FormatError(`${label}: ${plainText(label, error.message)}`, { cause: error });
  }
}

function runIn(
  label: string,
  run: Run,
  given: readonly (Value | undefined)[],
  context: Context,
): readonly Value[] {
  try {
    return listOf(run(given, context));
  } catch (error) {
    if (!(error instanceof AxpyError) || error.message.startsWith('[OnnxModel')) throw error;
    const message = `[OnnxModel ${label}] ${plainText(label, error.message)}`;
    // The file may be as it should, and what it was given not.
    if (error instanceof FormatError) throw new ShapeError(message);
    if (error instanceof Refusal) throw new ArgumentError(message);
    const { message: before, stack } = error;
    error.message = message;
    if (stack !== undefined) error.stack = stack.replace(before, () => message);
    throw error;
  }
}

/** A message that does not name the node yet, or does so in its way. */
const plainText = (label: string, message: string) =>
  message.startsWith(label) ? message.slice(label.length + 2) : message.replace(/^\[(\w+)\] /, '$1 ');

/** How many nodes that are not known a message lists. */
const listed = 20;

function build(config: OnnxModelOptions) {
  const { inputs, outputs, tensors, constants, nodes } = config;
  const builder = new Builder(config);
  const scope = new Scope(null);
  const inputSlots = inputs.map(({ name }) => builder.add(scope, name, 'an input'));
  const shapes = new Map<string, Shape>();
  for (const { name, shape, form, kind } of tensors) {
    builder.add(scope, name, 'a tensor');
    // As ONNX has it.
    const own =
      form === 'turned'
        ? [shape[1], shape[0]]
        : form === 'last'
          ? [shape[0], shape[shape.length - 1], ...shape.slice(1, -1)]
          : shape;
    if (kind !== 'integers') shapes.set(name, own);
  }
  for (const [name, given] of Object.entries(constants)) {
    const slot = builder.add(scope, name, 'a constant');
    builder.constants[slot] = readKnown(given, (got) =>
      refuse(`constant '${shortName(name)}' to be a small tensor`, got),
    );
  }
  const constantOf = (name: string) => {
    const slot = scope.find(name);
    const value = slot === undefined ? undefined : builder.constants[slot];
    return isKnown(value) ? value : undefined;
  };
  const names = outputs.map(({ name }) => name);
  const planned = fuse(nodes, names, { shapeOf: (name) => shapes.get(name), constantOf });
  const built = builder.nodes(planned, scope);
  const { refusals } = builder;
  if (refusals.length > 0) {
    const more = refusals.length > listed ? `; and ${refusals.length - listed} more` : '';
    throw new ArgumentError(
      `[OnnxModel] expected what docs/files.md lists, got other operators: ${refusals.slice(0, listed).join('; ')}${more}`,
    );
  }
  const outputSlots = names.map((name) => {
    const slot = scope.find(name);
    if (slot === undefined) throw refuse(`output '${shortName(name)}' to be there`, 'none that makes it');
    return slot;
  });
  const steps = schedule(built, outputSlots);
  return {
    steps,
    constants: builder.constants,
    states: builder.states,
    inputs: inputSlots,
    outputs: outputSlots,
    slotOf: (name: string) => scope.find(name)!,
  };
}

nameClass(OnnxModel, 'OnnxModel');
registerLayer('OnnxModel', OnnxModel, (options) => new OnnxModel(options));
