/** Listening at the layers of a model, in the order in which it calls them. */
import type { Layer } from './layer.ts';

/** What stands between a layer and who calls it: `forward` is what the layer would do. */
export type Watcher = (layer: Layer, path: string, forward: () => unknown) => unknown;

/** Runs `fn` while `around` is called in place of the forward pass of each layer that can be found in the model. */
export function watchForwards<Result>(model: Layer, around: Watcher, fn: () => Result): Result {
  const watched: [layer: Layer, own: PropertyDescriptor | undefined][] = [];
  try {
    for (const [path, layer] of model.namedLayers()) {
      const own = Object.getOwnPropertyDescriptor(layer, 'forward');
      // One that may not be changed is not heard.
      if (own === undefined ? !Object.isExtensible(layer) : !own.configurable) continue;
      const { forward } = layer;
      watched.push([layer, own]);
      Object.defineProperty(layer, 'forward', {
        configurable: true,
        value(this: Layer, ...inputs: unknown[]) {
          return around(layer, path, () => forward.apply(this, inputs));
        },
      });
    }
    return fn();
  } finally {
    for (const [layer, own] of watched) {
      if (own) Object.defineProperty(layer, 'forward', own);
      else Reflect.deleteProperty(layer, 'forward');
    }
  }
}
