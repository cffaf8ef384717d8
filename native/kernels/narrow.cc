// Products with a matrix that stays in the first-level caches, as the weights of first layers and of groups
// do: a call of BLAS would spend much of its time on preparing operands that are read once.

#include "convolution.h"
#include "simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/narrow.cc"
#include "hwy/foreach_target.h"

#include "hwy/highway.h"
#include "loops-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {

/// `rows` × a panel of c, `vectors` vectors wide, of which `count` values are stored.
template <int rows, int vectors, class T>
HWY_INLINE void multiplyRows(const T* HWY_RESTRICT a, int64_t strideA, const T* HWY_RESTRICT panel,
                             int64_t terms, T* HWY_RESTRICT c, int64_t strideC, int64_t count) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> sums[rows][vectors];
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) sums[i][v] = hn::Zero(d);
  }
  for (int64_t k = 0; k < terms; k++) {
    hn::Vec<decltype(d)> b[vectors];
    for (int v = 0; v < vectors; v++) b[v] = hn::LoadU(d, panel + (k * vectors + v) * lanes);
    for (int i = 0; i < rows; i++) {
      const auto value = hn::Set(d, a[i * strideA + k]);
      for (int v = 0; v < vectors; v++) sums[i][v] = hn::MulAdd(value, b[v], sums[i][v]);
    }
  }
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) {
      T* const to = c + i * strideC + v * lanes;
      const int64_t left = count - v * lanes;
      if (left >= lanes) {
        hn::StoreU(sums[i][v], d, to);
      } else if (left > 0) {
        storeFirst(d, sums[i][v], to, left);
      }
    }
  }
}

template <int vectors, class T>
HWY_INLINE void multiplyPanel(const T* a, int64_t strideA, const T* panel, int64_t rows, int64_t terms, T* c,
                              int64_t strideC, int64_t count) {
  constexpr int some = 6;
  int64_t i = 0;
  for (; i + some <= rows; i += some) {
    multiplyRows<some, vectors>(a + i * strideA, strideA, panel, terms, c + i * strideC, strideC, count);
  }
  for (; i < rows; i++) {
    multiplyRows<1, vectors>(a + i * strideA, strideA, panel, terms, c + i * strideC, strideC, count);
  }
}

/// Columns of a panel: two vectors, or one where that is enough.
template <class T>
HWY_INLINE int64_t panelWidth(int64_t columns) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return columns <= lanes ? lanes : 2 * lanes;
}

template <class T>
void multiplyNarrow(const T* a, int64_t strideA, const T* panels, int64_t rows, int64_t columns,
                    int64_t terms, T* c, int64_t strideC) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  for (int64_t j = 0; j < columns;) {
    const int64_t width = panelWidth<T>(columns - j), count = std::min(width, columns - j);
    (width == lanes ? multiplyPanel<1, T> : multiplyPanel<2, T>)(a, strideA, panels + j * terms, rows, terms,
                                                                 c + j, strideC, count);
    j += width;
  }
}

/// Columns rounded up to whole vectors.
template <class T>
int64_t paddedColumns(int64_t columns) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return (columns + lanes - 1) / lanes * lanes;
}

template <class T>
void arrangeNarrow(T* panels, const T* b, bool transposed, int64_t columns, int64_t terms) {
  for (int64_t j = 0; j < columns;) {
    const int64_t width = panelWidth<T>(columns - j);
    for (int64_t k = 0; k < terms; k++) {
      for (int64_t i = j; i < j + width; i++) {
        *panels++ = i < columns ? b[transposed ? i * terms + k : k * columns + i] : T(0);
      }
    }
    j += width;
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace axpy {

template <class T>
NarrowProduct<T>::NarrowProduct(const T* b, bool transposed, int64_t groups, int64_t columns, int64_t terms)
    : columns_(columns),
      terms_(terms),
      size_(terms * AXPY_SIMD(paddedColumns<T>)(columns)),
      panels_(groups * size_) {
  const auto arrange = AXPY_SIMD(arrangeNarrow<T>);
  for (int64_t group = 0; group < groups; group++) {
    arrange(panels_.data() + group * size_, b + group * columns * terms, transposed, columns, terms);
  }
}

template <class T>
void NarrowProduct<T>::run(const T* a, int64_t strideA, int64_t group, int64_t rows, T* c,
                           int64_t strideC) const {
  const auto multiply = AXPY_SIMD(multiplyNarrow<T>);
  multiply(a, strideA, panels_.data() + group * size_, rows, columns_, terms_, c, strideC);
}

template class NarrowProduct<float>;
template class NarrowProduct<double>;

}  // namespace axpy
#endif  // HWY_ONCE
