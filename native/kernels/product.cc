// Products of matrices by blocks in registers (docs/products.md). A tile of the result is a task. It takes
// its terms by parts, and of a part one panel of b after the other, copied where it does not lie well, which
// then stays in the first-level cache while all rows of a meet it. a is read where it lies, in either form.

#include "product.h"

#include "parallel.h"
#include "simd.h"
#include "workspaces.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/product.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "product-inl.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#ifndef AXPY_PRODUCT_PLAN
#define AXPY_PRODUCT_PLAN
namespace axpy {
namespace {

constexpr int64_t ceilDiv(int64_t n, int64_t by) { return (n + by - 1) / by; }

/// Terms that are summed before they are added to the others: a panel of b takes 40 KB.
template <class T>
constexpr int64_t depthBlock = 1280 / static_cast<int64_t>(sizeof(T));

/// Fewer rows than that meet a panel of b too seldom for copying it, and so much of b is near as it lies.
constexpr int64_t fewRows = 36, nearBytes = 32768;
/// Of more rows, copying b is too small a part of the work for its panels to be kept.
constexpr int64_t mostKeptRows = 256;

/// Where part `i` of `parts` begins, of `size` in whole units.
int64_t partOf(int64_t i, int64_t parts, int64_t unit, int64_t size) {
  return i == 0 ? 0 : i == parts ? size : i * ceilDiv(size, unit) / parts * unit;
}

/// How many matrices of c there are: those that coincide are one.
template <class T>
struct Sums {
  int64_t outer, inner;  // products that are added up in each
  int64_t across, count;

  explicit Sums(const Products<T>& p)
      : outer(p.c.outer == 0 ? p.outer : 1),
        inner(p.c.inner == 0 ? p.inner : 1),
        across(p.inner / inner),
        count(p.outer / outer * across) {}
};

/// A block has `rows`, a panel `columns`.
Plan planOf(int64_t batch, int64_t m, int64_t n, int64_t k, int64_t rows, int64_t columns) {
  constexpr int64_t mostRows = 256, mostColumns = 256, leastTerms = 1024;
  const int64_t panels = ceilDiv(n, columns);
  Plan plan{ceilDiv(m, mostRows), ceilDiv(n, mostColumns), 1, 1};
  const double work =
      static_cast<double>(batch) * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  // Enough for a handful of threads to share, as far as waking them pays.
  const double handful = std::clamp(work / 2.5e5, 1.0, 16.0), wanted = std::max(handful, work / 6e6);
  const auto tasks = [&] {
    return static_cast<double>(batch) * static_cast<double>(plan.down * plan.across * plan.deep);
  };
  // Tiles of other columns read a again, which is cheap; those of other rows copy b again, and of other terms
  // are added up apart.
  while (tasks() < wanted && plan.across < panels) plan.across = std::min(plan.across * 2, panels);
  while (batch == 1 && tasks() < handful && k / plan.deep >= 2 * leastTerms) plan.deep *= 2;
  while (tasks() < handful / 2 && m / plan.down >= 4 * rows) plan.down *= 2;
  if (plan.down * plan.across == 1) {
    plan.group = std::clamp<int64_t>(batch / static_cast<int64_t>(wanted), 1, batch);
  }
  return plan;
}

}  // namespace
}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// A tile of a single product, or a part of its terms, and what follows them.
template <class T>
struct Tile {
  const T* a;
  int64_t rowStep, depthStep;
  const T* b;
  int64_t strideB;
  bool transposeB;
  T* c;
  int64_t strideC, rows, columns, depth;
  bool accumulate;
  const T* bias;
  bool rectify;
  const T* panels;  // of b, from the tile's first on, `panelStep` apart, with the terms before `from` in them
  int64_t panelStep, from;
};

/// A panel as wide as a block, or as a vector where it has no more columns.
template <class T>
HWY_INLINE int64_t paddedWidth(int64_t columns) {
  return columns > vectorLanes<T>() ? panelWidth<T>() : vectorLanes<T>();
}

