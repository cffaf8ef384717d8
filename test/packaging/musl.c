// What Debian's libstdc++ and libgcc_s want of glibc beyond what musl has. Debian has musl, and no C++ library for it, which a
// program for Alpine needs: with this, loaded before it, the one for glibc serves. For tests alone.
#define _GNU_SOURCE
#include <link.h>
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

char __libc_single_threaded = 0;

uint32_t arc4random(void) {
  uint32_t value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}

size_t __strftime_l(char* out, size_t size, const char* format, const struct tm* time, locale_t locale) {
  return strftime_l(out, size, format, time, locale);
}

unsigned long __getauxval(unsigned long type) { return getauxval(type); }

/// Destructors of threads are not run: no test is about them.
int __cxa_thread_atexit_impl(void (*function)(void*), void* object, void* library) {
  (void)function, (void)object, (void)library;
  return 0;
}

// libgcc_s has these, but only for programs linked long ago.
struct {
  unsigned vendor, type, subtype, features[1];
} __cpu_model;
int __cpu_indicator_init(void) { return 0; }

/// qemu refuses no bytes, which Linux takes for done.
int mprotect(void* start, size_t size, int protection) {
  return size == 0 ? 0 : (int)syscall(SYS_mprotect, start, size, protection);
}

/// As in glibc's dlfcn.h.
struct dl_find_object {
  unsigned long long flags;
  void *start, *end;
  struct link_map* map;
  void* frames;
  unsigned long long reserved[7];
};

struct search {
  uintptr_t place;
  struct dl_find_object* found;
};

static int look(struct dl_phdr_info* info, size_t size, void* data) {
  struct search* search = data;
  (void)size;
  int holds = 0;
  void* frames = NULL;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_GNU_EH_FRAME) frames = (void*)start;
    if (part->p_type != PT_LOAD || search->place < start || search->place >= start + part->p_memsz) continue;
    holds = 1;
    search->found->start = (void*)start;
    search->found->end = (void*)(start + part->p_memsz);
  }
  if (!holds || !frames) return 0;
  search->found->frames = frames;
  return 1;
}

int _dl_find_object(void* place, struct dl_find_object* found) {
  struct search search = {(uintptr_t)place, found};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
