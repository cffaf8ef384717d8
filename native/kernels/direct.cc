// Direct convolution: products whose rows are the patches of pixels where they lie in the image, so that
// nothing is multiplied out in memory. Blocks of pixels times outputs stay in registers. The gradient of the
// weight is such a product too: its rows are the terms of the patches, its sums run over pixels.

#include "convolution.h"
#include "parallel.h"
#include "patches.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/direct.cc"
#include "hwy/foreach_target.h"

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>

#ifndef AXPY_DIRECT_DOTS
#define AXPY_DIRECT_DOTS
namespace axpy {

/// As many outputs may be summed by vectors along the terms.
constexpr int mostDots = 8;

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// Rows of a block; with two vectors across, what the registers hold.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int blockRows = 12;
#else
constexpr int blockRows = 6;
#endif

/// c (+)= a · panel for `count` rows, each `vectors` vectors of which the first `columns` elements are
/// stored, from column `first` on. A run has at least one term.
template <int count, int vectors, class T>
void multiplyBlock(const Row<T>* rows, int64_t first, const Runs& runs, const T* HWY_RESTRICT panel,
                   int64_t columns, bool accumulate, int64_t ahead) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sums[count][vectors];
  const T* from[count];
  for (int i = 0; i < count; i++) {
    from[i] = rows[i].a;
    for (int v = 0; v < vectors; v++) sums[i][v] = hn::Zero(d);
  }
  // What is read and stored to some blocks later is fetched on the way.
  if (ahead > 0) {
    for (int i = 0; i < count; i++) {
      for (int v = 0; v < vectors; v++) hwy::Prefetch(rows[i + ahead].c + first + v * lanes);
      hwy::Prefetch(rows[i + ahead].a + std::min(first, runs.length - 1));
    }
  }
  for (int64_t s = 0; s < runs.count; s++) {
    int64_t at = runs.offsets[s];
    const T* const end = panel + runs.length * vectors * lanes;
    do {
      V b[vectors];
      for (int v = 0; v < vectors; v++) b[v] = hn::Load(d, panel + v * lanes);
      for (int i = 0; i < count; i++) {
        const V value = hn::Set(d, from[i][at]);
        for (int v = 0; v < vectors; v++) sums[i][v] = hn::MulAdd(value, b[v], sums[i][v]);
      }
      at += runs.step;
      panel += vectors * lanes;
    } while (panel != end);
  }
  // Apart, so that each loop is short enough for the compiler to leave the sums in registers.
  if (columns == vectors * lanes && accumulate) {
    for (int i = 0; i < count; i++) {
      T* const to = rows[i].c + first;
      for (int v = 0; v < vectors; v++)
        hn::StoreU(hn::Add(hn::LoadU(d, to + v * lanes), sums[i][v]), d, to + v * lanes);
    }
  } else if (columns == vectors * lanes) {
    for (int i = 0; i < count; i++) {
      T* const to = rows[i].c + first;
      for (int v = 0; v < vectors; v++) hn::StoreU(sums[i][v], d, to + v * lanes);
    }
  } else {
    for (int i = 0; i < count; i++) {
      T* const to = rows[i].c + first;
      for (int v = 0; v < vectors; v++) {
        const int64_t left = std::min(columns - v * lanes, lanes);
        if (left <= 0) break;
        const V sum = accumulate ? hn::Add(loadFirst(d, to + v * lanes, left), sums[i][v]) : sums[i][v];
        storeFirst(d, sum, to + v * lanes, left);
      }
    }
  }
}

// ── few outputs
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Rows of a block whose sums are vectors along the terms, one for each output.
constexpr int rowsOfDots(int outputs) { return std::max(1, std::min(blockRows, 2 * blockRows / outputs)); }

