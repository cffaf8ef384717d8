// Pooling. The loops run along the channels; most are left to the compiler, once for each instruction set.
// Gradients gather: a pixel looks at the windows that cover it, so nothing is scattered and nothing has to be
// cleared.

#include "geometry.h"
#include "kernels.h"
#include "parallel.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>
#include <limits>
#include <vector>

#ifndef AXPY_KERNELS_POOL_ONCE
#define AXPY_KERNELS_POOL_ONCE
namespace axpy {

/// The pixels of a window that lie within the image: rows × columns of them, of as many channels, `down` and
/// `across` apart; the first is at `position` of the window, which counts on by `perRow` from row to row.
struct Pixels {
  int64_t rows, columns, down, across, position, perRow;
};

}  // namespace axpy
#endif  // AXPY_KERNELS_POOL_ONCE

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// The largest of some pixels, at least one, by channels, and at which position each is: NaN is largest, and
/// the first of equals counts.
template <class T>
void largest(T* out, int32_t* indices, const T* x, const Pixels& pixels, int64_t channels) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  using I = hn::TFromD<decltype(di)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < channels; i += lanes) {
    const int64_t count = std::min(lanes, channels - i);
    const auto load = [&](const T* p) HWY_ATTR {
      return count == lanes ? hn::LoadU(d, p + i) : loadFirst(d, p + i, count);
    };
    auto best = load(x);
    auto index = hn::Set(di, static_cast<I>(pixels.position));
    for (int64_t row = 0; row < pixels.rows; row++) {
      for (int64_t column = 0; column < pixels.columns; column++) {
        const auto v = load(x + row * pixels.down + column * pixels.across);
        const auto takes = hn::Or(hn::Gt(v, best), hn::AndNot(hn::IsNaN(best), hn::IsNaN(v)));
        best = hn::IfThenElse(takes, v, best);
        const auto position = static_cast<I>(pixels.position + row * pixels.perRow + column);
        index = hn::IfThenElse(hn::RebindMask(di, takes), hn::Set(di, position), index);
      }
    }
    if (count == lanes) {
      hn::StoreU(best, d, out + i);
    } else {
      storeFirst(d, best, out + i, count);
    }
    if (sizeof(I) == sizeof(int32_t) && count == lanes) {
      hn::StoreU(index, di, reinterpret_cast<I*>(indices + i));
    } else {
      HWY_ALIGN I all[hn::MaxLanes(d)];
      hn::Store(index, di, all);
      for (int64_t k = 0; k < count; k++) indices[i + k] = static_cast<int32_t>(all[k]);
    }
  }
}

/// sum += x where the index is the position
template <class T>
void addWhere(T* HWY_RESTRICT sum, const T* HWY_RESTRICT x, const int32_t* HWY_RESTRICT index,
              int32_t position, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += index[i] == position ? x[i] : T(0);
}

template <class T>
void add(T* HWY_RESTRICT sum, const T* HWY_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += x[i];
}

template <class T>
void divide(T* x, T by, int64_t n) {
  for (int64_t i = 0; i < n; i++) x[i] /= by;
}

template <class T>
bool areFinite(const T* x, int64_t n) {
  int bad = 0;
  for (int64_t i = 0; i < n; i++) bad |= x[i] - x[i] != 0;
  return bad == 0;
}

template <class T>
void addDivided(T* HWY_RESTRICT sum, const T* HWY_RESTRICT x, T by, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += x[i] / by;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

int64_t floorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0); }

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

/// How windows lie along one axis. Divisions are slow, so what they say of a pixel is kept for all that share
/// its row or column.
struct Side {
  int64_t image, count, kernel, stride, dilation, pad;

  /// For every output, the kernel positions at which its window is within the image.
  std::vector<Range> within() const {
    std::vector<Range> ranges;
    ranges.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; i++) {
      const int64_t start = i * stride - pad;
      const int64_t begin = std::min(start >= 0 ? 0 : -floorDivide(start, dilation), kernel);
      const int64_t end = start >= image ? 0 : (image - start - 1) / dilation + 1;
      ranges.push_back({begin, std::clamp(end, begin, kernel)});
    }
    return ranges;
  }

  /// For every pixel, the outputs whose window may cover it.
  std::vector<Range> covering() const {
    std::vector<Range> ranges;
    ranges.reserve(static_cast<size_t>(image));
    const int64_t reach = (kernel - 1) * dilation;
    for (int64_t at = pad; at < image + pad; at++) {
      const int64_t begin = std::clamp<int64_t>(-floorDivide(reach - at, stride), 0, count);
      ranges.push_back({begin, std::clamp(floorDivide(at, stride) + 1, begin, count)});
    }
    return ranges;
  }

  /// At which kernel position the window of an output meets a pixel, or -1.
  int64_t position(int64_t pixel, int64_t output) const {
    const int64_t distance = pixel + pad - output * stride;
    if (dilation == 1) return distance;
    return distance % dilation == 0 ? distance / dilation : -1;
  }
};

