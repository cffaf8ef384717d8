/** Models of ONNX for tests, written down in few words; and tensors as fixtures have them. */
import { type Tensor, tensor } from '../../lib/index.ts';
import {
  type AttributeProto,
  attributeType,
  dataType,
  encodeModelProto,
  type GraphProto,
  type ModelProto,
  type TensorProto,
} from '../../lib/onnx/schema.ts';

/** Those that PyTorch exported, in the folder `pytorch`. */
export const pytorchModels = [
  'mlp',
  'cnn',
  'cnn-folded',
  'residual',
  'mobile',
  'unet',
  'attention',
  'attention-folded',
  'encoder',
  'text',
  'sequence',
  'program',
  'recurrent',
  'fixed',
] as const;

export type Attribute =
  | number
  | string
  | number[]
  | { floats: number[] }
  | { float: number }
  | { texts: string[] }
  | TensorProto
  | GraphProto;

/** A node: the operator, its inputs, its outputs, and attributes. */
export type NodeText = [
  op: string,
  inputs: string[],
  outputs: string[],
  attributes?: Record<string, Attribute>,
  name?: string,
];

export interface ModelText {
  opset?: number;
  nodes: NodeText[];
  /** Types and shapes by name; float32 where no type is said. */
  inputs?: Record<string, (number | string)[] | { type: number; shape: (number | string)[] }>;
  outputs?: string[];
  tensors?: TensorProto[];
}

const isTensorProto = (value: object): value is TensorProto => 'dims' in value;

function attributeOf(name: string, value: Attribute): AttributeProto {
  const made = (own: Partial<AttributeProto>) => ({ name, ...own }) as AttributeProto;
  const encode = (text: string) => new TextEncoder().encode(text);
  if (typeof value === 'string') return made({ type: attributeType.string, s: encode(value) });
  if (typeof value === 'number') return made({ type: attributeType.int, i: value });
  if (Array.isArray(value)) return made({ type: attributeType.ints, ints: value });
  if ('floats' in value) return made({ type: attributeType.floats, floats: value.floats });
  if ('float' in value) return made({ type: attributeType.float, f: value.float });
  if ('texts' in value) return made({ type: attributeType.strings, strings: value.texts.map(encode) });
  if (isTensorProto(value)) return made({ type: attributeType.tensor, t: value });
  return made({ type: attributeType.graph, g: value });
}

export function graphOf({ nodes, inputs = {}, outputs = ['y'], tensors = [] }: ModelText): GraphProto {
  const info = (name: string, type: number, shape: (number | string)[] | null) => ({
    name,
    docString: '',
    type: {
      tensorType: {
        elemType: type,
        shape: shape && {
          dim: shape.map((size) => ({
            dimValue: typeof size === 'number' ? size : 0,
            dimParam: typeof size === 'string' ? size : '',
          })),
        },
      },
    },
  });
  return {
    name: 'graph',
    docString: '',
    node: nodes.map(([opType, input, output, attributes = {}, name = '']) => {
      const [domain, own] = opType.includes(':') ? opType.split(':') : ['', opType];
      return {
        opType: own,
        domain,
        name,
        input,
        output,
        docString: '',
        attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value)),
      };
    }),
    initializer: tensors,
    input: Object.entries(inputs).map(([name, given]) =>
      Array.isArray(given) ? info(name, dataType.float, given) : info(name, given.type, given.shape),
    ),
    output: outputs.map((name) => info(name, dataType.float, null)),
    valueInfo: [],
    sparseInitializer: [],
  };
}

export function protoOf(text: ModelText): ModelProto {
  const { opset = 13 } = text;
  return {
    irVersion: 8,
    graph: graphOf(text),
    opsetImport: [{ domain: '', version: opset }],
  } as Partial<ModelProto> as ModelProto;
}

export const bytesOf = (text: ModelText): Uint8Array => encodeModelProto(protoOf(text));

