// Where the largest or smallest number is: the first NaN, if there is one, or else the first of equals.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/argmax.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Nothing of int32 is NaN.
template <class D, class V>
HWY_INLINE hn::Mask<D> isNaN(D, V x) {
  if constexpr (std::is_integral_v<hn::TFromD<D>>) {
    return hn::Lt(x, x);
  } else {
    return hn::IsNaN(x);
  }
}

/// The best of what was seen, lane by lane, and its index.
template <bool least, class T>
struct Best {
  using D = hn::ScalableTag<T>;
  using I = hn::RebindToSigned<D>;
  hn::Vec<D> value;
  hn::Vec<I> index;

  HWY_INLINE void see(hn::Vec<D> v, hn::Vec<I> at) {
    const D d;
    const auto isBeyond = least ? hn::Lt(v, value) : hn::Gt(v, value);
    take(hn::Or(isBeyond, hn::AndNot(isNaN(d, value), isNaN(d, v))), v, at);
  }
  /// Of two that have seen different places.
  HWY_INLINE void merge(const Best& other) {
    const D d;
    const auto same = hn::Or(hn::Eq(value, other.value), hn::And(isNaN(d, value), isNaN(d, other.value)));
    const auto isFirst = hn::RebindMask(d, hn::Lt(other.index, index));
    see(other.value, other.index);
    take(hn::And(same, isFirst), other.value, other.index);
  }
  /// The index of the best of all lanes.
  HWY_INLINE int64_t first() const {
    const D d;
    const I di;
    const auto areNaN = isNaN(d, value);
    const auto most = least ? hn::MinOfLanes(d, value) : hn::MaxOfLanes(d, value);
    const auto among = hn::AllFalse(d, areNaN) ? hn::Eq(value, most) : areNaN;
    const auto none = hn::Set(di, std::numeric_limits<hn::TFromD<I>>::max());
    return hn::GetLane(hn::MinOfLanes(di, hn::IfThenElse(hn::RebindMask(di, among), index, none)));
  }

 private:
  HWY_INLINE void take(hn::Mask<D> takes, hn::Vec<D> v, hn::Vec<I> at) {
    value = hn::IfThenElse(takes, v, value);
    index = hn::IfThenElse(hn::RebindMask(I(), takes), at, index);
  }
};

/// Of n values that are `stride` apart.
template <bool least, class T>
HWY_INLINE int64_t ofFew(const T* x, int64_t n, int64_t stride) {
  T best = x[0];
  int64_t index = 0;
  for (int64_t i = 1; i < n && best == best; i++) {
    const T value = x[i * stride];
    if ((least ? value < best : value > best) || value != value) {
      best = value;
      index = i;
    }
  }
  return index;
}

/// Of n contiguous values.
template <bool least, class T>
HWY_INLINE int64_t ofRow(const T* x, int64_t n) {
  using B = Best<least, T>;
  const typename B::D d;
  const typename B::I di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), both = 2 * lanes;
  if (n < both) return ofFew<least>(x, n, 1);
  const auto at = [&](int64_t i) HWY_ATTR { return hn::Iota(di, static_cast<hn::TFromD<typename B::I>>(i)); };
  B a{hn::LoadU(d, x), at(0)}, b{hn::LoadU(d, x + lanes), at(lanes)};
  const auto step = hn::Set(di, static_cast<hn::TFromD<typename B::I>>(both));
  auto here = a.index, next = b.index;
  int64_t i = both;
  for (; i + both <= n; i += both) {
    here = hn::Add(here, step);
    next = hn::Add(next, step);
    a.see(hn::LoadU(d, x + i), here);
    b.see(hn::LoadU(d, x + i + lanes), next);
  }
  if (i < n) {
    // Some of them once more, which changes nothing.
    a.see(hn::LoadU(d, x + n - both), at(n - both));
    b.see(hn::LoadU(d, x + n - lanes), at(n - lanes));
  }
  a.merge(b);
  return a.first();
}

/// out[count] of each of `count` neighbouring columns of `size` values, which are `stride` apart.
template <bool least, class T>
HWY_INLINE void ofColumns(int32_t* out, const T* x, int64_t count, int64_t size, int64_t stride) {
  using B = Best<least, T>;
  const typename B::D d;
  const typename B::I di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    B best{hn::LoadU(d, x + j), hn::Zero(di)};
    for (int64_t i = 1; i < size; i++) {
      best.see(hn::LoadU(d, x + i * stride + j), hn::Set(di, static_cast<hn::TFromD<typename B::I>>(i)));
    }
    HWY_ALIGN hn::TFromD<typename B::I> indices[hn::MaxLanes(d)];
    hn::Store(best.index, di, indices);
    for (int64_t lane = 0; lane < lanes; lane++) out[j + lane] = static_cast<int32_t>(indices[lane]);
  }
  for (; j < count; j++) out[j] = static_cast<int32_t>(ofFew<least>(x + j, size, stride));
}

template <bool least, class T>
HWY_INLINE void ofRange(int32_t* out, const T* x, int64_t size, int64_t inner, int64_t begin, int64_t end) {
  if (inner == 1) {
    for (int64_t o = begin; o < end; o++) out[o] = static_cast<int32_t>(ofRow<least>(x + o * size, size));
    return;
  }
  for (int64_t o = begin; o < end;) {
    const int64_t column = o % inner, count = std::min(inner - column, end - o);
    ofColumns<least>(out + o, x + o / inner * size * inner + column, count, size, inner);
    o += count;
  }
}

/// out[begin, end) of the positions outer × inner of x, outer × size × inner.
template <class T>
void argmaxRange(int32_t* out, const T* x, int64_t size, int64_t inner, int64_t begin, int64_t end,
                 bool least) {
  if (least) return ofRange<true>(out, x, size, inner, begin, end);
  ofRange<false>(out, x, size, inner, begin, end);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
void argmax(const Check& check, Array<int32_t> out, Array<const T> x, Size outer, PositiveSize size,
            Size inner, Flag least) {
  const double positions = static_cast<double>(outer.value) * static_cast<double>(inner.value);
  check.length(out, positions);
  check.length(x, static_cast<double>(outer.value) * static_cast<double>(size.value) *
                      static_cast<double>(inner.value));
  const auto run = AXPY_SIMD(argmaxRange<T>);
  parallel::forRange(
      out.length, std::max<int64_t>(1, parallel::lightChunk / size),
      [&](int64_t begin, int64_t end) { run(out.data, x.data, size, inner, begin, end, least); });
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(argmax, "out", "x", "outer", "size", "inner", "least"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
