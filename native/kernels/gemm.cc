// Products of matrices, batched, with bias and activation while the result is in cache.

#include "blas.h"
#include "lasting.h"
#include "product.h"
#include "parallel.h"
#include "workspaces.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>

namespace axpy {
namespace {

// ── by BLAS
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A single product, of which a task takes a tile.
template <class T>
struct Product {
  bool transposeA, transposeB;
  int64_t m, n, k;
  T* c;
  const T* a;
  const T* b;
  int64_t ldc, lda, ldb;
  const blas::Caller& blas;

  /// Over the terms [from, to) alone.
  Product slice(int64_t from, int64_t to, T* into, int64_t row) const {
    Product part = *this;
    part.a += transposeA ? from * lda : from;
    part.b += transposeB ? from : from * ldb;
    part.c = into;
    part.ldc = row;
    part.k = to - from;
    return part;
  }
};

/// Matrix (o, i) of the batch.
template <class T>
Product<T> productAt(const Products<T>& p, int64_t o, int64_t i, const blas::Caller& blas) {
  return {p.transposeA, p.transposeB, p.m,     p.n,     p.k,     p.c.at(o, i),
          p.a.at(o, i), p.b.at(o, i), p.c.row, p.a.row, p.b.row, blas};
}

/// How a product is cut. Depends on its shape alone, so that results do not depend on the number of threads.
///
/// A tile is a call of its own, which packs its operands anew: measured against one call, tiles of 256 × 256
/// keep 92 % of the speed, of 128 × 128 84 %, of 64 × 64 two thirds.
struct Tiles {
  int64_t rows, columns;
  int64_t down, across;

  Tiles(int64_t m, int64_t n, int64_t k) : rows(m), columns(n) {
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    cut(m, n, work / 6e6, 256, 256);
    // Smaller tiles where there would be too few of them for a handful of cores.
    cut(m, n, std::min(work / 6e6, 8.0), 128, 128);
    // With a few rows, the time goes into reading b: at least 128 KB of float32 for a tile.
    if (m <= 8) cut(m, n, std::min(static_cast<double>(n) * static_cast<double>(k) / 32768, 8.0), m, 64);
    down = (m + rows - 1) / rows;
    across = (n + columns - 1) / columns;
  }

  /// Halves the longer side, to multiples that suit the micro-kernels, until there are `wanted` tiles or both
  /// sides are at their least.
  void cut(int64_t m, int64_t n, double wanted, int64_t leastRows, int64_t leastColumns) {
    while (static_cast<double>(count(m, n)) < wanted) {
      if (columns > leastColumns && (columns >= rows || rows <= leastRows)) {
        columns = (columns / 2 + 15) / 16 * 16;
      } else if (rows > leastRows) {
        rows = (rows / 2 + 15) / 16 * 16;
      } else {
        return;
      }
    }
  }

  int64_t count(int64_t m, int64_t n) const {
    return ((m + rows - 1) / rows) * ((n + columns - 1) / columns);
  }
};

/// Multiply-adds of a product at most for which any other way would cost more.
constexpr int64_t tinySize = 64;

/// c = op(a) · op(b) + beta · c, as BLAS has its arguments.
template <class T>
void multiplyTiny(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda,
                  const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  const int64_t stepA = transposeA ? lda : 1, nextA = transposeA ? 1 : lda;
  const int64_t stepB = transposeB ? 1 : ldb, nextB = transposeB ? ldb : 1;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      T sum = 0;
      for (int64_t l = 0; l < k; l++) sum += a[i * nextA + l * stepA] * b[j * nextB + l * stepB];
      T& to = c[i * ldc + j];
      to = beta == 0 ? sum : to + sum;
    }
  }
}

constexpr int64_t transposedSize = 4096;

