// Convolutions whose groups have few channels, one in the extreme (depthwise): a product would leave most of
// a vector empty. Vectors run along the outputs of several groups instead; where a group has several
// channels, the one that each output sees is brought to its lane.

#include "convolution.h"
#include "parallel.h"
#include "patches.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/grouped.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"
#include "product-inl.h"

#include <algorithm>
#include <array>

#ifndef AXPY_GROUPED_LANES
#define AXPY_GROUPED_LANES
namespace axpy {

/// How groups share a vector: as many as it holds, `outputs` lanes of results each, from a vector with
/// `width` lanes each.
struct Lanes {
  int64_t groups, width, outputs;
  int64_t all;    // lanes of a vector
  int64_t share;  // groups in one; 0 where too few fit for it to pay

  int64_t vectors() const { return (groups + share - 1) / share; }
  /// Of vector v: its first group, how many there are, the lanes that are read and those that are results.
  /// Where vectors are whole, the last one has some groups of the one before it.
  int64_t first(int64_t v) const {
    return share == all ? std::min(v * share, std::max<int64_t>(groups - all, 0)) : v * share;
  }
  int64_t count(int64_t v) const { return std::min(share, groups - first(v)); }
  bool isWhole(int64_t v) const { return count(v) * width == all && count(v) * outputs == all; }
  int64_t from(int64_t v) const { return first(v) * width; }
  int64_t to(int64_t v) const { return first(v) * outputs; }
};

/// Of a vector, at most: 64 bytes of float32.
constexpr int64_t mostLanes = 16;
/// Pixels of a block, each with its sums in a register.
constexpr int groupedRows = 6;
/// Neighbouring pixels of a block whose windows share what they read; most sides of images are multiples.
constexpr int slidingPixels = 7;
/// Sums of a block of the gradient of the weight.
constexpr int groupedTerms = 9;

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

template <class T>
Lanes lanesOf(int64_t groups, int64_t width, int64_t outputs) {
  const int64_t all = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const int64_t share = std::min(all, all / std::max(width, outputs));
  return {groups, width, outputs, all, width * outputs == 1 || share > 1 ? share : 0};
}

/// For each channel of the groups, the lane of the source for each lane of the result.
template <class T>
class Lookup {
 public:
  explicit Lookup(const Lanes& lanes) {
    for (int64_t c = 0; c < std::min(lanes.width, most); c++) {
      for (int64_t lane = 0; lane < lanes.all; lane++) {
        const bool isUsed = lane < lanes.share * lanes.outputs;
        indices_[c * lanes.all + lane] =
            static_cast<Index>(isUsed ? lane / lanes.outputs * lanes.width + c : 0);
      }
    }
  }
  HWY_INLINE auto operator()(const Lanes& lanes, int64_t c) const {
    return hn::SetTableIndices(hn::ScalableTag<T>(), indices_ + c * lanes.all);
  }

 private:
  using Index = std::conditional_t<sizeof(T) == sizeof(float), int32_t, int64_t>;
  static constexpr int64_t all = static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>()));
  /// Where several groups fit into a vector, each has at most half of it.
  static constexpr int64_t most = std::max<int64_t>(1, all / 2);
  HWY_ALIGN Index indices_[most * all];
};

/// The first `count` lanes, or all if `whole`.
template <bool whole, class D, class T>
HWY_INLINE hn::Vec<D> loadLanes(D d, const T* p, int64_t count) {
  if constexpr (whole) {
    return hn::LoadU(d, p);
  } else {
    return loadFirst(d, p, count);
  }
}

