// Convolutions as products: im2col in tiles that stay in the second-level cache, a single-threaded product
// for each.
//
// The transpose, which gives the gradient of the input, gathers too: inputs that stand alike to the stride
// sum over the same taps, so each such phase is an im2col of its own and nothing is scattered. With stride 1
// there is one phase.

#include "convolution.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "blas.h"
#include "parallel.h"
#include "workspaces.h"

namespace axpy {

const Way way = [] {
  const char* wanted = std::getenv("AXPY_CONVOLUTION");
  const auto is = [wanted](const char* name) { return wanted && std::strcmp(wanted, name) == 0; };
  return is("winograd")  ? Way::winograd
         : is("narrow")  ? Way::narrow
         : is("product") ? Way::product
                         : Way::best;
}();

namespace {

/// Elements of an im2col tile: a quarter of a megabyte of float32.
constexpr int64_t tileElements = 65536;

/// More than fit where that would be few: the product of each tile packs the weights anew.
int64_t tileRows(int64_t pixels, int64_t terms) {
  const int64_t fitting = std::clamp<int64_t>(tileElements / std::max<int64_t>(terms, 1), 128, 1024);
  // Small images make a handful of tiles all the same, for the threads to share.
  const int64_t shared = std::max<int64_t>(32, (pixels + 7) / 8);
  return (std::min(fitting, shared) + 7) / 8 * 8;
}

template <int64_t count, class T>
inline void copyExactly(T* to, const T* from) {
  std::memcpy(to, from, count * sizeof(T));
}

/// A pixel of a first layer has one channel or three, and so has one of a group: too few for a call of
/// memcpy. Two copies of a fixed length, which may overlap, make all lengths from one to two of it.
template <class T>
inline void copyFew(T* to, const T* from, int64_t count) {
  if (count > 16) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else if (count >= 8) {
    copyExactly<8>(to, from);
    copyExactly<8>(to + count - 8, from + count - 8);
  } else if (count >= 4) {
    copyExactly<4>(to, from);
    copyExactly<4>(to + count - 4, from + count - 4);
  } else {
    for (int64_t i = 0; i < count; i++) to[i] = from[i];
  }
}

/// gatherRows where the taps along x meet neighbouring pixels, and all of their channels are wanted: runs of
/// memory.
template <class T>
void gatherRuns(T* rows, const T* x, const Gather& gather, int64_t channels, int64_t begin, int64_t end) {
  const Axis &y = gather.y, &a = gather.x;
  const int64_t perLine = a.size() * channels, sourceLine = a.source * channels;
  gather.forPixels(begin, end, [&](int64_t, int64_t n, int64_t ty, int64_t tx) {
    const int64_t left = tx * a.step + a.offsets.front();
    const int64_t before = std::clamp<int64_t>(-left, 0, a.size());
    const int64_t until = std::clamp<int64_t>(a.source - left, before, a.size());
    const int64_t from = before * channels, count = (until - before) * channels, to = until * channels;
    // Only where something is within the image: padding may be larger than any array.
    const T* const first = count > 0 ? x + (n * y.source * a.source + left + before) * channels : nullptr;
    for (const int64_t offset : y.offsets) {
      const int64_t sy = ty * y.step + offset;
      if (sy < 0 || sy >= y.source || count == 0) {
        std::fill_n(rows, perLine, T(0));
      } else {
        copyFew(rows + from, first + sy * sourceLine, count);
        if (count < perLine) {
          std::fill_n(rows, from, T(0));
          std::fill_n(rows + to, perLine - to, T(0));
        }
      }
      rows += perLine;
    }
  });
}

/// Rows of im2col for the pixels [begin, end): tap after tap, `width` of the `channels` of x from `first` on.
template <class T>
void gatherRows(T* rows, const T* x, const Gather& gather, int64_t channels, int64_t first, int64_t width,
                int64_t begin, int64_t end) {
  const Axis &y = gather.y, &a = gather.x;
  if (width == channels && a.isRun()) return gatherRuns(rows, x, gather, channels, begin, end);
  gather.forPixels(begin, end, [&](int64_t, int64_t n, int64_t ty, int64_t tx) {
    for (const int64_t offset : y.offsets) {
      const int64_t sy = ty * y.step + offset;
      if (sy < 0 || sy >= y.source) {
        std::fill_n(rows, a.size() * width, T(0));
        rows += a.size() * width;
        continue;
      }
      const T* const line = x + (n * y.source + sy) * a.source * channels + first;
      for (const int64_t tap : a.offsets) {
        const int64_t sx = tx * a.step + tap;
        if (sx < 0 || sx >= a.source) {
          std::fill_n(rows, width, T(0));
        } else {
          copyFew(rows, line + sx * channels, width);
        }
        rows += width;
      }
    }
  });
}

/// out = epilogue(im2col(x) · weights), over groups: the columns of each group of the source times its own
/// weights.
template <class T>
struct GatheredProduct {
  T* out;
  const T* x;
  const T* weights;  // for each group: columns × terms when transposed, else terms × columns
  bool weightsTransposed;
  int64_t groups;
  int64_t sourceWidth;  // channels of a group of x
  int64_t columns;      // channels of a group of out
  const Epilogue<T>& epilogue;
  blas::Caller blas{};

