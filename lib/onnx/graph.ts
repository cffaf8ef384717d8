/**
 * A graph of ONNX as it is written. Its values may lie there in several orders of their axes: convolutions and the like take
 * channels in the first place, other ops what they get. A Transpose stands only where another order is asked for, once for
 * each value, and transposing itself is no node but another way to count the axes.
 */
import { ArgumentError } from '../errors.ts';
import type { Arrays, Dtype, Storage } from '../memory.ts';
import { type Shape, sizeOf } from '../shape.ts';
import {
  type Attribute,
  attributeOf,
  codes,
  type Elements,
  info,
  type OnnxType,
  type Order,
  permuted,
  tensorOf,
} from './messages.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from './schema.ts';
import { type Affine, isFixed, type Size, sameSize, sameSizes, sizesText } from './sizes.ts';

/** As they are here: channels last. */
export const asIs = (rank: number): Order => Array.from({ length: rank }, (_, axis) => axis);

/** Channels behind the batch. */
export const channelsFirst = (rank: number): Order =>
  rank < 3 ? asIs(rank) : [0, rank - 1, ...asIs(rank).slice(1, -1)];

const isAsIs = (order: Order): boolean => order.every((axis, i) => axis === i);

/** Elements that are known as the graph is written. */
interface Constant {
  /** Its own, where it is a parameter's; else what to call it. */
  readonly name: string;
  readonly values: Elements;
}

/** One piece of data, and where it is in the graph by the order of its axes. */
interface Data {
  readonly constant: Constant | null;
  readonly shape: readonly Size[];
  readonly type: OnnxType;
  readonly places: { readonly order: Order; readonly name: string }[];
  /** The same in other shapes, as far as somebody asked for it, by the order of axes and the shape. */
  readonly views: Map<string, Value>;
}

/** A tensor: data, whose axes it may count in another order. */
export class Value {
  constructor(
    /** @internal */
    readonly data: Data,
    /** Axis i is axis axes[i] of the data. */
    readonly axes: Order,
  ) {}

  get shape(): readonly Size[] {
    return this.axes.map((axis) => this.data.shape[axis]);
  }

  get rank(): number {
    return this.axes.length;
  }

  get type(): OnnxType {
    return this.data.type;
  }

  /** The same with its axes in another order. */
  transposed(order: Order): Value {
    return new Value(
      this.data,
      order.map((axis) => this.axes[axis]),
    );
  }

  /** In which orders of its axes it is in the graph. */
  get orders(): Order[] {
    return this.data.places.map(({ order }) => order.map((axis) => this.axes.indexOf(axis)));
  }

  get isConstant(): boolean {
    return this.data.constant !== null;
  }

  /** The elements of a constant, as they are, and what they are called. */
  get constant(): { readonly name: string; readonly values: Elements } | null {
    return this.data.constant;
  }
}

/** Constants of at most so many elements are written once more rather than transposed. */
const small = 2 ** 12;

/** What batches count as, where sizes are compared. */
const typical = 1000;

export class Graph {
  private readonly nodes: NodeProto[] = [];
  private readonly initializers = new Map<string, TensorProto>();
  private readonly inputs: ValueInfoProto[] = [];
  private readonly names = new Set<string>();
  private readonly constants = new Map<string, Value>();
  private readonly booleans = new Map<string, string>();
  private readonly shared = new Map<string, string>();
  private readonly outputs = new Map<string, readonly string[]>();
  private batch: string | null = null;
  /** What nodes are called after: the path of the layer they are for. */
  scope = '';
  /** What messages name. */
  where = '';

  /** Names that parameters have and may keep. */
  private readonly owned: Set<string>;

  /**
   * @param typeOf which type stands for a dtype
   * @param border names of inputs and outputs
   * @param owned names of parameters and other state
   */
  constructor(
    private readonly op: string,
    private readonly typeOf: (dtype: Dtype) => OnnxType,
    border: Iterable<string>,
    owned: Iterable<string>,
  ) {
    for (const name of border) this.names.add(name);
    this.owned = new Set([...owned].filter((name) => !this.names.has(name)));
    for (const name of this.owned) this.names.add(name);
  }

