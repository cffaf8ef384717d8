#include "simd.h"

#include <cstdlib>
#include <cstring>

#include "cpu.h"

namespace axpy::simd {
namespace {

#if defined(__x86_64__)
constexpr const char* names[targets] = {"SSE2", "SSE4", "AVX2", "AVX-512"};

Target detect() {
  const cpu::Features cpu = cpu::features();
  Target best = baseline;
  if (cpu.sse4 && cpu.crypto) best = sse4;
  if (best == sse4 && cpu.avx2 && cpu.bmi && cpu.fma && cpu.f16c) best = avx2;
  if (best == avx2 && cpu.avx512) best = avx512;
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
