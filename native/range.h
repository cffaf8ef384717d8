// What numbers of a type can hold.
#pragma once

#include <cmath>
#include <limits>

namespace axpy {

/// Whether a number has all its digits as a T, or none to lose: 0, NaN and infinities. Without branches, as
/// lists of numbers are looked through.
template <class T>
inline bool fits(double value) {
  using Limits = std::numeric_limits<T>;
  const double size = std::fabs(value);
  const bool isNormal =
      (size >= static_cast<double>(Limits::min())) & (size <= static_cast<double>(Limits::max()));
  return isNormal | (size == 0) | !(size < std::numeric_limits<double>::infinity());
}

}  // namespace axpy
