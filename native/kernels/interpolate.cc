// Images at other sizes. An output pixel is a mean of at most four pixels, by weights that an axis gives each
// of them; one of weight 0 is not read. Gradients gather, as those of pooling do: a pixel looks at the
// outputs that it is in, so that nothing is scattered, and each sum has its order.

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/interpolate.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <vector>

#ifndef AXPY_KERNELS_INTERPOLATE_ONCE
#define AXPY_KERNELS_INTERPOLATE_ONCE
namespace axpy {

/// The pixels of a source that an output pixel is a mean of, along one axis: first alone, with weight 1,
/// unless `both`.
struct Taps {
  int64_t first, next;
  double weights[2];
  bool both;
};

/// An output pixel of a source pixel, and with which weight the one is in the other.
struct Use {
  int64_t at;
  double weight;
};

struct Uses {
  const Use *begin, *end;
};

}  // namespace axpy
#endif  // AXPY_KERNELS_INTERPOLATE_ONCE

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Σ weight · pixel, by weights of the precision that it is computed in.
template <class T, size_t taps>
struct Mean {
  T own[taps];
  double exact[taps];

  template <class D>
  HWY_INLINE hn::Vec<D> weight(D d, size_t k) const {
    if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
      return hn::Set(d, exact[k]);
    } else {
      return hn::Set(d, own[k]);
    }
  }
  template <class D, class V>
  HWY_INLINE V operator()(D d, V a, V b) const {
    return hn::MulAdd(weight(d, 1), b, hn::Mul(weight(d, 0), a));
  }
  template <class D, class V>
  HWY_INLINE V operator()(D d, V a, V b, V c, V e) const {
    return hn::MulAdd(weight(d, 3), e, hn::MulAdd(weight(d, 2), c, (*this)(d, a, b)));
  }
};

/// Below so many channels one at a time is faster than a part of a vector.
constexpr int64_t fewChannels = 4;

/// out[n] = the mean of the pixels `in`. What leaves the range of float32 on the way, and with `wide` all, is
/// computed in float64.
template <class T, size_t taps, class... In>
HWY_INLINE void mean(T* out, const Mean<T, taps>& f, bool wide, int64_t n, const In*... in) {
  if (n < fewChannels) {
    const hn::CappedTag<T, 1> d;
    for (int64_t i = 0; i < n; i++) {
      auto v = f(d, hn::LoadU(d, in + i)...);
      if (HWY_UNLIKELY(wide || !isFinite(d, v))) {
        v = narrow(d, f(hn::CappedTag<double, 1>(), widen(hn::LoadU(d, in + i))...));
      }
      hn::StoreU(v, d, out + i);
    }
  } else if (HWY_UNLIKELY(wide)) {
    map(out, n, Wide<Mean<T, taps>>{f}, in...);
  } else {
    mapSafe(out, n, f, in...);
  }
}

/// out[n] = x[n]
template <class T>
HWY_INLINE void copyPixel(T* out, const T* x, int64_t n) {
  if (n < fewChannels) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i];
  } else {
    map(
        out, n, [](auto, auto v) HWY_ATTR { return v; }, x);
  }
}

/// Pixels of one row of the output, of `row` and the source rows that its taps name.
template <class T>
void interpolateRow(T* out, const T* image, const Taps& row, int64_t stride, const Taps* columns,
                    int64_t count, int64_t channels, bool wide) {
  const T* const top = image + row.first * stride;
  const T* const bottom = image + row.next * stride;
  const double *const y = row.weights, *x;
  const auto own = [](double weight) { return static_cast<T>(weight); };
  for (int64_t i = 0; i < count; i++, out += channels) {
    const Taps& column = columns[i];
    const int64_t left = column.first * channels, right = column.next * channels;
    x = column.weights;
    if (row.both && column.both) {
      const double a = y[0] * x[0], b = y[0] * x[1], c = y[1] * x[0], e = y[1] * x[1];
      const Mean<T, 4> f{{own(a), own(b), own(c), own(e)}, {a, b, c, e}};
      mean(out, f, wide, channels, top + left, top + right, bottom + left, bottom + right);
    } else if (row.both) {
      mean(out, Mean<T, 2>{{own(y[0]), own(y[1])}, {y[0], y[1]}}, wide, channels, top + left, bottom + left);
    } else if (column.both) {
      mean(out, Mean<T, 2>{{own(x[0]), own(x[1])}, {x[0], x[1]}}, wide, channels, top + left, top + right);
    } else {
      copyPixel(out, top + left, channels);
    }
  }
}

