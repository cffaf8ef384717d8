// Kernels that move data: fill, cast, strided copy, gather and scatter.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/move.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#ifndef AXPY_KERNELS_MOVE_ONCE
#define AXPY_KERNELS_MOVE_ONCE
namespace axpy {

/// So many elements, and how far apart they are in the two arrays of a copy.
struct CopyAxis {
  int64_t size, out, x;
};

}  // namespace axpy
#endif  // AXPY_KERNELS_MOVE_ONCE

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

// ── casts
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// float to int32 truncates towards zero and saturates, and NaN becomes 0.
template <class To, class V>
HWY_INLINE hn::Vec<To> convert(To to, V v) {
  using T = hn::TFromD<To>;
  using From = hn::TFromV<V>;
  if constexpr (std::is_same_v<T, From>) {
    return v;
  } else if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<From>) {
    if constexpr (sizeof(T) > sizeof(From)) {
      return hn::PromoteTo(to, v);
    } else {
      return narrow(to, v);
    }
  } else {
    if constexpr (std::is_floating_point_v<From>) v = hn::IfThenElseZero(hn::Eq(v, v), v);
    if constexpr (sizeof(T) > sizeof(From)) {
      return hn::PromoteTo(to, v);
    } else if constexpr (sizeof(T) < sizeof(From)) {
      return hn::DemoteTo(to, v);
    } else {
      return hn::ConvertTo(to, v);
    }
  }
}

/// Pair: the types of out and x.
template <class Pair>
void castRange(typename Pair::first_type* out, const typename Pair::second_type* x, int64_t n) {
  using To = typename Pair::first_type;
  using From = typename Pair::second_type;
  using Larger = std::conditional_t<(sizeof(To) > sizeof(From)), To, From>;
  const auto cast = [&](auto d, int64_t i) HWY_ATTR {
    const hn::Rebind<From, decltype(d)> from;
    const hn::Rebind<To, decltype(d)> to;
    hn::StoreU(convert(to, hn::LoadU(from, x + i)), to, out + i);
  };
  const hn::ScalableTag<Larger> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) cast(d, i);
  for (; i < n; i++) cast(hn::CappedTag<Larger, 1>(), i);
}

// ── copies
// ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// The arrays do not overlap.
template <class T>
HWY_INLINE void copyRun(T* to, const T* from, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (n < lanes) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i + lanes <= n; i += lanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  // The last ones, some of them once more.
  hn::StoreU(hn::LoadU(d, from + n - lanes), d, to + n - lanes);
}

/// A square of as many rows as a vector of 16 bytes has elements.
template <class T>
HWY_INLINE void transposeSquare(T* to, int64_t rowOut, const T* from, int64_t rowX) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < static_cast<int64_t>(16 / sizeof(T)); i++) {
    for (int64_t j = 0; j < static_cast<int64_t>(16 / sizeof(T)); j++)
      to[i * rowOut + j] = from[j * rowX + i];
  }
#else
  const hn::FixedTag<T, 16 / sizeof(T)> d;
  const auto row = [&](int64_t i) HWY_ATTR { return hn::LoadU(d, from + i * rowX); };
  const auto store = [&](auto v, int64_t i) HWY_ATTR { hn::StoreU(v, d, to + i * rowOut); };
  if constexpr (sizeof(T) == sizeof(double)) {
    const auto a = row(0), b = row(1);
    store(hn::InterleaveLower(d, a, b), 0);
    store(hn::InterleaveUpper(d, a, b), 1);
  } else {
    const hn::Repartition<double, decltype(d)> pairs;
    const auto lower = [&](auto a, auto b)
                           HWY_ATTR { return hn::BitCast(pairs, hn::InterleaveLower(d, a, b)); };
    const auto upper = [&](auto a, auto b)
                           HWY_ATTR { return hn::BitCast(pairs, hn::InterleaveUpper(d, a, b)); };
    const auto a = row(0), b = row(1), c = row(2), e = row(3);
    const auto ab = lower(a, b), ce = lower(c, e), ab2 = upper(a, b), ce2 = upper(c, e);
    store(hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)), 0);
    store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce)), 1);
    store(hn::BitCast(d, hn::InterleaveLower(pairs, ab2, ce2)), 2);
    store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab2, ce2)), 3);
  }
#endif
}

