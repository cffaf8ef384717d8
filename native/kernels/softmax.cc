// Softmax, its logarithm, and their cross-entropy against labels.

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"
#include "math-inl.h"

#include <cmath>
#include <limits>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// The largest of n values; a NaN among them need not show, as it shows in the sum of exponentials.
template <class T>
HWY_INLINE T maximum(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto best = hn::Set(d, -std::numeric_limits<T>::infinity());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) best = hn::Max(hn::LoadU(d, x + i), best);
  if (i < n) {
    const auto some = hn::FirstN(d, static_cast<size_t>(n - i));
    best = hn::IfThenElse(some, hn::Max(loadFirst(d, x + i, n - i), best), best);
  }
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

/// exp(x − shift). The rounding error of the difference, which exp would magnify, is taken along (Knuth's
/// two-sum).
template <class D, class V>
HWY_INLINE V expDifference(D d, V x, V shift) {
  const V difference = hn::Sub(x, shift);
  const V taken = hn::Sub(difference, x);
  const V error = hn::Sub(hn::Sub(x, hn::Sub(difference, taken)), hn::Add(shift, taken));
  return expSum(d, difference, hn::IfThenElseZero(hn::Eq(error, error), error));
}

template <class T>
struct ExpShifted {
  T shift;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return expDifference(d, x, hn::Set(d, shift));
  }
};

struct Itself {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return x;
  }
};

struct Product {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x, V y) const {
    return hn::Mul(x, y);
  }
};

struct Difference {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x, V y) const {
    return hn::Sub(x, y);
  }
};

/// g − s·exp(y), with y = log softmax and s = Σ g
struct LogGradient {
  double s;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V y) const {
    return hn::NegMulAdd(hn::Set(d, static_cast<hn::TFromD<D>>(s)), exp(d, y), g);
  }
};

/// y·(g − s), with y = softmax and s = Σ g·y
struct PlainGradient {
  double s;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V g, V y) const {
    return hn::Mul(y, hn::Sub(g, hn::Set(d, static_cast<hn::TFromD<D>>(s))));
  }
};

struct Scaled {
  double factor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(hn::Set(d, static_cast<hn::TFromD<D>>(factor)), x);
  }
};

/// out = f(in…), in float64 where float32 is too narrow for the constant that f is made with, or for a
/// difference with it.
template <class T, class F, class... In>
HWY_INLINE void mapWith(double constant, T* out, int64_t n, const F& f, In... in) {
  if (sizeof(T) == sizeof(double) || (fits<T>(constant) && std::fabs(constant) <= 0x1p100)) {
    map(out, n, f, in...);
  } else {
    map(out, n, Wide<F>{f}, in...);
  }
}

/// out = softmax(x), n long; returns log Σ exp(x) in its two parts, the maximum and the rest.
template <class T>
HWY_INLINE double softmaxRow(T* out, const T* x, int64_t n, T& shift) {
  shift = maximum(x, n);
  map(out, n, ExpShifted<T>{shift}, x);
  const double total = sum<T>(n, Itself(), const_cast<const T*>(out));
  map(out, n, Product(), const_cast<const T*>(out), Same<T>{static_cast<T>(1 / total)});
  return std::log(total);
}

template <class T>
void softmaxRows(T* out, const T* x, int64_t rows, int64_t n, bool asLog) {
  for (int64_t i = 0; i < rows; i++, out += n, x += n) {
    if (!asLog) {
      T shift;
      softmaxRow(out, x, n, shift);
      continue;
    }
    const T shift = maximum(x, n);
    const double total = std::log(sum<T>(n, ExpShifted<T>{shift}, x));
    // In two steps: shift + log Σ would round away the small part of a large logit.
    map(out, n, Difference(), x, Same<T>{shift});
    map(out, n, Difference(), const_cast<const T*>(out), Same<T>{static_cast<T>(total)});
  }
}

template <class T>
void softmaxGradientRows(T* out, const T* g, const T* y, int64_t rows, int64_t n, bool isLog) {
  for (int64_t i = 0; i < rows; i++, out += n, g += n, y += n) {
    const double total = isLog ? sum<T>(n, Itself(), g) : sumWide<T>(n, Product(), g, y);
    if (isLog) {
      mapWith(total, out, n, LogGradient{total}, g, y);
    } else {
      mapWith(total, out, n, PlainGradient{total}, g, y);
    }
  }
}

// Along an axis that is not the last one, vectors run across `inner`, and each lane has a softmax of its own.

