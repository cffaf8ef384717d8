/** What the reference is divided into: the library and its parts, and these by what exports are for. */
import { existsSync, readFileSync } from 'node:fs';
import { root } from './places.ts';

/** Where the library's exports live, and what that is called; the first that fits. */
export const categories: readonly (readonly [place: RegExp, category: string])[] = [
  [/^(tensor|create|parameter|random|shape|memory|values)\.ts$/, 'Tensors'],
  [/^(ops\/|activations\.ts)/, 'Operations'],
  [/^(autograd|backward|gradients|gradCheck|recompute)\.ts$/, 'Gradients'],
  [/^layers\/config\.ts$|^extend\.ts$/, 'Extending'],
  [/^(layers\/|initializers\.ts)/, 'Layers'],
  [/^(losses\/|losses\.ts|train\/loss\.ts)/, 'Losses'],
  [/^train\/metrics/, 'Metrics'],
  [/^(optimizers\/|train\/weightAverage\.ts)/, 'Optimizers'],
  [/^(data\/|train\/(data|split|sampleWeight|classWeight)\.ts)/, 'Data'],
  [/^train\/callbacks\//, 'Callbacks'],
  [/^train\//, 'Training'],
  [/^files\//, 'Files'],
  [/^onnx\//, 'ONNX'],
  [/^serve\//, 'Serving'],
  [/^errors\.ts$/, 'Errors'],
  [/^(kernels\/|binding)/, 'Backends'],
];

/** The order of categories on the page of a part; what none fits comes last. */
export const categoryOrder: readonly string[] = [...new Set(categories.map(([, name]) => name)), 'Others'];

/** The library and its parts, by the names that people import, and the file of each. */
export function parts(): ReadonlyMap<string, string> {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: object };
  const names = Object.keys(exports).map((key) => key.replace(/^\.\/?/, ''));
  const files = names.map(
    (name) => [name === '' ? 'axpy' : `axpy/${name}`, `${root}lib/${name}/index.ts`] as const,
  );
  return new Map(
    files.filter(([, file]) => existsSync(file)).map(([name, file]) => [name, file.replace('//', '/')]),
  );
}
