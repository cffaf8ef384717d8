/**
 * Prints every case that has a PyTorch expression, as JSON for make_reference.py. The expressions stay with the cases.
 * Run from the repository's root: npx tsx test/reference/export.ts
 */
import { declarations } from '../cases/index.ts';

const cases = declarations.flatMap(({ op, cases: list }) =>
  list
    .filter(({ torch }) => torch !== undefined)
    .map(({ name, inputs, torch, gradient = 'smooth', cotangent }) => ({
      op,
      name,
      inputs,
      torch,
      gradient,
      cotangent,
    })),
);

// JSON has no NaN and no infinities.
const text = JSON.stringify(cases, (_, value) =>
  typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
    ? Object.is(value, -0)
      ? '-0'
      : String(value)
    : value,
);
process.stdout.write(text);
