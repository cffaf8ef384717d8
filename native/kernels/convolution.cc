// Convolutions: the way that suits each.

#include "convolution.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace axpy {

const Way way = [] {
  const char* wanted = std::getenv("AXPY_CONVOLUTION");
  const auto is = [wanted](const char* name) { return wanted && std::strcmp(wanted, name) == 0; };
  return is("winograd") ? Way::winograd : is("direct") ? Way::direct : is("im2col") ? Way::im2col : Way::best;
}();

template <class T>
void convolve(const Check& check, Array<T> out, Array<const T> x, Array<const T> weight,
              Nullable<const T> bias, const Geometry& geometry, OptionalCode<UnaryOp> activation,
              AnyNumber parameter, Flag fast) {
  const Window w = check.convolution(geometry);
  check.length(out, w.outputSize());
  check.length(x, w.inputSize());
  check.length(weight, w.weightSize());
  if (!bias.null) check.length(bias, static_cast<double>(w.outChannels));
  if (out.length == 0) return;
  const Epilogue<T> epilogue{bias.data, activation, parameter};
  if (weight.length == 0 || x.length == 0) {
    std::fill_n(out.data, out.length, T(0));
    return epilogue.apply(out.data, w.outChannels, w.outputPixels(), w.outChannels, 0);
  }
  if constexpr (std::is_same_v<T, float>) {
    if (fast && suitsWinograd(w)) return winograd(out.data, x.data, weight.data, epilogue, w);
  }
  if (suitsGrouped<T>(w)) return grouped(out.data, x.data, weight.data, epilogue, w);
  direct(out.data, x.data, weight.data, epilogue, w);
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
  if (suitsGrouped<T>(w)) return groupedWeightGradient(out.data, x.data, gradient.data, w);
  directWeightGradient(out.data, x.data, gradient.data, w);
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(convolve, "out", "x", "weight", "bias", "geometry", "activation", "parameter", "fast"),
    AXPY_FLOAT_KERNEL(convolveTransposed, "out", "x", "weight", "bias", "geometry", "activation", "parameter",
                      "fast"),
    AXPY_FLOAT_KERNEL(convolveWeightGradient, "out", "x", "gradient", "geometry", "fast"),
};
const bind::Family family(kernels);

}  // namespace axpy