Side vertical(const Window& w) {
  return {w.height, w.outHeight, w.kernelHeight, w.strideY, w.dilationY, w.padTop};
}
Side horizontal(const Window& w) {
  return {w.width, w.outWidth, w.kernelWidth, w.strideX, w.dilationX, w.padLeft};
}

/// Pixels that a task takes, by what each costs.
int64_t pixelsPerTask(const Window& w, bool gradient) {
  const double perPixel = static_cast<double>(w.channels) *
                          (gradient ? 1
                                    : static_cast<double>(std::min(w.kernelHeight, w.height)) *
                                          static_cast<double>(std::min(w.kernelWidth, w.width)));
  return static_cast<int64_t>(std::max(1.0, parallel::lightChunk / std::max(perPixel, 1.0)));
}

/// Calls each(output pixel, i range, j range, first pixel of the window, may be outside) over the outputs,
/// and finish(begin, end, again) behind those of a task; again(each) goes over them once more.
template <class F, class Finish>
void forWindows(const Window& w, const F& each, const Finish& finish) {
  const std::vector<Range> rows = vertical(w).within(), columns = horizontal(w).within();
  const auto visit = [&](int64_t begin, int64_t end, const auto& visitor) {
    forPixels(w.outHeight, w.outWidth, begin, end, [&](int64_t pixel, int64_t n, int64_t y, int64_t x) {
      const Range r = rows[static_cast<size_t>(y)], c = columns[static_cast<size_t>(x)];
      // Only where the window meets the image: it may lie further off than positions can say.
      const bool meets = r.size() > 0 && c.size() > 0;
      const int64_t top = y * w.strideY - w.padTop, left = x * w.strideX - w.padLeft;
      visitor(pixel, r, c, meets ? (n * w.height + top) * w.width + left : 0);
    });
  };
  parallel::forRange(w.outputPixels(), pixelsPerTask(w, false), [&](int64_t begin, int64_t end) {
    visit(begin, end, each);
    finish(begin, end, [&](const auto& again) { visit(begin, end, again); });
  });
}

/// Calls start(input pixel) for every input, and each(input pixel, output pixel, i, j, oy, ox) for the
/// windows over it.
template <class Start, class F>
void forCovering(const Window& w, const Start& start, const F& each) {
  const Side down = vertical(w), across = horizontal(w);
  const std::vector<Range> rows = down.covering(), columns = across.covering();
  parallel::forRange(w.batch * w.height * w.width, pixelsPerTask(w, true), [&](int64_t begin, int64_t end) {
    forPixels(w.height, w.width, begin, end, [&](int64_t pixel, int64_t n, int64_t y, int64_t x) {
      const Range r = rows[static_cast<size_t>(y)], c = columns[static_cast<size_t>(x)];
      start(pixel);
      for (int64_t oy = r.begin; oy < r.end; oy++) {
        const int64_t i = down.position(y, oy);
        if (i < 0) continue;
        for (int64_t ox = c.begin; ox < c.end; ox++) {
          const int64_t j = across.position(x, ox);
          if (j >= 0) each(pixel, (n * w.outHeight + oy) * w.outWidth + ox, i, j, oy, ox);
        }
      }
    });
  });
}

/// The check of the geometry saw to it that int32 holds it.
int32_t positionOf(const Window& w, int64_t i, int64_t j) {
  return static_cast<int32_t>(i * w.kernelWidth + j);
}

/// By how many positions a window's mean is divided.
double divisor(const Window& w, bool countPadding, const Range& rows, const Range& columns) {
  if (countPadding) return static_cast<double>(w.kernelHeight) * static_cast<double>(w.kernelWidth);
  return static_cast<double>(rows.size()) * static_cast<double>(columns.size());
}

}  // namespace

template <class T>
void maxPool(const Check& check, Array<T> out, Array<int32_t> indices, Array<const T> x,
             const Geometry& geometry) {
  const Window w = check.pooling(geometry);
  check.length(out, w.outputSize());
  check.length(indices, w.outputSize());
  check.length(x, w.inputSize());
  if (out.length == 0) return;
  const auto run = AXPY_SIMD(largest<T>);
  const int64_t c = w.channels;
  const int64_t down = w.dilationY * w.width * c, across = w.dilationX * c;
  forWindows(
      w,
      [&](int64_t pixel, Range rows, Range columns, int64_t first) {
        T* const best = out.data + pixel * c;
        int32_t* const index = indices.data + pixel * c;
        if (rows.size() == 0 || columns.size() == 0) {
          std::fill_n(best, c, -std::numeric_limits<T>::infinity());
          std::fill_n(index, c, -1);
          return;
        }
        const T* const from = x.data + first * c + rows.begin * down + columns.begin * across;
        const int32_t position = positionOf(w, rows.begin, columns.begin);
        run(best, index, from, {rows.size(), columns.size(), down, across, position, w.kernelWidth}, c);
      },
      [](int64_t, int64_t, const auto&) {});
}

