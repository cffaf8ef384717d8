// f(x), its derivative, and the epilogue of products.

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unary.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "formulas-inl.h"

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

// ── loops
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// F with its parameters bound.
template <class F>
struct WithParameters {
  F f;
  double p, q;

  template <class D, class... V>
  HWY_INLINE hn::Vec<D> operator()(D d, V... v) const {
    return f(d, v..., constant(d, p), constant(d, q));
  }
};

/// Calls run with F and its parameters bound, in float64 where float32 is too narrow for them.
template <UnaryOp op, class T, template <UnaryOp> class F, class Run>
HWY_INLINE void bind(double p, double q, const Run& run) {
  const WithParameters<F<op>> f{{}, p, q};
  if constexpr (op == UnaryOp::sin || op == UnaryOp::cos) {
    // Near multiples of π/2 float32 has no digits left.
    return run(Wide<decltype(f)>{f});
  } else {
    if constexpr (sizeof(T) == sizeof(float) && (op == UnaryOp::scale || op == UnaryOp::clip ||
                                                 op == UnaryOp::leakyRelu || op == UnaryOp::elu)) {
      if (leavesRange<T>(op, p, q)) return run(Wide<decltype(f)>{f});
    }
    run(f);
  }
}

/// f(x + bias)
template <class F>
struct Biased {
  F f;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, V bias) const {
    return f(d, hn::Add(x, bias));
  }
};

/// xᵖ
template <bool precise>
struct Power {
  double p;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return pow<precise>(d, x, constant(d, p));
  }
};

/// g · p·xᵖ⁻¹
template <bool precise>
struct PowerSlope {
  double p;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V x) const {
    return hn::Mul(g, hn::Mul(constant(d, p), pow<precise>(d, x, constant(d, p - 1))));
  }
};

/// The same for exponents in steps of ½.
struct PowerByProducts {
  HalfSteps exponent;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return powHalfSteps(d, x, exponent);
  }
};

struct PowerSlopeByProducts {
  double p;
  HalfSteps exponent;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V x) const {
    return hn::Mul(g, hn::Mul(constant(d, p), powHalfSteps(d, x, exponent)));
  }
};

/// Calls f(std::integral_constant) for an op known at run time.
template <UnaryOp... ops, class F>
HWY_INLINE void select(UnaryOp op, const F& f) {
  ((op == ops ? f(std::integral_constant<UnaryOp, ops>()) : void()), ...);
}

template <class F>
HWY_INLINE void selectOp(UnaryOp op, const F& f) {
  using enum UnaryOp;
  select<neg, exp, log, sqrt, abs, square, reciprocal, sign, scale, clip, relu, leakyRelu, elu, gelu, silu,
         softplus, sigmoid, tanh, log1p, expm1, logSigmoid, sin, cos, floor, ceil, round>(op, f);
}

/// In float64, rounded once, but for what is exact enough without; float64 itself to its last digits.
template <class T>
void forwardPower(T* out, const T* x, int64_t n, double p) {
  if (p == 2) {
    map(out, n, WithParameters<Unary<UnaryOp::square>>{{}, 0, 0}, x);
  } else if (p == -1) {
    map(out, n, WithParameters<Unary<UnaryOp::reciprocal>>{{}, 0, 0}, x);
  } else if (p == 0.5 || p == -0.5) {
    map(out, n, PowerByProducts{HalfSteps(p)}, x);
  } else if (HalfSteps::fit<T>(p)) {
    map(out, n, Wide<PowerByProducts>{{HalfSteps(p)}}, x);
  } else {
    map(out, n, Wide<Power<sizeof(T) == sizeof(double)>>{{p}}, x);
  }
}

template <class T>
void backwardPower(T* out, const T* g, const T* x, int64_t n, double p) {
  if (p == 0) {
    // x⁰ is constant, at 0 too, where the formula would give 0 · ∞.
    std::fill(out, out + n, T(0));
  } else if (p == 2) {
    map(out, n, WithParameters<UnarySlope<UnaryOp::square>>{{}, 0, 0}, g, x);
  } else if (p == 0.5) {
    map(out, n, PowerSlopeByProducts{p, HalfSteps(p - 1)}, g, x);
  } else if (HalfSteps::fit<T>(p - 1)) {
    map(out, n, Wide<PowerSlopeByProducts>{{p, HalfSteps(p - 1)}}, g, x);
  } else {
    map(out, n, Wide<PowerSlope<sizeof(T) == sizeof(double)>>{{p}}, g, x);
  }
}

