/** A connection past a layer. */
import { checkOptions, describe, isArray, isInstance, readArray } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { nameClass } from '../names.ts';
import { add } from '../ops/binary.ts';
import { sameShape, show } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { most } from '../tree.ts';
import { readExample } from './checks.ts';
import { configure, type LayerConfig, layerFrom, registerLayer } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { Sequential } from './sequential.ts';

/** Options of `Residual`. */
export interface ResidualOptions {
  /** What the input goes through on its way past, a 1×1 convolution where shapes differ, say; default nothing. */
  shortcut?: Layer | null | undefined;
}

/** x + body(x), or shortcut(x) + body(x) (He, Zhang, Ren & Sun, 2016). */
export class Residual extends Layer {
  readonly body: Layer;
  readonly shortcut: Layer | null;

  /** @param body a layer, or several one after the other @throws ArgumentError for what is no layer */
  constructor(body: Layer | readonly Layer[], options: ResidualOptions = {}) {
    super();
    checkOptions('Residual', options, ['shortcut']);
    const { shortcut = null } = options;
    const refuse = (got: string) =>
      new ArgumentError(
        `Residual expected body to be a layer or an array of at least one, ${most} at most, got ${got}`,
      );
    const layers = isArray(body) ? readArray(body, most, refuse) : [body];
    if (layers.length === 0) throw refuse('none');
    for (const layer of layers) if (!isInstance(layer, Layer)) throw refuse(describe(layer));
    if (shortcut !== null && !isInstance(shortcut, Layer)) {
      throw new ArgumentError(`Residual expected shortcut to be a layer or null, got ${describe(shortcut)}`);
    }
    this.body = isArray(body) ? new Sequential(layers) : layers[0];
    this.shortcut = shortcut;
    configure(this, { body: this.body, shortcut });
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    const past = this.shortcut ? (this.shortcut.forward(x) as Tensor) : x;
    const y = this.body.forward(x) as Tensor;
    this.check(past.shape, y.shape);
    return add(past, y);
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    const past = this.shortcut ? this.shortcut.outputShape(example) : example;
    const y = this.body.outputShape(example);
    if (past && y) this.check(past, y);
    return past ?? y;
  }

  private check(past: readonly number[], y: readonly number[]): void {
    if (sameShape(past, y)) return;
    throw new ShapeError(
      `${this.label} expected its body to return the shape ${show(past)} that goes past it, got ${show(y)}` +
        (this.shortcut ? '' : '; a shortcut can change that'),
    );
  }
}

nameClass(Residual, 'Residual');
registerLayer('Residual', Residual, ({ body, shortcut = null, ...options }) => {
  const inner = shortcut === null ? null : layerFrom(shortcut as LayerConfig);
  return new Residual(layerFrom(body as LayerConfig), { ...options, shortcut: inner });
});
