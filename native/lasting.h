// What recorded calls make of arrays that stay as they are from run to run, such as the weights of a model in
// use, and keep.
#pragma once

#include <cstdint>
#include <new>
#include <optional>

#include "workspaces.h"

namespace axpy {

namespace lasting {

/// So much the process has at most, so that programs over large weights do not take double the memory.
constexpr int64_t most = int64_t{128} << 20;

/// Whether there is so much left of it.
bool take(int64_t bytes);
void giveBack(int64_t bytes);

}  // namespace lasting

template <class T>
class Lasting {
 public:
  Lasting() = default;
  Lasting(const Lasting&) = delete;
  Lasting& operator=(const Lasting&) = delete;
  ~Lasting() { clear(); }

  /// What was made; at first calls make(data) for it, unless there is no memory for `count` elements.
  template <class F>
  const T* get(int64_t count, const F& make) {
    if (!buffer_ && !isRefused_ && count > 0) fill(count, make);
    return buffer_ ? buffer_->data() : nullptr;
  }

  void clear() {
    isRefused_ = false;
    if (!buffer_) return;
    buffer_.reset();
    lasting::giveBack(bytes_);
  }

 private:
  template <class F>
  void fill(int64_t count, const F& make) {
    bytes_ = count * static_cast<int64_t>(sizeof(T));
    isRefused_ = !lasting::take(bytes_);
    if (isRefused_) return;
    try {
      buffer_.emplace(count);
      make(buffer_->data());
    } catch (const std::bad_alloc&) {
      buffer_.reset();
      isRefused_ = true;
      lasting::giveBack(bytes_);
    }
  }

  std::optional<Buffer<T>> buffer_;
  int64_t bytes_ = 0;
  bool isRefused_ = false;  // and not asked for again before something changes
};

}  // namespace axpy
