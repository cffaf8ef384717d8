// Winograd's minimal filtering F(4×4, 3×3): a tile of 4×4 outputs from 6×6 inputs by 36 products a pair of
// channels where the direct sum takes 144 (Lavin & Gray, "Fast algorithms for convolutional neural networks",
// CVPR 2016).
//
//     Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//
// The ⊙, summed over channels, is 36 matrix products of tiles × channels by channels × outputs; the
// transforms stand in winograd-inl.h, what they cost in exactness in docs/convolution.md.
//
// The gradient of the weight is the transpose of the same bilinear form: dg = Gᵀ [Σ tiles (A dY Aᵀ) ⊙ (Bᵀ d
// B)] G.

#include "convolution.h"
#include "parallel.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/winograd.cc"
#include "hwy/foreach_target.h"

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "loops-inl.h"
#include "product-inl.h"
#include "winograd-inl.h"

#include <algorithm>

#ifndef AXPY_WINOGRAD_TILES
#define AXPY_WINOGRAD_TILES
namespace axpy {

constexpr int64_t roundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// A convolution that Winograd's applies to: `out` of outHeight × outWidth × outChannels from `x` of height ×
/// width × channels, each output from the 3×3 inputs that begin at its own place less the pads.
struct Filtering {
  int64_t batch, height, width, channels, outHeight, outWidth, outChannels, padTop, padLeft;

  int64_t down() const { return (outHeight + tileSide - 1) / tileSide; }
  int64_t across() const { return (outWidth + tileSide - 1) / tileSide; }
  int64_t tiles() const { return batch * down() * across(); }

  /// The pixels of a patch of x, `zeros` where there is no image.
  void patch(int64_t tile, const float* x, const float* zeros, const float** pixels) const {
    const int64_t tx = tile % across(), ty = tile / across() % down(), n = tile / across() / down();
    const int64_t top = ty * tileSide - padTop, left = tx * tileSide - padLeft;
    place(n, top, left, patchSide, height, width, channels, x, zeros, pixels);
  }

  /// The pixels of a tile of the output, `elsewhere` where it reaches beyond the image.
  template <class T>
  void tile(int64_t tile, T* out, T* elsewhere, T** pixels) const {
    const int64_t tx = tile % across(), ty = tile / across() % down(), n = tile / across() / down();
    place(n, ty * tileSide, tx * tileSide, tileSide, outHeight, outWidth, outChannels, out, elsewhere,
          pixels);
  }

 private:
  template <class T>
  static void place(int64_t n, int64_t top, int64_t left, int64_t side, int64_t height, int64_t width,
                    int64_t channels, T* image, T* elsewhere, T** pixels) {
    for (int64_t i = 0; i < side; i++) {
      for (int64_t j = 0; j < side; j++) {
        const int64_t y = top + i, x = left + j;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        *pixels++ = inside ? image + ((n * height + y) * width + x) * channels : elsewhere;
      }
    }
  }
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// One operand in the space of the products: 36 matrices of rows × columns, columns padded for whole vectors.
/// The distance between them is no power of two, so that their same places do not share a set of the cache.
struct Matrices {
  float* data;
  int64_t rows, columns, stride;

  static int64_t strideOf(int64_t rows, int64_t columns) { return rows * columns + 16; }
  static int64_t size(int64_t rows, int64_t columns) { return products * strideOf(rows, columns); }
  Matrices(float* data, int64_t rows, int64_t columns)
      : data(data), rows(rows), columns(columns), stride(strideOf(rows, columns)) {}
  float* row(int64_t k, int64_t i) const { return data + k * stride + i * columns; }
};

/// Transforms `channels` of the pixels of a tile or patch into row i of each matrix. The pixels of the `next`
/// one are fetched on the way: so many short streams are more than the processor foresees.
template <int from, class F>
HWY_INLINE void transformInto(const F& transform, const float* const* pixels, const float* const* next,
                              int64_t channels, const Matrices& to, int64_t i) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < to.columns; c += lanes) {
    if (c % 16 == 0) {
      for (int p = 0; p < from * from; p++) hwy::Prefetch(next[p] + c);
    }
    const auto store = [&](int k, V v) HWY_ATTR { hn::Store(v, d, to.row(k, i) + c); };
    if (c + lanes <= channels) {
      alongBoth<from, patchSide>(
          transform, [&](int p) HWY_ATTR { return hn::LoadU(d, pixels[p] + c); }, store);
    } else {
      const int64_t count = std::max<int64_t>(channels - c, 0);
      alongBoth<from, patchSide>(
          transform, [&](int p) HWY_ATTR { return loadFirst(d, pixels[p] + c, count); }, store);
    }
  }
}