/// Columns [left, left + count) of size × inner, count at most a vector.
template <class T>
HWY_INLINE void softmaxLanes(T* out, const T* x, int64_t size, int64_t inner, int64_t count, bool asLog) {
  const hn::ScalableTag<T> d;
  const bool whole = count == static_cast<int64_t>(hn::Lanes(d));
  const auto load = [&](const T* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : loadFirst(d, p, count); };
  const auto store = [&](hn::Vec<decltype(d)> v, T* p)
                         HWY_ATTR { whole ? hn::StoreU(v, d, p) : storeFirst(d, v, p, count); };
  auto shift = hn::Set(d, -std::numeric_limits<T>::infinity());
  for (int64_t i = 0; i < size; i++) shift = hn::Max(load(x + i * inner), shift);
  auto total = hn::Zero(d), lost = total;
  for (int64_t i = 0; i < size; i++) {
    const auto value = load(x + i * inner);
    const auto e = expDifference(d, value, shift);
    store(asLog ? hn::Sub(value, shift) : e, out + i * inner);
    // Kahan's compensated sum: lanes stay in T here.
    const auto term = hn::Sub(e, lost);
    const auto next = hn::Add(total, term);
    lost = hn::Sub(hn::Sub(next, total), term);
    total = next;
  }
  const auto last = asLog ? log(d, total) : hn::Div(hn::Set(d, T(1)), total);
  for (int64_t i = 0; i < size; i++) {
    const auto v = load(out + i * inner);
    store(asLog ? hn::Sub(v, last) : hn::Mul(v, last), out + i * inner);
  }
}

/// softmaxGradientLanes in float64, for what leaves the range of T on the way or is not finite.
template <class T>
void softmaxGradientWide(T* out, const T* g, const T* y, int64_t size, int64_t inner, int64_t count,
                         bool isLog) {
  for (int64_t j = 0; j < count; j++) {
    double total = 0;
    for (int64_t i = j; i < size * inner; i += inner) {
      total += static_cast<double>(g[i]) * (isLog ? 1.0 : static_cast<double>(y[i]));
    }
    for (int64_t i = j; i < size * inner; i += inner) {
      const double gi = g[i], yi = y[i];
      out[i] = static_cast<T>(isLog ? gi - std::exp(yi) * total : yi * (gi - total));
    }
  }
}

template <class T>
HWY_INLINE void softmaxGradientLanes(T* out, const T* g, const T* y, int64_t size, int64_t inner,
                                     int64_t count, bool isLog) {
  const hn::ScalableTag<T> d;
  const bool whole = count == static_cast<int64_t>(hn::Lanes(d));
  const auto load = [&](const T* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : loadFirst(d, p, count); };
  const auto store = [&](hn::Vec<decltype(d)> v, T* p)
                         HWY_ATTR { whole ? hn::StoreU(v, d, p) : storeFirst(d, v, p, count); };
  auto total = hn::Zero(d), lost = total;
  for (int64_t i = 0; i < size * inner; i += inner) {
    const auto term = isLog ? hn::Sub(load(g + i), lost) : hn::MulSub(load(g + i), load(y + i), lost);
    const auto next = hn::Add(total, term);
    lost = hn::Sub(hn::Sub(next, total), term);
    total = next;
  }
  bool isSafe = isFinite(d, total);
  for (int64_t i = 0; isSafe && i < size * inner; i += inner) {
    const auto gi = load(g + i), yi = load(y + i);
    const auto v = isLog ? hn::NegMulAdd(total, exp(d, yi), gi) : hn::Mul(yi, hn::Sub(gi, total));
    isSafe = isFinite(d, v);
    store(v, out + i);
  }
  if (!isSafe) softmaxGradientWide(out, g, y, size, inner, count, isLog);
}

/// Vectors [begin, end) of outer × ⌈inner / lanes⌉.
template <class T>
void softmaxColumns(T* out, const T* x, int64_t size, int64_t inner, int64_t begin, int64_t end, bool asLog) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const int64_t across = (inner + lanes - 1) / lanes;
  for (int64_t v = begin; v < end; v++) {
    const int64_t left = v % across * lanes, at = v / across * size * inner + left;
    softmaxLanes(out + at, x + at, size, inner, std::min(lanes, inner - left), asLog);
  }
}

template <class T>
void softmaxGradientColumns(T* out, const T* g, const T* y, int64_t size, int64_t inner, int64_t begin,
                            int64_t end, bool isLog) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const int64_t across = (inner + lanes - 1) / lanes;
  for (int64_t v = begin; v < end; v++) {
    const int64_t left = v % across * lanes, at = v / across * size * inner + left;
    softmaxGradientLanes(out + at, g + at, y + at, size, inner, std::min(lanes, inner - left), isLog);
  }
}

