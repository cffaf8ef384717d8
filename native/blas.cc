// OpenBLAS. What it asks of the system is answered here instead, by way of the linker (--wrap in
// CMakeLists.txt): memory to work in, and its environment.
#if !defined(__APPLE__)

#include "blas.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include <strings.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "cpu.h"

extern "C" {
void openblas_set_num_threads(int count);
char* openblas_get_config();
char* openblas_get_corename();
}

// ── memory
// ──────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// A call packs its operands into a buffer of 128 MB, of which it touches what it needs. OpenBLAS maps one for
// each call under way and keeps it. Where the system refuses, it asks again for ever, and beyond 128 calls at
// a time it ends the process. So it is lent buffers of ours: the first is there before a product begins, and
// a call that can have no further one waits until another's is free.

extern "C" {
void* __wrap_blas_memory_alloc(int use);
void __wrap_blas_memory_free(void* buffer);
}

namespace axpy::blas {
namespace {

class Buffers {
 public:
  /// Throws std::bad_alloc unless there is one.
  void prepare() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (count_ == 0 && !add()) throw std::bad_alloc();
  }

  void* take() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (free_.empty() && !add()) freed_.wait(lock, [this] { return !free_.empty(); });
    void* const buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void give(void* buffer) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      free_.push_back(buffer);
    }
    freed_.notify_one();
  }

 private:
  /// BUFFER_SIZE of OpenBLAS's common_x86_64.h, the largest of its common_*.h.
  static constexpr size_t size = size_t{32} << 22;

  /// One more; false where the system has none.
  bool add() {
    try {
      free_.reserve(count_ + 1);  // `give` then never allocates
    } catch (const std::bad_alloc&) {
      return false;
    }
    void* const buffer = map();
    if (!buffer) return false;
    free_.push_back(buffer);
    count_++;
    return true;
  }

#if defined(_WIN32)
  static void* map() { return VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
#else
  /// Behind it lies a page that cannot be touched, so that an OpenBLAS of larger buffers would not go unseen.
  static void* map() {
    void* const buffer = mmap(nullptr, size + page(), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buffer == MAP_FAILED) return nullptr;
    mprotect(static_cast<char*>(buffer) + size, page(), PROT_NONE);
    return buffer;
  }
  static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
#endif

  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<void*> free_;
  size_t count_ = 0;
};

/// Never destroyed: products may be under way when the process exits.
Buffers& buffers() {
  static Buffers& buffers = *new Buffers;
  return buffers;
}

}  // namespace

void prepare() {
  static std::atomic<bool> ready{false};
  if (ready.load(std::memory_order_relaxed)) return;
  buffers().prepare();
  ready.store(true, std::memory_order_relaxed);
}

}  // namespace axpy::blas

void* __wrap_blas_memory_alloc(int) { return axpy::blas::buffers().take(); }
void __wrap_blas_memory_free(void* buffer) { axpy::blas::buffers().give(buffer); }

// ── environment
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────
//
// It reads OPENBLAS_CORETYPE and OPENBLAS_NUM_THREADS in a constructor, before any code of ours can call it.
// Left alone it goes by model numbers: on every CPU newer than itself (0.3.21: Emerald Rapids, Zen 5, …) it
// takes the kernels of a Prescott, several times slower, and for virtual ones like QEMU's qemu64 kernels
// whose instructions they lack, which ends the process at the first product. So the core type follows from
// the CPU's features, unless one is asked for that is known and that this CPU can run; nobody's environment
// is changed. `backendInfo().blas` says what is used. Of threads it needs none, as every call is made on one
// of ours, whatever the environment says for other programs; and where the system gives none, it ends the
// process.

extern "C" {
char* __real_getenv(const char* name);
char* __wrap_getenv(const char* name);
}

namespace {

// Constant arrays, because this runs before initialisers of static objects.
char oneThread[] = "1";
#if defined(__x86_64__)

/// A core type, and whether the CPU has the instructions of its kernels.
struct Core {
  char name[16];
  bool (*runs)(const axpy::cpu::Features& cpu);
};

using Features = axpy::cpu::Features;
bool hasSse3(const Features& cpu) { return cpu.sse3; }
bool hasSsse3(const Features& cpu) { return cpu.ssse3; }
bool hasSse4(const Features& cpu) { return cpu.sse4; }
bool hasAvx(const Features& cpu) { return cpu.avx; }
bool hasAvx2(const Features& cpu) { return cpu.avx2 && cpu.fma; }
bool hasAvx512(const Features& cpu) { return hasAvx2(cpu) && cpu.avx512; }
bool isZen(const Features& cpu) { return hasAvx2(cpu) && cpu.isAmd; }

/// Those that are taken by features, the best first. OpenBLAS has more, for CPUs with instructions that only
/// a few makers had (3DNow!, FMA4); they gain little over these.
Core cores[] = {{"SkylakeX", hasAvx512}, {"Zen", isZen},      {"Haswell", hasAvx2}, {"Sandybridge", hasAvx},
                {"Nehalem", hasSse4},    {"Core2", hasSsse3}, {"Prescott", hasSse3}};

char* coreType(const char* wanted) {
  const Features cpu = axpy::cpu::features();
  // On an Intel CPU the kernels of a Zen run as well.
  const auto runs = [&](const Core& core) { return core.runs == isZen ? hasAvx2(cpu) : core.runs(cpu); };
  for (Core& core : cores) {
    if (wanted && strcasecmp(wanted, core.name) == 0 && runs(core)) return core.name;
  }
  for (Core& core : cores) {
    if (core.runs(cpu)) return core.name;
  }
  return nullptr;
}
#else
// By the identification register, which Linux lets programs read, and where it does not know that by
// features.
char* coreType(const char*) { return nullptr; }
#endif

}  // namespace

void axpy::blas::initialize() {
#if defined(__x86_64__)
  if (!coreType(nullptr)) throw Unavailable("expected a CPU with SSE3");
#endif
  openblas_set_num_threads(1);
}

std::string axpy::blas::description() {
  return std::string(openblas_get_config()) + " (" + openblas_get_corename() + ")";
}

char* __wrap_getenv(const char* name) {
  char* value = __real_getenv(name);
  if (std::strcmp(name, "OPENBLAS_CORETYPE") == 0) {
    char* const core = coreType(value);
    return core ? core : value;
  }
  if (std::strcmp(name, "OPENBLAS_NUM_THREADS") == 0) return oneThread;
  return value;
}

#endif
