// What numbers of a type can hold.
#pragma once

#include <cmath>
#include <limits>

namespace axpy {

/// Whether a number keeps its value or at least all its digits when it becomes a T.
template <class T>
inline bool fits(double value) {
  const double narrow = static_cast<double>(static_cast<T>(value));
  const double size = std::fabs(narrow);
  return narrow == value || std::isnan(value) ||
         (size >= static_cast<double>(std::numeric_limits<T>::min()) && !std::isinf(narrow));
}

}  // namespace axpy
