// Elementwise losses l(prediction, target) and their derivatives.

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"
#include "math-inl.h"

#include <cmath>
#include <limits>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Value gets p and t; Slope, of ∂l/∂p or ∂l/∂t, likewise. δ is the parameter.
template <LossOp op>
struct Loss;

template <class D>
HWY_INLINE hn::Vec<D> constant(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

/// A logarithm of cross-entropy: at least −100; NaN stays.
template <class D, class V>
HWY_INLINE V bounded(D d, V logarithm) {
  const V least = constant(d, -100);
  return hn::IfThenElse(hn::Lt(logarithm, least), least, logarithm);
}

template <>
struct Loss<LossOp::squaredError> {
  template <class D, class V>
  static HWY_INLINE V value(D, V p, V t, V) {
    const V difference = hn::Sub(p, t);
    return hn::Mul(difference, difference);
  }
  template <class D, class V>
  static HWY_INLINE V slope(D, V p, V t, V, bool byTarget) {
    const V difference = byTarget ? hn::Sub(t, p) : hn::Sub(p, t);
    return hn::Add(difference, difference);
  }
};

template <>
struct Loss<LossOp::absoluteError> {
  template <class D, class V>
  static HWY_INLINE V value(D, V p, V t, V) {
    return hn::Abs(hn::Sub(p, t));
  }
  template <class D, class V>
  static HWY_INLINE V slope(D d, V p, V t, V, bool byTarget) {
    return signOf(d, byTarget ? hn::Sub(t, p) : hn::Sub(p, t));
  }
};

template <>
struct Loss<LossOp::huber> {
  template <class D, class V>
  static HWY_INLINE V value(D d, V p, V t, V delta) {
    const V distance = hn::Abs(hn::Sub(p, t));
    const V half = constant(d, 0.5);
    const V near = hn::Mul(half, hn::Mul(distance, distance));
    const V far = hn::Mul(delta, hn::NegMulAdd(half, delta, distance));
    return hn::IfThenElse(hn::Le(distance, delta), near, far);
  }
  template <class D, class V>
  static HWY_INLINE V slope(D d, V p, V t, V delta, bool byTarget) {
    const V difference = byTarget ? hn::Sub(t, p) : hn::Sub(p, t);
    const auto far = hn::Gt(hn::Abs(difference), delta);
    return hn::IfThenElse(far, hn::Mul(delta, signOf(d, difference)), difference);
  }
};

template <>
struct Loss<LossOp::binaryCrossEntropy> {
  template <class D, class V>
  static HWY_INLINE V value(D d, V p, V t, V) {
    // Logarithms by a power of two smaller for the time being, so that no product with one overflows.
    const V unit = constant(d, 0x1p-7);
    const V here = hn::Mul(t, hn::Mul(unit, bounded(d, log(d, p))));
    const V there = hn::Mul(unit, bounded(d, log1p(d, hn::Neg(p))));
    return hn::Mul(constant(d, -0x1p7), hn::MulAdd(hn::Sub(constant(d, 1), t), there, here));
  }
  template <class D, class V>
  static HWY_INLINE V slope(D d, V p, V t, V, bool byTarget) {
    if (byTarget) return hn::Sub(bounded(d, log1p(d, hn::Neg(p))), bounded(d, log(d, p)));
    const V variance = hn::Mul(p, hn::Sub(constant(d, 1), p));
    const V least = constant(d, 1e-12);
    return hn::Div(hn::Sub(p, t), hn::IfThenElse(hn::Lt(variance, least), least, variance));
  }
};

template <>
struct Loss<LossOp::binaryCrossEntropyWithLogits> {
  template <class D, class V>
  static HWY_INLINE V value(D d, V p, V t, V) {
    const V positive = hn::IfThenElseZero(hn::Gt(p, hn::Zero(d)), constant(d, 1));
    return hn::MulAdd(p, hn::Sub(positive, t), log1pUnit(d, exp(d, hn::Neg(hn::Abs(p)))));
  }
  template <class D, class V>
  static HWY_INLINE V slope(D d, V p, V t, V, bool byTarget) {
    return byTarget ? hn::Neg(p) : hn::Sub(sigmoid(d, p), t);
  }
};

template <>
struct Loss<LossOp::crossEntropy> {
  template <class D, class V>
  static HWY_INLINE V value(D d, V p, V t, V) {
    const V infinity = hn::Set(d, std::numeric_limits<hn::TFromD<D>>::infinity());
    const auto isNothing = hn::And(hn::Eq(t, hn::Zero(d)), hn::Eq(hn::Abs(p), infinity));
    return hn::Neg(hn::IfThenZeroElse(isNothing, hn::Mul(t, p)));
  }
  template <class D, class V>
  static HWY_INLINE V slope(D, V p, V t, V, bool byTarget) {
    return hn::Neg(byTarget ? p : t);
  }
};

template <LossOp op>
struct Value {
  double parameter;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V p, V t) const {
    return Loss<op>::value(d, p, t, constant(d, parameter));
  }
};