/// c = a · weights for rowsOfDots rows. Of each vector of terms, the weights of one output after the other.
template <int outputs, class T>
void dotBlock(const Row<T>* rows, const Runs& runs, const T* HWY_RESTRICT weights) {
  constexpr int count = rowsOfDots(outputs);
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sums[count][outputs];
  const T* from[count];
  for (int i = 0; i < count; i++) {
    from[i] = rows[i].a;
    for (int o = 0; o < outputs; o++) sums[i][o] = hn::Zero(d);
  }
  const int64_t whole = runs.length / lanes * lanes, left = runs.length - whole;
  for (int64_t s = 0; s < runs.count; s++) {
    const int64_t end = runs.offsets[s] + whole;
    int64_t at = runs.offsets[s];
    for (; at < end; at += lanes) {
      for (int i = 0; i < count; i++) {
        const V value = hn::LoadU(d, from[i] + at);
        for (int o = 0; o < outputs; o++)
          sums[i][o] = hn::MulAdd(value, hn::Load(d, weights + o * lanes), sums[i][o]);
      }
      weights += outputs * lanes;
    }
    if (left == 0) continue;
    for (int i = 0; i < count; i++) {
      const V value = loadFirst(d, from[i] + at, left);
      for (int o = 0; o < outputs; o++)
        sums[i][o] = hn::MulAdd(value, hn::Load(d, weights + o * lanes), sums[i][o]);
    }
    weights += outputs * lanes;
  }
  for (int i = 0; i < count; i++) {
    for (int o = 0; o < outputs; o++) rows[i].c[o] = hn::GetLane(hn::SumOfLanes(d, sums[i][o]));
  }
}

template <int outputs, class T>
void dotRowsOf(const Row<T>* rows, int64_t count, const Runs& runs, const T* weights, T* nowhere) {
  constexpr int64_t atOnce = rowsOfDots(outputs);
  int64_t i = 0;
  for (; i + atOnce <= count; i += atOnce) dotBlock<outputs>(rows + i, runs, weights);
  if (i == count) return;
  Row<T> last[atOnce];
  std::fill_n(last, atOnce, Row<T>{rows[i].a, nowhere});
  std::copy_n(rows + i, count - i, last);
  dotBlock<outputs>(last, runs, weights);
}

/// multiplyRows for up to mostDots columns, with weights as arrangeDots leaves them.
template <class T>
void dotRows(const Row<T>* rows, int64_t count, const Runs& runs, const T* weights, int64_t outputs,
             T* nowhere) {
  using Function = void (*)(const Row<T>*, int64_t, const Runs&, const T*, T*);
  constexpr Function functions[] = {dotRowsOf<1, T>, dotRowsOf<2, T>, dotRowsOf<3, T>, dotRowsOf<4, T>,
                                    dotRowsOf<5, T>, dotRowsOf<6, T>, dotRowsOf<7, T>, dotRowsOf<8, T>};
  static_assert(sizeof(functions) / sizeof(Function) == mostDots);
  functions[outputs - 1](rows, count, runs, weights, nowhere);
}

/// Elements that arrangeDots writes.
template <class T>
int64_t sizeOfDots(int64_t runs, int64_t length, int64_t outputs) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return runs * ((length + lanes - 1) / lanes * lanes) * outputs;
}

/// A panel, `width` wide, for dotRows; each run is filled up with zeros to whole vectors.
template <class T>
void arrangeDots(T* to, const T* panel, int64_t width, int64_t runs, int64_t length, int64_t outputs) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  for (int64_t s = 0; s < runs; s++, panel += length * width) {
    for (int64_t k = 0; k < length; k += lanes) {
      for (int64_t o = 0; o < outputs; o++) {
        for (int64_t l = k; l < k + lanes; l++) *to++ = l < length ? panel[l * width + o] : T(0);
      }
    }
  }
}

// ── packing
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Columns of a panel: two vectors, or one where that is enough.
template <class T>
int64_t panelWidth(int64_t columns) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return columns <= lanes ? lanes : 2 * lanes;
}

/// multiplyBlock for any number of rows. The last block has whole rows, those too many of which end in
/// `nowhere`.
template <class T>
void multiplyRows(const Row<T>* rows, int64_t count, int64_t first, const Runs& runs, const T* panel,
                  int64_t columns, bool accumulate, T* nowhere, int64_t ahead, int64_t valid) {
  const bool isWide = panelWidth<T>(columns) != panelWidth<T>(1);
  const auto whole = isWide ? multiplyBlock<blockRows, 2, T> : multiplyBlock<blockRows, 1, T>;
  const auto half = isWide ? multiplyBlock<blockRows / 2, 2, T> : multiplyBlock<blockRows / 2, 1, T>;
  int64_t i = 0;
  for (; i + blockRows <= count; i += blockRows)
    whole(rows + i, first, runs, panel, columns, accumulate, ahead <= valid - i - blockRows ? ahead : 0);
  if (i == count) return;
  Row<T> last[blockRows];
  std::fill_n(last, blockRows, Row<T>{rows[i].a, nowhere - first});
  std::copy_n(rows + i, count - i, last);
  (count - i > blockRows / 2 ? whole : half)(last, first, runs, panel, columns, accumulate, 0);
}

