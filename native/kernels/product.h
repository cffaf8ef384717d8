// Products of matrices: for kernels that are such products, and for gemm.cc the way by blocks in registers.
#pragma once

#include "kernels.h"

namespace axpy {

/// Matrices of a batch of outer × inner, each with rows `row` apart.
template <class T>
struct Matrices {
  T* data;
  int64_t outer, inner, row;

  T* at(int64_t o, int64_t i) const { return data + o * outer + i * inner; }
};

/// A batch of products c = op(a) · op(b).
template <class T>
struct Products {
  int64_t outer, inner, m, n, k;
  bool transposeA, transposeB;
  Matrices<T> c;
  Matrices<const T> a, b;
};

/// c = epilogue(op(a) · op(b)) by the way that suits the shape, as `gemm` has it.
template <class T>
void multiply(const Products<T>& p, const Epilogue<T>& epilogue);

/// For tests: the way to take whether or not it pays. `best` unless AXPY_PRODUCT is `blocks` or `blas`.
enum class ProductWay { best, blocks, blas };
extern const ProductWay productWay;

// ── product.cc: by blocks in registers
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whether this is the faster way for products of such a shape, on this machine.
template <class T>
bool suitsBlocks(const Products<T>& p);

/// How a batch of products is cut into tasks, from its shape alone: each matrix into down × across tiles,
/// their terms into `deep` parts; or `group` matrices to a task.
struct Plan {
  int64_t down, across, deep, group;
};

/// None of the sizes is 0.
template <class T>
Plan planBlocks(const Products<T>& p);

/// c = epilogue(op(a) · op(b)), or with `accumulate` c += op(a) · op(b), where matrices of c may coincide.
/// `panels` are those of b, if somebody has kept them.
template <class T>
void multiplyBlocks(const Products<T>& p, const Plan& plan, const Epilogue<T>& epilogue, bool accumulate,
                    const T* panels = nullptr);

/// How many elements the panels of b have; 0 where keeping them saves nothing.
template <class T>
int64_t panelsSize(const Products<T>& p);
/// Copies b into panels, which begin at a cache line.
template <class T>
void packPanels(const Products<T>& p, T* panels);

// ── dots.cc: by dot products
// ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whether there are few rows or columns, and both operands lie along their terms.
template <class T>
bool suitsDots(const Products<T>& p);

/// As multiplyBlocks, with matrices of c that are apart.
template <class T>
void multiplyDots(const Products<T>& p, const Epilogue<T>& epilogue, bool accumulate);

}  // namespace axpy
