/** Networks of all kinds run compiled as they run eagerly, to the bit, through recorded and improved lists. */
import { expect, test } from 'vitest';
import { networks } from './networks.ts';
import { type Program, watch, ways } from './twins.ts';

/** Batches of two sizes come often enough for both to be improved. */
const rounds = 6;

test.each(Object.entries(networks))('%s', async (_, make) => {
  const program: Program = async ({ run, see }) => {
    const { steps, batches, state } = make(1);
    const own = steps.map((step) => run(step));
    for (let round = 0; round < rounds; round++) {
      const batch = batches[round % batches.length];
      for (const step of own) see(await step(...batch));
      see(...state);
    }
  };
  const eager = await watch(program, (fn) => fn);
  const compiled = await watch(program, ways['sync and awaited in turn']);
  for (const { error } of [eager, compiled]) if (error !== undefined) throw error;
  expect(eager.saw.length).toBeGreaterThan(rounds);
  expect(compiled.saw).toEqual(eager.saw);
});
