// BLAS of macOS. The system has one at a known place, faster on Apple's own CPUs than any other: it reaches
// their matrix units. It is opened as the addon starts, so that no SDK of Apple's is needed to build.
#if defined(__APPLE__)

#include <dlfcn.h>

#include "blas.h"

namespace {

decltype(&cblas_sgemm) sgemm;
decltype(&cblas_dgemm) dgemm;
decltype(&cblas_sgemv) sgemv;
decltype(&cblas_dgemv) dgemv;

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw axpy::blas::Unavailable(std::string("Accelerate has no ") + name);
}

}  // namespace

void axpy::blas::initialize() {
  void* const library =
      dlopen("/System/Library/Frameworks/Accelerate.framework/Accelerate", RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Unavailable(std::string("Accelerate cannot be loaded: ") + dlerror());
  find(library, "cblas_sgemm", sgemm);
  find(library, "cblas_dgemm", dgemm);
  find(library, "cblas_sgemv", sgemv);
  find(library, "cblas_dgemv", dgemv);
}

/// Accelerate allocates what it needs.
void axpy::blas::prepare() {}

std::string axpy::blas::description() { return "Accelerate"; }

void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE transposeA, CBLAS_TRANSPOSE transposeB, blasint m,
                 blasint n, blasint k, float alpha, const float* a, blasint lda, const float* b, blasint ldb,
                 float beta, float* c, blasint ldc) {
  sgemm(order, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE transposeA, CBLAS_TRANSPOSE transposeB, blasint m,
                 blasint n, blasint k, double alpha, const double* a, blasint lda, const double* b,
                 blasint ldb, double beta, double* c, blasint ldc) {
  dgemm(order, transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_sgemv(CBLAS_ORDER order, CBLAS_TRANSPOSE transpose, blasint m, blasint n, float alpha,
                 const float* a, blasint lda, const float* x, blasint stepX, float beta, float* y,
                 blasint stepY) {
  sgemv(order, transpose, m, n, alpha, a, lda, x, stepX, beta, y, stepY);
}

void cblas_dgemv(CBLAS_ORDER order, CBLAS_TRANSPOSE transpose, blasint m, blasint n, double alpha,
                 const double* a, blasint lda, const double* x, blasint stepX, double beta, double* y,
                 blasint stepY) {
  dgemv(order, transpose, m, n, alpha, a, lda, x, stepX, beta, y, stepY);
}

#endif
