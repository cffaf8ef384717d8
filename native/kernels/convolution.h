// The ways to compute a convolution, for convolution.cc to choose from.
#pragma once

#include "geometry.h"
#include "kernels.h"
#include "workspaces.h"

namespace axpy {

/// For tests: the way to take wherever it applies, whether or not it pays there. `best` unless
/// AXPY_CONVOLUTION is `winograd`, `direct`, or `im2col`, which is direct with a row of memory for each
/// patch.
enum class Way { best, winograd, direct, im2col };
extern const Way way;

// ── direct.cc: products of patches where they lie
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

template <class T>
void direct(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void directTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void directWeightGradient(T* out, const T* x, const T* gradient, const Window& w);

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