template <class T>
void multiplyTile(const Tile<T>& t) {
  const int64_t width = panelWidth<T>();
  HWY_ALIGN T panel[depthBlock<T> * blockVectors * hn::MaxLanes(hn::ScalableTag<T>())];
  const int64_t parts = ceilDiv(t.depth, depthBlock<T>);
  for (int64_t part = 0; part < parts; part++) {
    // Of several parts whole vectors of 16 bytes, which are quick to turn over.
    const int64_t from = partOf(part, parts, 4, t.depth), depth = partOf(part + 1, parts, 4, t.depth) - from;
    const bool isLast = part + 1 == parts;
    // Copying pays where many rows meet b, unless all of it is near anyhow.
    const bool isNear = t.rows <= fewRows || depth * t.strideB * static_cast<int64_t>(sizeof(T)) <= nearBytes;
    for (int64_t j = 0; j < t.columns; j += width) {
      const int64_t columns = std::min(width, t.columns - j), padded = paddedWidth<T>(columns);
      Block<T> block{t.a + from * t.depthStep,
                     t.rowStep,
                     t.depthStep,
                     panel,
                     padded,
                     depth,
                     t.c + j,
                     t.strideC,
                     columns,
                     t.accumulate || part > 0,
                     isLast && t.bias ? t.bias + j : nullptr,
                     isLast && t.rectify};
      if (t.panels) {
        block.b = t.panels + j / width * t.panelStep + (t.from + from) * padded;
      } else if (t.transposeB) {
        packColumns(panel, padded, t.b + j * t.strideB + from, t.strideB, columns, depth);
      } else if (!isNear || (!AXPY_MASKED_TAILS && columns < padded)) {
        packRows(panel, padded, t.b + from * t.strideB + j, t.strideB, columns, depth);
      } else {
        block.b = t.b + from * t.strideB + j;
        block.strideB = t.strideB;
      }
      multiplyPanel(block, t.rows);
    }
  }
}

/// [panels][terms][width], whatever the tiles are: a tile begins with a panel.
template <class T>
int64_t panelsSizeOf(const Products<T>& p) {
  const bool isInPlace = !p.transposeB && p.m <= fewRows;
  return p.outer * p.inner > 1 || isInPlace || p.m > mostKeptRows
             ? 0
             : ceilDiv(p.n, panelWidth<T>()) * panelWidth<T>() * p.k;
}

template <class T>
void packAll(const Products<T>& p, T* panels) {
  const int64_t width = panelWidth<T>();
  parallel::forRange(ceilDiv(p.n, width), 1, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin * width; j < std::min(end * width, p.n); j += width) {
      const int64_t columns = std::min(width, p.n - j), padded = paddedWidth<T>(columns);
      if (p.transposeB) {
        packColumns(panels + j * p.k, padded, p.b.data + j * p.b.row, p.b.row, columns, p.k);
      } else {
        packRows(panels + j * p.k, padded, p.b.data + j, p.b.row, columns, p.k);
      }
    }
  });
}

template <class T>
Plan planAll(const Products<T>& p) {
  const Sums<T> sums(p);
  return planOf(sums.count, p.m, p.n, p.k * sums.outer * sums.inner, blockRows, panelWidth<T>());
}

