// Layer normalisation. Sums are float64, by rows, and by blocks of rows that the shape alone determines.

#include "kernels.h"
#include "moments.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layerNorm.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "columns-inl.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#ifndef AXPY_ROW_MOMENTS
#define AXPY_ROW_MOMENTS
namespace axpy {

/// What normalises rows. A null mean or remainder is 0, and nothing moves with a mean that is null.
template <class T>
struct RowMoments {
  T *mean, *remainder, *inverse;

  bool isCentred() const { return mean != nullptr; }
  std::remove_const_t<T> about(int64_t row) const { return mean ? mean[row] : T(0); }
  std::remove_const_t<T> rest(int64_t row) const { return remainder ? remainder[row] : T(0); }
  RowMoments from(int64_t row) const {
    return {mean ? mean + row : mean, remainder ? remainder + row : remainder, inverse + row};
  }
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

struct Itself {
  template <class D, class V>
  HWY_INLINE V operator()(D, V v) const {
    return v;
  }
};

/// (v − mean)²
struct SquareAbout {
  double mean;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V v) const {
    const V centred = hn::Sub(v, hn::Set(d, mean));
    return hn::Mul(centred, centred);
  }
};

/// v − mean, and its square
struct Deviation {
  double mean;
  template <class D, class V>
  HWY_INLINE void operator()(D d, V& first, V& second, V v) const {
    first = hn::Sub(v, hn::Set(d, mean));
    second = hn::Mul(first, first);
  }
};

/// (v − mean)·inverse·s + t, with the mean in two parts, as it has more digits than float32.
struct Normal {
  double about, off, inverse;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V v, V s, V t) const {
    using T = hn::TFromD<D>;
    // By halves in float64, as in Shared.
    constexpr T unit = sizeof(T) == sizeof(double) ? 0.5 : 1;
    const auto part = [&](V x) HWY_ATTR { return unit == 1 ? x : hn::Mul(x, hn::Set(d, unit)); };
    const V near = hn::Sub(part(v), hn::Set(d, unit * static_cast<T>(about)));
    const V centred = hn::Sub(near, hn::Set(d, unit * static_cast<T>(off)));
    const V y = hn::MulAdd(hn::Mul(centred, hn::Set(d, static_cast<T>(inverse))), s, part(t));
    return unit == 1 ? y : hn::Add(y, y);
  }
};

/// `largeShift` where an element of the shift is.
template <class T>
void layerRows(T* out, const RowMoments<T>& own, const T* x, const T* scale, const T* shift, bool largeShift,
               int64_t rows, int64_t size, double epsilon) {
  const bool isCentred = own.isCentred();
  const double n = static_cast<double>(std::max<int64_t>(size, 1));
  for (int64_t i = 0; i < rows; i++, out += size, x += size) {
    double m = isCentred ? sum<T>(size, Itself(), x) / n : 0, lack = 0;
    double variance;
    if (sizeof(T) == sizeof(double) && isCentred) {
      double total, squares;
      sumPairWide<T>(total, squares, size, Deviation{m}, x);
      lack = total / n;
      variance = squares / n - lack * lack;
      // max would make 0 of NaN.
      if (variance < 0) variance = 0;
    } else {
      variance = sumWide<T>(size, SquareAbout{m}, x) / n;
    }
    double factor = 1 / std::sqrt(variance + epsilon);
    if constexpr (sizeof(T) == sizeof(double)) {
      if (!std::isfinite(variance)) {
        const LargeMoments moments(x, size, 1, epsilon, isCentred);
        m = moments.mean;
        lack = 0;
        factor = moments.inverse;
      }
    }
    if (isCentred) own.mean[i] = static_cast<T>(m);
    const T held = own.about(i);
    if (own.remainder) own.remainder[i] = remainderOf(held, m, lack);
    own.inverse[i] = static_cast<T>(factor);
    const double about = static_cast<double>(held);
    const Normal f{about, m - about + lack, factor};
    const bool fit = fits<T>(m - about) && fits<T>(factor) && !isLarge(held) && !largeShift;
    const bool wide = sizeof(T) == sizeof(float) && !fit;
    const auto apply = [&](auto s, auto t) HWY_ATTR {
      if (wide) {
        map(out, size, Wide<Normal>{f}, x, s, t);
      } else {
        map(out, size, f, x, s, t);
      }
    };
    if (scale && shift) {
      apply(scale, shift);
    } else if (scale) {
      apply(scale, Same<T>{0});
    } else if (shift) {
      apply(Same<T>{1}, shift);
    } else {
      apply(Same<T>{1}, Same<T>{0});
    }
  }
}

