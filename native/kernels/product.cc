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

/// How a batch of products is cut into tasks, from its shape alone: each matrix into down × across tiles,
/// their terms into `deep` parts; or several matrices to a task.
struct Plan {
  int64_t down, across, deep = 1, group = 1;

  /// A block has `rows`, a panel `columns`.
  Plan(int64_t batch, int64_t m, int64_t n, int64_t k, int64_t rows, int64_t columns)
      : down(ceilDiv(m, largest)), across(ceilDiv(n, largest)) {
    const double work =
        static_cast<double>(batch) * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    // Enough for a handful of threads to share, as far as waking them pays.
    const double handful = std::clamp(work / 5e5, 1.0, 16.0), wanted = std::max(handful, work / 6e6);
    const auto tasks = [&] { return static_cast<double>(batch) * static_cast<double>(down * across * deep); };
    while (tasks() < wanted) {
      // Tiles of other columns read a again, those of other rows copy b again, which costs twice as much.
      const int64_t high = m / down, wide = n / across;
      if (wide > columns && (2 * wide > high || high < 4 * rows)) {
        across = std::min(across * 2, ceilDiv(n, columns));
      } else if (high >= 4 * rows) {
        down *= 2;
      } else {
        break;
      }
    }
    while (batch == 1 && tasks() < handful && k / deep >= 2048) deep *= 2;
    if (down * across == 1) group = std::clamp<int64_t>(batch / static_cast<int64_t>(wanted), 1, batch);
  }

 private:
  /// Rows and columns of a tile at most.
  static constexpr int64_t largest = 256;
};

/// Where part `i` of `parts` begins, of `size` in whole units.
int64_t partOf(int64_t i, int64_t parts, int64_t unit, int64_t size) {
  return std::min(size, i * ceilDiv(size, unit) / parts * unit);
}

}  // namespace
}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// A tile of a single product, or a part of its terms.
template <class T>
struct Tile {
  const T* a;
  int64_t rowStep, depthStep;
  const T* b;
  int64_t strideB;
  bool transposeB;
  T* c;
  int64_t strideC, rows, columns, depth;
};

/// `panel` has room for a panel of b.
template <class T>
void multiplyTile(const Tile<T>& t, bool accumulate, T* panel) {
  const int64_t lanes = vectorLanes<T>(), width = panelWidth<T>();
  const int64_t parts = ceilDiv(t.depth, depthBlock<T>);
  for (int64_t part = 0; part < parts; part++) {
    const int64_t from = part * t.depth / parts, depth = (part + 1) * t.depth / parts - from;
    // Copying pays where many rows meet b, unless all of it is near anyhow.
    const bool isNear = t.rows <= fewRows || depth * t.strideB * static_cast<int64_t>(sizeof(T)) <= nearBytes;
    for (int64_t j = 0; j < t.columns; j += width) {
      const int64_t columns = std::min(width, t.columns - j), padded = columns > lanes ? width : lanes;
      Block<T> block{
          t.a + from * t.depthStep, t.rowStep, t.depthStep, panel, padded, depth, t.c + j, t.strideC, columns,
          accumulate || part > 0};
      if (t.transposeB) {
        packColumns(panel, padded, t.b + j * t.strideB + from, t.strideB, columns, depth);
      } else if (columns < padded || !isNear) {
        packRows(panel, padded, t.b + from * t.strideB + j, t.strideB, columns, depth);
      } else {
        block.b = t.b + from * t.strideB + j;
        block.strideB = t.strideB;
      }
      multiplyPanel(block, t.rows);
    }
  }
}

