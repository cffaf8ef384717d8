// What numbers of a type can hold.
#pragma once

#include <cmath>
#include <limits>

#include "codes.h"

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

/// Whether a number is so large that a difference with it may overflow, but for infinity.
template <class T>
inline bool isLarge(T value) {
  return std::fabs(value) > (sizeof(T) == sizeof(float) ? T(0x1p100) : T(0x1p900)) && !std::isinf(value);
}

/// Whether a function by its parameters, or its gradient, wants float64: float32 is too narrow for them as
/// they are, or they are as large as the terms that they are added to.
template <class T>
inline bool leavesRange(UnaryOp op, double p, double q) {
  const bool hasParameters =
      op == UnaryOp::scale || op == UnaryOp::clip || op == UnaryOp::leakyRelu || op == UnaryOp::elu;
  if (sizeof(T) == sizeof(double) || !hasParameters) return false;
  const double added = op == UnaryOp::scale ? q : op == UnaryOp::elu ? p : 0;
  return !fits<T>(p) || !fits<T>(q) || std::fabs(added) > 0x1p100;
}

}  // namespace axpy
