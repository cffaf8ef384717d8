// Elementary functions over Highway vectors, for float32 and float64. Highway's own (contrib/math) lose NaN,
// and overflow and small arguments in places; these are exact there and within about 2 ulp elsewhere.
//
// Included once per target, hence the toggle instead of a guard.
#if defined(AXPY_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_MATH_INL_H_
#undef AXPY_MATH_INL_H_
#else
#define AXPY_MATH_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  // ln 2 in two parts; the high one times any exponent is exact.
  static constexpr float ln2High = 0x1.62ep-1f, ln2Low = 0x1.0bfbe8p-15f;
  // Beyond these, exp is Infinity or 0.
  static constexpr float expMost = 88.8f, expLeast = -120.0f;
  // expm1 is −1 below.
  static constexpr float expm1Least = -18.0f;
  // Numbers about it have no fraction, with their last bits counting up and down; those from the other one on
  // count up from 0.
  static constexpr float shifter = 0x1.8p23f, wholeOnly = 0x1p23f;
  static constexpr float minNormal = 0x1p-126f, most = 0x1.fffffep127f, subnormalScale = 0x1p25f;
  static constexpr int32_t mantissaBits = 23, exponentBias = 127, sqrtHalfBits = 0x3f3504f3,
                           subnormalShift = 25;
  // Clears the low half of the mantissa, so that the rest squares exactly.
  static constexpr int32_t highMask = static_cast<int32_t>(0xfffff000);
  // 1/2!, 1/3!, …: the Taylor series of (exp(r) − 1 − r) / r² on |r| ≤ ½ ln 2.
  static constexpr float exp[] = {1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
  // R of log(1 + f) = f − (f²/2 − s·(f²/2 + R(s²))), s = f/(2 + f), after fdlibm's e_logf.c.
  static constexpr float log[] = {0xaaaaaa.0p-24f, 0xccce13.0p-25f, 0x91e9ee.0p-25f, 0xf89e26.0p-26f};
  // exp(z²)·erfc(z)/t, t = a/(a + z), by Chebyshev interpolation in t over [tLeast, 1], mapped to [−1, 1].
  static constexpr float erfcxA = 2.0f, erfcxMost = 10.5f, erfcxLeast = 0.16f;
  static constexpr float erfcx[] = {
      0.569408722446293251f,    0.327187905797721061f,    0.103520992148002594f,
      0.00630843538643286695f,  -0.00632731775622229362f, -0.000674908427783158909f,
      0.000625058256069787235f, 9.85265394016113062e-6f,  -0.0000709874873540205108f,
      6.52984518214021601e-6f,  5.71931109480240807e-6f};
};

