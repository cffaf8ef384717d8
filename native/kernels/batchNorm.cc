// Batch normalisation. Sums are float64, by blocks of rows that the shape alone determines.

#include "kernels.h"
#include "moments.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/batchNorm.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "columns-inl.h"
#include "loops-inl.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#ifndef AXPY_BATCH_NORM_OPERANDS
#define AXPY_BATCH_NORM_OPERANDS
namespace axpy {

/// What normalises a column. A null remainder or shift is 0, a null scale 1; `wide` where that is too large
/// or too small for the arithmetic of T.
template <class T>
struct Normalisation {
  const T *mean, *remainder, *inverse, *scale, *shift;
  bool wide;
};

/// What moves with the moments of the columns, in float64 and in T: the sums of gradientSums divided by the
/// rows.
template <class T>
struct Shares {
  const double *sums, *products;
  const T *narrowSums, *narrowProducts;
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Whether the arithmetic of float32 holds what normalises the columns: differences with it, and the factors.
template <class T>
bool isOrdinary(const Normalisation<T>& n, int64_t channels) {
  int bad = 0;
  for (int64_t c = 0; c < channels; c++) {
    const double scale = n.scale ? static_cast<double>(n.scale[c]) : 1.0;
    const double slope = std::fabs(static_cast<double>(n.inverse[c]) * scale);
    bad |= !((slope >= 0x1p-126) & (slope <= 0x1p40)) & (slope != 0);
    bad |= !(std::fabs(n.mean[c]) <= T(0x1p100));
    // As that of a mean is; as a number of its own, it would not belong to the shift.
    if (n.remainder) bad |= !(std::fabs(n.remainder[c]) <= T(0x1p-20) * std::fabs(n.mean[c]));
  }
  for (int64_t c = 0; n.shift && c < channels; c++) bad |= !(std::fabs(n.shift[c]) <= T(0x1p100));
  return bad == 0;
}

// Functions of columns have a variant in float64, `wide`, for what leaves the range of T on the way.

/// Σ (x − origin) and Σ (x − origin)² by columns
template <class T>
void momentSums(double* sums, double* squares, const T* x, const T* origin, int64_t rows, int64_t channels) {
  sumColumns<T>(
      sums, squares, rows, channels, [&](const auto& columns) HWY_ATTR { return columns.shared(origin, 0); },
      [&](const auto& columns, auto about, int64_t row, auto& first, auto& second) HWY_ATTR {
        columns.fetchNext(x, row);
        first = hn::Sub(columns.at(x, row), about);
        second = hn::Mul(first, first);
      });
}

/// In the place of a vector that nobody needs.
struct Nothing {};

/// What columns are normalised by, as vectors. For arrays of float64 all is taken by halves, as x − mean, and
/// what it is times a factor beside the shift, may be twice as large as the largest number; and the remainder
/// of the mean by itself.
template <class W, class V, bool halves>
struct Shared {
  using Remainder = std::conditional_t<halves, V, Nothing>;
  W w;
  V mean, inverse, factor, shift;
  Remainder remainder;

  Shared() = default;
  HWY_INLINE Shared(W tag, V mean, Remainder remainder, V inverse, V scale, V shift)
      : w(tag),
        mean(half(mean)),
        inverse(inverse),
        factor(hn::Mul(inverse, scale)),
        shift(half(shift)),
        remainder(remainder) {
    if constexpr (halves) this->remainder = half(remainder);
  }

  HWY_INLINE V centred(V x) const {
    const V off = hn::Sub(half(x), mean);
    if constexpr (halves) {
      return hn::Sub(off, remainder);
    } else {
      return off;
    }
  }
  /// x̂
  HWY_INLINE V hat(V centred) const { return twice(hn::Mul(centred, inverse)); }
  HWY_INLINE V output(V centred) const { return twice(hn::MulAdd(centred, factor, shift)); }

