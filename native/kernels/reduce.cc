// Reductions. Accumulators are float64 throughout, in an order that the shape alone determines.

#include "kernels.h"
#include "parallel.h"
#include "reduce.h"
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
    if constexpr (op == ReduceOp::sumOfSquares || op == ReduceOp::norm) {
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

/// R of contiguous values, which may come by parts.
template <ReduceOp op>
class Row {
 public:
  using R = Reducer<op>;
  using D = hn::ScalableTag<double>;

  HWY_INLINE Row() : s0_(hn::Set(D(), R::identity)), s1_(s0_), s2_(s0_), s3_(s0_) {}
  HWY_INLINE explicit Row(const double* kept)
      : s0_(hn::LoadU(D(), kept)),
        s1_(hn::LoadU(D(), kept + lanes())),
        s2_(hn::LoadU(D(), kept + 2 * lanes())),
        s3_(hn::LoadU(D(), kept + 3 * lanes())) {}
  HWY_INLINE void keep(double* kept) const {
    hn::StoreU(s0_, D(), kept);
    hn::StoreU(s1_, D(), kept + lanes());
    hn::StoreU(s2_, D(), kept + 2 * lanes());
    hn::StoreU(s3_, D(), kept + 3 * lanes());
  }

  /// Those that fill all accumulators; returns how many they are.
  template <class T>
  HWY_INLINE int64_t add(const T* x, int64_t n) {
    const D dd;
    const hn::Rebind<T, D> d;
    int64_t i = 0;
    for (; i + 4 * lanes() <= n; i += 4 * lanes()) {
      s0_ = R::add(s0_, loadWide(dd, d, x + i));
      s1_ = R::add(s1_, loadWide(dd, d, x + i + lanes()));
      s2_ = R::add(s2_, loadWide(dd, d, x + i + 2 * lanes()));
      s3_ = R::add(s3_, loadWide(dd, d, x + i + 3 * lanes()));
    }
    return i;
  }
  /// With the last ones.
  template <class T>
  HWY_INLINE double total(const T* x, int64_t n) {
    const D dd;
    const hn::Rebind<T, D> d;
    int64_t i = add(x, n);
    for (; i + lanes() <= n; i += lanes()) s0_ = R::add(s0_, loadWide(dd, d, x + i));
    HWY_ALIGN double partial[hn::MaxLanes(dd)];
    hn::Store(R::merge(R::merge(s0_, s1_), R::merge(s2_, s3_)), dd, partial);
    const hn::CappedTag<double, 1> one;
    auto sum = hn::Set(one, partial[0]);
    for (int64_t lane = 1; lane < lanes(); lane++) sum = R::merge(sum, hn::Set(one, partial[lane]));
    for (; i < n; i++) sum = R::add(sum, hn::Set(one, static_cast<double>(x[i])));
    return hn::GetLane(sum);
  }

 private:
  static HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(D())); }

  hn::Vec<D> s0_, s1_, s2_, s3_;
};

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
  select<sum, product, max, min, sumOfSquares, norm>(op, f);
}

/// sums[i] = R(x[i, :]), count × length
template <class T>
void rows(double* sums, const T* x, int64_t count, int64_t length, ReduceOp op) {
  selectOp(op, [&](auto constant) HWY_ATTR {
    for (int64_t i = 0; i < count; i++) sums[i] = Row<constant.value>().total(x + i * length, length);
  });
}

template <class T>
double part(double* kept, const T* x, int64_t n, bool isFirst, bool isLast, ReduceOp op) {
  double total = 0;
  selectOp(op, [&](auto constant) HWY_ATTR {
    auto row = isFirst ? Row<constant.value>() : Row<constant.value>(kept);
    if (isLast) {
      total = row.total(x, n);
    } else {
      row.add(x, n);
      row.keep(kept);
    }
  });
  return total;
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

template <class Out, class T>
void reduceAll(Out* out, const T* x, const Reduced& shape, ReduceOp op, double scale) {
  const ArraySource<T> source{x};
  const Reduction<Out> reduction{op, scale, out};
  Reducing(source, &reduction, 1).run(shape);
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
    reduceAll(results.data(), x, {k0, r0, k1, r1}, op, 1);
  }
  for (int64_t i = 0; i < out.length; i++) check.fitsInt32(out.position, i, results[i]);
  std::copy(results.begin(), results.end(), out.data);
}

}  // namespace

template <class T>
void reduceRowsOf(double* sums, const T* x, int64_t count, int64_t length, ReduceOp op) {
  AXPY_SIMD(rows<T>)(sums, x, count, length, op);
}

template <class T>
double reducePart(double* kept, const T* x, int64_t n, bool isFirst, bool isLast, ReduceOp op) {
  return AXPY_SIMD(part<T>)(kept, x, n, isFirst, isLast, op);
}

template <class T>
void reduceColumnsOf(double* sums, const T* x, int64_t count, int64_t width, int64_t stride, ReduceOp op) {
  AXPY_SIMD(columns<T>)(sums, x, count, width, stride, op);
}

void mergeReduced(double* sums, int64_t count, int64_t width, ReduceOp op) {
  AXPY_SIMD(merge)(sums, count, width, op);
}

#define AXPY_INSTANTIATE(T)                                                     \
  template void reduceRowsOf(double*, const T*, int64_t, int64_t, ReduceOp);    \
  template double reducePart(double*, const T*, int64_t, bool, bool, ReduceOp); \
  template void reduceColumnsOf(double*, const T*, int64_t, int64_t, int64_t, ReduceOp)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);
AXPY_INSTANTIATE(int32_t);

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
    if (op == ReduceOp::product || op == ReduceOp::sumOfSquares || op == ReduceOp::norm) {
      check.fail(op.position, "to be sum, max or min for Int32Array",
                 std::to_string(static_cast<int>(op.value)));
    }
    if (scale != 1) check.fail(scale.position, "to be 1 for Int32Array", formatNumber(scale));
    reduceIntegers(check, out, x.data, k0, r0, k1, r1, op);
  } else {
    const Reduced shape{k0, r0, k1, r1};
    reduceAll(out.data, x.data, shape, op, scale);
    typename ArraySource<T>::Reader reader(ArraySource<T>{x.data});
    mend(reader, 0, Reduction<T>{op, scale, out.data}, shape);
  }
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(reduce, "out", "x", "k0", "r0", "k1", "r1", "op", "scale"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
