#include "strips.h"

#include "kernels.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "strips.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "formulas-inl.h"

#include <numeric>

// The simple ops: a few operations of the processor each, and none that takes float64.
#undef AXPY_SIMPLE_UNARY
#undef AXPY_SIMPLE_SLOPE
#undef AXPY_SIMPLE_BINARY
#define AXPY_SIMPLE_UNARY(X) \
  X(neg) X(sqrt) X(abs) X(square) X(reciprocal) X(sign) X(scale) X(clip) X(relu) X(leakyRelu)
#define AXPY_SIMPLE_SLOPE(X) X(sqrt) X(abs) X(square) X(clip) X(relu) X(leakyRelu) X(elu) X(sigmoid) X(tanh)
#define AXPY_SIMPLE_BINARY(X) \
  X(add)                      \
  X(sub)                      \
  X(mul) X(div) X(maximum) X(minimum) X(equal) X(notEqual) X(greater) X(greaterEqual) X(less) X(lessEqual)

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// How an op changes the vectors at hand; `isSecond` where of two operands these are the second one.
template <class Code>
constexpr int changeBy(Op::Form form, Code code, int isSecond = 0) {
  return (static_cast<int>(form) * 32 + static_cast<int>(code)) * 2 + isSecond;
}
constexpr int changeBySlope(BinaryOp op, int operand) {
  return changeBy(Op::binaryGradient, static_cast<int>(op), operand);
}

constexpr int vectors = 8;

// x[k] = … for each k. Compilers neither inline functions that are many, nor unroll loops, reliably enough
// for the vectors to stay in registers.
#define AXPY_AT(K, ...)  \
  {                      \
    constexpr int k = K; \
    x[k] = __VA_ARGS__;  \
  }
#define AXPY_EACH(...)    \
  AXPY_AT(0, __VA_ARGS__) \
  AXPY_AT(1, __VA_ARGS__) \
  AXPY_AT(2, __VA_ARGS__) \
  AXPY_AT(3, __VA_ARGS__) \
  AXPY_AT(4, __VA_ARGS__) \
  AXPY_AT(5, __VA_ARGS__) \
  AXPY_AT(6, __VA_ARGS__) \
  AXPY_AT(7, __VA_ARGS__)

/// The operand of a step at a strip: vectors one after the other, or one for all.
template <class T>
struct Read {
  const T* data;
  int64_t step;

  HWY_INLINE Read(const Operand<T>& from, int64_t i, int64_t lanes)
      : data(from.data + i * from.step), step(lanes * from.step) {}
  template <class D>
  HWY_INLINE hn::Vec<D> at(D d, int k) const {
    return hn::LoadU(d, data + k * step);
  }
};

