// Convolutions: the way that suits each.

#include "convolution.h"
#include "lasting.h"
#include "product.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace axpy {

const Way way = [] {
  const char* wanted = std::getenv("AXPY_CONVOLUTION");
  const auto is = [wanted](const char* name) { return wanted && std::strcmp(wanted, name) == 0; };
  return is("winograd") ? Way::winograd : is("direct") ? Way::direct : is("im2col") ? Way::im2col : Way::best;
}();

namespace {

/// Whether windows, which are pixels or whole images, are rows of a matrix as they lie. Then a convolution
/// is a product of that matrix and the weights.
bool isProduct(const Window& w) {
  if (way != Way::best || w.groups > 1) return false;
  const auto isPixel = [](int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad) {
    return kernel == 1 && stride == 1 && pad == 0 && out == size;
  };
  const auto isAll = [](int64_t size, int64_t out, int64_t kernel, int64_t dilation, int64_t pad) {
    return out == 1 && pad == 0 && kernel == size && (dilation == 1 || kernel == 1);
  };
  const bool isPixelY = isPixel(w.height, w.outHeight, w.kernelHeight, w.strideY, w.padTop),
             isPixelX = isPixel(w.width, w.outWidth, w.kernelWidth, w.strideX, w.padLeft),
             isAllY = isAll(w.height, w.outHeight, w.kernelHeight, w.dilationY, w.padTop),
             isAllX = isAll(w.width, w.outWidth, w.kernelWidth, w.dilationX, w.padLeft);
  return (isPixelX && isPixelY) || (isAllX && (isPixelY || isAllY));
}

/// Elements of a window.
int64_t terms(const Window& w) { return w.kernelHeight * w.kernelWidth * w.channels; }

/// A product of matrices that lie as a whole in memory.
template <class T>
Products<T> product(T* c, const T* a, const T* b, int64_t m, int64_t n, int64_t k, bool transposeA,
                    bool transposeB) {
  return {1,
          1,
          m,
          n,
          k,
          transposeA,
          transposeB,
          {c, 0, 0, n},
          {a, 0, 0, transposeA ? m : k},
          {b, 0, 0, transposeB ? k : n}};
}

/// One window an image.
bool isDense(const Window& w) { return w.outputPixels() == w.batch; }

/// Of pixels, a product pays by blocks alone, with terms and columns enough not to wait for
/// memory (measured: docs/convolution.md).
template <class T>
bool pays(const Products<T>& p, const Window& w) {
  return isDense(w) || (std::min(p.n, p.k) >= 24 && suitsBlocks(p));
}

/// A call, checked: what a recorded one keeps.
template <class T>
class Convolution {
 public:
  Convolution(const Check& check, const Array<T>& out, const Array<const T>& x, const Array<const T>& weight,
              const Nullable<const T>& bias, const Geometry& geometry, OptionalCode<UnaryOp> activation,
              AnyNumber parameter, Flag fast)
      : window_(check.convolution(geometry)),
        epilogue_{bias.data, activation, parameter},
        out_(out),
        x_(x),
        weight_(weight) {
    check.length(out, window_.outputSize());
    check.length(x, window_.inputSize());
    check.length(weight, window_.weightSize());
    if (!bias.null) check.length(bias, static_cast<double>(window_.outChannels));
    isWinograd_ = std::is_same_v<T, float> && fast && suitsWinograd(window_);
    geometry_.keep(geometry.source, geometry.length);
  }
  bool isCurrent() const { return geometry_.areSame(); }
  void forget() { panels_.clear(); }

  /// With transformed weights that were kept, or are kept from now on, if they stay as they are.
  void run(bool isSteady = false) {
    const Window& w = window_;
    if (out_.length == 0) return;
    if (weight_.length == 0 || x_.length == 0) {
      std::fill_n(out_.data, out_.length, T(0));
      return epilogue_.apply(out_.data, w.outChannels, w.outputPixels(), w.outChannels, 0);
    }
    if constexpr (std::is_same_v<T, float>) {
      if (isWinograd_) {
        const auto transform = [&](T* to) { winogradTransform(weight_.data, w, to); };
        const T* const panels = isSteady ? panels_.get(winogradPanelsSize(w), transform) : nullptr;
        return winograd(out_.data, x_.data, weight_.data, epilogue_, w, panels);
      }
    }
    if (isProduct(w)) {
      const auto p =
          product(out_.data, x_.data, weight_.data, w.outputPixels(), w.outChannels, terms(w), false, true);
      if (pays(p, w)) return multiply(p, epilogue_);
    }
    if (suitsGrouped<T>(w)) return grouped(out_.data, x_.data, weight_.data, epilogue_, w);
    direct(out_.data, x_.data, weight_.data, epilogue_, w);
  }

