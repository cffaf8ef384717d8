#include "workspaces.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "arguments.h"

namespace axpy {
namespace {

/// Blocks from `large` on are whole large pages, of which a few cost less than thousands of small ones, both
/// to get and to find one's way in. Where the address sanitizer looks, each block is as long as it says.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t large = std::numeric_limits<size_t>::max();
#else
constexpr size_t large = size_t{1} << 18;
#endif
constexpr size_t largePage = size_t{2} << 20;
/// So much is kept at most.
constexpr size_t mostKept = size_t{64} << 20;

std::align_val_t alignmentOf(size_t bytes) { return std::align_val_t{bytes >= large ? largePage : 64}; }

void release(char* data, size_t bytes) { ::operator delete(data, alignmentOf(bytes)); }

/// Large blocks that nobody uses, the one given back last at the end.
class Kept {
 public:
  /// The smallest of at least so many bytes and at most twice as many, whose size `bytes` then is, or null.
  char* take(size_t& bytes) {
    const std::scoped_lock lock(mutex_);
    Block* best = nullptr;
    for (Block* block = blocks_; block != blocks_ + count_; block++) {
      const bool fits = block->bytes >= bytes && block->bytes <= 2 * bytes;
      if (fits && (!best || block->bytes <= best->bytes)) best = block;
    }
    if (!best) return nullptr;
    const Block taken = *best;
    remove(best);
    bytes = taken.bytes;
    return taken.data;
  }

  void give(char* data, size_t bytes) {
    if (bytes > mostKept) return release(data, bytes);
    const std::scoped_lock lock(mutex_);
    while (count_ == most || total_ + bytes > mostKept) drop();
    blocks_[count_++] = {data, bytes};
    total_ += bytes;
  }

  void dropAll() {
    const std::scoped_lock lock(mutex_);
    while (count_ > 0) drop();
  }

 private:
  struct Block {
    char* data;
    size_t bytes;
  };

  void drop() {
    release(blocks_[0].data, blocks_[0].bytes);
    remove(blocks_);
  }
  void remove(Block* block) {
    total_ -= block->bytes;
    std::copy(block + 1, blocks_ + count_, block);
    count_--;
  }

  static constexpr int most = 32;
  std::mutex mutex_;
  Block blocks_[most];
  int count_ = 0;
  size_t total_ = 0;
};

/// Never destroyed, as a thread may be at work when the process ends.
Kept& kept() {
  static Kept& all = *new Kept;
  return all;
}

char* allocate(size_t bytes) {
  const std::align_val_t alignment = alignmentOf(bytes);
  void* data = ::operator new(bytes, alignment, std::nothrow);
  if (!data) {
    kept().dropAll();
    data = ::operator new(bytes, alignment);
  }
#ifdef __linux__
  // Where the system has no such pages, nothing happens.
  if (bytes >= large) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return static_cast<char*>(data);
}

}  // namespace

void askForLargePages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#ifdef __linux__
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + largePage - 1) / largePage * largePage;
  const uintptr_t end = (begin + bytes) / largePage * largePage;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

Memory::Memory(size_t bytes)
    : bytes_(bytes < large ? bytes : (bytes + largePage - 1) / largePage * largePage), data_(nullptr) {
  if (bytes_ >= large) data_ = kept().take(bytes_);
  if (!data_ && bytes_ > 0) data_ = allocate(bytes_);
}

Memory::~Memory() { bytes_ < large ? release(data_, bytes_) : kept().give(data_, bytes_); }

}  // namespace axpy

namespace axpy::guard {
namespace {

constexpr unsigned char pattern = 0xff;

/// Where the first damage was, or null.
std::atomic<const char*> damage{nullptr};

}  // namespace

const size_t zone = [] {
  const char* wanted = std::getenv("AXPY_GUARD");
  return wanted && std::strcmp(wanted, "1") == 0 ? size_t{1} << 14 : 0;
}();

void fill(void* memory, size_t bytes) { std::memset(memory, pattern, bytes); }

void check(const void* memory, const char* where) {
  const auto* bytes = static_cast<const unsigned char*>(memory);
  if (std::all_of(bytes, bytes + zone, [](unsigned char byte) { return byte == pattern; })) return;
  damage.store(where);
}

void throwIfDamaged() {
  if (const char* where = damage.exchange(nullptr)) {
    throw Violation("AXPY_KERNEL", std::string("a kernel wrote ") + where + " its workspace");
  }
}

}  // namespace axpy::guard
