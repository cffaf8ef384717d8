/** Attention beyond what its cases say: by parts, compiled, with dropout. */
import { describe, expect, test } from 'vitest';
import {
  compile,
  Parameter,
  rand,
  randn,
  scaledDotProductAttention,
  seed,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../lib/index.ts';

type Options = NonNullable<Parameters<typeof scaledDotProductAttention>[3]>;

/** In one piece, of ops alone. */
function plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | null): Tensor {
  const scores = q.matmul(k, { transposeB: true }).mul(1 / Math.sqrt(q.shape[q.rank - 1]));
  return (bias === null ? scores : scores.add(bias)).softmax(-1).matmul(v);
}

const largest = (x: Tensor) => x.abs().max().item();
const far = (a: Tensor, b: Tensor) => largest(a.sub(b)) / largest(b);

/** The gradients of parameters through what `fn` makes of them, from one cotangent. */
function gradients(parameters: readonly Parameter[], fn: () => Tensor, cotangent: Tensor): Tensor[] {
  for (const p of parameters) p.zeroGrad();
  fn().backward(cotangent as never);
  return parameters.map((p) => tensor(p.grad!.data.slice(), { shape: p.shape }));
}

/** [queries, keys], −Infinity where a key lies ahead. */
function ahead(queries: number, keys: number): Tensor {
  const [i, j] = [queries, keys].map((n) => tensor(Float32Array.from({ length: n }, (_, at) => at)));
  return where(j.greater(i.reshape([queries, 1])), -Infinity, 0);
}

describe('many scores are computed by parts', () => {
  const shapes: [name: string, lead: number[], queries: number, keys: number][] = [
    ['of one batch', [], 700, 600],
    ['of heads', [3], 300, 420],
    ['of many examples', [70, 1], 70, 80],
    ['of examples and heads', [1, 2], 333, 999],
  ];
  test.each(shapes)('%s', (_, lead, queries, keys) => {
    seed(1);
    const of = (length: number, size: number) => {
      const p = new Parameter([...lead, length, size]);
      p.assign(randn([...lead, length, size]));
      return p;
    };
    const parameters = [of(queries, 4), of(keys, 4), of(keys, 3)];
    const [q, k, v] = parameters;
    const cotangent = randn([...lead, queries, 3]);
    const mask = rand([...lead, 1, keys])
      .greater(0.3)
      .cast('int32');
    const ways: [Options, Tensor | null][] = [
      [{}, null],
      [{ causal: true }, ahead(queries, keys)],
      [{ mask }, where(mask.cast('float32'), 0, -Infinity)],
      [{ mask, causal: true }, where(mask.cast('float32'), 0, -Infinity).add(ahead(queries, keys))],
    ];
    for (const [options, bias] of ways) {
      const attend = () => scaledDotProductAttention(q, k, v, options);
      // A query that sees none is NaN in the plain one.
      const expected = plain(q, k, v, bias);
      const clean = where(expected.equal(expected), expected, 0);
      const y = attend();
      expect(far(y, clean)).toBeLessThan(1e-5);
      if (Number.isNaN(largest(expected))) continue;
      const got = gradients(parameters, attend, cotangent);
      const want = gradients(parameters, () => plain(q, k, v, bias), cotangent);
      got.forEach((gradient, i) => {
        expect(far(gradient, want[i])).toBeLessThan(1e-4);
      });
    }
  });

  test('and so is what is added and learns', () => {
    seed(2);
    const [q, k, v, bias] = [
      [2, 300, 2],
      [2, 500, 2],
      [2, 500, 2],
      [300, 500],
    ].map((shape) => new Parameter(shape).assign(randn(shape)));
    const cotangent = randn([2, 300, 2]);
    const all = [q, k, v, bias];
    const got = gradients(all, () => scaledDotProductAttention(q, k, v, { mask: bias }), cotangent);
    const want = gradients(all, () => plain(q, k, v, bias), cotangent);
    got.forEach((gradient, i) => {
      expect(far(gradient, want[i])).toBeLessThan(1e-4);
    });
  });

  test('and so are grouped heads', () => {
    seed(3);
    const [q, k, v] = [4, 2, 2].map((heads) => new Parameter([heads, 400, 2]).assign(randn([heads, 400, 2])));
    const repeated = (x: Tensor) =>
      x.reshape([2, 1, 400, 2]).broadcastTo([2, 2, 400, 2]).reshape([4, 400, 2]);
    const cotangent = randn([4, 400, 2]);
    const options = { grouped: true, causal: true };
    const got = gradients([q, k, v], () => scaledDotProductAttention(q, k, v, options), cotangent);
    const want = gradients([q, k, v], () => plain(q, repeated(k), repeated(v), ahead(400, 400)), cotangent);
    got.forEach((gradient, i) => {
      expect(far(gradient, want[i])).toBeLessThan(1e-4);
    });
  });
});

