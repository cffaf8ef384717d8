/** A layer's config, and layers made of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';
import {
  ArgumentError,
  configure,
  Dense,
  encodeModel,
  Layer,
  type LayerConfig,
  layerFrom,
  loadModel,
  predict,
  registerLayer,
  Sequential,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { examplesFor, given } from './given.ts';

type Class = new (...args: unknown[]) => Layer;

const classes = Object.entries(axpy).filter(
  ([name, value]) => typeof value === 'function' && value.prototype instanceof Layer && name !== 'Layer',
) as unknown as [string, Class][];

const throughJson = (config: LayerConfig): LayerConfig => JSON.parse(JSON.stringify(config));

/** What a layer makes of two examples. */
async function outputOf(name: string, layer: Layer): Promise<unknown> {
  const y = await predict(layer, examplesFor(name, layer, 2) as never);
  return { shape: y.shape, values: [...y.data] };
}

describe.each(classes)('%s', (name, Kind) => {
  it('is made again of its config, for any options', async () => {
    // One is made of anything, the other of a function.
    if (name === 'Sequential' || name === 'Lambda') return;
    await fc.assert(
      fc.asyncProperty(given[name], async (args) => {
        const layer = new Kind(...args);
        const { config } = layer;
        expect(config.type).toBe(name);
        const same = layerFrom(throughJson(config));
        expect(same).toBeInstanceOf(Kind);
        expect(same.constructor).toBe(Kind);
        expect(same.config).toEqual(config);
        expect(throughJson(config)).toEqual(config);
        const shapes = (l: Layer) => l.namedParameters().map(([path, p]) => [path, p.shape, p.dtype]);
        expect(shapes(same)).toEqual(shapes(layer));
        same.loadStateDict(layer.stateDict());
        const expected = await outputOf(name, layer);
        expect(await outputOf(name, same)).toEqual(expected);
        expect(await outputOf(name, await loadModel(encodeModel(layer)))).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('has a recipe here', () => {
    expect(Object.hasOwn(given, name)).toBe(true);
  });
});

describe('a config', () => {
  it('tells the options, those left out with their defaults', () => {
    expect(new Dense(2, 3, { activation: 'relu' }).config).toEqual({
      type: 'Dense',
      inFeatures: 2,
      outFeatures: 3,
      activation: 'relu',
      bias: true,
      init: 'heNormal',
      biasInit: 'zeros',
      dtype: 'float32',
    });
    expect(new axpy.MaxPool2D(2).config).toEqual({
      type: 'MaxPool2D',
      size: [2, 2],
      stride: [2, 2],
      padding: 'valid',
    });
    expect(new axpy.Pad(1, { value: -Infinity }).config).toMatchObject({ value: '-Infinity' });
  });

  it('is plain data of its own', () => {
    const init = { name: 'constant' as const, value: 1 };
    const layer = new Dense(1, 1, { init });
    init.value = 2;
    (layer.config.init as { value: number }).value = 3;
    expect(layer.config.init).toEqual({ name: 'constant', value: 1 });
  });

  it('holds null for a function, which may be put in its place again', () => {
    const layer = new Dense(1, 1, { activation: (x) => x.square(), init: () => [2] });
    const config = throughJson(layer.config);
    expect(config).toMatchObject({ activation: null, init: null });
    expect(() => layerFrom(config)).toThrow(ArgumentError);
    const given = { ...config, init: 'ones', activation: (x: Tensor) => x.square() };
    expect(
      layerFrom(given as never)
        .forward(tensor([[3]]))
        .item(),
    ).toBe(9);
  });

  it('of a model holds those of its layers', async () => {
    const model = new Sequential(
      [new axpy.Conv2D(1, 2, 3), new Sequential([new axpy.Flatten(), new Dense(8, 2)]), new axpy.Softmax()],
      { inputShape: [4, 4, 1] },
    );
    const same = layerFrom(throughJson(model.config)) as Sequential;
    expect(same.config).toEqual(model.config);
    expect(same.summary()).toBe(model.summary());
    same.loadStateDict(model.stateDict());
    const x = axpy.randn([2, 4, 4, 1]);
    expect((await predict(same, x)).toArray()).toEqual((await predict(model, x)).toArray());
  });
});

describe("a class of one's own", () => {
  class Mixer extends Layer {
    readonly mix: Dense;
    constructor(
      readonly size: number,
      readonly inner: Layer,
    ) {
      super();
      this.mix = new Dense(size, size);
      configure(this, { size, inner });
    }
    forward(x: Tensor): Tensor {
      return this.inner.forward(this.mix.forward(x));
    }
  }

  it('tells its options by configure, and is made again once it is registered', () => {
    const layer = new Mixer(2, new Dense(2, 1));
    const config = throughJson(new Sequential([layer]).config);
    expect(layer.config).toMatchObject({ type: 'Mixer', size: 2, inner: { type: 'Dense', outFeatures: 1 } });
    expect(() => layerFrom(config)).toThrow(/expected a type among .*Dense.*, got "Mixer": registerLayer/);
    registerLayer('Mixer', Mixer, ({ size, inner }) => new Mixer(size, layerFrom(inner)));
    expect(layerFrom(config).config).toEqual(config);
    class Other extends Mixer {}
    expect(new Other(2, layer).config.type).toBe('Other');
    expect(() => registerLayer('Mixer', Other, () => new Other(2, layer))).toThrow(ArgumentError);
  });

  it('is its type alone where it tells nothing', () => {
    class Plain extends Layer {
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(new Plain().config).toEqual({ type: 'Plain' });
  });

  it('is refused where an option is no plain data', () => {
    class Odd extends Layer {
      constructor(option: unknown) {
        super();
        configure(this, { option });
      }
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    const itself: unknown[] = [];
    itself.push(itself);
    for (const value of [new Map(), new Date(), tensor([1]), Symbol('s'), 1n, itself]) {
      expect(() => new Odd(value).config).toThrow(ArgumentError);
    }
  });
});

describe('layerFrom', () => {
  const dense = new Dense(1, 1).config;
  const itself: Record<string, unknown> = { type: 'Sequential' };
  itself.layers = [itself];

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a name', 'Dense'],
    ['no type', {}],
    ['a type of Object.prototype', { type: 'toString' }],
    ['another type', { type: 'LSTM9' }],
    ['another option', { ...dense, rate: 1 }],
    ['an option of a layer without any', { type: 'ReLU', slope: 1 }],
    ['no size', { type: 'Dense', inFeatures: 1 }],
    ['an option out of its domain', { ...dense, bias: 'no' }],
    ['layers that are none', { type: 'Sequential', layers: 3 }],
    ['no config among layers', { type: 'Sequential', layers: [null] }],
    ['layers without end', { type: 'Sequential', layers: Object.assign([dense], { length: 2 ** 32 - 1 }) }],
    ['a config that holds itself', itself],
  ])('refuses %s', (_, config) => {
    expect(() => layerFrom(config as never)).toThrow(axpy.AxpyError);
  });
});
