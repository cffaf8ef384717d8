/** Operators as later opsets have them, which neither PyTorch 1.13 nor its ONNX knows, beside onnxruntime. */
import { describe, expect, it } from 'vitest';
import { importOnnx, randn, seed, type Tensor } from '../../lib/index.ts';
import { bytesOf, floats, ints, type ModelText } from './models.ts';
import { expectClose, run, runtime, session } from './runtime.ts';

type Node = ModelText['nodes'][number];

/** One node of a tensor x, and what else it reads. */
interface Case {
  readonly opset: number;
  readonly node: Node;
  readonly shape: number[];
  readonly tensors?: ModelText['tensors'];
}

const image = [2, 4, 5, 6];
const values = (name: string, dims: number[]) =>
  floats(
    name,
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i) + 1.5),
  );
const one = (node: Node, opset: number, shape = image, tensors: ModelText['tensors'] = []): Case => ({
  opset,
  node,
  shape,
  tensors: tensors!,
});
const f = (float: number) => ({ float });

const resized = (
  attributes: Record<string, string | number | number[] | { float: number }>,
  sizes: number[],
  opset = 19,
) => one(['Resize', ['x', '', '', 'sizes'], ['y'], attributes], opset, image, [ints('sizes', sizes)]);
const scaled = (
  attributes: Record<string, string | number | number[] | { float: number }>,
  scales: number[],
  opset = 19,
) =>
  one(['Resize', ['x', '', 'scales'], ['y'], attributes], opset, image, [
    floats('scales', [scales.length], scales),
  ]);

