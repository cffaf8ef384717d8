/** lib/ops/convolution.ts: conv2d. In PyTorch `first` and `last` move the channels. */
import { conv2d } from '../../lib/ops/convolution.ts';
import { type Tensor, tensor, type Values } from '../../lib/tensor.ts';
import { type Case, constant, defineCases, integers, uniform } from './case.ts';
import { benches, convolutions, type Shape4, torchOf } from './conv2dSizes.ts';

const kernels3 = (name: string, x: Shape4, out: number, padding: 0 | 1): Case => ({
  // float64 has no Winograd, and differences of so many numbers would take long.
  name,
  inputs: [integers(x, -4, 4), integers([out, 3, 3, x[3]], -2, 2), integers([out], -3, 3)],
  run: (a, b, c) => conv2d(a, b, c, { padding }),
  torch: `last(F.conv2d(first(a), first(b), c, padding=${padding}))`,
  gradient: 'kinked',
  // Winograd's rounding, relative to the typical element: F(4 × 4, 3 × 3) multiplies by numbers up to 8 and 1/24.
  tolerance: { float32: 5e-5, float64: 1e-12 },
});

const activations = {
  relu: 'torch.relu(z)',
  leakyRelu: 'F.leaky_relu(z, 0.125)',
  elu: 'F.elu(z, 0.125)',
  softplus: 'torch.logaddexp(z, torch.zeros_like(z))',
  logSigmoid: 'F.logsigmoid(z)',
  sigmoid: 'torch.sigmoid(z)',
  tanh: 'torch.tanh(z)',
} as const;

const activated = Object.entries(activations) as [keyof typeof activations, string][];

const image = (): Tensor => tensor([[[[1], [2]]]]);
const weight = (): Tensor => tensor([[[[1]]]]);
const sized = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

