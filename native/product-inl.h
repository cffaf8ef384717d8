// The innermost part of products of matrices: a block of the result in registers, and what its operands are
// copied into where they do not lie as it reads them. Included once per target, hence the toggle instead of a
// guard.
#if defined(AXPY_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_PRODUCT_INL_H_
#undef AXPY_PRODUCT_INL_H_
#else
#define AXPY_PRODUCT_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <utility>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Rows of a block of the result at most, and vectors across: what the registers hold.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int blockRows = 12;
#else
constexpr int blockRows = 6;
#endif
constexpr int blockVectors = 2;

template <class T>
HWY_INLINE int64_t vectorLanes() {
  return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
}

/// Columns of a whole block.
template <class T>
HWY_INLINE int64_t panelWidth() {
  return blockVectors * vectorLanes<T>();
}

/// c (+)= a · b for a block, then bias if there is one, then 0 for what is below it where that is wanted. a
/// stands at i · rowStep + k · depthStep, row k of b at k · strideB. Of b and c there are `columns`; but
/// where masked loads are dear, b has whole vectors.
template <class T>
struct Block {
  const T* a;
  int64_t rowStep, depthStep;
  const T* b;
  int64_t strideB, depth;
  T* c;
  int64_t strideC, columns;
  bool accumulate;
  const T* bias = nullptr;
  bool rectify = false;
};

/// Calls f with 0, 1, … as constants: what it does with vectors then stays in registers.
template <class F, int... i>
HWY_INLINE void unrolled(std::integer_sequence<int, i...>, const F& f) {
  (f(std::integral_constant<int, i>()), ...);
}
template <int count, class F>
HWY_INLINE void unrolled(const F& f) {
  unrolled(std::make_integer_sequence<int, count>(), f);
}

/// Sums begin at zero in any case: many short sums, added, round less than one long one.
template <int rows, int vectors, bool whole, class T>
void multiplyBlock(const Block<T>& block) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = vectorLanes<T>();
  const int64_t last = block.columns - (vectors - 1) * lanes;
  const auto load = [&](const T* p, auto v) HWY_ATTR {
    return whole || v + 1 < vectors ? hn::LoadU(d, p + v * lanes) : loadFirst(d, p + v * lanes, last);
  };
  const auto loadRight = [&](const T* p, auto v) HWY_ATTR {
    return AXPY_MASKED_TAILS ? load(p, v) : hn::LoadU(d, p + v * lanes);
  };
  V sums[rows * vectors];
  const T* a[rows];
  unrolled<rows>([&](auto i) HWY_ATTR { a[i] = block.a + i * block.rowStep; });
  unrolled<rows * vectors>([&](auto i) HWY_ATTR { sums[i] = hn::Zero(d); });
  const T* b = block.b;
  const int64_t depthStep = block.depthStep, strideB = block.strideB;
  int64_t at = 0;
  for (int64_t k = block.depth; k > 0; k--) {
    V right[vectors];
    unrolled<vectors>([&](auto v) HWY_ATTR { right[v] = loadRight(b, v); });
    unrolled<rows>([&](auto i) HWY_ATTR {
      const V left = hn::Set(d, a[i][at]);
      unrolled<vectors>([&](auto v) HWY_ATTR {
        sums[i * vectors + v] = hn::MulAdd(left, right[v], sums[i * vectors + v]);
      });
    });
    at += depthStep;
    b += strideB;
  }
  T* const c = block.c;
  const int64_t strideC = block.strideC;
  if (block.accumulate) {
    unrolled<rows * vectors>([&](auto i) HWY_ATTR {
      constexpr std::integral_constant<int, i % vectors> v;
      sums[i] = hn::Add(load(c + i / vectors * strideC, v), sums[i]);
    });
  }
  if (block.bias) {
    V bias[vectors];
    unrolled<vectors>([&](auto v) HWY_ATTR { bias[v] = load(block.bias, v); });
    unrolled<rows * vectors>([&](auto i) HWY_ATTR { sums[i] = hn::Add(sums[i], bias[i % vectors]); });
  }
  if (block.rectify) {
    const V zero = hn::Zero(d);
    unrolled<rows * vectors>(
        [&](auto i) HWY_ATTR { sums[i] = hn::IfThenElse(hn::Le(sums[i], zero), zero, sums[i]); });
  }
  unrolled<rows * vectors>([&](auto i) HWY_ATTR {
    T* const to = c + i / vectors * strideC + i % vectors * lanes;
    if constexpr (whole || i % vectors + 1 < vectors) {
      hn::StoreU(sums[i], d, to);
    } else {
      storeFirst(d, sums[i], to, last);
    }
  });
}

template <int vectors, bool whole, class T, int... rows>
HWY_INLINE void multiplySome(const Block<T>& block, int64_t count, std::integer_sequence<int, rows...>) {
  using Function = void (*)(const Block<T>&);
  static constexpr Function functions[] = {multiplyBlock<rows + 1, vectors, whole, T>...};
  functions[count - 1](block);
}

