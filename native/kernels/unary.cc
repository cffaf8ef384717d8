// f(x), its derivative, and the epilogue of products.

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unary.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"
#include "math-inl.h"

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

// ── f
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// Each gets the tag, the input and the two parameters as vectors.

template <UnaryOp op>
struct Forward;

#define AXPY_FORWARD(OP, ...)                                                             \
  template <>                                                                             \
  struct Forward<UnaryOp::OP> {                                                           \
    template <class D, class V>                                                           \
    HWY_INLINE V operator()(D d, V x, [[maybe_unused]] V p, [[maybe_unused]] V q) const { \
      __VA_ARGS__                                                                         \
    }                                                                                     \
  }

template <class D>
HWY_INLINE hn::Vec<D> constant(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

AXPY_FORWARD(neg, (void)d; return hn::Neg(x););
AXPY_FORWARD(exp, return exp(d, x););
AXPY_FORWARD(log, return log(d, x););
AXPY_FORWARD(sqrt, (void)d; return hn::Sqrt(x););
AXPY_FORWARD(abs, (void)d; return hn::Abs(x););
AXPY_FORWARD(square, (void)d; return hn::Mul(x, x););
AXPY_FORWARD(reciprocal, return hn::Div(constant(d, 1), x););
AXPY_FORWARD(sign, return signOf(d, x););
AXPY_FORWARD(scale, (void)d; return hn::MulAdd(p, x, q););
// A bound that is NaN gives NaN, as x does.
AXPY_FORWARD(clip, (void)d; const V raised = hn::IfThenElse(hn::Or(hn::Ge(x, p), hn::IsNaN(x)), x, p);
             return hn::IfThenElse(hn::Or(hn::Le(raised, q), hn::IsNaN(raised)), raised, q););
AXPY_FORWARD(relu, return hn::IfThenElse(hn::Le(x, hn::Zero(d)), hn::Zero(d), x););
AXPY_FORWARD(leakyRelu, return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(p, x)););
AXPY_FORWARD(elu, const auto positive = hn::Gt(x, hn::Zero(d));
             const V below = expm1NonPositive(d, hn::IfThenZeroElse(positive, x));
             return hn::IfThenElse(positive, x, hn::Mul(p, below)););
AXPY_FORWARD(gelu, return gelu(d, x););
AXPY_FORWARD(silu, return silu(d, x););
AXPY_FORWARD(softplus, return softplus(d, x););
AXPY_FORWARD(sigmoid, return sigmoid(d, x););
AXPY_FORWARD(tanh, return tanh(d, x););
AXPY_FORWARD(log1p, return log1p(d, x););
AXPY_FORWARD(expm1, return expm1(d, x););
AXPY_FORWARD(logSigmoid, return logSigmoid(d, x););
AXPY_FORWARD(sin, return sin(d, x););
AXPY_FORWARD(cos, return cos(d, x););
AXPY_FORWARD(floor, (void)d; return hn::Floor(x););
AXPY_FORWARD(ceil, (void)d; return hn::Ceil(x););
AXPY_FORWARD(round, (void)d; return hn::Round(x););

// ── f′
// ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// Each gets the gradient g and s, the input or the output as `readsOutput` says, and returns g · f′.

template <UnaryOp op>
struct Backward;

#define AXPY_BACKWARD(OP, ...)                                                                 \
  template <>                                                                                  \
  struct Backward<UnaryOp::OP> {                                                               \
    template <class D, class V>                                                                \
    HWY_INLINE V operator()(D d, V g, V s, [[maybe_unused]] V p, [[maybe_unused]] V q) const { \
      __VA_ARGS__                                                                              \
    }                                                                                          \
  }

/// The gradient where the mask holds, else 0 whatever it is; NaN where s is.
template <class D, class M, class V>
HWY_INLINE V masked(D d, M mask, V g, V s) {
  return hn::IfThenElse(hn::IsNaN(s), s, hn::IfThenElse(mask, g, hn::Zero(d)));
}

// Products are taken in an order in which nothing leaves the range on the way to a result that does not.
AXPY_BACKWARD(neg, (void)d; (void)s; return hn::Neg(g););
AXPY_BACKWARD(exp, (void)d; return hn::Mul(g, s););
AXPY_BACKWARD(log, (void)d; return hn::Div(g, s););
AXPY_BACKWARD(sqrt, const auto large = hn::Gt(hn::Abs(s), constant(d, 1));
              return hn::Div(hn::IfThenElse(large, hn::Mul(constant(d, 0.5), g), g),
                             hn::IfThenElse(large, s, hn::Add(s, s))););
AXPY_BACKWARD(abs, return hn::Mul(g, signOf(d, s)););
AXPY_BACKWARD(square, return hn::Mul(constant(d, 2), hn::Mul(g, s)););
AXPY_BACKWARD(reciprocal, using C = ConstantsOf<D>; const V square = hn::Mul(s, s);
              const auto inRange = hn::And(hn::Ge(square, hn::Set(d, C::minNormal)),
                                           hn::Le(square, hn::Set(d, C::most)));
              return hn::Neg(hn::IfThenElse(inRange, hn::Mul(g, square), hn::Mul(hn::Mul(g, s), s))););
