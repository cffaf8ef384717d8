// What this CPU can do, by its own words (Intel's manual, volume 2A, CPUID). Compilers know that too, but not
// all of them bring what their answer needs, and it has to be there before any static object is.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace axpy::cpu {

/// Each of the first row, and of the vectors below, says that those before it are there too.
struct Features {
  bool sse3, ssse3, sse4;
  /// Carry-less products and AES, which SSE4 code of Highway may use.
  bool crypto;
  /// These where the operating system saves their registers as well.
  bool avx, avx2, fma, f16c, bmi;
  /// F, CD, DQ, BW and VL, as from Skylake-X on.
  bool avx512;
  bool isAmd;
};

inline Features features() {
  Features found{};
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return found;
  char vendor[12];
  std::memcpy(vendor, &b, 4);
  std::memcpy(vendor + 4, &d, 4);
  std::memcpy(vendor + 8, &c, 4);
  found.isAmd = std::memcmp(vendor, "AuthenticAMD", 12) == 0 || std::memcmp(vendor, "HygonGenuine", 12) == 0;

  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  const auto has = [](unsigned word, std::initializer_list<int> bits) {
    for (const int bit : bits) {
      if (!(word >> bit & 1)) return false;
    }
    return true;
  };
  found.sse3 = has(c, {0});
  found.ssse3 = has(c, {0, 9});
  found.sse4 = has(c, {0, 9, 19, 20});
  found.crypto = has(c, {1, 25});
  // OSXSAVE: whether the operating system may be asked (XGETBV) which registers it saves.
  uint32_t saved = 0, ignored = 0;
  if (has(c, {27})) asm volatile("xgetbv" : "=a"(saved), "=d"(ignored) : "c"(0));
  const bool savesAvx = has(saved, {1, 2});
  found.avx = found.sse4 && savesAvx && has(c, {28});
  found.fma = found.avx && has(c, {12});
  found.f16c = found.avx && has(c, {29});

  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  found.bmi = has(b, {3, 8});
  found.avx2 = found.avx && has(b, {5});
  found.avx512 = found.avx2 && has(saved, {5, 6, 7}) && has(b, {16, 17, 28, 30, 31});
  return found;
}

}  // namespace axpy::cpu
#endif
