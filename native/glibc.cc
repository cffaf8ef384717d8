// What the addon asks of glibc and libstdc++, by names that old ones have too. A binary takes each symbol in
// the version that is the newest where it is built, and then loads nowhere else; so the linker sends these
// here (--wrap in CMakeLists.txt, from the list below), and they are asked for as they were.
// scripts/prebuilds.ts says which versions a binary may need.

#include <csignal>
#include <new>
#include <pthread.h>

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#else
#define FIRST "GLIBC_2.17"
#endif

#define OLD(NAME, SYMBOL, VERSION) asm(".symver old_" #NAME "," SYMBOL "@" VERSION)

extern "C" {
// 2.29: without the error handling of System V, which nobody looks at.
double old_exp(double x);
OLD(exp, "exp", FIRST);
double __wrap_exp(double x) { return old_exp(x); }

double old_log(double x);
OLD(log, "log", FIRST);
double __wrap_log(double x) { return old_log(x); }

double old_pow(double x, double y);
OLD(pow, "pow", FIRST);
double __wrap_pow(double x, double y) { return old_pow(x, y); }

// 2.32 and 2.34: moved from libpthread, which every Node loads, to libc.
int old_pthread_sigmask(int how, const sigset_t* set, sigset_t* old);
OLD(pthread_sigmask, "pthread_sigmask", FIRST);
int __wrap_pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  return old_pthread_sigmask(how, set, old);
}

int old_pthread_mutex_trylock(pthread_mutex_t* mutex);
OLD(pthread_mutex_trylock, "pthread_mutex_trylock", FIRST);
int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) { return old_pthread_mutex_trylock(mutex); }

// 2.34: moved from libdl, which every Node loads, to libc.
void* old_dlopen(const char* path, int mode);
OLD(dlopen, "dlopen", FIRST);
void* __wrap_dlopen(const char* path, int mode) { return old_dlopen(path, mode); }

void* old_dlsym(void* library, const char* name);
OLD(dlsym, "dlsym", FIRST);
void* __wrap_dlsym(void* library, const char* name) { return old_dlsym(library, name); }

char* old_dlerror();
OLD(dlerror, "dlerror", FIRST);
char* __wrap_dlerror() { return old_dlerror(); }

// GLIBCXX_3.4.30: std::condition_variable::wait, no longer noexcept.
void old_wait(void* condition, void* lock);
OLD(wait, "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE", "GLIBCXX_3.4.11");
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(void* condition, void* lock) {
  old_wait(condition, lock);
}

// CXXABI_1.3.13: std::exception_ptr::_M_release, which its destructor called until then.
void old_release(void* pointer);
OLD(release, "_ZNSt15__exception_ptr13exception_ptrD1Ev", "CXXABI_1.3.3");
void __wrap__ZNSt15__exception_ptr13exception_ptr10_M_releaseEv(void* pointer) { old_release(pointer); }

// GLIBCXX_3.4.29.
[[noreturn]] void __wrap__ZSt28__throw_bad_array_new_lengthv() { throw std::bad_array_new_length(); }
}
