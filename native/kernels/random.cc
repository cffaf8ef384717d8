// Random numbers from Philox 4×32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011). Block j of a call is a function of key and counter + j alone, so blocks can be drawn in any
// order.
//
// Compiled without fused multiply-add: the TypeScript kernels give the same bits.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/random.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#ifndef AXPY_RANDOM_CHUNK
#define AXPY_RANDOM_CHUNK
namespace axpy {

/// Words that are drawn at a time, on their way to the numbers made of them: whole blocks.
constexpr int64_t chunk = 1024;

/// A key and the counter of a first block.
struct Generator {
  uint32_t key[2];
  uint64_t low, high;
};

// Numerators and denominators of PPND16, in rising powers.
inline constexpr double centralTop[] = {
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3};
inline constexpr double centralBottom[] = {1.0,
                                           4.2313330701600911252e1,
                                           6.8718700749205790830e2,
                                           5.3941960214247511077e3,
                                           2.1213794301586595867e4,
                                           3.9307895800092710610e4,
                                           2.8729085735721942674e4,
                                           5.2264952788528545610e3};
inline constexpr double middleTop[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                       5.76949722146069140550e0,  3.64784832476320460504e0,
                                       1.27045825245236838258e0,  2.41780725177450611770e-1,
                                       2.27238449892691845833e-2, 7.74545014278341407640e-4};
inline constexpr double middleBottom[] = {1.0,
                                          2.05319162663775882187e0,
                                          1.67638483018380384940e0,
                                          6.89767334985100004550e-1,
                                          1.48103976427480074590e-1,
                                          1.51986665636164571966e-2,
                                          5.47593808499534494600e-4,
                                          1.05075007164441684324e-9};
inline constexpr double tailTop[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                     1.78482653991729133580e0,  2.96560571828504891230e-1,
                                     2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                     2.71155556874348757815e-5, 2.01033439929228813265e-7};
inline constexpr double tailBottom[] = {1.0,
                                        5.99832206555887937690e-1,
                                        1.36929880922735805310e-1,
                                        1.48753612908506148525e-2,
                                        7.86869131145613259100e-4,
                                        1.84631831751005468180e-5,
                                        1.42151175831644588870e-7,
                                        2.04426310338993978564e-15};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The lower halves of lanes, times a word.
template <class D64>
HWY_INLINE hn::Vec<D64> multiplyLower([[maybe_unused]] D64 d, hn::Vec<D64> v, uint32_t factor) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, (hn::GetLane(v) & 0xffffffff) * factor);
#else
  const hn::Repartition<uint32_t, D64> words;
  return hn::MulEven(hn::BitCast(words, v), hn::Set(words, factor));
#endif
}

/// The blocks [first, first + count), four words each; `words` has room for whole chunks.
inline void draw(uint32_t* words, const Generator& generator, uint64_t first, int64_t count) {
  // Several vectors at a time hide the latency of one behind the others.
  constexpr int several = 2;
  const hn::ScalableTag<uint64_t> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < count; j += several * lanes) {
    // A word is the lower half of a lane; what stands above it does not matter.
    V c0[several], c1[several], c2[several], c3[several];
    for (int i = 0; i < several; i++) {
      const uint64_t position = generator.low + first + static_cast<uint64_t>(j + i * lanes);
      c0[i] = hn::Add(hn::Set(d, position), hn::Iota(d, 0));
      const auto carry = hn::Lt(c0[i], hn::Set(d, generator.low));
      c2[i] = hn::IfThenElse(carry, hn::Set(d, generator.high + 1), hn::Set(d, generator.high));
      c1[i] = hn::ShiftRight<32>(c0[i]);
      c3[i] = hn::ShiftRight<32>(c2[i]);
    }
    uint32_t k0 = generator.key[0], k1 = generator.key[1];
    for (int round = 0; round < 10; round++) {
      for (int i = 0; i < several; i++) {
        const V p0 = multiplyLower(d, c0[i], 0xd2511f53), p1 = multiplyLower(d, c2[i], 0xcd9e8d57);
        c0[i] = hn::Xor(hn::ShiftRight<32>(p1), hn::Xor(c1[i], hn::Set(d, k0)));
        c2[i] = hn::Xor(hn::ShiftRight<32>(p0), hn::Xor(c3[i], hn::Set(d, k1)));
        c1[i] = p1;
        c3[i] = p0;
      }
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    const V lower = hn::Set(d, 0xffffffff);
    for (int i = 0; i < several; i++) {
      HWY_ALIGN uint64_t pairs[2 * hn::MaxLanes(d)];
      hn::StoreInterleaved2(hn::Or(hn::And(c0[i], lower), hn::ShiftLeft<32>(c1[i])),
                            hn::Or(hn::And(c2[i], lower), hn::ShiftLeft<32>(c3[i])), d, pairs);
      std::memcpy(words + 4 * (j + i * lanes), pairs, sizeof pairs);
    }
  }
}

