#include "simd.h"

#include <cstdlib>
#include <cstring>

namespace axpy::simd {
namespace {

#if defined(__x86_64__)
constexpr const char* names[targets] = {"SSE2", "SSE4", "AVX2", "AVX-512"};

Target detect() {
  // GCC's feature bits for AVX and AVX-512 are set only when the operating system saves those registers
  // (XGETBV).
  __builtin_cpu_init();
  Target best = baseline;
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("aes"))
    best = sse4;
  if (best == sse4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    best = avx2;
  }
  if (best == avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    best = avx512;
  }
  // For tests: a lower target, never one that the CPU lacks.
  if (const char* wanted = std::getenv("AXPY_SIMD")) {
    for (int i = 0; i < best; i++) {
      if (std::strcmp(wanted, names[i]) == 0) return static_cast<Target>(i);
    }
  }
  return best;
}
#else
constexpr const char* names[targets] = {"NEON", "", "", ""};

Target detect() { return baseline; }
#endif

}  // namespace

const Target target = detect();

const char* name() { return names[target]; }

}  // namespace axpy::simd
