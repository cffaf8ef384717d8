/**
 * Values and derivatives at the ends of the domains: of functions of one number as test/reference/limits.json has them, whose
 * recipe is make_limits.py beside it; of the others by limits and closed forms. Where none decides, it is as in PyTorch 1.13.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compile, type FloatDtype, losses, Parameter, type Tensor, tensor } from '../lib/index.ts';

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const dtypes: readonly FloatDtype[] = ['float32', 'float64'];
const digits = { float32: 23, float64: 52 };
const leastExponent = { float32: -126, float64: -1022 };
const round = { float32: Math.fround, float64: (x: number) => x };

/** The distance from x to the next number of its type. */
function ulp(x: number, dtype: FloatDtype): number {
  const exponent = x === 0 ? leastExponent[dtype] : Math.floor(Math.log2(Math.abs(x)));
  return 2 ** (Math.max(exponent, leastExponent[dtype]) - digits[dtype]);
}

interface Allowed {
  /** Units in the last place. */
  units?: number;
  /** As many units of 1. */
  ofOne?: number;
  /** Units by element, over these. */
  more?: (i: number) => number;
  /** As many of the smallest number, where the numbers that make it have no more digits. */
  ofLeast?: number;
  /** Zeros of either sign. */
  anyZero?: boolean;
}

function expectClose(
  got: ArrayLike<number>,
  wanted: readonly number[],
  dtype: FloatDtype,
  { units = 4, ofOne = 0, ofLeast = 0, more = () => 0, anyZero = true }: Allowed,
  label: (i: number) => string = String,
): void {
  const wrong: string[] = [];
  const least = 2 ** (leastExponent[dtype] - digits[dtype]);
  for (let i = 0; i < wanted.length; i++) {
    const want = round[dtype](wanted[i]);
    if (Object.is(got[i], want) || (anyZero && got[i] === 0 && want === 0)) continue;
    const room = (units + more(i)) * ulp(want, dtype) + ofOne * 2 ** -digits[dtype] + ofLeast * least;
    if (!(Math.abs(got[i] - want) <= room && (got[i] !== 0 || want === 0 || room >= Math.abs(want)))) {
      wrong.push(`${label(i)} is ${got[i]}, wanted ${want}`);
    }
  }
  expect(wrong).toEqual([]);
}

type Row = readonly [x: number, value: number, slope: number];
const table = JSON.parse(
  readFileSync(new URL('./reference/limits.json', import.meta.url), 'utf8'),
  (_, value) => (typeof value === 'string' ? Number(value) : value),
) as Record<FloatDtype, Record<string, Row[]>>;

/** 'clip(-0.5, 1)' as the call that it says. */
function called(name: string): (x: Tensor) => Tensor {
  const [, method, parameters] = /^(\w+)(?:\((.*)\))?$/.exec(name)!;
  const given = parameters === undefined ? [] : parameters.split(', ').map(Number);
  return (x) => (x as unknown as Record<string, (...args: number[]) => Tensor>)[method](...given);
}

/**
 * Where the derivative is computed from the output alone, it has the digits that the output has: none of 1 − y for y near 1, as
 * in PyTorch.
 */
const fromOutput: Readonly<Record<string, number>> = { sigmoid: 1, tanh: 2, 'elu(0.75)': 1 };
/** p − 1 is rounded to float64, which the logarithm of x makes larger. */
const roundsExponent = /^pow\(-?\d+\.[^5]\)$/;
/** Those that keep the sign of 0. */
const odd = /^(neg|reciprocal|tanh|log1p|expm1|pow\(-?[1357]\))$/;