/// The numbers below 2³² of 64-bit lanes in float64, by the digits of 2⁵² + x.
template <class D>
HWY_INLINE hn::Vec<D> fromLower(D d, hn::VFromD<hn::RebindToUnsigned<D>> v) {
  const hn::RebindToUnsigned<D> bits;
  return hn::Sub(hn::BitCast(d, hn::Or(v, hn::Set(bits, 0x4330000000000000))), hn::Set(d, 0x1p52));
}

/// Uniform on [0, 1), 53 bits, of the pairs of words from `words` on.
template <class D>
HWY_INLINE hn::Vec<D> unit(D d, const uint32_t* words) {
  const hn::RebindToUnsigned<D> bits;
  const auto pairs = hn::LoadU(bits, reinterpret_cast<const uint64_t*>(words));
  const auto high = hn::ShiftRight<5>(hn::And(pairs, hn::Set(bits, 0xffffffff)));
  const auto low = hn::ShiftRight<38>(pairs);
  const auto sum = hn::Add(hn::Mul(fromLower(d, high), hn::Set(d, 67108864.0)), fromLower(d, low));
  return hn::Mul(sum, hn::Set(d, 0x1p-53));
}

/// Calls f(d, i) for vectors of float64 at each i < n; the last ones alone.
template <class F>
HWY_INLINE void forVectors(int64_t n, const F& f) {
  const hn::ScalableTag<double> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(d, i);
  for (; i < n; i++) f(hn::CappedTag<double, 1>(), i);
}

template <class T>
void uniforms(T* out, const uint32_t* words, int64_t count, double low, double high) {
  const double range = high - low;
  forVectors(count, [&](auto d, int64_t i) HWY_ATTR {
    const hn::Rebind<T, decltype(d)> to;
    const auto start = hn::Set(d, low);
    const auto value = narrow(to, hn::Add(start, hn::Mul(hn::Set(d, range), unit(d, words + 2 * i))));
    const auto tooLarge = hn::Ge(widen(value), hn::Set(d, high));
    // The same number in float64 where it is kept: to round it again changes nothing.
    hn::StoreU(narrow(to, hn::IfThenElse(tooLarge, start, widen(value))), to, out + i);
  });
}

/// 0 for words up to `last`, and `kept` above.
template <class T>
void keepAbove(T* out, const uint32_t* words, int64_t count, uint32_t last, T kept) {
  for (int64_t i = 0; i < count; i++) out[i] = words[i] > last ? kept : T(0);
}

