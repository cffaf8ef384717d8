/** Layers and ops written with what is public, and what that refuses. */
import { describe, expect, it } from 'vitest';
import {
  type ActivationName,
  AxpyError,
  checkCount,
  checkFloat,
  checkInputDtype,
  checkOptions,
  checkTensor,
  configure,
  Dense,
  DtypeError,
  fit,
  fusedActivation,
  gradCheck,
  initialize,
  initializeBoth,
  initializerBefore,
  inputError,
  Layer,
  layerFrom,
  linear,
  Parameter,
  predict,
  randn,
  registerLayer,
  resolveActivation,
  SGD,
  ShapeError,
  seed,
  type Tensor,
  tensor,
  track,
  zeros,
} from '../lib/index.ts';
import { numbers } from './train/support.ts';

/** A fully connected layer as anybody could write it. */
class Own extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly activation: ActivationName;

  constructor(
    readonly inputs: number,
    outputs: number,
    options: { activation?: ActivationName } = {},
  ) {
    super();
    checkCount('Own', 'inputs', inputs);
    checkCount('Own', 'outputs', outputs);
    checkOptions('Own', options, ['activation']);
    const { activation = 'linear' } = options;
    resolveActivation(activation);
    this.activation = activation;
    this.weight = new Parameter([outputs, inputs]);
    this.bias = new Parameter([outputs]);
    initializeBoth(this.weight, initializerBefore(activation), this.bias, 'zeros');
    configure(this, { inputs, outputs, activation });
  }

  forward(x: Tensor): Tensor {
    checkTensor(this.label, x);
    if (x.rank !== 2 || x.shape[1] !== this.inputs)
      throw inputError(this, `[batch, ${this.inputs}]`, x.shape);
    checkInputDtype(this, x, this.weight.dtype);
    const fused = fusedActivation(this.activation);
    const z = linear(x, this.weight, this.bias, fused);
    return fused ? z : resolveActivation(this.activation)(z);
  }
}

registerLayer('Own', Own, ({ inputs, outputs, ...options }) => new Own(inputs, outputs, options));

describe("a layer of one's own", () => {
  it.each<ActivationName>(['linear', 'relu', 'gelu', 'softmax'])(
    'is what Dense is, with %s',
    async (activation) => {
      seed(1);
      const own = new Own(3, 2, { activation });
      seed(1);
      const dense = new Dense(3, 2, { activation });
      expect(numbers(own)).toEqual(numbers(dense));
      const data = { x: randn([12, 3]), y: randn([12, 2]) };
      for (const model of [own, dense]) {
        const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
        await fit(model, data, { loss: 'mse', optimizer, batchSize: 5, epochs: 2, seed: 3 });
      }
      expect(numbers(own)).toEqual(numbers(dense));
      expect((await predict(own, data.x)).toArray()).toEqual((await predict(dense, data.x)).toArray());
      expect(layerFrom(own.config).config).toEqual(own.config);
    },
  );

  it('tells what does not fit', () => {
    expect(() => new Own(0, 2)).toThrow('Own expected inputs to be an integer of at least 1, got 0');
    expect(() => new Own(1, 2, { rate: 1 } as never)).toThrow(
      '[Own] expected options among activation, got rate',
    );
    expect(() => new Own(3, 2).forward(zeros([2, 4]))).toThrow(ShapeError);
    expect(() => new Own(3, 2).forward(zeros([2, 4]))).toThrow(
      'Own expected input [batch, 3], received [2, 4]',
    );
    expect(() => new Own(3, 2).forward(zeros([2, 3], { dtype: 'float64' }))).toThrow(DtypeError);
    expect(() => new Own(3, 2).forward(3 as never)).toThrow('[Own] expected a tensor, got 3');
  });
});

/** x³, in numbers of one's own. */
function cube(x: Tensor): Tensor {
  checkTensor('cube', x);
  const dtype = checkFloat('cube', x);
  const y = tensor(
    x.data.map((value) => value ** 3),
    { shape: x.shape, dtype },
  );
  const backward = (dy: Tensor) => [x.square().mul(3).mul(dy)];
  return track(y, [x], backward);
}

describe("an op of one's own", () => {
  it('has the gradient that it tells, alone and among others', () => {
    const x = randn([3, 2], { dtype: 'float64' });
    const { ok } = gradCheck(
      (a) =>
        cube(a)
          .add(a)
          .mul(cube(a.mul(2)))
          .sum(),
      [x],
    );
    expect(ok).toBe(true);
  });
});

describe('what is given wrong', () => {
  const x = tensor([[1, 2]]);
  const layer = new Dense(2, 1);
  const symbol = Symbol('s') as never;

  it.each<[string, () => unknown]>([
    ['track, output', () => track(1 as never, [x], () => [])],
    ['track, inputs', () => track(x, x as never, () => [])],
    ['track, an input', () => track(x, [undefined] as never, () => [])],
    ['track, backward', () => track(x, [x], null as never)],
    ['initialize, tensor', () => initialize(null as never, 'ones')],
    ['initialize, integers', () => initialize(tensor(Int32Array.of(1)), 'ones')],
    ['initializeBoth, bias', () => initializeBoth(x, 'ones', 1 as never, 'ones')],
    ['linear, activation', () => linear(x, x, null, { op: 'gelu' } as never)],
    ['linear, bias', () => linear(x, x, 1 as never)],
    ['checkTensor, op', () => checkTensor(symbol, 1)],
    ['checkFloat', () => checkFloat(symbol, x.argmax())],
    ['checkInputDtype, layer', () => checkInputDtype(null as never, x, 'float32')],
    ['checkInputDtype, dtype', () => checkInputDtype(layer, x, symbol)],
    ['checkCount', () => checkCount(symbol, symbol, symbol)],
    ['checkOptions, known', () => checkOptions('op', {}, null as never)],
    ['checkOptions, options', () => checkOptions('op', null as never, [])],
    ['inputError, layer', () => inputError(null as never, '', [])],
    ['inputError, shape', () => inputError(layer, '', null as never)],
    ['configure, layer', () => configure(null as never, {})],
    ['configure, options', () => configure(layer, null as never)],
    ['registerLayer, type', () => registerLayer('', Own, () => new Own(1, 1))],
    ['registerLayer, class', () => registerLayer('Odd', null as never, () => new Own(1, 1))],
    ['registerLayer, make', () => registerLayer('Odd', Own, null as never)],
    ['registerLayer, a name that is taken', () => registerLayer('Dense', Own, () => new Own(1, 1))],
  ])('%s', (_, call) => {
    expect(call).toThrow(AxpyError);
  });

  it('a maker that makes something else', () => {
    class Wrong extends Own {}
    registerLayer('Wrong', Wrong, () => new Own(1, 1) as never);
    expect(() => layerFrom({ type: 'Wrong' })).toThrow(
      '[layerFrom] expected the maker of Wrong to return one',
    );
  });
});
