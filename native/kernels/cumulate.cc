// Sums and products of all up to an element.

#include "kernels.h"
#include "parallel.h"

#include <algorithm>

namespace axpy {
namespace {

/// Columns that are taken side by side, so that memory is read in order.
constexpr int64_t widest = 64;

/// `columns` neighbouring columns of `size` numbers, `step` from one to the next.
template <bool product, class T>
void cumulateColumns(T* out, const T* x, int64_t size, int64_t columns, int64_t step) {
  double totals[widest];
  std::fill_n(totals, columns, product ? 1.0 : 0.0);
  for (int64_t i = 0; i < size; i++, out += step, x += step) {
    for (int64_t j = 0; j < columns; j++) {
      const double next = static_cast<double>(x[j]);
      totals[j] = product ? totals[j] * next : totals[j] + next;
      out[j] = static_cast<T>(totals[j]);
    }
  }
}

}  // namespace

template <class T>
void cumulate(const Check& check, Array<T> out, Array<const T> x, Size outer, Size size, Size inner,
              Flag product, Flag reverse) {
  const double length =
      static_cast<double>(outer.value) * static_cast<double>(size.value) * static_cast<double>(inner.value);
  check.length(out, length);
  check.length(x, length);
  if (out.length == 0) return;
  const int64_t width = std::min<int64_t>(inner, widest), stripes = (inner + width - 1) / width;
  const int64_t perTask = std::max<int64_t>(1, parallel::lightChunk / (size * width));
  const int64_t start = reverse ? (size - 1) * inner : 0, step = reverse ? -inner : inner.value;
  parallel::forRange(outer * stripes, perTask, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t left = task % stripes * width, at = task / stripes * size * inner + start + left;
      const auto run = product ? cumulateColumns<true, T> : cumulateColumns<false, T>;
      run(out.data + at, x.data + at, size, std::min(width, inner - left), step);
    }
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(cumulate, "out", "x", "outer", "size", "inner", "product", "reverse"),
};
const bind::Family family(kernels);

}  // namespace axpy
