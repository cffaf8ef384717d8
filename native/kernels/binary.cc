// f(a, b) with broadcasting, its derivatives, and the choice between two arrays.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"
#include "walk.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/binary.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "formulas-inl.h"

#include <cmath>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// The gradient of a / b by b for operands of float32: none of the products leaves the range of float64.
struct QuotientSlope {
  template <class D, class V>
  HWY_INLINE V operator()(D, V g, V a, V b) const {
    return hn::Neg(hn::Div(hn::Mul(g, a), hn::Mul(b, b)));
  }
};

/// aᵇ and its gradients, in float64 and rounded once; `precise` is for float64 itself.
template <bool precise>
struct Power {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V a, V b) const {
    return pow<precise>(d, a, b);
  }
};

/// a⁰ is constant, whatever g is.
template <bool precise>
struct PowerSlopeOfBase {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V a, V b) const {
    const V slope = hn::Mul(b, pow<precise>(d, a, hn::Sub(b, constant(d, 1))));
    return hn::IfThenZeroElse(hn::Eq(b, hn::Zero(d)), hn::Mul(g, slope));
  }
};

/// The slope is 0 where the formula would give 0 · ∞.
template <bool precise>
struct PowerSlopeOfExponent {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V a, V b) const {
    const V zero = hn::Zero(d);
    const auto isFlat = hn::And(hn::Eq(a, zero), hn::Ge(b, zero));
    const V slope = hn::Mul(pow<precise>(d, a, b), log(d, a));
    return hn::Mul(g, hn::IfThenZeroElse(isFlat, slope));
  }
};

// ── loops
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Runs `loop` with an operand as a plain array, as one value, or copied together from strided positions.
/// Called once for each operand of a run, the innermost call has them all.
constexpr int64_t blockSize = 256;

template <class T>
HWY_INLINE const T* collect(T* block, const T* from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; i++) block[i] = from[i * step];
  return block;
}

/// out[i] = f(first[i]…, a[i · stepA], b[i · stepB]), an operand as a plain array: one loop for every kind,
/// for functions that take so long that copies do not show.
template <class T, class F, class... First>
HWY_INLINE void mapBlocks(T* out, int64_t n, const F& f, const T* a, int64_t stepA, const T* b, int64_t stepB,
                          First... first) {
  T blockA[blockSize], blockB[blockSize];
  for (int64_t i = 0; i < n; i += blockSize) {
    const int64_t count = std::min(blockSize, n - i);
    const T* pa = stepA == 1 ? a + i : collect(blockA, a + i * stepA, stepA, count);
    const T* pb = stepB == 1 ? b + i : collect(blockB, b + i * stepB, stepB, count);
    map(out + i, count, f, (first + i)..., pa, pb);
  }
}

/// The same with a loop for each kind of operand.
template <class T, class F, class... First>
HWY_INLINE void mapPair(T* out, int64_t n, const F& f, const T* a, int64_t stepA, const T* b, int64_t stepB,
                        First... first) {
  if (stepA == 1 && stepB == 1) return map(out, n, f, first..., a, b);
  if (stepA == 1 && stepB == 0) return map(out, n, f, first..., a, Same<T>{*b});
  if (stepA == 0 && stepB == 1) return map(out, n, f, first..., Same<T>{*a}, b);
  mapBlocks(out, n, f, a, stepA, b, stepB, first...);
}

template <BinaryOp... ops, class F>
HWY_INLINE void select(BinaryOp op, const F& f) {
  ((op == ops ? f(std::integral_constant<BinaryOp, ops>()) : void()), ...);
}

template <class T>
void forward(T* out, int64_t n, const T* a, int64_t stepA, const T* b, int64_t stepB, BinaryOp op) {
  using enum BinaryOp;
  if (op == BinaryOp::pow) {
    return mapBlocks(out, n, Wide<Power<sizeof(T) == sizeof(double)>>(), a, stepA, b, stepB);
  }
  select<add, sub, mul, div, maximum, minimum, equal, notEqual, greater, greaterEqual, less, lessEqual>(
      op, [&](auto constant) HWY_ATTR { mapPair(out, n, Binary<constant.value>(), a, stepA, b, stepB); });
}

