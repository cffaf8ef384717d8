// What batch and layer normalisation share: means with more digits than their type has, and sums by columns.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "parallel.h"
#include "workspaces.h"

namespace axpy {

/// What the sum of two numbers has beside the digits of `mean`, which is that sum as T holds it.
template <class T>
inline T remainderOf(T mean, double large, double small) {
  const double sum = large + small, added = sum - large;
  const double error = (large - (sum - added)) + (small - added);
  const double remainder = sum - static_cast<double>(mean) + error;
  return std::isfinite(remainder) ? static_cast<T>(remainder) : T(0);
}

/// The moments of numbers of float64 whose sum or squares overflow, made by a power of two smaller for the
/// time being where they have to be; NaN and the like for numbers that are not finite. About 0 where they are
/// not centred.
struct LargeMoments {
  double mean, variance, inverse;

  LargeMoments(const double* x, int64_t count, int64_t stride, double epsilon, bool isCentred = true) {
    constexpr double unit = 0x1p-600;
    const double n = static_cast<double>(count);
    const auto average = [&](const auto& term) {
      double total = 0;
      for (int64_t i = 0; i < count; i++) total += term(x[i * stride]) / n;
      return total;
    };
    double centre = isCentred ? average([](double v) { return v * unit; }) : 0;
    // Once more about the mean: equal numbers deviate by nothing then.
    if (isCentred && std::isfinite(centre)) centre += average([&](double v) { return v * unit - centre; });
    mean = centre / unit;
    variance = average([&](double v) { return (v - mean) * (v - mean); });
    inverse = 1 / std::sqrt(variance + epsilon);
    if (std::isfinite(variance)) return;
    const double scaled = average([&](double v) { return (v * unit - centre) * (v * unit - centre); });
    variance = scaled / unit / unit;
    inverse = unit / std::sqrt(scaled + epsilon * unit * unit);
  }
};

inline int64_t rowsPerTask(int64_t columns) { return std::max<int64_t>(1, parallel::lightChunk / columns); }

/// Two float64 sums a column over all rows, block by block.
class ColumnSums {
 public:
  ColumnSums(int64_t rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        block_(std::max<int64_t>(1, parallel::lightChunk / columns)),
        blocks_(std::max<int64_t>(1, (rows + block_ - 1) / block_)),
        memory_(2 * blocks_ * columns) {
    if (rows == 0) std::fill_n(memory_.data(), 2 * columns, 0.0);
  }

  /// Calls each(first, second, begin, end) for the rows of each block, which it has to sum; then adds the
  /// blocks in order.
  template <class F>
  void add(const F& each) {
    parallel::forRange(rows_, block_, [&](int64_t begin, int64_t end) {
      double* const sums = memory_.data() + begin / block_ * 2 * columns_;
      each(sums, sums + columns_, begin, end);
    });
    for (int64_t block = 1; block < blocks_; block++) {
      for (int64_t i = 0; i < 2 * columns_; i++) memory_[i] += memory_[block * 2 * columns_ + i];
    }
  }
  double first(int64_t column) const { return memory_[column]; }
  double second(int64_t column) const { return memory_[columns_ + column]; }

 private:
  const int64_t rows_, columns_, block_, blocks_;
  const Buffer<double> memory_;
};

}  // namespace axpy
