// Loops over arrays with Highway vectors. Included once per target, hence the toggle instead of a guard.
#if defined(AXPY_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_LOOPS_INL_H_
#undef AXPY_LOOPS_INL_H_
#else
#define AXPY_LOOPS_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#undef AXPY_MASKED_TAILS
// Masked loads and stores of floats touch no byte outside the mask there.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define AXPY_MASKED_TAILS 1
#else
#define AXPY_MASKED_TAILS 0
#endif

/// The first `count` lanes from p, the others 0.
template <class D, class T>
HWY_INLINE hn::Vec<D> loadFirst(D d, const T* p, int64_t count) {
#if AXPY_MASKED_TAILS
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, p);
#else
  HWY_ALIGN T lanes[hn::MaxLanes(d)] = {};
  std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(T));
  return hn::Load(d, lanes);
#endif
}

template <class D, class T>
HWY_INLINE void storeFirst(D d, hn::Vec<D> v, T* p, int64_t count) {
#if AXPY_MASKED_TAILS
  hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, p);
#else
  HWY_ALIGN T lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(T));
#endif
}

/// Whether all lanes are finite: the difference is 0 for such numbers and NaN for all else.
template <class D, class V>
HWY_INLINE bool isFinite(D d, V x) {
  return hn::AllTrue(d, hn::Eq(hn::Sub(x, x), hn::Zero(d)));
}

/// An input that gives the same value at every position.
template <class T>
struct Same {
  T value;
};

template <class D, class T>
HWY_INLINE hn::Vec<D> loadAt(D d, const T* p, int64_t i) {
  return hn::LoadU(d, p + i);
}
template <class D, class T>
HWY_INLINE hn::Vec<D> loadAt(D d, Same<T> p, int64_t) {
  return hn::Set(d, p.value);
}
template <class D, class T>
HWY_INLINE hn::Vec<D> loadFirstAt(D d, const T* p, int64_t i, int64_t count) {
  return loadFirst(d, p + i, count);
}
template <class D, class T>
HWY_INLINE hn::Vec<D> loadFirstAt(D d, Same<T> p, int64_t, int64_t) {
  return hn::Set(d, p.value);
}

/// The values of v, of as many lanes, in float64.
template <class V>
HWY_INLINE auto widen(V v) {
  if constexpr (sizeof(hn::TFromV<V>) == sizeof(double)) {
    return v;
  } else {
    return hn::PromoteTo(hn::Rebind<double, hn::DFromV<V>>(), v);
  }
}

/// Those of a vector of float64 in the type of d, rounded.
template <class D, class V>
HWY_INLINE hn::Vec<D> narrow(D d, V v) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(hn::TFromV<V>)) {
    return v;
  } else {
#if HWY_TARGET == HWY_SCALAR
    // Its DemoteTo gives the largest number where there should be infinity.
    return hn::Set(d, static_cast<hn::TFromD<D>>(hn::GetLane(v)));
#else
    return hn::DemoteTo(d, v);
#endif
  }
}

/// f with its arguments and its result in float64, rounded once: for what leaves the range of float32 on the
/// way to a result that does not. For float64 it is f itself.
template <class F>
struct Wide {
  F f;

  template <class D, class... V>
  HWY_INLINE hn::Vec<D> operator()(D d, V... v) const {
    if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
      return f(d, v...);
    } else {
#if HWY_TARGET == HWY_SCALAR
      return narrow(d, f(hn::Rebind<double, D>(), widen(v)...));
#else
      const hn::Half<D> half;
      const hn::Rebind<double, decltype(half)> dd;
      const auto lower = f(dd, widen(hn::LowerHalf(half, v))...);
      const auto upper = f(dd, widen(hn::UpperHalf(half, v))...);
      return hn::Combine(d, narrow(half, upper), narrow(half, lower));
#endif
    }
  }
};

/// The finite ones of some results, and for the others those of f in float64. Each depends on its own
/// operands alone, whatever stands beside it.
template <class D, class F, class... V>
HWY_INLINE hn::Vec<D> mended(D d, hn::Vec<D> results, const F& f, V... v) {
  return hn::IfThenElse(hn::Eq(hn::Sub(results, results), hn::Zero(d)), results, Wide<F>{f}(d, v...));
}

/// out[i] = f(d, in[i]…) for i < n, by `Wide` f where `safe` and the result is not finite.
template <bool safe, class T, class F, class... In>
HWY_INLINE void mapOf(T* out, int64_t n, const F& f, In... in) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  // Two vectors at a time hide the latency of one behind the other.
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    auto first = f(d, loadAt(d, in, i)...);
    auto second = f(d, loadAt(d, in, i + lanes)...);
    if constexpr (safe) {
      if (HWY_UNLIKELY(!isFinite(d, hn::Add(hn::Sub(first, first), hn::Sub(second, second))))) {
        first = mended(d, first, f, loadAt(d, in, i)...);
        second = mended(d, second, f, loadAt(d, in, i + lanes)...);
      }
    }
    hn::StoreU(first, d, out + i);
    hn::StoreU(second, d, out + i + lanes);
  }
  for (; i < n; i += lanes) {
    const int64_t count = n - i < lanes ? n - i : lanes;
    const auto apply = [&](const auto& g) HWY_ATTR {
      return g(d, (count == lanes ? loadAt(d, in, i) : loadFirstAt(d, in, i, count))...);
    };
    auto v = apply(f);
    if constexpr (safe) {
      if (HWY_UNLIKELY(!isFinite(d, v))) {
        v = apply([&](auto, auto... values) HWY_ATTR { return mended(d, v, f, values...); });
      }
    }
    if (count == lanes) {
      hn::StoreU(v, d, out + i);
    } else {
      storeFirst(d, v, out + i, count);
    }
  }
}

