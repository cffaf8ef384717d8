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
  // 1 + r + r²·(c₀ + c₁·r + …) is exp(r) on |r| ≤ ½ ln 2, by Remez' algorithm: to 2^−27.8 of it.
  static constexpr float exp[] = {0.499999981086949196f, 0.166665047803629925f, 0.0416670935508145279f,
                                  0.00837041049761474392f, 0.00138934211133353035f};
  // R of log(1 + f) = f − (f²/2 − s·(f²/2 + R(s²))), s = f/(2 + f), after fdlibm's e_logf.c.
  static constexpr float log[] = {0xaaaaaa.0p-24f, 0xccce13.0p-25f, 0x91e9ee.0p-25f, 0xf89e26.0p-26f};
  // Φ(−z)·exp(z²/2) on [0, normalMost] is a quotient of polynomials, by Remez' algorithm: to 2^−27.2 of it.
  // From there on Φ(−z) is 0.
  static constexpr float normalMost = 15.0f;
  static constexpr float normalOver[] = {0.500000003149670616f, 0.439281825557823571f, 0.183967910923376981f,
                                         0.0408807040620744384f, 0.00415316463497329382f};
  static constexpr float normalUnder[] = {1.0f,
                                          1.67644865810452381f,
                                          1.20554326487356855f,
                                          0.471405451211195293f,
                                          0.102478845491677064f,
                                          0.010410328233138597f};
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
  // To 2^−56.8.
  static constexpr double exp[] = {0.500000000000001042,   0.166666666666666747,   0.0416666666665197761,
                                   0.008333333333322037,   0.0013888888948496266,  0.000198412698871103476,
                                   2.48014865634714783e-5, 2.75572417503050728e-6, 2.76329426414828635e-7,
                                   2.51102705006868699e-8};
  static constexpr double log[] = {
      6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
      1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01};
  // To 2^−59.9.
  static constexpr double normalMost = 39.0;
  static constexpr double normalOver[] = {0.5,
                                          0.8279501354564268,
                                          0.6796496663793746,
                                          0.35737699956649643,
                                          0.13206228347769958,
                                          0.03567338853976812,
                                          0.007124257289076939,
                                          0.001039958793277156,
                                          0.00010660228790710155,
                                          6.9782461632565055e-06,
                                          2.2426944388742713e-07};
  static constexpr double normalUnder[] = {1.0,
                                           2.453784831715719,
                                           2.817136365516971,
                                           2.0015727152651586,
                                           0.9801926952831177,
                                           0.3483601082923923,
                                           0.09199173103526873,
                                           0.0181239527362688,
                                           0.0026242819850239665,
                                           0.0002677744691343157,
                                           1.7491869140183878e-05,
                                           5.621601291838671e-07};
};

/// After fdlibm's k_sin.c and k_cos.c, for angles up to π/4; π/2 in three parts, of which two have 33 digits.
struct Trigonometry {
  static constexpr double perHalfPi = 6.36619772367581382433e-01;
  static constexpr double halfPi[] = {1.57079632673412561417e+00, 6.07710050630396597660e-11,
                                      2.02226624879595063154e-21};
  /// So far a number of half turns times one of those parts is exact.
  static constexpr double most = 0x1p20;
  static constexpr double sin[] = {-1.66666666666666324348e-01, 8.33333333332248946124e-03,
                                   -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                                   -2.50507602534068634195e-08, 1.58969099521155010221e-10};
  static constexpr double cos[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03,
                                   2.48015872894767294178e-05, -2.75573143513906633035e-07,
                                   2.08757232129817482790e-09, -1.13596475577881948265e-11};
};

template <class D>
using ConstantsOf = MathConstants<hn::TFromD<D>>;

/// −1, 0, 1; NaN for NaN.
template <class D, class V>
HWY_INLINE V signOf(D d, V x) {
  const auto still = hn::Or(hn::Eq(x, hn::Zero(d)), hn::IsNaN(x));
  return hn::IfThenElse(still, x, hn::CopySignToAbs(hn::Set(d, hn::TFromD<D>(1)), x));
}

