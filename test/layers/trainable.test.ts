/** `trainable`: what is frozen stays as it is, to the bit, in every training; what is not learns. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';
import {
  Adam,
  AdamW,
  ArgumentError,
  BatchNorm,
  type Callback,
  Conv2D,
  checkpoint,
  compile,
  Dense,
  Dropout,
  encodeModel,
  type FitOptions,
  Flatten,
  fit,
  Graph,
  Lambda,
  Layer,
  loadModel,
  losses,
  noGrad,
  type Optimizer,
  Parameter,
  predict,
  randn,
  recompute,
  Sequential,
  SGD,
  seed,
  type Tensor,
  TransformerBlock,
  tensor,
  WeightAverage,
  zeros,
} from '../../lib/index.ts';
import { recordedCall } from '../../lib/train/compile.ts';
import { examplesFor, given } from './given.ts';

type Bits = Readonly<Record<string, string>>;

/** All numbers of a layer, hidden ones as well, as bits. */
function bitsOf(layer: Layer): Bits {
  const all = [
    ...layer.namedTensors(),
    ...layer.namedHidden().map(([name, x]) => [`hidden ${name}`, x] as const),
  ];
  return Object.fromEntries(
    all.map(([name, { data }]) => {
      const { buffer, byteOffset, byteLength } = data as Float32Array;
      return [name, Buffer.from(buffer, byteOffset, byteLength).toString('hex')];
    }),
  );
}

/** Of parameters and buffers. */
const namesOf = (layer: Layer): string[] => layer.namedTensors().map(([name]) => name);

const momentum = (model: Layer): Optimizer =>
  new SGD(model.parameters(), { learningRate: 1e-3, momentum: 0.9, l2: 0.1 });
const decay = (model: Layer): Optimizer =>
  new AdamW(model.parameters(), { learningRate: 0.01, weightDecay: 0.1 });

type Class = new (...args: unknown[]) => Layer;
const classes = Object.entries(axpy).filter(
  ([name, value]) => typeof value === 'function' && value.prototype instanceof Layer && name !== 'Layer',
) as unknown as [string, Class][];

const dtype = 'float64';

/** Layers that no options of `given` are needed for: of layers and functions, those with something to learn. */
const ofOwn: Readonly<Record<string, () => Layer>> = {
  Sequential: () =>
    new Sequential([new Dense(4, 3, { dtype }), new BatchNorm(3, { dtype }), new Dense(3, 2, { dtype })]),
  Graph: () =>
    new Graph({
      inputs: ['x'],
      layers: {
        a: { layer: new Dense(4, 4, { dtype }), from: 'x' },
        b: { layer: new BatchNorm(4, { affine: false, dtype }), from: 'a' },
        sum: { layer: new axpy.Add(), from: ['x', 'b'] },
      },
      outputs: 'sum',
    }),
  Residual: () => new axpy.Residual([new Dense(4, 4, { dtype }), new BatchNorm(4, { dtype })]),
  Lambda: () => new Lambda((x: Tensor) => x.mul(2)),
  // Of anything, which may be no number.
  Pad: () => new axpy.Pad(1),
};

/** The layer before a head that learns from whatever it gives. */
async function withHead(name: string, layer: Layer): Promise<{ model: Sequential; x: unknown; y: Tensor }> {
  const x = examplesFor(name, layer, 4);
  const dtype = layer.parameterDtype();
  const flat = new Lambda((y: Tensor) => y.cast(dtype).reshape([y.shape[0], y.size / y.shape[0]]));
  const example = await predict(new Sequential([layer, flat]), x as never);
  const model = new Sequential([layer, flat, new Dense(example.shape[1], 2, { dtype })]);
  return { model, x, y: randn([example.shape[0], 2], { dtype }) };
}

describe.each(classes)('%s', (name, Kind) => {
  it.each([true, false])(
    'learns nothing while it is frozen, and then goes on, compiled %s',
    async (compiled) => {
      const args = Object.hasOwn(ofOwn, name) ? fc.constant([]) : given[name];
      await fc.assert(
        fc.asyncProperty(args, fc.constantFrom(momentum, decay), async (own, optimize) => {
          seed(3);
          const layer = Object.hasOwn(ofOwn, name) ? ofOwn[name]() : new Kind(...own);
          for (const parameter of layer.parameters()) {
            parameter.assign(randn(parameter.shape, { dtype: parameter.dtype as 'float32' }).mul(0.5));
          }
          const { model, x, y } = await withHead(name, layer);
          const before = optimize(model);
          const train = (optimizer: Optimizer) =>
            fit(model, { x, y } as never, { loss: 'mse', optimizer, compiled, epochs: 3 });
          const movedSince = (bits: Bits) => namesOf(layer).filter((key) => bitsOf(layer)[key] !== bits[key]);

          // There is a velocity then, and a state of the optimizer, that would go on.
          const start = bitsOf(layer);
          await train(before);
          const learning = movedSince(start);
          expect(learning.length > 0).toBe(layer.parameters().length > 0 || name === 'BatchNorm');

          layer.trainable = false;
          expect([layer.trainable, model.trainable]).toEqual([false, true]);
          const [frozen, head] = [bitsOf(layer), bitsOf(model.layers[2])];
          await train(before);
          await train(optimize(model));
          expect(bitsOf(layer)).toEqual(frozen);
          expect(bitsOf(model.layers[2])).not.toEqual(head);
          expect(layer.parameters().some(({ requiresGrad, grad }) => requiresGrad || grad !== null)).toBe(
            false,
          );

          layer.trainable = true;
          await train(before);
          expect(movedSince(frozen)).toEqual(learning);
        }),
        { numRuns: 2, endOnFailure: true },
      );
    },
  );
});