/// c = Σ over taps and channels of a · weights for a block of rows, in the lanes of vector v: all of them if
/// `whole`; one channel a group and one output if `alone`.
template <bool alone, bool whole, class T>
void sumGroups(const Row<T>* rows, const Lanes& lanes, int64_t v, const int64_t* taps, int64_t count,
               const T* HWY_RESTRICT weights, const Lookup<T>& lookup) {
  const hn::ScalableTag<T> d;
  const int64_t used = lanes.count(v) * lanes.width, made = lanes.count(v) * lanes.outputs;
  const T* from[groupedRows];
  hn::Vec<decltype(d)> sums[groupedRows];
  for (int i = 0; i < groupedRows; i++) {
    from[i] = rows[i].a + lanes.from(v);
    sums[i] = hn::Zero(d);
  }
  for (int64_t t = 0; t < count; t++) {
    const int64_t at = taps[t];
    if constexpr (alone) {
      const auto w = hn::Load(d, weights);
      weights += lanes.all;
      for (int i = 0; i < groupedRows; i++) {
        sums[i] = hn::MulAdd(loadLanes<whole>(d, from[i] + at, used), w, sums[i]);
      }
    } else {
      hn::Vec<decltype(d)> x[groupedRows];
      for (int i = 0; i < groupedRows; i++) x[i] = loadLanes<whole>(d, from[i] + at, used);
      for (int64_t c = 0; c < lanes.width; c++, weights += lanes.all) {
        const auto w = hn::Load(d, weights);
        const auto indices = lookup(lanes, c);
        for (int i = 0; i < groupedRows; i++) {
          sums[i] = hn::MulAdd(hn::TableLookupLanes(x[i], indices), w, sums[i]);
        }
      }
    }
  }
  for (int i = 0; i < groupedRows; i++) {
    if constexpr (whole) {
      hn::StoreU(sums[i], d, rows[i].c + lanes.to(v));
    } else {
      storeFirst(d, sums[i], rows[i].c + lanes.to(v), made);
    }
  }
}

/// What sumSliding reads and writes: windows of `down` lines of taps, which are `line` elements times
/// lines[i] from `from` on, and whose pixels are `across` apart. Of those that the block sees, [begin, end)
/// are in the image; the first `count` sums are stored, sum i at i · spacing.
template <class T>
struct Sliding {
  const T* from;
  const int64_t* lines;
  int64_t down, line, across, begin, end;
  T* to;
  int64_t spacing, count;
};

/// The sums of slidingPixels windows, taps × any number of lines, `step` pixels apart, in a whole vector of
/// channels that are groups of their own. What several windows see is read once. Only of a block at an `edge`
/// are `begin`, `end` and `count` looked at.
template <int taps, int step, bool edge, class T>
void sumSliding(const Sliding<T>& s, const T* HWY_RESTRICT weights) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sums[slidingPixels];
  for (int i = 0; i < slidingPixels; i++) sums[i] = hn::Zero(d);
  for (int64_t line = 0; line < s.down; line++, weights += taps * lanes) {
    const T* const from = s.from + s.lines[line] * s.line;
    V w[taps];
    for (int j = 0; j < taps; j++) w[j] = hn::Load(d, weights + j * lanes);
    unrolled<(slidingPixels - 1) * step + taps>([&](auto at) HWY_ATTR {
      if (edge && (at < s.begin || at >= s.end)) return;
      const V x = hn::LoadU(d, from + at * s.across);
      unrolled<slidingPixels>([&](auto i) HWY_ATTR {
        constexpr int tap = decltype(at)::value - decltype(i)::value * step;
        if constexpr (tap >= 0 && tap < taps) sums[i] = hn::MulAdd(x, w[tap], sums[i]);
      });
    });
  }
  unrolled<slidingPixels>([&](auto i) HWY_ATTR {
    if (!edge || i < s.count) hn::StoreU(sums[i], d, s.to + i * s.spacing);
  });
}

template <class T>
using SumSliding = void (*)(const Sliding<T>&, const T*);

/// The version for windows so many taps wide, so many pixels apart, or null.
template <bool edge, class T>
SumSliding<T> slidingFor(int64_t taps, int64_t step) {
  constexpr SumSliding<T> next[] = {nullptr,
                                    sumSliding<1, 1, edge, T>,
                                    sumSliding<2, 1, edge, T>,
                                    sumSliding<3, 1, edge, T>,
                                    sumSliding<4, 1, edge, T>,
                                    sumSliding<5, 1, edge, T>,
                                    nullptr,
                                    sumSliding<7, 1, edge, T>};
  if (step == 1) return taps <= 7 ? next[taps] : nullptr;
  if (step != 2) return nullptr;
  return taps == 3 ? sumSliding<3, 2, edge, T> : taps == 5 ? sumSliding<5, 2, edge, T> : nullptr;
}