/// c tile = op(a) · op(b) + beta · c, of a single matrix.
template <class T>
void multiplyTile(const Product<T>& p, int64_t row, int64_t column, int64_t rows, int64_t columns, T beta) {
  const int64_t lda = p.lda, ldb = p.ldb, ldc = p.ldc;
  const T* a = p.a + (p.transposeA ? row : row * lda);
  const T* b = p.b + (p.transposeB ? column * ldb : column);
  T* c = p.c + row * ldc + column;
  if (rows * columns * p.k <= tinySize) {
    return multiplyTiny(p.transposeA, p.transposeB, rows, columns, p.k, a, lda, b, ldb, beta, c, ldc);
  }
  // A product with a vector would spend its time on packing the matrix, which is read once.
  if (rows == 1) {
    const int64_t step = p.transposeA ? lda : 1;
    return p.transposeB ? p.blas.gemv(false, columns, p.k, b, ldb, a, step, beta, c, 1)
                        : p.blas.gemv(true, p.k, columns, b, ldb, a, step, beta, c, 1);
  }
  if (columns == 1) {
    const int64_t step = p.transposeB ? 1 : ldb;
    return p.transposeA ? p.blas.gemv(true, p.k, rows, a, lda, b, step, beta, c, ldc)
                        : p.blas.gemv(false, rows, p.k, a, lda, b, step, beta, c, ldc);
  }
  if (p.transposeB && columns <= 32 && columns * p.k <= transposedSize && rows >= 16) {
    // A narrow bᵀ makes for dot products, several times slower than turning it over first.
    T transposed[transposedSize];
    for (int64_t j = 0; j < columns; j++) {
      for (int64_t l = 0; l < p.k; l++) transposed[l * columns + j] = b[j * ldb + l];
    }
    p.blas.gemm(p.transposeA, false, rows, columns, p.k, a, lda, transposed, columns, beta, c, ldc);
    return;
  }
  p.blas.gemm(p.transposeA, p.transposeB, rows, columns, p.k, a, lda, b, ldb, beta, c, ldc);
}

/// Calls run(i, row, column, rows, columns) for every tile of every matrix of `batch`.
template <class T, class F>
void forTiles(const Products<T>& p, int64_t batch, const F& run) {
  const Tiles tiles(p.m, p.n, p.k);
  const int64_t perMatrix = tiles.down * tiles.across;
  const double work =
      static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(std::max<int64_t>(p.k, 1));
  // Small matrices go several to a task.
  const int64_t group = perMatrix > 1 ? 1 : std::clamp<int64_t>(static_cast<int64_t>(1e6 / work), 1, batch);
  parallel::forRange(batch * perMatrix, group, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t tile = task % perMatrix;
      const int64_t row = tile / tiles.across * tiles.rows, column = tile % tiles.across * tiles.columns;
      run(task / perMatrix, row, column, std::min(tiles.rows, p.m - row),
          std::min(tiles.columns, p.n - column));
    }
  });
}

/// Into how many parts the terms of a product are cut that is too small to be cut otherwise: as many as its
/// shape says.
template <class T>
int64_t depthParts(const Products<T>& p) {
  if (p.outer * p.inner != 1 || Tiles(p.m, p.n, p.k).count(p.m, p.n) > 1) return 1;
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  return std::clamp<int64_t>(std::min(p.k / 1024, static_cast<int64_t>(work / 4e6)), 1, 8);
}

/// c = op(a) · op(b) by parts of the terms, which are added in order; then finish(row, rows).
template <class T, class F>
void multiplyByParts(const Products<T>& p, int64_t parts, const F& finish) {
  const int64_t size = p.m * p.n;
  const Buffer<T> others((parts - 1) * size);
  const blas::Caller blas;
  const Product<T> whole = productAt(p, 0, 0, blas);
  parallel::forEach(parts, [&](int64_t part) {
    T* const into = part == 0 ? p.c.data : others.data() + (part - 1) * size;
    multiplyTile(whole.slice(part * p.k / parts, (part + 1) * p.k / parts, into, part == 0 ? p.c.row : p.n),
                 0, 0, p.m, p.n, T(0));
  });
  const int64_t chunk = std::max<int64_t>(1, parallel::heavyChunk / (p.n * parts));
  parallel::forRange(p.m, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts - 1; part++) {
      const T* other = others.data() + part * size;
      for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < p.n; j++) p.c.data[i * p.c.row + j] += other[i * p.n + j];
      }
    }
    finish(begin, end - begin);
  });
}

