// Updates of parameters.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimizer.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <cmath>

#ifndef AXPY_OPTIMIZER_COEFFICIENTS
#define AXPY_OPTIMIZER_COEFFICIENTS
namespace axpy {

template <class T>
struct SgdCoefficients {
  T learningRate, momentum, fresh /* 1 − dampening */, decay;
  bool nesterov;
};

template <class T>
struct AdamCoefficients {
  T beta1, fresh1, beta2, fresh2, decay;
  T step;        // learningRate / (1 − β₁ᵗ)
  T secondRoot;  // 1 / √(1 − β₂ᵗ)
  T epsilon;
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Calls run(load, store) for each vector of n elements, the last one perhaps in part.
template <class T, class F>
HWY_INLINE void forVectors(int64_t n, const F& run) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    run([&](const T* p) HWY_ATTR { return hn::LoadU(d, p + i); },
        [&](hn::Vec<decltype(d)> v, T* p) HWY_ATTR { hn::StoreU(v, d, p + i); });
  }
  if (i < n) {
    run([&](const T* p) HWY_ATTR { return loadFirst(d, p + i, n - i); },
        [&](hn::Vec<decltype(d)> v, T* p) HWY_ATTR { storeFirst(d, v, p + i, n - i); });
  }
}

template <class T>
void sgdRange(T* parameter, T* velocity, const T* gradient, int64_t n, const SgdCoefficients<T>& c) {
  const hn::ScalableTag<T> d;
  const auto rate = hn::Set(d, c.learningRate), momentum = hn::Set(d, c.momentum),
             fresh = hn::Set(d, c.fresh), decay = hn::Set(d, c.decay);
  if (!velocity) {
    forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
      const auto p = load(parameter);
      const auto g = hn::MulAdd(decay, p, load(gradient));
      store(hn::NegMulAdd(rate, g, p), parameter);
    });
    return;
  }
  forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
    const auto p = load(parameter);
    const auto g = hn::MulAdd(decay, p, load(gradient));
    const auto v = hn::MulAdd(momentum, load(velocity), hn::Mul(fresh, g));
    store(v, velocity);
    const auto direction = c.nesterov ? hn::MulAdd(momentum, v, g) : v;
    store(hn::NegMulAdd(rate, direction, p), parameter);
  });
}

template <class T>
void adamRange(T* parameter, T* m, T* v, const T* gradient, int64_t n, const AdamCoefficients<T>& c) {
  const hn::ScalableTag<T> d;
  const auto beta1 = hn::Set(d, c.beta1), fresh1 = hn::Set(d, c.fresh1), beta2 = hn::Set(d, c.beta2),
             fresh2 = hn::Set(d, c.fresh2), decay = hn::Set(d, c.decay), step = hn::Set(d, c.step),
             root = hn::Set(d, c.secondRoot), epsilon = hn::Set(d, c.epsilon);
  forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
    const auto p = load(parameter);
    const auto g = hn::MulAdd(decay, p, load(gradient));
    const auto first = hn::MulAdd(beta1, load(m), hn::Mul(fresh1, g));
    const auto second = hn::MulAdd(beta2, load(v), hn::Mul(fresh2, hn::Mul(g, g)));
    store(first, m);
    store(second, v);
    const auto denominator = hn::MulAdd(hn::Sqrt(second), root, epsilon);
    store(hn::Sub(p, hn::Div(hn::Mul(step, first), denominator)), parameter);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
void sgd(const Check& check, Array<T> parameter, Nullable<T> velocity, Array<const T> gradient,
         Array<const double> hyper, Flag decay) {
  const auto n = static_cast<double>(parameter.length);
  if (!velocity.null) check.length(velocity, n);
  check.length(gradient, n);
  check.length(hyper, 5);
  const SgdCoefficients<T> c{static_cast<T>(hyper[0]), static_cast<T>(hyper[1]), static_cast<T>(1 - hyper[2]),
                             decay ? static_cast<T>(hyper[4]) : T(0), hyper[3] != 0};
  const auto run = AXPY_SIMD(sgdRange<T>);
  parallel::forRange(parameter.length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    run(parameter.data + begin, velocity.null ? nullptr : velocity.data + begin, gradient.data + begin,
        end - begin, c);
  });
}

void adamAdvance(const Check& check, Array<double> hyper) {
  check.length(hyper, 8);
  hyper[5] += 1;
  hyper[6] *= hyper[1];
  hyper[7] *= hyper[2];
}

template <class T>
void adam(const Check& check, Array<T> parameter, Array<T> m, Array<T> v, Array<const T> gradient,
          Array<const double> hyper, Flag decay) {
  const auto n = static_cast<double>(parameter.length);
  check.length(m, n);
  check.length(v, n);
  check.length(gradient, n);
  check.length(hyper, 8);
  const AdamCoefficients<T> c{static_cast<T>(hyper[1]),
                              static_cast<T>(1 - hyper[1]),
                              static_cast<T>(hyper[2]),
                              static_cast<T>(1 - hyper[2]),
                              decay ? static_cast<T>(hyper[4]) : T(0),
                              static_cast<T>(hyper[0] / (1 - hyper[6])),
                              static_cast<T>(1 / std::sqrt(1 - hyper[7])),
                              static_cast<T>(hyper[3])};
  const auto run = AXPY_SIMD(adamRange<T>);
  parallel::forRange(parameter.length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    run(parameter.data + begin, m.data + begin, v.data + begin, gradient.data + begin, end - begin, c);
  });
}

#define AXPY_INSTANTIATE(T)                                                                          \
  template void sgd(const Check&, Array<T>, Nullable<T>, Array<const T>, Array<const double>, Flag); \
  template void adam(const Check&, Array<T>, Array<T>, Array<T>, Array<const T>, Array<const double>, Flag)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
