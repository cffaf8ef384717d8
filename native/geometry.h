// Convolutions and pooling as sizes: how pixels of the output meet pixels of the input.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "arguments.h"

namespace axpy {

/// The content of `geometry`, checked.
struct Window {
  int64_t batch, height, width, channels;
  int64_t outHeight, outWidth, outChannels;
  int64_t kernelHeight, kernelWidth;
  int64_t strideY, strideX, dilationY, dilationX;
  int64_t padTop, padLeft;
  int64_t groups;

  static constexpr std::array fields = {"batch",       "height",   "width",       "channels",
                                        "outHeight",   "outWidth", "outChannels", "kernelHeight",
                                        "kernelWidth", "strideY",  "strideX",     "dilationY",
                                        "dilationX",   "padTop",   "padLeft",     "groups"};

  double inputSize() const { return product({batch, height, width, channels}); }
  double outputSize() const { return product({batch, outHeight, outWidth, outChannels}); }
  double weightSize() const { return product({outChannels, kernelHeight, kernelWidth, groupChannels()}); }
  int64_t outputPixels() const { return batch * outHeight * outWidth; }
  int64_t groupChannels() const { return channels / groups; }
  int64_t groupOutChannels() const { return outChannels / groups; }

 private:
  static double product(std::initializer_list<int64_t> sizes) {
    double result = 1;
    for (const int64_t size : sizes) result *= static_cast<double>(size);
    return result;
  }
};

/// One axis of a gather: target t of `count`, which stands at first + t·spacing, meets tap k at t·step +
/// offsets[k] of the source; what lies outside of [0, source) is 0. Offsets ascend; taps are the positions in
/// the kernel they are of.
struct Axis {
  int64_t source, count, first, spacing, step;
  std::vector<int64_t> offsets, taps;

  int64_t size() const { return static_cast<int64_t>(offsets.size()); }

  /// Neighbouring taps meet neighbouring pixels.
  bool isRun() const {
    for (size_t k = 1; k < offsets.size(); k++) {
      if (offsets[k] != offsets[k - 1] + 1) return false;
    }
    return true;
  }

  /// Every target is the pixel of the source in the same place.
  bool isIdentity() const {
    return size() == 1 && offsets[0] == 0 && step == 1 && spacing == 1 && first == 0 && source == count;
  }

  /// A tap that meets the source somewhere.
  bool reaches(int64_t offset) const {
    if (count == 0 || offset >= source) return false;
    return offset >= 0 || (count - 1) * step + offset >= 0;
  }

  void add(int64_t offset, int64_t tap) {
    offsets.push_back(offset);
    taps.push_back(tap);
  }
};

/// The axis of a convolution: outputs gather inputs.
inline Axis forwardAxis(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation,
                        int64_t pad) {
  Axis axis{input, output, 0, 1, stride, {}, {}};
  for (int64_t tap = 0; tap < kernel; tap++) axis.add(tap * dilation - pad, tap);
  return axis;
}

/// The axis of its transpose: inputs gather outputs. Those inputs do so alike that stand at `phase` modulo
/// the stride.
inline Axis transposedAxis(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation,
                           int64_t pad, int64_t phase) {
  Axis axis{output, (input - phase + stride - 1) / stride, phase, stride, 1, {}, {}};
  for (int64_t tap = kernel - 1; tap >= 0; tap--) {
    const int64_t distance = phase + pad - tap * dilation;
    if (distance % stride == 0 && axis.reaches(distance / stride)) axis.add(distance / stride, tap);
  }
  return axis;
}

/// Calls each(pixel, n, y, x) over the pixels [begin, end) of images, height × width.
template <class F>
void forPixels(int64_t height, int64_t width, int64_t begin, int64_t end, const F& each) {
  int64_t x = begin % width, rest = begin / width;
  int64_t y = rest % height, n = rest / height;
  for (int64_t pixel = begin; pixel < end; pixel++) {
    each(pixel, n, y, x);
    if (++x < width) continue;
    x = 0;
    if (++y < height) continue;
    y = 0;
    n++;
  }
}

/// Which pixels of the source each pixel of the target is a sum over.
struct Gather {
  int64_t batch;
  Axis y, x;

  int64_t pixels() const { return batch * y.count * x.count; }
  int64_t taps() const { return y.size() * x.size(); }
  bool isIdentity() const { return y.isIdentity() && x.isIdentity(); }
  /// The targets are all pixels of an image, in their order.
  bool isWhole() const { return y.spacing == 1 && x.spacing == 1; }

  /// The pixel of the image that target tx of row `row`, counted over all images, is.
  int64_t target(int64_t row, int64_t tx, int64_t height, int64_t width) const {
    const int64_t n = row / y.count, ty = row % y.count;
    return (n * height + y.first + ty * y.spacing) * width + x.first + tx * x.spacing;
  }
};

inline Gather forwardGather(const Window& w) {
  return {w.batch, forwardAxis(w.height, w.outHeight, w.kernelHeight, w.strideY, w.dilationY, w.padTop),
          forwardAxis(w.width, w.outWidth, w.kernelWidth, w.strideX, w.dilationX, w.padLeft)};
}

/// Of the inputs that stand at (phaseY, phaseX) modulo the strides.
inline Gather transposedGather(const Window& w, int64_t phaseY, int64_t phaseX) {
  return {w.batch,
          transposedAxis(w.height, w.outHeight, w.kernelHeight, w.strideY, w.dilationY, w.padTop, phaseY),
          transposedAxis(w.width, w.outWidth, w.kernelWidth, w.strideX, w.dilationX, w.padLeft, phaseX)};
}

/// A gather of pixels alone, each of itself, is one long row.
inline Gather flattened(const Gather& gather) {
  if (!gather.isIdentity()) return gather;
  const int64_t pixels = gather.pixels();
  return {1, Axis{1, 1, 0, 1, 1, {0}, {0}}, Axis{pixels, pixels, 0, 1, 1, {0}, {0}}};
}

}  // namespace axpy
