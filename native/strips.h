// A list of instructions on a block of elements. Runs of simple ones go by strips, a few vectors that stay in
// registers from one instruction to the next; the others go over the whole block.
#pragma once

#include <array>
#include <cstdint>

#include "instructions.h"

namespace axpy {

/// An instruction with its operands at hand. Not initialised, as there are arrays of many of which few are
/// used.
template <class V>
struct Step {
  const Op* op;
  /// The value that it makes, and those that it reads; whether it is wanted beyond the list.
  int value;
  std::array<int, 3> reads;
  bool isKept;
  V* out;
  /// One number that stands for all elements, of step 0, is there `sameNumbers` times.
  std::array<Operand<V>, 3> from;
  std::array<double, 2> parameters;

  /// What `findStrips` finds: how the step changes the vectors at hand, −1 for one that goes over the block;
  /// the operands that are at hand, loaded if they are not what the step before made, and in memory; whether
  /// the result is stored.
  int change, atHand, inMemory;
  bool loads, stores;
};

/// As many of a number as the longest vector has.
template <class V>
constexpr int64_t sameNumbers = 64 / static_cast<int64_t>(sizeof(V));

/// Finds the runs in a list that is complete otherwise.
template <class V>
void findStrips(Step<V>* steps, int count);

/// Computes n elements by the first of the steps, or by a run that begins with it; returns how many steps
/// that was. What is not kept is there afterwards only if a step of another run reads it.
template <class V>
int computeRun(const Step<V>* steps, int count, int64_t n);

}  // namespace axpy
