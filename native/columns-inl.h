// Sums over the rows of a matrix, in float64. Included once per target, hence the toggle instead of a guard.
#if defined(AXPY_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_COLUMNS_INL_H_
#undef AXPY_COLUMNS_INL_H_
#else
#define AXPY_COLUMNS_INL_H_
#endif

#include "loops-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// What a column of operands offers to a function of rows: `count` values of a row, and values that all rows
/// share.
template <class D>
struct Columns {
  D d;
  int64_t first, count, stride;

  template <class T>
  HWY_INLINE hn::Vec<D> at(const T* p, int64_t row) const {
    return load(p + row * stride + first);
  }
  template <class T>
  HWY_INLINE hn::Vec<D> shared(const T* p, double otherwise) const {
    return p ? load(p + first) : hn::Set(d, static_cast<T>(otherwise));
  }
  template <class T>
  HWY_INLINE void store(hn::Vec<D> v, T* p, int64_t row) const {
    if (count == static_cast<int64_t>(hn::Lanes(d))) {
      hn::StoreU(v, d, p + row * stride + first);
    } else {
      storeFirst(d, v, p + row * stride + first, count);
    }
  }

 private:
  template <class T>
  HWY_INLINE hn::Vec<D> load(const T* p) const {
    return count == static_cast<int64_t>(hn::Lanes(d)) ? hn::LoadU(d, p) : loadFirst(d, p, count);
  }
};

/// Calls f(begin, end) for runs of rows that stay in the first-level cache while f goes from column to
/// column: the memory is then read as it lies.
template <class F>
HWY_INLINE void forRuns(int64_t rows, int64_t columns, const F& f) {
  const int64_t run = std::max<int64_t>(8, 2048 / columns);
  for (int64_t begin = 0; begin < rows; begin += run) f(begin, std::min(rows, begin + run));
}

/// Calls f(columns, begin, end) for each vector of columns of each run of rows.
template <class T, class F>
HWY_INLINE void forColumns(int64_t rows, int64_t columns, const F& f) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  forRuns(rows, columns, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t j = 0; j < columns; j += lanes) {
      f(Columns<decltype(d)>{d, j, j + lanes <= columns ? lanes : columns - j, columns}, begin, end);
    }
  });
}

/// sumColumns of `parts` vectors of columns, from column `from` on, over a run of rows; the last vector may
/// be part of one. All stays in registers.
template <int parts, class T, class Prepare, class Make>
HWY_INLINE void sumStripe(double* first, double* second, int64_t from, int64_t begin, int64_t end,
                          int64_t columns, const Prepare& prepare, const Make& make) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  const auto widen = [&](auto v) HWY_ATTR {
    if constexpr (sizeof(T) == sizeof(double)) {
      return v;
    } else {
      return hn::PromoteTo(dd, v);
    }
  };
  const auto part = [&](int i) {
    const int64_t at = from + i * lanes;
    return Columns<decltype(d)>{d, at, parts == 1 ? std::min(lanes, columns - at) : lanes, columns};
  };
  decltype(prepare(part(0))) shared[parts];
  hn::Vec<decltype(dd)> s1[parts], s2[parts];
  for (int i = 0; i < parts; i++) {
    shared[i] = prepare(part(i));
    s1[i] = loadFirst(dd, first + part(i).first, part(i).count);
    s2[i] = loadFirst(dd, second + part(i).first, part(i).count);
  }
  for (int64_t row = begin; row < end; row++) {
    for (int i = 0; i < parts; i++) {
      auto u = hn::Zero(d), v = u;
      make(part(i), shared[i], row, u, v);
      s1[i] = hn::Add(s1[i], widen(u));
      s2[i] = hn::Add(s2[i], widen(v));
    }
  }
  for (int i = 0; i < parts; i++) {
    const auto to = part(i);
    storeFirst(dd, s1[i], first + to.first, to.count);
    storeFirst(dd, s2[i], second + to.first, to.count);
  }
}

/// Two float64 sums for each column over rows × columns: make(columns, row, first, second) gives one row's
/// terms, prepare once what all rows of the columns share.
template <class T, class Prepare, class Make>
HWY_INLINE void sumColumns(double* first, double* second, int64_t rows, int64_t columns,
                           const Prepare& prepare, const Make& make) {
  // A stripe reads whole cache lines where there are columns enough for it.
  constexpr int parts = 4;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<double>()));
  std::fill_n(first, columns, 0.0);
  std::fill_n(second, columns, 0.0);
  forRuns(rows, columns, [&](int64_t begin, int64_t end) HWY_ATTR {
    int64_t j = 0;
    for (; j + parts * lanes <= columns; j += parts * lanes) {
      sumStripe<parts, T>(first, second, j, begin, end, columns, prepare, make);
    }
    for (; j < columns; j += lanes) sumStripe<1, T>(first, second, j, begin, end, columns, prepare, make);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_COLUMNS_INL_H_
