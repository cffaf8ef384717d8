#include "machine.h"

#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "machine.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#if defined(__linux__)
#include <unistd.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Enough chains of dependent operations to hide the latency of each, and few enough to stay in registers.
constexpr int chains = 12;

/// Makes rounds · chains fused multiply-adds of whole vectors; returns the number of operations.
template <class T>
double multiplyAdd(int64_t rounds, T* result) {
  const hn::ScalableTag<T> d;
  hn::Vec<decltype(d)> sums[chains];
  for (int i = 0; i < chains; i++) sums[i] = hn::Set(d, static_cast<T>(i));
  const auto factor = hn::Set(d, T(0.5)), term = hn::Set(d, T(1));
  for (int64_t round = 0; round < rounds; round++) {
    for (int i = 0; i < chains; i++) sums[i] = hn::MulAdd(sums[i], factor, term);
  }
  for (int i = 1; i < chains; i++) sums[0] = hn::Add(sums[0], sums[i]);
  *result = hn::GetLane(sums[0]);  // or the compiler would leave it all out
  return 2.0 * chains * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

/// a = b + 3·c
void triad(float* HWY_RESTRICT a, const float* HWY_RESTRICT b, const float* HWY_RESTRICT c, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto factor = hn::Set(d, 3.0f);
  for (int64_t i = 0; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, c + i), hn::LoadU(d, b + i)), d, a + i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

constexpr int trials = 10;

template <class F>
double seconds(const F& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Operations a second, the best of the trials. The work of a trial is some ten milliseconds.
template <class T>
double peak() {
  constexpr int64_t rounds = 200'000;
  const auto run = AXPY_SIMD(multiplyAdd<T>);
  const int64_t tasks = int64_t{parallel::threads()} * 8;
  struct alignas(64) Share {
    double operations;
    T result;
  };
  std::vector<Share> shares(tasks);
  double best = 0;
  for (int trial = 0; trial < trials; trial++) {
    const double time = seconds([&] {
      parallel::forEach(tasks, [&](int64_t i) { shares[i].operations = run(rounds, &shares[i].result); });
    });
    double operations = 0;
    for (const Share& share : shares) operations += share.operations;
    best = std::max(best, operations / time);
  }
  return best;
}

/// Bytes of the last cache, if the system tells.
int64_t cacheSize() {
#if defined(_SC_LEVEL3_CACHE_SIZE)
  return std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L);
#else
  return 0;
#endif
}

/// Bytes a second, the best of the trials; what a write may read before it is not counted, nor is it for
/// kernels.
double bandwidth() {
  constexpr int64_t mebibyte = 1 << 20;
  const int64_t bytes = std::clamp(cacheSize(), 32 * mebibyte, 128 * mebibyte);
  const int64_t n = bytes / static_cast<int64_t>(sizeof(float));
  const std::unique_ptr<float[]> a(new float[n]), b(new float[n]), c(new float[n]);
  constexpr int64_t chunk = 1 << 18;
  parallel::forRange(n, chunk, [&](int64_t begin, int64_t end) {
    for (float* array : {a.get(), b.get(), c.get()}) std::fill(array + begin, array + end, 1.0f);
  });
  const auto run = AXPY_SIMD(triad);
  double best = 0;
  for (int trial = 0; trial < trials; trial++) {
    const double time = seconds([&] {
      parallel::forRange(n, chunk, [&](int64_t begin, int64_t end) {
        run(a.get() + begin, b.get() + begin, c.get() + begin, end - begin);
      });
    });
    best = std::max(best, 3.0 * static_cast<double>(bytes) / time);
  }
  return best;
}

}  // namespace

Limits measureLimits() { return {peak<float>(), peak<double>(), bandwidth()}; }

}  // namespace axpy
#endif  // HWY_ONCE
