// What this machine can do at most, measured: the limits against which kernels are held.
#pragma once

#include <vector>

namespace axpy {

/// Arrays that a loop goes over again and again, and how fast it does.
struct Bandwidth {
  double bytes;  // of all arrays together
  double rate;   // bytes a second
};

/// With the threads in use.
struct Limits {
  double float32;                     // operations a second, of fused multiply-adds that need no memory
  double float64;                     // likewise
  std::vector<Bandwidth> bandwidths;  // from the smallest to what no cache holds
};

/// Takes a few hundred milliseconds and, for as long, memory of at most 384 MiB.
Limits measureLimits();

}  // namespace axpy