template <class T>
void multiplyByBlas(const Products<T>& p, const Epilogue<T>& epilogue) {
  if (const int64_t parts = depthParts(p); parts > 1) {
    return multiplyByParts(p, parts, [&](int64_t row, int64_t rows) {
      epilogue.apply(p.c.data + row * p.c.row, p.c.row, rows, p.n, 0);
    });
  }
  const blas::Caller blas;
  forTiles(p, p.outer * p.inner, [&](int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns) {
    const Product<T> one = productAt(p, i / p.inner, i % p.inner, blas);
    multiplyTile(one, row, column, rows, columns, T(0));
    epilogue.apply(one.c + row * one.ldc + column, one.ldc, rows, columns, column);
  });
}

/// Where matrices of c coincide, a tile takes their sums one after the other.
template <class T>
void accumulateByBlas(const Products<T>& p) {
  const int64_t sumsOuter = p.c.outer == 0 ? p.outer : 1, sumsInner = p.c.inner == 0 ? p.inner : 1;
  const int64_t inner = p.inner / sumsInner;
  const blas::Caller blas;
  forTiles(p, p.outer / sumsOuter * inner,
           [&](int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns) {
             for (int64_t o = 0; o < sumsOuter; o++) {
               for (int64_t j = 0; j < sumsInner; j++) {
                 multiplyTile(productAt(p, i / inner + o, i % inner + j, blas), row, column, rows, columns,
                              T(1));
               }
             }
           });
}

// ── arguments
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

double operandLength(double batch, double rows, double columns, double stride) {
  return stride == 0 ? rows * columns : batch * rows * columns;
}

/// The sizes and forms of both kernels.
struct Shape {
  Size batch, m, n, k;
  Flag transposeA, transposeB;
};

/// Where the matrices of an operand lie: as a layout has it.
struct Placement {
  int64_t offset, outer, inner, row;

  template <class T>
  Matrices<T> of(T* data) const {
    return {data + offset, outer, inner, row};
  }
};

/// The numbers of a layout, checked.
struct ProductLayout {
  int64_t outer, inner;
  Placement c, a, b;

  static constexpr int length = 14;

  /// `sums`: whether matrices of c may coincide.
  template <class T>
  ProductLayout(const Check& check, const NullableLayout& layout, const Shape& s, bool sums,
                const Array<T>& arrayC, const Array<const T>& arrayA, const Array<const T>& arrayB)
      : outer(layout.values[0]),
        inner(layout.values[1]),
        c(at(layout, 0)),
        a(at(layout, 1)),
        b(at(layout, 2)) {
    for (int i = 0; i < length; i++) {
      if (layout.values[i] < 0)
        check.failAt(layout.position, i, "to be at least 0", std::to_string(layout.values[i]));
    }
    if (outer * inner != s.batch) {
      check.fail(layout.position, "to have outer · inner equal to batch " + std::to_string(s.batch.value),
                 std::to_string(outer * inner));
    }
    const auto matrices = [&](int index, const Placement& place, const auto& array, int64_t rows,
                              int64_t columns) {
      const int64_t row = 5 + 4 * index;
      if (place.row < columns) {
        check.failAt(layout.position, row, "to be at least " + std::to_string(columns),
                     std::to_string(place.row));
      }
      if (s.batch == 0 || rows == 0 || columns == 0) return;
      const double last = static_cast<double>(place.offset) + extent(outer, place.outer) +
                          extent(inner, place.inner) + extent(rows, place.row) +
                          static_cast<double>(columns - 1);
      if (last < static_cast<double>(array.length)) return;
      check.fail(layout.position,
                 std::string("to stay within ") + check.name(array.position) + " (length " +
                     std::to_string(array.length) + ")",
                 "position " + formatNumber(last));
    };
    matrices(0, c, arrayC, s.m, s.n);
    if (s.batch > 0 && s.m > 0 && s.n > 0 && !areApart(s, sums)) {
      check.fail(layout.position,
                 std::string("to keep the rows of ") + check.name(arrayC.position) + " apart",
                 "strides " + std::to_string(c.outer) + ", " + std::to_string(c.inner) + " and " +
                     std::to_string(c.row));
    }
    matrices(1, a, arrayA, s.transposeA ? s.k : s.m, s.transposeA ? s.m : s.k);
    matrices(2, b, arrayB, s.transposeB ? s.n : s.k, s.transposeB ? s.k : s.n);
  }

