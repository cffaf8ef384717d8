// How reductions are cut into pieces, of shapes alone, for a source that is an array or computes what it is
// asked for: both give the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "codes.h"
#include "parallel.h"

namespace axpy {

/// Values that one task reduces at most, however many threads there are.
inline constexpr int64_t reduceBlock = 32768;

/// sums[i] = R(x[i, :]), count × length
template <class T>
void reduceRowsOf(double* sums, const T* x, int64_t count, int64_t length, ReduceOp op);

/// A row that comes by parts keeps so many numbers in between; but for the last part, their lengths are
/// multiples of that.
inline constexpr int64_t rowUnit = 32;

/// One more part; of the last one R(x), with the bits of the whole row.
template <class T>
double reducePart(double* kept, const T* x, int64_t n, bool isFirst, bool isLast, ReduceOp op);

/// sums[columns] = R of `rows` rows of x, which are `stride` apart.
template <class T>
void reduceColumnsOf(double* sums, const T* x, int64_t rows, int64_t columns, int64_t stride, ReduceOp op);

/// Merges `count` rows of accumulators, `width` wide, into the first.
void mergeReduced(double* sums, int64_t count, int64_t width, ReduceOp op);

/// One of the reductions of a call: scale · R, to where it goes.
template <class Out>
struct Reduction {
  ReduceOp op;
  double scale;
  Out* out;
};

/// k0 × r0 × k1 × r1, of which k0 × k1 are kept.
struct Reduced {
  int64_t k0, r0, k1, r1;
  int64_t results() const { return k0 * k1; }
};

/// An array as a source. A source has a Reader, which a task makes for itself; that is asked for `rows` runs
/// of `columns` values, `stride` apart, no more than `reduceBlock` together, and then says for each reduction
/// where they are, and how far apart the runs are there. Or it reduces a run itself, and gives the results of
/// the reductions `apart` from each other. All runs asked for differ.
template <class T>
struct ArraySource {
  using Value = T;
  const T* x;

  class Reader {
   public:
    using Source = ArraySource;
    explicit Reader(const ArraySource& source) : x_(source.x) {}
    void read(int64_t begin, int64_t, int64_t, int64_t stride) {
      at_ = x_ + begin;
      stride_ = stride;
    }
    const T* values(int) const { return at_; }
    int64_t stride(int) const { return stride_; }
    template <class Out>
    void reduce(int64_t begin, int64_t n, const Reduction<Out>* reductions, double* sums, int64_t) const {
      reduceRowsOf(sums, x_ + begin, 1, n, reductions->op);
    }

   private:
    const T* x_;
    const T* at_ = nullptr;
    int64_t stride_ = 0;
  };
};

/// Accumulators on the stack when they are few: most reductions are small.
class Sums {
 public:
  explicit Sums(int64_t count) {
    if (count > static_cast<int64_t>(few_.size())) many_.resize(static_cast<size_t>(count));
    data_ = many_.empty() ? few_.data() : many_.data();
  }
  double* operator+(int64_t i) const { return data_ + i; }
  double operator[](int64_t i) const { return data_[i]; }

 private:
  std::array<double, 64> few_;
  std::vector<double> many_;
  double* data_;
};

/// The loops over a source, for all reductions of a call at once.
template <class Source, class Out>
class Reducing {
 public:
  Reducing(const Source& source, const Reduction<Out>* reductions, int count)
      : source_(source), reductions_(reductions), count_(count) {}

  void run(const Reduced& shape) const {
    const auto& [k0, r0, k1, r1] = shape;
    const int64_t length = shape.results();
    if (length == 0) return;
    if (r0 == 0 || r1 == 0) return rows(length, 0);
    // Where nothing is summed, a copy: one row.
    if (r0 == 1 && r1 == 1) return columns(1, 1, length);
    if (k1 == 1) return rows(k0, r0 * r1);
    if (r0 == 1) return rows(k0 * k1, r1);
    if (r1 == 1) return columns(k0, r0, k1);
    runs(shape);
  }

 private:
  using Reader = typename Source::Reader;

  void store(int which, int64_t at, double sum) const {
    const auto& [op, scale, out] = reductions_[which];
    out[at] = static_cast<Out>(scale * (op == ReduceOp::norm ? std::sqrt(sum) : sum));
  }