/// The larger one of x and a bound, but NaN where x is. Vectors give the second one of two if either is NaN,
/// a single number the one that is none.
template <class V>
HWY_INLINE V atLeast(V bound, V x) {
  const V y = hn::Max(bound, x);
  return HWY_TARGET == HWY_SCALAR ? hn::IfThenElse(hn::IsNaN(x), x, y) : y;
}

template <class V>
HWY_INLINE V atMost(V bound, V x) {
  const V y = hn::Min(bound, x);
  return HWY_TARGET == HWY_SCALAR ? hn::IfThenElse(hn::IsNaN(x), x, y) : y;
}

/// x, infinities as the numbers next to them: for products with what is 0 there.
template <class D, class V>
HWY_INLINE V finite(D d, V x) {
  return atMost(hn::Set(d, ConstantsOf<D>::most), atLeast(hn::Set(d, -ConstantsOf<D>::most), x));
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

#if HWY_TARGET == HWY_AVX3
#define AXPY_SCALE(VECTOR, INTRINSIC, ...)                            \
  __VA_ARGS__ HWY_INLINE VECTOR timesPowerOfTwo(VECTOR y, VECTOR n) { \
    return VECTOR{INTRINSIC(y.raw, n.raw)};                           \
  }
AXPY_SCALE(hn::Vec512<float>, _mm512_scalef_ps)
AXPY_SCALE(hn::Vec512<double>, _mm512_scalef_pd)
AXPY_SCALE(hn::Vec256<float>, _mm256_scalef_ps)
AXPY_SCALE(hn::Vec256<double>, _mm256_scalef_pd)
#define AXPY_SHORT(T) hn::Vec128<T, N>
AXPY_SCALE(AXPY_SHORT(float), _mm_scalef_ps, template <size_t N>)
AXPY_SCALE(AXPY_SHORT(double), _mm_scalef_pd, template <size_t N>)
#undef AXPY_SHORT
#undef AXPY_SCALE
#endif

/// y·2ⁿ, rounded once, for a whole number n within twice the exponents of normal numbers.
template <class D, class V>
HWY_INLINE V timesPowerOfTwo(D d, V y, V n) {
#if HWY_TARGET == HWY_AVX3
  (void)d;
  return timesPowerOfTwo(y, n);
#else
  // In two factors, as 2ⁿ alone overflows or is subnormal at the ends of the range.
  const V half = roundSmall(d, hn::Mul(n, hn::Set(d, hn::TFromD<D>(0.5))));
  return hn::Mul(hn::Mul(y, powerOfTwo(d, half)), powerOfTwo(d, hn::Sub(n, half)));
#endif
}

/// x = n·ln 2 + r with |r| ≤ ½ ln 2; returns r.
template <class D, class V>
HWY_INLINE V expReduced(D d, V x, V& n) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  const V shifter = hn::Set(d, C::shifter);
  n = hn::Sub(hn::MulAdd(x, hn::Set(d, static_cast<T>(1.44269504088896340736)), shifter), shifter);
  return hn::NegMulAdd(n, hn::Set(d, C::ln2Low), hn::NegMulAdd(n, hn::Set(d, C::ln2High), x));
}

/// exp(r) for |r| ≤ ½ ln 2
template <class D, class V>
HWY_INLINE V expNear(D d, V r) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  return hn::MulAdd(hn::MulAdd(polynomial(d, r, ConstantsOf<D>::exp), r, one), r, one);
}

/// exp(r) − 1 likewise.
template <class D, class V>
HWY_INLINE V expm1Near(D d, V r) {
  return hn::MulAdd(hn::Mul(r, r), polynomial(d, r, ConstantsOf<D>::exp), r);
}

