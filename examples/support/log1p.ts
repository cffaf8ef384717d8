/** ln(1 + x), for sizes and areas, which span orders of magnitude. */
import { Layer, registerLayer, type Tensor } from 'axpy';

export class Log1p extends Layer {
  forward(x: Tensor): Tensor {
    return x.log1p();
  }
}
registerLayer('Log1p', Log1p, () => new Log1p());
