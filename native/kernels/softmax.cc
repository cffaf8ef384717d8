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

#include <algorithm>
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
  const auto at = [&](int64_t i) HWY_ATTR { return hn::Max(hn::LoadU(d, x + i), best); };
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    best = hn::Max(hn::Max(at(i), at(i + lanes)), hn::Max(at(i + 2 * lanes), at(i + 3 * lanes)));
  }
  for (; i + lanes <= n; i += lanes) best = at(i);
  if (i < n) {
    const auto some = hn::FirstN(d, static_cast<size_t>(n - i));
    best = hn::IfThenElse(some, hn::Max(loadFirst(d, x + i, n - i), best), best);
  }
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

/// What exponentials of numbers with the maximum m are taken by. They are all times a power of two that
/// brings that of m near 1. Neither is a difference rounded, which exp would magnify, nor is one taken where
/// none is needed: x − 0 as it is, or, where m is large, x − m for the numbers near it, which are exact then.
/// The power goes by the exponents, as in M. Dukhan and A. Ablavatski, "Two-pass softmax algorithm" (2020).
template <class D>
struct Exponentials {
  using V = hn::Vec<D>;
  V from, least, power;

  HWY_INLINE V operator()(D d, V x) const {
    V n;
    const V r = expReduced(d, atLeast(least, hn::Sub(x, from)), n);
    return timesPowerOfTwo(d, expNear(d, r), hn::Sub(n, power));
  }
};

template <class D>
HWY_INLINE Exponentials<D> exponentialsOf(D d, hn::Vec<D> m) {
  const auto from = hn::IfThenZeroElse(hn::Le(hn::Abs(m), hn::Set(d, hn::TFromD<D>(1024))), m);
  const auto rest = hn::Sub(m, from);
  auto power = rest;
  expReduced(d, rest, power);
  return {from, hn::Add(rest, hn::Set(d, ConstantsOf<D>::expLeast)), power};
}

/// Quotients by the same number, of which those by itself are 1: by a total and what was rounded away of it,
/// which would otherwise be an error of the whole row.
template <class D>
struct Quotients {
  using V = hn::Vec<D>;
  V divisor, rest, reciprocal;

  HWY_INLINE Quotients(D d, V divisor, V rest)
      : divisor(divisor), rest(rest), reciprocal(hn::Div(hn::Set(d, hn::TFromD<D>(1)), divisor)) {}
  HWY_INLINE V operator()(V x) const {
#if HWY_NATIVE_FMA
    const V q = hn::Mul(x, reciprocal);
    return hn::MulAdd(hn::NegMulAdd(q, rest, hn::NegMulAdd(q, divisor, x)), reciprocal, q);
#else
    return hn::Div(x, divisor);
#endif
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

/// Σ exp(x) as `exponentials` has them, which are stored in out unless it is null. Two of them are added in T
/// first unless the sum has to be `exact`, as a logarithm near 0 wants it.
template <bool exact, class T, class D>
HWY_INLINE double sumExponentials(T* out, const T* x, int64_t n, const Exponentials<D>& exponentials) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  WideSum<T> sum;
  const auto next = [&](int64_t i) HWY_ATTR {
    const auto e = exponentials(d, hn::LoadU(d, x + i));
    if (out) hn::StoreU(e, d, out + i);
    return e;
  };
  int64_t i = 0;
  if constexpr (!exact) {
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
      const auto a = next(i), b = next(i + lanes), c = next(i + 2 * lanes), e = next(i + 3 * lanes);
      sum.add(hn::Add(a, b));
      sum.add(hn::Add(c, e));
    }
  }
  for (; i + lanes <= n; i += lanes) sum.add(next(i));
  if (i < n) {
    const auto e = exponentials(d, loadFirst(d, x + i, n - i));
    if (out) storeFirst(d, e, out + i, n - i);
    sum.add(hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(n - i)), e));
  }
  return sum.total();
}

/// Some rows at a time: what is one number of each is computed for all of them together, and the processor
/// adds up one while it is at the next.
template <class T>
struct Rows {
  static constexpr int64_t most = hn::MaxLanes(hn::ScalableTag<T>());
  HWY_ALIGN T maxima[most];
  /// Of the exponentials; and log Σ exp(x − maximum), if that is asked for.
  HWY_ALIGN double totals[most], logs[most];

  /// As many as stay in the first cache.
  static int64_t fitting(int64_t n) {
    constexpr int64_t cacheBytes = 24 << 10;
    return std::clamp<int64_t>(cacheBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(n, 1), 1,
                               most);
  }