/// (v − mean)·inverse; of arrays of float64 by halves, and with the remainder of the mean, as in Shared.
template <bool halves>
struct Hat {
  double mean, remainder, inverse;

  template <class T>
  Hat(const RowMoments<T>& own, int64_t row)
      : mean(own.about(row)), remainder(own.rest(row)), inverse(own.inverse[row]) {
    if (!halves) mean += remainder;
  }

  template <class D, class V>
  HWY_INLINE V operator()(D d, V v) const {
    using T = hn::TFromD<D>;
    const V factor = hn::Set(d, static_cast<T>(inverse));
    if constexpr (halves) {
      const V near = hn::Sub(hn::Mul(v, hn::Set(d, 0.5)), hn::Set(d, 0.5 * mean));
      const V hat = hn::Mul(hn::Sub(near, hn::Set(d, 0.5 * remainder)), factor);
      return hn::Add(hat, hat);
    } else if constexpr (sizeof(T) == sizeof(float)) {
      const V near = hn::Sub(v, hn::Set(d, static_cast<T>(mean)));
      return hn::MulSub(near, factor, hn::Set(d, static_cast<T>(remainder * inverse)));
    } else {
      return hn::Mul(hn::Sub(v, hn::Set(d, mean)), factor);
    }
  }
};

template <class T>
using HatOf = Hat<sizeof(T) == sizeof(double)>;

/// g·s, and that times x̂
template <class H>
struct LayerTerms {
  H hat;
  template <class D, class V>
  HWY_INLINE void operator()(D d, V& first, V& second, V g, V s, V v) const {
    first = hn::Mul(g, s);
    second = hn::Mul(first, hat(d, v));
  }
};

/// inverse·(g·s − (x̂·product + total))
template <class H>
struct LayerSlope {
  H hat;
  double total, product;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V s, V v) const {
    using T = hn::TFromD<D>;
    const V removed =
        hn::MulAdd(hat(d, v), hn::Set(d, static_cast<T>(product)), hn::Set(d, static_cast<T>(total)));
    return hn::Mul(hn::Set(d, static_cast<T>(hat.inverse)), hn::Sub(hn::Mul(g, s), removed));
  }
};

template <class T, class Scale>
HWY_INLINE void layerGradientRow(T* out, const T* dy, const T* x, Scale scale, const HatOf<T>& hat,
                                 bool isCentred, double total, double product, int64_t size) {
  const double n = static_cast<double>(size);
  if (!std::isfinite(total) || !std::isfinite(product)) {
    sumPairWide<T>(total, product, size, LayerTerms<HatOf<T>>{hat}, dy, scale, x);
  }
  const LayerSlope<HatOf<T>> slope{hat, isCentred ? total / n : 0, product / n};
  // With so large a factor, what is too small for T may come to count.
  if (fits<T>(slope.total) && fits<T>(slope.product) && hat.inverse <= 0x1p40) {
    mapSafe(out, size, slope, dy, scale, x);
  } else {
    map(out, size, Wide<LayerSlope<HatOf<T>>>{slope}, dy, scale, x);
  }
}

/// Σ dy and Σ dy·x̂ by columns, in float64.
template <class T>
HWY_INLINE void layerGradientSums(double* sums, double* products, const T* dy, const T* x,
                                  const RowMoments<const T>& own, int64_t rows, int64_t size) {
  sumColumns<T>(
      sums, products, rows, size, [](const auto&) { return 0; },
      [&](const auto& columns, int, int64_t row, auto& first, auto& second) HWY_ATTR {
        first = columns.at(dy, row);
        const HatOf<T> hat(own, row);
        second = hn::Mul(first, hat(columns.w, columns.at(x, row)));
      });
}

