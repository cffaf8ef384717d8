/** Layers with branches: several inputs, several outputs, layers that are used twice. */
import { checkOptions, describe, isArray, isInstance, isRecord } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { readShape, type Shape } from '../shape.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { configure, type LayerConfig, layerFrom, registerLayer } from './config.ts';
import { isPlain, type Tensors } from './inputs.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { Merge } from './merge.ts';
import type { GraphRow } from './summary.ts';

/** A layer and what it is given: inputs of the graph, or layers that stand before it, by name. */
export interface GraphNode {
  readonly layer: Layer;
  readonly from: string | readonly string[];
}

/** Options of `Graph`. */
export interface GraphOptions<Outputs extends string | readonly string[] = string | readonly string[]> {
  /** The names of the inputs, or the shapes of an example of each, without the batch; null for one that is not known. */
  readonly inputs: readonly string[] | Readonly<Record<string, Shape | null>>;
  /** In the order in which they are computed. */
  readonly layers: Readonly<Record<string, GraphNode>>;
  /** What the graph returns: a tensor for a name, a record of tensors for several. */
  readonly outputs: Outputs;
}

interface Node {
  readonly name: string;
  readonly layer: Layer;
  readonly from: readonly string[];
}

type OutputsOf<Outputs> = Outputs extends readonly string[] ? { [Name in Outputs[number]]: Tensor } : Tensor;

/**
 * A network of named layers, each of which is given inputs of the graph or what layers before it return:
 *
 *     new Graph({
 *       inputs: { image: [28, 28, 1], age: [1] },
 *       layers: {
 *         features: { layer: new Sequential([…]), from: 'image' },
 *         both: { layer: new Concatenate(), from: ['features', 'age'] },
 *         kind: { layer: new Dense(65, 10), from: 'both' },
 *         price: { layer: new Dense(65, 1), from: 'both' },
 *       },
 *       outputs: ['kind', 'price'],
 *     })
 *
 * `forward` takes the tensor of the only input, or a record of several by name, as `fit` hands on `x: { image, age }`. A layer that
 * stands there twice has its parameters once.
 */
export class Graph<
  const Outputs extends string | readonly string[] = string | readonly string[],