/// Rows of `count` elements, `stride` apart, into rows of `width`, which is whole vectors, with zeros behind.
template <class T>
void copyRows(T* HWY_RESTRICT to, int64_t width, const T* HWY_RESTRICT from, int64_t stride, int64_t rows,
              int64_t count) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; r++, from += stride) {
    int64_t j = 0;
    // Two at a time: of a loop over single vectors the compiler makes a call of memcpy, which takes longer.
    for (; j + 2 * lanes <= count; j += 2 * lanes) {
      const auto left = hn::LoadU(d, from + j), right = hn::LoadU(d, from + j + lanes);
      hn::Store(left, d, to + j);
      hn::Store(right, d, to + j + lanes);
    }
    if (j + lanes <= count) {
      hn::Store(hn::LoadU(d, from + j), d, to + j);
      j += lanes;
    }
    if (j < count) {
      hn::Store(loadFirst(d, from + j, count - j), d, to + j);
      j += lanes;
    }
    for (; j < width; j += lanes) hn::Store(hn::Zero(d), d, to + j);
    to += width;
  }
}

/// to[k · strideTo + o] = from[o · strideFrom + k] for o < rows, k < columns.
template <class T>
void transpose(T* HWY_RESTRICT to, int64_t strideTo, const T* HWY_RESTRICT from, int64_t strideFrom,
               int64_t rows, int64_t columns) {
  // By lines of the cache, which are then read as a whole.
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t k = 0; k < columns; k += line) {
    const int64_t end = std::min(columns, k + line);
    int64_t o = 0;
#if HWY_TARGET != HWY_SCALAR
    if constexpr (sizeof(T) == sizeof(float)) {
      const hn::Full128<float> d;
      const hn::Repartition<double, decltype(d)> pairs;
      for (; o + 4 <= rows && end == k + line; o += 4) {
        const T* const a = from + o * strideFrom;
        for (int64_t i = k; i < end; i += 4) {
          const auto r0 = hn::LoadU(d, a + i), r1 = hn::LoadU(d, a + strideFrom + i),
                     r2 = hn::LoadU(d, a + 2 * strideFrom + i), r3 = hn::LoadU(d, a + 3 * strideFrom + i);
          const auto l01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1)),
                     l23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3)),
                     u01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1)),
                     u23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
          T* const c = to + i * strideTo + o;
          hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, l01, l23)), d, c);
          hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, l01, l23)), d, c + strideTo);
          hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, u01, u23)), d, c + 2 * strideTo);
          hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, u01, u23)), d, c + 3 * strideTo);
        }
      }
    }
