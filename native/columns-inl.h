// Loops over the rows of a matrix, and sums of them in float64. Included once per target, hence the toggle
// instead of a guard.
#if defined(AXPY_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_COLUMNS_INL_H_
#undef AXPY_COLUMNS_INL_H_
#else
#define AXPY_COLUMNS_INL_H_
#endif

#include "hwy/cache_control.h"
#include "loops-inl.h"

#include <algorithm>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// What a column of operands offers to a function of rows: `count` values of a row, and values that all rows
/// share. Arrays are of the type of D, the arithmetic is that of W: the same, or float64.
template <class D, class W>
struct Columns {
  D d;
  W w;
  int64_t first, count, stride;
  /// Rows from a run to the next.
  int64_t ahead;

  template <class T>
  HWY_INLINE hn::Vec<W> at(const T* p, int64_t row) const {
    return load(p + row * stride + first);
  }
  template <class T>
  HWY_INLINE hn::Vec<W> shared(const T* p, double otherwise) const {
    return p ? load(p + first) : hn::Set(w, static_cast<hn::TFromD<W>>(otherwise));
  }
  /// Has the processor fetch the place of this row in the next run, as it foresees no jumps from column to
  /// column.
  template <class T>
  HWY_INLINE void fetchNext(const T* p, int64_t row) const {
    hwy::Prefetch(p + (row + ahead) * stride + first);
  }
  template <class T>
  HWY_INLINE void store(hn::Vec<W> v, T* p, int64_t row) const {
    if (count == static_cast<int64_t>(hn::Lanes(d))) {
      hn::StoreU(narrow(d, v), d, p + row * stride + first);
    } else {
      storeFirst(d, narrow(d, v), p + row * stride + first, count);
    }
  }
  /// As an array would hold it.
  HWY_INLINE hn::Vec<W> rounded(hn::Vec<W> v) const {
    if constexpr (std::is_same_v<hn::TFromD<D>, hn::TFromD<W>>) {
      return v;
    } else {
      return widen(narrow(d, v));
    }
  }
  /// The same columns in the arithmetic of the arrays.
  HWY_INLINE Columns<D, D> plain() const { return {d, d, first, count, stride, ahead}; }

 private:
  template <class T>
  HWY_INLINE hn::Vec<W> load(const T* p) const {
    // Arrays of float64 may stand beside those of float32.
    using Tag = std::conditional_t<std::is_same_v<T, hn::TFromD<D>>, D, W>;
    const Tag tag;
    const auto v =
        count == static_cast<int64_t>(hn::Lanes(tag)) ? hn::LoadU(tag, p) : loadFirst(tag, p, count);
    if constexpr (std::is_same_v<hn::TFromD<Tag>, hn::TFromD<W>>) {
      return v;
    } else {
      return widen(v);
    }
  }
};

/// The tags of arrays of T in the arithmetic of T, or of float64.
template <bool wide, class T>
struct Tags {
  using W = hn::ScalableTag<std::conditional_t<wide, double, T>>;
  using D = hn::Rebind<T, W>;
};

/// Calls f(begin, end) for runs of rows that stay in the first-level cache while f goes from column to
/// column: the memory is then read as it lies.
template <class F>
HWY_INLINE void forRuns(int64_t rows, int64_t columns, const F& f) {
  const int64_t run = std::max<int64_t>(8, 2048 / columns);
  for (int64_t begin = 0; begin < rows; begin += run) f(begin, std::min(rows, begin + run));
}

/// Calls f(columns, begin, end) for each vector of columns of each run of rows.
template <bool wide, class T, class F>
HWY_INLINE void forColumns(int64_t rows, int64_t columns, const F& f) {
  using Tag = Tags<wide, T>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(typename Tag::D()));
  forRuns(rows, columns, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t j = 0; j < columns; j += lanes) {
      const int64_t count = j + lanes <= columns ? lanes : columns - j;
      f(Columns<typename Tag::D, typename Tag::W>{{}, {}, j, count, columns, end - begin}, begin, end);
    }
  });
}

/// sumColumns of `parts` vectors of columns, from column `from` on, over a run of rows; the last vector may
/// be part of one. All stays in registers.
template <int parts, class T, class Prepare, class Make>
HWY_INLINE void sumStripe(double* first, double* second, int64_t from, int64_t begin, int64_t end,
                          int64_t columns, const Prepare& prepare, const Make& make) {
  using Tag = Tags<true, T>;
  const typename Tag::W dd;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  const auto part = [&](int i) {
    const int64_t at = from + i * lanes;
    const int64_t count = parts == 1 ? std::min(lanes, columns - at) : lanes;
    return Columns<typename Tag::D, typename Tag::W>{{}, {}, at, count, columns, end - begin};
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
      auto u = hn::Zero(dd), v = u;
      make(part(i), shared[i], row, u, v);
      s1[i] = hn::Add(s1[i], u);
      s2[i] = hn::Add(s2[i], v);
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