/// log x for normal x > 0, after fdlibm's e_log.c.
template <class D, class V>
HWY_INLINE V logarithm(D d, V x) {
  const auto set = [&](double value) HWY_ATTR { return hn::Set(d, value); };
  const auto times = [&](double factor, V v) HWY_ATTR { return hn::Mul(set(factor), v); };
  constexpr double ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10;
  constexpr double lg1 = 6.666666666666735130e-01, lg2 = 3.999999999940941908e-01,
                   lg3 = 2.857142874366239149e-01, lg4 = 2.222219843214978396e-01,
                   lg5 = 1.818357216161805012e-01, lg6 = 1.531383769920937332e-01,
                   lg7 = 1.479819860511658591e-01;
  const hn::RebindToUnsigned<D> integers;
  const auto bits = hn::BitCast(integers, x);
  // x = m · 2ᵉ with m within [√½, √2)
  const V half = hn::BitCast(
      d, hn::Or(hn::And(bits, hn::Set(integers, 0x000fffffffffffff)), hn::Set(integers, 0x3fe0000000000000)));
  const auto isSmall = hn::Lt(half, set(0.70710678118654752440));
  const V m = hn::IfThenElse(isSmall, hn::Add(half, half), half);
  const V exponent = hn::Sub(hn::Sub(fromLower(d, hn::ShiftRight<52>(bits)), set(1022)),
                             hn::IfThenElseZero(isSmall, set(1)));
  const V f = hn::Sub(m, set(1));
  const V s = hn::Div(f, hn::Add(set(2), f)), z = hn::Mul(s, s), w = hn::Mul(z, z);
  const V t1 = hn::Mul(w, hn::Add(set(lg2), hn::Mul(w, hn::Add(set(lg4), times(lg6, w)))));
  const V inner = hn::Add(set(lg3), hn::Mul(w, hn::Add(set(lg5), times(lg7, w))));
  const V t2 = hn::Mul(z, hn::Add(set(lg1), hn::Mul(w, inner)));
  const V r = hn::Add(t2, t1), halfSquare = hn::Mul(times(0.5, f), f);
  const V low = hn::Add(hn::Mul(s, hn::Add(halfSquare, r)), times(ln2Low, exponent));
  return hn::Sub(times(ln2High, exponent), hn::Sub(hn::Sub(halfSquare, low), f));
}

template <class D, class V>
HWY_INLINE V horner(D d, const double (&c)[8], V x) {
  V sum = hn::Set(d, c[7]);
  for (int i = 6; i >= 0; i--) sum = hn::Add(hn::Mul(sum, x), hn::Set(d, c[i]));
  return sum;
}

template <class D, class V>
HWY_INLINE V quotient(D d, const double (&top)[8], const double (&bottom)[8], V x) {
  return hn::Div(horner(d, top, x), horner(d, bottom, x));
}

/// The quantile function of the normal distribution beyond its middle: |p - 1/2| > 0.425.
template <class D, class V>
HWY_INLINE V outerQuantile(D d, V p) {
  const V q = hn::Sub(p, hn::Set(d, 0.5));
  const auto isLower = hn::Lt(q, hn::Zero(d));
  const V r = hn::Sqrt(hn::Neg(logarithm(d, hn::IfThenElse(isLower, p, hn::Sub(hn::Set(d, 1), p)))));
  V z = quotient(d, middleTop, middleBottom, hn::Sub(r, hn::Set(d, 1.6)));
  const auto isTail = hn::Gt(r, hn::Set(d, 5));
  if (HWY_UNLIKELY(!hn::AllFalse(d, isTail))) {
    z = hn::IfThenElse(isTail, quotient(d, tailTop, tailBottom, hn::Sub(r, hn::Set(d, 5))), z);
  }
  return hn::IfThenElse(isLower, hn::Neg(z), z);
}

