// BLAS: OpenBLAS (blas.cc), on macOS that of the system (accelerate.cc). It runs single-threaded; the pool
// splits the work.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

// The interface is a standard one, and the headers of each library bring more than it; so it is declared
// here.
extern "C" {
enum CBLAS_ORDER : int { CblasRowMajor = 101 };
enum CBLAS_TRANSPOSE : int { CblasNoTrans = 111, CblasTrans = 112 };
using blasint = int;

void cblas_sgemm(CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, blasint m, blasint n, blasint k, float alpha,
                 const float* a, blasint lda, const float* b, blasint ldb, float beta, float* c, blasint ldc);
void cblas_dgemm(CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, blasint m, blasint n, blasint k, double alpha,
                 const double* a, blasint lda, const double* b, blasint ldb, double beta, double* c,
                 blasint ldc);
void cblas_sgemv(CBLAS_ORDER, CBLAS_TRANSPOSE, blasint m, blasint n, float alpha, const float* a, blasint lda,
                 const float* x, blasint stepX, float beta, float* y, blasint stepY);
void cblas_dgemv(CBLAS_ORDER, CBLAS_TRANSPOSE, blasint m, blasint n, double alpha, const double* a,
                 blasint lda, const double* x, blasint stepX, double beta, double* y, blasint stepY);
}

namespace axpy::blas {

/// Once a process, before any product. Throws Unavailable where there are none to be had.
void initialize();

/// Why this process can have no products.
struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The library, and the kind of CPU whose kernels it uses.
std::string description();

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
