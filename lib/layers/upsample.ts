/** Images at another size as a layer. */
import {
  checkResizing,
  type Resizing,
  resized,
  type UpsampleMode,
  type UpsampleOptions,
  upsample,
} from '../ops/interpolate.ts';
import type { Pair } from '../ops/window.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { checkImages, readExample } from './checks.ts';
import { configure } from './config.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { layerForm, type OptionsOf, unchecked } from './options.ts';

const form = layerForm('Upsample', { scale: unchecked<Pair | null>() }, {
  size: unchecked<Pair | null>(() => null),
  mode: unchecked<UpsampleMode>(() => 'nearest'),
  alignCorners: unchecked(() => false),
} satisfies OptionsOf<UpsampleOptions>);

/** Images at another size, as by `interpolate`: [batch, height, width, channels] → [batch, height′, width′, channels]. */
export class Upsample extends Layer implements Resizing {
  readonly scale: Resizing['scale'];
  readonly size: Resizing['size'];
  readonly mode: Resizing['mode'];
  readonly alignCorners: boolean;

  /**
   * @param scale for both axes, or [vertical, horizontal], any numbers above 0; null where a size is given
   * @throws ArgumentError unless there is either a scale or a size, and for options out of their domains.
   */
  constructor(scale: Pair | null, options: UpsampleOptions = {}) {
    super();
    const { scale: given, ...rest } = form.read([scale], options);
    const own = checkResizing('Upsample', 'scale', given, rest);
    configure(this, own);
    this.scale = own.scale;
    this.size = own.size;
    this.mode = own.mode;
    this.alignCorners = own.alignCorners;
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    checkImages(this, x.shape);
    const { scale, size, mode, alignCorners } = this;
    return upsample(x, scale, { size, mode, alignCorners });
  }

  override outputShape(input: ExampleShape): ExampleShape {
    const example = readExample(this, input);
    if (example === undefined) return undefined;
    checkImages(this, ['batch', ...example]);
    const [height, width, channels] = example;
    return [...resized(this.label, height, width, this), channels];
  }
}

form.register(Upsample);