/// The same for any number of rows and at most a panel's columns, block after block. The last two blocks
/// share their rows where one would have so few that they would wait for each other's sums.
template <class T>
HWY_INLINE void multiplyPanel(Block<T> block, int64_t rows) {
  constexpr auto all = std::make_integer_sequence<int, blockRows>();
  const int64_t lanes = vectorLanes<T>();
  const bool isWide = block.columns > lanes, isWhole = block.columns % lanes == 0;
  while (rows > 0) {
    const int64_t count = rows >= blockRows + blockRows / 3 ? blockRows
                          : rows > blockRows                ? (rows + 1) / 2
                                                            : rows;
    if (isWhole) {
      isWide ? multiplySome<2, true>(block, count, all) : multiplySome<1, true>(block, count, all);
    } else {
      isWide ? multiplySome<2, false>(block, count, all) : multiplySome<1, false>(block, count, all);
    }
    block.a += count * block.rowStep;
    block.c += count * block.strideC;
    rows -= count;
  }
}

// ── packing
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Rows of `columns` elements, `stride` apart, one after the other and filled up with 0 to `width`, a
/// multiple of whole vectors.
template <class T>
void packRows(T* to, int64_t width, const T* from, int64_t stride, int64_t columns, int64_t rows) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = vectorLanes<T>();
  for (int64_t i = 0; i < rows; i++, from += stride, to += width) {
    for (int64_t j = 0; j < width; j += lanes) {
      const int64_t count = columns - j;
      hn::StoreU(
          count >= lanes ? hn::LoadU(d, from + j) : loadFirst(d, from + j, std::max<int64_t>(count, 0)), d,
          to + j);
    }
  }
}

#if HWY_TARGET != HWY_SCALAR
/// Elements of 16 bytes of the rows at row(l), row(l + step), …, side by side.
template <class D, class F>
HWY_INLINE hn::Vec<D> loadParts(D d, const F& row, int64_t l, int64_t step) {
  using T = hn::TFromD<D>;
  if constexpr (hn::MaxLanes(D()) * sizeof(T) <= 16) {
    return hn::LoadU(d, row(l));
  } else {
    const hn::Half<D> half;
    constexpr int64_t parts = static_cast<int64_t>(hn::MaxLanes(half) * sizeof(T) / 16);
    return hn::Combine(d, loadParts(half, row, l + parts * step, step), loadParts(half, row, l, step));
  }
}

/// A vector's lanes of rows, 16 bytes long, turned over: each row of `to`, `strideTo` apart, gets one element
/// of each.
template <class T, class F>
HWY_INLINE void turnParts(T* to, int64_t strideTo, const F& row) {
  const hn::ScalableTag<T> d;
  constexpr int64_t side = 16 / sizeof(T);
  const auto load = [&](int64_t l) HWY_ATTR { return loadParts(d, row, l, side); };
  if constexpr (sizeof(T) == 8) {
    const auto r0 = load(0), r1 = load(1);
    hn::Store(hn::InterleaveLower(d, r0, r1), d, to);
    hn::Store(hn::InterleaveUpper(d, r0, r1), d, to + strideTo);
  } else {
    const hn::Repartition<double, decltype(d)> dd;
    const auto r0 = load(0), r1 = load(1), r2 = load(2), r3 = load(3);
    const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, r0, r1));
    const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, r2, r3));
    const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, r0, r1));
    const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, r2, r3));
    hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, low01, low23)), d, to);
    hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23)), d, to + strideTo);
    hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, high01, high23)), d, to + 2 * strideTo);
    hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23)), d, to + 3 * strideTo);
  }
}
#endif

/// The same of a matrix that is stored by its columns, `stride` apart. What fills up is the last column.
template <class T>
void packColumns(T* to, int64_t width, const T* from, int64_t stride, int64_t columns, int64_t rows) {
  const int64_t lanes = vectorLanes<T>();
  for (int64_t j = 0; j < width; j += lanes) {
    const T* const first = from + j * stride;
    const int64_t last = std::max<int64_t>(columns - j - 1, 0);
    int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    constexpr int64_t side = 16 / sizeof(T);
    for (; last >= lanes - 1 && i + side <= rows; i += side) {
      turnParts(to + i * width + j, width, [&](int64_t l) { return first + l * stride + i; });
    }
    for (; i + side <= rows; i += side) {
      turnParts(to + i * width + j, width, [&](int64_t l) { return first + std::min(l, last) * stride + i; });
    }
#endif
    for (; i < rows; i++) {
      for (int64_t l = 0; l < lanes; l++) to[i * width + j + l] = first[std::min(l, last) * stride + i];
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_PRODUCT_INL_H_