template <class T>
void multiplyAll(const Products<T>& p, const Epilogue<T>& epilogue, bool accumulate) {
  const int64_t width = panelWidth<T>();
  // Where matrices of c coincide, a task takes their sums one after the other.
  const int64_t sumsOuter = p.c.outer == 0 ? p.outer : 1, sumsInner = p.c.inner == 0 ? p.inner : 1;
  const int64_t inner = p.inner / sumsInner, batch = p.outer / sumsOuter * inner;
  const Plan plan(batch, p.m, p.n, p.k * sumsOuter * sumsInner, blockRows, width);
  const int64_t perMatrix = plan.down * plan.across, tasks = batch * perMatrix * plan.deep;
  Workspaces<T> spaces(ceilDiv(tasks, plan.group), depthBlock<T> * width);
  const int64_t size = p.m * p.n;
  const Buffer<T> others((plan.deep - 1) * size);
  parallel::forRange(tasks, plan.group, [&](int64_t begin, int64_t end) {
    const typename Workspaces<T>::Lease space(spaces);
    for (int64_t task = begin; task < end; task++) {
      const int64_t part = task % plan.deep, tile = task / plan.deep % perMatrix,
                    matrix = task / plan.deep / perMatrix;
      const int64_t down = tile % plan.down, across = tile / plan.down;
      const int64_t top = partOf(down, plan.down, blockRows, p.m),
                    bottom = partOf(down + 1, plan.down, blockRows, p.m),
                    first = partOf(across, plan.across, width, p.n),
                    last = partOf(across + 1, plan.across, width, p.n), from = part * p.k / plan.deep,
                    to = (part + 1) * p.k / plan.deep;
      Tile<T> t{};
      t.rowStep = p.transposeA ? 1 : p.a.row;
      t.depthStep = p.transposeA ? p.a.row : 1;
      t.strideB = p.b.row;
      t.transposeB = p.transposeB;
      t.rows = bottom - top;
      t.columns = last - first;
      t.depth = to - from;
      t.strideC = part == 0 ? p.c.row : p.n;
      t.c = (part == 0 ? p.c.at(matrix / inner, matrix % inner) : others.data() + (part - 1) * size) +
            top * t.strideC + first;
      bool adds = accumulate && part == 0;
      for (int64_t o = 0; o < sumsOuter; o++) {
        for (int64_t i = 0; i < sumsInner; i++) {
          t.a = p.a.at(matrix / inner + o, matrix % inner + i) + top * t.rowStep + from * t.depthStep;
          t.b = p.b.at(matrix / inner + o, matrix % inner + i) +
                (p.transposeB ? first * p.b.row + from : from * p.b.row + first);
          multiplyTile(t, adds, space.data());
          adds = true;
        }
      }
      if (plan.deep == 1 && epilogue.present()) epilogue.apply(t.c, t.strideC, t.rows, t.columns, first);
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
namespace {

/// For tests: the way to take whether or not it pays. `best` unless AXPY_PRODUCT is `blocks` or `blas`.
enum class ProductWay { best, blocks, blas };
const ProductWay productWay = [] {
  const char* wanted = std::getenv("AXPY_PRODUCT");
  const auto is = [wanted](const char* name) { return wanted && std::strcmp(wanted, name) == 0; };
  return is("blocks") ? ProductWay::blocks : is("blas") ? ProductWay::blas : ProductWay::best;
}();

}  // namespace

/// By what has been measured on x86 (docs/products.md), against OpenBLAS's kernels for products with few rows
/// or columns and for small ones, which it does not pack, and for large ones.
template <class T>
bool suitsBlocks(const Products<T>& p) {
  if (productWay != ProductWay::best) return productWay == ProductWay::blocks && p.k > 0;
#if defined(__x86_64__) && !defined(__APPLE__)
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  if (p.m < 8 || p.n < (sizeof(T) == sizeof(float) ? 8 : 16) || p.m * p.n < 512 || work < 32768) return false;
  if (simd::target == simd::avx512 && !p.transposeB && (work < 3e5 || p.k < 24)) return false;
  return work <= 3e8 || p.k <= 512;
#else
  return false;
#endif
}

template <class T>
void multiplyBlocks(const Products<T>& p, const Epilogue<T>& epilogue, bool accumulate) {
  AXPY_SIMD(multiplyAll<T>)(p, epilogue, accumulate);
}

template bool suitsBlocks(const Products<float>&);
template bool suitsBlocks(const Products<double>&);
template void multiplyBlocks(const Products<float>&, const Epilogue<float>&, bool);
template void multiplyBlocks(const Products<double>&, const Epilogue<double>&, bool);

}  // namespace axpy
#endif  // HWY_ONCE
