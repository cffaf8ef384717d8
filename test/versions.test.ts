/**
 * One version for one piece of memory: what backward will read and that changed since, by whatever name, is an error; what
 * it does not read may change.
 */
import { describe, expect, test } from 'vitest';
import { AutogradError } from '../lib/errors.ts';
import {
  Adam,
  BatchNorm,
  compile,
  concat,
  Dense,
  losses,
  noGrad,
  Parameter,
  SGD,
  SharedTensor,
  seed,
  type Tensor,
  tensor,
  where,
} from '../lib/index.ts';
import type { Case } from './cases/case.ts';
import { declarations } from './cases/index.ts';
import { cotangentOf, inputsOf } from './cases/values.ts';
import { freeze, to } from './train/twins.ts';

describe('every op whose input or result changes before backward refuses, or its gradient is right', () => {
  const differentiable = declarations.flatMap(({ op, cases }) =>
    cases.filter(({ gradient }) => gradient !== 'none').map((c) => ({ op, c, title: `${op}, ${c.name}` })),
  );

  /** Ways to write to the memory of a tensor. */
  const writes: Record<string, (x: Tensor, values: Tensor) => void> = {
    assign: (x, values) => x.assign(values),
    'a detached view': (x, values) => x.detach().assign(values),
    'a view of views': (x, values) => {
      const flat = values.reshape([x.size]);
      x.detach().reshape([x.size, 1]).flatten(0).detach().assign(flat);
    },
  };

  /** The gradients of a case where `change` runs between forward and backward; 'refused' where backward refuses. */
  const gradients = (op: string, c: Case, change: (inputs: Tensor[], y: Tensor) => void) => {
    seed(1);
    const inputs = inputsOf(op, c, 'float64');
    const y = c.run(...inputs);
    const cotangent = cotangentOf(op, c, y);
    change(inputs, y);
    try {
      y.backward(cotangent);
    } catch (error) {
      expect(error).toBeInstanceOf(AutogradError);
      expect(inputs.map(({ grad }) => grad)).toEqual(inputs.map(() => null));
      return 'refused';
    }
    return inputs.map(({ grad }) => grad && Array.from(grad.data));
  };

  test.each(differentiable)('$title', ({ op, c }) => {
    const right = gradients(op, c, () => {});
    expect(right).not.toBe('refused');
    c.inputs.forEach((_, i) => {
      for (const [name, write] of Object.entries(writes)) {
        const got = gradients(op, c, (inputs) => {
          const x = inputs[i];
          const reversed = tensor(x.data.slice().reverse(), { shape: x.shape });
          // Labels and indices stay in their range.
          write(x, x.dtype === 'int32' ? reversed : noGrad(() => reversed.mul(0.5)));
        });
        if (got !== 'refused') expect(got, `input ${i}, by ${name}`).toEqual(right);
      }
    });
    const got = gradients(op, c, (_, y) => y.detach().assign(noGrad(() => y.mul(0.5).add(3))));
    if (got !== 'refused') expect(got, 'the result').toEqual(right);
  });
});

/** A function of a leaf and of a tensor that wants no gradient. */
type Fn = (x: Tensor, w: Tensor) => Tensor;

const leaf = () => tensor([0.5, 1, 2], { requiresGrad: true });
const weights = () => tensor([10, 20, 30]);