/// out[i] = f(d, in[i]…) for i < n; an input is an array or Same.
template <class T, class F, class... In>
HWY_INLINE void map(T* out, int64_t n, const F& f, In... in) {
  mapOf<false>(out, n, f, in...);
}

/// The same for what may leave the range of float32 on the way.
template <class T, class F, class... In>
HWY_INLINE void mapSafe(T* out, int64_t n, const F& f, In... in) {
  mapOf<sizeof(T) == sizeof(float)>(out, n, f, in...);
}

/// Σ f(d, in[i]…) in float64, in an order that depends on n alone; f itself is computed in float64 with
/// `wide`.
template <bool wide, class T, class F, class... In>
HWY_INLINE double sumOf(int64_t n, const F& f, In... in) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto term = [&](auto... v) HWY_ATTR {
    if constexpr (wide) {
      return f(dd, widen(v)...);
    } else {
      return widen(f(d, v...));
    }
  };
  auto s0 = hn::Zero(dd), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Add(s0, term(loadAt(d, in, i)...));
    s1 = hn::Add(s1, term(loadAt(d, in, i + lanes)...));
    s2 = hn::Add(s2, term(loadAt(d, in, i + 2 * lanes)...));
    s3 = hn::Add(s3, term(loadAt(d, in, i + 3 * lanes)...));
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::Add(s0, term(loadAt(d, in, i)...));
  if (i < n) {
    const auto v = term(loadFirstAt(d, in, i, n - i)...);
    s1 = hn::Add(s1, hn::IfThenElseZero(hn::FirstN(dd, static_cast<size_t>(n - i)), v));
  }
  return hn::GetLane(hn::SumOfLanes(dd, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

/// A sum of vectors in float64.
template <class T>
class WideSum {
 public:
  HWY_INLINE WideSum() : lower_(hn::Zero(hn::ScalableTag<double>())), upper_(lower_) {}
  HWY_INLINE void add(hn::Vec<hn::ScalableTag<T>> v) {
#if HWY_TARGET == HWY_SCALAR
    lower_ = hn::Add(lower_, widen(v));
#else
    if constexpr (sizeof(T) == sizeof(double)) {
      lower_ = hn::Add(lower_, v);
    } else {
      const hn::Half<hn::ScalableTag<T>> half;
      lower_ = hn::Add(lower_, widen(hn::LowerHalf(half, v)));
      upper_ = hn::Add(upper_, widen(hn::UpperHalf(half, v)));
    }
#endif
  }
  HWY_INLINE double total() const {
    const hn::ScalableTag<double> dd;
    return hn::GetLane(hn::SumOfLanes(dd, hn::Add(lower_, upper_)));
  }

 private:
  hn::Vec<hn::ScalableTag<double>> lower_, upper_;
};

template <class T, class F, class... In>
HWY_INLINE double sum(int64_t n, const F& f, In... in) {
  return sumOf<false, T>(n, f, in...);
}

/// Nothing leaves the range of float32 on the way into the sum.
template <class T, class F, class... In>
HWY_INLINE double sumWide(int64_t n, const F& f, In... in) {
  return sumOf<true, T>(n, f, in...);
}

/// Both sums of the terms that f(dd, first, second, in[i]…) gives, in float64, likewise.
template <class T, class F, class... In>
HWY_INLINE void sumPairWide(double& first, double& second, int64_t n, const F& f, In... in) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(dd), s1 = s0, t0 = s0, t1 = s0, u = s0, v = s0;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    f(dd, u, v, widen(loadAt(d, in, i))...);
    s0 = hn::Add(s0, u);
    t0 = hn::Add(t0, v);
    f(dd, u, v, widen(loadAt(d, in, i + lanes))...);
    s1 = hn::Add(s1, u);
    t1 = hn::Add(t1, v);
  }
  for (; i < n; i += lanes) {
    const int64_t count = n - i < lanes ? n - i : lanes;
    const auto some = hn::FirstN(dd, static_cast<size_t>(count));
    f(dd, u, v, widen(loadFirstAt(d, in, i, count))...);
    s0 = hn::Add(s0, hn::IfThenElseZero(some, u));
    t0 = hn::Add(t0, hn::IfThenElseZero(some, v));
  }
  first = hn::GetLane(hn::SumOfLanes(dd, hn::Add(s0, s1)));
  second = hn::GetLane(hn::SumOfLanes(dd, hn::Add(t0, t1)));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_LOOPS_INL_H_
