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
#include <array>
#include <cmath>

#include "workspaces.h"

#ifndef AXPY_OPTIMIZER_COEFFICIENTS
#define AXPY_OPTIMIZER_COEFFICIENTS
namespace axpy {

struct SgdCoefficients {
  double learningRate, momentum, fresh /* 1 − dampening */, lambda;
  bool nesterov;
};

struct AdamCoefficients {
  double beta1, fresh1, beta2, fresh2, lambda, epsilon;
  double kept;  // of a parameter before the step: 1 − learningRate·λ where it decays by itself, else 1
};

/// Of one parameter, by its count of steps t.
struct AdamCorrections {
  double step;        // learningRate / (1 − β₁ᵗ)
  double secondRoot;  // 1 / √(1 − β₂ᵗ)
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
inline void adamOne(T& parameter, T& mean, T& square, T gradient, bool decays, const AdamCoefficients& c,
                    const AdamCorrections& corrections) {
  const double p = parameter, g = decays ? c.lambda * p + static_cast<double>(gradient) : gradient;
  mean = static_cast<T>(c.beta1 * static_cast<double>(mean) + c.fresh1 * g);
  square = static_cast<T>(c.beta2 * static_cast<double>(square) + c.fresh2 * g * g);
  const double denominator = std::sqrt(static_cast<double>(square)) * corrections.secondRoot + c.epsilon;
  parameter = static_cast<T>(c.kept * p - corrections.step * (static_cast<double>(mean) / denominator));
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
               const AdamCoefficients& c, const AdamCorrections& corrections) {
  const hn::ScalableTag<T> d;
  const auto beta1 = constant(d, c.beta1), fresh1 = constant(d, c.fresh1), beta2 = constant(d, c.beta2),
             fresh2 = constant(d, c.fresh2), step = constant(d, corrections.step),
             root = constant(d, corrections.secondRoot), epsilon = constant(d, c.epsilon),
             kept = constant(d, c.kept);
  const auto gradientOf = slope<T>(decays, c.lambda);
  forVectors<T>(n, [&](auto load, auto store, int64_t begin, int64_t end) HWY_ATTR {
    const auto g = gradientOf(load, parameter, gradient);
    const auto first = hn::MulAdd(beta1, load(mean), hn::Mul(fresh1, g));
    // Scaled before it is squared: a large gradient overflows later.
    const auto second = hn::MulAdd(beta2, load(square), hn::Mul(hn::Mul(fresh2, g), g));
    const auto denominator = hn::MulAdd(hn::Sqrt(second), root, epsilon);
    const auto p = hn::NegMulAdd(step, hn::Div(first, denominator), hn::Mul(kept, load(parameter)));
    if (areRight(d, first, second, p)) {
      store(first, mean);
      store(second, square);
      store(p, parameter);
      return;
    }
    for (int64_t i = begin; i < end; i++) {
      adamOne(parameter[i], mean[i], square[i], gradient[i], decays, c, corrections);
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

/// Each array as long as the gradient of its parameter, of which `outs` has so many.
template <class T>
void checkLengths(const Check& check, const List<T>& outs, const List<const T>& gradients, int64_t each) {
  for (int64_t i = 0; i < outs.length; i++) {
    const int64_t length = gradients[i / each].length;
    if (outs[i].length == length) continue;
    check.failAt(outs.position, i, "to have length " + std::to_string(length),
                 std::to_string(outs[i].length));
  }
}

/// What is known of each parameter of a call: of a small model on the stack, as memory costs more than its
/// step.
template <class Known>
class Each {
 public:
  explicit Each(int64_t count)
      : many_(count > few ? count : 0), data_(count > few ? many_.data() : few_.data()) {}
  Known& operator[](int64_t i) const { return data_[i]; }

 private:
  static constexpr int64_t few = 16;
  std::array<Known, few> few_;
  const Buffer<Known> many_;
  Known* const data_;
};

/// Reads the rows of the parameters, each once, as another thread may write to the array, and checks them.
template <class Scalar, class Known>
void readRows(const Check& check, const Array<Scalar>& scalars, const Array<const int32_t>& rows,
              int64_t width, const Each<Known>& each) {
  if (scalars.length % width != 0) {
    check.fail(scalars.position, "to have a length that is a multiple of " + std::to_string(width),
               std::to_string(scalars.length));
  }
  for (int64_t i = 0; i < rows.length; i++) {
    each[i].row = rows[i];
    check.index(rows.position, i, each[i].row, scalars.length / width);
  }
}

}  // namespace

template <class T>
void sgd(const Check& check, const List<T>& outs, const List<const T>& gradients, Array<const double> scalars,
         Array<const int32_t> rows, Array<const double> hyper) {
  const int64_t n = gradients.length;
  check.length(rows, static_cast<double>(n));
  check.length(hyper, 5);
  const int64_t parts = n > 0 && outs.length == 2 * n ? 2 : 1;
  if (outs.length != parts * n) {
    check.fail(outs.position, "to have length " + std::to_string(n) + " or " + std::to_string(2 * n),
               std::to_string(outs.length));
  }
  checkLengths(check, outs, gradients, parts);
  struct Known {
    int32_t row;
  };
  const Each<Known> each(n);
  readRows(check, scalars, rows, 1, each);
  const SgdCoefficients c{hyper[0], hyper[1], 1 - hyper[2], hyper[4], hyper[3] != 0};
  const auto run = AXPY_SIMD(sgdRange<T>);
  forElements(gradients, [&](int64_t i, int64_t begin, int64_t end) {
    const bool decays = scalars[each[i].row] * c.lambda != 0;
    run(outs[i * parts].data + begin, parts == 1 ? nullptr : outs[i * 2 + 1].data + begin,
        gradients[i].data + begin, end - begin, decays, c);
  });
}

template <class T>
void adam(const Check& check, const List<T>& outs, const List<const T>& gradients, Array<double> scalars,
          Array<const int32_t> rows, Array<const double> hyper, Flag decoupled) {
  const int64_t n = gradients.length;
  check.length(rows, static_cast<double>(n));
  check.length(hyper, 5);
  check.length(outs, static_cast<double>(3 * n));
  checkLengths(check, outs, gradients, 3);
  struct Known {
    int32_t row;
    AdamCorrections corrections;
  };
  const Each<Known> each(n);
  readRows(check, scalars, rows, 2, each);
  const double kept = decoupled ? 1 - hyper[0] * hyper[4] : 1;
  const AdamCoefficients c{hyper[1], 1 - hyper[1], hyper[2], 1 - hyper[2], hyper[4], hyper[3], kept};
  double before = 0;  // the steps of the parameter before, as most have as many: powers are expensive
  for (int64_t i = 0; i < n; i++) {
    const double t = scalars[2 * int64_t{each[i].row} + 1] += 1;
    each[i].corrections = i > 0 && t == before ? each[i - 1].corrections
                                               : AdamCorrections{hyper[0] / (1 - std::pow(c.beta1, t)),
                                                                 1 / std::sqrt(1 - std::pow(c.beta2, t))};
    before = t;
  }
  const auto run = AXPY_SIMD(adamRange<T>);
  forElements(gradients, [&](int64_t i, int64_t begin, int64_t end) {
    const auto& [row, corrections] = each[i];
    const bool decays = !decoupled && scalars[2 * int64_t{row}] * c.lambda != 0;
    run(outs[3 * i].data + begin, outs[3 * i + 1].data + begin, outs[3 * i + 2].data + begin,
        gradients[i].data + begin, end - begin, decays, c, corrections);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(sgd, "outs", "gradients", "scalars", "rows", "hyper"),
    AXPY_FLOAT_KERNEL(adam, "outs", "gradients", "scalars", "rows", "hyper", "decoupled"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
