// Updates of parameters.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimizer.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>

#ifndef AXPY_OPTIMIZER_COEFFICIENTS
#define AXPY_OPTIMIZER_COEFFICIENTS
namespace axpy {

template <class T>
struct SgdCoefficients {
  T learningRate, momentum, fresh /* 1 − dampening */, lambda;
  bool nesterov;
};

template <class T>
struct AdamCoefficients {
  T beta1, fresh1, beta2, fresh2, lambda;
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

/// The gradient, with λ·parameter for what decays.
template <class T>
HWY_INLINE auto slope(bool decays, T lambda) {
  const hn::ScalableTag<T> d;
  return [d, decays, lambda](auto load, const T* parameter, const T* gradient) HWY_ATTR {
    const auto g = load(gradient);
    return decays ? hn::MulAdd(hn::Set(d, lambda), load(parameter), g) : g;
  };
}

template <class T>
void sgdRange(T* parameter, T* velocity, const T* gradient, int64_t n, bool decays,
              const SgdCoefficients<T>& c) {
  const hn::ScalableTag<T> d;
  const auto rate = hn::Set(d, c.learningRate), momentum = hn::Set(d, c.momentum),
             fresh = hn::Set(d, c.fresh);
  const auto gradientOf = slope<T>(decays, c.lambda);
  if (!velocity) {
    forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
      store(hn::NegMulAdd(rate, gradientOf(load, parameter, gradient), load(parameter)), parameter);
    });
    return;
  }
  forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
    const auto g = gradientOf(load, parameter, gradient);
    const auto v = hn::MulAdd(momentum, load(velocity), hn::Mul(fresh, g));
    store(v, velocity);
    const auto direction = c.nesterov ? hn::MulAdd(momentum, v, g) : v;
    store(hn::NegMulAdd(rate, direction, load(parameter)), parameter);
  });
}

template <class T>
void adamRange(T* parameter, T* mean, T* square, const T* gradient, int64_t n, bool decays,
               const AdamCoefficients<T>& c) {
  const hn::ScalableTag<T> d;
  const auto beta1 = hn::Set(d, c.beta1), fresh1 = hn::Set(d, c.fresh1), beta2 = hn::Set(d, c.beta2),
             fresh2 = hn::Set(d, c.fresh2), step = hn::Set(d, c.step), root = hn::Set(d, c.secondRoot),
             epsilon = hn::Set(d, c.epsilon);
  const auto gradientOf = slope<T>(decays, c.lambda);
  forVectors<T>(n, [&](auto load, auto store) HWY_ATTR {
    const auto g = gradientOf(load, parameter, gradient);
    const auto first = hn::MulAdd(beta1, load(mean), hn::Mul(fresh1, g));
    // Scaled before it is squared: a large gradient overflows later.
    const auto second = hn::MulAdd(beta2, load(square), hn::Mul(hn::Mul(fresh2, g), g));
    store(first, mean);
    store(second, square);
    const auto denominator = hn::MulAdd(hn::Sqrt(second), root, epsilon);
    store(hn::Sub(load(parameter), hn::Div(hn::Mul(step, first), denominator)), parameter);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// Calls update(i, begin, end) for parts of the arrays of a list that make up all of it: one partition over
/// all elements, so that many small arrays cost no more than a large one. Each array counts as whole cache
/// lines.
template <class T, class F>
void forElements(const List<T>& list, const F& update) {
  constexpr int64_t line = 16;
  static_assert(parallel::lightChunk % line == 0);
  const auto room = [](int64_t length) { return (length + line - 1) / line * line; };
  int64_t total = 0;
  for (const Array<T>& array : list.arrays) total += room(array.length);
  parallel::forRange(total, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    int64_t start = 0;  // of array i
    for (int64_t i = 0; i < list.length && start < end; start += room(list[i].length), i++) {
      const int64_t low = std::max(begin - start, int64_t{0});
      const int64_t high = std::min(end - start, list[i].length);
      if (low < high) update(i, low, high);
    }
  });
}

}  // namespace

template <class T>
void sgd(const Check& check, const List<T>& parameters, const NullableList<T>& velocities,
         const List<const T>& gradients, Array<const double> hyper, Array<const int32_t> decays) {
  if (!velocities.null) check.lengths(velocities, parameters);
  check.lengths(gradients, parameters);
  check.length(hyper, 5);
  check.length(decays, static_cast<double>(parameters.length));
  check.flags(decays);
  const SgdCoefficients<T> c{static_cast<T>(hyper[0]), static_cast<T>(hyper[1]), static_cast<T>(1 - hyper[2]),
                             static_cast<T>(hyper[4]), hyper[3] != 0};
  const auto run = AXPY_SIMD(sgdRange<T>);
  forElements(parameters, [&](int64_t i, int64_t begin, int64_t end) {
    run(parameters[i].data + begin, velocities.null ? nullptr : velocities[i].data + begin,
        gradients[i].data + begin, end - begin, decays[i] != 0, c);
  });
}

void adamAdvance(const Check& check, Array<double> hyper) {
  check.length(hyper, 8);
  hyper[5] += 1;
  hyper[6] *= hyper[1];
  hyper[7] *= hyper[2];
}

template <class T>
void adam(const Check& check, const List<T>& parameters, const List<T>& means, const List<T>& squares,
          const List<const T>& gradients, Array<const double> hyper, Array<const int32_t> decays) {
  check.lengths(means, parameters);
  check.lengths(squares, parameters);
  check.lengths(gradients, parameters);
  check.length(hyper, 8);
  check.length(decays, static_cast<double>(parameters.length));
  check.flags(decays);
  const AdamCoefficients<T> c{static_cast<T>(hyper[1]),
                              static_cast<T>(1 - hyper[1]),
                              static_cast<T>(hyper[2]),
                              static_cast<T>(1 - hyper[2]),
                              static_cast<T>(hyper[4]),
                              static_cast<T>(hyper[0] / (1 - hyper[6])),
                              static_cast<T>(1 / std::sqrt(1 - hyper[7])),
                              static_cast<T>(hyper[3])};
  const auto run = AXPY_SIMD(adamRange<T>);
  forElements(parameters, [&](int64_t i, int64_t begin, int64_t end) {
    run(parameters[i].data + begin, means[i].data + begin, squares[i].data + begin, gradients[i].data + begin,
        end - begin, decays[i] != 0, c);
  });
}

#define AXPY_INSTANTIATE(T)                                                                              \
  template void sgd(const Check&, const List<T>&, const NullableList<T>&, const List<const T>&,          \
                    Array<const double>, Array<const int32_t>);                                          \
  template void adam(const Check&, const List<T>&, const List<T>&, const List<T>&, const List<const T>&, \
                     Array<const double>, Array<const int32_t>)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
