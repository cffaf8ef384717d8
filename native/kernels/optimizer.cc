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

struct SgdCoefficients {
  double learningRate, momentum, fresh /* 1 − dampening */, lambda;
  bool nesterov;
};

struct AdamCoefficients {
  double beta1, fresh1, beta2, fresh2, lambda;
  double step;        // learningRate / (1 − β₁ᵗ)
  double secondRoot;  // 1 / √(1 − β₂ᵗ)
  double epsilon;
};

// One element in float64, but for what is kept, which counts as it is kept: for what leaves the range of
// float32 on the way.

template <class T>
inline void sgdOne(T& parameter, T* velocity, T gradient, bool decays, const SgdCoefficients& c) {
  const double p = parameter, g = decays ? c.lambda * p + static_cast<double>(gradient) : gradient;
  double direction = g;
  if (velocity) {
    *velocity = static_cast<T>(c.momentum * static_cast<double>(*velocity) + c.fresh * g);
    direction = *velocity;
    if (c.nesterov) direction = c.momentum * direction + g;
  }
  parameter = static_cast<T>(p - c.learningRate * direction);
}

template <class T>
inline void adamOne(T& parameter, T& mean, T& square, T gradient, bool decays, const AdamCoefficients& c) {
  const double p = parameter, g = decays ? c.lambda * p + static_cast<double>(gradient) : gradient;
  mean = static_cast<T>(c.beta1 * static_cast<double>(mean) + c.fresh1 * g);
  square = static_cast<T>(c.beta2 * static_cast<double>(square) + c.fresh2 * g * g);
  const double denominator = std::sqrt(static_cast<double>(square)) * c.secondRoot + c.epsilon;
  parameter = static_cast<T>(p - c.step * (static_cast<double>(mean) / denominator));
}

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Calls run(load, store, begin, end) for each vector of n elements, the last one perhaps in part.
template <class T, class F>
HWY_INLINE void forVectors(int64_t n, const F& run) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    run([&](const T* p) HWY_ATTR { return hn::LoadU(d, p + i); },
        [&](hn::Vec<decltype(d)> v, T* p) HWY_ATTR { hn::StoreU(v, d, p + i); }, i, i + lanes);
  }
  if (i < n) {
    run([&](const T* p) HWY_ATTR { return loadFirst(d, p + i, n - i); },
        [&](hn::Vec<decltype(d)> v, T* p) HWY_ATTR { storeFirst(d, v, p + i, n - i); }, i, n);
  }
}

template <class D>
HWY_INLINE hn::Vec<D> constant(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

/// The gradient, with λ·parameter for what decays.
template <class T>
HWY_INLINE auto slope(bool decays, double lambda) {
  const hn::ScalableTag<T> d;
  return [d, decays, lambda](auto load, const T* parameter, const T* gradient) HWY_ATTR {
    const auto g = load(gradient);
    return decays ? hn::MulAdd(constant(d, lambda), load(parameter), g) : g;
  };
}

/// Whether vectors of results may be stored: those of float64 could not be computed otherwise.
template <class D, class... V>
HWY_INLINE bool areRight(D d, V... v) {
  return sizeof(hn::TFromD<D>) == sizeof(double) || HWY_LIKELY((isFinite(d, v) && ...));
}

template <class T>
void sgdRange(T* parameter, T* velocity, const T* gradient, int64_t n, bool decays,
              const SgdCoefficients& c) {
  const hn::ScalableTag<T> d;
  const auto rate = constant(d, c.learningRate), momentum = constant(d, c.momentum),
             fresh = constant(d, c.fresh);
  const auto gradientOf = slope<T>(decays, c.lambda);
  if (!velocity) {
    forVectors<T>(n, [&](auto load, auto store, int64_t begin, int64_t end) HWY_ATTR {
      const auto g = gradientOf(load, parameter, gradient);
      const auto p = hn::NegMulAdd(rate, g, load(parameter));
      if (areRight(d, p)) return store(p, parameter);
      for (int64_t i = begin; i < end; i++) sgdOne<T>(parameter[i], nullptr, gradient[i], decays, c);
    });
    return;
  }
  forVectors<T>(n, [&](auto load, auto store, int64_t begin, int64_t end) HWY_ATTR {
    const auto g = gradientOf(load, parameter, gradient);
    const auto v = hn::MulAdd(momentum, load(velocity), hn::Mul(fresh, g));
    const auto direction = c.nesterov ? hn::MulAdd(momentum, v, g) : v;
    const auto p = hn::NegMulAdd(rate, direction, load(parameter));
    if (areRight(d, v, p)) {
      store(v, velocity);
      store(p, parameter);
      return;
    }
    for (int64_t i = begin; i < end; i++) sgdOne(parameter[i], velocity + i, gradient[i], decays, c);
  });
}

template <class T>
void adamRange(T* parameter, T* mean, T* square, const T* gradient, int64_t n, bool decays,
               const AdamCoefficients& c) {
  const hn::ScalableTag<T> d;
  const auto beta1 = constant(d, c.beta1), fresh1 = constant(d, c.fresh1), beta2 = constant(d, c.beta2),
             fresh2 = constant(d, c.fresh2), step = constant(d, c.step), root = constant(d, c.secondRoot),
             epsilon = constant(d, c.epsilon);
  const auto gradientOf = slope<T>(decays, c.lambda);
  forVectors<T>(n, [&](auto load, auto store, int64_t begin, int64_t end) HWY_ATTR {
    const auto g = gradientOf(load, parameter, gradient);
    const auto first = hn::MulAdd(beta1, load(mean), hn::Mul(fresh1, g));
    // Scaled before it is squared: a large gradient overflows later.
    const auto second = hn::MulAdd(beta2, load(square), hn::Mul(hn::Mul(fresh2, g), g));
    const auto denominator = hn::MulAdd(hn::Sqrt(second), root, epsilon);
    const auto p = hn::NegMulAdd(step, hn::Div(first, denominator), load(parameter));
    if (areRight(d, first, second, p)) {
      store(first, mean);
      store(second, square);
      store(p, parameter);
      return;
    }
    for (int64_t i = begin; i < end; i++) {
      adamOne(parameter[i], mean[i], square[i], gradient[i], decays, c);
    }
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
  const SgdCoefficients c{hyper[0], hyper[1], 1 - hyper[2], hyper[4], hyper[3] != 0};
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
  const AdamCoefficients c{hyper[1],
                           1 - hyper[1],
                           hyper[2],
                           1 - hyper[2],
                           hyper[4],
                           hyper[0] / (1 - hyper[6]),
                           1 / std::sqrt(1 - hyper[7]),
                           hyper[3]};
  const auto run = AXPY_SIMD(adamRange<T>);
  forElements(parameters, [&](int64_t i, int64_t begin, int64_t end) {
    run(parameters[i].data + begin, means[i].data + begin, squares[i].data + begin, gradients[i].data + begin,
        end - begin, decays[i] != 0, c);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(sgd, "parameters", "velocities", "gradients", "hyper", "decays"),
    AXPY_KERNEL(adamAdvance, "hyper"),
    AXPY_FLOAT_KERNEL(adam, "parameters", "means", "squares", "gradients", "hyper", "decays"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