/// What is subtracted before exp: the maximum, unless that leaves nothing of an infinite number.
template <class T>
HWY_INLINE T finiteShift(T largest) {
  return std::isfinite(largest) ? largest : T(0);
}

template <class T>
void logSumExpRows(T* out, const T* x, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; i++, x += n) {
    const T shift = finiteShift(maximum(x, n));
    out[i] = static_cast<T>(static_cast<double>(shift) + std::log(sum<T>(n, ExpShifted<T>{shift}, x)));
  }
}

/// Columns [left, left + count) of size × inner, count at most a vector, as softmaxLanes.
template <class T>
HWY_INLINE void logSumExpLanes(T* out, const T* x, int64_t size, int64_t inner, int64_t count) {
  const hn::ScalableTag<T> d;
  const bool whole = count == static_cast<int64_t>(hn::Lanes(d));
  const auto load = [&](const T* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : loadFirst(d, p, count); };
  const auto infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  auto shift = hn::Neg(infinity);
  for (int64_t i = 0; i < size; i++) shift = hn::Max(load(x + i * inner), shift);
  shift = hn::IfThenElseZero(hn::Lt(hn::Abs(shift), infinity), shift);
  auto total = hn::Zero(d), lost = total;
  for (int64_t i = 0; i < size; i++) {
    const auto term = hn::Sub(expDifference(d, load(x + i * inner), shift), lost);
    const auto next = hn::Add(total, term);
    lost = hn::IfThenElseZero(hn::Lt(next, infinity), hn::Sub(hn::Sub(next, total), term));
    total = next;
  }
  const auto y = hn::Add(shift, log(d, total));
  whole ? hn::StoreU(y, d, out) : storeFirst(d, y, out, count);
}

template <class T>
void logSumExpColumns(T* out, const T* x, int64_t size, int64_t inner, int64_t begin, int64_t end) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const int64_t across = (inner + lanes - 1) / lanes;
  for (int64_t v = begin; v < end; v++) {
    const int64_t left = v % across * lanes, line = v / across;
    logSumExpLanes(out + line * inner + left, x + line * size * inner + left, size, inner,
                   std::min(lanes, inner - left));
  }
}

template <class T>
int64_t lanesOf() {
  return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
}

/// losses[i] = −log softmax(x[i])[labels[i]]; a label out of range, after the check, counts as 0.
template <class T>
void crossEntropyRows(double* losses, T* probabilities, const T* x, const int32_t* labels, int64_t rows,
                      int64_t n) {
  for (int64_t i = 0; i < rows; i++, probabilities += n, x += n) {
    const int64_t label = labels[i];
    const double logit = static_cast<double>(x[label >= 0 && label < n ? label : 0]);
    T shift;
    const double logTotal = softmaxRow(probabilities, x, n, shift);
    losses[i] = logTotal - (logit - static_cast<double>(shift));
  }
}

