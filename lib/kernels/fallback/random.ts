import type { Kernels } from '../../../binding.d.ts';

/** Words on their way to the numbers made of them; a multiple of a block of Philox. */
const chunk = new Uint32Array(1024);

/**
 * Writes `count` words from `first` on and advances the counter, by whole blocks: Philox 4×32-10 (Salmon, Moraes, Dror
 * & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 */
function philox(out: Uint32Array, first: number, count: number, state: Uint32Array): void {
  const end = first + count;
  for (let i = first; i < end; i += 4) {
    let k0 = state[0] | 0;
    let k1 = state[1] | 0;
    let c0 = state[2] | 0;
    let c1 = state[3] | 0;
    let c2 = state[4] | 0;
    let c3 = state[5] | 0;
    for (let round = 0; round < 10; round++) {
      const high0 = multiplyHigh(c0, 0xd251, 0x1f53);
      const high2 = multiplyHigh(c2, 0xcd9e, 0x8d57);
      const low0 = Math.imul(c0, 0xd2511f53);
      const low2 = Math.imul(c2, 0xcd9e8d57);
      c0 = high2 ^ c1 ^ k0;
      c1 = low2;
      c2 = high0 ^ c3 ^ k1;
      c3 = low0;
      k0 = (k0 + 0x9e3779b9) | 0;
      k1 = (k1 + 0xbb67ae85) | 0;
    }
    out[i] = c0;
    if (i + 1 < end) out[i + 1] = c1;
    if (i + 2 < end) out[i + 2] = c2;
    if (i + 3 < end) out[i + 3] = c3;
    for (let word = 2; word < 6; word++) {
      state[word] += 1;
      if (state[word] !== 0) break;
    }
  }
}

/** The upper 32 bits of the 64 of x · (high · 2¹⁶ + low), unsigned, by products of halves. */
function multiplyHigh(x: number, high: number, low: number): number {
  const xLow = x & 0xffff;
  const xHigh = x >>> 16;
  const middle = (Math.imul(xHigh, low) + (Math.imul(xLow, low) >>> 16)) | 0;
  const carry = (Math.imul(xLow, high) + (middle & 0xffff)) | 0;
  return (Math.imul(xHigh, high) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** Uniform on [0, 1) with 53 bits, of the words at 2n and 2n + 1 of the chunk. */
function uniform(n: number): number {
  return ((chunk[2 * n] >>> 5) * 67108864 + (chunk[2 * n + 1] >>> 6)) * 2 ** -53;
}

export const randomBits: Kernels['randomBits'] = (out, state) => {
  philox(out, 0, out.length, state);
};

export const randomUniform: Kernels['randomUniform'] = (out, state, low, high) => {
  const perChunk = chunk.length / 2;
  for (let first = 0; first < out.length; first += perChunk) {
    const count = Math.min(perChunk, out.length - first);
    philox(chunk, 0, 2 * count, state);
    for (let n = 0; n < count; n++) {
      out[first + n] = low + (high - low) * uniform(n);
      if (out[first + n] >= high) out[first + n] = low;
    }
  }
};

export const randomNormal: Kernels['randomNormal'] = (out, state, mean, deviation) => {
  const perChunk = chunk.length / 2;
  for (let first = 0; first < out.length; first += perChunk) {
    const count = Math.min(perChunk, out.length - first);
    philox(chunk, 0, 2 * count, state);
    for (let n = 0; n < count; n++) {
      out[first + n] = mean + deviation * normalQuantile(uniform(n) + 2 ** -54);
    }
  }
};

export const dropoutMask: Kernels['dropoutMask'] = (out, state, rate) => {
  const threshold = rate * 2 ** 32;
  const kept = 1 / (1 - rate);
  for (let first = 0; first < out.length; first += chunk.length) {
    const count = Math.min(chunk.length, out.length - first);
    philox(chunk, 0, count, state);
    for (let n = 0; n < count; n++) out[first + n] = chunk[n] < threshold ? 0 : kept;
  }
};

/**
 * The logarithm of 0 < x < 1 after fdlibm's e_log.c, here because Math.log may differ in the last bit from one engine,
 * or language, to the next.
 */
function naturalLog(x: number): number {
  let exponent = 0;
  let fraction = x;
  for (; fraction < Math.SQRT1_2; exponent--) fraction *= 2;
  const f = fraction - 1;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373));
  const t2 =
    z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)));
  const halfSquare = 0.5 * f * f;
  const high = 0.6931471803691238;
  const low = 1.9082149292705877e-10;
  return exponent * high - (halfSquare - (s * (halfSquare + (t2 + t1)) + exponent * low) - f);
}

/** The coefficients of AS 241, the highest power first: pairs of numerator and denominator. */
const central = [
  [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946,
    1971.5909503065513, 133.14166789178438, 3.3871328727963665,
  ],
  [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751,
    687.1870074920579, 42.31333070160091, 1,
  ],
];
const intermediate = [
  [
    0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  [
    1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
];
const tail = [
  [
    2.0103343992922881e-7, 2.7115555687434876e-5, 0.0012426609473880784, 0.026532189526576124,
    0.29656057182850487, 1.7848265399172913, 5.463784911164114, 6.657904643501103,
  ],
  [
    2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 0.0007868691311456133,
    0.014875361290850615, 0.1369298809227358, 0.599832206555888, 1,
  ],
];

/** PPND16, the inverse of Φ for 0 < p < 1: M. J. Wichura, algorithm AS 241, Applied Statistics 37 (1988). */
function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(central, 0.180625 - q * q);
  const r = Math.sqrt(-naturalLog(q < 0 ? p : 1 - p));
  const z = r <= 5 ? ratio(intermediate, r - 1.6) : ratio(tail, r - 5);
  return q < 0 ? -z : z;
}

function ratio(coefficients: number[][], r: number): number {
  return polynomial(coefficients[0], r) / polynomial(coefficients[1], r);
}

function polynomial(coefficients: number[], r: number): number {
  let value = coefficients[0];
  for (let i = 1; i < 8; i++) value = value * r + coefficients[i];
  return value;
}