describe('compiled it has the bits of eager calls', () => {
  const mask = (keys: number) =>
    tensor(
      Int32Array.from({ length: keys }, (_, i) => Number(i % 3 > 0)),
      { shape: [1, keys] },
    );
  const ways: [name: string, options: Options][] = [
    ['plain', {}],
    ['causal', { causal: true }],
    ['causal, dropout', { causal: true, dropout: 0.25 }],
    ['scale', { scale: 0.5 }],
  ];
  const lengths = [5, 64, 700];
  test.each(ways)('%s', (_, options) => {
    const step = compile((_length: number, cotangent: Tensor, seen: Tensor | null) => {
      const [a, b, c] = parameters;
      for (const p of parameters) p.zeroGrad();
      const y = scaledDotProductAttention(a, b, c, { ...options, mask: seen });
      y.backward(cotangent);
      return y;
    });
    let parameters: Parameter[] = [];
    for (const length of lengths) {
      parameters = [0, 1, 2].map(() => {
        const p = new Parameter([2, length, 4]);
        p.assign(randn(p.shape));
        return p;
      });
      const cotangent = randn([2, length, 4]);
      for (const seen of [null, mask(length), null]) {
        seed(4);
        for (const p of parameters) p.zeroGrad();
        const expected = scaledDotProductAttention(parameters[0], parameters[1], parameters[2], {
          ...options,
          mask: seen,
        });
        expected.backward(cotangent);
        const want = [expected, ...parameters.map((p) => p.grad!)].map((x) => [...x.data]);
        // The list as it is recorded, and what the passes make of it.
        for (let run = 0; run < 3; run++) {
          seed(4);
          const y = step.sync(length, cotangent, seen);
          expect([y, ...parameters.map((p) => p.grad!)].map((x) => [...x.data])).toEqual(want);
        }
      }
    }
  });
});

test('backward drops what forward has dropped, by parts as well', () => {
  for (const length of [10, 700]) {
    seed(5);
    const [q, k, v] = [0, 1, 2].map(() => new Parameter([length, 3]).assign(randn([length, 3])));
    const cotangent = randn([length, 3]);
    const y = scaledDotProductAttention(q, k, v, { dropout: 0.5 });
    y.backward(cotangent);
    // It is linear in v: <cotangent, y> is <dv, v>.
    const [left, right] = [cotangent.mul(y.detach()).sum().item(), v.grad!.mul(v.detach()).sum().item()];
    expect(Math.abs(left - right)).toBeLessThan(1e-4 * largest(y) * length);
    // Half of the weights are gone.
    const ones = scaledDotProductAttention(q, k, zeros([length, 1]).add(1), { dropout: 0.5 });
    expect(Math.abs(ones.mean().item() - 1)).toBeLessThan(0.2);
    expect(ones.variance().item()).toBeGreaterThan(0);
  }
});

test('weights add up to 1, also of scores that would overflow', () => {
  const x = tensor([
    [1e30, 1],
    [-1e30, 2],
  ]);
  const ones = zeros([2, 1]).add(1);
  expect([...scaledDotProductAttention(x, x.mul(1e-30), ones).data]).toEqual([1, 1]);
});
