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

template <class D, class V>
HWY_INLINE V powerOfTwo(D d, hn::Vec<hn::RebindToSigned<D>> n, V /*of the result*/) {
  using C = ConstantsOf<D>;
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<C::mantissaBits>(hn::Add(n, hn::Set(di, C::exponentBias))));
}

/// x = n·ln 2 + r with |r| ≤ ½ ln 2; returns exp(r) − 1.
template <class D, class V>
HWY_INLINE V expm1Reduced(D d, V x, V low, V& n) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  n = hn::Round(hn::Mul(x, hn::Set(d, static_cast<T>(1.44269504088896340736))));
  const V high = hn::NegMulAdd(n, hn::Set(d, C::ln2High), x);
  const V r = hn::Add(hn::NegMulAdd(n, hn::Set(d, C::ln2Low), high), low);
  return hn::MulAdd(hn::Mul(r, r), polynomialEvenOdd(d, r, C::exp), r);
}

/// factor · exp(x + low), low being small beside x. Underflows only where the product does.
template <class D, class V>
HWY_INLINE V expProduct(D d, V x, V low, V factor) {
  using C = ConstantsOf<D>;
  const hn::RebindToSigned<D> di;
  const V bounded = hn::Min(hn::Max(x, hn::Set(d, C::expLeast)), hn::Set(d, C::expMost));
  V n;
  const V y = hn::Add(expm1Reduced(d, bounded, low, n), hn::Set(d, hn::TFromD<D>(1)));
  // In two factors, as 2ⁿ alone overflows or is subnormal at the ends of the range.
  const auto whole = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(whole);
  const V scaled =
      hn::Mul(hn::Mul(hn::Mul(y, factor), powerOfTwo(d, half, y)), powerOfTwo(d, hn::Sub(whole, half), y));
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
  const hn::RebindToSigned<D> di;
  const V bounded = hn::Max(x, hn::Set(d, C::expm1Least));
  V n;
  const V y = expm1Reduced(d, bounded, hn::Zero(d), n);
  const V power = powerOfTwo(d, hn::ConvertTo(di, n), y);
  const V result = hn::MulAdd(power, y, hn::Sub(power, hn::Set(d, hn::TFromD<D>(1))));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
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

template <class D, class V>
HWY_INLINE V log(D d, V x) {
  using T = hn::TFromD<D>;
  using C = ConstantsOf<D>;
  const hn::RebindToSigned<D> di;
  const auto subnormal = hn::Lt(x, hn::Set(d, C::minNormal));
  const V scaled = hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, C::subnormalScale)), x);
  // x = 2ᵉ · m with m within [√½, √2].
  const auto bits = hn::BitCast(di, scaled);
  const auto exponent = hn::ShiftRight<C::mantissaBits>(hn::Sub(bits, hn::Set(di, C::sqrtHalfBits)));
  const V m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<C::mantissaBits>(exponent)));
  V e = hn::ConvertTo(d, exponent);
  e = hn::Sub(e, hn::IfThenElseZero(subnormal, hn::Set(d, static_cast<T>(C::subnormalShift))));
  const V f = hn::Sub(m, hn::Set(d, T(1)));
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, T(2))));
  const V z = hn::Mul(s, s);
  const V r = hn::Mul(z, polynomialEvenOdd(d, z, C::log));
  const V halfSquare = hn::Mul(hn::Set(d, T(0.5)), hn::Mul(f, f));
  const V low = hn::MulAdd(e, hn::Set(d, C::ln2Low), hn::Mul(s, hn::Add(halfSquare, r)));
  V y = hn::MulAdd(e, hn::Set(d, C::ln2High), hn::Sub(f, hn::Sub(halfSquare, low)));
  const V infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, std::numeric_limits<T>::quiet_NaN()), y);
  return hn::IfThenElse(hn::Or(hn::Eq(x, infinity), hn::IsNaN(x)), x, y);
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

/// log(1 − p) for p ≤ 1, accurate near 0; NaN above 1.
template <class D, class V>
HWY_INLINE V log1mp(D d, V p) {
  using T = hn::TFromD<D>;
  const auto small = hn::Lt(hn::Abs(p), hn::Set(d, T(0.25)));
  const V near = log1pReduced(d, hn::IfThenElseZero(small, hn::Neg(p)));
  return hn::IfThenElse(small, near, log(d, hn::Sub(hn::Set(d, T(1)), p)));
}

template <class D, class V>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  const V e = exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

/// x·σ(x)
template <class D, class V>
HWY_INLINE V silu(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1));
  const V away = hn::Neg(hn::Abs(x));
  const V numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), expProduct(d, away, hn::Zero(d), x), x);
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