/// out[vectors] = Σ weight · gradient over the outputs that a pixel is in, in float64.
template <size_t vectors, class T>
HWY_INLINE void sumUses(T* out, const T* gradient, Uses rows, Uses columns, int64_t stride,
                        int64_t channels) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(dd));
  hn::Vec<decltype(dd)> sums[vectors];
  for (auto& sum : sums) sum = hn::Zero(dd);
  for (const Use* row = rows.begin; row < rows.end; row++) {
    const T* const from = gradient + row->at * stride;
    for (const Use* column = columns.begin; column < columns.end; column++) {
      const auto weight = hn::Set(dd, row->weight * column->weight);
      const T* const pixel = from + column->at * channels;
      for (size_t k = 0; k < vectors; k++) {
        sums[k] = hn::MulAdd(weight, widen(hn::LoadU(d, pixel + static_cast<int64_t>(k) * lanes)), sums[k]);
      }
    }
  }
  for (size_t k = 0; k < vectors; k++) {
    hn::StoreU(narrow(d, sums[k]), d, out + static_cast<int64_t>(k) * lanes);
  }
}

/// The same of single channels.
template <size_t count, class T>
HWY_INLINE void sumUsesOf(T* out, const T* gradient, Uses rows, Uses columns, int64_t stride,
                          int64_t channels) {
  double sums[count] = {};
  for (const Use* row = rows.begin; row < rows.end; row++) {
    const T* const from = gradient + row->at * stride;
    for (const Use* column = columns.begin; column < columns.end; column++) {
      const double weight = row->weight * column->weight;
      const T* const pixel = from + column->at * channels;
      for (size_t k = 0; k < count; k++) sums[k] += weight * static_cast<double>(pixel[k]);
    }
  }
  for (size_t k = 0; k < count; k++) out[k] = static_cast<T>(sums[k]);
}

/// The gradients of pixels of one row of the source.
template <class T>
void gatherRow(T* out, const T* gradient, Uses row, int64_t stride, const Uses* columns, int64_t count,
               int64_t channels) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<double>()));
  for (int64_t x = 0; x < count; x++, out += channels) {
    const Uses column = columns[x];
    int64_t i = 0;
    for (; i + 4 * lanes <= channels; i += 4 * lanes) {
      sumUses<4>(out + i, gradient + i, row, column, stride, channels);
    }
    for (; i + lanes <= channels; i += lanes) {
      sumUses<1>(out + i, gradient + i, row, column, stride, channels);
    }
    for (; i + 3 <= channels; i += 3) sumUsesOf<3>(out + i, gradient + i, row, column, stride, channels);
    for (; i < channels; i++) sumUsesOf<1>(out + i, gradient + i, row, column, stride, channels);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// What indices and shares say of one axis; read once, as arrays on shared memory may change.
struct Axis {
  std::vector<Taps> taps;

  Axis(const Check& check, const Array<const int32_t>& first, int64_t size) {
    taps.reserve(static_cast<size_t>(first.length));
    for (int64_t i = 0; i < first.length; i++) {
      const int64_t at = first[i];
      check.index(first.position, i, at, size);
      taps.push_back({at, std::min(at + 1, size - 1), {1, 0}, false});
    }
  }

  void weigh(const Check& check, const Array<const double>& shares) {
    for (int64_t i = 0; i < shares.length; i++) {
      Taps& tap = taps[static_cast<size_t>(i)];
      const double share = shares[i];
      if (!(share >= 0 && share <= 1)) {
        check.failAt(shares.position, i, "to be from 0 to 1", formatNumber(share));
      }
      tap.weights[0] = 1 - share;
      tap.weights[1] = share;
      tap.both = share > 0 && share < 1;
      if (share == 1) tap.first = tap.next;
    }
  }

  int64_t size() const { return static_cast<int64_t>(taps.size()); }

  /// The smallest weight that is not 0.
  double leastWeight() const {
    double least = 1;
    for (const Taps& tap : taps) {
      if (tap.both) least = std::min({least, tap.weights[0], tap.weights[1]});
    }
    return least;
  }
};

struct Axes {
  Axis down, across;
};

/// All that is said of both axes, checked.
Axes axesOf(const Check& check, const Array<const int32_t>& rows, const Array<const double>& rowShares,
            const Array<const int32_t>& columns, const Array<const double>& columnShares, int64_t height,
            int64_t width) {
  check.length(rowShares, static_cast<double>(rows.length));
  check.length(columnShares, static_cast<double>(columns.length));
  Axes axes{{check, rows, height}, {check, columns, width}};
  axes.down.weigh(check, rowShares);
  axes.across.weigh(check, columnShares);
  return axes;
}

/// The outputs that each pixel of an axis is in, in their order.
class Inverse {
 public:
  Inverse(const Axis& axis, int64_t size) : ranges_(static_cast<size_t>(size)) {
    std::vector<size_t> ends(static_cast<size_t>(size) + 1);
    const auto forUses = [&](const auto& each) {
      for (int64_t i = 0; i < axis.size(); i++) {
        const Taps& tap = axis.taps[static_cast<size_t>(i)];
        each(static_cast<size_t>(tap.first), Use{i, tap.both ? tap.weights[0] : 1});
        if (tap.both) each(static_cast<size_t>(tap.next), Use{i, tap.weights[1]});
      }
    };
    forUses([&](size_t pixel, const Use&) { ends[pixel + 1]++; });
    for (size_t pixel = 0; pixel < ranges_.size(); pixel++) ends[pixel + 1] += ends[pixel];
    uses_.resize(ends.back());
    for (size_t pixel = 0; pixel < ranges_.size(); pixel++) {
      ranges_[pixel] = {uses_.data() + ends[pixel], uses_.data() + ends[pixel + 1]};
    }
    forUses([&](size_t pixel, const Use& use) { uses_[ends[pixel]++] = use; });
  }

  const Uses& operator[](int64_t pixel) const { return ranges_[static_cast<size_t>(pixel)]; }

 private:
  std::vector<Uses> ranges_;
  std::vector<Use> uses_;
};

/// Calls each(row, first column, columns, whether the row before was of the same block) over rows × columns,
/// in blocks that are worth a task by what a pixel costs.
template <class F>
void forBlocks(int64_t rows, int64_t columns, double cost, const F& each) {
  const int64_t pixels = std::max<int64_t>(1, static_cast<int64_t>(parallel::lightChunk / cost));
  const int64_t width = std::min(columns, pixels), height = std::max<int64_t>(1, pixels / width);
  const int64_t across = (columns + width - 1) / width, down = (rows + height - 1) / height;
  parallel::forEach(across * down, [&](int64_t block) {
    const int64_t begin = block / across * height, left = block % across * width;
    for (int64_t row = begin; row < std::min(begin + height, rows); row++) {
      each(row, left, std::min(width, columns - left), row > begin);
    }
  });
}

struct Sizes {
  double input, output;
};

Sizes sizesOf(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t rows, int64_t columns) {
  const double each = static_cast<double>(batch) * static_cast<double>(channels);
  return {each * static_cast<double>(height) * static_cast<double>(width),
          each * static_cast<double>(rows) * static_cast<double>(columns)};
}

}  // namespace