const blank = (name: string, dims: number[], type: number): TensorProto => ({
  name,
  dims,
  dataType: type,
  floatData: [],
  int32Data: [],
  stringData: [],
  int64Data: [],
  docString: '',
  rawData: new Uint8Array(0),
  doubleData: new Uint8Array(0),
  uint64Data: [],
  externalData: [],
  dataLocation: 0,
});

export const floats = (name: string, dims: number[], values: ArrayLike<number>): TensorProto => ({
  ...blank(name, dims, dataType.float),
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});

export const ints = (name: string, values: number[], dims = [values.length]): TensorProto => ({
  ...blank(name, dims, dataType.int64),
  int64Data: values,
});

export const raw = (name: string, dims: number[], type: number, bytes: Uint8Array): TensorProto => ({
  ...blank(name, dims, type),
  rawData: bytes,
});

/** A small network with shapes that are computed, a branch and constants. */
export function network(): Uint8Array {
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  const identity = graphOf({ nodes: [['Identity', ['flat'], ['chosen']]], outputs: ['chosen'] });
  return bytesOf({
    nodes: [
      [
        'Conv',
        ['x', 'conv.weight', 'conv.bias'],
        ['a'],
        { pads: [1, 1, 1, 1], kernel_shape: [3, 3] },
        'conv',
      ],
      [
        'BatchNormalization',
        ['a', 'scale', 'shift', 'mean', 'variance'],
        ['b'],
        { epsilon: { float: 1e-5 } },
      ],
      ['LeakyRelu', ['b'], ['c'], { alpha: { float: 0.1 } }],
      ['MaxPool', ['c'], ['d'], { kernel_shape: [2, 2], strides: [2, 2] }, 'pool'],
      ['Shape', ['d'], ['shape']],
      ['Gather', ['shape', 'zero'], ['batch']],
      ['Unsqueeze', ['batch', 'first'], ['rows']],
      ['Constant', [], ['rest'], { value: ints('', [-1]) }],
      ['Concat', ['rows', 'rest'], ['target'], { axis: 0 }],
      ['Reshape', ['d', 'target'], ['flat']],
      ['Equal', ['batch', 'zero'], ['empty']],
      ['If', ['empty'], ['own'], { then_branch: identity, else_branch: identity }],
      ['MatMul', ['own', 'fc.weight'], ['e']],
      ['Add', ['e', 'fc.bias'], ['y'], {}, 'head'],
    ],
    inputs: { x: ['batch', 2, 4, 4] },
    tensors: [
      floats('conv.weight', [3, 2, 3, 3], values(54)),
      floats('conv.bias', [3], values(3)),
      floats('scale', [3], [1, 2, 3]),
      floats('shift', [3], values(3)),
      floats('mean', [3], values(3)),
      floats('variance', [3], [1, 2, 3]),
      ints('zero', [0], []),
      ints('first', [0]),
      floats('fc.weight', [12, 2], values(24)),
      floats('fc.bias', [2], [1, -1]),
    ],
  });
}

/** A tensor as the scripts in Python pack it. */
export interface Packed {
  readonly dtype: 'float32' | 'float64' | 'int32';
  readonly shape: number[];
  readonly data: string;
}

export function unpack({ dtype, shape, data }: Packed): Tensor {
  const { buffer } = Uint8Array.from(Buffer.from(data, 'base64'));
  const kinds = { float32: Float32Array, float64: Float64Array, int32: Int32Array };
  return tensor(new kinds[dtype](buffer), { shape, dtype });
}

/** The largest difference, relative to numbers above 1; NaN where one alone is. */
export function difference(a: Tensor, b: Tensor): number {
  if (`${a.shape}` !== `${b.shape}`) return Infinity;
  const [x, y] = [a.data, b.data];
  let largest = 0;
  for (let i = 0; i < x.length; i++) {
    if (Object.is(x[i], y[i]) || x[i] === y[i]) continue;
    const own = Math.abs(x[i] - y[i]) / Math.max(1, Math.abs(y[i]));
    if (!(own <= largest)) largest = own;
  }
  return largest;
}