 private:
  static Placement at(const NullableLayout& layout, int index) {
    const int32_t* v = layout.values.data() + 2 + 4 * index;
    return {v[0], v[1], v[2], v[3]};
  }

  static double extent(int64_t count, int64_t stride) {
    return static_cast<double>(count - 1) * static_cast<double>(stride);
  }

  /// Whether no two rows of c have elements in common, but for whole matrices where these may coincide. From
  /// the shortest stride on, each has to lead beyond all that the shorter ones reach.
  bool areApart(const Shape& s, bool sums) const {
    std::array<std::pair<int64_t, int64_t>, 3> axes{{{c.row, s.m}, {c.inner, inner}, {c.outer, outer}}};
    std::sort(axes.begin(), axes.end());
    double span = static_cast<double>(s.n);
    for (const auto& [stride, count] : axes) {
      if (count == 1 || (sums && stride == 0)) continue;
      if (static_cast<double>(stride) < span) return false;
      span += extent(count, stride);
    }
    return true;
  }
};

/// Refuses a layout of another length, and strides beside it.
void checkLayout(const Check& check, const NullableLayout& layout, std::initializer_list<Stride> strides) {
  check.length(layout, ProductLayout::length);
  for (const Stride& stride : strides) {
    if (stride != 0) check.fail(stride.position, "to be 0 beside a layout", formatNumber(stride));
  }
}

/// Without a layout: one matrix after the other, or one for all.
template <class T>
void checkFactors(const Check& check, const Shape& s, const Array<const T>& a, const Array<const T>& b,
                  Stride strideA, Stride strideB) {
  const double M = static_cast<double>(s.m.value), N = static_cast<double>(s.n.value),
               K = static_cast<double>(s.k.value), count = static_cast<double>(s.batch.value);
  check.stride(strideA, M * K);
  check.stride(strideB, K * N);
  check.length(a, operandLength(count, M, K, strideA));
  check.length(b, operandLength(count, K, N, strideB));
}

template <class T>
Products<T> products(const Shape& s, int64_t outer, int64_t inner, const Matrices<T>& c,
                     const Matrices<const T>& a, const Matrices<const T>& b) {
  return {outer, inner, s.m, s.n, s.k, s.transposeA, s.transposeB, c, a, b};
}

template <class T>
Products<T> plainProducts(const Shape& s, const Array<T>& c, const Array<const T>& a, const Array<const T>& b,
                          Stride strideA, Stride strideB, int64_t strideC) {
  return products<T>(s, s.batch, 1, {c.data, strideC, 0, s.n},
                     {a.data, static_cast<int64_t>(strideA.value), 0, s.transposeA ? s.m : s.k},
                     {b.data, static_cast<int64_t>(strideB.value), 0, s.transposeB ? s.k : s.n});
}