/// Rows are neighbours in x, columns in out: by tiles of whole cache lines of both, and squares of these.
template <class T>
HWY_INLINE void transpose(T* to, const T* from, const CopyAxis& rows, const CopyAxis& columns) {
  constexpr int64_t tile = 64 / sizeof(T), square = 16 / sizeof(T);
  for (int64_t top = 0; top < rows.size; top += tile) {
    const int64_t bottom = std::min(top + tile, rows.size);
    for (int64_t left = 0; left < columns.size; left += tile) {
      const int64_t right = std::min(left + tile, columns.size);
      int64_t i = top;
      for (; i + square <= bottom; i += square) {
        int64_t j = left;
        for (; j + square <= right; j += square) {
          transposeSquare(to + i * rows.out + j, rows.out, from + j * columns.x + i, columns.x);
        }
        for (; j < right; j++) {
          for (int64_t k = i; k < i + square; k++) to[k * rows.out + j] = from[j * columns.x + k];
        }
      }
      for (; i < bottom; i++) {
        for (int64_t j = left; j < right; j++) to[i * rows.out + j] = from[j * columns.x + i];
      }
    }
  }
}

/// A plane of a copy.
template <class T>
void copyPlane(T* to, const T* from, const CopyAxis& rows, const CopyAxis& columns) {
  const int64_t n = columns.size;
  if (columns.out == 1 && columns.x != 1 && rows.x == 1) return transpose(to, from, rows, columns);
  for (int64_t i = 0; i < rows.size; i++, to += rows.out, from += rows.x) {
    if (columns.out == 1 && columns.x == 1) {
      copyRun(to, from, n);
    } else if (columns.out == 1 && columns.x == 0) {
      std::fill_n(to, n, *from);
    } else {
      for (int64_t j = 0; j < n; j++) to[j * columns.out] = from[j * columns.x];
    }
  }
}

/// out[i] = x[indices[i]] of rows of some width, for i within [begin, end).
template <class T>
void gatherRows(T* out, const T* x, const int32_t* indices, int64_t begin, int64_t end, int64_t rows,
                int64_t width) {
  for (int64_t i = begin; i < end; i++) {
    // Indices on shared memory may have changed since the check.
    const int64_t row = indices[i];
    if (row >= 0 && row < rows) copyRun(out + i * width, x + row * width, width);
  }
}

