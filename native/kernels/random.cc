// Random numbers from Philox 4×32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011). Block j of a call is a function of key and counter + j alone, so blocks can be drawn in any
// order.
//
// Compiled without fused multiply-add: the TypeScript kernels give the same bits.

#include "kernels.h"
#include "parallel.h"

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

namespace axpy {
namespace {

using Block = std::array<uint32_t, 4>;

struct Generator {
  uint32_t key[2];
  uint64_t low, high;  // the counter

  explicit Generator(const Array<uint32_t>& state)
      : key{state[0], state[1]},
        low(state[2] | static_cast<uint64_t>(state[3]) << 32),
        high(state[4] | static_cast<uint64_t>(state[5]) << 32) {}

  void store(const Array<uint32_t>& state, uint64_t blocks) const {
    const uint64_t first = low + blocks, second = high + (first < low ? 1 : 0);
    state[2] = static_cast<uint32_t>(first);
    state[3] = static_cast<uint32_t>(first >> 32);
    state[4] = static_cast<uint32_t>(second);
    state[5] = static_cast<uint32_t>(second >> 32);
  }

  Block block(uint64_t j) const {
    const uint64_t first = low + j, second = high + (first < low ? 1 : 0);
    uint32_t c0 = static_cast<uint32_t>(first), c1 = static_cast<uint32_t>(first >> 32);
    uint32_t c2 = static_cast<uint32_t>(second), c3 = static_cast<uint32_t>(second >> 32);
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
      const uint64_t p0 = uint64_t{0xd2511f53} * c0, p1 = uint64_t{0xcd9e8d57} * c2;
      c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    return {c0, c1, c2, c3};
  }
};

/// Calls make(words, i) for each of n elements, `perElement` words each, and advances the state.
template <int perElement, class F>
void draw(const Array<uint32_t>& state, int64_t n, const F& make) {
  const Generator generator(state);
  constexpr int64_t perBlock = 4 / perElement;
  const int64_t blocks = (n + perBlock - 1) / perBlock;
  parallel::forRange(blocks, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j++) {
      const Block words = generator.block(static_cast<uint64_t>(j));
      const int64_t first = j * perBlock, count = std::min(perBlock, n - first);
      for (int64_t i = 0; i < count; i++) make(words.data() + i * perElement, first + i);
    }
  });
  generator.store(state, static_cast<uint64_t>(blocks));
}

/// Uniform on [0, 1), 53 bits.
inline double unit(const uint32_t* words) {
  return ((words[0] >> 5) * 67108864.0 + (words[1] >> 6)) * 0x1p-53;
}

/// log x for normal x > 0, after fdlibm's e_log.c.
double logarithm(double x) {
  constexpr double ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10;
  constexpr double lg1 = 6.666666666666735130e-01, lg2 = 3.999999999940941908e-01,
                   lg3 = 2.857142874366239149e-01, lg4 = 2.222219843214978396e-01,
                   lg5 = 1.818357216161805012e-01, lg6 = 1.531383769920937332e-01,
                   lg7 = 1.479819860511658591e-01;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  // x = m · 2ᵉ with m within [√½, √2)
  int64_t e = static_cast<int64_t>(bits >> 52) - 1022;
  bits = (bits & 0x000fffffffffffff) | 0x3fe0000000000000;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  if (m < 0.70710678118654752440) {
    m *= 2;
    e -= 1;
  }
  const double f = m - 1, exponent = static_cast<double>(e);
  const double s = f / (2 + f), z = s * s, w = z * z;
  const double t1 = w * (lg2 + w * (lg4 + w * lg6)), t2 = z * (lg1 + w * (lg3 + w * (lg5 + w * lg7)));
  const double r = t2 + t1, halfSquare = 0.5 * f * f;
  return exponent * ln2High - ((halfSquare - (s * (halfSquare + r) + exponent * ln2Low)) - f);
}

inline double horner(const double (&c)[8], double x) {
  return ((((((c[7] * x + c[6]) * x + c[5]) * x + c[4]) * x + c[3]) * x + c[2]) * x + c[1]) * x + c[0];
}

/// The quantile function of the normal distribution: PPND16 of M. J. Wichura, "Algorithm AS 241", Applied
/// Statistics 37 (1988).
double normalQuantile(double p) {
  static constexpr double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                 1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                 3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e1,
                                 6.8718700749205790830e2,
                                 5.3941960214247511077e3,
                                 2.1213794301586595867e4,
                                 3.9307895800092710610e4,
                                 2.8729085735721942674e4,
                                 5.2264952788528545610e3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1.0,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * (horner(a, r) / horner(b, r));
  }
  double r = std::sqrt(-logarithm(q < 0 ? p : 1 - p));
  double z;
  if (r <= 5) {
    r -= 1.6;
    z = horner(c, r) / horner(d, r);
  } else {
    r -= 5;
    z = horner(e, r) / horner(f, r);
  }
  return q < 0 ? -z : z;
}

constexpr double stateLength = 6;

}  // namespace

void randomBits(const Check& check, Array<uint32_t> out, Array<uint32_t> state) {
  check.length(state, stateLength);
  draw<1>(state, out.length, [&](const uint32_t* words, int64_t i) { out[i] = *words; });
}

template <class T>
void randomUniform(const Check& check, Array<T> out, Array<uint32_t> state, Number low, Number high) {
  check.length(state, stateLength);
  const double range = high - low;
  draw<2>(state, out.length, [&](const uint32_t* words, int64_t i) {
    const T value = static_cast<T>(low + range * unit(words));
    out[i] = static_cast<double>(value) >= high ? static_cast<T>(low.value) : value;
  });
}

template <class T>
void randomNormal(const Check& check, Array<T> out, Array<uint32_t> state, Number mean, Number deviation) {
  check.length(state, stateLength);
  draw<2>(state, out.length, [&](const uint32_t* words, int64_t i) {
    out[i] = static_cast<T>(mean + deviation * normalQuantile(unit(words) + 0x1p-54));
  });
}

template <class T>
void dropoutMask(const Check& check, Array<T> out, Array<uint32_t> state, Rate rate) {
  check.length(state, stateLength);
  const double bound = rate * 4294967296.0;
  const T kept = static_cast<T>(1 / (1 - rate));
  draw<1>(state, out.length, [&](const uint32_t* words, int64_t i) {
    out[i] = static_cast<double>(*words) < bound ? T(0) : kept;
  });
}

#define AXPY_INSTANTIATE(T)                                                             \
  template void randomUniform(const Check&, Array<T>, Array<uint32_t>, Number, Number); \
  template void randomNormal(const Check&, Array<T>, Array<uint32_t>, Number, Number);  \
  template void dropoutMask(const Check&, Array<T>, Array<uint32_t>, Rate)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
