/** What is written, under which names, and what is refused with which words. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';
import {
  ArgumentError,
  BatchNorm,
  Conv2D,
  concat,
  Dense,
  encodeOnnx,
  exportOnnx,
  Flatten,
  Layer,
  type OnnxOptions,
  ones,
  Parameter,
  predict,
  randn,
  Sequential,
  ShapeError,
  SharedTensor,
  seed,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../lib/index.ts';
import { decodeModel, type ValueInfoProto } from '../../lib/onnx/schema.ts';
import { defaultState } from '../../lib/random.ts';
import { isTensor } from '../../lib/tensor.ts';
import { leavesOf } from '../../lib/tree.ts';
import { expectClose, run, runtime, session } from './runtime.ts';

// biome-ignore lint/suspicious/noExplicitAny: whatever a test gives
type Forward = (this: any, ...inputs: any[]) => unknown;

/** A layer that computes what a function does, with fields of its own. */
class Of extends Layer {
  constructor(
    private readonly run: Forward,
    fields: object = {},
  ) {
    super();
    Object.assign(this, fields);
  }

  forward(...inputs: Tensor[]): unknown {
    return this.run.apply(this, inputs);
  }
}

const graphOf = (model: Layer, options: OnnxOptions) => decodeModel(encodeOnnx(model, options)).graph!;
const text = ({ name, type }: ValueInfoProto) =>
  `${name} [${type!.tensorType!.shape!.dim.map(({ dimParam, dimValue }) => dimParam || dimValue).join(', ')}]`;

const x3 = [3];

/** Forward passes of all kinds, with the shapes of examples. */
const passes: Readonly<Record<string, readonly [Forward, OnnxOptions['inputShape'], fields?: object]>> = {
  'several inputs': [(a, b) => a.sub(b), [x3, x3]],
  'records of inputs and outputs': [
    ({ a, b }) => ({ sum: a.add(b), parts: [a, a.sub(b)], again: a.sub(b) }),
    { a: x3, b: x3 },
  ],
  'a Map of outputs': [
    (x) =>
      new Map([
        ['u', x.relu()],
        ['v', x.exp()],
      ]),
    x3,
  ],
  'an input as an output, and a tensor twice': [
    (x) => {
      const y = x.relu();
      return [x, y, y, x];
    },
    x3,
  ],
  'a parameter as an output': [
    function (x) {
      return [x, this.p];
    },
    x3,
    { p: new Parameter([2, 2]) },
  ],
  'updates in place of what it made': [
    (x) => {
      const y = x.mul(2);
      y.add_(1);
      const z = y.reshape([-1]).exp();
      y.mul_(x);
      y.lerp_(x, 0.3);
      y.lerp_(x.neg(), x.sigmoid());
      y.div_(3);
      return [y, z, zeros(x.shape).add_(x).assign(y.abs()).sub_(1)];
    },
    x3,
  ],
  'detached views': [
    (x) =>
      x
        .detach()
        .reshape([-1, 1])
        .add(x.reshape([-1, 1]).detach()),
    x3,
  ],
  'tensors made of the shape': [(x) => concat([x, ones([x.shape[0], 2])], 1).add(zeros([x.shape[0], 5])), x3],
  constants: [
    (x) =>
      x
        .mul(axpy.arange(3))
        .add(axpy.eye(3).slice([[1, 2]]))
        .sub(tensor([[1, 2, 3]])),
    x3,
  ],
  'one more example': [(x) => concat([x, ones([1, 3])], 0), x3],
  'parts of the batch': [(x) => [x.slice([[0, -1]]), x.slice([[1]]), x.slice([[-1, undefined, -1]])], x3],
  'parts of each': [(x) => [x.slice([null, [1]]), x.slice([null, [2, undefined, -2]])], x3],
  'over the batch': [
    (x) => [x.sub(x.mean(0)), x.variance(0), x.sum(), x.max([0, 1]), x.argmax(), x.argmin(0)],
    x3,
  ],
  'the batch against itself': [
    (x) => x.matmul(x, { transposeB: true }).reshape([x.shape[0], 1, x.shape[0]]),
    x3,
  ],
  'joined and parted axes': [(x) => x.reshape([-1, 3]).relu().reshape([x.shape[0], 4, 3]).flatten(), [4, 3]],
  broadcasts: [
    (x) =>
      x
        .mean(1, { keepDims: true })
        .broadcastTo(x.shape)
        .add(ones([3]).broadcastTo(x.shape)),
    x3,
  ],
  choices: [(x) => where(x.greater(0), x, x.mul(0.1)).add(where(x.less(1).mul(x.greater(-1)), 1, 0)), x3],
  'whole numbers': [(x) => x.cast('int32').mul(3).sub(1).abs().sign().cast('float32').sum(1), x3],
  'what nobody needs as well': [
    (x) => {
      axpy
        .dropout(x, 0.5)
        .add(randn(x.shape))
        .mul(x.shape[0])
        .slice([[0, undefined, 2]])
        .cast('float64');
      return x.sigmoid();
    },
    x3,
  ],
  'numbers alone': [(x) => x.mul(2), []],
  'images that come channels first': [
    (x) => axpy.conv2d(x.transpose([0, 2, 3, 1]), ones([2, 3, 3, 3])).transpose([0, 3, 1, 2]),
    [3, 5, 5],
  ],
  'a weight that is computed': [
    function (x) {
      return axpy.conv2d(x, this.w.div(this.w.square().sum([1, 2, 3], { keepDims: true }).sqrt()));
    },
    [5, 5, 2],
    { w: new Parameter([3, 2, 2, 2]).assign(randn([3, 2, 2, 2])) },
  ],
  'images and rows that meet': [
    (x) =>
      axpy
        .maxPool2d(x, 2)
        .mul(x.mean([1, 2], { keepDims: true }))
        .add(x.mean([0, 1, 2]))
        .softmax(3),
    [4, 4, 3],
  ],
};