describe('trainable', () => {
  /** What each layer of a model says, and each of its parameters. */
  const told = (model: Layer) => [
    ...model.namedLayers().flatMap(([path, { trainable }]) => (trainable ? [] : [path])),
    ...model.namedParameters().flatMap(([name, { requiresGrad }]) => (requiresGrad ? [] : [name])),
  ];

  it('is of a layer and all in it, and then of each by itself', () => {
    const shared = new Dense(2, 2);
    const inner = new Sequential([shared, new BatchNorm(2, { affine: false })]);
    const model = new Sequential([inner, shared, new axpy.Residual([new Dense(2, 2)])]);
    expect(told(model)).toEqual([]);
    inner.trainable = false;
    expect(told(model)).toEqual(['0', '0.0', '0.1', '0.0.weight', '0.0.bias']);
    expect(model.trainable).toBe(true);
    shared.trainable = true;
    shared.bias!.requiresGrad = false;
    expect(told(model)).toEqual(['0', '0.1', '0.0.bias']);
    model.trainable = true;
    expect(told(model)).toEqual([]);
    for (const other of [undefined, null, 0, 'no']) {
      expect(() => {
        model.trainable = other as never;
      }).toThrow(
        new ArgumentError(
          `[Sequential] expected trainable to be true or false, got ${other === 'no' ? '"no"' : other}`,
        ),
      );
    }
    expect(told(model)).toEqual([]);
    new TransformerBlock(4, 2).trainable = false;
  });

  it('reaches what a layer of one’s own keeps in arrays and Maps, and one that holds itself', () => {
    class Own extends Layer {
      readonly gain = new Parameter([1]);
      readonly parts = new Map<string, Layer[]>([['a', [new Dense(1, 1), new BatchNorm(1)]]]);
      readonly self: { outer?: Layer } = {};
      forward(x: Tensor): Tensor {
        return x.mul(this.gain);
      }
    }
    const model = new Own();
    model.self.outer = model;
    model.trainable = false;
    expect(told(model)).toHaveLength(3 + 5);
    model.trainable = true;
    expect(told(model)).toEqual([]);
  });

  const x = tensor([[0], [6]]);

  it.each([true, false])('of a BatchNorm is whether it normalises by the batch, compiled %s', (compiled) => {
    for (const affine of [true, false]) {
      const layer = new BatchNorm(1, { affine });
      layer.runningMean.assign([2]);
      layer.runningVariance.assign([4]);
      const forward = (input: Tensor) => layer.forward(input);
      const run = compiled ? compile(forward).sync : forward;
      const statistics = () => [layer.runningMean.item(), layer.runningVariance.item()];
      layer.trainable = false;
      // (0 − 2) / √4 and (6 − 2) / √4; the second call is that of a program.
      for (const _ of [1, 2])
        for (const [i, y] of [-1, 2].entries()) expect(run(x).data[i]).toBeCloseTo(y, 4);
      expect(statistics()).toEqual([2, 4]);
      // By parameters alone: these learn, the statistics stay.
      layer.setRequiresGrad(true);
      expect(run(x).data[0]).toBeCloseTo(-1, 4);
      layer.trainable = true;
      // Of the batch: (0 − 3) / √9, and a tenth of the way to 3.
      expect(run(x).data[0]).toBeCloseTo(-1, 4);
      expect(run(x).data[1]).toBeCloseTo(1, 4);
      expect(statistics()[0]).toBeGreaterThan(2);
      layer.trainable = false;
      const before = statistics();
      run(x);
      expect(statistics()).toEqual(before);
    }
  });

  it('takes one value per channel where it is false, as evaluation does', () => {
    const layer = new BatchNorm(2, { affine: false });
    expect(() => layer.forward(tensor([[1, 2]]))).toThrow(/by freezing this layer with trainable = false/);
    layer.trainable = false;
    expect(layer.forward(tensor([[1, 2]])).data[1]).toBeCloseTo(2, 4);
  });

  it('is no matter of Dropout, which drops as the mode says', async () => {
    const layer = new Dropout(0.5);
    layer.trainable = false;
    seed(1);
    const zerosOf = (y: Tensor) => y.data.filter((value: number) => value === 0).length;
    expect(zerosOf(layer.forward(tensor(new Array(100).fill(1))))).toBeGreaterThan(20);
    expect(zerosOf(await predict(layer, new Array(100).fill(1)))).toBe(0);
  });

  const classifier = () => {
    seed(2);
    const features = new Sequential([
      new Conv2D(1, 3, 3),
      new BatchNorm(3, { activation: 'relu' }),
      new Dropout(0.2),
      new Conv2D(3, 4, 3, { activation: 'relu' }),
      new Flatten(),
    ]);
    const head = new Dense(64, 3);
    const model = new Sequential([features, head], { inputShape: [8, 8, 1] });
    const data = { x: randn([20, 8, 8, 1]), y: Int32Array.from({ length: 20 }, (_, i) => i % 3) };
    return { features, head, model, data };
  };
  type Classifier = ReturnType<typeof classifier>;
  const options = (optimizer: Optimizer, more: Partial<FitOptions> = {}): FitOptions => ({
    loss: 'softmaxCrossEntropy',
    optimizer,
    batchSize: 8,
    shuffle: false,
    ...more,
  });
  const all = ({ model }: Classifier, optimizer: Optimizer) => [bitsOf(model), optimizer.stateDict()];
  /** The usual recipe: the head alone at first, then all with a smaller rate. */
  const thaw = ({ features }: Classifier, optimizer: Optimizer): Callback => ({
    onEpochEnd: (_, { epoch }) => {
      if (epoch !== 2) return;
      features.trainable = true;
      optimizer.learningRate = 1e-3;
    },
  });

  it.each([true, false])(
    'changed by a callback of fit is as it is between two, compiled %s',
    async (compiled) => {
      const [one, two] = [classifier(), classifier()];
      const [own, other] = [one, two].map(({ features, model }) => {
        features.trainable = false;
        return new Adam(model.parameters(), { learningRate: 0.01, l2: 0.01 });
      });
      seed(5);
      await fit(one.model, one.data, options(own, { compiled, epochs: 4, callbacks: [thaw(one, own)] }));
      seed(5);
      const before = bitsOf(two.features);
      await fit(two.model, two.data, options(other, { compiled, epochs: 2 }));
      expect(bitsOf(two.features)).toEqual(before);
      thaw(two, other).onEpochEnd!({} as never, { epoch: 2 } as never);
      await fit(two.model, two.data, options(other, { compiled, epochs: 2 }));
      expect(bitsOf(two.features)).not.toEqual(before);
      expect(JSON.stringify(all(one, own))).toBe(JSON.stringify(all(two, other)));
    },
  );

  it('is in files of models, and counts for what is trained after', async () => {
    const { features, head, model, data } = classifier();
    features.trainable = false;
    // One by itself, whose parameters learn while the layer is not trainable.
    features.layers[1].setRequiresGrad(true);
    const loaded = await loadModel<typeof model>(encodeModel(model));
    expect(told(loaded)).toEqual(told(model));
    const [loadedFeatures, loadedHead] = loaded.layers;
    const norm = loadedFeatures.layers[1] as BatchNorm;
    const statistics = [...norm.runningMean.data];
    const [before, weight] = [bitsOf(loadedFeatures), [...norm.weight!.data]];
    await fit(loaded, data, options(momentum(loaded), { epochs: 3 }));
    expect([...norm.runningMean.data]).toEqual(statistics);
    expect([...norm.weight!.data]).not.toEqual(weight);
    expect(bitsOf(loadedFeatures)['3.weight']).toBe(before['3.weight']);
    expect(bitsOf(loadedHead)).not.toEqual(bitsOf(head));
  });

  it('goes on from a checkpoint as it was then, whatever the model begins with', async () => {
    const run = async (more: Partial<FitOptions>, callbacks: Callback[] = []) => {
      const own = classifier();
      own.features.trainable = false;
      const optimizer = new Adam(own.model.parameters(), { learningRate: 0.01 });
      seed(7);
      const thawing = thaw(own, optimizer);
      await fit(
        own.model,
        own.data,
        options(optimizer, { epochs: 4, callbacks: [thawing, ...callbacks], ...more }),
      );
      return JSON.stringify([all(own, optimizer), told(own.model)]);
    };
    const saved: Uint8Array[] = [];
    const whole = await run({}, [checkpoint({ save: (one) => void saved.push(one.encode()) })]);
    for (const resume of saved.slice(0, 3)) expect(await run({ resume })).toBe(whole);
  });

  it('stays as it is in an average of weights, to the bit', async () => {
    const { features, model, data } = classifier();
    features.trainable = false;
    const before = bitsOf(model);
    for (const decay of [0.7, undefined]) {
      const average = new WeightAverage(model, decay === undefined ? {} : { decay });
      await fit(model, data, options(momentum(model), { epochs: 30, averageWeights: average }));
      average.swap();
      const after = bitsOf(model);
      const still = Object.keys(before).filter((name) => after[name] === before[name]);
      expect(still).toEqual(Object.keys(before).filter((name) => !name.startsWith('1.')));
    }
  });

  it('of a model as a whole leaves fit nothing to do, which it says', async () => {
    const { model, data } = classifier();
    model.trainable = false;
    const before = bitsOf(model);
    for (const compiled of [true, false]) {
      await expect(fit(model, data, options(momentum(model), { compiled }))).rejects.toThrow(
        '[fit] expected a loss that depends on a parameter which is not frozen, got one that depends on none; of the 8 ' +
          'parameters of the model 8 are frozen, which trainable = true undoes',
      );
    }
    expect(bitsOf(model)).toEqual(before);
  });

  it('is told by summary, by layers and as a whole', () => {
    const { features, model } = classifier();
    features.trainable = false;
    features.layers[1].trainable = true;
    expect(model.summary().split('\n')).toEqual([
      'layer                         output shape      parameters  frozen',
      '──────────────────────────────────────────────────────────────────',
      'Sequential 1                  [batch, 64]              148     142',
      '  Sequential 1 › Conv2D 1     [batch, 6, 6, 3]          30      30',
      '  Sequential 1 › BatchNorm 1  [batch, 6, 6, 3]           6',
      '  Sequential 1 › Dropout 1    [batch, 6, 6, 3]           0       0',
      '  Sequential 1 › Conv2D 2     [batch, 4, 4, 4]         112     112',
      '  Sequential 1 › Flatten 1    [batch, 64]                0       0',
      'Dense 1                       [batch, 3]               195',
      '──────────────────────────────────────────────────────────────────',
      'total                                                  343     142',
      'trainable                                              201',
    ]);
  });

  describe('false', () => {
    const kernelsOf = (fn: () => unknown): Record<string, number> => {
      const compiled = compile(fn);
      compiled.sync();
      const counts: Record<string, number> = {};
      for (const [kernel] of recordedCall(compiled, []).calls) {
        counts[kernel] = (counts[kernel] ?? 0) + 1;
      }
      return counts;
    };
    const sumOf = (a: Record<string, number>, b: Record<string, number>) =>
      Object.fromEntries(
        [...Object.keys(a), ...Object.keys(b)].map((key) => [key, (a[key] ?? 0) + (b[key] ?? 0)]),
      );
    const countOf = (kernels: Record<string, number>) => Object.values(kernels).reduce((sum, n) => sum + n);
    const learn = (parameters: Parameter[], forward: () => Tensor) => {
      const optimizer = new SGD(parameters, { learningRate: 0.1, momentum: 0.9 });
      return () => {
        optimizer.zeroGrad();
        const loss = losses.mse(forward(), zeros([20, 3]));
        loss.backward();
        optimizer.step();
        return loss;
      };
    };

    it('of the beginning of a model leaves no backward pass through it', () => {
      const { features, head, model, data } = classifier();
      const { x } = data;
      const ofFeatures = () => kernelsOf(() => features.forward(x));
      const whole = () => kernelsOf(learn(model.parameters(), () => model.forward(x)));
      const made = noGrad(() => features.forward(x));
      const ofHead = kernelsOf(learn(head.parameters(), () => head.forward(made)));
      expect(countOf(whole())).toBeGreaterThan(countOf(sumOf(ofFeatures(), ofHead)) + 5);
      features.trainable = false;
      expect(whole()).toEqual(sumOf(ofFeatures(), ofHead));
      // Nor is it run a second time to have one.
      const again = recompute((input: Tensor) => features.forward(input));
      const recomputed = kernelsOf(learn(model.parameters(), () => head.forward(again(x))));
      expect(recomputed).toEqual(sumOf(ofFeatures(), ofHead));
    });

    it('of the end of a model leaves what leads to its beginning', () => {
      const layers = [new Dense(4, 5), new Dense(5, 6), new Dense(6, 3)];
      const model = new Sequential(layers);
      const x = randn([20, 4]);
      const products = () => kernelsOf(learn(model.parameters(), () => model.forward(x))).gemm;
      // Forward, back to the outputs of the first two, to the weights of all.
      expect(products()).toBe(3 + 2 + 3);
      for (const layer of layers.slice(1)) layer.trainable = false;
      expect(products()).toBe(3 + 2 + 1);
    });
  });
});