#endif
    for (; o < rows; o++) {
      for (int64_t i = k; i < end; i++) to[i * strideTo + o] = from[o * strideFrom + i];
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

/// Terms that are summed in registers before they are added to the others: as many as leave a panel of
/// weights in the first-level cache.
constexpr int64_t depthBlock = 320;

/// The columns of all groups, cut into panels.
template <class T>
class Columns {
 public:
  Columns(int64_t groups, int64_t columns)
      : groups_(groups),
        columns_(columns),
        wide_(AXPY_SIMD(panelWidth<T>)(std::numeric_limits<int64_t>::max())),
        across_((columns + wide_ - 1) / wide_) {}

  int64_t panels() const { return groups_ * across_; }
  int64_t group(int64_t panel) const { return panel / across_; }
  /// The first column of a panel within its group.
  int64_t first(int64_t panel) const { return panel % across_ * wide_; }
  /// How many of them there are, and with zeros how many are multiplied.
  int64_t count(int64_t panel) const { return std::min(wide_, columns_ - first(panel)); }
  int64_t width(int64_t panel) const { return AXPY_SIMD(panelWidth<T>)(count(panel)); }
  /// Where a panel of `rows` rows begins after those before it.
  int64_t offset(int64_t panel, int64_t rows) const {
    return (group(panel) * groupWidth() + first(panel)) * rows;
  }
  int64_t size(int64_t rows) const { return groups_ * groupWidth() * rows; }

 private:
  int64_t groupWidth() const { return first(across_ - 1) + width(across_ - 1); }
  const int64_t groups_, columns_, wide_, across_;
};

/// What a task of the pool takes: some panels of a tile.
struct Tasks {
  /// Few tiles are shared out by panels as well, so that a handful of threads have something to do.
  Tasks(int64_t tiles, int64_t panels)
      : chunks(std::clamp<int64_t>((8 + tiles - 1) / tiles, 1, panels)),
        count(tiles * chunks),
        panels(panels) {}
  int64_t tile(int64_t task) const { return task / chunks; }
  int64_t begin(int64_t task) const { return task % chunks * panels / chunks; }
  int64_t end(int64_t task) const { return (task % chunks + 1) * panels / chunks; }
  const int64_t chunks, count, panels;
};

/// Whether sums by vectors along the terms take fewer steps than vectors along the outputs, which are mostly
/// empty. Adding up the lanes of a sum takes about as long as eight vectors of terms.
template <class T>
bool suitsDots(int64_t runs, int64_t length, int64_t outputs) {
  if (outputs > mostDots) return false;
  const int64_t lanes = AXPY_SIMD(panelWidth<T>)(1);
  return (runs * ((length + lanes - 1) / lanes) + 8) * outputs < runs * length;
}

/// out = epilogue(patches of x · weights). `pack(panel, to)` writes the weights of a panel, term by term.
template <class T, class F>
void multiplyPatches(T* out, int64_t targetHeight, int64_t targetWidth, const T* x, const Gather& gathered,
                     int64_t groups, int64_t width, int64_t outputs, const Epilogue<T>& epilogue,
                     const F& pack) {
  if (gathered.pixels() == 0) return;
  const Gather gather = flattened(gathered);
  const int64_t channels = groups * width, outChannels = groups * outputs;
  const int64_t terms = gather.taps() * width;
  const Columns<T> columns(groups, outputs);
  const Buffer<T> panels(columns.size(terms));
  parallel::forEach(columns.panels(), [&](int64_t panel) {
    pack(gathered, columns.group(panel), columns.first(panel), columns.count(panel), columns.width(panel),
         panels.data() + columns.offset(panel, terms));
  });

  const double pixels = std::clamp(pixelsOf(65536, gather, channels, outChannels), 96.0, 1024.0);
  const int64_t shared = std::max<int64_t>(96, gather.pixels() / 16);
  const Tiles tiles(gather, std::min(shared, static_cast<int64_t>(pixels)));
  const int64_t most = tiles.rows() * tiles.width();
  const bool isFlat = gathered.isIdentity();
  const Patches<T> patches(gather, channels, width, tiles, way == Way::im2col);
  const Tasks tasks(tiles.count(), columns.panels());
  Workspaces<T> spaces(tasks.count, patches.size() + 64);
  Workspaces<Row<T>> rowSpaces(tasks.count, most);
  Workspaces<int64_t> lineSpaces(tasks.count, tiles.rows());
  const auto multiply = AXPY_SIMD(multiplyRows<T>);
  const int64_t some = columns.size(terms) <= 65536 ? 48 : std::numeric_limits<int64_t>::max();
  const int64_t runCount = static_cast<int64_t>(patches.runs().size()), run = patches.run();
  const bool byDots = columns.panels() == 1 && suitsDots<T>(runCount, run, outputs);
  const Buffer<T> dots(byDots ? AXPY_SIMD(sizeOfDots<T>)(runCount, run, outputs) : 0);
  if (byDots) AXPY_SIMD(arrangeDots<T>)(dots.data(), panels.data(), columns.width(0), runCount, run, outputs);
  const auto multiplyDots = AXPY_SIMD(dotRows<T>);
  parallel::forEach(tasks.count, [&](int64_t task) {
    const typename Workspaces<T>::Lease space(spaces);
    const typename Workspaces<Row<T>>::Lease rows(rowSpaces);
    const typename Workspaces<int64_t>::Lease lines(lineSpaces);
    T* const nowhere = space.data() + patches.size();
    const Tile tile = tiles[tasks.tile(task)];
    const T* const base = patches.gather(tile, x, space.data(), lines.data());
    const int64_t spacing = gather.x.spacing * outChannels;
    for (int64_t r = 0; r < tile.rows; r++) {
      T* const row =
          out + (isFlat ? tile.left : gather.target(tile.row + r, tile.left, targetHeight, targetWidth)) *
                    outChannels;
      for (int64_t i = 0; i < tile.width; i++) {
        rows.data()[r * tile.width + i] = {base + lines.data()[r] + i * patches.step(), row + i * spacing};
      }
    }
    const int64_t begin = tasks.begin(task), end = tasks.end(task);
    if (byDots) {
      multiplyDots(rows.data(), tile.pixels(), Runs{patches.runs().data(), runCount, run, 1}, dots.data(),
                   outputs, nowhere);
    }
    // Long sums by blocks of terms: of several runs, or a part of one. Rows are as many at a time as leave
    // their sums in the first-level cache while all panels are gone through.
    const int64_t pieces = (run + depthBlock - 1) / depthBlock;
    const int64_t atOnce = pieces > 1 ? 1 : std::max<int64_t>(1, depthBlock / run);
    for (int64_t row = 0; row < tile.pixels() && !byDots; row += some) {
      const int64_t count = std::min(some, tile.pixels() - row);
      for (int64_t s = 0; s < runCount; s += atOnce) {
        for (int64_t piece = 0; piece < pieces; piece++) {
          const int64_t from = piece * run / pieces, to = (piece + 1) * run / pieces;
          for (int64_t panel = begin; panel < end; panel++) {
            int64_t offsets[depthBlock];
            const int64_t runs = std::min(atOnce, runCount - s);
            for (int64_t i = 0; i < runs; i++) {
              offsets[i] = patches.runs()[static_cast<size_t>(s + i)] + from + columns.group(panel) * width;
            }
            multiply(rows.data() + row, count, columns.group(panel) * outputs + columns.first(panel),
                     Runs{offsets, runs, to - from, 1},
                     panels.data() + columns.offset(panel, terms) + (s * run + from) * columns.width(panel),
                     columns.count(panel), s > 0 || piece > 0, nowhere, some, tile.pixels() - row);
          }
        }
      }
    }
    if (!epilogue.present()) return;
    const int64_t firstColumn = columns.group(begin) * outputs + columns.first(begin);
    const int64_t lastColumn =
        columns.group(end - 1) * outputs + columns.first(end - 1) + columns.count(end - 1);
    for (int64_t r = 0; r < tile.rows; r++) {
      epilogue.apply(rows.data()[r * tile.width].c + firstColumn, spacing, tile.width,
                     lastColumn - firstColumn, firstColumn);
    }
  });
}

}  // namespace