AXPY_BACKWARD(sign, (void)g; (void)s; return hn::Zero(d););
AXPY_BACKWARD(scale, (void)d; (void)s; return hn::Mul(g, p););
AXPY_BACKWARD(clip, return masked(d, hn::And(hn::Ge(s, p), hn::Le(s, q)), g, s););
AXPY_BACKWARD(relu, return masked(d, hn::Gt(s, hn::Zero(d)), g, s););
AXPY_BACKWARD(leakyRelu, const V slope = hn::IfThenElse(hn::Gt(s, hn::Zero(d)), constant(d, 1), p);
              return hn::Mul(g, hn::IfThenElse(hn::IsNaN(s), s, slope)););
AXPY_BACKWARD(elu, return hn::Mul(g, hn::IfThenElse(hn::Gt(s, hn::Zero(d)), constant(d, 1), hn::Add(s, p))););
AXPY_BACKWARD(gelu, return hn::Mul(g, geluSlope(d, s)););
AXPY_BACKWARD(silu, V complement; const V y = sigmoid(d, s, complement);
              const V slope = hn::MulAdd(finite(d, s), complement, constant(d, 1));
              return hn::Mul(g, hn::Mul(y, slope)););
AXPY_BACKWARD(softplus, const V y = hn::IfThenElse(hn::Lt(s, hn::Zero(d)), hn::Zero(d), s);
              return hn::Mul(g, hn::Neg(expm1NonPositive(d, hn::Neg(y)))););
AXPY_BACKWARD(sigmoid, return hn::Mul(hn::Mul(g, s), hn::Sub(constant(d, 1), s)););
AXPY_BACKWARD(tanh, const V y = hn::Abs(s); const V one = constant(d, 1);
              return hn::Mul(hn::Mul(g, hn::Sub(one, y)), hn::Add(one, y)););
AXPY_BACKWARD(log1p, return hn::Div(g, hn::Add(constant(d, 1), s)););
AXPY_BACKWARD(expm1, return hn::Mul(g, exp(d, s)););
AXPY_BACKWARD(logSigmoid, const V y = hn::IfThenElse(hn::Gt(s, hn::Zero(d)), hn::Zero(d), s);
              return hn::Mul(g, hn::Neg(expm1NonPositive(d, y))););
AXPY_BACKWARD(sin, return hn::Mul(g, cos(d, s)););
AXPY_BACKWARD(cos, return hn::Mul(g, hn::Neg(sin(d, s))););
AXPY_BACKWARD(floor, (void)g; (void)s; return hn::Zero(d););
AXPY_BACKWARD(ceil, (void)g; (void)s; return hn::Zero(d););
AXPY_BACKWARD(round, (void)g; (void)s; return hn::Zero(d););

#undef AXPY_FORWARD
#undef AXPY_BACKWARD

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

/// Calls run with F and its parameters bound, in float64 where float32 is too narrow for them: as they are,
/// or as large as the terms that they are added to.
template <UnaryOp op, class T, template <UnaryOp> class F, class Run>
HWY_INLINE void bind(double p, double q, const Run& run) {
  const WithParameters<F<op>> f{{}, p, q};
  if constexpr (op == UnaryOp::sin || op == UnaryOp::cos) {
    // Near multiples of π/2 float32 has no digits left.
    return run(Wide<decltype(f)>{f});
  } else {
    if constexpr (sizeof(T) == sizeof(float) && (op == UnaryOp::scale || op == UnaryOp::clip ||
                                                 op == UnaryOp::leakyRelu || op == UnaryOp::elu)) {
      const double added = op == UnaryOp::scale ? q : op == UnaryOp::elu ? p : 0;
      const bool isLarge = std::fabs(added) > 0x1p100;
      if (!fits<T>(p) || !fits<T>(q) || isLarge) return run(Wide<decltype(f)>{f});
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
    map(out, n, WithParameters<Forward<UnaryOp::square>>{{}, 0, 0}, x);
  } else if (p == -1) {
    map(out, n, WithParameters<Forward<UnaryOp::reciprocal>>{{}, 0, 0}, x);
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
    map(out, n, WithParameters<Backward<UnaryOp::square>>{{}, 0, 0}, g, x);
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
    bind<code.value, T, Forward>(p, q, [&](const auto& f) HWY_ATTR { map(out, n, f, x); });
  });
}

template <class T>
void forwardBiased(T* out, const T* x, const T* bias, int64_t n, UnaryOp op, double p, double q) {
  if (op == UnaryOp::powScalar) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] + bias[i];
    return forwardPower(out, out, n, p);
  }
  selectOp(op, [&](auto code) HWY_ATTR {
    bind<code.value, T, Forward>(p, q,
                                 [&]<class F>(const F& f) HWY_ATTR { map(out, n, Biased<F>{f}, x, bias); });
  });
}

template <class T>
void backward(T* out, const T* g, const T* s, int64_t n, UnaryOp op, double p, double q) {
  if (op == UnaryOp::powScalar) return backwardPower(out, g, s, n, p);
  selectOp(op, [&](auto code) HWY_ATTR {
    bind<code.value, T, Backward>(p, q, [&](const auto& f) HWY_ATTR { map(out, n, f, g, s); });
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
