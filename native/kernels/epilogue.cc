// What follows a product while its rows are in cache, bias and activation, and the gradient of it.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/epilogue.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// sums[columns] = Σ over the rows of x
template <class T>
void sumRows(double* sums, const T* x, int64_t rows, int64_t columns) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  const auto at = [&](const T* p) HWY_ATTR {
    if constexpr (sizeof(T) == sizeof(double)) {
      return hn::LoadU(dd, p);
    } else {
      return hn::PromoteTo(dd, hn::LoadU(d, p));
    }
  };
  int64_t j = 0;
  for (; j + 4 * lanes <= columns; j += 4 * lanes) {
    auto s0 = hn::Zero(dd), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t i = 0; i < rows; i++) {
      const T* p = x + i * columns + j;
      s0 = hn::Add(s0, at(p));
      s1 = hn::Add(s1, at(p + lanes));
      s2 = hn::Add(s2, at(p + 2 * lanes));
      s3 = hn::Add(s3, at(p + 3 * lanes));
    }
    hn::StoreU(s0, dd, sums + j);
    hn::StoreU(s1, dd, sums + j + lanes);
    hn::StoreU(s2, dd, sums + j + 2 * lanes);
    hn::StoreU(s3, dd, sums + j + 3 * lanes);
  }
  for (; j < columns; j++) {
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += static_cast<double>(x[i * columns + j]);
    sums[j] = sum;
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
void applyEpilogue(T* c, int64_t stride, int64_t rows, int64_t columns, const T* bias,
                   const OptionalCode<UnaryOp>& activation, double parameter) {
  if (!bias && !activation.present()) return;
  // Narrow rows are activated all at once, as a call for each would cost more than the work.
  const bool narrow = columns < 64 && columns == stride;
  if (bias && activation.present() && !narrow) {
    for (int64_t r = 0; r < rows; r++) {
      applyUnaryBiased(c + r * stride, c + r * stride, bias, columns, activation, parameter, 0.0);
    }
    return;
  }
  if (bias) {
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t j = 0; j < columns; j++) c[r * stride + j] += bias[j];
    }
  }
  if (!activation.present()) return;
  if (columns == stride) {
    applyUnary(c, c, rows * columns, activation, parameter, 0.0);
  } else {
    for (int64_t r = 0; r < rows; r++)
      applyUnary(c + r * stride, c + r * stride, columns, activation, parameter, 0.0);
  }
}

template <class T>
void epilogueGradient(const Check& check, Array<T> out, Nullable<T> biasGradient, Array<const T> gradient,
                      Array<const T> y, Size rows, Size columns, OutputCode activation, AnyNumber parameter) {
  const double size = static_cast<double>(rows.value) * static_cast<double>(columns.value);
  check.length(out, size);
  if (!biasGradient.null) check.length(biasGradient, static_cast<double>(columns.value));
  check.length(gradient, size);
  check.length(y, size);
  if (columns == 0) return;
  const int64_t block = std::max<int64_t>(1, parallel::lightChunk / columns);
  const int64_t blocks = (rows + block - 1) / block;
  const Buffer<double> sums(biasGradient.null ? 0 : blocks * columns);
  const auto sum = AXPY_SIMD(sumRows<T>);
  parallel::forRange(rows, block, [&](int64_t begin, int64_t end) {
    T* const to = out.data + begin * columns;
    const T* const from = gradient.data + begin * columns;
    const int64_t count = (end - begin) * columns;
    if (activation.present()) {
      applyUnaryGradient(to, from, y.data + begin * columns, count, activation, parameter, 0.0);
    } else if (to != from) {
      std::copy_n(from, count, to);
    }
    if (!biasGradient.null) sum(sums.data() + begin / block * columns, to, end - begin, columns);
  });
  if (biasGradient.null) return;
  for (int64_t j = 0; j < columns; j++) {
    double total = 0;
    for (int64_t i = 0; i < blocks; i++) total += sums[i * columns + j];
    biasGradient[j] = static_cast<T>(total);
  }
}

#define AXPY_INSTANTIATE(T) \
  template void applyEpilogue(T*, int64_t, int64_t, int64_t, const T*, const OptionalCode<UnaryOp>&, double)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(epilogueGradient, "out", "biasGradient", "gradient", "y", "rows", "columns",
                      "activation", "parameter"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
