/** Who may forbid Winograd's algorithm: the option of a convolution, and the environment. */
import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

/** The flags `fast` of the kernel calls, forward and backward, of a layer made with these options. */
async function flags(options: { winograd?: boolean }, environment?: string): Promise<Set<unknown>> {
  vi.resetModules();
  if (environment !== undefined) vi.stubEnv('AXPY_WINOGRAD', environment);
  const { Conv2D, ConvTranspose2D, zeros } = await import('../../lib/index.ts');
  const { kernels, withKernels } = await import('../../lib/kernels/index.ts');
  const seen = new Set<unknown>();
  const listening = new Proxy(kernels, {
    get: (target, name: keyof typeof kernels) => {
      return (...args: never[]) => {
        if (name.startsWith('convolve')) seen.add(args[args.length - 1]);
        (target[name] as (...all: never[]) => void)(...args);
      };
    },
  });
  withKernels(listening, () => {
    const up = new ConvTranspose2D(1, 1, 3, options);
    up.forward(new Conv2D(1, 1, 3, options).forward(zeros([1, 5, 5, 1])))
      .sum()
      .backward();
  });
  return seen;
}

test('it is allowed unless the option or AXPY_WINOGRAD=0 forbids it', async () => {
  expect(await flags({})).toEqual(new Set([1]));
  expect(await flags({ winograd: true }, '1')).toEqual(new Set([1]));
  expect(await flags({ winograd: false })).toEqual(new Set([0]));
  expect(await flags({ winograd: true }, '0')).toEqual(new Set([0]));
});
