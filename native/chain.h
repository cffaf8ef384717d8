// A call of the kernel `fused`: its arguments, read and checked, and what follows from them for all its runs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "arguments.h"
#include "instructions.h"
#include "places.h"
#include "reduce.h"

namespace axpy {

/// An array that is read at its places.
template <class T>
class In {
 public:
  In(const Mixed<T>& array, const Places& places)
      : data_(array.data), length_(array.length), isInteger_(array.isInteger), places_(places) {}

  /// Whether it is the same number at all positions.
  bool isNumber() const { return places_.areOne(); }
  /// Whether its elements are those of the positions, one after the other.
  bool isWhole() const { return !isInteger_ && places_.areRun(); }
  T number() const {
    return isInteger_ ? static_cast<T>(static_cast<const int32_t*>(data_)[places_.offset()])
                      : static_cast<const T*>(data_)[places_.offset()];
  }
  /// Where a position is, of one that is read whole.
  const T* at(int64_t position) const { return static_cast<const T*>(data_) + places_.offset() + position; }

  /// The elements of the positions from `begin` on.
  void gather(T* to, int64_t begin, int64_t n) const {
    int64_t done = 0;
    places_.forRuns(begin, n, [&](int64_t at, int64_t step, int64_t run) {
      if (isInteger_) {
        copyRun(to + done, static_cast<const int32_t*>(data_) + at, step, run);
      } else {
        copyRun(to + done, static_cast<const T*>(data_) + at, step, run);
      }
      done += run;
    });
  }

  bool overlaps(const Array<T>& out) const {
    const auto* const first = static_cast<const char*>(data_);
    const auto* const other = reinterpret_cast<const char*>(out.data);
    const auto size = static_cast<size_t>(length_) * (isInteger_ ? sizeof(int32_t) : sizeof(T));
    return first < other + static_cast<size_t>(out.length) * sizeof(T) && other < first + size;
  }
  /// Takes a copy of the array into its place.
  void keep(std::vector<std::vector<char>>& copies) {
    const auto* const first = static_cast<const char*>(data_);
    const auto size = static_cast<size_t>(length_) * (isInteger_ ? sizeof(int32_t) : sizeof(T));
    data_ = copies.emplace_back(first, first + size).data();
  }

 private:
  const void* data_;
  int64_t length_;
  bool isInteger_;
  Places places_;
};

/// What the chain ends in: a value stored, or reduced.
template <class T>
struct End {
  int value;
  int reduction;  // −1 for one that is stored
  Array<T> out;
  /// Where the positions are in it, of one that is stored.
  std::optional<Places> places;
  /// Whether results go there at once, as nothing reads what was there before.
  bool isDirect = false;
  /// The end that stores the value of a reduction, in a run, or −1.
  int stored = -1;

  /// Where the first position is, of one that is stored.
  T* first() const { return out.data + places->offset(); }
};

template <class T>
struct Chain {
  /// Throws a Violation.
  Chain(const Check& check, const List<T>& outs, const MixedList<T>& arrays,
        const Array<const int32_t>& layout, const Array<const int32_t>& code,
        const Array<const double>& numbers);

  /// Whether the arrays that it was made of still say the same.
  bool isCurrent() const { return contents_.areSame(); }
  bool isIn(int value) const { return value < static_cast<int>(ins.size()); }
  bool isNumber(int value) const { return list.isScalar[value] || (isIn(value) && ins[value].isNumber()); }

  Instructions list;
  int given = 0;  // ins and constants
  std::vector<double> constants;
  std::vector<In<T>> ins;
  std::vector<End<T>> ends;
  std::vector<Reduction<T>> reductions;
  Reduced shape{};
  int64_t positions = 0, block = 0, chunk = 0;
  /// Whether it is simple instructions alone, which go by strips.
  bool isRun = false;
  /// Whether the arrays are larger than the nearer caches.
  bool isLarge = false;
  /// Of what is one number for all, and of others where the first one is asked for.
  std::array<bool, maxValues> isNumberWanted;
  /// The registers of what is no result: gathered ins, numbers as arrays; −1 for none.
  std::array<int, maxValues> registerOfGiven;
  int registers = 0;
  /// Whether an in is copied before anything of its block is written.
  std::array<bool, maxValues> isGathered;
  /// Whether results may be taken again, from ins of which some are copies.
  bool mayBeAgain = false;

 private:
  void readCode(const CodeReader& code, const Check& check, const List<T>& outs, int64_t inCount,
                const Array<const double>& numbers);
  void readLayout(const Check& check, const Array<const int32_t>& layout, const List<T>& outs,
                  const MixedList<T>& arrays);
  int64_t heavyInstructions() const;
  void findPlaces();
  void assignRegisters();

  Contents contents_;
};

}  // namespace axpy