  /** An error about what the graph cannot have. */
  refuse(what: string): ArgumentError {
    return new ArgumentError(
      `[${this.op}] expected what a graph of ONNX can have, got ${what} in ${this.where}`,
    );
  }

  /** A name that nothing has yet. */
  private unique(name: string): string {
    let own = name;
    for (let i = 1; this.names.has(own); i++) own = `${name}_${i}`;
    this.names.add(own);
    return own;
  }

  // ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** An input, which lies there in an order. */
  input(name: string, shape: readonly Size[], dtype: Dtype, order: Order): Value {
    const type = this.typeOf(dtype);
    this.inputs.push(
      info(
        name,
        order.map((axis) => shape[axis]),
        type,
      ),
    );
    // All have the batch in front.
    if (this.inputs.length === 1) this.batch = name;
    return new Value(
      { constant: null, shape, type, places: [{ order, name }], views: new Map() },
      asIs(shape.length),
    );
  }

  /** What a node has computed, in an order. */
  value(name: string, shape: readonly Size[], type: OnnxType, order: Order = asIs(shape.length)): Value {
    return new Value(
      { constant: null, shape, type, places: [{ order, name }], views: new Map() },
      asIs(shape.length),
    );
  }

  /** Elements that are known, under a name where they have one. */
  constant(values: Elements, shape: Shape, type: OnnxType, name = 'constant'): Value {
    return new Value(
      { constant: { name, values }, shape, type, places: [], views: new Map() },
      asIs(shape.length),
    );
  }

  leaf(storage: Storage, values: Arrays[Dtype], name: string | undefined): Value {
    return this.constant(values, [storage.length], this.typeOf(storage.dtype), name);
  }

  /** A number in every element, written once. */
  filled(shape: readonly Size[], value: number, type: OnnxType): Value {
    if (isFixed(shape) && sizeOf(shape) <= small) {
      const key = `${type} ${shape} ${Object.is(value, -0) ? '-0' : value}`;
      let known = this.constants.get(key);
      if (known === undefined) {
        known = this.constant(new Float64Array(sizeOf(shape)).fill(value), shape, type);
        this.constants.set(key, known);
      }
      return known;
    }
    return this.value(this.node('Expand', [this.number(value, type), this.sizes(shape)]), shape, type);
  }

  /** The name of a number that broadcasts to everything. */
  number(value: number, type: OnnxType): string {
    return this.name(this.filled([], value, type));
  }

  /** The name of a list of integers, as shapes, axes and the like are given. */
  integers(values: readonly number[]): string {
    const key = `integers ${values}`;
    let known = this.constants.get(key);
    if (known === undefined) {
      const own = BigInt64Array.from(values, (value) => BigInt(value));
      known = this.constant(own, [values.length], 'int64');
      this.constants.set(key, known);
    }
    return this.name(known);
  }

  /** The name of a value in the graph, with its axes in an order, by default as they are. */
  name(value: Value, order: Order = asIs(value.rank)): string {
    const { data, axes } = value;
    const wanted = order.map((axis) => axes[axis]);
    const { places, constant } = data;
    const there = places.find((place) => place.order.every((axis, i) => axis === wanted[i]));
    if (there !== undefined) return there.name;
    const shape = data.shape as Shape;
    let name: string;
    if (constant !== null && (places.length === 0 || sizeOf(shape) <= small)) {
      name = this.initializer(constant, shape, wanted, data.type);
    } else {
      const [{ order: present, name: from }] = places;
      name = this.node('Transpose', [from], { perm: wanted.map((axis) => present.indexOf(axis)) });
    }
    places.push({ order: wanted, name });
    return name;
  }

