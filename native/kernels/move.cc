// Kernels that move data: fill, cast, strided copy, gather and scatter.

#include "kernels.h"
#include "parallel.h"
#include "walk.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace axpy {
namespace {

/// float to int32 truncates towards zero and saturates, and NaN becomes 0.
template <class To, class From>
To convertTo(From x) {
  if constexpr (std::is_same_v<To, int32_t> && std::is_floating_point_v<From>) {
    if (std::isnan(x)) return 0;
    const double bounded = std::fmin(std::fmax(static_cast<double>(x), -2147483648.0), 2147483647.0);
    return static_cast<int32_t>(bounded);
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void castArray(const AnyArray& out, const AnyArray& x) {
  To* to = static_cast<To*>(out.data);
  const From* from = static_cast<const From*>(x.data);
  parallel::forRange(out.length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) to[i] = convertTo<To>(from[i]);
  });
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

}  // namespace

template <class T>
void fill(const Check& check, Array<T> out, AnyNumber value) {
  if (std::is_same_v<T, int32_t> && !std::isfinite(value.value)) {
    // NaN and Infinity have no int32.
    check.fail(value.position, "to be a finite number", formatNumber(value));
  }
  const T converted = convertTo<T>(value.value);
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
  const int rank = layout.rank(3);
  const int64_t outOffset = layout.values[3 * rank], xOffset = layout.values[3 * rank + 1];
  const Walk<2> walk(layout.values.data(), rank);
  const int64_t stepOut = walk.step[0], stepX = walk.step[1];
  walk.forRuns([&](int64_t n, const std::array<int64_t, 2>& position) {
    T* to = out.data + outOffset + position[0];
    const T* from = x.data + xOffset + position[1];
    if (stepOut == 1 && stepX == 1) {
      std::memmove(to, from, static_cast<size_t>(n) * sizeof(T));
    } else if (stepOut == 1) {
      for (int64_t i = 0; i < n; i++) to[i] = from[i * stepX];
    } else {
      for (int64_t i = 0; i < n; i++) to[i * stepOut] = from[i * stepX];
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
  parallel::forRange(count, rowsPerTask(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      // Indices on shared memory may have changed since the check.
      const int64_t row = indices[i];
      if (row < 0 || row >= rows) continue;
      std::copy_n(x.data + row * width, width.value, out.data + i * width);
    }
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
  // Threads share the columns, not the rows: each sum is then taken in the order of i.
  const int64_t columns = std::max<int64_t>(64, parallel::lightChunk / count);
  parallel::forRange(width, columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; i++) {
      const int64_t row = indices[i];
      if (row < 0 || row >= rows) continue;
      T* to = out.data + row * width;
      const T* from = x.data + i * width;
      for (int64_t j = begin; j < end; j++) to[j] += from[j];
    }
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