void patchInto(const float* const* pixels, const float* const* next, int64_t channels, const Matrices& to,
               int64_t i) {
  transformInto<patchSide>(PatchTransform(), pixels, next, channels, to, i);
}

void gradientInto(const float* const* pixels, const float* const* next, int64_t channels, const Matrices& to,
                  int64_t i) {
  transformInto<tileSide>(GradientTransform(), pixels, next, channels, to, i);
}

/// Transforms row i of the products back into the pixels of a tile, with the bias and perhaps ReLU.
void tileFrom(const Matrices& from, int64_t i, float* const* pixels, int64_t channels, const float* bias,
              bool relu) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < channels; c += lanes) {
    const int64_t count = std::min(lanes, channels - c);
    const V shift = !bias            ? hn::Zero(d)
                    : count == lanes ? hn::LoadU(d, bias + c)
                                     : loadFirst(d, bias + c, count);
    const auto load = [&](int k) HWY_ATTR { return hn::Load(d, from.row(k, i) + c); };
    alongBoth<patchSide, tileSide>(ProductsTransform(), load, [&](int k, V y) HWY_ATTR {
      V value = hn::Add(y, shift);
      if (relu) value = hn::IfThenElse(hn::Le(value, hn::Zero(d)), hn::Zero(d), value);
      if (count == lanes) {
        hn::StoreU(value, d, pixels[k] + c);
      } else {
        storeFirst(d, value, pixels[k] + c, count);
      }
    });
  }
}

// ── the products
// ───────────────────────────────────────────────────────────────────────────────────────────────────

/// Terms that are summed before they are added to the others.
constexpr int64_t depthBlock = 128;

// ── the convolution
// ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// The transformed weights by panels of outputs: [36][panels][channels][panel].
template <class T>
struct PanelsOf {
  T* data;
  int64_t depth, width, count, stride;

  /// As for Matrices, the distance between matrices is no power of two.
  static int64_t strideOf(int64_t depth, int64_t outputs) {
    return depth * roundUp(outputs, panelWidth<float>()) + 16;
  }
  static int64_t size(int64_t depth, int64_t outputs) { return products * strideOf(depth, outputs); }
  PanelsOf(T* data, int64_t depth, int64_t outputs)
      : data(data),
        depth(depth),
        width(panelWidth<float>()),
        count(roundUp(outputs, width) / width),
        stride(strideOf(depth, outputs)) {}
  T* panel(int64_t k, int64_t p) const { return data + k * stride + p * depth * width; }
};
using Panels = PanelsOf<const float>;
using NewPanels = PanelsOf<float>;

/// Weights of the channels [begin, end) into panels. A tap's weights are `tapStep` apart, a channel's
/// `channelStep`, an output's 1; the taps are turned round when `tapStep` is negative.
void weightsInto(const NewPanels& to, const float* weight, int64_t tapStep, int64_t channelStep,
                 int64_t outputs, int64_t begin, int64_t end) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = begin; c < end; c++) {
    for (int64_t o = 0; o < to.count * to.width; o += lanes) {
      const int64_t count = std::clamp<int64_t>(outputs - o, 0, lanes);
      alongBoth<3, patchSide>(
          WeightTransform(),
          [&](int t) HWY_ATTR {
            const float* const from = weight + (tapStep < 0 ? t - 8 : t) * tapStep + c * channelStep + o;
            return count == lanes ? hn::LoadU(d, from) : loadFirst(d, from, count);
          },
          [&](int k, V u)
              HWY_ATTR { hn::Store(u, d, to.panel(k, o / to.width) + c * to.width + o % to.width); });
    }
  }
}