  private initializer({ name, values }: Constant, shape: Shape, order: Order, type: OnnxType): string {
    // The first time as it is called.
    const own = this.owned.delete(name) ? name : this.unique(name);
    const dims = order.map((axis) => shape[axis]);
    this.initializers.set(own, tensorOf(own, permuted(values, shape, order), dims, type));
    return own;
  }

  /**
   * The order of axes that costs least where tensors meet: one in which they are already. What has fewer axes is broadcast,
   * which it is as it is in the order that axes have here.
   */
  order(values: readonly Value[], rank: number): Order {
    const computed = values.filter((value) => !value.isConstant);
    const cost = (order: Order) =>
      computed.reduce((sum, value) => {
        const isThere =
          value.rank === rank
            ? value.orders.some((own) => own.every((axis, i) => axis === order[i]))
            : isAsIs(order) || value.rank === 0;
        return isThere ? sum : sum + elementsOf(value.shape);
      }, 0);
    let best = asIs(rank);
    let least = Infinity;
    // At a tie the latest one, which something else asked for.
    for (const value of computed) {
      if (value.rank !== rank) continue;
      for (const order of value.orders) {
        const own = cost(order);
        if (own > least) continue;
        least = own;
        best = order;
      }
    }
    return best;
  }

  /** The name of an operand that is broadcast to so many axes in this order. */
  operand(value: Value, order: Order): string {
    if (isAsIs(order) || value.rank === 0) return this.name(value);
    const missing = order.length - value.rank;
    return this.name(missing === 0 ? value : this.widened(value, missing), order);
  }

  /** With so many axes of size 1 in front. */
  private widened(value: Value, count: number): Value {
    const shape = [...Array.from({ length: count }, () => 1), ...value.shape];
    if (value.isConstant) return this.reshaped(value, shape);
    const name = this.node('Unsqueeze', [this.name(value), this.integers(asIs(count))]);
    return this.value(name, shape, value.type);
  }

  /** The same elements in another shape. */
  reshaped(value: Value, shape: readonly Size[]): Value {
    if (sameSizes(value.shape, shape)) return value;
    const { views } = value.data;
    const key = `${value.axes} ${sizesText(shape)}`;
    const view = views.get(key) ?? this.view(value, shape);
    views.set(key, view);
    return view;
  }

  private view(value: Value, shape: readonly Size[]): Value {
    const { constant, places } = value.data;
    // Elements that are not written yet are written in this shape.
    if (constant !== null && isAsIs(value.axes) && (places.length === 0 || constant.values.length <= small)) {
      return this.constant(constant.values, shape as Shape, value.type, constant.name);
    }
    // Otherwise 0 stands for the size that is there.
    const how = shape.includes(0) ? { allowzero: 1 } : {};
    return this.value(
      this.node('Reshape', [this.name(value), this.target(value, shape)], how),
      shape,
      value.type,
    );
  }

  /** The shape that Reshape gets: −1 for what depends on the batch, where that is one size. */
  private target(value: Value, shape: readonly Size[]): string {
    if (isFixed(shape)) return this.integers(shape);
    const own = value.shape;
    const sizes = shape.map((size, axis) => {
      if (typeof size === 'number') return size;
      return axis < own.length && sameSize(own[axis], size) ? 0 : -1;
    });
    const open = sizes.filter((size) => size === -1).length;
    if (open > 1 || shape.includes(0)) return this.sizes(shape);
    // One that follows from the rest says no more than it has to.
    if (open === 0) sizes[sizes.indexOf(0)] = -1;
    return this.integers(sizes);
  }

  /** The name of a shape as integers, which are known when the graph runs. */
  sizes(shape: readonly Size[]): string {
    if (isFixed(shape)) return this.integers(shape);
    const parts: string[] = [];
    let run: number[] = [];
    const close = () => {
      if (run.length > 0) parts.push(this.integers(run));
      run = [];
    };
    for (const size of shape) {
      if (typeof size === 'number') {
        run.push(size);
        continue;
      }
      close();
      parts.push(this.size(size));
    }
    close();
    return parts.length === 1 ? parts[0] : this.once('Concat', parts, { axis: 0 });
  }