/// Of int32; sums, differences and products wrap around.
void forwardInteger(int32_t* out, int64_t n, const int32_t* a, int64_t stepA, const int32_t* b, int64_t stepB,
                    BinaryOp op) {
  using enum BinaryOp;
  select<add, sub, mul, maximum, minimum, equal, notEqual, greater, greaterEqual, less, lessEqual>(
      op, [&](auto constant) HWY_ATTR { mapPair(out, n, Binary<constant.value>(), a, stepA, b, stepB); });
}

template <class T>
void backward(T* out, int64_t n, const T* g, const T* a, int64_t stepA, const T* b, int64_t stepB,
              BinaryOp op, int operand) {
  using enum BinaryOp;
  constexpr bool precise = sizeof(T) == sizeof(double);
  if (op == BinaryOp::pow) {
    if (operand == 0) return mapBlocks(out, n, Wide<PowerSlopeOfBase<precise>>(), a, stepA, b, stepB, g);
    return mapBlocks(out, n, Wide<PowerSlopeOfExponent<precise>>(), a, stepA, b, stepB, g);
  }
  if (op >= equal) return std::fill(out, out + n, T(0));
  if (sizeof(T) == sizeof(float) && op == div && operand == 1) {
    return mapPair(out, n, Wide<QuotientSlope>(), a, stepA, b, stepB, g);
  }
  select<add, sub, mul, div, maximum, minimum>(op, [&](auto constant) HWY_ATTR {
    if (operand == 0) {
      mapPair(out, n, BinarySlope<constant.value, 0>(), a, stepA, b, stepB, g);
    } else {
      mapPair(out, n, BinarySlope<constant.value, 1>(), a, stepA, b, stepB, g);
    }
  });
}

