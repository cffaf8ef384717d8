/** The table of a model's layers. */
import type { Shape } from '../shape.ts';
import { readExample } from './checks.ts';
import type { ExampleShape, Layer } from './layer.ts';

/** The shape of an example that a layer gets, as far as it is known; null where nobody knows who calls it with what. */
type Input = { shape: ExampleShape } | null;

/** The rows of a table, layer by layer. */
class Rows {
  readonly rows = [['layer', 'output shape', 'parameters']];
  private readonly seen = new Set<Layer>();

  /** The row of a layer, and indented those of the layers in it. */
  add(layer: Layer, indent: number, input: Input): ExampleShape {
    const shape = input === null ? undefined : readExample(layer, layer.outputShape(input.shape));
    const output = shape === undefined ? '?' : `[${['batch', ...shape].join(', ')}]`;
    const count = layer.parameterCount().toLocaleString('en-US');
    this.rows.push([' '.repeat(indent) + layer.label, input === null ? '' : output, count]);
    this.addInner(layer, indent + 2, input);
    return shape;
  }

  /** The layers in a layer: those of a Sequential one after the other, others each by itself. */
  addInner(layer: Layer, indent: number, input: Input): void {
    if (this.seen.has(layer)) return;
    this.seen.add(layer);
    const { layers, inputShape } = layer.chain() ?? { layers: [], inputShape: undefined };
    const isKnown = input !== null || inputShape !== undefined;
    let shape = input?.shape ?? inputShape;
    for (const child of layers) shape = this.add(child, indent, isKnown ? { shape } : null);
    for (const [, child] of layer.children()) {
      if (!layers.includes(child) && !this.seen.has(child)) this.add(child, indent, null);
    }
  }
}

/**
 * A line for each layer and, indented, for those in it, and the total. The output's shape stands where it is known: for the
 * layers of a Sequential, one after the other, and where a layer of one's own tells it; not for those that such a one calls.
 */
export function summarize(model: Layer, inputShape?: Shape): string {
  const table = new Rows();
  const input = { shape: inputShape };
  if (model.chain() === null) table.add(model, 0, input);
  else table.addInner(model, 0, input);
  const { rows } = table;
  rows.push(['total', '', model.parameterCount().toLocaleString('en-US')]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column].length)));
  const lines = rows.map(([name, output, count]) =>
    [name.padEnd(widths[0]), output.padEnd(widths[1]), count.padStart(widths[2])].join('  '),
  );
  const rule = '─'.repeat(widths[0] + widths[1] + widths[2] + 4);
  return [lines[0], rule, ...lines.slice(1, -1), rule, lines[lines.length - 1]].join('\n');
}