/// Whole strips of n elements; returns how many elements they are.
template <class T>
int64_t run(const Step<T>* steps, int count, int64_t n) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), strip = vectors * lanes;
  const Step<T>* const end = steps + count;
  int64_t i = 0;
  for (; i + strip <= n; i += strip) {
    V x[vectors];
    AXPY_EACH(hn::Zero(d))
    for (const Step<T>* step = steps; step != end; step++) {
      if (step->loads) {
        const Read<T> a(step->from[step->atHand], i, lanes);
        AXPY_EACH(a.at(d, k))
      }
      const Read<T> m(step->from[step->inMemory], i, lanes);
      switch (step->change) {
#define AXPY_CASE(OP)                                                                   \
  case changeBy(Op::unary, UnaryOp::OP): {                                              \
    const V p = constant(d, step->parameters[0]), q = constant(d, step->parameters[1]); \
    AXPY_EACH(Unary<UnaryOp::OP>()(d, x[k], p, q))                                      \
    break;                                                                              \
  }
        AXPY_SIMPLE_UNARY(AXPY_CASE)
#undef AXPY_CASE
#define AXPY_CASE(OP)                                                                   \
  case changeBy(Op::unaryGradient, UnaryOp::OP): {                                      \
    const V p = constant(d, step->parameters[0]), q = constant(d, step->parameters[1]); \
    AXPY_EACH(UnarySlope<UnaryOp::OP>()(d, x[k], m.at(d, k), p, q))                     \
    break;                                                                              \
  }                                                                                     \
  case changeBy(Op::unaryGradient, UnaryOp::OP, 1): {                                   \
    const V p = constant(d, step->parameters[0]), q = constant(d, step->parameters[1]); \
    AXPY_EACH(UnarySlope<UnaryOp::OP>()(d, m.at(d, k), x[k], p, q))                     \
    break;                                                                              \
  }
        AXPY_SIMPLE_SLOPE(AXPY_CASE)
#undef AXPY_CASE
#define AXPY_CASE(OP)                                      \
  case changeBy(Op::binary, BinaryOp::OP):                 \
    AXPY_EACH(Binary<BinaryOp::OP>()(d, x[k], m.at(d, k))) \
    break;                                                 \
  case changeBy(Op::binary, BinaryOp::OP, 1):              \
    AXPY_EACH(Binary<BinaryOp::OP>()(d, m.at(d, k), x[k])) \
    break;
        AXPY_SIMPLE_BINARY(AXPY_CASE)
#undef AXPY_CASE
#define AXPY_CASE(CHANGE, ...)                                                                        \
  case CHANGE: {                                                                                      \
    const Read<T> a(step->from[0], i, lanes), b(step->from[1], i, lanes), c(step->from[2], i, lanes); \
    AXPY_EACH(__VA_ARGS__()(d, a.at(d, k), b.at(d, k), c.at(d, k)))                                   \
    break;                                                                                            \
  }
        AXPY_CASE(changeBy(Op::where, 0), Choose)
        AXPY_CASE(changeBySlope(BinaryOp::maximum, 0), BinarySlope<BinaryOp::maximum, 0>)
        AXPY_CASE(changeBySlope(BinaryOp::maximum, 1), BinarySlope<BinaryOp::maximum, 1>)
        AXPY_CASE(changeBySlope(BinaryOp::minimum, 0), BinarySlope<BinaryOp::minimum, 0>)
        AXPY_CASE(changeBySlope(BinaryOp::minimum, 1), BinarySlope<BinaryOp::minimum, 1>)
#undef AXPY_CASE
        case changeBy(Op::unaryGradient, UnaryOp::scale): {
          const V p = constant(d, step->parameters[0]);
          AXPY_EACH(UnarySlope<UnaryOp::scale>()(d, x[k], x[k], p, p))
          break;
        }
        default:  // a copy
          break;
      }
      if (step->stores) {
        T* const out = step->out + i;
        AXPY_EACH((hn::StoreU(x[k], d, out + k * lanes), x[k]))
      }
    }
  }
  return i;
}
#undef AXPY_AT
#undef AXPY_EACH

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

using HWY_NAMESPACE::changeBy;
using HWY_NAMESPACE::changeBySlope;

/// A simple op: how it changes what is at hand, and the operands that it reads.
struct Simple {
  int change = -1;
  int arity = 0;
  std::array<int, 3> operands{0, 1, 2};
};

constexpr int copy = changeBySlope(BinaryOp::add, 0);

