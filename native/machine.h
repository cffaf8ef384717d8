// What this machine can do at most, measured: the limits against which kernels are held.
#pragma once

namespace axpy {

/// With the threads in use.
struct Limits {
  double float32;    // operations a second, of fused multiply-adds that need no memory
  double float64;    // likewise
  double bandwidth;  // bytes a second, of arrays that no cache holds
};

/// Takes a few hundred milliseconds and, for as long, memory of at most 384 MiB.
Limits measureLimits();

}  // namespace axpy
