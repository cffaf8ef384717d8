// The ways to compute a convolution, for convolution.cc to choose from.
#pragma once

#include "geometry.h"
#include "kernels.h"
#include "workspaces.h"

namespace axpy {

/// For tests: the way to take wherever it applies, whether or not it pays there. `best` unless
/// AXPY_CONVOLUTION is `winograd`, `narrow` or `product` (im2col and BLAS).
enum class Way { best, winograd, narrow, product };
extern const Way way;

/// bias[channels] and an activation, applied to rows of a result.
template <class T>
struct Epilogue {
  const T* bias;
  OptionalCode<UnaryOp> activation;
  double parameter;

  bool present() const { return bias || activation.present(); }
  /// rows × columns of a result, rows `stride` apart, from column `first` of the bias on.
  void apply(T* rows, int64_t stride, int64_t count, int64_t columns, int64_t first) const {
    applyEpilogue(rows, stride, count, columns, bias ? bias + first : nullptr, activation, parameter);
  }
};

// ── narrow.cc: products with few columns and terms
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// c = a · b for one small b a group, arranged once for many products.
template <class T>
class NarrowProduct {
 public:
  /// Whether b is small enough for this to pay.
  static bool suits(int64_t columns, int64_t terms) {
    if (way != Way::best) return way == Way::narrow;
    return columns <= 64 && terms <= 512 && columns * terms <= 8192;
  }

  /// b: for each group columns × terms when transposed, else terms × columns.
  NarrowProduct(const T* b, bool transposed, int64_t groups, int64_t columns, int64_t terms);
  /// c, rows × columns, `strideC` apart, from rows of `terms` values, `strideA` apart.
  void run(const T* a, int64_t strideA, int64_t group, int64_t rows, T* c, int64_t strideC) const;

 private:
  const int64_t columns_, terms_, size_;
  const Buffer<T> panels_;
};

// ── depthwise.cc: every channel by itself, outChannels / channels outputs each
// ───────────────────────────────────────────────────────

template <class T>
void depthwise(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void depthwiseTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void depthwiseWeightGradient(T* out, const T* x, const T* gradient, const Window& w);

// ── winograd.cc: F(4×4, 3×3)
// ─────────────────────────────────────────────────────────────────────────────────────────

/// Whether it applies to these sizes, and pays.
bool suitsWinograd(const Window& w);

void winograd(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
              const Window& w);
void winogradTransposed(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
                        const Window& w);
void winogradWeightGradient(float* out, const float* x, const float* gradient, const Window& w);

}  // namespace axpy
