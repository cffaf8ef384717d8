// Reductions and argmax. Accumulators are float64 throughout, in an order that the shape alone determines.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

template <ReduceOp op>
struct Reducer {
  static constexpr double identity = op == ReduceOp::product ? 1
                                     : op == ReduceOp::max   ? -std::numeric_limits<double>::infinity()
                                     : op == ReduceOp::min   ? std::numeric_limits<double>::infinity()
                                                             : 0;
  /// One more value into an accumulator.
  template <class V>
  static HWY_INLINE V add(V sum, V x) {
    if constexpr (op == ReduceOp::sumOfSquares) {
      return hn::MulAdd(x, x, sum);
    } else {
      return merge(sum, x);
    }
  }
  /// Two accumulators into one.
  template <class V>
  static HWY_INLINE V merge(V sum, V x) {
    if constexpr (op == ReduceOp::product) {
      return inRange(hn::Mul(sum, x));
    } else if constexpr (op == ReduceOp::max) {
      return hn::IfThenElse(hn::Or(hn::Gt(x, sum), hn::IsNaN(x)), x, sum);
    } else if constexpr (op == ReduceOp::min) {
      return hn::IfThenElse(hn::Or(hn::Lt(x, sum), hn::IsNaN(x)), x, sum);
    } else {
      return hn::Add(sum, x);
    }
  }
  /// NaN for a product from which the next one, or its merger with another, might leave the range of float64
  /// and come back to it: `reduceAgain` then takes it another way.
  template <class V>
  static HWY_INLINE V inRange(V product) {
    const hn::DFromV<V> d;
    const V size = hn::Abs(product);
    const auto fits = hn::And(hn::Ge(size, hn::Set(d, 0x1p-500)), hn::Le(size, hn::Set(d, 0x1p500)));
    const auto isZero = hn::Eq(product, hn::Zero(d));
    return hn::IfThenElse(hn::Or(fits, isZero), product,
                          hn::Set(d, std::numeric_limits<double>::quiet_NaN()));
  }
};

template <class D64, class D, class T>
HWY_INLINE hn::Vec<D64> loadWide(D64 dd, D d, const T* p) {
  if constexpr (sizeof(T) == sizeof(double)) {
    return hn::LoadU(dd, p);
  } else {
    return hn::PromoteTo(dd, hn::LoadU(d, p));
  }
}