export default defineCases({
  op: 'conv2d',
  cases: [
    ...convolutions.map((given): Case => {
      const { name, x, weight: w, bias, options = {} } = given;
      return {
        name,
        inputs: [uniform(x), uniform(w), ...(bias ? [uniform([w[0]])] : [])],
        run: (a, b, c) => conv2d(a, b, c ?? null, options),
        torch: torchOf(given),
        tolerance: { float32: 1e-5, float64: 1e-12 },
      };
    }),
    kernels3('3 x 3 for Winograd', [1, 12, 12, 16], 16, 1),
    kernels3('3 x 3 for Winograd, odd sizes', [1, 15, 13, 17], 18, 0),
    ...activated.map(
      ([op, z]): Case => ({
        name: `${op}`,
        inputs: [uniform([2, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1), uniform([3], -1, 1)],
        run: (a, b, c) => conv2d(a, b, c, { activation: { op, parameter: 0.125 } }),
        torch: `last((lambda z: ${z})(F.conv2d(first(a), first(b), c)))`,
        tolerance: { float32: 1e-5 },
      }),
    ),
    {
      name: 'activation without bias',
      inputs: [uniform([1, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1)],
      run: (a, b) => conv2d(a, b, null, { activation: { op: 'tanh', parameter: 0 } }),
      torch: 'last(torch.tanh(F.conv2d(first(a), first(b))))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'activation and a bias that stays',
      inputs: [uniform([1, 4, 4, 2], -1, 1), uniform([3, 2, 2, 2], -1, 1), constant(uniform([3]))],
      run: (a, b, c) => conv2d(a, b, c, { activation: { op: 'sigmoid', parameter: 0 } }),
      torch: 'last(torch.sigmoid(F.conv2d(first(a), first(b), c)))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'relu at its kink',
      inputs: [integers([1, 4, 4, 2], -1, 1), integers([3, 2, 2, 2], -1, 1), integers([3], -1, 1)],
      run: (a, b, c) => conv2d(a, b, c, { activation: { op: 'relu', parameter: 0 } }),
      torch: 'last(torch.relu(F.conv2d(first(a), first(b), c)))',
      gradient: 'kinked',
    },
    {
      name: 'constant images',
      inputs: [constant(uniform([2, 4, 4, 2])), uniform([3, 3, 3, 2]), uniform([3])],
      run: (a, b, c) => conv2d(a, b, c),
      torch: 'last(F.conv2d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'constant weight and bias',
      inputs: [uniform([2, 4, 4, 2]), constant(uniform([3, 3, 3, 2])), constant(uniform([3]))],
      run: (a, b, c) => conv2d(a, b, c),
      torch: 'last(F.conv2d(first(a), first(b), c))',
      tolerance: { float32: 1e-5 },
    },
    {
      name: 'one weight in two layers',
      inputs: [uniform([1, 5, 5, 3], -1, 1), uniform([3, 3, 3, 3], -1, 1), uniform([3], -1, 1)],
      run: (a, b, c) =>
        conv2d(conv2d(a, b, c, { padding: 1, activation: { op: 'tanh', parameter: 0 } }), b, c),
      torch: 'last(F.conv2d(torch.tanh(F.conv2d(first(a), first(b), c, padding=1)), first(b), c))',
      tolerance: { float32: 1e-5, float64: 1e-12 },
    },
    {
      name: 'without Winograd',
      inputs: [uniform([1, 5, 5, 3]), uniform([3, 3, 3, 3])],
      run: (a, b) => conv2d(a, b, null, { winograd: false }),
      torch: 'last(F.conv2d(first(a), first(b)))',
      tolerance: { float32: 1e-5, float64: 1e-12 },
    },
  ],
  bad: [
    {
      name: 'rank of x',
      call: () => conv2d(sized(2, 3, 4), weight()),
      code: 'AXPY_SHAPE',
      message: /expected x \[batch, height, width, in\] and weight .* got \[2, 3, 4\] and \[1, 1, 1, 1\]/,
    },
    {
      name: 'channels',
      call: () => conv2d(sized(1, 3, 3, 2), sized(1, 3, 3, 3)),
      code: 'AXPY_SHAPE',
      message: /got \[1, 3, 3, 2\] and \[1, 3, 3, 3\]/,
    },
    {
      name: 'channels of a group',
      call: () => conv2d(sized(1, 3, 3, 4), sized(2, 3, 3, 4), null, { groups: 2 }),
      code: 'AXPY_SHAPE',
      message: /for 2 group/,
    },
    {
      name: 'groups',
      call: () => conv2d(sized(1, 3, 3, 4), sized(3, 3, 3, 2), null, { groups: 2 }),
      code: 'AXPY_ARGUMENT',
      message: /groups to divide the 3 channels, got 2/,
    },
    {
      name: 'bias',
      call: () => conv2d(image(), weight(), tensor([1, 2])),
      code: 'AXPY_SHAPE',
      message: /expected bias \[1\], got \[2\]/,
    },
    {
      name: 'image smaller than the kernel',
      call: () => conv2d(sized(1, 2, 5, 1), sized(1, 3, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /images of at least 3 x 3 pixels, got 2 x 5/,
    },
    {
      name: 'image smaller than the kernel with its padding',
      call: () => conv2d(sized(1, 2, 5, 1), sized(1, 5, 3, 1), null, { padding: 1 }),
      code: 'AXPY_SHAPE',
      message: /images of at least 3 x 1 pixels, got 2 x 5/,
    },
    {
      name: 'no pixels',
      call: () => conv2d(sized(1, 0, 5, 1), sized(1, 1, 1, 1), null, { padding: 'same' }),
      code: 'AXPY_SHAPE',
      message: /at least 1 x 1 pixels, got 0 x 5/,
    },
    {
      name: 'a kernel of nothing',
      call: () => conv2d(sized(1, 3, 3, 1), sized(1, 0, 3, 1)),
      code: 'AXPY_SHAPE',
      message: /kernel of at least 1 x 1, got 0 x 3/,
    },
    {
      name: 'stride',
      call: () => conv2d(image(), weight(), null, { stride: 0 }),
      code: 'AXPY_ARGUMENT',
      message: /stride to be an integer of at least 1, got 0/,
    },
    {
      name: 'three strides',
      call: () => conv2d(image(), weight(), null, { stride: [1, 1, 1] as never }),
      code: 'AXPY_ARGUMENT',
      message: /stride to be one number or two, got 3/,
    },
    {
      name: 'dilation',
      call: () => conv2d(image(), weight(), null, { dilation: [1, 1.5] }),
      code: 'AXPY_ARGUMENT',
      message: /dilation to be an integer of at least 1, got 1\.5/,
    },
    {
      name: 'negative padding',
      call: () => conv2d(image(), weight(), null, { padding: -1 }),
      code: 'AXPY_ARGUMENT',
      message: /padding to be an integer of at least 0, got -1/,
    },
    {
      name: 'unknown padding',
      call: () => conv2d(image(), weight(), null, { padding: 'full' as never }),
      code: 'AXPY_ARGUMENT',
      message: /padding to be same, valid, numbers or sides, got "full"/,
    },
    {
      name: 'unknown side',
      call: () => conv2d(image(), weight(), null, { padding: { above: 1 } as never }),
      code: 'AXPY_ARGUMENT',
      message: /top, bottom, left and right, got "above"/,
    },
    {
      name: 'activation that cannot be fused',
      call: () => conv2d(image(), weight(), null, { activation: { op: 'gelu', parameter: 0 } }),
      code: 'AXPY_ARGUMENT',
      message: /activation to be null or \{ op, parameter \}/,
    },
    {
      name: 'option',
      call: () => conv2d(image(), weight(), null, { strides: 1 } as never),
      code: 'AXPY_ARGUMENT',
      message: /got strides/,
    },
    {
      name: 'int32',
      call: () => conv2d(image().cast('int32') as Tensor, weight().cast('int32')),
      code: 'AXPY_DTYPE',
      message: /int32/,
    },
    {
      name: 'dtypes',
      call: () => conv2d(image(), tensor(new Float64Array(1) as Values, { shape: [1, 1, 1, 1] })),
      code: 'AXPY_DTYPE',
      message: /one dtype/,
    },
    {
      name: 'too large',
      call: () => conv2d(sized(1, 1, 1, 1), weight(), null, { padding: 1 << 20 }),
      code: 'AXPY_SHAPE',
      message: /fewer than 2\^31/,
    },
  ],
  bench: benches,
});