 private:
  HWY_INLINE V half(V x) const { return halves ? hn::Mul(x, hn::Set(w, hn::TFromD<W>(0.5))) : x; }
  HWY_INLINE V twice(V x) const { return halves ? hn::Add(x, x) : x; }
};

/// Of float32, float64 holds the mean with its remainder; the variants that are not `wide` find none, see
/// `Folded`.
template <bool wide, class T, class C>
HWY_INLINE auto load(const C& columns, const Normalisation<T>& n) {
  constexpr bool halves = sizeof(T) == sizeof(double);
  using V = hn::Vec<decltype(columns.w)>;
  using Own = Shared<decltype(columns.w), V, halves>;
  const V mean = columns.shared(n.mean, 0), inverse = columns.shared(n.inverse, 1);
  const V scale = columns.shared(n.scale, 1), shift = columns.shared(n.shift, 0);
  if constexpr (halves) {
    return Own(columns.w, mean, columns.shared(n.remainder, 0), inverse, scale, shift);
  } else if constexpr (wide) {
    return Own(columns.w, hn::Add(mean, columns.shared(n.remainder, 0)), Nothing(), inverse, scale, shift);
  } else {
    return Own(columns.w, mean, Nothing(), inverse, scale, shift);
  }
}

/// out = (x − mean)·inverse·scale + shift, and perhaps ReLU of it
template <bool wide, class T>
HWY_INLINE void normalizeRowsAs(T* out, const T* x, const Normalisation<T>& n, int64_t rows, int64_t channels,
                                bool relu) {
  forColumns<wide, T>(rows, channels, [&](const auto& columns, int64_t begin, int64_t end) HWY_ATTR {
    const auto own = load<wide>(columns, n);
    const auto zero = hn::Zero(columns.w);
    for (int64_t row = begin; row < end; row++) {
      columns.fetchNext(x, row);
      auto y = own.output(own.centred(columns.at(x, row)));
      if (relu) y = hn::IfThenElse(hn::Le(y, zero), zero, y);
      columns.store(y, out, row);
    }
  });
}

template <class T>
void normalizeRows(T* out, const T* x, const Normalisation<T>& n, int64_t rows, int64_t channels, bool relu) {
  n.wide ? normalizeRowsAs<true>(out, x, n, rows, channels, relu)
         : normalizeRowsAs<false>(out, x, n, rows, channels, relu);
}

/// dz of ReLU: the gradient where z > 0, which is computed anew.
template <class V>
HWY_INLINE V throughRelu(V gradient, V z) {
  const auto zero = hn::Zero(hn::DFromV<V>());
  return hn::IfThenElse(hn::IsNaN(z), z, hn::IfThenElse(hn::Gt(z, zero), gradient, zero));
}

/// Σ dz and Σ dz·x̂ by columns. The side of ReLU is found as the output was computed, in float64 or not, and
/// rounded to T.
template <bool wide, class T>
HWY_INLINE void gradientSumsAs(double* sums, double* products, const T* dy, const T* x,
                               const Normalisation<T>& n, int64_t rows, int64_t channels, bool relu) {
  const auto side = [](const auto& columns) HWY_ATTR {
    if constexpr (wide) {
      return columns;
    } else {
      return columns.plain();
    }
  };
  sumColumns<T>(
      sums, products, rows, channels,
      [&](const auto& columns)
          HWY_ATTR { return std::pair(load<wide>(columns, n), load<wide>(side(columns), n)); },
      [&](const auto& columns, const auto& own, int64_t row, auto& dz, auto& product) HWY_ATTR {
        columns.fetchNext(dy, row);
        columns.fetchNext(x, row);
        dz = columns.at(dy, row);
        if (relu) {
          const auto as = side(columns);
          const auto& sided = own.second;
          dz = widen(throughRelu(as.at(dy, row), as.rounded(sided.output(sided.centred(as.at(x, row))))));
        }
        product = hn::Mul(dz, own.first.hat(own.first.centred(columns.at(x, row))));
      });
}

template <class T>
void gradientSums(double* sums, double* products, const T* dy, const T* x, const Normalisation<T>& n,
                  int64_t rows, int64_t channels, bool relu) {
  n.wide ? gradientSumsAs<true>(sums, products, dy, x, n, rows, channels, relu)
         : gradientSumsAs<false>(sums, products, dy, x, n, rows, channels, relu);
}

/// One element of gradientRows in float64.
template <class T>
T gradientOf(double dz, double x, const Normalisation<T>& n, const Shares<T>& shares, int64_t column,
             bool relu) {
  const double inverse = n.inverse[column], scale = n.scale ? static_cast<double>(n.scale[column]) : 1.0;
  const double remainder = n.remainder ? static_cast<double>(n.remainder[column]) : 0.0;
  const double half = 0.5 * x - 0.5 * static_cast<double>(n.mean[column]) - 0.5 * remainder;
  const double factor = inverse * scale;
  if (relu) {
    const double shift = n.shift ? static_cast<double>(n.shift[column]) : 0.0;
    const T z = static_cast<T>(2 * (half * factor + 0.5 * shift));
    dz = std::isnan(z) ? static_cast<double>(z) : z > 0 ? dz : 0;
  }
  return static_cast<T>(factor * (dz - (shares.sums[column] + 2 * half * inverse * shares.products[column])));
}

/// out = scale·inverse·(dz − (sum + x̂·product))
template <bool wide, class T>
HWY_INLINE void gradientRowsAs(T* out, const T* dy, const T* x, const Normalisation<T>& n,
                               const Shares<T>& shares, int64_t rows, int64_t channels, bool relu) {
  forColumns<wide, T>(rows, channels, [&](const auto& columns, int64_t begin, int64_t end) HWY_ATTR {
    const auto w = columns.w;
    const auto own = load<wide>(columns, n);
    const auto share = [&](const double* values, const T* narrow) HWY_ATTR {
      if constexpr (wide) {
        return columns.shared(values, 0);
      } else {
        return columns.shared(narrow, 0);
      }
    };
    const auto sum = share(shares.sums, shares.narrowSums),
               product = share(shares.products, shares.narrowProducts);
    const auto inFloat64 = [&](int64_t row) {
      for (int64_t i = 0; i < columns.count; i++) {
        const int64_t column = columns.first + i, at = row * channels + column;
        out[at] = gradientOf(dy[at], x[at], n, shares, column, relu);
      }
    };
    // Rows are looked at together, unless the gradients that they are made of are overwritten.
    const bool isSafe = wide || sizeof(T) == sizeof(double), inPlace = out == dy;
    auto finite = hn::Zero(w);
    for (int64_t row = begin; row < end; row++) {
      columns.fetchNext(x, row);
      columns.fetchNext(dy, row);
      const auto centred = own.centred(columns.at(x, row));
      auto dz = columns.at(dy, row);
      if (relu) dz = throughRelu(dz, columns.rounded(own.output(centred)));
      const auto slope = hn::Mul(own.factor, hn::Sub(dz, hn::MulAdd(own.hat(centred), product, sum)));
      if (!isSafe && inPlace && !isFinite(w, slope)) {
        inFloat64(row);
        continue;
      }
      finite = hn::Add(finite, hn::Sub(slope, slope));
      columns.store(slope, out, row);
    }
    if (isSafe || inPlace || HWY_LIKELY(isFinite(w, finite))) return;
    for (int64_t row = begin; row < end; row++) inFloat64(row);
  });
}

template <class T>
void gradientRows(T* out, const T* dy, const T* x, const Normalisation<T>& n, const Shares<T>& shares,
                  int64_t rows, int64_t channels, bool relu) {
  n.wide ? gradientRowsAs<true>(out, dy, x, n, shares, rows, channels, relu)
         : gradientRowsAs<false>(out, dy, x, n, shares, rows, channels, relu);
}
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

bool isRelu(const OptionalCode<UnaryOp>& activation) {
  return activation.present() && activation == UnaryOp::relu;
}

/// What normalises columns. Where the arithmetic of float32 holds all of it, the remainder of the mean goes
/// into the shift, −remainder·inverse·scale, so that no element has to pay for it.
template <class T>
class Folded {
 public:
  Folded(const Array<const T>& mean, const Nullable<const T>& remainder, const Array<const T>& inverse,
         const Nullable<const T>& scale, const Nullable<const T>& shift)
      : n_{mean.data, remainder.data, inverse.data, scale.data, shift.data, false},
        shift_(sizeof(T) == sizeof(float) && remainder.data ? mean.length : 0) {
    if (sizeof(T) == sizeof(double)) return;
    n_.wide = !AXPY_SIMD(isOrdinary<T>)(n_, mean.length);
    if (n_.wide || !n_.remainder) return;
    off_ = n_.remainder;
    for (int64_t c = 0; c < mean.length; c++) {
      const double own = n_.shift ? static_cast<double>(n_.shift[c]) : 0,
                   s = n_.scale ? static_cast<double>(n_.scale[c]) : 1;
      shift_[c] = static_cast<T>(own - hat(c) * s);
    }
    n_.remainder = nullptr;
    n_.shift = shift_.data();
  }