describe('refused', () => {
  /** Changes something between the forward and the backward pass of `fn(x, w).sum()`. */
  const cases: [string, Fn, (x: Tensor, w: Tensor, y: Tensor) => unknown][] = [
    ['x · w, w assigned', (x, w) => x.mul(w), (_, w) => w.assign([1, 1, 1])],
    ['x · w, w assigned by a view', (x, w) => x.mul(w), (_, w) => w.reshape([3, 1]).assign([[1], [1], [1]])],
    ['x · w, w assigned by detach()', (x, w) => x.mul(w), (_, w) => w.detach().assign([1, 1, 1])],
    ['x · a view of w, w assigned', (x, w) => x.mul(w.reshape([3, 1])), (_, w) => w.assign([1, 1, 1])],
    ['x · w.detach(), w assigned', (x, w) => x.mul(w.detach()), (_, w) => w.assign([1, 1, 1])],
    [
      'x · w.flatten(), w assigned by another view',
      (x, w) => x.mul(w.flatten(0)),
      (_, w) => w.reshape([1, 3]).assign([[1, 1, 1]]),
    ],
    ['x², x assigned by detach()', (x) => x.square(), (x) => x.detach().assign([1, 1, 1])],
    ['x², x assigned', (x) => x.square(), (x) => x.assign([1, 1, 1])],
    ['a view of x, squared, x assigned', (x) => x.reshape([3, 1]).square(), (x) => x.assign([1, 1, 1])],
    ['x · w, w added to', (x, w) => x.mul(w), (_, w) => to(w).add_(1)],
    ['x · w, w subtracted from', (x, w) => x.mul(w), (_, w) => to(w).sub_(1)],
    ['x · w, w multiplied', (x, w) => x.mul(w), (_, w) => to(w).mul_(2)],
    ['x · w, w divided', (x, w) => x.mul(w), (_, w) => to(w).div_(2)],
    ['x · w, w blended', (x, w) => x.mul(w), (x, w) => to(w).lerp_(x, 0.5)],
    ['x · w, w assigned what it was', (x, w) => x.mul(w), (_, w) => w.assign([10, 20, 30])],
    ['x / w', (x, w) => x.div(w), (_, w) => to(w).mul_(2)],
    ['eˣ, the result changed', (x) => x.exp(), (_x, _w, y) => to(y.detach()).mul_(2)],
    [
      'σ(x), the result changed by a view',
      (x) => x.sigmoid(),
      (_x, _w, y) => to(y.detach().reshape([3, 1])).mul_(2),
    ],
    ['max(x, 0), the result changed', (x) => x.relu(), (_x, _w, y) => to(y.detach()).mul_(-1)],
    ['labels', (x, w) => losses.mse(x, w), (_, w) => w.assign([1, 1, 1])],
    ['where, its condition', (x, w) => where(w, x, x.neg()), (_, w) => w.assign([0, 0, 0])],
    ['a chain, its first part', (x, w) => x.mul(w).add(1).sum().mul(2), (_, w) => w.assign([1, 1, 1])],
  ];
  test.each(cases)('%s', (_, fn, change) => {
    const [x, w] = [leaf(), weights()];
    const y = fn(x, w);
    const loss = y.sum();
    change(x, w, y);
    expect(() => loss.backward()).toThrow(AutogradError);
    expect(x.grad).toBeNull();
    // Afterwards all is well.
    fn(x, w).sum().backward();
    expect(x.grad).not.toBeNull();
  });

  test('int32 labels and indices', () => {
    for (const fn of [
      (x: Tensor, labels: Tensor) =>
        losses.softmaxCrossEntropy(x.reshape([1, 3]).broadcastTo([2, 3]), labels),
      (x: Tensor, labels: Tensor) => x.gather(labels).sum(),
    ]) {
      const [x, labels] = [leaf(), tensor([0, 2], { dtype: 'int32' })];
      const y = fn(x, labels);
      labels.reshape([2]).assign([1, 1]);
      expect(() => y.backward()).toThrow(AutogradError);
    }
  });

  /** A layer, an optimizer of it, and a compiled step that has run once. */
  const learner = () => {
    const layer = new Dense(3, 2);
    const optimizer = new SGD(layer.parameters(), { learningRate: 0.1 });
    const batch = tensor([[1, 2, 3]]);
    const step = () => {
      optimizer.zeroGrad();
      layer.forward(batch).square().sum().backward();
      optimizer.step();
    };
    const compiled = compile(step);
    compiled.sync();
    return { layer, step, compiled };
  };
  type Learner = ReturnType<typeof learner>;
  const updates: [string, (l: Learner) => unknown][] = [
    ['an optimizer step', ({ step }) => step()],
    ['a step of Adam', ({ layer }) => new Adam(layer.parameters()).step()],
    ['the first run of a compiled step', ({ step }) => compile(step).sync()],
    ['a later run of a compiled step', ({ compiled }) => compiled.sync()],
    ['loadStateDict', ({ layer }) => layer.loadStateDict(layer.stateDict())],
    ['a change by a view', ({ layer }) => to(layer.weight.detach().reshape([6])).mul_(2)],
    ['a change in place', ({ layer }) => to(layer.weight).mul_(2)],
  ];
  const frozenOrNot = updates.flatMap(([name, update]) =>
    [false, true].map((frozen) => ({ name, update, frozen })),
  );
  test.each(frozenOrNot)('a forward pass before $name, weights frozen: $frozen', ({ update, frozen }) => {
    const l = learner();
    const x = tensor([[1, 2, 3]], { requiresGrad: true });
    freeze(l.layer, frozen);
    const stale = l.layer.forward(x).sum();
    const copied = x.matmul(l.layer.weight.transpose()).sum();
    freeze(l.layer, false);
    update(l);
    expect(() => stale.backward()).toThrow(AutogradError);
    // The copy, which this history reads, is as it was.
    copied.backward();
  });

  test('a forward pass before its weights are attached to other memory, or its gradient is right', () => {
    for (const frozen of [false, true]) {
      const { layer } = learner();
      const x = tensor([[1, 2, 3]], { requiresGrad: true });
      const before = layer.weight.transpose().sum(1).toArray();
      freeze(layer, frozen);
      const stale = layer.forward(x).sum();
      layer.attach(new Dense(3, 2).share());
      try {
        stale.backward();
      } catch (error) {
        expect(error).toBeInstanceOf(AutogradError);
        continue;
      }
      expect(x.grad!.reshape([3]).toArray()).toEqual(before);
    }
  });

  test('running statistics that moved on', () => {
    const layer = new BatchNorm(3);
    const x = tensor(
      [
        [1, 2, 3],
        [3, 5, 9],
      ],
      { requiresGrad: true },
    );
    layer.runningMean.assign([0.5, 1, 2]);
    const centred = () => x.mul(layer.runningMean).sum();
    const stale = centred();
    layer.train().forward(x);
    expect(() => stale.backward()).toThrow(AutogradError);
    const again = centred();
    compile((input: Tensor) => layer.train().forward(input)).sync(x.detach());
    expect(() => again.backward()).toThrow(AutogradError);
    // The layer itself keeps what it has normalised by.
    const { runningMean, runningVariance } = layer;
    const gradient = runningVariance.data.map((variance) => 2 / Math.sqrt(variance + 1e-5));
    const y = layer.eval().forward(x).mul(2).sum();
    layer.train().forward(x.mul(100));
    y.backward();
    expect(runningMean.data[0]).not.toBe(0.5);
    x.grad!.toArray<number[][]>().forEach((row) => {
      row.forEach((value, i) => {
        expect(value).toBeCloseTo(gradient[i], 6);
      });
    });
  });

  test('a gradient that was read, overwritten by another backward', () => {
    const [x, p] = [leaf(), leaf()];
    p.square().sum().backward();
    for (const change of [
      () => p.square().sum().backward(),
      () => {
        p.zeroGrad();
        p.exp().sum().backward();
      },
      () => to(p.grad).mul_(0.5),
      () => p.grad!.assign([1, 1, 1]),
      () => to(p.grad!.reshape([3, 1])).add_(1),
    ]) {
      const y = x.mul(p.grad!).sum();
      change();
      expect(() => y.backward()).toThrow(AutogradError);
    }
  });

  test('a gradient that was read, overwritten by a compiled run', () => {
    const [x, p] = [leaf(), new Parameter([3]).assign([1, 2, 3])];
    const run = compile(() => {
      p.zeroGrad();
      p.square().sum().backward();
    });
    run.sync();
    const y = x.mul(p.grad!).sum();
    run.sync();
    expect(() => y.backward()).toThrow(AutogradError);
  });

  test('state that a compiled run writes to', () => {
    const [x, state] = [leaf(), new SharedTensor([3]).assign([1, 2, 3])];
    const run = compile(() => void to(state).add_(1));
    for (let i = 0; i < 2; i++) {
      const y = x.mul(state).sum();
      run.sync();
      expect(() => y.backward()).toThrow(AutogradError);
    }
  });

  test('memory that two tensors were attached to', () => {
    const [x, a, b] = [leaf(), new SharedTensor([3]), new SharedTensor([3])];
    b.attach(a.share());
    const y = x.mul(a).sum();
    to(b).add_(1);
    expect(() => y.backward()).toThrow(AutogradError);
  });
});

