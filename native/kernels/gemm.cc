// Products of matrices, batched, with bias and activation while the result is in cache.

#include "blas.h"
#include "kernels.h"
#include "parallel.h"
#include "workspaces.h"

#include <algorithm>

namespace axpy {
namespace {

/// A batch of products, as `gemm` and `gemmAccumulate` share it.
template <class T>
struct Products {
  T* c;
  const T* a;
  const T* b;
  int64_t batch, m, n, k;
  bool transposeA, transposeB;
  int64_t strideA, strideB, strideC;
  int64_t lda = transposeA ? m : k, ldb = transposeB ? k : n;
  blas::Caller blas{};

  /// The product over the terms [from, to) alone.
  Products slice(int64_t from, int64_t to, T* into) const {
    Products part = *this;
    part.a += transposeA ? from * lda : from;
    part.b += transposeB ? from : from * ldb;
    part.c = into;
    part.k = to - from;
    return part;
  }
};

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
    // With a few rows, the time goes into reading b: at least 256 KB of float32 for a tile.
    if (m <= 8) cut(m, n, std::min(static_cast<double>(n) * static_cast<double>(k) / 65536, 8.0), m, 64);
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

/// c = op(a) · op(b) + beta · c, with so few terms that a call of BLAS would cost more.
template <class T>
void multiplyTiny(const Products<T>& p, const T* a, const T* b, T* c, int64_t rows, int64_t columns, T beta) {
  const int64_t stepA = p.transposeA ? p.lda : 1, nextA = p.transposeA ? 1 : p.lda;
  const int64_t stepB = p.transposeB ? 1 : p.ldb, nextB = p.transposeB ? p.ldb : 1;
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) {
      T sum = 0;
      for (int64_t l = 0; l < p.k; l++) sum += a[i * nextA + l * stepA] * b[j * nextB + l * stepB];
      T& to = c[i * p.n + j];
      to = beta == 0 ? sum : to + sum;
    }
  }
}

constexpr int64_t transposedSize = 4096;

/// c tile = op(a) · op(b) + beta · c, for matrix i of the batch.
template <class T>
void multiplyTile(const Products<T>& p, int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns,
                  T beta) {
  const T* a = p.a + i * p.strideA + (p.transposeA ? row : row * p.lda);
  const T* b = p.b + i * p.strideB + (p.transposeB ? column * p.ldb : column);
  T* c = p.c + i * p.strideC + row * p.n + column;
  if (rows * columns * p.k <= 64) return multiplyTiny(p, a, b, c, rows, columns, beta);
  // A product with a vector would spend its time on packing the matrix, which is read once.
  if (rows == 1) {
    const int64_t step = p.transposeA ? p.lda : 1;
    return p.transposeB ? p.blas.gemv(false, columns, p.k, b, p.ldb, a, step, beta, c, 1)
                        : p.blas.gemv(true, p.k, columns, b, p.ldb, a, step, beta, c, 1);
  }
  if (columns == 1) {
    const int64_t step = p.transposeB ? 1 : p.ldb;
    return p.transposeA ? p.blas.gemv(true, p.k, rows, a, p.lda, b, step, beta, c, p.n)
                        : p.blas.gemv(false, rows, p.k, a, p.lda, b, step, beta, c, p.n);
  }
  if (p.transposeB && columns <= 32 && columns * p.k <= transposedSize && rows >= 16) {
    // A narrow bᵀ makes for dot products, several times slower than turning it over first.
    T transposed[transposedSize];
    for (int64_t j = 0; j < columns; j++) {
      for (int64_t l = 0; l < p.k; l++) transposed[l * columns + j] = b[j * p.ldb + l];
    }
    p.blas.gemm(p.transposeA, false, rows, columns, p.k, a, p.lda, transposed, columns, beta, c, p.n);
    return;
  }
  p.blas.gemm(p.transposeA, p.transposeB, rows, columns, p.k, a, p.lda, b, p.ldb, beta, c, p.n);
}

/// Calls run(i, row, column, rows, columns) for every tile of every matrix.
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
  if (p.batch != 1 || Tiles(p.m, p.n, p.k).count(p.m, p.n) > 1) return 1;
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  return std::clamp<int64_t>(std::min(p.k / 1024, static_cast<int64_t>(work / 4e6)), 1, 8);
}

