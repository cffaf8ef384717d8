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

/// Calls each(gather) for the phases of a transpose that see anything; the others hold the bias alone.
template <class T, class F>
void forPhases(T* out, const Epilogue<T>& epilogue, const Window& w, const F& each) {
  for (int64_t phaseY = 0; phaseY < std::min(w.strideY, w.height); phaseY++) {
    for (int64_t phaseX = 0; phaseX < std::min(w.strideX, w.width); phaseX++) {
      const Gather gather = transposedGather(w, phaseY, phaseX);
      if (gather.taps() > 0) {
        each(gather);
        continue;
      }
      for (int64_t row = 0; row < gather.batch * gather.y.count; row++) {
        for (int64_t tx = 0; tx < gather.x.count; tx++) {
          T* const to = out + gather.target(row, tx, w.height, w.width) * w.channels;
          std::fill_n(to, w.channels, T(0));
          epilogue.apply(to, w.channels, 1, w.channels, 0);
        }
      }
    }
  }
}

// ── direct.cc: products of patches where they lie
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

template <class T>
void direct(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void directTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void directWeightGradient(T* out, const T* x, const T* gradient, const Window& w);

// ── narrow.cc: gradients of weights by vectors along the terms
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whether vectors along the outputs would be emptier.
template <class T>
bool suitsNarrow(const Window& w);

template <class T>
void narrowWeightGradient(T* out, const T* x, const T* gradient, const Window& w);

// ── grouped.cc: few channels a group, depthwise in the extreme
// ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Whether several groups fit into a vector.
template <class T>
bool suitsGrouped(const Window& w);

template <class T>
void grouped(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void groupedTransposed(T* out, const T* x, const T* weight, const Epilogue<T>& epilogue, const Window& w);
template <class T>
void groupedWeightGradient(T* out, const T* x, const T* gradient, const Window& w);

// ── winograd.cc: F(4×4, 3×3)
// ─────────────────────────────────────────────────────────────────────────────────────────

/// Whether it applies to these sizes, and pays.
bool suitsWinograd(const Window& w);

/// `panels` are the transformed weights, if somebody has kept them.
void winograd(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
              const Window& w, const float* panels = nullptr);
int64_t winogradPanelsSize(const Window& w);
void winogradTransform(const float* weight, const Window& w, float* panels);
void winogradTransposed(float* out, const float* x, const float* weight, const Epilogue<float>& epilogue,
                        const Window& w);
void winogradWeightGradient(float* out, const float* x, const float* gradient, const Window& w);

}  // namespace axpy
