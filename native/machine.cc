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

/// Bytes a second over three arrays of so many bytes together, the best of the trials. What a write may read
/// before it is not counted, nor is it for kernels. Each thread goes again and again over a part of its own.
double bandwidth(int64_t bytes) {
  const int64_t tasks = parallel::threads();
  const int64_t part = bytes / 3 / static_cast<int64_t>(sizeof(float)) / tasks;
  const int64_t n = part * tasks;
  const int64_t repeats = std::max<int64_t>(1, (int64_t{64} << 20) / bytes);
  const std::unique_ptr<float[]> a(new float[n]), b(new float[n]), c(new float[n]);
  parallel::forEach(tasks, [&](int64_t i) {
    for (float* array : {a.get(), b.get(), c.get()}) std::fill_n(array + i * part, part, 1.0f);
  });
  const auto run = AXPY_SIMD(triad);
  double best = 0;
  for (int trial = 0; trial < trials; trial++) {
    const double time = seconds([&] {
      parallel::forEach(tasks, [&](int64_t i) {
        for (int64_t repeat = 0; repeat < repeats; repeat++) {
          run(a.get() + i * part, b.get() + i * part, c.get() + i * part, part);
        }
      });
    });
    const auto moved = static_cast<double>(repeats * n) * 3.0 * sizeof(float);
    best = std::max(best, moved / time);
  }
  return best;
}

}  // namespace

Limits measureLimits() {
  constexpr int64_t mebibyte = 1 << 20;
  const int64_t beyond = std::clamp(3 * cacheSize(), 96 * mebibyte, 384 * mebibyte);
  Limits limits{peak<float>(), peak<double>(), {}};
  for (const int64_t bytes : {mebibyte / 4, mebibyte, 4 * mebibyte, 16 * mebibyte, beyond}) {
    limits.bandwidths.push_back({static_cast<double>(bytes), bandwidth(bytes)});
  }
  return limits;
}

}  // namespace axpy
#endif  // HWY_ONCE
