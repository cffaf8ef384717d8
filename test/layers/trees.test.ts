/** Models as trees: where layers and parameters are found, what they are called, and how they are frozen. */
import { describe, expect, it, test } from 'vitest';
import {
  Adam,
  ArgumentError,
  BatchNorm,
  compile,
  Dense,
  Dropout,
  evaluate,
  fit,
  Layer,
  Parameter,
  predict,
  ReLU,
  randn,
  Sequential,
  SGD,
  ShapeError,
  SharedTensor,
  seed,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { leavesOf, mapTree, walk } from '../../lib/tree.ts';
import { numbers, rejection } from '../train/support.ts';

class Block extends Layer {
  readonly qkv = new Dense(2, 2);
  readonly out = new Dense(2, 2, { bias: false });
  forward(x: Tensor): Tensor {
    return this.out.forward(this.qkv.forward(x));
  }
}

/** A model that keeps its parts in everything that a walk goes through. */
class Everything extends Layer {
  readonly first = new Dense(2, 2);
  readonly blocks = [new Block(), new Block()];
  readonly nested = [[new Dense(2, 2)], [[new Dense(2, 2)]]] as const;
  readonly heads = { q: new Dense(2, 2), deep: { k: [new Dense(2, 2)] } };
  readonly byName = new Map<unknown, Layer>([
    ['left', new Dense(2, 2)],
    [7, new Dense(2, 2)],
    [{ any: 'key' }, new Dense(2, 2)],
  ]);
  readonly scales = [new Parameter([2]), { shift: new Parameter([2]) }];
  readonly counts = { seen: new SharedTensor([1]) };
  readonly norm = new BatchNorm(2);
  /** Neither of these is looked into. */
  readonly numbers = Array(2 ** 17).fill(1);
  readonly sparse = Object.assign([], { length: 2 ** 32 - 1 });
  readonly words = new Set(['a']);

  forward(x: Tensor): Tensor {
    const { first, blocks, nested, heads, byName, scales, norm } = this;
    // First, as a bias before it would have no gradient.
    let y = first.forward(norm.forward(x));
    for (const layer of [...blocks, nested[0][0], nested[1][0][0], heads.q, heads.deep.k[0]]) {
      y = y.add(layer.forward(y));
    }
    for (const layer of byName.values()) y = y.add(layer.forward(y));
    const [scale, { shift }] = scales as [Parameter, { shift: Parameter }];
    return y.mul(scale.add(1)).add(shift);
  }
}

const paths = [
  'scales.0',
  'scales.1.shift',
  'counts.seen',
  'first.weight',
  'first.bias',
  'blocks.0.qkv.weight',
  'blocks.0.qkv.bias',
  'blocks.0.out.weight',
  'blocks.1.qkv.weight',
  'blocks.1.qkv.bias',
  'blocks.1.out.weight',
  'nested.0.0.weight',
  'nested.0.0.bias',
  'nested.1.0.0.weight',
  'nested.1.0.0.bias',
  'heads.q.weight',
  'heads.q.bias',
  'heads.deep.k.0.weight',
  'heads.deep.k.0.bias',
  'byName.left.weight',
  'byName.left.bias',
  'byName.7.weight',
  'byName.7.bias',
  'byName.2.weight',
  'byName.2.bias',
  'norm.weight',
  'norm.bias',
  'norm.runningMean',
  'norm.runningVariance',
];

describe('a model that keeps its parts in arrays, records and Maps', () => {
  const data = () => ({ x: randn([8, 2]), y: randn([8, 2]) });

  it('finds them all under their paths', () => {
    const model = new Everything();
    expect(Object.keys(model.stateDict())).toEqual(paths);
    const isBuffer = (name: string) => /running|seen/.test(name);
    expect(model.namedBuffers().map(([name]) => name)).toEqual(paths.filter(isBuffer));
    expect(model.namedParameters().map(([name]) => name)).toEqual(paths.filter((name) => !isBuffer(name)));
    expect(model.children().map(([name]) => name)).toEqual([
      'first',
      'blocks.0',
      'blocks.1',
      'nested.0.0',
      'nested.1.0.0',
      'heads.q',
      'heads.deep.k.0',
      'byName.left',
      'byName.7',
      'byName.2',
      'norm',
    ]);
    expect(model.namedLayers().map(([path]) => path)).toContain('blocks.1.qkv');
    expect(model.namedLayers()[0]).toEqual(['', model]);
  });

  it.each([true, false])('trains every one of them, compiled %s', async (compiled) => {
    seed(1);
    const model = new Everything();
    const before = numbers(model);
    await fit(model, data(), { loss: 'mse', optimizer: new Adam(model.parameters()), compiled });
    numbers(model).forEach((values, i) => {
      expect(values, paths[i]).not.toEqual(before[i]);
    });
  });

  it('saves, loads and shares all of it', async () => {
    seed(2);
    const [model, copy, other] = [new Everything(), new Everything(), new Everything()];
    const { x } = data();
    await fit(model, data(), { loss: 'mse', optimizer: new Adam(model.parameters()) });
    copy.loadStateDict(model.stateDict());
    other.attach(model.share());
    const y = await predict(model, x);
    expect((await predict(copy, x)).toArray()).toEqual(y.toArray());
    expect((await predict(other, x)).toArray()).toEqual(y.toArray());
    expect(Object.keys(model.share())).toEqual(paths);
  });

  it('switches all of it to evaluation and back', () => {
    const model = new Everything();
    for (const mode of [false, true]) {
      model.train(mode);
      for (const [path, layer] of model.namedLayers()) expect(layer.training, path).toBe(mode);
    }
  });
});

describe('the walk', () => {
  const isNumber = (value: unknown): value is number => typeof value === 'number';

  it('goes through what holds itself once, and asks no getter', () => {
    let asked = 0;
    const tree: Record<string, unknown> = {
      a: 1,
      get b() {
        asked++;
        return 2;
      },
      list: [3, { c: 4 }],
    };
    tree.self = tree;
    (tree.list as unknown[]).push(
      tree.list,
      new Map<unknown, unknown>([
        ['d', tree],
        [Symbol('e'), 5],
      ]),
    );
    expect([...walk(tree, isNumber)]).toEqual([
      ['a', 1],
      ['list.0', 3],
      ['list.1.c', 4],
      ['list.3.Symbol(e)', 5],
    ]);
    expect(asked).toBe(0);
  });

  it('goes as deep as one likes', () => {
    let tree: unknown = 7;
    for (let depth = 0; depth < 50_000; depth++) tree = [tree];
    expect(leavesOf(tree, isNumber)).toEqual([7]);
  });

  it('makes trees anew, of the same structure', () => {
    const shared = [1];
    const tree = { a: shared, b: shared, c: new Map([['d', 2]]), e: 'text', ['__proto__']: 3 };
    const made = mapTree(tree, isNumber, (x) => x * 10) as typeof tree;
    expect(made).toEqual({ a: [10], b: [10], c: new Map([['d', 20]]), e: 'text', ['__proto__']: 30 });
    expect(made.a).toBe(made.b);
    expect(made.a).not.toBe(shared);
    expect(Object.keys(made)).toEqual(Object.keys(tree));
  });

  it('is lazy', () => {
    const seen: unknown[] = [];
    const isLeaf = (value: unknown): value is number => {
      seen.push(value);
      return isNumber(value);
    };
    walk([1, 2, 3], isLeaf).next();
    expect(seen).toEqual([1]);
  });
});

describe('layers that hold each other', () => {
  it('are gone through once', () => {
    class Child extends Layer {
      readonly weight = new Parameter([1]);
      constructor(readonly parent: Layer) {
        super();
      }
      forward(x: Tensor): Tensor {
        return x.mul(this.weight);
      }
    }
    class Parent extends Layer {
      readonly children_ = [new Child(this)];
      readonly again = this.children_[0];
      forward(x: Tensor): Tensor {
        return this.again.forward(x);
      }
    }
    const model = new Parent();
    expect(model.namedParameters().map(([name]) => name)).toEqual(['children_.0.weight']);
    expect(model.eval().again.training).toBe(false);
    expect(model.summary()).toContain('children_.0 (Child)');
    for (let i = 0; i < 5; i++) {
      model.parameters();
      model.again.parameters();
    }
    expect(model.again.label).toBe('children_.0 (Child)');
  });

  it('have their own way of `train`, as one that stays in evaluation', () => {
    class Frozen extends BatchNorm {
      override train(): this {
        return super.train(false);
      }
    }
    const model = new Sequential([new Sequential([new Frozen(2)]), new Dropout()]);
    model.train();
    expect(model.namedLayers().map(([, layer]) => layer.training)).toEqual([true, true, false, true]);
  });
});

test('a subclass of Sequential keeps layers beside its own', () => {
  class Net extends Sequential {
    readonly head = new Dense(2, 1);
    readonly scale = new Parameter([1]);
  }
  const model = new Net([new Dense(2, 2), new ReLU()]);
  expect(Object.keys(model.stateDict())).toEqual(['scale', '0.weight', '0.bias', 'head.weight', 'head.bias']);
});

test('two parameters of one name are refused, as one of them would be lost', () => {
  class Twice extends Layer {
    readonly parts = new Map<unknown, Parameter>([
      [1, new Parameter([1])],
      ['1', new Parameter([1])],
    ]);
    forward(x: Tensor): Tensor {
      return x;
    }
  }
  expect(() => new Twice().stateDict()).toThrow(ArgumentError);
  expect(() => new Twice().parameters()).toThrow(/a name of its own, got two under parts\.1/);
});

describe('a message names the layer', () => {
  const model = () => {
    class Net extends Layer {
      readonly blocks = [new Block(), new Block()];
      readonly encoder = new Sequential([new Dense(2, 2), new Dense(2, 3)]);
      readonly named = Object.assign(new Dense(3, 2), { label: 'decoder' });
      which: (net: Net) => Layer = (net) => net.blocks[0].qkv;
      forward(x: Tensor): Tensor {
        return this.which(this).forward(x);
      }
    }
    return new Net();
  };
  const wrong = zeros([4, 7]);
  const data = { x: wrong, y: zeros([4, 2]) };

  it('by its path, or its own label, in predict, evaluate and fit', async () => {
    const net = model();
    for (const [which, label] of [
      [(n: typeof net) => n.blocks[0].qkv, 'blocks.0.qkv (Dense)'],
      [(n: typeof net) => n.encoder, 'encoder.0 (Dense)'],
      [(n: typeof net) => n.named, 'decoder'],
    ] as const) {
      net.which = which;
      const expected = `${label} expected input [batch, ${label === 'decoder' ? 3 : 2}], received [4, 7]`;
      const optimizer = new SGD(net.parameters(), { learningRate: 1 });
      for (const act of [
        () => predict(net, wrong),
        () => evaluate(net, data, { loss: 'mse' }),
        () => fit(net, data, { loss: 'mse', optimizer }),
        async () => net.forward(wrong),
      ]) {
        const error = (await rejection(act())) as Error;
        expect(error).toBeInstanceOf(ShapeError);
        expect(error.message).toBe(expected);
      }
    }
  });

  it('by its path where the parameters were asked for, also by one further in', () => {
    const net = model();
    net.parameters();
    net.blocks[1].parameters();
    net.encoder.stateDict();
    expect(net.blocks[1].qkv.label).toBe('blocks.1.qkv (Dense)');
    expect(net.encoder.layers[1].label).toBe('encoder.1 (Dense)');
  });

  it('by its number in a Sequential', () => {
    const inner = new Sequential([new Dense(2, 2), new Dense(2, 2)]);
    const outer = new Sequential([new Dense(2, 2), inner, new Block()]);
    const labels = () => outer.namedLayers().map(([, layer]) => layer.label);
    const expected = [
      'Sequential',
      'Dense 1',
      'Sequential 1',
      'Sequential 1 › Dense 1',
      'Sequential 1 › Dense 2',
      'Block 1',
      '2.qkv (Dense)',
      '2.out (Dense)',
    ];
    expect(labels()).toEqual(expected);
    inner.parameters();
    expect(labels()).toEqual(expected);
  });
});

describe('summary', () => {
  it('takes the fields of a layer for no chain, and shows shapes where they are known', () => {
    class Attention extends Layer {
      readonly q = new Dense(4, 4);
      readonly k = new Dense(4, 4);
      readonly out = new Sequential([new Dense(4, 8), new ReLU()]);
      forward(x: Tensor): Tensor {
        return this.out.forward(this.q.forward(x).mul(this.k.forward(x)));
      }
      override outputShape(): number[] {
        return [8];
      }
    }
    expect(new Attention().summary([4]).split('\n').slice(2, -2)).toEqual([
      'Attention           [batch, 8]            80',
      '  q (Dense)                               20',
      '  k (Dense)                               20',
      '  out (Sequential)                        40',
      '    out.0 (Dense)                         40',
      '    out.1 (ReLU)                           0',
    ]);
    const model = new Sequential([new Attention(), new Sequential([new Dense(8, 2)])], { inputShape: [4] });
    expect(model.summary().split('\n').slice(2, -2)).toEqual([
      'Attention 1               [batch, 8]            80',
      '  0.q (Dense)                                   20',
      '  0.k (Dense)                                   20',
      '  0.out (Sequential)                            40',
      '    0.out.0 (Dense)                             40',
      '    0.out.1 (ReLU)                               0',
      'Sequential 1              [batch, 2]            18',
      '  Sequential 1 › Dense 1  [batch, 2]            18',
    ]);
  });

  it('bears layers that do not fit each other, as nothing says that they follow', () => {
    class Two extends Layer {
      readonly a = new Dense(2, 3);
      readonly b = new Dense(7, 5);
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(new Two().summary([2]).split('\n').slice(2, -2)).toEqual([
      'Two          ?                     49',
      '  a (Dense)                         9',
      '  b (Dense)                        40',
    ]);
  });
});

describe('setRequiresGrad', () => {
  it('freezes all parameters below, and thaws them', () => {
    const model = new Everything();
    expect(model.setRequiresGrad(false)).toBe(model);
    expect(model.parameters().some(({ requiresGrad }) => requiresGrad)).toBe(false);
    model.blocks[1].setRequiresGrad();
    const wanting = model.namedParameters().filter(([, { requiresGrad }]) => requiresGrad);
    expect(wanting.map(([name]) => name)).toEqual([
      'blocks.1.qkv.weight',
      'blocks.1.qkv.bias',
      'blocks.1.out.weight',
    ]);
    expect(() => model.setRequiresGrad(1 as never)).toThrow(ArgumentError);
    expect(model.blocks[1].qkv.weight.requiresGrad).toBe(true);
  });

  it.each([true, false])('makes a BatchNorm normalise by what it has seen, compiled %s', (compiled) => {
    const layer = new BatchNorm(1);
    layer.runningMean.assign([2]);
    layer.runningVariance.assign([4]);
    layer.setRequiresGrad(false);
    const x = tensor([[0], [6]]);
    const run = compiled
      ? compile((input: Tensor) => layer.forward(input)).sync
      : (input: Tensor) => layer.forward(input);
    // (0 − 2) / √4 and (6 − 2) / √4.
    run(x);
    for (const [i, expected] of [-1, 2].entries()) expect(run(x).data[i]).toBeCloseTo(expected, 4);
    expect([layer.runningMean.item(), layer.runningVariance.item()]).toEqual([2, 4]);
    expect(layer.training).toBe(true);
  });

  it('of one of scale and shift leaves a BatchNorm as it is, and so does it without either', () => {
    const half = new BatchNorm(1);
    half.weight!.requiresGrad = false;
    const plain = new BatchNorm(1, { affine: false }).setRequiresGrad(false);
    for (const layer of [half, plain]) {
      layer.forward(tensor([[0], [6]]));
      expect(layer.runningMean.item()).toBeCloseTo(0.3, 6);
    }
  });
});
