// Products of a few rows whose operands both lie along their terms (docs/products.md): each number of c is a
// dot product, by vectors of terms. Nothing is copied, and the many rows of the other operand are read once.

#include "product.h"

#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dots.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "product-inl.h"

#include <algorithm>

#ifndef AXPY_DOTS
#define AXPY_DOTS
namespace axpy {
namespace {

/// A product as that of a few rows and many, of the length `depth`. With a column of c for each of the few,
/// it is turned over.
template <class T>
struct Dots {
  Matrices<const T> few, many;
  int64_t fewRows, manyRows, depth;
  int64_t fewStep, manyStep;  // in c

  explicit Dots(const Products<T>& p) : Dots(p.m <= p.n, p) {}

 private:
  Dots(bool isUpright, const Products<T>& p)
      : few(isUpright ? alongA(p) : alongB(p)),
        many(isUpright ? alongB(p) : alongA(p)),
        fewRows(std::min(p.m, p.n)),
        manyRows(std::max(p.m, p.n)),
        depth(p.k),
        fewStep(isUpright ? p.c.row : 1),
        manyStep(isUpright ? 1 : p.c.row) {}

  /// One row of a that is stored as a column of neighbours is a row.
  static Matrices<const T> alongA(const Products<T>& p) {
    return {p.a.data, p.a.outer, p.a.inner, p.transposeA ? p.k : p.a.row};
  }
  static Matrices<const T> alongB(const Products<T>& p) {
    return {p.b.data, p.b.outer, p.b.inner, p.transposeB ? p.b.row : p.k};
  }
};

}  // namespace
}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Few rows that are multiplied with as many at once as the registers hold sums.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int mostRows = 6;
constexpr int columnsBeside(int rows) { return rows <= 3 ? 8 : rows == 4 ? 6 : 4; }
#else
constexpr int mostRows = 3;
constexpr int columnsBeside(int) { return 4; }
#endif

#if HWY_TARGET != HWY_SCALAR
/// Stores the sum of the 16-byte parts of a vector.
template <class D, class T>
HWY_INLINE void addParts(D d, hn::Vec<D> v, T* to) {
  if constexpr (hn::MaxLanes(D()) * sizeof(T) == 16) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    addParts(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  }
}
#endif

/// to[4] = the sums of the lanes of four vectors.
template <class D, class V, class T>
HWY_INLINE void storeSums([[maybe_unused]] D d, V v0, V v1, V v2, V v3, T* to) {
#if HWY_TARGET == HWY_SCALAR
  to[0] = hn::GetLane(v0);
  to[1] = hn::GetLane(v1);
  to[2] = hn::GetLane(v2);
  to[3] = hn::GetLane(v3);
#else
  // Those of each 16 bytes side by side first.
  const auto pairs = [&](auto x, auto y) HWY_ATTR {
    return hn::Add(hn::InterleaveLower(d, x, y), hn::InterleaveUpper(d, x, y));
  };
  if constexpr (sizeof(T) == 8) {
    addParts(d, pairs(v0, v1), to);
    addParts(d, pairs(v2, v3), to + 2);
  } else {
    const hn::Repartition<double, D> dd;
    const auto x = hn::BitCast(dd, pairs(v0, v1)), y = hn::BitCast(dd, pairs(v2, v3));
    addParts(
        d,
        hn::Add(hn::BitCast(d, hn::InterleaveLower(dd, x, y)), hn::BitCast(d, hn::InterleaveUpper(dd, x, y))),
        to);
  }
#endif
}