/// By the quantile function: PPND16 of M. J. Wichura, "Algorithm AS 241", Applied Statistics 37 (1988).
template <class T>
void normals(T* out, const uint32_t* words, int64_t count, double mean, double deviation) {
  double p[chunk / 2] = {}, z[chunk / 2];
  int64_t outer[chunk / 2] = {}, outerCount = 0;
  forVectors(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = hn::Add(unit(d, words + 2 * i), hn::Set(d, 0x1p-54));
    const auto q = hn::Sub(v, hn::Set(d, 0.5)), r = hn::Sub(hn::Set(d, 0.180625), hn::Mul(q, q));
    hn::StoreU(v, d, p + i);
    hn::StoreU(hn::Mul(q, quotient(d, centralTop, centralBottom, r)), d, z + i);
  });
  for (int64_t i = 0; i < count; i++) {
    outer[outerCount] = i;
    p[outerCount] = p[i];
    outerCount += std::fabs(p[outerCount] - 0.5) > 0.425;
  }
  forVectors(outerCount, [&](auto d, int64_t i)
                             HWY_ATTR { hn::StoreU(outerQuantile(d, hn::LoadU(d, p + i)), d, p + i); });
  for (int64_t i = 0; i < outerCount; i++) z[outer[i]] = p[i];
  forVectors(count, [&](auto d, int64_t i) HWY_ATTR {
    const hn::Rebind<T, decltype(d)> to;
    const auto value = hn::Add(hn::Set(d, mean), hn::Mul(hn::Set(d, deviation), hn::LoadU(d, z + i)));
    hn::StoreU(narrow(to, value), to, out + i);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

constexpr double stateLength = 6;

/// Calls make(words, first, count) for runs of n elements, `perElement` words each, and advances the state.
template <int perElement, class F>
void drawFor(const Array<uint32_t>& state, int64_t n, const F& make) {
  const Generator generator{{state[0], state[1]},
                            state[2] | static_cast<uint64_t>(state[3]) << 32,
                            state[4] | static_cast<uint64_t>(state[5]) << 32};
  constexpr int64_t perBlock = 4 / perElement;
  const int64_t blocks = (n + perBlock - 1) / perBlock;
  const auto fill = AXPY_SIMD(draw);
  parallel::forRange(blocks, 4096, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[chunk];
    for (int64_t j = begin; j < end; j += chunk / 4) {
      const int64_t first = j * perBlock;
      fill(words, generator, static_cast<uint64_t>(j), std::min(chunk / 4, end - j));
      make(words, first, std::min(chunk / perElement, std::min(n, end * perBlock) - first));
    }
  });
  const uint64_t low = generator.low + static_cast<uint64_t>(blocks);
  const uint64_t high = generator.high + (low < generator.low ? 1 : 0);
  state[2] = static_cast<uint32_t>(low);
  state[3] = static_cast<uint32_t>(low >> 32);
  state[4] = static_cast<uint32_t>(high);
  state[5] = static_cast<uint32_t>(high >> 32);
}

}  // namespace

void randomBits(const Check& check, Array<uint32_t> out, Array<uint32_t> state) {
  check.length(state, stateLength);
  drawFor<1>(state, out.length, [&](const uint32_t* words, int64_t first, int64_t count) {
    std::copy_n(words, count, out.data + first);
  });
}

template <class T>
void randomUniform(const Check& check, Array<T> out, Array<uint32_t> state, Number low, Number high) {
  check.length(state, stateLength);
  const auto run = AXPY_SIMD(uniforms<T>);
  drawFor<2>(state, out.length, [&](const uint32_t* words, int64_t first, int64_t count) {
    run(out.data + first, words, count, low, high);
  });
}

template <class T>
void randomNormal(const Check& check, Array<T> out, Array<uint32_t> state, Number mean, Number deviation) {
  check.length(state, stateLength);
  const auto run = AXPY_SIMD(normals<T>);
  drawFor<2>(state, out.length, [&](const uint32_t* words, int64_t first, int64_t count) {
    run(out.data + first, words, count, mean, deviation);
  });
}

template <class T>
void dropoutMask(const Check& check, Array<T> out, Array<uint32_t> state, Rate rate) {
  check.length(state, stateLength);
  // How many of the 2³² words drop an element.
  const double dropping = std::ceil(rate * 0x1p32);
  const T kept = static_cast<T>(1 / (1 - rate));
  const auto run = AXPY_SIMD(keepAbove<T>);
  drawFor<1>(state, out.length, [&](const uint32_t* words, int64_t first, int64_t count) {
    if (dropping == 0) return std::fill_n(out.data + first, count, kept), void();
    run(out.data + first, words, count, static_cast<uint32_t>(dropping - 1), kept);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_KERNEL(randomBits, "out", "state"),
    AXPY_FLOAT_KERNEL(randomUniform, "out", "state", "low", "high"),
    AXPY_FLOAT_KERNEL(randomNormal, "out", "state", "mean", "deviation"),
    AXPY_FLOAT_KERNEL(dropoutMask, "out", "state", "rate"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
