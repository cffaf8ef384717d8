/** Each attacker, for some seconds and with fixed seeds; `npm run attack` goes on from here (docs/attack.md). */
import { expect, test } from 'vitest';
import { type AttackerName, attack, attackers, type Backend, type Plan, show } from './run.ts';

const backend = process.env.AXPY_BACKEND as Backend;

/** Tries, and the seeds and places to begin at. The second CPU is the second block of its attacker. */
const plans: readonly (readonly [AttackerName, Plan & { tries: number }])[] = [
  ['kernels', { tries: 800 }],
  ['programs', { tries: 400 }],
  ['api', { tries: 1000 }],
  ['files', { tries: 2000 }],
  ['storm', { tries: 5 }],
  // qemu-user emulates CPUs of this kind.
  ...(process.arch === 'x64' ? ([0, attackers.cpus.block] as const) : []).map(
    (from) => ['cpus', { tries: 8, from }] as const,
  ),
];

test.each(plans.filter(([name]) => (attackers[name].backends as readonly Backend[]).includes(backend)))(
  '%s find nothing: %o',
  async (name, plan) => {
    const report = await attack(name, { seed: 20261125, ...plan, backend });
    expect(report.finds, show(report)).toEqual([]);
    expect(report.tries).toBe(plan.tries);
    if (name === 'storm') expect(report.counts.kills).toBeGreaterThanOrEqual(10);
  },
  300_000,
);