template <class T>
Products<T> placedProducts(const Shape& s, const ProductLayout& l, const Array<T>& c, const Array<const T>& a,
                           const Array<const T>& b) {
  return products<T>(s, l.outer, l.inner, l.c.of(c.data), l.a.of(a.data), l.b.of(b.data));
}

// ── the kernels
// ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// A call, checked, with the way that its products go: what a recorded one keeps.
template <class T>
class Multiplication {
 public:
  Multiplication(const Products<T>& p, const Epilogue<T>& epilogue) : Multiplication(false, epilogue) {
    set(p);
  }
  bool isCurrent() const { return contents_.areSame(); }
  void forget() { panels_.clear(); }

  /// With panels of b that were kept, or are kept from now on, if b stays as it is.
  void run(bool isSteady = false) {
    const T* const panels =
        isSteady && way_ == Way::blocks
            ? panels_.get(panelsSize(products_), [&](T* to) { packPanels(products_, to); })
            : nullptr;
    switch (way_) {
      case Way::nothing:
        return;
      case Way::zeros:
        return multiplyNothing();
      case Way::tiny:
        return multiplyTiny();
      case Way::blocks:
        return multiplyBlocks(products_, plan_, epilogue_, adds_, panels);
      case Way::dots:
        return multiplyDots(products_, epilogue_, adds_);
      case Way::blas:
        adds_ ? accumulateByBlas(products_) : multiplyByBlas(products_, epilogue_);
    }
  }

 protected:
  explicit Multiplication(bool adds, const Epilogue<T>& epilogue = {})
      : adds_(adds), epilogue_(epilogue), products_{} {}

  void set(const Products<T>& p) {
    products_ = p;
    way_ = wayOf(p);
    if (way_ == Way::blocks) plan_ = planBlocks(p);
  }

  void keep(const NullableLayout& layout) { contents_.keep(layout.source, layout.length); }

 private:
  enum class Way { nothing, zeros, tiny, blocks, dots, blas };

  Way wayOf(const Products<T>& p) const {
    if (p.outer == 0 || p.inner == 0 || p.m == 0 || p.n == 0) return Way::nothing;
    if (p.k == 0) return adds_ ? Way::nothing : Way::zeros;
    if (suitsDots(p)) return Way::dots;
    const bool isTiny =
        p.outer == 1 && p.inner == 1 && static_cast<double>(p.m * p.n) * static_cast<double>(p.k) <= tinySize;
    if (isTiny && productWay != ProductWay::blocks) return Way::tiny;
    return suitsBlocks(p) ? Way::blocks : Way::blas;
  }

  void multiplyNothing() const {
    const Products<T>& p = products_;
    forTiles(p, p.outer * p.inner,
             [&](int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns) {
               T* const tile = p.c.at(i / p.inner, i % p.inner) + row * p.c.row + column;
               for (int64_t r = 0; r < rows; r++) std::fill_n(tile + r * p.c.row, columns, T(0));
               epilogue_.apply(tile, p.c.row, rows, columns, column);
             });
  }

  void multiplyTiny() const {
    const Products<T>& p = products_;
    axpy::multiplyTiny(p.transposeA, p.transposeB, p.m, p.n, p.k, p.a.data, p.a.row, p.b.data, p.b.row,
                       adds_ ? T(1) : T(0), p.c.data, p.c.row);
    if (epilogue_.present()) epilogue_.apply(p.c.data, p.c.row, p.m, p.n, 0);
  }

  bool adds_;
  Epilogue<T> epilogue_;
  Products<T> products_;
  Way way_ = Way::nothing;
  Plan plan_{};  // of blocks
  Lasting<T> panels_;
  Contents contents_;
};

