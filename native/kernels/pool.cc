// Pooling, by vectors of channels. The largest of a window and its position stay in registers, as does what
// comes together in a pixel. Gradients gather: a pixel looks at the windows that cover it, so nothing is
// scattered and nothing has to be cleared. The loops of means are left to the compiler, once for each
// instruction set.

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

#ifndef AXPY_POOL_SIDES
#define AXPY_POOL_SIDES
namespace axpy {

inline int64_t floorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0); }

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
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

/// A run of outputs whose windows see the same positions, [i] × [j], of a line of images of `channels`;
/// `start` is where the first window begins, which may be before the line, `step` is from a window to the
/// next, `down` and `across` are from position to position.
struct Run {
  Range i, j;
  int64_t count, start, step, down, across, kernelWidth, channels;
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// A position of a window in the lanes of a vector of T: float32 has as many bits as it, float64 holds it.
template <class D>
HWY_INLINE hn::Vec<D> lanesOf(D d, int32_t position) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
    return hn::Set(d, static_cast<double>(position));
  } else {
    return hn::BitCast(d, hn::Set(hn::RebindToSigned<D>(), position));
  }
}

/// Those of `count` channels.
template <class D>
HWY_INLINE hn::Vec<D> loadPositions(D d, const int32_t* p, int64_t count) {
  const hn::Rebind<int32_t, D> di;
  const auto v = count == static_cast<int64_t>(hn::Lanes(d)) ? hn::LoadU(di, p) : loadFirst(di, p, count);
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
    return hn::PromoteTo(d, v);
  } else {
    return hn::BitCast(d, v);
  }
}

/// Which of them are this one.
template <class D>
HWY_INLINE hn::Mask<D> areAt(D d, const int32_t* p, int32_t position, int64_t count) {
  const auto positions = loadPositions(d, p, count);
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
    return hn::Eq(positions, lanesOf(d, position));
  } else {
    const hn::RebindToSigned<D> di;
    return hn::RebindMask(d, hn::Eq(hn::BitCast(di, positions), hn::Set(di, position)));
  }
}

template <class D>
HWY_INLINE void storePositions(D d, hn::Vec<D> positions, int32_t* p, int64_t count) {
  const hn::Rebind<int32_t, D> di;
  const auto v = [&]() HWY_ATTR {
    if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
      return hn::DemoteTo(di, positions);
    } else {
      return hn::BitCast(di, positions);
    }
  }();
  count == static_cast<int64_t>(hn::Lanes(d)) ? hn::StoreU(v, di, p) : storeFirst(di, v, p, count);
}

/// Where a position of a window lies, and its number.
struct Place {
  int64_t at;
  int32_t position;
};

/// Calls f(places, count, isFirst) for the places that forEach hands to its argument, by groups that the
/// first cache holds; once at least.
template <class ForEach, class F>
HWY_INLINE void byGroups(const ForEach& forEach, const F& f) {
  constexpr int64_t most = 16;
  Place places[most];
  int64_t count = 0;
  bool isFirst = true;
  forEach([&](int64_t at, int64_t position) HWY_ATTR {
    if (count == most) {
      f(places, count, isFirst);
      count = 0;
      isFirst = false;
    }
    places[count++] = {at, static_cast<int32_t>(position)};
  });
  f(places, count, isFirst);
}

/// The largest of each window and its first position, or the first NaN.
template <class T>
void largest(T* out, int32_t* indices, const T* x, const Run& run) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto forEach = [&](const auto& each) HWY_ATTR {
    for (int64_t i = run.i.begin; i < run.i.end; i++) {
      for (int64_t j = run.j.begin; j < run.j.end; j++)
        each(run.start + i * run.down + j * run.across, i * run.kernelWidth + j);
    }
  };
  byGroups(forEach, [&](const Place* places, int64_t number, bool isFirst) HWY_ATTR {
    for (int64_t pixel = 0; pixel < run.count; pixel++) {
      for (int64_t c = 0; c < run.channels; c += lanes) {
        const int64_t count = std::min(lanes, run.channels - c), to = pixel * run.channels + c;
        const int64_t from = pixel * run.step + c;
        const auto load = [&](const T* p)
                              HWY_ATTR { return count == lanes ? hn::LoadU(d, p) : loadFirst(d, p, count); };
        auto best = load(isFirst ? x + (from + places[0].at) : out + to);
        auto index = isFirst ? lanesOf(d, places[0].position) : loadPositions(d, indices + to, count);
        for (int64_t k = isFirst ? 1 : 0; k < number; k++) {
          const auto v = load(x + (from + places[k].at));
          const auto takes = hn::Or(hn::Gt(v, best), hn::AndNot(hn::IsNaN(best), hn::IsNaN(v)));
          best = hn::IfThenElse(takes, v, best);
          index = hn::IfThenElse(takes, lanesOf(d, places[k].position), index);
        }
        count == lanes ? hn::StoreU(best, d, out + to) : storeFirst(d, best, out + to, count);
        storePositions(d, index, indices + to, count);
      }
    }
  });
}

