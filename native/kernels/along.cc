// Elements by their places along an axis: gather and scatter of arrays outer × … × inner.

#include "kernels.h"
#include "parallel.h"

#include <algorithm>

namespace axpy {
namespace {

double product(const Size& a, const Size& b, const Size& c) {
  return static_cast<double>(a.value) * static_cast<double>(b.value) * static_cast<double>(c.value);
}

}  // namespace

template <class T>
void gatherAlong(const Check& check, Array<T> out, Array<const T> x, Array<const int32_t> indices, Size outer,
                 Size size, Size count, Size inner) {
  check.length(out, product(outer, count, inner));
  check.length(x, product(outer, size, inner));
  check.length(indices, product(outer, count, inner));
  check.indices(indices, size);
  if (out.length == 0) return;
  const int64_t perTask = std::max<int64_t>(1, parallel::lightChunk / inner);
  parallel::forRange(outer * count, perTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T* const from = x.data + row / count * size * inner;
      const int32_t* const index = indices.data + row * inner;
      T* const to = out.data + row * inner;
      for (int64_t j = 0; j < inner; j++) {
        // Indices on shared memory may have changed since the check.
        const int64_t at = index[j];
        if (at >= 0 && at < size) to[j] = from[at * inner + j];
      }
    }
  });
}

template <class T>
void scatterAddAlong(const Check& check, Array<T> out, Array<const T> x, Array<const int32_t> indices,
                     Size outer, Size size, Size count, Size inner) {
  check.length(out, product(outer, size, inner));
  check.length(x, product(outer, count, inner));
  check.length(indices, product(outer, count, inner));
  check.indices(indices, size);
  if (x.length == 0) return;
  // Each sum is taken in the order of i: tasks have stripes of columns of their own.
  const int64_t width = std::min<int64_t>(inner, std::max<int64_t>(64, parallel::lightChunk / count));
  const int64_t stripes = (inner + width - 1) / width;
  const int64_t perTask = std::max<int64_t>(1, parallel::lightChunk / (count * width));
  parallel::forRange(outer * stripes, perTask, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t o = task / stripes, left = task % stripes * width;
      const int64_t columns = std::min(width, inner - left);
      T* const to = out.data + o * size * inner + left;
      for (int64_t i = 0; i < count; i++) {
        const int64_t row = (o * count + i) * inner + left;
        for (int64_t j = 0; j < columns; j++) {
          const int64_t at = indices[row + j];
          if (at >= 0 && at < size) to[at * inner + j] += x[row + j];
        }
      }
    }
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(gatherAlong, "out", "x", "indices", "outer", "size", "count", "inner"),
    AXPY_FLOAT_KERNEL(scatterAddAlong, "out", "x", "indices", "outer", "size", "count", "inner"),
};
const bind::Family family(kernels);

}  // namespace axpy