template <class T>
void direct(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const auto pack = [&](const Gather& gather, int64_t group, int64_t first, int64_t count, int64_t across,
                        T* to) {
    const int64_t terms = gather.taps() * width;
    const T* const from = weight + (group * outputs + first) * terms;
    AXPY_SIMD(transpose<T>)(to, across, from, terms, count, terms);
    for (int64_t k = 0; k < terms && count < across; k++)
      std::fill_n(to + k * across + count, across - count, T(0));
  };
  multiplyPatches(out, w.outHeight, w.outWidth, x, forwardGather(w), w.groups, width, outputs, epilogue,
                  pack);
}

template <class T>
void directTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w) {
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const auto pack = [&](const Gather& gather, int64_t group, int64_t first, int64_t count, int64_t across,
                        T* to) {
    for (const int64_t i : gather.y.taps) {
      for (const int64_t j : gather.x.taps) {
        AXPY_SIMD(copyRows<T>)
        (to, across, weight + ((group * outputs * w.kernelHeight + i) * w.kernelWidth + j) * width + first,
         w.kernelHeight * w.kernelWidth * width, outputs, count);
        to += outputs * across;
      }
    }
  };
  forPhases(out, epilogue, w, [&](const Gather& gather) {
    multiplyPatches(out, w.height, w.width, x, gather, w.groups, outputs, width, epilogue, pack);
  });
}

