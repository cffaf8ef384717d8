// Batch and layer normalisation. Sums are float64, by blocks of rows that the shape alone determines.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/normalize.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "columns-inl.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>

#ifndef AXPY_BATCH_NORM_OPERANDS
#define AXPY_BATCH_NORM_OPERANDS
namespace axpy {

/// What normalises a column. A null scale is 1, a null shift 0.
template <class T>
struct Normalisation {
  const T *mean, *inverse, *scale, *shift;
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Σ (x − origin) and Σ (x − origin)² by columns
template <class T>
void momentSums(double* sums, double* squares, const T* x, const T* origin, int64_t rows, int64_t channels) {
  sumColumns<T>(
      sums, squares, rows, channels, [&](const auto& columns) HWY_ATTR { return columns.shared(origin, 0); },
      [&](const auto& columns, auto about, int64_t row, auto& first, auto& second) HWY_ATTR {
        first = hn::Sub(columns.at(x, row), about);
        second = hn::Mul(first, first);
      });
}

template <class V>
struct Shared {
  V mean, inverse, factor, shift;
};

template <class T, class C>
HWY_INLINE auto load(const C& columns, const Normalisation<T>& n) {
  const auto inverse = columns.shared(n.inverse, 1);
  return Shared<std::remove_const_t<decltype(inverse)>>{columns.shared(n.mean, 0), inverse,
                                                        hn::Mul(inverse, columns.shared(n.scale, 1)),
                                                        columns.shared(n.shift, 0)};
}

/// out = (x − mean)·inverse·scale + shift, and perhaps ReLU of it
template <class T>
void normalizeRows(T* out, const T* x, const Normalisation<T>& n, int64_t rows, int64_t channels, bool relu) {
  forColumns<T>(rows, channels, [&](const auto& columns, int64_t begin, int64_t end) HWY_ATTR {
    const auto shared = load(columns, n);
    const auto zero = hn::Zero(columns.d);
    for (int64_t row = begin; row < end; row++) {
      auto y = hn::MulAdd(hn::Sub(columns.at(x, row), shared.mean), shared.factor, shared.shift);
      if (relu) y = hn::IfThenElse(hn::Le(y, zero), zero, y);
      columns.store(y, out, row);
    }
  });
}

/// dz of ReLU: the gradient where z > 0, which is computed anew.
template <class V>
HWY_INLINE V throughRelu(V gradient, V z) {
  return hn::IfThenElse(hn::IsNaN(z), z, hn::IfThenElseZero(hn::Gt(z, hn::Sub(z, z)), gradient));
}

/// Σ dz and Σ dz·x̂ by columns
template <class T>
void gradientSums(double* sums, double* products, const T* dy, const T* x, const Normalisation<T>& n,
                  int64_t rows, int64_t channels, bool relu) {
  sumColumns<T>(
      sums, products, rows, channels, [&](const auto& columns) HWY_ATTR { return load(columns, n); },
      [&](const auto& columns, const auto& shared, int64_t row, auto& dz, auto& product) HWY_ATTR {
        const auto centred = hn::Sub(columns.at(x, row), shared.mean);
        dz = columns.at(dy, row);
        if (relu) dz = throughRelu(dz, hn::MulAdd(centred, shared.factor, shared.shift));
        product = hn::Mul(dz, hn::Mul(centred, shared.inverse));
      });
}

/// out = scale·inverse·(dz − (sum + x̂·product)), the two of them already divided by the rows
template <class T>
void gradientRows(T* out, const T* dy, const T* x, const Normalisation<T>& n, const T* sums,
                  const T* products, int64_t rows, int64_t channels, bool relu) {
  forColumns<T>(rows, channels, [&](const auto& columns, int64_t begin, int64_t end) HWY_ATTR {
    const auto shared = load(columns, n);
    const auto sum = columns.shared(sums, 0), product = hn::Mul(columns.shared(products, 0), shared.inverse);
    for (int64_t row = begin; row < end; row++) {
      const auto centred = hn::Sub(columns.at(x, row), shared.mean);
      auto dz = columns.at(dy, row);
      if (relu) dz = throughRelu(dz, hn::MulAdd(centred, shared.factor, shared.shift));
      columns.store(hn::Mul(shared.factor, hn::Sub(dz, hn::MulAdd(centred, product, sum))), out, row);
    }
  });
}

// ── by rows
// ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

template <class T>
void layerRows(T* out, T* mean, T* inverse, const T* x, const T* scale, const T* shift, int64_t rows,
               int64_t size, double epsilon) {
  for (int64_t i = 0; i < rows; i++, out += size, x += size) {
    const double n = static_cast<double>(std::max<int64_t>(size, 1));
    const double m = sum<T>(
                         size, [](auto, auto v) HWY_ATTR { return v; }, x) /
                     n;
    const T about = static_cast<T>(m);
    const auto square = [&](auto d, auto v) HWY_ATTR {
      const auto centred = hn::Sub(v, hn::Set(d, about));
      return hn::Mul(centred, centred);
    };
    // About the rounded mean, and corrected for the rounding.
    const double off = m - static_cast<double>(about);
    const double variance = std::max(sum<T>(size, square, x) / n - off * off, 0.0);
    mean[i] = about;
    inverse[i] = static_cast<T>(1 / std::sqrt(variance + epsilon));
    const auto normalize = [&](auto d, auto v, auto s, auto t) HWY_ATTR {
      const auto centred = hn::Sub(hn::Sub(v, hn::Set(d, about)), hn::Set(d, static_cast<T>(off)));
      return hn::MulAdd(hn::Mul(centred, hn::Set(d, inverse[i])), s, t);
    };
    if (scale && shift) {
      map(out, size, normalize, x, scale, shift);
    } else if (scale) {
      map(out, size, normalize, x, scale, Same<T>{0});
    } else if (shift) {
      map(out, size, normalize, x, Same<T>{1}, shift);
    } else {
      map(out, size, normalize, x, Same<T>{1}, Same<T>{0});
    }
  }
}

template <class T, class Scale>
HWY_INLINE void layerGradientRow(T* out, const T* dy, const T* x, Scale scale, T mean, T inverse,
                                 int64_t size) {
  const double n = static_cast<double>(size);
  const T total =
      static_cast<T>(sum<T>(
                         size, [](auto, auto g, auto s) HWY_ATTR { return hn::Mul(g, s); }, dy, scale) /
                     n);
  const auto hat = [&](auto d, auto v)
                       HWY_ATTR { return hn::Mul(hn::Sub(v, hn::Set(d, mean)), hn::Set(d, inverse)); };
  const T product = static_cast<T>(
      sum<T>(
          size, [&](auto d, auto g, auto s, auto v) HWY_ATTR { return hn::Mul(hn::Mul(g, s), hat(d, v)); },
          dy, scale, x) /
      n);
  map(
      out, size,
      [&](auto d, auto g, auto s, auto v) HWY_ATTR {
        const auto removed = hn::MulAdd(hat(d, v), hn::Set(d, product), hn::Set(d, total));
        return hn::Mul(hn::Set(d, inverse), hn::Sub(hn::Mul(g, s), removed));
      },
      dy, scale, x);
}

/// out, and Σ dy and Σ dy·x̂ by columns, read before out is written as it may be dy.
template <class T>
void layerGradientRows(T* out, double* sums, double* products, const T* dy, const T* x, const T* mean,
                       const T* inverse, const T* scale, int64_t rows, int64_t size) {
  sumColumns<T>(
      sums, products, rows, size, [](const auto&) { return 0; },
      [&](const auto& columns, int, int64_t row, auto& first, auto& second) HWY_ATTR {
        first = columns.at(dy, row);
        const auto centred = hn::Sub(columns.at(x, row), hn::Set(columns.d, mean[row]));
        second = hn::Mul(first, hn::Mul(centred, hn::Set(columns.d, inverse[row])));
      });
  for (int64_t i = 0; i < rows; i++) {
    T* const to = out + i * size;
    const T *g = dy + i * size, *from = x + i * size;
    if (scale) {
      layerGradientRow(to, g, from, scale, mean[i], inverse[i], size);
    } else {
      layerGradientRow(to, g, from, Same<T>{1}, mean[i], inverse[i], size);
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// Two float64 sums a column over all rows, block by block.
class Sums {
 public:
  Sums(int64_t rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        block_(std::max<int64_t>(1, parallel::lightChunk / columns)),
        blocks_(std::max<int64_t>(1, (rows + block_ - 1) / block_)),
        memory_(2 * blocks_ * columns) {
    if (rows == 0) std::fill_n(memory_.data(), 2 * columns, 0.0);
  }

  /// Calls each(first, second, begin, end) for the rows of each block, which it has to sum; then adds the
  /// blocks in order.
  template <class F>
  void add(const F& each) {
    parallel::forRange(rows_, block_, [&](int64_t begin, int64_t end) {
      double* const sums = memory_.data() + begin / block_ * 2 * columns_;
      each(sums, sums + columns_, begin, end);
    });
    for (int64_t block = 1; block < blocks_; block++) {
      for (int64_t i = 0; i < 2 * columns_; i++) memory_[i] += memory_[block * 2 * columns_ + i];
    }
  }
  double first(int64_t column) const { return memory_[column]; }
  double second(int64_t column) const { return memory_[columns_ + column]; }

 private:
  const int64_t rows_, columns_, block_, blocks_;
  const Buffer<double> memory_;
};

int64_t rowsPerTask(int64_t columns) { return std::max<int64_t>(1, parallel::lightChunk / columns); }

bool isRelu(const OptionalCode<UnaryOp>& activation) {
  return activation.present() && activation == UnaryOp::relu;
}

}  // namespace

template <class T>
void batchMoments(const Check& check, Array<T> mean, Array<T> inverse, Nullable<T> runningMean,
                  Nullable<T> runningVariance, Array<const T> x, Size rows, Size channels, Number epsilon,
                  Number momentum) {
  const auto width = static_cast<double>(channels.value);
  check.length(mean, width);
  check.length(inverse, width);
  if (!runningMean.null) check.length(runningMean, width);
  if (!runningVariance.null) check.length(runningVariance, width);
  check.length(x, static_cast<double>(rows.value) * width);
  if (channels == 0) return;
  const auto run = AXPY_SIMD(momentSums<T>);
  // Sums about a point near the mean lose nothing to cancellation: about the mean of the first rows.
  const int64_t few = std::clamp<int64_t>(rows, 1, 64);
  const Buffer<double> firstSums(2 * channels);
  const Buffer<T> origin(channels);
  run(firstSums.data(), firstSums.data() + channels, x.data, nullptr, std::min<int64_t>(rows, few), channels);
  for (int64_t c = 0; c < channels; c++) {
    origin[c] = static_cast<T>(firstSums[c] / static_cast<double>(few));
  }
  Sums sums(rows, channels);
  sums.add([&](double* first, double* second, int64_t begin, int64_t end) {
    run(first, second, x.data + begin * channels, origin.data(), end - begin, channels);
  });
  const double n = static_cast<double>(std::max<int64_t>(rows, 1));
  for (int64_t c = 0; c < channels; c++) {
    const double off = sums.first(c) / n;
    const double variance = std::max(sums.second(c) / n - off * off, 0.0);
    const double centre = static_cast<double>(origin[c]) + off;
    mean[c] = static_cast<T>(centre);
    // A NaN passes max above; it has to come out again.
    inverse[c] = static_cast<T>(1 / std::sqrt((std::isnan(off) ? off : variance) + epsilon));
    if (rows == 0) continue;
    const auto update = [&](T& running, double fresh) {
      running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * fresh);
    };
    if (!runningMean.null) update(runningMean[c], centre);
    if (!runningVariance.null) update(runningVariance[c], variance * (rows > 1 ? n / (n - 1) : 1));
  }
}

template <class T>
void batchNorm(const Check& check, Array<T> out, Array<const T> x, Array<const T> mean,
               Array<const T> inverse, Nullable<const T> scale, Nullable<const T> shift, Size rows,
               Size channels, OptionalCode<UnaryOp> activation, AnyNumber parameter) {
  const auto width = static_cast<double>(channels.value), size = static_cast<double>(rows.value) * width;
  check.code(activation, Codes<UnaryOp>::names.size());
  check.length(out, size);
  check.length(x, size);
  check.length(mean, width);
  check.length(inverse, width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  if (out.length == 0) return;
  const Normalisation<T> n{mean.data, inverse.data, scale.data, shift.data};
  const bool relu = isRelu(activation);
  const auto run = AXPY_SIMD(normalizeRows<T>);
  parallel::forRange(rows, rowsPerTask(channels), [&](int64_t begin, int64_t end) {
    T* const to = out.data + begin * channels;
    run(to, x.data + begin * channels, n, end - begin, channels, relu);
    if (activation.present() && !relu)
      applyUnary(to, to, (end - begin) * channels, activation, parameter, 0.0);
  });
}

template <class T>
void batchNormGradient(const Check& check, Array<T> out, Array<T> scaleGradient, Array<T> shiftGradient,
                       Array<const T> gradient, Array<const T> x, Array<const T> mean, Array<const T> inverse,
                       Nullable<const T> scale, Nullable<const T> shift, Size rows, Size channels,
                       OptionalCode<UnaryOp> activation, AnyNumber parameter, Flag moments) {
  const auto width = static_cast<double>(channels.value), size = static_cast<double>(rows.value) * width;
  check.gradientFromOutput(activation);
  check.length(out, size);
  check.length(scaleGradient, width);
  check.length(shiftGradient, width);
  check.length(gradient, size);
  check.length(x, size);
  check.length(mean, width);
  check.length(inverse, width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  if (channels == 0) return;

  const Normalisation<T> n{mean.data, inverse.data, scale.data, shift.data};
  const bool relu = isRelu(activation), other = activation.present() && !relu;
  const auto normalize = AXPY_SIMD(normalizeRows<T>);
  const auto sum = AXPY_SIMD(gradientSums<T>);
  // ReLU is passed twice, at no cost beside the memory; any other activation once, with dz left in out.
  const T* const dz = other ? out.data : gradient.data;
  Sums sums(rows, channels);
  Workspaces<T> spaces(other ? (rows + rowsPerTask(channels) - 1) / rowsPerTask(channels) : 0,
                       rowsPerTask(channels) * channels);
  sums.add([&](double* first, double* second, int64_t begin, int64_t end) {
    const int64_t from = begin * channels, count = (end - begin) * channels;
    if (other) {
      const typename Workspaces<T>::Lease space(spaces);
      T* const y = space.data();
      normalize(y, x.data + from, n, end - begin, channels, false);
      applyUnary(y, y, count, activation, parameter, 0.0);
      applyUnaryGradient(out.data + from, gradient.data + from, y, count, activation, parameter, 0.0);
    }
    sum(first, second, dz + from, x.data + from, n, end - begin, channels, relu);
  });
  const Buffer<T> shares(2 * channels);
  for (int64_t c = 0; c < channels; c++) {
    shiftGradient[c] = static_cast<T>(sums.first(c));
    scaleGradient[c] = static_cast<T>(sums.second(c));
    const double count = moments && rows > 0 ? static_cast<double>(rows.value) : 0;
    shares[c] = count == 0 ? T(0) : static_cast<T>(sums.first(c) / count);
    shares[channels + c] = count == 0 ? T(0) : static_cast<T>(sums.second(c) / count);
  }
  const auto run = AXPY_SIMD(gradientRows<T>);
  parallel::forRange(rows, rowsPerTask(channels), [&](int64_t begin, int64_t end) {
    run(out.data + begin * channels, dz + begin * channels, x.data + begin * channels, n, shares.data(),
        shares.data() + channels, end - begin, channels, relu);
  });
}

template <class T>
void layerNorm(const Check& check, Array<T> out, Array<T> mean, Array<T> inverse, Array<const T> x,
               Nullable<const T> scale, Nullable<const T> shift, Size rows, Size size, Number epsilon) {
  const auto height = static_cast<double>(rows.value), width = static_cast<double>(size.value);
  check.length(out, height * width);
  check.length(mean, height);
  check.length(inverse, height);
  check.length(x, height * width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  const auto run = AXPY_SIMD(layerRows<T>);
  parallel::forRange(rows, rowsPerTask(std::max<int64_t>(size, 1)), [&](int64_t begin, int64_t end) {
    run(out.data + begin * size, mean.data + begin, inverse.data + begin, x.data + begin * size, scale.data,
        shift.data, end - begin, size, epsilon);
  });
}

template <class T>
void layerNormGradient(const Check& check, Array<T> out, Array<T> scaleGradient, Array<T> shiftGradient,
                       Array<const T> gradient, Array<const T> x, Array<const T> mean, Array<const T> inverse,
                       Nullable<const T> scale, Size rows, Size size) {
  const auto height = static_cast<double>(rows.value), width = static_cast<double>(size.value);
  check.length(out, height * width);
  check.length(scaleGradient, width);
  check.length(shiftGradient, width);
  check.length(gradient, height * width);
  check.length(x, height * width);
  check.length(mean, height);
  check.length(inverse, height);
  if (!scale.null) check.length(scale, width);
  if (size == 0) return;
  Sums sums(rows, size);
  const auto run = AXPY_SIMD(layerGradientRows<T>);
  sums.add([&](double* first, double* second, int64_t begin, int64_t end) {
    const int64_t from = begin * size;
    run(out.data + from, first, second, gradient.data + from, x.data + from, mean.data + begin,
        inverse.data + begin, scale.data, end - begin, size);
  });
  for (int64_t i = 0; i < size; i++) {
    shiftGradient[i] = static_cast<T>(sums.first(i));
    scaleGradient[i] = static_cast<T>(sums.second(i));
  }
}

#define AXPY_INSTANTIATE(T)                                                                                \
  template void batchMoments(const Check&, Array<T>, Array<T>, Nullable<T>, Nullable<T>, Array<const T>,   \
                             Size, Size, Number, Number);                                                  \
  template void batchNorm(const Check&, Array<T>, Array<const T>, Array<const T>, Array<const T>,          \
                          Nullable<const T>, Nullable<const T>, Size, Size, OptionalCode<UnaryOp>,         \
                          AnyNumber);                                                                      \
  template void batchNormGradient(const Check&, Array<T>, Array<T>, Array<T>, Array<const T>,              \
                                  Array<const T>, Array<const T>, Array<const T>, Nullable<const T>,       \
                                  Nullable<const T>, Size, Size, OptionalCode<UnaryOp>, AnyNumber, Flag);  \
  template void layerNorm(const Check&, Array<T>, Array<T>, Array<T>, Array<const T>, Nullable<const T>,   \
                          Nullable<const T>, Size, Size, Number);                                          \
  template void layerNormGradient(const Check&, Array<T>, Array<T>, Array<T>, Array<const T>,              \
                                  Array<const T>, Array<const T>, Array<const T>, Nullable<const T>, Size, \
                                  Size)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
