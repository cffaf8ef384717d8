/** ln(1 + x), for sizes and areas, which span orders of magnitude. */
import { type ExampleShape, Layer, registerLayer, type Tensor } from 'axpy';

export class Log1p extends Layer {
  forward(x: Tensor): Tensor {
    return x.log1p();
  }

  override outputShape(input: ExampleShape): ExampleShape {
    return input;
  }
}
registerLayer('Log1p', Log1p, () => new Log1p());