  void run(const Gather& gather, int64_t targetHeight, int64_t targetWidth) const {
    const int64_t pixels = gather.pixels(), terms = gather.taps() * sourceWidth;
    if (pixels == 0) return;
    const int64_t rows = tileRows(pixels, terms), tiles = (pixels + rows - 1) / rows;
    const bool isDirect = gather.isIdentity(), isWhole = gather.isWhole();
    const int64_t outChannels = groups * columns, channels = groups * sourceWidth;
    const int64_t gathered = isDirect ? 0 : rows * terms, placed = isWhole ? 0 : rows * columns;
    Workspaces<T> spaces(tiles * groups, gathered + placed);
    const bool isNarrow = NarrowProduct<T>::suits(columns, terms);
    const NarrowProduct<T> narrow(weights, weightsTransposed, isNarrow ? groups : 0, columns, terms);
    parallel::forEach(tiles * groups, [&](int64_t task) {
      const int64_t group = task % groups, begin = task / groups * rows, end = std::min(pixels, begin + rows);
      const typename Workspaces<T>::Lease space(spaces);
      const T* const a = isDirect ? x + begin * channels + group * sourceWidth : space.data();
      if (!isDirect && terms > 0) {
        gatherRows(space.data(), x, gather, channels, group * sourceWidth, sourceWidth, begin, end);
      }
      T* to = isWhole ? out + begin * outChannels + group * columns : space.data() + gathered;
      const int64_t stride = isWhole ? outChannels : columns;
      if (terms == 0) {
        for (int64_t r = 0; r < end - begin; r++) std::fill_n(to + r * stride, columns, T(0));
      } else if (isNarrow) {
        narrow.run(a, isDirect ? channels : terms, group, end - begin, to, stride);
      } else {
        blas.gemm(false, weightsTransposed, end - begin, columns, terms, a, isDirect ? channels : terms,
                  weights + group * columns * terms, weightsTransposed ? terms : columns, T(0), to, stride);
      }
      epilogue.apply(to, stride, end - begin, columns, group * columns);
      if (isWhole) return;
      gather.forPixels(begin, end, [&](int64_t, int64_t n, int64_t ty, int64_t tx) {
        const int64_t py = gather.y.first + ty * gather.y.spacing,
                      px = gather.x.first + tx * gather.x.spacing;
        std::copy_n(to, columns,
                    out + ((n * targetHeight + py) * targetWidth + px) * outChannels + group * columns);
        to += columns;
      });
    });
  }
};

/// Weights [out, kh, kw, in / groups] as the transpose's products want them: for each group the taps of the
/// gather, then out / groups, then in / groups.
template <class T>
void arrangeTransposed(T* to, const T* weight, const Gather& gather, const Window& w) {
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  for (int64_t group = 0; group < w.groups; group++) {
    for (const int64_t i : gather.y.taps) {
      for (const int64_t j : gather.x.taps) {
        for (int64_t o = group * outputs; o < (group + 1) * outputs; o++) {
          std::copy_n(weight + ((o * w.kernelHeight + i) * w.kernelWidth + j) * width, width, to);
          to += width;
        }
      }
    }
  }
}

template <class T>
void gatherTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const Buffer<T> arranged(static_cast<int64_t>(w.weightSize()));
  for (int64_t phaseY = 0; phaseY < std::min(w.strideY, w.height); phaseY++) {
    for (int64_t phaseX = 0; phaseX < std::min(w.strideX, w.width); phaseX++) {
      const Gather gather = transposedGather(w, phaseY, phaseX);
      arrangeTransposed(arranged.data(), weight, gather, w);
      const GatheredProduct<T> product{
          out, x, arranged.data(), false, w.groups, w.groupOutChannels(), w.groupChannels(), epilogue};
      product.run(gather, w.height, w.width);
    }
  }
}

/// out = Σ over pixels of gradientᵀ · im2col(x). The pixels are cut into a number of parts that their count
/// alone determines; each sums its tiles in order, and then the parts are summed in order.
template <class T>
void gatherWeightGradient(T* out, const T* x, const T* gradient, const Window& w) {
  const Gather gather = forwardGather(w);
  const int64_t pixels = gather.pixels(), width = w.groupChannels(), outputs = w.groupOutChannels();
  const int64_t terms = gather.taps() * width, size = w.outChannels * terms;
  const int64_t rows = tileRows(pixels, terms), tiles = (pixels + rows - 1) / rows;
  if (tiles == 0) return std::fill_n(out, size, T(0)), void();
  int64_t parts = std::min<int64_t>(tiles, 16);
  // What they take besides the result stays within 16 MB of float32.
  while (parts > 1 && parts * size > 4'000'000) parts /= 2;
  const int64_t tilesPerPart = (tiles + parts - 1) / parts;
  parts = (tiles + tilesPerPart - 1) / tilesPerPart;
  const bool isDirect = gather.isIdentity();
  const blas::Caller blas;
  const Buffer<T> others((parts - 1) * size);
  Workspaces<T> spaces(parts * w.groups, isDirect ? 0 : rows * terms);
  parallel::forEach(parts * w.groups, [&](int64_t task) {
    const int64_t group = task % w.groups, part = task / w.groups;
    const typename Workspaces<T>::Lease space(spaces);
    T* sum = (part == 0 ? out : others.data() + (part - 1) * size) + group * outputs * terms;
    const int64_t last = std::min(tiles, (part + 1) * tilesPerPart);
    for (int64_t tile = part * tilesPerPart; tile < last; tile++) {
      const int64_t begin = tile * rows, end = std::min(pixels, begin + rows);
      const T* const columns = isDirect ? x + begin * w.channels + group * width : space.data();
      if (!isDirect) gatherRows(space.data(), x, gather, w.channels, group * width, width, begin, end);
      blas.gemm(true, false, outputs, terms, end - begin, gradient + begin * w.outChannels + group * outputs,
                w.outChannels, columns, isDirect ? w.channels : terms,
                tile == part * tilesPerPart ? T(0) : T(1), sum, terms);
    }
  });
  if (parts == 1) return;
  parallel::forRange(size, parallel::lightChunk / parts, [&](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts - 1; part++) {
      const T* other = others.data() + part * size;
      for (int64_t i = begin; i < end; i++) out[i] += other[i];
    }
  });
}