template <>
struct MathConstants<double> {
  static constexpr double ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10;
  static constexpr double expMost = 709.8, expLeast = -760.0;
  static constexpr double expm1Least = -40.0;
  static constexpr double shifter = 0x1.8p52, wholeOnly = 0x1p52;
  static constexpr double minNormal = 0x1p-1022, most = 0x1.fffffffffffffp1023, subnormalScale = 0x1p54;
  static constexpr int64_t mantissaBits = 52, exponentBias = 1023, sqrtHalfBits = 0x3fe6a09e667f3bcd,
                           subnormalShift = 54;
  static constexpr int64_t highMask = static_cast<int64_t>(0xfffffffff8000000);
  static constexpr double exp[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                   1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                   1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  static constexpr double log[] = {
      6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
      1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01};
  static constexpr double erfcxA = 4.0, erfcxMost = 28.0, erfcxLeast = 0.125;
  static constexpr double erfcx[] = {
      0.307822095566532785,     0.262065854569596024,      0.1934623646622928,        0.123380905964567802,
      0.0673256173615228871,    0.0308544326006821154,     0.0114610667925480354,     0.00319254827772306151,
      0.000519841206306617767,  -0.0000329085026853600599, -0.0000454062973934684898, -9.0075551385509636e-6,
      1.61487772355338215e-6,   1.05253113707813055e-6,    2.41575179801003025e-8,    -9.32453073910618503e-8,
      -1.19778889755282101e-8,  8.17877081982409637e-9,    1.67322230200437507e-9,    -7.2366708571372083e-10,
      -1.77561692017945089e-10, 4.74643813964558633e-11,   1.20342824768617912e-11};
};

template <class D>
using ConstantsOf = MathConstants<hn::TFromD<D>>;

/// −1, 0, 1; NaN for NaN.
template <class D, class V>
HWY_INLINE V signOf(D d, V x) {
  const auto still = hn::Or(hn::Eq(x, hn::Zero(d)), hn::IsNaN(x));
  return hn::IfThenElse(still, x, hn::CopySignToAbs(hn::Set(d, hn::TFromD<D>(1)), x));
}

/// x, −∞ as the least number: for products with what is 0 there.
template <class D, class V>
HWY_INLINE V aboveNegativeInfinity(D d, V x) {
  // In this order Max keeps a NaN of x.
  return hn::Max(hn::Set(d, -ConstantsOf<D>::most), x);
}

/// x, infinities as the numbers next to them: likewise.
template <class D, class V>
HWY_INLINE V finite(D d, V x) {
  return hn::Min(hn::Set(d, ConstantsOf<D>::most), aboveNegativeInfinity(d, x));
}

/// c[0] + c[1]·x + c[2]·x² + …
template <class D, class V, class T, size_t N>
HWY_INLINE V polynomial(D d, V x, const T (&c)[N]) {
  V sum = hn::Set(d, c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = hn::MulAdd(sum, x, hn::Set(d, c[i]));
  return sum;
}

/// The same in half the depth: even and odd powers apart.
template <class D, class V, class T, size_t N>
HWY_INLINE V polynomialEvenOdd(D d, V x, const T (&c)[N]) {
  const V square = hn::Mul(x, x);
  constexpr size_t lastEven = (N - 1) / 2 * 2, lastOdd = N / 2 * 2 - 1;
  V even = hn::Set(d, c[lastEven]);
  for (size_t i = lastEven; i >= 2; i -= 2) even = hn::MulAdd(even, square, hn::Set(d, c[i - 2]));
  V odd = hn::Set(d, c[lastOdd]);
  for (size_t i = lastOdd; i >= 3; i -= 2) odd = hn::MulAdd(odd, square, hn::Set(d, c[i - 2]));
  return hn::MulAdd(odd, x, even);
}

/// n rounded to a whole number, |n| < 2^(mantissaBits − 2): the sum with such a number has no more digits.
/// Conversions to integers of 64 bits, and Highway's Round, are slow before AVX-512 and SSE4.
template <class D, class V>
HWY_INLINE V roundSmall(D d, V n) {
  const V shifter = hn::Set(d, ConstantsOf<D>::shifter);
  return hn::Sub(hn::Add(n, shifter), shifter);
}

/// 2ⁿ for a whole number within the exponents of normal numbers; the sum with the shifter has it in its last
/// bits.
template <class D, class V>
HWY_INLINE V powerOfTwo(D d, V n) {
  using C = ConstantsOf<D>;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, hn::Add(n, hn::Set(d, C::shifter)));
  return hn::BitCast(d, hn::ShiftLeft<C::mantissaBits>(hn::Add(bits, hn::Set(di, C::exponentBias))));
}

/// x = n·ln 2 + r with |r| ≤ ½ ln 2; returns exp(r) − 1.
template <class D, class V>
HWY_INLINE V expm1Reduced(D d, V x, V low, V& n) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  n = roundSmall(d, hn::Mul(x, hn::Set(d, static_cast<T>(1.44269504088896340736))));
  const V high = hn::NegMulAdd(n, hn::Set(d, C::ln2High), x);
  const V r = hn::Add(hn::NegMulAdd(n, hn::Set(d, C::ln2Low), high), low);
  return hn::MulAdd(hn::Mul(r, r), polynomialEvenOdd(d, r, C::exp), r);
}

