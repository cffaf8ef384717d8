/** Types by `require`, in the form that is allowed where nothing may be rewritten. */
import axpy = require('axpy');

function norm(x: axpy.Tensor): number {
  if (x.rank === 0) throw new axpy.ShapeError('a vector, please');
  return x.square().sum().sqrt().item();
}

class Half extends axpy.Layer {
  forward(x: axpy.Tensor): axpy.Tensor {
    return x.mul(0.5);
  }
}

const vector: axpy.Tensor<'float32'> = axpy.tensor([3, 4]);

export = { Half, norm, vector };