/// out[indices[i]] += x[i] in the order of i, of `columns` of rows of some width, for indices within [first,
/// last).
template <class T>
void scatterRows(T* out, const T* x, const int32_t* indices, int64_t count, int64_t first, int64_t last,
                 int64_t columns, int64_t width) {
  const auto add = [](auto, auto a, auto b) HWY_ATTR { return hn::Add(a, b); };
  for (int64_t i = 0; i < count; i++) {
    const int64_t row = indices[i];
    if (row < first || row >= last) continue;
    T* const to = out + row * width;
    map(to, columns, add, to, x + i * width);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

template <class To, class From>
void castArray(const AnyArray& out, const AnyArray& x) {
  To* to = static_cast<To*>(out.data);
  const From* from = static_cast<const From*>(x.data);
  using Types = std::pair<To, From>;
  const auto run = AXPY_SIMD(castRange<Types>);
  parallel::forRange(out.length, parallel::lightChunk,
                     [&](int64_t begin, int64_t end) { run(to + begin, from + begin, end - begin); });
}

template <class To>
void castTo(const AnyArray& out, const AnyArray& x) {
  switch (x.type) {
    case AnyArray::float32:
      return castArray<To, float>(out, x);
    case AnyArray::float64:
      return castArray<To, double>(out, x);
    case AnyArray::int32:
      return castArray<To, int32_t>(out, x);
  }
}

/// Rows enough for one task to be worth a thread.
int64_t rowsPerTask(int64_t width) {
  return std::max<int64_t>(1, parallel::lightChunk / std::max<int64_t>(width, 1));
}

/// The axes of a copy in an order that suits it: where no position of out is written twice, any will do.
class CopyAxes {
 public:
  int64_t out, x;  // where the copy begins
  CopyAxis rows{1, 0, 0}, columns{1, 1, 1};
  bool isOrdered = true;  // whether it has to be made in the order of the layout

  explicit CopyAxes(const Layout& layout) {
    const int rank = layout.rank(3);
    const int32_t* const v = layout.values.data();
    out = v[3 * rank];
    x = v[3 * rank + 1];
    for (int axis = 0; axis < rank; axis++) {
      if (v[axis] != 1) add({v[axis], v[rank + axis], v[2 * rank + axis]});
    }
    isOrdered = writesTwice();
    if (!isOrdered) sort();
    take(rank_ - 1, columns);
    if (isOrdered) return;
    // The second axis is one along which x is contiguous, if the first is not.
    int second = rank_ - 1;
    if (columns.x != 1 && columns.x != 0) {
      for (int axis = 0; axis < rank_; axis++) {
        if (axes_[axis].x == 1) second = axis;
      }
    }
    take(second, rows);
  }

  int64_t planes() const {
    int64_t count = 1;
    for (int axis = 0; axis < rank_; axis++) count *= axes_[axis].size;
    return count;
  }

  /// Calls each(out, x), where a plane begins, for those within [begin, end) in their order.
  template <class F>
  void forPlanes(int64_t begin, int64_t end, const F& each) const {
    std::array<int64_t, Layout::maxRank> index{};
    int64_t to = out, from = x;
    for (int64_t rest = begin, axis = rank_ - 1; axis >= 0; axis--) {
      index[axis] = rest % axes_[axis].size;
      rest /= axes_[axis].size;
      to += index[axis] * axes_[axis].out;
      from += index[axis] * axes_[axis].x;
    }
    for (int64_t plane = begin; plane < end; plane++) {
      each(to, from);
      for (int axis = rank_ - 1; axis >= 0; axis--) {
        const CopyAxis& a = axes_[axis];
        const bool wraps = ++index[axis] == a.size;
        to += a.out * (wraps ? 1 - a.size : 1);
        from += a.x * (wraps ? 1 - a.size : 1);
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  }

 private:
  /// One with the axis before where both arrays go on evenly.
  void add(const CopyAxis& axis) {
    if (rank_ > 0) {
      CopyAxis& last = axes_[rank_ - 1];
      if (last.out == axis.out * axis.size && last.x == axis.x * axis.size) {
        last = {last.size * axis.size, axis.out, axis.x};
        return;
      }
    }
    axes_[rank_++] = axis;
  }

  void take(int axis, CopyAxis& to) {
    if (axis < 0) return;
    to = axes_[axis];
    rank_--;
    for (; axis < rank_; axis++) axes_[axis] = axes_[axis + 1];
  }

  /// By the strides of out, which become positive.
  void sort() {
    for (int axis = 0; axis < rank_; axis++) {
      CopyAxis& a = axes_[axis];
      if (a.out > 0) continue;
      out += (a.size - 1) * a.out;
      x += (a.size - 1) * a.x;
      a = {a.size, -a.out, -a.x};
    }
    std::sort(axes_.begin(), axes_.begin() + rank_,
              [](const CopyAxis& a, const CopyAxis& b) { return a.out > b.out; });
    const auto unmerged = axes_;
    const int count = std::exchange(rank_, 0);
    for (int axis = 0; axis < count; axis++) add(unmerged[axis]);
  }

  /// Not for certain: whether a step of some axis is shorter than all that the smaller ones span.
  bool writesTwice() const {
    auto sorted = axes_;
    std::sort(sorted.begin(), sorted.begin() + rank_,
              [](const CopyAxis& a, const CopyAxis& b) { return std::abs(a.out) < std::abs(b.out); });
    int64_t span = 0;
    for (int axis = 0; axis < rank_; axis++) {
      const int64_t step = std::abs(sorted[axis].out);
      if (step <= span) return true;
      span += step * (sorted[axis].size - 1);
    }
    return false;
  }

  std::array<CopyAxis, Layout::maxRank> axes_{};
  int rank_ = 0;
};

}  // namespace

template <class T>
void fill(const Check& check, Array<T> out, AnyNumber value) {
  const double number = value;
  if (std::is_same_v<T, int32_t> && !std::isfinite(number)) {
    // NaN and Infinity have no int32.
    check.fail(value.position, "to be a finite number", formatNumber(value));
  }
  T converted;
  if constexpr (std::is_same_v<T, int32_t>) {
    converted = static_cast<int32_t>(std::clamp(number, -2147483648.0, 2147483647.0));
  } else {
    converted = static_cast<T>(number);
  }
  parallel::forRange(out.length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    std::fill(out.data + begin, out.data + end, converted);
  });
}

void cast(const Check& check, AnyArray out, ConstAnyArray x) {
  check.length(x, static_cast<double>(out.length));
  switch (out.type) {
    case AnyArray::float32:
      return castTo<float>(out, x);
    case AnyArray::float64:
      return castTo<double>(out, x);
    case AnyArray::int32:
      return castTo<int32_t>(out, x);
  }
}

template <class T>
void copy(const Check& check, Array<T> out, Array<const T> x, const Layout& layout) {
  check.copyLayout(layout, out.length, x.length, check.name(out.position), check.name(x.position));
  const int32_t* const dims = layout.values.data();
  if (std::find(dims, dims + layout.rank(3), 0) != dims + layout.rank(3)) return;
  const CopyAxes axes(layout);
  const auto copyOne = AXPY_SIMD(copyPlane<T>);
  const CopyAxis &rows = axes.rows, &columns = axes.columns;
  if (axes.isOrdered) {
    axes.forPlanes(0, axes.planes(),
                   [&](int64_t to, int64_t from) { copyOne(out.data + to, x.data + from, rows, columns); });
    return;
  }
  // Parts of planes, so that a large one is shared as well.
  const int64_t width = std::min(columns.size, parallel::lightChunk);
  const int64_t height = std::min(rows.size, std::max<int64_t>(16, parallel::lightChunk / width));
  const int64_t across = (columns.size + width - 1) / width, down = (rows.size + height - 1) / height;
  const int64_t parts = across * down, perTask = rowsPerTask(width * height);
  parallel::forRange(axes.planes() * parts, perTask, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t part = at % parts, left = part % across * width, top = part / across * height;
      // With one part a plane, all of them; else one at a time.
      const int64_t next = parts == 1 ? end : at + 1;
      const CopyAxis some{std::min(height, rows.size - top), rows.out, rows.x};
      const CopyAxis run{std::min(width, columns.size - left), columns.out, columns.x};
      axes.forPlanes(at / parts, (next - 1) / parts + 1, [&](int64_t to, int64_t from) {
        copyOne(out.data + to + top * rows.out + left * columns.out,
                x.data + from + top * rows.x + left * columns.x, some, run);
      });
      at = next;
    }
  });
}

