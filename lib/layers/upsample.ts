/** Larger images as a layer. */
import { checkOptions } from '../arguments.ts';
import { checkMode, type UpsampleMode, type UpsampleOptions, upsample } from '../ops/upsample.ts';
import { checkPair, type Pair } from '../ops/window.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, readExample } from './checks.ts';
import { type ExampleShape, Layer } from './layer.ts';

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
    this.scale = checkPair('Upsample', 'scale', scale);
    checkOptions('Upsample', options, ['mode']);
    const { mode = 'nearest' } = options;
    checkMode('Upsample', mode);
    this.mode = mode;
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