> extends Layer {
  /** By name, in order. */
  readonly inputs: ReadonlyMap<string, ExampleShape>;
  readonly outputs: Outputs;
  private readonly nodes: readonly Node[];

  /**
   * @throws ArgumentError for what is no layer, a name given twice or to nobody, a layer that nobody reads; ShapeError where an
   *   output does not fit the layer that takes it, as far as shapes are known
   */
  constructor(options: GraphOptions<Outputs>) {
    super();
    checkOptions('Graph', options, ['inputs', 'layers', 'outputs']);
    const { inputs, layers, outputs } = options;
    this.inputs = readInputShapes(inputs);
    this.nodes = readNodes(layers, [...this.inputs.keys()]);
    this.outputs = (isArray(outputs) ? [...outputs] : outputs) as Outputs;
    const names = new Set([...this.inputs.keys(), ...this.nodes.map(({ name }) => name)]);
    const wanted = this.outputNames();
    for (const name of wanted) {
      if (names.has(name)) continue;
      throw new ArgumentError(`Graph expected outputs to be names of layers, got ${describe(name)}`);
    }
    if (wanted.length === 0 || new Set(wanted).size < wanted.length) {
      throw new ArgumentError('Graph expected outputs to be a name or several, each once');
    }
    const read = new Set([...wanted, ...this.nodes.flatMap(({ from }) => from)]);
    const lost = [...names].find((name) => !read.has(name));
    if (lost !== undefined) {
      throw new ArgumentError(
        `Graph expected every input and layer to be read or returned, got ${describe(lost)} left over`,
      );
    }
    configure(this, {
      inputs: Object.fromEntries(Array.from(this.inputs, ([name, shape]) => [name, shape ?? null])),
      layers: Object.fromEntries(this.nodes.map(({ name, layer, from }) => [name, { layer, from }])),
      outputs: this.outputs,
    });
    this.shapes(undefined);
  }

  // biome-ignore lint/suspicious/noExplicitAny: a tensor, or a record of them
  forward(...given: any[]): OutputsOf<Outputs> {
    const values = new Map<string, Tensors>(Object.entries(this.named(given)));
    for (const { name, layer, from } of this.nodes) {
      values.set(name, layer.forward(...from.map((source) => values.get(source)!)));
    }
    if (!isArray(this.outputs)) return values.get(this.outputs as string) as OutputsOf<Outputs>;
    return Object.fromEntries(
      this.outputNames().map((name) => [name, values.get(name)]),
    ) as OutputsOf<Outputs>;
  }

  override children(): [name: string, layer: Layer][] {
    return this.nodes.map(({ name, layer }) => [name, layer]);
  }

  /** What the layer that takes an input makes of it. */
  // biome-ignore lint/suspicious/noExplicitAny: that layer says what it takes
  override inputFrom(values: any, name = 'x', dtype: FloatDtype = this.parameterDtype()): Tensors {
    const names = [...this.inputs.keys()];
    const make = (input: string, value: unknown, where: string) =>
      this.takerOf(input)?.inputFrom(value, where, dtype) ??
      (super.inputFrom(value, where, dtype) as Tensors);
    if (names.length === 1) return make(names[0], values, name);
    if (!isPlain(values) || !names.every((input) => Object.hasOwn(values, input))) {
      throw new ArgumentError(
        `${this.label} expected ${name} to be a record of ${names.join(', ')}, got ` +
          `${isPlain(values) ? `one of ${Object.keys(values).join(', ') || 'nothing'}` : describe(values)}`,
      );
    }
    const other = Object.keys(values).find((input) => !this.inputs.has(input));
    if (other !== undefined) {
      throw new ArgumentError(
        `${this.label} expected inputs ${names.join(', ')}, got ${describe(other)} as well`,
      );
    }
    return Object.fromEntries(names.map((input) => [input, make(input, values[input], `${name}.${input}`)]));
  }

  override inputDtypeAt(path: string, otherwise: Dtype): Dtype {
    const input = this.inputs.size === 1 ? [...this.inputs.keys()][0] : path;
    return this.takerOf(input)?.inputDtypeAt('', otherwise) ?? otherwise;
  }

  /** @param input of an only input; where there are several, their shapes are those that the constructor was given */
  override outputShape(input: ExampleShape): ExampleShape {
    const shapes = this.shapes(input);
    return isArray(this.outputs) ? undefined : shapes.get(this.outputs as string);
  }

  override graph(input: ExampleShape): readonly GraphRow[] {
    const shapes = this.shapes(input);
    const inputs = Array.from(this.inputs.keys(), (name) => ({
      name,
      layer: null,
      from: [],
      shape: shapes.get(name),
    }));
    return [...inputs, ...this.nodes.map((node) => ({ ...node, shape: shapes.get(node.name) }))];
  }

  private outputNames(): readonly string[] {
    return (isArray(this.outputs) ? this.outputs : [this.outputs]) as readonly string[];
  }

  /** The layer that alone decides what an input may be. */
  private takerOf(input: string): Layer | undefined {
    return this.nodes.find(({ from }) => from.length === 1 && from[0] === input)?.layer;
  }

  /** The inputs by name, of a record or in their order. */
  private named(given: readonly unknown[]): Record<string, Tensors> {
    const names = [...this.inputs.keys()];
    const [first] = given;
    if (names.length > 1 && given.length === 1 && isRecord(first) && !isTensor(first)) {
      const record = first as Record<string, Tensors>;
      const lost = names.find((name) => record[name] === undefined);
      if (lost === undefined) return record;
      throw new ArgumentError(`${this.label} expected inputs ${names.join(', ')}, got none for ${lost}`);
    }
    if (given.length !== names.length) {
      throw new ArgumentError(`${this.label} expected inputs ${names.join(', ')}, got ${given.length}`);
    }
    return Object.fromEntries(names.map((name, i) => [name, given[i] as Tensors]));
  }

  /** The shapes of examples, as far as they are known, by name. @throws ShapeError where a layer is given another one */
  private shapes(input: ExampleShape): Map<string, ExampleShape> {
    const known = new Map(this.inputs);
    if (input !== undefined && this.inputs.size === 1) {
      for (const name of this.inputs.keys()) known.set(name, readShape(this.label, input));
    }
    for (const { name, layer, from } of this.nodes) {
      const shapes = from.map((source) => known.get(source));
      try {
        known.set(name, outputOf(layer, shapes));
      } catch (error) {
        if (error instanceof ShapeError) throw new ShapeError(`${this.label}, ${name}: ${error.message}`);
        throw error;
      }
    }
    return known;
  }
}

