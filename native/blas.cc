// How OpenBLAS sees its environment when it is loaded.
//
// It reads OPENBLAS_CORETYPE and OPENBLAS_NUM_THREADS in a constructor, before any code of ours can call it.
// Left alone it takes the kernels of a Prescott, several times slower, on every CPU newer than itself
// (0.3.21: Emerald Rapids, Zen 5, …), and starts threads that would never be used. The linker sends its calls
// of getenv here (--wrap in CMakeLists.txt), so the defaults differ and nobody's environment is changed;
// variables that are set still count, except for a core type whose instructions this CPU lacks: OpenBLAS
// would take it at its word, and the process would end at the first product. `backendInfo().blas` says what
// is used.

#include <cstdlib>
#include <cstring>

#include <strings.h>

extern "C" {
char* __real_getenv(const char* name);
char* __wrap_getenv(const char* name);
}

namespace {

// Constant arrays, because this runs before initialisers of static objects.
char oneThread[] = "1";
#if defined(__x86_64__)
char skylakeX[] = "SkylakeX", zen[] = "Zen", haswell[] = "Haswell";

bool hasAvx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw");
}

/// The newest kernels that the CPU can run, by its features instead of its model number; null for CPUs old
/// enough to be known.
char* coreType() {
  if (!hasAvx2()) return nullptr;
  return hasAvx512() ? skylakeX : __builtin_cpu_is("amd") ? zen : haswell;
}

/// Whether this CPU has the instructions of a core type's kernels; OpenBLAS compares names as this does.
bool canRun(const char* name) {
  const auto isOneOf = [&](auto... names) { return ((strcasecmp(name, names) == 0) || ...); };
  if (isOneOf("SkylakeX", "Cooperlake", "SapphireRapids")) return hasAvx512();
  if (isOneOf("Haswell", "Zen", "Excavator")) return hasAvx2();
  if (isOneOf("Sandybridge", "Bulldozer", "Piledriver", "Steamroller")) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx");
  }
  return true;
}
#else
char* coreType() { return nullptr; }
bool canRun(const char*) { return true; }
#endif

}  // namespace

char* __wrap_getenv(const char* name) {
  char* value = __real_getenv(name);
  if (std::strcmp(name, "OPENBLAS_CORETYPE") == 0) return value && canRun(value) ? value : coreType();
  if (value) return value;
  if (std::strcmp(name, "OPENBLAS_NUM_THREADS") == 0) return oneThread;
  return nullptr;
}
