// Where positions lie in an array, by strides.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "arguments.h"

namespace axpy {

/// Elements from `from` on, `step` apart, as those of T.
template <class T, class From>
void copyRun(T* to, const From* from, int64_t step, int64_t n) {
  if (step == 0) {
    std::fill_n(to, n, static_cast<T>(*from));
  } else if (step == 1) {
    std::transform(from, from + n, to, [](From x) { return static_cast<T>(x); });
  } else {
    for (int64_t i = 0; i < n; i++) to[i] = static_cast<T>(from[i * step]);
  }
}

/// Where the positions are in an array.
class Places {
 public:
  /// Of dims and strides, `rank` long, whose reach has been checked.
  Places(const int32_t* dims, int64_t offset, const int32_t* strides, int rank) : offset_(offset) {
    // Neighbouring axes that are stepped through evenly are one.
    for (int axis = 0; axis < rank; axis++) {
      if (dims[axis] == 1) continue;
      const int64_t stride = strides[axis];
      if (rank_ > 0 && strides_[rank_ - 1] == stride * dims[axis]) {
        dims_[rank_ - 1] *= dims[axis];
        strides_[rank_ - 1] = stride;
      } else {
        dims_[rank_] = dims[axis];
        strides_[rank_++] = stride;
      }
    }
  }

  /// So many, one after the other.
  static Places run(int64_t count) {
    const auto dim = static_cast<int32_t>(count), stride = int32_t{1};
    return {&dim, 0, &stride, 1};
  }

  int64_t offset() const { return offset_; }
  /// Whether all of them are one element.
  bool areOne() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 0); }
  /// Whether they follow one another.
  bool areRun() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 1); }

  /// Calls run(element, step, n) for the positions from `begin` on, `count` of them.
  template <class F>
  void forRuns(int64_t begin, int64_t count, const F& run) const {
    if (rank_ == 0) return run(offset_, int64_t{0}, count);
    const int last = rank_ - 1;
    if (last == 0) return run(offset_ + begin * strides_[0], strides_[0], count);
    int64_t at = offset_;
    std::array<int64_t, Layout::maxRank> index;
    for (int axis = last; axis >= 0; axis--) {
      index[axis] = begin % dims_[axis];
      begin /= dims_[axis];
      at += index[axis] * strides_[axis];
    }
    for (;;) {
      const int64_t n = std::min(count, dims_[last] - index[last]);
      run(at, strides_[last], n);
      count -= n;
      if (count == 0) return;
      at -= index[last] * strides_[last];
      index[last] = 0;
      for (int axis = last - 1; axis >= 0; axis--) {
        const bool wraps = ++index[axis] == dims_[axis];
        at += strides_[axis] * (wraps ? 1 - dims_[axis] : 1);
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  }

 private:
  int64_t offset_;
  int rank_ = 0;
  std::array<int64_t, Layout::maxRank> dims_, strides_;
};

}  // namespace axpy