template <class T>
void interpolate(const Check& check, Array<T> out, Array<const T> x, Array<const int32_t> rows,
                 Array<const double> rowShares, Array<const int32_t> columns,
                 Array<const double> columnShares, Size batch, Size height, Size width, Size channels) {
  const Sizes sizes = sizesOf(batch, height, width, channels, rows.length, columns.length);
  check.length(out, sizes.output);
  check.length(x, sizes.input);
  const Axes axes = axesOf(check, rows, rowShares, columns, columnShares, height, width);
  const Axis &down = axes.down, &across = axes.across;
  if (out.length == 0) return;
  const bool wide = !fits<T>(down.leastWeight() * across.leastWeight());
  const auto run = AXPY_SIMD(interpolateRow<T>);
  const int64_t outHeight = down.size(), outWidth = across.size(), stride = width * channels;
  const double cost = static_cast<double>(channels.value);
  forBlocks(batch * outHeight, outWidth, cost, [&](int64_t row, int64_t left, int64_t count, bool follows) {
    T* const to = out.data + (row * outWidth + left) * channels;
    const int64_t y = row % outHeight;
    const Taps& taps = down.taps[static_cast<size_t>(y)];
    if (follows && y > 0 && !taps.both) {
      const Taps& before = down.taps[static_cast<size_t>(y - 1)];
      if (!before.both && before.first == taps.first) {
        std::copy_n(to - outWidth * channels, count * channels, to);
        return;
      }
    }
    run(to, x.data + row / outHeight * height * stride, taps, stride, across.taps.data() + left, count,
        channels, wide);
  });
}

template <class T>
void interpolateGradient(const Check& check, Array<T> out, Array<const T> gradient, Array<const int32_t> rows,
                         Array<const double> rowShares, Array<const int32_t> columns,
                         Array<const double> columnShares, Size batch, Size height, Size width,
                         Size channels) {
  const Sizes sizes = sizesOf(batch, height, width, channels, rows.length, columns.length);
  check.length(out, sizes.input);
  check.length(gradient, sizes.output);
  const Axes axes = axesOf(check, rows, rowShares, columns, columnShares, height, width);
  const Axis &down = axes.down, &across = axes.across;
  if (out.length == 0) return;
  const Inverse inDown(down, height), inAcross(across, width);
  const auto run = AXPY_SIMD(gatherRow<T>);
  const int64_t outHeight = down.size(), stride = across.size() * channels;
  // A pixel is written to, and read from as often as it is in an output.
  const double cost = static_cast<double>(channels.value) * std::max(1.0, sizes.output / sizes.input);
  forBlocks(batch * height, width, cost, [&](int64_t row, int64_t left, int64_t count, bool) {
    run(out.data + (row * width + left) * channels, gradient.data + row / height * outHeight * stride,
        inDown[row % height], stride, &inAcross[left], count, channels);
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(interpolate, "out", "x", "rows", "rowShares", "columns", "columnShares", "batch",
                      "height", "width", "channels"),
    AXPY_FLOAT_KERNEL(interpolateGradient, "out", "gradient", "rows", "rowShares", "columns", "columnShares",
                      "batch", "height", "width", "channels"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
