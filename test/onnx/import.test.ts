/** Models of ONNX as layers: those of PyTorch beside what that computes, and what an import promises. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  checkpoint,
  compile,
  conv2d,
  Dense,
  encodeModel,
  fit,
  full,
  importOnnx,
  layerFrom,
  loadModel,
  losses,
  OnnxModel,
  predict,
  profile,
  rand,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { withPasses } from '../../lib/kernels/passes/index.ts';
import { operatorNames } from '../../lib/onnx/operators/index.ts';
import { dataType, encodeModelProto } from '../../lib/onnx/schema.ts';
import { temporaryFolder } from '../files/temporary.ts';
import {
  bytesOf,
  difference,
  floats,
  graphOf,
  ints,
  type ModelText,
  type Packed,
  protoOf,
  pytorchModels,
  raw,
  unpack,
} from './models.ts';

const folder = fileURLToPath(new URL('pytorch', import.meta.url));
const outputsOf = (model: OnnxModel, inputs: readonly Tensor[]): Tensor[] =>
  [model.forward(...inputs)].flat() as Tensor[];

interface Fixture {
  readonly inputs: readonly Packed[];
  readonly outputs: readonly Packed[];
  readonly training: readonly Packed[];
  readonly gradients?: Readonly<Record<string, Packed>>;
  readonly buffers?: Readonly<Record<string, Packed>>;
  readonly state?: Readonly<Record<string, Packed>>;
}

const fixtureOf = (name: string): Fixture => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
const fixtureModel = (name: string, options = {}) => importOnnx(join(folder, `${name}.onnx`), options);

/** PyTorch's weights as axpy's layers hold them: channels of those of convolutions last. */
const held = (x: Tensor, like: Tensor): Tensor =>
  x.rank < 3 || (`${x.shape}` === `${like.shape}` && !isKernel(like))
    ? x
    : x.transpose([0, ...x.shape.slice(2).map((_, i) => i + 2), 1]);
const isKernel = (x: Tensor) => x.rank === 4 || (x.rank === 3 && x.shape[2] > 1);

/** As make.py has it. */
function lossOf(outputs: readonly Tensor[]): Tensor {
  return outputs
    .map((y) => {
      const steps = Float32Array.from({ length: y.size }, (_, i) => 0.5 + i / Math.max(y.size - 1, 1));
      return y
        .mul(tensor(steps, { shape: y.shape }))
        .square()
        .sum()
        .add(y.sum());
    })
    .reduce((a, b) => a.add(b));
}

describe.each(pytorchModels)('%s of PyTorch', (name) => {
  const fixture = fixtureOf(name);
  const inputs = fixture.inputs.map(unpack);
  const expected = fixture.outputs.map(unpack);

  it('predicts what PyTorch does, also one example at a time and compiled', async () => {
    const model = (await fixtureModel(name)).eval();
    for (const [i, y] of outputsOf(model, inputs).entries())
      expect(difference(y, expected[i])).toBeLessThan(1e-5);
    const run = compile((...given: Tensor[]) => outputsOf(model, given));
    for (let pass = 0; pass < 2; pass++) {
      for (const [i, y] of run.sync(...inputs).entries())
        expect(difference(y, expected[i])).toBeLessThan(1e-5);
    }
    if (name === 'fixed') return;
    const one = inputs.map((x) => x.slice([[0, 1]]));
    for (const [i, y] of outputsOf(model, one).entries()) {
      expect(difference(y, expected[i].slice([[0, 1]]))).toBeLessThan(1e-5);
    }
  });

  it('is made again of its config and state, bit for bit', async () => {
    const model = (await fixtureModel(name)).eval();
    const again = layerFrom(JSON.parse(JSON.stringify(model))) as OnnxModel;
    again.loadStateDict(model.stateDict());
    const own = outputsOf(model, inputs);
    for (const [i, y] of outputsOf(again.eval(), inputs).entries())
      expect([...y.data]).toEqual([...own[i].data]);
    expect(again.config).toEqual(model.config);
  });

  const { gradients, buffers = {}, state = {} } = fixture;
  if (gradients === undefined) return;

  it('has the bits of PyTorch’s weights, under their names', async () => {
    const model = await fixtureModel(name);
    const own = model.stateDict();
    for (const [key, packed] of Object.entries(state)) {
      expect([...own[key].data], key).toEqual([...held(unpack(packed), own[key]).data]);
    }
    expect(
      model
        .namedParameters()
        .map(([key]) => key)
        .sort(),
    ).toEqual(Object.keys(state).sort());
  });

  it.each(['eager', 'compiled'])('trains as PyTorch does, %s', async (how) => {
    const model = (await fixtureModel(name)).train();
    const before = model.stateDict();
    const optimizer = new SGD(model.parameters(), { learningRate: 0.01 });
    const step = (...given: Tensor[]) => {
      optimizer.zeroGrad();
      const outputs = outputsOf(model, given);
      lossOf(outputs).backward();
      optimizer.step();
      return outputs;
    };
    const outputs = how === 'eager' ? step(...inputs) : compile(step).sync(...inputs);
    for (const [i, y] of outputs.entries())
      expect(difference(y, unpack(fixture.training[i]))).toBeLessThan(1e-5);
    for (const [key, parameter] of model.namedParameters()) {
      const gradient = held(unpack(gradients[key]), parameter);
      const largest = Math.max(1, ...gradient.abs().data);
      expect(difference(parameter.grad!.div(largest), gradient.div(largest)), key).toBeLessThan(1e-5);
      const moved = before[key].sub(gradient.mul(0.01));
      expect(difference(parameter.detach(), moved), key).toBeLessThan(1e-5);
    }
    const own = Object.fromEntries(model.namedBuffers());
    for (const [key, packed] of Object.entries(buffers))
      expect(difference(own[key], unpack(packed)), key).toBeLessThan(1e-5);
  });
});