template <class T>
void choose(T* out, int64_t n, const T* condition, int64_t stepC, const T* a, int64_t stepA, const T* b,
            int64_t stepB) {
  if (stepC == 1) return mapPair(out, n, Choose(), a, stepA, b, stepB, condition);
  T block[blockSize];
  for (int64_t i = 0; i < n; i += blockSize) {
    const int64_t count = std::min(blockSize, n - i);
    const T* pc = collect(block, condition + i * stepC, stepC, count);
    mapPair(out + i, count, Choose(), a + i * stepA, stepA, b + i * stepB, stepB, pc);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// Calls run(out position, count, positions, steps) over the broadcast, on all threads.
template <int groups, class F>
void forBroadcast(const NullableLayout& layout, int64_t length, const std::array<int64_t, groups>& lengths,
                  bool costly, const F& run) {
  const int64_t chunk = costly ? parallel::heavyChunk : parallel::lightChunk;
  if (layout.null) {
    std::array<int64_t, groups> step;
    for (int g = 0; g < groups; g++) step[g] = lengths[g] == length ? 1 : 0;
    parallel::forRange(length, chunk, [&](int64_t begin, int64_t end) {
      std::array<int64_t, groups> position;
      for (int g = 0; g < groups; g++) position[g] = begin * step[g];
      run(begin, end - begin, position, step);
    });
    return;
  }
  const Walk<groups> walk(layout.values.data(), layout.rank(groups + 1));
  if (walk.size == 0) return;
  if (walk.rank == 0) {
    parallel::forRange(walk.size, chunk, [&](int64_t begin, int64_t end) {
      std::array<int64_t, groups> position;
      for (int g = 0; g < groups; g++) position[g] = begin * walk.step[g];
      run(begin, end - begin, position, walk.step);
    });
    return;
  }
  parallel::forRange(walk.runs(), std::max<int64_t>(1, chunk / walk.size), [&](int64_t begin, int64_t end) {
    int64_t out = begin * walk.size;
    walk.forRuns(begin, end, [&](int64_t n, const std::array<int64_t, groups>& position) {
      run(out, n, position, walk.step);
      out += n;
    });
  });
}

template <class T>
void checkOperands(const Check& check, const Array<T>& out, const Array<const T>& a, const Array<const T>& b,
                   const NullableLayout& layout) {
  if (layout.null) {
    const auto n = static_cast<double>(out.length);
    check.lengthOneOr(a, n);
    check.lengthOneOr(b, n);
    return;
  }
  check.length(out, check.broadcast(layout, 3));
  check.reach(layout, 3, 1, check.name(a.position), a.length);
  check.reach(layout, 3, 2, check.name(b.position), b.length);
}

}  // namespace

template <class T>
void binary(const Check& check, Array<T> out, Array<const T> a, Array<const T> b,
            const NullableLayout& layout, Code<BinaryOp> op) {
  if (std::is_integral_v<T> && (op == BinaryOp::div || op == BinaryOp::pow)) {
    check.fail(op.position, "to be neither div nor pow for Int32Array",
               std::to_string(static_cast<int>(op.value)));
  }
  checkOperands(check, out, a, b, layout);
  const auto run = [] {
    if constexpr (std::is_integral_v<T>) {
      return AXPY_SIMD(forwardInteger);
    } else {
      return AXPY_SIMD(forward<T>);
    }
  }();
  forBroadcast<2>(layout, out.length, {a.length, b.length}, op == BinaryOp::pow,
                  [&](int64_t o, int64_t n, const auto& position, const auto& step) {
                    run(out.data + o, n, a.data + position[0], step[0], b.data + position[1], step[1], op);
                  });
}

template <class T>
void binaryGradient(const Check& check, Array<T> out, Array<const T> gradient, Array<const T> a,
                    Array<const T> b, const NullableLayout& layout, Code<BinaryOp> op, Flag operand) {
  check.length(gradient, static_cast<double>(out.length));
  checkOperands(check, out, a, b, layout);
  const auto run = AXPY_SIMD(backward<T>);
  forBroadcast<2>(layout, out.length, {a.length, b.length}, op == BinaryOp::pow,
                  [&](int64_t o, int64_t n, const auto& position, const auto& step) {
                    run(out.data + o, n, gradient.data + o, a.data + position[0], step[0],
                        b.data + position[1], step[1], op, operand ? 1 : 0);
                  });
}

template <class T>
void where(const Check& check, Array<T> out, Array<const T> condition, Array<const T> a, Array<const T> b,
           const NullableLayout& layout) {
  if (layout.null) {
    for (const auto* operand : {&condition, &a, &b})
      check.lengthOneOr(*operand, static_cast<double>(out.length));
  } else {
    check.length(out, check.broadcast(layout, 4));
    check.reach(layout, 4, 1, check.name(condition.position), condition.length);
    check.reach(layout, 4, 2, check.name(a.position), a.length);
    check.reach(layout, 4, 3, check.name(b.position), b.length);
  }
  const auto run = AXPY_SIMD(choose<T>);
  forBroadcast<3>(layout, out.length, {condition.length, a.length, b.length}, false,
                  [&](int64_t o, int64_t n, const auto& position, const auto& step) {
                    run(out.data + o, n, condition.data + position[0], step[0], a.data + position[1], step[1],
                        b.data + position[2], step[2]);
                  });
}

template <class T>
void applyBinary(T* out, int64_t n, const T* a, int64_t stepA, const T* b, int64_t stepB, BinaryOp op) {
  AXPY_SIMD(forward<T>)(out, n, a, stepA, b, stepB, op);
}

template <class T>
void applyBinaryGradient(T* out, int64_t n, const T* gradient, const T* a, const T* b, BinaryOp op,
                         int operand) {
  AXPY_SIMD(backward<T>)(out, n, gradient, a, 1, b, 1, op, operand);
}

template <class T>
void applyWhere(T* out, int64_t n, const T* condition, int64_t stepC, const T* a, int64_t stepA, const T* b,
                int64_t stepB) {
  AXPY_SIMD(choose<T>)(out, n, condition, stepC, a, stepA, b, stepB);
}

#define AXPY_INSTANTIATE(T)                                                                    \
  template void applyBinary(T*, int64_t, const T*, int64_t, const T*, int64_t, BinaryOp);      \
  template void applyBinaryGradient(T*, int64_t, const T*, const T*, const T*, BinaryOp, int); \
  template void applyWhere(T*, int64_t, const T*, int64_t, const T*, int64_t, const T*, int64_t)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(binary, "out", "a", "b", "layout", "op"),
    AXPY_FLOAT_KERNEL(binaryGradient, "out", "gradient", "a", "b", "layout", "op", "operand"),
    AXPY_DATA_KERNEL(where, "out", "condition", "a", "b", "layout"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
