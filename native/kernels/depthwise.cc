// Depthwise convolution: a channel sees itself alone, so a product would have a single column. Vectors run
// along the channels instead.

#include "convolution.h"
#include "parallel.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// out[n] = Σ over the taps of x · weight
template <class T>
void sumTaps(T* out, const T* const* x, const T* const* weight, int64_t taps, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    auto first = hn::Zero(d), second = first;
    for (int64_t k = 0; k < taps; k++) {
      first = hn::MulAdd(hn::LoadU(d, x[k] + i), hn::LoadU(d, weight[k] + i), first);
      second = hn::MulAdd(hn::LoadU(d, x[k] + i + lanes), hn::LoadU(d, weight[k] + i + lanes), second);
    }
    hn::StoreU(first, d, out + i);
    hn::StoreU(second, d, out + i + lanes);
  }
  for (; i < n; i += lanes) {
    const int64_t count = n - i < lanes ? n - i : lanes;
    auto sum = hn::Zero(d);
    for (int64_t k = 0; k < taps; k++) {
      sum = hn::MulAdd(loadFirst(d, x[k] + i, count), loadFirst(d, weight[k] + i, count), sum);
    }
    storeFirst(d, sum, out + i, count);
  }
}

/// sum[n] += x · y
template <class T>
void addProduct(T* sum, const T* x, const T* y, int64_t n) {
  map(
      sum, n, [](auto, auto s, auto a, auto b) HWY_ATTR { return hn::MulAdd(a, b, s); },
      static_cast<const T*>(sum), x, y);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <vector>

namespace axpy {
namespace {

constexpr int64_t taskElements = 32768;

/// Calls each(k, source) for the taps of a gather that meet the image, in order.
template <class T, class F>
void forTaps(const Gather& gather, const T* x, int64_t channels, int64_t n, int64_t ty, int64_t tx,
             const F& each) {
  const Axis &y = gather.y, &a = gather.x;
  for (int64_t i = 0; i < y.size(); i++) {
    const int64_t sy = ty * y.step + y.offsets[i];
    if (sy < 0 || sy >= y.source) continue;
    for (int64_t j = 0; j < a.size(); j++) {
      const int64_t sx = tx * a.step + a.offsets[j];
      if (sx < 0 || sx >= a.source) continue;
      each(i * a.size() + j, x + ((n * y.source + sy) * a.source + sx) * channels);
    }
  }
}

/// Weights [channels, kh, kw] as [taps of the gather, channels].
template <class T>
void arrange(T* to, const T* weight, const Gather& gather, int64_t channels, const Window& w) {
  for (const int64_t i : gather.y.taps) {
    for (const int64_t j : gather.x.taps) {
      for (int64_t c = 0; c < channels; c++) *to++ = weight[(c * w.kernelHeight + i) * w.kernelWidth + j];
    }
  }
}

template <class T>
void gatherDepthwise(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Gather& gather,
                     int64_t height, int64_t width, int64_t channels) {
  const auto run = AXPY_SIMD(sumTaps<T>);
  const int64_t taps = gather.taps(), chunk = std::max<int64_t>(1, taskElements / channels);
  const int64_t pixels = gather.pixels(), tasks = (pixels + chunk - 1) / chunk;
  Workspaces<const T*> spaces(tasks, 2 * taps);
  parallel::forRange(pixels, chunk, [&](int64_t begin, int64_t end) {
    const typename Workspaces<const T*>::Lease space(spaces);
    const T **sources = space.data(), **weights = sources + taps;
    gather.forPixels(begin, end, [&](int64_t, int64_t n, int64_t ty, int64_t tx) {
      int64_t count = 0;
      forTaps(gather, x, channels, n, ty, tx, [&](int64_t tap, const T* source) {
        sources[count] = source;
        weights[count++] = weight + tap * channels;
      });
      const int64_t py = gather.y.first + ty * gather.y.spacing, px = gather.x.first + tx * gather.x.spacing;
      T* to = out + ((n * height + py) * width + px) * channels;
      run(to, sources, weights, count, channels);
      epilogue.apply(to, channels, 1, channels, 0);
    });
  });
}

/// Each channel `times` times over, or the reverse: the sum of each so many.
template <class T>
void repeatChannels(T* to, const T* x, int64_t count, int64_t times) {
  for (int64_t i = 0; i < count; i++) std::fill_n(to + i * times, times, x[i]);
}

template <class T>
void sumChannels(T* to, const T* x, int64_t count, int64_t times) {
  for (int64_t i = 0; i < count; i++) {
    T sum = 0;
    for (int64_t j = 0; j < times; j++) sum += x[i * times + j];
    to[i] = sum;
  }
}

/// Channels with several outputs each are repeated first, so that everything else has one.
template <class T>
class Repeated {
 public:
  Repeated(const T* x, const Window& w)
      : times_(w.groupOutChannels()), buffer_(times_ == 1 ? 0 : pixels(w) * w.outChannels), x_(x) {
    if (times_ == 1) return;
    const int64_t chunk = std::max<int64_t>(1, taskElements / w.outChannels);
    parallel::forRange(pixels(w), chunk, [&](int64_t begin, int64_t end) {
      repeatChannels(buffer_.data() + begin * w.outChannels, x + begin * w.channels,
                     (end - begin) * w.channels, times_);
    });
    x_ = buffer_.data();
  }
  const T* data() const { return x_; }

 private:
  static int64_t pixels(const Window& w) { return w.batch * w.height * w.width; }
  const int64_t times_;
  const Buffer<T> buffer_;
  const T* x_;
};

}  // namespace

template <class T>
void depthwise(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const Gather gather = forwardGather(w);
  const Repeated<T> repeated(x, w);
  const Buffer<T> arranged(static_cast<int64_t>(w.weightSize()));
  arrange(arranged.data(), weight, gather, w.outChannels, w);
  gatherDepthwise(out, repeated.data(), arranged.data(), epilogue, gather, w.outHeight, w.outWidth,
                  w.outChannels);
}

template <class T>
void depthwiseTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const int64_t times = w.groupOutChannels(), pixels = w.batch * w.height * w.width;
  const Buffer<T> arranged(static_cast<int64_t>(w.weightSize()));
  const Buffer<T> wide(times == 1 ? 0 : pixels * w.outChannels);
  const Epilogue<T> none{nullptr, {}, 0};
  for (int64_t phaseY = 0; phaseY < std::min(w.strideY, w.height); phaseY++) {
    for (int64_t phaseX = 0; phaseX < std::min(w.strideX, w.width); phaseX++) {
      const Gather gather = transposedGather(w, phaseY, phaseX);
      arrange(arranged.data(), weight, gather, w.outChannels, w);
      gatherDepthwise(times == 1 ? out : wide.data(), x, arranged.data(), times == 1 ? epilogue : none,
                      gather, w.height, w.width, w.outChannels);
    }
  }
  if (times == 1) return;
  parallel::forRange(
      pixels, std::max<int64_t>(1, taskElements / w.outChannels), [&](int64_t begin, int64_t end) {
        T* to = out + begin * w.channels;
        sumChannels(to, wide.data() + begin * w.outChannels, (end - begin) * w.channels, times);
        epilogue.apply(to, w.channels, end - begin, w.channels, 0);
      });
}

template <class T>
void depthwiseWeightGradient(T* out, const T* x, const T* gradient, const Window& w) {
  const Gather gather = forwardGather(w);
  const Repeated<T> repeated(x, w);
  const int64_t channels = w.outChannels, taps = gather.taps(), size = taps * channels;
  // As many parts as the pixels alone determine, each summed in order, and then the parts in order.
  const int64_t pixels = gather.pixels();
  const int64_t parts = std::clamp<int64_t>(pixels * channels / taskElements, 1, 64);
  const int64_t chunk = (pixels + parts - 1) / parts;
  const Buffer<T> sums(parts * size);
  std::fill_n(sums.data(), parts * size, T(0));
  const auto run = AXPY_SIMD(addProduct<T>);
  parallel::forRange(pixels, chunk, [&](int64_t begin, int64_t end) {
    T* sum = sums.data() + begin / chunk * size;
    gather.forPixels(begin, end, [&](int64_t pixel, int64_t n, int64_t ty, int64_t tx) {
      forTaps(gather, repeated.data(), channels, n, ty, tx, [&](int64_t tap, const T* source) {
        run(sum + tap * channels, source, gradient + pixel * channels, channels);
      });
    });
  });
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t tap = 0; tap < taps; tap++) {
      double sum = 0;
      for (int64_t part = 0; part < parts; part++)
        sum += static_cast<double>(sums[part * size + tap * channels + c]);
      out[c * taps + tap] = static_cast<T>(sum);
    }
  }
}

#define AXPY_INSTANTIATE(T)                                                                     \
  template void depthwise(T*, const T*, const T*, const Epilogue<T>&, const Window&);           \
  template void depthwiseTransposed(T*, const T*, const T*, const Epilogue<T>&, const Window&); \
  template void depthwiseWeightGradient(T*, const T*, const T*, const Window&)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