/// x as far as exp of it may be another number than 0 or ∞, and a little further.
template <class D, class V>
HWY_INLINE V expBounded(D d, V x) {
  using C = ConstantsOf<D>;
  return atMost(hn::Set(d, C::expMost), atLeast(hn::Set(d, C::expLeast), x));
}

/// exp(x + low), low being small beside x.
template <class D, class V>
HWY_INLINE V expSum(D d, V x, V low) {
  V n;
  const V r = expReduced(d, expBounded(d, x), n);
  return timesPowerOfTwo(d, expNear(d, hn::Add(r, low)), n);
}

template <class D, class V>
HWY_INLINE V exp(D d, V x) {
  V n;
  const V r = expReduced(d, expBounded(d, x), n);
  return timesPowerOfTwo(d, expNear(d, r), n);
}

/// exp(x) − 1 for x ≤ 0 (or NaN), accurate near 0.
template <class D, class V>
HWY_INLINE V expm1NonPositive(D d, V x) {
  using C = ConstantsOf<D>;
  V n;
  const V y = expm1Near(d, expReduced(d, atLeast(hn::Set(d, C::expm1Least), x), n));
  const V power = powerOfTwo(d, n);
  return hn::MulAdd(power, y, hn::Sub(power, hn::Set(d, hn::TFromD<D>(1))));
}

/// exp(x) − 1, accurate near 0.
template <class D, class V>
HWY_INLINE V expm1(D d, V x) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  V n;
  const V y =
      expm1Near(d, expReduced(d, atMost(hn::Set(d, C::expMost), atLeast(hn::Set(d, C::expm1Least), x)), n));
  // Half of it, as 2ⁿ alone overflows at the end of the range.
  const V power = powerOfTwo(d, hn::Sub(n, hn::Set(d, T(1))));
  const V half = hn::MulAdd(power, y, hn::Sub(power, hn::Set(d, T(0.5))));
  return hn::CopySign(hn::Add(half, half), x);
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
  using C = ConstantsOf<D>;
  // e⁻ᵃ = 2ⁿ·y for the magnitude a; the power comes last, as the product may be a number where e⁻ᵃ is none.
  V n;
  const V away = atLeast(hn::Set(d, C::expLeast), hn::Neg(hn::Abs(x)));
  const V y = expNear(d, expReduced(d, away, n));
  const V whole = hn::Add(hn::Set(d, hn::TFromD<D>(1)), timesPowerOfTwo(d, y, n));
  const auto isNegative = hn::Lt(x, hn::Zero(d));
  const V quotient = hn::Div(hn::IfThenElse(isNegative, hn::Mul(away, y), x), whole);
  return timesPowerOfTwo(d, quotient, hn::IfThenElseZero(isNegative, n));
}

template <class D, class V>
HWY_INLINE V tanh(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V y = expm1NonPositive(d, hn::Mul(magnitude, hn::Set(d, hn::TFromD<D>(-2))));
  const V t = hn::Div(hn::Neg(y), hn::Add(y, hn::Set(d, hn::TFromD<D>(2))));
  return hn::CopySignToAbs(hn::Abs(t), x);
}