template <class T>
void multiplyAll(const Products<T>& p, const Plan& plan, const Epilogue<T>& epilogue, bool accumulate,
                 const T* panels) {
  const int64_t width = panelWidth<T>();
  const Sums<T> sums(p);
  const int64_t perMatrix = plan.down * plan.across * plan.deep, size = p.m * p.n;
  const Buffer<T> others((plan.deep - 1) * size);
  const bool isRelu = epilogue.activation.present() && epilogue.activation == UnaryOp::relu;
  // What a block can do itself while its sums are in registers.
  const bool isInBlock = plan.deep == 1 && (isRelu || !epilogue.activation.present());

  parallel::forRange(sums.count * perMatrix, plan.group, [&](int64_t begin, int64_t end) {
    Tile<T> t{};
    t.rowStep = p.transposeA ? 1 : p.a.row;
    t.depthStep = p.transposeA ? p.a.row : 1;
    t.strideB = p.b.row;
    t.transposeB = p.transposeB;
    t.panelStep = p.k * width;
    for (int64_t task = begin; task < end; task++) {
      int64_t matrix = task, top = 0, first = 0, from = 0, part = 0;
      t.rows = p.m;
      t.columns = p.n;
      t.depth = p.k;
      if (perMatrix > 1) {
        const int64_t down = task % plan.down, across = task / plan.down % plan.across;
        matrix = task / perMatrix;
        part = task / (plan.down * plan.across) % plan.deep;
        top = partOf(down, plan.down, blockRows, p.m);
        first = partOf(across, plan.across, width, p.n);
        from = partOf(part, plan.deep, 4, p.k);
        t.rows = partOf(down + 1, plan.down, blockRows, p.m) - top;
        t.columns = partOf(across + 1, plan.across, width, p.n) - first;
        t.depth = partOf(part + 1, plan.deep, 4, p.k) - from;
      }
      const int64_t o = matrix / sums.across * sums.outer, i = matrix % sums.across * sums.inner;
      t.strideC = part == 0 ? p.c.row : p.n;
      t.c = (part == 0 ? p.c.at(o, i) : others.data() + (part - 1) * size) + top * t.strideC + first;
      t.accumulate = accumulate && part == 0;
      t.bias = isInBlock && epilogue.bias ? epilogue.bias + first : nullptr;
      t.rectify = isInBlock && isRelu;
      t.panels = panels ? panels + first * p.k : nullptr;
      t.from = from;
      for (int64_t nextO = o; nextO < o + sums.outer; nextO++) {
        for (int64_t nextI = i; nextI < i + sums.inner; nextI++) {
          t.a = p.a.at(nextO, nextI) + top * t.rowStep + from * t.depthStep;
          t.b = p.b.at(nextO, nextI) + (p.transposeB ? first * p.b.row + from : from * p.b.row + first);
          multiplyTile(t);
          t.accumulate = true;
        }
      }
      if (plan.deep == 1 && !isInBlock) epilogue.apply(t.c, t.strideC, t.rows, t.columns, first);
    }
  });
  if (plan.deep == 1) return;
  const int64_t chunk = std::max<int64_t>(1, parallel::heavyChunk / (p.n * plan.deep));
  parallel::forRange(p.m, chunk, [&](int64_t begin, int64_t end) {
    T* const c = p.c.data;
    for (int64_t part = 0; part < plan.deep - 1; part++) {
      const T* other = others.data() + part * size;
      for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < p.n; j++) c[i * p.c.row + j] += other[i * p.n + j];
      }
    }
    epilogue.apply(c + begin * p.c.row, p.c.row, end - begin, p.n, 0);
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

const ProductWay productWay = [] {
  const char* wanted = std::getenv("AXPY_PRODUCT");
  const auto is = [wanted](const char* name) { return wanted && std::strcmp(wanted, name) == 0; };
  return is("blocks") ? ProductWay::blocks : is("blas") ? ProductWay::blas : ProductWay::best;
}();

/// By what has been measured on x86 (docs/products.md), against OpenBLAS's kernels.
template <class T>
bool suitsBlocks(const Products<T>& p) {
  if (productWay != ProductWay::best) return productWay == ProductWay::blocks && p.k > 0;
#if defined(__x86_64__) && !defined(__APPLE__)
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  if (simd::target < simd::avx2) return p.m >= 8 && p.n >= 16 && work >= 32768 && work <= 3e8;
  if (work <= 1024) return p.n > 1;
  if (simd::target == simd::avx2 && work > 3e8 && p.k > 512) return false;
  return p.transposeB ? p.m >= 4 && p.n >= 8 : p.m >= 5 && p.n >= 10 && p.k >= 16;
#else
  return false;
#endif
}

template <class T>
Plan planBlocks(const Products<T>& p) {
  return AXPY_SIMD(planAll<T>)(p);
}

template <class T>
void multiplyBlocks(const Products<T>& p, const Plan& plan, const Epilogue<T>& epilogue, bool accumulate,
                    const T* panels) {
  AXPY_SIMD(multiplyAll<T>)(p, plan, epilogue, accumulate, panels);
}

template <class T>
int64_t panelsSize(const Products<T>& p) {
  return AXPY_SIMD(panelsSizeOf<T>)(p);
}

template <class T>
void packPanels(const Products<T>& p, T* panels) {
  AXPY_SIMD(packAll<T>)(p, panels);
}

template bool suitsBlocks(const Products<float>&);
template bool suitsBlocks(const Products<double>&);
template Plan planBlocks(const Products<float>&);
template Plan planBlocks(const Products<double>&);
template void multiplyBlocks(const Products<float>&, const Plan&, const Epilogue<float>&, bool, const float*);
template void multiplyBlocks(const Products<double>&, const Plan&, const Epilogue<double>&, bool,
                             const double*);
template int64_t panelsSize(const Products<float>&);
template int64_t panelsSize(const Products<double>&);
template void packPanels(const Products<float>&, float*);
template void packPanels(const Products<double>&, double*);

}  // namespace axpy
#endif  // HWY_ONCE