/// factor · exp(x + low), low being small beside x. Underflows only where the product does.
template <class D, class V>
HWY_INLINE V expProduct(D d, V x, V low, V factor) {
  using C = ConstantsOf<D>;
  const V bounded = hn::Min(hn::Max(x, hn::Set(d, C::expLeast)), hn::Set(d, C::expMost));
  V n;
  const V y = hn::Add(expm1Reduced(d, bounded, low, n), hn::Set(d, hn::TFromD<D>(1)));
  // In two factors, as 2ⁿ alone overflows or is subnormal at the ends of the range.
  const V half = roundSmall(d, hn::Mul(n, hn::Set(d, hn::TFromD<D>(0.5))));
  const V scaled = hn::Mul(hn::Mul(hn::Mul(y, factor), powerOfTwo(d, half)), powerOfTwo(d, hn::Sub(n, half)));
  // However large the factor is: the clamp is not exp.
  const V vanished = hn::Mul(factor, hn::Zero(d));
  const V result = hn::IfThenElse(hn::Lt(x, hn::Set(d, C::expLeast)), vanished, scaled);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

template <class D, class V>
HWY_INLINE V expSum(D d, V x, V low) {
  return expProduct(d, x, low, hn::Set(d, hn::TFromD<D>(1)));
}

template <class D, class V>
HWY_INLINE V exp(D d, V x) {
  return expSum(d, x, hn::Zero(d));
}

/// exp(x) − 1 for x ≤ 0 (or NaN), accurate near 0.
template <class D, class V>
HWY_INLINE V expm1NonPositive(D d, V x) {
  using C = ConstantsOf<D>;
  const V bounded = hn::Max(x, hn::Set(d, C::expm1Least));
  V n;
  const V y = expm1Reduced(d, bounded, hn::Zero(d), n);
  const V power = powerOfTwo(d, n);
  const V result = hn::MulAdd(power, y, hn::Sub(power, hn::Set(d, hn::TFromD<D>(1))));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

/// exp(x) − 1, accurate near 0.
template <class D, class V>
HWY_INLINE V expm1(D d, V x) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  const V bounded = hn::Min(hn::Max(x, hn::Set(d, C::expm1Least)), hn::Set(d, C::expMost));
  V n;
  const V y = expm1Reduced(d, bounded, hn::Zero(d), n);
  // Half of it, as 2ⁿ alone overflows at the end of the range.
  const V power = powerOfTwo(d, hn::Sub(n, hn::Set(d, T(1))));
  const V half = hn::MulAdd(power, y, hn::Sub(power, hn::Set(d, T(0.5))));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::CopySign(hn::Add(half, half), x));
}

/// log(1 + f) for 1 + f within [√½, √2].
template <class D, class V>
HWY_INLINE V log1pReduced(D d, V f) {
  using T = hn::TFromD<D>;
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, T(2))));
  const V z = hn::Mul(s, s);
  const V r = hn::Mul(z, polynomialEvenOdd(d, z, ConstantsOf<D>::log));
  const V halfSquare = hn::Mul(hn::Set(d, T(0.5)), hn::Mul(f, f));
  return hn::Sub(f, hn::Sub(halfSquare, hn::Mul(s, hn::Add(halfSquare, r))));
}

/// x = 2ᵉ · (1 + f) with 1 + f within [√½, √2], for finite x > 0; returns f, which is exact.
template <class D, class V>
HWY_INLINE V logReduced(D d, V x, V& e) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  const hn::RebindToUnsigned<D> du;
  const auto subnormal = hn::Lt(x, hn::Set(d, C::minNormal));
  const V scaled = hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, C::subnormalScale)), x);
  // The exponent raised above 0, and read as the last bits of a number that has no fraction.
  using Bits = hn::TFromD<hn::RebindToUnsigned<D>>;
  constexpr Bits raise = C::exponentBias + 1;
  const auto bits = hn::BitCast(du, scaled);
  const auto from = hn::Set(du, static_cast<Bits>(C::sqrtHalfBits) - (raise << C::mantissaBits));
  const auto exponent = hn::ShiftRight<C::mantissaBits>(hn::Sub(bits, from));
  const auto shift = hn::ShiftLeft<C::mantissaBits>(hn::Sub(exponent, hn::Set(du, raise)));
  const V m = hn::BitCast(d, hn::Sub(bits, shift));
  const V whole = hn::Set(d, C::wholeOnly);
  e = hn::Sub(hn::Or(whole, hn::BitCast(d, exponent)), hn::Set(d, C::wholeOnly + T(raise)));
  e = hn::Sub(e, hn::IfThenElseZero(subnormal, hn::Set(d, static_cast<T>(C::subnormalShift))));
  return hn::Sub(m, hn::Set(d, T(1)));
}

/// y = log(x) where x is finite and above 0; what the logarithm is elsewhere.
template <class D, class V>
HWY_INLINE V logEnds(D d, V x, V y) {
  using T = hn::TFromD<D>;
  const V infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, std::numeric_limits<T>::quiet_NaN()), y);
  return hn::IfThenElse(hn::Or(hn::Eq(x, infinity), hn::IsNaN(x)), x, y);
}

