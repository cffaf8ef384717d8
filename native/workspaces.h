// Memory for the length of a kernel call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "parallel.h"

namespace axpy {

/// Elements that begin at a cache line, uninitialised. Throws std::bad_alloc.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T)),
        data_(count == 0 ? nullptr : static_cast<T*>(::operator new(bytes_, alignment()))) {
#ifdef __linux__
    // The C library gives large blocks back at once, so each call meets new pages; a few large ones cost less
    // than thousands. Where the system has none, nothing happens.
    if (isLarge()) madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete(data_, alignment()); }

  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  static constexpr size_t largePage = size_t{2} << 20;
  bool isLarge() const { return bytes_ >= 4 * largePage; }
  std::align_val_t alignment() const { return std::align_val_t{isLarge() ? largePage : 64}; }

  const size_t bytes_;
  T* const data_;
};

/// A workspace for each thread that may take part in a job. The caller allocates them all before the first
/// task, as a task must not throw; a task holds one as long as its Lease lives.
template <class T>
class Workspaces {
 public:
  Workspaces(int64_t tasks, int64_t count)
      : count_((count + 15) / 16 * 16),
        slots_(tasks < parallel::threads() ? tasks : parallel::threads()),
        memory_(slots_ * count_),
        free_(slots_ == 64 ? ~uint64_t{0} : (uint64_t{1} << slots_) - 1) {}

  class Lease {
   public:
    explicit Lease(Workspaces& spaces) : spaces_(spaces) {
      uint64_t free = spaces_.free_.load(std::memory_order_acquire);
      for (;;) {
        // As many slots as threads: one is free, or about to be.
        if (free == 0) {
          free = spaces_.free_.load(std::memory_order_acquire);
          continue;
        }
        slot_ = free & -free;
        if (spaces_.free_.compare_exchange_weak(free, free & ~slot_, std::memory_order_acquire)) return;
      }
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { spaces_.free_.fetch_or(slot_, std::memory_order_release); }

    T* data() const { return spaces_.memory_.data() + __builtin_ctzll(slot_) * spaces_.count_; }

   private:
    Workspaces& spaces_;
    uint64_t slot_ = 0;
  };

 private:
  const int64_t count_;
  const int64_t slots_;
  const Buffer<T> memory_;
  std::atomic<uint64_t> free_;
};

}  // namespace axpy