/// Whether slideTile computes it.
template <class T>
bool slides(const Gather& gather, const Lanes& lanes) {
  return lanes.width * lanes.outputs == 1 && lanes.groups >= lanes.all && gather.x.isRun() &&
         slidingFor<false, T>(gather.x.size(), gather.x.step) != nullptr;
}

/// A tile of the result from the image as it lies.
template <class T>
void slideTile(T* out, int64_t height, int64_t width, const T* x, const Gather& gather, const Tile& tile,
               const Lanes& lanes, const T* weights) {
  const Axis &down = gather.y, &across = gather.x;
  const int64_t taps = across.size(), channels = lanes.groups;
  const auto inside = slidingFor<false, T>(taps, across.step), edge = slidingFor<true, T>(taps, across.step);
  const int64_t seen = (slidingPixels - 1) * across.step + taps;
  // As many vectors of a line, one after the other, as leave in the first-level cache what windows share; all
  // of them where one takes more, so that memory is read in its order.
  const int64_t lineSize = (tile.width * across.step + taps) * (down.size() + down.step) * lanes.all;
  const int64_t some = lineSize > 6144 ? lanes.vectors() : 6144 / lineSize;
  for (int64_t first = 0; first < lanes.vectors(); first += some) {
    for (int64_t row = tile.row; row < tile.row + tile.rows; row++) {
      const int64_t top = row % down.count * down.step;
      int64_t begin = 0, end = down.size();
      while (begin < end && top + down.offsets[static_cast<size_t>(begin)] < 0) begin++;
      while (end > begin && top + down.offsets[static_cast<size_t>(end - 1)] >= down.source) end--;
      const int64_t line = (row / down.count * down.source + top) * across.source;
      T* const to = out + gather.target(row, tile.left, height, width) * channels;
      for (int64_t i = 0; i < tile.width; i += slidingPixels) {
        const int64_t left = (tile.left + i) * across.step + across.offsets[0];
        Sliding<T> block{nullptr,
                         down.offsets.data() + begin,
                         end - begin,
                         across.source * channels,
                         channels,
                         std::max<int64_t>(0, -left),
                         std::min(seen, across.source - left),
                         nullptr,
                         across.spacing * channels,
                         std::min<int64_t>(slidingPixels, tile.width - i)};
        const bool isInside = block.begin == 0 && block.end == seen && block.count == slidingPixels;
        const auto slide = isInside ? inside : edge;
        for (int64_t v = first; v < std::min(first + some, lanes.vectors()); v++) {
          block.from = x + (line + left) * channels + lanes.from(v);
          block.to = to + i * block.spacing + lanes.to(v);
          slide(block, weights + (v * down.size() + begin) * taps * lanes.all);
        }
      }
    }
  }
}

/// The same for any number of rows and all vectors; `nowhere` takes the results of a row.
template <class T>
void sumGroupsOfRows(const Row<T>* rows, int64_t count, const Lanes& lanes, const int64_t* taps,
                     int64_t tapCount, const T* weights, T* nowhere) {
  const bool alone = lanes.width * lanes.outputs == 1;
  const auto sum = alone ? sumGroups<true, false, T> : sumGroups<false, false, T>;
  const auto sumWhole = alone ? sumGroups<true, true, T> : sumGroups<false, true, T>;
  const Lookup<T> lookup(lanes);
  const int64_t whole = count / groupedRows * groupedRows;
  Row<T> last[groupedRows];
  if (whole < count) {
    std::fill_n(last, groupedRows, Row<T>{rows[whole].a, nowhere});
    std::copy_n(rows + whole, count - whole, last);
  }
  // Two vectors of all rows, one after the other, so that what windows share is in the first-level cache.
  constexpr int64_t some = 2;
  for (int64_t first = 0; first < lanes.vectors(); first += some) {
    const int64_t end = std::min(first + some, lanes.vectors());
    for (int64_t i = 0; i < count; i += groupedRows) {
      for (int64_t v = first; v < end; v++) {
        (lanes.isWhole(v) ? sumWhole : sum)(i < whole ? rows + i : last, lanes, v, taps, tapCount,
                                            weights + v * tapCount * lanes.width * lanes.all, lookup);
      }
    }
  }
}

