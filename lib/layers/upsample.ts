/** Larger images as a layer. */
import { checkMode, type UpsampleMode, type UpsampleOptions, upsample } from '../ops/upsample.ts';
import type { Pair } from '../ops/window.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, type OptionsOf, option, pair } from './options.ts';

const mode = option<UpsampleMode>(
  (layer, _, given) => {
    checkMode(layer, given);
    return given;
  },
  () => 'nearest',
);

const form = layerForm('Upsample', { scale: pair() }, { mode } satisfies OptionsOf<UpsampleOptions>);

/** Images larger by whole factors: [batch, height, width, channels] → [batch, height · s, width · s, channels]. */
export class Upsample extends Layer {
  readonly scale: readonly [vertical: number, horizontal: number];
  readonly mode: UpsampleMode;

  /**
   * @param scale for both axes, or [vertical, horizontal]
   * @throws ArgumentError for a scale below 1 or an unknown mode.
   */
  constructor(scale: Pair, options: UpsampleOptions = {}) {
    super();
    const own = form.read([scale], options);
    configure(this, own);
    this.scale = own.scale;
    this.mode = own.mode;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    return upsample(x, this.scale, { mode: this.mode });
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    const [height, width, channels] = example;
    return [height * this.scale[0], width * this.scale[1], channels];
  }
}

form.register(Upsample);
