// What elementwise ops make of vectors: f(x), f(a, b), and what they make of a gradient. Included once per
// target, hence the toggle instead of a guard.
#if defined(AXPY_FORMULAS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_FORMULAS_INL_H_
#undef AXPY_FORMULAS_INL_H_
#else
#define AXPY_FORMULAS_INL_H_
#endif

#include <type_traits>

#include "codes.h"
#include "loops-inl.h"
#include "math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE hn::Vec<D> constant(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

// ── f(x)
// ────────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// Each gets the tag, the input and the two parameters as vectors.

template <UnaryOp op>
struct Unary;

#define AXPY_UNARY(OP, ...)                                                               \
  template <>                                                                             \
  struct Unary<UnaryOp::OP> {                                                             \
    template <class D, class V>                                                           \
    HWY_INLINE V operator()(D d, V x, [[maybe_unused]] V p, [[maybe_unused]] V q) const { \
      __VA_ARGS__                                                                         \
    }                                                                                     \
  }

AXPY_UNARY(neg, (void)d; return hn::Neg(x););
AXPY_UNARY(exp, return exp(d, x););
AXPY_UNARY(log, return log(d, x););
AXPY_UNARY(sqrt, (void)d; return hn::Sqrt(x););
AXPY_UNARY(abs, (void)d; return hn::Abs(x););
AXPY_UNARY(square, (void)d; return hn::Mul(x, x););
AXPY_UNARY(reciprocal, return hn::Div(constant(d, 1), x););
AXPY_UNARY(sign, return signOf(d, x););
AXPY_UNARY(scale, (void)d; return hn::MulAdd(p, x, q););
// A bound that is NaN gives NaN, as x does.
AXPY_UNARY(clip, (void)d; const V raised = hn::IfThenElse(hn::Or(hn::Ge(x, p), hn::IsNaN(x)), x, p);
           return hn::IfThenElse(hn::Or(hn::Le(raised, q), hn::IsNaN(raised)), raised, q););
AXPY_UNARY(relu, return hn::IfThenElse(hn::Le(x, hn::Zero(d)), hn::Zero(d), x););
AXPY_UNARY(leakyRelu, return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(p, x)););
AXPY_UNARY(elu, const auto positive = hn::Gt(x, hn::Zero(d));
           const V below = expm1NonPositive(d, hn::IfThenZeroElse(positive, x));
           return hn::IfThenElse(positive, x, hn::Mul(p, below)););
AXPY_UNARY(gelu, return gelu(d, x););
AXPY_UNARY(silu, return silu(d, x););
AXPY_UNARY(softplus, return softplus(d, x););
AXPY_UNARY(sigmoid, return sigmoid(d, x););
AXPY_UNARY(tanh, return tanh(d, x););
AXPY_UNARY(log1p, return log1p(d, x););
AXPY_UNARY(expm1, return expm1(d, x););
AXPY_UNARY(logSigmoid, return logSigmoid(d, x););
AXPY_UNARY(sin, return sin(d, x););
AXPY_UNARY(cos, return cos(d, x););
// Where vectors have no such instruction, the sign of −0 is lost.
AXPY_UNARY(floor, (void)d; return hn::CopySign(hn::Floor(x), x););
AXPY_UNARY(ceil, (void)d; return hn::CopySign(hn::Ceil(x), x););
AXPY_UNARY(round, (void)d; return hn::CopySign(hn::Round(x), x););

// ── f′(x)
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// Each gets the gradient g and s, the input or the output as `readsOutput` says, and returns g · f′.

template <UnaryOp op>
struct UnarySlope;