/// sums (+)= Σ over pixels of x · gradient for groupedTerms terms in the lanes of vector v: those of a tap at
/// offsets[i] and channel channels[i].
template <bool alone, bool whole, class T>
void sumTerms(T* const* sums, const Lanes& lanes, int64_t v, const T* x, const int64_t* offsets,
              const int64_t* channels, const Runs& runs, const T* gradient, int64_t line, int64_t step,
              bool accumulate, const Lookup<T>& lookup) {
  const hn::ScalableTag<T> d;
  const int64_t used = lanes.count(v) * lanes.width, made = lanes.count(v) * lanes.outputs;
  hn::Vec<decltype(d)> s[groupedTerms];
  int64_t at[groupedTerms];
  for (int i = 0; i < groupedTerms; i++) {
    s[i] = hn::Zero(d);
    at[i] = offsets[i];
  }
  for (int64_t r = 0; r < runs.count; r++) {
    const T* from = x + runs.offsets[r] + lanes.from(v);
    const T* dy = gradient + r * line + lanes.to(v);
    for (int64_t k = 0; k < runs.length; k++, from += runs.step, dy += step) {
      const auto g = loadLanes<whole>(d, dy, made);
      for (int i = 0; i < groupedTerms; i++) {
        auto value = loadLanes<whole>(d, from + at[i], used);
        if constexpr (!alone) value = hn::TableLookupLanes(value, lookup(lanes, channels[i]));
        s[i] = hn::MulAdd(value, g, s[i]);
      }
    }
  }
  for (int i = 0; i < groupedTerms; i++) {
    hn::Store(accumulate ? hn::Add(hn::Load(d, sums[i]), s[i]) : s[i], d, sums[i]);
  }
}