  /// out[i] = scale · R(x[i, :]), count × length
  void rows(int64_t count, int64_t length) const {
    if (length <= reduceBlock) {
      const int64_t batch = 64;
      const int64_t perTask = std::max<int64_t>(1, reduceBlock / std::max<int64_t>(length, 1));
      parallel::forRange(count, perTask, [&](int64_t begin, int64_t end) {
        double sums[batch] = {};
        Reader reader(source_);
        for (int64_t i = begin; i < end; i += batch) {
          const int64_t some = std::min(batch, end - i);
          reader.read(i * length, 1, some * length, 0);
          for (int which = 0; which < count_; which++) {
            reduceRowsOf(sums, reader.values(which), some, length, reductions_[which].op);
            for (int64_t j = 0; j < some; j++) store(which, i + j, sums[j]);
          }
        }
      });
      return;
    }
    const int64_t blocks = (length + reduceBlock - 1) / reduceBlock;
    const Sums partial(count_ * count * blocks);
    parallel::forEach(count * blocks, [&](int64_t task) {
      const int64_t begin = task % blocks * reduceBlock, size = std::min(reduceBlock, length - begin);
      Reader(source_).reduce(task / blocks * length + begin, size, reductions_, partial + task,
                             count * blocks);
    });
    for (int which = 0; which < count_; which++) {
      for (int64_t i = 0; i < count; i++) {
        double* const own = partial + (which * count + i) * blocks;
        mergeReduced(own, blocks, 1, reductions_[which].op);
        store(which, i, own[0]);
      }
    }
  }

  /// out[i, j] = scale · R(x[i, :, j]), outer × count × width
  void columns(int64_t outer, int64_t count, int64_t width) const {
    // A stripe is narrow enough for its accumulators to stay in registers and wide enough for whole cache
    // lines.
    constexpr int64_t widest = 512;
    const int64_t stripe = std::min<int64_t>(width, widest);
    const int64_t stripes = (width + stripe - 1) / stripe;
    const int64_t blockRows = std::max<int64_t>(1, reduceBlock / stripe);
    const int64_t blocks = std::max<int64_t>(1, (count + blockRows - 1) / blockRows);
    if (blocks == 1) {
      const int64_t perTask = std::max<int64_t>(1, reduceBlock / (std::max<int64_t>(count, 1) * stripe));
      parallel::forRange(outer * stripes, perTask, [&](int64_t begin, int64_t end) {
        double sums[widest];
        Reader reader(source_);
        for (int64_t task = begin; task < end; task++) {
          const int64_t i = task / stripes, left = task % stripes * stripe,
                        some = std::min(stripe, width - left);
          reader.read(i * count * width + left, count, some, width);
          for (int which = 0; which < count_; which++) {
            reduceColumnsOf(sums, reader.values(which), count, some, reader.stride(which),
                            reductions_[which].op);
            for (int64_t j = 0; j < some; j++) store(which, i * width + left + j, sums[j]);
          }
        }
      });
      return;
    }
    const Sums partial(count_ * outer * blocks * width);
    parallel::forEach(outer * blocks * stripes, [&](int64_t task) {
      const int64_t left = task % stripes * stripe, slab = task / stripes;
      const int64_t top = slab % blocks * blockRows, i = slab / blocks;
      const int64_t some = std::min(stripe, width - left), height = std::min(blockRows, count - top);
      Reader reader(source_);
      reader.read((i * count + top) * width + left, height, some, width);
      for (int which = 0; which < count_; which++) {
        reduceColumnsOf(partial + ((which * outer * blocks + slab) * width + left), reader.values(which),
                        height, some, reader.stride(which), reductions_[which].op);
      }
    });
    for (int which = 0; which < count_; which++) {
      for (int64_t i = 0; i < outer; i++) {
        double* const sums = partial + (which * outer + i) * blocks * width;
        mergeReduced(sums, blocks, width, reductions_[which].op);
        for (int64_t j = 0; j < width; j++) store(which, i * width + j, sums[j]);
      }
    }
  }

  /// The general case: runs of r1, r0 of them apart.
  void runs(const Reduced& shape) const {
    const auto perTask =
        static_cast<int64_t>(reduceBlock / (static_cast<double>(shape.r0) * static_cast<double>(shape.r1)));
    parallel::forRange(shape.results(), std::max<int64_t>(1, perTask), [&](int64_t begin, int64_t end) {
      Reader reader(source_);
      const Sums sums(2 * count_);
      for (int64_t o = begin; o < end; o++) {
        bool isFirst = true;
        forPieces(shape, o, [&](int64_t at, int64_t rows, int64_t columns) {
          reader.read(at, rows, columns, shape.k1 * shape.r1);
          for (int which = 0; which < count_; which++) {
            const ReduceOp op = reductions_[which].op;
            double* const own = sums + 2 * which;
            for (int64_t i = 0; i < rows; i++) {
              const bool begins = isFirst && i == 0;
              reduceRowsOf(own + (begins ? 0 : 1), reader.values(which) + i * reader.stride(which), 1,
                           columns, op);
              if (!begins) mergeReduced(own, 2, 1, op);
            }
          }
          isFirst = false;
          return true;
        });
        for (int which = 0; which < count_; which++) store(which, o, sums[2 * which]);
      }
    });
  }

