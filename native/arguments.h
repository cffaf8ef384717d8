// The types of kernel arguments. A kernel's C++ signature is written in them, and bind.h reads from that
// signature what JavaScript has to pass. Every argument knows its position, so that a check can name it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "codes.h"

namespace axpy {

/// A typed array. `null` only where the signature says Nullable; an empty array may well have no data.
template <class T>
struct Array {
  T* data = nullptr;
  int64_t length = 0;
  int position = 0;
  bool null = false;

  T& operator[](int64_t i) const { return data[i]; }
};

template <class T>
struct Nullable : Array<T> {};

/// Typed arrays of one type.
template <class T>
struct List {
  std::vector<Array<T>> arrays;
  int64_t length = 0;
  int position = 0;
  bool null = false;

  const Array<T>& operator[](int64_t i) const { return arrays[i]; }
};

/// An array to read, of T or of int32, whose elements count as converted.
template <class T>
struct Mixed {
  const void* data = nullptr;
  int64_t length = 0;
  int position = 0;
  bool isInteger = false;
};

/// Typed arrays of one type or of int32.
template <class T>
struct MixedList {
  std::vector<Mixed<T>> arrays;
  int64_t length = 0;
  int position = 0;
  bool null = false;

  const Mixed<T>& operator[](int64_t i) const { return arrays[i]; }
};

/// float32, float64 or int32 of its own, whatever the other arguments are.
struct AnyArray {
  enum Type { float32, float64, int32 };
  void* data = nullptr;
  int64_t length = 0;
  int position = 0;
  Type type = float32;
};

struct ConstAnyArray : AnyArray {};

/// Dims and strides of a broadcast or a copy. Held by value: the array may be shared with a thread that
/// writes to it after the check.
struct Layout {
  static constexpr int maxRank = 16;
  static constexpr int capacity = 4 * maxRank;
  std::array<int32_t, capacity> values;
  const int32_t* source = nullptr;
  int64_t length = 0;
  int position = 0;
  bool null = true;

  /// Takes the values from the array.
  void load() { std::copy_n(source, std::min<int64_t>(length, capacity), values.begin()); }

  int rank(int groups) const { return static_cast<int>(length / groups); }
  const int32_t* group(int groups, int index) const { return values.data() + rank(groups) * index; }
};

struct NullableLayout : Layout {};

/// Arrays that say what a call does, as they were when it was prepared.
class Contents {
 public:
  template <class T>
  void keep(const T* data, int64_t length) {
    const auto* const bytes = reinterpret_cast<const char*>(data);
    pieces_.emplace_back(bytes, std::vector<char>(bytes, bytes + length * static_cast<int64_t>(sizeof(T))));
  }
  bool areSame() const {
    return std::all_of(pieces_.begin(), pieces_.end(), [](const auto& piece) {
      return piece.second.empty() || std::memcmp(piece.first, piece.second.data(), piece.second.size()) == 0;
    });
  }

 private:
  std::vector<std::pair<const char*, std::vector<char>>> pieces_;
};

/// The sizes of a convolution or a pooling, unchecked: `Check` makes a Window of them.
struct Geometry : Layout {};
struct Window;

/// An integer from 0 to 2³¹ − 1.
struct Size {
  int64_t value = 0;
  operator int64_t() const { return value; }
};

struct PositiveSize : Size {};

/// Which of the reductions that are under way.
struct Ticket {
  int64_t value = 0;
  operator int64_t() const { return value; }
};

/// 0 or 1.
struct Flag {
  bool value = false;
  operator bool() const { return value; }
};

template <class Op>
struct Code {
  Op value{};
  int position = 0;
  operator Op() const { return value; }
};

/// A code, or -1 for none.
template <class Op>
struct OptionalCode {
  int value = -1;
  bool present() const { return value >= 0; }
  operator Op() const { return static_cast<Op>(value); }
};

/// Likewise of an op whose gradient follows from its output.
struct OutputCode : OptionalCode<UnaryOp> {};

/// A finite number.
struct Number {
  double value = 0;
  int position = 0;
  operator double() const { return value; }
};

/// A probability that leaves something: within [0, 1).
struct Rate {
  double value = 0;
  operator double() const { return value; }
};

/// A number, NaN and Infinity included.
struct AnyNumber {
  double value = 0;
  int position = 0;
  operator double() const { return value; }
};

/// A size, from one matrix of a batch to the next: 0 or the size of a matrix, which the kernel checks.
struct Stride {
  double value = 0;
  int position = 0;
  operator double() const { return value; }
};

/// A call against the contract. Thrown by checks, before anything is written.
struct Violation : std::exception {
  const char* code;
  std::string message;
  Violation(const char* code, std::string message) : code(code), message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

/// As JavaScript's String(value) would print it, so that both implementations give the same messages.
std::string formatNumber(double value);

/// What the checks of one kernel need to name it and its arguments.
class Check {
 public:
  constexpr Check(const char* kernel, const char* const* names) : kernel_(kernel), names_(names) {}

