// The places of numbers in order: each line is sorted as pairs of bits that compare as its numbers do, and
// places.

#include "kernels.h"
#include "parallel.h"
#include "workspaces.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace axpy {
namespace {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == sizeof(double), uint64_t, uint32_t>;

/// Unsigned integers in the order of numbers, zeros of both signs alike, and NaN last.
template <class T>
BitsOf<T> orderedBits(T x) {
  using Bits = BitsOf<T>;
  constexpr Bits sign = Bits{1} << (8 * sizeof(T) - 1);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<Bits>(x) ^ sign;
  } else {
    if (x != x) return std::numeric_limits<Bits>::max();
    const Bits bits = std::bit_cast<Bits>(x == T(0) ? T(0) : x);
    return bits & sign ? ~bits : bits | sign;
  }
}

/// No two are equal, so that any sort is stable.
struct Place64 {
  uint64_t bits = 0;
  int32_t place = 0;

  Place64() = default;
  Place64(uint64_t bits, int64_t place) : bits(bits), place(static_cast<int32_t>(place)) {}
  bool operator<(const Place64& other) const {
    return bits != other.bits ? bits < other.bits : place < other.place;
  }
};

/// Both in one number.
struct Place32 {
  uint64_t both = 0;

  Place32() = default;
  Place32(uint32_t bits, int64_t place) : both(uint64_t{bits} << 32 | static_cast<uint64_t>(place)) {}
  bool operator<(const Place32& other) const { return both < other.both; }
};

int32_t placeOf(const Place64& pair) { return pair.place; }
int32_t placeOf(const Place32& pair) { return static_cast<int32_t>(pair.both); }

template <class T>
using PlaceOf = std::conditional_t<sizeof(T) == sizeof(double), Place64, Place32>;

/// A line of `size` numbers that are `stride` apart; out is as far apart.
template <class T>
void sortLine(int32_t* out, const T* x, int64_t size, int64_t count, int64_t stride, bool descending,
              PlaceOf<T>* pairs) {
  for (int64_t i = 0; i < size; i++) {
    const BitsOf<T> bits = orderedBits(x[i * stride]);
    pairs[i] = PlaceOf<T>(descending ? static_cast<BitsOf<T>>(~bits) : bits, i);
  }
  const int64_t some = std::min(count, size);
  if (some < size) std::nth_element(pairs, pairs + some, pairs + size);
  std::sort(pairs, pairs + some);
  for (int64_t i = 0; i < some; i++) out[i * stride] = placeOf(pairs[i]);
  for (int64_t i = some; i < count; i++) out[i * stride] = -1;
}

}  // namespace

template <class T>
void argsort(const Check& check, Array<int32_t> out, Array<const T> x, Size outer, Size size, Size count,
             Size inner, Flag descending) {
  const double lines = static_cast<double>(outer.value), columns = static_cast<double>(inner.value);
  check.length(out, lines * static_cast<double>(count.value) * columns);
  check.length(x, lines * static_cast<double>(size.value) * columns);
  if (out.length == 0) return;
  const int64_t total = outer * inner;
  const int64_t perTask = std::max<int64_t>(1, parallel::heavyChunk / std::max<int64_t>(size, 1));
  const int64_t tasks = (total + perTask - 1) / perTask;
  Workspaces<PlaceOf<T>> spaces(tasks, size);
  parallel::forEach(tasks, [&](int64_t task) {
    const typename Workspaces<PlaceOf<T>>::Lease space(spaces);
    for (int64_t line = task * perTask; line < std::min(total, (task + 1) * perTask); line++) {
      const int64_t o = line / inner, j = line % inner;
      sortLine(out.data + o * count * inner + j, x.data + o * size * inner + j, size, count, inner,
               descending, space.data());
    }
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_DATA_KERNEL(argsort, "out", "x", "outer", "size", "count", "inner", "descending"),
};
const bind::Family family(kernels);

}  // namespace axpy