 public:
  /// Calls run(position, rows, columns) for pieces of what makes one result, rows k1·r1 apart, until it
  /// returns false.
  template <class F>
  static void forPieces(const Reduced& shape, int64_t result, const F& run) {
    const auto& [k0, r0, k1, r1] = shape;
    const int64_t first = (result / k1 * r0 * k1 + result % k1) * r1;
    if (r1 == 0) return;
    const int64_t width = std::min(r1, reduceBlock), height = std::max<int64_t>(1, reduceBlock / width);
    for (int64_t r = 0; r < r0; r += height) {
      for (int64_t i = 0; i < r1; i += width) {
        if (!run(first + r * k1 * r1 + i, std::min(height, r0 - r), std::min(width, r1 - i))) return;
      }
    }
  }

 private:
  const Source& source_;
  const Reduction<Out>* const reductions_;
  const int count_;
};

/// A product whose factors may be of any size: by a power of two away from the ends of the range.
class Product {
 public:
  void times(double factor) { mantissa_ = shifted(mantissa_ * shifted(factor)); }
  double value() const {
    return std::ldexp(mantissa_, static_cast<int>(std::clamp<int64_t>(exponent_, -5000, 5000)));
  }

 private:
  /// Numbers up to 2⁵⁰⁰, and down to its reciprocal, have a product that neither overflows nor loses digits.
  double shifted(double x) {
    constexpr double large = 0x1p500;
    const double size = std::fabs(x);
    if (size >= large) {
      exponent_ += 600;
      return x * 0x1p-600;
    }
    if (size >= 1 / large) return x;
    exponent_ -= 600;
    return x * 0x1p600;
  }

  double mantissa_ = 1;
  int64_t exponent_ = 0;
};

/// Below it, squares lack digits.
inline constexpr double leastNorm = 0x1p-480;

/// Whether a result may have come out wrong, as sums of float64 and products of both types leave the range of
/// float64 on the way.
template <class T>
bool mayLeaveRange(ReduceOp op) {
  if (op == ReduceOp::max || op == ReduceOp::min) return false;
  return sizeof(T) == sizeof(double) || op == ReduceOp::product;
}

/// scale · R of finite numbers, whatever the sizes of partial results; `before` where not all are finite and
/// R is no product, which knows no better.
template <class Reader>
double reduceAgain(Reader& reader, int which, const Reduced& shape, int64_t result, ReduceOp op, double scale,
                   double before) {
  // The terms so small that no sum of them overflows, or so large that their squares are there.
  const bool isSmall = op == ReduceOp::norm && std::fabs(before) < leastNorm;
  const double unit = op == ReduceOp::sum ? 0x1p-64 : isSmall ? 0x1p540 : 0x1p-540;
  Product product;
  double sum = 0;
  bool isFinite = true;
  Reducing<typename Reader::Source, double>::forPieces(
      shape, result, [&](int64_t at, int64_t rows, int64_t columns) {
        reader.read(at, rows, columns, shape.k1 * shape.r1);
        for (int64_t r = 0; r < rows; r++) {
          const auto* const run = reader.values(which) + r * reader.stride(which);
          if (op == ReduceOp::product) {
            // So many factors of float32 are within the range as well.
            constexpr int64_t few = sizeof(*run) == sizeof(float) ? 3 : 1;
            for (int64_t i = 0; i < columns; i += few) {
              double some = 1;
              for (int64_t j = i; j < std::min(columns, i + few); j++) some *= static_cast<double>(run[j]);
              product.times(some);
            }
            continue;
          }
          for (int64_t i = 0; i < columns; i++) {
            const double value = run[i];
            isFinite = isFinite && std::isfinite(value);
            const double scaled = value * unit;
            sum += op == ReduceOp::sum ? scaled : scaled * scaled;
          }
        }
        return isFinite;
      });
  if (!isFinite || (isSmall && !std::isfinite(sum))) return before;
  product.times(scale);
  if (op == ReduceOp::product) return product.value();
  product.times(op == ReduceOp::norm ? std::sqrt(sum) : sum);
  for (int power = op == ReduceOp::sumOfSquares ? 2 : 1; power > 0; power--) product.times(1 / unit);
  return product.value();
}

/// Takes those results again that may have come out wrong.
template <class Reader, class T>
void mend(Reader& reader, int which, const Reduction<T>& reduction, const Reduced& shape) {
  const auto& [op, scale, out] = reduction;
  if (!mayLeaveRange<T>(op)) return;
  for (int64_t o = 0; o < shape.results(); o++) {
    if (std::isfinite(out[o]) && !(op == ReduceOp::product && out[o] == 0) &&
        !(op == ReduceOp::norm && std::fabs(out[o]) < leastNorm)) {
      continue;
    }
    out[o] = static_cast<T>(reduceAgain(reader, which, shape, o, op, scale, static_cast<double>(out[o])));
  }
}

}  // namespace axpy
