// SIMD by Google Highway, with a dispatch of our own.
//
// Highway compiles one source for every instruction set (foreach_target.h) and would choose among them
// through two functions of libhwy. Debian has that library only as a shared object, on which the addon must
// not depend; so Highway is used as headers alone, and the choice is made here: once, when the addon is
// loaded.
#pragma once

// SSSE3 and AVX3_DL gain nothing here over their neighbours, and SVE's sizeless vectors cannot live in
// structs: each would only add code.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

namespace axpy::simd {

enum Target { baseline, sse4, avx2, avx512, targets };

/// The best target that this CPU and its operating system support.
extern const Target target;

/// As `info` reports it.
const char* name();

template <class F>
inline F choose(F base, F forSse4, F forAvx2, F forAvx512) {
  const F table[targets] = {base, forSse4, forAvx2, forAvx512};
  const F chosen = table[target];
  return chosen ? chosen : base;
}

}  // namespace axpy::simd

/// The version of FUNCTION, from the HWY_NAMESPACE of the enclosing namespace, for the target in use.
#if defined(__x86_64__)
#define AXPY_SIMD(FUNCTION)                                                                \
  axpy::simd::choose<decltype(HWY_CHOOSE_FALLBACK(FUNCTION))>(                             \
      HWY_CHOOSE_FALLBACK(FUNCTION), HWY_CHOOSE_SSE4(FUNCTION), HWY_CHOOSE_AVX2(FUNCTION), \
      HWY_CHOOSE_AVX3(FUNCTION))
#else
#define AXPY_SIMD(FUNCTION) (&HWY_STATIC_DISPATCH(FUNCTION))
#endif
