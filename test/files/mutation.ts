/** Files as accidents and attackers leave them, and what may come of reading one. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { DataError, FormatError, type Tensor } from '../../lib/index.ts';

/** A file with some bytes changed, put in, left out or copied to elsewhere. */
export function mutation(originals: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const value = fc.oneof(
    fc.nat(255),
    fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, ...Buffer.from("{}()[]',:L0129<>|fiubOPK")),
  );
  const change = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('set'), from: place, value }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('insert'), from: place, value }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('remove'),
        from: place,
        count: fc.integer({ min: 1, max: 40 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('copy'),
        from: place,
        to: place,
        count: fc.integer({ min: 1, max: 60 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('fill'),
        from: place,
        count: fc.constantFrom(2, 4, 8),
        value,
      }),
    },
  );
  return fc
    .tuple(fc.constantFrom(...originals), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([original, changes]) => {
      let bytes = [...original];
      for (const { kind, from, value = 0, count = 1, to = 0 } of changes as {
        kind: string;
        from: number;
        value?: number;
        count?: number;
        to?: number;
      }[]) {
        const at = Math.floor(from * bytes.length);
        if (kind === 'set') bytes[at] = value;
        else if (kind === 'insert') bytes.splice(at, 0, value);
        else if (kind === 'remove') bytes.splice(at, count);
        else if (kind === 'fill') bytes = bytes.map((byte, i) => (i >= at && i < at + count ? value : byte));
        else bytes.splice(Math.floor(to * bytes.length), 0, ...bytes.slice(at, at + count));
      }
      return Uint8Array.from(bytes);
    });
}

/** Whether what comes of bytes is well-formed, or an error of the right kind, at once and in bounded memory. */
export function readsOrRefuses(load: (bytes: Uint8Array) => Promise<Tensor[]>) {
  return async (bytes: Uint8Array) => {
    const start = performance.now();
    try {
      const tensors = await load(bytes);
      let total = 0;
      for (const x of tensors) {
        expect(['float32', 'float64', 'int32']).toContain(x.dtype);
        expect(x.shape.every((size) => Number.isInteger(size) && size >= 0)).toBe(true);
        expect(x.data.length).toBe(x.shape.reduce((a, b) => a * b, 1));
        total += x.data.byteLength;
      }
      // Deflate makes at most 1032 bytes of one, and a bool becomes four.
      expect(total).toBeLessThan(4 * 1032 * bytes.length);
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof DataError)) throw error;
      expect(error.message).toMatch(/^\[load/);
      expect(error.message.length).toBeLessThan(1000);
    }
    expect(performance.now() - start).toBeLessThan(5000);
  };
}
