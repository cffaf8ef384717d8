// With blas.cc the only file that names OpenBLAS. It runs single-threaded; the pool splits the work.
#pragma once

#include <cblas.h>

#include <cstdint>
#include <string>

namespace axpy::blas {

inline void initialize() { openblas_set_num_threads(1); }

inline std::string description() {
  return std::string(openblas_get_config()) + " (" + openblas_get_corename() + ")";
}

/// Whether OpenBLAS has kernels for this CPU: on x86-64 they want SSE3.
bool runs();

/// Makes sure that there is memory for a product. Throws std::bad_alloc.
void prepare();

/// Makes products. Whoever wants some has it before the first task of a job, as a task must not throw.
class Caller {
 public:
  Caller() { prepare(); }

  /// c = op(a) · op(b) + beta · c, row-major; lda, ldb, ldc are the lengths of rows as stored.
  void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
            const float* b, int64_t ldb, float beta, float* c, int64_t ldc) const {
    cblas_sgemm(CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
                static_cast<blasint>(m), static_cast<blasint>(n), static_cast<blasint>(k), 1.0f, a,
                static_cast<blasint>(lda), b, static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
  }

  void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
            const double* b, int64_t ldb, double beta, double* c, int64_t ldc) const {
    cblas_dgemm(CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
                static_cast<blasint>(m), static_cast<blasint>(n), static_cast<blasint>(k), 1.0, a,
                static_cast<blasint>(lda), b, static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
  }

  /// y = op(a) · x, a rows × columns.
  void gemv(bool transpose, int64_t rows, int64_t columns, const float* a, int64_t lda, const float* x,
            int64_t stepX, float beta, float* y, int64_t stepY) const {
    cblas_sgemv(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, static_cast<blasint>(rows),
                static_cast<blasint>(columns), 1.0f, a, static_cast<blasint>(lda), x,
                static_cast<blasint>(stepX), beta, y, static_cast<blasint>(stepY));
  }

  void gemv(bool transpose, int64_t rows, int64_t columns, const double* a, int64_t lda, const double* x,
            int64_t stepX, double beta, double* y, int64_t stepY) const {
    cblas_dgemv(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, static_cast<blasint>(rows),
                static_cast<blasint>(columns), 1.0, a, static_cast<blasint>(lda), x,
                static_cast<blasint>(stepX), beta, y, static_cast<blasint>(stepY));
  }
};

}  // namespace axpy::blas