void multiplyTiles(const Matrices& m, const Matrices& v, const Panels& weights, int64_t rows) {
  const int64_t width = weights.width;
  for (int64_t k = 0; k < products; k++) {
    for (int64_t p = 0; p < weights.count; p++) {
      for (int64_t from = 0; from < weights.depth; from += depthBlock) {
        const float* const panel = weights.panel(k, p) + from * width;
        multiplyPanel(Block<float>{v.row(k, 0) + from, v.columns, 1, panel, width,
                                   std::min(depthBlock, weights.depth - from), m.row(k, 0) + p * width,
                                   m.columns, width, from > 0},
                      rows);
      }
    }
  }
}

/// How many tiles a task takes. Few leave the transformed patches and products in the second-level cache;
/// many read the weights less often. Where all that does not fit, the two cost the same at C·O / 2(C + O)
/// tiles.
int64_t tilesPerTask(int64_t tiles, int64_t inputs, int64_t outputs) {
  constexpr int64_t nearFloats = 64 * 1024, mostFloats = 4 * 1024 * 1024;
  const int64_t perTile = products * (inputs + outputs);
  const int64_t wanted = std::max(nearFloats / perTile, inputs * outputs / (2 * (inputs + outputs)));
  // Small images make a handful of tasks all the same, for the threads to share.
  const int64_t most = std::min(std::max<int64_t>(1, mostFloats / perTile), (tiles + 3) / 4);
  return roundUp(std::clamp<int64_t>(wanted, 1, most), blockRows);
}

void filter(float* out, const float* x, const Panels& weights, const Epilogue<float>& epilogue,
            const Filtering& f) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  const int64_t inputs = roundUp(f.channels, lanes), outputs = weights.count * weights.width;
  const int64_t tiles = f.tiles();
  const int64_t rows = tilesPerTask(tiles, inputs, outputs);
  const int64_t tasks = (tiles + rows - 1) / rows;
  const bool relu = epilogue.activation.present() && epilogue.activation == UnaryOp::relu;
  const int64_t elsewhere = std::max(f.channels, f.outChannels);
  const int64_t sizeV = Matrices::size(rows, inputs), sizeM = Matrices::size(rows, outputs);
  const Buffer<float> zeros(f.channels);
  std::fill_n(zeros.data(), f.channels, 0.0f);
  Workspaces<float> spaces(tasks, sizeV + sizeM + elsewhere);
  parallel::forEach(tasks, [&](int64_t task) {
    const Workspaces<float>::Lease space(spaces);
    const Matrices v(space.data(), rows, inputs), m(space.data() + sizeV, rows, outputs);
    float* const nowhere = space.data() + sizeV + sizeM;
    const int64_t begin = task * rows, count = std::min(rows, tiles - begin);
    const float *pixels[products], *next[products];
    f.patch(begin, x, zeros.data(), next);
    for (int64_t i = 0; i < count; i++) {
      std::copy_n(next, products, pixels);
      f.patch(std::min(begin + i + 1, tiles - 1), x, zeros.data(), next);
      patchInto(pixels, next, f.channels, v, i);
    }
    multiplyTiles(m, v, weights, count);
    for (int64_t i = 0; i < count; i++) {
      float* targets[tileSide * tileSide];
      f.tile(begin + i, out, nowhere, targets);
      tileFrom(m, i, targets, f.outChannels, epilogue.bias, relu);
      if (!epilogue.activation.present() || relu) continue;
      for (float* pixel : targets) {
        if (pixel != nowhere)
          applyUnary(pixel, pixel, f.outChannels, epilogue.activation, epilogue.parameter, 0.0);
      }
    }
  });
}