  /// For the vectors.
  const Normalisation<T>& vectors() const { return n_; }
  /// What x̂ of a column has to be less than the vectors find.
  double hat(int64_t c) const {
    return off_ ? static_cast<double>(off_[c]) * static_cast<double>(n_.inverse[c]) : 0.0;
  }

 private:
  Normalisation<T> n_;
  const T* off_ = nullptr;
  const Buffer<T> shift_;
};

}  // namespace

template <class T>
void batchMoments(const Check& check, Array<T> mean, Array<T> remainder, Array<T> inverse,
                  Nullable<T> runningMean, Nullable<T> runningVariance, Nullable<T> recentRows,
                  Array<const T> x, Size rows, Size channels, Number epsilon, Number momentum) {
  const auto width = static_cast<double>(channels.value);
  check.length(mean, width);
  check.length(remainder, width);
  check.length(inverse, width);
  if (!runningMean.null) check.length(runningMean, width);
  if (!runningVariance.null) check.length(runningVariance, width);
  if (!recentRows.null) check.length(recentRows, 1);
  check.length(x, static_cast<double>(rows.value) * width);
  const double n = static_cast<double>(std::max<int64_t>(rows, 1));
  // There is no variance of one row.
  const bool moves = rows > 1;
  double share = momentum;
  if (moves && !recentRows.null) {
    const double most = std::max(n, static_cast<double>(recentRows[0]));
    share *= (n - 1) / (most - 1);
    recentRows[0] = static_cast<T>(std::max(n, most / 2));
  }
  if (channels == 0) return;
  const auto run = AXPY_SIMD(momentSums<T>);
  // Sums about a point near the mean lose nothing to cancellation: about the mean of the first rows.
  const int64_t few = std::clamp<int64_t>(rows, 1, 64);
  const Buffer<double> firstSums(2 * channels);
  const Buffer<T> origin(channels);
  run(firstSums.data(), firstSums.data() + channels, x.data, nullptr, std::min<int64_t>(rows, few), channels);
  for (int64_t c = 0; c < channels; c++) {
    origin[c] = static_cast<T>(firstSums[c] / static_cast<double>(few));
    if (!std::isfinite(origin[c])) origin[c] = 0;
  }
  ColumnSums sums(rows, channels);
  sums.add([&](double* first, double* second, int64_t begin, int64_t end) {
    run(first, second, x.data + begin * channels, origin.data(), end - begin, channels);
  });
  for (int64_t c = 0; c < channels; c++) {
    double about = static_cast<double>(origin[c]), off = sums.first(c) / n;
    double variance = sums.second(c) / n - off * off;
    // max would make 0 of NaN.
    if (variance < 0) variance = 0;
    double factor = 1 / std::sqrt(variance + epsilon);
    if constexpr (sizeof(T) == sizeof(double)) {
      if (!std::isfinite(variance)) {
        const LargeMoments moments(x.data + c, rows, channels, epsilon);
        about = moments.mean;
        off = 0;
        variance = moments.variance;
        factor = moments.inverse;
      }
    }
    const double centre = about + off;
    mean[c] = static_cast<T>(centre);
    remainder[c] = remainderOf(mean[c], about, off);
    inverse[c] = static_cast<T>(factor);
    if (!moves) continue;
    const auto update = [&](T& running, double fresh) {
      running = static_cast<T>((1 - share) * static_cast<double>(running) + share * fresh);
    };
    if (!runningMean.null) update(runningMean[c], centre);
    if (!runningVariance.null) update(runningVariance[c], variance * (n / (n - 1)));
  }
}

template <class T>
void batchNorm(const Check& check, Array<T> out, Array<const T> x, Array<const T> mean,
               Nullable<const T> remainder, Array<const T> inverse, Nullable<const T> scale,
               Nullable<const T> shift, Size rows, Size channels, OptionalCode<UnaryOp> activation,
               AnyNumber parameter) {
  const auto width = static_cast<double>(channels.value), size = static_cast<double>(rows.value) * width;
  check.length(out, size);
  check.length(x, size);
  check.length(mean, width);
  if (!remainder.null) check.length(remainder, width);
  check.length(inverse, width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  if (out.length == 0) return;
  const Folded<T> folded(mean, remainder, inverse, scale, shift);
  const Normalisation<T>& n = folded.vectors();
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
                       Array<const T> gradient, Array<const T> x, Array<const T> mean,
                       Nullable<const T> remainder, Array<const T> inverse, Nullable<const T> scale,
                       Nullable<const T> shift, Size rows, Size channels, OutputCode activation,
                       AnyNumber parameter, Flag moments) {
  const auto width = static_cast<double>(channels.value), size = static_cast<double>(rows.value) * width;
  check.length(out, size);
  check.length(scaleGradient, width);
  check.length(shiftGradient, width);
  check.length(gradient, size);
  check.length(x, size);
  check.length(mean, width);
  if (!remainder.null) check.length(remainder, width);
  check.length(inverse, width);
  if (!scale.null) check.length(scale, width);
  if (!shift.null) check.length(shift, width);
  if (channels == 0) return;

  const Folded<T> folded(mean, remainder, inverse, scale, shift);
  Normalisation<T> n = folded.vectors();
  const bool relu = isRelu(activation), other = activation.present() && !relu;
  const auto normalize = AXPY_SIMD(normalizeRows<T>);
  const auto sum = AXPY_SIMD(gradientSums<T>);
  // ReLU is passed twice, at no cost beside the memory; any other activation once, with dz left in out.
  const T* const dz = other ? out.data : gradient.data;
  ColumnSums sums(rows, channels);
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
  const Buffer<double> wideShares(2 * channels);
  const Buffer<T> narrowShares(2 * channels);
  for (int64_t c = 0; c < channels; c++) {
    const double off = folded.hat(c), total = sums.first(c);
    // Of what overflows there is nothing to take.
    const auto less = [off](double of) { return off == 0 ? 0 : off * of; };
    const double product = sums.second(c) - less(total);
    shiftGradient[c] = static_cast<T>(total);
    scaleGradient[c] = static_cast<T>(product);
    const double count = moments && rows > 0 ? static_cast<double>(rows.value) : 0;
    wideShares[c] = count == 0 ? 0 : (total - less(product)) / count;
    wideShares[channels + c] = count == 0 ? 0 : product / count;
  }
  int bad = 0;
  for (int64_t i = 0; i < 2 * channels; i++) {
    narrowShares[i] = static_cast<T>(wideShares[i]);
    bad |= !fits<T>(wideShares[i]);
  }
  n.wide |= bad != 0;
  const Shares<T> shares{wideShares.data(), wideShares.data() + channels, narrowShares.data(),
                         narrowShares.data() + channels};
  const auto run = AXPY_SIMD(gradientRows<T>);
  parallel::forRange(rows, rowsPerTask(channels), [&](int64_t begin, int64_t end) {
    run(out.data + begin * channels, dz + begin * channels, x.data + begin * channels, n, shares, end - begin,
        channels, relu);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(batchMoments, "mean", "remainder", "inverse", "runningMean", "runningVariance",
                      "recentRows", "x", "rows", "channels", "epsilon", "momentum"),
    AXPY_FLOAT_KERNEL(batchNorm, "out", "x", "mean", "remainder", "inverse", "scale", "shift", "rows",
                      "channels", "activation", "parameter"),
    AXPY_FLOAT_KERNEL(batchNormGradient, "out", "scaleGradient", "shiftGradient", "gradient", "x", "mean",
                      "remainder", "inverse", "scale", "shift", "rows", "channels", "activation", "parameter",
                      "moments"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