template <class T>
void maxPoolGradient(const Check& check, Array<T> out, Array<const T> gradient, Array<const int32_t> indices,
                     const Geometry& geometry) {
  const Window w = check.pooling(geometry);
  check.length(out, w.inputSize());
  check.length(gradient, w.outputSize());
  check.length(indices, w.outputSize());
  // There may be many rows of no pixels.
  if (gradient.length == 0) std::fill_n(out.data, out.length, T(0));
  if (out.length == 0 || gradient.length == 0) return;
  const auto run = AXPY_SIMD(addWhere<T>);
  const int64_t c = w.channels;
  forCovering(
      w, [&](int64_t pixel) { std::fill_n(out.data + pixel * c, c, T(0)); },
      [&](int64_t pixel, int64_t output, int64_t i, int64_t j, int64_t, int64_t) {
        run(out.data + pixel * c, gradient.data + output * c, indices.data + output * c, positionOf(w, i, j),
            c);
      });
}

template <class T>
void averagePool(const Check& check, Array<T> out, Array<const T> x, const Geometry& geometry,
                 Flag countPadding) {
  const Window w = check.pooling(geometry);
  check.length(out, w.outputSize());
  check.length(x, w.inputSize());
  if (out.length == 0) return;
  const auto run = AXPY_SIMD(add<T>);
  const auto scale = AXPY_SIMD(divide<T>);
  const auto isFinite = AXPY_SIMD(areFinite<T>);
  const int64_t c = w.channels;
  const auto forPositions = [&](Range rows, Range columns, int64_t first, const auto& each) {
    for (int64_t i = rows.begin; i < rows.end; i++) {
      for (int64_t j = columns.begin; j < columns.end; j++) {
        each(x.data + (first + i * w.dilationY * w.width + j * w.dilationX) * c);
      }
    }
  };
  const auto add = [&](int64_t pixel, Range rows, Range columns, int64_t first) {
    T* const sum = out.data + pixel * c;
    std::fill_n(sum, c, T(0));
    if (rows.size() == 0 || columns.size() == 0) return;
    forPositions(rows, columns, first, [&](const T* from) { run(sum, from, c); });
    scale(sum, static_cast<T>(divisor(w, countPadding, rows, columns)), c);
  };
  // A sum that leaves the range of float32 may have a mean within it.
  const auto addInFloat64 = [&](int64_t pixel, Range rows, Range columns, int64_t first) {
    for (int64_t channel = 0; channel < c; channel++) {
      if (rows.size() == 0 || columns.size() == 0) continue;
      double total = 0;
      forPositions(rows, columns, first, [&](const T* from) { total += static_cast<double>(from[channel]); });
      out[pixel * c + channel] = static_cast<T>(total / divisor(w, countPadding, rows, columns));
    }
  };
  forWindows(w, add, [&](int64_t begin, int64_t end, const auto& again) {
    if (sizeof(T) == sizeof(float) && !isFinite(out.data + begin * c, (end - begin) * c)) again(addInFloat64);
  });
}

template <class T>
void averagePoolGradient(const Check& check, Array<T> out, Array<const T> gradient, const Geometry& geometry,
                         Flag countPadding) {
  const Window w = check.pooling(geometry);
  check.length(out, w.inputSize());
  check.length(gradient, w.outputSize());
  if (gradient.length == 0) std::fill_n(out.data, out.length, T(0));
  if (out.length == 0 || gradient.length == 0) return;
  const auto run = AXPY_SIMD(addDivided<T>);
  const int64_t c = w.channels;
  const std::vector<Range> rows = vertical(w).within(), columns = horizontal(w).within();
  forCovering(
      w, [&](int64_t pixel) { std::fill_n(out.data + pixel * c, c, T(0)); },
      [&](int64_t pixel, int64_t output, int64_t, int64_t, int64_t oy, int64_t ox) {
        const double by =
            divisor(w, countPadding, rows[static_cast<size_t>(oy)], columns[static_cast<size_t>(ox)]);
        run(out.data + pixel * c, gradient.data + output * c, static_cast<T>(by), c);
      });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(maxPool, "out", "indices", "x", "geometry"),
    AXPY_FLOAT_KERNEL(maxPoolGradient, "out", "gradient", "indices", "geometry"),
    AXPY_FLOAT_KERNEL(averagePool, "out", "x", "geometry", "countPadding"),
    AXPY_FLOAT_KERNEL(averagePoolGradient, "out", "gradient", "geometry", "countPadding"),
};
const bind::Family family(kernels);

}  // namespace axpy
#endif  // HWY_ONCE