template <class T>
void forward(T* out, const T* x, int64_t n, UnaryOp op, double p, double q) {
  if (op == UnaryOp::powScalar) return forwardPower(out, x, n, p);
  selectOp(op, [&](auto code) HWY_ATTR {
    bind<code.value, T, Unary>(p, q, [&](const auto& f) HWY_ATTR { map(out, n, f, x); });
  });
}

template <class T>
void forwardBiased(T* out, const T* x, const T* bias, int64_t n, UnaryOp op, double p, double q) {
  if (op == UnaryOp::powScalar) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] + bias[i];
    return forwardPower(out, out, n, p);
  }
  selectOp(op, [&](auto code) HWY_ATTR {
    bind<code.value, T, Unary>(p, q,
                               [&]<class F>(const F& f) HWY_ATTR { map(out, n, Biased<F>{f}, x, bias); });
  });
}

template <class T>
void backward(T* out, const T* g, const T* s, int64_t n, UnaryOp op, double p, double q) {
  if (op == UnaryOp::powScalar) return backwardPower(out, g, s, n, p);
  selectOp(op, [&](auto code) HWY_ATTR {
    bind<code.value, T, UnarySlope>(p, q, [&](const auto& f) HWY_ATTR { map(out, n, f, g, s); });
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

int64_t chunkOf(UnaryOp op) { return isHeavy(op) ? parallel::heavyChunk : parallel::lightChunk; }

}  // namespace

bool isHeavy(UnaryOp op) {
  switch (op) {
    case UnaryOp::exp:
    case UnaryOp::log:
    case UnaryOp::elu:
    case UnaryOp::gelu:
    case UnaryOp::silu:
    case UnaryOp::softplus:
    case UnaryOp::sigmoid:
    case UnaryOp::tanh:
    case UnaryOp::powScalar:
    case UnaryOp::log1p:
    case UnaryOp::expm1:
    case UnaryOp::logSigmoid:
    case UnaryOp::sin:
    case UnaryOp::cos:
      return true;
    default:
      return false;
  }
}

template <class T>
void applyUnary(T* out, const T* x, int64_t n, UnaryOp op, double p, double q) {
  AXPY_SIMD(forward<T>)(out, x, n, op, p, q);
}

template <class T>
void applyUnaryBiased(T* out, const T* x, const T* bias, int64_t n, UnaryOp op, double p, double q) {
  AXPY_SIMD(forwardBiased<T>)(out, x, bias, n, op, p, q);
}

template <class T>
void applyUnaryGradient(T* out, const T* gradient, const T* kept, int64_t n, UnaryOp op, double p, double q) {
  AXPY_SIMD(backward<T>)(out, gradient, kept, n, op, p, q);
}

template <class T>
void unary(const Check& check, Array<T> out, Array<const T> x, Code<UnaryOp> op, AnyNumber p, AnyNumber q) {
  check.length(x, static_cast<double>(out.length));
  const auto run = AXPY_SIMD(forward<T>);
  parallel::forRange(out.length, chunkOf(op), [&](int64_t begin, int64_t end) {
    run(out.data + begin, x.data + begin, end - begin, op, p, q);
  });
}

template <class T>
void unaryGradient(const Check& check, Array<T> out, Array<const T> gradient, Nullable<const T> x,
                   Nullable<const T> y, Code<UnaryOp> op, AnyNumber p, AnyNumber q) {
  check.length(gradient, static_cast<double>(out.length));
  if (!x.null) check.length(x, static_cast<double>(out.length));
  if (!y.null) check.length(y, static_cast<double>(out.length));
  const Array<const T>& read = readsOutput(op) ? y : x;
  if (read.null && (readsOutput(op) || readsInput(op))) {
    check.fail(read.position,
               std::string("to be ") + (sizeof(T) == 4 ? "a Float32Array" : "a Float64Array") + " like " +
                   check.name(out.position) + " for this op",
               "null");
  }
  const T* s = read.null ? gradient.data : read.data;
  const auto run = AXPY_SIMD(backward<T>);
  parallel::forRange(out.length, chunkOf(op), [&](int64_t begin, int64_t end) {
    run(out.data + begin, gradient.data + begin, s + begin, end - begin, op, p, q);
  });
}

#define AXPY_INSTANTIATE(T)                                                                 \
  template void applyUnary(T*, const T*, int64_t, UnaryOp, double, double);                 \
  template void applyUnaryBiased(T*, const T*, const T*, int64_t, UnaryOp, double, double); \
  template void applyUnaryGradient(T*, const T*, const T*, int64_t, UnaryOp, double, double)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(unary, "out", "x", "op", "p", "q"),
    AXPY_FLOAT_KERNEL(unaryGradient, "out", "gradient", "x", "y", "op", "p", "q"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