describe('a forward pass of', () => {
  it.skipIf(runtime === null).each(Object.entries(passes))(
    '%s',
    async (_name, [forward, inputShape, fields]) => {
      const model = new Of(forward, fields);
      const graph = graphOf(model, { inputShape: inputShape! });
      const served = await session(encodeOnnx(model, { inputShape: inputShape! }));
      for (const batch of [2, 5]) {
        const isOne = Array.isArray(inputShape) && typeof inputShape[0] !== 'object';
        const entries = Object.entries(isOne ? { '': inputShape } : (inputShape as object));
        const tensors = entries.map(([, shape]) => randn([batch, ...shape]));
        const record = Object.fromEntries(entries.map(([key], i) => [key, tensors[i]]));
        const given = isOne || Array.isArray(inputShape) ? tensors : [record];
        const want = leavesOf(
          axpy.noGrad(() => model.forward(...(given as Tensor[]))),
          isTensor,
        );
        const names = graph.input.map(({ name }) => name);
        const got = await run(served, Object.fromEntries(names.map((name, i) => [name, tensors[i]])));
        expect(graph.output).toHaveLength(want.length);
        graph.output.forEach(({ name }, i) => {
          expectClose(got[name], want[i], `${name} for ${batch}`);
        });
      }
    },
  );
});

describe('names', () => {
  const two = new Of(({ a, b }) => ({ sum: a.add(b), parts: [a.exp(), b.log()] }));
  const shapes = { a: x3, b: [1] };

  it('are those of records, and numbers for arrays', () => {
    const { input, output } = graphOf(two, { inputShape: shapes });
    expect(input.map(text)).toEqual(['a [batch, 3]', 'b [batch, 1]']);
    expect(output.map(text)).toEqual(['sum [batch, 3]', 'parts.0 [batch, 3]', 'parts.1 [batch, 1]']);
    const listed = graphOf(new Of((a, b) => [a.add(b), b.exp()]), { inputShape: [x3, x3] });
    expect([...listed.input, ...listed.output].map(({ name }) => name)).toEqual([
      'input_0',
      'input_1',
      'output_0',
      'output_1',
    ]);
  });

  it('may be given', () => {
    const { input, output, node } = graphOf(new Dense(3, 2), {
      inputShape: x3,
      inputNames: ['features'],
      outputNames: ['scores'],
    });
    expect([input[0].name, output[0].name]).toEqual(['features', 'scores']);
    expect(node[0]).toMatchObject({ input: ['features', 'weight', 'bias'], output: ['scores'] });
  });

  it('of parameters are theirs, of nodes the path of their layer', () => {
    const shared = new Dense(4, 4, { activation: 'relu' });
    const model = new Sequential([
      new Conv2D(1, 2, 2),
      new BatchNorm(2),
      new Flatten(),
      new Sequential([new Dense(8, 4), shared, shared]),
    ]);
    const { initializer, node } = graphOf(model, { inputShape: [3, 3, 1] });
    const named = [...model.namedParameters(), ...model.namedBuffers()].map(([name]) => name);
    expect(
      initializer
        .map(({ name }) => name)
        .filter((name) => name !== 'constant')
        .sort(),
    ).toEqual(named.sort());
    expect(node.map(({ name }) => name)).toEqual([
      '0/Transpose',
      '0/Conv',
      '1/BatchNormalization',
      '3.0/Transpose',
      '3.0/Reshape',
      '3.0/Gemm',
      '3.1/Gemm',
      '3.1/Relu',
      '3.1/Gemm_1',
      '3.1/Relu_1',
    ]);
  });

  it('that meet are told apart', () => {
    const model = new Of(
      function (x) {
        return x.mul(this.input).add(this.Mul);
      },
      { input: new Parameter([3]), Mul: new Parameter([3]) },
    );
    const { initializer, node } = graphOf(model, { inputShape: x3 });
    expect(initializer.map(({ name }) => name)).toEqual(['input_1', 'Mul']);
    expect(node.map(({ input, output }) => [input, output])).toEqual([
      [['input', 'input_1'], ['Mul_1']],
      [['Mul_1', 'Mul'], ['output']],
    ]);
  });
});