template <class T>
void gather(const Check& check, Array<T> out, Array<const T> x, Array<const int32_t> indices, Size count,
            Size rows, Size width) {
  const double W = static_cast<double>(width.value);
  check.length(out, static_cast<double>(count.value) * W);
  check.length(x, static_cast<double>(rows.value) * W);
  check.length(indices, static_cast<double>(count.value));
  check.indices(indices, rows);
  if (out.length == 0) return;
  const auto run = AXPY_SIMD(gatherRows<T>);
  parallel::forRange(count, rowsPerTask(width), [&](int64_t begin, int64_t end) {
    run(out.data, x.data, indices.data, begin, end, rows, width);
  });
}

template <class T>
void scatterAdd(const Check& check, Array<T> out, Array<const T> x, Array<const int32_t> indices, Size count,
                Size rows, Size width) {
  const double W = static_cast<double>(width.value);
  check.length(out, static_cast<double>(rows.value) * W);
  check.length(x, static_cast<double>(count.value) * W);
  check.length(indices, static_cast<double>(count.value));
  check.indices(indices, rows);
  if (x.length == 0) return;
  const auto run = AXPY_SIMD(scatterRows<T>);
  // Each sum is taken in the order of i: tasks have columns of their own or, where there are few, rows of
  // out, and then all look at all indices.
  const int64_t columns = std::max<int64_t>(64, parallel::lightChunk / count);
  const int64_t stripes = (width + columns - 1) / columns;
  const int64_t bands =
      stripes > 1 ? 1 : std::clamp<int64_t>(x.length / parallel::lightChunk, 1, std::min<int64_t>(rows, 8));
  const int64_t band = (rows + bands - 1) / bands;
  parallel::forRange(stripes * bands, 1, [&](int64_t task, int64_t) {
    const int64_t left = task / bands * columns, first = task % bands * band;
    run(out.data + left, x.data + left, indices.data, count, first, std::min<int64_t>(first + band, rows),
        std::min(columns, width - left), width);
  });
}

template <class T>
void oneHot(const Check& check, Array<T> out, Array<const int32_t> labels, Size count, Size classes) {
  check.length(out, static_cast<double>(count.value) * static_cast<double>(classes.value));
  check.length(labels, static_cast<double>(count.value));
  check.indices(labels, classes);
  if (out.length == 0) return;
  parallel::forRange(count, rowsPerTask(classes), [&](int64_t begin, int64_t end) {
    std::fill(out.data + begin * classes, out.data + end * classes, T(0));
    for (int64_t i = begin; i < end; i++) {
      const int64_t label = labels[i];
      if (label >= 0 && label < classes) out[i * classes + label] = T(1);
    }
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(fill, "out", "value"),
    AXPY_KERNEL(cast, "out", "x"),
    AXPY_DATA_KERNEL(copy, "out", "x", "layout"),
    AXPY_DATA_KERNEL(gather, "out", "x", "indices", "count", "rows", "width"),
    AXPY_FLOAT_KERNEL(scatterAdd, "out", "x", "indices", "count", "rows", "width"),
    AXPY_FLOAT_KERNEL(oneHot, "out", "labels", "count", "classes"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
