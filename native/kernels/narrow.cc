// The gradient of the weight of a convolution with few outputs, or a number of them that would leave much of
// a vector empty: vectors run along the terms of the windows, which lie side by side, and a block has some
// outputs. So it is the same product as in direct.cc with its factors exchanged.

#include "convolution.h"
#include "parallel.h"
#include "patches.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/narrow.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"
#include "product-inl.h"

#include <algorithm>
#include <utility>

#ifndef AXPY_NARROW_BLOCK
#define AXPY_NARROW_BLOCK
namespace axpy {

/// sums (+)= Σ over pixels of gradient · window: `columns` terms of each output, from where `x` points; rows
/// of sums are `stride` apart. Line r of windows is at lines.offsets[r], its gradients at r · line.
template <class T>
struct NarrowBlock {
  const T* x;
  Runs lines;
  const T* gradient;
  int64_t line, outputs;
  T* sums;
  int64_t stride, columns;
  bool accumulate;
};

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// For `rows` outputs and up to `vectors` vectors of terms, all of them if `whole`.
template <int rows, int vectors, bool whole, class T>
void sumBlock(const NarrowBlock<T>& block) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = vectorLanes<T>(), left = block.columns - (vectors - 1) * lanes;
  V sums[rows][vectors];
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) sums[i][v] = hn::Zero(d);
  }
  for (int64_t r = 0; r < block.lines.count; r++) {
    const T* from = block.x + block.lines.offsets[r];
    const T* gradient = block.gradient + r * block.line;
    for (int64_t k = block.lines.length; k > 0; k--) {
      V x[vectors];
      for (int v = 0; v < vectors; v++) {
        x[v] =
            whole || v + 1 < vectors ? hn::LoadU(d, from + v * lanes) : loadFirst(d, from + v * lanes, left);
      }
      unrolled<rows>([&](auto i) HWY_ATTR {
        const V dy = hn::Set(d, gradient[i]);
        for (int v = 0; v < vectors; v++) sums[i][v] = hn::MulAdd(dy, x[v], sums[i][v]);
      });
      from += block.lines.step;
      gradient += block.outputs;
    }
  }
  unrolled<rows>([&](auto i) HWY_ATTR {
    for (int v = 0; v < vectors; v++) {
      T* const to = block.sums + i * block.stride + v * lanes;
      const int64_t count = v + 1 < vectors ? lanes : left;
      const V sum = block.accumulate ? hn::Add(loadFirst(d, to, count), sums[i][v]) : sums[i][v];
      storeFirst(d, sum, to, count);
    }
  });
}

template <int vectors, bool whole, class T, int... rows>
HWY_INLINE void sumSome(const NarrowBlock<T>& block, int64_t count, std::integer_sequence<int, rows...>) {
  using Function = void (*)(const NarrowBlock<T>&);
  static constexpr Function functions[] = {sumBlock<rows + 1, vectors, whole, T>...};
  functions[count - 1](block);
}

/// The same for all outputs and the terms of a run, `run` of them.
template <class T>
void sumRun(NarrowBlock<T> block, int64_t run) {
  constexpr auto all = std::make_integer_sequence<int, blockRows>();
  const int64_t lanes = vectorLanes<T>(), outputs = block.outputs;
  const T *const x = block.x, *const gradient = block.gradient;
  T* const sums = block.sums;
  const int64_t blocks = (outputs + blockRows - 1) / blockRows;
  for (int64_t k = 0; k < run; k += 2 * lanes) {
    block.x = x + k;
    block.columns = std::min(run - k, 2 * lanes);
    for (int64_t i = 0; i < blocks; i++) {
      const int64_t begin = i * outputs / blocks, count = (i + 1) * outputs / blocks - begin;
      block.gradient = gradient + begin;
      block.sums = sums + begin * block.stride + k;
      if (block.columns == 2 * lanes) {
        sumSome<2, true>(block, count, all);
      } else if (block.columns > lanes) {
        sumSome<2, false>(block, count, all);
      } else {
        sumSome<1, false>(block, count, all);
      }
    }
  }
}

template <class T>
int64_t narrowLanes() {
  return vectorLanes<T>();
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

/// By the multiplications of vectors that a pixel takes in either way. With one output each of them waits for
/// two loads.
template <class T>
bool suitsNarrow(const Window& w) {
  if (way != Way::best || w.groups > 1) return false;
  const int64_t lanes = AXPY_SIMD(narrowLanes<T>)();
  const auto vectors = [lanes](int64_t n) { return (n + lanes - 1) / lanes; };
  const int64_t run = w.channels * (w.dilationX == 1 ? w.kernelWidth : 1),
                runs = w.kernelHeight * w.kernelWidth * w.channels / run;
  const int64_t narrow = std::max<int64_t>(2, w.outChannels) * runs * vectors(run),
                direct = vectors(w.outChannels) * runs * run;
  return 5 * narrow < 4 * direct;
}

template <class T>
void narrowWeightGradient(T* out, const T* x, const T* gradient, const Window& w) {
  const Gather gather = flattened(forwardGather(w));
  const int64_t terms = gather.taps() * w.channels, size = w.outChannels * terms;
  // What a tile reads stays in the first-level cache while all terms and outputs pass by.
  const double pixels = std::clamp(pixelsOf(8192, gather, w.channels, w.outChannels), 64.0, 512.0);
  const Tiles tiles(gather, static_cast<int64_t>(pixels));
  const Patches<T> patches(gather, w.channels, w.channels, tiles, false);
  // Parts that the sizes alone determine, each summed in order, and then the parts in order.
  const int64_t most = std::clamp<int64_t>(1'000'000 / size, 1, 16),
                perPart = (tiles.count() + most - 1) / most, parts = (tiles.count() + perPart - 1) / perPart;
  const Buffer<T> sums((parts - 1) * size);
  Workspaces<T> spaces(parts, patches.size());
  Workspaces<int64_t> lineSpaces(parts, tiles.rows());
  const auto run = AXPY_SIMD(sumRun<T>);
  parallel::forEach(parts, [&](int64_t part) {
    const typename Workspaces<T>::Lease space(spaces);
    const typename Workspaces<int64_t>::Lease lines(lineSpaces);
    T* const to = part == 0 ? out : sums.data() + (part - 1) * size;
    const int64_t line = gather.x.count * w.outChannels;
    for (int64_t t = part * perPart; t < std::min(tiles.count(), (part + 1) * perPart); t++) {
      const Tile tile = tiles[t];
      const T* const base = patches.gather(tile, x, space.data(), lines.data());
      for (size_t s = 0; s < patches.runs().size(); s++) {
        run({base + patches.runs()[s],
             {lines.data(), tile.rows, tile.width, patches.step()},
             gradient + tile.row * line + tile.left * w.outChannels,
             line,
             w.outChannels,
             to + static_cast<int64_t>(s) * patches.run(),
             terms,
             0,
             t > part * perPart},
            patches.run());
      }
    }
  });
  parallel::forRange(parts > 1 ? size : 0, parallel::heavyChunk, [&](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts - 1; part++) {
      const T* const other = sums.data() + part * size;
      for (int64_t i = begin; i < end; i++) out[i] += other[i];
    }
  });
}

#define AXPY_INSTANTIATE(T)                    \
  template bool suitsNarrow<T>(const Window&); \
  template void narrowWeightGradient(T*, const T*, const T*, const Window&)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