 private:
  Window window_;
  Epilogue<T> epilogue_;
  Array<T> out_;
  Array<const T> x_, weight_;
  bool isWinograd_ = false;
  Contents geometry_;
  Lasting<T> panels_;
};

}  // namespace

template <class T>
void convolve(const Check& check, Array<T> out, Array<const T> x, Array<const T> weight,
              Nullable<const T> bias, const Geometry& geometry, OptionalCode<UnaryOp> activation,
              AnyNumber parameter, Flag fast) {
  Convolution<T>(check, out, x, weight, bias, geometry, activation, parameter, fast).run();
}

template <class T>
void convolveTransposed(const Check& check, Array<T> out, Array<const T> x, Array<const T> weight,
                        Nullable<const T> bias, const Geometry& geometry, OptionalCode<UnaryOp> activation,
                        AnyNumber parameter, Flag fast) {
  const Window w = check.convolution(geometry);
  check.length(out, w.inputSize());
  check.length(x, w.outputSize());
  check.length(weight, w.weightSize());
  if (!bias.null) check.length(bias, static_cast<double>(w.channels));
  if (out.length == 0) return;
  const Epilogue<T> epilogue{bias.data, activation, parameter};
  if (weight.length == 0 || x.length == 0) {
    std::fill_n(out.data, out.length, T(0));
    return epilogue.apply(out.data, w.channels, w.batch * w.height * w.width, w.channels, 0);
  }
  if constexpr (std::is_same_v<T, float>) {
    if (fast && suitsWinograd(w)) return winogradTransposed(out.data, x.data, weight.data, epilogue, w);
  }
  if (isProduct(w) && (bias.null || terms(w) == w.channels)) {
    const auto p =
        product(out.data, x.data, weight.data, w.outputPixels(), terms(w), w.outChannels, false, false);
    if (pays(p, w)) return multiply(p, epilogue);
  }
  if (suitsGrouped<T>(w)) return groupedTransposed(out.data, x.data, weight.data, epilogue, w);
  directTransposed(out.data, x.data, weight.data, epilogue, w);
}

template <class T>
void convolveWeightGradient(const Check& check, Array<T> out, Array<const T> x, Array<const T> gradient,
                            const Geometry& geometry, Flag fast) {
  const Window w = check.convolution(geometry);
  check.length(out, w.weightSize());
  check.length(x, w.inputSize());
  check.length(gradient, w.outputSize());
  if (out.length == 0) return;
  if (x.length == 0 || gradient.length == 0) return std::fill_n(out.data, out.length, T(0)), void();
  if constexpr (std::is_same_v<T, float>) {
    if (fast && suitsWinograd(w)) return winogradWeightGradient(out.data, x.data, gradient.data, w);
  }
  if (isProduct(w) && isDense(w)) {
    return multiply(
        product(out.data, gradient.data, x.data, w.outChannels, terms(w), w.outputPixels(), true, false),
        Epilogue<T>{});
  }
  if (suitsGrouped<T>(w)) return groupedWeightGradient(out.data, x.data, gradient.data, w);
  if (suitsNarrow<T>(w)) return narrowWeightGradient(out.data, x.data, gradient.data, w);
  directWeightGradient(out.data, x.data, gradient.data, w);
}

template <>
struct bind::Prepared<convolve<float>> {
  using Type = Convolution<float>;
  static constexpr size_t kept = 2;  // weight
};

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(convolve, "out", "x", "weight", "bias", "geometry", "activation", "parameter", "fast"),
    AXPY_FLOAT_KERNEL(convolveTransposed, "out", "x", "weight", "bias", "geometry", "activation", "parameter",
                      "fast"),
    AXPY_FLOAT_KERNEL(convolveWeightGradient, "out", "x", "gradient", "geometry", "fast"),
};
const bind::Family family(kernels);

}  // namespace axpy
