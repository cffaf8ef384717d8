/** Convolutions against the sum that binding.d.ts states, and the three kernels against each other, for any geometry. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { kernels } from '../lib/kernels/index.ts';
import { generator } from './cases/values.ts';
import {
  type Geometry,
  geometries,
  inputLength,
  outputLength,
  pack,
  weightLength,
} from './contract/geometries.ts';

/** Calls `visit` with the element of output, input and weight of each product that the convolution is a sum of. */
function eachProduct(g: Geometry, visit: (output: number, input: number, weight: number) => void): void {
  const part = g.channels / g.groups;
  for (let output = 0; output < outputLength(g); output++) {
    const o = output % g.outChannels;
    const x = Math.floor(output / g.outChannels) % g.outWidth;
    const y = Math.floor(output / g.outChannels / g.outWidth) % g.outHeight;
    const b = Math.floor(output / g.outChannels / g.outWidth / g.outHeight);
    const group = Math.floor(o / (g.outChannels / g.groups));
    for (let i = 0; i < g.kernelHeight; i++) {
      for (let j = 0; j < g.kernelWidth; j++) {
        const row = y * g.strideY + i * g.dilationY - g.padTop;
        const column = x * g.strideX + j * g.dilationX - g.padLeft;
        if (row < 0 || row >= g.height || column < 0 || column >= g.width) continue;
        for (let c = 0; c < part; c++) {
          const input = ((b * g.height + row) * g.width + column) * g.channels + group * part + c;
          const weight = ((o * g.kernelHeight + i) * g.kernelWidth + j) * part + c;
          visit(output, input, weight);
        }
      }
    }
  }
}