/// sums[i] += v[i] for the first `count` lanes.
HWY_INLINE void addTo(double* sums, hn::Vec<hn::ScalableTag<float>> v, int64_t count) {
  const hn::ScalableTag<float> d;
#if HWY_TARGET != HWY_SCALAR
  if (count == static_cast<int64_t>(hn::Lanes(d))) {
    const hn::Half<decltype(d)> half;
    const hn::ScalableTag<double> dd;
    double* const upper = sums + hn::Lanes(dd);
    hn::StoreU(hn::Add(hn::LoadU(dd, sums), widen(hn::LowerHalf(half, v))), dd, sums);
    hn::StoreU(hn::Add(hn::LoadU(dd, upper), widen(hn::UpperHalf(half, v))), dd, upper);
    return;
  }
#endif
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (int64_t i = 0; i < count; i++) sums[i] += static_cast<double>(lanes[i]);
}

/// What layerGradientSums adds up, of `rows` rows of float32 and in one pass; and, of each of them, Σ dy·s
/// and Σ dy·s·x̂. Terms of so few rows, or of a short run, are added in float32, to which they are rounded.
template <int rows, class Scale>
HWY_INLINE void layerGradientGroup(double* sums, double* products, double* rowTotals, double* rowProducts,
                                   const float* dy, const float* x, Scale scale,
                                   const RowMoments<const float>& own, int64_t size) {
  constexpr int64_t vectors = 8;
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float mean[rows], remainder[rows], inverse[rows];
  for (int r = 0; r < rows; r++) {
    mean[r] = own.about(r);
    remainder[r] = own.rest(r);
    inverse[r] = own.inverse[r];
  }
  std::fill_n(rowTotals, rows, 0.0);
  std::fill_n(rowProducts, rows, 0.0);
  for (int64_t left = 0; left < size; left += vectors * lanes) {
    hn::Vec<decltype(d)> total[rows], product[rows];
    for (int r = 0; r < rows; r++) total[r] = product[r] = hn::Zero(d);
    for (int64_t j = left; j < std::min(size, left + vectors * lanes); j += lanes) {
      const int64_t count = std::min(lanes, size - j);
      const auto load = [&](auto p, int64_t at) HWY_ATTR {
        return count == lanes ? loadAt(d, p, at) : loadFirstAt(d, p, at, count);
      };
      const auto s = load(scale, j);
      auto sum = hn::Zero(d), hats = sum;
      for (int r = 0; r < rows; r++) {
        const auto g = load(dy, r * size + j);
        const auto near = hn::Sub(load(x, r * size + j), hn::Set(d, mean[r]));
        // In this order nothing is lost that would count, unless a factor were large.
        const auto centred = hn::Mul(g, hn::Sub(near, hn::Set(d, remainder[r])));
        total[r] = hn::MulAdd(g, s, total[r]);
        product[r] = hn::MulAdd(centred, s, product[r]);
        sum = hn::Add(sum, g);
        hats = hn::MulAdd(centred, hn::Set(d, inverse[r]), hats);
      }
      addTo(sums + j, sum, count);
      addTo(products + j, hats, count);
    }
    for (int r = 0; r < rows; r++) {
      WideSum<float> all, ofHats;
      all.add(total[r]);
      ofHats.add(product[r]);
      rowTotals[r] += all.total();
      rowProducts[r] += ofHats.total() * static_cast<double>(inverse[r]);
    }
  }
}

/// out, and Σ dy and Σ dy·x̂ by columns, read before out is written as it may be dy. rowTotals and rowProducts
/// are memory for a number of each row.
template <class Scale, class T>
HWY_INLINE void layerGradientRowsBy(T* out, double* sums, double* products, double* rowTotals,
                                    double* rowProducts, const T* dy, const T* x,
                                    const RowMoments<const T>& own, Scale scale, bool largeScale,
                                    int64_t rows, int64_t size) {
  const auto isSmall = [](T factor) { return std::fabs(factor) <= T(2048); };
  const auto isFinite = [](double sum) { return sum - sum == 0; };
  bool wide = true, isKnown = false;
  if constexpr (sizeof(T) == sizeof(float)) {
    isKnown = !largeScale && std::all_of(own.inverse, own.inverse + rows, isSmall);
    if (isKnown) {
      std::fill_n(sums, size, 0.0);
      std::fill_n(products, size, 0.0);
      constexpr int group = 4;
      const auto add = [&](auto count, int64_t i) HWY_ATTR {
        layerGradientGroup<count.value>(sums, products, rowTotals + i, rowProducts + i, dy + i * size,
                                        x + i * size, scale, own.from(i), size);
      };
      int64_t i = 0;
      for (; i + group <= rows; i += group) add(std::integral_constant<int, group>(), i);
      for (; i < rows; i++) add(std::integral_constant<int, 1>(), i);
    }
    wide = !isKnown || !std::all_of(products, products + size, isFinite);
  }
  if (wide) layerGradientSums(sums, products, dy, x, own, rows, size);
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  for (int64_t i = 0; i < rows; i++) {
    layerGradientRow(out + i * size, dy + i * size, x + i * size, scale, HatOf<T>(own, i), own.isCentred(),
                     isKnown ? rowTotals[i] : unknown, isKnown ? rowProducts[i] : unknown, size);
  }
}