template <class D, class V>
HWY_INLINE V log(D d, V x) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  V e;
  const V f = logReduced(d, x, e);
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, T(2))));
  const V z = hn::Mul(s, s);
  const V r = hn::Mul(z, polynomialEvenOdd(d, z, C::log));
  const V halfSquare = hn::Mul(hn::Set(d, T(0.5)), hn::Mul(f, f));
  const V low = hn::MulAdd(e, hn::Set(d, C::ln2Low), hn::Mul(s, hn::Add(halfSquare, r)));
  return logEnds(d, x, hn::MulAdd(e, hn::Set(d, C::ln2High), hn::Sub(f, hn::Sub(halfSquare, low))));
}

/// log(1 + u) for u within [0, 1] (or NaN).
template <class D, class V>
HWY_INLINE V log1pUnit(D d, V u) {
  using T = hn::TFromD<D>;
  // 1 + u = 2 · (1 + (u − 1)/2)
  const auto upper = hn::Gt(u, hn::Set(d, T(0.41421356237309504880)));
  const V f = hn::IfThenElse(upper, hn::Mul(hn::Sub(u, hn::Set(d, T(1))), hn::Set(d, T(0.5))), u);
  return hn::Add(log1pReduced(d, f), hn::IfThenElseZero(upper, hn::Set(d, T(0.69314718055994530942))));
}

/// log(1 + x), accurate near 0; NaN below −1.
template <class D, class V>
HWY_INLINE V log1p(D d, V x) {
  using T = hn::TFromD<D>;
  const auto small = hn::And(hn::Gt(x, hn::Set(d, T(-0.29))), hn::Lt(x, hn::Set(d, T(0.41))));
  const V near = log1pReduced(d, hn::IfThenElseZero(small, x));
  return hn::IfThenElse(small, near, log(d, hn::Add(hn::Set(d, T(1)), x)));
}

/// a·b − p, where p is a·b rounded; exact, or nearly so where there is no fused multiplication (Dekker's
/// product, by halves of the mantissas).
template <class D, class V>
HWY_INLINE V productRest(D d, V a, V b, V p) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulSub(a, b, p);
#else
  const hn::RebindToSigned<D> di;
  const V mask = hn::BitCast(d, hn::Set(di, ConstantsOf<D>::highMask));
  const V aHigh = hn::And(a, mask), bHigh = hn::And(b, mask);
  const V aLow = hn::Sub(a, aHigh), bLow = hn::Sub(b, bHigh);
  const V outer = hn::Sub(hn::Mul(aHigh, bHigh), p);
  return hn::MulAdd(aLow, bLow, hn::MulAdd(aLow, bHigh, hn::MulAdd(aHigh, bLow, outer)));
#endif
}

/// log(x) in two parts, the second of which has what the first one lacks to twice the precision, but for some
/// ten bits. After the same series as `log`, 2·(s + s³/3 + s⁵/5 + …), but with the first terms in two parts
/// each (T. J. Dekker, "A floating-point technique for extending the available precision", Numerische
/// Mathematik 18, 1971).
template <class D, class V>
HWY_INLINE V logInParts(D d, V x, V& low) {
  using C = ConstantsOf<D>;
  // 2/5, 2/7, …
  static constexpr double tail[] = {2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13, 2.0 / 15,
                                    2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25, 2.0 / 27};
  V e;
  const V f = logReduced(d, x, e);
  // s = f / (2 + f)
  const V two = hn::Set(d, 2.0);
  const V base = hn::Add(two, f), baseLow = hn::Sub(f, hn::Sub(base, two));
  const V s = hn::Div(f, base);
  const V p = hn::Mul(s, base);
  const V missing = hn::Sub(hn::Sub(f, p), productRest(d, s, base, p));
  const V sLow = hn::Div(hn::NegMulAdd(s, baseLow, missing), base);
  // z = s²
  const V z = hn::Mul(s, s);
  const V zLow = hn::MulAdd(hn::Add(s, s), sLow, productRest(d, s, s, z));
  // w = z·2/3 + z²·(2/5 + …)
  const V third = hn::Set(d, 2.0 / 3), thirdLow = hn::Set(d, 0x1p-54 * 2 / 3);
  const V first = hn::Mul(z, third);
  const V firstLow = hn::MulAdd(zLow, third, hn::MulAdd(z, thirdLow, productRest(d, z, third, first)));
  const V rest = hn::Mul(hn::Mul(z, z), polynomialEvenOdd(d, z, tail));
  const V w = hn::Add(first, rest);
  const V wLow = hn::Add(hn::Add(hn::Sub(first, w), rest), firstLow);
  // log(1 + f) = 2s + s·w
  const V more = hn::Mul(s, w);
  const V moreLow = hn::MulAdd(sLow, w, hn::MulAdd(s, wLow, productRest(d, s, w, more)));
  const V twice = hn::Add(s, s);
  const V y = hn::Add(twice, more);
  const V yLow = hn::Add(hn::Add(hn::Sub(twice, y), more), hn::MulAdd(two, sLow, moreLow));
  // + e·ln 2
  const V whole = hn::Mul(e, hn::Set(d, C::ln2High));
  const V sum = hn::Add(whole, y);
  low = hn::Add(hn::Add(hn::Sub(whole, sum), y), hn::MulAdd(e, hn::Set(d, C::ln2Low), yLow));
  return logEnds(d, x, sum);
}