template <LossOp op>
struct ScaledValue {
  double parameter, scale;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V p, V t) const {
    return hn::Mul(constant(d, scale), Loss<op>::value(d, p, t, constant(d, parameter)));
  }
};

/// scale · g · slope, where a scale that makes smaller comes last: the gradient of a mean is small as it is.
template <LossOp op>
struct ScaledSlope {
  double parameter, before, after;
  bool byTarget;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V p, V t) const {
    const V slope = Loss<op>::slope(d, p, t, constant(d, parameter), byTarget);
    return hn::Mul(constant(d, after), hn::Mul(hn::Mul(constant(d, before), g), slope));
  }
};

/// factor · slope
template <LossOp op>
struct FactoredSlope {
  double parameter, factor;
  bool byTarget;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V p, V t) const {
    return hn::Mul(constant(d, factor), Loss<op>::slope(d, p, t, constant(d, parameter), byTarget));
  }
};

template <LossOp... ops, class F>
HWY_INLINE void select(LossOp op, const F& f) {
  ((op == ops ? f(std::integral_constant<LossOp, ops>()) : void()), ...);
}

template <class F>
HWY_INLINE void selectOp(LossOp op, const F& f) {
  using enum LossOp;
  select<squaredError, absoluteError, huber, binaryCrossEntropy, binaryCrossEntropyWithLogits, crossEntropy>(
      op, f);
}

/// out = f(in…): in float64 throughout where float32 is too narrow for its numbers, else only for results
/// that are not finite, unless these are so in any case.
template <bool leavesRange, class T, class F, class... In>
HWY_INLINE void mapAs(bool isWide, T* out, int64_t n, const F& f, In... in) {
  if (isWide) {
    map(out, n, Wide<F>{f}, in...);
  } else if (leavesRange) {
    mapSafe(out, n, f, in...);
  } else {
    map(out, n, f, in...);
  }
}

/// Whether a slope may be infinite in float32 that is not in float64: a difference, or a quotient of one.
constexpr bool slopeLeavesRange(LossOp op) {
  return op != LossOp::absoluteError && op != LossOp::binaryCrossEntropyWithLogits &&
         op != LossOp::crossEntropy;
}

/// Σ l
template <class T>
double total(const T* p, const T* t, int64_t n, LossOp op, double parameter, bool isWide) {
  double result = 0;
  selectOp(op, [&](auto code) HWY_ATTR {
    const Value<code.value> f{parameter};
    if (!isWide) result = sum<T>(n, f, p, t);
    if (isWide || !std::isfinite(result)) result = sumWide<T>(n, f, p, t);
  });
  return result;
}

template <class T>
void each(T* out, const T* p, const T* t, int64_t n, LossOp op, double parameter, double scale, bool isWide) {
  selectOp(op, [&](auto code) HWY_ATTR {
    mapAs<true>(isWide, out, n, ScaledValue<code.value>{parameter, scale}, p, t);
  });
}

