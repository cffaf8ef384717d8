// Sums over the rows of a matrix, in float64. Included once per target, hence the toggle instead of a guard.
#if defined(AXPY_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_COLUMNS_INL_H_
#undef AXPY_COLUMNS_INL_H_
#else
#define AXPY_COLUMNS_INL_H_
#endif

#include "loops-inl.h"

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

/// Calls f(columns) for each vector of columns.
template <class T, class F>
HWY_INLINE void forColumns(int64_t columns, const F& f) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < columns; j += lanes) {
    f(Columns<decltype(d)>{d, j, j + lanes <= columns ? lanes : columns - j, columns});
  }
}

/// Two float64 sums for each column over rows × columns: make(columns, row, first, second) gives one row's
/// terms, prepare once what all rows of the columns share.
template <class T, class Prepare, class Make>
HWY_INLINE void sumColumns(double* first, double* second, int64_t rows, int64_t columns,
                           const Prepare& prepare, const Make& make) {
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
  for (int64_t j = 0; j < columns; j += 2 * lanes) {
    const auto part = [&](int64_t from) {
      const int64_t left = columns - from;
      return Columns<decltype(d)>{d, left > 0 ? from : 0,
                                  left < 0       ? 0
                                  : left < lanes ? left
                                                 : lanes,
                                  columns};
    };
    const auto a = part(j), b = part(j + lanes);
    const auto sharedA = prepare(a), sharedB = prepare(b);
    auto a1 = hn::Zero(dd), a2 = a1, b1 = a1, b2 = a1;
    for (int64_t row = 0; row < rows; row++) {
      auto u = hn::Zero(d), v = u;
      make(a, sharedA, row, u, v);
      a1 = hn::Add(a1, widen(u));
      a2 = hn::Add(a2, widen(v));
      if (b.count == 0) continue;
      make(b, sharedB, row, u, v);
      b1 = hn::Add(b1, widen(u));
      b2 = hn::Add(b2, widen(v));
    }
    storeFirst(dd, a1, first + j, a.count);
    storeFirst(dd, a2, second + j, a.count);
    if (b.count == 0) continue;
    storeFirst(dd, b1, first + j + lanes, b.count);
    storeFirst(dd, b2, second + j + lanes, b.count);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_COLUMNS_INL_H_
