// What kernels do for each other. Each kernel of binding.d.ts is a function of a file in kernels/, which
// registers it at its end; see binding.d.ts for what they compute. Destinations first, then inputs, then
// sizes and scalars. Types and values of scalars are checked before; lengths and contents the kernel checks
// itself, before it writes anything, in the order of lib/kernels/table.ts, and throws a Violation.
//
// T is float or double, and where binding.d.ts says Data also int32_t.
#pragma once

#include "arguments.h"
#include "bind.h"
#include "codes.h"

namespace axpy {

/// c = activation(c + bias), rows × columns with rows `stride` apart, on the calling thread, unchecked.
template <class T>
void applyEpilogue(T* c, int64_t stride, int64_t rows, int64_t columns, const T* bias,
                   const OptionalCode<UnaryOp>& activation, double parameter);

/// The bias of each column and an activation, applied to rows of a result.
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

/// out[n] = f(x[n]) on the calling thread, unchecked: the epilogue of a product.
template <class T>
void applyUnary(T* out, const T* x, int64_t n, UnaryOp op, double p, double q);

/// out[n] = gradient[n] · f′, with kept the input or the output as the op reads it, likewise.
template <class T>
void applyUnaryGradient(T* out, const T* gradient, const T* kept, int64_t n, UnaryOp op, double p, double q);

/// Whether f is so costly that a few thousand elements are worth a thread.
bool isHeavy(UnaryOp op);

/// out[n] = f(x[n] + bias[n]), likewise.
template <class T>
void applyUnaryBiased(T* out, const T* x, const T* bias, int64_t n, UnaryOp op, double p, double q);

// ── binary.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[n] = f(a[i · stepA], b[i · stepB]) on the calling thread, unchecked; steps of 0 or 1.
template <class T>
void applyBinary(T* out, int64_t n, const T* a, int64_t stepA, const T* b, int64_t stepB, BinaryOp op);

/// out[n] = gradient[n] · ∂f/∂a or, by operand 1, ∂f/∂b, likewise.
template <class T>
void applyBinaryGradient(T* out, int64_t n, const T* gradient, const T* a, const T* b, BinaryOp op,
                         int operand);

/// The choice between a and b, likewise.
template <class T>
void applyWhere(T* out, int64_t n, const T* condition, int64_t stepC, const T* a, int64_t stepA, const T* b,
                int64_t stepB);

// ── loss.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[n] = scale · l(prediction[n], target[n]) on the calling thread, unchecked.
template <class T>
void applyLoss(T* out, const T* prediction, const T* target, int64_t n, LossOp op, double parameter,
               double scale);

/// out[n] = scale · gradient[n · stepG] · ∂l/∂prediction or ∂l/∂target, likewise; a step of 0 or 1.
template <class T>
void applyLossGradient(T* out, const T* gradient, int64_t stepG, const T* prediction, const T* target,
                       int64_t n, LossOp op, double parameter, double scale, bool byTarget);

// ── finite.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whether all are finite, on the calling thread.
template <class T>
bool areFinite(const T* x, int64_t n);

}  // namespace axpy