/// The pixels [begin, end) of line y of an image, from the windows that cover them: `rows` of outputs and
/// `columns`, by pixel; gradient and indices are of the image's outputs.
template <class T>
void gatherLargest(T* out, const T* gradient, const int32_t* indices, const Side& down, const Side& across,
                   const Range& rows, const Range* columns, int64_t y, int64_t begin, int64_t end,
                   int64_t channels) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t x = begin; x < end; x++, out += channels) {
    const auto forEach = [&](const auto& each) HWY_ATTR {
      for (int64_t oy = rows.begin; oy < rows.end; oy++) {
        const int64_t i = down.position(y, oy);
        if (i < 0) continue;
        for (int64_t ox = columns[x].begin; ox < columns[x].end; ox++) {
          const int64_t j = across.position(x, ox);
          if (j >= 0) each((oy * across.count + ox) * channels, i * across.kernel + j);
        }
      }
    };
    byGroups(forEach, [&](const Place* places, int64_t number, bool isFirst) HWY_ATTR {
      for (int64_t c = 0; c < channels; c += lanes) {
        const int64_t count = std::min(lanes, channels - c);
        const auto load = [&](const T* p)
                              HWY_ATTR { return count == lanes ? hn::LoadU(d, p) : loadFirst(d, p, count); };
        auto sum = isFirst ? hn::Zero(d) : load(out + c);
        for (int64_t k = 0; k < number; k++) {
          const int64_t at = places[k].at + c;
          const auto here = areAt(d, indices + at, places[k].position, count);
          sum = hn::Add(sum, hn::IfThenElseZero(here, load(gradient + at)));
        }
        count == lanes ? hn::StoreU(sum, d, out + c) : storeFirst(d, sum, out + c, count);
      }
    });
  }
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

/// Calls each(first output pixel, how many, i range, j range, first pixel of the first window, may be
/// outside) over the outputs, by runs that see the same positions; and finish(begin, end, again) behind those
/// of a task; again(each) goes over them once more.
template <class F, class Finish>
void forWindows(const Window& w, const F& each, const Finish& finish) {
  const std::vector<Range> rows = vertical(w).within(), columns = horizontal(w).within();
  const auto visit = [&](int64_t begin, int64_t end, const auto& visitor) {
    for (int64_t pixel = begin; pixel < end;) {
      const int64_t x = pixel % w.outWidth, y = pixel / w.outWidth % w.outHeight,
                    n = pixel / w.outWidth / w.outHeight;
      const Range r = rows[static_cast<size_t>(y)], c = columns[static_cast<size_t>(x)];
      const int64_t most = std::min(w.outWidth - x, end - pixel);
      int64_t count = 1;
      while (count < most && columns[static_cast<size_t>(x + count)] == c) count++;
      // Only where the window meets the image: it may lie further off than positions can say.
      const bool meets = r.size() > 0 && c.size() > 0;
      const int64_t top = y * w.strideY - w.padTop, left = x * w.strideX - w.padLeft;
      visitor(pixel, count, r, c, meets ? (n * w.height + top) * w.width + left : 0);
      pixel += count;
    }
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
  const int64_t c = w.channels, across = w.dilationX * c, down = w.dilationY * w.width * c;
  forWindows(
      w,
      [&](int64_t pixel, int64_t count, Range rows, Range columns, int64_t first) {
        T* const to = out.data + pixel * c;
        int32_t* const index = indices.data + pixel * c;
        if (rows.size() == 0 || columns.size() == 0) {
          std::fill_n(to, count * c, -std::numeric_limits<T>::infinity());
          std::fill_n(index, count * c, -1);
          return;
        }
        run(to, index, x.data,
            {rows, columns, count, first * c, w.strideX * c, down, across, w.kernelWidth, c});
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
  const auto run = AXPY_SIMD(gatherLargest<T>);
  const Side down = vertical(w), across = horizontal(w);
  const std::vector<Range> rows = down.covering(), columns = across.covering();
  const int64_t outputs = w.outHeight * w.outWidth * w.channels;
  parallel::forRange(w.batch * w.height * w.width, pixelsPerTask(w, true), [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin; pixel < end;) {
      const int64_t x = pixel % w.width, y = pixel / w.width % w.height, n = pixel / w.width / w.height;
      const int64_t count = std::min(w.width - x, end - pixel);
      run(out.data + pixel * w.channels, gradient.data + n * outputs, indices.data + n * outputs, down,
          across, rows[static_cast<size_t>(y)], columns.data(), y, x, x + count, w.channels);
      pixel += count;
    }
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
  const auto add = [&](int64_t pixel, int64_t count, Range rows, Range columns, int64_t first) {
    T* sum = out.data + pixel * c;
    std::fill_n(sum, count * c, T(0));
    if (rows.size() == 0 || columns.size() == 0) return;
    for (int64_t k = 0; k < count; k++, sum += c, first += w.strideX) {
      forPositions(rows, columns, first, [&](const T* from) { run(sum, from, c); });
      scale(sum, static_cast<T>(divisor(w, countPadding, rows, columns)), c);
    }
  };
  // A sum that leaves the range of float32 may have a mean within it.
  const auto addInFloat64 = [&](int64_t pixel, int64_t count, Range rows, Range columns, int64_t first) {
    if (rows.size() == 0 || columns.size() == 0) return;
    for (int64_t k = 0; k < count; k++, pixel++, first += w.strideX) {
      for (int64_t channel = 0; channel < c; channel++) {
        double total = 0;
        forPositions(rows, columns, first,
                     [&](const T* from) { total += static_cast<double>(from[channel]); });
        out[pixel * c + channel] = static_cast<T>(total / divisor(w, countPadding, rows, columns));
      }
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