#define AXPY_UNARY_SLOPE(OP, ...)                                                              \
  template <>                                                                                  \
  struct UnarySlope<UnaryOp::OP> {                                                             \
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
AXPY_UNARY_SLOPE(neg, (void)d; (void)s; return hn::Neg(g););
AXPY_UNARY_SLOPE(exp, (void)d; return hn::Mul(g, s););
AXPY_UNARY_SLOPE(log, (void)d; return hn::Div(g, s););
AXPY_UNARY_SLOPE(sqrt, const auto large = hn::Gt(hn::Abs(s), constant(d, 1));
                 return hn::Div(hn::IfThenElse(large, hn::Mul(constant(d, 0.5), g), g),
                                hn::IfThenElse(large, s, hn::Add(s, s))););
AXPY_UNARY_SLOPE(abs, return hn::Mul(g, signOf(d, s)););
AXPY_UNARY_SLOPE(square, return hn::Mul(constant(d, 2), hn::Mul(g, s)););
AXPY_UNARY_SLOPE(reciprocal, using C = ConstantsOf<D>; const V square = hn::Mul(s, s);
                 const auto inRange = hn::And(hn::Ge(square, hn::Set(d, C::minNormal)),
                                              hn::Le(square, hn::Set(d, C::most)));
                 return hn::Neg(hn::IfThenElse(inRange, hn::Mul(g, square), hn::Mul(hn::Mul(g, s), s))););
AXPY_UNARY_SLOPE(sign, (void)g; (void)s; return hn::Zero(d););
AXPY_UNARY_SLOPE(scale, (void)d; (void)s; return hn::Mul(g, p););
AXPY_UNARY_SLOPE(clip, return masked(d, hn::And(hn::Ge(s, p), hn::Le(s, q)), g, s););
AXPY_UNARY_SLOPE(relu, return masked(d, hn::Gt(s, hn::Zero(d)), g, s););
AXPY_UNARY_SLOPE(leakyRelu, const V slope = hn::IfThenElse(hn::Gt(s, hn::Zero(d)), constant(d, 1), p);
                 return hn::Mul(g, hn::IfThenElse(hn::IsNaN(s), s, slope)););
AXPY_UNARY_SLOPE(elu,
                 return hn::Mul(g, hn::IfThenElse(hn::Gt(s, hn::Zero(d)), constant(d, 1), hn::Add(s, p))););
AXPY_UNARY_SLOPE(gelu, return hn::Mul(g, geluSlope(d, s)););
AXPY_UNARY_SLOPE(silu, V complement; const V y = sigmoid(d, s, complement);
                 const V slope = hn::MulAdd(finite(d, s), complement, constant(d, 1));
                 return hn::Mul(g, hn::Mul(y, slope)););
AXPY_UNARY_SLOPE(softplus, const V y = hn::IfThenElse(hn::Lt(s, hn::Zero(d)), hn::Zero(d), s);
                 return hn::Mul(g, hn::Neg(expm1NonPositive(d, hn::Neg(y)))););
AXPY_UNARY_SLOPE(sigmoid, return hn::Mul(hn::Mul(g, s), hn::Sub(constant(d, 1), s)););
AXPY_UNARY_SLOPE(tanh, const V y = hn::Abs(s); const V one = constant(d, 1);
                 return hn::Mul(hn::Mul(g, hn::Sub(one, y)), hn::Add(one, y)););
AXPY_UNARY_SLOPE(log1p, return hn::Div(g, hn::Add(constant(d, 1), s)););
AXPY_UNARY_SLOPE(expm1, return hn::Mul(g, exp(d, s)););
AXPY_UNARY_SLOPE(logSigmoid, const V y = hn::IfThenElse(hn::Gt(s, hn::Zero(d)), hn::Zero(d), s);
                 return hn::Mul(g, hn::Neg(expm1NonPositive(d, y))););
AXPY_UNARY_SLOPE(sin, return hn::Mul(g, cos(d, s)););
AXPY_UNARY_SLOPE(cos, return hn::Mul(g, hn::Neg(sin(d, s))););
AXPY_UNARY_SLOPE(floor, (void)g; (void)s; return hn::Zero(d););
AXPY_UNARY_SLOPE(ceil, (void)g; (void)s; return hn::Zero(d););
AXPY_UNARY_SLOPE(round, (void)g; (void)s; return hn::Zero(d););

#undef AXPY_UNARY
#undef AXPY_UNARY_SLOPE

// ── f(a, b) and its derivatives
// ───────────────────────────────────────────────────────────────────────────────────────
//
// Binary gets a and b; BinarySlope the gradient g, a and b, and returns g · ∂f/∂(operand).

template <BinaryOp op>
struct Binary;
template <BinaryOp op, int operand>
struct BinarySlope;

#define AXPY_BINARY(OP, ...)                                        \
  template <>                                                       \
  struct Binary<BinaryOp::OP> {                                     \
    template <class D, class V>                                     \
    HWY_INLINE V operator()([[maybe_unused]] D d, V a, V b) const { \
      __VA_ARGS__                                                   \
    }                                                               \
  }
#define AXPY_BINARY_SLOPE(OP, OPERAND, ...)                                                   \
  template <>                                                                                 \
  struct BinarySlope<BinaryOp::OP, OPERAND> {                                                 \
    template <class D, class V>                                                               \
    HWY_INLINE V operator()([[maybe_unused]] D d, [[maybe_unused]] V g, [[maybe_unused]] V a, \
                            [[maybe_unused]] V b) const {                                     \
      __VA_ARGS__                                                                             \
    }                                                                                         \
  }

/// 1 where the mask holds, else 0.
template <class D, class M>
HWY_INLINE hn::Vec<D> indicator(D d, M mask) {
  return hn::IfThenElseZero(mask, constant(d, 1));
}

/// What the winner of a comparison gets of the gradient: all, half at a tie, else 0 whatever it is; NaN for
/// NaN.
template <class D, class V>
HWY_INLINE V share(D d, V g, V winner, V loser) {
  const V ahead = hn::IfThenElseZero(hn::Gt(winner, loser), g);
  const V decided = hn::IfThenElse(hn::Eq(winner, loser), hn::Mul(g, constant(d, 0.5)), ahead);
  return hn::IfThenElse(hn::Or(hn::IsNaN(winner), hn::IsNaN(loser)), hn::Add(winner, loser), decided);
}

/// Nothing of int32 is NaN.
template <class D, class V>
HWY_INLINE hn::Mask<D> isNaN(D, V x) {
  if constexpr (std::is_integral_v<hn::TFromD<D>>) {
    return hn::Lt(x, x);
  } else {
    return hn::IsNaN(x);
  }
}

/// 1 where a ≥ b, else 0. Highway has no Ge of integers.
template <class D, class V>
HWY_INLINE V isAtLeast(D d, V a, V b) {
  if constexpr (std::is_integral_v<hn::TFromD<D>>) {
    return hn::IfThenZeroElse(hn::Lt(a, b), constant(d, 1));
  } else {
    return indicator(d, hn::Ge(a, b));
  }
}

AXPY_BINARY(add, return hn::Add(a, b););
AXPY_BINARY(sub, return hn::Sub(a, b););
AXPY_BINARY(mul, return hn::Mul(a, b););
AXPY_BINARY(div, return hn::Div(a, b););
AXPY_BINARY(maximum, return hn::IfThenElse(hn::Or(hn::Gt(a, b), isNaN(d, a)), a, b););
AXPY_BINARY(minimum, return hn::IfThenElse(hn::Or(hn::Lt(a, b), isNaN(d, a)), a, b););
AXPY_BINARY(equal, return indicator(d, hn::Eq(a, b)););
// Ne is false for NaN with AVX-512.
AXPY_BINARY(notEqual, return hn::IfThenZeroElse(hn::Eq(a, b), constant(d, 1)););
AXPY_BINARY(greater, return indicator(d, hn::Gt(a, b)););
AXPY_BINARY(greaterEqual, return isAtLeast(d, a, b););
AXPY_BINARY(less, return indicator(d, hn::Lt(a, b)););
AXPY_BINARY(lessEqual, return isAtLeast(d, b, a););

AXPY_BINARY_SLOPE(add, 0, return g;);
AXPY_BINARY_SLOPE(add, 1, return g;);
AXPY_BINARY_SLOPE(sub, 0, return g;);
AXPY_BINARY_SLOPE(sub, 1, return hn::Neg(g););
AXPY_BINARY_SLOPE(mul, 0, return hn::Mul(g, b););
AXPY_BINARY_SLOPE(mul, 1, return hn::Mul(g, a););
AXPY_BINARY_SLOPE(div, 0, return hn::Div(g, b););
AXPY_BINARY_SLOPE(div, 1, return hn::Neg(hn::Mul(g, hn::Div(hn::Div(a, b), b))););
AXPY_BINARY_SLOPE(maximum, 0, return share(d, g, a, b););
AXPY_BINARY_SLOPE(maximum, 1, return share(d, g, b, a););
AXPY_BINARY_SLOPE(minimum, 0, return share(d, g, b, a););
AXPY_BINARY_SLOPE(minimum, 1, return share(d, g, a, b););

#undef AXPY_BINARY
#undef AXPY_BINARY_SLOPE

/// condition ≠ 0 ? a : b
struct Choose {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V condition, V a, V b) const {
    return hn::IfThenElse(hn::Eq(condition, hn::Zero(d)), b, a);
  }
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_FORMULAS_INL_H_