  /// Throws "[kernel] expected <argument> <expectation>, got <got>".
  [[noreturn]] void fail(int position, const std::string& expectation, const std::string& got) const;
  /// The same for an element of an argument.
  [[noreturn]] void failAt(int position, int64_t index, const std::string& expectation,
                           const std::string& got) const;
  const char* name(int position) const { return names_[position]; }
  /// Throws "[kernel] expected <argument> to be finite, got <value> at <index>".
  [[noreturn]] void failFinite(int position, double value, int64_t index) const;

  /// Products of sizes exceed int64; as doubles they are exact wherever they can equal a length.
  template <class A>
  void length(const A& array, double expected) const {
    if (static_cast<double>(array.length) != expected)
      failLength(array.position, array.length, expected, false);
  }
  template <class A>
  void lengthOneOr(const A& array, double expected) const {
    if (array.length != 1 && static_cast<double>(array.length) != expected) {
      failLength(array.position, array.length, expected, true);
    }
  }
  /// Each index within [0, bound).
  void indices(const Array<const int32_t>& indices, int64_t bound) const;
  /// The index at a place of an argument, read once, likewise.
  void index(int position, int64_t at, int64_t index, int64_t bound) const {
    if (index < 0 || index >= bound) failIndex(position, at, index, bound);
  }
  /// Throws "[kernel] expected <argument>[index] to fit int32, got <value>" with a code of its own, where it
  /// does not.
  void fitsInt32(int position, int64_t index, double value) const {
    if (!(value >= INT32_MIN && value <= INT32_MAX)) failInt32(position, index, value);
  }
  /// 0 or `step`.
  void stride(const Stride& stride, double step) const;

  /// Length of the layout, dims ≥ 0, strides ≥ 0; returns the number of elements that the dims span.
  double broadcast(const Layout& layout, int groups) const;
  /// Every position that group `index` reaches lies within the operand.
  void reach(const Layout& layout, int groups, int index, const char* operand, int64_t length) const;
  /// Groups divide the channels.
  Window convolution(const Geometry& geometry) const;
  /// As many channels go out as come in, and an int32 holds every position in the window.
  Window pooling(const Geometry& geometry) const;
  /// No position outside of an operand, and no more elements than out has.
  void copyLayout(const Layout& layout, int64_t outLength, int64_t xLength, const char* out,
                  const char* x) const;

 private:
  [[noreturn]] void failLength(int position, int64_t got, double expected, bool orOne) const;
  [[noreturn]] void failIndex(int position, int64_t at, int64_t index, int64_t bound) const;
  [[noreturn]] void failInt32(int position, int64_t index, double value) const;
  [[noreturn]] void failReach(const Layout& layout, const char* operand, int64_t length,
                              double position) const;
  Window window(const Geometry& geometry) const;
  void rank(const Layout& layout, int groups, int extra, int least, const char* form) const;
  void dimensions(const Layout& layout, int rank) const;
  /// How many the dims span; a product of sizes can exceed int64.
  static double elements(const Layout& layout, int rank);

  const char* kernel_;
  const char* const* names_;
};

}  // namespace axpy
