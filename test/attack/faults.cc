// A library to preload: the k-th request for a thread or for memory fails. Counting begins at signal 40.
//
// AXPY_FAULT_KIND is threads (pthread_create by anybody), maps (mmap by the addon), heap (operator new and malloc by the
// addon) or buffers (what arrays of JavaScript are made of); AXPY_FAULT_AT is k; with AXPY_FAULT_ONWARDS=1 all later ones
// fail as well. At the end it says on standard error how many there were.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::atomic<bool> armed{false};
std::atomic<long> count{0};
long failing = 0;
bool onwards = false;
char kind = ' ';

__attribute__((constructor)) void begin() {
  const char* name = getenv("AXPY_FAULT_KIND");
  if (!name) return;
  kind = name[0];
  failing = atol(getenv("AXPY_FAULT_AT"));
  onwards = getenv("AXPY_FAULT_ONWARDS") != nullptr;
  signal(40, [](int) { armed = true; });
}

__attribute__((destructor)) void end() {
  if (kind != ' ') dprintf(2, "faults: %ld of %c\n", count.load(), kind);
}

bool fails(char which) {
  if (which != kind || !armed) return false;
  const long now = ++count;
  return onwards ? now >= failing : now == failing;
}

bool isAddon(const void* caller) {
  Dl_info info;
  return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "axpy.node");
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define FAILS_HEAP (kind == 'h' && armed && isAddon(__builtin_return_address(0)) && fails('h'))

extern "C" {

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*), void* argument) {
  static const auto real = next<decltype(&pthread_create)>("pthread_create");
  return fails('t') ? EAGAIN : real(thread, attributes, routine, argument);
}

void* mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
  static const auto real = next<decltype(&mmap)>("mmap");
  if (kind == 'm' && armed && isAddon(__builtin_return_address(0)) && fails('m')) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return real(address, length, protection, flags, file, offset);
}

// Small ones are OpenBLAS's own: some of its kernels take a few kilobytes without looking at what they got.
void* malloc(size_t size) {
  static const auto real = next<decltype(&malloc)>("malloc");
  return size >= 131072 && FAILS_HEAP ? nullptr : real(size);
}

int posix_memalign(void** target, size_t alignment, size_t size) {
  static const auto real = next<decltype(&posix_memalign)>("posix_memalign");
  return FAILS_HEAP ? ENOMEM : real(target, alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  static const auto real = next<decltype(&aligned_alloc)>("aligned_alloc");
  return FAILS_HEAP ? nullptr : real(alignment, size);
}

extern void* __libc_calloc(size_t items, size_t size);

// dlsym itself calls calloc, so it is not looked up.
void* calloc(size_t items, size_t size) {
  return kind == 'b' && items * size >= 65536 && fails('b') ? nullptr : __libc_calloc(items, size);
}
}

void* operator new(size_t size) {
  void* const memory = FAILS_HEAP ? nullptr : malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void* operator new[](size_t size) {
  void* const memory = FAILS_HEAP ? nullptr : malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  if (FAILS_HEAP || posix_memalign(&memory, static_cast<size_t>(alignment), size) != 0) throw std::bad_alloc();
  return memory;
}
