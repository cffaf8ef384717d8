// The kernels of binding.d.ts as C++ functions; see there for what they compute. Destinations first, then
// inputs, then sizes and scalars. Each checks lengths and contents itself, before it writes anything, and
// throws a Violation.
//
// T is float or double, and in `fill`, `copy` and `gather` also int32_t.
#pragma once

#include <type_traits>

#include "arguments.h"
#include "codes.h"

namespace axpy {

// ── gemm.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// c[batch, m, n] = activation(op(a) · op(b) + bias[n])
template <class T>
void gemm(const Check&, Array<T> c, Array<const T> a, Array<const T> b, Nullable<const T> bias, Size batch,
          Size m, Size n, Size k, Flag transposeA, Flag transposeB, Stride strideA, Stride strideB,
          OptionalCode<UnaryOp> activation, AnyNumber parameter);

/// c[batch or 1, m, n] += op(a) · op(b)
template <class T>
void gemmAccumulate(const Check&, Array<T> c, Array<const T> a, Array<const T> b, Size batch, Size m, Size n,
                    Size k, Flag transposeA, Flag transposeB, Stride strideA, Stride strideB, Stride strideC);

// ── epilogue.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// c = activation(c + bias), rows × columns with rows `stride` apart, on the calling thread, unchecked.
template <class T>
void applyEpilogue(T* c, int64_t stride, int64_t rows, int64_t columns, const T* bias,
                   const OptionalCode<UnaryOp>& activation, double parameter);

/// out[rows, columns] = gradient · f′(y), biasGradient[columns] = Σ of it over the rows
template <class T>
void epilogueGradient(const Check&, Array<T> out, Nullable<T> biasGradient, Array<const T> gradient,
                      Array<const T> y, Size rows, Size columns, OptionalCode<UnaryOp> activation,
                      AnyNumber parameter);

// ── convolution.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[n, oh, ow, o] = activation(x[n, h, w, c] ∗ weight[o, kh, kw, c / groups] + bias[o])
template <class T>
void convolve(const Check&, Array<T> out, Array<const T> x, Array<const T> weight, Nullable<const T> bias,
              const Geometry& geometry, OptionalCode<UnaryOp> activation, AnyNumber parameter, Flag fast);

/// out[n, h, w, c] = activation(transpose of the above applied to x[n, oh, ow, o] + bias[c])
template <class T>
void convolveTransposed(const Check&, Array<T> out, Array<const T> x, Array<const T> weight,
                        Nullable<const T> bias, const Geometry& geometry, OptionalCode<UnaryOp> activation,
                        AnyNumber parameter, Flag fast);

/// out[o, kh, kw, c / groups] from x[n, h, w, c] and gradient[n, oh, ow, o]
template <class T>
void convolveWeightGradient(const Check&, Array<T> out, Array<const T> x, Array<const T> gradient,
                            const Geometry& geometry, Flag fast);

// ── pool.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// out, indices[n, oh, ow, c] = the largest under each window of x[n, h, w, c], and where in the window
template <class T>
void maxPool(const Check&, Array<T> out, Array<int32_t> indices, Array<const T> x, const Geometry& geometry);

template <class T>
void maxPoolGradient(const Check&, Array<T> out, Array<const T> gradient, Array<const int32_t> indices,
                     const Geometry& geometry);

/// out[n, oh, ow, c] = the mean under each window of x[n, h, w, c]
template <class T>
void averagePool(const Check&, Array<T> out, Array<const T> x, const Geometry& geometry, Flag countPadding);

template <class T>
void averagePoolGradient(const Check&, Array<T> out, Array<const T> gradient, const Geometry& geometry,
                         Flag countPadding);

// ── normalize.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// mean, inverse[channels] = mean and 1/√(variance + ε) of x[rows, channels] over the rows
template <class T>
void batchMoments(const Check&, Array<T> mean, Array<T> inverse, Nullable<T> runningMean,
                  Nullable<T> runningVariance, Array<const T> x, Size rows, Size channels, Number epsilon,
                  Number momentum);

/// out[rows, channels] = activation((x − mean)·inverse·scale + shift)
template <class T>
void batchNorm(const Check&, Array<T> out, Array<const T> x, Array<const T> mean, Array<const T> inverse,
               Nullable<const T> scale, Nullable<const T> shift, Size rows, Size channels,
               OptionalCode<UnaryOp> activation, AnyNumber parameter);

template <class T>
void batchNormGradient(const Check&, Array<T> out, Array<T> scaleGradient, Array<T> shiftGradient,
                       Array<const T> gradient, Array<const T> x, Array<const T> mean, Array<const T> inverse,
                       Nullable<const T> scale, Nullable<const T> shift, Size rows, Size channels,
                       OptionalCode<UnaryOp> activation, AnyNumber parameter, Flag moments);

/// out[rows, size] = (x − mean[rows])·inverse[rows]·scale + shift
template <class T>
void layerNorm(const Check&, Array<T> out, Array<T> mean, Array<T> inverse, Array<const T> x,
               Nullable<const T> scale, Nullable<const T> shift, Size rows, Size size, Number epsilon);

template <class T>
void layerNormGradient(const Check&, Array<T> out, Array<T> scaleGradient, Array<T> shiftGradient,
                       Array<const T> gradient, Array<const T> x, Array<const T> mean, Array<const T> inverse,
                       Nullable<const T> scale, Size rows, Size size);

// ── unary.cc
// ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[n] = f(x[n])
template <class T>
void unary(const Check&, Array<T> out, Array<const T> x, Code<UnaryOp> op, AnyNumber p, AnyNumber q);

/// out[n] = gradient[n] · f′(x[n] or y[n])
template <class T>
void unaryGradient(const Check&, Array<T> out, Array<const T> gradient, Nullable<const T> x,
                   Nullable<const T> y, Code<UnaryOp> op, AnyNumber p, AnyNumber q);

/// out[n] = f(x[n]) on the calling thread, unchecked: the epilogue of a product.
template <class T>
void applyUnary(T* out, const T* x, int64_t n, UnaryOp op, double p, double q);

/// out[n] = gradient[n] · f′, with kept the input or the output as the op reads it, likewise.
template <class T>
void applyUnaryGradient(T* out, const T* gradient, const T* kept, int64_t n, UnaryOp op, double p, double q);

/// out[n] = f(x[n] + bias[n]), likewise.
template <class T>
void applyUnaryBiased(T* out, const T* x, const T* bias, int64_t n, UnaryOp op, double p, double q);

// ── binary.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[dims] = f(a, b), broadcast by the layout
template <class T>
void binary(const Check&, Array<T> out, Array<const T> a, Array<const T> b, const NullableLayout& layout,
            Code<BinaryOp> op);

/// out[dims] = gradient[dims] · ∂f/∂(a or b)
template <class T>
void binaryGradient(const Check&, Array<T> out, Array<const T> gradient, Array<const T> a, Array<const T> b,
                    const NullableLayout& layout, Code<BinaryOp> op, Flag operand);

/// out[dims] = condition ≠ 0 ? a : b
template <class T>
void where(const Check&, Array<T> out, Array<const T> condition, Array<const T> a, Array<const T> b,
           const NullableLayout& layout);

/// out[n] = f(a[i · stepA], b[i · stepB]) on the calling thread, unchecked; steps of 0 or 1.
template <class T>
void applyBinary(T* out, int64_t n, const T* a, int64_t stepA, const T* b, int64_t stepB, BinaryOp op);

/// The choice between a and b, likewise.
template <class T>
void applyWhere(T* out, int64_t n, const T* condition, int64_t stepC, const T* a, int64_t stepA, const T* b,
                int64_t stepB);

// ── elementwise.cc
// ──────────────────────────────────────────────────────────────────────────────────────────────────

/// outs and rows of scalars updated by the instructions of code, group by group
template <class T>
void elementwise(const Check&, const List<T>& outs, const List<const T>& ins, Array<double> scalars,
                 Array<const int32_t> rows, Array<const double> shared, Array<const double> constants,
                 Array<const int32_t> code, Flag wide);

// ── move.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// NaN and Infinity have no int32.
template <class T>
using FillValue = std::conditional_t<std::is_same_v<T, int32_t>, Number, AnyNumber>;

/// out[n] = value
template <class T>
void fill(const Check&, Array<T> out, FillValue<T> value);

/// out[n] = x[n] converted
void cast(const Check&, AnyArray out, AnyArray x);

/// out[outOffset + i·outStrides] = x[xOffset + i·xStrides]
template <class T>
void copy(const Check&, Array<T> out, Array<const T> x, const Layout& layout);

/// out[count, width] = x[indices[count], width]
template <class T>
void gather(const Check&, Array<T> out, Array<const T> x, Array<const int32_t> indices, Size count, Size rows,
            Size width);

/// out[indices[count], width] += x[count, width]
template <class T>
void scatterAdd(const Check&, Array<T> out, Array<const T> x, Array<const int32_t> indices, Size count,
                Size rows, Size width);

/// out[count, classes] = [labels[count] = class]
template <class T>
void oneHot(const Check&, Array<T> out, Array<const int32_t> labels, Size count, Size classes);

// ── reduce.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[k0, k1] = scale · R(x[k0, :, k1, :])
template <class T>
void reduce(const Check&, Array<T> out, Array<const T> x, Size k0, Size r0, Size k1, Size r1,
            Code<ReduceOp> op, Number scale);

/// out[outer, inner] = first index of the largest of x[outer, :, inner]
template <class T>
void argmax(const Check&, Array<int32_t> out, Array<const T> x, Size outer, PositiveSize size, Size inner);

// ── finite.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Throws unless x has neither NaN nor Infinity
template <class T>
void checkFinite(const Check&, Array<const T> x);

// ── softmax.cc
// ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[outer, size, inner] = (log) softmax of x along size
template <class T>
void softmax(const Check&, Array<T> out, Array<const T> x, Size outer, Size size, Size inner, Flag log);

template <class T>
void softmaxGradient(const Check&, Array<T> out, Array<const T> gradient, Array<const T> y, Size outer,
                     Size size, Size inner, Flag log);

/// out[1 or rows] = scale · −log softmax(logits[rows, classes])[labels[rows]]
template <class T>
void softmaxCrossEntropy(const Check&, Array<T> out, Array<T> probabilities, Array<const T> logits,
                         Array<const int32_t> labels, Size rows, Size classes, Number scale);

/// out[rows, classes] = scale · gradient[1 or rows] · (probabilities − onehot(labels))
template <class T>
void softmaxCrossEntropyGradient(const Check&, Array<T> out, Array<const T> gradient,
                                 Array<const T> probabilities, Array<const int32_t> labels, Size rows,
                                 Size classes, Number scale);

// ── loss.cc
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// out[1 or n] = scale · l(prediction[n], target[n])
template <class T>
void loss(const Check&, Array<T> out, Array<const T> prediction, Array<const T> target, Code<LossOp> op,
          Number parameter, Number scale);

/// out[n] = scale · gradient[1 or n] · ∂l/∂(prediction or target)
template <class T>
void lossGradient(const Check&, Array<T> out, Array<const T> gradient, Array<const T> prediction,
                  Array<const T> target, Code<LossOp> op, Number parameter, Number scale, Flag operand);

// ── random.cc
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

void randomBits(const Check&, Array<uint32_t> out, Array<uint32_t> state);

template <class T>
void randomUniform(const Check&, Array<T> out, Array<uint32_t> state, Number low, Number high);

template <class T>
void randomNormal(const Check&, Array<T> out, Array<uint32_t> state, Number mean, Number deviation);

template <class T>
void dropoutMask(const Check&, Array<T> out, Array<uint32_t> state, Rate rate);

// ── optimizer.cc
// ────────────────────────────────────────────────────────────────────────────────────────────────────

/// outs, parameters with or without velocities, updated; scalars: decays; hyper: learningRate, momentum,
/// dampening, nesterov, λ
template <class T>
void sgd(const Check&, const List<T>& outs, const List<const T>& gradients, Array<double> scalars,
         Array<const int32_t> rows, Array<const double> hyper);

/// outs, parameters with means and squares, updated; scalars: decays and the step, updated; hyper:
/// learningRate, beta1, beta2, ε, λ
template <class T>
void adam(const Check&, const List<T>& outs, const List<const T>& gradients, Array<double> scalars,
          Array<const int32_t> rows, Array<const double> hyper);

}  // namespace axpy