/// The same for all terms and vectors. sums: [vector][tap][channel][lane], and behind them a vector for what
/// nobody reads.
template <class T>
void sumAllTerms(T* sums, const Lanes& lanes, const T* x, const int64_t* taps, int64_t tapCount,
                 const Runs& runs, const T* gradient, int64_t line, int64_t step, bool accumulate) {
  const bool alone = lanes.width * lanes.outputs == 1;
  const auto sum = alone ? sumTerms<true, false, T> : sumTerms<false, false, T>;
  const auto sumWhole = alone ? sumTerms<true, true, T> : sumTerms<false, true, T>;
  const Lookup<T> lookup(lanes);
  const int64_t terms = tapCount * lanes.width;
  T* const nowhere = sums + lanes.vectors() * terms * lanes.all;
  for (int64_t v = 0; v < lanes.vectors(); v++) {
    for (int64_t first = 0; first < terms; first += groupedTerms) {
      T* to[groupedTerms];
      int64_t offsets[groupedTerms], channels[groupedTerms];
      for (int64_t i = 0; i < groupedTerms; i++) {
        const int64_t term = std::min(first + i, terms - 1);
        to[i] = first + i < terms ? sums + (v * terms + term) * lanes.all : nowhere;
        offsets[i] = taps[term / lanes.width];
        channels[i] = term % lanes.width;
      }
      (lanes.isWhole(v) ? sumWhole : sum)(to, lanes, v, x, offsets, channels, runs, gradient, line, step,
                                          accumulate, lookup);
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {
namespace {

/// Pixels of a tile: as many as leave it in the second-level cache.
int64_t tilePixels(const Gather& gather, int64_t channels, int64_t outChannels) {
  const double pixels = std::clamp(pixelsOf(196608, gather, channels, outChannels), 48.0, 1024.0);
  const int64_t shared = std::max<int64_t>(48, gather.pixels() / 16);
  return std::min(shared, static_cast<int64_t>(pixels));
}

/// out = epilogue(patches of x · weights), where weightOf(group, output, tap, channel) is a weight.
template <class T, class F>
void convolveGroups(T* out, int64_t targetHeight, int64_t targetWidth, const T* x, const Gather& gather,
                    const Lanes& lanes, const Epilogue<T>& epilogue, const F& weightOf) {
  if (gather.pixels() == 0) return;
  const int64_t channels = lanes.groups * lanes.width, outChannels = lanes.groups * lanes.outputs;
  const int64_t perVector = gather.taps() * lanes.width * lanes.all;
  const Buffer<T> weights(lanes.vectors() * perVector);
  parallel::forRange(lanes.vectors(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; v++) {
      T* to = weights.data() + v * perVector;
      std::fill_n(to, perVector, T(0));
      for (const int64_t i : gather.y.taps) {
        for (const int64_t j : gather.x.taps) {
          for (int64_t c = 0; c < lanes.width; c++, to += lanes.all) {
            for (int64_t lane = 0; lane < lanes.count(v) * lanes.outputs; lane++) {
              to[lane] = weightOf(lanes.first(v) + lane / lanes.outputs, lane % lanes.outputs, i, j, c);
            }
          }
        }
      }
    }
  });
  const Tiles tiles(gather, tilePixels(gather, channels, outChannels));
  const int64_t spacing = gather.x.spacing * outChannels;
  if (AXPY_SIMD(slides<T>)(gather, lanes)) {
    const auto slide = AXPY_SIMD(slideTile<T>);
    return parallel::forEach(tiles.count(), [&](int64_t task) {
      const Tile tile = tiles[task];
      slide(out, targetHeight, targetWidth, x, gather, tile, lanes, weights.data());
      if (!epilogue.present()) return;
      for (int64_t row = tile.row; row < tile.row + tile.rows; row++) {
        epilogue.apply(out + gather.target(row, tile.left, targetHeight, targetWidth) * outChannels, spacing,
                       tile.width, outChannels, 0);
      }
    });
  }
  const Patches<T> patches(gather, channels, lanes.width, tiles, false);
  Workspaces<T> spaces(tiles.count(), patches.size() + outChannels);
  Workspaces<Row<T>> rowSpaces(tiles.count(), tiles.rows() * tiles.width());
  Workspaces<int64_t> lineSpaces(tiles.count(), tiles.rows());
  const auto run = AXPY_SIMD(sumGroupsOfRows<T>);
  parallel::forEach(tiles.count(), [&](int64_t task) {
    const typename Workspaces<T>::Lease space(spaces);
    const typename Workspaces<Row<T>>::Lease rows(rowSpaces);
    const typename Workspaces<int64_t>::Lease lines(lineSpaces);
    const Tile tile = tiles[task];
    const T* const base = patches.gather(tile, x, space.data(), lines.data());
    for (int64_t r = 0; r < tile.rows; r++) {
      T* const row = out + gather.target(tile.row + r, tile.left, targetHeight, targetWidth) * outChannels;
      for (int64_t i = 0; i < tile.width; i++) {
        rows.data()[r * tile.width + i] = {base + lines.data()[r] + i * patches.step(), row + i * spacing};
      }
    }
    run(rows.data(), tile.pixels(), lanes, patches.taps().data(), gather.taps(), weights.data(),
        space.data() + patches.size());
    if (!epilogue.present()) return;
    for (int64_t r = 0; r < tile.rows; r++) {
      epilogue.apply(rows.data()[r * tile.width].c, spacing, tile.width, outChannels, 0);
    }
  });
}

}  // namespace

template <class T>
bool suitsGrouped(const Window& w) {
  return way == Way::best && w.groups > 1 &&
         AXPY_SIMD(lanesOf<T>)(w.groups, w.groupChannels(), w.groupOutChannels()).share > 0;
}

template <class T>
void grouped(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const Lanes lanes = AXPY_SIMD(lanesOf<T>)(w.groups, width, outputs);
  convolveGroups(
      out, w.outHeight, w.outWidth, x, forwardGather(w), lanes, epilogue,
      [&](int64_t group, int64_t o, int64_t i, int64_t j, int64_t c) {
        return weight[(((group * outputs + o) * w.kernelHeight + i) * w.kernelWidth + j) * width + c];
      });
}

template <class T>
void groupedTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const Lanes lanes = AXPY_SIMD(lanesOf<T>)(w.groups, outputs, width);
  forPhases(out, epilogue, w, [&](const Gather& gather) {
    convolveGroups(
        out, w.height, w.width, x, gather, lanes, epilogue,
        [&](int64_t group, int64_t c, int64_t i, int64_t j, int64_t o) {
          return weight[(((group * outputs + o) * w.kernelHeight + i) * w.kernelWidth + j) * width + c];
        });
  });
}

template <class T>
void groupedWeightGradient(T* out, const T* x, const T* gradient, const Window& w) {
  const Gather gather = forwardGather(w);
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const Lanes lanes = AXPY_SIMD(lanesOf<T>)(w.groups, width, outputs);
  const int64_t terms = gather.taps() * width;
  const Tiles tiles(gather, tilePixels(gather, w.channels, w.outChannels));
  const Patches<T> patches(gather, w.channels, width, tiles, false);
  // As many parts as the sizes alone determine, each summed in order, and then the parts in order.
  const int64_t wanted = std::min<int64_t>(tiles.count(), 16),
                perPart = (tiles.count() + wanted - 1) / wanted;
  const int64_t parts = (tiles.count() + perPart - 1) / perPart;
  const int64_t size = (lanes.vectors() * terms + 1) * lanes.all;
  const Buffer<T> sums(parts * size);
  Workspaces<T> spaces(parts, patches.size());
  Workspaces<int64_t> lineSpaces(parts, tiles.rows());
  const auto run = AXPY_SIMD(sumAllTerms<T>);
  parallel::forEach(parts, [&](int64_t part) {
    const typename Workspaces<T>::Lease space(spaces);
    const typename Workspaces<int64_t>::Lease lines(lineSpaces);
    for (int64_t t = part * perPart; t < std::min(tiles.count(), (part + 1) * perPart); t++) {
      const Tile tile = tiles[t];
      const T* const base = patches.gather(tile, x, space.data(), lines.data());
      const int64_t line = gather.x.count * w.outChannels;
      run(sums.data() + part * size, lanes, base, patches.taps().data(), gather.taps(),
          Runs{lines.data(), tile.rows, tile.width, patches.step()},
          gradient + tile.row * line + tile.left * w.outChannels, line, w.outChannels, t > part * perPart);
    }
  });
  parallel::forRange(lanes.vectors(), 2, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin * terms; row < end * terms; row++) {
      const int64_t v = row / terms, term = row % terms;
      std::array<double, mostLanes> total{};
      for (int64_t part = 0; part < parts; part++) {
        const T* const from = sums.data() + part * size + row * lanes.all;
        for (int64_t lane = 0; lane < lanes.all; lane++)
          total[static_cast<size_t>(lane)] += static_cast<double>(from[lane]);
      }
      // Not those that the vector before it has as well.
      for (int64_t lane = v * lanes.share * outputs - lanes.to(v); lane < lanes.count(v) * outputs; lane++)
        out[(lanes.to(v) + lane) * terms + term] = static_cast<T>(total[static_cast<size_t>(lane)]);
    }
  });
}

#define AXPY_INSTANTIATE(T)                                                                   \
  template bool suitsGrouped<T>(const Window&);                                               \
  template void grouped(T*, const T*, const T*, const Epilogue<T>&, const Window&);           \
  template void groupedTransposed(T*, const T*, const T*, const Epilogue<T>&, const Window&); \
  template void groupedWeightGradient(T*, const T*, const T*, const Window&)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