/// R of n contiguous values.
template <ReduceOp op, class T>
HWY_INLINE double reduceRow(const T* x, int64_t n) {
  using R = Reducer<op>;
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  auto s0 = hn::Set(dd, R::identity), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = R::add(s0, loadWide(dd, d, x + i));
    s1 = R::add(s1, loadWide(dd, d, x + i + lanes));
    s2 = R::add(s2, loadWide(dd, d, x + i + 2 * lanes));
    s3 = R::add(s3, loadWide(dd, d, x + i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) s0 = R::add(s0, loadWide(dd, d, x + i));
  HWY_ALIGN double partial[hn::MaxLanes(dd)];
  hn::Store(R::merge(R::merge(s0, s1), R::merge(s2, s3)), dd, partial);
  const hn::CappedTag<double, 1> one;
  auto total = hn::Set(one, partial[0]);
  for (int64_t lane = 1; lane < lanes; lane++) total = R::merge(total, hn::Set(one, partial[lane]));
  for (; i < n; i++) total = R::add(total, hn::Set(one, static_cast<double>(x[i])));
  return hn::GetLane(total);
}

/// sums[columns] = R of `rows` rows of x, which are `stride` apart.
template <ReduceOp op, class T>
HWY_INLINE void reduceColumns(double* sums, const T* x, int64_t rows, int64_t columns, int64_t stride) {
  using R = Reducer<op>;
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  int64_t j = 0;
  for (; j + 8 * lanes <= columns; j += 8 * lanes) {
    auto s0 = hn::Set(dd, R::identity), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (int64_t i = 0; i < rows; i++) {
      const T* p = x + i * stride + j;
      s0 = R::add(s0, loadWide(dd, d, p));
      s1 = R::add(s1, loadWide(dd, d, p + lanes));
      s2 = R::add(s2, loadWide(dd, d, p + 2 * lanes));
      s3 = R::add(s3, loadWide(dd, d, p + 3 * lanes));
      s4 = R::add(s4, loadWide(dd, d, p + 4 * lanes));
      s5 = R::add(s5, loadWide(dd, d, p + 5 * lanes));
      s6 = R::add(s6, loadWide(dd, d, p + 6 * lanes));
      s7 = R::add(s7, loadWide(dd, d, p + 7 * lanes));
    }
    hn::StoreU(s0, dd, sums + j);
    hn::StoreU(s1, dd, sums + j + lanes);
    hn::StoreU(s2, dd, sums + j + 2 * lanes);
    hn::StoreU(s3, dd, sums + j + 3 * lanes);
    hn::StoreU(s4, dd, sums + j + 4 * lanes);
    hn::StoreU(s5, dd, sums + j + 5 * lanes);
    hn::StoreU(s6, dd, sums + j + 6 * lanes);
    hn::StoreU(s7, dd, sums + j + 7 * lanes);
  }
  for (; j + lanes <= columns; j += lanes) {
    auto sum = hn::Set(dd, R::identity);
    for (int64_t i = 0; i < rows; i++) sum = R::add(sum, loadWide(dd, d, x + i * stride + j));
    hn::StoreU(sum, dd, sums + j);
  }
  const hn::CappedTag<double, 1> one;
  for (; j < columns; j++) {
    auto sum = hn::Set(one, R::identity);
    for (int64_t i = 0; i < rows; i++)
      sum = R::add(sum, hn::Set(one, static_cast<double>(x[i * stride + j])));
    sums[j] = hn::GetLane(sum);
  }
}

template <ReduceOp... ops, class F>
HWY_INLINE void select(ReduceOp op, const F& f) {
  ((op == ops ? f(std::integral_constant<ReduceOp, ops>()) : void()), ...);
}

template <class F>
HWY_INLINE void selectOp(ReduceOp op, const F& f) {
  using enum ReduceOp;
  select<sum, product, max, min, sumOfSquares>(op, f);
}

/// sums[i] = R(x[i, :]), count × length
template <class T>
void rows(double* sums, const T* x, int64_t count, int64_t length, ReduceOp op) {
  selectOp(op, [&](auto constant) HWY_ATTR {
    for (int64_t i = 0; i < count; i++) sums[i] = reduceRow<constant.value>(x + i * length, length);
  });
}

template <class T>
void columns(double* sums, const T* x, int64_t count, int64_t width, int64_t stride, ReduceOp op) {
  selectOp(op, [&](auto constant) HWY_ATTR { reduceColumns<constant.value>(sums, x, count, width, stride); });
}

/// Merges `count` rows of accumulators, `width` wide, into the first.
inline void merge(double* sums, int64_t count, int64_t width, ReduceOp op) {
  const hn::CappedTag<double, 1> one;
  selectOp(op, [&](auto constant) HWY_ATTR {
    for (int64_t i = 1; i < count; i++) {
      for (int64_t j = 0; j < width; j++) {
        sums[j] = hn::GetLane(
            Reducer<constant.value>::merge(hn::Set(one, sums[j]), hn::Set(one, sums[i * width + j])));
      }
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// Values that one task reduces at most, however many threads there are.
constexpr int64_t block = 32768;

/// Accumulators on the stack when they are few: most reductions are small.
class Sums {
 public:
  explicit Sums(int64_t count) {
    if (count > static_cast<int64_t>(few_.size())) many_.resize(static_cast<size_t>(count));
    data_ = many_.empty() ? few_.data() : many_.data();
  }
  double* operator+(int64_t i) const { return data_ + i; }
  double operator[](int64_t i) const { return data_[i]; }

 private:
  std::array<double, 64> few_;
  std::vector<double> many_;
  double* data_;
};

/// out[i] = scale · R(x[i, :]), count × length
template <class Out, class T>
void reduceRows(Out* out, const T* x, int64_t count, int64_t length, ReduceOp op, double scale) {
  const auto run = AXPY_SIMD(rows<T>);
  if (length <= block) {
    const int64_t batch = 64;
    const int64_t perTask = std::max<int64_t>(1, block / std::max<int64_t>(length, 1));
    parallel::forRange(count, perTask, [&](int64_t begin, int64_t end) {
      double sums[batch] = {};
      for (int64_t i = begin; i < end; i += batch) {
        const int64_t some = std::min(batch, end - i);
        run(sums, x + i * length, some, length, op);
        for (int64_t j = 0; j < some; j++) out[i + j] = static_cast<Out>(scale * sums[j]);
      }
    });
    return;
  }
  const int64_t blocks = (length + block - 1) / block;
  const Sums partial(count * blocks);
  parallel::forEach(count * blocks, [&](int64_t task) {
    const int64_t begin = task % blocks * block;
    run(partial + task, x + task / blocks * length + begin, 1, std::min(block, length - begin), op);
  });
  for (int64_t i = 0; i < count; i++) {
    AXPY_SIMD(merge)(partial + i * blocks, blocks, 1, op);
    out[i] = static_cast<Out>(scale * partial[i * blocks]);
  }
}

/// out[i, j] = scale · R(x[i, :, j]), outer × count × width
template <class Out, class T>
void reduceColumns(Out* out, const T* x, int64_t outer, int64_t count, int64_t width, ReduceOp op,
                   double scale) {
  const auto run = AXPY_SIMD(columns<T>);
  // A stripe is narrow enough for its accumulators to stay in registers and wide enough for whole cache
  // lines.
  constexpr int64_t widest = 512;
  const int64_t stripe = std::min<int64_t>(width, widest);
  const int64_t stripes = (width + stripe - 1) / stripe;
  const int64_t blockRows = std::max<int64_t>(1, block / stripe);
  const int64_t blocks = std::max<int64_t>(1, (count + blockRows - 1) / blockRows);
  if (blocks == 1) {
    const int64_t perTask = std::max<int64_t>(1, block / (std::max<int64_t>(count, 1) * stripe));
    parallel::forRange(outer * stripes, perTask, [&](int64_t begin, int64_t end) {
      double sums[widest];
      for (int64_t task = begin; task < end; task++) {
        const int64_t i = task / stripes, left = task % stripes * stripe,
                      some = std::min(stripe, width - left);
        run(sums, x + i * count * width + left, count, some, width, op);
        for (int64_t j = 0; j < some; j++) out[i * width + left + j] = static_cast<Out>(scale * sums[j]);
      }
    });
    return;
  }
  const Sums partial(outer * blocks * width);
  parallel::forEach(outer * blocks * stripes, [&](int64_t task) {
    const int64_t left = task % stripes * stripe, slab = task / stripes;
    const int64_t top = slab % blocks * blockRows, i = slab / blocks;
    run(partial + (slab * width + left), x + (i * count + top) * width + left,
        std::min(blockRows, count - top), std::min(stripe, width - left), width, op);
  });
  for (int64_t i = 0; i < outer; i++) {
    double* sums = partial + i * blocks * width;
    AXPY_SIMD(merge)(sums, blocks, width, op);
    for (int64_t j = 0; j < width; j++) out[i * width + j] = static_cast<Out>(scale * sums[j]);
  }
}

/// The general case: short runs of r1, r0 of them apart.
template <class Out, class T>
void reduceRuns(Out* out, const T* x, int64_t k0, int64_t r0, int64_t k1, int64_t r1, ReduceOp op,
                double scale) {
  const auto run = AXPY_SIMD(rows<T>);
  const auto join = AXPY_SIMD(merge);
  const auto perTask = static_cast<int64_t>(block / (static_cast<double>(r0) * static_cast<double>(r1)));
  parallel::forRange(k0 * k1, std::max<int64_t>(1, perTask), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      const int64_t i = o / k1, j = o % k1;
      double sums[2] = {};
      for (int64_t r = 0; r < r0; r++) {
        run(sums + (r == 0 ? 0 : 1), x + ((i * r0 + r) * k1 + j) * r1, 1, r1, op);
        if (r > 0) join(sums, 2, 1, op);
      }
      out[o] = static_cast<Out>(scale * sums[0]);
    }
  });
}

template <class Out, class T>
void reduceAll(Out* out, int64_t length, const T* x, int64_t k0, int64_t r0, int64_t k1, int64_t r1,
               ReduceOp op, double scale) {
  if (length == 0) return;
  if (r0 == 0 || r1 == 0) return reduceRows(out, x, length, 0, op, scale);
  // Where nothing is summed, a copy: one row.
  if (r0 == 1 && r1 == 1) return reduceColumns(out, x, 1, 1, length, op, scale);
  if (k1 == 1) return reduceRows(out, x, k0, r0 * r1, op, scale);
  if (r0 == 1) return reduceRows(out, x, k0 * k1, r1, op, scale);
  if (r1 == 1) return reduceColumns(out, x, k0, r0, k1, op, scale);
  reduceRuns(out, x, k0, r0, k1, r1, op, scale);
}

/// Sums of so many of int32 are exact in float64.
constexpr double exactCount = 0x1p22;

/// out[k0, k1] = Σ x[k0, :, k1, :] in int64, for any number of them.
void sumMany(double* out, const int32_t* x, int64_t k0, int64_t r0, int64_t k1, int64_t r1) {
  parallel::forEach(k0 * k1, [&](int64_t o) {
    int64_t sum = 0;
    for (int64_t r = 0; r < r0; r++) {
      const int32_t* const run = x + ((o / k1 * r0 + r) * k1 + o % k1) * r1;
      for (int64_t i = 0; i < r1; i++) sum += run[i];
    }
    out[o] = static_cast<double>(sum);
  });
}

/// By way of float64, so that nothing is written unless int32 holds all of it.
void reduceIntegers(const Check& check, const Array<int32_t>& out, const int32_t* x, int64_t k0, int64_t r0,
                    int64_t k1, int64_t r1, ReduceOp op) {
  std::vector<double> results(static_cast<size_t>(out.length));
  if (op == ReduceOp::sum && static_cast<double>(r0) * static_cast<double>(r1) > exactCount) {
    sumMany(results.data(), x, k0, r0, k1, r1);
  } else {
    reduceAll(results.data(), out.length, x, k0, r0, k1, r1, op, 1);
  }
  for (int64_t i = 0; i < out.length; i++) check.fitsInt32(out.position, i, results[i]);
  std::copy(results.begin(), results.end(), out.data);
}

/// A product whose factors may be of any size: by a power of two away from the ends of the range.
class Product {
 public:
  void times(double factor) { mantissa_ = shifted(mantissa_ * shifted(factor)); }
  double value() const {
    return std::ldexp(mantissa_, static_cast<int>(std::clamp<int64_t>(exponent_, -5000, 5000)));
  }

 private:
  /// Numbers up to 2⁵⁰⁰, and down to its reciprocal, have a product that neither overflows nor loses digits.
  double shifted(double x) {
    constexpr double large = 0x1p500;
    const double size = std::fabs(x);
    if (size >= large) {
      exponent_ += 600;
      return x * 0x1p-600;
    }
    if (size >= 1 / large) return x;
    exponent_ -= 600;
    return x * 0x1p600;
  }

  double mantissa_ = 1;
  int64_t exponent_ = 0;
};

/// scale · R of r0 runs of r1 finite numbers, `stride` apart, whatever the sizes of partial results; `before`
/// where not all are finite and R is no product, which knows no better.
template <class T>
double reduceAgain(const T* x, int64_t r0, int64_t stride, int64_t r1, ReduceOp op, double scale,
                   double before) {
  // The terms so small that no sum of them overflows.
  const double unit = op == ReduceOp::sum ? 0x1p-64 : 0x1p-540;
  Product result;
  double sum = 0;
  for (int64_t r = 0; r < r0; r++) {
    const T* const run = x + r * stride;
    if (op == ReduceOp::product) {
      // So many factors of float32 are within the range as well.
      constexpr int64_t few = sizeof(T) == sizeof(float) ? 3 : 1;
      for (int64_t i = 0; i < r1; i += few) {
        double some = 1;
        for (int64_t j = i; j < std::min(r1, i + few); j++) some *= static_cast<double>(run[j]);
        result.times(some);
      }
      continue;
    }
    for (int64_t i = 0; i < r1; i++) {
      const double value = run[i];
      if (!std::isfinite(value)) return before;
      const double scaled = value * unit;
      sum += op == ReduceOp::sum ? scaled : scaled * scaled;
    }
  }
  result.times(scale);
  if (op == ReduceOp::product) return result.value();
  result.times(sum);
  for (int power = op == ReduceOp::sum ? 1 : 2; power > 0; power--) result.times(1 / unit);
  return result.value();
}

/// Takes those results again that may have come out wrong, as sums of float64 and products of both types left
/// the range of float64 on the way.
template <class T>
void mend(T* out, const T* x, int64_t k0, int64_t r0, int64_t k1, int64_t r1, ReduceOp op, double scale) {
  const bool isProduct = op == ReduceOp::product;
  if (op == ReduceOp::max || op == ReduceOp::min || (sizeof(T) == sizeof(float) && !isProduct)) return;
  for (int64_t o = 0; o < k0 * k1; o++) {
    if (std::isfinite(out[o]) && !(isProduct && out[o] == 0)) continue;
    const T* const first = x + (o / k1 * r0 * k1 + o % k1) * r1;
    out[o] = static_cast<T>(reduceAgain(first, r0, k1 * r1, r1, op, scale, static_cast<double>(out[o])));
  }
}

/// Nothing of int32 is NaN.
template <class T>
bool isNaN(T x) {
  return x != x;
}

template <bool least, class T>
void argmaxRange(int32_t* out, const T* x, int64_t size, int64_t inner, int64_t begin, int64_t end) {
  for (int64_t o = begin; o < end; o++) {
    const T* p = x + o / inner * size * inner + o % inner;
    T best = p[0];
    int64_t index = 0;
    for (int64_t i = 1; i < size && !isNaN(best); i++) {
      const T value = p[i * inner];
      if ((least ? value < best : value > best) || isNaN(value)) {
        best = value;
        index = i;
      }
    }
    out[o] = static_cast<int32_t>(index);
  }
}

}  // namespace

template <class T>
void reduce(const Check& check, Array<T> out, Array<const T> x, Size k0, Size r0, Size k1, Size r1,
            Code<ReduceOp> op, Number scale) {
  const double kept = static_cast<double>(k0.value) * static_cast<double>(k1.value);
  check.length(out, kept);
  check.length(x, static_cast<double>(k0.value) * static_cast<double>(r0.value) *
                      static_cast<double>(k1.value) * static_cast<double>(r1.value));
  if ((op == ReduceOp::max || op == ReduceOp::min) && scale != 1) {
    check.fail(scale.position, "to be 1 for max and min", formatNumber(scale));
  }
  if constexpr (std::is_integral_v<T>) {
    if (op == ReduceOp::product || op == ReduceOp::sumOfSquares) {
      check.fail(op.position, "to be sum, max or min for Int32Array",
                 std::to_string(static_cast<int>(op.value)));
    }
    if (scale != 1) check.fail(scale.position, "to be 1 for Int32Array", formatNumber(scale));
    reduceIntegers(check, out, x.data, k0, r0, k1, r1, op);
  } else {
    reduceAll(out.data, out.length, x.data, k0, r0, k1, r1, op, scale);
    mend(out.data, x.data, k0, r0, k1, r1, op, scale);
  }
}

template <class T>
void argmax(const Check& check, Array<int32_t> out, Array<const T> x, Size outer, PositiveSize size,
            Size inner, Flag least) {
  const double positions = static_cast<double>(outer.value) * static_cast<double>(inner.value);
  check.length(out, positions);
  check.length(x, static_cast<double>(outer.value) * static_cast<double>(size.value) *
                      static_cast<double>(inner.value));
  const auto run = least ? argmaxRange<true, T> : argmaxRange<false, T>;
  parallel::forRange(out.length, std::max<int64_t>(1, parallel::lightChunk / size),
                     [&](int64_t begin, int64_t end) { run(out.data, x.data, size, inner, begin, end); });
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(reduce, "out", "x", "k0", "r0", "k1", "r1", "op", "scale"),
    AXPY_DATA_KERNEL(argmax, "out", "x", "outer", "size", "inner", "least"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