/// |a|ᵇ for float64, where `precise` to its last digits, else to some ten fewer, more than float32 has.
template <bool precise, class D, class V>
HWY_INLINE V powMagnitude(D d, V a, V b) {
  if constexpr (precise) {
    V low;
    const V high = logInParts(d, hn::Abs(a), low);
    const V product = hn::Mul(b, high);
    const V rest = hn::MulAdd(b, low, productRest(d, b, high, product));
    // Beyond it the result is 0 or infinite, and the rest may be no number.
    const auto inRange = hn::Lt(hn::Abs(product), hn::Set(d, 1024.0));
    return expSum(d, product, hn::IfThenElseZero(inRange, rest));
  } else {
    return exp(d, hn::Mul(b, log(d, hn::Abs(a))));
  }
}

/// aᵇ as C defines it: 1 for b = 0 and for a = 1, whatever the other is; NaN for a finite a < 0 and a b that
/// is not whole.
template <bool precise, class D, class V>
HWY_INLINE V pow(D d, V a, V b) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), zero = hn::Zero(d);
  const auto isOne = hn::Or(hn::Eq(hn::Abs(a), one), hn::Eq(b, zero));
  V y = hn::IfThenElse(isOne, one, powMagnitude<precise>(d, a, b));
  const auto isWhole = hn::Eq(hn::Round(b), b);
  const V half = hn::Mul(b, hn::Set(d, T(0.5)));
  const auto isOdd = hn::AndNot(hn::Eq(hn::Round(half), half), isWhole);
  y = hn::IfThenElse(isOdd, hn::CopySign(y, a), y);
  const auto isReal = hn::Or(isWhole, hn::Ge(a, zero));
  const auto isInfinite = hn::Eq(a, hn::Set(d, -std::numeric_limits<T>::infinity()));
  const V invalid = hn::Set(d, std::numeric_limits<T>::quiet_NaN());
  return hn::IfThenElse(hn::Or(isReal, isInfinite), y, invalid);
}

/// An exponent that is a multiple of ½, ±(whole + ½·isHalf).
struct HalfSteps {
  int whole;
  bool isHalf, isNegative;

  /// Whether products of T are exact enough for it; those of float32 are taken in float64.
  template <class T>
  static bool fit(double p) {
    const bool isSmall = sizeof(T) == sizeof(float) ? std::fabs(p) <= 64 : p >= -3 && p <= 6;
    return isSmall && std::trunc(2 * p) == 2 * p;
  }
  explicit HalfSteps(double p)
      : whole(static_cast<int>(std::fabs(p))), isHalf(std::fabs(p) > whole), isNegative(p < 0) {}
};

