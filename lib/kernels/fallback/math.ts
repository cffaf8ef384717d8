/** Functions of one number that JavaScript lacks or defines otherwise than C. */

/** xʸ as C and IEEE 754 define it: 1ʸ = 1 for every y, NaN included, and (−1)^±∞ = 1, where JavaScript gives NaN. */
export function pow(x: number, y: number): number {
  if (x === 1 || (x === -1 && (y === Infinity || y === -Infinity))) return 1;
  return x ** y;
}

/** 1 / (1 + e⁻ˣ), and eˣ where that sum is infinite and it is a small number still. */
export function sigmoid(x: number): number {
  const e = Math.exp(-x);
  return e < Infinity ? 1 / (1 + e) : Math.exp(x);
}

/**
 * The complementary error function to about one unit in the last place, by the rational approximations of W. J. Cody,
 * "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969), with the
 * coefficients of his program CALERF.
 */
export function erfc(x: number): number {
  const y = Math.abs(x);
  if (y <= 0.46875) {
    const z = y * y;
    const numerator =
      (((0.18577770618460315 * z + 3.1611237438705655) * z + 113.86415415105016) * z + 377.485237685302) * z +
      3209.3775891384694;
    const denominator =
      (((z + 23.601290952344122) * z + 244.02463793444417) * z + 1282.6165260773723) * z + 2844.236833439171;
    return 1 - (x * numerator) / denominator;
  }
  // e^(−y²) with y² split into a part that is exact and a small rest: rounding y² would cost digits for large y.
  const head = Math.trunc(y * 16) / 16;
  const scale = Math.exp(-head * head) * Math.exp(-(y - head) * (y + head));
  const tail = y <= 4 ? scale * middle(y) : y < 27.3 ? scale * far(y) : Number.isNaN(y) ? y : 0;
  return x < 0 ? 2 - tail : tail;
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

/** Φ(x) = ½·erfc(−x/√2), accurate in the lower tail as well. */
export function standardNormalCdf(x: number): number {
  return 0.5 * erfc(-x * Math.SQRT1_2);
}

/** φ(x) = e^(−x²/2) / √(2π) */
export function standardNormalDensity(x: number): number {
  return 0.3989422804014327 * Math.exp(-0.5 * x * x);
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
