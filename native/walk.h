// Walks over the positions of strided operands.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "arguments.h"

namespace axpy {

/// Dims and the strides of `groups` operands, with neighbouring axes merged where every operand steps through
/// them evenly, so that the innermost runs are as long as possible. Positions are relative to the operands'
/// starts.
template <int groups>
struct Walk {
  int rank = 0;  // without the innermost axis
  std::array<int64_t, Layout::maxRank> dims{};
  std::array<std::array<int64_t, groups>, Layout::maxRank> strides{};
  int64_t size = 1;                    // of the innermost axis; 0 when there is nothing to walk over
  std::array<int64_t, groups> step{};  // along it

  /// `layout` holds the dims, then the strides of each group, `axes` long each. The dims span no more
  /// elements than an array can have, as a check has made sure.
  Walk(const int32_t* layout, int axes) {
    // Checked before any product: sizes beside a 0 may be of any magnitude.
    if (std::find(layout, layout + axes, 0) != layout + axes) {
      size = 0;
      return;
    }
    int last = -1;
    for (int axis = 0; axis < axes; axis++) {
      const int64_t dim = layout[axis];
      if (dim == 1) continue;
      if (last < 0 || !continues(layout, axes, axis, last)) dims[++last] = 1;
      dims[last] *= dim;
      for (int g = 0; g < groups; g++) strides[last][g] = layout[(g + 1) * axes + axis];
    }
    if (last < 0) return;
    size = dims[last];
    step = strides[last];
    rank = last;
  }

  int64_t runs() const {
    int64_t count = size == 0 ? 0 : 1;
    for (int axis = 0; axis < rank; axis++) count *= dims[axis];
    return count;
  }

  /// Calls run(size, positions) for the runs within [begin, end), in row-major order.
  template <class F>
  void forRuns(int64_t begin, int64_t end, const F& run) const {
    std::array<int64_t, Layout::maxRank> index{};
    std::array<int64_t, groups> position{};
    for (int64_t rest = begin, axis = rank - 1; axis >= 0; axis--) {
      index[axis] = rest % dims[axis];
      rest /= dims[axis];
      for (int g = 0; g < groups; g++) position[g] += index[axis] * strides[axis][g];
    }
    for (int64_t i = begin; i < end; i++) {
      run(size, position);
      for (int axis = rank - 1; axis >= 0; axis--) {
        const bool wraps = ++index[axis] == dims[axis];
        for (int g = 0; g < groups; g++) position[g] += strides[axis][g] * (wraps ? 1 - dims[axis] : 1);
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  }

  template <class F>
  void forRuns(const F& run) const {
    forRuns(0, runs(), run);
  }

 private:
  /// Whether one step of the axis before equals a whole run of `axis`, for every operand.
  bool continues(const int32_t* layout, int axes, int axis, int last) const {
    for (int g = 0; g < groups; g++) {
      if (strides[last][g] != static_cast<int64_t>(layout[(g + 1) * axes + axis]) * layout[axis])
        return false;
    }
    return true;
  }
};

}  // namespace axpy