describe('the file', () => {
  const model = new Sequential([new Conv2D(2, 3, 3), new Flatten(), new Dense(27, 2)], {
    inputShape: [5, 5, 2],
  });

  it('says who wrote it, and what', () => {
    const proto = decodeModel(encodeOnnx(model, { description: 'A model' }));
    expect(proto).toMatchObject({
      irVersion: 8,
      producerName: 'axpy',
      docString: 'A model',
      opsetImport: [{ domain: '', version: 17 }],
    });
    expect(proto.producerVersion).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('is the same each time, by path and by URL', async () => {
    const bytes = Buffer.from(encodeOnnx(model));
    expect(Buffer.from(encodeOnnx(model))).toEqual(bytes);
    const path = join(tmpdir(), `axpy-${process.pid}.onnx`);
    for (const given of [path, pathToFileURL(path)]) {
      await exportOnnx(model, given);
      expect(readFileSync(path)).toEqual(bytes);
    }
  });

  it('has the layout that is asked for at its border', () => {
    const images = new Conv2D(2, 3, 3);
    const border = (layout: axpy.OnnxLayout) => {
      const { input, output } = graphOf(images, { inputShape: [5, 6, 2], layout });
      return [...input, ...output].map(text);
    };
    expect(border('NHWC')).toEqual(['input [batch, 5, 6, 2]', 'output [batch, 3, 4, 3]']);
    expect(border('NCHW')).toEqual(['input [batch, 2, 5, 6]', 'output [batch, 3, 3, 4]']);
    expect(border('NCL')).toEqual(border('NHWC'));
    const { input } = graphOf(new axpy.Conv1D(2, 3, 3), { inputShape: [6, 2], layout: 'NCL' });
    expect(input.map(text)).toEqual(['input [batch, 2, 6]']);
  });

  it('is for one size of the batch where that is given', () => {
    const byRows = new Of((x) => x.sum(0).mul(1 / x.shape[0]));
    const { input, output } = graphOf(byRows, { inputShape: x3, batch: 4 });
    expect([...input, ...output].map(text)).toEqual(['input [4, 3]', 'output [3]']);
  });

  it('has float64 as it is, or float32 where that is asked for', () => {
    const own = new Dense(3, 2, { dtype: 'float64', activation: 'elu' });
    const types = (options: OnnxOptions) => {
      const { input, output, initializer } = graphOf(own, { inputShape: x3, ...options });
      return new Set([
        ...[...input, ...output].map(({ type }) => type!.tensorType!.elemType),
        ...initializer.map(({ dataType }) => dataType),
      ]);
    };
    expect([...types({})]).toEqual([11]);
    expect([...types({ dtype: 'float32' })]).toEqual([1]);
  });

  it('has images larger than a batch of some may be', () => {
    const { output } = graphOf(new axpy.ReLU(), { inputShape: [4000, 4000, 3] });
    expect(output.map(text)).toEqual(['output [batch, 4000, 4000, 3]']);
    expect(() => encodeOnnx(new axpy.ReLU(), { inputShape: [2 ** 30] })).toThrow(/fewer than 2\^31 elements/);
  });

  it('holds no more than 2 GiB', () => {
    const large = new Of(
      function (x) {
        return x.matmul(this.p, { transposeB: true });
      },
      { p: new SharedTensor([2 ** 15, 2 ** 14]) },
    );
    expect(() => encodeOnnx(large, { inputShape: [2 ** 14] })).toThrow(
      /less than 2 GiB.*got one of 2147483\d{3} bytes/,
    );
  });
});

describe('the model', () => {
  it('is as it was', async () => {
    seed(1);
    const model = new Sequential([new Dense(3, 3), new BatchNorm(3), new axpy.Dropout(0.5)]);
    model.layers[1].training = false;
    const before = [model.stateDict(), model.namedLayers().map(([, { training }]) => training)];
    const state = [...defaultState];
    encodeOnnx(model, { inputShape: x3 });
    expect(() => encodeOnnx(model, { inputShape: [4] })).toThrow(ShapeError);
    expect([model.stateDict(), model.namedLayers().map(([, { training }]) => training)]).toEqual(before);
    expect([...defaultState]).toEqual(state);
    for (const [, layer] of model.namedLayers()) expect(Object.keys(layer)).not.toContain('forward');
    expect(Object.hasOwn(model.layers[0], 'forward')).toBe(false);
    expect(model.parameters().map(({ grad, requiresGrad }) => [grad, requiresGrad])).toEqual(
      model.parameters().map(() => [null, true]),
    );
  });

  it('may be frozen, and have layers without a place', () => {
    const inner = new Dense(3, 3);
    const hidden = new Set([inner]);
    const model: Layer = new Of((x) => [...hidden][0].forward(x));
    Object.freeze(model);
    const { initializer } = graphOf(model, { inputShape: x3 });
    expect(initializer.map(({ dims }) => dims)).toEqual([[3, 3], [3]]);
  });
});

describe('refused is', () => {
  const add =
    (y: () => Tensor): Forward =>
    (x) =>
      x.add(y());
  const refused: Readonly<Record<string, readonly [Forward, RegExp, fields?: object]>> = {
    'a choice by values': [
      (x) => (x.sum().item() > 0 ? x : x.neg()),
      /reads values of tensors \(data, item, toArray\) in Of: to choose by a value, use where/,
    ],
    'a copy of values': [(x) => tensor(x.data), /reads values of tensors/],
    'random numbers': [add(() => randn([3])), /the kernel randomNormal computed for add in Of/],
    'a loss': [(x) => axpy.losses.mse(x, x), /the kernel loss computed for the output/],
    'dropout in evaluation': [
      (x) => axpy.dropout(x, 0.5),
      /dropout, which drops in evaluation .* in dropout in Of/,
    ],
    'state that changes': [
      function (x) {
        this.seen.add_(1);
        return x.add(this.seen);
      },
      /leaves parameters and state as they are in evaluation, got an update in place by scale in Of/,
      { seen: new SharedTensor([3]) },
    ],
    'statistics that move': [
      function (x) {
        const { mean, variance } = this;
        return axpy.batchNorm(x, null, null, { mean, variance });
      },
      /running statistics that move in evaluation \(training: true\) in batchNorm in Of/,
      { mean: new SharedTensor([3]), variance: new SharedTensor([3]) },
    ],
    'the size of the batch as a number': [
      (x) => x.mul(1 / x.shape[0]),
      /in scale in Of: write it .* by \{ batch \}/,
    ],
    'a constant of the size of the batch': [
      (x) => x.add(axpy.arange(x.shape[0]).reshape([-1, 1])),
      /other constants in add in Of/,
    ],
    'every second example': [
      (x) => x.slice([[0, undefined, 2]]),
      /a size of 505, 507, 510 for 1009, 1013, 1019 in slice/,
    ],
    'other ops by the size of the batch': [
      (x) => (x.shape[0] % 4 === 1 ? x.exp() : x.exp().relu()),
      /in the output|more ops|other/,
    ],
    'a promise': [async (x) => x, /output of forward to be a tensor/],
    'no tensor': [() => 5, /output of forward to be a tensor/],
  };

  it.each(Object.entries(refused))('%s', (_name, [forward, message, fields]) => {
    const model = new Of(forward, fields);
    expect(() => encodeOnnx(model, { inputShape: x3 })).toThrow(ArgumentError);
    expect(() => encodeOnnx(model, { inputShape: x3 })).toThrow(message);
    // Where it is depends on who asks.
    expect(() => encodeOnnx(new Sequential([new Dense(3, 3), model]), { inputShape: x3 })).toThrow(
      / Of 1|the output|tensor/,
    );
  });

  it('an input that the model does not take, in its own words', () => {
    const model = new Sequential([new Dense(4, 2)]);
    expect(() => encodeOnnx(model, { inputShape: x3 })).toThrow(
      'Dense 1 expected input [batch, 4], received [batch, 3]',
    );
  });

  const dense = new Dense(3, 2);
  const bad: Readonly<Record<string, readonly [() => unknown, RegExp]>> = {
    'no model': [
      () => encodeOnnx({} as never, { inputShape: x3 }),
      /\[encodeOnnx\] expected model to be a Layer/,
    ],
    'no shape': [() => encodeOnnx(dense), /expected inputShape, the shape of an example/],
    'shapes of nothing': [() => encodeOnnx(dense, { inputShape: {} }), /at least one shape, got none/],
    'a text as a shape': [
      () => encodeOnnx(dense, { inputShape: '3' as never }),
      /inputShape to be a shape.*got "3"/,
    ],
    'a negative size': [() => encodeOnnx(dense, { inputShape: [-1] }), /integers of at least 0, got \[-1\]/],
    layout: [
      () => encodeOnnx(dense, { inputShape: x3, layout: 'HWC' as never }),
      /one of NHWC, NCHW, NLC, NCL, got "HWC"/,
    ],
    batch: [
      () => encodeOnnx(dense, { inputShape: x3, batch: 0 }),
      /batch to be an integer of at least 1, got 0/,
    ],
    dtype: [
      () => encodeOnnx(dense, { inputShape: x3, dtype: 'float64' as never }),
      /dtype to be float32 or left out/,
    ],
    description: [
      () => encodeOnnx(dense, { inputShape: x3, description: 1 as never }),
      /description to be a text, got 1/,
    ],
    'too many names': [
      () => encodeOnnx(dense, { inputShape: x3, inputNames: ['a', 'b'] }),
      /1 inputNames, got 2/,
    ],
    'too few names': [() => encodeOnnx(dense, { inputShape: x3, outputNames: [] }), /1 outputNames, got 0/],
    'a number as a name': [
      () => encodeOnnx(dense, { inputShape: x3, outputNames: [1 as never] }),
      /different texts, got 1/,
    ],
    'one name twice': [
      () => encodeOnnx(dense, { inputShape: x3, inputNames: ['y'], outputNames: ['y'] }),
      /different names, got two called "y"/,
    ],
    'a misspelt option': [
      () => encodeOnnx(dense, { shape: x3 } as never),
      /options among inputShape, .*, got shape/,
    ],
    'a compiled function': [
      () => axpy.compile(() => ones([encodeOnnx(dense, { inputShape: x3 }).length])).sync(),
      /outside of a compiled function/,
    ],
  };

  it.each(Object.entries(bad))('%s', (_name, [call, message]) => {
    expect(call).toThrow(message);
  });

  it('a folder that is not there, with nothing left behind', async () => {
    const path = join(tmpdir(), `axpy-${process.pid}-none`, 'model.onnx');
    await expect(exportOnnx(dense, path, { inputShape: x3 })).rejects.toThrow(axpy.FileError);
    await expect(exportOnnx(dense, path)).rejects.toThrow(/\[exportOnnx\] expected inputShape/);
  });
});

it.skipIf(runtime === null)('writes one moment of a training that goes on', async () => {
  seed(2);
  const model = new Sequential([new Dense(3, 4, { activation: 'tanh' }), new Dense(4, 1)]);
  const x = randn([64, 3]);
  const optimizer = new axpy.Adam(model.parameters());
  let during: { bytes: Uint8Array; want: Tensor } | undefined;
  await axpy.fit(
    model,
    { x, y: x.sum(1, { keepDims: true }) },
    {
      loss: 'mse',
      optimizer,
      epochs: 3,
      batchSize: 8,
      callbacks: [
        {
          onEpochEnd: async ({ epoch }) => {
            if (epoch === 2)
              during = { bytes: encodeOnnx(model, { inputShape: x3 }), want: await predict(model, x) };
          },
        },
      ],
    },
  );
  const { output } = await run(await session(during!.bytes), { input: x });
  expectClose(output, during!.want, 'output');
});