describe('a model that comes in', () => {
  it('is trained on by fit, compiled and not, to the same', async () => {
    const runs: number[][] = [];
    for (const compiled of [true, false]) {
      seed(3);
      const model = await fixtureModel('residual');
      const x = rand([24, 2, 6, 6]);
      const y = tensor(Int32Array.from({ length: 24 }, (_, i) => i % 3));
      const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
      const options = {
        loss: 'softmaxCrossEntropy',
        optimizer,
        epochs: 8,
        batchSize: 8,
        compiled,
        seed: 1,
      } as const;
      const { epochs } = await fit(model, { x, y }, options);
      expect(epochs[7].loss).toBeLessThan(epochs[0].loss);
      runs.push(epochs.map(({ loss }) => loss));
    }
    expect(runs[0]).toEqual(runs[1]);
  });

  it('gives features for a head of one’s own, frozen or not', async () => {
    seed(1);
    const [output] = (await fixtureModel('cnn')).config.nodes as {
      op: string;
      inputs: string[];
      outputs: string[];
    }[];
    expect(output.op).toBe('Conv');
    const nodes = (await fixtureModel('cnn')).config.nodes as { op: string; inputs: string[] }[];
    const features = nodes.find(({ op }) => op === 'Gemm')!.inputs[0];
    const body = await fixtureModel('cnn', { outputs: [features] });
    expect(body.namedParameters().map(([name]) => name)).not.toContain('11.weight');
    body.trainable = false;
    const model = new Sequential([body, new Dense(6, 2)]);
    const before = body.stateDict();
    const x = rand([16, 2, 6, 6]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const y = tensor(Int32Array.from({ length: 16 }, (_, i) => i % 2));
    const train = () => fit(model, { x, y }, { loss: 'softmaxCrossEntropy', optimizer, epochs: 2 });
    const moved = () =>
      body
        .namedTensors()
        .flatMap(([name, own]) => ([...own.data].join() === [...before[name].data].join() ? [] : name));
    await train();
    // Also running statistics stay, as those of the layer BatchNorm do.
    expect(moved()).toEqual([]);
    // Where parameters alone are to learn again, statistics still do.
    body.setRequiresGrad(true);
    await train();
    expect(moved().sort()).toEqual(
      body
        .namedParameters()
        .map(([name]) => name)
        .sort(),
    );
    body.trainable = true;
    await train();
    expect(moved()).toEqual(body.namedTensors().map(([name]) => name));
    expect(model.namedParameters().map(([name]) => name)).toContain('0.1.weight');
  });

  it('takes and returns images with channels last where it is asked to', async () => {
    const fixture = fixtureOf('unet');
    const x = unpack(fixture.inputs[0]);
    const last = [0, 2, 3, 1];
    const model = (await fixtureModel('unet', { layout: 'NHWC' })).eval();
    const y = await predict(model, x.transpose(last));
    expect(difference(y, unpack(fixture.outputs[0]).transpose(last))).toBeLessThan(1e-5);
    expect(() => model.forward(x)).toThrow(/expected input x0 .* received/);
  });

  it('moves no elements about between convolutions', async () => {
    for (const [layout, transposes] of [
      ['NCHW', 1],
      ['NHWC', 0],
    ] as const) {
      const model = (await fixtureModel('residual', { layout })).eval();
      const x = layout === 'NCHW' ? rand([4, 2, 6, 6]) : rand([4, 6, 6, 2]);
      const step = compile((given: Tensor) => model.forward(given) as Tensor);
      const { calls } = withPasses(false, () => {
        step.sync(x);
        return profile(step, [x], { runs: 1, print: false });
      });
      expect(calls.filter(({ kernel }) => kernel === 'copy').length).toBe(transposes);
      // What activates a normalisation is in its call; two stand behind sums, and three work on each running variance.
      expect(calls.filter(({ kernel }) => kernel === 'unary').length).toBe(2 + 3 * 3);
    }
  });

  it('moves none at the borders of Keras’s models, which have channels last', async () => {
    const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
    const model = await imported({
      nodes: [
        ['Transpose', ['x'], ['first'], { perm: [0, 3, 1, 2] }],
        ['Conv', ['first', 'kernel'], ['a'], { auto_pad: 'SAME_UPPER', strides: [2, 2] }],
        ['Relu', ['a'], ['b']],
        ['Transpose', ['b'], ['y'], { perm: [0, 2, 3, 1] }],
      ],
      inputs: { x: ['n', 5, 5, 2] },
      tensors: [floats('kernel', [3, 2, 3, 3], values(54))],
    });
    const x = rand([2, 5, 5, 2]);
    const step = compile((given: Tensor) => model.forward(given) as Tensor);
    const y = step.sync(x);
    const { calls } = await profile(step, [x], { runs: 1, print: false });
    expect(calls.map(({ kernel }) => kernel)).toEqual(['convolve']);
    const weight = model.parameters()[0] as Tensor<'float32'>;
    expect(difference(y, conv2d(x, weight, null, { stride: 2, padding: 'same' }).relu())).toBe(0);
  });

  it('does in one call what PyTorch’s exporter takes apart', async () => {
    const model = (await fixtureModel('attention')).eval();
    const step = compile((given: Tensor) => model.forward(given) as Tensor);
    const x = randn([2, 5, 8]);
    step.sync(x);
    const { calls } = await profile(step, [x], { runs: 1, print: false });
    expect(calls.filter(({ kernel }) => kernel === 'layerNorm').length).toBe(2);
    // Four products with weights, two of attention.
    expect(calls.filter(({ kernel }) => kernel === 'gemm').length).toBe(6);
    expect(calls.filter(({ kernel }) => kernel === 'reduce').length).toBe(0);
  });

  it('is read of a path, a URL and bytes alike', async () => {
    const path = join(folder, 'mlp.onnx');
    const bytes = readFileSync(path);
    const sources = [
      path,
      pathToFileURL(path),
      bytes,
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    ];
    const states = await Promise.all(
      sources.map(async (source) => JSON.stringify((await importOnnx(source as string)).stateDict())),
    );
    expect(new Set(states).size).toBe(1);
  });

  it('goes on from a checkpoint as if nothing had been between, also after a batch that was smaller', async () => {
    seed(9);
    const x = rand([20, 2, 6, 6]);
    const y = tensor(Int32Array.from({ length: 20 }, (_, i) => i % 3));
    const trained = async (epochs: number, from?: Uint8Array) => {
      const model = await fixtureModel('cnn');
      const kept: Uint8Array[] = [];
      const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
      const callbacks = [checkpoint({ save: (point) => void kept.push(point.encode()), every: 2 })];
      const options = { loss: 'softmaxCrossEntropy', optimizer, epochs, batchSize: 8, callbacks } as const;
      await fit(model, { x, y }, from === undefined ? options : { ...options, resume: from });
      return { state: model.stateDict(), kept };
    };
    seed(4);
    const whole = await trained(3);
    // Each in the middle of something: every epoch has three batches, and the last one is half as large.
    for (const point of whole.kept) {
      seed(5);
      const { state } = await trained(3, point);
      for (const [name, own] of Object.entries(whole.state))
        expect([...state[name].data], name).toEqual([...own.data]);
    }
    expect(whole.kept.length).toBeGreaterThan(3);
  });

  it('is saved and loaded as other models are, without its file', async () => {
    for (const name of ['mobile', 'attention', 'text']) {
      const model = await fixtureModel(name);
      const [, parameter] = model.namedParameters()[1];
      parameter.setRequiresGrad(false);
      const loaded = (await loadModel(encodeModel(model))) as OnnxModel;
      expect(loaded).toBeInstanceOf(OnnxModel);
      expect(loaded.namedParameters()[1][1].requiresGrad).toBe(false);
      const inputs = fixtureOf(name).inputs.map(unpack);
      const [own, other] = [model, loaded].map((each) => outputsOf(each.eval(), inputs)[0]);
      expect([...other.data]).toEqual([...own.data]);
    }
  });

  it('tells what it takes and returns', async () => {
    const model = await fixtureModel('text');
    expect(model.inputs).toEqual([{ name: 'x0', dtype: 'int32', shape: ['batch', 7] }]);
    expect(model.outputs.map(({ name }) => name)).toEqual(['y0']);
    expect(model.inputDtype).toBe('int32');
    // Plain numbers become what it takes.
    expect((await predict(model, [[1, 2, 3, 4, 5, 0, 0]])).shape).toEqual([1, 3]);
    const image = await fixtureModel('cnn');
    expect(image.outputShape([2, 6, 6])).toEqual([3]);
    expect(() => image.outputShape([3, 6, 6])).toThrow(
      'expected input [batch, 2, 6, 6], received [batch, 3, 6, 6]',
    );
    expect(() => image.forward(rand([4, 3, 6, 6]))).toThrow(expect.objectContaining({ code: 'AXPY_SHAPE' }));
    expect(() => image.forward(rand([4, 2, 6, 6], { dtype: 'float64' }))).toThrow(
      expect.objectContaining({ code: 'AXPY_DTYPE' }),
    );
    expect(() => image.forward()).toThrow('expected 1 input(s): x0, got 0');
  });
});

// ── small models ────────────────────────────────────────────────────────────────────────────────────────────────────

const imported = (text: ModelText, options = {}) => importOnnx(bytesOf(text), options);
const rowsOf = (y: unknown) => (y as Tensor).toArray();

describe('elements', () => {
  const add = (w: ReturnType<typeof raw>): ModelText => ({
    nodes: [['Add', ['x', 'w'], ['y']]],
    inputs: { x: [3] },
    tensors: [w],
  });
  it('of halves are floats, exactly', async () => {
    const half = raw(
      'w',
      [3],
      dataType.float16,
      new Uint8Array(Uint16Array.of(0x3c00, 0x0001, 0xfbff).buffer),
    );
    const brain = raw(
      'w',
      [3],
      dataType.bfloat16,
      new Uint8Array(Uint16Array.of(0x3f80, 0x4049, 0x0001).buffer),
    );
    const x = tensor([0, 0, 0]);
    expect(rowsOf((await imported(add(half))).forward(x))).toEqual([1, 2 ** -24, -65504]);
    expect(rowsOf((await imported(add(brain))).forward(x))).toEqual([1, 3.140625, 2 ** -133]);
    // Not raw, they are bits in integers.
    const bits = { ...half, rawData: new Uint8Array(0), int32Data: [0x3c00, 0x0001, 0xfbff] };
    expect(rowsOf((await imported(add(bits))).forward(x))).toEqual([1, 2 ** -24, -65504]);
  });

  it('of doubles stay doubles', async () => {
    const w = raw('w', [3], dataType.double, new Uint8Array(Float64Array.of(0.1, 1e300, -0).buffer));
    const model = await imported({ ...add(w), inputs: { x: { type: dataType.double, shape: [3] } } });
    expect(model.inputDtype).toBe('float64');
    const y = model.forward(tensor([1, 0, 0], { dtype: 'float64' })) as Tensor;
    expect([...y.data]).toEqual([1.1, 1e300, 0]);
    const field = { ...w, rawData: new Uint8Array(0), doubleData: w.rawData };
    expect(
      (await imported({ ...add(field), inputs: { x: { type: dataType.double, shape: [3] } } })).stateDict(),
    ).toEqual(model.stateDict());
  });

  it('of 64 bits become int32, or are refused', async () => {
    const table = (values: number[]) =>
      imported({
        nodes: [['Add', ['x', 't'], ['y']]],
        inputs: { x: { type: dataType.int64, shape: [values.length] } },
        tensors: [ints('t', values)],
      });
    expect(rowsOf((await table([1, -2])).forward(tensor([1, 1], { dtype: 'int32' })))).toEqual([2, -1]);
    const large = await table([2 ** 40]);
    expect(() => large.forward(tensor([1], { dtype: 'int32' }))).toThrow(/node 'y' \(Add\).*1099511627776/);
    // So many are a buffer, and looked at as the file is read.
    const many = Array.from({ length: 5000 }, (_, i) => i);
    const model = await table(many);
    expect(model.namedBuffers().map(([name]) => name)).toEqual(['t']);
    expect(model.namedParameters()).toEqual([]);
    expect((rowsOf(model.forward(tensor(new Int32Array(5000)))) as number[])[4999]).toBe(4999);
    await expect(table([...many, 2 ** 40])).rejects.toThrow(/tensor 't'.*1099511627776/);
  });
});

describe('what is a parameter', () => {
  it('are floats that operators compute with; masks and constants are buffers or numbers', async () => {
    const model = await imported({
      nodes: [
        ['Constant', [], ['c'], { value: floats('', [100], new Float32Array(100).fill(2)) }],
        ['Constant', [], ['two'], { value: floats('', [], [2]) }],
        ['Mul', ['x', 'w'], ['a']],
        ['Add', ['a', 'mask'], ['b']],
        ['Mul', ['b', 'c'], ['d']],
        ['Div', ['d', 'onnx::Div_3'], ['e']],
        ['Clip', ['e', 'low', ''], ['f']],
        ['Pow', ['f', 'two'], ['y']],
      ],
      inputs: { x: ['n', 100] },
      tensors: [
        floats('w', [100], new Float32Array(100).fill(3)),
        floats('mask', [100], [-Infinity, ...new Float32Array(99)]),
        floats('onnx::Div_3', [], [4]),
        floats('low', [], [-1]),
        floats('unused', [5], [1, 2, 3, 4, 5]),
      ],
    });
    expect(model.namedParameters().map(([name]) => name)).toEqual(['w']);
    expect(
      model
        .namedBuffers()
        .map(([name]) => name)
        .sort(),
    ).toEqual(['c', 'mask']);
    const y = (model.forward(tensor([new Float32Array(100).fill(1)])) as Tensor).data;
    expect([y[0], y[1]]).toEqual([1, 2.25]);
  });

  it('has its name, whatever is in it, but for the one that no record can have', async () => {
    const odd = ['features.0.weight', 'a/b:0', 'x y', 'forward', 'constructor', '日本', '0'];
    const text = (own: string[]): ModelText => ({
      nodes: own.map((name, i) => [
        'Add',
        [i === 0 ? 'x' : `t${i}`, name],
        [i === own.length - 1 ? 'y' : `t${i + 1}`],
      ]),
      inputs: { x: [1] },
      tensors: own.map((name) => floats(name, [1], [1])),
    });
    const model = await imported(text(odd));
    expect(model.namedParameters().map(([name]) => name)).toEqual(odd);
    expect(Object.keys(model.stateDict()).sort()).toEqual([...odd].sort());
    expect(rowsOf(model.forward(tensor([0])))).toEqual([odd.length]);
    await expect(imported(text(['__proto__']))).rejects.toThrow(
      expect.objectContaining({ code: 'AXPY_FORMAT' }),
    );
  });

  it('may be an input of the graph as well, as in files of before IR version 4', async () => {
    const model = await imported({
      nodes: [['Add', ['x', 'w'], ['y']]],
      inputs: { x: [2], w: [2] },
      tensors: [floats('w', [2], [1, 2])],
    });
    expect(model.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('is no scalar that an exporter named itself', async () => {
    const names = [
      'scale',
      'reconstruction',
      'const_fold_opt__12',
      'Const',
      '/block/Constant_1_output_0',
      '37',
      'onnx::Mul_7',
    ];
    const model = await imported({
      nodes: names.map((name, i) => [
        'Mul',
        [i === 0 ? 'x' : `t${i}`, name],
        [i === names.length - 1 ? 'y' : `t${i + 1}`],
      ]),
      inputs: { x: [1] },
      tensors: names.map((name) => floats(name, [], [2])),
    });
    expect(model.namedParameters().map(([name]) => name)).toEqual(['scale', 'reconstruction']);
    expect(rowsOf(model.forward(tensor([1])))).toEqual([2 ** names.length]);
  });

  it('are no running statistics, which training moves, also where a Constant has them', async () => {
    const constant = (name: string, value: number): ModelText['nodes'][number] => [
      'Constant',
      [],
      [name],
      { value: floats('', [2], [value, value]) },
    ];
    const model = await imported({
      nodes: [
        ...['scale', 'shift', 'mean', 'variance'].map((name) => constant(name, 1)),
        [
          'BatchNormalization',
          ['x', 'scale', 'shift', 'mean', 'variance'],
          ['y'],
          { momentum: { float: 0.5 } },
        ],
      ],
      inputs: { x: ['n', 2] },
    });
    expect(model.namedBuffers().map(([name]) => name)).toEqual(['mean', 'variance']);
    model.train().forward(
      tensor([
        [1, 2],
        [3, 6],
      ]),
    );
    expect(model.stateDict().mean.toArray()).toEqual([1.5, 2.5]);
    expect(model.stateDict().variance.toArray()).toEqual([1.5, 4.5]);
  });

  it('is one for two nodes that share it, convolutions or not', async () => {
    const model = await imported({
      nodes: [
        ['Conv', ['x', 'w'], ['a'], { pads: [1, 1, 1, 1] }],
        ['Conv', ['a', 'w'], ['b'], { pads: [1, 1, 1, 1] }],
        ['ReduceMean', ['w'], ['m'], { keepdims: 0 }],
        ['Add', ['b', 'm'], ['y']],
      ],
      inputs: { x: ['n', 2, 4, 4] },
      tensors: [
        floats(
          'w',
          [2, 2, 3, 3],
          Float32Array.from({ length: 36 }, (_, i) => Math.sin(i)),
        ),
      ],
    });
    expect(model.parameterCount()).toBe(36);
    (model.forward(rand([2, 2, 4, 4])) as Tensor).sum().backward();
    expect(model.parameters()[0].grad!.abs().min().item()).toBeGreaterThan(0);
  });
});

describe('several inputs and outputs', () => {
  const text: ModelText = {
    nodes: [
      ['Add', ['a', 'b'], ['sum']],
      ['Gather', ['table', 't'], ['row']],
      ['Mul', ['sum', 'row'], ['product']],
    ],
    inputs: { a: ['n', 2], b: ['n', 2], t: { type: dataType.int64, shape: ['n'] } },
    outputs: ['product', 'sum'],
    tensors: [floats('table', [2, 2], [1, 10, 100, 1000])],
  };

  it('are an array each, as predict and fit take them', async () => {
    const model = await imported(text);
    const x = [tensor([[1, 2]]), tensor([[3, 4]]), tensor([1], { dtype: 'int32' })];
    const [product, sum] = await predict(model, x);
    expect([product.toArray(), sum.toArray()]).toEqual([[[400, 6000]], [[4, 6]]]);
    // Plain numbers become what each of them is.
    expect(model.inputDtype).toEqual({ 0: 'float32', 1: 'float32', 2: 'int32' });
  });

  it('are those alone that inner values need', async () => {
    const model = await imported(text, { outputs: ['row'] });
    expect(model.inputs.map(({ name }) => name)).toEqual(['t']);
    expect(rowsOf(model.forward(tensor([0], { dtype: 'int32' })))).toEqual([[1, 10]]);
  });
});

describe('control that follows from shapes', () => {
  const branch = (value: number): ReturnType<typeof graphOf> =>
    graphOf({ nodes: [['Mul', ['x', 'k'], ['r']]], outputs: ['r'], tensors: [floats('k', [], [value])] });

  it('takes one of two branches, as the batch has it', async () => {
    const nodes: ModelText['nodes'] = [
      ['Shape', ['x'], ['s']],
      ['Gather', ['s', 'zero'], ['n']],
      ['Equal', ['n', 'one'], ['is one']],
      ['If', ['is one'], ['y'], { then_branch: branchOf(10), else_branch: branchOf(100) }],
    ];
    function branchOf(value: number) {
      const name = `k${value}`;
      return graphOf({
        nodes: [['Mul', ['x', name], ['r']]],
        outputs: ['r'],
        tensors: [floats(name, [], [value])],
      });
    }
    const model = await imported({
      nodes,
      inputs: { x: ['n', 1] },
      tensors: [ints('zero', [0], []), ints('one', [1], [])],
    });
    expect(rowsOf(model.forward(tensor([[2]])))).toEqual([[20]]);
    expect(rowsOf(model.forward(tensor([[2], [3]])))).toEqual([[200], [300]]);
    const again = layerFrom(JSON.parse(JSON.stringify(model))) as OnnxModel;
    again.loadStateDict(model.stateDict());
    expect(rowsOf(again.forward(tensor([[2], [3]])))).toEqual([[200], [300]]);
  });

  it('does not look at a branch that a constant rules out', async () => {
    const model = await imported({
      nodes: [
        [
          'If',
          ['c'],
          ['y'],
          {
            then_branch: branch(3),
            else_branch: graphOf({ nodes: [['Unknown', ['x'], ['r']]], outputs: ['r'] }),
          },
        ],
      ],
      inputs: { x: [1] },
      tensors: [raw('c', [], dataType.bool, Uint8Array.of(1))],
    });
    expect(rowsOf(model.forward(tensor([2])))).toEqual([6]);
  });

  it('says that it cannot follow data', async () => {
    const model = await imported({
      nodes: [
        ['ReduceSum', ['x'], ['s'], { keepdims: 0 }],
        ['Cast', ['s'], ['c'], { to: dataType.bool }],
        [
          'If',
          ['c'],
          ['y'],
          {
            then_branch: graphOf({ nodes: [['Abs', ['x'], ['r']]], outputs: ['r'] }),
            else_branch: graphOf({ nodes: [['Neg', ['x'], ['r']]], outputs: ['r'] }),
          },
          'choose',
        ],
      ],
      inputs: { x: [1] },
    });
    expect(() => model.forward(tensor([1]))).toThrow(
      /^\[OnnxModel node 'choose' \(If\)\] expected the condition to follow from constants and shapes/,
    );
  });
});

describe('dropout', () => {
  it('drops while training alone, at the rate of the file, wherever that is', async () => {
    for (const [opset, node] of [
      [10, ['Dropout', ['x'], ['y'], { ratio: { float: 0.25 } }]],
      [13, ['Dropout', ['x', 'r', 't'], ['y', 'mask']]],
    ] as const) {
      const model = await imported({
        opset,
        nodes: [node as never],
        inputs: { x: [4000] },
        tensors: opset === 10 ? [] : [floats('r', [], [0.25]), raw('t', [], dataType.bool, Uint8Array.of(1))],
      });
      const x = tensor(new Float32Array(4000).fill(3));
      expect(new Set((model.eval().forward(x) as Tensor).data)).toEqual(new Set([3]));
      seed(1);
      const y = (model.train().forward(x) as Tensor).data;
      expect(new Set(y)).toEqual(new Set([0, 4]));
      expect(y.filter((each) => each === 0).length / 4000).toBeCloseTo(0.25, 1);
    }
  });
});

it('docs/files.md lists the operators, and no others', () => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/files.md', import.meta.url)), 'utf8');
  const list = page.slice(page.indexOf('Elementwise: '), page.indexOf('Anything else, Loop'));
  const named = [...list.matchAll(/\b[A-Z][A-Za-z0-9]+\b/g)].map(([name]) => name);
  const headings = [
    'Elementwise',
    'Products',
    'Recurrent',
    'Images',
    'Normalisation',
    'Reductions',
    'Shapes',
  ];
  const expected = [...operatorNames(), 'Constant', 'If', ...headings];
  expect(new Set(named)).toEqual(new Set(expected));
});

describe('what the library cannot do', () => {
  it('is listed as a whole, with nodes and domains, before anything is made', async () => {
    const text: ModelText = {
      nodes: [
        ['Loop', ['x'], ['a'], {}, 'memory'],
        ['com.microsoft:FusedThing', ['a'], ['b']],
        ['MaxPool', ['b'], ['c'], { kernel_shape: [2, 2], dilations: [2, 2] }, 'pool'],
        ['QLinearConv', ['c'], ['y']],
        ['Relu', ['x'], ['easy']],
      ],
      inputs: { x: [1, 1, 4, 4] },
      outputs: ['y', 'easy'],
    };
    const error = await imported(text).catch((thrown) => thrown);
    expect(error.code).toBe('AXPY_ARGUMENT');
    for (const part of [
      "node 'memory' (Loop)",
      "node 'b' (com.microsoft:FusedThing)",
      "node 'pool' (MaxPool)",
      'dilations of 1, got [2, 2]',
      "node 'y' (QLinearConv)",
    ]) {
      expect(error.message).toContain(part);
    }
    expect(error.message).toContain("there are the outputs ['easy']");
    // What is not needed is not looked at.
    const easy = await imported(text, { outputs: ['easy'] });
    expect((easy.forward(full([1, 1, 4, 4], -1)) as Tensor).sum().item()).toBe(0);
  });

  it('may be what a classifier of scikit-learn does with its scores', async () => {
    const text: ModelText = {
      nodes: [
        ['Cast', ['x'], ['cast'], { to: dataType.float }],
        ['MatMul', ['cast', 'coefficient'], ['product']],
        ['Add', ['product', 'intercepts'], ['sum']],
        ['Softmax', ['sum'], ['probabilities'], { axis: -1 }],
        ['ArgMax', ['probabilities'], ['place'], { axis: 1 }],
        ['ai.onnx.ml:ArrayFeatureExtractor', ['classes', 'place'], ['label']],
        ['ai.onnx.ml:ZipMap', ['probabilities'], ['map']],
      ],
      inputs: { x: { type: dataType.double, shape: ['n', 2] } },
      outputs: ['label', 'map'],
      tensors: [
        floats('coefficient', [2, 2], [1, 0, 0, 1]),
        floats('intercepts', [1, 2], [0, 0]),
        ints('classes', [3, 5]),
      ],
    };
    await expect(imported(text)).rejects.toThrow(/node 'label' \(ai.onnx.ml:ArrayFeatureExtractor\)/);
    const model = await imported(text, { outputs: ['probabilities', 'place'] });
    const [scores, place] = model.forward(tensor([[0, 200]], { dtype: 'float64' })) as Tensor[];
    expect([scores.toArray(), place.toArray()]).toEqual([[[0, 1]], [[1]]]);
  });

  it('are old versions of the operators; newer ones are tried, with a warning', async () => {
    const text: ModelText = { nodes: [['Relu', ['x'], ['y']]], inputs: { x: [1] } };
    await expect(imported({ ...text, opset: 6 })).rejects.toThrow('expected opset 7 or later, got 6');
    const warned = new Promise<Error & { code?: string }>((resolve) => process.once('warning', resolve));
    expect(rowsOf((await imported({ ...text, opset: 99 })).forward(tensor([-1])))).toEqual([0]);
    expect((await warned).code).toBe('AXPY_ONNX');
  });

  it('are texts, sequences, and options that are none', async () => {
    const text: ModelText = { nodes: [['Relu', ['x'], ['y']]], inputs: { x: [1] } };
    await expect(imported({ ...text, inputs: { x: { type: dataType.string, shape: [1] } } })).rejects.toThrow(
      /of numbers, got string/,
    );
    const texts = { ...ints('labels', [], [0]), dataType: dataType.string };
    // As long as nobody reads them.
    expect((await imported({ ...text, tensors: [texts] })).parameters()).toEqual([]);
    await expect(
      imported({ nodes: [['Add', ['x', 'labels'], ['y']]], inputs: { x: [1] }, tensors: [texts] }),
    ).rejects.toThrow(/^\[importOnnx\] tensor 'labels': expected numbers, got string/);
    await expect(imported(text, { layout: 'CHWN' })).rejects.toThrow('expected layout to be NCHW or NHWC');
    await expect(imported(text, { outputs: ['z'] })).rejects.toThrow(
      'expected outputs to be values of the model',
    );
    await expect(imported(text, { outputs: [] })).rejects.toThrow('expected a name at least');
    await expect(imported(text, { output: ['y'] })).rejects.toThrow('expected options among outputs, layout');
  });

  it('is said at the node where a tensor does not fit', async () => {
    const model = await imported({
      nodes: [['Gemm', ['x', 'w'], ['y'], { transB: 1 }, 'head']],
      inputs: { x: ['n', 'k'] },
      tensors: [floats('w', [2, 3], [1, 2, 3, 4, 5, 6])],
    });
    expect(() => model.forward(rand([2, 4]))).toThrow(
      /^\[OnnxModel node 'head' \(Gemm\)\] linear expected x \[batch, in\]/,
    );
    expect(() => compile((x: Tensor) => model.forward(x) as Tensor).sync(rand([2, 4]))).toThrow(
      /^\[OnnxModel node 'head' \(Gemm\)\]/,
    );
  });
});

describe('numbers in other files', () => {
  const external = (entries: Record<string, string>, dims = [2, 3]) => ({
    ...raw('w', dims, dataType.float, new Uint8Array(0)),
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
  const text = (w: ReturnType<typeof external>): ModelText => ({
    nodes: [['Gemm', ['x', 'w'], ['y'], { transB: 1 }]],
    inputs: { x: ['n', 3] },
    tensors: [w],
  });
  const values = Float32Array.of(1, 2, 3, 4, 5, 6);
  const written = (where: string, entries: Record<string, string>) => {
    const path = join(where, 'model.onnx');
    writeFileSync(path, encodeModelProto(protoOf(text(external(entries)))));
    return path;
  };

  it('are read from the folder of the model, from an offset', async () => {
    const where = temporaryFolder();
    mkdirSync(join(where, 'data'));
    writeFileSync(join(where, 'data', 'w.bin'), Buffer.concat([Buffer.alloc(8), Buffer.from(values.buffer)]));
    const model = await importOnnx(written(where, { location: 'data/w.bin', offset: '8', length: '24' }));
    expect([...model.stateDict().w.data]).toEqual([...values]);
    // As much as the shape wants, where the file does not say.
    const short = await importOnnx(written(where, { location: 'data/w.bin', offset: '8' }));
    expect([...short.stateDict().w.data]).toEqual([...values]);
  });

  it('are read from nowhere else', async () => {
    const where = temporaryFolder();
    const inner = join(where, 'inner');
    mkdirSync(inner);
    writeFileSync(join(where, 'w.bin'), Buffer.from(values.buffer));
    symlinkSync(join(where, 'w.bin'), join(inner, 'link.bin'));
    const refused = (location: string) => expect(importOnnx(written(inner, { location })), location);
    for (const location of [
      '../w.bin',
      'a/../../w.bin',
      join(where, 'w.bin'),
      '..\\w.bin',
      'C:\\w.bin',
      '',
      'a\0b',
    ]) {
      await refused(location).rejects.toThrow(
        expect.objectContaining({ code: 'AXPY_FORMAT', message: expect.stringContaining("tensor 'w'") }),
      );
    }
    await refused('link.bin').rejects.toThrow(/a link to elsewhere/);
    await refused('missing.bin').rejects.toThrow(expect.objectContaining({ code: 'AXPY_FILE' }));
    writeFileSync(join(inner, 'short.bin'), Buffer.alloc(20));
    await refused('short.bin').rejects.toThrow(/24 bytes at 0 of short.bin, got a file of 20/);
    for (const [key, value] of [
      ['offset', '-8'],
      ['length', '23'],
      ['length', '1e9'],
      ['offset', '99999999999999999999'],
    ]) {
      await expect(importOnnx(written(inner, { location: 'short.bin', [key]: value }))).rejects.toThrow(
        expect.objectContaining({ code: 'AXPY_FORMAT' }),
      );
    }
    const bytes = readFileSync(written(inner, { location: 'short.bin' }));
    await expect(importOnnx(bytes)).rejects.toThrow(/lies in another file: give its path/);
  });
});

it('losses of an imported model are those of the library', async () => {
  const model = (await fixtureModel('text')).eval();
  const tokens = unpack(fixtureOf('text').inputs[0]);
  const scores = model.forward(tokens) as Tensor;
  expect(losses.softmaxCrossEntropy(scores, tensor([0, 1, 2, 0], { dtype: 'int32' })).item()).toBeGreaterThan(
    0,
  );
});