int64_t panelsSize(const Filtering& f) { return Panels::size(f.channels, f.outChannels); }

/// Outputs go along the vectors, so the weights [out, 9, in] are turned over first.
void transformWeights(const float* weight, const Filtering& f, float* panels) {
  const Buffer<float> turned(9 * f.channels * f.outChannels);
  const NewPanels to(panels, f.channels, f.outChannels);
  parallel::forRange(f.channels, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < 9; t++) {
      for (int64_t o = 0; o < f.outChannels; o++) {
        const float* from = weight + (o * 9 + t) * f.channels;
        for (int64_t c = begin; c < end; c++) turned[(c * 9 + t) * f.outChannels + o] = from[c];
      }
    }
    weightsInto(to, turned.data(), f.outChannels, 9 * f.outChannels, f.outChannels, begin, end);
  });
}

void forward(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
             const Filtering& f, const float* kept) {
  const Buffer<float> panels(kept ? 0 : panelsSize(f));
  if (!kept) transformWeights(weight, f, panels.data());
  filter(out, x, {kept ? kept : panels.data(), f.channels, f.outChannels}, epilogue, f);
}

/// The gradient of the input: the same with the roles of the channels exchanged and the taps turned round.
void transposed(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
                const Filtering& f) {
  const Buffer<float> panels(panelsSize(f));
  const NewPanels to(panels.data(), f.channels, f.outChannels);
  parallel::forRange(f.channels, 16, [&](int64_t begin, int64_t end) {
    weightsInto(to, weight, -f.outChannels, 9 * f.outChannels, f.outChannels, begin, end);
  });
  filter(out, x, {panels.data(), f.channels, f.outChannels}, epilogue, f);
}

// ── the gradient of the weight
// ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// dU (+)= Yᵀ · V for matrix k, outputs × inputs, summed over `count` tiles.
void addProducts(const Matrices& sums, const Matrices& gradient, const Matrices& patches, int64_t k,
                 int64_t count, bool accumulate) {
  const int64_t width = panelWidth<float>();
  for (int64_t c = 0; c < sums.columns; c += width) {
    multiplyPanel(Block<float>{gradient.row(k, 0), 1, gradient.columns, patches.row(k, 0) + c,
                               patches.columns, count, sums.row(k, 0) + c, sums.columns, width, accumulate},
                  sums.rows);
  }
}

/// Gᵀ dU G for output o into weights [9, channels].
void weightGradientFrom(const Matrices& sums, int64_t o, float* out, int64_t channels) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < channels; c += lanes) {
    const int64_t count = std::min(lanes, channels - c);
    alongBoth<patchSide, 3>(
        WeightGradientTransform(), [&](int k) HWY_ATTR { return hn::Load(d, sums.row(k, o) + c); },
        [&](int t, V g) HWY_ATTR {
          if (count == lanes) {
            hn::StoreU(g, d, out + t * channels + c);
          } else {
            storeFirst(d, g, out + t * channels + c, count);
          }
        });
  }
}