/// c = op(a) · op(b) by parts of the terms, which are added in order; then finish(row, rows).
template <class T, class F>
void multiplyByParts(const Products<T>& p, int64_t parts, const F& finish) {
  const int64_t size = p.m * p.n;
  const Buffer<T> others((parts - 1) * size);
  parallel::forEach(parts, [&](int64_t part) {
    T* const into = part == 0 ? p.c : others.data() + (part - 1) * size;
    multiplyTile(p.slice(part * p.k / parts, (part + 1) * p.k / parts, into), 0, 0, 0, p.m, p.n, T(0));
  });
  const int64_t chunk = std::max<int64_t>(1, parallel::heavyChunk / (p.n * parts));
  parallel::forRange(p.m, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts - 1; part++) {
      const T* other = others.data() + part * size;
      for (int64_t i = begin * p.n; i < end * p.n; i++) p.c[i] += other[i];
    }
    finish(begin, end - begin);
  });
}

double operandLength(double batch, double rows, double columns, double stride) {
  return stride == 0 ? rows * columns : batch * rows * columns;
}

}  // namespace

template <class T>
void gemm(const Check& check, Array<T> c, Array<const T> a, Array<const T> b, Nullable<const T> bias,
          Size batch, Size m, Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA,
          Stride strideB, OptionalCode<UnaryOp> activation, AnyNumber parameter) {
  const double M = static_cast<double>(m.value), N = static_cast<double>(n.value),
               K = static_cast<double>(k.value);
  const double count = static_cast<double>(batch.value);
  check.length(c, count * M * N);
  if (!bias.null) check.length(bias, N);
  check.stride(strideA, M * K);
  check.stride(strideB, K * N);
  check.length(a, operandLength(count, M, K, strideA));
  check.length(b, operandLength(count, K, N, strideB));
  if (c.length == 0) return;

  const Products<T> p{c.data,
                      a.data,
                      b.data,
                      batch,
                      m,
                      n,
                      k,
                      transposeA,
                      transposeB,
                      static_cast<int64_t>(strideA.value),
                      static_cast<int64_t>(strideB.value),
                      m * n};
  if (const int64_t parts = depthParts(p); parts > 1) {
    return multiplyByParts(p, parts, [&](int64_t row, int64_t rows) {
      applyEpilogue(p.c + row * p.n, p.n, rows, p.n, bias.data, activation, parameter);
    });
  }
  forTiles(p, batch, [&](int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns) {
    T* tile = p.c + i * p.strideC + row * p.n + column;
    if (p.k > 0) {
      multiplyTile(p, i, row, column, rows, columns, T(0));
    } else {
      for (int64_t r = 0; r < rows; r++) std::fill_n(tile + r * p.n, columns, T(0));
    }
    applyEpilogue(tile, p.n, rows, columns, bias.null ? nullptr : bias.data + column, activation, parameter);
  });
}

template <class T>
void gemmAccumulate(const Check& check, Array<T> c, Array<const T> a, Array<const T> b, Size batch, Size m,
                    Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA, Stride strideB,
                    Stride strideC) {
  const double M = static_cast<double>(m.value), N = static_cast<double>(n.value),
               K = static_cast<double>(k.value);
  const double count = static_cast<double>(batch.value);
  check.stride(strideA, M * K);
  check.stride(strideB, K * N);
  check.length(a, operandLength(count, M, K, strideA));
  check.length(b, operandLength(count, K, N, strideB));
  check.stride(strideC, M * N);
  check.length(c, operandLength(count, M, N, strideC));
  if (c.length == 0 || k == 0 || batch == 0) return;

  const Products<T> p{c.data,
                      a.data,
                      b.data,
                      batch,
                      m,
                      n,
                      k,
                      transposeA,
                      transposeB,
                      static_cast<int64_t>(strideA.value),
                      static_cast<int64_t>(strideB.value),
                      static_cast<int64_t>(strideC.value)};
  // With one c for the whole batch, a tile takes its sums one after the other.
  const bool sums = p.strideC == 0;
  forTiles(p, sums ? 1 : p.batch, [&](int64_t i, int64_t row, int64_t column, int64_t rows, int64_t columns) {
    for (int64_t j = i; j < (sums ? p.batch : i + 1); j++)
      multiplyTile(p, j, row, column, rows, columns, T(1));
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(gemm, "c", "a", "b", "bias", "batch", "m", "n", "k", "transposeA", "transposeB",
                      "strideA", "strideB", "activation", "parameter"),
    AXPY_FLOAT_KERNEL(gemmAccumulate, "c", "a", "b", "batch", "m", "n", "k", "transposeA", "transposeB",
                      "strideA", "strideB", "strideC"),
};
const bind::Family family(kernels);

}  // namespace axpy
