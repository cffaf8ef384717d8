/** The table of a model's layers. */
import type { Shape } from '../shape.ts';
import { readExample } from './checks.ts';
import type { ExampleShape, Layer } from './layer.ts';

function row(layer: Layer, name: string, shape: ExampleShape): string[] {
  const example = readExample(layer, shape);
  const output = example === undefined ? '?' : `[${['batch', ...example].join(', ')}]`;
  return [name, output, layer.parameterCount().toLocaleString('en-US')];
}

/** One line per direct child (the layer itself when it has none), and the total. */
export function summarize(model: Layer, inputShape?: Shape): string {
  const children = model.children();
  const rows = [['layer', 'output shape', 'parameters']];
  let shape: ExampleShape = inputShape;
  for (const [, layer] of children) {
    shape = layer.outputShape(shape);
    rows.push(row(layer, layer.label, shape));
  }
  if (children.length === 0) rows.push(row(model, model.label, model.outputShape(inputShape)));
  rows.push(['total', '', model.parameterCount().toLocaleString('en-US')]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column].length)));
  const lines = rows.map(([name, output, count]) =>
    [name.padEnd(widths[0]), output.padEnd(widths[1]), count.padStart(widths[2])].join('  '),
  );
  const rule = '─'.repeat(widths[0] + widths[1] + widths[2] + 4);
  return [lines[0], rule, ...lines.slice(1, -1), rule, lines[lines.length - 1]].join('\n');
}
