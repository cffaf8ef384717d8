#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__)
#include <dlfcn.h>
#endif

#include "signals.h"

namespace axpy::parallel {
namespace {

/// The threads of the pool outlive the environment that loaded the addon, whose code must therefore stay.
void keepLoaded() {
#if defined(_WIN32)
  HMODULE module = nullptr;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     reinterpret_cast<LPCSTR>(&keepLoaded), &module);
#elif defined(__APPLE__)
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&keepLoaded), &info))
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
#endif  // elsewhere the linker marks it so (-z nodelete)
}

using Clock = std::chrono::steady_clock;

/// What it costs the caller to wake a thread, about; so long a thread looks out for work before it sleeps.
constexpr auto wakeTime = std::chrono::microseconds(50);
/// For light tasks sleepers are woken once so much has been done without them that half of it, which another
/// thread would have taken over, is as dear.
constexpr auto patience = 2 * wakeTime;
/// Of a light task, about.
constexpr auto taskTime = std::chrono::microseconds(2);

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Of the jobs of this thread; see Limit.
thread_local int limit = maxThreads;

class Pool {
 public:
  void run(int64_t tasks, Tasks kind, Task task, void* context) {
    const int wanted = threads();
    std::unique_lock<std::mutex> owner(owner_, std::defer_lock);
    if (wanted == 1 || !owner.try_lock()) {
      for (int64_t i = 0; i < tasks; i++) task(context, i);
      return;
    }
    start(wanted - 1);
    task_ = task;
    context_ = context;
    allowed_.store(wanted, std::memory_order_relaxed);
    deal(tasks, wanted);
    // The low half of `state_` counts the workers inside the job, `open` lets them in, the high half numbers
    // the jobs.
    state_.store(((state_.load(std::memory_order_relaxed) >> 32) + 1) << 32 | open);
    if (kind == Tasks::light && lacking() > 0) {
      workBeforeWaking(tasks);
    } else {
      wake();
      work(0, [] {});
    }
    // A worker that has not come by now is not waited for: the job is closed to it.
    state_.fetch_and(~open);
    for (int spins = 0; (state_.load(std::memory_order_acquire) & countMask) != 0; spins++) {
      if (spins < 200) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  int threads() const { return std::min(limit, threads_.load(std::memory_order_relaxed)); }
  void setThreads(int count) { threads_.store(count, std::memory_order_relaxed); }

 private:
  static constexpr uint64_t open = uint64_t{1} << 31;
  static constexpr uint64_t countMask = open - 1;

  /// Lazily, as a process that never computes anything large should have no threads of ours.
  void start(int workers) {
    if (started_ >= workers) return;
    const SignalsBlocked blocked;
    keepLoaded();
    try {
      while (started_ < workers) {
        std::thread(&Pool::loop, this, started_ + 1).detach();
        started_++;
      }
    } catch (const std::exception&) {
      setThreads(started_ + 1);  // The system gives no more threads; those there are will do.
    }
  }

  /// Tasks are dealt out as runs of neighbours, one to a thread, and the same at each job of as many: what a
  /// thread has written, it often reads in the next, from its own cache.
  void deal(int64_t tasks, int64_t threads) {
    shares_ = threads < tasks ? threads : tasks;
    for (int64_t i = 0; i < shares_; i++) {
      share_[i].next.store(tasks * i / shares_, std::memory_order_relaxed);
      share_[i].end = tasks * (i + 1) / shares_;
    }
  }

  /// Its own share, and then what is left of others.
  template <class F>
  void work(int64_t thread, const F& afterEach) {
    for (int64_t i = 0; i < shares_; i++) {
      Share& share = share_[(thread + i) % shares_];
      for (int64_t task; (task = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) {
        task_(context_, task);
        afterEach();
      }
    }
  }

  /// Those who sleep are woken once so much has been done without them, in this job and those just before.
  void workBeforeWaking(int64_t tasks) {
    const auto begin = Clock::now();
    if (begin - lastAlone_ > wakeTime) missed_ = {};
    bool isAlone = missed_ + tasks * taskTime < patience;
    if (!isAlone) wake();
    int64_t done = 0;
    work(0, [&] {
      if (!isAlone) return;
      lastAlone_ = Clock::now();
      if (++done == tasks || missed_ + (lastAlone_ - begin) < patience) return;
      isAlone = false;
      wake();
    });
    if (isAlone) missed_ += lastAlone_ - begin;
  }

  void wake() {
    missed_ = {};
    const int64_t count = lacking();
    if (count <= 0) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (int64_t i = 0; i < count; i++) wake_.notify_one();
  }

  /// How many there are too few awake for a share each.
  int64_t lacking() const { return shares_ - 1 - (started_ - sleepers_.load()); }

  bool enter(uint64_t state) {
    while (state & open) {
      if (state_.compare_exchange_weak(state, state + 1)) return true;
    }
    return false;
  }

  void loop(int index) {
    uint64_t seen = 0;
    for (;;) {
      const uint64_t state = await(seen);
      seen = state >> 32;
      if (index >= allowed_.load(std::memory_order_relaxed) || !enter(state_.load())) continue;
      work(index, [] {});
      state_.fetch_sub(1, std::memory_order_release);
    }
  }

  /// Returns the state once it belongs to another job than `seen`. Steps of a training follow each other
  /// within microseconds, so a worker spins for a moment before it sleeps.
  uint64_t await(uint64_t seen) {
    const auto deadline = Clock::now() + wakeTime;
    do {
      for (int i = 0; i < 64; i++) {
        const uint64_t state = state_.load();
        if (state >> 32 != seen) return state;
        pause();
      }
    } while (Clock::now() < deadline);
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, [&] { return state_.load() >> 32 != seen; });
    sleepers_.fetch_sub(1);
    return state_.load();
  }

  std::atomic<int> threads_{1};
  std::atomic<int> allowed_{1};  // of them in this job
  std::mutex owner_;             // held by the caller whose job is in the pool
  int started_ = 0;              // guarded by owner_
  Task task_ = nullptr;
  void* context_ = nullptr;
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  Share share_[maxThreads];
  int64_t shares_ = 0;
  Clock::duration missed_{};       // what was done without those who sleep, and could have been shared,
  Clock::time_point lastAlone_{};  // and when the last of it
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

/// Never destroyed: its detached threads may outlive the static destructors of an exiting process.
Pool& pool() {
  static Pool& pool = *new Pool;
  return pool;
}

}  // namespace

void run(int64_t tasks, Tasks kind, Task task, void* context) { pool().run(tasks, kind, task, context); }
int threads() { return pool().threads(); }
void setThreads(int count) { pool().setThreads(count); }

Limit::Limit(int count) : before_(limit) {
  if (count > 0) limit = std::min(limit, count);
}
Limit::~Limit() { limit = before_; }

}  // namespace axpy::parallel