template <class T>
Simple simpleOf(const Op& op, const std::array<double, 2>& parameters) {
  const auto& [p, q] = parameters;
  switch (op.form) {
    case Op::unary:
      if (leavesRange<T>(op.unaryOp(), p, q)) return {};
      switch (op.unaryOp()) {
#define AXPY_CASE(OP) case UnaryOp::OP:
        AXPY_SIMPLE_UNARY(AXPY_CASE)
        return {changeBy(op.form, op.code), 1};
        default:
          return {};
      }
    case Op::unaryGradient:
      if (leavesRange<T>(op.unaryOp(), p, q)) return {};
      switch (op.unaryOp()) {
        case UnaryOp::neg:
          return {changeBy(Op::unary, UnaryOp::neg), 1};
        case UnaryOp::scale:
          return {changeBy(op.form, op.code), 1};
        case UnaryOp::exp:
          return {changeBy(Op::binary, BinaryOp::mul), 2};
        case UnaryOp::log:
          return {changeBy(Op::binary, BinaryOp::div), 2};
          AXPY_SIMPLE_SLOPE(AXPY_CASE)
          return {changeBy(op.form, op.code), 2};
        default:
          return {};
      }
    case Op::binary:
      switch (op.binaryOp()) {
#undef AXPY_CASE
#define AXPY_CASE(OP) case BinaryOp::OP:
        AXPY_SIMPLE_BINARY(AXPY_CASE)
#undef AXPY_CASE
        return {changeBy(op.form, op.code), 2};
        default:
          return {};
      }
    case Op::where:
      return {changeBy(op.form, op.code), 3};
    case Op::binaryGradient:
      switch (op.binaryOp()) {
        case BinaryOp::add:
          return {copy, 1};
        case BinaryOp::sub:
          return {op.operand == 0 ? copy : changeBy(Op::unary, UnaryOp::neg), 1};
        case BinaryOp::mul:
          return {changeBy(Op::binary, BinaryOp::mul), 2, {0, 2 - op.operand, 0}};
        case BinaryOp::div:
          if (op.operand == 1) return {};
          return {changeBy(Op::binary, BinaryOp::div), 2, {0, 2, 0}};
        case BinaryOp::maximum:
        case BinaryOp::minimum:
          return {changeBySlope(op.binaryOp(), op.operand), 3};
        default:
          return {};
      }
    default:
      return {};
  }
}

/// Computes n elements from a place on by one step.
template <class V>
void computeStep(const Step<V>& step, int64_t at, int64_t n) {
  std::array<Operand<V>, 3> from = step.from;
  for (int i = 0; i < step.op->arrays; i++) from[i].data += at * from[i].step;
  compute(*step.op, step.out + at, n, from.data(), step.parameters.data());
}

}  // namespace

template <class V>
void findStrips(Step<V>* steps, int count) {
  const auto simple = [&](int i) { return simpleOf<V>(*steps[i].op, steps[i].parameters); };
  for (int i = 0; i < count; i++) steps[i].change = simple(i).change;
  const auto isSimple = [&](int i) { return i >= 0 && i < count && steps[i].change >= 0; };
  std::array<bool, maxValues> isRead;
  for (int i = 0; i < count; i++) isRead[steps[i].value] = false;
  for (int i = count - 1; i >= 0; i--) {
    Step<V>& step = steps[i];
    const bool isInRun = isSimple(i) && (isSimple(i - 1) || isSimple(i + 1));
    step.atHand = step.inMemory = 0;
    step.stores = step.isKept || isRead[step.value];
    if (!isInRun) {
      step.change = -1;
      for (int k = 0; k < step.op->arrays; k++) isRead[step.reads[k]] = true;
      continue;
    }
    const Simple own = simple(i);
    const int change = own.change, arity = own.arity;
    const std::array<int, 3>& operands = own.operands;
    const int made = isSimple(i - 1) ? steps[i - 1].value : -1;
    const auto isMade = [&](int k) { return k < arity && step.reads[operands[k]] == made; };
    const bool isSecond = arity == 2 && isMade(1) && !isMade(0);
    step.change = change + (isSecond ? 1 : 0);
    step.atHand = operands[isSecond ? 1 : 0];
    step.inMemory = operands[isSecond ? 0 : 1];
    step.loads = arity < 3 && !isSecond && !(isMade(0) && !(arity == 2 && isMade(1)));
    for (int k = 0; k < arity; k++) {
      const bool isAtHand = arity < 3 && !step.loads && operands[k] == step.atHand;
      if (!isAtHand) isRead[step.reads[operands[k]]] = true;
    }
  }
}

template <class V>
int computeRun(const Step<V>* steps, int count, int64_t n) {
  if (steps[0].change < 0) {
    computeStep(steps[0], 0, n);
    return 1;
  }
  int length = 1;
  while (length < count && steps[length].change >= 0) length++;
  const int64_t done = AXPY_SIMD(run<V>)(steps, length, n);
  if (done < n) {
    for (int i = 0; i < length; i++) computeStep(steps[i], done, n - done);
  }
  return length;
}

#define AXPY_INSTANTIATE(V)                \
  template void findStrips(Step<V>*, int); \
  template int computeRun(const Step<V>*, int, int64_t)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