/// Every channel by itself: a product would have one column.
bool isDepthwise(const Window& w) {
  return w.groupChannels() == 1 && w.groups > 1 && way != Way::narrow && way != Way::product;
}

}  // namespace

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
  if (isDepthwise(w)) return depthwise(out.data, x.data, weight.data, epilogue, w);
  const GatheredProduct<T> product{
      out.data, x.data, weight.data, true, w.groups, w.groupChannels(), w.groupOutChannels(), epilogue};
  product.run(forwardGather(w), w.outHeight, w.outWidth);
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
  if (isDepthwise(w)) return depthwiseTransposed(out.data, x.data, weight.data, epilogue, w);
  gatherTransposed(out.data, x.data, weight.data, epilogue, w);
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
  if (isDepthwise(w)) return depthwiseWeightGradient(out.data, x.data, gradient.data, w);
  gatherWeightGradient(out.data, x.data, gradient.data, w);
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(convolve, "out", "x", "weight", "bias", "geometry", "activation", "parameter", "fast"),
    AXPY_FLOAT_KERNEL(convolveTransposed, "out", "x", "weight", "bias", "geometry", "activation", "parameter",
                      "fast"),
    AXPY_FLOAT_KERNEL(convolveWeightGradient, "out", "x", "gradient", "geometry", "fast"),
};
const bind::Family family(kernels);

}  // namespace axpy