template <class T>
void directWeightGradient(T* out, const T* x, const T* gradient, const Window& w) {
  const Gather gather = flattened(forwardGather(w));
  const int64_t width = w.groupChannels(), outputs = w.groupOutChannels();
  const int64_t terms = gather.taps() * width, size = w.outChannels * terms;
  const Columns<T> columns(w.groups, outputs);
  const double pixels = std::clamp(pixelsOf(131072, gather, w.channels, w.outChannels), 192.0, 1024.0);
  // The more sums there are, the longer they have to be for reading and writing them not to weigh.
  const int64_t shared = std::max(std::clamp<int64_t>(size / 512, 64, 512), gather.pixels() / 16);
  const Tiles tiles(gather, std::min(shared, static_cast<int64_t>(pixels)));
  const Patches<T> patches(gather, w.channels, width, tiles, way == Way::im2col);
  // The tiles are cut into a number of parts that the sizes alone determine; each sums its tiles in order,
  // and then the parts are summed in order. What they take stays within 16 MB of float32.
  int64_t parts = std::min<int64_t>(tiles.count(), 16);
  while (parts > 1 && parts * size > 4'000'000) parts /= 2;
  const int64_t tilesPerPart = (tiles.count() + parts - 1) / parts;
  parts = (tiles.count() + tilesPerPart - 1) / tilesPerPart;
  const Tasks tasks(parts, columns.panels());
  const Buffer<T> sums(parts * columns.size(terms));
  const int64_t most = tiles.rows() * tiles.width();
  const int64_t wide = columns.width(0);
  Workspaces<T> spaces(tasks.count, patches.size() + 64), panelSpaces(tasks.count, most * wide);
  Workspaces<Row<T>> rowSpaces(tasks.count, terms);
  Workspaces<int64_t> lineSpaces(tasks.count, tiles.rows());
  const auto multiply = AXPY_SIMD(multiplyRows<T>);
  const auto pack = AXPY_SIMD(copyRows<T>);
  parallel::forEach(tasks.count, [&](int64_t task) {
    const typename Workspaces<T>::Lease space(spaces), panelSpace(panelSpaces);
    const typename Workspaces<Row<T>>::Lease rows(rowSpaces);
    const typename Workspaces<int64_t>::Lease lines(lineSpaces);
    T* const nowhere = space.data() + patches.size();
    const int64_t part = tasks.tile(task), firstTile = part * tilesPerPart;
    const int64_t lastTile = std::min(tiles.count(), firstTile + tilesPerPart);
    for (int64_t t = firstTile; t < lastTile; t++) {
      const Tile tile = tiles[t];
      const T* const base = patches.gather(tile, x, space.data(), lines.data());
      const Runs runs{lines.data(), tile.rows, tile.width, patches.step()};
      for (int64_t panel = tasks.begin(task); panel < tasks.end(task); panel++) {
        const int64_t group = columns.group(panel), across = columns.width(panel),
                      count = columns.count(panel);
        T* packed = panelSpace.data();
        for (int64_t r = 0; r < tile.rows; r++) {
          const T* const dy = gradient + ((tile.row + r) * gather.x.count + tile.left) * w.outChannels +
                              group * outputs + columns.first(panel);
          pack(packed, across, dy, w.outChannels, tile.width, count);
          packed += tile.width * across;
        }
        T* const sum = sums.data() + part * columns.size(terms) + columns.offset(panel, terms);
        int64_t k = 0;
        for (const int64_t tap : patches.taps()) {
          for (int64_t c = 0; c < width; c++, k++) {
            rows.data()[k] = {base + tap + group * width + c, sum + k * across};
          }
        }
        multiply(rows.data(), terms, 0, runs, panelSpace.data(), across, t > firstTile, nowhere, 0, 0);
      }
    }
  });
  parallel::forEach(columns.panels(), [&](int64_t panel) {
    const int64_t across = columns.width(panel), count = columns.count(panel);
    T* const to = out + (columns.group(panel) * outputs + columns.first(panel)) * terms;
    T* const sum = sums.data() + columns.offset(panel, terms);
    for (int64_t part = 1; part < parts; part++) {
      const T* const other = sum + part * columns.size(terms);
      for (int64_t i = 0; i < terms * across; i++) sum[i] += other[i];
    }
    AXPY_SIMD(transpose<T>)(to, terms, sum, across, terms, count);
  });
}

#define AXPY_INSTANTIATE(T)                                                                  \
  template void direct(T*, const T*, const T*, const Epilogue<T>&, const Window&);           \
  template void directTransposed(T*, const T*, const T*, const Epilogue<T>&, const Window&); \
  template void directWeightGradient(T*, const T*, const T*, const Window&)
AXPY_INSTANTIATE(float);
AXPY_INSTANTIATE(double);

}  // namespace axpy
#endif  // HWY_ONCE