template <class T>
void crossEntropyGradientRows(T* out, const T* g, int64_t stepG, const T* probabilities,
                              const int32_t* labels, int64_t rows, int64_t n, double scale) {
  for (int64_t i = 0; i < rows; i++, out += n, probabilities += n) {
    const double factor = scale * static_cast<double>(g[i * stepG]);
    const int64_t label = labels[i];
    const bool valid = label >= 0 && label < n;
    const double p = valid ? static_cast<double>(probabilities[label]) : 0;
    mapWith(factor, out, n, Scaled{factor}, probabilities);
    if (valid) out[label] = static_cast<T>(factor * (p - 1));
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

int64_t perTask(int64_t width) {
  return std::max<int64_t>(1, parallel::heavyChunk / std::max<int64_t>(width, 1));
}

double product(int64_t a, int64_t b, int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

template <class T>
void softmax(const Check& check, Array<T> out, Array<const T> x, Size outer, Size size, Size inner,
             Flag log) {
  const double n = product(outer, size, inner);
  check.length(out, n);
  check.length(x, n);
  if (out.length == 0) return;
  if (inner == 1) {
    const auto run = AXPY_SIMD(softmaxRows<T>);
    parallel::forRange(outer, perTask(size), [&](int64_t begin, int64_t end) {
      run(out.data + begin * size, x.data + begin * size, end - begin, size, log);
    });
    return;
  }
  const auto run = AXPY_SIMD(softmaxColumns<T>);
  const int64_t lanes = AXPY_SIMD(lanesOf<T>)();
  parallel::forRange(
      outer * ((inner + lanes - 1) / lanes), perTask(size * lanes),
      [&](int64_t begin, int64_t end) { run(out.data, x.data, size, inner, begin, end, log); });
}

template <class T>
void softmaxGradient(const Check& check, Array<T> out, Array<const T> gradient, Array<const T> y, Size outer,
                     Size size, Size inner, Flag log) {
  const double n = product(outer, size, inner);
  check.length(out, n);
  check.length(gradient, n);
  check.length(y, n);
  if (out.length == 0) return;
  if (inner == 1) {
    const auto run = AXPY_SIMD(softmaxGradientRows<T>);
    parallel::forRange(outer, perTask(size), [&](int64_t begin, int64_t end) {
      run(out.data + begin * size, gradient.data + begin * size, y.data + begin * size, end - begin, size,
          log);
    });
    return;
  }
  const auto run = AXPY_SIMD(softmaxGradientColumns<T>);
  const int64_t lanes = AXPY_SIMD(lanesOf<T>)();
  parallel::forRange(outer * ((inner + lanes - 1) / lanes), perTask(size * lanes),
                     [&](int64_t begin, int64_t end) {
                       run(out.data, gradient.data, y.data, size, inner, begin, end, log);
                     });
}

template <class T>
void logSumExp(const Check& check, Array<T> out, Array<const T> x, Size outer, Size size, Size inner) {
  check.length(out, product(outer, inner));
  check.length(x, product(outer, size, inner));
  if (out.length == 0) return;
  if (inner == 1) {
    const auto run = AXPY_SIMD(logSumExpRows<T>);
    parallel::forRange(outer, perTask(size), [&](int64_t begin, int64_t end) {
      run(out.data + begin, x.data + begin * size, end - begin, size);
    });
    return;
  }
  const auto run = AXPY_SIMD(logSumExpColumns<T>);
  const int64_t lanes = AXPY_SIMD(lanesOf<T>)();
  parallel::forRange(outer * ((inner + lanes - 1) / lanes), perTask(size * lanes),
                     [&](int64_t begin, int64_t end) { run(out.data, x.data, size, inner, begin, end); });
}

template <class T>
void softmaxCrossEntropy(const Check& check, Array<T> out, Array<T> probabilities, Array<const T> logits,
                         Array<const int32_t> labels, Size rows, Size classes, Number scale) {
  const auto count = static_cast<double>(rows.value);
  check.lengthOneOr(out, count);
  check.length(probabilities, product(rows, classes));
  check.length(logits, product(rows, classes));
  check.length(labels, count);
  check.indices(labels, classes);
  if (out.length == 0) return;
  std::vector<double> losses(static_cast<size_t>(rows.value));
  const auto run = AXPY_SIMD(crossEntropyRows<T>);
  parallel::forRange(rows, perTask(classes), [&](int64_t begin, int64_t end) {
    run(losses.data() + begin, probabilities.data + begin * classes, logits.data + begin * classes,
        labels.data + begin, end - begin, classes);
  });
  if (out.length == rows) {
    for (int64_t i = 0; i < rows; i++) out[i] = static_cast<T>(scale * losses[i]);
    return;
  }
  double total = 0;
  for (const double each : losses) total += each;
  out[0] = static_cast<T>(scale * total);
}

template <class T>
void softmaxCrossEntropyGradient(const Check& check, Array<T> out, Array<const T> gradient,
                                 Array<const T> probabilities, Array<const int32_t> labels, Size rows,
                                 Size classes, Number scale) {
  const auto count = static_cast<double>(rows.value);
  check.length(out, product(rows, classes));
  check.lengthOneOr(gradient, count);
  check.length(probabilities, product(rows, classes));
  check.length(labels, count);
  check.indices(labels, classes);
  if (out.length == 0) return;
  const int64_t step = gradient.length == rows ? 1 : 0;
  const auto run = AXPY_SIMD(crossEntropyGradientRows<T>);
  parallel::forRange(rows, perTask(classes), [&](int64_t begin, int64_t end) {
    run(out.data + begin * classes, gradient.data + begin * step, step, probabilities.data + begin * classes,
        labels.data + begin, end - begin, classes, scale);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(softmax, "out", "x", "outer", "size", "inner", "log"),
    AXPY_FLOAT_KERNEL(softmaxGradient, "out", "gradient", "y", "outer", "size", "inner", "log"),
    AXPY_FLOAT_KERNEL(logSumExp, "out", "x", "outer", "size", "inner"),
    AXPY_FLOAT_KERNEL(softmaxCrossEntropy, "out", "probabilities", "logits", "labels", "rows", "classes",
                      "scale"),
    AXPY_FLOAT_KERNEL(softmaxCrossEntropyGradient, "out", "gradient", "probabilities", "labels", "rows",
                      "classes", "scale"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