template <class T>
void slopes(T* out, const T* g, int64_t stepG, const T* p, const T* t, int64_t n, LossOp op, double parameter,
            double scale, bool byTarget, bool isWide) {
  selectOp(op, [&](auto code) HWY_ATTR {
    if (stepG == 0) {
      const double factor = scale * static_cast<double>(*g);
      const FactoredSlope<code.value> slope{parameter, factor, byTarget};
      return mapAs<slopeLeavesRange(code.value)>(isWide || !fits<T>(factor), out, n, slope, p, t);
    }
    const bool shrinks = std::fabs(scale) <= 1;
    const ScaledSlope<code.value> slope{parameter, shrinks ? 1 : scale, shrinks ? scale : 1, byTarget};
    mapAs<true>(isWide, out, n, slope, g, p, t);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

constexpr int64_t chunk = parallel::heavyChunk;

/// Whether the scalars are out of the range of a T, or the scale makes large what was too small for one.
template <class T>
bool isWide(double parameter, double scale) {
  return sizeof(T) == sizeof(float) && !(fits<T>(parameter) && fits<T>(scale) && std::fabs(scale) <= 1024);
}

}  // namespace

template <class T>
void applyLoss(T* out, const T* prediction, const T* target, int64_t n, LossOp op, double parameter,
               double scale) {
  AXPY_SIMD(each<T>)(out, prediction, target, n, op, parameter, scale, isWide<T>(parameter, scale));
}

template <class T>
void applyLossGradient(T* out, const T* gradient, int64_t stepG, const T* prediction, const T* target,
                       int64_t n, LossOp op, double parameter, double scale, bool byTarget) {
  AXPY_SIMD(slopes<T>)
  (out, gradient, stepG, prediction, target, n, op, parameter, scale, byTarget, isWide<T>(parameter, scale));
}

template <class T>
void loss(const Check& check, Array<T> out, Array<const T> prediction, Array<const T> target, Code<LossOp> op,
          Number parameter, Number scale) {
  const int64_t n = prediction.length;
  check.lengthOneOr(out, static_cast<double>(n));
  check.length(target, static_cast<double>(n));
  const bool wide = isWide<T>(parameter, scale);
  if (out.length == n) {
    const auto run = AXPY_SIMD(each<T>);
    parallel::forRange(n, chunk, [&](int64_t begin, int64_t end) {
      run(out.data + begin, prediction.data + begin, target.data + begin, end - begin, op, parameter, scale,
          wide);
    });
    return;
  }
  std::vector<double> sums(static_cast<size_t>((n + chunk - 1) / chunk));
  const auto run = AXPY_SIMD(total<T>);
  parallel::forRange(n, chunk, [&](int64_t begin, int64_t end) {
    sums[begin / chunk] = run(prediction.data + begin, target.data + begin, end - begin, op, parameter, wide);
  });
  double all = 0;
  for (const double part : sums) all += part;
  out[0] = static_cast<T>(scale * all);
}

template <class T>
void lossGradient(const Check& check, Array<T> out, Array<const T> gradient, Array<const T> prediction,
                  Array<const T> target, Code<LossOp> op, Number parameter, Number scale, Flag operand) {
  const auto n = static_cast<double>(prediction.length);
  check.length(out, n);
  check.lengthOneOr(gradient, n);
  check.length(target, n);
  const int64_t step = gradient.length == prediction.length ? 1 : 0;
  const bool wide = isWide<T>(parameter, scale);
  const auto run = AXPY_SIMD(slopes<T>);
  parallel::forRange(out.length, chunk, [&](int64_t begin, int64_t end) {
    run(out.data + begin, gradient.data + begin * step, step, prediction.data + begin, target.data + begin,
        end - begin, op, parameter, scale, operand, wide);
  });
}

#define AXPY_INSTANTIATE(T)                                                                           \
  template void applyLoss(T*, const T*, const T*, int64_t, LossOp, double, double);                   \
  template void applyLossGradient(T*, const T*, int64_t, const T*, const T*, int64_t, LossOp, double, \
                                  double, bool)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(loss, "out", "prediction", "target", "op", "parameter", "scale"),
    AXPY_FLOAT_KERNEL(lossGradient, "out", "gradient", "prediction", "target", "op", "parameter", "scale",
                      "operand"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