/// sin(x + quarters·π/2) for float64: by vectors up to 2²⁰, beyond one by one.
template <class D, class V>
HWY_INLINE V sinShifted(D d, V x, int quarters) {
  using C = Trigonometry;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0);
  const V n = hn::Round(hn::Mul(x, hn::Set(d, C::perHalfPi)));
  V r = hn::NegMulAdd(n, hn::Set(d, C::halfPi[0]), x);
  r = hn::NegMulAdd(n, hn::Set(d, C::halfPi[1]), r);
  r = hn::NegMulAdd(n, hn::Set(d, C::halfPi[2]), r);
  const V z = hn::Mul(r, r);
  const V sin = hn::MulAdd(hn::Mul(r, z), polynomial(d, z, C::sin), r);
  const V half = hn::Mul(hn::Set(d, 0.5), z), w = hn::Sub(one, half);
  const V rest = hn::Sub(hn::Sub(one, w), half);
  const V cos = hn::Add(w, hn::MulAdd(hn::Mul(z, z), polynomial(d, z, C::cos), rest));
  const auto quarter = hn::Add(hn::ConvertTo(di, n), hn::Set(di, quarters));
  const auto isOdd = hn::Ne(hn::And(quarter, hn::Set(di, 1)), hn::Zero(di));
  const auto isBelow = hn::Ne(hn::And(quarter, hn::Set(di, 2)), hn::Zero(di));
  V y = hn::IfThenElse(hn::RebindMask(d, isOdd), cos, sin);
  y = hn::IfThenElse(hn::RebindMask(d, isBelow), hn::Neg(y), y);
  const auto inRange = hn::Le(hn::Abs(x), hn::Set(d, C::most));
  if (HWY_LIKELY(hn::AllTrue(d, inRange))) return y;
  HWY_ALIGN double lanes[hn::MaxLanes(d)];
  hn::Store(x, d, lanes);
  for (size_t i = 0; i < hn::Lanes(d); i++) {
    lanes[i] = quarters == 0 ? std::sin(lanes[i]) : std::cos(lanes[i]);
  }
  return hn::IfThenElse(inRange, y, hn::Load(d, lanes));
}

template <class D, class V>
HWY_INLINE V sin(D d, V x) {
  // −0 as well.
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, sinShifted(d, x, 0));
}
template <class D, class V>
HWY_INLINE V cos(D d, V x) {
  return sinShifted(d, x, 1);
}

template <class D, class V>
HWY_INLINE V softplus(D d, V x) {
  return hn::Add(atLeast(hn::Zero(d), x), log1pUnit(d, exp(d, hn::Neg(hn::Abs(x)))));
}

/// log σ(x)
template <class D, class V>
HWY_INLINE V logSigmoid(D d, V x) {
  return hn::Sub(atMost(hn::Zero(d), x), log1pUnit(d, exp(d, hn::Neg(hn::Abs(x)))));
}

/// For the magnitude z of x, no larger than normalMost: exp(−z²/2) = 2ⁿ·density, and Φ(−z) = density·2ⁿ·tail.
template <class V>
struct Normal {
  V z, density, n, tail;
};

template <class D, class V>
HWY_INLINE Normal<V> normalOf(D d, V x) {
  using C = ConstantsOf<D>;
  const V z = atMost(hn::Set(d, C::normalMost), hn::Abs(x));
  // −z²/2 in two parts: its rounding error would be magnified by exp.
  const V half = hn::Mul(z, hn::Set(d, hn::TFromD<D>(-0.5)));
  const V square = hn::Mul(half, z);
  V n;
  const V r = expReduced(d, square, n);
  const V density = expNear(d, hn::Add(r, productRest(d, half, z, square)));
  return {z, density, n, hn::Div(polynomial(d, z, C::normalOver), polynomial(d, z, C::normalUnder))};
}

/// x·Φ(x) = max(x, 0) − |x|·Φ(−|x|), with its relative accuracy kept in the lower tail.
template <class D, class V>
HWY_INLINE V gelu(D d, V x) {
  const auto [z, density, n, tail] = normalOf(d, x);
  const V off = timesPowerOfTwo(d, hn::Mul(hn::Mul(density, z), tail), n);
  return hn::Sub(atLeast(hn::Zero(d), x), off);
}

/// Φ(x) + x·φ(x)
template <class D, class V>
HWY_INLINE V geluSlope(D d, V x) {
  using T = hn::TFromD<D>;
  const auto [z, density, n, tail] = normalOf(d, x);
  const V left = hn::NegMulAdd(z, hn::Set(d, T(0.39894228040143267794)), tail);
  const V below = timesPowerOfTwo(d, hn::Mul(density, left), n);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), below, hn::Sub(hn::Set(d, T(1)), below));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_MATH_INL_H_
