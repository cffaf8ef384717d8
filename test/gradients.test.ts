/** gradients, grad, valueAndGrad, and backward with options: what they return, keep and refuse. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  AutogradError,
  BatchNorm,
  Conv2D,
  compile,
  Dense,
  dropout,
  Flatten,
  grad,
  gradients,
  LayerNorm,
  losses,
  maxPool2d,
  noGrad,
  Parameter,
  rand,
  randn,
  randomState,
  seed,
  type Tensor,
  tensor,
  track,
  valueAndGrad,
  zeros,
} from '../lib/index.ts';

const leaf = (...values: number[]) => tensor(values, { dtype: 'float64', requiresGrad: true });
const constant = (...values: number[]) => tensor(values, { dtype: 'float64' });
const bits = (x: Tensor) => Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength).toString('hex');

describe('gradients', () => {
  test('of leaves and of computed tensors, with no trace in grad', () => {
    const [a, b] = [leaf(2, 3), leaf(5, 7)];
    a.mul(10).sum().backward();
    const product = a.mul(b);
    const y = product.square().sum();
    const [da, dProduct] = gradients(y, [a, product]);
    expect(da.toArray()).toEqual([2 * 2 * 25, 2 * 3 * 49]);
    expect(dProduct.toArray()).toEqual([20, 42]);
    expect(a.grad!.toArray()).toEqual([10, 10]);
    expect(b.grad).toBeNull();
    expect(da.requiresGrad).toBe(false);
    expect(() => y.backward()).toThrow(/history that was not used yet/);
  });

  test('of several outputs, with cotangents', () => {
    const x = leaf(2, 3);
    const given = { gradOutputs: [constant(1, 10), null] };
    const dx = gradients([x.square(), x.sum()], x, given);
    expect(dx.toArray()).toEqual([5, 61]);
    expect(given.gradOutputs[0]!.toArray()).toEqual([1, 10]);
  });

  test('of an output with respect to itself, and of one used twice', () => {
    const x = leaf(2);
    const y = x.mul(3);
    const [dy, dx] = gradients([y, y], [y, x]);
    expect([dy.item(), dx.item()]).toEqual([2, 6]);
    expect(gradients(x, x).item()).toBe(1);
  });

  test('only what leads to an input is computed, and used up', () => {
    const [x, w] = [leaf(2), leaf(5)];
    let calls = 0;
    const counted = track(constant(0), [w], (dy) => {
      calls++;
      return [dy];
    });
    const y = x.mul(3).add(counted);
    expect(gradients(y, x).item()).toBe(3);
    expect(gradients(x.mul(3).add(counted), x, { createGraph: true }).item()).toBe(3);
    expect(calls).toBe(0);
    gradients(counted, w);
    expect(calls).toBe(1);
  });

  test('null for an input that no output depends on, where that is allowed', () => {
    const [x, unused] = [leaf(2), leaf(1)];
    for (const createGraph of [false, true]) {
      expect(() => gradients(x.square(), [x, unused], { createGraph })).toThrow(
        '[gradients] expected outputs that depend on each input, got none for input 1 of shape [1]: allowUnused gives ' +
          'null for it',
      );
      const found = gradients(x.square(), [x, unused], { createGraph, allowUnused: true });
      expect(found.map((one) => one?.item())).toEqual([4, undefined]);
    }
  });

  test('have a history with createGraph, to any order', () => {
    const x = leaf(2, -3);
    let y: Tensor = x.pow(4);
    for (const want of [
      [32, -108],
      [48, 108],
      [48, -72],
      [24, 24],
    ]) {
      y = gradients(y.sum(), x, { createGraph: true });
      expect(y.toArray()).toEqual(want);
    }
  });

  test('each is a tensor of its own', () => {
    const [a, b] = [leaf(1), leaf(1)];
    const one = constant(1);
    for (const createGraph of [false, true]) {
      const found = gradients(a.add(b), [a, b], { gradOutputs: one, createGraph });
      found[0].mul_(5);
      expect([...found, one].map((each) => each.item())).toEqual([5, 1, 1]);
    }
  });

  test('refuse what has none', () => {
    const x = leaf(1, 2);
    const error = (call: () => unknown, message: string) => expect(call).toThrow(message);
    error(() => gradients(x.mul(2), x), 'expected a gradient argument for shape [2]');
    error(() => gradients(constant(1), x), 'a tensor with a history or requiresGrad, got one without');
    error(() => gradients(x.sum(), constant(1)), 'inputs with a history or requiresGrad, got one without');
    error(() => gradients(x.sum(), []), '[gradients] expected inputs to be at least one tensor, got none');
    error(() => gradients([1] as never, x), '[gradients] expected each of outputs to be a tensor, got 1');
    error(() => gradients(x.sum(), x, { gradOutputs: [] }), 'gradOutputs for 1 outputs, got 0 of them');
    error(() => gradients(x.sum(), x, { createGraph: 1 as never }), 'createGraph to be true or false, got 1');
    error(() => gradients(x.sum(), x, { keep: true } as never), 'expected options among gradOutputs');
    error(
      () => gradients(x.sum(), x, { gradOutputs: constant(1) }),
      'expected a gradient of shape [] and dtype float64, got [1] and float64',
    );
  });

  test('a failure leaves gradients as they were', () => {
    const x = leaf(3);
    x.mul(2).backward();
    const shared = x.mul(5);
    const bad = track(constant(0), [shared], () => {
      throw new RangeError('mine');
    });
    for (const createGraph of [false, true]) {
      expect(() => gradients(bad, x, { createGraph, retainGraph: true })).toThrow('mine');
    }
    expect(x.grad!.item()).toBe(2);
    expect(gradients(shared, x).item()).toBe(5);
  });
});

describe('backward with options', () => {
  test('keeps the history with retainGraph, also what ops have saved for it', () => {
    const x = randn([6, 4], { dtype: 'float64', requiresGrad: true });
    const labels = tensor([0, 1, 2, 3, 0, 1], { dtype: 'int32' });
    const norm = new BatchNorm(4, { dtype: 'float64' });
    const layer = new LayerNorm(4, { dtype: 'float64' });
    const dropped = dropout(layer.forward(norm.forward(x)), 0.5, randomState(3));
    const y = losses.softmaxCrossEntropy(dropped, labels);
    const once = gradients(y, x, { retainGraph: true }).toArray();
    for (let i = 0; i < 3; i++) {
      // Would be given buffers that went back.
      randn([6, 4], { dtype: 'float64', requiresGrad: true }).mul(2).sum().backward();
      expect(gradients(y, x, { retainGraph: true }).toArray()).toEqual(once);
    }
    y.backward({ retainGraph: true });
    y.backward();
    expect(x.grad!.toArray()).toEqual((once as number[][]).map((row) => row.map((value) => value + value)));
    expect(() => y.backward()).toThrow(/not used yet/);
  });

  test('what a history of gradients reads is not given back by a later pass', () => {
    const x = randn([64], { dtype: 'float64', requiresGrad: true });
    const y = dropout(x.square(), 0.5, randomState(1));
    const dx = gradients(y.sum(), x, { createGraph: true });
    y.sum().backward();
    // These take what was given back.
    for (let i = 0; i < 4; i++) dropout(randn([64], { dtype: 'float64' }), 0.9);
    const second = gradients(dx.sum(), x);
    expect(second.toArray()).toEqual(Array.from(dx.data, (value, i) => value / x.data[i]));
  });

  test('takes a gradient in options', () => {
    const x = leaf(1, 2);
    x.mul(3).backward({ gradient: constant(1, 10) });
    expect(x.grad!.toArray()).toEqual([3, 30]);
    const refuse = (options: object, message: string) =>
      expect(() => x.sum().backward(options as never)).toThrow(message);
    refuse({ gradient: 1 }, '[backward] expected gradient to be a tensor, got 1');
    refuse(
      { retain: true },
      '[backward] expected options among gradient, retainGraph, createGraph, got retain',
    );
    refuse({ createGraph: 1 }, '[backward] expected createGraph to be true or false, got 1');
    refuse([], '[backward] expected gradient to be a tensor, got an array');
  });

  test('gives grad a history with createGraph, until the next pass adds to it', () => {
    const x = leaf(2, 3);
    x.mul(1).sum().backward();
    x.pow(3).sum().backward({ createGraph: true });
    const first = x.grad!;
    expect(first.toArray()).toEqual([13, 28]);
    expect(first.requiresGrad).toBe(true);
    // 13² + 28², whose gradient is 2·(3x² + 1)·6x.
    first.square().sum().backward();
    expect(x.grad!.requiresGrad).toBe(false);
    expect(x.grad!.toArray()).toEqual([13 + 2 * 13 * 12, 28 + 2 * 28 * 18]);
    expect(first.toArray()).toEqual([13, 28]);
    x.zeroGrad();
    expect(x.grad).toBeNull();
    x.mul(5).sum().backward({ createGraph: true });
    // Of a constant there is no history.
    expect(x.grad!.requiresGrad).toBe(false);
    x.grad!.mul_(2);
    expect(x.grad!.toArray()).toEqual([10, 10]);
  });

  test('of a gradient that has no history there is none', () => {
    const x = leaf(1);
    const y = track(constant(0), [x], (dy) => [noGrad(() => dy.mul(2))]);
    const dx = gradients(y, x, { createGraph: true });
    expect(dx.item()).toBe(2);
    expect(() => dx.backward()).toThrow(AutogradError);
  });
});

describe('grad', () => {
  test('is the derivative, and can be nested', () => {
    let f = (x: Tensor) => x.pow(4);
    const x = tensor(3, { dtype: 'float64' });
    const values = [];
    for (let i = 0; i < 4; i++) {
      f = grad(f);
      values.push(f(x).item());
    }
    expect(values).toEqual([108, 108, 72, 24]);
    expect(x.requiresGrad).toBe(false);
  });

  test('of what a function closes over there is none', () => {
    // d/dx (x · d/dy (x + y)) = 1, not 2: y alone is the variable of the inner one.
    const inner = (x: Tensor) => grad((y: Tensor) => x.mul(y))(x).mul(x);
    expect(grad(inner)(tensor(3)).item()).toBe(6);
    const w = new Parameter([]);
    w.assign(5);
    expect(grad((x: Tensor) => x.mul(w))(tensor(2)).item()).toBe(5);
    expect(w.grad).toBeNull();
  });

  test('by arguments that are chosen, in their form', () => {
    const loss = (p: { w: Tensor; b: Tensor[] }, x: Tensor, labels: Tensor) =>
      losses.softmaxCrossEntropy(x.matmul(p.w).add(p.b[0]), labels as Tensor<'int32'>);
    const p = { w: zeros([2, 3]), b: [zeros([3])] };
    const args = [p, tensor([[1, 2]]), tensor([2], { dtype: 'int32' })] as const;
    const dp = grad(loss)(...args);
    const close = (x: Tensor, want: number[]) =>
      Array.from(x.data, (value, i) => expect(value).toBeCloseTo(want[i], 6));
    close(dp.b[0], [1 / 3, 1 / 3, -2 / 3]);
    close(dp.w, [1 / 3, 1 / 3, -2 / 3, 2 / 3, 2 / 3, -4 / 3]);
    const [value, [again, dx]] = valueAndGrad(loss, [0, 1])(...args);
    expect(value.item()).toBeCloseTo(Math.log(3), 6);
    expect(value.requiresGrad).toBe(false);
    expect(again.w.toArray()).toEqual(dp.w.toArray());
    expect(dx.toArray()).toEqual([[0, 0]]);
  });

  test('is 0 for what is not used', () => {
    const by = grad((x: Tensor, y: Tensor) => x.mul(2).add(y.mul(0)), [0, 1]);
    expect(by(tensor(1), tensor(1)).map((each) => each.item())).toEqual([2, 0]);
    expect(grad((x: Tensor, _: Tensor) => x, 1)(tensor(1), tensor([1, 2])).toArray()).toEqual([0, 0]);
    expect(grad((_: Tensor) => tensor(3))(tensor([1, 2])).toArray()).toEqual([0, 0]);
  });

  test('has a history for backward where it is asked for', () => {
    const w = leaf(3);
    const f = (x: Tensor) => x.square().mul(w);
    const x = constant(2);
    expect(grad(f)(x).requiresGrad).toBe(false);
    const slope = grad(f, 0, { createGraph: true })(x);
    slope.backward();
    expect([slope.item(), w.grad!.item()]).toEqual([12, 4]);
  });

  test('works under noGrad, and refuses what has no gradient', () => {
    const square = (x: Tensor) => x.square();
    expect(noGrad(() => grad(square)(tensor(3)).item())).toBe(6);
    expect(noGrad(() => grad(grad(square))(tensor(3)).item())).toBe(2);
    const refuse = (call: () => unknown, message: string) => expect(call).toThrow(message);
    refuse(
      () => grad(square)(tensor([1, 2])),
      '[grad] expected fn to return a tensor of one element, got shape [2]',
    );
    refuse(() => grad((_: number) => tensor(1))(1), 'argument 0 to be or to hold tensors of floats, got 1');
    refuse(() => grad(square)(tensor(1, { dtype: 'int32' })), 'to hold tensors of floats');
    refuse(() => grad(square, -1), '[grad] expected argnums to be positions of arguments, from 0 on, got -1');
    refuse(() => grad(3 as never), '[grad] expected fn to be a function, got 3');
    refuse(() => grad((async (x: Tensor) => x) as never)(tensor(1)), 'a synchronous function');
    refuse(
      () => grad((() => 1) as never)(tensor(1)),
      '[grad] expected the result of fn to be a tensor, got 1',
    );
    refuse(
      () => valueAndGrad(square, 0, { x: 1 } as never),
      '[valueAndGrad] expected options among createGraph',
    );
    // A failure does not count as within another one.
    expect(grad(square)(tensor(3)).requiresGrad).toBe(false);
  });
});

describe('compiled', () => {
  test('a penalty on gradients is what it is eager, to the bit', async () => {
    const run = async (way: 'eager' | 'sync' | 'async') => {
      seed(5);
      const layers = [
        new Conv2D(2, 4, 3, { padding: 'same' }),
        new LayerNorm([6, 6, 4]),
        new Flatten(),
        new Dense(36, 8, { activation: 'tanh' }),
        new BatchNorm(8),
        new Dense(8, 1),
      ];
      const model = {
        forward: (x: Tensor) => {
          const [conv, norm, flatten, ...rest] = layers;
          let h = flatten.forward(maxPool2d(norm.forward(conv.forward(x)).silu() as Tensor<'float32'>, 2));
          for (const layer of rest) h = layer.forward(h);
          return h;
        },
        parameters: layers.flatMap((layer) => layer.parameters()),
      };
      const optimizer = new Adam(model.parameters, { learningRate: 0.01 });
      const step = (real: Tensor, fake: Tensor, weight: number) => {
        optimizer.zeroGrad();
        const mix = rand([real.shape[0], 1, 1, 1]);
        const between = real
          .mul(mix)
          .add(fake.mul(mix.neg().add(1)))
          .detach()
          .setRequiresGrad();
        const score = model.forward(between);
        const slope = gradients(score.sum(), between, { createGraph: true });
        const norm = slope.square().sum([1, 2, 3]).add(1e-12).sqrt();
        const penalty = norm.sub(1).square().mean();
        const loss = model.forward(fake).mean().sub(model.forward(real).mean()).add(penalty.mul(weight));
        loss.backward();
        optimizer.step();
        return { loss, slope };
      };
      const compiled = compile(step);
      const out: string[] = [];
      for (let i = 0; i < 8; i++) {
        // Another size of batch, another weight, another learning rate, a frozen layer on the way.
        if (i === 5) optimizer.learningRate = 0.003;
        if (i === 6) layers[0].setRequiresGrad(false);
        const shape = [i === 3 ? 3 : 4, 6, 6, 2];
        const args = [randn(shape), randn(shape), i === 4 ? 5 : 10] as const;
        const { loss, slope } =
          way === 'eager'
            ? step(...args)
            : await (way === 'sync' ? compiled.sync(...args) : compiled(...args));
        out.push(bits(loss), bits(slope));
      }
      return [...out, ...model.parameters.map(bits)];
    };
    const eager = await run('eager');
    expect(await run('sync')).toEqual(eager);
    expect(await run('async')).toEqual(eager);
  });

  test('grad and its nesting, of arguments', () => {
    const f = (x: Tensor) => x.tanh().mul(x).sum();
    const hessian = (x: Tensor, v: Tensor) => grad((at: Tensor) => grad(f)(at).mul(v).sum())(x);
    const compiled = compile(hessian);
    for (let i = 0; i < 4; i++) {
      const [x, v] = [randn([5]), randn([5])];
      expect(bits(compiled.sync(x, v))).toBe(bits(hessian(x, v)));
    }
  });

  test('backward with createGraph leaves the gradients of the last pass', () => {
    const w = new Parameter([3]);
    const x = tensor([1, 2, 3]);
    const step = () => {
      w.zeroGrad();
      w.mul(x).tanh().sum().backward({ createGraph: true });
      const norm = w.grad!.square().sum();
      norm.backward();
      return norm;
    };
    const compiled = compile(step);
    for (let i = 0; i < 3; i++) {
      w.assign([0.1 * i, -0.2, 0.3]);
      const want = [bits(step()), bits(w.grad!)];
      expect([bits(compiled.sync()), bits(w.grad!)]).toEqual(want);
    }
    const only = compile(() => {
      w.zeroGrad();
      w.mul(x).tanh().sum().backward({ createGraph: true });
    });
    only.sync();
    expect(w.grad!.requiresGrad).toBe(false);
    w.zeroGrad();
    w.mul(x).tanh().sum().backward();
    const want = bits(w.grad!);
    w.zeroGrad();
    only.sync();
    expect(bits(w.grad!)).toBe(want);
  });
});

test('what is tracked by kernels alone has its name in the error', async () => {
  const { track: trackByKernels } = await import('../lib/autograd.ts');
  const x = leaf(2);
  const y = trackByKernels(constant(0), [x], () => {}, [], 'myOp');
  expect(() => gradients(y, x, { createGraph: true })).toThrow(
    '[backward] expected ops with a second derivative for createGraph, got myOp, which has none',
  );
});