  /** The name of a size that depends on the batch, as a list of one. */
  private size({ times, plus }: Affine): string {
    let name = this.once('Shape', [this.batch!], { start: 0, end: 1 });
    if (times !== 1) name = this.once('Mul', [name, this.integers([times])]);
    if (plus !== 0) name = this.once('Add', [name, this.integers([plus])]);
    return name;
  }

  /** A node of which one is enough. */
  private once(...node: Parameters<Graph['node']>): string {
    const key = JSON.stringify(node);
    const name = this.shared.get(key) ?? this.node(...node);
    this.shared.set(key, name);
    return name;
  }

  // ── nodes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A node with one output, whose name is returned. An input may be '' for one that is left out. */
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    return this.push(opType, inputs, attributes, 1)[0];
  }

  /** The names of the outputs of a node that has several, of which one is enough, whoever asks for it. */
  several(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    count: number,
  ): readonly string[] {
    const key = JSON.stringify([opType, inputs, attributes]);
    const known = this.outputs.get(key) ?? this.push(opType, inputs, attributes, count);
    this.outputs.set(key, known);
    return known;
  }

  private push(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    count: number,
  ): string[] {
    const [name, ...others] = Array.from({ length: count }, () =>
      this.unique(this.scope === '' ? opType : `${this.scope}/${opType}`),
    );
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push({
      input: [...inputs],
      output: [name, ...others],
      name,
      opType,
      attribute,
      docString: '',
      domain: '',
    });
    return [name, ...others];
  }

  /** 1 or 0, of a type, for a node that computes what is true. */
  indicator(condition: string, type: OnnxType): string {
    const name = this.cast(condition, type);
    this.booleans.set(name, condition);
    return name;
  }

  /** Whether each element is not 0. */
  truth(name: string): string {
    return this.booleans.get(name) ?? this.cast(name, 'bool');
  }

  cast(name: string, type: OnnxType): string {
    return this.node('Cast', [name], { to: codes[type] });
  }

  // ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The graph, with what its outputs need and no more. */
  proto(name: string, outputs: readonly { name: string; value: Value; order: Order }[]): GraphProto {
    const renamed = new Map<string, string>();
    const ends = outputs.map(({ name: output, value, order }) => {
      const from = this.name(value, order);
      return { output, from, order, value };
    });
    const computed = new Set(this.nodes.flatMap((node) => node.output));
    for (const { output, from } of ends) {
      // What is computed gets the name of the output; inputs, constants and what is an output already are copied to it.
      if (computed.has(from) && !renamed.has(from)) renamed.set(from, output);
      else this.nodes.push({ ...identity, input: [from], output: [output], name: output });
    }
    const rename = (each: string) => renamed.get(each) ?? each;
    const all = this.nodes.map((node) => ({
      ...node,
      input: node.input.map(rename),
      output: node.output.map(rename),
    }));
    const needed = new Set(ends.map(({ output }) => output));
    const node: NodeProto[] = [];
    for (let i = all.length - 1; i >= 0; i--) {
      if (!all[i].output.some((output) => needed.has(output))) continue;
      for (const input of all[i].input) needed.add(input);
      node.push(all[i]);
    }
    return {
      node: node.reverse(),
      name,
      initializer: [...this.initializers.values()].filter((each) => needed.has(each.name)),
      docString: '',
      input: this.inputs,
      output: ends.map(({ output, value, order }) => {
        const { shape } = value;
        return info(
          output,
          order.map((axis) => shape[axis]),
          value.type,
        );
      }),
      valueInfo: [],
      sparseInitializer: [],
    };
  }

  /** For messages. */
  describe(value: Value): string {
    return sizesText(value.shape);
  }
}

const elementsOf = (shape: readonly Size[]): number =>
  shape.reduce((count: number, size) => count * (typeof size === 'number' ? size : typical), 1);

const identity = { opType: 'Identity', attribute: [], docString: '', domain: '' };