/// Tiles whose patches and gradients are transformed before they are multiplied: enough for the sums, which
/// are read and written each time, not to weigh, and few enough for the third-level cache.
int64_t gradientTiles(int64_t inputs, int64_t outputs) {
  return std::clamp<int64_t>(900'000 / (products * (inputs + outputs)), 64, 192);
}

/// By batches of tiles, first all transforms, then the 36 products: each sum has one thread, which adds in
/// the order of the tiles.
void weightGradient(float* out, const float* x, const float* dy, const Filtering& f) {
  const int64_t inputs = roundUp(f.channels, panelWidth<float>()),
                lanes = static_cast<int64_t>(hn::Lanes(D()));
  const int64_t outputs = roundUp(f.outChannels, lanes);
  const int64_t tiles = f.tiles(), rows = std::min(tiles, gradientTiles(inputs, outputs));
  const Buffer<float> memory(Matrices::size(rows, inputs) + Matrices::size(rows, outputs) +
                             Matrices::size(f.outChannels, inputs)),
      zeros(std::max(f.channels, f.outChannels));
  std::fill_n(zeros.data(), std::max(f.channels, f.outChannels), 0.0f);
  const Matrices patches(memory.data(), rows, inputs);
  const Matrices gradients(memory.data() + Matrices::size(rows, inputs), rows, outputs);
  const Matrices sums(gradients.data + Matrices::size(rows, outputs), f.outChannels, inputs);
  for (int64_t begin = 0; begin < tiles; begin += rows) {
    const int64_t count = std::min(rows, tiles - begin);
    parallel::forRange(count, 8, [&](int64_t first, int64_t last) {
      const float *pixels[products], *next[products], *targets[tileSide * tileSide],
          *nextTargets[tileSide * tileSide];
      const float* const none = zeros.data();
      f.patch(begin + first, x, none, next);
      f.tile(begin + first, dy, none, nextTargets);
      for (int64_t i = first; i < last; i++) {
        std::copy_n(next, products, pixels);
        std::copy_n(nextTargets, tileSide * tileSide, targets);
        f.patch(std::min(begin + i + 1, tiles - 1), x, none, next);
        f.tile(std::min(begin + i + 1, tiles - 1), dy, none, nextTargets);
        patchInto(pixels, next, f.channels, patches, i);
        gradientInto(targets, nextTargets, f.outChannels, gradients, i);
      }
    });
    parallel::forEach(products,
                      [&](int64_t k) { addProducts(sums, gradients, patches, k, count, begin > 0); });
  }
  parallel::forRange(f.outChannels, 8, [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; o++) weightGradientFrom(sums, o, out + o * 9 * f.channels, f.channels);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

Filtering forwardFiltering(const Window& w) {
  return {w.batch,    w.height,      w.width,  w.channels, w.outHeight,
          w.outWidth, w.outChannels, w.padTop, w.padLeft};
}

/// Input y gathers the outputs from y + pad − 2 on.
Filtering transposedFiltering(const Window& w) {
  return {w.batch, w.outHeight, w.outWidth,   w.outChannels, w.height,
          w.width, w.channels,  2 - w.padTop, 2 - w.padLeft};
}

/// In multiplications: those of the products, and what the transforms cost beside them. Transformed weights
/// cost the more the less of them the caches hold; the numbers are measured.
bool pays(const Filtering& f) {
  const auto c = static_cast<double>(f.channels), o = static_cast<double>(f.outChannels);
  const double tiles = static_cast<double>(f.tiles());
  const double direct = 9.0 * static_cast<double>(f.batch * f.outHeight * f.outWidth) * c * o;
  const double weights = (8 + c * o / 4096) * c * o;
  return 36 * (tiles * (c * o + 20 * (c + o)) + weights) < direct;
}

}  // namespace

bool suitsWinograd(const Window& w) {
  return w.kernelHeight == 3 && w.kernelWidth == 3 && w.strideY == 1 && w.strideX == 1 && w.dilationY == 1 &&
         w.dilationX == 1 && w.groups == 1 &&
         (way == Way::best ? pays(forwardFiltering(w)) && pays(transposedFiltering(w))
                           : way == Way::winograd);
}

void winograd(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
              const Window& w, const float* panels) {
  AXPY_SIMD(forward)(out, x, weight, epilogue, forwardFiltering(w), panels);
}

int64_t winogradPanelsSize(const Window& w) { return AXPY_SIMD(panelsSize)(forwardFiltering(w)); }

void winogradTransform(const float* weight, const Window& w, float* panels) {
  AXPY_SIMD(transformWeights)(weight, forwardFiltering(w), panels);
}

void winogradTransposed(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
                        const Window& w) {
  AXPY_SIMD(transposed)(out, x, weight, epilogue, transposedFiltering(w));
}

void winogradWeightGradient(float* out, const float* x, const float* gradient, const Window& w) {
  AXPY_SIMD(weightGradient)(out, x, gradient, forwardFiltering(w));
}

}  // namespace axpy
#endif  // HWY_ONCE
