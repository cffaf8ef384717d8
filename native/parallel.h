// One thread pool a process, shared by all environments.
//
// Work is cut into tasks by the caller, from shapes alone and never from the number of threads, so that
// results are the same bit for bit whoever takes which task. They are dealt out as runs of neighbours, one to
// a thread, and who is done takes from the others.
#pragma once

#include <cstdint>

namespace axpy::parallel {

inline constexpr int maxThreads = 64;  // as many as a word has bits: see Workspaces

using Task = void (*)(void* context, int64_t task);

/// How long a task may take: microseconds, or anything.
enum class Tasks { light, heavy };

/// Calls run(context, task) for each task in [0, tasks), and returns when all are done. The calling thread
/// takes part; it does everything itself when another caller has the pool, or, of light tasks, when they are
/// over before a sleeping thread would come. Tasks must not throw.
void run(int64_t tasks, Tasks kind, Task run, void* context);

template <class F>
void forEach(int64_t tasks, const F& task, Tasks kind = Tasks::heavy) {
  if (tasks == 1) return task(0);
  run(
      tasks, kind, [](void* context, int64_t i) { (*static_cast<const F*>(context))(i); },
      const_cast<F*>(&task));
}

/// Calls part(begin, end) over [0, count) in chunks of `chunk`.
template <class F>
void forRange(int64_t count, int64_t chunk, const F& part) {
  if (count <= 0) return;
  const auto task = [&](int64_t i) {
    const int64_t begin = i * chunk;
    part(begin, begin + chunk < count ? begin + chunk : count);
  };
  forEach((count + chunk - 1) / chunk, task, Tasks::light);
}

/// Chunks for elementwise work: long enough that waking a thread pays, by what an element costs.
inline constexpr int64_t lightChunk = 32768;
inline constexpr int64_t heavyChunk = 8192;

/// How many threads a job of the calling thread may have.
int threads();
void setThreads(int count);

/// As long as it lives, jobs of the calling thread have `count` threads at most; 0 for as many as there are.
class Limit {
 public:
  explicit Limit(int count);
  ~Limit();
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  const int before_;
};

}  // namespace axpy::parallel