/** Integers as floats: every sum is exact, whatever its order, and has to agree to the bit. */
function integers(seed: number): (length: number) => Float64Array {
  const next = generator(seed);
  return (length) => new Float64Array(length).map(() => Math.floor(19 * next()) - 9);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

describe('for any geometry', () => {
  test('convolve is the sum of the products of pixels and weights', () => {
    fc.assert(
      fc.property(geometries, fc.integer(), (g, seed) => {
        const draw = integers(seed);
        const [x, weight, bias] = [draw(inputLength(g)), draw(weightLength(g)), draw(g.outChannels)];
        const expected = new Float64Array(outputLength(g)).map((_, i) => bias[i % g.outChannels]);
        eachProduct(g, (output, input, w) => {
          expected[output] += x[input] * weight[w];
        });
        const out = new Float64Array(outputLength(g)).fill(Number.NaN);
        kernels.convolve(out, x, weight, bias, pack(g), -1, 0, 0);
        expect(out.map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
      }),
      { numRuns: 300 },
    );
  });

  test('convolveTransposed is the adjoint by the input, convolveWeightGradient the one by the weights', () => {
    fc.assert(
      fc.property(geometries, fc.integer(), (g, seed) => {
        const draw = integers(seed);
        const [x, weight, gradient] = [draw(inputLength(g)), draw(weightLength(g)), draw(outputLength(g))];
        const y = new Float64Array(gradient.length).fill(Number.NaN);
        const dx = new Float64Array(x.length).fill(Number.NaN);
        const dw = new Float64Array(weight.length).fill(Number.NaN);
        kernels.convolve(y, x, weight, null, pack(g), -1, 0, 0);
        kernels.convolveTransposed(dx, gradient, weight, null, pack(g), -1, 0, 0);
        kernels.convolveWeightGradient(dw, x, gradient, pack(g), 0);
        expect(dot(dx, x)).toBe(dot(y, gradient));
        expect(dot(dw, weight)).toBe(dot(y, gradient));
      }),
      { numRuns: 300 },
    );
  });

  test('both gradients are sums of the products that convolve is a sum of', () => {
    fc.assert(
      fc.property(geometries, fc.integer(), (g, seed) => {
        const draw = integers(seed);
        const [x, weight, gradient, bias] = [
          draw(inputLength(g)),
          draw(weightLength(g)),
          draw(outputLength(g)),
          draw(g.channels),
        ];
        const expectedX = new Float64Array(x.length).map((_, i) => bias[i % g.channels]);
        const expectedW = new Float64Array(weight.length);
        eachProduct(g, (output, input, w) => {
          expectedX[input] += gradient[output] * weight[w];
          expectedW[w] += gradient[output] * x[input];
        });
        const dx = new Float64Array(x.length).fill(Number.NaN);
        const dw = new Float64Array(weight.length).fill(Number.NaN);
        kernels.convolveTransposed(dx, gradient, weight, bias, pack(g), -1, 0, 0);
        kernels.convolveWeightGradient(dw, x, gradient, pack(g), 0);
        expect(dx.map((value) => value + 0)).toEqual(expectedX.map((value) => value + 0));
        expect(dw.map((value) => value + 0)).toEqual(expectedW.map((value) => value + 0));
      }),
      { numRuns: 300 },
    );
  });
});

/** Products of few columns have kernels for one vector, two, and what is left of them, in groups and alone. */
test.each([Float32Array, Float64Array])('convolve with any number of outputs a group, %o', (Floats) => {
  const draw = integers(5);
  for (let outputs = 1; outputs <= 70; outputs++) {
    for (const groups of [1, 2]) {
      const g: Geometry = {
        // Of many channels, few outputs are summed in another way.
        ...{ batch: 1, height: 5, width: 7, channels: (outputs > 9 ? 3 : 37) * groups },
        ...{ outHeight: 4, outWidth: 5, outChannels: outputs * groups, kernelHeight: 2, kernelWidth: 3 },
        ...{ strideY: 1, strideX: 1, dilationY: 1, dilationX: 1, padTop: 0, padLeft: 0, groups },
      };
      const [x, weight] = [draw(inputLength(g)), draw(weightLength(g))];
      const expected = new Floats(outputLength(g));
      eachProduct(g, (output, input, w) => {
        expected[output] += x[input] * weight[w];
      });
      const out = new Floats(outputLength(g)).fill(Number.NaN);
      kernels.convolve(out, Floats.from(x), Floats.from(weight), null, pack(g), -1, 0, 0);
      expect(out.map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
    }
  }
});

/** Blocks of neighbouring pixels, at the borders and within, and last vectors that have some of the channels before. */
test.each([Float32Array, Float64Array])('depthwise, with any number of channels, %o', (Floats) => {
  const draw = integers(9);
  for (let channels = 3; channels <= 40; channels += channels < 15 ? 4 : 1) {
    const [kernel, stride] = [1 + (channels % 7), 1 + (channels % 2)];
    const [height, width, pad] = [4 + (channels % 3), 5 + (channels % 13), kernel >> 1];
    const side = (size: number) => Math.floor((size + 2 * pad - kernel) / stride) + 1;
    const g: Geometry = {
      ...{ batch: 2, height, width, channels, outHeight: side(height), outWidth: side(width) },
      ...{
        outChannels: channels,
        kernelHeight: kernel,
        kernelWidth: kernel,
        strideY: stride,
        strideX: stride,
      },
      ...{ dilationY: 1, dilationX: 1, padTop: pad, padLeft: pad, groups: channels },
    };
    const [x, weight, y] = [draw(inputLength(g)), draw(weightLength(g)), draw(outputLength(g))];
    const expected = [new Floats(y.length), new Floats(x.length), new Floats(weight.length)];
    eachProduct(g, (output, input, w) => {
      expected[0][output] += x[input] * weight[w];
      expected[1][input] += y[output] * weight[w];
      expected[2][w] += y[output] * x[input];
    });
    const results = expected.map(({ length }) => new Floats(length).fill(Number.NaN));
    const [image, weights, gradient] = [x, weight, y].map((values) => Floats.from(values));
    kernels.convolve(results[0], image, weights, null, pack(g), -1, 0, 0);
    kernels.convolveTransposed(results[1], gradient, weights, null, pack(g), -1, 0, 0);
    kernels.convolveWeightGradient(results[2], image, gradient, pack(g), 0);
    results.forEach((result, i) => {
      expect(result.map((value) => value + 0)).toEqual(expected[i].map((value) => value + 0));
    });
  }
});

test('strides of any size are none where there is one output', () => {
  const one: Partial<Geometry> = {
    ...{ batch: 1, height: 3, width: 3, outHeight: 1, outWidth: 1, kernelHeight: 2, kernelWidth: 2 },
    ...{ dilationY: 1, dilationX: 1, padTop: 0, padLeft: 0 },
  };
  // The last two times 15 are 2⁶⁴ − 1.
  const strides = [2, 2 ** 30, 2 ** 31 - 1, 714156689, 1722007169];
  for (const [channels, outChannels, groups] of [
    [15, 1, 1],
    [64, 32, 1],
    [15, 30, 5],
  ]) {
    for (const type of [Float32Array, Float64Array]) {
      const calls = strides.flatMap((strideY) =>
        strides.map((strideX) => {
          const g = { ...one, channels, outChannels, groups, strideY, strideX } as Geometry;
          const draw = integers(3);
          const made = [inputLength(g), weightLength(g), outputLength(g)].map((length) =>
            type.from(draw(length)),
          );
          const [x, weight, out] = made;
          kernels.convolve(out, x, weight, null, pack(g), -1, 0, 1);
          const [dx, dw] = [new type(x.length), new type(weight.length)];
          kernels.convolveTransposed(dx, out, weight, null, pack(g), -1, 0, 1);
          kernels.convolveWeightGradient(dw, x, out, pack(g), 1);
          return [out, dx, dw];
        }),
      );
      for (const results of calls) expect(results).toEqual(calls[0]);
    }
  }
});

/** With few outputs vectors run along the terms of a window, which may be parts of one, one, two or more. */
test.each([Float32Array, Float64Array])('convolveWeightGradient with any number of outputs, %o', (Floats) => {
  const draw = integers(7);
  for (let outputs = 1; outputs <= 27; outputs++) {
    for (const [channels, dilationX] of [
      [1 + (outputs % 6), 1],
      [5, 1],
      [11, 2],
      [33, 1],
      [34, 2],
    ]) {
      const g: Geometry = {
        ...{ batch: 2, height: 5, width: 9, channels, outHeight: 3, outWidth: 5, outChannels: outputs },
        ...{ kernelHeight: 2, kernelWidth: 3, strideY: 2, strideX: 2, dilationY: 1, dilationX },
        ...{ padTop: 1, padLeft: 1, groups: 1 },
      };
      const [x, gradient] = [draw(inputLength(g)), draw(outputLength(g))];
      const expected = new Floats(weightLength(g));
      eachProduct(g, (output, input, w) => {
        expected[w] += gradient[output] * x[input];
      });
      const out = new Floats(weightLength(g)).fill(Number.NaN);
      kernels.convolveWeightGradient(out, Floats.from(x), Floats.from(gradient), pack(g), 0);
      expect(out.map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
    }
  }
});

/** Neighbouring pixels share what their windows see, where these are three to seven wide and lines long enough. */
test.each([Float32Array, Float64Array])('depthwise convolutions of any width, %o', (Floats) => {
  const draw = integers(8);
  for (let kernel = 1; kernel <= 8; kernel++) {
    for (const [width, channels, stride] of [
      [7, 16, 1],
      [8, 33, 1],
      [15, 32, 1],
      [15, 16, 2],
      [22, 35, 2],
      [30, 16, 3],
    ]) {
      const outWidth = Math.floor((width + 2 * (kernel >> 1) - kernel) / stride) + 1;
      const g: Geometry = {
        ...{ batch: 2, height: 4, width, channels, outHeight: 3, outWidth, outChannels: channels },
        ...{ kernelHeight: 2, kernelWidth: kernel, strideY: 1, strideX: stride, dilationY: 1, dilationX: 1 },
        ...{ padTop: 0, padLeft: kernel >> 1, groups: channels },
      };
      const [x, weight, gradient] = [draw(inputLength(g)), draw(weightLength(g)), draw(outputLength(g))];
      const [y, dx, dw] = [outputLength(g), inputLength(g), weightLength(g)].map((n) => new Floats(n));
      eachProduct(g, (output, input, w) => {
        y[output] += x[input] * weight[w];
        dx[input] += gradient[output] * weight[w];
        dw[w] += gradient[output] * x[input];
      });
      const [outY, outX, outW] = [y, dx, dw].map((values) => new Floats(values.length).fill(Number.NaN));
      kernels.convolve(outY, Floats.from(x), Floats.from(weight), null, pack(g), -1, 0, 0);
      kernels.convolveTransposed(outX, Floats.from(gradient), Floats.from(weight), null, pack(g), -1, 0, 0);
      kernels.convolveWeightGradient(outW, Floats.from(x), Floats.from(gradient), pack(g), 0);
      for (const [got, expected] of [
        [outY, y],
        [outX, dx],
        [outW, dw],
      ]) {
        expect(got.map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
      }
    }
  }
});

test('convolveTransposed with weights of ten megabytes, for one pixel', () => {
  const g: Geometry = {
    ...{ batch: 1, height: 1, width: 1, channels: 1100, outHeight: 1, outWidth: 1, outChannels: 256 },
    ...{ kernelHeight: 3, kernelWidth: 3, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 },
    ...{ padTop: 1, padLeft: 1, groups: 1 },
  };
  const draw = integers(6);
  const [dy, weight] = [draw(outputLength(g)), draw(weightLength(g))];
  const expected = new Float32Array(inputLength(g));
  eachProduct(g, (output, input, w) => {
    expected[input] += dy[output] * weight[w];
  });
  const out = new Float32Array(inputLength(g)).fill(Number.NaN);
  kernels.convolveTransposed(out, Float32Array.from(dy), Float32Array.from(weight), null, pack(g), -1, 0, 0);
  expect(out.map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
});