describe('allowed', () => {
  // What PyTorch 1.13 lets through: y = fn(x, w), then with torch.no_grad(): x.mul_(2) (or w, or y.detach()), y.sum().backward().
  const cases: [string, Fn, changed: ('x' | 'w' | 'y')[]][] = [
    ['x + w', (x, w) => x.add(w), ['x', 'w', 'y']],
    ['x − w', (x, w) => x.sub(w), ['x', 'w', 'y']],
    ['x · w', (x, w) => x.mul(w), ['x', 'y']],
    ['x / w', (x, w) => x.div(w), ['x', 'y']],
    ['−x', (x) => x.neg(), ['x', 'y']],
    ['2x', (x) => x.mul(2), ['x', 'y']],
    ['the sum', (x) => x.sum(), ['x', 'y']],
    ['the mean', (x) => x.mean(), ['x', 'y']],
    ['x · w as matrices', (x, w) => x.reshape([1, 3]).matmul(w.reshape([3, 1])), ['x', 'y']],
    ['max(x, 0)', (x) => x.relu(), ['x']],
    ['σ(x)', (x) => x.sigmoid(), ['x']],
    ['tanh', (x) => x.tanh(), ['x']],
    ['eˣ', (x) => x.exp(), ['x']],
    ['√x', (x) => x.sqrt(), ['x']],
    ['x²', (x) => x.square(), ['y']],
    ['softmax', (x) => x.softmax(), ['x']],
    ['logSumExp', (x) => x.logSumExp(), ['y']],
    ['log σ(x)', (x) => x.logSigmoid(), ['x']],
    ['eˣ − 1', (x) => x.expm1(), ['y']],
    ['where', (x, w) => where(w.greater(15), x, x.neg()), ['x', 'w', 'y']],
    ['concat', (x, w) => concat([x, w]), ['x', 'w', 'y']],
    ['slice', (x) => x.slice([[1, 3]]), ['x', 'y']],
    ['gather', (x) => x.gather(tensor([0, 1], { dtype: 'int32' })), ['x', 'y']],
    ['clone', (x) => x.clone(), ['x', 'y']],
    ['a view', (x) => x.reshape([3, 1]), ['x', 'y']],
    ['pad', (x) => x.pad([[1, 1]]), ['x', 'y']],
    ['transpose', (x) => x.reshape([1, 3]).transpose(), ['x', 'y']],
    ['broadcastTo', (x) => x.broadcastTo([2, 3]), ['x', 'y']],
  ];
  const rows = cases.flatMap(([name, fn, changed]) => changed.map((which) => ({ name, fn, which })));
  test.each(rows)('$name, $which changed', ({ fn, which }) => {
    const gradient = (change: boolean) => {
      const [x, w] = [leaf(), weights()];
      const y = fn(x, w);
      if (change) to({ x, w, y: y.detach() }[which]).mul_(2);
      y.sum().backward();
      return x.grad!.toArray();
    };
    expect(gradient(true)).toEqual(gradient(false));
  });

  test('the bias of a linear layer, as no gradient reads it', () => {
    const layer = new Dense(3, 2);
    const y = layer.forward(tensor([[1, 2, 3]])).sum();
    to(layer.bias).mul_(2);
    y.backward();
    expect(layer.bias!.grad!.toArray()).toEqual([1, 1]);
  });

  test('running statistics while training: a batch of real ones, one of fakes, then both gradients', () => {
    const layer = new BatchNorm(3);
    const real = tensor([
      [1, 2, 3],
      [3, 5, 9],
    ]);
    const gradient = (between: () => Tensor | undefined) => {
      layer.weight!.zeroGrad();
      const first = layer.forward(real).square().sum();
      const second = between();
      first.backward();
      const got = layer.weight!.grad!.toArray();
      second?.backward();
      return got;
    };
    const fakes = () => layer.forward(real.mul(0.5)).square().sum();
    expect(gradient(fakes)).toEqual(gradient(() => undefined));
  });

  test('a gradient that the backward pass itself writes to', () => {
    const x = leaf();
    x.square().sum().backward();
    // Read by nothing that is differentiated.
    const kept = x.grad!.mul(2);
    x.square().sum().backward();
    expect(kept.toArray()).toEqual([2, 4, 8]);
    expect(x.grad!.toArray()).toEqual([2, 4, 8]);
  });

  test('what a history that is gone has read', () => {
    const [x, w] = [leaf(), weights()];
    x.mul(w).sum().backward();
    w.assign([1, 1, 1]);
    x.zeroGrad();
    x.mul(w).sum().backward();
    expect(x.grad!.toArray()).toEqual([1, 1, 1]);
  });

  test('what was copied before', () => {
    const [x, w] = [leaf(), weights()];
    const y = x.mul(w.clone()).sum();
    w.assign([1, 1, 1]);
    y.backward();
    expect(x.grad!.toArray()).toEqual([10, 20, 30]);
  });
});
