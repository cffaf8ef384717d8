/** The cases that have a PyTorch expression; run as a program, prints them as JSON for make_reference.py. */
import { fileURLToPath } from 'node:url';
import { hash } from '../cases/generator.ts';
import { declarations } from '../cases/index.ts';

// JSON has no NaN, no infinities and no -0.
const written = (_: string, value: unknown) =>
  typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
    ? Object.is(value, -0)
      ? '-0'
      : String(value)
    : value;

/** By op, in the order of the declarations. `recipe` stands for all that the values follow from. */
export const referenceCases = declarations.flatMap(({ op, cases }) =>
  cases
    .filter(({ torch }) => torch !== undefined)
    .map(({ name, inputs, torch, gradient = 'smooth', cotangent }) => {
      const what = { inputs, torch, gradient, cotangent };
      const recipe = hash(JSON.stringify(what, written)).toString(16).padStart(8, '0');
      return { op, name, ...what, recipe };
    }),
);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(JSON.stringify(referenceCases, written));
}
