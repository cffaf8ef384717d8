/** The table of a model's layers. */
import type { Shape } from '../shape.ts';
import { readExample } from './checks.ts';
import { typeOf } from './config.ts';
import type { ExampleShape, Layer } from './layer.ts';

/** A layer of a graph, or an input of it. */
export interface GraphRow {
  readonly name: string;
  /** Null for an input. */
  readonly layer: Layer | null;
  /** The names of what it is given. */
  readonly from: readonly string[];
  readonly shape: ExampleShape;
}

/** The shape of an example that a layer gets, as far as it is known; null where nobody knows who calls it with what. */
type Input = { shape: ExampleShape } | null;

const columns = ['layer', 'output shape', 'parameters', 'frozen', 'from'];
const isNumber = (column: number) => columns[column] === 'parameters' || columns[column] === 'frozen';
/** Those that are there whatever they hold. */
const always = 3;

const shown = (shape: ExampleShape) => (shape === undefined ? '?' : `[${['batch', ...shape].join(', ')}]`);
const grouped = (count: number) => count.toLocaleString('en-US');

/** How many numbers of a layer are frozen. */
const frozenIn = (layer: Layer): number =>
  layer.parameters().reduce((sum, { requiresGrad, size }) => sum + (requiresGrad ? 0 : size), 0);

/** How many numbers a layer has, and how many of them are frozen, where some or the layer itself are. */
function counted(layer: Layer): [parameters: string, frozen: string] {
  const frozen = frozenIn(layer);
  return [grouped(layer.parameterCount()), frozen > 0 || !layer.trainable ? grouped(frozen) : ''];
}

/** The rows of a table, layer by layer. */
class Rows {
  readonly rows = [columns];
  private readonly seen = new Set<Layer>();

  /** The row of a layer, and indented those of the layers in it. */
  add(layer: Layer, indent: number, input: Input): ExampleShape {
    const shape = input === null ? undefined : readExample(layer, layer.outputShape(input.shape));
    const output = input === null ? '' : shown(shape);
    this.rows.push([' '.repeat(indent) + layer.label, output, ...counted(layer), '']);
    this.addInner(layer, indent + 2, input);
    return shape;
  }

  /** The layers in a layer: those of a Sequential one after the other, of a Graph by name, others each by itself. */
  addInner(layer: Layer, indent: number, input: Input): void {
    if (this.seen.has(layer)) return;
    this.seen.add(layer);
    const graph = layer.graph(input?.shape);
    if (graph !== null) {
      this.addGraph(graph, indent);
      return;
    }
    const { layers, inputShape } = layer.chain() ?? { layers: [], inputShape: undefined };
    const isKnown = input !== null || inputShape !== undefined;
    let shape = input?.shape ?? inputShape;
    for (const child of layers) shape = this.add(child, indent, isKnown ? { shape } : null);
    for (const [, child] of layer.children()) {
      if (!layers.includes(child) && !this.seen.has(child)) this.add(child, indent, null);
    }
  }

  private addGraph(graph: readonly GraphRow[], indent: number): void {
    const shapes = new Map(graph.map(({ name, shape }) => [name, shape]));
    for (const { name, layer, from, shape } of graph) {
      const title = `${' '.repeat(indent)}${name} (${layer === null ? 'input' : typeOf(layer)})`;
      const isAgain = layer !== null && this.seen.has(layer);
      const counts = layer === null ? ['', ''] : isAgain ? ['shared', ''] : counted(layer);
      this.rows.push([title, shown(shape), ...counts, from.join(', ')]);
      if (layer !== null)
        this.addInner(layer, indent + 2, { shape: from.length === 1 ? shapes.get(from[0]) : undefined });
    }
  }
}

/**
 * A line for each layer and, indented, for those in it, and the total; where something is frozen also how much of each is, and
 * how many numbers are left that train. The output's shape stands where it is known: for the layers of a Sequential, one after
 * the other, for those of a Graph, with what they take, and where a layer of one's own tells it; not for those that such a one
 * calls.
 */
export function summarize(model: Layer, inputShape?: Shape): string {
  const table = new Rows();
  const input = { shape: inputShape };
  if (model.chain() === null && model.graph(inputShape) === null) table.add(model, 0, input);
  else table.addInner(model, 0, input);
  const totals = [['total', '', ...counted(model), '']];
  const used = columns
    .map((_, i) => i)
    .filter((i) => [...table.rows.slice(1), ...totals].some((cells) => cells[i] !== '') || i < always);
  if (used.includes(columns.indexOf('frozen'))) {
    totals.push(['trainable', '', grouped(model.parameterCount() - frozenIn(model)), '', '']);
  }
  const rows = [...table.rows, ...totals];
  const widths = used.map((i) => Math.max(...rows.map((cells) => cells[i].length)));
  const lines = rows.map((cells) =>
    used
      .map((i, at) => (isNumber(i) ? cells[i].padStart(widths[at]) : cells[i].padEnd(widths[at])))
      .join('  ')
      .trimEnd(),
  );
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [lines[0], rule, ...lines.slice(1, -totals.length), rule, ...lines.slice(-totals.length)].join('\n');
}
