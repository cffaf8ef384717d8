#include "lasting.h"

#include <atomic>

namespace axpy::lasting {

namespace {
std::atomic<int64_t> taken{0};
}  // namespace

bool take(int64_t bytes) {
  if (taken.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most) return true;
  giveBack(bytes);
  return false;
}

void giveBack(int64_t bytes) { taken.fetch_sub(bytes, std::memory_order_relaxed); }

}  // namespace axpy::lasting