describe.each(dtypes)('%s', (dtype) => {
  const make = (values: readonly number[], shape = [values.length]) =>
    tensor(values, { shape, dtype }).setRequiresGrad();

  test.each(Object.keys(table.float32))('%s', (name) => {
    const rows = table[dtype][name];
    const f = called(name);
    const x = make(rows.map(([at]) => at));
    const y = f(x);
    y.sum().backward();
    const label = (i: number) => `${name} at ${rows[i][0]}`;
    expectClose(
      y.data,
      rows.map(([, value]) => value),
      dtype,
      { ofLeast: 1, anyZero: !odd.test(name) },
      label,
    );
    expectClose(
      x.grad!.data,
      rows.map(([, , slope]) => slope),
      dtype,
      // 1 − x of silu' is as large as that, times a number that may have no more digits.
      {
        // The distribution function in it is a polynomial of degree 22 in the addon.
        units: name === 'gelu' ? 8 : 4,
        ofOne: fromOutput[name] ?? 0,
        ofLeast: name === 'silu' || name === 'gelu' ? 2048 : 1,
        more: (i) =>
          roundsExponent.test(name) && dtype === 'float64' ? Math.abs(Math.log(Math.abs(rows[i][0]))) : 0,
      },
      (i) => `the slope of ${label(i)}`,
    );
    // A recorded program gives the same, bit for bit.
    const p = new Parameter([rows.length], dtype);
    p.data.set(rows.map(([at]) => at));
    const step = compile(() => {
      const again = f(p);
      again.sum().backward();
      return again;
    });
    expect(step.sync().data).toEqual(y.data);
    expect(p.grad!.data).toEqual(x.grad!.data);
  });

  /** f and its gradients, of pairs. */
  function ofPairs(f: (a: Tensor, b: Tensor) => Tensor, pairs: readonly (readonly number[])[]) {
    const [a, b] = [0, 1].map((side) => make(pairs.map((pair) => pair[side])));
    const y = f(a, b);
    y.sum().backward();
    return { y: y.data, da: a.grad!.data, db: b.grad!.data };
  }

  test('pow of two tensors, as C99 annex F and its derivatives b·a^(b−1) and a^b·log a', () => {
    // a, b, a^b, by a, by b; beside them what PyTorch has for the derivatives that have no limit.
    const rows: readonly (readonly number[])[] = [
      [0, 0, 1, 0, 0],
      [0, -1, inf, -inf, -inf],
      [0, 2, 0, 0, 0],
      [0, 1, 0, 1, 0],
      [-0, -1, -inf, -inf, inf],
      [-0, 3, -0, 0, 0],
      [-2, 2, 4, -4, nan],
      [-2, 3, -8, 12, nan],
      [-2, -3, -0.125, -0.1875, nan],
      [-2, 0.5, nan, nan, nan],
      [inf, 0, 1, 0, inf],
      [inf, 2, inf, inf, inf],
      [-inf, 3, -inf, inf, nan],
      [-inf, 2, inf, -inf, nan],
      [inf, -1, 0, -0, 0 * inf],
      [1, nan, 1, nan, 0],
      [-1, inf, 1, inf, nan],
      [-1, -inf, 1, -inf, nan],
      [nan, 0, 1, 0, nan],
      [nan, 1, nan, 1, nan],
      [1, inf, 1, inf, 0],
      [0.5, inf, 0, 0 * inf, -0],
      [2, inf, inf, inf, inf],
      [2, -inf, 0, 0 * inf, 0],
      [-0.5, inf, 0, 0 * inf, nan],
      [0, inf, 0, 0 * inf, 0],
      [2, 0.5, Math.SQRT2, 0.5 * Math.SQRT1_2, Math.SQRT2 * Math.LN2],
      [4, -1.5, 0.125, -1.5 * 4 ** -2.5, 0.125 * Math.log(4)],
      [
        1.5,
        1e3,
        dtype === 'float32' ? inf : 1.5 ** 1e3,
        dtype === 'float32' ? inf : 1e3 * 1.5 ** 999,
        dtype === 'float32' ? inf : 1.5 ** 1e3 * Math.log(1.5),
      ],
    ];
    const { y, da, db } = ofPairs((a, b) => a.pow(b), rows);
    const label = (i: number) => rows[i].slice(0, 2).join(' ^ ');
    expectClose(
      y,
      rows.map((row) => row[2]),
      dtype,
      { anyZero: false },
      label,
    );
    expectClose(
      da,
      rows.map((row) => row[3]),
      dtype,
      {},
      label,
    );
    expectClose(
      db,
      rows.map((row) => row[4]),
      dtype,
      {},
      label,
    );
    // The same with the exponent as a number, which whole and half ones have paths of their own for.
    for (const [a, b, value, slope] of rows) {
      const x = make([a]);
      const power = x.pow(b);
      power.sum().backward();
      expectClose(power.data, [value], dtype, { anyZero: false }, () => `${a} ^ ${b}`);
      expectClose(x.grad!.data, [slope], dtype, {}, () => `the slope of ${a} ^ ${b}`);
    }
  });

  test('powers by products are those of exp and log', () => {
    const values = Array.from({ length: 67 }, (_, i) =>
      Math.fround(1.37 ** (i - 33) * (i % 3 === 0 ? -1 : 1)),
    );
    for (let twice = -16; twice <= 24; twice++) {
      const x = make(values);
      const [byNumber, byTensor] = [
        x.pow(twice / 2),
        x.pow(
          tensor(
            values.map(() => twice / 2),
            { dtype },
          ),
        ),
      ];
      expectClose(
        byNumber.data,
        [...byTensor.data],
        dtype,
        { units: 5, ofLeast: 1 },
        (i) => `${values[i]} ^ ${twice / 2}`,
      );
    }
  });

  test('quotients', () => {
    const rows = [
      [1, 0, inf, inf, -inf],
      [0, 0, nan, inf, nan],
      [-1, -0, inf, -inf, inf],
      [inf, inf, nan, 0, nan],
      [0, inf, 0, 0, -0],
      [1, inf, 0, 0, -0],
      [nan, 1, nan, 1, nan],
    ];
    const { y, da, db } = ofPairs((a, b) => a.div(b), rows);
    expectClose(
      y,
      rows.map((row) => row[2]),
      dtype,
      {},
    );
    expectClose(
      da,
      rows.map((row) => row[3]),
      dtype,
      {},
    );
    expectClose(
      db,
      rows.map((row) => row[4]),
      dtype,
      {},
    );
  });

  test('maximum and minimum: half at a tie, NaN for NaN', () => {
    const pairs = [
      [1, 1],
      [inf, inf],
      [-inf, -inf],
      [0, -0],
      [inf, 1],
      [-inf, 1],
      [nan, 1],
      [1, nan],
    ];
    const larger = ofPairs((a, b) => a.maximum(b), pairs);
    expectClose(larger.y, [1, inf, -inf, 0, inf, 1, nan, nan], dtype, {});
    expectClose(larger.da, [0.5, 0.5, 0.5, 0.5, 1, 0, nan, nan], dtype, {});
    expectClose(larger.db, [0.5, 0.5, 0.5, 0.5, 0, 1, nan, nan], dtype, {});
    const smaller = ofPairs((a, b) => a.minimum(b), pairs);
    expectClose(smaller.y, [1, inf, -inf, 0, 1, -inf, nan, nan], dtype, {});
    expectClose(smaller.da, [0.5, 0.5, 0.5, 0.5, 0, 1, nan, nan], dtype, {});
  });

  /** Values of a function of rows and its gradient, each row alone, and as columns. */
  function expectRows(
    f: (x: Tensor, axis: number) => Tensor,
    rows: readonly (readonly [
      readonly number[],
      value: number | readonly number[],
      gradient: readonly number[],
    ])[],
    allowed: Allowed = {},
  ): void {
    for (const [row, value, gradient] of rows) {
      for (const [copies, axis] of [
        [1, 1],
        [1, 0],
        [3, 0],
      ]) {
        const shape = axis === 1 ? [1, row.length] : [row.length, copies];
        const spread = (values: readonly number[]) =>
          values.flatMap((v) => new Array<number>(copies).fill(v));
        const x = make(spread(row), shape);
        const y = f(x, axis);
        const values = typeof value === 'number' ? [value] : value;
        const label = () => `of ${row.join(', ')} in [${shape}]`;
        expectClose(y.data, spread(values), dtype, allowed, label);
        // The first result alone, where there are several.
        const dy = spread(values.map((_, i) => (i === 0 ? 1 : 0)));
        y.backward(tensor(dy, { shape: y.shape, dtype }));
        expectClose(x.grad!.data, spread(gradient), dtype, { ...allowed, ofOne: 2 }, label);
      }
    }
  }

  const far = 1e4;
  const half = Math.log(2);

  test('logSumExp', () => {
    expectRows(
      (x, axis) => x.logSumExp(axis),
      [
        [[-inf, -inf], -inf, [nan, nan]],
        [[-inf, 0], 0, [0, 1]],
        [[-inf, 3, -inf], 3, [0, 1, 0]],
        [[far, far], far + half, [0.5, 0.5]],
        [[-far, -far], -far + half, [0.5, 0.5]],
        [[far, -far], far, [1, 0]],
        [[0], 0, [1]],
        [[nan, 0], nan, [nan, nan]],
        [[nan, inf], nan, [nan, nan]],
        [[0, -40], Math.exp(-40), [1, Math.exp(-40)]],
      ],
      { ofOne: 2 },
    );
    // Where one is infinite the maximum takes all, and there is no gradient.
    expect([...make([inf, 0]).logSumExp().data, ...make([inf, inf]).logSumExp().data]).toEqual([inf, inf]);
    const x = make([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
    const all = Math.log([1, 2, 3, 4, 5, 6, 7, 8].reduce((sum, v) => sum + Math.exp(v), 0));
    for (const axes of [undefined, [0, 1, 2], [2, 0, 1], [-1, -2, -3]]) {
      expectClose([x.logSumExp(axes).item()], [all], dtype, {});
    }
    const outer = x.logSumExp([0, 2], { keepDims: true });
    expect(outer.shape).toEqual([1, 2, 1]);
    const rest = [
      [1, 2, 5, 6],
      [3, 4, 7, 8],
    ].map((some) => Math.log(some.reduce((sum, v) => sum + Math.exp(v), 0)));
    expectClose(outer.data, rest, dtype, {});
    outer.sum().backward();
    const shares = [1, 2, 3, 4, 5, 6, 7, 8].map((v, i) => Math.exp(v - rest[Math.floor(i / 2) % 2]));
    expectClose(x.grad!.data, shares, dtype, { units: 8 });
    // Axes apart from each other, where a part of what is reduced is −Infinity alone, as masks make it.
    const masked = make([-inf, -inf, 1, -inf, 0, 0, -inf, 2], [2, 2, 2]);
    const ends = masked.logSumExp([0, 2]);
    expectClose(ends.data, [half, 2 + Math.log1p(Math.exp(-1))], dtype, {});
    ends.sum().backward();
    const [less, more] = [1, 2].map((v) => Math.exp(v) / (Math.exp(1) + Math.exp(2)));
    expectClose(masked.grad!.data, [0, 0, less, 0, 0.5, 0.5, 0, more], dtype, { units: 8 });
    expect([...tensor([], { shape: [2, 0], dtype }).logSumExp(1).data]).toEqual([-inf, -inf]);
    expect(x.logSumExp([]).data).toEqual(x.data);
    expect(tensor(3, { dtype }).logSumExp().item()).toBe(3);
  });

  test('softmax and logSoftmax', () => {
    expectRows(
      (x, axis) => x.softmax(axis),
      [
        [
          [-inf, -inf],
          [nan, nan],
          [nan, nan],
        ],
        [
          [0, -inf],
          [1, 0],
          [0, 0],
        ],
        [
          [far, far],
          [0.5, 0.5],
          [0.25, -0.25],
        ],
        [
          [far, -far],
          [1, 0],
          [0, 0],
        ],
        [
          [-40, 0],
          [Math.exp(-40), 1],
          [Math.exp(-40), -Math.exp(-40)],
        ],
        [
          [inf, 0],
          [nan, nan],
          [nan, nan],
        ],
      ],
    );
    expectRows(
      (x, axis) => x.logSoftmax(axis),
      [
        [
          [0, -inf],
          [0, -inf],
          [0, 0],
        ],
        [
          [far, far],
          [-half, -half],
          [0.5, -0.5],
        ],
        [
          [far, -far],
          [0, -2 * far],
          [0, 0],
        ],
        [
          [-inf, 0],
          [-inf, 0],
          [1, -1],
        ],
      ],
    );
  });

  test('reductions at ties, infinities and constants', () => {
    expectRows(
      (x, axis) => x.max(axis),
      [
        [[1, 1, 0], 1, [0.5, 0.5, 0]],
        [[inf, inf, 1], inf, [0.5, 0.5, 0]],
        [[-inf, -inf], -inf, [0.5, 0.5]],
        [[nan, 1, nan], nan, [nan, nan, nan]],
        [[0, -0], 0, [0.5, 0.5]],
      ],
    );
    expectRows(
      (x, axis) => x.min(axis),
      [
        [[1, 1, 2], 1, [0.5, 0.5, 0]],
        [[inf, inf], inf, [0.5, 0.5]],
      ],
    );
    expectRows(
      (x, axis) => x.variance(axis),
      [
        [[2, 2, 2], 0, [0, 0, 0]],
        [[inf, 1], nan, [nan, nan]],
      ],
    );
    expectRows(
      (x, axis) => x.sum(axis),
      [
        [[inf, 1], inf, [1, 1]],
        [[inf, -inf], nan, [1, 1]],
      ],
    );
  });

  test('losses', () => {
    const each = { reduction: 'none' } as const;
    const bce = [
      [far, 1, 0, 0],
      [-far, 1, far, -1],
      [far, 0, far, 1],
      [-far, 0, 0, 0],
      [0, 0.5, half, 0],
      [-30, 0, Math.log1p(Math.exp(-30)), Math.exp(-30)],
      [30, 1, Math.log1p(Math.exp(-30)), -Math.exp(-30)],
      [inf, 0, inf, 1],
      [-inf, 1, inf, -1],
      [nan, 0, nan, nan],
    ];
    const logits = ofPairs((p, t) => losses.binaryCrossEntropyWithLogits(p, t, each), bce);
    expectClose(
      logits.y,
      bce.map((row) => row[2]),
      dtype,
      {},
    );
    // σ(z) − t has the digits of 1.
    expectClose(
      logits.da,
      bce.map((row) => row[3]),
      dtype,
      { ofOne: 1 },
    );
    expectClose(
      logits.db,
      bce.map((row) => -row[0]),
      dtype,
      {},
    );

    const huber = ofPairs(
      (p, t) => losses.huber(p, t, each),
      [
        [0, 0],
        [1, 0],
        [-1, 0],
        [far, 0],
        [-inf, 0],
        [inf, 0],
        [nan, 0],
        [3, 1.5],
      ],
    );
    expectClose(huber.y, [0, 0.5, 0.5, far - 0.5, inf, inf, nan, 1], dtype, {});
    expectClose(huber.da, [0, 1, -1, 1, -1, 1, nan, 1], dtype, {});

    const certain = [
      [0, 0],
      [1, 1],
      [0, 1],
      [1, 0],
      [0.5, 0.5],
    ];
    const byProbability = ofPairs((p, t) => losses.binaryCrossEntropy(p, t, each), certain);
    expectClose(byProbability.y, [0, 0, 100, 100, half], dtype, {});
    expectClose(byProbability.da.slice(2), [-1e12, 1e12, 0], dtype, { units: 16 });
  });

  test('softmaxCrossEntropy of far logits and of classes that are taken out', () => {
    const rows = [
      [far, -far, 0],
      [-inf, 0, 1],
      [-inf, 0, 1],
      [-inf, 5, -inf],
    ];
    const certain = [1, 1, 0, 1];
    const [p0, p1] = [1 / (1 + Math.E), Math.E / (1 + Math.E)];
    const wanted = [2 * far, Math.log1p(Math.E), inf, 0];
    const gradients = [1, -1, 0, 0, p0 - 1, p1, -1, p0, p1, 0, 0, 0];
    const oneHot = certain.flatMap((label) => [0, 1, 2].map((i) => (i === label ? 1 : 0)));
    for (const target of [tensor(certain, { dtype: 'int32' }), tensor(oneHot, { shape: [4, 3], dtype })]) {
      for (const reduction of ['none', 'sum', 'mean'] as const) {
        // A class that is taken out and is the label has an infinite loss, the sum of which is infinite.
        const some = reduction === 'none' ? 4 : 2;
        const x = make(rows.slice(0, some).flat(), [some, 3]);
        const y = target.slice([[0, some]]) as Tensor;
        const loss = losses.softmaxCrossEntropy(x, y as never, { reduction });
        const total = wanted[0] + wanted[1];
        const scale = reduction === 'mean' ? 1 / some : 1;
        expectClose(loss.data, reduction === 'none' ? wanted : [total * scale], dtype, { ofOne: 1 });
        loss.sum().backward();
        expectClose(
          x.grad!.data,
          gradients.slice(0, 3 * some).map((v) => v * scale),
          dtype,
          { ofOne: 2 },
        );
      }
    }
    // A number that is none is not taken out with it.
    const hidden = make([nan, 0, 0], [1, 3]);
    expect(losses.softmaxCrossEntropy(hidden, tensor([0, 1, 0], { shape: [1, 3], dtype })).item()).toBeNaN();
    // Smoothed labels: the entropy of the target where the logits are its logarithms.
    const t = [0.25, 0.75, 0];
    const soft = losses.softmaxCrossEntropy(
      make(t.map(Math.log), [1, 3]),
      tensor(t, { shape: [1, 3], dtype }),
    );
    expectClose([soft.item()], [-0.25 * Math.log(0.25) - 0.75 * Math.log(0.75)], dtype, {});
  });
});
