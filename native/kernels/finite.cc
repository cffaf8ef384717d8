// The search for NaN and Infinity.

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/finite.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <atomic>
#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Σ 0 · x is 0 for finite x and NaN for all else: one operation a vector, and no branch.
template <class T>
bool finite(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  auto s0 = zero, s1 = zero, s2 = zero, s3 = zero;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::MulAdd(zero, hn::LoadU(d, x + i), s0);
    s1 = hn::MulAdd(zero, hn::LoadU(d, x + i + lanes), s1);
    s2 = hn::MulAdd(zero, hn::LoadU(d, x + i + 2 * lanes), s2);
    s3 = hn::MulAdd(zero, hn::LoadU(d, x + i + 3 * lanes), s3);
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::MulAdd(zero, hn::LoadU(d, x + i), s0);
  if (i < n) s1 = hn::MulAdd(zero, loadFirst(d, x + i, n - i), s1);
  return hn::AllTrue(d, hn::Eq(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), zero));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
bool areFinite(const T* x, int64_t n) {
  return AXPY_SIMD(finite<T>)(x, n);
}

template bool areFinite(const float*, int64_t);
template bool areFinite(const double*, int64_t);

template <class T>
void checkFinite(const Check& check, Array<const T> x) {
  // The first chunk with such an element, whichever thread comes upon it first.
  std::atomic<int64_t> first{x.length};
  parallel::forRange(x.length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
    if (begin >= first.load(std::memory_order_relaxed) || areFinite(x.data + begin, end - begin)) return;
    int64_t known = first.load(std::memory_order_relaxed);
    while (begin < known && !first.compare_exchange_weak(known, begin, std::memory_order_relaxed)) {
    }
  });
  for (int64_t i = first.load(std::memory_order_relaxed); i < x.length; i++) {
    const double value = x[i];
    if (!std::isfinite(value)) check.failFinite(x.position, value, i);
  }
}

constexpr bind::Kernel kernels[] = {AXPY_FLOAT_KERNEL(checkFinite, "x")};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