/// c (+)= the dot products of some of the few rows with the rows [begin, end) of the many.
template <int rows, class T>
void dotRows(const Dots<T>& p, const T* few, const T* many, T* c, int64_t begin, int64_t end,
             bool accumulate) {
  constexpr int columns = columnsBeside(rows);
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = vectorLanes<T>(), depth = p.depth;
  const T *left[rows], *right[columns];
  unrolled<rows>([&](auto i) HWY_ATTR { left[i] = few + i * p.few.row; });
  for (int64_t at = begin; at < end; at += columns) {
    // Beyond the last row it is that row again.
    const int64_t valid = std::min<int64_t>(columns, end - at);
    unrolled<columns>(
        [&](auto j) HWY_ATTR { right[j] = many + (at + std::min<int64_t>(j, valid - 1)) * p.many.row; });
    V all[rows * columns];
    unrolled<rows * columns>([&](auto i) HWY_ATTR { all[i] = hn::Zero(d); });
    for (int64_t k = 0; k < depth; k += lanes) {
      const int64_t count = depth - k;
      const auto load = [&](const T* p) HWY_ATTR {
        return HWY_LIKELY(count >= lanes) ? hn::LoadU(d, p + k) : loadFirst(d, p + k, count);
      };
      V x[rows];
      unrolled<rows>([&](auto i) HWY_ATTR { x[i] = load(left[i]); });
      unrolled<columns>([&](auto j) HWY_ATTR {
        const V y = load(right[j]);
        unrolled<rows>([&](auto i)
                           HWY_ATTR { all[i * columns + j] = hn::MulAdd(x[i], y, all[i * columns + j]); });
      });
    }
    T sums[rows * columns];
    unrolled<rows * columns / 4>([&](auto i) HWY_ATTR {
      storeSums(d, all[4 * i], all[4 * i + 1], all[4 * i + 2], all[4 * i + 3], sums + 4 * i);
    });
    unrolled<rows>([&](auto i) HWY_ATTR {
      T* const to = c + i * p.fewStep + at * p.manyStep;
      for (int64_t j = 0; j < valid; j++) {
        const T sum = sums[i * columns + j];
        to[j * p.manyStep] = accumulate ? to[j * p.manyStep] + sum : sum;
      }
    });
  }
}

template <class T, int... rows>
HWY_INLINE void dotSome(const Dots<T>& p, const T* few, const T* many, T* c, int64_t begin, int64_t end,
                        bool accumulate, std::integer_sequence<int, rows...>) {
  using Function = void (*)(const Dots<T>&, const T*, const T*, T*, int64_t, int64_t, bool);
  static constexpr Function functions[] = {dotRows<rows + 1, T>...};
  const int64_t parts = (p.fewRows + mostRows - 1) / mostRows;
  for (int64_t part = 0; part < parts; part++) {
    const int64_t top = part * p.fewRows / parts, count = (part + 1) * p.fewRows / parts - top;
    functions[count - 1](p, few + top * p.few.row, many, c + top * p.fewStep, begin, end, accumulate);
  }
}

template <class T>
void dotAll(const Dots<T>& p, const T* few, const T* many, T* c, int64_t begin, int64_t end,
            bool accumulate) {
  dotSome(p, few, many, c, begin, end, accumulate, std::make_integer_sequence<int, mostRows>());
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
bool suitsDots(const Products<T>& p) {
  if (simd::target < simd::avx2 || productWay != ProductWay::best) return false;  // not measured
  // Beside so few rows copying the other operand would cost as much as the sums.
  constexpr int64_t fewRows = 6;
  const bool isAlong =
      (!p.transposeA || (p.m == 1 && p.a.row == 1)) && (p.transposeB || (p.n == 1 && p.b.row == 1));
  const bool areApart = (p.outer == 1 || p.c.outer > 0) && (p.inner == 1 || p.c.inner > 0);
  return isAlong && areApart && std::min(p.m, p.n) <= fewRows && p.k >= 32 &&
         (std::max(p.m, p.n) >= 8 || p.k <= 4096);
}

template <class T>
void multiplyDots(const Products<T>& p, const Epilogue<T>& epilogue, bool accumulate) {
  const Dots<T> dots(p);
  // The time goes into reading the many: at least 128 KB of float32 for a task, in whole groups of rows.
  const int64_t read = dots.manyRows * dots.depth, batch = p.outer * p.inner;
  const int64_t groups = (dots.manyRows + 23) / 24;
  const int64_t parts = std::clamp<int64_t>(read / 32768, 1, std::min<int64_t>(16, groups));
  const int64_t group = parts > 1 ? 1 : std::clamp<int64_t>(32768 / read, 1, batch);
  const auto run = AXPY_SIMD(dotAll<T>);
  parallel::forRange(batch * parts, group, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; task++) {
      const int64_t o = task / parts / p.inner, i = task / parts % p.inner, part = task % parts;
      const int64_t begin = part * groups / parts * 24,
                    end = std::min(dots.manyRows, (part + 1) * groups / parts * 24);
      T* const c = p.c.at(o, i);
      run(dots, dots.few.at(o, i), dots.many.at(o, i), c, begin, end, accumulate);
      if (!epilogue.present()) continue;
      p.m <= p.n ? epilogue.apply(c + begin, p.c.row, p.m, end - begin, begin)
                 : epilogue.apply(c + begin * p.c.row, p.c.row, end - begin, p.n, 0);
    }
  });
}

template bool suitsDots(const Products<float>&);
template bool suitsDots(const Products<double>&);
template void multiplyDots(const Products<float>&, const Epilogue<float>&, bool);
template void multiplyDots(const Products<double>&, const Epilogue<double>&, bool);

}  // namespace axpy
#endif  // HWY_ONCE