  /// Of `count` rows of x, n long, whose exponentials go to out unless it is null.
  template <bool wantsLogs>
  HWY_INLINE void read(T* out, const T* x, int64_t count, int64_t n) {
    const hn::ScalableTag<T> d;
    const hn::ScalableTag<double> dd;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), wide = static_cast<int64_t>(hn::Lanes(dd));
    HWY_ALIGN T from[most], least[most], power[most], largest[most];
    std::fill_n(maxima, most, T(0));
    for (int64_t i = 0; i < count; i++) maxima[i] = maximum(x + i * n, n);
    for (int64_t i = 0; i < most; i += lanes) {
      const auto m = hn::Load(d, maxima + i);
      const auto own = exponentialsOf(d, m);
      hn::Store(own.from, d, from + i);
      hn::Store(own.least, d, least + i);
      hn::Store(own.power, d, power + i);
      hn::Store(own(d, m), d, largest + i);
    }
    std::fill_n(totals, most, 1.0);
    for (int64_t i = 0; i < count; i++) {
      const Exponentials<decltype(d)> own{hn::Set(d, from[i]), hn::Set(d, least[i]), hn::Set(d, power[i])};
      totals[i] = sumExponentials<wantsLogs>(out ? out + i * n : nullptr, x + i * n, n, own);
    }
    if constexpr (wantsLogs) {
      const hn::Rebind<T, decltype(dd)> narrow;
      for (int64_t i = 0; i < most; i += wide) {
        const auto one = widen(hn::LoadU(narrow, largest + i));
        hn::Store(log(dd, hn::Div(hn::Load(dd, totals + i), one)), dd, logs + i);
      }
    }
  }
  /// Of the exponentials of row i, their shares of the total.
  HWY_INLINE void divide(T* e, int64_t i, int64_t n) const {
    const hn::ScalableTag<T> d;
    const auto total = static_cast<T>(totals[i]);
    const Quotients quotients(d, hn::Set(d, total), hn::Set(d, static_cast<T>(totals[i] - total)));
    map(
        e, n, [&](auto, auto v) HWY_ATTR { return quotients(v); }, const_cast<const T*>(e));
  }
};

/// Calls each(rows, begin, count) for some of all rows at a time.
template <class T, class F>
HWY_INLINE void forRows(int64_t rows, int64_t n, const F& each) {
  Rows<T> some;
  const int64_t step = Rows<T>::fitting(n);
  for (int64_t begin = 0; begin < rows; begin += step) each(some, begin, std::min(step, rows - begin));
}

template <class T>
void softmaxRows(T* out, const T* x, int64_t rows, int64_t n, bool asLog) {
  if (!asLog) {
    forRows<T>(rows, n, [&](Rows<T>& some, int64_t begin, int64_t count) HWY_ATTR {
      T* const to = out + begin * n;
      some.template read<false>(to, x + begin * n, count, n);
      for (int64_t i = 0; i < count; i++) some.divide(to + i * n, i, n);
    });
    return;
  }
  forRows<T>(rows, n, [&](Rows<T>& some, int64_t begin, int64_t count) HWY_ATTR {
    some.template read<true>(nullptr, x + begin * n, count, n);
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = (begin + i) * n;
      const hn::ScalableTag<T> d;
      // In two steps: their sum would round away the small part of a large logit.
      const auto most = hn::Set(d, some.maxima[i]), log = hn::Set(d, static_cast<T>(some.logs[i]));
      map(
          out + at, n, [&](auto, auto v) HWY_ATTR { return hn::Sub(hn::Sub(v, most), log); }, x + at);
    }
  });
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
  const auto exponentials = exponentialsOf(d, shift);
  auto total = hn::Zero(d), lost = total;
  for (int64_t i = 0; i < size; i++) {
    const auto value = load(x + i * inner);
    const auto e = exponentials(d, value);
    store(asLog ? hn::Sub(value, shift) : e, out + i * inner);
    // Kahan's compensated sum: lanes stay in T here.
    const auto term = hn::Sub(e, lost);
    const auto next = hn::Add(total, term);
    lost = hn::Sub(hn::Sub(next, total), term);
    total = next;
  }
  const auto rest = log(d, hn::Div(total, exponentials(d, shift)));
  const Quotients quotients(d, total, hn::Neg(lost));
  for (int64_t i = 0; i < size; i++) {
    const auto v = load(out + i * inner);
    store(asLog ? hn::Sub(v, rest) : quotients(v), out + i * inner);
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

template <class T>
void logSumExpRows(T* out, const T* x, int64_t rows, int64_t n) {
  forRows<T>(rows, n, [&](Rows<T>& some, int64_t begin, int64_t count) HWY_ATTR {
    some.template read<true>(nullptr, x + begin * n, count, n);
    for (int64_t i = 0; i < count; i++) {
      const T most = some.maxima[i];
      const T* row = x + (begin + i) * n;
      T& y = out[begin + i];
      y = static_cast<T>(static_cast<double>(most) + some.logs[i]);
      // An infinite maximum is the result, unless there is a NaN.
      if (std::isinf(most) && std::none_of(row, row + n, [](T v) { return std::isnan(v); })) y = most;
    }
  });
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
  const auto exponentials = exponentialsOf(d, shift);
  auto total = hn::Zero(d), lost = total;
  auto isNumber = hn::Eq(total, total);
  for (int64_t i = 0; i < size; i++) {
    const auto value = load(x + i * inner);
    isNumber = hn::And(isNumber, hn::Eq(value, value));
    const auto term = hn::Sub(exponentials(d, value), lost);
    const auto next = hn::Add(total, term);
    lost = hn::Sub(hn::Sub(next, total), term);
    total = next;
  }
  auto y = hn::Add(shift, log(d, hn::Div(total, exponentials(d, shift))));
  // An infinite maximum is the result, unless there is a NaN.
  y = hn::IfThenElse(hn::And(isNumber, hn::Eq(hn::Abs(shift), infinity)), shift, y);
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
  forRows<T>(rows, n, [&](Rows<T>& some, int64_t begin, int64_t count) HWY_ATTR {
    T* const to = probabilities + begin * n;
    const T* const from = x + begin * n;
    some.template read<true>(to, from, count, n);
    for (int64_t i = 0; i < count; i++) {
      const int64_t label = labels[begin + i];
      const double logit = static_cast<double>(from[i * n + (label >= 0 && label < n ? label : 0)]);
      losses[begin + i] = some.logs[i] - (logit - static_cast<double>(some.maxima[i]));
      some.divide(to + i * n, i, n);
    }
  });
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
