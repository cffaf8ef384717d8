// Memory for the length of a kernel call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "parallel.h"

namespace axpy {

/// Zones of NaN around every workspace, and workspaces that begin as NaN: a kernel that writes beyond its
/// own, or reads what it has not written, is then found by any test. With AXPY_GUARD=1 in the environment.
namespace guard {

/// Bytes of a zone; 0 where there are none.
extern const size_t zone;

/// Fills memory with a pattern that is NaN as a float and as a double.
void fill(void* memory, size_t bytes);
/// Notes it where a zone no longer holds the pattern.
void check(const void* memory, const char* where);
/// Throws where a zone was found to be damaged since the last time.
void throwIfDamaged();

}  // namespace guard

/// Asks for large pages under an array that is going to be written, where it is new memory and spans some: a
/// few cost less than thousands of small ones. Changes nothing in it.
void askForLargePages(void* data, size_t bytes);

/// Memory that begins at a cache line, uninitialised. Large blocks that were given back are kept for the next
/// calls, up to a limit: new ones of the system cost as much as many a kernel.
class Memory {
 public:
  /// Throws std::bad_alloc.
  explicit Memory(size_t bytes);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  char* data() const { return data_; }

 private:
  size_t bytes_;
  char* data_;
};

/// Elements in such memory.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T)),
        memory_(count == 0 ? 0 : bytes_ + 2 * guard::zone),
        data_(count == 0 ? nullptr : reinterpret_cast<T*>(memory_.data() + guard::zone)) {
    if (guard::zone > 0 && data_) guard::fill(memory_.data(), bytes_ + 2 * guard::zone);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (guard::zone == 0 || !data_) return;
    guard::check(memory_.data(), "before");
    guard::check(memory_.data() + guard::zone + bytes_, "after");
  }

  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  const size_t bytes_;
  const Memory memory_;
  T* const data_;
};

/// A workspace for each thread that may take part in a job. The caller allocates them all before the first
/// task, as a task must not throw; a task holds one as long as its Lease lives.
template <class T>
class Workspaces {
 public:
  Workspaces(int64_t tasks, int64_t count)
      : count_((count + 15) / 16 * 16),
        distance_(count_ + static_cast<int64_t>(guard::zone / sizeof(T))),
        slots_(tasks < parallel::threads() ? tasks : parallel::threads()),
        memory_(slots_ * distance_),
        free_(slots_ == 64 ? ~uint64_t{0} : (uint64_t{1} << slots_) - 1) {}
  ~Workspaces() {
    if (guard::zone == 0) return;
    for (int64_t slot = 0; slot < slots_; slot++) {
      guard::check(memory_.data() + slot * distance_ + count_, "after");
    }
  }
  Workspaces(const Workspaces&) = delete;
  Workspaces& operator=(const Workspaces&) = delete;

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

    T* data() const { return spaces_.memory_.data() + __builtin_ctzll(slot_) * spaces_.distance_; }

   private:
    Workspaces& spaces_;
    uint64_t slot_ = 0;
  };

 private:
  const int64_t count_;
  const int64_t distance_;
  const int64_t slots_;
  const Buffer<T> memory_;
  std::atomic<uint64_t> free_;
};

}  // namespace axpy
