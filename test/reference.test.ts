/** Values, gradients, trajectories and initializers against PyTorch's, as test/reference/make_reference.py wrote them. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Adam, Dense, losses, type Parameter, Sequential, SGD, seed, tensor } from '../lib/index.ts';
import { type Case, defaultTolerance } from './cases/case.ts';
import { complete, declarations } from './cases/index.ts';
import { cotangentOf, inputsOf } from './cases/values.ts';
import { referenceCases } from './reference/export.ts';
import { deviation, type Named, type Numbers, read } from './reference/read.ts';

interface Reference {
  recipe: string;
  shape: number[];
  value: Numbers;
  gradients: (Numbers | null)[] | null;
}

describe('ops', () => {
  const cases = declarations.flatMap(({ op, cases: list }) =>
    list.filter(({ torch }) => torch !== undefined).map((c) => ({ op, c, key: `${op}/${c.name}` })),
  );
  const reference = new Map<string, Reference>();
  for (const file of readdirSync(new URL('./reference/ops/', import.meta.url))) {
    const op = file.replace(/\.json$/, '');
    if (!complete && !cases.some((c) => c.op === op)) continue;
    const values = read<Record<string, Reference>>(`ops/${op}`);
    for (const name in values) reference.set(`${op}/${name}`, values[name]);
  }

  test('has the cases that there are, as they are; else: npm run reference', () => {
    const recipes = Object.fromEntries(
      referenceCases.map(({ op, name, recipe }) => [`${op}/${name}`, recipe]),
    );
    expect(Object.fromEntries([...reference].map(([key, { recipe }]) => [key, recipe]))).toEqual(recipes);
  });

  const toleranceOf = (c: Case, dtype: 'float32' | 'float64') =>
    c.tolerance?.[dtype] ?? defaultTolerance[dtype];

  test.each(cases)('$key', ({ op, c, key }) => {
    const want = reference.get(key)!;
    for (const dtype of ['float32', 'float64'] as const) {
      const tolerance = toleranceOf(c, dtype);
      const inputs = inputsOf(op, c, dtype);
      const y = c.run(...inputs);
      expect(y.shape).toEqual(want.shape);
      expect(deviation(y.data, want.value, tolerance), `${dtype} value`).toBeNull();
      if (want.gradients === null) continue;
      y.backward(cotangentOf(op, c, y));
      inputs.forEach((x, i) => {
        const gradient = want.gradients![i];
        if (gradient === null) expect(x.grad).toBeNull();
        else expect(deviation(x.grad!.data, gradient, tolerance), `${dtype} gradient ${i}`).toBeNull();
      });
    }
  });
});

interface Trajectories {
  start: Named;
  x: Numbers;
  t: Numbers;
  sgd: Record<string, { options: object; losses: number[]; steps: Named[] }>;
  adam: Record<string, { options: object; losses: number[]; steps: Named[] }>;
}

describe('ten steps', () => {
  const reference = read<Trajectories>('trajectories');
  const dtypes = [
    ['float64', 1e-11],
    ['float32', 2e-5],
  ] as const;
  const runs = (['sgd', 'adam'] as const).flatMap((kind) =>
    Object.entries(reference[kind]).flatMap(([name, run]) =>
      dtypes.map(([dtype, tolerance]) => ({
        title: `${kind}, ${name}, ${dtype}`,
        kind,
        run,
        dtype,
        tolerance,
      })),
    ),
  );

  test.each(runs)('$title', ({ kind, run, dtype, tolerance }) => {
    const model = new Sequential([
      new Dense(4, 3, { activation: 'tanh', dtype }),
      new Dense(3, 1, { dtype }),
    ]);
    const parameters: Parameter[] = [...model.parameters()];
    const names = ['w1', 'b1', 'w2', 'b2'];
    parameters.forEach((parameter, i) => {
      parameter.data.set(reference.start[names[i]].map(Number));
    });
    const x = tensor(reference.x.map(Number), { shape: [8, 4], dtype });
    const t = tensor(reference.t.map(Number), { shape: [8, 1], dtype });
    const optimizer =
      kind === 'sgd'
        ? new SGD(parameters, run.options as ConstructorParameters<typeof SGD>[1])
        : new Adam(parameters, run.options as ConstructorParameters<typeof Adam>[1]);
    run.steps.forEach((want, step) => {
      optimizer.zeroGrad();
      const loss = losses.mse(model.forward(x), t);
      expect(Math.abs(loss.item() - run.losses[step]), `loss of step ${step}`).toBeLessThanOrEqual(
        tolerance * run.losses[step],
      );
      loss.backward();
      optimizer.step();
      parameters.forEach((parameter, i) => {
        expect(deviation(parameter.data, want[names[i]], tolerance), `step ${step}, ${names[i]}`).toBeNull();
      });
    });
  });

  test('the ten steps lower the loss', () => {
    // A reference that stands still would be followed by an optimizer that does nothing.
    for (const { run } of runs) expect(run.losses[9]).toBeLessThan(run.losses[0] * 0.999);
  });
});

describe('initializers', () => {
  const reference =
    read<Record<string, { shape: [number, number]; deviation: number; largest: number }[]>>('initializers');
  const rows = Object.entries(reference).flatMap(([name, list]) =>
    list.map((row) => ({ ...row, name, title: `${name}, ${row.shape.join(' x ')}` })),
  );

  test.each(rows)('$title', ({ name, shape, deviation: want, largest }) => {
    seed(7);
    const [out, inner] = shape;
    const { weight } = new Dense(inner, out, { init: name as 'heNormal', dtype: 'float64' });
    const n = weight.size;
    const drawn = Array.from(weight.data);
    const mean = drawn.reduce((sum, value) => sum + value, 0) / n;
    const deviation = Math.sqrt(drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
    // The standard error of a deviation is about σ / √(2n), of both samples here: five of them.
    expect(Math.abs(deviation / want - 1)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(mean)).toBeLessThan((5 * want) / Math.sqrt(n));
    const most = drawn.reduce((high, value) => Math.max(high, Math.abs(value)), 0);
    if (name.endsWith('Uniform')) {
      // The bound √3·σ, which the largest of so many draws nearly reaches.
      expect(Math.abs(most / largest - 1)).toBeLessThan(1e-3);
    } else {
      expect(most / want).toBeGreaterThan(3.5);
      expect(most / want).toBeLessThan(6);
    }
  });
});