template <class T>
void layerGradientRows(T* out, double* sums, double* products, double* rowTotals, double* rowProducts,
                       const T* dy, const T* x, const RowMoments<const T>& own, const T* scale,
                       bool largeScale, int64_t rows, int64_t size) {
  const auto run = [&](auto by) HWY_ATTR {
    layerGradientRowsBy(out, sums, products, rowTotals, rowProducts, dy, x, own, by, largeScale, rows, size);
  };
  scale ? run(scale) : run(Same<T>{1});
}
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
void layerNorm(const Check& check, Array<T> out, Nullable<T> mean, Nullable<T> remainder, Array<T> inverse,
               Array<const T> x, Nullable<const T> scale, Nullable<const T> shift, Size rows, Size size,
               Number epsilon) {
  const auto height = static_cast<double>(rows.value), width = static_cast<double>(size.value);
  check.length(out, height * width);
  if (!mean.null) check.length(mean, height);
  if (!remainder.null) check.length(remainder, height);
  check.length(inverse, height);
  check.length(x, height * width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  const bool largeShift = !shift.null && std::any_of(shift.data, shift.data + size, isLarge<T>);
  const RowMoments<T> own{mean.data, remainder.data, inverse.data};
  const auto run = AXPY_SIMD(layerRows<T>);
  parallel::forRange(rows, rowsPerTask(std::max<int64_t>(size, 1)), [&](int64_t begin, int64_t end) {
    run(out.data + begin * size, own.from(begin), x.data + begin * size, scale.data, shift.data, largeShift,
        end - begin, size, epsilon);
  });
}

template <class T>
void layerNormGradient(const Check& check, Array<T> out, Array<T> scaleGradient, Array<T> shiftGradient,
                       Array<const T> gradient, Array<const T> x, Nullable<const T> mean,
                       Nullable<const T> remainder, Array<const T> inverse, Nullable<const T> scale,
                       Size rows, Size size) {
  const auto height = static_cast<double>(rows.value), width = static_cast<double>(size.value);
  check.length(out, height * width);
  check.length(scaleGradient, width);
  check.length(shiftGradient, width);
  check.length(gradient, height * width);
  check.length(x, height * width);
  if (!mean.null) check.length(mean, height);
  if (!remainder.null) check.length(remainder, height);
  check.length(inverse, height);
  if (!scale.null) check.length(scale, width);
  if (size == 0) return;
  const bool largeScale =
      !scale.null && !std::all_of(scale.data, scale.data + size, [](T s) { return std::fabs(s) <= T(2048); });
  ColumnSums sums(rows, size);
  const Buffer<double> ofRows(2 * rows);
  const RowMoments<const T> own{mean.data, remainder.data, inverse.data};
  const auto run = AXPY_SIMD(layerGradientRows<T>);
  sums.add([&](double* first, double* second, int64_t begin, int64_t end) {
    const int64_t from = begin * size;
    run(out.data + from, first, second, ofRows.data() + 2 * begin, ofRows.data() + begin + end,
        gradient.data + from, x.data + from, own.from(begin), scale.data, largeScale, end - begin, size);
  });
  for (int64_t i = 0; i < size; i++) {
    shiftGradient[i] = static_cast<T>(sums.first(i));
    scaleGradient[i] = static_cast<T>(sums.second(i));
  }
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(layerNorm, "out", "mean", "remainder", "inverse", "x", "scale", "shift", "rows", "size",
                      "epsilon"),
    AXPY_FLOAT_KERNEL(layerNormGradient, "out", "scaleGradient", "shiftGradient", "gradient", "x", "mean",
                      "remainder", "inverse", "scale", "rows", "size"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
