/** Functions of one number that JavaScript lacks or defines otherwise than C. */

/** xʸ as C and IEEE 754 define it: 1ʸ = 1 for every y, NaN included, and (−1)^±∞ = 1, where JavaScript gives NaN. */
export function pow(x: number, y: number): number {
  if (x === 1 || (x === -1 && (y === Infinity || y === -Infinity))) return 1;
  return x ** y;
}

/** A power by a small multiple of ½, by products, as `pow` and some ten times as fast: within four units in the last place. */
export class HalfSteps {
  readonly #whole: number;
  readonly #isHalf: boolean;
  readonly #isNegative: boolean;

  static fit(exponent: number): boolean {
    return exponent >= -3 && exponent <= 6 && Number.isInteger(2 * exponent);
  }

  constructor(exponent: number) {
    this.#whole = Math.trunc(Math.abs(exponent));
    this.#isHalf = Math.abs(exponent) > this.#whole;
    this.#isNegative = exponent < 0;
  }

  power(x: number): number {
    // Unlike its square root, a power of −0 by ½ is 0, and that of −∞ is ∞.
    let base = !this.#isHalf ? x : x === -Infinity ? Infinity : x + 0;
    if (this.#whole === 0 && this.#isHalf) return this.#isNegative ? 1 / Math.sqrt(base) : Math.sqrt(base);
    // The power of a large number may leave the range where that of its reciprocal does not.
    if (this.#isNegative) base = 1 / base;
    let square = base;
    let y = this.#whole & 1 ? base : 1;
    for (let n = this.#whole >> 1; n > 0; n >>= 1) {
      square *= square;
      if (n & 1) y *= square;
    }
    return this.#isHalf ? y * Math.sqrt(base) : y;
  }
}

/** x, −∞ as the least number: for products with what is 0 there. */
export function aboveNegativeInfinity(x: number): number {
  return Math.max(x, -Number.MAX_VALUE);
}

/** x, infinities as the numbers next to them: likewise. */
export function finite(x: number): number {
  return Math.min(aboveNegativeInfinity(x), Number.MAX_VALUE);
}

/** 1 / (1 + e⁻ˣ), and eˣ where that sum is infinite and it is a small number still. */
export function sigmoid(x: number): number {
  const e = Math.exp(-x);
  return e < Infinity ? 1 / (1 + e) : Math.exp(x);
}

/** x·σ(x) */
export function silu(x: number): number {
  if (!(x < -40)) return x * sigmoid(x);
  // σ(x) is eˣ to the last digit, and may be too small to have them all.
  const root = Math.exp(0.5 * x);
  return aboveNegativeInfinity(x) * root * root;
}

/** e^(−x²/2), with x split into a part that squares exactly and a small rest: rounding x² would cost digits for large x. */
function gauss(x: number): number {
  const y = Math.min(Math.abs(x), 64);
  const head = Math.trunc(y * 16) / 16;
  return Math.exp(-0.5 * head * head) * Math.exp(-0.5 * (y - head) * (y + head));
}

/**
 * Φ(x) = ½·erfc(−x/√2) to a few units in the last place, in the lower tail as well, by the rational approximations of erfc by
 * W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969), with the
 * coefficients of his program CALERF.
 */
export function standardNormalCdf(x: number): number {
  const y = Math.abs(x) * Math.SQRT1_2;
  if (y <= 0.46875) {
    const z = y * y;
    const numerator =
      (((0.18577770618460315 * z + 3.1611237438705655) * z + 113.86415415105016) * z + 377.485237685302) * z +
      3209.3775891384694;
    const denominator =
      (((z + 23.601290952344122) * z + 244.02463793444417) * z + 1282.6165260773723) * z + 2844.236833439171;
    return 0.5 + (0.5 * Math.SQRT1_2 * x * numerator) / denominator;
  }
  const scale = 0.5 * gauss(x);
  const tail = y <= 4 ? scale * middle(y) : y < 27.3 ? scale * far(y) : Number.isNaN(y) ? y : 0;
  return x > 0 ? 1 - tail : tail;
}

/** e^(y²)·erfc(y) on [0.46875, 4]. */
function middle(y: number): number {
  let numerator = 2.1531153547440383e-8 * y;
  numerator = (numerator + 0.5641884969886701) * y;
  numerator = (numerator + 8.883149794388377) * y;
  numerator = (numerator + 66.11919063714163) * y;
  numerator = (numerator + 298.6351381974001) * y;
  numerator = (numerator + 881.952221241769) * y;
  numerator = (numerator + 1712.0476126340707) * y;
  numerator = (numerator + 2051.0783778260716) * y;
  let denominator = y;
  denominator = (denominator + 15.744926110709835) * y;
  denominator = (denominator + 117.6939508913125) * y;
  denominator = (denominator + 537.1811018620099) * y;
  denominator = (denominator + 1621.3895745666903) * y;
  denominator = (denominator + 3290.7992357334597) * y;
  denominator = (denominator + 4362.619090143247) * y;
  denominator = (denominator + 3439.3676741437216) * y;
  return (numerator + 1230.3393547979972) / (denominator + 1230.3393548037495);
}

/** e^(y²)·erfc(y) beyond 4. */
function far(y: number): number {
  const z = 1 / (y * y);
  let numerator = 0.016315387137302097 * z;
  numerator = (numerator + 0.30532663496123236) * z;
  numerator = (numerator + 0.36034489994980445) * z;
  numerator = (numerator + 0.12578172611122926) * z;
  numerator = (numerator + 0.016083785148742275) * z;
  let denominator = z;
  denominator = (denominator + 2.568520192289822) * z;
  denominator = (denominator + 1.8729528499234673) * z;
  denominator = (denominator + 0.5279051029514285) * z;
  denominator = (denominator + 0.06051834131244132) * z;
  const ratio = (z * (numerator + 0.0006587491615298378)) / (denominator + 0.0023352049762686918);
  return (0.5641895835477563 - ratio) / y;
}

/** φ(x) = e^(−x²/2) / √(2π) */
export function standardNormalDensity(x: number): number {
  return 0.3989422804014327 * gauss(x);
}

/**
 * A sum whose error does not grow with the number of terms: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
 * Summation endlicher Summen", ZAMM 54 (1974).
 */
export class Sum {
  #sum = 0;
  #correction = 0;

  add(term: number): void {
    const sum = this.#sum + term;
    this.#correction +=
      Math.abs(this.#sum) >= Math.abs(term) ? this.#sum - sum + term : term - sum + this.#sum;
    this.#sum = sum;
  }

  get value(): number {
    // The correction of an infinite sum is ∞ − ∞.
    return Number.isFinite(this.#sum) ? this.#sum + this.#correction : this.#sum;
  }
}

/** Numbers up to it, and down to its reciprocal, have a product that neither overflows nor loses digits. */
const largeFactor = 2 ** 500;
/** By which power of two others are brought there. */
const shift = 600;

/** A product whose factors may be of any size. */
export class Product {
  #mantissa = 1;
  #exponent = 0;

  times(factor: number): void {
    this.#mantissa = this.#shifted(this.#mantissa * this.#shifted(factor));
  }

  #shifted(x: number): number {
    const size = Math.abs(x);
    if (size >= largeFactor) {
      this.#exponent += shift;
      return x * 2 ** -shift;
    }
    if (size >= 1 / largeFactor) return x;
    this.#exponent -= shift;
    return x * 2 ** shift;
  }

  get value(): number {
    let value = this.#mantissa;
    // Four steps lead out of the range, whichever way.
    const steps = Math.min(Math.abs(this.#exponent) / shift, 4);
    for (let i = 0; i < steps; i++) value *= 2 ** (Math.sign(this.#exponent) * shift);
    return value;
  }
}

/** Several sums, each as `Sum`. */
export class Sums {
  readonly #sums: Float64Array;
  readonly #corrections: Float64Array;

  constructor(count: number) {
    this.#sums = new Float64Array(count);
    this.#corrections = new Float64Array(count);
  }

  add(at: number, term: number): void {
    const before = this.#sums[at];
    const sum = before + term;
    this.#corrections[at] += Math.abs(before) >= Math.abs(term) ? before - sum + term : term - sum + before;
    this.#sums[at] = sum;
  }

  value(at: number): number {
    const sum = this.#sums[at];
    return Number.isFinite(sum) ? sum + this.#corrections[at] : sum;
  }
}

/** Beyond it numbers have no fraction. */
const wholeFrom = 2 ** 52;

/** The nearest integer, of two the even one; −0 where x is negative or −0. */
export function roundToEven(x: number): number {
  if (!(Math.abs(x) < wholeFrom)) return x;
  const rounded = x < 0 ? -(wholeFrom - x - wholeFrom) : wholeFrom + x - wholeFrom;
  return rounded === x ? x : rounded;
}
