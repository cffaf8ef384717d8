/** recompute: gradients, state and random numbers as without it, in less memory. */
import { describe, expect, test } from 'vitest';
import {
  AutogradError,
  BatchNorm,
  compile,
  Dense,
  Dropout,
  dropout,
  gradients,
  Parameter,
  randn,
  randomState,
  recompute,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from '../lib/index.ts';
import { plan } from '../lib/kernels/plan.ts';
import { mainQueue } from '../lib/kernels/queue.ts';
import { trace } from '../lib/train/program.ts';

const bits = (x: Tensor) => Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength).toString('hex');

type Wrap = (fn: (x: Tensor) => Tensor) => (x: Tensor) => Tensor;
const plain: Wrap = (fn) => fn;

/** Blocks with all that a second run could change. */
function network(wrap: Wrap, width = 8, depth = 3) {
  seed(7);
  const blocks = Array.from({ length: depth }, () => {
    const own = [new Dense(width, width), new BatchNorm(width), new Dropout(0.3)] as const;
    return { own, run: wrap((x) => new Sequential(own).forward(x).tanh().mul(x).add(x)) };
  });
  const layers = blocks.flatMap(({ own }) => [...own]);
  const optimizer = new SGD(
    layers.flatMap((layer) => layer.parameters()),
    { learningRate: 0.05 },
  );
  const step = (x: Tensor) => {
    let y = x;
    for (const { run } of blocks) y = run(y);
    const loss = y.square().mean();
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  };
  const state = () => layers.flatMap((layer) => Object.values(layer.stateDict()).map(bits));
  return { step, state, blocks };
}

function train(wrap: Wrap, isCompiled: boolean): string[] {
  const { step, state } = network(wrap);
  const run = isCompiled ? compile(step).sync : step;
  const seen = [];
  for (let i = 0; i < 6; i++) seen.push(bits(run(randn([i === 4 ? 5 : 6, 8]))));
  // The random state is what it is without.
  return [...seen, ...state(), bits(randn([3]))];
}

describe('a training', () => {
  const want = train(plain, false);

  test.each([
    ['eager', false],
    ['compiled', true],
  ])('%s is what it is without, to the bit', (_, isCompiled) => {
    expect(train(recompute, isCompiled)).toEqual(want);
  });

  test('in functions that are recomputed themselves', () => {
    expect(train((fn) => recompute(recompute(fn)), false)).toEqual(want);
    expect(train((fn) => recompute((x) => recompute(fn)(x)), true)).toEqual(want);
  });
});

describe('gradients', () => {
  const w = new Parameter([4, 4], 'float64');
  w.assign(randn([4, 4], { dtype: 'float64' }));
  const x = randn([3, 4], { dtype: 'float64', requiresGrad: true });
  const inner = x.mul(2);
  const ways: Wrap[] = [plain, recompute];

  test('of arguments, of computed tensors and of what is closed over, those alone that are asked for', () => {
    const of = (wrap: Wrap) => {
      const outside = x.exp();
      const y = wrap((at) => at.matmul(w).tanh().mul(outside))(x.mul(2)).sum();
      return gradients(y, [x, w, outside], { retainGraph: true }).concat(gradients(y, x)).map(bits);
    };
    expect(of(recompute)).toEqual(of(plain));
    expect(x.grad).toBeNull();
  });

  test('of gradients', () => {
    const [want, got] = ways.map((wrap) => {
      const y = wrap((at) => at.matmul(w).tanh())(x).sum();
      const slope = gradients(y, x, { createGraph: true });
      return gradients(slope.square().sum(), [x, w]).map((each) => Array.from(each.data));
    });
    got.forEach((values, i) => {
      for (const [at, value] of values.entries()) expect(value).toBeCloseTo(want[i][at], 12);
    });
  });

  test('nothing is kept where nobody wants one', () => {
    const constant = tensor([1, 2]);
    expect(recompute((at: Tensor) => at.mul(2))(constant).requiresGrad).toBe(false);
    expect(recompute((at: Tensor) => at)(inner)).toBe(inner);
  });
});

describe('refuses', () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const seen = tensor([0, 0]);

  test.each<[string, () => unknown, string]>([
    ['updates in place', () => recompute((at: Tensor) => at.mul(seen.add_(1)))(x), 'it would be made twice'],
    [
      'other random states',
      () => recompute((at: Tensor) => dropout(at, 0.5, randomState(1)))(x),
      '[dropout] expected the default random state in a function that recompute runs again',
    ],
    ['promises', () => recompute((async () => x) as never)(), '[recompute] expected a synchronous function'],
    ['no tensor', () => recompute((() => 1) as never)(), 'expected the result of fn to be a tensor, got 1'],
    ['no function', () => recompute(1 as never), '[recompute] expected fn to be a function, got 1'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
    expect(seen.toArray()).toEqual([0, 0]);
    // It is over then.
    expect(seen.add_(0)).toBe(seen);
  });

  test('what has changed before backward', () => {
    const p = new Parameter([2]);
    const y = recompute((at: Tensor) => at.mul(p))(x).sum();
    p.assign([1, 1]);
    expect(() => y.backward()).toThrow(AutogradError);
  });
});

describe('memory', () => {
  const depth = 8;

  /** Elements of computed tensors that a history holds. */
  function held(root: Tensor): number {
    const seen = new Set([root]);
    for (const { node } of seen) {
      for (const input of [...(node?.inputs ?? []), ...(node?.saved ?? [])]) if (input?.node) seen.add(input);
    }
    return new Set([...seen].map(({ storage }) => storage)).size;
  }

  test('of the history: the ends of blocks alone', () => {
    const [most, least] = [plain, recompute as Wrap].map((wrap) => {
      let y: Tensor = randn([64, 8], { requiresGrad: true });
      for (const { run } of network(wrap, 8, depth).blocks) y = run(y);
      return held(y);
    });
    expect(least).toBe(depth);
    expect(most).toBeGreaterThan(5 * depth);
  });

  test('of a compiled step: less than half', () => {
    const [most, least] = [plain, recompute as Wrap].map((wrap) => {
      const { recording, form } = trace(network(wrap, 32, depth).step, [randn([512, 32])]);
      const outputs = form.tensors.map(({ storage }) => storage);
      return plan(recording, recording.calls, outputs, mainQueue).bytes.planned;
    });
    expect(least / most).toBeLessThan(0.45);
  });
});