/// x to a small exponent that is a multiple of ½, as `pow`, by products.
template <class D, class V>
HWY_INLINE V powHalfSteps(D d, V x, HalfSteps exponent) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1));
  if (exponent.isHalf) {
    // Unlike its square root, that power of −0 is 0, and that of −∞ is ∞.
    const V infinity = hn::Set(d, std::numeric_limits<T>::infinity());
    x = hn::IfThenElse(hn::Eq(x, hn::Neg(infinity)), infinity, hn::Add(x, hn::Zero(d)));
    if (exponent.whole == 0) {
      const V root = hn::Sqrt(x);
      return exponent.isNegative ? hn::Div(one, root) : root;
    }
  }
  // The power of a large number may leave the range where that of its reciprocal does not.
  if (exponent.isNegative) x = hn::Div(one, x);
  V square = x, y = exponent.whole % 2 == 1 ? x : one;
  for (int n = exponent.whole / 2; n > 0; n /= 2) {
    square = hn::Mul(square, square);
    if (n % 2 == 1) y = hn::Mul(y, square);
  }
  return exponent.isHalf ? hn::Mul(y, hn::Sqrt(x)) : y;
}

template <class D, class V>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  const V e = exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

/// σ(x) and 1 − σ(x) = σ(−x)
template <class D, class V>
HWY_INLINE V sigmoid(D d, V x, V& complement) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  const V e = exp(d, hn::Neg(hn::Abs(x)));
  const V large = hn::Div(one, hn::Add(one, e)), small = hn::Mul(e, large);
  const auto isNegative = hn::Lt(x, hn::Zero(d));
  complement = hn::IfThenElse(isNegative, large, small);
  return hn::IfThenElse(isNegative, small, large);
}

/// x·σ(x)
template <class D, class V>
HWY_INLINE V silu(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  const V away = hn::Neg(hn::Abs(x));
  const V below = expProduct(d, away, hn::Zero(d), aboveNegativeInfinity(d, x));
  const V numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), below, x);
  return hn::Div(numerator, hn::Add(one, exp(d, away)));
}

template <class D, class V>
HWY_INLINE V tanh(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V y = expm1NonPositive(d, hn::Mul(magnitude, hn::Set(d, hn::TFromD<D>(-2))));
  const V t = hn::Div(hn::Neg(y), hn::Add(y, hn::Set(d, hn::TFromD<D>(2))));
  return hn::CopySignToAbs(hn::Abs(t), x);
}

template <class D, class V>
HWY_INLINE V softplus(D d, V x) {
  // In this order Max keeps a NaN of x; the other term carries it anyway.
  return hn::Add(hn::Max(hn::Zero(d), x), log1pUnit(d, exp(d, hn::Neg(hn::Abs(x)))));
}

/// log σ(x)
template <class D, class V>
HWY_INLINE V logSigmoid(D d, V x) {
  // In this order Min keeps a NaN of x.
  return hn::Sub(hn::Min(hn::Zero(d), x), log1pUnit(d, exp(d, hn::Neg(hn::Abs(x)))));
}

/// Φ(x), the normal distribution, with its relative accuracy kept in the lower tail; exp(−x²/2) comes along.
template <class D, class V>
HWY_INLINE V normalDistribution(D d, V x, V& density) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  const hn::RebindToSigned<D> di;
  const V magnitude = hn::Abs(x);
  const V half = hn::Set(d, T(0.5)), one = hn::Set(d, T(1));
  // −x²/2 in two parts: its rounding error would be magnified by exp.
  const V bounded = hn::Min(magnitude, hn::Set(d, T(C::erfcxMost * 1.5)));
  const V high = hn::And(bounded, hn::BitCast(d, hn::Set(di, C::highMask)));
  const V low = hn::Mul(hn::Sub(bounded, high), hn::Add(bounded, high));
  density = expSum(d, hn::Mul(hn::Neg(half), hn::Mul(high, high)), hn::Mul(hn::Neg(half), low));
  const V z = hn::Min(hn::Mul(magnitude, hn::Set(d, T(0.70710678118654752440))), hn::Set(d, C::erfcxMost));
  const V t = hn::Div(hn::Set(d, C::erfcxA), hn::Add(z, hn::Set(d, C::erfcxA)));
  constexpr T slope = T(2) / (T(1) - C::erfcxLeast);
  const V u = hn::MulAdd(t, hn::Set(d, slope), hn::Set(d, T(1) - slope));
  const V tail = hn::Mul(half, hn::Mul(density, hn::Mul(t, polynomialEvenOdd(d, u, C::erfcx))));
  const V result = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  density = hn::IfThenElse(hn::IsNaN(x), x, density);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_MATH_INL_H_