function outputOf(layer: Layer, shapes: readonly ExampleShape[]): ExampleShape {
  if (shapes.length === 1) return layer.outputShape(shapes[0]);
  if (!(layer instanceof Merge) || shapes.includes(undefined)) return undefined;
  return layer.mergedShape(shapes as readonly Shape[]);
}

function readInputShapes(inputs: GraphOptions['inputs']): Map<string, ExampleShape> {
  const entries: [string, unknown][] = isArray(inputs)
    ? inputs.map((name) => [name as string, null])
    : isRecord(inputs)
      ? Object.entries(inputs)
      : [];
  const own = new Map<string, ExampleShape>();
  for (const [name, shape] of entries) {
    if (typeof name !== 'string' || own.has(name)) {
      throw new ArgumentError(`Graph expected inputs to be names, each once, got ${describe(name)}`);
    }
    own.set(name, shape === null || shape === undefined ? undefined : readShape('Graph', shape as Shape));
  }
  if (own.size > 0) return own;
  throw new ArgumentError(
    `Graph expected inputs to be names, or shapes by name, at least one, got ${describe(inputs)}`,
  );
}

function readNodes(layers: GraphOptions['layers'], inputs: readonly string[]): Node[] {
  if (!isRecord(layers)) {
    throw new ArgumentError(
      `Graph expected layers to be a record of { layer, from }, got ${describe(layers)}`,
    );
  }
  const before = new Set(inputs);
  const nodes = Object.entries(layers).map(([name, node]): Node => {
    if (!isRecord(node))
      throw new ArgumentError(`Graph expected ${name} to be { layer, from }, got ${describe(node)}`);
    checkOptions(`Graph, ${name}`, node, ['layer', 'from']);
    const { layer, from } = node;
    if (!isInstance(layer, Layer)) {
      throw new ArgumentError(`Graph expected a layer at ${name}, got ${describe(layer)}`);
    }
    if (before.has(name))
      throw new ArgumentError(`Graph expected each name once, got ${describe(name)} twice`);
    const sources = isArray(from) ? [...from] : [from];
    for (const source of sources) {
      if (before.has(source as string)) continue;
      throw new ArgumentError(
        `Graph expected ${name} to take inputs or layers before it, ${[...before].join(', ')}, got ${describe(source)}`,
      );
    }
    if (sources.length === 0)
      throw new ArgumentError(`Graph expected ${name} to take something, got nothing`);
    before.add(name);
    return { name, layer, from: sources as string[] };
  });
  if (nodes.length === 0) throw new ArgumentError('Graph expected at least one layer, got none');
  return nodes;
}

nameClass(Graph, 'Graph');
registerLayer('Graph', Graph, ({ layers, ...options }) => {
  const made = isRecord(layers)
    ? Object.entries(layers as Record<string, { layer: LayerConfig; from: string[] }>).map(([name, node]) => [
        name,
        isRecord(node) ? { ...node, layer: layerFrom(node.layer) } : node,
      ])
    : [];
  return new Graph({ ...options, layers: Object.fromEntries(made) } as GraphOptions);
});