template <class T>
struct Gemm : Multiplication<T> {
  Gemm(const Check& check, const Array<T>& c, const Array<const T>& a, const Array<const T>& b,
       const Nullable<const T>& bias, Size batch, Size m, Size n, Size k, Flag transposeA, Flag transposeB,
       Stride strideA, Stride strideB, OptionalCode<UnaryOp> activation, AnyNumber parameter,
       const NullableLayout& layout)
      : Multiplication<T>(false, {bias.data, activation, parameter}) {
    const Shape s{batch, m, n, k, transposeA, transposeB};
    if (!bias.null) check.length(bias, static_cast<double>(n.value));
    if (!layout.null) {
      this->keep(layout);
      checkLayout(check, layout, {strideA, strideB});
      this->set(placedProducts(s, {check, layout, s, false, c, a, b}, c, a, b));
      return;
    }
    check.length(
        c, static_cast<double>(batch.value) * static_cast<double>(m.value) * static_cast<double>(n.value));
    checkFactors(check, s, a, b, strideA, strideB);
    this->set(plainProducts(s, c, a, b, strideA, strideB, m * n));
  }
};

template <class T>
struct GemmAccumulate : Multiplication<T> {
  GemmAccumulate(const Check& check, const Array<T>& c, const Array<const T>& a, const Array<const T>& b,
                 Size batch, Size m, Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA,
                 Stride strideB, Stride strideC, const NullableLayout& layout)
      : Multiplication<T>(true) {
    const Shape s{batch, m, n, k, transposeA, transposeB};
    if (!layout.null) {
      this->keep(layout);
      checkLayout(check, layout, {strideA, strideB, strideC});
      this->set(placedProducts(s, {check, layout, s, true, c, a, b}, c, a, b));
      return;
    }
    checkFactors(check, s, a, b, strideA, strideB);
    const double M = static_cast<double>(m.value), N = static_cast<double>(n.value);
    check.stride(strideC, M * N);
    check.length(c, operandLength(static_cast<double>(batch.value), M, N, strideC));
    this->set(plainProducts(s, c, a, b, strideA, strideB, static_cast<int64_t>(strideC.value)));
  }
};

}  // namespace

template <class T>
void multiply(const Products<T>& p, const Epilogue<T>& epilogue) {
  Multiplication<T>(p, epilogue).run();
}
template void multiply(const Products<float>&, const Epilogue<float>&);
template void multiply(const Products<double>&, const Epilogue<double>&);

template <class T>
void gemm(const Check& check, Array<T> c, Array<const T> a, Array<const T> b, Nullable<const T> bias,
          Size batch, Size m, Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA,
          Stride strideB, OptionalCode<UnaryOp> activation, AnyNumber parameter, NullableLayout layout) {
  Gemm<T>(check, c, a, b, bias, batch, m, n, k, transposeA, transposeB, strideA, strideB, activation,
          parameter, layout)
      .run();
}

template <class T>
void gemmAccumulate(const Check& check, Array<T> c, Array<const T> a, Array<const T> b, Size batch, Size m,
                    Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA, Stride strideB,
                    Stride strideC, NullableLayout layout) {
  GemmAccumulate<T>(check, c, a, b, batch, m, n, k, transposeA, transposeB, strideA, strideB, strideC, layout)
      .run();
}

template <>
struct bind::Prepared<gemm<float>> {
  using Type = Gemm<float>;
  static constexpr size_t kept = 2;  // b
};
template <>
struct bind::Prepared<gemm<double>> {
  using Type = Gemm<double>;
  static constexpr size_t kept = 2;
};
template <>
struct bind::Prepared<gemmAccumulate<float>> {
  using Type = GemmAccumulate<float>;
};
template <>
struct bind::Prepared<gemmAccumulate<double>> {
  using Type = GemmAccumulate<double>;
};

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(gemm, "c", "a", "b", "bias", "batch", "m", "n", "k", "transposeA", "transposeB",
                      "strideA", "strideB", "activation", "parameter", "layout"),
    AXPY_FLOAT_KERNEL(gemmAccumulate, "c", "a", "b", "batch", "m", "n", "k", "transposeA", "transposeB",
                      "strideA", "strideB", "strideC", "layout"),
};
const bind::Family family(kernels);

}  // namespace axpy