const cases: Readonly<Record<string, Case>> = {
  'GroupNormalization, a scale for each channel': one(
    ['GroupNormalization', ['x', 's', 'b'], ['y'], { num_groups: 2, epsilon: f(0.01) }],
    21,
    image,
    [values('s', [4]), values('b', [4])],
  ),
  Gelu: one(['Gelu', ['x'], ['y']], 20),
  'Gelu by tanh': one(['Gelu', ['x'], ['y'], { approximate: 'tanh' }], 20),
  Mish: one(['Mish', ['x'], ['y']], 18),
  'ReduceMean over axes of an input': one(['ReduceMean', ['x', 'a'], ['y'], { keepdims: 0 }], 18, image, [
    ints('a', [1, -1]),
  ]),
  'ReduceMax over none': one(['ReduceMax', ['x'], ['y'], { noop_with_empty_axes: 1 }], 18),
  ReduceLogSumExp: one(['ReduceLogSumExp', ['x', 'a'], ['y']], 18, image, [ints('a', [0, 2])]),
  ReduceL2: one(['ReduceL2', ['x', 'a'], ['y']], 18, image, [ints('a', [1])]),
  'Pad of some axes': one(['Pad', ['x', 'p', 'v', 'a'], ['y']], 18, image, [
    ints('p', [1, 0, 2, 1]),
    floats('v', [], [0.5]),
    ints('a', [3, 1]),
  ]),
  'Pad, wrapping around': one(['Pad', ['x', 'p'], ['y'], { mode: 'wrap' }], 19, image, [
    ints('p', [0, 0, 2, 1, 0, 0, 1, 3]),
  ]),
  'Pad by reflection of what is cut': one(['Pad', ['x', 'p'], ['y'], { mode: 'edge' }], 19, image, [
    ints('p', [0, 0, 2, 0, 0, 0, 1, 3]),
  ]),
  Softmax: one(['Softmax', ['x'], ['y'], { axis: 1 }], 21),
  IsInf: one(['IsInf', ['x'], ['z']], 20),
  'AveragePool, rounded up': one(
    [
      'AveragePool',
      ['x'],
      ['y'],
      { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 1], ceil_mode: 1, count_include_pad: 1 },
    ],
    19,
  ),
  'LayerNormalization over three axes': one(
    ['LayerNormalization', ['x', 's', 'b'], ['y'], { axis: 1 }],
    17,
    image,
    [values('s', [4, 5, 6]), values('b', [4, 5, 6])],
  ),
  'LayerNormalization by a scale of the channels': one(
    ['LayerNormalization', ['x', 's'], ['y'], { axis: 2 }],
    17,
    image,
    [values('s', [5, 6])],
  ),
  'ConvTranspose to a shape': one(
    ['ConvTranspose', ['x', 'w'], ['y'], { strides: [3, 2], output_shape: [13, 12] }],
    21,
    image,
    [values('w', [4, 2, 3, 3])],
  ),
  'ConvTranspose of groups, padded at one side': one(
    [
      'ConvTranspose',
      ['x', 'w'],
      ['y'],
      { strides: [2, 2], pads: [0, 1, 1, 0], group: 2, output_padding: [1, 0] },
    ],
    21,
    image,
    [values('w', [4, 3, 3, 3])],
  ),
  'Conv, as many at the upper side': one(
    ['Conv', ['x', 'w'], ['y'], { auto_pad: 'SAME_LOWER', strides: [2, 2] }],
    21,
    image,
    [values('w', [3, 4, 2, 3])],
  ),
  Einsum: one(['Einsum', ['x', 'w'], ['y'], { equation: 'bchw, kc -> bkhw' }], 13, image, [
    values('w', [3, 4]),
  ]),
  'Einsum of three, with diagonals and an ellipsis': one(
    ['Einsum', ['x', 'w', 'w'], ['y'], { equation: '...hw,cc,dc->d...w' }],
    13,
    image,
    [values('w', [3, 3])],
  ),
  'Einsum of one': one(['Einsum', ['x'], ['y'], { equation: 'bchw->hc' }], 13),
  DepthToSpace: one(['DepthToSpace', ['x'], ['y'], { blocksize: 2, mode: 'CRD' }], 13),
  SpaceToDepth: one(['SpaceToDepth', ['x'], ['y'], { blocksize: 2 }], 13, [2, 3, 4, 6]),
  LpNormalization: one(['LpNormalization', ['x'], ['y'], { axis: 1, p: 1 }], 13),
  Hardmax: one(['Hardmax', ['x'], ['y'], { axis: 1 }], 13),
  GatherElements: one(
    ['GatherElements', ['x', 'i'], ['y'], { axis: 3 }],
    13,
    [2, 1, 2, 4],
    [ints('i', [0, -1, 3, 1], [2, 1, 2, 1])],
  ),
  ScatterElements: one(
    ['ScatterElements', ['x', 'i', 'u'], ['y'], { axis: 2, reduction: 'add' }],
    18,
    [2, 1, 3, 2],
    [ints('i', [0, -1, 2, 2, 1, 1, 0, 0], [2, 1, 2, 2]), values('u', [2, 1, 2, 2])],
  ),
  TopK: one(['TopK', ['x', 'k'], ['y', 'places'], { axis: 1, largest: 0 }], 11, image, [ints('k', [2])]),
  Sin: one(['Sin', ['x'], ['y']], 13),
  Cos: one(['Cos', ['x'], ['y']], 13),
  CumSum: one(['CumSum', ['x', 'i'], ['y'], { reverse: 1, exclusive: 1 }], 14, image, [ints('i', [2], [])]),
  Trilu: one(['Trilu', ['x', 'k'], ['y'], { upper: 0 }], 14, image, [ints('k', [-1], [])]),
  'Resize of two axes': one(['Resize', ['x', '', 's'], ['y'], { axes: [2, 3], mode: 'linear' }], 18, image, [
    floats('s', [2], [2, 0.5]),
  ]),
  'Resize, nearest, half a pixel': resized({ mode: 'nearest' }, [2, 4, 10, 12]),
  'Resize, nearest, to less': resized(
    { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' },
    [2, 4, 3, 4],
  ),
  'Resize, nearest, rounded up': resized({ mode: 'nearest', nearest_mode: 'ceil' }, [2, 4, 7, 9]),
  'Resize, linear': resized({ mode: 'linear' }, [2, 4, 8, 3]),
  'Resize, linear, corners': resized(
    { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
    [2, 4, 8, 3],
  ),
  'Resize, linear, asymmetric': scaled(
    { mode: 'linear', coordinate_transformation_mode: 'asymmetric' },
    [1, 1, 2, 1.5],
  ),
  'Resize, linear, as PyTorch': resized(
    { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    [2, 4, 1, 9],
  ),
  'Resize, cubic': scaled({ mode: 'cubic', cubic_coeff_a: f(-0.5) }, [1, 1, 1.5, 2]),
  'Resize, cubic, without what is outside': scaled({ mode: 'cubic', exclude_outside: 1 }, [1, 1, 2, 1.5]),
};

describe.skipIf(runtime === null).each(Object.entries(cases))(
  '%s',
  (_, { opset, node, shape, tensors = [] }) => {
    it('computes what onnxruntime does, in both layouts', async () => {
      const [output] = node[2];
      const own = ['Equal', 'IsInf'].includes(node[0]);
      const nodes: ModelText['nodes'] = own ? [node, ['Cast', [output], ['y'], { to: 1 }]] : [node];
      const bytes = bytesOf({ opset, nodes, inputs: { x: shape }, tensors });
      seed(opset);
      const x = randn(shape);
      const { y } = await run(await session(bytes), { x });
      const expected = (await importOnnx(bytes)).eval().forward(x);
      expectClose(y, expected, node[0]);
      const last = (each: Tensor) => (each.rank === 4 ? each.transpose([0, 2, 3, 1]) : each);
      const held = (await importOnnx(bytes, { layout: 'NHWC' })).eval().forward(last(x));
      const first = (each: Tensor) => (each.rank === 4 ? each.transpose([0, 3, 1, 2]) : each);
      expectClose(y, first(held), `${node[0]} with channels last`);
    });
  },
);

it('there are such cases', () => {
  expect(Object.keys(cases).length).toBeGreaterThan(30);
});
